/*
 * The connections to the other nodes, as the atlas has them, and what comes over them for the cluster's parts.
 *
 *      a message for us, on whichever loop ──(a copy)──> loop 0
 *
 * A node that is of no cluster yet has no connections, and listens to nobody.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"
#include "tablet/exchange.h"

/* ------------------------------------------------------------------ up and down */

static enum status
connect_seat(struct seat *s, struct err *err)
{
    struct cluster *c = s->cluster;
    enum status st = exchange_connect(s->reactor, c->incarnation, err);

    if (st == ST_OK)
        c->peers[s->index] = s->reactor->peer;
    return st;
}

static enum status
listen(struct cluster *c, struct err *err)
{
    const struct node_address *at = &c->options.listen;

    return env_listen(c->env, at->host, at->port, peer_accepted, c->peers, &c->listener, err);
}

enum status
wires_open(struct cluster *c, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < c->options.reactor_count && st == ST_OK; i++)
        st = connect_seat(&c->seats[i], err);
    return st == ST_OK ? listen(c, err) : st;
}

static void
wires_fail(struct cluster *c, const struct err *err)
{
    c->is_refused = true;
    c->options.refused(c->options.ctx, err);
}

static void
seat_is_connected(struct task *task)
{
    struct seat *s = container_of(task, struct seat, back_task);
    struct cluster *c = s->cluster;
    struct err err;

    c->under_way--;
    if (s->connect_status != ST_OK)
        wires_fail(c, &s->connect_err);
    else if (--c->seats_to_connect == 0 && listen(c, &err) != ST_OK)
        wires_fail(c, &err);
}

static void
connect_on_its_loop(struct task *task)
{
    struct seat *s = container_of(task, struct seat, task);

    s->connect_status = connect_seat(s, &s->connect_err);
    s->back_task.run = seat_is_connected;
    loop_post(s->cluster->loop, &s->back_task);
}

void
wires_open_running(struct cluster *c)
{
    c->seats_to_connect = c->options.reactor_count;
    for (uint32_t i = 0; i < c->options.reactor_count; i++) {
        c->seats[i].task.run = connect_on_its_loop;
        c->under_way++;
        loop_post(c->seats[i].reactor->loop, &c->seats[i].task);
    }
}

void
wires_close(struct cluster *c)
{
    listener_close(c->listener);
    c->listener = NULL;
}

/* ------------------------------------------------------------------ whom we call */

/* A removed node is not called, and not listened to. */
static bool
is_called(const struct seat *s, const struct node_record *n)
{
    return n != NULL && n->state != NODE_REMOVED && n->id != s->cluster->self;
}

void
wires_redraw(struct seat *s, const struct atlas *now, const struct atlas *old)
{
    struct err err;

    if (s->reactor->peer == NULL)
        return;
    for (uint32_t i = 0; old != NULL && i < old->node_count; i++) {
        if (is_called(s, &old->nodes[i]) && !is_called(s, atlas_node(now, old->nodes[i].id)))
            exchange_forget_neighbour(s->reactor, old->nodes[i].id);
    }
    for (uint32_t i = 0; i < now->node_count; i++) {
        const struct node_record *n = &now->nodes[i];

        if (is_called(s, n) &&
            exchange_set_neighbour(s->reactor, n->id, n->peer.host, n->peer.port, &err) != ST_OK)
            log_event(LOG_ERROR, "cluster.node_not_called", log_u64("node", n->id), log_err(&err));
    }
}

/* ------------------------------------------------------------------ messages */

void
wires_send(struct seat *s, uint64_t node, enum message_type type, struct slice payload)
{
    struct peer_message m = {
        .type = (uint8_t)type, .urgent = type == MESSAGE_SWIM, .parts = &payload, .part_count = 1
    };

    if (node == 0 || s->reactor->peer == NULL)
        return;
    if (peer_send(s->reactor->peer, node, &m) == ST_OK)
        peer_flush(s->reactor->peer);
}

/* A message on its way to loop 0, and the copy of its payload behind it. */
struct arrival {
    struct task task;
    struct cluster *cluster;
    struct peer_sender from;
    enum message_type type;
    size_t size;
};

static void
take(struct cluster *c, const struct peer_sender *sender, enum message_type type,
     struct slice payload)
{
    uint64_t from = sender->node;

    switch (type) {
    case MESSAGE_HUNGRY:
        feed_asked(c, from, payload);
        break;
    case MESSAGE_FEED:
        feed_came(c, payload);
        break;
    case MESSAGE_RUMOUR:
        feed_heard(c, from, payload);
        break;
    case MESSAGE_DEPART:
        departure_heard(c, sender);
        break;
    case MESSAGE_REPORTS:
        office_reported(c, from, payload);
        break;
    case MESSAGE_SWIM:
        watch_heard(c, from, payload);
        break;
    case MESSAGE_ORDER:
        orders_asked(c, from, payload);
        break;
    case MESSAGE_DONE:
        orders_answered(c, payload);
        break;
    case MESSAGE_ASK_FITNESS:
        consult_asked(c, from);
        break;
    case MESSAGE_FITNESS:
        consult_answered(c, from, payload);
        break;
    case MESSAGE_SURVEY:
        survey_asked(c, from, payload);
        break;
    case MESSAGE_SURVEYED:
        recover_told(c, from, payload);
        break;
    case MESSAGE_IMPOSE:
        survey_imposed(c, payload);
        break;
    case MESSAGE_DAMAGES:
        damages_heard(c, from, payload);
        break;
    case MESSAGE_ROOM:
        rooms_heard(c, from, payload);
        break;
    case MESSAGE_TYPE_LIMIT:
        break; /* of a later version */
    }
}

static void
arrive(struct task *task)
{
    struct arrival *a = container_of(task, struct arrival, task);
    struct cluster *c = a->cluster;

    if (!c->draining)
        take(c, &a->from, a->type, slice_of(a + 1, a->size));
    budget_return(engine_budget(c->engine), sizeof(*a) + a->size);
    mem_free(a);
}

void
wires_carry(struct seat *s, const struct peer_sender *from, enum message_type type,
            struct slice payload)
{
    struct budget *budget = engine_budget(s->cluster->engine);
    struct arrival *a;

    if (!budget_try_charge(budget, sizeof(*a) + payload.size))
        return;
    a = mem_alloc(sizeof(*a) + payload.size);
    if (a == NULL) {
        budget_return(budget, sizeof(*a) + payload.size);
        return;
    }
    *a = (struct arrival){
        .task.run = arrive, .cluster = s->cluster, .from = *from, .type = type, .size = payload.size
    };
    if (payload.size > 0)
        memcpy(a + 1, payload.data, payload.size);
    loop_post(s->cluster->loop, &a->task);
}

void
cluster_receive(struct cluster *c, uint32_t loop_index, const struct peer_sender *from,
                uint8_t type, struct slice payload)
{
    struct seat *s = &c->seats[loop_index];

    if (type < CLUSTER_MESSAGE_MIN || type >= MESSAGE_TYPE_LIMIT)
        return; /* of a later version */
    wires_carry(s, from, (enum message_type)type, payload);
}

void
cluster_stranger(struct cluster *c, uint32_t loop_index, struct stream *stream, struct slice begin)
{
    admission_stranger(&c->seats[loop_index], stream, begin);
}
