/*
 * tablet/tail.h — the end of a tablet's log, in memory: entries that are not yet applied, or that
 * others may still want, by index.
 */
#ifndef TABLET_TAIL_H
#define TABLET_TAIL_H

#include "base/status.h"

#include "engine/body.h"
#include "tablet/overlay.h"
#include "tablet/request.h"
#include "wal/wal.h"

/* One block of memory: this, its decoded writes, their overlay nodes, and the encoded body. */
struct tail_entry {
    raft_index index;
    raft_term term;
    struct body body; /* points into `bytes` */
    struct slice bytes;
    struct request *request; /* answered when it is committed; NULL: nobody waits */
    enum durability durability;
    wal_position end; /* of its record in the log; in a replay, as it was given */
    uint64_t ticket;  /* under which raft knows that it was given to the log */
    size_t size;      /* of the block */
    struct entry *writes;
    struct overlay_node *nodes; /* write_count of each */
    uint32_t write_count;
};

struct tail {
    struct tail_entry **ring; /* owned */
    uint32_t capacity;        /* a power of two, or 0 */
    raft_index first;         /* index of the oldest; first == limit: empty */
    raft_index limit;         /* one past the newest */
};

/* Empty; the next entry has `index`. */
void tail_init(struct tail *t, raft_index index);
void tail_release(struct tail *t); /* it is empty */

/* Room for so many more, so that tail_push() cannot fail. */
MUST_USE enum status tail_reserve(struct tail *t, uint32_t count);

/* Takes the entry, whose index is t->limit. */
void tail_push(struct tail *t, struct tail_entry *e);

struct tail_entry *tail_at(const struct tail *t, raft_index index); /* NULL: not in the tail */

/* Out of the tail; the caller frees.  Not empty. */
struct tail_entry *tail_pop_first(struct tail *t);
struct tail_entry *tail_pop_last(struct tail *t);

/* A batch of body_batch_size() `size`, encoded: the writes are copied, and point into it.
 * NULL: no memory. */
struct tail_entry *tail_entry_of_batch(const struct body *body, size_t size,
                                       const struct entry *writes, uint32_t count);

/* One with room for any other kind (NULL: no memory), and its body, encoded there. */
struct tail_entry *tail_entry_small(void);
void tail_entry_set(struct tail_entry *e, const struct body *body,
                    const struct raft_config *config);

/* An entry from its encoded body, which is copied.  ST_CORRUPT, ST_INVALID, ST_NO_MEMORY. */
MUST_USE enum status tail_entry_decode(struct slice bytes, struct tail_entry **out);

#endif
