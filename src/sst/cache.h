/*
 * sst/cache.h — blocks that were read and checked, kept within the budget.
 *
 * One cache for all tables of a node.  Sharded; each shard has a lock that is
 * held for a few instructions; eviction is CLOCK.  A hit costs no allocation
 * and no copy.  A handle pins its block.
 */
#ifndef SST_CACHE_H
#define SST_CACHE_H

#include "base/budget.h"
#include "base/slice.h"
#include "base/status.h"

struct cache;
struct cache_handle;

/* At most `capacity_bytes` of blocks, charged to `budget` (may be NULL);
 * evicts below that when the budget has no room.  NULL when out of memory. */
struct cache *cache_create(size_t capacity_bytes, struct budget *budget);
void cache_destroy(struct cache *c); /* no handle is out; NULL is allowed */

/* A block is named by its table's unique number and its offset in the file.
 * NULL when it is not here.  Thread-safe, as all of these. */
struct cache_handle *cache_find(struct cache *c, uint64_t table, uint64_t offset);

/* Add a block and pin it.  `block` is owned by the cache from here on, also on
 * failure (allocated by mem_alloc).  When another thread was faster, its block
 * is returned and ours freed.  NULL when out of memory. */
struct cache_handle *cache_add(struct cache *c, uint64_t table, uint64_t offset, void *block,
                               size_t size);

struct slice cache_block(const struct cache_handle *h); /* until the release */
void cache_pin(struct cache_handle *h);                 /* one more release is due */
void cache_release(struct cache_handle *h);

/* A table is gone: its blocks are of no use.  Walks the whole cache, a piece at a time. */
void cache_drop_table(struct cache *c, uint64_t table);

/* Evict until `bytes` have been returned, or nothing is left that is not pinned; the bytes that
 * were returned.  What the budget asks of an elastic thing. */
size_t cache_shrink(struct cache *c, size_t bytes);

size_t cache_bytes(const struct cache *c); /* of all handles that live */

struct cache_counters {
    uint64_t hits;
    uint64_t misses;
    uint64_t evictions;
    size_t bytes;
    size_t capacity;
};
void cache_count(const struct cache *c, struct cache_counters *out);

#endif
