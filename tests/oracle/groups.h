/*
 * oracle/groups.h — whole groups, compared whenever they are at rest.
 */
#ifndef ORACLE_GROUPS_H
#define ORACLE_GROUPS_H

#include <stdint.h>

#include "oracle/peer.h"

/* The schedule of this seed.  NULL: the two agree; else in what they do not: a literal, and `report`
 * (NULL: nowhere) has the whole story.  `*steps` grows by how many were compared.  Our own group is
 * held to its invariants as well: see unit/raft/group.h. */
const char *groups_run(struct peer *p, uint64_t seed, uint64_t *steps, FILE *report);

#endif
