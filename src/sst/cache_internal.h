/*
 * sst/cache_internal.h — a shard of the cache, and what the readers of tables find in
 * the cache besides blocks: the spare decompression contexts of the node.
 *
 * The invariants C1..C4 are at the head of cache.c.
 */
#ifndef SST_CACHE_INTERNAL_H
#define SST_CACHE_INTERNAL_H

#include <stdatomic.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/lock.h"

#include "sst/cache.h"
#include "sst/compress.h"

enum { SHARD_STEPS_MAX = 32, SHARD_BUCKETS_MAX = 256 }; /* C4 */

struct cache_handle {
    struct cache_handle *chain;
    struct list ring;
    uint64_t table;
    uint64_t offset;
    void *block; /* owned */
    size_t size;
    struct cache_shard *shard;
    _Atomic uint32_t ref_count; /* C1 */
    bool marked;                /* under the lock */
};

struct cache_shard {
    struct lock lock;
    struct cache *cache;
    struct cache_handle **buckets; /* owned */
    size_t bucket_count;           /* a power of two */
    struct list ring;              /* the hand; next is what it points at */
    size_t handle_count;
    uint64_t hits;
    uint64_t misses;
    uint64_t evictions;
    char spread[64]; /* keeps the locks of two shards off one cache line */
};

static inline uint64_t
cache__name_hash(uint64_t table, uint64_t offset)
{
    return hash_u64(table * UINT64_C(0x9e3779b97f4a7c15) + offset);
}

/* False when out of memory. */
MUST_USE bool cache__shard_init(struct cache_shard *s, struct cache *c, size_t bucket_count);
void cache__shard_release(struct cache_shard *s);

/* Pinned and marked; NULL when it is not here. */
struct cache_handle *cache__shard_find(struct cache_shard *s, uint64_t hash, uint64_t table,
                                       uint64_t offset);

/* Put a handle into the shard, unless the block is there already; the one that is there then,
 * pinned for the caller. */
struct cache_handle *cache__shard_insert(struct cache_shard *s, uint64_t hash,
                                         struct cache_handle *h);

/* Let the hand pass up to SHARD_STEPS_MAX handles; what it evicts is chained to `*evicted`, each with
 * the shard's reference, and the bytes that they are charged with are the result. */
size_t cache__shard_turn(struct cache_shard *s, size_t wanted, struct cache_handle **evicted);

/* Unlink what the table has in the SHARD_BUCKETS_MAX buckets from `begin` on; the same kind of
 * chain. */
struct cache_handle *cache__shard_take(struct cache_shard *s, uint64_t table, size_t begin);

/* What the shard itself takes, without its handles. */
size_t cache__shard_bytes(const struct cache_shard *s);

struct sst_zstd_pool *sst__cache_zstd(const struct cache *c);

#endif
