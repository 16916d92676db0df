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

        if (index < r->terms.base_index)
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

static void
take_entries(struct raft *r, const struct raft_message *m)
{
    uint32_t known = count_known(r, m);
    raft_index matched = m->index + m->entry_count;

    if (known < m->entry_count) {
        raft_index first = m->index + 1 + known;

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

static bool
append_contradicts(const struct raft *r, const struct raft_message *m)
{
    raft_term term;
    uint32_t known;

    if (m->index >= r->terms.base_index && m->index <= r->commit &&
        (!raft__terms_at(&r->terms, m->index, &term) || term != m->log_term))
        return true;
    known = count_known(r, m);
    return known < m->entry_count && m->index + 1 + known <= r->commit;
}

/* A leader of this term or a later one cannot have been elected, if it says something else than what is committed
 * here (R4), leads in a term in which we do (R1), or knows of more than we have, and said that we have (R2). */
bool
raft__contradicts(const struct raft *r, const struct raft_message *m)
{
    if (m->kind != RAFT_APPEND && m->kind != RAFT_HEARTBEAT)
        return false;
    if (r->role == RAFT_LEADER && m->term == r->hard.term)
        return true;
    if (r->installing && !BROKEN(APPEND_WHILE_INSTALLING))
        return false;
    return m->kind == RAFT_APPEND ? append_contradicts(r, m) : m->commit > r->terms.last_index;
}

void
raft__on_append(struct raft *r, const struct raft_message *m)
{
    raft_index last = r->terms.last_index;
    raft_term term = 0;

    hear_leader(r, m);
    if (r->installing && !BROKEN(APPEND_WHILE_INSTALLING))
        return; /* R10 */
    if (m->index >= r->terms.base_index &&
        (!raft__terms_at(&r->terms, m->index, &term) || term != m->log_term)) {
        refuse(r, m);
        return;
    }
    take_entries(r, m);
    if (BROKEN(ACK_BEFORE_DURABLE) ||
        (r->terms.last_index == last && !m->quiet && r->fx->truncate_from == 0))
        acknowledge(r);
}

static bool
may_sleep(const struct raft *r, const struct raft_message *m)
{
    return m->quiesce && r->terms.last_index == m->commit && r->commit == m->commit &&
           r->durable.persisted == m->commit && raft__hard_is_durable(&r->durable) &&
           !r->installing;
}

void
raft__on_heartbeat(struct raft *r, const struct raft_message *m)
{
    struct raft_message *reply;

    hear_leader(r, m);
    if (!r->installing)
        raft__set_commit(r, m->commit);
    if (may_sleep(r, m)) {
        r->quiesced = true;
        return;
    }
    raft__wake(r);
    if (!raft__hard_is_durable(&r->durable))
        return; /* R2 */
    reply = raft__send(r, RAFT_HEARTBEAT_REPLY, m->from);
    reply->round = m->round;
    reply->sent_ns = m->sent_ns;
}
