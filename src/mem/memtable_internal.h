/*
 * mem/memtable_internal.h — what the files of this module share: the node, the
 * hash index, and the history of a key.  The argument and the invariants M1..M6
 * are at the head of memtable.c.
 */
#ifndef MEM_MEMTABLE_INTERNAL_H
#define MEM_MEMTABLE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/entry.h"
#include "base/status.h"

#include "mem/memtable.h"

enum {
    SEGMENT_BITS = 7,
    SEGMENT_BUCKETS = 1 << SEGMENT_BITS,
    SPLIT_BITS = 2, /* a full segment becomes 1 << SPLIT_BITS segments */
    SPLIT_WAYS = 1 << SPLIT_BITS,
    DIRECTORY_DEPTH_MAX = 18, /* then chains grow instead: 32 million keys at one per bucket */
};

/* One entry.  After it in memory: its history (when the key had a version before), the key, the
 * expiry (8 bytes, when there is one), the value.  All but the atomics is constant once
 * published. */
struct memtable_node {
    _Atomic(struct memtable_node *) chain; /* in the bucket, by ascending hash */
    _Atomic(struct memtable_node *) next;  /* what was put next */
    version_t version;
    uint32_t hash; /* the upper half of the key's hash64() */
    uint32_t value_size;
    uint32_t key_size;
    uint8_t type; /* enum entry_type */
    bool expires;
    bool has_history;
};

/* Where a key's older versions are.  `jump` leads far back, so that any of them is found in
 * logarithmic time (Myers, "An applicative random-access stack", 1983). */
struct memtable_history {
    const struct memtable_node *older;
    const struct memtable_node *jump;
    uint64_t depth; /* versions before this one */
};

static inline const struct memtable_history *
memtable__history(const struct memtable_node *n)
{
    return (const struct memtable_history *)(n + 1);
}

static inline struct slice
memtable__key(const struct memtable_node *n)
{
    const uint8_t *after = (const uint8_t *)(n + 1);

    return slice_of(after + (n->has_history ? sizeof(struct memtable_history) : 0), n->key_size);
}

static inline struct memtable_node *
memtable__next(const struct memtable_node *n)
{
    return atomic_load_explicit(&n->next, memory_order_acquire);
}

void memtable__read(const struct memtable_node *n, struct entry *out);

/* ------------------------------------------------------------------ hash index */

struct memtable_segment;
struct memtable_directory;

struct memtable_index {
    _Atomic(struct memtable_directory *) directory; /* in the arena, as all that hangs on it */
};

/* Where the writer is to link a node in, and what it will replace. */
struct memtable_slot {
    struct memtable_segment *segment;
    _Atomic(struct memtable_node *) *link;
    struct memtable_node *older; /* the key's newest version so far; NULL: the key is new here */
};

/* False when out of memory. */
MUST_USE bool memtable__index_init(struct memtable_index *x, struct arena *arena);

/* Make room for one more key of this hash, if there is memory for it; if not, the
 * chains grow longer.  The writer. */
void memtable__index_reserve(struct memtable_index *x, struct arena *arena, uint32_t hash);

/* Find the key's place.  The writer; holds until it adds a node or reserves. */
struct memtable_slot memtable__index_locate(const struct memtable_index *x, struct slice key,
                                            uint32_t hash);

/* Link a node in where its key was located. */
void memtable__index_add(const struct memtable_slot *slot, struct memtable_node *n);

/* The node with the key's newest version, or NULL.  Any thread. */
const struct memtable_node *memtable__index_find(const struct memtable_index *x, struct slice key,
                                                 uint32_t hash);

/* ------------------------------------------------------------------ order */

/* What an order is made of; the memtable's part of it (memtable.c). */
struct memtable_arrivals {
    struct memtable_node *first; /* NULL: none */
    uint64_t count;              /* how many can be reached from there by `next` */
    _Atomic size_t *order_bytes; /* what runs take is counted here */
};

/* The order of `before` (NULL: of nothing) and of the arrivals since.  Takes no reference over. */
MUST_USE enum status memtable__order_extend(const struct memtable_order *before,
                                            const struct memtable_arrivals *since, bool whole,
                                            struct memtable_order **out);

/* How many entries it has, and the one put last. */
uint64_t memtable__order_count(const struct memtable_order *o);
struct memtable_node *memtable__order_last(const struct memtable_order *o);

#endif
