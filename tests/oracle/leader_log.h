/*
 * oracle/leader_log.h — the log of the one leader of a term, as a member under test may get to know it.
 *
 * It has what the member knows to be committed, matches the member's log up to some entry after
 * that, and then differs in every entry's term: so two entries of one index and term are one entry.
 */
#ifndef ORACLE_LEADER_LOG_H
#define ORACLE_LEADER_LOG_H

#include "base/prng.h"

#include "oracle/member.h"

struct leader_log {
    raft_term term;
    raft_id id;
    bool is_heard; /* the member knows something of it; before that it may be drawn again */
    raft_index last;
    struct oracle_entry log[VIEW_LOG_MAX]; /* after the member's base */
};

/* Of a term that is not before the member's. */
void leader_log_draw(struct leader_log *l, struct prng *prng, const struct member *m,
                     raft_term term, raft_id id);

/* The leader goes on writing. */
void leader_log_grow(struct leader_log *l, struct prng *prng, const struct member *m);

#endif
