/*
 * engine/catalogue.h — CATALOGUE, the root manifest of a data directory: which trees there are, and what
 * is to be remembered of those that there were.
 *
 * A catalogue is changed as a whole: a copy is made, changed, and stored; then it takes the place of the one
 * that it was copied from.  The bytes: docs/formats/catalogue.md.
 */
#ifndef ENGINE_CATALOGUE_H
#define ENGINE_CATALOGUE_H

#include "engine/engine.h"

enum { CATALOGUE_LINES_MAX = 1 << 20 };

enum catalogue_kind {
    CATALOGUE_TREE = 1, /* a tree, and under which name the log has its tablet's records */
    CATALOGUE_GONE = 2, /* a name under which the log may yet have records that nobody wants */
    CATALOGUE_OATH = 3, /* what a tablet had promised when its tree was dropped */
};

struct catalogue_line {
    enum catalogue_kind kind;
    uint64_t id; /* of the tree; GONE: the name in the log */
    union {
        uint64_t log;            /* TREE */
        wal_position end;        /* GONE: such records are before it; of this process, not stored */
        struct engine_oath oath; /* OATH */
    };
};

/* In ascending order of kind and id, each once. */
struct catalogue {
    struct catalogue_line *lines; /* owned; NULL: none */
    uint32_t count;
    uint32_t room;
    uint64_t sequence; /* one more each time that it is stored */
};

/* ST_CORRUPT: damaged or missing; ST_INVALID: a newer format; ST_IO, ST_NO_MEMORY.  Job code. */
MUST_USE enum status catalogue_load(struct catalogue *out, struct env *env, const char *dir,
                                    uint64_t store, struct err *err);

/* Durable when it returns; a failure leaves it unknown which of the two the disk has.  Job code. */
MUST_USE enum status catalogue_store(struct catalogue *c, struct env *env, const char *dir,
                                     uint64_t store, struct err *err);

void catalogue_release(struct catalogue *c); /* zeroed is allowed */

/* A copy with room for so many lines more.  ST_TOO_BIG: beyond CATALOGUE_LINES_MAX; ST_NO_MEMORY. */
MUST_USE enum status catalogue_copy(const struct catalogue *from, uint32_t more,
                                    struct catalogue *out);

/* NULL: there is none.  It lives until the next change. */
struct catalogue_line *catalogue_find(const struct catalogue *c, enum catalogue_kind kind,
                                      uint64_t id);

/* In the place of the line of this kind and id, or where there is room. */
void catalogue_put(struct catalogue *c, const struct catalogue_line *line);
void catalogue_take(struct catalogue *c, enum catalogue_kind kind, uint64_t id);

/* Does the log have, or may it have, records under this name? */
bool catalogue_has_log(const struct catalogue *c, uint64_t log);

#endif
