/*
 * api/cursor.h — where unfinished SCANs stand, by number.
 *
 * A cursor is a number that a client may come back with on any connection.  Its
 * upper 16 bits will name the node; today they are 0.  The table is bounded:
 * the cursor that was idle for longest makes room, and a number that is not in
 * it is an error, never a scan that silently begins anew.
 *
 * A cursor may be used again, by a client that lost the reply.  Only when its
 * successor is used, it is forgotten: so a scan holds two places at most.
 *
 * Thread-safe.
 */
#ifndef API_CURSOR_H
#define API_CURSOR_H

#include "base/list.h"
#include "base/lock.h"
#include "base/slice.h"
#include "base/status.h"

#include "env/env.h"

struct cursor;

enum {
    CURSOR_BUCKETS = 4096,

    /* Keys of all cursors; beyond, the oldest ones make room. */
    CURSOR_BYTES_MAX = 8 << 20,
};

struct cursor_table {
    struct lock lock;
    struct cursor *buckets[CURSOR_BUCKETS];
    struct list recent; /* struct cursor, least recently used first */
    uint32_t count;
    size_t bytes;
    uint64_t next;
};

/* Numbers begin at a random place, so that one from before a restart is not taken for ours. */
void cursor_table_init(struct cursor_table *t, struct env *env);
void cursor_table_release(struct cursor_table *t);

/* Remember that a scan of `keyspace` stands behind `last_key` (copied).  `previous` is the
 * cursor with which this step was asked for, or 0.  ST_NO_MEMORY. */
MUST_USE enum status cursor_add(struct cursor_table *t, uint64_t previous, uint32_t keyspace,
                                struct slice last_key, uint64_t *number);

/* The key behind which the scan stands replaces what is in `last_key`.  ST_NOT_FOUND;
 * ST_NO_MEMORY. */
MUST_USE enum status cursor_find(struct cursor_table *t, uint64_t number, uint32_t keyspace,
                                 struct buf *last_key);

#endif
