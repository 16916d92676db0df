/*
 * Fair shares, first of the zones, then of the nodes in each.
 *
 * In both cases something is divided in proportion to weights, and nobody may get less than a lower
 * or more than an upper bound; what is cut off from one goes to the others.  So everybody gets
 *
 *      clamp(level * weight, lower, upper)
 *
 * with the level at which this adds up, found by bisection: the sum grows with the level.
 *
 * A zone's bounds come from the rounds of the lists (N3).  When r rounds are completed and the next
 * is not, a zone of n nodes has at least min(n, r) replicas of a tablet, and at most min(n, r + 1).
 * A node has none or one (N1).
 */
#include "ring/share.h"

#include "base/assert.h"
#include "base/mem.h"

/* A zone, or a node of one. */
struct part {
    uint64_t weight;
    uint64_t lower;
    uint64_t upper;
    uint64_t share;
};

/* A level is what all weight together would get: one more adds at most one to a part. */
static uint64_t
share_at(const struct part *p, uint64_t level, uint64_t total_weight)
{
    uint64_t share = (level * p->weight + total_weight - 1) / total_weight;

    if (share < p->lower)
        return p->lower;
    return share > p->upper ? p->upper : share;
}

static uint64_t
sum_at(const struct part *parts, uint32_t count, uint64_t level, uint64_t total_weight)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += share_at(&parts[i], level, total_weight);
    return sum;
}

/* level * weight is the largest number here. */
_Static_assert((UINT64_MAX / RING_SHARE_ONE) / RING_NODES_MAX / RING_NODES_MAX / RING_NODES_MAX >
                   RING_WEIGHT_MAX * RING_WEIGHT_MAX / RING_WEIGHT_MIN,
               "the highest level does not overflow");

/* Give each part its share of `goal`, at the lowest level that reaches it.  At the highest the
 * lightest part would have RING_NODES_MAX times one, and so each its upper bound. */
static void
divide(struct part *parts, uint32_t count, uint64_t goal)
{
    uint64_t total_weight = 0;
    uint64_t low = 0;
    uint64_t high;

    for (uint32_t i = 0; i < count; i++)
        total_weight += parts[i].weight;
    high = RING_SHARE_ONE * (RING_NODES_MAX * total_weight / RING_WEIGHT_MIN + 1);
    ASSERT(sum_at(parts, count, high, total_weight) >= goal);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (sum_at(parts, count, middle, total_weight) < goal)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t i = 0; i < count; i++)
        parts[i].share = share_at(&parts[i], low, total_weight);
}

/* The nodes of a zone, as parts; `indexes` says which members they are.  Returns how many. */
static uint32_t
members_of(const struct ring *ring, uint32_t zone, struct part *parts, uint32_t *indexes)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < ring->member_count; i++) {
        if (ring->members[i].zone != zone)
            continue;
        parts[count] = (struct part){ .weight = ring->members[i].weight, .upper = RING_SHARE_ONE };
        indexes[count++] = i;
    }
    return count;
}

static uint32_t
completed_rounds(const struct ring *ring, uint32_t replicas)
{
    uint32_t rounds = 0;

    while (rounds < ring->member_count && ring->round_sizes[rounds] > 0 &&
           ring->round_sizes[rounds] <= replicas)
        replicas -= ring->round_sizes[rounds++];
    return rounds;
}

static void
divide_among_zones(const struct ring *ring, uint32_t replicas, struct part *zones)
{
    uint64_t rounds = completed_rounds(ring, replicas);

    for (uint32_t i = 0; i < ring->member_count; i++) {
        struct part *zone = &zones[ring->members[i].zone];

        zone->weight += ring->members[i].weight;
        if (zone->lower < rounds * RING_SHARE_ONE)
            zone->lower += RING_SHARE_ONE;
        if (zone->upper < (rounds + 1) * RING_SHARE_ONE)
            zone->upper += RING_SHARE_ONE;
    }
    divide(zones, ring->zone_count, (uint64_t)replicas * RING_SHARE_ONE);
}

enum status
ring__shares(const struct ring *ring, uint32_t replicas, uint64_t *out)
{
    struct part *zones = mem_new_array(struct part, ring->zone_count);
    struct part *parts = mem_new_array(struct part, ring->member_count);
    uint32_t *indexes = mem_new_array(uint32_t, ring->member_count);
    enum status st = ST_NO_MEMORY;

    ASSERT(replicas <= ring->member_count);
    if (zones == NULL || parts == NULL || indexes == NULL)
        goto out;
    if (ring->zone_count > 0)
        divide_among_zones(ring, replicas, zones);
    for (uint32_t zone = 0; zone < ring->zone_count; zone++) {
        uint32_t count = members_of(ring, zone, parts, indexes);

        divide(parts, count, zones[zone].share);
        for (uint32_t i = 0; i < count; i++)
            out[indexes[i]] = parts[i].share;
    }
    st = ST_OK;

out:
    mem_free(zones);
    mem_free(parts);
    mem_free(indexes);
    return st;
}
