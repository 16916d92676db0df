/*
 * The hash index; invariants M2 and M3.
 *
 *      directory              segments             nodes
 *      [00] ------------> [ heads ... ]
 *      [01] ------------> [ heads ... ] --> n --> n --> n
 *      [10] --.                                 by `chain`, in the order of their hashes
 *      [11] --+---------> [ heads ... ]
 *
 * The upper `depth` bits of the hash choose the directory's slot, the lowest
 * SEGMENT_BITS the bucket.  A segment with as many keys as buckets is split by
 * the next SPLIT_BITS of the hash, and the directory is enlarged when that needs
 * more bits than it has: growth costs a few microseconds at a time, never a
 * stall, and an idle memtable holds one segment of a kilobyte.
 *
 * A split moves no node.  A chain is in the order of the hashes, so what belongs to each of the
 * new segments is a stretch of it, and a new bucket's head leads to where its stretch begins:
 *
 *      before   [b] --> 0001 --> 0010 --> 0111 --> 1001
 *      after    [b] --> 0001 --> 0010 --> 0111 --> 1001
 *                                          ^        ^
 *                        [b of way 01] ----'        '---- [b of way 10]
 *
 * Who walks a stretch stops at the first hash beyond its own, so what follows is of no concern
 * (Shalev and Shavit, "Split-ordered lists", 2006).  Old segments and directories stay in the
 * arena until the end, for readers who are still there: they see the past, whole.
 */
#include "base/assert.h"

#include "mem/memtable_internal.h"

struct memtable_segment {
    uint32_t depth;     /* how many bits of the hash all its keys share */
    uint32_t prefix;    /* these bits */
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
segment_init(struct memtable_segment *s, uint32_t depth, uint32_t prefix)
{
    s->depth = depth;
    s->prefix = prefix;
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
    struct memtable_segment *s = d == NULL ? NULL : arena_alloc(arena, sizeof(*s));

    if (s == NULL)
        return false;
    atomic_init(&d->slots[0], segment_init(s, 0, 0));
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

/* The same bucket of the new segments begins where its stretch of the chain does. */
static void
share_bucket(const struct memtable_segment *from, struct memtable_segment *const to[SPLIT_WAYS],
             uint32_t bucket)
{
    uint32_t shift = 32 - from->depth - SPLIT_BITS;
    struct memtable_node *n = atomic_load_explicit(&from->heads[bucket], memory_order_relaxed);

    while (n != NULL && slot_of(n->hash, from->depth) == from->prefix) {
        uint32_t way = (n->hash >> shift) & (SPLIT_WAYS - 1);
        _Atomic(struct memtable_node *) *head = &to[way]->heads[bucket];

        if (atomic_load_explicit(head, memory_order_relaxed) == NULL)
            atomic_init(head, n);
        to[way]->key_count++;
        n = atomic_load_explicit(&n->chain, memory_order_relaxed);
    }
}

/* Let the directory's slots that led to `from` lead to the new segments. */
static void
publish(struct memtable_index *x, const struct memtable_segment *from,
        struct memtable_segment *const to[SPLIT_WAYS])
{
    struct memtable_directory *d = atomic_load_explicit(&x->directory, memory_order_relaxed);
    uint32_t way_bits = d->depth - from->depth - SPLIT_BITS; /* slots of one way, as a power */
    size_t begin = (size_t)from->prefix << (d->depth - from->depth);

    for (size_t i = 0; i < (size_t)SPLIT_WAYS << way_bits; i++)
        atomic_store_explicit(&d->slots[begin + i], to[i >> way_bits], memory_order_release);
}

/* If there is no memory, the next key tries again. */
static void
split(struct memtable_index *x, struct arena *arena, const struct memtable_segment *from)
{
    struct memtable_segment *to[SPLIT_WAYS];
    struct memtable_segment *room;
    uint32_t depth = from->depth + SPLIT_BITS;

    if (depth > DIRECTORY_DEPTH_MAX)
        return;
    if (depth > atomic_load_explicit(&x->directory, memory_order_relaxed)->depth &&
        !enlarge(x, arena))
        return;
    room = arena_alloc(arena, SPLIT_WAYS * sizeof(*room));
    if (room == NULL)
        return;
    for (uint32_t way = 0; way < SPLIT_WAYS; way++)
        to[way] = segment_init(&room[way], depth, from->prefix << SPLIT_BITS | way);

    for (uint32_t bucket = 0; bucket < SEGMENT_BUCKETS; bucket++)
        share_bucket(from, to, bucket);
    publish(x, from, to);
}

struct memtable_slot
memtable__index_locate(const struct memtable_index *x, struct slice key, uint32_t hash)
{
    struct memtable_segment *s = segment_of(x, hash);
    struct memtable_slot slot = { .segment = s, .link = &s->heads[bucket_of(hash)] };
    struct memtable_node *n;

    while ((n = atomic_load_explicit(slot.link, memory_order_relaxed)) != NULL && n->hash <= hash) {
        if (n->hash == hash && slice_equal(memtable__key(n), key)) {
            slot.older = n;
            break;
        }
        slot.link = &n->chain;
    }
    return slot;
}

void
memtable__index_add(struct memtable_index *x, struct arena *arena, const struct memtable_slot *slot,
                    struct memtable_node *n)
{
    struct memtable_node *after = atomic_load_explicit(slot->link, memory_order_relaxed);

    if (slot->older != NULL)
        after = atomic_load_explicit(&slot->older->chain, memory_order_relaxed); /* M3 */
    atomic_init(&n->chain, after);
    atomic_store_explicit(slot->link, n, memory_order_release); /* M1 */
    if (slot->older == NULL && ++slot->segment->key_count >= SEGMENT_BUCKETS)
        split(x, arena, slot->segment);
}

void
memtable__index_prefetch(const struct memtable_index *x, const uint32_t *hashes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(&segment_of(x, hashes[i])->heads[bucket_of(hashes[i])]);
    for (uint32_t i = 0; i < count; i++) /* the first loads are under way: now what they lead to */
        __builtin_prefetch(atomic_load_explicit(
            &segment_of(x, hashes[i])->heads[bucket_of(hashes[i])], memory_order_relaxed));
}

const struct memtable_node *
memtable__index_find(const struct memtable_index *x, struct slice key, uint32_t hash)
{
    const struct memtable_segment *s = segment_of(x, hash);
    const struct memtable_node *n =
        atomic_load_explicit(&s->heads[bucket_of(hash)], memory_order_acquire);

    while (n != NULL && n->hash <= hash) {
        if (n->hash == hash && slice_equal(memtable__key(n), key))
            return n;
        n = atomic_load_explicit(&n->chain, memory_order_acquire);
    }
    return NULL;
}
