/*
 * The round of a reactor, and its heartbeat.
 *
 *      submit, message, log moved ──> tablets ──mark──> end of the round:
 *                                                         records ──> the log's thread, in one call
 *                                                         entries ──> followers
 *                                                         frames  ──> the network
 *
 * A tablet in which nothing is under way, and whose group sleeps, is passed over by the ticks: a thousand
 * of them are to cost next to nothing.  Whatever happens to it wakes it; and now and then it is looked at
 * all the same, as is every tablet when the engine asks for a seal, or the log has failed.
 *
 * The log is told first: it writes while the entries are on their way (thesis, 10.2.1).
 */
#include "tablet/reactor.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

enum { STREAMING_DEFAULT = 50 * 1000 * 1000 };

enum { SLEEPERS_EVERY = 20 /* ticks */ };

static void log_moved(void *ctx);
static void end_round(struct task *task);

/* ------------------------------------------------------------------ a node */

void
tablet_node_init(struct tablet_node *n)
{
    neighbours_init(&n->neighbours);
    list_init(&n->changes);
    list_init(&n->remains);
    tablet_node_set_streaming(n, STREAMING_DEFAULT);
    tablet_node_set_leases(n, true);
}

void
tablet_node_set_streaming(struct tablet_node *n, uint64_t bytes_per_second)
{
    atomic_store(&n->streaming, bytes_per_second * TABLET_TICK_MS / 1000);
}

uint64_t
tablet_node_streaming(const struct tablet_node *n)
{
    return atomic_load(&n->streaming) * 1000 / TABLET_TICK_MS;
}

void
tablet_node_set_leases(struct tablet_node *n, bool used)
{
    atomic_store(&n->uses_leases, used);
}

void
tablet_node_release(struct tablet_node *n)
{
    lifetime_release(n);
    neighbours_release(&n->neighbours);
}

struct tablet *
tablet_reactor_find(const struct tablet_reactor *r, uint64_t tablet)
{
    return roster_find(&r->roster, tablet);
}

/* ------------------------------------------------------------------ life */

void
tablet_reactor_init(struct tablet_reactor *r, struct tablet_node *node, struct loop *loop)
{
    struct tablet_reactor **last = &node->first;

    *r = (struct tablet_reactor){ .node = node, .loop = loop };
    while (*last != NULL)
        last = &(*last)->next;
    ASSERT(last != &node->first || loop_index(loop) == 0);
    *last = r;
    tablet_reader_init(&r->reader, engine_epoch(node->engine), loop);
    tablet_reader_init(&r->owner, engine_epoch(node->engine), loop);
    r->listener = (struct engine_listener){ .moved = log_moved, .ctx = r, .loop = loop };
    r->message = buf_empty(PEER_MESSAGE_BYTES_MAX);
    r->round.run = end_round;
    list_init(&r->tablets);
    list_init(&r->leaving);
    list_init(&r->marked);
    list_init(&r->awaiting);
}

void
tablet_reactor_release(struct tablet_reactor *r)
{
    ASSERT(list_empty(&r->tablets) && list_empty(&r->leaving));
    roster_release(&r->roster);
    peer_destroy(r->peer);
    buf_release(&r->message);
    tablet_reader_release(&r->reader);
    tablet_reader_release(&r->owner);
}

void
tablet_reactor_listen(struct tablet_reactor *r)
{
    engine_listen(r->node->engine, &r->listener);
}

void
tablet_reactor_drain(struct tablet_reactor *r)
{
    r->draining = true;
    list_each (at, &r->tablets) {
        struct tablet *t = container_of(at, struct tablet, on_reactor);

        shipment_give_up(t);
        staging_give_up(t);
    }
}

bool
tablet_reactor_idle(const struct tablet_reactor *r)
{
    if (!list_empty(&r->reader.cold) || !list_empty(&r->owner.cold) ||
        atomic_load(&r->arriving) > 0 || atomic_load(&r->node->change_count) > 0)
        return false;
    list_each (at, &r->tablets) {
        if (!tablet_idle(container_of(at, struct tablet, on_reactor)))
            return false;
    }
    return true;
}

void
tablet_reactor_rest(struct tablet_reactor *r)
{
    ASSERT(tablet_reactor_idle(r));
    r->resting = true;
}

/* ------------------------------------------------------------------ rounds */

void
tablet__mark(struct tablet *t)
{
    struct tablet_reactor *r = t->reactor;

    if (r->resting)
        return;
    t->sleeps = false;
    if (list_empty(&t->on_marked))
        list_push_back(&r->marked, &t->on_marked);
    if (!r->round_posted) {
        r->round_posted = true;
        loop_post(r->loop, &r->round);
    }
}

static void
flush_log(struct tablet_reactor *r)
{
    bool gathered = false;
    bool sync = false;

    list_each (at, &r->marked) {
        struct tablet *t = container_of(at, struct tablet, on_marked);

        gathered |= t->gathered;
        sync |= t->sync_gathered;
        t->gathered = t->sync_gathered = false;
    }
    if (gathered)
        engine_flush(r->node->engine, sync);
}

static void
end_round(struct task *task)
{
    struct tablet_reactor *r = container_of(task, struct tablet_reactor, round);
    struct list marked;
    struct list *at;

    r->round_posted = false;
    if (r->resting)
        return; /* what is left in it goes when the log is closed */
    flush_log(r);
    list_init(&marked);
    list_splice_back(&marked, &r->marked);
    while ((at = list_pop_front(&marked)) != NULL)
        tablet__end_round(container_of(at, struct tablet, on_marked));
    if (r->peer != NULL)
        peer_flush(r->peer);
}

/* Whoever did not await the log is looked after at the next tick. */
static void
log_moved(void *ctx)
{
    struct tablet_reactor *r = ctx;
    struct list awaiting;
    struct list *at;

    list_init(&awaiting);
    list_splice_back(&awaiting, &r->awaiting);
    while ((at = list_pop_front(&awaiting)) != NULL) {
        if (!r->resting)
            tablet__moved(container_of(at, struct tablet, on_awaiting));
    }
}

/* ------------------------------------------------------------------ the other nodes */

void
tablet__tell_all(struct tablet_reactor *r, struct raft_event event)
{
    list_each (at, &r->tablets)
        tablet__hear(container_of(at, struct tablet, on_reactor), event);
}

/* Silent, or started anew: then it may have forgotten what it was told, and by whom. */
static void
watch(struct tablet_reactor *r, struct tablet_watch *w, uint64_t now_ns)
{
    struct tablet_neighbour *n = w->neighbour;
    uint64_t incarnation = atomic_load(&n->incarnation);
    bool silent =
        neighbour_is_wanted(n, now_ns) && atomic_load(&n->heard_ns) + TABLET_SILENCE_NS < now_ns;
    bool anew = incarnation != w->incarnation && w->incarnation != 0;
    bool tell = anew || (silent && !w->silent);

    w->incarnation = incarnation;
    w->silent = silent;
    if (tell)
        tablet__tell_all(r,
                         (struct raft_event){ .kind = RAFT_SILENT, .node = atomic_load(&n->node) });
}

/* ------------------------------------------------------------------ the tick */

static bool
owes_or_awaits(const struct tablet *t)
{
    return t->head_owed || t->given < t->tail.limit || t->unsynced < t->tail.limit ||
           t->head_ticket > t->ticket || !list_empty(&t->on_awaiting) ||
           !list_empty(&t->on_marked) || atomic_load(&t->ceiling_stuck);
}

static bool
may_sleep(const struct tablet *t)
{
    return t->raft != NULL && raft_is_quiesced(t->raft) && tablet_idle(t) &&
           list_empty(&t->barriers) && list_empty(&t->catchups) && t->shipment == NULL &&
           t->staging == NULL && t->applied >= raft_applicable(t->raft) && t->applied_bytes == 0 &&
           !owes_or_awaits(t);
}

static bool
is_all_due(struct tablet_reactor *r)
{
    const struct engine *e = r->node->engine;
    uint64_t seals_asked = engine_seals_asked(e);
    bool asked = seals_asked != r->seals_asked;

    r->seals_asked = seals_asked;
    return asked || ++r->ticks % SLEEPERS_EVERY == 0 || engine_log_health(e) != ST_OK;
}

static void
tick_tablets(struct tablet_reactor *r)
{
    bool all = is_all_due(r);

    list_each (at, &r->tablets) {
        struct tablet *t = container_of(at, struct tablet, on_reactor);

        if (t->sleeps && !all)
            continue;
        if (all)
            tablet__want_members(t);
        tablet_tick(t);
        t->sleeps = may_sleep(t);
    }
}

void
tablet_reactor_tick(struct tablet_reactor *r)
{
    uint64_t now_ns = loop_now_ns(r->loop);

    if (loop_index(r->loop) == 0)
        exchange_beat(r);
    for (uint32_t i = 0; i < r->watch_limit; i++) {
        if (r->watches[i].neighbour != NULL)
            watch(r, &r->watches[i], now_ns);
    }
    tick_tablets(r);
    lifetime_tick(r);
    tablet_reader_tick(&r->reader);
}
