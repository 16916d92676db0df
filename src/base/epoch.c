/*
 * INVARIANTS
 *
 *   E1  An object retired at epoch t is destroyed only when every slot is
 *       outside, or entered at an epoch later than t.
 *   E2  `now` grows with every retirement, so that a reader which enters
 *       afterwards is told from one that was inside before.
 *
 * A reader publishes its epoch before it loads any shared pointer; a writer
 * unlinks before it looks at the slots.  All four accesses are sequentially
 * consistent, so they have one order: if the writer does not see the
 * publication, then the reader's load comes later than the writer's unlink,
 * and finds the new object.
 */
#include "base/epoch.h"

#include "base/assert.h"

void
epoch_init(struct epoch *e)
{
    atomic_init(&e->now, 1);
    lock_init(&e->lock);
    list_init(&e->slots);
    list_init(&e->retired);
}

void
epoch_join(struct epoch *e, struct epoch_slot *slot)
{
    atomic_init(&slot->entered, 0);
    slot->depth = 0;
    lock_take(&e->lock);
    list_push_back(&e->slots, &slot->link);
    lock_drop(&e->lock);
}

void
epoch_part(struct epoch *e, struct epoch_slot *slot)
{
    ASSERT(slot->depth == 0);
    lock_take(&e->lock);
    list_remove(&slot->link);
    lock_drop(&e->lock);
}

/* The oldest epoch that a reader is inside of; UINT64_MAX when all are outside. */
static uint64_t
oldest_inside(struct epoch *e)
{
    uint64_t oldest = UINT64_MAX;

    list_each (at, &e->slots) {
        uint64_t entered = atomic_load(&container_of(at, struct epoch_slot, link)->entered);

        if (entered != 0 && entered < oldest)
            oldest = entered;
    }
    return oldest;
}

void
epoch_reclaim(struct epoch *e)
{
    struct list ready;
    struct list *at;
    uint64_t oldest;

    list_init(&ready);
    lock_take(&e->lock);
    oldest = list_empty(&e->retired) ? 0 : oldest_inside(e);
    while (!list_empty(&e->retired)) {
        struct epoch_retired *first = container_of(e->retired.next, struct epoch_retired, link);

        if (first->at >= oldest)
            break; /* E1 */
        list_remove(&first->link);
        list_push_back(&ready, &first->link);
    }
    lock_drop(&e->lock);

    while ((at = list_pop_front(&ready)) != NULL) {
        struct epoch_retired *object = container_of(at, struct epoch_retired, link);

        object->destroy(object);
    }
}

void
epoch_retire(struct epoch *e, struct epoch_retired *object,
             void (*destroy)(struct epoch_retired *self))
{
    object->destroy = destroy;
    lock_take(&e->lock);
    object->at = atomic_fetch_add(&e->now, 1); /* E2 */
    list_push_back(&e->retired, &object->link);
    lock_drop(&e->lock);
    epoch_reclaim(e);
}

void
epoch_release(struct epoch *e)
{
    epoch_reclaim(e);
    ASSERT(list_empty(&e->retired)); /* somebody is still inside */
    ASSERT(list_empty(&e->slots));
    lock_release(&e->lock);
}
