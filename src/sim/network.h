/*
 * sim/network.h — what an action of a plan does to the network, and how it is made whole again:
 * partitions, links, messages.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "sim/node.h"

void network_spoil(struct sim *world, struct node *nodes, const struct action *a);
void network_heal(struct sim *world, struct node *nodes, const struct action *a);

#endif
