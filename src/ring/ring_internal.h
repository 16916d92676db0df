/*
 * ring/ring_internal.h — the ring as ring.c and place.c see it.
 */
#ifndef RING_RING_INTERNAL_H
#define RING_RING_INTERNAL_H

#include <stdbool.h>

#include "ring/ring.h"

/* A node that stores something. */
struct ring_member {
    uint64_t id;
    uint32_t zone; /* zones are numbered from 0 */
    uint32_t weight;
};

/* A virtual node. */
struct ring_point {
    struct ring_position position;
    uint32_t member;
};

struct ring {
    struct ring_member *members; /* owned; ids ascend */
    struct ring_point *points;   /* owned; clockwise */
    uint32_t *round_sizes;       /* owned; how many zones have more than r members */
    uint32_t member_count;
    uint32_t point_count;
    uint32_t zone_count;
};

/* As ring_prefer(), but the members without room are passed over for as long as the rule of the
 * zones (N3) allows it.  `out` has indexes of points.  `has_room` is asked by member; NULL: all have. */
uint32_t ring__choose(const struct ring *ring, struct ring_position from, uint32_t wanted,
                      const bool *has_room, uint32_t *out);

/* The index of the member with this id; member_count when the ring has none. */
uint32_t ring__find(const struct ring *ring, uint64_t id);

#endif
