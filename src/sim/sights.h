/*
 * sim/sights.h — what a node has been through, for the marks of a campaign (base/mark.h).
 */
#ifndef SIM_SIGHTS_H
#define SIM_SIGHTS_H

#include "sim/node.h"

void sights_of_recovery(struct node *n); /* it has just started */
void sights_of_work(struct node *n);     /* it is about to end; nothing when it does not respond */

#endif
