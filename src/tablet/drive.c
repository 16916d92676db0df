/*
 * Driving consensus: raft says what is to be done, the log, the tail and the network do it.  Here is the
 * way into the log and out of it; what a step of raft entails is carried out in effects.c.
 *
 *      propose ─> log ─> raft ─> tail            an entry of ours: the log first, for it may have no room
 *      raft ─> tail ─> log                       an entry of raft's, or of a leader elsewhere: it waits
 *                                                in the tail for room
 *      log durable ─> raft ─> commit ─> apply
 *
 * Entries and the hard state go into the log in the order of their tickets; `given` and
 * `head_owed` say what has still to go.  In a group of one an entry of a weaker class counts as
 * durable when it is written to the operating system; the hard state never does.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

enum { CHARGED_BYTES_MIN = 64 << 10 };

uint64_t
tablet__boot_ns(const struct tablet *t)
{
    return t->serves ? loop_now_ns(t->loop) : env_boot_ns(engine_env(t->engine));
}

/* A large entry lies here and in what the log gathers; of small ones there are at most
 * PENDING_BYTES_MAX, which is not worth two atomic operations each. */
static size_t
charge_of(const struct tail_entry *e)
{
    return e->size >= CHARGED_BYTES_MIN ? 2 * e->size : 0;
}

void
tablet__keep(struct tablet *t, struct tail_entry *e)
{
    if (charge_of(e) > 0)
        budget_charge(engine_budget(t->engine), charge_of(e));
    tail_push(&t->tail, e);
}

void
tablet__forget(struct tablet *t, struct tail_entry *e)
{
    if (charge_of(e) > 0)
        budget_return(engine_budget(t->engine), charge_of(e));
    mem_free(e);
}

void
tablet__forget_first(struct tablet *t)
{
    struct tail_entry *e = tail_pop_first(&t->tail);

    ASSERT(e->index <= t->applied && t->kept_bytes >= e->size);
    t->kept_bytes -= e->size;
    tablet__forget(t, e);
}

bool
tablet__leads(const struct tablet *t)
{
    return t->raft != NULL && raft_role(t->raft) == RAFT_LEADER &&
           t->applied >= raft_term_first(t->raft);
}

/* 0: there is none. */
static uint64_t
lease_until_ns(const struct tablet *t)
{
    return atomic_load(&t->reactor->node->uses_leases) ? raft_lease_until(t->raft) : 0;
}

bool
tablet__holds_lease(const struct tablet *t)
{
    uint64_t until_ns = lease_until_ns(t);

    return until_ns != 0 && env_boot_ns(engine_env(t->engine)) < until_ns;
}

/* Who leads alone: for ever, even after the log has failed (P4). */
void
tablet__publish_reads(struct tablet *t)
{
    uint64_t before_ns = atomic_load_explicit(&t->reads_until_ns, memory_order_relaxed);
    uint64_t until_ns = 0;

    if (t->alone &&
        (tablet__leads(t) || (before_ns == UINT64_MAX && engine_log_health(t->engine) != ST_OK)))
        until_ns = UINT64_MAX;
    else if (!t->alone && tablet__leads(t) && t->answered <= t->applied)
        until_ns = lease_until_ns(t);
    if (t->split_proposed != 0)
        until_ns = 0; /* X1 (split.c) */
    if (until_ns != before_ns)
        atomic_store(&t->reads_until_ns, until_ns);
}

/* ------------------------------------------------------------------ into the log */

bool
tablet__is_alone(const struct tablet *t, const struct raft_config *c)
{
    return c->voter_count == 1 && c->outgoing_count == 0 &&
           (c->learner_count == 0 || BROKEN(LEARNER_FORGOTTEN)) &&
           c->voters[0] == t->reactor->node->id;
}

static void
want(const struct tablet *t, const uint64_t *nodes, uint32_t count)
{
    struct neighbours *all = &t->reactor->node->neighbours;

    for (uint32_t i = 0; i < count; i++) {
        struct tablet_neighbour *n = neighbours_find(all, nodes[i]);

        if (n != NULL)
            neighbour_want(n, tablet__boot_ns(t));
    }
}

void
tablet__want_members(const struct tablet *t)
{
    const struct raft_config *c = t->raft == NULL ? &t->head.config : raft_config(t->raft);

    want(t, c->voters, c->voter_count);
    want(t, c->outgoing, c->outgoing_count);
    want(t, c->learners, c->learner_count);
}

void
tablet__config_moved(struct tablet *t)
{
    t->config_seen = raft_config_index(t->raft);
    mark_hit_if(raft_config(t->raft)->outgoing_count > 0, MARK_JOINT);
    t->alone = tablet__is_alone(t, raft_config(t->raft));
    tablet__want_members(t);
    if (t->alone)
        places_release(&t->places);
    engine_tree_follow(t->tree, !t->alone);
}

static enum engine_sync_class
sync_class(const struct tablet *t, enum durability durability)
{
    if (!t->alone)
        return ENGINE_SYNC_NOW;
    switch (durability) {
    case DURABILITY_INTERVAL:
        return ENGINE_SYNC_INTERVAL;
    case DURABILITY_NEVER:
        return ENGINE_SYNC_NEVER;
    case DURABILITY_ALWAYS:
    case DURABILITY_COUNT:
        break;
    }
    return ENGINE_SYNC_NOW;
}

static enum status
append(struct tablet *t, const struct wal_record *record, enum engine_sync_class sync,
       wal_position *end, struct err *err)
{
    enum status st;

    tablet__await_log(t);
    st = engine_append(t->tree, record, sync, end, err);
    if (st == ST_OK) {
        t->gathered = true;
        t->sync_gathered |= sync == ENGINE_SYNC_NOW;
    }
    return st;
}

static enum status
append_entry(struct tablet *t, struct tail_entry *e, struct err *err)
{
    struct wal_record record = {
        .type = WAL_ENTRY, .tablet = t->id, .term = e->term, .index = e->index, .body = e->bytes
    };

    wal_position begin = engine_log_end(t->engine);
    enum status st;

    ASSERT(t->places.count == 0 || t->places.limit <= e->index); /* B7 */
    st = append(t, &record, sync_class(t, e->durability), &e->end, err);
    if (st == ST_OK && !t->alone)
        places_note(&t->places, e->index, e->term, begin);
    return st;
}

enum status
tablet__append_head(struct tablet *t, struct err *err)
{
    struct buf body = buf_empty(2 * (size_t)BODY_SMALL_MAX);
    struct wal_record record = { .type = WAL_HEAD, .tablet = t->id };
    enum status st;

    if (t->raft != NULL) {
        t->head.hard = raft_hard(t->raft);
        t->head.commit = raft_commit(t->raft);
        if (t->head.commit >= t->given)
            t->head.commit = t->given - 1; /* where the log has not the right entries yet */
    }
    record.term = t->head.hard.term;
    st = head_encode(&t->head, &body);
    record.body = buf_slice(&body);
    if (st == ST_OK)
        st = append(t, &record, ENGINE_SYNC_NOW, &t->head_end, err);
    buf_release(&body);
    if (st == ST_OK)
        t->head_owed = false;
    return st;
}

static bool
owes_log(const struct tablet *t)
{
    return t->head_owed || t->given < t->tail.limit;
}

enum status
tablet__give(struct tablet *t, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && owes_log(t)) {
        struct tail_entry *e = tail_at(&t->tail, t->given);

        if (e == NULL || (t->head_owed && t->head_ticket < e->ticket)) {
            st = tablet__append_head(t, err);
            continue;
        }
        st = append_entry(t, e, err);
        t->given += st == ST_OK;
    }
    return st;
}

enum status
tablet__append_proposed(struct tablet *t, struct tail_entry *e, struct err *err)
{
    struct raft_event event = { .kind = RAFT_PROPOSE, .bytes = e->size };
    struct raft_effects *fx = &t->reactor->effects;
    enum status st = owes_log(t) ? tablet__give(t, err) : ST_OK;

    if (st == ST_OK)
        st = raft_may_propose(t->raft, e->size);
    if (st == ST_OK)
        st = tail_reserve(&t->tail, 1);
    if (st != ST_OK)
        return st;
    e->index = raft_last(t->raft) + 1;
    e->term = raft_hard(t->raft).term;
    st = append_entry(t, e, err);
    if (st != ST_OK)
        return st;

    event.now_ns = tablet__boot_ns(t);
    st = raft_step(t->raft, &event, fx);
    ASSERT(st == ST_OK && fx->append_first == e->index && fx->message_count == 0);
    e->ticket = fx->ticket;
    tablet__keep(t, e);
    t->given = t->tail.limit;
    t->version = e->body.version;
    return ST_OK;
}

/* ------------------------------------------------------------------ events */

void
tablet__hear(struct tablet *t, struct raft_event event)
{
    if (t->raft == NULL)
        return;
    if (tablet__step(t, event, NULL) != ST_OK)
        log_event(LOG_DEBUG, "tablet.event_lost", log_u64("tablet", t->id));
    tablet__apply_committed(t);
}

enum status
tablet_change_members(struct tablet *t, const struct raft_config *target)
{
    return tablet__step(t, (struct raft_event){ .kind = RAFT_CHANGE, .config = target }, NULL);
}

enum status
tablet_impose(struct tablet *t, raft_term term, const struct raft_config *config)
{
    struct raft_event event = { .kind = RAFT_IMPOSE, .term = term, .config = config };

    return tablet__step(t, event, NULL);
}

enum status
tablet_transfer(struct tablet *t, uint64_t node)
{
    return tablet__step(t, (struct raft_event){ .kind = RAFT_TRANSFER, .node = node }, NULL);
}

void
tablet_ask_again(struct tablet *t, uint64_t node)
{
    tablet__hear(t, (struct raft_event){ .kind = RAFT_SILENT, .node = node });
}

const struct raft *
tablet_raft(const struct tablet *t)
{
    return t->raft;
}

void
tablet__tick(struct tablet *t)
{
    struct raft_event event = { .kind = RAFT_TICK, .dice = (uint32_t)prng_next(&t->dice) };

    if (!raft_is_quiesced(t->raft) && tablet__step(t, event, NULL) != ST_OK)
        log_event(LOG_DEBUG, "tablet.tick_deferred", log_u64("tablet", t->id));
}

/* ------------------------------------------------------------------ out of the log */

static bool
is_durable(const struct tablet *t, const struct tail_entry *e)
{
    if (!BROKEN(DURABLE_UNSYNCED) && (e->durability == DURABILITY_ALWAYS || !t->alone))
        return e->end <= engine_durable(t->engine);
    return e->end <= engine_written(t->engine);
}

/* Unlike is_durable() it remembers that a group which is not alone any more may have been: what came
 * before was as durable as had been asked for. */
bool
tablet_keeps_its_word(const struct tablet *t)
{
    const struct tail_entry *e = tail_at(&t->tail, raft_persisted(t->raft));
    bool weak;

    if (e == NULL)
        return true;
    weak = e->durability != DURABILITY_ALWAYS && (t->alone || e->index < t->config_seen);
    return e->index < t->given &&
           e->end <= (weak ? engine_written(t->engine) : engine_durable(t->engine));
}

static bool
head_is_durable(const struct tablet *t)
{
    return !t->head_owed && t->head_end <= engine_durable(t->engine);
}

/* Entries that came together have one ticket; some of them may be durable before others are given. */
static bool
is_last_of_ticket(const struct tablet *t, const struct tail_entry *e)
{
    const struct tail_entry *next = tail_at(&t->tail, e->index + 1);

    return next == NULL || next->ticket != e->ticket || BROKEN(TICKET_EARLY);
}

/* The last ticket up to which everything is durable; `*unsynced`: the first entry that is not. */
static uint64_t
durable_ticket(const struct tablet *t, raft_index *unsynced)
{
    uint64_t ticket = t->ticket;

    for (*unsynced = t->unsynced;;) {
        const struct tail_entry *e = *unsynced < t->given ? tail_at(&t->tail, *unsynced) : NULL;

        if (t->head_ticket > ticket && (e == NULL || t->head_ticket < e->ticket)) {
            if (!head_is_durable(t))
                return ticket;
            ticket = t->head_ticket;
            continue;
        }
        if (e == NULL || !is_durable(t, e))
            return ticket;
        if (is_last_of_ticket(t, e)) {
            if (t->head_ticket == e->ticket && !head_is_durable(t))
                return ticket;
            ticket = e->ticket;
        }
        ++*unsynced;
    }
}

void
tablet__note_durable(struct tablet *t)
{
    raft_index unsynced_before = t->unsynced;
    uint64_t before = t->ticket;
    raft_index unsynced;
    uint64_t ticket = durable_ticket(t, &unsynced);

    if (ticket == t->ticket)
        return;
    t->ticket = ticket;
    t->unsynced = unsynced;
    if (tablet__step(t, (struct raft_event){ .kind = RAFT_PERSISTED, .ticket = ticket }, NULL) !=
        ST_OK) {
        t->ticket = before; /* out of memory: tablet_tick() comes back, and it is said then */
        t->unsynced = unsynced_before;
    }
}
