/*
 * What a follower lacks and the tail has no more, from the log.
 *
 *      raft: next append ──> was it read? ── yes ──> sent, by reference
 *            ^                   │ no
 *            │                   v
 *            ├─ here it is ─── a reading (job)
 *            └─ the log begins later: a snapshot (shipment.c) ─── released, or damaged
 *
 * One reading at a time for each follower, and the next when all of it was sent; raft's window says
 * when more is wanted (P7).  What a reading holds is charged to the budget (P6): where there is no room for it
 * the follower waits.  On a node that drains nothing is read for anybody.
 *
 * Only what has the index and the term that raft has there is sent, and these two name one entry
 * (engine/read.c): however long the reading took, and whatever was cut off meanwhile.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

enum {
    READING_BYTES = 1 << 20, /* of entries; one may exceed it */
    READING_SHARE = 64,      /* and at most this part of the budget */
};

/* What was read is let go when nobody asks for it: the follower is gone, or has it by other ways. */
#define UNWANTED_NS (2 * UINT64_C(1000000000))

struct catchup {
    struct list link; /* of the tablet's */
    struct job job;
    struct tablet *tablet;
    uint64_t node; /* who is behind */
    struct engine_span span;
    struct engine_entries entries; /* from span.first on; count 0: nothing was read */
    size_t charged;
    bool busy; /* a job runs */
    uint64_t asked_ns;
    enum status status;
    struct err err;
};

/* Has raft this term there? */
static bool
is_of_term(const struct tablet *t, raft_index index, raft_term term)
{
    raft_term actual;

    return raft_term_at(t->raft, index, &actual) == ST_OK && actual == term;
}

/* ------------------------------------------------------------------ the end */

static void
empty(struct catchup *c)
{
    engine_entries_release(&c->entries);
    budget_return(engine_budget(c->tablet->engine), c->charged);
    c->charged = 0;
}

static void
end(struct catchup *c)
{
    ASSERT(!c->busy);
    list_remove(&c->link);
    empty(c);
    mem_free(c);
}

void
catchup_destroy(struct tablet *t)
{
    while (!list_empty(&t->catchups))
        end(container_of(t->catchups.next, struct catchup, link));
}

void
catchup_tick(struct tablet *t, uint64_t now_ns)
{
    struct list *at = t->catchups.next;

    while (at != &t->catchups) {
        struct catchup *c = container_of(at, struct catchup, link);

        at = at->next;
        if (!c->busy && (raft_role(t->raft) != RAFT_LEADER || now_ns > c->asked_ns + UNWANTED_NS))
            end(c);
    }
}

/* ------------------------------------------------------------------ the reading */

static void
run(struct job *job)
{
    struct catchup *c = container_of(job, struct catchup, job);

    c->status = engine_read_log(c->tablet->tree, &c->span, &c->entries, &c->err);
}

/* The places are forgotten, and raft hears of it in tablet__replicate(). */
static void
failed(struct tablet *t, const struct catchup *c)
{
    atomic_fetch_add_explicit(&t->stats.log_failures, 1, memory_order_relaxed);
    log_event(LOG_ERROR, "catchup.log_unreadable", log_u64("tablet", t->id),
              log_u64("node", c->node), log_u64("index", c->span.first), log_err(&c->err),
              log_str("effect", "who is behind gets a snapshot"));
    places_release(&t->places);
}

static void
done(struct job *job)
{
    struct catchup *c = container_of(job, struct catchup, job);
    struct tablet *t = c->tablet;
    size_t held = c->entries.arena.total_bytes;

    c->busy = false;
    t->job_count--;
    if (c->status == ST_OK && held > c->charged) {
        budget_charge(engine_budget(t->engine), held - c->charged);
        c->charged = held;
    }
    if (c->status != ST_OK)
        empty(c);
    if (c->status == ST_NO_MEMORY || c->status == ST_NOT_FOUND)
        return; /* again after the next heartbeat; what was released is forgotten by then */
    if (c->status != ST_OK)
        failed(t, c);
    raft_can_send(t->raft, c->node);
    tablet__mark(t);
}

static struct engine_span
span_from(const struct tablet *t, raft_index first)
{
    const struct place *place = places_find(&t->places, first);
    raft_index limit;

    ASSERT(place != NULL); /* as raft's log begins no earlier */
    limit = places_term_limit(&t->places, place);
    return (struct engine_span){
        .first = first,
        .limit = limit < t->tail.first ? limit : t->tail.first,
        .term = place->term,
        .position = place->position,
        .bytes_max = budget_part(engine_budget(t->engine)->limit, READING_SHARE, READING_BYTES),
    };
}

static enum status
begin(struct tablet *t, struct catchup *c, raft_index first)
{
    struct engine_span span = span_from(t, first);

    ASSERT(is_of_term(t, first, span.term)); /* B7 */
    empty(c);
    if (t->reactor->draining)
        return ST_BUSY;
    if (!budget_try_charge(engine_budget(t->engine), span.bytes_max))
        return ST_BUSY;
    c->charged = span.bytes_max;
    c->span = span;
    c->busy = true;
    t->job_count++;
    atomic_fetch_add_explicit(&t->stats.log_readings, 1, memory_order_relaxed);
    c->job = (struct job){ .run = run, .done = done, .loop = t->loop };
    env_submit(loop_env(t->loop), ENV_LANE_READ, &c->job);
    return ST_WOULD_BLOCK;
}

/* ------------------------------------------------------------------ what was read */

static struct catchup *
find_or_make(struct tablet *t, uint64_t node)
{
    struct catchup *c;

    list_each (at, &t->catchups) {
        c = container_of(at, struct catchup, link);
        if (c->node == node)
            return c;
    }
    c = mem_new(struct catchup);
    if (c == NULL)
        return NULL;
    c->tablet = t;
    c->node = node;
    list_push_back(&t->catchups, &c->link);
    return c;
}

/* Terms do not run backwards: what is between two entries of a term is of it. */
static bool
has(const struct catchup *c, raft_index first)
{
    raft_index limit = c->span.first + c->entries.count;

    if (first < c->span.first || first >= limit)
        return false;
    return is_of_term(c->tablet, first, c->span.term) &&
           is_of_term(c->tablet, limit - 1, c->span.term);
}

enum status
catchup_gather(struct tablet *t, const struct raft_append *append, struct outgoing *out)
{
    struct catchup *c = find_or_make(t, append->message.to);

    if (c == NULL)
        return ST_NO_MEMORY;
    c->asked_ns = tablet__boot_ns(t);
    if (c->busy)
        return ST_WOULD_BLOCK;
    if (!has(c, append->first))
        return begin(t, c, append->first);
    for (uint32_t i = (uint32_t)(append->first - c->span.first); i < c->entries.count; i++) {
        struct raft_entry e = { .term = c->span.term, .data = c->entries.bodies[i] };

        if (!outgoing_add(out, &e, append->bytes_max))
            break;
    }
    atomic_fetch_add_explicit(&t->stats.log_entries, out->count, memory_order_relaxed);
    return ST_OK;
}
