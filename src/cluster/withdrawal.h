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
 * The copies that have to be made take room: of the nodes that stay each gets its share, by weight.
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

/* A node that stays, and whose disk would be fuller than that. */
struct withdrawal_crowd {
    const struct node_record *node;
    uint32_t percent; /* of its disk that would be in use */
    uint64_t more;    /* bytes that it would get */
};
enum { WITHDRAWAL_PERCENT_MAX = 85 };

/* The fullest of them; false: none would be that full, as far as they have said. */
bool withdrawal_crowds(const struct steward_view *v, const uint64_t *going, uint32_t going_count,
                       struct withdrawal_crowd *out);

/* Nodes that store something, and are not about to go. */
uint32_t withdrawal_keepers(const struct atlas *a, const uint64_t *going, uint32_t going_count);

#endif
