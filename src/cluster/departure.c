/*
 * Nodes that are about to stop.  They have handed over what they led, and would only have to do so again: until
 * another process of theirs is heard, they are given nothing to lead.
 */
#include "cluster/cluster_internal.h"

void
cluster_depart(struct cluster *c)
{
    c->departs = true;
    for (uint32_t i = 0; i < c->atlas->node_count; i++)
        wires_send(&c->seats[0], c->atlas->nodes[i].id, MESSAGE_DEPART, (struct slice){ 0 });
}

void
departure_heard(struct cluster *c, const struct peer_sender *from)
{
    struct tablet_neighbour *slot = neighbours_find(&c->options.node->neighbours, from->node);

    if (slot != NULL)
        atomic_store(&slot->departed, from->incarnation);
}

bool
departure_of(const struct cluster *c, uint64_t node)
{
    const struct tablet_neighbour *slot = neighbours_find(&c->options.node->neighbours, node);
    uint64_t departed;

    if (node == c->self)
        return c->departs;
    departed = slot == NULL ? 0 : atomic_load(&slot->departed);
    return departed != 0 && departed == atomic_load(&slot->incarnation);
}
