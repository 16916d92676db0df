/* Every list of directed tests. */
#ifndef UNIT_RAFT_SUITES_H
#define UNIT_RAFT_SUITES_H

#include "unit/raft/raft_fixture.h"

static const struct raft_suite *const suites[] = {
    &raft_elections,  &raft_office,           &raft_replication, &raft_commitment,
    &raft_membership, &raft_reads_and_leases, &raft_transfer,    &raft_snapshots,
    &raft_durability, &raft_quiescence,       &raft_flow,        &raft_contract,
    &raft_mended,     &raft_impose,
};

enum { SUITE_COUNT = sizeof(suites) / sizeof(suites[0]) };

#endif
