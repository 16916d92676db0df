/*
 *               submit
 *                 │            ┌──────── refused (its turn is kept) ◄───────┐
 *                 v            v                                            │
 *      SEEKING  waiting ────────────> HERE: tablet_send   ─────────────> answered
 *         ^                    └────> THERE: forward_send ─────────────> answered
 *         │                                  │ refused, lost, silent
 *         └── all has come back ── BLOCKED <─┘
 *
 * WHY THE ORDER HOLDS.  There is one leader in a term, and who has ceased to lead in one never leads in it
 * again.  So of the requests that went to (node, term), in order, those that are refused are the last ones: none
 * is evaluated there after an earlier one was refused.  All of them are back before the first is sent
 * to a leader of a higher term, and they go there by turn.  What a connection had under way when it was lost
 * is not evaluated after anything that is sent later: kv/forward.h, fences.
 *
 * INVARIANTS
 *
 *   R1  Requests are sent by turn: a request that was never sent is behind all that were.
 *   R2  The terms in which requests of a route are sent never go down, and never to one that is spent.
 *   R3  Every request of a route is in its queue, or elsewhere, or in this node's tablet.
 *   R4  A write is sent again only when nothing of it was applied, or when it has a number of its client
 *       (tablet/dedup.h).
 *   R5  What waits was placed here by the present drawing (request.edition).  So what was under way while the tablet
 *       was split is placed anew when it comes back, whatever it was told: its key may be another's, whose route
 *       does not wait for ours any longer when all is back.
 *
 * SPLITS.  What a tablet has left to another it refuses for ever (ST_MOVED).  So all requests of a key that were sent
 * to it come back before any is sent to the other: the route of that one waits for ours (`elder`), and what came
 * back keeps its turn.
 */
#include "kv/route.h"

#include "base/assert.h"
#include "base/mark.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "tablet/dedup.h"

enum {
    WAITING_MAX = 1 << 16,
    ADMIN_MS = 60000, /* an administrative request has no deadline, but does not wait for ever */
};

#define NS_PER_MS UINT64_C(1000000)

static bool take_back(struct request *r);
static void tend(struct task *task);

struct route *
route_create(struct forward *f, struct site *site)
{
    struct route *route = mem_new(struct route);

    if (route == NULL)
        return NULL;
    budget_charge(engine_budget(f->door->kv->engine), sizeof(*route));
    route->way.back = take_back;
    route->forward = f;
    route->site = site;
    route->state = ROUTE_SEEKING;
    seek_init(&route->seeker);
    route->task.run = tend;
    list_init(&route->on_busy);
    queue_init(&route->queue);
    list_push_back(&f->routes, &route->on_forward);
    return route;
}

/* Nobody waits for it any more. */
static void
forget_elder(const struct route *elder)
{
    list_each (at, &elder->forward->routes) {
        struct route *route = container_of(at, struct route, on_forward);

        if (route->elder != elder)
            continue;
        route->elder = NULL;
        route_stir(route);
    }
}

void
route_destroy(struct route *route)
{
    if (route == NULL)
        return;
    ASSERT(route->way.under_way == 0 && !route->seeker.probing);
    forget_elder(route);
    list_remove(&route->on_busy);
    list_remove(&route->on_forward);
    budget_return(engine_budget(route->forward->door->kv->engine), sizeof(*route));
    mem_free(route);
}

bool
route_is_idle(const struct route *route)
{
    return route->way.under_way == 0 && !route->posted && !route->seeker.probing &&
           list_empty(&route->on_busy);
}

static struct loop *
loop_of(const struct route *route)
{
    return route->forward->door->loop;
}

static uint64_t
now_ns(const struct route *route)
{
    return loop_now_ns(loop_of(route));
}

void
route_stir(struct route *route)
{
    if (route->posted)
        return;
    route->posted = true;
    loop_post(loop_of(route), &route->task);
}

static void
mark_busy(struct route *route)
{
    if (list_empty(&route->on_busy))
        list_push_back(&route->forward->busy, &route->on_busy);
}

static void
wait(struct route *route, struct request *r)
{
    queue_wait(&route->queue, r);
    mark_busy(route);
}

static void
finish(struct request *r, enum status st)
{
    r->status = st;
    request_done(r);
}

static bool
is_late(const struct request *r, uint64_t now)
{
    return now >= r->deadline_ns;
}

/* ------------------------------------------------------------------ coming back */

static bool
may_ask_again(const struct route *route, const struct request *r)
{
    if (route->forward->door->draining || is_late(r, now_ns(route)))
        return false;
    return r->status == ST_NOT_LEADER ||
           (r->status == ST_UNKNOWN && (!request_writes(r) || dedup_concerns(r))); /* R4 */
}

/* What is to be said of a request that will not be asked again. */
static enum status
last_word(const struct route *route, const struct request *r)
{
    enum status st = r->status;

    if (r->uncertain && st != ST_CONFLICT && st != ST_EXISTS)
        return ST_UNKNOWN;
    if (st == ST_UNKNOWN && !request_writes(r))
        return ST_TIMEOUT; /* its last answer was lost */
    if (st == ST_NOT_LEADER || st == ST_MOVED)
        return route->forward->door->draining ? ST_CLOSED : ST_TIMEOUT;
    return st;
}

void
route_block(struct route *route)
{
    if (route->state == ROUTE_HERE || route->state == ROUTE_THERE)
        route->state = ROUTE_BLOCKED;
    mark_busy(route);
    route_stir(route);
}

static uint64_t
edition_of(const struct route *route)
{
    const struct tablet_record *record = route->site->record;

    return record == NULL ? UINT64_MAX : record->edition;
}

/* Whoever asks this one tablet has to know that it is another now. */
static bool
take_moved(struct route *route, struct request *r)
{
    struct kv_door *door = route->forward->door;

    mark_hit(MARK_KEY_MOVED);
    if (r->only != 0 || door->draining || is_late(r, now_ns(route))) {
        r->status = r->only != 0 ? ST_BUSY : last_word(route, r);
        route_stir(route);
        return false;
    }
    if (edition_of(route) > r->edition) {
        kv__again(door, r);
    } else {
        queue_move(&route->queue, r);
        mark_busy(route);
    }
    route_stir(route);
    return true;
}

static bool
take_back(struct request *r)
{
    struct route *route = container_of(r->way, struct route, way);
    bool refused = r->status == ST_NOT_LEADER;

    if (r->status == ST_MOVED)
        return take_moved(route, r);
    seek_hear(&route->seeker, r);
    if (refused && r->term > route->spent_term)
        route->spent_term = r->term;
    if (refused && r->term == route->to.term)
        route_block(route);
    if (!may_ask_again(route, r)) {
        r->status = last_word(route, r);
        if (route->state == ROUTE_BLOCKED)
            route_stir(route);
        return false;
    }
    r->uncertain |= !refused && request_writes(r);
    if (edition_of(route) > r->edition)
        return take_moved(route, r); /* R5 */
    wait(route, r);
    route_stir(route);
    return true;
}

/* ------------------------------------------------------------------ going on */

void
route_send_to_ours(const struct route *route, struct request *r)
{
    struct tablet *t = map_tablet(&route->forward->door->map, route->site);

    if (t != NULL) {
        tablet_send(t, r);
        return;
    }
    r->status = ST_NOT_LEADER;
    r->leader = r->leader_term = 0;
    request_done(r);
}

static void
send_here(struct route *route, struct request *r)
{
    r->term = route->to.term;
    r->elsewhere = 0;
    route_send_to_ours(route, r);
}

/* False: there is no room for it now, or no way. */
static bool
send_there(struct route *route, struct request *r)
{
    enum status st;

    r->term = route->to.term;
    st = forward_send(route->forward, route, r, route->to.node);
    if (st == ST_BUSY)
        return false;
    if (st == ST_CLOSED) {
        route_block(route);
        return false;
    }
    queue_leave(&route->queue, r);
    if (st != ST_OK)
        finish(r, st);
    return true;
}

static void
pump(struct route *route)
{
    bool went = route->elder == NULL;
    struct request *r;

    while (went && (r = queue_first(&route->queue)) != NULL) {
        if (route->state == ROUTE_HERE) {
            queue_leave(&route->queue, r);
            send_here(route, r);
        } else {
            went = route->state == ROUTE_THERE && send_there(route, r);
        }
    }
}

void
route_submit(struct route *route, struct request *r)
{
    const struct queue *q = &route->queue;

    r->way = &route->way;
    r->way->under_way++;
    if (r->turn == 0)
        r->turn = ++route->forward->turns;
    r->term = 0;
    if (r->admin)
        r->deadline_ns = now_ns(route) + ADMIN_MS * NS_PER_MS;
    if (route->state == ROUTE_HERE && q->waiting_count == 0 && route->elder == NULL) {
        send_here(route, r);
        return;
    }
    if (q->waiting_count >= WAITING_MAX ||
        (q->waiting_count > 0 &&
         q->waiting_bytes + queue_cost_of(r) > route->forward->waiting_bytes_max)) {
        finish(r, ST_BUSY);
        return;
    }
    wait(route, r);
    if (route->state == ROUTE_THERE)
        pump(route);
    else
        route_stir(route);
}

/* ------------------------------------------------------------------ who leads */

/* R2. */
static bool
follow_what_was_heard(struct route *route)
{
    const struct leadership *heard = &route->seeker.heard;
    uint64_t self = forward_self(route->forward);

    if (heard->node == 0 || heard->term <= route->spent_term ||
        !forward_can_reach(route->forward, heard->node))
        return false;
    ASSERT(heard->term >= route->to.term);
    route->to = *heard;
    route->state = route->to.node == self ? ROUTE_HERE : ROUTE_THERE;
    seek_end(&route->seeker);
    return true;
}

static bool
has_all_back(const struct route *route)
{
    uint64_t ours = queue_count(&route->queue);

    ASSERT(route->way.under_way >= ours); /* R3 */
    return route->way.under_way == ours;
}

static void
tend(struct task *task)
{
    struct route *route = container_of(task, struct route, task);

    route->posted = false;
    if (route->state == ROUTE_THERE && route->seeker.heard.term > route->to.term)
        forward_lose_route(route->forward, route);
    if (has_all_back(route))
        forget_elder(route);
    if (route->state == ROUTE_BLOCKED && has_all_back(route))
        route->state = ROUTE_SEEKING;
    if (route->state == ROUTE_SEEKING && !follow_what_was_heard(route) &&
        route->queue.waiting_count > 0)
        seek_go_on(route);
    pump(route);
}

/* ------------------------------------------------------------------ splits */

void
route_redrawn(struct route *route)
{
    struct list all;
    struct list *at;

    queue_wait_again(&route->queue);
    list_init(&all);
    queue_take_waiting(&route->queue, &all);
    if (!has_all_back(route))
        route_block(route);
    while ((at = list_pop_front(&all)) != NULL)
        kv__again(route->forward->door, container_of(at, struct request, link));
    route_stir(route);
}

void
route_follow(struct route *route, struct route *elder)
{
    if (!has_all_back(elder))
        route->elder = elder;
}

/* ------------------------------------------------------------------ time */

/* Those that are not asked any more, in their order: what they say may bring new ones. */
static void
end_all(struct list *ended, enum status st)
{
    struct list *at;

    while ((at = list_pop_front(ended)) != NULL)
        finish(container_of(at, struct request, link), st);
}

bool
route_tick(struct route *route, uint64_t now)
{
    struct list late;

    list_init(&late);
    queue_take_late(&route->queue, now, &late);
    end_all(&late, ST_TIMEOUT);
    if (queue_count(&route->queue) > 0 || route->state == ROUTE_BLOCKED)
        route_stir(route);
    return route->way.under_way > 0 || route->state == ROUTE_BLOCKED;
}

/* Who leads?  While requests go elsewhere. */
static void
question(struct route *route, uint64_t node)
{
    if (route->state == ROUTE_THERE)
        seek_question(route, node);
}

void
route_doubt(struct route *route)
{
    question(route, forward_self(route->forward));
}

/* A member hears of a new leader from it, even when the old one does not. */
void
route_confirm(struct route *route)
{
    const struct forward *f = route->forward;
    bool is_member = map_tablet(&f->door->map, route->site) != NULL;

    question(route, is_member ? forward_self(f) : route->to.node);
}

void
route_drain(struct route *route)
{
    struct list all;

    list_init(&all);
    queue_wait_again(&route->queue);
    queue_take_waiting(&route->queue, &all);
    end_all(&all, ST_CLOSED);
}
