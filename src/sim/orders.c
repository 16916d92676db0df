#include "sim/orders.h"

#include "base/mark.h"

#include "raft/raft.h"

uint32_t
orders_leader(const struct orders *o)
{
    const struct node *leader = observer_leader(o->observer);

    return leader == NULL ? 1 : leader->id;
}

void
orders_give(struct orders *o, const struct action *a)
{
    struct node *leader = observer_leader(o->observer);

    if (leader == NULL || leader->state != NODE_UP || !node_responds(leader))
        return;
    if (a->kind == FAULT_TRANSFER) {
        mark_hit_if(node_transfer(leader, node_identity(&o->nodes[a->node - 1])) == ST_OK,
                    MARK_TRANSFER);
        return;
    }
    if (o->members_stay)
        return;
    o->changed_in = observer_term(o->observer);
    mark_hit_if(node_change_members(leader, a->nodes, a->learners) == ST_OK, MARK_MEMBERS);
}

/* A leader that was told to change them may have died with its entry; who leads in a later term, and
 * has committed something of that, has outvoted it. */
const struct raft_config *
orders_members(const struct orders *o)
{
    if (observer_term(o->observer) < o->changed_in)
        return NULL;
    return observer_settled(o->observer);
}
