/*
 * cluster/step.h — what comes next for one tablet, so that its members become those that are wanted.
 *
 *      wanted     A B D                                      (ring: who should have it)
 *      members    A voter    B voter    C voter
 *        1        A voter    B voter    C voter    D joining      D's node makes a replica; the leader
 *                                                                 lets it learn
 *        2        A voter    B voter    C leaving  D voter        once D has caught up: the leader
 *                                                                 changes the group, both at once
 *        3        A voter    B voter               D voter        once that is committed: C's node
 *                                                                 drops its replica
 *
 * Each line is a record in the metadata, so the movement goes on wherever it was interrupted,
 * by whoever leads the metadata then.  A step is taken only when a report says that the one before is done.
 *
 * Pure.
 */
#ifndef CLUSTER_STEP_H
#define CLUSTER_STEP_H

#include "cluster/report.h"

/* What is known of a node, as step_next() asks. */
typedef bool step_is_up_fn(const void *ctx, uint64_t node);

struct step_options {
    const uint64_t *wanted; /* in order of preference; no node twice */
    uint32_t wanted_count;  /* 1 .. CLUSTER_REPLICAS_MAX */
    uint32_t voters;        /* the first so many of them vote: step_voters() */
    bool may_join;          /* a new replica may be begun now (the movement is throttled) */
    uint64_t damaged;       /* a member whose copy is damaged, and is to be replaced; 0: none is */
    step_is_up_fn *is_up;
    const void *ctx;
};

enum step_kind {
    STEP_NONE,   /* nothing can be done now, or nothing has to */
    STEP_FORGET, /* those who left are out of the record */
    STEP_RETIRE, /* the member whose copy is damaged leaves; if it is wanted, it joins anew when it is forgotten */
    STEP_JOIN, /* a new replica is begun */
    STEP_SWAP, /* those who have caught up vote, and those who are not wanted leave; or only the
                  * latter, of those who do not vote */
};

/* Of so many replicas as many vote as make the most of them: an even number of voters endures no more
 * losses than one less. */
uint32_t step_voters(uint32_t replicas);

/* `report` may be NULL: nothing is known of the group.  Of a kind other than STEP_NONE, `*out` is the record as
 * it should be next. */
enum step_kind step_next(const struct tablet_record *t, const struct tablet_report *report,
                         const struct step_options *options, struct tablet_record *out);

/* Are the record's members those that are wanted, in their roles? */
bool step_is_done(const struct tablet_record *t, const struct step_options *options);

#endif
