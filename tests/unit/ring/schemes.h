/*
 * unit/ring/schemes.h — three ways of placing tablets, and what is good and bad about a placement.
 * For the tests and for bench/ring.
 */
#ifndef UNIT_RING_SCHEMES_H
#define UNIT_RING_SCHEMES_H

#include "ring/place.h"

enum { SCHEME_NODES_MAX = 128 };

enum scheme {
    SCHEME_MODULO,  /* the i-th replica on node number (position + i) modulo the number of nodes */
    SCHEME_RING,    /* ring_prefer() */
    SCHEME_BOUNDED, /* ring_place(), and ring_lead() */
};

struct cluster {
    struct ring_node nodes[SCHEME_NODES_MAX];
    uint32_t count;
};

/* Nodes of ordinary weight, in `zone_count` zones of one size, or without zones (0).  Other seeds
 * give other ids, so other places on the ring. */
struct cluster cluster_of(uint32_t count, uint32_t zone_count, uint64_t seed);

void cluster_remove(struct cluster *c, uint32_t index);

/* Tablets of size 1 in random positions. */
void tablets_of(struct ring_tablet *tablets, uint32_t count, uint32_t replicas, uint64_t seed);

/* Rows of bound->replicas_max ids; zeros at their ends, as ring_place() has it. */
void scheme_place(enum scheme scheme, const struct cluster *c, const struct ring_tablet *tablets,
                  uint32_t count, const struct ring_bound *bound, uint64_t *holders);

/* How much the nodes carry, in parts of what each should by its weight. */
struct balance {
    double most;
    double least;
    double deviation; /* standard */
};

/* By size, and by number of tablets led. */
struct balance balance_of_replicas(const struct cluster *c, const struct ring_tablet *tablets,
                                   uint32_t count, uint32_t replicas, const uint64_t *holders);
struct balance balance_of_leaders(const struct cluster *c, uint32_t count, uint32_t replicas,
                                  const uint64_t *holders);

/* With how many others a node shares a tablet, so exchanges heartbeats: the mean, and the most. */
struct company {
    double mean;
    uint32_t most;
};
struct company company_of(const struct cluster *c, uint32_t count, uint32_t replicas,
                          const uint64_t *holders);

/* Which part of all replicas is in `after` on a node that had no replica of it before; which part of
 * all tablets has another leader. */
double moved_replicas(const uint64_t *before, const uint64_t *after, uint32_t count,
                      uint32_t replicas);
double moved_leaders(const uint64_t *before, const uint64_t *after, uint32_t count,
                     uint32_t replicas);

#endif
