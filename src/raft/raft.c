/*
 * The member: its life, and what its rules share.
 *
 *      step.c      which rule hears of which event
 *      config.c    memberships, and the history of them        pure tables
 *      terms.c     the terms of the log
 *      durable.c   what of it is durable
 *      quorum.c    majorities
 *      election.c  pre-vote, vote                              paper, 5.2, 5.4.1; thesis, 9.6
 *      follow.c    what a follower does with entries           paper, 5.3
 *      lead.c      replication, commitment, check-quorum       paper, 5.3, 5.4.2; thesis, 6.2, 10.2
 *      read.c      rounds and leases                           thesis, 6.4
 *      change.c    membership changes, transfer                thesis, 4, 3.10
 *      impose.c    a membership by order, when a majority is gone
 *      snapshot.c  log compaction                              paper, 7
 *      view.c      what others may know
 *
 *                          deadline                majority would            majority
 *      FOLLOWER ────────────────────> PRECANDIDATE ─────────> CANDIDATE ─────────> LEADER
 *         ^ ^                               │                     │                  │
 *         │ └── refused, or a leader heard ─┴─────────────────────┘                  │
 *         └───────────── a higher term; no majority heard; disk failed ──────────────┘
 *
 *      An imposed membership goes from anywhere but LEADER to CANDIDATE, and without a vote to LEADER.
 *
 * INVARIANTS
 *
 *   R1  In one term a member votes once, and the vote is durable before it is told; so there is at
 *       most one leader in a term.
 *   R2  What a message promises (a vote, an entry, to follow in a term) is durable when it is sent; a
 *       refusal promises nothing.
 *   R3  The terms of a log never run backwards; nor does the member's own term.
 *   R4  commit never runs backwards, and nothing up to it is ever cut off.
 *   R5  A leader only adds to its log.
 *   R6  The newest membership in the log is in force, committed or not; the one before is in force
 *       again when it is cut off.
 *   R7  base <= applied <= commit <= last; persisted <= last; acked <= verified.
 *   R8  A leader commits by counting only entries of its own term (figure 8).
 *   R9  A round is confirmed by answers to itself or later ones, and only once the leader knows
 *       what is committed, by an entry of its own term.
 *   R10 While a snapshot is being installed the log is nobody's: no entries, no candidacy.
 *   R11 Who has given up a log that it had acknowledged votes, and stands, as if it had it still.
 *
 * Not here, on purpose: entries, bytes, sockets, clocks, files.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#include "raft/raft_internal.h"

enum { PATIENCE_MAX = 3 /* doublings of an election timeout */ };

void
raft_options_default(struct raft_options *options)
{
    *options = (struct raft_options){
        .heartbeat_ns = 50 * UINT64_C(1000000),
        .election_ns = 300 * UINT64_C(1000000),
        .window_messages = 64,
        .window_bytes = 8 << 20,
        .message_bytes = 1 << 20,
        .uncommitted_bytes_max = 32 << 20,
        .term_run_max = 8,
    };
}

static bool
options_are_sane(const struct raft_options *o)
{
    return o->self != 0 && raft_config_is_valid(&o->config) && o->heartbeat_ns > 0 &&
           o->election_ns > o->heartbeat_ns && o->lease_percent < 100 && o->window_messages > 0 &&
           o->term_run_max >= 2 && o->hard.term >= o->base_term;
}

enum status
raft_create(struct raft **out, const struct raft_options *options)
{
    struct raft *r;

    if (!options_are_sane(options))
        return ST_INVALID;
    r = mem_alloc(sizeof(*r) + options->term_run_max * sizeof(struct raft_run));
    if (r == NULL)
        return ST_NO_MEMORY;
    memset(r, 0, sizeof(*r));
    r->options = *options;
    r->hard = options->hard;
    r->led_term = options->hard.term;
    r->now_ns = options->now_ns;
    r->dice = options->dice;
    r->terms.runs = (struct raft_run *)(r + 1);
    raft__terms_init(&r->terms, options->base_index, options->base_term, options->term_run_max);
    raft__configs_init(&r->configs, options->base_index, &options->config);
    r->durable.persisted = options->base_index;
    r->commit = options->base_index;
    r->applied = options->base_index;
    if (options->lease_percent > 0 && !options->unheard)
        r->heard_ns = options->now_ns; /* before the restart we may have promised not to vote */
    raft__members_follow(r);
    raft__reset_timer(r);
    *out = r;
    return ST_OK;
}

enum status
raft_grow(struct raft **r)
{
    uint32_t run_max = 2 * (*r)->terms.run_max;
    struct raft *grown = mem_resize(*r, sizeof(*grown) + run_max * sizeof(struct raft_run));

    if (grown == NULL)
        return ST_NO_MEMORY;
    grown->terms.runs = (struct raft_run *)(grown + 1);
    grown->terms.run_max = run_max;
    *r = grown;
    return ST_OK;
}

void
raft_destroy(struct raft *r)
{
    mem_free(r);
}

static enum status
check_restored(const struct raft *r, raft_index index, const struct raft_entry *entry)
{
    raft_term before;

    if (index <= r->commit || index > r->terms.last_index + 1)
        return ST_CORRUPT;
    if (!raft__terms_at(&r->terms, index - 1, &before) || entry->term < before)
        return ST_CORRUPT;
    if (entry->kind == RAFT_CONFIG && !raft_config_is_valid(entry->config))
        return ST_CORRUPT;
    return ST_OK;
}

enum status
raft_restore(struct raft **restored, raft_index index, const struct raft_entry *entry)
{
    struct raft *r = *restored;
    enum status st = check_restored(r, index, entry);

    if (st == ST_OK && r->terms.run_count + 1 >= r->terms.run_max)
        st = raft_grow(restored); /* one is left, for the term in which it may stand */
    if (st != ST_OK)
        return st;
    r = *restored;
    if (index <= r->terms.last_index) {
        raft__terms_truncate(&r->terms, index);
        (void)raft__configs_truncate(&r->configs, index);
    }
    raft__terms_append(&r->terms, entry->term, r->applied);
    if (entry->kind == RAFT_CONFIG)
        raft__push_config(r, index, entry->config);
    r->durable.persisted = index;
    if (entry->term > r->hard.term)
        r->hard = (struct raft_hard){ .term = entry->term };
    raft__members_follow(r);
    return ST_OK;
}

enum status
raft_restore_applied(struct raft **restored, raft_index last, raft_term term)
{
    struct raft *r = *restored;
    enum status st = ST_OK;

    ASSERT(r->terms.last_index == r->commit && last > r->commit);
    if (term < raft__terms_last(&r->terms) || term > r->hard.term)
        return ST_CORRUPT;
    if (r->terms.run_count + 1 >= r->terms.run_max)
        st = raft_grow(restored); /* as for raft_restore() */
    if (st != ST_OK)
        return st;
    r = *restored;
    raft__terms_append(&r->terms, term, r->applied);
    r->terms.last_index = last;
    r->durable.persisted = r->commit = r->applied = last;
    return ST_OK;
}

/* ------------------------------------------------------------------ shared steps */

const struct raft_config *
raft__config(const struct raft *r)
{
    return &raft__configs_newest(&r->configs)->config;
}

struct raft_progress *
raft__member(struct raft *r, raft_id id)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (r->members[i].id == id)
            return &r->members[i];
    }
    return NULL;
}

bool
raft__is_voter(const struct raft *r, raft_id id)
{
    return raft_config_votes(raft__config(r), id);
}

/* When nobody is elected in one term after another, votes and first entries take longer to become durable than we
 * wait for them; or it was bad luck, and more of the dice helps against that, too. */
void
raft__reset_timer(struct raft *r)
{
    raft_term wrote = raft__terms_last(&r->terms); /* somebody led in it */
    raft_term in_vain = r->hard.term - (wrote > r->led_term ? wrote : r->led_term);
    uint64_t election_ns = r->options.election_ns;

    if (in_vain > 1)
        election_ns <<= in_vain - 1 < PATIENCE_MAX ? in_vain - 1 : PATIENCE_MAX;
    r->deadline_ns = r->now_ns + election_ns + r->dice % election_ns;
}

uint64_t
raft__fx_ticket(struct raft *r)
{
    if (r->fx->ticket == 0)
        r->fx->ticket = raft__durable_ticket(&r->durable);
    return r->fx->ticket;
}

void
raft__set_hard(struct raft *r, raft_term term, raft_id vote)
{
    ASSERT(term >= r->hard.term); /* R3 */
    if (term == r->hard.term && vote == r->hard.vote)
        return;
    r->hard = (struct raft_hard){ .term = term, .vote = vote };
    r->fx->hard_changed = true;
    r->durable.hard_ticket = raft__fx_ticket(r);
}

void
raft__become_follower(struct raft *r, raft_term term, raft_id leader)
{
    bool new_term = term > r->hard.term;

    if (r->role == RAFT_FOLLOWER && !new_term && r->leader == leader)
        return;
    if (new_term) {
        raft__set_hard(r, term, 0);
        r->verified = 0;
        r->vote_owed = 0;
    }
    if (r->role == RAFT_LEADER) {
        r->verified = r->acked = 0;
        raft__reset_timer(r);
    }
    if (new_term || r->leader != leader) {
        r->acked = 0;
        r->flow = (struct raft_flow){ 0 };
        raft__durable_forget_flow(&r->durable);
    }
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    r->led_term = leader != 0 ? term : r->led_term;
    r->votes_owed = false;
    r->imposes = false;
    r->transfer_to = 0;
    r->uncommitted_bytes = 0;
    r->fx->role_changed = true;
}

/* Its leader had seen the one before committed. */
void
raft__push_config(struct raft *r, raft_index index, const struct raft_config *config)
{
    raft_index before = raft__configs_newest(&r->configs)->index;

    raft__configs_push(&r->configs, index, config); /* R6 */
    if (before > r->commit) {
        r->commit = before;
        if (r->fx != NULL)
            r->fx->commit_moved = true;
    }
}

void
raft__members_follow(struct raft *r)
{
    struct raft_progress old[RAFT_MEMBERS_MAX];
    raft_id ids[RAFT_MEMBERS_MAX];
    uint32_t old_count = r->member_count;
    uint32_t count = raft__config_members(raft__config(r), ids);

    memcpy(old, r->members, old_count * sizeof(old[0]));
    r->member_count = count;
    for (uint32_t i = 0; i < count; i++) {
        r->members[i] =
            (struct raft_progress){ .id = ids[i], .active = true, .next = r->terms.last_index + 1 };
        for (uint32_t j = 0; j < old_count; j++) {
            if (old[j].id == ids[i])
                r->members[i] = old[j];
        }
    }
    r->append_turn = r->snapshot_turn = 0;
}

struct raft_message *
raft__send(struct raft *r, enum raft_message_kind kind, raft_id to)
{
    struct raft_message *m;

    ASSERT(to != r->options.self && r->fx->message_count < RAFT_MESSAGES_MAX);
    m = &r->fx->messages[r->fx->message_count++];
    *m = (struct raft_message){
        .kind = kind, .from = r->options.self, .to = to, .term = r->hard.term
    };
    return m;
}

/* The next entry of our term, whoever made it. */
void
raft__append(struct raft *r)
{
    uint64_t ticket = raft__fx_ticket(r);

    raft__terms_append(&r->terms, r->hard.term, r->applied);
    raft__durable_add(&r->durable, ticket, r->terms.last_index, (struct raft_flow){ 0 });
    r->fx->append_first = r->fx->append_last = r->terms.last_index;
    r->busy_ns = r->now_ns;
}

void
raft__append_own(struct raft *r, enum raft_entry_kind kind, const struct raft_config *config)
{
    ASSERT(r->role == RAFT_LEADER && r->fx->append_first > r->fx->append_last);
    raft__append(r);
    r->fx->own = (struct raft_entry){ .term = r->hard.term, .kind = kind };
    if (kind != RAFT_CONFIG)
        return;
    raft__configs_push(&r->configs, r->terms.last_index, config); /* R6 */
    r->fx->own.config = raft__config(r);
    raft__members_follow(r);
}

void
raft__set_commit(struct raft *r, raft_index commit)
{
    raft_index before = r->commit;

    ASSERT(commit <= r->terms.last_index);
    if (commit <= r->commit)
        return; /* R4 */
    r->commit = commit;
    r->fx->commit_moved = true;
    r->busy_ns = r->now_ns;
    if (r->role == RAFT_LEADER) {
        raft__confirm_rounds(r);
        raft__ask_round_again(r, before);
        raft__config_committed(r);
    }
}

/* The driver has watched the nodes meanwhile: the leader's is alive. */
void
raft__wake(struct raft *r)
{
    if (!r->quiesced)
        return;
    r->quiesced = false;
    r->busy_ns = r->now_ns;
    r->heartbeat_at_ns = r->now_ns;
    r->quorum_at_ns = r->now_ns + r->options.election_ns;
    if (r->leader != 0)
        r->heard_ns = r->now_ns;
    raft__reset_timer(r);
}
