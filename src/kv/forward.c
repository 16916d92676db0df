/*
 * What a door has at other nodes.
 *
 *      id      door:8  generation:40  place:16
 *
 *   F1  A request that is away has one place, which its id names; an answer for a place that was used
 *       again, or for an earlier process of this node, or from another node, is nobody's.
 *   F2  The places of a link stand in the order in which their requests were sent.
 *   F3  Nothing of a stream is away any more when the next begins.
 */
#include "kv/forward.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/log.h"
#include "base/mem.h"

#include "kv/host.h"
#include "kv/kv_internal.h"
#include "kv/route.h"
#include "tablet/exchange.h"
#include "tablet/request_codec.h"

enum {
    PLACE_BITS = 16,
    GENERATION_BITS = 40,
    BYTES_SHARE = 16, /* of the budget: what waits, and what is at each node */
    BYTES_MAX = 64 << 20,
    SERVED_SHARE = 8, /* and what is served: of all nodes */
    SERVED_BYTES_MAX = 256 << 20,
    MESSAGE_KEPT_BYTES = 2 << 20,
};

#define GENERATION_MASK ((UINT64_C(1) << GENERATION_BITS) - 1)
#define NS_PER_US       1000

_Static_assert(FORWARD_AWAY_MAX <= 1 << PLACE_BITS, "a place has a number");
_Static_assert((int)FORWARD_REQUEST == EXCHANGE_FOREIGN, "ours begin where the exchange's end");
_Static_assert(LIMIT_REACTORS <= 256, "a door has a byte of the id");

static void receive(struct exchange_guest *guest, const struct peer_sender *from, uint8_t type,
                    uint64_t id, struct slice payload);
static void connection_changed(struct exchange_guest *guest, uint64_t node, uint64_t incarnation);

/* ------------------------------------------------------------------ life */

static void
flush(struct task *task)
{
    struct forward *f = container_of(task, struct forward, flush);

    f->flush_posted = false;
    peer_flush(f->door->reactor.peer);
}

static void
pause_over(void *ctx)
{
    struct forward *f = ctx;

    list_each (at, &f->busy)
        route_stir(container_of(at, struct route, on_busy));
}

static size_t
own_bytes(const struct forward *f)
{
    return sizeof(*f) + f->route_count * sizeof(struct route *) +
           FORWARD_AWAY_MAX * sizeof(struct away) + f->link_count * sizeof(struct forward_link);
}

static struct budget *
budget_of(const struct forward *f)
{
    return engine_budget(f->door->kv->engine);
}

static void
begin_lists(struct forward *f)
{
    const struct tablet_node *node = &f->door->kv->node;

    for (uint32_t i = 0; i < FORWARD_AWAY_MAX; i++)
        list_push_back(&f->free, &f->places[i].link);
    for (uint32_t i = 0; i < f->link_count; i++) {
        f->links[i].neighbour = &node->neighbours[i];
        list_init(&f->links[i].away);
    }
}

enum status
forward_create(struct forward **out, struct kv_door *door, struct err *err)
{
    struct kv *kv = door->kv;
    struct forward *f = mem_new(struct forward);
    size_t limit = engine_budget(kv->engine)->limit;

    if (f == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for requests to other nodes");
    f->door = door;
    f->guest = (struct exchange_guest){ .receive = receive, .state = connection_changed };
    f->flush.run = flush;
    f->message = buf_empty(PEER_MESSAGE_BYTES_MAX);
    f->away_bytes_max = budget_part(limit, BYTES_SHARE, BYTES_MAX);
    f->waiting_bytes_max = f->away_bytes_max;
    f->served_bytes_max = budget_part(limit, SERVED_SHARE, SERVED_BYTES_MAX);
    f->route_count = kv->keyspace_count;
    f->link_count = kv->node.neighbour_count;
    list_init(&f->busy);
    list_init(&f->free);
    list_init(&f->scans);
    budget_charge(engine_budget(kv->engine), own_bytes(f));
    f->routes = mem_new_array(struct route *, f->route_count);
    f->places = mem_new_array(struct away, FORWARD_AWAY_MAX);
    f->links = mem_new_array(struct forward_link, f->link_count);
    if (f->routes == NULL || f->places == NULL || f->links == NULL ||
        timer_create_on(door->loop, pause_over, f, &f->pause) != ST_OK) {
        forward_destroy(f);
        return err_raise(err, ST_NO_MEMORY, "out of memory for requests to other nodes");
    }
    begin_lists(f);
    door->reactor.guest = &f->guest;
    *out = f;
    return ST_OK;
}

void
forward_destroy(struct forward *f)
{
    if (f == NULL)
        return;
    host_close_idle(f);
    for (uint32_t i = 0; f->routes != NULL && i < f->route_count; i++)
        route_destroy(f->routes[i]);
    budget_return(budget_of(f), own_bytes(f));
    timer_destroy(f->pause);
    buf_release(&f->message);
    mem_free(f->routes);
    mem_free(f->places);
    mem_free(f->links);
    mem_free(f);
}

struct route *
forward_route(struct forward *f, struct keyspace *k)
{
    struct route **route = &f->routes[k - f->door->kv->keyspaces];

    if (*route == NULL)
        *route = route_create(f, k);
    return *route;
}

/* ------------------------------------------------------------------ other nodes */

bool
forward_find(const struct forward *f, uint64_t node, uint32_t *at)
{
    for (uint32_t i = 0; i < f->link_count; i++) {
        if (f->links[i].neighbour->node == node) {
            *at = i;
            return true;
        }
    }
    return false;
}

static struct forward_link *
link_of(struct forward *f, uint64_t node)
{
    uint32_t at;

    return forward_find(f, node, &at) ? &f->links[at] : NULL;
}

static bool
is_silent(const struct forward_link *l, uint64_t now_ns)
{
    return atomic_load(&l->neighbour->heard_ns) + TABLET_SILENCE_NS < now_ns;
}

bool
forward_can_reach(const struct forward *f, uint64_t node)
{
    uint32_t at;

    if (node == forward_self(f))
        return true;
    return forward_find(f, node, &at) && peer_incarnation(f->door->reactor.peer, node) != 0 &&
           !is_silent(&f->links[at], loop_now_ns(f->door->loop));
}

uint64_t
forward_self(const struct forward *f)
{
    return f->door->kv->node.id;
}

uint64_t
forward_neighbour(const struct forward *f, uint32_t at)
{
    return at < f->link_count ? f->links[at].neighbour->node : 0;
}

void
forward_wake_in(struct forward *f, uint32_t ms)
{
    timer_start(f->pause, ms);
}

/* ------------------------------------------------------------------ sending */

uint8_t *
forward_room(struct forward *f, size_t size)
{
    if (f->message.capacity > MESSAGE_KEPT_BYTES && size <= MESSAGE_KEPT_BYTES)
        buf_release(&f->message); /* nobody has charged it (P6) */
    return buf_reserve(&f->message, size) == ST_OK ? f->message.data : NULL;
}

enum status
forward_post(struct forward *f, uint64_t node, const struct peer_message *message)
{
    enum status st = peer_send(f->door->reactor.peer, node, message);

    if (st == ST_OK && !f->flush_posted) {
        f->flush_posted = true;
        loop_post(f->door->loop, &f->flush);
    }
    return st;
}

static uint64_t
id_of(const struct forward *f, const struct away *a)
{
    uint64_t place = (uint64_t)(a - f->places);

    return (uint64_t)loop_index(f->door->loop) << (GENERATION_BITS + PLACE_BITS) |
           (a->generation & GENERATION_MASK) << PLACE_BITS | place;
}

uint32_t
forward_door_of(uint64_t id)
{
    return (uint32_t)(id >> (GENERATION_BITS + PLACE_BITS));
}

/* NULL: it is nobody's (F1). */
static struct away *
find_away(struct forward *f, uint64_t node, uint64_t id)
{
    uint64_t place = id & ((UINT64_C(1) << PLACE_BITS) - 1);
    struct away *a = &f->places[place < FORWARD_AWAY_MAX ? place : 0];

    return a->request != NULL && id_of(f, a) == id && a->to->neighbour->node == node ? a : NULL;
}

static struct request_envelope
envelope_of(const struct forward *f, const struct route *route, const struct request *r)
{
    uint64_t now_ns = loop_now_ns(f->door->loop);

    return (struct request_envelope){
        .tablet = route->keyspace->tablet_id,
        .left_us = r->deadline_ns > now_ns ? (r->deadline_ns - now_ns) / NS_PER_US : 0,
    };
}

static enum status
post_request(struct forward *f, const struct request *r, const struct request_envelope *e,
             const struct away *a)
{
    size_t size = request_encode(NULL, r, e);
    uint8_t *room = forward_room(f, size);
    uint8_t head[VARINT_BYTES_MAX];
    struct slice parts[2];
    struct peer_message message = {
        .type = FORWARD_REQUEST, .id = id_of(f, a), .parts = parts, .part_count = 2, .steady = true
    };
    enum status st;

    if (room == NULL)
        return ST_NO_MEMORY;
    (void)request_encode(room, r, e);
    parts[0] = slice_of(head, (size_t)(put_varint(head, a->to->stream) - head));
    parts[1] = slice_of(room, size);
    st = forward_post(f, a->to->neighbour->node, &message);
    return st == ST_NOT_FOUND ? ST_CLOSED : st;
}

enum status
forward_send(struct forward *f, struct route *route, struct request *r, uint64_t node)
{
    struct forward_link *l = link_of(f, node);
    struct request_envelope e = envelope_of(f, route, r);
    size_t bytes = request_encode(NULL, r, &e);
    struct away *a;
    enum status st;

    if (l == NULL)
        return ST_CLOSED;
    if (list_empty(&f->free) || (l->bytes > 0 && l->bytes + bytes > f->away_bytes_max))
        return ST_BUSY;
    a = container_of(f->free.next, struct away, link);
    a->to = l;
    st = post_request(f, r, &e, a);
    if (st != ST_OK)
        return st;
    a->request = r;
    a->route = route;
    a->bytes = bytes;
    a->sent_ns = loop_now_ns(f->door->loop);
    l->bytes += bytes;
    list_remove(&a->link);
    list_push_back(&l->away, &a->link); /* F2 */
    return ST_OK;
}

void
forward_ask(struct forward *f, struct keyspace *k, struct request *r, uint64_t node)
{
    struct route *route = forward_route(f, k);
    enum status st = ST_NO_MEMORY;

    r->keyspace = k->id;
    r->home = f->door->loop;
    r->way = &f->direct;
    r->way->under_way++;
    r->cold = NULL;
    r->scratch = (struct buf){ 0 };
    if (route != NULL)
        st = forward_send(f, route, r, node);
    if (st == ST_OK)
        return;
    r->status = st;
    request_done(r);
}

/* ------------------------------------------------------------------ coming back */

/* Its place is free; the request is the caller's. */
static struct request *
detach(struct forward *f, struct away *a)
{
    struct request *r = a->request;

    ASSERT(r != NULL && a->to->bytes >= a->bytes);
    a->to->bytes -= a->bytes;
    a->request = NULL;
    a->generation++;
    list_remove(&a->link);
    list_push_back(&f->free, &a->link);
    return r;
}

/* Whoever drains is about to be gone: it refused. */
static void
answered(struct forward *f, const struct peer_sender *from, uint64_t id, struct slice payload)
{
    struct reader in = reader_of(payload);
    bool ours = read_u64(&in) == f->door->kv->incarnation;
    struct away *a = find_away(f, from->node, id);
    struct route *route;
    struct request *r;

    if (a == NULL || !ours)
        return;
    route = a->route;
    r = detach(f, a);
    if (answer_decode(read_bytes(&in, reader_left(&in)), r) != ST_OK) {
        log_event(LOG_ERROR, "forward.answer_not_understood", log_u64("node", from->node));
        r->status = request_writes(r) ? ST_UNKNOWN : ST_CORRUPT;
    }
    if (r->status == ST_CLOSED)
        r->status = ST_NOT_LEADER;
    r->elsewhere = from->node;
    request_done(r);
    if (route->waiting_count > 0)
        route_stir(route);
}

/* Everything on the link, or of one of its routes.  All of it comes back to its route before any of it is
 * answered. */
static void
lose(struct forward *f, struct forward_link *l, struct route *only)
{
    struct list *at = l->away.next;
    struct list lost;

    list_init(&lost);
    while (at != &l->away) {
        struct away *a = container_of(at, struct away, link);

        at = at->next;
        if (only != NULL && a->route != only)
            continue;
        if (a->request->way == &a->route->way)
            route_block(a->route);
        list_push_back(&lost, &detach(f, a)->link);
    }
    if (only == NULL)
        l->stream++; /* F3 */
    while ((at = list_pop_front(&lost)) != NULL) {
        struct request *r = container_of(at, struct request, link);

        r->status = ST_UNKNOWN;
        request_done(r);
    }
}

void
forward_lose_route(struct forward *f, struct route *route)
{
    struct forward_link *l = link_of(f, route->to.node);

    route_block(route);
    if (l != NULL)
        lose(f, l, route);
}

/* ------------------------------------------------------------------ arriving */

/* An answer on its way to its door, and a copy of its payload behind it. */
struct arrival {
    struct task task;
    struct forward *forward;
    struct peer_sender from;
    uint64_t id;
    size_t size;
};

static void
arrive(struct task *task)
{
    struct arrival *a = container_of(task, struct arrival, task);
    struct forward *f = a->forward;
    size_t bytes = sizeof(*a) + a->size;

    answered(f, &a->from, a->id, slice_of(a + 1, a->size));
    budget_return(budget_of(f), bytes);
    mem_free(a);
    atomic_fetch_sub(&f->door->reactor.arriving, 1);
}

/* Without memory for the copy the answer is lost: the request ends by its deadline. */
static void
carry_over(struct forward *to, const struct peer_sender *from, uint64_t id, struct slice payload)
{
    size_t bytes = sizeof(struct arrival) + payload.size;
    struct arrival *a;

    if (!budget_try_charge(budget_of(to), bytes))
        return;
    a = mem_alloc(bytes);
    if (a == NULL) {
        budget_return(budget_of(to), bytes);
        return;
    }
    *a = (struct arrival){
        .task.run = arrive, .forward = to, .from = *from, .id = id, .size = payload.size
    };
    if (payload.size > 0)
        memcpy(a + 1, payload.data, payload.size);
    atomic_fetch_add(&to->door->reactor.arriving, 1);
    loop_post(to->door->loop, &a->task);
}

static void
receive(struct exchange_guest *guest, const struct peer_sender *from, uint8_t type, uint64_t id,
        struct slice payload)
{
    struct forward *f = container_of(guest, struct forward, guest);
    struct kv *kv = f->door->kv;
    uint32_t at;

    if (type == FORWARD_REQUEST)
        serve_request(f, from, id, payload);
    if (type == FORWARD_LOST && forward_find(f, from->node, &at))
        atomic_fetch_add(&kv->losses[at], 1);
    if (type != FORWARD_REPLY || forward_door_of(id) >= kv->door_count)
        return;
    if (forward_door_of(id) == loop_index(f->door->loop))
        answered(f, from, id, payload);
    else
        carry_over(kv->doors[forward_door_of(id)].forward, from, id, payload);
}

/* What we had to say to the node may have been lost, too: it will not know of which requests. */
static void
connection_changed(struct exchange_guest *guest, uint64_t node, uint64_t incarnation)
{
    struct forward *f = container_of(guest, struct forward, guest);
    struct peer_message message = { .type = FORWARD_LOST, .urgent = true, .steady = true };
    struct forward_link *l = link_of(f, node);

    if (l == NULL)
        return;
    if (incarnation == 0)
        lose(f, l, NULL);
    else if (l->has_answered)
        l->has_answered = forward_post(f, node, &message) != ST_OK;
}

void
forward_note_answer(struct forward *f, uint64_t node)
{
    struct forward_link *l = link_of(f, node);

    if (l != NULL)
        l->has_answered = true;
}

/* ------------------------------------------------------------------ time */

/* The first of a link are the oldest, but not the first to be late. */
static void
end_late(struct forward *f, struct forward_link *l, uint64_t now_ns)
{
    struct list *at = l->away.next;
    struct list late;

    list_init(&late);
    while (at != &l->away) {
        struct away *a = container_of(at, struct away, link);

        at = at->next;
        if (now_ns >= a->request->deadline_ns)
            list_push_back(&late, &detach(f, a)->link);
        else if (now_ns - a->sent_ns > TABLET_SILENCE_NS)
            route_doubt(a->route);
    }
    while ((at = list_pop_front(&late)) != NULL) {
        struct request *r = container_of(at, struct request, link);

        r->status = request_writes(r) ? ST_UNKNOWN : ST_TIMEOUT;
        request_done(r);
    }
}

static void
tend_link(struct forward *f, uint32_t at, uint64_t now_ns)
{
    struct forward_link *l = &f->links[at];
    uint32_t losses = atomic_load(&f->door->kv->losses[at]);
    bool lost = losses != l->losses_seen;

    l->losses_seen = losses;
    if (list_empty(&l->away))
        return;
    if (lost || is_silent(l, now_ns))
        lose(f, l, NULL);
    end_late(f, l, now_ns);
}

void
forward_tick(struct forward *f, uint64_t now_ns)
{
    struct list *at = f->busy.next;

    for (uint32_t i = 0; i < f->link_count; i++)
        tend_link(f, i, now_ns);
    host_tick(f, now_ns);
    while (at != &f->busy) {
        struct route *route = container_of(at, struct route, on_busy);

        at = at->next;
        if (!route_tick(route, now_ns))
            list_remove(&route->on_busy);
    }
}

void
forward_drain(struct forward *f)
{
    host_close_idle(f);
    for (uint32_t i = 0; i < f->route_count; i++) {
        if (f->routes[i] != NULL)
            route_drain(f->routes[i]);
    }
}

bool
forward_idle(const struct forward *f)
{
    if (f->probes.under_way > 0 || f->direct.under_way > 0 || host_is_busy(f) ||
        f->served.under_way > 0 || f->flush_posted)
        return false;
    for (uint32_t i = 0; i < f->route_count; i++) {
        const struct route *route = f->routes[i];

        if (route != NULL && (route->way.under_way > 0 || route->posted))
            return false;
    }
    return true;
}
