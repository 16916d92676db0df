/*
 * Listeners and streams of a simulated node.
 *
 * A connection is two pipes (sim_pipe.c) and who is at their ends: a stream of
 * the node that listens, and a stream of another node or a client of the test.
 *
 *      stream of the node that listens    <== to_node ===    caller, or client
 *                                          == to_client =>
 *
 * It ends in one of two ways.  A stream that is closed says so to the other
 * side.  A stream that is severed does not: its machine has lost power, or has
 * waited too long for an acknowledgement; the other side learns it when what it
 * sends is answered by a reset, or loses its own patience.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/assert.h"

#include "simenv/sim_internal.h"

enum { PARTIAL_WRITE_ONE_IN = 4, CONNECT_SPREAD_NS = 300 * SIM_NS_PER_US };

static struct sim_stream *
stream_of(struct stream *s)
{
    return (struct sim_stream *)s;
}

/* ------------------------------------------------------------------ listeners */

/* Refused before anybody on the node knew: the client sees an end. */
static void
refuse_waiting(struct sim_listener *l)
{
    struct sim_node *node = l->node;

    for (struct list *at = node->streams.next, *next; at != &node->streams; at = next) {
        struct sim_stream *s = container_of(at, struct sim_stream, link);

        next = at->next;
        if (s->listener == l)
            sim__stream_drop(s);
    }
}

static void
drop_listener(struct sim_listener *l)
{
    refuse_waiting(l);
    list_remove(&l->link);
    mem_free(l->address);
    mem_free(l);
}

static void
close_listener(struct listener *base)
{
    struct sim_listener *l = (struct sim_listener *)base;

    ASSERT(!sim__in_job(l->node->world));
    drop_listener(l);
}

void
sim__listeners_drop(struct sim_node *node)
{
    while (!list_empty(&node->listeners))
        drop_listener(container_of(node->listeners.next, struct sim_listener, link));
}

static const struct listener_ops listener_ops = { .close = close_listener };

struct sim_listener *
sim__listener_at(struct sim_node *node, uint16_t port)
{
    list_each (link, &node->listeners) {
        struct sim_listener *l = container_of(link, struct sim_listener, link);

        if (l->base.port == port)
            return l;
    }
    return NULL;
}

static bool
is_taken(struct sim_node *node, const char *address, uint16_t port)
{
    list_each (link, &node->listeners) {
        struct sim_listener *l = container_of(link, struct sim_listener, link);

        if (l->base.port == port && strcmp(l->address, address) == 0)
            return true;
    }
    return false;
}

static bool
is_address(const char *text)
{
    struct in6_addr parsed;

    return inet_pton(AF_INET, text, &parsed) == 1 || inet_pton(AF_INET6, text, &parsed) == 1;
}

static uint16_t
free_port(struct sim_node *node)
{
    do
        node->next_port++;
    while (node->next_port == 0 || sim__listener_at(node, node->next_port) != NULL);
    return node->next_port;
}

/* NOLINTBEGIN(readability-function-size): the parameters are those of env_listen() */
enum status
sim__listen(struct env *env, const char *address, uint16_t port, listener_fn *accepted, void *ctx,
            struct listener **out, struct err *err)
{
    struct sim_node *node = sim__node_of(env);
    struct sim_listener *l;

    ASSERT(node->loop_count > 0); /* somebody must accept */
    if (!is_address(address))
        return err_raise(err, ST_INVALID, "listen on %s: not an address", address);
    if (port != 0 && is_taken(node, address, port))
        return err_raise(err, ST_EXISTS, "listen on %s port %u: in use", address, port);
    if (sim__memory_refused())
        return err_raise(err, ST_NO_MEMORY, "listen on %s: out of memory", address);
    l = sim__alloc(sizeof(*l));
    l->base.ops = &listener_ops;
    l->base.port = port != 0 ? port : free_port(node);
    l->node = node;
    l->address = sim__strdup(address);
    l->accepted = accepted;
    l->ctx = ctx;
    list_push_back(&node->listeners, &l->link);
    *out = &l->base;
    return ST_OK;
}
/* NOLINTEND(readability-function-size) */

/* ------------------------------------------------------------------ streams */

void
sim__connection_unref(struct sim_connection *c)
{
    if (c->stream != NULL || c->caller != NULL || c->client != NULL)
        return;
    sim__cancel(c->world, &c->connect);
    sim__pipe_release(&c->to_node);
    sim__pipe_release(&c->to_client);
    list_remove(&c->link);
    mem_free(c);
}

/* The memory of the stream, and its place in the connection. */
static void
forget_stream(struct sim_stream *s)
{
    struct sim_connection *c = s->connection;

    list_remove(&s->link);
    list_remove(&s->loop_link);
    if (c->stream == s) {
        sim__cancel(c->world, &c->connect);
        c->connect_held = false;
        c->stream = NULL;
    } else {
        c->caller = NULL;
    }
    mem_free(s);
    sim__connection_unref(c);
}

/* The machine has forgotten it: nothing is said to the other side. */
static void
vanish(struct sim_stream *s)
{
    s->in->reader = NULL;
    s->out->writer = NULL;
    sim__pipe_lose_reader(s->in);
    s->out->abandoned = true; /* what has left the machine still arrives */
    forget_stream(s);
}

void
sim__stream_drop(struct sim_stream *s)
{
    if (s->severed) {
        vanish(s);
        return;
    }
    sim__pipe_close_reader(s->in);
    sim__pipe_close_writer(s->out);
    forget_stream(s);
}

void
sim__stream_sever(struct sim_stream *s)
{
    s->severed = true;
    sim__pipe_lose_reader(s->in);
    sim__pipe_abandon_writer(s->out);
    sim__stream_stir(s);
}

/* Of what was on its way to the other side, a part may have left the machine in time. */
void
sim__streams_cut(struct sim_node *node, bool power_cut)
{
    struct prng *prng = &node->world->prng;

    while (!list_empty(&node->streams)) {
        struct sim_stream *s = container_of(node->streams.next, struct sim_stream, link);
        bool between_nodes = s->out->to != 0;

        sim__pipe_lose_some(s->out);
        if (power_cut && between_nodes && prng_chance(prng, 1, 2))
            vanish(s);
        else
            sim__stream_drop(s);
    }
}

unsigned
sim__stream_ready(const struct sim_stream *s)
{
    unsigned events = 0;

    if (s->events == 0)
        return 0;
    if (s->in->ended || (s->out->was_reset && (s->events & STREAM_WRITABLE) != 0))
        return STREAM_READABLE | STREAM_WRITABLE;
    if (sim__pipe_arrived(s->in).size > 0)
        events |= STREAM_READABLE;
    if (sim__pipe_room(s->out) > 0)
        events |= STREAM_WRITABLE;
    return events & s->events;
}

void
sim__stream_stir(struct sim_stream *s)
{
    if (sim__stream_ready(s) != 0)
        sim__loop_stir(s->loop);
}

void
sim__stream_accept(struct sim_stream *s)
{
    struct sim_listener *l = s->listener;

    s->listener = NULL;
    l->accepted(l->ctx, &s->loop->base, &s->base);
}

static void
watch(struct stream *base, unsigned events, stream_fn *fn, void *ctx)
{
    struct sim_stream *s = stream_of(base);

    sim__assert_on_loop(s->loop);
    s->events = events;
    s->fn = fn;
    s->ctx = ctx;
    sim__stream_stir(s);
}

static enum status
read_stream(struct stream *base, void *out, size_t size, size_t *got)
{
    struct sim_stream *s = stream_of(base);
    struct sim_pipe *p = s->in;
    struct slice arrived;

    sim__assert_on_loop(s->loop);
    sim__fiber_give_way(p->world);
    arrived = sim__pipe_arrived(p);
    if (arrived.size == 0)
        return p->ended ? ST_CLOSED : ST_WOULD_BLOCK;
    *got = arrived.size < size ? arrived.size : size;
    memcpy(out, arrived.data, *got);
    sim__pipe_take(p, *got);
    return ST_OK;
}

static size_t
how_many_to_take(struct sim_pipe *p, size_t total)
{
    size_t room = sim__pipe_room(p);
    size_t most = total < room ? total : room;

    if (most > 1 && prng_chance(&p->world->prng, 1, PARTIAL_WRITE_ONE_IN))
        return 1 + (size_t)prng_below(&p->world->prng, most);
    return most;
}

static enum status
write_stream(struct stream *base, const struct slice *parts, size_t part_count, size_t *written)
{
    struct sim_stream *s = stream_of(base);
    struct sim_pipe *p = s->out;
    size_t total = 0;
    size_t left;

    sim__assert_on_loop(s->loop);
    sim__fiber_give_way(p->world);
    if (p->was_reset || s->in->ended)
        return ST_CLOSED;
    for (size_t i = 0; i < part_count; i++)
        total += parts[i].size;
    left = how_many_to_take(p, total);
    if (left == 0 && total > 0)
        return ST_WOULD_BLOCK;
    *written = left;
    for (size_t i = 0; left > 0; i++) {
        size_t piece = parts[i].size < left ? parts[i].size : left;

        sim__pipe_put(p, slice_of(parts[i].data, piece));
        left -= piece;
    }
    return ST_OK;
}

static void
close_stream(struct stream *base)
{
    struct sim_stream *s = stream_of(base);

    sim__assert_on_loop(s->loop);
    sim__stream_drop(s);
}

static const struct stream_ops stream_ops = {
    .watch = watch,
    .read = read_stream,
    .write = write_stream,
    .close = close_stream,
};

/* ------------------------------------------------------------------ connections */

static struct sim_stream *
create_stream(struct sim_connection *c, struct sim_loop *loop, struct sim_pipe *in,
              struct sim_pipe *out)
{
    struct sim_stream *s = sim__alloc(sizeof(*s));

    s->base.ops = &stream_ops;
    s->node = loop->node;
    s->loop = loop;
    s->connection = c;
    s->in = in;
    s->out = out;
    in->reader = s;
    out->writer = s;
    list_init(&s->loop_link);
    list_push_back(&loop->node->streams, &s->link);
    return s;
}

static void
connection_arrives(struct sim_event *e)
{
    struct sim_connection *c = container_of(e, struct sim_connection, connect);

    if (!sim__link_passes(c->world, c->to_node.from, c->to_node.to)) {
        c->connect_held = true;
        c->held_since_ns = c->world->now_ns;
        return;
    }
    list_push_back(&c->stream->loop->arrivals, &c->stream->loop_link);
    sim__loop_stir(c->stream->loop);
}

void
sim__connection_retry(struct sim_connection *c)
{
    sim__pipe_retry(&c->to_node);
    sim__pipe_retry(&c->to_client);
    if (!c->connect_held)
        return;
    c->connect_held = false;
    sim__schedule(c->world, &c->connect, sim__link_retry(c->world, c->held_since_ns));
}

static void
name_peer(struct sim_stream *s, uint32_t from, uint16_t port)
{
    if (from == 0 || from == s->node->id)
        snprintf(s->base.peer, sizeof(s->base.peer), "127.0.0.1:%u", port);
    else
        snprintf(s->base.peer, sizeof(s->base.peer), "10.0.0.%u:%u", from, port);
}

struct sim_connection *
sim__connection_create(struct sim_listener *l, uint32_t from)
{
    struct sim_node *node = l->node;
    struct sim *w = node->world;
    struct sim_connection *c = sim__alloc(sizeof(*c));
    struct sim_loop *loop = &node->loops[l->next_loop++ % node->loop_count];

    c->world = w;
    sim__pipe_init(&c->to_node, w, from, from == 0 ? 0 : node->id);
    sim__pipe_init(&c->to_client, w, c->to_node.to, from);
    c->stream = create_stream(c, loop, &c->to_node, &c->to_client);
    c->stream->listener = l;
    name_peer(c->stream, from, w->next_client_port++);
    sim__event_init(&c->connect, SIM_EVENT_CONNECT, connection_arrives);
    sim__schedule(w, &c->connect,
                  from == 0 ? sim__soon(w, CONNECT_SPREAD_NS)
                            : sim__link_arrival(w, from, node->id, 0));
    list_push_back(&w->connections, &c->link);
    return c;
}

struct sim_stream *
sim__connection_call(struct sim_connection *c, struct sim_loop *loop)
{
    c->caller = create_stream(c, loop, &c->to_client, &c->to_node);
    return c->caller;
}
