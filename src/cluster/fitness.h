/*
 * cluster/fitness.h — how fit a node is to lead, as it says itself, and how that weighs in a group.
 *
 *      a log that stands still, or a full disk     it ails: it can acknowledge nothing
 *      a slow disk, or slow ways to most others    it is slow: all that it leads waits for that
 *      another voter that it does not hear         whoever asks there gets no answer from a leader here
 *
 * Pure.  Depends on: base, raft.
 */
#ifndef CLUSTER_FITNESS_H
#define CLUSTER_FITNESS_H

#include "base/coding.h"
#include "base/status.h"

#include "raft/raft.h"

/* Who misses more is cut off, and ails. */
enum { FITNESS_MISSED_MAX = 32 };

struct fitness {
    bool ails;
    bool slow;
    uint32_t missed_count;
    uint64_t missed[FITNESS_MISSED_MAX]; /* nodes that it has not heard lately */
};

void fitness_miss(struct fitness *f, uint64_t node);

/* What it would be for the group to be led from there: 0 is best. */
uint32_t fitness_burden(const struct fitness *f, const struct raft_config *group);

/* ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status fitness_encode(const struct fitness *f, struct buf *out);
/* ST_CORRUPT. */
MUST_USE enum status fitness_decode(struct slice from, struct fitness *out);

#endif
