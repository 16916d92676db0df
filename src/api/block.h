/*
 * api/block.h — what connections read into.
 *
 * A block is filled from its front and never moves; commands are parsed where
 * they lie, and each call that borrows from a block holds a reference to it.
 * Ordinary blocks come from a pool; a bulk string that does not fit into one,
 * and a long line, get a block of their own size.
 */
#ifndef API_BLOCK_H
#define API_BLOCK_H

#include <stdint.h>

#include "api/room.h"

enum {
    BLOCK_BYTES = 16 << 10,

    /* Free blocks that a reactor keeps: what a thousand busy connections have in use is far
     * less, because an idle connection holds none. */
    BLOCK_POOL_MAX = 256,
};

struct block {
    uint32_t refs;
    bool pooled; /* goes back to the pool */
    size_t capacity;
    size_t filled;
    size_t charged;     /* to ROOM_REQUEST */
    struct block *next; /* in the pool */
    uint8_t bytes[];
};

struct block_pool {
    struct room *room;
    struct block *free;
    uint32_t free_count;
};

void block_pool_init(struct block_pool *pool, struct room *room);
void block_pool_release(struct block_pool *pool);

/* An ordinary block.  With `modest`, NULL when there is no room for it; NULL when out of memory. */
struct block *block_take(struct block_pool *pool, bool modest);

/* A block of `capacity` bytes, which have been granted by the room; the grant is the block's on
 * success.  NULL when out of memory. */
struct block *block_create(size_t capacity);

static inline struct block *
block_ref(struct block *b)
{
    b->refs++;
    return b;
}

void block_unref(struct block_pool *pool, struct block *b);

/* A list of blocks that somebody holds: one in place, more on the heap. */
struct block_refs {
    struct block *first;
    struct block **more;
    uint32_t more_count;
    uint32_t more_capacity;
};

/* Hold a block, unless it is the one held last.  ST_NO_MEMORY. */
MUST_USE enum status block_refs_add(struct block_refs *refs, struct block *b);
void block_refs_release(struct block_refs *refs, struct block_pool *pool);

#endif
