/*
 * unit/raft/swarm.h — one random life of a group: faults with probabilities that the seed draws, then
 * peace, in which everything must be answered and converge.
 */
#ifndef UNIT_RAFT_SWARM_H
#define UNIT_RAFT_SWARM_H

#include "unit/raft/group.h"

/* What a life has seen, summed over many. */
struct swarm_marks {
    uint64_t steps;
    uint64_t writes;
    uint64_t reads;
    uint64_t lease_reads;
    uint64_t elections;
    uint64_t crashes;
    uint64_t installs;
    uint64_t changes;
    uint64_t joint_changes;
    uint64_t transfers;
    uint64_t truncations;
    uint64_t disk_failures;
    uint64_t sleeps;
};

void swarm_run(uint64_t seed, uint32_t seconds, struct swarm_marks *marks);

#endif
