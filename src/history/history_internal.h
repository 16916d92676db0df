/* What the files of history/ share about how operations are kept. */
#ifndef HISTORY_INTERNAL_H
#define HISTORY_INTERNAL_H

#include "history/history.h"
#include "history/strings.h"

/*
 * One operation, its texts as numbers:
 *
 *              from                     to
 *      get     -                        what it saw
 *      put     -                        what it writes
 *      delete  -                        STRING_ABSENT
 *      cas     what it expects          what it writes
 *      incr    the number before it     the number after it        (only if it is ok)
 *
 * An incr whose sum cannot come of any number has `from` STRING_NEVER.
 */
struct kept_op {
    uint64_t client;
    uint64_t call_ns;
    uint64_t return_ns;
    uint64_t line;
    int64_t delta;
    uint32_t key; /* from STRING_FIRST on */
    uint32_t from;
    uint32_t to;
    uint8_t verb;   /* enum history_verb */
    uint8_t result; /* enum history_result */
    bool mismatch;
};

struct history {
    struct strings keys;
    struct strings values;
    struct kept_op *ops; /* owned */
    uint32_t op_count;
    uint32_t op_room;
};

/* What history_add() and history_write() refuse.  ST_INVALID. */
MUST_USE enum status history__op_validate(const struct history_op *op, struct err *err);

/* The verb or result of that name; false: there is none. */
bool history__verb_named(const char *name, enum history_verb *out);
bool history__result_named(const char *name, enum history_result *out);

#endif
