/*
 * The hashed half of the memtable; invariants M5 and M6.
 *
 *      directory              segments             nodes
 *      [00] ------------> [ heads ... ]
 *      [01] ------------> [ heads ... ] --> n --> n --> n
 *      [10] --.                                 by `chain`
 *      [11] --+---------> [ heads ... ]
 *
 * The upper `depth` bits of the hash choose the directory's slot, the lowest
 * SEGMENT_BITS the bucket.  A segment with as many keys as buckets is split by
 * the next SPLIT_BITS of the hash, and the directory is enlarged when that needs
 * more bits than it has: growth costs a few microseconds at a time, never a
 * stall, and an idle memtable holds one segment of a kilobyte.
 *
 * To split, the writer marks the segment as retired, moves its nodes to the new
 * segments by rewriting their `chain`, then publishes those.  A reader that has
 * met the mark must not believe what it saw, because a chain may have led it
 * astray; but it cannot be led in circles, because nodes keep their order within
 * a bucket.  Retired segments and directories stay in the arena until the end.
 */
#include "base/assert.h"

#include "mem/memtable_internal.h"

struct memtable_segment {
    atomic_bool retired;
    uint8_t depth;      /* how many bits of the hash all its keys share */
    uint32_t key_count; /* the writer's */
    _Atomic(struct memtable_node *) heads[SEGMENT_BUCKETS];
};

struct memtable_directory {
    uint32_t depth;
    _Atomic(struct memtable_segment *) slots[];
};

static inline uint32_t
slot_of(uint32_t hash, uint32_t depth)
{
    return (uint32_t)((uint64_t)hash >> (32 - depth));
}

static inline uint32_t
bucket_of(uint32_t hash)
{
    return hash & (SEGMENT_BUCKETS - 1);
}

static inline struct memtable_segment *
segment_of(const struct memtable_index *x, uint32_t hash)
{
    const struct memtable_directory *d = atomic_load_explicit(&x->directory, memory_order_acquire);

    return atomic_load_explicit(&d->slots[slot_of(hash, d->depth)], memory_order_acquire);
}

static struct memtable_segment *
segment_create(struct arena *arena, uint32_t depth)
{
    struct memtable_segment *s = arena_alloc(arena, sizeof(*s));

    if (s == NULL)
        return NULL;
    atomic_init(&s->retired, false);
    s->depth = (uint8_t)depth;
    s->key_count = 0;
    for (int i = 0; i < SEGMENT_BUCKETS; i++)
        atomic_init(&s->heads[i], NULL);
    return s;
}

static struct memtable_directory *
directory_create(struct arena *arena, uint32_t depth)
{
    struct memtable_directory *d =
        arena_alloc(arena, sizeof(*d) + ((size_t)1 << depth) * sizeof(d->slots[0]));

    if (d != NULL)
        d->depth = depth;
    return d;
}

bool
memtable__index_init(struct memtable_index *x, struct arena *arena)
{
    struct memtable_directory *d = directory_create(arena, 0);
    struct memtable_segment *s = d == NULL ? NULL : segment_create(arena, 0);

    if (s == NULL)
        return false;
    atomic_init(&d->slots[0], s);
    atomic_init(&x->directory, d);
    return true;
}

/* A directory with SPLIT_BITS more bits; every old slot becomes SPLIT_WAYS equal ones. */
static bool
enlarge(struct memtable_index *x, struct arena *arena)
{
    const struct memtable_directory *old =
        atomic_load_explicit(&x->directory, memory_order_relaxed);
    struct memtable_directory *d = directory_create(arena, old->depth + SPLIT_BITS);

    if (d == NULL)
        return false;
    for (size_t i = 0; i < (size_t)1 << d->depth; i++)
        atomic_init(&d->slots[i],
                    atomic_load_explicit(&old->slots[i >> SPLIT_BITS], memory_order_relaxed));
    atomic_store_explicit(&x->directory, d, memory_order_release);
    return true;
}

/* Move one bucket's nodes to the same bucket of the new segments, in order. */
static void
move_bucket(struct memtable_segment *from, struct memtable_segment *const to[SPLIT_WAYS],
            uint32_t bucket)
{
    uint32_t shift = 32 - from->depth - SPLIT_BITS;
    struct memtable_node *n = atomic_load_explicit(&from->heads[bucket], memory_order_relaxed);
    _Atomic(struct memtable_node *) *tails[SPLIT_WAYS];

    for (int way = 0; way < SPLIT_WAYS; way++)
        tails[way] = &to[way]->heads[bucket];
    while (n != NULL) {
        struct memtable_node *next = atomic_load_explicit(&n->chain, memory_order_relaxed);
        uint32_t way = (n->hash >> shift) & (SPLIT_WAYS - 1);

        atomic_store_explicit(tails[way], n, memory_order_release);
        tails[way] = &n->chain;
        to[way]->key_count++;
        n = next;
    }
    for (int way = 0; way < SPLIT_WAYS; way++)
        atomic_store_explicit(tails[way], NULL, memory_order_release);
}

/* Let the directory's slots that led to `from` lead to the new segments. */
static void
publish(struct memtable_index *x, const struct memtable_segment *from,
        struct memtable_segment *const to[SPLIT_WAYS], uint32_t hash)
{
    struct memtable_directory *d = atomic_load_explicit(&x->directory, memory_order_relaxed);
    uint32_t way_bits = d->depth - from->depth - SPLIT_BITS; /* slots of one way, as a power */
    size_t begin = (size_t)slot_of(hash, from->depth) << (d->depth - from->depth);

    for (size_t i = 0; i < (size_t)SPLIT_WAYS << way_bits; i++)
        atomic_store_explicit(&d->slots[begin + i], to[i >> way_bits], memory_order_release);
}

void
memtable__index_reserve(struct memtable_index *x, struct arena *arena, uint32_t hash)
{
    struct memtable_segment *from = segment_of(x, hash);
    struct memtable_segment *to[SPLIT_WAYS];
    uint32_t depth = from->depth + SPLIT_BITS;

    if (from->key_count < SEGMENT_BUCKETS || depth > DIRECTORY_DEPTH_MAX)
        return;
    for (int way = 0; way < SPLIT_WAYS; way++) {
        to[way] = segment_create(arena, depth);
        if (to[way] == NULL)
            return;
    }
    if (depth > atomic_load_explicit(&x->directory, memory_order_relaxed)->depth &&
        !enlarge(x, arena))
        return;

    atomic_store_explicit(&from->retired, true, memory_order_release); /* M6: before any move */
    for (uint32_t bucket = 0; bucket < SEGMENT_BUCKETS; bucket++)
        move_bucket(from, to, bucket);
    publish(x, from, to, hash);
}

void
memtable__index_add(struct memtable_index *x, struct memtable_node *n, struct memtable_node *older)
{
    struct memtable_segment *s = segment_of(x, n->hash);
    _Atomic(struct memtable_node *) *at = &s->heads[bucket_of(n->hash)];
    struct memtable_node *next = atomic_load_explicit(at, memory_order_relaxed);

    if (older == NULL) {
        s->key_count++;
    } else {
        while (next != older) { /* M5: it is in the chain */
            ASSERT(next != NULL);
            at = &next->chain;
            next = atomic_load_explicit(at, memory_order_relaxed);
        }
        next = atomic_load_explicit(&older->chain, memory_order_relaxed);
    }
    atomic_init(&n->chain, next);
    atomic_store_explicit(at, n, memory_order_release);
}

bool
memtable__index_find(const struct memtable_index *x, struct slice key, uint32_t hash,
                     const struct memtable_node **found, const struct memtable_segment **token)
{
    const struct memtable_segment *s = segment_of(x, hash);
    const struct memtable_node *n =
        atomic_load_explicit(&s->heads[bucket_of(hash)], memory_order_acquire);

    while (n != NULL && (n->hash != hash || !memtable__has_key(n, key)))
        n = atomic_load_explicit(&n->chain, memory_order_acquire);
    *token = s;
    if (atomic_load_explicit(&s->retired, memory_order_acquire))
        return false;
    *found = n;
    return true;
}

bool
memtable__index_unchanged(const struct memtable_index *x, uint32_t hash,
                          const struct memtable_segment *token)
{
    return segment_of(x, hash) == token;
}

void
memtable__index_prefetch(const struct memtable_index *x, uint32_t hash)
{
    __builtin_prefetch(&segment_of(x, hash)->heads[bucket_of(hash)]);
}
