/*
 * history/history.h — what clients asked of a store, when, and what they were told.
 *
 * A history is a set of operations on registers, one register a key.  It is
 * what a checker judges (history/check.h): was there one order of all of them,
 * each at one moment between its call and its return, that explains every
 * answer?  As text it is JSON lines (history/codec.h).
 *
 *      st = history_create(&h);
 *      st = history_add(h, &op, err);          as often as needed, in any order
 *      st = history_check(h, ...);
 *      history_destroy(h);
 *
 * Times are nanoseconds of one clock, or any numbers that grow: a counter will
 * do.  Operations that touch (one returns when the other is called) count as
 * overlapping: a clock that stands still proves nothing.
 *
 * Pure: no clock, no I/O, no threads.  Not thread-safe.
 */
#ifndef HISTORY_HISTORY_H
#define HISTORY_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum {
    /* Operations of one history; their numbers, and twice as many moments, fit 32 bits.  Beyond:
     * ST_TOO_BIG, nothing added. */
    HISTORY_OPS_MAX = 1 << 30,
};

enum history_verb {
    HISTORY_GET,
    HISTORY_PUT,
    HISTORY_DELETE,
    HISTORY_CAS,  /* write `value` if what is there is `expect` */
    HISTORY_INCR, /* add `delta`; an absent key counts as 0, a value that is no integer fails */
    HISTORY_VERB_COUNT
};

enum history_result {
    HISTORY_OK,      /* applied, between call and return */
    HISTORY_FAIL,    /* certainly not applied, ever */
    HISTORY_UNKNOWN, /* applied at any time after the call, or never */
    HISTORY_RESULT_COUNT
};

/* The operation has not returned, or nobody knows when. */
#define HISTORY_NEVER UINT64_MAX

/* The largest client and time: what every reader of JSON can hold as an integer. */
#define HISTORY_NUMBER_MAX ((uint64_t)INT64_MAX)

struct history_value {
    bool present;      /* false: there is no such key */
    struct slice text; /* borrowed */
};

struct history_op {
    enum history_verb verb;
    enum history_result result;
    bool mismatch; /* a failed cas: what was there certainly differed from `expect` */
    uint64_t client;
    uint64_t call_ns;
    uint64_t return_ns; /* HISTORY_NEVER only if the result is unknown */
    uint64_t line;      /* where it was read; 0: nowhere */
    struct slice key;
    struct history_value value;  /* put and cas: what is written; a get that is ok: what it saw */
    struct history_value expect; /* cas */
    int64_t delta;               /* incr */
    int64_t sum;                 /* an incr that is ok: the number after it */
};

struct history;

/* ST_NO_MEMORY. */
MUST_USE enum status history_create(struct history **out);

/* NULL is allowed. */
void history_destroy(struct history *h);

/* Add one operation; everything is copied.  ST_INVALID: it contradicts itself (a return before
 * the call, a number beyond HISTORY_NUMBER_MAX, a put without a value).  ST_TOO_BIG,
 * ST_NO_MEMORY.  On any failure nothing was added. */
MUST_USE enum status history_add(struct history *h, const struct history_op *op, struct err *err);

uint32_t history_op_count(const struct history *h);

/* Keys with at least one operation. */
uint32_t history_key_count(const struct history *h);

/* The operation that was added as the `index`-th, from 0.  Its slices live as long as `h`. */
struct history_op history_op_at(const struct history *h, uint32_t index);

/* A client does one thing at a time.  ST_INVALID: one of them called before its earlier operation
 * had returned; `*index` is the later one, and the text names the earlier one's line.  An operation
 * that has not returned is overlapped by nothing.  ST_NO_MEMORY. */
MUST_USE enum status history_check_clients(const struct history *h, uint32_t *index,
                                           struct err *err);

/* "get", "ok". */
const char *history_verb_name(enum history_verb verb);
const char *history_result_name(enum history_result result);

#endif
