/*
 * base/budget.h — one number that all memory of a node is charged to (P6).
 *
 * Everything that grows with load (memtables, caches, indexes, filters,
 * connections, replies, queues) charges what it takes and returns what it
 * frees.  What is elastic (the caches) shrinks to leave room for what is not.
 * All calls are thread-safe.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct budget {
    _Atomic size_t used;
    size_t limit;
};

void budget_init(struct budget *b, size_t limit);

/* False, and nothing charged, when it would pass the limit. */
MUST_USE bool budget_try_charge(struct budget *b, size_t bytes);

/* Charge in any case: for what already exists, or must not fail. */
void budget_charge(struct budget *b, size_t bytes);

void budget_return(struct budget *b, size_t bytes);

size_t budget_used(const struct budget *b);

/* Bytes below the limit; 0 when at or over it. */
size_t budget_left(const struct budget *b);

/* A part of a budget for something that is not charged to it one by one: `limit` / `divisor`, and at
 * most `max`. */
static inline size_t
budget_part(size_t limit, size_t divisor, size_t max)
{
    size_t part = limit / divisor;

    return part < max ? part : max;
}

#endif
