#include "base/budget.h"

#include "base/assert.h"

void
budget_init(struct budget *b, size_t limit)
{
    atomic_init(&b->used, 0);
    b->limit = limit;
}

bool
budget_try_charge(struct budget *b, size_t bytes)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);

    do {
        if (used > b->limit || bytes > b->limit - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void
budget_charge(struct budget *b, size_t bytes)
{
    atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);
}

void
budget_return(struct budget *b, size_t bytes)
{
    size_t before = atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);

    ASSERT(before >= bytes); /* what is returned was charged */
}

size_t
budget_used(const struct budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}

size_t
budget_left(const struct budget *b)
{
    size_t used = budget_used(b);

    return used < b->limit ? b->limit - used : 0;
}
