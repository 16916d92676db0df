/*
 * Listeners: accepting on loop 0, and handing the connections round.
 *
 *      loop 0:      accept4 -> struct real_stream -> post its handover to loop n
 *      loop n:      hand_over: attach it to this loop's libuv, call `accepted`
 *
 * INVARIANTS
 *
 *   N1  After listener_close() `accepted` is not called, and is not running.
 *       Loop 0 and listener_close() share a thread, so there `closed` alone
 *       says it; the other loops hold `delivery` for reading during the call,
 *       and listener_close() takes it for writing.
 *   N2  `references` counts the listener as open, and each connection that is on
 *       its way.  Whoever drops the last one frees it.
 *   N3  A round accepts at most ACCEPT_BATCH connections.  When the system is
 *       out of descriptors or memory, accepting pauses for PAUSE_MS: the waiting
 *       connection keeps the socket readable, so without the pause the loop
 *       would spin.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "env/real_internal.h"

enum {
    ACCEPT_BATCH = 64,
    PAUSE_MS = 50,
    BACKLOG = 4096, /* the kernel lowers it to its own limit (somaxconn) */
};

struct real_listener {
    struct listener base;
    struct real_env *env;
    listener_fn *accepted;
    void *ctx;
    int fd;             /* owned */
    uint32_t next_loop; /* which gets the next connection */
    bool starved;       /* the last attempt to accept ran into a limit */
    bool closed;        /* written by loop 0 under `delivery` (N1) */
    pthread_rwlock_t delivery;
    atomic_uint references; /* N2 */
    uv_poll_t poll;
    uv_timer_t pause;
};

enum accepting { GOT_ONE, TRY_NEXT, NONE_WAITS, OUT_OF_SOMETHING };

static const struct listener_ops listener_ops;

static void waiting(uv_poll_t *poll, int status, int events);

/* ------------------------------------------------------------------ references */

static void
unref(struct real_listener *l)
{
    if (atomic_fetch_sub(&l->references, 1) > 1)
        return;
    pthread_rwlock_destroy(&l->delivery);
    mem_free(l);
}

/* ------------------------------------------------------------------ on the loop that gets it */

static void
give(struct real_listener *l, struct real_stream *s)
{
    if (l->closed || !stream__attach(s))
        stream__discard(s);
    else
        l->accepted(l->ctx, &s->loop->base, &s->base);
}

void
listener__hand_over(struct task *task)
{
    struct real_stream *s = container_of(task, struct real_stream, handover);
    struct real_listener *l = s->listener;

    s->listener = NULL;
    if (s->loop->base.index == 0) {
        give(l, s);
    } else {
        pthread_rwlock_rdlock(&l->delivery); /* N1 */
        give(l, s);
        pthread_rwlock_unlock(&l->delivery);
    }
    unref(l);
}

/* ------------------------------------------------------------------ on loop 0 */

static void
resume(uv_timer_t *timer)
{
    struct real_listener *l = timer->data;
    int failed;

    loop__rouse(&l->env->loops[0]);
    failed = uv_poll_start(&l->poll, UV_READABLE, waiting);
    ASSERT(failed == 0);
}

static void
pause_accepting(struct real_listener *l, int sys)
{
    if (!l->starved)
        log_event(LOG_WARN, "env.accept_paused", log_str("reason", uv_strerror(-sys)),
                  log_u64("port", l->base.port));
    l->starved = true;
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->pause, resume, PAUSE_MS, 0);
}

/* What is wrong with this one connection may be right with the next; accept(2) lists the errors
 * that Linux passes on from the network. */
static enum accepting
after_failed_accept(int sys)
{
    switch (sys) {
    case EAGAIN:
        return NONE_WAITS;
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
        return TRY_NEXT;
    default:
        return OUT_OF_SOMETHING;
    }
}

static enum accepting
accept_one(struct real_listener *l, int *sys)
{
    union real_address peer = { 0 };
    socklen_t size = sizeof(peer);
    struct real_stream *s;
    struct real_loop *loop;
    int fd = accept4(l->fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        *sys = errno;
        return after_failed_accept(*sys);
    }
    loop = &l->env->loops[l->next_loop];
    s = stream__create(loop, fd, &peer.any);
    if (s == NULL) {
        close(fd);
        *sys = ENOMEM;
        return OUT_OF_SOMETHING;
    }
    l->next_loop = (l->next_loop + 1) % l->env->loop_count;
    atomic_fetch_add(&l->references, 1); /* N2 */
    s->listener = l;
    s->handover.run = listener__hand_over;
    loop_post(&loop->base, &s->handover);
    return GOT_ONE;
}

static void
waiting(uv_poll_t *poll, int status, int events)
{
    struct real_listener *l = poll->data;
    enum accepting last = status < 0 ? OUT_OF_SOMETHING : GOT_ONE;
    int sys = -status;

    (void)events;
    loop__rouse(&l->env->loops[0]);
    for (unsigned i = 0; i < ACCEPT_BATCH && (last == GOT_ONE || last == TRY_NEXT); i++) {
        last = accept_one(l, &sys);
        if (last == GOT_ONE)
            l->starved = false;
    }
    if (last == OUT_OF_SOMETHING) /* N3 */
        pause_accepting(l, sys);
}

/* ------------------------------------------------------------------ closing */

static void
pause_closed(uv_handle_t *handle)
{
    unref(handle->data);
}

static void
poll_closed(uv_handle_t *handle)
{
    struct real_listener *l = handle->data;

    uv_close((uv_handle_t *)&l->pause, pause_closed);
}

static void
close_listener(struct listener *base)
{
    struct real_listener *l = container_of(base, struct real_listener, base);

    ASSERT(base->ops == &listener_ops && !l->closed);
    pthread_rwlock_wrlock(&l->delivery); /* N1 */
    l->closed = true;
    pthread_rwlock_unlock(&l->delivery);
    uv_timer_stop(&l->pause);
    uv_close((uv_handle_t *)&l->poll, poll_closed);
    close(l->fd);
    l->fd = -1;
}

static const struct listener_ops listener_ops = {
    .close = close_listener,
};

/* ------------------------------------------------------------------ opening */

/* 0, or an errno. */
static int
bind_and_listen(int fd, const union real_address *address)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return errno;
    /* "::" must not take the IPv4 port as well: whoever wants both listens twice. */
    if (address->any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        return errno;
    if (bind(fd, &address->any, real__address_size(address)) != 0)
        return errno;
    return listen(fd, BACKLOG) != 0 ? errno : 0;
}

static enum status
open_socket(const char *text, uint16_t port, int *out, struct err *err)
{
    union real_address address;
    int fd, sys;

    if (!real__address_parse(text, port, &address))
        return err_raise(err, ST_INVALID, "listen: \"%s\" is not a numeric address", text);
    fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_raise_sys(err, ST_IO, errno, "listen on %s port %u", text, port);
    sys = bind_and_listen(fd, &address);
    if (sys != 0) {
        close(fd);
        return err_raise_sys(err, sys == EADDRINUSE ? ST_EXISTS : ST_IO, sys,
                             "listen on %s port %u", text, port);
    }
    *out = fd;
    return ST_OK;
}

static uint16_t
bound_port(int fd)
{
    union real_address address = { 0 };
    socklen_t size = sizeof(address);
    int failed = getsockname(fd, &address.any, &size);

    ASSERT(failed == 0); /* it is a bound socket of ours */
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

static struct real_listener *
create_listener(struct real_env *env, int fd, listener_fn *accepted, void *ctx)
{
    struct real_listener *l = mem_new(struct real_listener);
    int failed;

    if (l == NULL)
        return NULL;
    l->base.ops = &listener_ops;
    l->base.port = bound_port(fd);
    l->env = env;
    l->accepted = accepted;
    l->ctx = ctx;
    l->fd = fd;
    atomic_init(&l->references, 1);
    failed = pthread_rwlock_init(&l->delivery, NULL);
    ASSERT(failed == 0); /* a plain one needs no resource on Linux */
    return l;
}

static int
start_accepting(struct real_listener *l)
{
    uv_loop_t *uv = &l->env->loops[0].uv;
    int failed = uv_poll_init(uv, &l->poll, l->fd);

    if (failed != 0)
        return failed;
    uv_timer_init(uv, &l->pause);
    l->poll.data = l;
    l->pause.data = l;
    failed = uv_poll_start(&l->poll, UV_READABLE, waiting);
    ASSERT(failed == 0); /* nobody else watches this descriptor */
    return 0;
}

/* NOLINTBEGIN(readability-function-size): the parameters are those of env_listen() */
enum status
real__listen(struct env *env, const char *address, uint16_t port, listener_fn *accepted, void *ctx,
             struct listener **out, struct err *err)
{
    struct real_env *e = container_of(env, struct real_env, base);
    struct real_listener *l;
    int fd = -1, failed;
    enum status st;

    ASSERT(e->loop_count > 0);
    st = open_socket(address, port, &fd, err);
    if (st != ST_OK)
        return st;
    l = create_listener(e, fd, accepted, ctx);
    if (l == NULL) {
        close(fd);
        return err_raise(err, ST_NO_MEMORY, "listen on %s port %u: out of memory", address, port);
    }
    failed = start_accepting(l);
    if (failed != 0) {
        unref(l);
        close(fd);
        return err_raise_sys(err, ST_IO, -failed, "listen on %s port %u", address, port);
    }
    *out = &l->base;
    return ST_OK;
}
/* NOLINTEND(readability-function-size) */
