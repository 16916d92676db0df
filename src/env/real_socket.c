/*
 * Streams: connected TCP sockets, watched through libuv, read and written directly.
 *
 * WATCHING
 *
 *      wanted   what the owner asked for          armed   what libuv watches for
 *
 * Each change of `armed` costs two system calls, so it follows `wanted` lazily:
 * what is missing is armed at once, what is no longer wanted only when it really
 * comes.  An owner that pauses and resumes reading within a round pays nothing.
 *
 * CLOSING
 *
 * A socket that is closed while unread input waits, or arrives later, answers
 * with a reset, and a reset may destroy what the peer has received but not yet
 * read: our last words, often the error message.  So a stream that has written
 * lingers: its sending side is shut, its input is thrown away until the peer
 * closes too, or for LINGER_MS (RFC 9112, 9.6, gives the same advice).
 *
 * INVARIANTS
 *
 *   K1  armed has every bit of wanted, but for a stream that libuv has given up
 *       because of an error; that one is armed again after its callback.
 *   K2  After stream_close() the owner's function is not called: libuv's handle
 *       is closed, or watches for the lingering instead.  The memory lives until
 *       libuv's close callback, so closing inside the own callback is safe.
 *   K3  At most `lingering_max` streams of a loop linger, a small part of the descriptors that
 *       the process may have; the oldest make room.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#include "env/real_internal.h"

enum {
    LINGER_MS = 2000,
    LINGER_COUNT_MAX = 256,
    LINGER_SHARE = 32,      /* and this part of the limit of open files */
    KEEPALIVE_IDLE_S = 300, /* as Redis does: a peer that vanished is noticed */
    KEEPALIVE_EVERY_S = 100,
    KEEPALIVE_COUNT = 3,
    DISCARD_BYTES = 4096,
    DISCARD_ROUNDS = 16, /* then the other streams have their turn */
};

static const struct stream_ops stream_ops;

static void watched(uv_poll_t *poll, int status, int uv_events);

static struct real_stream *
real(struct stream *s)
{
    ASSERT(s->ops == &stream_ops);
    return container_of(s, struct real_stream, base);
}

/* ------------------------------------------------------------------ watching */

static int
uv_events_of(unsigned events)
{
    return ((events & STREAM_READABLE) != 0 ? UV_READABLE : 0) |
           ((events & STREAM_WRITABLE) != 0 ? UV_WRITABLE : 0);
}

static unsigned
events_of_uv(int uv_events)
{
    return ((uv_events & UV_READABLE) != 0 ? STREAM_READABLE : 0u) |
           ((uv_events & UV_WRITABLE) != 0 ? STREAM_WRITABLE : 0u);
}

static void
arm(struct real_stream *s)
{
    int failed;

    if (s->wanted == s->armed)
        return;
    if (s->wanted == 0)
        failed = uv_poll_stop(&s->poll);
    else
        failed = uv_poll_start(&s->poll, uv_events_of(s->wanted), watched);
    ASSERT(failed == 0); /* nobody else watches this descriptor */
    s->armed = s->wanted;
}

/* libuv reports an error by giving up the handle. */
static void
report_error(struct real_stream *s)
{
    s->armed = 0;
    if (s->wanted == 0)
        return;
    s->fn(s->ctx, STREAM_READABLE | STREAM_WRITABLE);
    if (!s->closing)
        arm(s); /* K1 */
}

static void
watched(uv_poll_t *poll, int status, int uv_events)
{
    struct real_stream *s = poll->data;
    unsigned events = events_of_uv(uv_events) & s->wanted;

    ASSERT(!s->closing); /* K2 */
    loop__rouse(s->loop);
    if (status < 0)
        report_error(s);
    else if (events != 0)
        s->fn(s->ctx, events);
    else
        arm(s); /* it came, and nobody wants it */
}

static void
watch(struct stream *base, unsigned events, stream_fn *fn, void *ctx)
{
    struct real_stream *s = real(base);
    ASSERT(!s->closing);
    s->fn = fn;
    s->ctx = ctx;
    s->wanted = events;
    if ((events & ~s->armed) != 0)
        arm(s);
}

/* ------------------------------------------------------------------ reading and writing */

static enum status
read_stream(struct stream *base, void *out, size_t size, size_t *got)
{
    struct real_stream *s = real(base);
    ssize_t n;

    do
        n = recv(s->fd, out, size, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        return ST_OK;
    }
    if (n < 0 && errno == EAGAIN)
        return ST_WOULD_BLOCK;
    s->ended = true; /* the end, a reset, a time-out: all the same to the owner */
    return ST_CLOSED;
}

static ssize_t
send_some(int fd, struct iovec *iov, int count)
{
    struct msghdr message = { .msg_iov = iov, .msg_iovlen = (size_t)count };
    ssize_t n;

    do
        n = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

/* A failure after some bytes were taken is told by the next call. */
static enum status
write_stream(struct stream *base, const struct slice *parts, size_t part_count, size_t *written)
{
    struct real_stream *s = real(base);
    struct parts left = { parts, part_count, 0 };
    struct iovec iov[REAL_PARTS_AT_ONCE];
    size_t size, done = 0;
    int count;

    while ((count = real__parts_gather(&left, iov, &size)) > 0) {
        ssize_t n = send_some(s->fd, iov, count);

        if (n < 0 && done > 0)
            break;
        if (n < 0 && errno == EAGAIN)
            return ST_WOULD_BLOCK;
        if (n < 0) {
            s->ended = true;
            return ST_CLOSED;
        }
        s->wrote = true;
        done += (size_t)n;
        if ((size_t)n < size)
            break; /* the send buffer is full */
        real__parts_advance(&left, (size_t)n);
    }
    *written = done;
    return ST_OK;
}

/* ------------------------------------------------------------------ closing */

static void
stream_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* libuv must let go of the descriptor before its number can be given to another. */
void
stream__abandon(struct real_stream *s)
{
    uv_close((uv_handle_t *)&s->poll, stream_closed);
    close(s->fd);
    s->fd = -1;
}

/* Read and forget what has arrived; false when the peer is gone. */
static bool
discard_input(int fd)
{
    char bytes[DISCARD_BYTES];

    for (unsigned i = 0; i < DISCARD_ROUNDS; i++) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        if (n == 0)
            return false;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
    }
    return true;
}

static void
stop_lingering(struct real_stream *s)
{
    struct real_loop *loop = s->loop;

    ASSERT(loop->lingering_count > 0);
    list_remove(&s->link);
    loop->lingering_count--;
    stream__abandon(s);
}

static struct real_stream *
oldest_lingering(struct real_loop *loop)
{
    if (list_empty(&loop->lingering))
        return NULL;
    return container_of(loop->lingering.next, struct real_stream, link);
}

static void
linger_input(uv_poll_t *poll, int status, int uv_events)
{
    struct real_stream *s = poll->data;

    (void)uv_events;
    if (status < 0 || !discard_input(s->fd))
        stop_lingering(s);
}

/* The timer runs for the oldest; all linger equally long, so the list is in order. */
static void
linger_due(uv_timer_t *timer)
{
    struct real_loop *loop = timer->data;
    uint64_t now_ms = uv_now(&loop->uv);
    struct real_stream *s;

    while ((s = oldest_lingering(loop)) != NULL && s->linger_until_ms <= now_ms)
        stop_lingering(s);
    if (s != NULL)
        uv_timer_start(timer, linger_due, s->linger_until_ms - now_ms, 0);
}

static void
linger(struct real_stream *s)
{
    struct real_loop *loop = s->loop;
    int failed;

    if (shutdown(s->fd, SHUT_WR) != 0 || !discard_input(s->fd)) {
        stream__abandon(s);
        return;
    }
    failed = uv_poll_start(&s->poll, UV_READABLE, linger_input);
    ASSERT(failed == 0);
    s->linger_until_ms = uv_now(&loop->uv) + LINGER_MS;
    if (list_empty(&loop->lingering))
        uv_timer_start(&loop->linger_timer, linger_due, LINGER_MS, 0);
    list_push_back(&loop->lingering, &s->link);
    loop->lingering_count++;
    if (loop->lingering_count > loop->lingering_max) /* K3 */
        stop_lingering(oldest_lingering(loop));
}

void
stream__begin_lingering(struct real_loop *loop)
{
    struct rlimit limit;

    list_init(&loop->lingering);
    loop->lingering_max = LINGER_COUNT_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / LINGER_SHARE < LINGER_COUNT_MAX)
        loop->lingering_max = (size_t)limit.rlim_cur / LINGER_SHARE;
}

void
stream__end_lingering(struct real_loop *loop)
{
    struct real_stream *s;

    while ((s = oldest_lingering(loop)) != NULL)
        stop_lingering(s);
}

static void
close_stream(struct stream *base)
{
    struct real_stream *s = real(base);

    ASSERT(!s->closing); /* once */
    s->closing = true;
    s->wanted = 0;
    if (s->wrote && !s->ended && s->loop->running)
        linger(s);
    else
        stream__abandon(s);
}

static const struct stream_ops stream_ops = {
    .watch = watch,
    .read = read_stream,
    .write = write_stream,
    .close = close_stream,
};

/* ------------------------------------------------------------------ beginning */

static void
describe_peer(const struct sockaddr *peer, char *out, size_t room)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)peer;

        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out, room, "%s:%u", host, ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const void *)peer;

        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out, room, "[%s]:%u", host, ntohs(v6->sin6_port));
    }
}

/* Replies are written whole at the end of a round; nothing is gained by holding them back. */
static void
send_at_once(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* slower without, not wrong */
}

/* Without it, not wrong either: then a peer that vanished is noticed when something is sent. */
static void
notice_who_vanished(int fd)
{
    int on = 1;
    int idle_s = KEEPALIVE_IDLE_S;
    int every_s = KEEPALIVE_EVERY_S;
    int count = KEEPALIVE_COUNT;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

struct real_stream *
stream__create(struct real_loop *loop, int fd, const struct sockaddr *peer)
{
    struct real_stream *s = mem_new(struct real_stream);

    if (s == NULL)
        return NULL;
    s->base.ops = &stream_ops;
    describe_peer(peer, s->base.peer, sizeof(s->base.peer));
    s->loop = loop;
    s->fd = fd;
    s->poll.data = s;
    send_at_once(fd);
    notice_who_vanished(fd);
    return s;
}

bool
stream__attach(struct real_stream *s)
{
    return uv_poll_init(&s->loop->uv, &s->poll, s->fd) == 0;
}

void
stream__discard(struct real_stream *s)
{
    close(s->fd);
    mem_free(s);
}
