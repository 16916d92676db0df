/*
 * sim/rot.h — bits that go bad on a disk.
 */
#ifndef SIM_ROT_H
#define SIM_ROT_H

#include "simenv/simenv.h"

/* One bit of one table of the node, whichever the dice says.  False: it has no table. */
bool rot_table(struct sim *world, uint32_t node, uint64_t dice);

#endif
