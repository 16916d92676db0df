/*
 * ring/ring.h — which nodes a tablet should live on, by consistent hashing (Karger et al.,
 * "Consistent Hashing and Random Trees", 1997; with virtual nodes as in Dynamo, 2007, 4.2).
 *
 * Each node stands in many places of a ring of 2^128 positions, its virtual nodes.  A tablet's
 * position is a hash too, and the nodes that are met clockwise from there are those it prefers.
 * When one of n nodes comes or goes, about 1/n of the replicas move, and no others.
 *
 *      st = ring_create(&ring, nodes, count, err);
 *      found = ring_prefer(ring, ring_position_of_tablet(keyspace, begin, limit), 3, choices);
 *
 * The ring alone balances many tablets, to about a tenth, and few not at all: ring/place.h bounds
 * what a node is given.
 *
 * Pure: no clock, no I/O, no threads, no random numbers.  A ring does not change, and may be read
 * by any number of threads.  How the list is made, and the invariants N1 to N4: ring.c.
 */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdint.h>

#include "base/status.h"

#include "ring/position.h"

enum {
    RING_NODES_MAX = 1024, /* a walk remembers each on the stack; beyond: ST_TOO_BIG */

    /* A node's weight is the number of its virtual nodes.  Fewer would make its part a matter of
     * luck: that of w of them deviates by about one in sqrt(w). */
    RING_WEIGHT_MIN = 100,
    RING_WEIGHT_DEFAULT = 128,
    RING_WEIGHT_MAX = 256,
};

struct ring_node {
    uint64_t id;     /* not 0 */
    uint64_t zone;   /* nodes that fail together have the same; 0: the node is a zone of its own */
    uint32_t weight; /* RING_WEIGHT_MIN to RING_WEIGHT_MAX, or 0: it stores nothing */
};

/* A node of a list, and the virtual node by which it got there. */
struct ring_choice {
    uint64_t node;
    struct ring_position position;
};

struct ring;

/* The order of `nodes` is of no importance.  On success `*out` is the caller's.  ST_INVALID: an id
 * is 0 or comes twice, or a weight is none; ST_TOO_BIG: more than RING_NODES_MAX; ST_NO_MEMORY.
 * On failure `*out` is untouched. */
MUST_USE enum status ring_create(struct ring **out, const struct ring_node *nodes, uint32_t count,
                                 struct err *err);

void ring_destroy(struct ring *ring); /* NULL is allowed */

/* How many nodes store something. */
uint32_t ring_node_count(const struct ring *ring);

/* The first `wanted` nodes of the preference list from `from` on; all that store something, when
 * there are fewer.  Returns how many there are in `out`.  The list for fewer is the beginning of
 * the list for more. */
uint32_t ring_prefer(const struct ring *ring, struct ring_position from, uint32_t wanted,
                     struct ring_choice *out);

#endif
