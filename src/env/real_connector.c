/*
 * Connectors: sockets on their way to being streams.
 *
 *      env_connect ---> the kernel shakes hands ---> writable: a stream, or an error
 *                       timer: too late         ---> ST_TIMEOUT
 *           '---> refused on the spot: the timer runs for 0 ms and tells it, on the loop
 *
 * The stream is made at the start, so that success needs no memory.
 *
 * INVARIANTS
 *
 *   C1  Until the end the connector owns the stream, and libuv's poll points to the connector;
 *       after it, to the stream.
 *   C2  The end comes once: whatever brings it stops the timer and the poll.  The memory lives
 *       until libuv's close callback of the timer.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#include "env/real_internal.h"

struct real_connector {
    struct connector base;
    struct real_loop *loop;
    struct real_stream *stream; /* owned (C1) */
    connect_fn *done;
    void *ctx;
    int sys; /* it was refused on the spot */
    uv_timer_t timer;
};

static const struct connector_ops connector_ops;

/* ------------------------------------------------------------------ the end */

static void
timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* The stream is the caller's. */
static struct real_stream *
end(struct real_connector *c)
{
    struct real_stream *s = c->stream;

    uv_poll_stop(&s->poll);
    s->poll.data = s; /* C1 */
    uv_close((uv_handle_t *)&c->timer, timer_closed);
    return s;
}

static enum status
status_of(int sys)
{
    switch (sys) {
    case ECONNREFUSED:
    case ECONNRESET:
        return ST_CLOSED;
    case ETIMEDOUT:
        return ST_TIMEOUT;
    default:
        return ST_IO;
    }
}

/* `sys` 0: it is connected. */
static void
conclude(struct real_connector *c, int sys)
{
    connect_fn *done = c->done;
    void *ctx = c->ctx;
    struct real_stream *s = end(c);
    struct err err;
    enum status st;

    if (sys == 0) {
        done(ctx, &s->base, ST_OK, NULL);
        return;
    }
    st = err_raise_sys(&err, status_of(sys), sys, "connect to %s", s->base.peer);
    stream__abandon(s);
    done(ctx, NULL, st, &err);
}

static void
cancel(struct connector *base)
{
    struct real_connector *c = container_of(base, struct real_connector, base);

    ASSERT(base->ops == &connector_ops);
    stream__abandon(end(c));
}

static const struct connector_ops connector_ops = {
    .cancel = cancel,
};

/* ------------------------------------------------------------------ what libuv reports */

static void
answered(uv_poll_t *poll, int status, int events)
{
    struct real_connector *c = poll->data;
    int sys = 0;
    socklen_t size = sizeof(sys);
    int failed = getsockopt(c->stream->fd, SOL_SOCKET, SO_ERROR, &sys, &size);

    (void)events;
    ASSERT(failed == 0); /* it is a socket of ours */
    loop__rouse(c->loop);
    if (sys == 0 && status < 0)
        sys = EIO; /* libuv knows of an error that the socket does not */
    conclude(c, sys);
}

static void
time_is_up(uv_timer_t *timer)
{
    struct real_connector *c = timer->data;

    loop__rouse(c->loop);
    conclude(c, c->sys != 0 ? c->sys : ETIMEDOUT);
}

/* ------------------------------------------------------------------ the beginning */

/* Without it, not wrong: the system's own patience is longer. */
static void
limit_silence(int fd, uint32_t silence_ms)
{
    if (silence_ms > 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof(silence_ms));
}

static void
await(struct real_connector *c, uint32_t timeout_ms)
{
    uint32_t delay_ms = c->sys == 0 ? timeout_ms : 0;
    int failed = 0;

    if (c->sys == 0)
        failed = uv_poll_start(&c->stream->poll, UV_WRITABLE, answered);
    ASSERT(failed == 0); /* nobody else watches this descriptor */
    failed = uv_timer_start(&c->timer, time_is_up, loop__delay_ms(c->loop, delay_ms), 0);
    ASSERT(failed == 0);
}

static enum status
make_stream(struct real_loop *loop, const union real_address *to, struct real_stream **out)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct real_stream *s;

    if (fd < 0)
        return ST_IO;
    s = stream__create(loop, fd, &to->any);
    if (s == NULL) {
        close(fd);
        return ST_NO_MEMORY;
    }
    if (!stream__attach(s)) {
        stream__discard(s);
        return ST_IO;
    }
    *out = s;
    return ST_OK;
}

static enum status
make_connector(struct real_loop *loop, const union real_address *to, struct real_connector **out)
{
    struct real_connector *c = mem_new(struct real_connector);
    enum status st;

    if (c == NULL)
        return ST_NO_MEMORY;
    st = make_stream(loop, to, &c->stream);
    if (st != ST_OK) {
        mem_free(c);
        return st;
    }
    c->base.ops = &connector_ops;
    c->loop = loop;
    c->stream->poll.data = c; /* C1 */
    uv_timer_init(&loop->uv, &c->timer);
    c->timer.data = c;
    *out = c;
    return ST_OK;
}

enum status
real__connect(struct loop *loop, const struct connect_options *options, struct connector **out,
              struct err *err)
{
    struct real_loop *l = container_of(loop, struct real_loop, base);
    union real_address to;
    struct real_connector *c;
    enum status st;

    if (!real__address_parse(options->address, options->port, &to))
        return err_raise(err, ST_INVALID, "connect: \"%s\" is not a numeric address",
                         options->address);
    st = make_connector(l, &to, &c);
    if (st != ST_OK)
        return err_raise_sys(err, st, st == ST_IO ? errno : 0, "connect to %s port %u",
                             options->address, options->port);
    c->done = options->done;
    c->ctx = options->ctx;
    limit_silence(c->stream->fd, options->silence_ms);
    if (connect(c->stream->fd, &to.any, real__address_size(&to)) != 0 && errno != EINPROGRESS &&
        errno != EINTR)
        c->sys = errno;
    await(c, options->timeout_ms);
    *out = &c->base;
    return ST_OK;
}
