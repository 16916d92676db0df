#include "cluster/cluster_internal.h"

enum { SUSPICIOUS_MS = 5000, DOWN_MS = 30000, LOST_MS = 600000 };

enum node_health
watch_health(const struct cluster *c, uint64_t node)
{
    uint64_t now_ns = loop_now_ns(c->loop);
    const struct tablet_neighbour *slot = neighbours_find(&c->options.node->neighbours, node);
    uint64_t heard_ns;

    if (node == c->self || slot == NULL)
        return HEALTH_UP;
    heard_ns = atomic_load(&slot->heard_ns);
    if (now_ns < heard_ns + (uint64_t)SUSPICIOUS_MS * NS_PER_MS)
        return HEALTH_UP;
    if (now_ns < heard_ns + (uint64_t)DOWN_MS * NS_PER_MS)
        return HEALTH_SUSPICIOUS;
    return now_ns < heard_ns + (uint64_t)LOST_MS * NS_PER_MS ? HEALTH_DOWN : HEALTH_LOST;
}

void
watch_heard(struct cluster *c, uint64_t from, struct slice payload)
{
    (void)c;
    (void)from;
    (void)payload;
}

void
watch_tick(struct cluster *c, uint64_t now_ns)
{
    (void)c;
    (void)now_ns;
}
