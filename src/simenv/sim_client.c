/*
 * Clients that are not nodes: the test at the other end of a connection.
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

struct sim_client {
    struct sim_connection *connection;
};

struct sim_client *
sim_connect(struct sim *w, uint32_t id, uint16_t port)
{
    struct sim_listener *l = sim__listener_at(sim__node(w, id), port);
    struct sim_client *client;

    if (l == NULL)
        return NULL;
    client = sim__alloc(sizeof(*client));
    client->connection = sim__connection_create(l, 0);
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
