/*
 * sim/orders.h — what the plan has the group do as one, and who its members are beyond doubt.
 *
 * Whoever leads is told, as an operator would tell it; nobody is when nobody does.
 */
#ifndef SIM_ORDERS_H
#define SIM_ORDERS_H

#include "sim/observer.h"

struct orders {
    struct node *nodes;              /* borrowed */
    const struct observer *observer; /* knows who leads */
    raft_term changed_in;            /* the term in which other members were last wanted */
    bool members_stay;               /* from now on */
};

/* Who leads; the first node where nobody does. */
uint32_t orders_leader(const struct orders *o);

/* Carry out a change of members, or a transfer. */
void orders_give(struct orders *o, const struct action *a);

/* The members that are committed, where no other membership can come to be without an order; NULL:
 * that is not certain. */
const struct raft_config *orders_members(const struct orders *o);

#endif
