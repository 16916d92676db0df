/*
 * ring/position.h — the 2^128 places of the ring, and who stands where.
 *
 * Positions are hashes, the same on every node and in every release: what they are made of is
 * written at the head of position.c, and may not change.
 */
#ifndef RING_POSITION_H
#define RING_POSITION_H

#include <stdint.h>

#include "base/slice.h"

struct ring_position {
    uint64_t high;
    uint64_t low;
};

enum {
    RING_POSITION_TEXT_BYTES = 33 /* with the terminator */
};

/* Where the tablet of `keyspace` with the partition keys in [begin, limit) stands.  An empty `limit`
 * is none: the tablet reaches to the end. */
struct ring_position ring_position_of_tablet(uint64_t keyspace, struct slice begin,
                                             struct slice limit);

/* Where the virtual node `number` of a node stands. */
struct ring_position ring_position_of_node(uint64_t node, uint32_t number);

/* Clockwise from zero: <0, 0, >0. */
int ring_position_compare(struct ring_position a, struct ring_position b);

/* 32 hexadecimal digits, which sort as the positions do.  Returns `out`. */
const char *ring_position_text(struct ring_position p, char out[RING_POSITION_TEXT_BYTES]);

#endif
