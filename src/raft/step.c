/*
 * One event: which rule hears of it, and what must hold afterwards.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

/* ------------------------------------------------------------------ messages */

static bool
is_well_formed(const struct raft *r, const struct raft_message *m)
{
    raft_term term = m->log_term;

    if (m->kind >= RAFT_MESSAGE_KIND_COUNT || m->to != r->options.self || m->from == 0 ||
        m->from == r->options.self || m->term == 0 || m->log_term > m->term)
        return false;
    if (m->entry_count > 0 && m->kind != RAFT_APPEND)
        return false;
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];

        if (e->term == 0 || e->term < term || e->term > m->term || e->kind >= RAFT_ENTRY_KIND_COUNT)
            return false;
        if (e->kind == RAFT_CONFIG && !raft_config_is_valid(e->config))
            return false;
        term = e->term;
    }
    return true;
}

/* A message of a term that is over: whoever still leads in it must learn so. */
static void
answer_old_term(struct raft *r, const struct raft_message *m)
{
    struct raft_message *reply;

    if (m->kind == RAFT_PREVOTE)
        reply = raft__send(r, RAFT_PREVOTE_REPLY, m->from);
    else if (m->kind == RAFT_APPEND || m->kind == RAFT_HEARTBEAT)
        reply = raft__send(r, RAFT_APPEND_REPLY, m->from);
    else
        return;
    reply->reject = true;
    reply->index = m->index;
}

/* A message of a later term than ours.  False: it is none of our business. */
static bool
enter_term(struct raft *r, const struct raft_message *m)
{
    bool asks = m->kind == RAFT_VOTE || m->kind == RAFT_PREVOTE;

    if (asks && raft__in_lease_of_leader(r, m))
        return false; /* thesis, 4.2.3: who has a leader is not disturbed, not even in its term */
    if (m->kind == RAFT_PREVOTE || (m->kind == RAFT_PREVOTE_REPLY && !m->reject))
        return true; /* a term that nobody has entered yet */
    raft__become_follower(r, m->term, 0);
    return true;
}

static enum status
receive(struct raft *r, const struct raft_message *m)
{
    if (!is_well_formed(r, m))
        return ST_INVALID;
    if (r->disk_failed && !BROKEN(LEAD_WITHOUT_DISK))
        return ST_OK; /* whatever we say would have to be durable */
    if (m->term >= r->hard.term && raft__contradicts(r, m))
        return ST_CORRUPT;
    if (m->term > r->hard.term && !enter_term(r, m)) {
        if (r->role == RAFT_LEADER && raft__member(r, m->from) != NULL)
            raft__wake(r); /* it has missed that all is said */
        return ST_OK;
    }
    if (!(m->kind == RAFT_HEARTBEAT && m->quiesce))
        raft__wake(r);
    if (m->term < r->hard.term && !BROKEN(ANSWER_OLD_TERM)) {
        answer_old_term(r, m);
        return ST_OK;
    }

    switch (m->kind) {
    case RAFT_PREVOTE:
    case RAFT_VOTE:
        raft__on_vote(r, m);
        break;
    case RAFT_PREVOTE_REPLY:
    case RAFT_VOTE_REPLY:
        raft__on_vote_reply(r, m);
        break;
    case RAFT_APPEND:
        raft__on_append(r, m);
        break;
    case RAFT_APPEND_REPLY:
        return raft__on_append_reply(r, m);
    case RAFT_HEARTBEAT:
        raft__on_heartbeat(r, m);
        break;
    case RAFT_HEARTBEAT_REPLY:
        raft__on_heartbeat_reply(r, m);
        break;
    case RAFT_TIMEOUT_NOW:
        raft__on_timeout_now(r, m);
        break;
    case RAFT_MESSAGE_KIND_COUNT:
        break;
    }
    return ST_OK;
}

/* ------------------------------------------------------------------ other events */

enum status
raft_may_propose(const struct raft *r, uint64_t bytes)
{
    if (r->role != RAFT_LEADER)
        return ST_NOT_LEADER;
    if (r->transfer_to != 0)
        return ST_BUSY;
    if (r->uncommitted_bytes > 0 && r->uncommitted_bytes + bytes > r->options.uncommitted_bytes_max)
        return ST_BUSY;
    return ST_OK;
}

static enum status
propose(struct raft *r, uint64_t bytes)
{
    enum status st = raft_may_propose(r, bytes);

    if (st != ST_OK)
        return st;
    raft__wake(r);
    raft__append(r);
    r->uncommitted_bytes += bytes;
    return ST_OK;
}

static void
persisted(struct raft *r, uint64_t ticket)
{
    bool hard_was_durable = raft__hard_is_durable(&r->durable);

    raft__durable_done(&r->durable, ticket);
    if (!hard_was_durable && raft__hard_is_durable(&r->durable))
        raft__election_durable(r);
    if (r->role == RAFT_LEADER)
        raft__leader_durable(r);
    else
        raft__follower_durable(r);
}

static void
applied(struct raft *r, raft_index index, uint64_t bytes)
{
    ASSERT(index >= r->applied && index <= r->commit); /* R7 */
    r->applied = index;
    r->uncommitted_bytes -= bytes < r->uncommitted_bytes ? bytes : r->uncommitted_bytes;
}

static void
tick(struct raft *r, uint32_t dice)
{
    r->dice = dice;
    if (r->quiesced)
        return;
    if (r->role == RAFT_LEADER)
        raft__leader_tick(r);
    else
        raft__election_tick(r);
}

static enum status
begin_read(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return ST_NOT_LEADER;
    raft__wake(r);
    raft__begin_round(r);
    return ST_OK;
}

static void
campaign(struct raft *r)
{
    raft__wake(r);
    if (r->role != RAFT_LEADER && raft__may_stand(r) && !raft__has_promised(r))
        raft__stand(r, false);
}

static void
silent(struct raft *r, raft_id node)
{
    struct raft_progress *p = raft__member(r, node);

    if (p != NULL && r->role == RAFT_LEADER) {
        raft__unreachable(r, node);
        p->silent = true;
        p->active = false;
        raft__snapshot_forgive(p); /* it comes back as another, or by another way */
        raft__wake(r);
        r->busy_ns =
            r->now_ns; /* it may be there again already: not to fall asleep without asking it */
    }
    if (r->leader == node && r->role == RAFT_FOLLOWER) {
        raft__wake(r);
        r->heard_ns = 0;
        r->deadline_ns = r->now_ns + r->dice % r->options.election_ns;
    }
}

/* P4.  Whoever is nearest takes over at once; the others would find out by silence. */
static void
disk_failed(struct raft *r)
{
    raft_id heir = r->role == RAFT_LEADER ? raft__nearest(r) : 0;

    r->disk_failed = true;
    raft__wake(r);
    if (BROKEN(LEAD_WITHOUT_DISK))
        return;
    if (heir != 0)
        raft__send(r, RAFT_TIMEOUT_NOW, heir);
    raft__become_follower(r, r->hard.term, 0);
}

static enum status
dispatch(struct raft *r, const struct raft_event *e)
{
    switch (e->kind) {
    case RAFT_TICK:
        tick(r, e->dice);
        break;
    case RAFT_RECEIVE:
        return receive(r, e->message);
    case RAFT_PROPOSE:
        return propose(r, e->bytes);
    case RAFT_CHANGE:
        return raft__change(r, e->config);
    case RAFT_PERSISTED:
        persisted(r, e->ticket);
        break;
    case RAFT_APPLIED:
        applied(r, e->index, e->bytes);
        break;
    case RAFT_READ:
        return begin_read(r);
    case RAFT_TRANSFER:
        return raft__transfer(r, e->node);
    case RAFT_CAMPAIGN:
        campaign(r);
        break;
    case RAFT_IMPOSE:
        return raft__impose(r, e->term, e->config);
    case RAFT_COMPACTED:
        ASSERT(e->index <= r->applied);
        raft__terms_compact(&r->terms, e->index);
        break;
    case RAFT_SNAPSHOT_SENT:
        raft__snapshot_sent(r, e->node, e->index, e->ok);
        break;
    case RAFT_SNAPSHOT_OFFER:
        raft__snapshot_offer(r, e->message);
        break;
    case RAFT_SNAPSHOT_STAGED:
        return raft__snapshot_staged(r, e);
    case RAFT_INSTALLED:
        raft__installed(r, e->ok);
        break;
    case RAFT_UNREACHABLE:
        raft__unreachable(r, e->node);
        break;
    case RAFT_SILENT:
        silent(r, e->node);
        break;
    case RAFT_DISK_FAILED:
        disk_failed(r);
        break;
    case RAFT_EVENT_KIND_COUNT:
        ASSERT(false);
    }
    return ST_OK;
}

static void
check(const struct raft *r)
{
    ASSERT(r->terms.base_index <= r->applied && r->applied <= r->commit &&
           r->commit <= r->terms.last_index);            /* R7 */
    ASSERT(r->durable.persisted <= r->terms.last_index); /* R7 */
    ASSERT(raft__terms_last(&r->terms) <= r->hard.term); /* R3 */
    ASSERT(r->role != RAFT_LEADER || r->leader == r->options.self);
}

enum status
raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *effects)
{
    enum status st;

    effects->ticket = 0;
    effects->hard_changed = false;
    effects->truncate_from = 0;
    effects->append_first = 1;
    effects->append_last = 0;
    effects->own = (struct raft_entry){ 0 };
    effects->commit_moved = effects->reads_moved = effects->role_changed = false;
    effects->install = false;
    effects->message_count = 0;

    if (event->now_ns > r->now_ns)
        r->now_ns = event->now_ns;
    r->fx = effects;
    st = dispatch(r, event);
    r->fx = NULL;
    effects->wants_room = r->terms.run_count + 1 >= r->terms.run_max;
    check(r);
    return st;
}
