/*
 * An echo server on the loops of an environment, and blocking clients for it.
 * What happened is counted in atomics, for the test's thread to look at.
 */
#ifndef UNIT_ENV_ECHO_H
#define UNIT_ENV_ECHO_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "fixture.h"

enum { ECHO_LOOPS_MAX = 4, SESSION_BYTES = 16 << 10, CLIENT_WAIT_S = 20 };

struct echo {
    struct world w;
    struct listener *listener;
    _Atomic uint32_t accepted;
    _Atomic uint32_t closed; /* sessions that saw ST_CLOSED */
    _Atomic uint32_t accepted_by[ECHO_LOOPS_MAX];
    _Atomic uint32_t blocked; /* writes that found no room */
};

struct session {
    struct echo *echo;
    struct stream *stream;
    uint8_t bytes[SESSION_BYTES];
    size_t begin, limit; /* what is still to be sent */
};

static void session_event(void *ctx, unsigned events);

static inline void
session_end(struct session *s)
{
    struct echo *e = s->echo;

    stream_close(s->stream);
    mem_free(s);
    atomic_fetch_add(&e->closed, 1);
}

static inline enum status
session_write(struct session *s)
{
    struct slice part = slice_of(s->bytes + s->begin, s->limit - s->begin);
    size_t written = 0;
    enum status st = stream_write(s->stream, &part, 1, &written);

    if (st == ST_WOULD_BLOCK || (st == ST_OK && written < part.size))
        atomic_fetch_add(&s->echo->blocked, 1);
    if (st == ST_OK)
        s->begin += written;
    if (s->begin == s->limit)
        s->begin = s->limit = 0;
    return st;
}

static inline void
session_event(void *ctx, unsigned events)
{
    struct session *s = ctx;
    enum status st = ST_OK;
    size_t got = 0;

    MUST(events != 0);
    if (s->limit == 0) {
        st = stream_read(s->stream, s->bytes, sizeof(s->bytes), &got);
        if (st == ST_OK)
            s->limit = got;
    }
    if (s->limit > 0)
        st = session_write(s);
    if (st == ST_CLOSED) {
        session_end(s);
        return;
    }
    MUST(st == ST_OK || st == ST_WOULD_BLOCK);
    stream_watch(s->stream, s->limit > 0 ? STREAM_WRITABLE : STREAM_READABLE, session_event, s);
}

static inline void
echo_accepted(void *ctx, struct loop *loop, struct stream *stream)
{
    struct echo *e = ctx;
    struct session *s = mem_new(struct session);

    MUST(s != NULL && loop_index(loop) < ECHO_LOOPS_MAX);
    s->echo = e;
    s->stream = stream;
    atomic_fetch_add(&e->accepted, 1);
    atomic_fetch_add(&e->accepted_by[loop_index(loop)], 1);
    stream_watch(stream, STREAM_READABLE, session_event, s);
}

static inline void
echo_start_with(struct echo *e, uint32_t loop_count, listener_fn *accepted, void *ctx)
{
    struct err err;

    world_create(&e->w, loop_count);
    EXPECT_OK(env_listen(e->w.env, "127.0.0.1", 0, accepted, ctx, &e->listener, &err));
    world_start(&e->w);
}

static inline void
echo_start(struct echo *e, uint32_t loop_count)
{
    memset(e, 0, sizeof(*e));
    echo_start_with(e, loop_count, echo_accepted, e);
}

/* Every client has closed. */
static inline void
echo_end(struct echo *e)
{
    WAIT_FOR(atomic_load(&e->closed) == atomic_load(&e->accepted));
    world_stop(&e->w);
    listener_close(e->listener);
    real_env_destroy(e->w.env);
}

/* ------------------------------------------------------------------ clients */

static inline int
client_socket(void)
{
    struct timeval wait = { CLIENT_WAIT_S, 0 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT(fd >= 0);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0);
    return fd;
}

static inline bool
client_try_connect(int fd, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd, (const void *)&to, sizeof(to)) == 0;
}

static inline int
client_connect(const struct listener *l)
{
    int fd = client_socket();

    EXPECT(client_try_connect(fd, listener_port(l)));
    return fd;
}

static inline void
client_send(int fd, const void *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = send(fd, (const char *)bytes + done, size - done, MSG_NOSIGNAL);

        EXPECT(n > 0);
        done += (size_t)n;
    }
}

/* How many bytes came before the end; fails on a reset. */
static inline size_t
client_receive(int fd, void *out, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = recv(fd, (char *)out + done, size - done, 0);

        EXPECT(n >= 0);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static inline void
client_expects_echo(int fd, const char *text)
{
    char back[200];
    size_t size = strlen(text);

    client_send(fd, text, size);
    EXPECT_U64(client_receive(fd, back, size), size);
    EXPECT(memcmp(back, text, size) == 0);
}

/* The other side is gone: an end or a reset. */
static inline bool
client_is_cut_off(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* Close with a reset. */
static inline void
client_reset(int fd)
{
    struct linger none = { 1, 0 };

    EXPECT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
    close(fd);
}

#endif
