/*
 * Out of the log: what is committed goes into the tree, leaves overlay and tail, and is answered.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mark.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

enum { APPLY_BATCH = 16 };

/* So long after we lost our office we wait to be told what became of what we had proposed. */
#define UNDECIDED_NS (500 * UINT64_C(1000000))

/* The log keeps no entry for ever, and the ceiling and the membership have to outlive theirs: the head says
 * them, too.  A ceiling's may come late; a membership's may not. */
static enum status
apply_to_head(struct tablet *t, const struct tail_entry *e)
{
    struct head before = t->head;
    enum status st;

    if (e->body.kind == BODY_CONFIG && e->index > t->head.config_index) {
        body_config(&e->body, &t->head.config);
        t->head.config_index = e->index;
    }
    if (e->body.kind == BODY_TERM)
        atomic_store(&t->floor_ms, t->head.ceiling_ms);
    if (e->body.ceiling_ms > t->head.ceiling_ms) {
        t->head.ceiling_ms = e->body.ceiling_ms;
        atomic_store(&t->ceiling_ms, e->body.ceiling_ms);
    }
    t->head_owed = true;
    st = t->raft == NULL ? ST_OK : tablet__give(t, NULL);
    if (e->body.kind != BODY_CONFIG || st == ST_OK)
        return ST_OK;
    t->head = before;
    return ST_BUSY;
}

enum status
tablet__apply(struct tablet *t, const struct tail_entry *e)
{
    struct lsm_mark mark = { .index = e->index, .term = e->term, .version = e->body.version };
    enum status st = ST_OK;

    if (e->body.kind == BODY_CONFIG || e->body.ceiling_ms != 0)
        st = apply_to_head(t, e);
    if (e->body.kind == BODY_SPLIT)
        st = split_apply(t, e);
    if (st != ST_OK)
        return st;
    if (e->body.kind == BODY_BATCH)
        st = lsm_apply(t->lsm, e->writes, e->write_count, &mark);
    else if (e->body.kind == BODY_CLEAR)
        st = lsm_clear(t->lsm, &mark);
    else
        lsm_advance(t->lsm, &mark);
    if (st != ST_OK)
        return st;
    t->applied = e->index;
    t->applied_term = e->term;
    engine_tree_applied(t->tree, e->index, e->end);
    if (t->observer != NULL && e->body.kind == BODY_BATCH)
        t->observer(t->observer_ctx, e->writes, e->write_count);
    return ST_OK;
}

void
tablet_observe(struct tablet *t, tablet_observer_fn *observer, void *ctx)
{
    t->observer = observer;
    t->observer_ctx = ctx;
}

/* Make the next entries ready to be applied; how many. */
static uint32_t
prefetch(struct tablet *t, raft_index limit)
{
    uint64_t hashes[APPLY_BATCH];
    uint32_t hash_count = 0;
    uint32_t count = 0;

    for (raft_index i = t->applied + 1; i <= limit && hash_count < APPLY_BATCH; i++, count++) {
        const struct tail_entry *e = tail_at(&t->tail, i);

        for (uint32_t w = 0; w < e->write_count && hash_count < APPLY_BATCH; w++)
            hashes[hash_count++] = e->nodes[w].hash;
    }
    lsm_prefetch(t->lsm, hashes, hash_count);
    return count;
}

static void
leave_overlay(struct tablet *t, struct tail_entry *e)
{
    for (uint32_t i = 0; i < e->write_count; i++)
        overlay_remove(&t->overlay, &e->nodes[i]);
}

void
tablet__answer_barriers(struct tablet *t)
{
    while (!list_empty(&t->barriers)) {
        struct barrier *b = container_of(t->barriers.next, struct barrier, link);
        struct request *r = b->request;

        if (b->index > t->applied || b->round > raft_confirmed_round(t->raft))
            return;
        list_remove(&b->link);
        mem_free(b);
        if (r != NULL)
            tablet__finish(t, r, r->answer);
    }
}

/* The entry is applied.  Alone, nobody wants it any more. */
static void
conclude(struct tablet *t, struct tail_entry *e)
{
    struct request *r = e->request;

    if (e->body.kind == BODY_CLEAR) {
        t->clears_pending -= t->clears_pending > 0;
        if (engine_tree_seal(t->tree) != ST_OK) /* the files go with a later flush */
            log_event(LOG_DEBUG, "tablet.clear_deferred", log_u64("tablet", t->id));
    }
    if (e->body.kind == BODY_CEILING)
        t->ceiling_proposed = false;
    if (e->body.kind == BODY_SPLIT)
        tablet__publish_reads(t);
    leave_overlay(t, e);
    e->request = NULL;
    t->kept_bytes += e->size;
    while (t->alone && t->tail.first <= t->applied)
        tablet__forget_first(t);
    if (r != NULL)
        tablet__finish(t, r, r->answer);
    tablet__answer_barriers(t);
}

void
tablet__apply_committed(struct tablet *t)
{
    raft_index limit = raft_applicable(t->raft);
    uint32_t ready = 0;

    while (t->applied < limit && !t->installing) {
        struct tail_entry *e = tail_at(&t->tail, t->applied + 1);

        if (ready == 0)
            ready = prefetch(t, limit);
        if (ready == 0 || tablet__apply(t, e) != ST_OK)
            break; /* tablet_tick() comes back */
        t->applied_bytes += e->size;
        ready--;
        conclude(t, e);
    }
    if (t->applied_bytes > 0 &&
        tablet__step(t,
                     (struct raft_event){
                         .kind = RAFT_APPLIED, .index = t->applied, .bytes = t->applied_bytes },
                     NULL) == ST_OK)
        t->applied_bytes = 0;
    tablet__answer_barriers(t);
}

/* While another tree is installed, a job moves the tree's position, and ours stays behind. */
enum status
tablet_take_moment(const struct tablet *t, struct tablet_moment *out)
{
    struct lsm_snapshot *snapshot;

    if (t->installing)
        return ST_BUSY;
    snapshot = lsm_snapshot_take(t->lsm);
    if (snapshot == NULL)
        return ST_NO_MEMORY;
    *out = (struct tablet_moment){ t->applied, t->applied_term, snapshot };
    return ST_OK;
}

static void
orphan(struct list *orphans, struct request *r, enum status st)
{
    if (r == NULL)
        return;
    r->status = st;
    list_push_back(orphans, &r->link);
}

static void
orphan_undecided(struct tablet *t, struct list *orphans)
{
    for (raft_index i = t->applied + 1; i < t->tail.limit; i++) {
        struct tail_entry *e = tail_at(&t->tail, i);

        orphan(orphans, e->request, ST_UNKNOWN);
        e->request = NULL;
    }
    t->undecided_since_ns = 0;
}

static bool
has_undecided(const struct tablet *t)
{
    for (raft_index i = t->applied + 1; i < t->tail.limit; i++) {
        if (tail_at(&t->tail, i)->request != NULL)
            return true;
    }
    return false;
}

void
tablet__undecided_tick(struct tablet *t, uint64_t now_ns)
{
    if (t->undecided_since_ns == 0 || raft_role(t->raft) == RAFT_LEADER)
        return;
    if (!has_undecided(t)) {
        t->undecided_since_ns = 0;
        return;
    }
    if (now_ns >= t->undecided_since_ns + UNDECIDED_NS)
        tablet__give_up_undecided(t);
}

void
tablet__give_up_undecided(struct tablet *t)
{
    struct list orphans;

    list_init(&orphans);
    orphan_undecided(t, &orphans);
    tablet__answer_orphans(t, &orphans);
}

/* The reads that wait for a confirmation, or for what was proposed, are refused; nothing of it is in the overlay any
 * more. */
static void
give_up_office(struct tablet *t, struct list *orphans)
{
    enum status refusal = engine_log_health(t->engine) != ST_OK ? ST_IO : ST_NOT_LEADER;
    struct list *at;

    for (raft_index i = t->applied + 1; i < t->tail.limit; i++)
        leave_overlay(t, tail_at(&t->tail, i));
    while ((at = list_pop_front(&t->barriers)) != NULL) {
        struct barrier *b = container_of(at, struct barrier, link);

        orphan(orphans, b->request, refusal);
        mem_free(b);
    }
    ASSERT(t->overlay.count == 0);
    t->wants_round = false;
    t->answered = 0;
    t->clears_pending = 0;
    t->ceiling_proposed = false;
    mark_hit_if(t->split_proposed != 0, MARK_SPLIT_ABANDONED);
    split_abandon(t);
}

void
tablet__step_down(struct tablet *t, struct list *orphans)
{
    give_up_office(t, orphans);
    if (engine_log_health(t->engine) != ST_OK)
        orphan_undecided(t, orphans);
    else if (has_undecided(t))
        t->undecided_since_ns = tablet__boot_ns(t);
}

void
tablet__abandon_proposed(struct tablet *t, struct list *orphans)
{
    list_init(orphans);
    give_up_office(t, orphans);
    orphan_undecided(t, orphans);
}

void
tablet__answer_orphans(struct tablet *t, struct list *orphans)
{
    struct list *at;

    while ((at = list_pop_front(orphans)) != NULL) {
        struct request *r = container_of(at, struct request, link);

        tablet__finish(t, r, r->status);
    }
}
