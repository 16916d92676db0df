/*
 * ring/place.h — all tablets at once, and no node overfull.
 *
 * With 128 virtual nodes each, one node gets a tenth more than its part, another a tenth less; and of
 * few tablets one gets three, another none.  So tablets are placed one after the other, and a node
 * that has its fair share and some slack is passed over ("Consistent Hashing with Bounded Loads":
 * Mirrokni, Thorup and Zadimoghaddam, 2016).  Less slack is more balance, and more movement when a
 * node comes or goes: docs/PLACEMENT.md has both, measured.
 *
 *      st = ring_place(ring, tablets, count, &bound, holders);   who should hold what
 *      st = ring_lead(ring, tablets, count, &bound, holders);    and who of them should lead
 *
 * Pure functions of their arguments, and the order of the tablets is of no importance.  Rules and
 * invariants B1 to B4: place.c.
 */
#ifndef RING_PLACE_H
#define RING_PLACE_H

#include "ring/ring.h"

struct ring_tablet {
    struct ring_position position;
    uint64_t size; /* in whatever unit; what an empty tablet costs is the caller's to say */
    uint32_t replicas;
};

enum {
    RING_SLACK_PERMILLE = 100 /* what the measurements speak for */
};

struct ring_bound {
    uint32_t replicas_max;   /* no tablet has more; at most RING_NODES_MAX */
    uint32_t slack_permille; /* so much more than its fair share a node may have */
};

/* Who should hold each tablet: a row of `bound->replicas_max` ids for each, in rounds as by
 * ring_prefer(); zeros at its end when the tablet has fewer replicas, or the ring fewer nodes.
 * ST_TOO_BIG: the sizes add up to more than 64 bits hold; ST_NO_MEMORY.  On failure `holders` is
 * untouched. */
MUST_USE enum status ring_place(const struct ring *ring, const struct ring_tablet *tablets,
                                uint32_t count, const struct ring_bound *bound, uint64_t *holders);

/* Who should lead each tablet: of each row the one who should is moved to its front, and the rest
 * keep their order.  The rows may be those of ring_place(), or what is so at present: nodes that
 * the ring does not have, or that store nothing, lead only where nobody else can.  ST_NO_MEMORY:
 * `holders` is untouched. */
MUST_USE enum status ring_lead(const struct ring *ring, const struct ring_tablet *tablets,
                               uint32_t count, const struct ring_bound *bound, uint64_t *holders);

#endif
