/*
 * A hash table of records, cut into shards.
 *
 *      shard   lock
 *              buckets   [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ]...
 *                          |         |    ^
 *                          r         r   hand
 *                          |
 *                          r
 *
 * The upper bits of the mixed hash choose the shard, the lower ones the bucket.  The
 * number of buckets is fixed: a cache of known size never has to move its index while
 * readers wait.
 *
 * Eviction is CLOCK, and the buckets are its dial, so that a record needs no other links.  The
 * hand goes from bucket to bucket; it takes the marks away that it meets, and evicts what has
 * none.  A hit marks its record again, and a new record begins with a mark: so what is never
 * read again lives for one round to two, and what is read once in every round lives on.
 *
 * A hit on a large cache costs what it takes to fetch three cache lines from memory: the lines of
 * a record are therefore asked for at once, and the bucket's before the lock is taken.
 *
 * WHY NOTHING STALE STAYS
 *
 * Let key k have version 1 in the tables, and let a flush move version 2 of it there.
 * It counts the tag up, drops k, and then publishes the view in which tables have version 2.
 *
 *   A reader that adds version 1 has seen a view in which no memtable has version 2, at its
 *   time of looking.  If it loaded the tag before it was counted up, then either it adds before
 *   that, and the drop removes what it added, because both hold the shard's lock; or it compares
 *   after that, sees another tag, and adds nothing.
 *   If it loaded the tag after that, then its view has the memtable of version 2, sealed, or
 *   already the table: in either case it does not come to version 1.
 *
 * Between the flush of version 2 and the reading of it nothing of k is here, which is slow, and
 * never wrong.
 *
 * INVARIANTS
 *
 *   C1  A record is in the chain of its hash's bucket, and is read or written only with the
 *       lock of its shard.
 *   C2  The bytes of a shard's records are counted in `bytes`, charged to the budget,
 *       and never above `capacity`.
 *   C3  There is one record for a (tree, key).
 *   C4  A bucket's tag has the bit of every record in its chain, so a bit that
 *       is not set proves an absence.  Read outside the lock it may be older
 *       than a record that is just being added, which a get may miss and a drop may not.
 */
#include "lsm/record_cache.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/mem.h"

enum {
    SHARD_COUNT_MAX = 64,
    SHARD_BYTES_MIN = 256 << 10, /* smaller caches have fewer shards */
    SHARD_BITS_AT = 48,          /* of the mixed hash */
    RECORD_BYTES_TYPICAL = 256,  /* one bucket for so much capacity */
    RECORDS_PER_SHARD_MIN = 4,   /* a larger record would empty its shard */
    BUCKETS_MIN = 16,
    BUCKETS_AT_ONCE = 64, /* how many are emptied under one hold of the lock */
    HEAP_OVERHEAD = 32,   /* of one allocation, about */
    CACHE_LINE = 64,
    TAG_BITS_AT = 36, /* bits of the hash that neither bucket nor shard uses */
};

struct record {
    struct record *next; /* in its bucket */
    uint64_t hash;       /* mixed */
    uint64_t tree;
    version_t version;
    uint64_t expiry_ms;
    uint32_t key_size;
    uint16_t value_size;
    uint8_t type;
    bool marked;
    uint8_t bytes[]; /* key, then value */
};

struct shard {
    struct lock lock;
    struct record **buckets; /* in the cache's index */
    _Atomic uint16_t *tags;  /* of the buckets; C4 */
    uint64_t hand;           /* the bucket where CLOCK goes on */
    _Atomic size_t bytes;    /* C2; written with the lock, as `hits` */
    _Atomic uint64_t hits;
    uint8_t padding[64]; /* two shards share no cache line */
};

struct record_cache {
    struct budget *budget; /* may be NULL */
    uint32_t shard_mask;
    uint64_t bucket_mask; /* of one shard */
    size_t shard_capacity;
    size_t index_bytes;
    struct record **index;  /* owned; the buckets of all shards */
    _Atomic uint16_t *tags; /* owned; theirs */
    struct shard shards[];
};

_Static_assert(RECORD_CACHE_VALUE_MAX <= UINT16_MAX, "a value's size fits into its field");

/* The largest power of two up to `x`, at least 1. */
static uint64_t
power_below(uint64_t x)
{
    return x <= 1 ? 1 : UINT64_C(1) << (63 - __builtin_clzll(x));
}

static void
shard_init(struct record_cache *c, uint32_t i)
{
    struct shard *s = &c->shards[i];

    lock_init(&s->lock);
    s->buckets = c->index + i * (c->bucket_mask + 1);
    s->tags = c->tags + i * (c->bucket_mask + 1);
}

struct record_cache *
record_cache_create(size_t capacity_bytes, struct budget *budget)
{
    uint64_t shard_count = power_below(capacity_bytes / SHARD_BYTES_MIN);
    uint64_t buckets;
    struct record_cache *c;

    if (shard_count > SHARD_COUNT_MAX)
        shard_count = SHARD_COUNT_MAX;
    buckets = power_below(capacity_bytes / RECORD_BYTES_TYPICAL / shard_count);
    if (buckets < BUCKETS_MIN)
        buckets = BUCKETS_MIN;

    c = mem_alloc_zero(sizeof(*c) + shard_count * sizeof(struct shard));
    if (c == NULL)
        return NULL;
    c->index = mem_new_array(struct record *, shard_count * buckets);
    c->tags = mem_new_array(_Atomic uint16_t, shard_count *buckets);
    if (c->index == NULL || c->tags == NULL) {
        mem_free(c->index);
        mem_free(c->tags);
        mem_free(c);
        return NULL;
    }
    c->budget = budget;
    c->shard_mask = (uint32_t)shard_count - 1;
    c->bucket_mask = buckets - 1;
    c->index_bytes = shard_count * buckets * (sizeof(struct record *) + sizeof(uint16_t));
    if (capacity_bytes > c->index_bytes)
        c->shard_capacity = (capacity_bytes - c->index_bytes) / shard_count;
    if (budget != NULL)
        budget_charge(budget, c->index_bytes);
    for (uint32_t i = 0; i < shard_count; i++)
        shard_init(c, i);
    return c;
}

static uint64_t
mix(uint64_t tree, uint64_t hash)
{
    return hash_u64(hash ^ hash_u64(tree));
}

static struct shard *
shard_of(struct record_cache *c, uint64_t mixed)
{
    return &c->shards[(mixed >> SHARD_BITS_AT) & c->shard_mask];
}

static size_t
record_bytes(size_t key_size, size_t value_size)
{
    return sizeof(struct record) + key_size + value_size + HEAP_OVERHEAD;
}

/* Only the holder of the lock writes, so no atomic addition is needed. */
static void
set_bytes(struct shard *s, size_t bytes)
{
    atomic_store_explicit(&s->bytes, bytes, memory_order_relaxed);
}

static size_t
bytes_of(const struct shard *s)
{
    return atomic_load_explicit(&s->bytes, memory_order_relaxed);
}

static struct slice
key_of(const struct record *r)
{
    return slice_of(r->bytes, r->key_size);
}

/* ------------------------------------------------------------------ inside a shard's lock */

/* Where the record's pointer is, or where the chain ends. */
static struct record **
find_slot(const struct record_cache *c, struct shard *s, uint64_t mixed, uint64_t tree,
          struct slice key)
{
    struct record **slot = &s->buckets[mixed & c->bucket_mask];

    while (*slot != NULL) {
        const struct record *r = *slot;

        __builtin_prefetch((const char *)r + CACHE_LINE);
        __builtin_prefetch((const char *)r + (size_t)2 * CACHE_LINE);
        if (r->hash == mixed && r->tree == tree && slice_equal(key_of(r), key))
            break;
        slot = &(*slot)->next;
    }
    return slot;
}

static uint16_t
tag_of(uint64_t mixed)
{
    return (uint16_t)(1U << (mixed >> TAG_BITS_AT & 15));
}

/* A record has left the bucket of this hash: what do those that stay say? */
static void
renew_tag(struct record_cache *c, struct shard *s, uint64_t mixed)
{
    uint64_t bucket = mixed & c->bucket_mask;
    uint16_t tag = 0;

    for (const struct record *r = s->buckets[bucket]; r != NULL; r = r->next)
        tag |= tag_of(r->hash);
    atomic_store_explicit(&s->tags[bucket], tag, memory_order_relaxed); /* C4 */
}

/* Is there certainly no record of this hash?  The tags are small and stay in the processor's own
 * caches, which the chains do not. */
static bool
is_absent(const struct record_cache *c, const struct shard *s, uint64_t mixed)
{
    uint16_t tag = atomic_load_explicit(&s->tags[mixed & c->bucket_mask], memory_order_relaxed);

    return (tag & tag_of(mixed)) == 0;
}

/* Unlink and free the record that `slot` points to. */
static void
remove_at(struct record_cache *c, struct shard *s, struct record **slot)
{
    struct record *r = *slot;
    size_t bytes = record_bytes(r->key_size, r->value_size);

    *slot = r->next; /* C1 */
    renew_tag(c, s, r->hash);
    ASSERT(bytes_of(s) >= bytes); /* C2 */
    set_bytes(s, bytes_of(s) - bytes);
    if (c->budget != NULL)
        budget_return(c->budget, bytes);
    mem_free(r);
}

/* The hand passes over a bucket.  Was anything evicted? */
static bool
pass_bucket(struct record_cache *c, struct shard *s, struct record **slot)
{
    bool evicted = false;

    while (*slot != NULL) {
        if ((*slot)->marked) {
            (*slot)->marked = false;
            slot = &(*slot)->next;
        } else {
            remove_at(c, s, slot);
            evicted = true;
        }
    }
    return evicted;
}

/* Evict at least one record.  False: the shard is empty. */
static bool
evict_some(struct record_cache *c, struct shard *s)
{
    bool evicted = false;

    while (!evicted && bytes_of(s) > 0) { /* after one round nothing is marked */
        evicted = pass_bucket(c, s, &s->buckets[s->hand]);
        s->hand = (s->hand + 1) & c->bucket_mask;
    }
    return evicted;
}

/* Make room for so much, and charge it.  False: there is none, even in an empty shard. */
static bool
reserve(struct record_cache *c, struct shard *s, size_t bytes)
{
    while (bytes_of(s) + bytes > c->shard_capacity) {
        if (!evict_some(c, s))
            return false;
    }
    while (c->budget != NULL && !budget_try_charge(c->budget, bytes)) {
        if (!evict_some(c, s))
            return false;
    }
    set_bytes(s, bytes_of(s) + bytes);
    return true;
}

static void
link_record(struct record_cache *c, struct shard *s, struct record *r)
{
    struct record **bucket = &s->buckets[r->hash & c->bucket_mask];

    r->next = *bucket;
    *bucket = r; /* C1 */
    atomic_fetch_or_explicit(&s->tags[r->hash & c->bucket_mask], tag_of(r->hash),
                             memory_order_relaxed); /* C4 */
}

/* ------------------------------------------------------------------ from outside */

bool
record_cache_get(struct record_cache *c, uint64_t tree, struct slice key, uint64_t hash,
                 uint8_t *room, struct entry *out)
{
    uint64_t mixed = mix(tree, hash);
    struct shard *s = shard_of(c, mixed);
    struct record *r;

    if (is_absent(c, s, mixed)) /* one that is just being added may be missed: it is a cache */
        return false;
    __builtin_prefetch(&s->buckets[mixed & c->bucket_mask]);
    lock_take(&s->lock);
    r = *find_slot(c, s, mixed, tree, key);
    if (r == NULL) {
        lock_drop(&s->lock);
        return false;
    }
    r->marked = true;
    atomic_store_explicit(&s->hits, atomic_load_explicit(&s->hits, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    memcpy(room, r->bytes + r->key_size, r->value_size);
    *out = (struct entry){
        .key = key,
        .value = slice_of(room, r->value_size),
        .version = r->version,
        .expiry_ms = r->expiry_ms,
        .type = (enum entry_type)r->type,
    };
    lock_drop(&s->lock);
    return true;
}

/* NULL when out of memory. */
static struct record *
make_record(uint64_t tree, uint64_t mixed, const struct entry *e)
{
    struct record *r = mem_alloc(sizeof(*r) + e->key.size + e->value.size);

    if (r == NULL)
        return NULL;
    *r = (struct record){
        .hash = mixed,
        .tree = tree,
        .version = e->version,
        .expiry_ms = e->expiry_ms,
        .key_size = (uint32_t)e->key.size,
        .value_size = (uint16_t)e->value.size,
        .type = (uint8_t)e->type,
        .marked = true,
    };
    if (e->key.size > 0)
        memcpy(r->bytes, e->key.data, e->key.size);
    if (e->value.size > 0)
        memcpy(r->bytes + e->key.size, e->value.data, e->value.size);
    return r;
}

void
record_cache_add(struct record_cache *c, uint64_t tree, uint64_t hash, const struct entry *e,
                 const _Atomic uint64_t *tag_now, uint64_t tag)
{
    uint64_t mixed = mix(tree, hash);
    struct shard *s = shard_of(c, mixed);
    size_t bytes = record_bytes(e->key.size, e->value.size);
    struct record **slot;
    struct record *r;

    if (e->value.size > RECORD_CACHE_VALUE_MAX || e->key.size > UINT32_MAX ||
        bytes > c->shard_capacity / RECORDS_PER_SHARD_MIN)
        return;
    r = make_record(tree, mixed, e);
    if (r == NULL)
        return;

    lock_take(&s->lock);
    if (atomic_load(tag_now) == tag) {
        slot = find_slot(c, s, mixed, tree, e->key);
        if (*slot != NULL)
            remove_at(c, s, slot); /* C3 */
        if (reserve(c, s, bytes)) {
            link_record(c, s, r);
            r = NULL;
        }
    }
    lock_drop(&s->lock);
    mem_free(r);
}

void
record_cache_drop(struct record_cache *c, uint64_t tree, struct slice key, uint64_t hash)
{
    uint64_t mixed = mix(tree, hash);
    struct shard *s = shard_of(c, mixed);
    struct record **slot;

    lock_take(&s->lock);
    if (!is_absent(c, s, mixed)) { /* inside the lock, where it is exact (C4) */
        slot = find_slot(c, s, mixed, tree, key);
        if (*slot != NULL)
            remove_at(c, s, slot);
    }
    lock_drop(&s->lock);
}

/* Remove the tree's records from a bucket; every tree's when `all`. */
static void
empty_bucket(struct record_cache *c, struct shard *s, uint64_t bucket, uint64_t tree, bool all)
{
    struct record **slot = &s->buckets[bucket];

    while (*slot != NULL) {
        if (all || (*slot)->tree == tree)
            remove_at(c, s, slot);
        else
            slot = &(*slot)->next;
    }
}

static void
empty_shard(struct record_cache *c, struct shard *s, uint64_t tree, bool all)
{
    for (uint64_t begin = 0; begin <= c->bucket_mask; begin += BUCKETS_AT_ONCE) {
        lock_take(&s->lock);
        for (uint64_t i = begin; i < begin + BUCKETS_AT_ONCE && i <= c->bucket_mask; i++)
            empty_bucket(c, s, i, tree, all);
        lock_drop(&s->lock);
    }
}

void
record_cache_drop_tree(struct record_cache *c, uint64_t tree)
{
    for (uint32_t i = 0; i <= c->shard_mask; i++)
        empty_shard(c, &c->shards[i], tree, false);
}

void
record_cache_destroy(struct record_cache *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i <= c->shard_mask; i++) {
        empty_shard(c, &c->shards[i], 0, true);
        ASSERT(bytes_of(&c->shards[i]) == 0); /* C2 */
        lock_release(&c->shards[i].lock);
    }
    if (c->budget != NULL)
        budget_return(c->budget, c->index_bytes);
    mem_free(c->index);
    mem_free(c->tags);
    mem_free(c);
}

size_t
record_cache_bytes(const struct record_cache *c)
{
    size_t bytes = c->index_bytes;

    for (uint32_t i = 0; i <= c->shard_mask; i++)
        bytes += bytes_of(&c->shards[i]);
    return bytes;
}

uint64_t
record_cache_hits(const struct record_cache *c)
{
    uint64_t hits = 0;

    for (uint32_t i = 0; i <= c->shard_mask; i++)
        hits += atomic_load_explicit(&c->shards[i].hits, memory_order_relaxed);
    return hits;
}
