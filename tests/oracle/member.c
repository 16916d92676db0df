#include "oracle/member.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { MS = 1000000 };

void
member_options(struct raft_options *out)
{
    raft_options_default(out);
    out->heartbeat_ns = (uint64_t)MEMBER_HEARTBEAT_MS * MS;
    out->election_ns = (uint64_t)MEMBER_ELECTION_MS * MS;
    out->lease_percent = 0;
    out->term_run_max = 64; /* nobody grows it */
    out->now_ns = 1000 * (uint64_t)MS;
}

void
member_create(struct member *m, const struct raft_options *options, const raft_term *terms,
              uint32_t count)
{
    enum status st;

    memset(m, 0, sizeof(*m));
    st = raft_create(&m->raft, options);
    ASSERT(st == ST_OK);
    m->now_ns = options->now_ns;
    m->base = m->applied = options->base_index;
    for (uint32_t i = 0; i < count; i++) {
        m->log[i].term = terms[i];
        st = raft_restore(&m->raft, m->base + 1 + i,
                          &(struct raft_entry){ .term = terms[i], .kind = RAFT_DATA });
        ASSERT(st == ST_OK);
    }
}

void
member_destroy(struct member *m)
{
    raft_destroy(m->raft);
}

raft_term
member_term_at(const struct member *m, raft_index index)
{
    raft_term term;

    return raft_term_at(m->raft, index, &term) == ST_OK ? term : 0;
}

void
member_wait(struct member *m, uint32_t ms)
{
    m->now_ns += (uint64_t)ms * MS;
}

static void
keep_entries(struct member *m, const struct raft_event *e, const struct oracle_entry *entries)
{
    for (raft_index i = m->fx.append_first; i <= m->fx.append_last; i++) {
        struct oracle_entry *to = &m->log[i - m->base - 1];

        ASSERT(i - m->base <= VIEW_LOG_MAX);
        if (e->kind == RAFT_RECEIVE && e->message->kind == RAFT_APPEND)
            *to = entries[i - e->message->index - 1];
        else
            *to = (struct oracle_entry){ .term = raft_hard(m->raft).term };
    }
}

/* R2: a vote is told, and asked for, when it is durable; an entry is acknowledged, and counted, too. */
static bool
is_early(const struct member *m)
{
    const struct raft *r = m->raft;
    const struct raft_config *c = raft_config(r);

    for (uint32_t i = 0; i < m->fx.message_count; i++) {
        const struct raft_message *said = &m->fx.messages[i];
        bool is_vote = said->kind == RAFT_VOTE || (said->kind == RAFT_VOTE_REPLY && !said->reject);

        if (is_vote && m->fx.hard_changed)
            return true;
        if (said->kind == RAFT_APPEND_REPLY && !said->reject && said->index > raft_persisted(r))
            return true;
    }
    return raft_role(r) == RAFT_LEADER && c->voter_count == 1 && c->outgoing_count == 0 &&
           c->voters[0] == raft_self(r) && raft_commit(r) > raft_persisted(r);
}

static enum status
one_step(struct member *m, const struct raft_event *e, struct view *out)
{
    enum status st = raft_step(m->raft, e, &m->fx);

    for (uint32_t i = 0; i < m->fx.message_count; i++)
        view_decide(out, &m->fx.messages[i]);
    out->early |= is_early(m);
    return st;
}

static void
persist_and_apply(struct member *m, struct view *decided)
{
    while (m->fx.ticket != 0) {
        struct raft_event e = { .kind = RAFT_PERSISTED,
                                .now_ns = m->now_ns,
                                .ticket = m->fx.ticket };

        (void)one_step(m, &e, decided);
        keep_entries(m, &e, NULL);
    }
    m->applied = raft_applicable(m->raft);
    (void)one_step(
        m, &(struct raft_event){ .kind = RAFT_APPLIED, .now_ns = m->now_ns, .index = m->applied },
        decided);
}

static void
look(struct member *m, enum status st, const struct view *decided, struct view *out)
{
    view_of(out, m->raft);
    out->early = decided->early;
    out->done = st == ST_OK;
    out->broke = st == ST_CORRUPT;
    out->decision_count = decided->decision_count;
    memcpy(out->decisions, decided->decisions, sizeof(decided->decisions));
    view_sort(out);
}

void
member_step(struct member *m, struct raft_event event, const struct oracle_entry *entries,
            struct view *out)
{
    struct view decided = { .decision_count = 0 };
    enum status st;

    event.now_ns = m->now_ns;
    st = one_step(m, &event, &decided);
    keep_entries(m, &event, entries);
    persist_and_apply(m, &decided);
    look(m, st, &decided, out);
}

void
member_snapshot(struct member *m, const struct raft_message *offer,
                const struct raft_config *config, const struct oracle_entry *entries,
                struct view *out)
{
    struct view decided = { .decision_count = 0 };
    struct raft_event e = { .kind = RAFT_SNAPSHOT_OFFER, .now_ns = m->now_ns, .message = offer };
    enum status st = one_step(m, &e, &decided);

    persist_and_apply(m, &decided);
    if (offer->term == raft_hard(m->raft).term) { /* the driver takes none of an old leader */
        e = (struct raft_event){ .kind = RAFT_SNAPSHOT_STAGED,
                                 .now_ns = m->now_ns,
                                 .index = offer->index,
                                 .term = offer->log_term,
                                 .config = config };
        st = one_step(m, &e, &decided);
    }
    if (st == ST_OK && m->fx.install) {
        memcpy(m->log, entries, (offer->index - m->base) * sizeof(entries[0]));
        e = (struct raft_event){ .kind = RAFT_INSTALLED, .now_ns = m->now_ns, .ok = true };
        st = one_step(m, &e, &decided);
    }
    persist_and_apply(m, &decided);
    look(m, st, &decided, out);
}

/* ------------------------------------------------------------------ changes */

static void
take_out(raft_id *ids, uint32_t *count, raft_id id)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < *count; i++) {
        if (ids[i] != id)
            ids[kept++] = ids[i];
    }
    *count = kept;
}

static void
put_in(raft_id *ids, uint32_t *count, raft_id id)
{
    uint32_t at = (*count)++;

    for (; at > 0 && ids[at - 1] > id; at--)
        ids[at] = ids[at - 1];
    ids[at] = id;
}

bool
member_target(const struct raft_config *now, const char *change, struct raft_config *out)
{
    const char *at = change;

    *out = *now;
    out->outgoing_count = 0;
    while (*at != '\0') {
        char kind = *at++;
        char *end;
        raft_id id = strtoull(at, &end, 10);

        take_out(out->voters, &out->voter_count, id);
        take_out(out->learners, &out->learner_count, id);
        if (kind == 'v')
            put_in(out->voters, &out->voter_count, id);
        else if (kind == 'l')
            put_in(out->learners, &out->learner_count, id);
        at = *end == '+' ? end + 1 : end;
    }
    return raft_config_is_valid(out) && !raft_config_equal(out, now);
}
