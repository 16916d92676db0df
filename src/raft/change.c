/*
 * Changes of membership (thesis, chapter 4) and of leadership (3.10).
 *
 * A target that differs by at most one voter is entered at once; any other by way of a joint
 * membership, which the leader leaves by itself when it is committed.  A change needs the one
 * before committed, and an entry of the leader's own term (Ongaro's correction of 2015), or two
 * leaders could each have a majority of a membership that the other does not know.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

static bool
may_change(const struct raft *r)
{
    const struct raft_config_at *now = raft__configs_newest(&r->configs);

    if (r->commit < r->term_first && !BROKEN(CONFIG_TOO_EARLY))
        return false;
    if (r->transfer_to != 0)
        return false;
    return (now->index <= r->commit && now->config.outgoing_count == 0) || BROKEN(CONFIG_OVERLAP);
}

enum status
raft__change(struct raft *r, const struct raft_config *target)
{
    struct raft_config next;

    if (r->role != RAFT_LEADER)
        return ST_NOT_LEADER;
    if (!raft_config_is_valid(target) || target->outgoing_count > 0)
        return ST_INVALID;
    if (!may_change(r))
        return ST_BUSY;
    if (raft_config_equal(raft__config(r), target))
        return ST_INVALID;
    if (BROKEN(CONFIG_JUMP))
        next = *target;
    else if (!raft__config_between(raft__config(r), target, &next))
        return ST_INVALID;
    raft__wake(r);
    raft__append_own(r, RAFT_CONFIG, &next);
    return ST_OK;
}

/* The membership that a joint one leads to. */
static void
leave_joint(struct raft *r)
{
    struct raft_config next = *raft__config(r);

    next.outgoing_count = 0;
    raft__append_own(r, RAFT_CONFIG, &next);
}

/* Thesis, 4.2.2: a leader that is not a member any more leads until that is committed. */
static void
leave(struct raft *r)
{
    raft_id heir = raft__nearest(r);

    if (heir != 0)
        raft__send(r, RAFT_TIMEOUT_NOW, heir);
    raft__become_follower(r, r->hard.term, 0);
}

void
raft__config_committed(struct raft *r)
{
    const struct raft_config_at *now = raft__configs_newest(&r->configs);

    ASSERT(r->role == RAFT_LEADER);
    if (now->index > r->commit)
        return;
    if (now->config.outgoing_count > 0)
        leave_joint(r);
    else if (!raft_config_votes(&now->config, r->options.self))
        leave(r);
}

/* ------------------------------------------------------------------ leadership */

raft_id
raft__nearest(const struct raft *r)
{
    const struct raft_progress *best = NULL;

    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct raft_progress *p = &r->members[i];

        if (p->id == r->options.self || !raft__is_voter(r, p->id) || p->silent)
            continue;
        if (best == NULL || p->match > best->match)
            best = p;
    }
    return best == NULL ? 0 : best->id;
}

void
raft__transfer_step(struct raft *r, struct raft_progress *p)
{
    if (r->role != RAFT_LEADER || r->transfer_to != p->id || p->match != r->terms.last_index)
        return;
    raft__send(r, RAFT_TIMEOUT_NOW, p->id);
    r->handed_over = true;
}

enum status
raft__transfer(struct raft *r, raft_id node)
{
    struct raft_progress *p;

    if (r->role != RAFT_LEADER)
        return ST_NOT_LEADER;
    if (node == 0)
        node = raft__nearest(r);
    p = raft__member(r, node);
    if (p == NULL || node == r->options.self || !raft__is_voter(r, node))
        return ST_INVALID;
    raft__wake(r);
    r->transfer_to = node;
    r->transfer_until_ns = r->now_ns + r->options.election_ns;
    raft__transfer_step(r, p);
    return ST_OK;
}

void
raft__on_timeout_now(struct raft *r, const struct raft_message *m)
{
    (void)m;
    if (r->role == RAFT_FOLLOWER && raft__may_stand(r))
        raft__stand(r, true);
}
