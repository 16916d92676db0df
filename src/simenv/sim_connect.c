/*
 * Attempts to connect: the handshake of two nodes.
 *
 *      caller                                   the other
 *        env_connect  ------- asks ---------->  is anybody listening?
 *        answered     <------ answers --------
 *        tell: on the loop, in a round
 *        the stream's bytes ----------------->  accepted: after the third leg
 *
 * What does not get through waits, and is tried again when something may have
 * changed, until the caller's patience ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"

#include "simenv/sim_internal.h"

enum { HANDSHAKE_BYTES = 60, HOST_BYTES = 64 };

enum stage { STAGE_ASKS, STAGE_ANSWERS, STAGE_ENDED };

struct sim_connector {
    struct connector base;
    struct list link;      /* in node->connectors */
    struct list loop_link; /* in loop->answered */
    struct sim_node *node;
    struct sim_loop *loop;
    char host[HOST_BYTES]; /* in its usual form */
    uint16_t port;
    uint32_t to; /* the node; 0: there is none */
    uint32_t silence_ms;
    enum stage stage;
    bool refused;
    bool held;
    uint64_t held_since_ns;
    struct sim_event step;
    struct sim_event deadline;
    enum status st; /* of STAGE_ENDED */
    int sys;
    struct sim_stream *stream;
    connect_fn *done;
    void *ctx;
};

/* ------------------------------------------------------------------ addresses */

/* False: `text` is no address. */
static bool
usual_form(const char *text, char out[HOST_BYTES])
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1)
        return inet_ntop(AF_INET, &v4, out, HOST_BYTES) != NULL;
    return inet_pton(AF_INET6, text, &v6) == 1 && inet_ntop(AF_INET6, &v6, out, HOST_BYTES) != NULL;
}

static uint32_t
node_at(const char *host, uint32_t caller)
{
    char own[HOST_BYTES];

    if (strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0)
        return caller;
    for (uint32_t id = 1; id <= SIM_NODES_MAX; id++) {
        snprintf(own, sizeof(own), "10.0.0.%u", id);
        if (strcmp(host, own) == 0)
            return id;
    }
    return 0;
}

static bool
listens_on(const struct sim_listener *l, const char *host, uint16_t port)
{
    const char *any = strchr(host, ':') != NULL ? "::" : "0.0.0.0";

    return l->base.port == port && (strcmp(l->address, host) == 0 || strcmp(l->address, any) == 0);
}

static struct sim_listener *
who_listens(const struct sim_connector *c)
{
    struct sim_node *node = c->node->world->nodes[c->to];

    if (sim__link_between(c->node->world, c->node->id, c->to).refuse)
        return NULL;
    list_each (link, &node->listeners) {
        struct sim_listener *l = container_of(link, struct sim_listener, link);

        if (listens_on(l, c->host, c->port))
            return l;
    }
    return NULL;
}

/* ------------------------------------------------------------------ the end */

static void
forget(struct sim_connector *c)
{
    struct sim *w = c->node->world;

    sim__cancel(w, &c->step);
    sim__cancel(w, &c->deadline);
    list_remove(&c->loop_link);
    list_remove(&c->link);
    mem_free(c);
}

static void
end(struct sim_connector *c, enum status st, int sys)
{
    sim__cancel(c->node->world, &c->step);
    sim__cancel(c->node->world, &c->deadline);
    c->stage = STAGE_ENDED;
    c->held = false;
    c->st = st;
    c->sys = sys;
    list_push_back(&c->loop->answered, &c->loop_link);
    sim__loop_stir(c->loop);
}

void
sim__connector_tell(struct list *loop_link)
{
    struct sim_connector *c = container_of(loop_link, struct sim_connector, loop_link);
    struct sim_stream *s = c->stream;
    connect_fn *done = c->done;
    void *ctx = c->ctx;
    enum status st = c->st;
    struct err err;

    if (st == ST_OK)
        list_push_back(&c->loop->streams, &s->loop_link);
    else
        st = err_raise_sys(&err, st, c->sys, "connect to %s:%u", c->host, c->port);
    forget(c);
    if (st == ST_OK)
        done(ctx, &s->base, ST_OK, NULL);
    else
        done(ctx, NULL, st, &err);
}

static void
cancel(struct connector *base)
{
    struct sim_connector *c = (struct sim_connector *)base;

    sim__assert_on_loop(c->loop);
    if (c->stream != NULL)
        sim__stream_drop(c->stream);
    forget(c);
}

/* The streams are dropped by whoever drops the node. */
void
sim__connectors_drop(struct sim_node *node)
{
    while (!list_empty(&node->connectors))
        forget(container_of(node->connectors.next, struct sim_connector, link));
}

static const struct connector_ops connector_ops = { .cancel = cancel };

/* ------------------------------------------------------------------ the handshake */

static void
question_arrives(struct sim_connector *c)
{
    struct sim *w = c->node->world;

    c->refused = who_listens(c) == NULL;
    c->stage = STAGE_ANSWERS;
    sim__schedule(w, &c->step, sim__link_arrival(w, c->to, c->node->id, HANDSHAKE_BYTES));
}

/* Whoever listened may have ceased to meanwhile. */
static void
answer_arrives(struct sim_connector *c)
{
    struct sim_listener *l = c->refused ? NULL : who_listens(c);
    struct sim_connection *connection;

    if (l == NULL) {
        end(c, ST_CLOSED, ECONNREFUSED);
        return;
    }
    connection = sim__connection_create(l, c->node->id);
    connection->to_node.patience_ms = c->silence_ms;
    c->stream = sim__connection_call(connection, c->loop);
    snprintf(c->stream->base.peer, sizeof(c->stream->base.peer), "%.50s:%u", c->host, c->port);
    end(c, ST_OK, 0);
}

static void
step(struct sim_event *e)
{
    struct sim_connector *c = container_of(e, struct sim_connector, step);
    struct sim *w = c->node->world;
    bool asks = c->stage == STAGE_ASKS;
    uint32_t from = asks ? c->node->id : c->to;
    uint32_t to = asks ? c->to : c->node->id;

    if (c->to == 0) {
        end(c, ST_IO, EHOSTUNREACH);
    } else if (!sim__link_passes(w, from, to)) {
        c->held = true;
        c->held_since_ns = w->now_ns;
    } else if (asks) {
        question_arrives(c);
    } else {
        answer_arrives(c);
    }
}

void
sim__connectors_retry(struct sim_node *node)
{
    list_each (link, &node->connectors) {
        struct sim_connector *c = container_of(link, struct sim_connector, link);

        if (!c->held)
            continue;
        c->held = false;
        sim__schedule(node->world, &c->step, sim__link_retry(node->world, c->held_since_ns));
    }
}

static void
too_late(struct sim_event *e)
{
    end(container_of(e, struct sim_connector, deadline), ST_TIMEOUT, ETIMEDOUT);
}

enum status
sim__connect(struct loop *loop, const struct connect_options *options, struct connector **out,
             struct err *err)
{
    struct sim_loop *home = (struct sim_loop *)loop;
    struct sim_node *node = home->node;
    struct sim *w = node->world;
    char host[HOST_BYTES];
    struct sim_connector *c;

    sim__assert_on_loop(home);
    if (!usual_form(options->address, host))
        return err_raise(err, ST_INVALID, "connect to %s: not an address", options->address);
    if (sim__memory_refused())
        return err_raise(err, ST_NO_MEMORY, "connect to %s: out of memory", options->address);
    c = sim__alloc(sizeof(*c));
    c->base.ops = &connector_ops;
    c->node = node;
    c->loop = home;
    memcpy(c->host, host, sizeof(host));
    c->port = options->port;
    c->to = node_at(host, node->id);
    c->silence_ms = options->silence_ms;
    c->done = options->done;
    c->ctx = options->ctx;
    list_init(&c->loop_link);
    list_push_back(&node->connectors, &c->link);
    sim__event_init(&c->step, SIM_EVENT_HANDSHAKE, step);
    sim__event_init(&c->deadline, SIM_EVENT_TIMER, too_late);
    sim__schedule(w, &c->step, sim__link_arrival(w, node->id, c->to, HANDSHAKE_BYTES));
    sim__schedule(w, &c->deadline,
                  w->now_ns + sim__world_ns(node, (uint64_t)options->timeout_ms * SIM_NS_PER_MS));
    *out = &c->base;
    return ST_OK;
}
