/*
 * Elections (paper, 5.2 and 5.4.1) with a round of pre-votes before them (thesis, 9.6), so that
 * a member that was cut off does not raise everyone's term when it comes back.
 *
 * A vote, once given, is told only when it is durable (R1): `vote_owed` and `votes_owed` remember
 * what is to be said then, and are dropped with the term.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

/* Whoever heard of a leader within an election timeout neither votes nor stands: a leader's lease
 * rests on this.  After a restart it may have heard one just before. */
bool
raft__has_promised(const struct raft *r)
{
    if (r->leader == 0 && r->options.lease_percent == 0)
        return false;
    if (r->quiesced)
        return true; /* the driver watches the leader's node */
    return r->heard_ns != 0 && r->now_ns < r->heard_ns + r->options.election_ns;
}

bool
raft__in_lease_of_leader(const struct raft *r, const struct raft_message *m)
{
    if (m->force || m->from == r->leader || BROKEN(VOTE_IN_LEASE))
        return false;
    return r->role == RAFT_LEADER /* it steps down by itself when it hears no majority */ ||
           raft__has_promised(r);
}

/* Thesis, 4.2.2: whoever is on the way out stands, too, until it is known to be out: it may be the only
 * one who can commit that. */
static bool
has_a_say(const struct raft *r)
{
    const struct raft_configs *h = &r->configs;

    if (raft__is_voter(r, r->options.self))
        return true;
    return h->count > 1 && raft__configs_newest(h)->index > r->commit &&
           raft_config_votes(&h->at[0].config, r->options.self);
}

/* R11 */
static bool
reaches_what_was_lost(const struct raft *r, raft_term log_term, raft_index index)
{
    const struct raft_options *o = &r->options;

    return log_term > o->lost_term || (log_term == o->lost_term && index >= o->lost_index) ||
           BROKEN(LOST_LOG_FORGOTTEN);
}

bool
raft__may_stand(const struct raft *r)
{
    return has_a_say(r) && !r->disk_failed &&
           (!r->installing || BROKEN(STAND_WHILE_INSTALLING)) /* R10 */ &&
           reaches_what_was_lost(r, raft__terms_last(&r->terms), r->terms.last_index) &&
           raft__terms_room(&r->terms, r->hard.term + 1, r->applied);
}

static void
ask_for_votes(struct raft *r)
{
    bool pre = r->role == RAFT_PRECANDIDATE;

    r->votes_owed = false;
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct raft_message *m;

        if (r->members[i].id == r->options.self || !raft__is_voter(r, r->members[i].id))
            continue;
        m = raft__send(r, pre ? RAFT_PREVOTE : RAFT_VOTE, r->members[i].id);
        m->term = r->hard.term + pre;
        m->index = r->terms.last_index;
        m->log_term = raft__terms_last(&r->terms);
        m->force = r->by_transfer;
    }
}

static void
grant_own(struct raft *r)
{
    struct raft_progress *self = raft__member(r, r->options.self);

    if (self != NULL)
        self->granted = true;
}

void
raft__begin_candidacy(struct raft *r, enum raft_role role)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        r->members[i].granted = r->members[i].refused = false;
    r->role = role;
    r->leader = 0;
    r->imposes = false;
    r->vote_owed = 0;
    r->fx->role_changed = true;
    raft__reset_timer(r);
}

static void
stand_for_real(struct raft *r)
{
    raft__set_hard(r, r->hard.term + 1, r->options.self);
    raft__begin_candidacy(r, RAFT_CANDIDATE);
    r->verified = r->acked = 0;
    r->votes_owed = true;
    if (BROKEN(STAND_BEFORE_DURABLE)) {
        grant_own(r);
        ask_for_votes(r);
    }
}

static void
count(struct raft *r)
{
    enum raft_verdict verdict = raft__count_votes(r);

    if (verdict == RAFT_LOST)
        raft__become_follower(r, r->hard.term, 0);
    else if (verdict == RAFT_WON && r->role == RAFT_PRECANDIDATE)
        stand_for_real(r);
    else if (verdict == RAFT_WON)
        raft__become_leader(r);
}

void
raft__stand(struct raft *r, bool by_transfer)
{
    r->by_transfer = by_transfer;
    if (by_transfer) {
        stand_for_real(r);
        return;
    }
    raft__begin_candidacy(r, RAFT_PRECANDIDATE);
    grant_own(r);
    ask_for_votes(r);
    count(r); /* a lone voter needs nobody */
}

void
raft__election_tick(struct raft *r)
{
    if (r->now_ns < r->deadline_ns)
        return;
    raft__reset_timer(r);
    if (raft__may_stand(r))
        raft__stand(r, false);
}

/* The term and our vote in it have become durable. */
void
raft__election_durable(struct raft *r)
{
    raft__impose_durable(r);
    if (r->votes_owed && r->role == RAFT_CANDIDATE) {
        grant_own(r);
        ask_for_votes(r);
        count(r);
    }
    if (r->vote_owed != 0) {
        ASSERT(r->vote_owed == r->hard.vote); /* R1 */
        raft__send(r, RAFT_VOTE_REPLY, r->vote_owed);
        r->vote_owed = 0;
    }
}

/* Paper, 5.4.1: the log that ends in the later term is newer; of equal terms, the longer one. */
static bool
log_is_new_enough(const struct raft *r, const struct raft_message *m)
{
    raft_term ours = raft__terms_last(&r->terms);

    if (!reaches_what_was_lost(r, m->log_term, m->index))
        return false;
    return m->log_term > ours || (m->log_term == ours && m->index >= r->terms.last_index) ||
           BROKEN(VOTE_STALE_LOG);
}

static void
refuse(struct raft *r, const struct raft_message *m)
{
    enum raft_message_kind kind = m->kind == RAFT_VOTE ? RAFT_VOTE_REPLY : RAFT_PREVOTE_REPLY;

    raft__send(r, kind, m->from)->reject = true;
}

static void
on_prevote(struct raft *r, const struct raft_message *m)
{
    if (m->term <= r->hard.term || !log_is_new_enough(r, m)) {
        refuse(r, m);
        return;
    }
    if (BROKEN(VOTE_FORGOTTEN))
        raft__set_hard(r, r->hard.term, 0);
    raft__send(r, RAFT_PREVOTE_REPLY, m->from)->term = m->term;
}

void
raft__on_vote(struct raft *r, const struct raft_message *m)
{
    bool is_free = r->hard.vote == m->from ||
                   (r->hard.vote == 0 && r->leader == 0 && !raft__in_lease_of_leader(r, m));

    if (m->kind == RAFT_PREVOTE) {
        on_prevote(r, m);
        return;
    }
    if (!(is_free || BROKEN(VOTE_TWICE)) || !log_is_new_enough(r, m)) {
        refuse(r, m);
        return;
    }
    raft__set_hard(r, r->hard.term, m->from); /* R1 */
    raft__reset_timer(r);
    r->vote_owed = m->from;
    if (raft__hard_is_durable(&r->durable) || BROKEN(VOTE_BEFORE_DURABLE))
        raft__election_durable(r);
}

void
raft__on_vote_reply(struct raft *r, const struct raft_message *m)
{
    bool pre = m->kind == RAFT_PREVOTE_REPLY;
    struct raft_progress *p = raft__member(r, m->from);

    if (r->role != (pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE) || p == NULL)
        return;
    if (m->term != r->hard.term + (pre && !m->reject))
        return; /* of an earlier attempt */
    if (r->votes_owed)
        return; /* nobody was asked yet */
    if (m->reject)
        p->refused = true;
    else
        p->granted = true;
    count(r);
}
