#include "tablet/neighbours.h"

#include <stddef.h>

#include "base/assert.h"

void
neighbours_init(struct neighbours *n)
{
    lock_init(&n->lock);
}

void
neighbours_release(struct neighbours *n)
{
    lock_release(&n->lock);
}

struct tablet_neighbour *
neighbours_find(struct neighbours *n, uint64_t node)
{
    uint32_t limit = atomic_load(&n->limit);

    for (uint32_t i = 0; i < limit; i++) {
        if (atomic_load(&n->slots[i].node) == node)
            return &n->slots[i];
    }
    return NULL;
}

/* Incarnations are a node's own: what the one before has said of its processes would be taken for ours. */
static void
forget_guest(struct neighbour_guest *g)
{
    for (uint32_t i = 0; i < LIMIT_REACTORS; i++)
        atomic_store(&g->streams[i], 0);
    atomic_store(&g->losses, 0);
    atomic_store(&g->parting, 0);
    atomic_store(&g->parted, 0);
    atomic_store(&g->doors, 0);
}

/* Its node comes last: whoever finds it finds the rest.  Under the lock. */
static struct tablet_neighbour *
take_slot(struct neighbours *n, uint64_t node, uint64_t now_ns)
{
    uint32_t limit = atomic_load(&n->limit);
    struct tablet_neighbour *slot = neighbours_find(n, 0);

    if (slot == NULL && limit == TABLET_NODES_MAX)
        return NULL;
    if (slot == NULL)
        slot = &n->slots[limit++];
    atomic_store(&slot->heard_ns, now_ns);
    atomic_store(&slot->incarnation, 0);
    atomic_store(&slot->wanted_ns, now_ns);
    atomic_store(&slot->asked_ns, 0);
    atomic_store(&slot->trip_ns, 0);
    atomic_store(&slot->departed, 0);
    forget_guest(&slot->guest);
    atomic_store(&slot->node, node);
    atomic_store(&n->limit, limit);
    return slot;
}

enum status
neighbours_join(struct neighbours *n, uint64_t node, uint64_t now_ns, struct tablet_neighbour **out)
{
    struct tablet_neighbour *slot;

    ASSERT(node != 0);
    lock_take(&n->lock);
    slot = neighbours_find(n, node);
    if (slot == NULL)
        slot = take_slot(n, node, now_ns);
    if (slot != NULL)
        slot->loops++;
    lock_drop(&n->lock);
    if (slot == NULL)
        return ST_TOO_BIG;
    *out = slot;
    return ST_OK;
}

void
neighbours_part(struct neighbours *n, struct tablet_neighbour *slot)
{
    lock_take(&n->lock);
    ASSERT(slot->loops > 0);
    if (--slot->loops == 0)
        atomic_store(&slot->node, 0);
    lock_drop(&n->lock);
}

bool
neighbour_is_wanted(const struct tablet_neighbour *slot, uint64_t now_ns)
{
    return now_ns < atomic_load(&slot->wanted_ns) + NEIGHBOUR_WANTED_NS;
}

void
neighbour_want(struct tablet_neighbour *slot, uint64_t now_ns)
{
    uint64_t wanted_ns = atomic_load(&slot->wanted_ns);

    if (!neighbour_is_wanted(slot, now_ns))
        atomic_store(&slot->heard_ns, now_ns);
    if (wanted_ns + NEIGHBOUR_WANTED_NS / 8 < now_ns) /* the loops share it */
        atomic_store(&slot->wanted_ns, now_ns);
}
