/*
 * base/epoch.h — reading shared structures without locks, and freeing them
 * when nobody can still be looking.
 *
 * Epoch-based reclamation (Fraser, "Practical lock-freedom", 2004).  A reader
 * enters, follows published pointers, and leaves.  A writer unlinks something,
 * then retires it; it is freed once every reader that was inside at that time
 * has left.
 *
 *      reader                              writer
 *      epoch_enter(e, me);                 atomic_store(&head, new_view);
 *      v = atomic_load(&head);             epoch_retire(e, &old->retired, free_view);
 *      ... use v ...
 *      epoch_leave(e, me);
 *
 * The published pointer is stored and loaded with plain atomic_store and
 * atomic_load (sequentially consistent): weaker orders are not enough here.
 * A reader never blocks and must not wait for anything while inside.
 * Enter and leave nest.  Each thread (in the simulator: each fiber) that reads
 * holds a `struct epoch_slot` of its own.
 */
#ifndef BASE_EPOCH_H
#define BASE_EPOCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/lock.h"

struct epoch_slot {
    _Atomic uint64_t entered; /* the epoch at entry; 0 = outside */
    uint32_t depth;
    struct list link;
    uint8_t apart[64]; /* keeps slots that lie side by side off each other's cache lines */
};

struct epoch_retired {
    struct list link;
    uint64_t at;
    void (*destroy)(struct epoch_retired *self);
};

struct epoch {
    _Atomic uint64_t now;
    struct lock lock;    /* guards the two lists */
    struct list slots;   /* struct epoch_slot */
    struct list retired; /* struct epoch_retired, oldest first */
};

void epoch_init(struct epoch *e);

/* Destroys all that is still retired; nobody may be inside. */
void epoch_release(struct epoch *e);

void epoch_join(struct epoch *e, struct epoch_slot *slot);
void epoch_part(struct epoch *e, struct epoch_slot *slot);

static inline void
epoch_enter(struct epoch *e, struct epoch_slot *slot)
{
    if (slot->depth++ == 0)
        atomic_exchange(&slot->entered, atomic_load(&e->now)); /* a full barrier, on purpose */
}

static inline void
epoch_leave(struct epoch *e, struct epoch_slot *slot)
{
    (void)e;
    ASSERT(slot->depth > 0); /* left as often as entered, no oftener */
    if (--slot->depth == 0)
        atomic_store_explicit(&slot->entered, 0, memory_order_release);
}

/* `destroy` will be called, on whichever thread calls epoch_retire or
 * epoch_reclaim at the time.  The caller has unlinked the object already. */
void epoch_retire(struct epoch *e, struct epoch_retired *object,
                  void (*destroy)(struct epoch_retired *self));

/* Destroy what nobody can see any more. */
void epoch_reclaim(struct epoch *e);

#endif
