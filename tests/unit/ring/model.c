#include "unit/ring/model.h"

#include "unit/test.h"

struct cluster
model_cluster(struct prng *p)
{
    struct cluster c = { .count = (uint32_t)prng_below(p, MODEL_NODES_MAX + 1) };
    uint64_t zones = prng_below(p, 6);

    for (uint32_t i = 0; i < c.count; i++) {
        struct ring_node *node = &c.nodes[i];

        node->id = 1 + (prng_next(p) >> 1);
        node->zone = zones == 0 ? 0 : prng_below(p, zones + 1);
        node->weight =
            RING_WEIGHT_MIN + (uint32_t)prng_below(p, RING_WEIGHT_MAX - RING_WEIGHT_MIN + 1);
        if (prng_chance(p, 1, 10))
            node->weight = 0;
    }
    return c;
}

struct ring_position
model_position(struct prng *p)
{
    uint64_t high = prng_next(p);

    return (struct ring_position){ .high = high, .low = prng_next(p) };
}

bool
model_contains(const struct ring_choice *list, uint32_t count, uint64_t node)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].node == node)
            return true;
    }
    return false;
}

const struct ring_node *
model_find(const struct cluster *c, uint64_t id)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->nodes[i].id == id)
            return &c->nodes[i];
    }
    fail_msg("no such node");
    return NULL;
}

uint32_t
model_zone_count(const struct cluster *c, const struct ring_choice *list, uint32_t count,
                 const struct ring_node *node)
{
    uint32_t same = 0;

    for (uint32_t i = 0; i < count; i++)
        same += node->zone == 0 ? list[i].node == node->id
                                : model_find(c, list[i].node)->zone == node->zone;
    return same;
}

/* How far it is from `from` to `to`, clockwise. */
static struct ring_position
distance(struct ring_position from, struct ring_position to)
{
    return (struct ring_position){ .high = to.high - from.high - (to.low < from.low),
                                   .low = to.low - from.low };
}

/* The nearest virtual node of a node. */
static struct ring_position
nearest(const struct ring_node *node, struct ring_position from)
{
    struct ring_position best = ring_position_of_node(node->id, 0);

    for (uint32_t number = 1; number < node->weight; number++) {
        struct ring_position p = ring_position_of_node(node->id, number);

        if (ring_position_compare(distance(from, p), distance(from, best)) < 0)
            best = p;
    }
    return best;
}

struct candidate {
    uint32_t zone_count;
    bool full;
    struct ring_position distance;
};

static bool
goes_before(const struct candidate *a, const struct candidate *b)
{
    if (a->zone_count != b->zone_count)
        return a->zone_count < b->zone_count;
    if (a->full != b->full)
        return !a->full;
    return ring_position_compare(a->distance, b->distance) < 0;
}

bool
model_next(const struct cluster *c, const bool *full, struct ring_position from,
           struct ring_choice *list, uint32_t count)
{
    struct candidate best = { 0 };
    struct ring_choice chosen = { 0 };

    for (uint32_t i = 0; i < c->count; i++) {
        const struct ring_node *node = &c->nodes[i];
        struct ring_position at;
        struct candidate candidate;

        if (node->weight == 0 || model_contains(list, count, node->id))
            continue;
        at = nearest(node, from);
        candidate = (struct candidate){ .zone_count = model_zone_count(c, list, count, node),
                                        .full = full != NULL && full[i],
                                        .distance = distance(from, at) };
        if (chosen.node != 0 && !goes_before(&candidate, &best))
            continue;
        best = candidate;
        chosen = (struct ring_choice){ .node = node->id, .position = at };
    }
    if (chosen.node != 0)
        list[count] = chosen;
    return chosen.node != 0;
}
