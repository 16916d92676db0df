#include "kv/leaders.h"

#include "base/assert.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "kv/route.h"

const struct atlas *
leaders_atlas(const struct kv_door *door)
{
    ASSERT(door->map.atlas != NULL); /* there are doors for clients only when there are keyspaces */
    return door->map.atlas;
}

bool
leaders_hears(const struct kv_door *door, uint64_t node)
{
    return door->forward == NULL ? node == door->kv->node.id
                                 : forward_can_reach(door->forward, node);
}

/* NULL: nothing was asked of the tablet yet, or nobody is known to lead it. */
static struct route *
route_to(const struct kv_door *door, const struct tablet_record *t)
{
    const struct site *site = map_find(&door->map, t->id);
    struct route *route = site == NULL ? NULL : site->route;
    bool leads = route != NULL && (route->state == ROUTE_HERE || route->state == ROUTE_THERE);

    return leads && leaders_hears(door, route->to.node) ? route : NULL;
}

uint64_t
leaders_of(const struct kv_door *door, const struct tablet_record *t)
{
    const struct route *route = route_to(door, t);
    uint64_t first = t->leader;

    if (route != NULL)
        return route->to.node;
    if (t->leader != 0 && leaders_hears(door, t->leader))
        return t->leader;
    for (uint32_t i = 0; i < t->member_count; i++) {
        if (t->members[i].role != MEMBER_VOTER)
            continue;
        if (leaders_hears(door, t->members[i].node))
            return t->members[i].node;
        if (first == 0)
            first = t->members[i].node;
    }
    return first;
}

uint64_t
leaders_elsewhere(struct kv_door *door, const struct tablet_record *t)
{
    struct route *route = route_to(door, t);

    if (route == NULL || route->state != ROUTE_THERE)
        return 0;
    route_confirm(route);
    return route->to.node;
}
