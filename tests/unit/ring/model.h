/*
 * unit/ring/model.h — the rules of ring.c and nothing else: a list that looks at every virtual node
 * again for each of its places, for clusters of every kind.
 */
#ifndef UNIT_RING_MODEL_H
#define UNIT_RING_MODEL_H

#include "base/prng.h"

#include "unit/ring/schemes.h"

enum { MODEL_NODES_MAX = 40 };

/* Any weights, zones of any size, nodes without a zone and without data among them. */
struct cluster model_cluster(struct prng *p);

struct ring_position model_position(struct prng *p);

/* Put the next node of the list at list[count]; false: none is left.  `full` is asked by index into
 * the cluster: those are taken last among nodes whose turn it is; NULL: nobody is. */
bool model_next(const struct cluster *c, const bool *full, struct ring_position from,
                struct ring_choice *list, uint32_t count);

bool model_contains(const struct ring_choice *list, uint32_t count, uint64_t node);

/* Fails the test when there is none. */
const struct ring_node *model_find(const struct cluster *c, uint64_t id);

/* How many of the list are in the node's zone. */
uint32_t model_zone_count(const struct cluster *c, const struct ring_choice *list, uint32_t count,
                          const struct ring_node *node);

#endif
