/*
 * mem/memtable_internal.h — what the files of this module share: the node, the
 * skip list and the hash index.  The argument and the invariants M1..M6 are at
 * the head of memtable.c.
 */
#ifndef MEM_MEMTABLE_INTERNAL_H
#define MEM_MEMTABLE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/coding.h"
#include "base/entry.h"

enum {
    GUIDE_LEVELS = 12, /* 2 * 4^12 entries before the list grows flat */

    SEGMENT_BITS = 7,
    SEGMENT_BUCKETS = 1 << SEGMENT_BITS,
    SPLIT_BITS = 2, /* a full segment becomes 1 << SPLIT_BITS segments */
    SPLIT_WAYS = 1 << SPLIT_BITS,
    DIRECTORY_DEPTH_MAX = 18, /* then chains grow instead: 32 million keys at one per bucket */
};

/* One entry.  After it in memory: the key, the expiry (8 bytes, when there is one),
 * the value.  All but the atomics is constant once published. */
struct memtable_node {
    _Atomic(struct memtable_node *) chain; /* in the bucket */
    version_t version;
    uint32_t hash; /* the upper half of the key's hash64() */
    uint32_t value_size;
    _Atomic(struct memtable_node *) next; /* in entry order; what a search reads starts here */
    uint32_t key_size;
    uint8_t type; /* enum entry_type */
    bool expires;
};

/* The first sixteen bytes of a key, as a number that orders as they do; short
 * keys are padded with zeros. */
struct memtable_prefix {
    uint64_t upper;
    uint64_t lower;
};

/* A node's place on one of the levels above the list.  Its guides on all levels
 * are one array, lowest first; the one below is the one before in memory. */
struct memtable_guide {
    _Atomic(struct memtable_guide *) next; /* on the same level */
    struct memtable_prefix prefix;         /* of the node's key */
    struct memtable_node *node;
};

/* What a search looks for: the place of (key, version) in entry order. */
struct memtable_place {
    struct slice key;
    version_t version;
    struct memtable_prefix prefix;
};

/* get_prefix_be() of what follows the first `at` bytes; most keys are long enough for one load. */
static inline uint64_t
memtable__prefix(struct slice key, size_t at)
{
    uint64_t v;

    if (key.size < at + sizeof(v))
        return get_prefix_be(slice_of(key.data + at, key.size - at));
    memcpy(&v, key.data + at, sizeof(v));
    return __builtin_bswap64(v);
}

static inline struct memtable_place
memtable__place(struct slice key, version_t version)
{
    struct memtable_prefix prefix = { memtable__prefix(key, 0), 0 };

    if (key.size > sizeof(prefix.upper))
        prefix.lower = memtable__prefix(key, sizeof(prefix.upper));
    return (struct memtable_place){ key, version, prefix };
}

static inline struct slice
memtable__key(const struct memtable_node *n)
{
    return slice_of(n + 1, n->key_size);
}

static inline bool
memtable__has_key(const struct memtable_node *n, struct slice key)
{
    return slice_equal(memtable__key(n), key);
}

/* ------------------------------------------------------------------ skip list */

struct memtable_list {
    struct memtable_node head;                   /* before the first; without a key */
    struct memtable_guide guides[GUIDE_LEVELS];  /* those of the head */
    struct memtable_guide *splice[GUIDE_LEVELS]; /* the writer's; M4 */
    struct memtable_node *before;                /* the splice of the list itself */
    struct memtable_node *last;                  /* what was added last; NULL at first */
};

/* NULL when out of memory. */
struct memtable_list *memtable__list_create(struct arena *arena);

/* The last node before the place; the head when there is none.  Any thread. */
struct memtable_node *memtable__list_before(struct memtable_list *l,
                                            const struct memtable_place *place);

/* The first node at or after the place, or NULL.  Any thread. */
struct memtable_node *memtable__list_at(struct memtable_list *l,
                                        const struct memtable_place *place);

/* The last node; the head when the list is empty.  Any thread. */
struct memtable_node *memtable__list_last(struct memtable_list *l);

/* Set the splice to what is before the place, on every level.  The writer. */
void memtable__list_locate(struct memtable_list *l, const struct memtable_place *place);

/* Link a node in at the splice, which memtable__list_locate() has set for `place`, with
 * `level_count` guides that start at `guides`.  The writer. */
void memtable__list_add(struct memtable_list *l, const struct memtable_place *place,
                        struct memtable_node *n, struct memtable_guide *guides,
                        uint32_t level_count);

static inline struct memtable_node *
memtable__next(const struct memtable_node *n)
{
    return atomic_load_explicit(&n->next, memory_order_acquire);
}

/* ------------------------------------------------------------------ hash index */

struct memtable_segment;
struct memtable_directory;

struct memtable_index {
    _Atomic(struct memtable_directory *) directory; /* in the arena, as all that hangs on it */
};

/* False when out of memory. */
MUST_USE bool memtable__index_init(struct memtable_index *x, struct arena *arena);

/* Make room for one more key of this hash, if there is memory for it; if not, the
 * chains grow longer.  The writer, before it links the node in anywhere (M6). */
void memtable__index_reserve(struct memtable_index *x, struct arena *arena, uint32_t hash);

/* Add a node; `older` is the node that holds the key's newest version so far, or
 * NULL when the key is new here.  The writer. */
void memtable__index_add(struct memtable_index *x, struct memtable_node *n,
                         struct memtable_node *older);

/* Look a key up.  False: the segment is being split, and `*token` says which; ask
 * the list, and believe it if memtable__index_unchanged() holds afterwards.  True:
 * `*found` is the node with the key's newest version, or NULL.  Any thread. */
MUST_USE bool memtable__index_find(const struct memtable_index *x, struct slice key, uint32_t hash,
                                   const struct memtable_node **found,
                                   const struct memtable_segment **token);
bool memtable__index_unchanged(const struct memtable_index *x, uint32_t hash,
                               const struct memtable_segment *token);

/* Start loading what memtable__index_find() and memtable__index_add() will touch. */
void memtable__index_prefetch(const struct memtable_index *x, uint32_t hash);

#endif
