/* One shard of the block cache: a hash table, and a clock; invariants at the head of cache.c. */
#include "base/assert.h"
#include "base/mem.h"

#include "sst/cache_internal.h"

static inline struct cache_handle **
bucket_of(struct cache_shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->bucket_count - 1)];
}

bool
cache__shard_init(struct cache_shard *s, struct cache *c, size_t bucket_count)
{
    s->buckets = mem_new_array(struct cache_handle *, bucket_count);
    if (s->buckets == NULL)
        return false;
    s->cache = c;
    s->bucket_count = bucket_count;
    list_init(&s->ring);
    lock_init(&s->lock);
    return true;
}

void
cache__shard_release(struct cache_shard *s)
{
    mem_free(s->buckets);
    lock_release(&s->lock);
}

/* Under the lock. */
static struct cache_handle *
lookup(struct cache_shard *s, uint64_t hash, uint64_t table, uint64_t offset)
{
    struct cache_handle *h = *bucket_of(s, hash);

    while (h != NULL && (h->offset != offset || h->table != table))
        h = h->chain;
    return h;
}

static void
pin_and_mark(struct cache_handle *h)
{
    atomic_fetch_add_explicit(&h->ref_count, 1, memory_order_relaxed);
    h->marked = true;
}

struct cache_handle *
cache__shard_find(struct cache_shard *s, uint64_t hash, uint64_t table, uint64_t offset)
{
    struct cache_handle *h;

    lock_take(&s->lock);
    h = lookup(s, hash, table, offset);
    if (h != NULL) {
        pin_and_mark(h);
        s->hits++;
    } else {
        s->misses++;
    }
    lock_drop(&s->lock);
    return h;
}

struct cache_handle *
cache__shard_insert(struct cache_shard *s, uint64_t hash, struct cache_handle *h)
{
    struct cache_handle **bucket = bucket_of(s, hash);
    struct cache_handle *there;

    lock_take(&s->lock);
    there = lookup(s, hash, h->table, h->offset);
    if (there != NULL) {
        pin_and_mark(there);
    } else {
        atomic_fetch_add_explicit(&h->ref_count, 1, memory_order_relaxed); /* the shard's own */
        h->chain = *bucket;
        *bucket = h;
        list_push_back(&s->ring, &h->ring);
        s->handle_count++;
    }
    lock_drop(&s->lock);
    return there == NULL ? h : there;
}

/* Take a handle out of its bucket, the ring and the count; the shard's reference
 * is still to be dropped.  Under the lock. */
static void
unlink_handle(struct cache_shard *s, struct cache_handle *h)
{
    struct cache_handle **at = bucket_of(s, cache__name_hash(h->table, h->offset));

    while (*at != h)
        at = &(*at)->chain;
    *at = h->chain;
    h->chain = NULL;
    list_remove(&h->ring);
    s->handle_count--;
}

size_t
cache__shard_turn(struct cache_shard *s, size_t wanted, struct cache_handle **evicted)
{
    size_t gained = 0;

    lock_take(&s->lock);
    for (int step = 0; step < SHARD_STEPS_MAX && gained < wanted && !list_empty(&s->ring); step++) {
        struct cache_handle *h = container_of(s->ring.next, struct cache_handle, ring);

        if (h->marked || atomic_load_explicit(&h->ref_count, memory_order_acquire) > 1) {
            h->marked = false;
            list_remove(&h->ring);
            list_push_back(&s->ring, &h->ring);
            continue;
        }
        unlink_handle(s, h); /* C1: nobody can pin it any more */
        h->chain = *evicted;
        *evicted = h;
        gained += h->size + sizeof(*h);
        s->evictions++;
    }
    lock_drop(&s->lock);
    return gained;
}

/* Unlink what the table has in one bucket, and chain it to `*taken`. */
static void
take_bucket(struct cache_shard *s, uint64_t table, size_t bucket, struct cache_handle **taken)
{
    struct cache_handle *h = s->buckets[bucket];

    while (h != NULL) {
        struct cache_handle *next = h->chain;

        if (h->table == table) {
            unlink_handle(s, h);
            h->chain = *taken;
            *taken = h;
        }
        h = next;
    }
}

struct cache_handle *
cache__shard_take(struct cache_shard *s, uint64_t table, size_t begin)
{
    size_t left = s->bucket_count - begin;
    size_t limit = begin + (left < SHARD_BUCKETS_MAX ? left : SHARD_BUCKETS_MAX);
    struct cache_handle *taken = NULL;

    ASSERT(begin < s->bucket_count);
    lock_take(&s->lock);
    for (size_t bucket = begin; bucket < limit; bucket++)
        take_bucket(s, table, bucket, &taken);
    lock_drop(&s->lock);
    return taken;
}

size_t
cache__shard_bytes(const struct cache_shard *s)
{
    return sizeof(*s) + s->bucket_count * sizeof(struct cache_handle *);
}
