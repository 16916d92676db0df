/*
 * raft/conduct.h — what may be demanded of one member, whatever the others do, by two looks at it.
 *
 * A witness keeps one for each member.  The rules are at the head of conduct.c.
 */
#ifndef RAFT_CONDUCT_H
#define RAFT_CONDUCT_H

#include "raft/witness.h"

/* Zeroed: nothing was seen. */
struct conduct {
    struct witness_view seen; /* the last look, without its runs */
    struct raft_run newest;   /* the last of these; of term 0: there was none */
    struct raft_hard kept;    /* the last hard state that was durable, in whatever life */
};

/* `now`: of the same member, and one that can be.  ST_CORRUPT: it has broken a rule since. */
MUST_USE enum status conduct_check(const struct conduct *c, const struct witness_view *now,
                                   struct err *err);
void conduct_remember(struct conduct *c, const struct witness_view *now);

#endif
