/*
 * Reads without the log (thesis, 6.4): a leader that a majority still answers, after the read has
 * come, has everything that was committed when it came.
 *
 * Rounds are numbered and answered as a maximum: an answer to a later round confirms the earlier ones,
 * and an answer to an earlier one never confirms a later (R9).
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

static uint64_t
round_of(const struct raft *r, const struct raft_progress *p)
{
    if (p->id == r->options.self)
        return r->round;
    if (BROKEN(ROUND_ANY) && p->round > 0)
        return r->round;
    return p->round;
}

static bool
knows_what_is_committed(const struct raft *r)
{
    return r->commit >= r->term_first || BROKEN(READ_WITHOUT_TERM);
}

void
raft__confirm_rounds(struct raft *r)
{
    uint64_t round;

    ASSERT(r->role == RAFT_LEADER);
    if (!knows_what_is_committed(r))
        return;
    round = raft__quorum_value(r, round_of);
    if (round <= r->confirmed)
        return;
    r->confirmed = round;
    r->fx->reads_moved = true;
}

void
raft__begin_round(struct raft *r)
{
    r->round++;
    r->busy_ns = r->now_ns;
    raft__broadcast_heartbeat(r, false);
    raft__confirm_rounds(r); /* a lone voter asks nobody */
}

/* The round that a term begins with was asked of nobody, and one that was asked since may have met members to whom
 * the term was new: they answer nothing before it is durable (R2).  It is for those who made this
 * commit.  Otherwise the first reads of a term would wait for its first heartbeat. */
void
raft__ask_round_again(struct raft *r, raft_index commit_before)
{
    if (commit_before < r->term_first && knows_what_is_committed(r) && r->confirmed < r->round)
        raft__broadcast_heartbeat(r, false);
}

static uint64_t
asked_of(const struct raft *r, const struct raft_progress *p)
{
    return p->id == r->options.self ? r->now_ns : p->sent_ns;
}

/* Counted from when a majority was asked: each of them votes for nobody else until an election
 * timeout after it was heard, by its own clock, which runs at most so much faster than ours. */
uint64_t
raft_lease_until(const struct raft *r)
{
    uint64_t lease_ns = r->options.election_ns / 100 * r->options.lease_percent;
    uint64_t asked_ns;

    if (r->role != RAFT_LEADER || lease_ns == 0 || !knows_what_is_committed(r))
        return 0;
    if (r->handed_over && !BROKEN(LEASE_IN_TRANSFER))
        return 0; /* whoever was told to stand asks for votes in spite of leases */
    asked_ns = raft__quorum_value(r, asked_of);
    return asked_ns != 0 ? asked_ns + lease_ns : 0;
}
