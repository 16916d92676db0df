/*
 * The leader: replication to each member, and what of it is committed.
 *
 *      PROBE      where the logs meet is not known: one append at a time
 *      REPLICATE  it is: appends follow each other without waiting, within the window
 *      SNAPSHOT   what it needs is no longer in the log
 *
 *                     accepted
 *           PROBE ───────────────> REPLICATE
 *           │  ^ <─ refused, lost ──┘
 *           │  └─ sent ──┐
 *           └────> SNAPSHOT     next <= base
 *
 * What is committed is told with the next entries, or the next heartbeat: nobody waits for it but who reads
 * what may be stale, and a message of its own for each write would be a third of all messages.
 *
 * The leader's own entries are written while they are sent (thesis, 10.2.1); it counts itself when
 * they are durable, like any other member.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

static bool
is_self(const struct raft *r, const struct raft_progress *p)
{
    return p->id == r->options.self;
}

static void
probe_from(struct raft_progress *p, raft_index next)
{
    p->state = RAFT_PROBE;
    p->next = next;
    p->paused = p->nudge = p->snapshot_begun = false;
    p->acked = p->sent; /* nothing is under way that we would wait for */
}

void
raft__become_leader(struct raft *r)
{
    ASSERT(r->hard.vote == r->options.self);
    r->role = RAFT_LEADER;
    r->leader = r->options.self;
    r->led_term = r->hard.term;
    r->transfer_to = 0;
    r->handed_over = false;
    r->uncommitted_bytes = 0;
    r->term_first = r->terms.last_index + 1;
    r->by_order = r->imposes;
    r->imposes = false;
    r->round++; /* so that no answer to an earlier term's is taken for one to this */
    r->heartbeat_at_ns = r->now_ns + r->options.heartbeat_ns;
    r->quorum_at_ns = r->now_ns + r->options.election_ns;
    r->checked_ns = r->now_ns;
    r->fx->role_changed = true;
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct raft_progress *p = &r->members[i];

        *p = (struct raft_progress){ .id = p->id, .next = r->term_first };
        probe_from(p, r->term_first);
    }
    if (BROKEN(NO_NOOP)) {
        r->busy_ns = r->now_ns;
        return;
    }
    if (r->by_order)
        raft__append_own(r, RAFT_CONFIG, &r->imposed_config);
    else
        raft__append_own(r, RAFT_NOOP, NULL);
}

/* ------------------------------------------------------------------ commitment */

static uint64_t
match_of(const struct raft *r, const struct raft_progress *p)
{
    if (!is_self(r, p))
        return p->match;
    return BROKEN(LEADER_COUNTS_EARLY) ? r->terms.last_index : r->durable.persisted;
}

void
raft__advance_commit(struct raft *r)
{
    raft_index index = raft__quorum_value(r, match_of);
    raft_term term = 0;

    if (index <= r->commit)
        return;
    if (BROKEN(COMMIT_ONLY_NEWEST) && index != r->terms.last_index)
        return;
    if (!raft__terms_at(&r->terms, index, &term))
        return;
    if (term == r->hard.term || BROKEN(COMMIT_OLD_TERM)) /* R8 */
        raft__set_commit(r, index);
}

void
raft__leader_durable(struct raft *r)
{
    raft__advance_commit(r);
}

/* ------------------------------------------------------------------ replies */

static void
hear(const struct raft *r, struct raft_progress *p)
{
    p->active = true;
    p->silent = false;
    p->heard_ns = r->now_ns;
}

/* The logs do not meet where we thought. */
static void
on_refusal(struct raft *r, struct raft_progress *p, const struct raft_message *m)
{
    raft_term term;
    raft_index next;

    if (p->state == RAFT_SNAPSHOT || m->index <= p->match)
        return; /* of long ago */
    if (p->state == RAFT_REPLICATE) {
        probe_from(p, p->match + 1);
        return;
    }
    if (m->index != p->next - 1)
        return;
    next = raft__terms_find_below(&r->terms, m->hint, m->hint_term, &term) + 1;
    if (next > m->index)
        next = m->index;
    probe_from(p, next > p->match ? next : p->match + 1);
}

/* It has received everything up to `received`. */
static void
on_progress(struct raft *r, struct raft_progress *p, raft_index received)
{
    if (p->state == RAFT_SNAPSHOT && p->match < r->terms.base_index)
        return;
    if (p->state != RAFT_REPLICATE) {
        if (p->state == RAFT_PROBE && received + 1 < p->next)
            return; /* of an earlier probe */
        probe_from(p, (received > p->match ? received : p->match) + 1);
        p->state = RAFT_REPLICATE;
    }
    if (p->next <= p->match)
        p->next = p->match + 1;
}

/* The first entry of our term was committed before it had that: it is told so at once.  Whoever led before may have
 * proposed what that decides, and its clients wait for an answer. */
static void
tell_late(const struct raft *r, struct raft_progress *p, raft_index match_before)
{
    if (match_before < r->term_first && p->match >= r->term_first && r->commit >= r->term_first)
        p->nudge = true;
}

enum status
raft__on_append_reply(struct raft *r, const struct raft_message *m)
{
    struct raft_progress *p = raft__member(r, m->from);
    raft_index before;

    if (r->role != RAFT_LEADER || p == NULL)
        return ST_OK;
    if (!m->reject && (m->index > r->terms.last_index || m->hint > r->terms.last_index))
        return ST_CORRUPT; /* nobody has entries of ours that we do not have (R5) */
    hear(r, p);
    if (m->reject) {
        on_refusal(r, p, m);
        return ST_OK;
    }
    if (m->flow.messages > p->acked.messages && m->flow.messages <= p->sent.messages)
        p->acked = m->flow;
    before = p->match;
    if (m->index > p->match)
        p->match = m->index;
    on_progress(r, p, m->hint > m->index ? m->hint : m->index);
    tell_late(r, p, before);
    raft__advance_commit(r);
    raft__transfer_step(r, p);
    return ST_OK;
}

void
raft__on_heartbeat_reply(struct raft *r, const struct raft_message *m)
{
    struct raft_progress *p = raft__member(r, m->from);

    if (r->role != RAFT_LEADER || p == NULL)
        return;
    hear(r, p);
    if (m->round > p->round && m->round <= r->round)
        p->round = m->round;
    if (BROKEN(LEASE_FROM_REPLY))
        p->sent_ns = r->now_ns;
    if (m->sent_ns > p->sent_ns && m->sent_ns <= r->now_ns)
        p->sent_ns = m->sent_ns;
    p->paused = false;
    p->nudge = p->match < r->terms.last_index; /* what was sent last may have been lost */
    raft__confirm_rounds(r);
}

void
raft__unreachable(struct raft *r, raft_id node)
{
    struct raft_progress *p = raft__member(r, node);

    if (r->role != RAFT_LEADER || p == NULL || p->state != RAFT_REPLICATE ||
        p->match == r->terms.last_index)
        return; /* with everything durable there, nothing that may be lost is under way */
    probe_from(p, p->match + 1);
}

/* ------------------------------------------------------------------ time */

void
raft__broadcast_heartbeat(struct raft *r, bool quiesce)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct raft_progress *p = &r->members[i];
        struct raft_message *m;

        p->blocked = false;
        if (is_self(r, p) || (quiesce && p->silent))
            continue;
        m = raft__send(r, RAFT_HEARTBEAT, p->id);
        m->commit = p->match < r->commit ? p->match : r->commit; /* its log matches no further */
        m->round = r->round;
        m->sent_ns = r->now_ns;
        m->quiesce = quiesce;
    }
    r->heartbeat_at_ns = r->now_ns + r->options.heartbeat_ns;
}

/* Everything is said: nothing is in flight, and everybody whose node lives has all that is committed, as the
 * heartbeat that sends them to sleep says. */
static bool
may_sleep(const struct raft *r)
{
    if (r->commit != r->terms.last_index || r->applied != r->commit ||
        r->durable.persisted != r->commit || r->confirmed != r->round || r->transfer_to != 0 ||
        r->now_ns < r->busy_ns + r->options.election_ns)
        return false;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct raft_progress *p = &r->members[i];

        if (!is_self(r, p) && !p->silent && (p->state != RAFT_REPLICATE || p->match != r->commit))
            return false;
    }
    return true;
}

/* Thesis, 6.2: who hears no majority for an election timeout leads nobody. */
static bool
check_quorum(struct raft *r)
{
    bool active = raft__quorum_active(r) || BROKEN(IGNORE_QUORUM_LOSS);

    r->quorum_at_ns = r->now_ns + r->options.election_ns;
    r->checked_ns = r->now_ns;
    for (uint32_t i = 0; i < r->member_count; i++)
        r->members[i].active = false;
    if (!active)
        raft__become_follower(r, r->hard.term, 0);
    return active;
}

void
raft__leader_tick(struct raft *r)
{
    if (r->now_ns >= r->quorum_at_ns && !check_quorum(r))
        return;
    if (r->transfer_to != 0 && r->now_ns >= r->transfer_until_ns)
        r->transfer_to = 0;
    if (r->now_ns < r->heartbeat_at_ns)
        return;
    if (may_sleep(r)) {
        raft__broadcast_heartbeat(r, true);
        r->quiesced = true;
        return;
    }
    raft__broadcast_heartbeat(r, false);
}

/* ------------------------------------------------------------------ sending entries */

static bool
window_is_open(const struct raft *r, const struct raft_progress *p)
{
    return p->sent.messages - p->acked.messages < r->options.window_messages &&
           (p->sent.bytes - p->acked.bytes < r->options.window_bytes ||
            p->sent.bytes == p->acked.bytes);
}

/* What it needs first is no longer in the log. */
static bool
turn_to_snapshot(struct raft *r, struct raft_progress *p)
{
    if (p->next > r->terms.base_index)
        return false;
    p->state = RAFT_SNAPSHOT;
    p->snapshot_begun = false;
    return true;
}

static bool
wants_append(struct raft *r, struct raft_progress *p, bool *with_entries)
{
    bool more = p->next <= r->terms.last_index;

    *with_entries = false;
    if (is_self(r, p) || p->blocked || p->silent || p->state == RAFT_SNAPSHOT)
        return false;
    if (p->state == RAFT_PROBE) {
        if (p->paused || p->match == r->terms.last_index || turn_to_snapshot(r, p))
            return false;
        *with_entries = more;
        return true;
    }
    if (more && turn_to_snapshot(r, p))
        return false;
    *with_entries = more && window_is_open(r, p);
    return *with_entries || p->nudge;
}

static void
fill_append(const struct raft *r, const struct raft_progress *p, bool with_entries,
            struct raft_append *out)
{
    uint64_t in_flight = p->sent.bytes - p->acked.bytes;
    uint64_t room = in_flight < r->options.window_bytes ? r->options.window_bytes - in_flight : 0;
    bool known;

    *out = (struct raft_append){
        .message = {
            .kind = RAFT_APPEND,
            .from = r->options.self,
            .to = p->id,
            .term = r->hard.term,
            .index = p->next - 1,
            .commit = r->commit,
            .flow = { .messages = p->sent.messages + 1, .bytes = p->sent.bytes },
        },
        .first = p->next,
        .last = with_entries ? r->terms.last_index : p->next - 1,
        .bytes_max = room < r->options.message_bytes ? room : r->options.message_bytes,
    };
    known = raft__terms_at(&r->terms, p->next - 1, &out->message.log_term);
    ASSERT(known);
}

bool
raft_next_append(struct raft *r, struct raft_append *out)
{
    if (r->role != RAFT_LEADER || r->quiesced)
        return false;
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct raft_progress *p = &r->members[r->append_turn];
        bool with_entries;

        if (wants_append(r, p, &with_entries)) {
            fill_append(r, p, with_entries, out);
            return true;
        }
        r->append_turn = (r->append_turn + 1) % r->member_count;
    }
    return false;
}

void
raft_sent(struct raft *r, const struct raft_append *append, raft_index last, uint64_t bytes)
{
    struct raft_progress *p = raft__member(r, append->message.to);

    if (p == NULL || r->role != RAFT_LEADER || r->hard.term != append->message.term)
        return; /* it took its time */
    ASSERT(last + 1 >= append->first && last <= append->last);
    p->nudge = false;
    p->sent =
        (struct raft_flow){ .messages = p->sent.messages + 1, .bytes = p->sent.bytes + bytes };
    if (p->state == RAFT_PROBE)
        p->paused = true;
    else if (p->state == RAFT_REPLICATE && p->next == append->first)
        p->next = last + 1;
    r->append_turn = (r->append_turn + 1) % r->member_count;
}

void
raft_not_sent(struct raft *r, const struct raft_append *append)
{
    struct raft_progress *p = raft__member(r, append->message.to);

    if (p != NULL)
        p->blocked = true;
    r->append_turn = (r->append_turn + 1) % r->member_count;
}

void
raft_can_send(struct raft *r, raft_id node)
{
    struct raft_progress *p = raft__member(r, node);

    if (p != NULL)
        p->blocked = false;
}

static bool
wants_snapshot(const struct raft *r, const struct raft_progress *p)
{
    return p->state == RAFT_SNAPSHOT && !p->snapshot_begun && !p->silent && !is_self(r, p) &&
           r->now_ns >= p->snapshot_at_ns;
}

raft_id
raft_next_snapshot(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct raft_progress *p = &r->members[r->snapshot_turn];

        r->snapshot_turn = (r->snapshot_turn + 1) % r->member_count;
        if (!wants_snapshot(r, p))
            continue;
        p->snapshot_begun = true;
        return p->id;
    }
    return 0;
}
