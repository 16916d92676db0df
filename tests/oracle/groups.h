/*
 * oracle/groups.h — whole groups, compared whenever they are at rest.
 */
#ifndef ORACLE_GROUPS_H
#define ORACLE_GROUPS_H

#include <stdint.h>

#include "oracle/peer.h"

/* What schedules have seen, summed over many. */
struct groups_marks {
    uint64_t elections;
    uint64_t truncations;
    uint64_t installs; /* of snapshots */
    uint64_t changes;  /* of membership */
    uint64_t crashes;
};

/* The schedule of this seed.  NULL: the two agree; else in what they do not: a literal, and `report`
 * (NULL: nowhere) has the whole story.  `*steps` grows by how many were compared, `marks` by what was
 * seen.  Our own group is held to its invariants as well: see unit/raft/group.h. */
const char *groups_run(struct peer *p, uint64_t seed, uint64_t *steps, struct groups_marks *marks,
                       FILE *report);

#endif
