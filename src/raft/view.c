/* Looking at a member. */
#include "raft/raft_internal.h"
#include "raft/witness.h"

enum raft_role
raft_role(const struct raft *r)
{
    return r->role;
}

raft_id
raft_self(const struct raft *r)
{
    return r->options.self;
}

raft_id
raft_leader(const struct raft *r)
{
    return r->leader;
}

struct raft_hard
raft_hard(const struct raft *r)
{
    return r->hard;
}

raft_index
raft_last(const struct raft *r)
{
    return r->terms.last_index;
}

raft_index
raft_base(const struct raft *r)
{
    return r->terms.base_index;
}

raft_index
raft_commit(const struct raft *r)
{
    return r->commit;
}

raft_index
raft_persisted(const struct raft *r)
{
    return r->durable.persisted;
}

raft_index
raft_applicable(const struct raft *r)
{
    return r->commit < r->durable.persisted ? r->commit : r->durable.persisted;
}

raft_index
raft_term_first(const struct raft *r)
{
    return r->term_first;
}

enum status
raft_term_at(const struct raft *r, raft_index index, raft_term *out)
{
    return raft__terms_at(&r->terms, index, out) ? ST_OK : ST_NOT_FOUND;
}

const struct raft_config *
raft_config(const struct raft *r)
{
    return raft__config(r);
}

raft_index
raft_config_index(const struct raft *r)
{
    return raft__configs_newest(&r->configs)->index;
}

uint64_t
raft_round(const struct raft *r)
{
    return r->round;
}

uint64_t
raft_confirmed_round(const struct raft *r)
{
    return r->confirmed;
}

bool
raft_is_quiesced(const struct raft *r)
{
    return r->quiesced;
}

static bool
is_active(const struct raft *r, const struct raft_progress *p)
{
    return p->heard_ns != 0 && !p->silent && r->now_ns < p->heard_ns + r->options.election_ns;
}

raft_index
raft_wanted_from(const struct raft *r)
{
    raft_index from = r->terms.last_index + 1;

    for (uint32_t i = 0; i < r->member_count && r->role == RAFT_LEADER; i++) {
        const struct raft_progress *p = &r->members[i];

        if (p->id != r->options.self && p->state == RAFT_REPLICATE && is_active(r, p) &&
            p->match + 1 < from)
            from = p->match + 1;
    }
    return from;
}

enum status
raft_progress_of(const struct raft *r, raft_id id, struct raft_progress_view *out)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct raft_progress *p = &r->members[i];

        if (p->id != id)
            continue;
        *out = (struct raft_progress_view){
            .state = p->state,
            .match = p->match,
            .next = p->next,
            .active = is_active(r, p),
        };
        if (id == r->options.self) {
            out->match = r->durable.persisted;
            out->next = r->terms.last_index + 1;
            out->active = true;
        }
        return ST_OK;
    }
    return ST_NOT_FOUND;
}

const char *
raft_role_name(enum raft_role role)
{
    static const char *const names[RAFT_ROLE_COUNT] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRECANDIDATE] = "precandidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };

    return names[role];
}

const char *
raft_message_name(enum raft_message_kind kind)
{
    static const char *const names[RAFT_MESSAGE_KIND_COUNT] = {
        [RAFT_PREVOTE] = "prevote",
        [RAFT_PREVOTE_REPLY] = "prevote-reply",
        [RAFT_VOTE] = "vote",
        [RAFT_VOTE_REPLY] = "vote-reply",
        [RAFT_APPEND] = "append",
        [RAFT_APPEND_REPLY] = "append-reply",
        [RAFT_HEARTBEAT] = "heartbeat",
        [RAFT_HEARTBEAT_REPLY] = "heartbeat-reply",
        [RAFT_TIMEOUT_NOW] = "timeout-now",
    };

    return names[kind];
}

/* ------------------------------------------------------------------ for a witness */

/* The figures themselves, not what the rules make of them, nor the functions that the rules use: these are
 * what is doubted. */
static uint64_t
durable_of(const struct raft *r, const struct raft_progress *p)
{
    return p->id == r->options.self ? r->durable.persisted : p->match;
}

static uint64_t
heard_of(const struct raft *r, const struct raft_progress *p)
{
    return p->id == r->options.self || p->heard_ns == 0 ? UINT64_MAX : p->heard_ns;
}

static uint64_t
value_of(const struct raft *r, raft_id id, raft__value_fn *value)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (r->members[i].id == id)
            return value(r, &r->members[i]);
    }
    return 0;
}

/* The most that more than half of them have. */
static uint64_t
most_have(const struct raft *r, const raft_id *ids, uint32_t count, raft__value_fn *value)
{
    uint64_t values[RAFT_VOTERS_MAX];
    uint64_t most = 0;

    for (uint32_t i = 0; i < count; i++)
        values[i] = value_of(r, ids[i], value);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t have = 0;

        for (uint32_t k = 0; k < count; k++)
            have += values[k] >= values[i];
        if (2 * have > count && values[i] > most)
            most = values[i];
    }
    return most;
}

static uint64_t
voters_have(const struct raft *r, raft__value_fn *value)
{
    const struct raft_config *c = raft__config(r);
    uint64_t now = most_have(r, c->voters, c->voter_count, value);
    uint64_t before =
        c->outgoing_count == 0 ? now : most_have(r, c->outgoing, c->outgoing_count, value);

    return before < now ? before : now;
}

struct witness_view
raft_view(const struct raft *r, uint64_t life)
{
    bool leads = r->role == RAFT_LEADER;

    return (struct witness_view){
        .member = r->options.self,
        .life = life,
        .hard = r->hard,
        .hard_is_durable = raft__hard_is_durable(&r->durable),
        .disk_failed = r->disk_failed,
        .role = r->role,
        .commit = r->commit,
        .base = r->terms.base_index,
        .base_term = r->terms.base_term,
        .last = r->terms.last_index,
        .runs = r->terms.runs,
        .run_count = r->terms.run_count,
        .config = raft__configs_newest(&r->configs)->index,
        .installing = r->installing ? r->install_index : 0,
        .imposed = leads && r->by_order ? r->term_first : 0,
        .quorum = leads ? voters_have(r, durable_of) : 0,
        .confirmed = r->confirmed,
        .checked_ns = r->checked_ns,
        .heard_ns = leads ? voters_have(r, heard_of) : 0,
    };
}
