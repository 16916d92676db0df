/*
 * cluster/placement.h — which nodes should have which tablet, by the ring.
 *
 * Follows from the atlas alone, so every node that looks comes to the same.  Only members count that
 * store anything (weight not 0) and are neither draining, failed nor removed.
 *
 * Pure, but for memory.
 */
#ifndef CLUSTER_PLACEMENT_H
#define CLUSTER_PLACEMENT_H

#include "cluster/atlas.h"

struct placement;

/* NULL when out of memory, or no node stores anything. */
struct placement *placement_create(const struct atlas *a);
void placement_destroy(struct placement *p); /* NULL is allowed */

/* The nodes that should have the tablet, best first, those that vote in it already before all others; how
 * many, at most CLUSTER_REPLICAS_MAX. */
uint32_t placement_of(const struct placement *p, const struct tablet_record *t,
                      uint64_t out[CLUSTER_REPLICAS_MAX]);

/* The same for a tablet that does not exist yet, of which there are to be `replicas`. */
uint32_t placement_of_new(const struct placement *p, const struct tablet_record *t,
                          uint32_t replicas, uint64_t out[CLUSTER_REPLICAS_MAX]);

/* Its position on the ring, 32 hexadecimal digits. */
enum { PLACEMENT_POSITION_BYTES = 33 };
const char *placement_position(const struct tablet_record *t, char out[PLACEMENT_POSITION_BYTES]);

#endif
