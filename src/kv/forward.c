/* What a door shares with the doors of other nodes: routes, links, messages. */
#include "kv/forward.h"

#include "base/mem.h"

#include "kv/host.h"
#include "kv/kv_internal.h"
#include "kv/parting.h"
#include "kv/route.h"
#include "tablet/exchange.h"

enum {
    BYTES_SHARE = 16, /* of the budget: what waits, and what is at each node */
    BYTES_MAX = 64 << 20,
    SERVED_SHARE = 8, /* and what is served: of all nodes */
    SERVED_BYTES_MAX = 256 << 20,
    MESSAGE_KEPT_BYTES = 2 << 20,
};

#define NS_PER_MS UINT64_C(1000000)

_Static_assert((int)FORWARD_REQUEST == EXCHANGE_FOREIGN, "ours begin where the exchange's end");

static void receive(struct exchange_guest *guest, const struct peer_sender *from, uint8_t type,
                    uint64_t id, struct slice payload);
static void connection_changed(struct exchange_guest *guest, uint64_t node, uint64_t incarnation);
static void strange(struct exchange_guest *guest, struct stream *stream, struct slice begin);

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
    return sizeof(*f) + FORWARD_AWAY_MAX * sizeof(struct away) +
           TABLET_NODES_MAX * sizeof(struct forward_link);
}

static struct budget *
budget_of(const struct forward *f)
{
    return engine_budget(f->door->kv->engine);
}

static void
begin_lists(struct forward *f)
{
    struct neighbours *all = &f->door->kv->node.neighbours;

    for (uint32_t i = 0; i < FORWARD_AWAY_MAX; i++)
        list_push_back(&f->free, &f->places[i].link);
    for (uint32_t i = 0; i < TABLET_NODES_MAX; i++) {
        f->links[i].neighbour = &all->slots[i];
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
    f->guest = (struct exchange_guest){ .receive = receive,
                                        .state = connection_changed,
                                        .stranger = strange };
    f->flush.run = flush;
    f->message = buf_empty(PEER_MESSAGE_BYTES_MAX);
    f->away_bytes_max = budget_part(limit, BYTES_SHARE, BYTES_MAX);
    f->waiting_bytes_max = f->away_bytes_max;
    f->served_bytes_max = budget_part(limit, SERVED_SHARE, SERVED_BYTES_MAX);
    list_init(&f->routes);
    list_init(&f->busy);
    list_init(&f->free);
    list_init(&f->scans);
    budget_charge(engine_budget(kv->engine), own_bytes(f));
    f->places = mem_new_array(struct away, FORWARD_AWAY_MAX);
    f->links = mem_new_array(struct forward_link, TABLET_NODES_MAX);
    if (f->places == NULL || f->links == NULL ||
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
    ASSERT(list_empty(&f->routes));
    budget_return(budget_of(f), own_bytes(f));
    timer_destroy(f->pause);
    buf_release(&f->message);
    mem_free(f->places);
    mem_free(f->links);
    mem_free(f);
}

struct route *
forward_route(struct forward *f, struct site *site)
{
    if (site->route == NULL)
        site->route = route_create(f, site);
    return site->route;
}

/* ------------------------------------------------------------------ other nodes */

bool
forward_find(const struct forward *f, uint64_t node, uint32_t *at)
{
    struct neighbours *all = &f->door->kv->node.neighbours;
    const struct tablet_neighbour *slot = neighbours_find(all, node);

    if (slot == NULL)
        return false;
    *at = (uint32_t)(slot - all->slots);
    return true;
}

/* One whose place was another's loses what that had. */
struct forward_link *
forward__link(struct forward *f, uint64_t node)
{
    struct forward_link *l;
    uint32_t at;

    if (!forward_find(f, node, &at))
        return NULL;
    l = &f->links[at];
    if (l->node != node) {
        forward__lose(f, l, NULL);
        l->node = node;
        l->has_answered = false;
    }
    return l;
}

/* From now on it is listened for: we want something of the node. */
static bool
is_heard(const struct forward_link *l, uint64_t now_ns)
{
    neighbour_want(l->neighbour, now_ns);
    return atomic_load(&l->neighbour->heard_ns) + TABLET_SILENCE_NS >= now_ns;
}

bool
forward_can_reach(const struct forward *f, uint64_t node)
{
    uint32_t at;

    if (node == forward_self(f))
        return true;
    return forward_find(f, node, &at) && peer_incarnation(f->door->reactor.peer, node) != 0 &&
           !parting_of(f, at) && is_heard(&f->links[at], loop_now_ns(f->door->loop));
}

uint64_t
forward_self(const struct forward *f)
{
    return f->door->kv->node.id;
}

uint64_t
forward_neighbour(const struct forward *f, uint32_t at)
{
    for (uint32_t i = 0; i < TABLET_NODES_MAX; i++) {
        uint64_t node = atomic_load_explicit(&f->links[i].neighbour->node, memory_order_relaxed);

        if (node != 0 && at-- == 0)
            return node;
    }
    return 0;
}

void
forward_wake_in(struct forward *f, uint32_t ms)
{
    timer_start(f->pause, ms);
}

/* ------------------------------------------------------------------ messages */

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

    forward__answered(f, &a->from, a->id, slice_of(a + 1, a->size));
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

/* It may be another door's. */
static void
receive_answer(struct forward *f, const struct peer_sender *from, uint64_t id, struct slice payload)
{
    struct kv *kv = f->door->kv;
    uint32_t door = forward_door_of(id);

    if (door == loop_index(f->door->loop))
        forward__answered(f, from, id, payload);
    else if (door < kv->door_count)
        carry_over(kv->doors[door].forward, from, id, payload);
}

static void
receive(struct exchange_guest *guest, const struct peer_sender *from, uint8_t type, uint64_t id,
        struct slice payload)
{
    struct forward *f = container_of(guest, struct forward, guest);
    struct kv *kv = f->door->kv;
    uint32_t at;

    if (type >= CLUSTER_MESSAGE_MIN) {
        cluster_receive(kv->cluster, loop_index(f->door->loop), from, type, payload);
        return;
    }
    if (type == FORWARD_REQUEST)
        serve_request(f, from, id, payload);
    if (type == FORWARD_REPLY)
        receive_answer(f, from, id, payload);
    if (!forward_find(f, from->node, &at))
        return;
    if (type == FORWARD_LOST)
        atomic_fetch_add(&f->links[at].neighbour->guest.losses, 1);
    if (type == FORWARD_PART)
        parting_heard(f, at, from);
    if (type == FORWARD_PARTED)
        parted_heard(f, at, id, payload);
}

/* What we had to say to the node may have been lost, too: it will not know of which requests. */
static void
connection_changed(struct exchange_guest *guest, uint64_t node, uint64_t incarnation)
{
    struct forward *f = container_of(guest, struct forward, guest);
    struct peer_message message = { .type = FORWARD_LOST, .urgent = true, .steady = true };
    struct forward_link *l = forward__link(f, node);

    if (l == NULL)
        return;
    l->parted_from = 0; /* that may have been lost, too */
    if (incarnation == 0)
        forward__lose(f, l, NULL);
    else if (l->has_answered)
        l->has_answered = forward_post(f, node, &message) != ST_OK;
}

static void
strange(struct exchange_guest *guest, struct stream *stream, struct slice begin)
{
    const struct kv_door *door = container_of(guest, struct forward, guest)->door;

    cluster_stranger(door->kv->cluster, loop_index(door->loop), stream, begin);
}

void
forward_note_answer(struct forward *f, uint64_t node)
{
    struct forward_link *l = forward__link(f, node);

    if (l != NULL)
        l->has_answered = true;
}

/* ------------------------------------------------------------------ time */

static void
tend_link(struct forward *f, uint32_t at, uint64_t now_ns)
{
    struct forward_link *l = &f->links[at];
    uint32_t losses = atomic_load(&l->neighbour->guest.losses);
    bool lost = losses != l->losses_seen;

    l->losses_seen = losses;
    parting_tend(f, at);
    if (list_empty(&l->away))
        return;
    if (!is_heard(l, now_ns) || lost)
        forward__lose(f, l, NULL);
    forward__end_late(f, l, now_ns);
}

void
forward_tick(struct forward *f, uint64_t now_ns)
{
    struct list *at = f->busy.next;

    for (uint32_t i = 0; i < atomic_load(&f->door->kv->node.neighbours.limit); i++)
        tend_link(f, i, now_ns);
    host_tick(f, now_ns);
    if (f->door->draining && now_ns < f->part_until_ns)
        parting_ask(f);
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
    f->part_until_ns = loop_now_ns(f->door->loop) + (uint64_t)PART_MS * NS_PER_MS;
    parting_ask(f);
    list_each (at, &f->routes)
        route_drain(container_of(at, struct route, on_forward));
}

bool
forward_idle(const struct forward *f)
{
    if (f->probes.under_way > 0 || f->direct.under_way > 0 || host_is_busy(f) ||
        f->served.under_way > 0 || f->flush_posted)
        return false;
    list_each (at, &f->routes) {
        const struct route *route = container_of(at, struct route, on_forward);

        if (route->way.under_way > 0 || route->posted)
            return false;
    }
    return parting_is_done(f, loop_now_ns(f->door->loop));
}
