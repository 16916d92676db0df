/*
 * raft/witness.h — somebody who looks at all members of a group, and says when they contradict each other.
 *
 *      election safety        a term has one leader
 *      log matching           entries of a term begin at one index, after one entry, in every log
 *      leader completeness    what was committed is in the log of every leader of a later term
 *      state machine safety   what is committed at an index is the same entry everywhere
 *      a member alone         keeps its word, of which conduct.c has the rules
 *
 * (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014, figure 3.)  A log
 * is seen as its stretches of one term, which is enough: an entry is an index and a term.
 *
 * One thing may break them: an imposed membership (raft.h).  From when a member is seen that leads by one, its log
 * is what was committed, and what others had committed beyond is forgotten; so it has to be seen before
 * its term is over.
 *
 * Whoever looks seldom sees less, and else never what is not so.  Not for several threads.
 *
 * Depends on: base.
 */
#ifndef RAFT_WITNESS_H
#define RAFT_WITNESS_H

#include "raft/raft.h"

/* One member at one moment. */
struct witness_view {
    raft_id member;
    uint64_t life; /* another one: the process has started anew since, or was given another log */
    struct raft_hard hard;
    enum raft_role role;
    raft_index commit;
    raft_index base;
    raft_term base_term;
    raft_index last;
    const struct raft_run *runs; /* ascending, contiguous from base + 1 to `last`; borrowed */
    uint32_t run_count;
    bool hard_is_durable;
    bool disk_failed;
    raft_index config;     /* the entry of the membership in force */
    raft_index installing; /* the snapshot that is, at this index; 0: none is */

    /* of a leader */
    raft_index imposed;  /* its term began there with an imposed membership; 0: it did not */
    raft_index quorum;   /* a majority is known to have so much on its disks */
    uint64_t confirmed;  /* the last round that was */
    uint64_t checked_ns; /* when it last made sure that a majority is heard, or was elected */
    uint64_t heard_ns;   /* a majority was heard then or later; who was not yet counts, too */
};

struct witness_view raft_view(const struct raft *r, uint64_t life);

struct witness;

/* Of one group.  NULL: out of memory. */
struct witness *witness_create(void);
void witness_destroy(struct witness *w); /* NULL is allowed */

/* ST_OK.  ST_CORRUPT: it contradicts what was seen before, which `err` explains.  ST_INVALID: no member
 * looks like that.  ST_NO_MEMORY. */
MUST_USE enum status witness_see(struct witness *w, const struct witness_view *view,
                                 struct err *err);

/* How many terms had a leader that was seen. */
uint64_t witness_elections(const struct witness *w);

#endif
