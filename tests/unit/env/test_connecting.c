/* Tests of outgoing connections of the real environment, over the loopback. */
#include "echo.h"

enum { TIMEOUT_MS = 5000, BACKLOG_FILL = 8 };

/* One attempt, made and answered on loop 0. */
struct attempt {
    struct loop *loop;
    struct connect_options options;
    struct connector *connector;
    struct stream *stream;
    enum status st; /* of the call */
    enum status outcome;
    struct err err;
    _Atomic uint32_t calls;
    bool inside; /* env_connect() has not returned */
    char got[100];
    size_t got_bytes;
    _Atomic bool over;
};

static void
connected(void *ctx, struct stream *stream, enum status st, const struct err *err)
{
    struct attempt *a = ctx;

    MUST(!a->inside);
    MUST((st == ST_OK) == (stream != NULL) && (st == ST_OK) == (err == NULL));
    a->stream = stream;
    a->outcome = st;
    if (err != NULL)
        a->err = *err;
    atomic_fetch_add(&a->calls, 1);
}

static void
begin(void *ctx)
{
    struct attempt *a = ctx;

    a->inside = true;
    a->st = env_connect(a->loop, &a->options, &a->connector, &a->err);
    a->inside = false;
}

static void
hang_up(void *ctx)
{
    struct attempt *a = ctx;

    stream_close(a->stream);
}

/* On a slow machine it may have come to its end by itself. */
static void
give_up(void *ctx)
{
    struct attempt *a = ctx;

    if (atomic_load(&a->calls) == 0)
        connector_cancel(a->connector);
}

static void
attempt_init(struct attempt *a, struct env *env, uint16_t port)
{
    memset(a, 0, sizeof(*a));
    a->loop = real_env_loop(env, 0);
    a->options = (struct connect_options){ "127.0.0.1", port, TIMEOUT_MS, 0, connected, a };
}

/* A port that nobody listens on. */
static uint16_t
silent_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof(at);
    int fd = client_socket();

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT(bind(fd, (const void *)&at, sizeof(at)) == 0);
    EXPECT(getsockname(fd, (void *)&at, &size) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* ------------------------------------------------------------------ success */

static void
hear(void *ctx, unsigned events)
{
    struct attempt *a = ctx;
    size_t got = 0;
    enum status st =
        stream_read(a->stream, a->got + a->got_bytes, sizeof(a->got) - a->got_bytes, &got);

    (void)events;
    MUST(st == ST_OK);
    a->got_bytes += got;
    if (a->got_bytes == strlen("there and back"))
        atomic_store(&a->over, true);
}

static void
talk(void *ctx)
{
    struct attempt *a = ctx;
    struct slice part = slice_str("there and back");
    size_t written = 0;

    MUST(stream_write(a->stream, &part, 1, &written) == ST_OK && written == part.size);
    stream_watch(a->stream, STREAM_READABLE, hear, a);
}

TEST(a_connection_is_made_and_carries_bytes_both_ways)
{
    struct attempt a;
    struct echo e;
    char want[64];

    echo_start(&e, 2);
    attempt_init(&a, e.w.env, listener_port(e.listener));
    a.options.silence_ms = 10000;
    on_loop(e.w.env, 0, begin, &a);
    EXPECT_OK(a.st);
    WAIT_FOR(atomic_load(&a.calls) == 1);
    EXPECT_OK(a.outcome);
    snprintf(want, sizeof(want), "127.0.0.1:%u", listener_port(e.listener));
    EXPECT_STR(stream_peer(a.stream), want);
    on_loop(e.w.env, 0, talk, &a);
    WAIT_FOR(atomic_load(&a.over));
    EXPECT(memcmp(a.got, "there and back", a.got_bytes) == 0);
    on_loop(e.w.env, 0, hang_up, &a);
    echo_end(&e);
}

/* ------------------------------------------------------------------ failure */

TEST(connecting_says_what_is_wrong_with_an_address)
{
    static const char *const wrong[] = { "localhost", "", "1.2.3", "127.0.0.1:80" };
    struct env *env = bare_env(1);
    struct attempt a;

    attempt_init(&a, env, 80);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        a.options.address = wrong[i];
        begin(&a);
        EXPECT_ST(a.st, ST_INVALID);
    }
    real_env_destroy(env);
    EXPECT_U64(a.calls, 0);
}

TEST(a_port_without_a_listener_refuses)
{
    struct attempt a;
    struct world w;

    world_create(&w, 1);
    world_start(&w);
    attempt_init(&a, w.env, silent_port());
    on_loop(w.env, 0, begin, &a);
    EXPECT_OK(a.st);
    WAIT_FOR(atomic_load(&a.calls) == 1);
    EXPECT_ST(a.outcome, ST_CLOSED);
    EXPECT_U64(a.err.sys, ECONNREFUSED);
    world_end(&w);
    EXPECT_U64(a.calls, 1);
}

/* Refused by the kernel before anything was sent: a broadcast address is no one's. */
TEST(what_fails_on_the_spot_is_told_later)
{
    struct attempt a;
    struct world w;

    world_create(&w, 1);
    world_start(&w);
    attempt_init(&a, w.env, 80);
    a.options.address = "255.255.255.255";
    on_loop(w.env, 0, begin, &a);
    EXPECT_OK(a.st);
    WAIT_FOR(atomic_load(&a.calls) == 1);
    EXPECT_ST(a.outcome, ST_IO);
    EXPECT(a.err.sys != 0 && strstr(a.err.text, "connect to 255.255.255.255:80") != NULL);
    world_end(&w);
}

/* A listener whose backlog is full does not answer. */
struct deaf_listener {
    int fd;
    int fillers[BACKLOG_FILL];
    uint16_t port;
};

static void
begin_deaf_listener(struct deaf_listener *d)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof(at);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    d->fd = client_socket();
    EXPECT(bind(d->fd, (const void *)&at, sizeof(at)) == 0 && listen(d->fd, 0) == 0);
    EXPECT(getsockname(d->fd, (void *)&at, &size) == 0);
    d->port = ntohs(at.sin_port);
    for (unsigned i = 0; i < BACKLOG_FILL; i++) {
        d->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        EXPECT(d->fillers[i] >= 0);
        if (connect(d->fillers[i], (const void *)&at, size) != 0)
            EXPECT(errno == EINPROGRESS);
    }
}

static void
end_deaf_listener(struct deaf_listener *d)
{
    close(d->fd);
    for (unsigned i = 0; i < BACKLOG_FILL; i++)
        close(d->fillers[i]);
}

TEST(an_attempt_that_is_not_answered_ends_in_time)
{
    struct deaf_listener d;
    struct attempt a;
    struct world w;

    begin_deaf_listener(&d);
    world_create(&w, 1);
    world_start(&w);
    attempt_init(&a, w.env, d.port);
    a.options.timeout_ms = 100;
    on_loop(w.env, 0, begin, &a);
    EXPECT_OK(a.st);
    EXPECT_U64(atomic_load(&a.calls), 0);
    WAIT_FOR(atomic_load(&a.calls) == 1);
    EXPECT_ST(a.outcome, ST_TIMEOUT);
    world_end(&w);
    end_deaf_listener(&d);
}

/* The kernel of the other side takes what it has room for; nobody reads it. */
static void
watch_silence(void *ctx, unsigned events)
{
    struct attempt *a = ctx;
    static const uint8_t bytes[1 << 16];
    struct slice part = slice_of(bytes, sizeof(bytes));
    size_t written = 0;
    enum status st = ST_OK;

    MUST((events & STREAM_WRITABLE) != 0);
    while (st == ST_OK)
        st = stream_write(a->stream, &part, 1, &written);
    if (st != ST_CLOSED)
        return;
    stream_watch(a->stream, 0, watch_silence, a);
    atomic_store(&a->over, true);
}

static void
begin_to_fill(void *ctx)
{
    struct attempt *a = ctx;

    stream_watch(a->stream, STREAM_WRITABLE, watch_silence, a);
}

TEST(a_stream_fails_when_it_gets_no_answer_for_too_long)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof(at);
    int fd = client_socket();
    struct attempt a;
    struct world w;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT(bind(fd, (const void *)&at, size) == 0 && listen(fd, 8) == 0);
    EXPECT(getsockname(fd, (void *)&at, &size) == 0);
    world_create(&w, 1);
    world_start(&w);
    attempt_init(&a, w.env, ntohs(at.sin_port));
    a.options.silence_ms = 300;
    on_loop(w.env, 0, begin, &a);
    WAIT_FOR(atomic_load(&a.calls) == 1);
    EXPECT_OK(a.outcome);
    on_loop(w.env, 0, begin_to_fill, &a);
    WAIT_FOR(atomic_load(&a.over)); /* the default would be a quarter of an hour */
    on_loop(w.env, 0, hang_up, &a);
    world_end(&w);
    close(fd);
}

TEST(a_cancelled_attempt_is_not_heard_of_again)
{
    struct deaf_listener d;
    struct attempt a[3];
    uint32_t calls;
    struct echo e;

    begin_deaf_listener(&d);
    echo_start(&e, 1);
    attempt_init(&a[0], e.w.env, d.port);
    a[0].options.timeout_ms = 20;
    attempt_init(&a[1], e.w.env, silent_port());
    attempt_init(&a[2], e.w.env, d.port);
    for (unsigned i = 0; i < 3; i++)
        on_loop(e.w.env, 0, begin, &a[i]);
    on_loop(e.w.env, 0, give_up, &a[0]);
    on_loop(e.w.env, 0, give_up, &a[1]);
    calls = atomic_load(&a[0].calls);
    pause_ms(50);
    EXPECT_U64(atomic_load(&a[0].calls), calls);
    world_stop(&e.w);
    connector_cancel(a[2].connector); /* the loops do not run */
    connector_cancel(NULL);
    listener_close(e.listener);
    real_env_destroy(e.w.env);
    EXPECT_U64(a[2].calls, 0);
    end_deaf_listener(&d);
}

TEST(connecting_survives_the_failure_of_every_allocation)
{
    enum status st = ST_NO_MEMORY;

    for (uint64_t n = 1; st != ST_OK; n++) {
        struct env *env = bare_env(1);
        struct mem_heap heap = { .fail_at = n };
        struct attempt a;

        attempt_init(&a, env, silent_port());
        mem_heap_enter(&heap);
        begin(&a);
        mem_heap_enter(NULL);
        st = a.st;
        connector_cancel(a.connector);
        real_env_destroy(env);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
        EXPECT(n > 1 || st != ST_OK);
        EXPECT(n < 10);
    }
}

TEST_MAIN(RUN(a_connection_is_made_and_carries_bytes_both_ways),
          RUN(connecting_says_what_is_wrong_with_an_address),
          RUN(a_port_without_a_listener_refuses), RUN(what_fails_on_the_spot_is_told_later),
          RUN(an_attempt_that_is_not_answered_ends_in_time),
          RUN(a_stream_fails_when_it_gets_no_answer_for_too_long),
          RUN(a_cancelled_attempt_is_not_heard_of_again),
          RUN(connecting_survives_the_failure_of_every_allocation))
