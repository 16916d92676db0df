#include "tablet/exchange.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "raft/codec.h"
#include "tablet/tablet_internal.h"

enum {
    SILENT_CONNECTION_MS = 2000,
    MESSAGE_KEPT_BYTES = 2 << 20, /* of the memory in which messages are encoded */
    BEAT_ANSWERS = 0,
    BEAT_ASKS = 1,       /* whoever gets it sends one, if it does not anyway */
    BEAT_MEASURES = 2,   /* whoever gets it sends one at once, */
    BEAT_IS_BACK = 3,    /* and that is it */
    MEASURED_EVERY = 20, /* beats */
};

/* ------------------------------------------------------------------ arriving */

/* A message on its way to the loop of its tablet, and the copy of its payload behind it. */
struct arrival {
    struct task task;
    struct tablet *tablet;
    uint64_t from;
    size_t size;
    enum exchange_type type;
};

static size_t
arrival_bytes(size_t payload)
{
    return sizeof(struct arrival) + payload;
}

static void
arrive(struct task *task)
{
    struct arrival *a = container_of(task, struct arrival, task);
    struct tablet_reactor *r = a->tablet->reactor;

    if (!r->resting)
        tablet__receive(a->tablet, a->from, a->type, slice_of(a + 1, a->size));
    budget_return(engine_budget(r->node->engine), arrival_bytes(a->size));
    mem_free(a);
    atomic_fetch_sub(&r->arriving, 1);
}

static void
carry_over(struct tablet *t, uint64_t from, enum exchange_type type, struct slice payload)
{
    struct budget *budget = engine_budget(t->engine);
    struct arrival *a;

    if (!budget_try_charge(budget, arrival_bytes(payload.size)))
        return;
    a = mem_alloc(arrival_bytes(payload.size));
    if (a == NULL) {
        budget_return(budget, arrival_bytes(payload.size));
        return;
    }
    *a = (struct arrival){
        .task.run = arrive, .tablet = t, .from = from, .size = payload.size, .type = type
    };
    memcpy(a + 1, payload.data, payload.size);
    atomic_fetch_add(&t->reactor->arriving, 1);
    loop_post(t->reactor->loop, &a->task);
}

/* Without a connection there is nobody to hear it. */
static void
beat(struct tablet_reactor *r, uint64_t node, uint64_t id)
{
    struct peer_message m = { .type = EXCHANGE_BEAT, .id = id, .urgent = true };
    enum status st = peer_send(r->peer, node, &m);

    if (st != ST_OK)
        log_event(LOG_DEBUG, "exchange.beat_lost", log_u64("node", node),
                  log_str("status", status_name(st)));
}

/* That it came says most of it. */
static void
hear_beat(struct tablet_reactor *r, struct tablet_neighbour *n, uint64_t id)
{
    uint64_t now_ns = loop_now_ns(r->loop);
    uint64_t asked_ns = atomic_load(&n->asked_ns);

    if (id == BEAT_ASKS && !neighbour_is_wanted(n, now_ns)) {
        beat(r, atomic_load(&n->node), BEAT_ANSWERS);
    } else if (id == BEAT_MEASURES) {
        beat(r, atomic_load(&n->node), BEAT_IS_BACK);
        peer_flush(r->peer);
    } else if (id == BEAT_IS_BACK && asked_ns != 0) {
        atomic_store(&n->trip_ns, now_ns - asked_ns + 1);
        atomic_store(&n->asked_ns, 0);
    }
}

static void
receive(void *ctx, const struct peer_sender *from, uint8_t type, uint64_t id, struct slice payload)
{
    struct tablet_reactor *r = ctx;
    struct tablet_neighbour *n = neighbours_find(&r->node->neighbours, from->node);
    struct tablet *t;

    if (r->resting)
        return;
    if (n != NULL) {
        atomic_store(&n->heard_ns, loop_now_ns(r->loop));
        atomic_store(&n->incarnation, from->incarnation);
    }
    if (type >= EXCHANGE_FOREIGN && r->guest != NULL)
        r->guest->receive(r->guest, from, type, id, payload);
    if (n == NULL)
        return;
    if (type == EXCHANGE_BEAT)
        hear_beat(r, n, id);
    if (type == EXCHANGE_BEAT || type >= EXCHANGE_TYPE_COUNT)
        return; /* or it is of a later version */
    t = tablet_reactor_find(r, id);
    if (t == NULL)
        return; /* the sender's view of the placement is another one */
    if (t->reactor == r)
        tablet__receive(t, from->node, (enum exchange_type)type, payload);
    else
        carry_over(t, from->node, (enum exchange_type)type, payload);
}

/* It is gone: what was queued or under way is lost.  It stands: a group that we lead may have fallen
 * asleep without the node's member, which, when it has no vote, does not say that it is there again. */
static void
connection_changed(void *ctx, peer_node node, uint64_t incarnation)
{
    struct tablet_reactor *r = ctx;
    struct raft_event event = { .kind = incarnation == 0 ? RAFT_UNREACHABLE : RAFT_SILENT,
                                .node = node };

    if (r->guest != NULL && !r->resting)
        r->guest->state(r->guest, node, incarnation);
    list_each (at, &r->tablets) {
        struct tablet *t = container_of(at, struct tablet, on_reactor);
        bool leads = t->raft != NULL && raft_role(t->raft) == RAFT_LEADER;

        if (!r->resting && (incarnation == 0 || leads))
            tablet__hear(t, event);
    }
}

static void
strange(void *ctx, struct stream *stream, struct slice begin)
{
    struct tablet_reactor *r = ctx;

    if (r->guest != NULL && !r->resting)
        r->guest->stranger(r->guest, stream, begin);
    else
        stream_close(stream);
}

/* ------------------------------------------------------------------ calling */

/* NULL: we have not joined it. */
static struct tablet_watch *
watch_of(struct tablet_reactor *r, uint64_t node)
{
    for (uint32_t i = 0; i < r->watch_limit; i++) {
        const struct tablet_neighbour *n = r->watches[i].neighbour;

        if (n != NULL && atomic_load(&n->node) == node)
            return &r->watches[i];
    }
    return NULL;
}

static enum status
join(struct tablet_reactor *r, uint64_t node, struct err *err)
{
    uint64_t now_ns = env_boot_ns(engine_env(r->node->engine));
    struct tablet_neighbour *n;
    enum status st = neighbours_join(&r->node->neighbours, node, now_ns, &n);
    uint32_t i = 0;

    if (st != ST_OK)
        return err_raise(err, st, "more than %d other nodes", TABLET_NODES_MAX);
    while (i < r->watch_limit && r->watches[i].neighbour != NULL)
        i++;
    ASSERT(i < TABLET_NODES_MAX); /* as there was a slot */
    r->watches[i] = (struct tablet_watch){ .neighbour = n };
    if (i == r->watch_limit)
        r->watch_limit++;
    return ST_OK;
}

enum status
exchange_set_neighbour(struct tablet_reactor *r, uint64_t node, const char *host, uint16_t port,
                       struct err *err)
{
    bool known = watch_of(r, node) != NULL;
    enum status st = known ? ST_OK : join(r, node, err);

    if (st == ST_OK)
        st = peer_set_address(r->peer, node, host, port, err);
    if (st != ST_OK && !known)
        exchange_forget_neighbour(r, node);
    return st;
}

void
exchange_forget_neighbour(struct tablet_reactor *r, uint64_t node)
{
    struct tablet_watch *w = watch_of(r, node);

    if (w == NULL)
        return;
    peer_forget(r->peer, node);
    neighbours_part(&r->node->neighbours, w->neighbour);
    *w = (struct tablet_watch){ 0 };
    tablet__tell_all(r, (struct raft_event){ .kind = RAFT_UNREACHABLE, .node = node });
}

enum status
exchange_connect(struct tablet_reactor *r, uint64_t incarnation, struct err *err)
{
    struct engine *engine = r->node->engine;
    struct peer_options options;

    peer_options_default(&options);
    options.loop = r->loop;
    options.budget = engine_budget(engine);
    options.self.node = r->node->id;
    options.self.incarnation = incarnation;
    memcpy(options.self.cluster, engine_identity(engine)->cluster, PEER_CLUSTER_BYTES);
    options.silence_ms = SILENT_CONNECTION_MS;
    options.receive = receive;
    options.state = connection_changed;
    options.stranger = strange;
    options.ctx = r;
    options.faults = r->node->faults;
    options.carrier = r->node->carrier;
    return peer_create(&r->peer, &options, err);
}

/* ------------------------------------------------------------------ sending */

/* Of one that is not back yet it is known that it takes as long. */
static void
begin_trip(struct tablet_neighbour *n, uint64_t now_ns)
{
    uint64_t asked_ns = atomic_exchange(&n->asked_ns, now_ns);

    if (asked_ns != 0)
        atomic_store(&n->trip_ns, now_ns - asked_ns);
}

void
exchange_beat(struct tablet_reactor *r)
{
    uint64_t now_ns = loop_now_ns(r->loop);
    bool measures = r->beats++ % MEASURED_EVERY == 0;

    for (uint32_t i = 0; i < r->watch_limit; i++) {
        struct tablet_neighbour *n = r->watches[i].neighbour;

        if (n == NULL || !neighbour_is_wanted(n, now_ns))
            continue;
        if (measures)
            begin_trip(n, now_ns);
        beat(r, atomic_load(&n->node), measures ? BEAT_MEASURES : BEAT_ASKS);
    }
    if (r->peer != NULL)
        peer_flush(r->peer);
}

void
exchange_send_all(struct tablet *t)
{
    const struct raft_effects *fx = &t->reactor->effects;

    for (uint32_t i = 0; i < fx->message_count; i++) {
        if (exchange_send(t, &fx->messages[i]) != ST_OK)
            continue; /* as if the network had lost it */
    }
}

enum status
exchange_send(struct tablet *t, const struct raft_message *m)
{
    struct tablet_reactor *r = t->reactor;
    struct peer_message message = {
        .type = EXCHANGE_RAFT, .id = t->id, .urgent = m->kind != RAFT_APPEND, .part_count = 1
    };
    size_t size = raft_message_bytes(m);
    struct slice part;
    enum status st;

    if (r->peer == NULL)
        return ST_CLOSED;
    st = buf_reserve(&r->message, size);
    if (st != ST_OK)
        return st;
    raft_message_encode(m, r->message.data);
    part = slice_of(r->message.data, size);
    message.parts = &part;
    st = peer_send(r->peer, m->to, &message);
    if (size > MESSAGE_KEPT_BYTES) {
        buf_release(&r->message); /* nobody has charged it (P6) */
        r->message = buf_empty(PEER_MESSAGE_BYTES_MAX);
    }
    return st;
}

enum status
exchange_post(struct tablet *t, uint64_t node, enum exchange_type type, struct slice head,
              struct slice rest)
{
    const struct slice parts[] = { head, rest };
    struct peer_message message = {
        .type = (uint8_t)type,
        .id = t->id,
        .urgent = type == EXCHANGE_WANT || type == EXCHANGE_RECEIVED,
        .parts = parts,
        .part_count = 2,
    };
    struct peer *peer = t->reactor->peer;
    enum status st = peer == NULL ? ST_CLOSED : peer_send(peer, node, &message);

    if (st == ST_OK)
        tablet__mark(t);
    return st;
}
