/*
 * oracle/schedule.h — a group of ours in memory (unit/raft/group.h), what happens to it, and what it
 * looks like whenever it has come to rest: everything that can be delivered is, and leaders have
 * sent heartbeats until they changed nothing.
 *
 * Ways are cut and healed one direction at a time, and one member stands at a time: so that what the
 * group comes to does not depend on which of two messages arrives first.
 */
#ifndef ORACLE_SCHEDULE_H
#define ORACLE_SCHEDULE_H

#include "oracle/differ.h"
#include "oracle/view.h"
#include "unit/raft/group.h"

enum { SCHEDULE_NODES_MAX = 6, SCHEDULE_STEPS_MAX = 160, SCHEDULE_TEXT_MAX = 64 };

/* The group at rest after a step. */
struct moment {
    char text[SCHEDULE_TEXT_MAX];     /* the step, as in etcd/group.go */
    bool removed[SCHEDULE_NODES_MAX]; /* by this step or before */
    bool added[SCHEDULE_NODES_MAX];   /* by this step */
    enum difference end;              /* why it is the last one; DIFFER_COUNT: it need not be */
    struct view views[SCHEDULE_NODES_MAX];
    bool is_heard[SCHEDULE_NODES_MAX]; /* by the leader that it follows, and hears it */
    raft_index committed;              /* anywhere, ever */
    raft_index config_index[SCHEDULE_NODES_MAX];
    raft_index commit_owed[SCHEDULE_NODES_MAX]; /* known before a restart */
};

struct schedule {
    struct group *g;
    raft_index commit_owed[SCHEDULE_NODES_MAX];
    char begin[SCHEDULE_TEXT_MAX];
    uint32_t count;
    struct moment moments[SCHEDULE_STEPS_MAX];
};

/* Decided by the seed alone. */
struct schedule *schedule_draw(uint64_t seed);
void schedule_free(struct schedule *s);

/* What etcd is asked; owned by the caller. */
char *schedule_line(const struct schedule *s);

#endif
