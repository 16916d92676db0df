/*
 * A ring is made: nodes judged and sorted, zones numbered, points laid out.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "ring/ring_internal.h"

static enum status
judge(const struct ring_node *node, struct err *err)
{
    if (node->id == 0)
        return err_raise(err, ST_INVALID, "ring: a node has the id 0, which is nobody's");
    if (node->weight == 0 || (node->weight >= RING_WEIGHT_MIN && node->weight <= RING_WEIGHT_MAX))
        return ST_OK;
    return err_raise(err, ST_INVALID,
                     "ring: node %016" PRIx64 " has the weight %" PRIu32
                     ", which is neither 0 nor from %d to %d",
                     node->id, node->weight, RING_WEIGHT_MIN, RING_WEIGHT_MAX);
}

static int
by_id(const void *a, const void *b)
{
    const struct ring_node *x = a;
    const struct ring_node *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static int
by_zone(const void *a, const void *b)
{
    const struct ring_node *x = a;
    const struct ring_node *y = b;

    return (x->zone > y->zone) - (x->zone < y->zone);
}

/* Members are in order of their ids, so the same position, if it ever comes twice, has one order. */
static int
by_position(const void *a, const void *b)
{
    const struct ring_point *x = a;
    const struct ring_point *y = b;
    int order = ring_position_compare(x->position, y->position);

    return order != 0 ? order : (x->member > y->member) - (x->member < y->member);
}

/* Judge the nodes and take those that store something to the front, in order of their ids.  `*count`
 * becomes theirs. */
static enum status
sift(struct ring_node *nodes, uint32_t *count, struct err *err)
{
    uint32_t kept = 0;

    qsort(nodes, *count, sizeof(*nodes), by_id);
    for (uint32_t i = 0; i < *count; i++) {
        enum status st = judge(&nodes[i], err);

        if (st != ST_OK)
            return st;
        if (i > 0 && nodes[i].id == nodes[i - 1].id)
            return err_raise(err, ST_INVALID, "ring: two nodes have the id %016" PRIx64,
                             nodes[i].id);
    }
    for (uint32_t i = 0; i < *count; i++) {
        if (nodes[i].weight > 0)
            nodes[kept++] = nodes[i];
    }
    *count = kept;
    return ST_OK;
}

/* Zones get numbers, from 0, in the place of their names. */
static void
number_zones(struct ring *ring, struct ring_node *nodes)
{
    uint64_t name = 0;
    uint32_t ordinal = 0; /* of the node in its zone */

    qsort(nodes, ring->member_count, sizeof(*nodes), by_zone);
    for (uint32_t i = 0; i < ring->member_count; i++) {
        if (i == 0 || nodes[i].zone == 0 || nodes[i].zone != name) {
            name = nodes[i].zone;
            ring->zone_count++;
            ordinal = 0;
        }
        nodes[i].zone = ring->zone_count - 1;
        ring->round_sizes[ordinal++]++;
    }
    qsort(nodes, ring->member_count, sizeof(*nodes), by_id);
}

static void
lay_out(struct ring *ring, const struct ring_node *nodes)
{
    struct ring_point *point = ring->points;

    for (uint32_t i = 0; i < ring->member_count; i++) {
        ring->members[i] = (struct ring_member){ .id = nodes[i].id,
                                                 .zone = (uint32_t)nodes[i].zone,
                                                 .weight = nodes[i].weight };
        for (uint32_t number = 0; number < nodes[i].weight; number++)
            *point++ = (struct ring_point){ .position = ring_position_of_node(nodes[i].id, number),
                                            .member = i };
    }
    ASSERT(point == ring->points + ring->point_count);
    qsort(ring->points, ring->point_count, sizeof(*ring->points), by_position);
}

static uint32_t
total_weight(const struct ring_node *nodes, uint32_t count)
{
    uint32_t weight = 0;

    for (uint32_t i = 0; i < count; i++)
        weight += nodes[i].weight;
    return weight;
}

/* An empty ring with room for these nodes; NULL when out of memory. */
static struct ring *
make_room(uint32_t member_count, uint32_t point_count)
{
    struct ring *ring = mem_new(struct ring);

    if (ring == NULL)
        return NULL;
    ring->member_count = member_count;
    ring->point_count = point_count;
    ring->members = mem_new_array(struct ring_member, member_count);
    ring->points = mem_new_array(struct ring_point, point_count);
    ring->round_sizes = mem_new_array(uint32_t, member_count);
    if (ring->members != NULL && ring->points != NULL && ring->round_sizes != NULL)
        return ring;
    ring_destroy(ring);
    return NULL;
}

enum status
ring_create(struct ring **out, const struct ring_node *nodes, uint32_t count, struct err *err)
{
    struct ring_node *sorted = NULL;
    struct ring *ring = NULL;
    enum status st;

    if (count > RING_NODES_MAX)
        return err_raise(err, ST_TOO_BIG, "ring: %" PRIu32 " nodes, limit %d", count,
                         RING_NODES_MAX);
    sorted = mem_new_array(struct ring_node, count);
    if (sorted == NULL)
        return err_raise(err, ST_NO_MEMORY, "ring: out of memory");
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = nodes[i];
    st = sift(sorted, &count, err);
    if (st != ST_OK)
        goto out;
    ring = make_room(count, total_weight(sorted, count));
    if (ring == NULL) {
        st = err_raise(err, ST_NO_MEMORY, "ring: out of memory");
        goto out;
    }
    number_zones(ring, sorted);
    lay_out(ring, sorted);
    *out = ring;

out:
    mem_free(sorted);
    return st;
}

void
ring_destroy(struct ring *ring)
{
    if (ring == NULL)
        return;
    mem_free(ring->members);
    mem_free(ring->points);
    mem_free(ring->round_sizes);
    mem_free(ring);
}

uint32_t
ring_node_count(const struct ring *ring)
{
    return ring->member_count;
}

uint32_t
ring__find(const struct ring *ring, uint64_t id)
{
    uint32_t begin = 0;
    uint32_t limit = ring->member_count;

    while (begin < limit) {
        uint32_t middle = begin + (limit - begin) / 2;

        if (ring->members[middle].id < id)
            begin = middle + 1;
        else
            limit = middle;
    }
    return begin < ring->member_count && ring->members[begin].id == id ? begin : ring->member_count;
}
