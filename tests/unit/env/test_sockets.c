/* Tests of listeners and streams of the real environment, over the loopback. */
#include <sys/resource.h>

#include "echo.h"

/* ------------------------------------------------------------------ listening */

TEST(listening_says_what_is_wrong_with_an_address)
{
    struct env *env = bare_env(1);
    struct listener *l = NULL, *second = NULL;
    struct err err;

    EXPECT_ST(env_listen(env, "localhost", 0, echo_accepted, NULL, &l, &err), ST_INVALID);
    EXPECT_ST(env_listen(env, "1.2.3", 0, echo_accepted, NULL, &l, &err), ST_INVALID);
    EXPECT_ST(env_listen(env, "", 0, echo_accepted, NULL, &l, &err), ST_INVALID);
    EXPECT_ST(env_listen(env, "192.0.2.1", 0, echo_accepted, NULL, &l, &err), ST_IO);
    EXPECT_U64(err.sys, EADDRNOTAVAIL);
    EXPECT(l == NULL);

    EXPECT_OK(env_listen(env, "127.0.0.1", 0, echo_accepted, NULL, &l, &err));
    EXPECT(listener_port(l) != 0);
    EXPECT_ST(env_listen(env, "127.0.0.1", listener_port(l), echo_accepted, NULL, &second, &err),
              ST_EXISTS);
    EXPECT(second == NULL);
    listener_close(l);
    listener_close(NULL);
    real_env_destroy(env);
}

static bool
has_ipv6(void)
{
    struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const void *)&to, sizeof(to)) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

static void
remember_peer(void *ctx, struct loop *loop, struct stream *stream)
{
    (void)loop;
    snprintf(ctx, 64, "%s", stream_peer(stream));
    stream_close(stream);
}

/* Where the machine has no IPv6, the address is still understood, and refused by the system. */
TEST(listening_on_ipv6_gives_peers_in_brackets)
{
    struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct env *env = bare_env(1);
    struct world w = { .env = env };
    struct listener *l = NULL;
    char peer[64] = "", want[64];
    socklen_t size = sizeof(to);
    struct err err;
    int fd;

    if (!has_ipv6()) {
        EXPECT_ST(env_listen(env, "::1", 0, remember_peer, peer, &l, &err), ST_IO);
        real_env_destroy(env);
        return;
    }
    EXPECT_OK(env_listen(env, "::1", 0, remember_peer, peer, &l, &err));
    world_start(&w);
    to.sin6_port = htons(listener_port(l));
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0 && connect(fd, (const void *)&to, sizeof(to)) == 0);
    EXPECT(client_is_cut_off(fd));
    EXPECT(getsockname(fd, (void *)&to, &size) == 0);
    snprintf(want, sizeof(want), "[::1]:%u", ntohs(to.sin6_port));
    world_stop(&w);
    EXPECT_STR(peer, want);
    close(fd);
    listener_close(l);
    real_env_destroy(env);
}

TEST(a_stream_knows_its_peer)
{
    struct echo e = { 0 };
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    char peer[64] = "", want[64];
    int fd;

    echo_start_with(&e, 1, remember_peer, peer);
    fd = client_connect(e.listener);
    EXPECT(client_is_cut_off(fd));
    EXPECT(getsockname(fd, (void *)&from, &size) == 0);
    snprintf(want, sizeof(want), "127.0.0.1:%u", ntohs(from.sin_port));
    close(fd);
    echo_end(&e);
    EXPECT_STR(peer, want);
}

/* ------------------------------------------------------------------ echoing */

TEST(connections_are_dealt_to_the_loops_in_turn_and_echo)
{
    enum { CLIENTS = 8 };
    int fds[CLIENTS];
    struct echo e;

    echo_start(&e, 2);
    for (unsigned i = 0; i < CLIENTS; i++)
        fds[i] = client_connect(e.listener);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            client_expects_echo(fds[i], "hello over there");
    }
    EXPECT_U64(atomic_load(&e.accepted_by[0]), CLIENTS / 2);
    EXPECT_U64(atomic_load(&e.accepted_by[1]), CLIENTS / 2);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
    echo_end(&e);
    EXPECT_U64(e.closed, CLIENTS);
}

TEST(five_hundred_connections_echo)
{
    enum { CLIENTS = 500 };
    static int fds[CLIENTS];
    struct rlimit limit;
    struct echo e;
    char text[32];

    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    echo_start(&e, 2);
    for (unsigned i = 0; i < CLIENTS; i++)
        fds[i] = client_connect(e.listener);
    for (unsigned i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof(text), "client %u", i);
        client_send(fds[i], text, sizeof(text));
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        char back[sizeof(text)];

        snprintf(text, sizeof(text), "client %u", i);
        EXPECT_U64(client_receive(fds[i], back, sizeof(back)), sizeof(back));
        EXPECT_STR(back, text);
        if (i % 2 == 0)
            close(fds[i]);
        else
            client_reset(fds[i]);
    }
    echo_end(&e);
    EXPECT_U64(e.accepted, CLIENTS);
}

/* ------------------------------------------------------------------ a peer that goes */

TEST(a_peer_that_closes_or_resets_is_seen_as_closed)
{
    struct echo e;
    int fd;

    echo_start(&e, 1);
    fd = client_connect(e.listener);
    client_expects_echo(fd, "x");
    close(fd);
    WAIT_FOR(atomic_load(&e.closed) == 1);
    fd = client_connect(e.listener);
    client_expects_echo(fd, "x");
    client_reset(fd);
    WAIT_FOR(atomic_load(&e.closed) == 2);
    echo_end(&e);
}

/* Bytes that came before the end are read before the end is told. */
TEST(what_the_peer_sent_before_it_closed_is_still_read)
{
    enum { BYTES = 100000 };
    static char bytes[BYTES], back[BYTES + 1];
    struct echo e;
    int fd;

    memset(bytes, 'y', sizeof(bytes));
    echo_start(&e, 1);
    fd = client_connect(e.listener);
    client_send(fd, bytes, BYTES);
    EXPECT(shutdown(fd, SHUT_WR) == 0);
    EXPECT_U64(client_receive(fd, back, sizeof(back)), BYTES);
    EXPECT(memcmp(bytes, back, BYTES) == 0);
    close(fd);
    echo_end(&e);
}

/* One that only waits for room must hear of it as well; and writing on must not raise SIGPIPE,
 * which would end this program. */
struct writer {
    struct echo *echo;
    struct stream *stream;
    _Atomic bool full;
};

static const uint8_t filler[64 << 10];

static void
fill_up(void *ctx, unsigned events)
{
    struct writer *w = ctx;
    struct slice part = slice_of(filler, sizeof(filler));
    enum status st;
    size_t written;

    (void)events;
    do
        st = stream_write(w->stream, &part, 1, &written);
    while (st == ST_OK);
    if (st == ST_WOULD_BLOCK) {
        atomic_store(&w->full, true);
        stream_watch(w->stream, STREAM_WRITABLE, fill_up, w);
        return;
    }
    MUST(st == ST_CLOSED);
    MUST(stream_write(w->stream, &part, 1, &written) == ST_CLOSED);
    stream_close(w->stream);
    atomic_fetch_add(&w->echo->closed, 1);
}

static void
start_filling(void *ctx, struct loop *loop, struct stream *stream)
{
    struct writer *w = ctx;

    (void)loop;
    w->stream = stream;
    atomic_fetch_add(&w->echo->accepted, 1);
    fill_up(w, STREAM_WRITABLE);
}

TEST(a_writer_that_waits_for_room_hears_of_a_reset)
{
    struct echo e = { 0 };
    struct writer w = { .echo = &e };
    int fd;

    echo_start_with(&e, 1, start_filling, &w);
    fd = client_connect(e.listener);
    WAIT_FOR(atomic_load(&w.full));
    client_reset(fd);
    WAIT_FOR(atomic_load(&e.closed) == 1);
    echo_end(&e);
}

/* ------------------------------------------------------------------ partial writes */

/* Far more than the system's buffers take, which grow to some megabytes each. */
enum { PARTS = 300, STREAMED_BYTES = 24 << 20 };

/* Sends bytes that follow from their position, in many small parts of uneven size. */
struct source {
    struct echo *echo;
    struct stream *stream;
    uint8_t *bytes;
    size_t sent;
    _Atomic uint32_t stalls;
};

static size_t
make_parts(const struct source *s, struct slice parts[PARTS])
{
    size_t at = s->sent, count = 0;

    while (count < PARTS && at < STREAMED_BYTES) {
        size_t size = (at * 31 + count) % 1500;

        if (size > STREAMED_BYTES - at)
            size = STREAMED_BYTES - at;
        parts[count++] = slice_of(s->bytes + at, size);
        at += size;
    }
    return count;
}

static void
stream_on(void *ctx, unsigned events)
{
    struct source *s = ctx;
    struct slice parts[PARTS];

    MUST(events == STREAM_WRITABLE);
    while (s->sent < STREAMED_BYTES) {
        size_t count = make_parts(s, parts), written = 0;
        enum status st = stream_write(s->stream, parts, count, &written);

        if (st == ST_WOULD_BLOCK) {
            atomic_fetch_add(&s->stalls, 1);
            stream_watch(s->stream, STREAM_WRITABLE, stream_on, s);
            return;
        }
        MUST(st == ST_OK);
        s->sent += written;
    }
    stream_close(s->stream); /* what was accepted is still delivered */
    atomic_fetch_add(&s->echo->closed, 1);
}

static void
start_streaming(void *ctx, struct loop *loop, struct stream *stream)
{
    struct source *s = ctx;

    (void)loop;
    s->stream = stream;
    atomic_fetch_add(&s->echo->accepted, 1);
    stream_on(s, STREAM_WRITABLE);
}

TEST(a_write_that_found_no_room_goes_on_when_there_is_some)
{
    struct echo e = { 0 };
    struct source s = { .echo = &e };
    uint8_t *received = mem_alloc(STREAMED_BYTES + 1);
    int fd;

    s.bytes = mem_alloc(STREAMED_BYTES);
    EXPECT(received != NULL && s.bytes != NULL);
    for (size_t i = 0; i < STREAMED_BYTES; i++)
        s.bytes[i] = (uint8_t)(i * 13 + i / 511);
    echo_start_with(&e, 2, start_streaming, &s);
    fd = client_connect(e.listener);
    WAIT_FOR(atomic_load(&s.stalls) > 0); /* it ran into the full buffer */
    EXPECT_U64(client_receive(fd, received, STREAMED_BYTES + 1), STREAMED_BYTES);
    EXPECT(memcmp(received, s.bytes, STREAMED_BYTES) == 0);
    close(fd);
    echo_end(&e);
    mem_free(received);
    mem_free(s.bytes);
}

struct sender {
    int fd;
    const uint8_t *bytes;
};

static void *
send_all(void *ctx)
{
    struct sender *s = ctx;
    size_t done = 0;

    while (done < STREAMED_BYTES) {
        ssize_t n = send(s->fd, s->bytes + done, STREAMED_BYTES - done, MSG_NOSIGNAL);

        MUST(n > 0);
        done += (size_t)n;
    }
    return NULL;
}

TEST(an_echo_server_that_is_read_slowly_loses_nothing)
{
    struct echo e;
    uint8_t *bytes = mem_alloc(STREAMED_BYTES), *back = mem_alloc(STREAMED_BYTES);
    struct sender sender = { .bytes = bytes };
    pthread_t thread;

    EXPECT(bytes != NULL && back != NULL);
    for (size_t i = 0; i < STREAMED_BYTES; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 300);
    echo_start(&e, 1);
    sender.fd = client_connect(e.listener);
    EXPECT(pthread_create(&thread, NULL, send_all, &sender) == 0);
    WAIT_FOR(atomic_load(&e.blocked) > 0); /* we do not read yet */
    EXPECT_U64(client_receive(sender.fd, back, STREAMED_BYTES), STREAMED_BYTES);
    EXPECT(memcmp(bytes, back, STREAMED_BYTES) == 0);
    pthread_join(thread, NULL);
    close(sender.fd);
    echo_end(&e);
    mem_free(bytes);
    mem_free(back);
}

TEST_MAIN(RUN(listening_says_what_is_wrong_with_an_address),
          RUN(listening_on_ipv6_gives_peers_in_brackets), RUN(a_stream_knows_its_peer),
          RUN(connections_are_dealt_to_the_loops_in_turn_and_echo),
          RUN(five_hundred_connections_echo), RUN(a_peer_that_closes_or_resets_is_seen_as_closed),
          RUN(what_the_peer_sent_before_it_closed_is_still_read),
          RUN(a_writer_that_waits_for_room_hears_of_a_reset),
          RUN(a_write_that_found_no_room_goes_on_when_there_is_some),
          RUN(an_echo_server_that_is_read_slowly_loses_nothing))
