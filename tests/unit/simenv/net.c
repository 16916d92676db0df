#include "unit/simenv/net.h"

static void watch_end(struct end *e);

static void
read_all(struct end *e)
{
    uint8_t chunk[4096];
    size_t got;
    enum status st;

    while ((st = stream_read(e->stream, chunk, sizeof(chunk), &got)) == ST_OK)
        EXPECT_OK(buf_append(&e->in, slice_of(chunk, got)));
    EXPECT(st == ST_WOULD_BLOCK || st == ST_CLOSED);
    e->closed |= st == ST_CLOSED;
}

static void
write_some(struct end *e)
{
    size_t written = 0;
    enum status st = stream_write(e->stream, &e->out, 1, &written);

    EXPECT(st == ST_OK || st == ST_WOULD_BLOCK || st == ST_CLOSED);
    e->closed |= st == ST_CLOSED;
    e->out = slice_of(e->out.data + written, e->out.size - written);
}

static void
on_events(void *ctx, unsigned events)
{
    struct end *e = ctx;

    EXPECT(events != 0 && !e->closed);
    if ((events & STREAM_READABLE) != 0 && !e->paused)
        read_all(e);
    if ((events & STREAM_WRITABLE) != 0 && e->out.size > 0 && !e->closed)
        write_some(e);
    watch_end(e);
}

static void
watch_end(struct end *e)
{
    unsigned events = e->paused ? 0 : STREAM_READABLE;

    if (e->out.size > 0)
        events |= STREAM_WRITABLE;
    stream_watch(e->stream, e->closed ? 0 : events, on_events, e);
}

static void
accepted(void *ctx, struct loop *loop, struct stream *stream)
{
    struct net *n = ctx;

    (void)loop;
    EXPECT(n->server.stream == NULL);
    n->server.stream = stream;
    watch_end(&n->server);
}

static void
answered(void *ctx, struct stream *stream, enum status st, const struct err *err)
{
    struct net *n = ctx;

    EXPECT((st == ST_OK) == (stream != NULL) && (st == ST_OK) == (err == NULL));
    n->connector = NULL;
    n->outcome = st;
    n->answers++;
    if (st != ST_OK)
        return;
    n->caller.stream = stream;
    watch_end(&n->caller);
}

static void
listen_now(void *ctx)
{
    struct net *n = ctx;

    EXPECT_OK(env_listen(loop_env(sim_loop(n->w, 1, 0)), "0.0.0.0", NET_PORT, accepted, n,
                         &n->listener, NULL));
}

static void
call_now(void *ctx)
{
    struct net *n = ctx;

    n->st = env_connect(sim_loop(n->w, 2, 0), &n->options, &n->connector, NULL);
}

static void
cancel_now(void *ctx)
{
    struct net *n = ctx;

    connector_cancel(n->connector);
    n->connector = NULL;
}

static void
resume_now(void *ctx)
{
    struct end *e = ctx;

    if (e->out.size > 0 && !e->closed)
        write_some(e);
    watch_end(e);
}

static void
hang_up_now(void *ctx)
{
    struct end *e = ctx;

    stream_close(e->stream);
    e->stream = NULL;
}

void
net_begin(struct net *n, uint64_t seed)
{
    memset(n, 0, sizeof(*n));
    n->w = sim_create(seed);
    EXPECT(n->w != NULL);
    sim_boot(n->w, 1, 1);
    sim_boot(n->w, 2, 1);
    n->server = (struct end){ .net = n, .id = 1, .in = buf_empty(NET_KEEP_BYTES) };
    n->caller = (struct end){ .net = n, .id = 2, .in = buf_empty(NET_KEEP_BYTES) };
    n->options = (struct connect_options){ "10.0.0.1", NET_PORT, NET_TIMEOUT_MS, 0, answered, n };
}

void
net_listen(struct net *n)
{
    sim_on_loop(n->w, 1, 0, listen_now, n);
}

void
net_call(struct net *n)
{
    sim_on_loop(n->w, 2, 0, call_now, n);
}

void
net_cancel(struct net *n)
{
    sim_on_loop(n->w, 2, 0, cancel_now, n);
}

void
net_connect(struct net *n)
{
    net_listen(n);
    net_call(n);
    EXPECT_OK(n->st);
    EXPECT(sim_settle(n->w, 1000));
    EXPECT_OK(n->outcome);
    EXPECT(n->caller.stream != NULL && n->server.stream != NULL);
}

void
net_send(struct end *e, struct slice bytes)
{
    EXPECT(e->out.size == 0);
    e->out = bytes;
    net_resume(e);
}

void
net_resume(struct end *e)
{
    sim_on_loop(e->net->w, e->id, 0, resume_now, e);
}

void
net_hang_up(struct end *e)
{
    sim_on_loop(e->net->w, e->id, 0, hang_up_now, e);
}

static void
release_end(struct end *e)
{
    struct mem_heap *outer = mem_heap_enter(sim_heap(e->net->w, e->id));

    buf_release(&e->in);
    mem_heap_enter(outer);
    if (e->stream != NULL)
        net_hang_up(e);
}

void
net_close_all(struct net *n)
{
    release_end(&n->server);
    release_end(&n->caller);
    listener_close(n->listener);
    n->listener = NULL;
}

void
net_destroy(struct net *n)
{
    sim_destroy(n->w);
}

struct slice
net_pattern(size_t size)
{
    static uint8_t bytes[NET_KEEP_BYTES];

    EXPECT(size <= sizeof(bytes));
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251 + i / 64007);
    return slice_of(bytes, size);
}

bool
net_in_order(const struct end *e)
{
    return slice_equal(buf_slice(&e->in), net_pattern(e->in.size));
}
