/*
 * sim/rot.h — bits of tables that go bad, of fewer than half of the voters.
 *
 * From the first one on the members stay the same.  What is rotten may refuse whatever it likes, and is
 * taken out in the end.
 */
#ifndef SIM_ROT_H
#define SIM_ROT_H

#include "sim/orders.h"

/* One bit of one table of the node, whichever the dice says; n->rotten tells.  Nothing happens where there
 * is no table, or too many would be rotten. */
void rot_strike(struct node *n, struct node *nodes, struct orders *orders, uint64_t dice);

#endif
