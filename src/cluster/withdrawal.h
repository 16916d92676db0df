/*
 * cluster/withdrawal.h — whom a node would leave behind without a quorum, if it went.
 *
 *      A B C      B is down, and there is no other node: A may not go, for C alone is no majority of three
 *      A B C  D   B is down: A may go, for D gets a copy first
 *      A B        one votes and one learns: either may go, for the other has everything
 *
 * A node that goes hands over what it has before it lets go of it.  So a tablet needs as many that stay as are a
 * majority of those who vote now, and these are copies that have caught up, on nodes that are up, and nodes that
 * are up and can be given a copy.  Whoever is going already stays no more.
 *
 * Pure.
 */
#ifndef CLUSTER_WITHDRAWAL_H
#define CLUSTER_WITHDRAWAL_H

#include "cluster/steward.h"

struct withdrawal_harm {
    const struct tablet_record *tablet;
    uint32_t left; /* copies that stay, or can be made */
    uint32_t
        behind; /* that stay on nodes that are up, and of which nobody says that they have everything */
    uint32_t majority; /* how many are needed */
};

/* Of the tablets that these nodes have, those that would be under their quorum without them: how many.  The
 * first `max` of them are told. */
uint32_t withdrawal_harms(const struct steward_view *v, const uint64_t *going, uint32_t going_count,
                          struct withdrawal_harm *out, uint32_t max);

/* Nodes that store something, and are not about to go. */
uint32_t withdrawal_keepers(const struct atlas *a, const uint64_t *going, uint32_t going_count);

#endif
