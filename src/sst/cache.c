/*
 * The block cache.
 *
 *      shard     buckets [ ][ ][ ][ ]...      chains of handles, by hash
 *                  |
 *                  v        .----------------------------.
 *                handle --> handle           the clock: a ring of all handles of
 *                  '--------------^          the shard; the hand is the ring's head
 *
 * A handle that is found is marked.  To evict, the hand passes the ring: a mark
 * is wiped and its bearer goes behind the hand, an unmarked handle that nobody
 * pins goes.  New handles start behind the hand, unmarked, so that what a scan
 * reads once is gone after one turn while what is used stays.
 *
 * INVARIANTS
 *
 *   C1  A handle in a shard is counted once by the shard and once by each pin.  Only
 *       under the shard's lock does a count of one rise or a handle leave; so a
 *       handle whose count is one there has no reader, and none can appear.
 *   C2  Whoever lowers the count to zero frees the handle.
 *   C3  `used` is the sum of the charges of all handles that live, and the budget
 *       has been charged with the same.  For handles in shards it stays within the
 *       capacity; a block that finds no room is handed out without being kept.
 *   C4  A shard's lock is held for at most SHARD_STEPS_MAX handles or
 *       SHARD_BUCKETS_MAX buckets at a time, and nothing is freed under it.
 */
#include "sst/cache.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/mem.h"

#include "sst/cache_internal.h"

enum {
    SHARDS_MAX = 64,
    SHARD_BYTES_MIN = 1 << 20,
    BLOCK_BYTES_USUAL = 2048, /* one bucket for so many bytes of capacity */
    BUCKETS_MIN = 64,
};

struct cache {
    struct cache_shard *shards; /* owned */
    uint32_t shard_count;       /* a power of two */
    _Atomic uint32_t turn;      /* which shard gives next when the own one cannot */
    size_t capacity;
    _Atomic size_t used; /* C3 */
    struct budget *budget;
    size_t fixed_bytes;         /* of the shards and buckets; charged to the budget */
    struct sst_zstd_pool *zstd; /* owned */
};

static inline struct cache_shard *
shard_of(struct cache *c, uint64_t hash)
{
    return &c->shards[(hash >> 32) & (c->shard_count - 1)];
}

/* ------------------------------------------------------------------ life */

static uint32_t
shards_for(size_t capacity)
{
    uint32_t count = 1;

    while (count < SHARDS_MAX && capacity / count >= 2 * (size_t)SHARD_BYTES_MIN)
        count *= 2;
    return count;
}

static size_t
buckets_for(size_t shard_bytes)
{
    size_t count = BUCKETS_MIN;

    while (count < shard_bytes / BLOCK_BYTES_USUAL)
        count *= 2;
    return count;
}

struct cache *
cache_create(size_t capacity_bytes, struct budget *budget)
{
    struct cache *c = mem_new(struct cache);
    uint32_t shard_count = shards_for(capacity_bytes);

    if (c == NULL)
        return NULL;
    c->capacity = capacity_bytes;
    c->budget = budget;
    c->zstd = sst__zstd_pool_create(budget);
    c->shards = mem_new_array(struct cache_shard, shard_count);
    if (c->zstd == NULL || c->shards == NULL)
        goto fail;
    for (; c->shard_count < shard_count; c->shard_count++) {
        struct cache_shard *s = &c->shards[c->shard_count];

        if (!cache__shard_init(s, c, buckets_for(capacity_bytes / shard_count)))
            goto fail;
        c->fixed_bytes += cache__shard_bytes(s);
    }
    if (budget != NULL)
        budget_charge(budget, c->fixed_bytes);
    return c;

fail:
    c->fixed_bytes = 0;
    cache_destroy(c);
    return NULL;
}

static void
handle_free(struct cache *c, struct cache_handle *h)
{
    size_t charge = h->size + sizeof(*h);
    size_t before = atomic_fetch_sub_explicit(&c->used, charge, memory_order_relaxed);

    ASSERT(before >= charge); /* C3 */
    if (c->budget != NULL)
        budget_return(c->budget, charge);
    mem_free(h->block);
    mem_free(h);
}

/* C2 */
static void
unref(struct cache *c, struct cache_handle *h)
{
    uint32_t before = atomic_fetch_sub_explicit(&h->ref_count, 1, memory_order_acq_rel);

    ASSERT(before > 0);
    if (before == 1)
        handle_free(c, h);
}

void
cache_destroy(struct cache *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct cache_shard *s = &c->shards[i];
        struct list *at;

        while ((at = list_pop_front(&s->ring)) != NULL) {
            struct cache_handle *h = container_of(at, struct cache_handle, ring);

            ASSERT(atomic_load_explicit(&h->ref_count, memory_order_relaxed) == 1); /* no pins */
            unref(c, h);
        }
        cache__shard_release(s);
    }
    ASSERT(atomic_load_explicit(&c->used, memory_order_relaxed) == 0);
    if (c->budget != NULL)
        budget_return(c->budget, c->fixed_bytes);
    mem_free(c->shards);
    sst__zstd_pool_destroy(c->zstd);
    mem_free(c);
}

struct cache_handle *
cache_find(struct cache *c, uint64_t table, uint64_t offset)
{
    uint64_t hash = cache__name_hash(table, offset);

    return cache__shard_find(shard_of(c, hash), hash, table, offset);
}

/* ------------------------------------------------------------------ evicting */

/* Drop the shard's references of what was unlinked from it. */
static void
unref_chain(struct cache *c, struct cache_handle *h)
{
    while (h != NULL) {
        struct cache_handle *next = h->chain;

        unref(c, h);
        h = next;
    }
}

static size_t
evict_from(struct cache_shard *s, size_t wanted)
{
    size_t gained = 0;
    size_t rounds; /* two turns of the ring: one to wipe the marks, one to evict */

    lock_take(&s->lock);
    rounds = 2 * s->handle_count / SHARD_STEPS_MAX + 2;
    lock_drop(&s->lock);
    while (gained < wanted && rounds-- > 0) {
        struct cache_handle *evicted = NULL;

        gained += cache__shard_turn(s, wanted - gained, &evicted);
        unref_chain(s->cache, evicted);
    }
    return gained;
}

/* Evict `wanted` bytes from the shards in turn, starting with `first`. */
static size_t
evict(struct cache *c, uint32_t first, size_t wanted)
{
    size_t gained = 0;

    for (uint32_t i = 0; i < c->shard_count && gained < wanted; i++)
        gained += evict_from(&c->shards[(first + i) & (c->shard_count - 1)], wanted - gained);
    return gained;
}

size_t
cache_shrink(struct cache *c, size_t bytes)
{
    return evict(c, atomic_fetch_add_explicit(&c->turn, 1, memory_order_relaxed), bytes);
}

/* ------------------------------------------------------------------ adding */

/* C3: room within the capacity and within the budget. */
static bool
try_charge(struct cache *c, size_t charge)
{
    size_t used = atomic_load_explicit(&c->used, memory_order_relaxed);

    do {
        if (used > c->capacity || charge > c->capacity - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&c->used, &used, used + charge,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (c->budget == NULL || budget_try_charge(c->budget, charge))
        return true;
    atomic_fetch_sub_explicit(&c->used, charge, memory_order_relaxed);
    return false;
}

/* Charge the block; evict until it has room, or there is nothing more to evict.  False: it is
 * charged, but must not be kept. */
static bool
make_room(struct cache *c, struct cache_shard *s, size_t charge)
{
    uint32_t first = (uint32_t)(s - c->shards);

    while (charge <= c->capacity) {
        if (try_charge(c, charge))
            return true;
        if (evict(c, first, charge) == 0)
            break;
    }
    atomic_fetch_add_explicit(&c->used, charge, memory_order_relaxed);
    if (c->budget != NULL)
        budget_charge(c->budget, charge);
    return false;
}

struct cache_handle *
cache_add(struct cache *c, uint64_t table, uint64_t offset, void *block, size_t size)
{
    uint64_t hash = cache__name_hash(table, offset);
    struct cache_shard *s = shard_of(c, hash);
    struct cache_handle *h = mem_new(struct cache_handle);
    struct cache_handle *kept;

    if (h == NULL) {
        mem_free(block);
        return NULL;
    }
    h->table = table;
    h->offset = offset;
    h->block = block;
    h->size = size;
    h->shard = s;
    list_init(&h->ring);
    atomic_init(&h->ref_count, 1); /* the caller's pin */
    if (!make_room(c, s, size + sizeof(*h)))
        return h;
    kept = cache__shard_insert(s, hash, h);
    if (kept != h)
        unref(c, h); /* another thread was faster */
    return kept;
}

struct slice
cache_block(const struct cache_handle *h)
{
    return slice_of(h->block, h->size);
}

void
cache_pin(struct cache_handle *h)
{
    uint32_t before = atomic_fetch_add_explicit(&h->ref_count, 1, memory_order_relaxed);

    ASSERT(before > 0);
}

void
cache_release(struct cache_handle *h)
{
    unref(h->shard->cache, h);
}

/* ------------------------------------------------------------------ the rest */

void
cache_drop_table(struct cache *c, uint64_t table)
{
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct cache_shard *s = &c->shards[i];

        for (size_t begin = 0; begin < s->bucket_count; begin += SHARD_BUCKETS_MAX)
            unref_chain(c, cache__shard_take(s, table, begin));
    }
}

size_t
cache_bytes(const struct cache *c)
{
    return atomic_load_explicit(&c->used, memory_order_relaxed);
}

void
cache_count(const struct cache *c, struct cache_counters *out)
{
    *out = (struct cache_counters){ .capacity = c->capacity, .bytes = cache_bytes(c) };
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct cache_shard *s = &c->shards[i];

        lock_take(&s->lock);
        out->hits += s->hits;
        out->misses += s->misses;
        out->evictions += s->evictions;
        lock_drop(&s->lock);
    }
}

struct sst_zstd_pool *
sst__cache_zstd(const struct cache *c)
{
    return c->zstd;
}
