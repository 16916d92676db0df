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
#include "base/budget.h"
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

/* One entry.  Before it in memory, when its depth is not 0: its history.  After it: the key, the
 * expiry (8 bytes, when there is one), the value.  All but the atomics is constant once
 * published. */
struct memtable_node {
    _Atomic(struct memtable_node *) chain; /* in the bucket, by ascending hash */
    _Atomic(struct memtable_node *) next;  /* what was put next */
    version_t version;
    uint32_t hash; /* the upper half of the key's hash64() */
    uint32_t value_size;
    uint32_t key_size : 24;
    uint32_t type     : 7; /* enum entry_type */
    uint32_t expires  : 1;
    uint32_t depth; /* versions of the key that came before */
};

/* Where a key's older versions are.  The jump of depth d is as long as the largest power of two
 * that divides d, so that any version is found in few steps. */
struct memtable_history {
    const struct memtable_node *older;
    const struct memtable_node *jump;
};

/* Of a node whose depth is not 0. */
static inline const struct memtable_history *
memtable__history(const struct memtable_node *n)
{
    return (const struct memtable_history *)n - 1;
}

static inline struct slice
memtable__key(const struct memtable_node *n)
{
    return slice_of(n + 1, n->key_size);
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

/* Find the key's place.  The writer; holds until it adds a node. */
struct memtable_slot memtable__index_locate(const struct memtable_index *x, struct slice key,
                                            uint32_t hash);

/* Link a node in where its key was located; and make room for more, if there is memory for it: if
 * not, the chains grow longer.  The writer. */
void memtable__index_add(struct memtable_index *x, struct arena *arena,
                         const struct memtable_slot *slot, struct memtable_node *n);

/* Ask for what finding keys of these hashes touches.  Any thread. */
void memtable__index_prefetch(const struct memtable_index *x, const uint32_t *hashes,
                              uint32_t count);

/* The node with the key's newest version, or NULL.  Any thread. */
const struct memtable_node *memtable__index_find(const struct memtable_index *x, struct slice key,
                                                 uint32_t hash);

/* ------------------------------------------------------------------ order */

/* Where the memory of orders is counted: their memtable's share of the budget. */
struct memtable_account {
    _Atomic size_t bytes;
    struct budget *budget; /* NULL: none */
};

static inline void
memtable__charge(struct memtable_account *a, size_t bytes)
{
    atomic_fetch_add_explicit(&a->bytes, bytes, memory_order_relaxed);
    if (a->budget != NULL)
        budget_charge(a->budget, bytes);
}

static inline void
memtable__return(struct memtable_account *a, size_t bytes)
{
    atomic_fetch_sub_explicit(&a->bytes, bytes, memory_order_relaxed);
    if (a->budget != NULL)
        budget_return(a->budget, bytes);
}

/* What an order is made of; the memtable's part of it (memtable.c). */
struct memtable_arrivals {
    struct memtable_node *first; /* NULL: none */
    uint64_t count;              /* how many can be reached from there by `next` */
    struct memtable_account *account;
};

/* The order of `before` (NULL: of nothing) and of the arrivals since.  Takes no reference over. */
MUST_USE enum status memtable__order_extend(const struct memtable_order *before,
                                            const struct memtable_arrivals *since, bool whole,
                                            struct memtable_order **out);

/* How many entries it has, and the one put last. */
uint64_t memtable__order_count(const struct memtable_order *o);
struct memtable_node *memtable__order_last(const struct memtable_order *o);

#endif
