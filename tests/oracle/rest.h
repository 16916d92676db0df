/*
 * oracle/rest.h — a group of ours comes to rest.
 */
#ifndef ORACLE_REST_H
#define ORACLE_REST_H

#include "unit/raft/group.h"

/* Packets go in the order in which they were sent, and no disk is late: as on etcd's side. */
void rest_reach(struct group *g);

#endif
