/*
 * A tablet's life, and the order in which it serves requests.
 *
 * WHERE A REQUEST CAN BE
 *
 *                     no room, stall, ceiling            only the disk knows
 *      submit ──────────────> waiting        submit ──────────> parked ──> behind
 *        │                      │                                 │ ready    (same
 *        └──────> serve <───────┴─────────────────────────────────┘          origin)
 *                   ├─ a read of committed state ─────────────> done
 *                   ├─ it wrote ──> log, overlay, tail ──> committed ─────> done
 *                   └─ it saw the overlay ──> a barrier ──────────────────> done
 *
 * INVARIANTS
 *
 *   B1  Requests of one origin are evaluated in the order of submission: none
 *       passes another of its origin in `waiting`, `parked` or `behind`.
 *   B2  Log order and version order are the same.
 *   B3  A result that rests on an uncommitted one is answered only after that
 *       one is committed (the barrier).
 *   B4  No version or expiry uses a time beyond the committed ceiling, and time
 *       begins at the ceiling after a restart; so neither runs backwards.
 *   B5  The tree holds committed entries only.
 *   B6  A read is answered only when it is certain that we led after it came: alone, by a lease, or by a
 *       round of confirmation that began later.
 *   B7  The places know entries of the present log only, and know them before anybody is sent one: what
 *       is cut off, or made void by a snapshot, leaves them first.
 *
 * Not here, on purpose: protocols, routing (kv/), files and fsyncs (engine/).
 */
#include "base/assert.h"

#include "tablet/tablet_internal.h"

/* ------------------------------------------------------------------ serving */

static bool serve(struct tablet *t, struct request *r);

/* Is it in a group, and is to stay? */
static bool
takes_part(const struct tablet *t)
{
    return t->raft != NULL && !t->leaves;
}

void
tablet__finish(struct tablet *t, struct request *r, enum status st)
{
    ASSERT(t->request_count > 0);
    t->request_count--;
    r->status = st;
    if (st == ST_CORRUPT)
        tablet_tell_damage(t, &r->err);
    if (st == ST_NOT_LEADER) {
        r->leader = takes_part(t) ? raft_leader(t->raft) : 0;
        r->leader_term = r->leader == 0 ? 0 : raft_hard(t->raft).term;
    }
    request_done_at_home(r, t->loop);
}

static struct request *
first_of_origin(const struct list *head, uint64_t origin)
{
    list_each (at, head) {
        struct request *r = container_of(at, struct request, link);

        if (r->origin == origin)
            return r;
    }
    return NULL;
}

/* Put the request behind a parked one of its origin, or behind those that already follow one (B1). */
static bool
follows_parked(struct tablet *t, struct request *r)
{
    if (list_empty(&t->parked) && list_empty(&t->behind))
        return false;
    if (first_of_origin(&t->parked, r->origin) == NULL &&
        first_of_origin(&t->behind, r->origin) == NULL)
        return false;
    list_push_back(&t->behind, &r->link);
    return true;
}

/* What is behind is older than what waits (B1): so nobody goes behind while anybody waits. */
static void
admit(struct tablet *t, struct request *r)
{
    if (list_empty(&t->waiting) && (follows_parked(t, r) || serve(t, r)))
        return;
    if (t->waiting_count >= WAITING_MAX) {
        tablet__finish(t, r, ST_BUSY);
        return;
    }
    list_push_back(&t->waiting, &r->link);
    t->waiting_count++;
}

static void
drain_waiting(struct tablet *t)
{
    while (!list_empty(&t->waiting)) {
        struct request *r = container_of(t->waiting.next, struct request, link);

        list_remove(&r->link);
        t->waiting_count--;
        if (!follows_parked(t, r) && !serve(t, r)) {
            list_push_front(&t->waiting, &r->link);
            t->waiting_count++;
            return;
        }
    }
}

static struct request *
last_of_origin(const struct list *head, uint64_t origin)
{
    for (struct list *at = head->prev; at != head; at = at->prev) {
        struct request *r = container_of(at, struct request, link);

        if (r->origin == origin)
            return r;
    }
    return NULL;
}

/* It, and those behind it, were here before those that wait (B1). */
static void
wait_first(struct tablet *t, struct request *r)
{
    uint64_t origin = r->origin;
    struct request *last;

    while ((last = last_of_origin(&t->behind, origin)) != NULL) {
        list_remove(&last->link);
        list_push_front(&t->waiting, &last->link);
        t->waiting_count++;
    }
    list_push_front(&t->waiting, &r->link);
    t->waiting_count++;
}

/* One at a time, and each leaves `behind` only when it is served: what its `done` submits comes last
 * (B1). */
void
tablet__release_behind(struct tablet *t, uint64_t origin)
{
    struct request *r;

    while (first_of_origin(&t->parked, origin) == NULL &&
           (r = first_of_origin(&t->behind, origin)) != NULL) {
        list_remove(&r->link);
        if (!list_empty(&t->waiting) || !serve(t, r))
            wait_first(t, r);
    }
}

static void
parked_ready(struct request *r)
{
    struct tablet *t = r->tablet;
    uint64_t origin = r->origin;

    list_remove(&r->link);
    if (r->cold->status != ST_OK) {
        r->err = r->cold->err;
        tablet__finish(t, r, r->cold->status);
    } else if (!serve(t, r)) {
        wait_first(t, r);
    }
    tablet__release_behind(t, origin);
}

static bool
park(struct tablet *t, struct request *r)
{
    if (cold_start(t, &t->reactor->owner, r, NULL, parked_ready) != ST_OK) {
        tablet__finish(t, r, ST_NO_MEMORY);
        return true;
    }
    list_push_back(&t->parked, &r->link);
    return true;
}

/* On a full disk only what frees space is admitted. */
static bool
frees_space(const struct request *r)
{
    for (uint32_t i = 0; i < r->op_count; i++) {
        if (op_writes(r->ops[i].kind) && r->ops[i].kind != OP_DELETE && r->ops[i].kind != OP_CLEAR)
            return false;
    }
    return true;
}

/* A stall lasts from the first write that must wait to the next one that need not; it is counted
 * under what began it (P7). */
static void
note_stall(struct tablet *t, enum engine_stall stall)
{
    uint64_t now_ns = loop_now_ns(t->loop);

    if (stall != ENGINE_STALL_NONE && t->stall == ENGINE_STALL_NONE) {
        t->stall = stall;
        t->stall_since_ns = now_ns;
    }
    if (stall == ENGINE_STALL_NONE && t->stall != ENGINE_STALL_NONE) {
        engine_count_stall(t->engine, t->stall, now_ns - t->stall_since_ns);
        t->stall = ENGINE_STALL_NONE;
    }
}

/* It is meant for a term that is not ours, and never will be again. */
static bool
is_for_another_term(const struct tablet *t, const struct request *r)
{
    if (t->alone && t->log_failed)
        return false; /* nobody else will ever lead, and it is only read any more (P4) */
    return r->term != 0 && (t->raft == NULL || raft_role(t->raft) != RAFT_LEADER ||
                            raft_hard(t->raft).term != r->term);
}

/* Is this the place for it?  ST_BUSY: it may be soon.  Who led alone goes on reading without a log (P4). */
static enum status
may_evaluate(const struct tablet *t, bool writes)
{
    if (tablet__leads(t) || (!writes && atomic_load(&t->reads_until_ns) == UINT64_MAX))
        return ST_OK;
    return raft_role(t->raft) == RAFT_LEADER ? ST_BUSY : ST_NOT_LEADER;
}

/* May the request write now?  ST_OK; ST_BUSY: it must wait; else: it is refused. */
static enum status
may_write(struct tablet *t, const struct request *r)
{
    enum engine_stall stall;

    if (engine_log_health(t->engine) != ST_OK)
        return ST_IO;
    if (engine_space(t->engine) == ENGINE_SPACE_LOW && !frees_space(r))
        return ST_NO_SPACE;
    stall = raft_may_propose(t->raft, 0) == ST_BUSY ? ENGINE_STALL_LOG : engine_tree_stall(t->tree);
    note_stall(t, stall);
    return stall == ENGINE_STALL_NONE ? ST_OK : ST_BUSY;
}

/* B4.  False: the clock is beyond the ceiling, and a higher one is on its way. */
static bool
under_ceiling(struct tablet *t)
{
    uint64_t now_ms = tablet__clock_ms(t, loop_now_ns(t->loop));
    uint64_t ceiling_ms = atomic_load(&t->ceiling_ms);

    if (now_ms + CEILING_RENEW_MS > ceiling_ms && raft_role(t->raft) == RAFT_LEADER &&
        !t->ceiling_proposed && engine_log_health(t->engine) == ST_OK) {
        t->ceiling_proposed =
            tablet__propose_small(t, BODY_CEILING, now_ms + CEILING_AHEAD_MS, NULL, NULL) == ST_OK;
        atomic_store(&t->ceiling_stuck, !t->ceiling_proposed);
    }
    return now_ms <= ceiling_ms || engine_log_health(t->engine) != ST_OK;
}

/* Can what a read has seen rest on something that is not committed, or have been overtaken elsewhere? */
static bool
is_certain(const struct tablet *t)
{
    if (!BROKEN(READ_UNCOMMITTED) && raft_role(t->raft) == RAFT_LEADER &&
        t->applied < raft_last(t->raft))
        return false;
    if (BROKEN(READ_UNCONFIRMED))
        return true;
    return t->alone || tablet__holds_lease(t);
}

/* With more than one voter the weaker classes are answered when the leader has the entry in its log's
 * hands; what is read later waits for it. */
static void
answer_early(struct tablet *t, struct request *r)
{
    struct tail_entry *e = tail_at(&t->tail, t->tail.limit - 1);

    if (t->alone || e->request != r || e->durability == DURABILITY_ALWAYS)
        return;
    e->request = NULL;
    t->answered = e->index;
    tablet__publish_reads(t); /* before its caller can ask for it, anywhere */
    tablet__finish(t, r, r->answer);
}

/* The results are ready: to the log, or behind the barrier.  False: no room in the log.  A request that
 * is answered is its caller's again, on another thread perhaps. */
static bool
conclude(struct unit *u)
{
    struct tablet *t = u->t;
    struct request *r = u->r;
    enum status st;

    if (!u->clear && u->write_count == 0 && is_certain(t)) {
        tablet__finish(t, r, r->answer);
        return true;
    }
    if (u->clear)
        st = tablet__propose_small(t, BODY_CLEAR, 0, r, &r->err);
    else if (u->write_count > 0)
        st = tablet__propose_batch(u, &r->err);
    else
        st = tablet__propose_barrier(t, r);
    if (st == ST_BUSY) {
        note_stall(t, ENGINE_STALL_LOG);
        return false;
    }
    if (st != ST_OK) {
        tablet__finish(t, r, st);
        return true;
    }
    cold_release(r);
    if (u->clear || u->write_count > 0)
        answer_early(t, r);
    return true;
}

/* True: answered, pending, or parked.  False: it must wait, and nothing has happened. */
static bool
try_to_serve(struct tablet *t, struct request *r)
{
    struct unit u = { .t = t, .r = r };
    bool writes = request_writes(r);
    enum status st = is_for_another_term(t, r) ? ST_NOT_LEADER : ST_OK;

    if (st == ST_OK && writes)
        st = may_write(t, r);
    if (st == ST_OK)
        st = may_evaluate(t, writes);
    if (st == ST_OK)
        st = split_admits(t, r);
    if (st == ST_BUSY)
        return false;
    if (st != ST_OK) {
        tablet__finish(t, r, st);
        return true;
    }
    if (!under_ceiling(t) && (writes || t->ceiling_proposed))
        return false; /* but without room in the log reads go on, at the ceiling */

    u.now_ms = tablet_now_ms(t, loop_now_ns(t->loop));
    u.version = version_next(t->version, u.now_ms);
    st = tablet__evaluate(&u);
    if (st == ST_WOULD_BLOCK)
        return park(t, r);
    if (st != ST_OK) {
        tablet__finish(t, r, st);
        return true;
    }
    return conclude(&u);
}

static bool
serve(struct tablet *t, struct request *r)
{
    bool served = try_to_serve(t, r);

    if (t->gathered)
        tablet__mark(t);
    return served;
}

/* What its sender said later has come earlier, on another connection. */
static bool
has_been_overtaken(const struct request *r)
{
    return r->fence != NULL && atomic_load(r->fence) != r->pass;
}

void
tablet_submit(struct tablet *t, struct request *r)
{
    r->tablet = t;
    r->cold = NULL;
    r->scratch = (struct buf){ 0 };
    t->request_count++;
    if (!takes_part(t)) {
        tablet__finish(t, r, ST_NOT_LEADER);
        return;
    }
    t->serves = true;
    t->sleeps = false;
    if (is_for_another_term(t, r))
        tablet__finish(t, r, ST_NOT_LEADER);
    else if (has_been_overtaken(r))
        tablet__finish(t, r, ST_BUSY); /* nobody waits for it any more */
    else
        admit(t, r);
}

/* P4: what is in the log beyond its last durable position may or may not be there after a restart.
 * Reads that saw it are not answered from it. */
static void
give_up_log(struct tablet *t)
{
    if (t->log_failed)
        return;
    t->log_failed = tablet__step(t, (struct raft_event){ .kind = RAFT_DISK_FAILED }, NULL) == ST_OK;
}

void
tablet__moved(struct tablet *t)
{
    if (!takes_part(t))
        return;
    if (t->unsynced < t->tail.limit || t->head_ticket > t->ticket || !list_empty(&t->waiting))
        tablet__await_log(t);
    (void)tablet__give(t, NULL); /* what it still has no room for it gets the next time */
    tablet__note_durable(t);
    tablet__apply_committed(t);
    if (engine_log_health(t->engine) != ST_OK)
        give_up_log(t);
    engine_tree_tend(t->tree);
    drain_waiting(t);
    if (t->gathered)
        tablet__mark(t);
}

/* A round of confirmation at a time: what comes while one is under way shares the next. */
static void
begin_round(struct tablet *t)
{
    if (!t->wants_round || raft_role(t->raft) != RAFT_LEADER ||
        raft_confirmed_round(t->raft) < raft_round(t->raft))
        return;
    t->wants_round = tablet__step(t, (struct raft_event){ .kind = RAFT_READ }, NULL) != ST_OK;
}

void
tablet__end_round(struct tablet *t)
{
    if (!takes_part(t))
        return; /* a job has marked it */
    drain_waiting(t);
    begin_round(t);
    tablet__replicate(t);
}

/* ------------------------------------------------------------------ time */

void
tablet_tick(struct tablet *t)
{
    uint64_t now_ns = loop_now_ns(t->loop);

    if (t->raft == NULL)
        return; /* no keyspace names it, or it has not begun */
    t->serves = true;
    tablet__tick(t);
    if (t->places.count > 0)
        places_forget(&t->places, engine_log_begin(t->engine));
    catchup_tick(t, now_ns);
    shipment_tick(t, now_ns);
    staging_tick(t, now_ns);
    tablet__moved(t);
    if (!list_empty(&t->waiting) || atomic_load(&t->ceiling_stuck)) {
        (void)under_ceiling(t); /* writes that wait do not ask for it, and reads need it */
        if (t->gathered)
            tablet__mark(t);
    }
    tablet__undecided_tick(t, now_ns);
    tablet__expire(t, now_ns);
}
