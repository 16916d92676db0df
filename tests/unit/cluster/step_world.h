/*
 * unit/cluster/step_world.h — one tablet, its record, its group and its nodes, as step.c knows them.
 *
 * The group is a model: a leader that makes the membership what the record asks for, by joint
 * memberships, when it has a quorum; its reports are lost, late and overtaken, and whoever plans
 * keeps the newest.  A node makes a replica when the record lists it, and drops it when the
 * record does not.
 *
 * world_tick() lets a moment pass and takes at most one step.  After each it expects:
 *
 *      S1  whoever begins to vote by the record has a replica that had caught up
 *      S2  a swap leaves a majority of voters up and, as far as was told, caught up
 *      S3  nobody is forgotten whom the group has; so no replica of a member is ever dropped
 *      S4  who leaves has been told of, and does nothing then but to be forgotten
 *      S5  who is retired does not lead, as far as was told (that a majority is left is S2)
 */
#ifndef UNIT_CLUSTER_STEP_WORLD_H
#define UNIT_CLUSTER_STEP_WORLD_H

#include "base/prng.h"

#include "cluster/step.h"
#include "unit/test.h"

enum { WORLD_NODES = 24, REPORTS_MAX = 64 };

struct world_node {
    bool up;
    bool dead; /* for good */
    bool has_replica;
    bool had_caught_up; /* this replica */
    bool is_damaged;    /* likewise */
    uint32_t lag;       /* rounds of replication that it needs */
};

struct world {
    struct prng prng;
    bool rough; /* reports get lost and overtaken, and leaders change */
    bool may_join;
    struct tablet_record record;
    struct world_node nodes[WORLD_NODES + 1]; /* by id, from 1 */

    struct raft_config config; /* in force */
    struct raft_config before; /* committed before that */
    bool committed;
    raft_term term;
    raft_index commit;

    struct tablet_report flying[REPORTS_MAX];
    uint32_t flying_count;
    struct tablet_report report; /* the newest that came */
    bool has_report;

    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    uint32_t wanted_count;
    uint32_t steps[STEP_SWAP + 1]; /* taken, by kind */
};

/* A group of one, node 1; all nodes are up. */
void world_init(struct world *w, uint64_t seed, bool rough);

/* The first are the best; ends with 0. */
void world_want(struct world *w, const uint64_t *nodes);

void world_tick(struct world *w);

/* The step alone. */
void world_step(struct world *w);

/* Ticks until the record and the group are as wanted; false: not within so many. */
bool world_settles(struct world *w, unsigned ticks);

bool world_is_done(const struct world *w);

/* Could the group still write, now and after each change under way, if the node were gone for good?  */
bool world_can_spare(const struct world *w, uint64_t node);

#endif
