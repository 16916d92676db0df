/*
 * Driving consensus: raft says what is to be done, the log and the tail do it.
 *
 *      propose ─> log ─> raft ─> tail            an entry of ours: the log first, for it may have no room
 *      raft ─> tail ─> log                       an entry of raft's: it waits in the tail for room
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

bool
tablet__leads(const struct tablet *t)
{
    return t->raft != NULL && raft_role(t->raft) == RAFT_LEADER &&
           t->applied >= raft_term_first(t->raft);
}

/* ------------------------------------------------------------------ into the log */

void
tablet__config_moved(struct tablet *t)
{
    const struct raft_config *c = raft_config(t->raft);

    t->config_seen = raft_config_index(t->raft);
    t->alone = c->voter_count == 1 && c->outgoing_count == 0;
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

    return append(t, &record, sync_class(t, e->durability), &e->end, err);
}

static enum status
append_head(struct tablet *t, struct err *err)
{
    struct buf body = buf_empty(2 * (size_t)BODY_SMALL_MAX);
    struct wal_record record = { .type = WAL_HEAD, .tablet = t->id };
    enum status st;

    t->head.hard = raft_hard(t->raft);
    t->head.commit = raft_commit(t->raft);
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
            st = append_head(t, err);
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
    enum status st = owes_log(t) ? tablet__give(t, err) : ST_OK;

    if (st == ST_OK)
        st = raft_may_propose(t->raft, e->size);
    if (st == ST_OK)
        st = tail_reserve(&t->tail);
    if (st != ST_OK)
        return st;
    e->index = raft_last(t->raft) + 1;
    e->term = raft_hard(t->raft).term;
    st = append_entry(t, e, err);
    if (st != ST_OK)
        return st;

    event.now_ns = tablet__boot_ns(t);
    st = raft_step(t->raft, &event, t->fx);
    ASSERT(st == ST_OK && t->fx->append_first == e->index && t->fx->message_count == 0);
    e->ticket = t->fx->ticket;
    tablet__keep(t, e);
    t->given = t->tail.limit;
    t->version = e->body.version;
    return ST_OK;
}

/* ------------------------------------------------------------------ effects */

/* The first entry of our term renews the ceiling: nothing is served before it is committed. */
static struct body
own_body(struct tablet *t)
{
    const struct raft_entry *own = &t->fx->own;
    uint64_t now_ms = node_clock_ms(t->clock, tablet__boot_ns(t));
    struct body body = {
        .kind = own->kind == RAFT_CONFIG ? BODY_CONFIG : BODY_TERM,
        .version = version_next(t->version, tablet_now_ms(t, tablet__boot_ns(t))),
        .lag = t->fx->append_first - raft_commit(t->raft),
    };

    if (own->kind != RAFT_CONFIG)
        body.ceiling_ms =
            (now_ms > t->head.ceiling_ms ? now_ms : t->head.ceiling_ms) + CEILING_AHEAD_MS;
    return body;
}

/* An entry of raft's own cannot be refused: its room is there before the step. */
static enum status
make_ready(struct tablet *t)
{
    if (t->own_room == NULL)
        t->own_room = tail_entry_small();
    return t->own_room == NULL ? ST_NO_MEMORY : tail_reserve(&t->tail);
}

static void
take_own(struct tablet *t)
{
    struct body body = own_body(t);
    struct tail_entry *e = t->own_room;

    t->own_room = NULL;
    tail_entry_set(e, &body, t->fx->own.config);
    e->index = t->fx->append_first;
    e->term = t->fx->own.term;
    e->ticket = t->fx->ticket;
    tablet__keep(t, e);
    t->version = body.version;
}

enum status
tablet__step(struct tablet *t, struct raft_event event)
{
    enum raft_role before = raft_role(t->raft);
    struct raft_effects *fx = t->fx;
    enum status st = make_ready(t);

    event.now_ns = tablet__boot_ns(t);
    if (st == ST_OK)
        st = raft_step(t->raft, &event, fx);
    if (st != ST_OK)
        return st;
    if (fx->hard_changed) {
        t->head_owed = true;
        t->head_ticket = fx->ticket;
    }
    if (fx->append_first <= fx->append_last)
        take_own(t);
    if (raft_config_index(t->raft) != t->config_seen)
        tablet__config_moved(t);
    if (fx->wants_room && raft_grow(&t->raft) != ST_OK)
        log_event(LOG_DEBUG, "tablet.terms_crowded", log_u64("tablet", t->id));
    if (before == RAFT_LEADER && raft_role(t->raft) != RAFT_LEADER)
        tablet__abandon_proposed(t);
    if (tablet__give(t, NULL) != ST_OK)
        log_event(LOG_DEBUG, "tablet.log_deferred", log_u64("tablet", t->id));
    return ST_OK;
}

void
tablet__tick(struct tablet *t)
{
    struct raft_event event = { .kind = RAFT_TICK, .dice = (uint32_t)prng_next(&t->dice) };

    if (!raft_is_quiesced(t->raft) && tablet__step(t, event) != ST_OK)
        log_event(LOG_DEBUG, "tablet.tick_deferred", log_u64("tablet", t->id));
}

/* ------------------------------------------------------------------ out of the log */

static bool
is_durable(const struct tablet *t, const struct tail_entry *e)
{
    if (e->durability == DURABILITY_ALWAYS || !t->alone)
        return e->end <= engine_durable(t->engine);
    return e->end <= engine_written(t->engine);
}

/* The last ticket up to which everything is durable; `*unsynced`: the first entry that is not. */
static uint64_t
durable_ticket(const struct tablet *t, raft_index *unsynced)
{
    uint64_t ticket = t->ticket;

    for (*unsynced = t->unsynced;;) {
        const struct tail_entry *e = *unsynced < t->given ? tail_at(&t->tail, *unsynced) : NULL;

        if (t->head_ticket > ticket && (e == NULL || t->head_ticket <= e->ticket)) {
            if (t->head_owed || t->head_end > engine_durable(t->engine))
                return ticket;
            ticket = t->head_ticket;
            continue;
        }
        if (e == NULL || !is_durable(t, e))
            return ticket;
        ticket = e->ticket;
        ++*unsynced;
    }
}

void
tablet__note_durable(struct tablet *t)
{
    raft_index unsynced;
    uint64_t ticket = durable_ticket(t, &unsynced);

    if (ticket == t->ticket ||
        tablet__step(t, (struct raft_event){ .kind = RAFT_PERSISTED, .ticket = ticket }) != ST_OK)
        return; /* out of memory: tablet_tick() comes back, and it is said then */
    t->ticket = ticket;
    t->unsynced = unsynced;
}
