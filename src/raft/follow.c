/*
 * A follower and the leader's entries (paper, 5.3).
 *
 *      verified   our log matches the leader's up to here: said by an append of this term
 *      persisted  durable
 *      acked      the lesser of the two, when it was last told
 *
 * What is told is worked out when it is told, from these; so nothing old can be said (R2).
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

static void
hear_leader(struct raft *r, const struct raft_message *m)
{
    raft__become_follower(r, m->term, m->from);
    r->heard_ns = r->now_ns;
    raft__reset_timer(r);
}

static raft_index
durable_match(const struct raft *r)
{
    if (BROKEN(ACK_BEFORE_DURABLE))
        return r->verified;
    return r->verified < r->durable.persisted ? r->verified : r->durable.persisted;
}

static void
acknowledge(struct raft *r)
{
    struct raft_message *reply;

    if (!raft__hard_is_durable(&r->durable))
        return; /* R2: it will be, and then this is said */
    reply = raft__send(r, RAFT_APPEND_REPLY, r->leader);
    reply->index = r->acked = durable_match(r);
    reply->hint = r->verified;
    reply->flow = r->durable.count > 0 ? r->durable.flow : r->flow;
}

void
raft__follower_durable(struct raft *r)
{
    if (r->role == RAFT_FOLLOWER && r->leader != 0 && !r->installing && durable_match(r) > r->acked)
        acknowledge(r);
}

/* How many of the entries are in our log already. */
static uint32_t
count_known(const struct raft *r, const struct raft_message *m)
{
    for (uint32_t i = 0; i < m->entry_count; i++) {
        raft_index index = m->index + 1 + i;
        raft_term term;

        if (index <= r->terms.base_index)
            continue;
        if (!raft__terms_at(&r->terms, index, &term))
            return i;
        if (term != m->entries[i].term && !BROKEN(KEEP_CONFLICT))
            return i;
        if (BROKEN(TRUNCATE_MATCHING) && index > r->commit)
            return i;
    }
    return m->entry_count;
}

static void
cut_from(struct raft *r, raft_index index)
{
    ASSERT(index > r->commit); /* R4 */
    raft__terms_truncate(&r->terms, index);
    raft__durable_truncate(&r->durable, index);
    r->fx->truncate_from = index;
    (void)raft__fx_ticket(r);
    if (raft__configs_truncate(&r->configs, index))
        raft__members_follow(r); /* R6 */
}

/* Take the entries from number `i` on, as many as there is room for. */
static raft_index
take(struct raft *r, const struct raft_message *m, uint32_t i)
{
    raft_index first = m->index + 1 + i;
    bool changed = false;

    for (; i < m->entry_count && raft__terms_room(&r->terms, m->entries[i].term, r->applied); i++) {
        raft__terms_append(&r->terms, m->entries[i].term, r->applied);
        if (m->entries[i].kind != RAFT_CONFIG)
            continue;
        raft__push_config(r, r->terms.last_index, m->entries[i].config);
        changed = true;
    }
    if (changed)
        raft__members_follow(r);
    r->fx->append_first = first;
    r->fx->append_last = r->terms.last_index;
    if (r->terms.last_index >= first)
        raft__durable_add(&r->durable, raft__fx_ticket(r), r->terms.last_index, m->flow);
    return r->terms.last_index;
}

static enum status
take_entries(struct raft *r, const struct raft_message *m)
{
    uint32_t known = count_known(r, m);
    raft_index matched = m->index + m->entry_count;

    if (known < m->entry_count) {
        raft_index first = m->index + 1 + known;

        if (first <= r->commit)
            return ST_CORRUPT; /* R4: such a leader cannot have been elected */
        if (first <= r->terms.last_index)
            cut_from(r, first);
        matched = take(r, m, known);
    }
    r->flow = m->flow;
    if (matched > r->verified)
        r->verified = matched;
    if (BROKEN(COMMIT_BEYOND_MATCH))
        matched = r->terms.last_index;
    raft__set_commit(r, m->commit < matched ? m->commit : matched);
    return ST_OK;
}

/* Where the leader may try next: paper, end of 5.3, but by terms, so that one exchange skips all
 * entries of a term that the leader does not have. */
static void
refuse(struct raft *r, const struct raft_message *m)
{
    struct raft_message *reply = raft__send(r, RAFT_APPEND_REPLY, m->from);

    reply->reject = true;
    reply->index = m->index;
    reply->hint = raft__terms_find_below(&r->terms, m->index, m->log_term, &reply->hint_term);
}

enum status
raft__on_append(struct raft *r, const struct raft_message *m)
{
    raft_index last = r->terms.last_index;
    raft_term term = 0;
    bool matches;
    enum status st;

    if (r->role == RAFT_LEADER)
        return ST_CORRUPT; /* R1: two leaders in one term */
    hear_leader(r, m);
    if (r->installing && !BROKEN(APPEND_WHILE_INSTALLING))
        return ST_OK; /* R10 */
    matches = m->index < r->terms.base_index ||
              (raft__terms_at(&r->terms, m->index, &term) && term == m->log_term);
    if (!matches && m->index <= r->commit)
        return ST_CORRUPT; /* R4 */
    if (!matches) {
        refuse(r, m);
        return ST_OK;
    }
    st = take_entries(r, m);
    if (st == ST_OK && r->terms.last_index == last && !m->quiet && r->fx->truncate_from == 0)
        acknowledge(r);
    else if (BROKEN(ACK_BEFORE_DURABLE))
        acknowledge(r);
    return st;
}

static bool
may_sleep(const struct raft *r, const struct raft_message *m)
{
    return m->quiesce && r->terms.last_index == m->commit && r->commit == m->commit &&
           r->durable.persisted == m->commit && raft__hard_is_durable(&r->durable) &&
           !r->installing;
}

enum status
raft__on_heartbeat(struct raft *r, const struct raft_message *m)
{
    struct raft_message *reply;

    if (r->role == RAFT_LEADER)
        return ST_CORRUPT; /* R1 */
    hear_leader(r, m);
    if (!r->installing && m->commit > r->terms.last_index)
        return ST_CORRUPT; /* R2: we had said that we have these entries */
    if (!r->installing)
        raft__set_commit(r, m->commit);
    if (may_sleep(r, m)) {
        r->quiesced = true;
        return ST_OK;
    }
    raft__wake(r);
    if (!raft__hard_is_durable(&r->durable))
        return ST_OK; /* R2 */
    reply = raft__send(r, RAFT_HEARTBEAT_REPLY, m->from);
    reply->round = m->round;
    reply->sent_ns = m->sent_ns;
    return ST_OK;
}
