/*
 * The rules for a member alone.  Between two looks it may have taken any number of steps, and no step is
 * seen half done; so each rule is one that many steps cannot break when each of them keeps it.
 *
 *   C1  In one life the term and the commit index never go back, and a term has one vote (R1, R3, R4).
 *   C2  A hard state that was durable is there in every later life (R1).
 *   C3  Whoever installs a snapshot follows, and its log stays as it is (R10).
 *   C4  Whoever's log has failed follows, and neither votes nor enters a term (P4).
 *
 *   While it leads in one term:
 *
 *   C5  its log only grows (R5);
 *   C6  it commits by an entry of its own term, that a majority is known to have, and at once (R8);
 *   C7  it changes the members when that is done, and the change before is committed; or the term begins with
 *       an imposed membership;
 *   C8  it confirms reads when that is done (R9);
 *   C9  each time that it makes sure of a majority, one was heard since the time before, unless the members
 *       are others by the time that somebody looks.
 *
 * A majority is one of the membership in force.  When that changes, what is known may be enough for the
 * new one at once, and is taken for it only with the next answer; so C6 demands nothing until the change
 * is committed.  Whoever stands anew does so in a later term: who leads in one term at two looks has led
 * all the while.
 */
#include "raft/conduct.h"

#include <inttypes.h>

static enum status
breaks(const struct witness_view *v, const char *what, struct err *err)
{
    return err_raise(err, ST_CORRUPT, "member %" PRIu64 ", %s of term %" PRIu64 ", %s", v->member,
                     raft_role_name(v->role), v->hard.term, what);
}

/* ------------------------------------------------------------------ the log, as it is told */

static raft_term
last_term(const struct witness_view *v, raft_term newest)
{
    return v->run_count > 0 ? newest : v->base_term;
}

/* The first entry of its own term, or the base, if that is of it, too; UINT64_MAX: there is none. */
static raft_index
first_of_term(const struct witness_view *v)
{
    const struct raft_run *newest = v->run_count > 0 ? &v->runs[v->run_count - 1] : NULL;

    if (v->base_term == v->hard.term)
        return v->base;
    return newest != NULL && newest->term == v->hard.term ? newest->first : UINT64_MAX;
}

/* ------------------------------------------------------------------ whoever it is */

static enum status
check_life(const struct witness_view *before, const struct witness_view *now, struct err *err)
{
    if (now->hard.term < before->hard.term) {
        return err_raise(err, ST_CORRUPT,
                         "member %" PRIu64 " went back from term %" PRIu64 " to %" PRIu64,
                         now->member, before->hard.term, now->hard.term);
    }
    if (now->commit < before->commit) {
        return err_raise(err, ST_CORRUPT,
                         "member %" PRIu64 " went back from commit index %" PRIu64 " to %" PRIu64,
                         now->member, before->commit, now->commit);
    }
    if (now->hard.term == before->hard.term && before->hard.vote != 0 &&
        now->hard.vote != before->hard.vote) {
        return err_raise(err, ST_CORRUPT,
                         "member %" PRIu64 " voted for %" PRIu64 " and then for %" PRIu64
                         " in term %" PRIu64,
                         now->member, before->hard.vote, now->hard.vote, now->hard.term);
    }
    return ST_OK;
}

static enum status
check_memory(const struct raft_hard *kept, const struct witness_view *now, struct err *err)
{
    bool has_term = now->hard.term == kept->term;

    if (now->hard.term > kept->term ||
        (has_term && (kept->vote == 0 || now->hard.vote == kept->vote)))
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "member %" PRIu64 " has forgotten term %" PRIu64 " or its vote for %" PRIu64
                     ", which were durable: now term %" PRIu64 ", vote for %" PRIu64,
                     now->member, kept->term, kept->vote, now->hard.term, now->hard.vote);
}

static enum status
check_bystander(const struct conduct *c, const struct witness_view *now, struct err *err)
{
    const struct witness_view *before = &c->seen;
    raft_term newest = now->run_count > 0 ? now->runs[now->run_count - 1].term : 0;
    bool same_life = before->life == now->life;

    if (now->installing != 0 && now->role != RAFT_FOLLOWER)
        return breaks(now, "installs a snapshot", err);
    if (now->installing != 0 && same_life && before->installing == now->installing &&
        (now->last != before->last || last_term(now, newest) != last_term(before, c->newest.term)))
        return breaks(now, "has changed its log while it installs a snapshot", err);
    if (now->disk_failed && now->role != RAFT_FOLLOWER)
        return breaks(now, "has a log that has failed", err);
    if (now->disk_failed && same_life && before->disk_failed &&
        (now->hard.term != before->hard.term || now->hard.vote != before->hard.vote))
        return breaks(now, "has voted or entered the term with a log that has failed", err);
    return ST_OK;
}

/* ------------------------------------------------------------------ a leader */

static enum status
check_state_of_leader(const struct witness_view *now, struct err *err)
{
    raft_index first = first_of_term(now);

    if (now->quorum > now->commit && now->quorum >= first && now->config <= now->commit)
        return breaks(now, "has not committed what a majority has", err);
    if (now->config >= first && now->commit < first && now->config != now->imposed)
        return breaks(now, "has changed the members before an entry of its term is committed", err);
    return ST_OK;
}

static enum status
check_steps_of_leader(const struct witness_view *before, const struct witness_view *now,
                      struct err *err)
{
    bool commits = now->commit > before->commit;
    bool changes = now->config != before->config;
    bool knows = now->commit >= first_of_term(now);

    if (now->last < before->last)
        return breaks(now, "has cut its log", err);
    if (commits && !knows)
        return breaks(now, "has committed by an entry of an earlier term", err);
    if (commits && !changes && now->commit > now->quorum)
        return breaks(now, "has committed what no majority is known to have", err);
    if (changes && now->commit < before->config)
        return breaks(now, "has changed the members while another change was under way", err);
    if (now->confirmed > before->confirmed && !knows)
        return breaks(now, "has confirmed reads before an entry of its term is committed", err);
    if (!changes && now->checked_ns != before->checked_ns && now->heard_ns < before->checked_ns)
        return breaks(now, "has not heard a majority and leads on", err);
    return ST_OK;
}

/* ------------------------------------------------------------------ */

enum status
conduct_check(const struct conduct *c, const struct witness_view *now, struct err *err)
{
    const struct witness_view *before = &c->seen;
    bool same_life = before->life == now->life;
    bool leads_on = same_life && before->role == RAFT_LEADER && now->role == RAFT_LEADER &&
                    before->hard.term == now->hard.term;
    enum status st = same_life ? check_life(before, now, err) : ST_OK;

    if (st == ST_OK)
        st = check_memory(&c->kept, now, err);
    if (st == ST_OK)
        st = check_bystander(c, now, err);
    if (st == ST_OK && now->role == RAFT_LEADER)
        st = check_state_of_leader(now, err);
    if (st == ST_OK && leads_on)
        st = check_steps_of_leader(before, now, err);
    return st;
}

void
conduct_remember(struct conduct *c, const struct witness_view *now)
{
    c->seen = *now;
    c->seen.runs = NULL;
    c->newest = now->run_count > 0 ? now->runs[now->run_count - 1] : (struct raft_run){ 0 };
    if (now->hard_is_durable)
        c->kept = now->hard;
}
