/*
 * Clients that are not nodes: the test at the other end of a connection.
 */
#include <stdio.h>

#include "base/assert.h"

#include "simenv/sim_internal.h"

enum { CONNECT_SPREAD_NS = 300 * SIM_NS_PER_US };

struct sim_client {
    struct sim_connection *connection;
};

static void
connection_arrives(struct sim_event *e)
{
    struct sim_connection *c = container_of(e, struct sim_connection, connect);

    list_push_back(&c->stream->loop->arrivals, &c->stream->loop_link);
    sim__loop_stir(c->stream->loop);
}

static struct sim_connection *
new_connection(struct sim *w, struct sim_listener *l)
{
    struct sim_connection *c = sim__alloc(sizeof(*c));
    struct sim_stream *s = sim__stream_create(l, c);

    c->world = w;
    c->stream = s;
    sim__pipe_init(&c->to_node, w);
    sim__pipe_init(&c->to_client, w);
    c->to_node.reader = s;
    c->to_client.writer = s;
    snprintf(s->base.peer, sizeof(s->base.peer), "127.0.0.1:%u", w->next_client_port++);
    sim__event_init(&c->connect, SIM_EVENT_CONNECT, connection_arrives);
    sim__schedule(w, &c->connect, sim__soon(w, CONNECT_SPREAD_NS));
    list_push_back(&w->connections, &c->link);
    return c;
}

struct sim_client *
sim_connect(struct sim *w, uint32_t id, uint16_t port)
{
    struct sim_listener *l = sim__listener_at(sim__node(w, id), port);
    struct sim_client *client;

    if (l == NULL)
        return NULL;
    client = sim__alloc(sizeof(*client));
    client->connection = new_connection(w, l);
    client->connection->client = client;
    return client;
}

void
sim_client_send(struct sim_client *c, struct slice bytes)
{
    if (!c->connection->to_node.deaf) /* else nobody would see them */
        sim__pipe_send(&c->connection->to_node, bytes);
}

struct slice
sim_client_received(const struct sim_client *c)
{
    return sim__pipe_arrived(&c->connection->to_client);
}

void
sim_client_consume(struct sim_client *c, size_t size)
{
    sim__pipe_take(&c->connection->to_client, size);
}

bool
sim_client_closed(const struct sim_client *c)
{
    return c->connection->to_client.ended;
}

void
sim_client_set_window(struct sim_client *c, size_t bytes)
{
    struct sim_connection *connection = c->connection;

    connection->to_client.window = bytes;
    if (connection->stream != NULL)
        sim__stream_stir(connection->stream);
}

void
sim_client_close(struct sim_client *c)
{
    struct sim_connection *connection;

    if (c == NULL)
        return;
    connection = c->connection;
    connection->client = NULL;
    sim__pipe_close_reader(&connection->to_client);
    sim__pipe_close_writer(&connection->to_node);
    mem_free(c);
    sim__connection_unref(connection);
}
