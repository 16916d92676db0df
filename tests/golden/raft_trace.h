/* golden/raft_trace.h — what members of a group do, as text: an event to a line, its effects below. */
#ifndef GOLDEN_RAFT_TRACE_H
#define GOLDEN_RAFT_TRACE_H

#include "unit/raft/raft_fixture.h"

/* What was last said of a member: only changes are. */
struct shown {
    enum raft_role role;
    raft_id leader;
    struct raft_hard hard;
    struct raft_config config;
    bool asleep;
};

struct raft_trace {
    struct group *g; /* borrowed */
    struct buf out;
    struct shown shown[GROUP_NODES_MAX + 1]; /* by id */
    raft_id speaking;                        /* under whose event we are; 0: none */
};

/* From now on everything that the group does is written to `t->out`; what its members are now is not. */
void trace_begin(struct raft_trace *t, struct group *g);
void trace_state(struct raft_trace *t); /* a line for each member */

#endif
