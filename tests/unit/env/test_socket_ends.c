/* Tests of how streams and listeners end, and of running out of what they need. */
#include <sys/resource.h>

#include "echo.h"

/* One stream, for those who look at it from several sides. */
struct watcher {
    struct stream *stream;
};

/* ------------------------------------------------------------------ closing */

static void
close_at_once(void *ctx, unsigned events)
{
    struct watcher *w = ctx;

    (void)events;
    stream_close(w->stream);
    memset(w, 0, sizeof(*w)); /* no callback may look at it again */
}

static void
close_on_event(void *ctx, struct loop *loop, struct stream *stream)
{
    struct watcher *w = ctx;

    (void)loop;
    w->stream = stream;
    stream_watch(stream, STREAM_READABLE | STREAM_WRITABLE, close_at_once, w);
}

TEST(a_stream_may_be_closed_in_its_own_callback)
{
    struct echo e = { 0 };
    struct watcher w = { 0 };

    echo_start_with(&e, 1, close_on_event, &w);
    for (unsigned i = 0; i < 50; i++) {
        int fd = client_connect(e.listener);

        EXPECT(client_is_cut_off(fd));
        close(fd);
    }
    echo_end(&e);
}

/* Both become readable in one round; whichever is called first closes the other. */
struct pair {
    struct stream *stream[2];
    _Atomic uint32_t count;
    _Atomic uint32_t calls;
};

static void
close_both(void *ctx, unsigned events)
{
    struct pair *p = ctx;

    (void)events;
    atomic_fetch_add(&p->calls, 1);
    stream_close(p->stream[0]);
    stream_close(p->stream[1]);
}

static void
join_pair(void *ctx, struct loop *loop, struct stream *stream)
{
    struct pair *p = ctx;
    uint32_t place = atomic_load(&p->count);

    (void)loop;
    p->stream[place] = stream;
    stream_watch(stream, STREAM_READABLE, close_both, p);
    atomic_store(&p->count, place + 1);
}

static void
stay_long(void *ctx)
{
    (void)ctx;
    pause_ms(30);
}

TEST(a_stream_may_be_closed_in_the_callback_of_another_that_is_due_too)
{
    struct echo e = { 0 };
    struct pair p = { 0 };
    struct visit busy = { .task = { .run = visit_run }, .fn = stay_long };
    int a, b;

    echo_start_with(&e, 1, join_pair, &p);
    a = client_connect(e.listener);
    b = client_connect(e.listener);
    WAIT_FOR(atomic_load(&p.count) == 2);
    sem_init(&busy.over, 0, 0);
    loop_post(real_env_loop(e.w.env, 0), &busy.task); /* so that both wait for the next poll */
    client_send(a, "x", 1);
    client_send(b, "x", 1);
    EXPECT(client_is_cut_off(a));
    EXPECT(client_is_cut_off(b));
    EXPECT_U64(atomic_load(&p.calls), 1);
    close(a);
    close(b);
    echo_end(&e);
    sem_destroy(&busy.over);
}

/* The server answers the first bytes with its last words and closes, while the client has sent a
 * lot that nobody will read.  A plain close() would reset, and the words could be lost. */
enum { LAST_WORDS = 100000 };

static const uint8_t last_words[LAST_WORDS];

static void
say_last_words(void *ctx, unsigned events)
{
    struct watcher *w = ctx;
    struct slice part = slice_of(last_words, sizeof(last_words));
    uint8_t byte;
    size_t size = 0;

    (void)events;
    MUST(stream_read(w->stream, &byte, 1, &size) == ST_OK);
    MUST(stream_write(w->stream, &part, 1, &size) == ST_OK && size == part.size);
    stream_close(w->stream);
}

static void
listen_once(void *ctx, struct loop *loop, struct stream *stream)
{
    struct watcher *w = ctx;

    (void)loop;
    w->stream = stream;
    stream_watch(stream, STREAM_READABLE, say_last_words, w);
}

TEST(last_words_reach_a_client_that_is_still_sending)
{
    static char out[LAST_WORDS + 1];
    struct echo e = { 0 };
    struct watcher w = { 0 };

    echo_start_with(&e, 1, listen_once, &w);
    for (unsigned i = 0; i < 20; i++) {
        int fd = client_connect(e.listener);

        client_send(fd, last_words, 30000);
        pause_ms(2);
        client_send(fd, last_words, 30000); /* after the server has closed */
        EXPECT_U64(client_receive(fd, out, sizeof(out)), LAST_WORDS);
        close(fd);
    }
    echo_end(&e);
}

/* Is the other side really closed, and not only lingering?  Then it answers with a reset. */
static bool
resets(int fd)
{
    send(fd, "x", 1, MSG_NOSIGNAL);
    pause_ms(1);
    return send(fd, "x", 1, MSG_NOSIGNAL) < 0;
}

/* Clients that never close must not hold our descriptors for ever. */
TEST(lingering_ends_by_number_and_by_time)
{
    enum { CLIENTS = 300, LINGERING_MAX = 256 };
    static int fds[CLIENTS];
    struct echo e = { 0 };
    struct watcher w = { 0 };
    char out[100];

    echo_start_with(&e, 1, listen_once, &w);
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = client_connect(e.listener);
        client_send(fds[i], "x", 1);
        EXPECT_U64(client_receive(fds[i], out, 1), 1);
    }
    EXPECT(!resets(fds[CLIENTS - 1]));
    for (unsigned i = 0; i < CLIENTS - LINGERING_MAX; i++)
        EXPECT(resets(fds[i])); /* the oldest had to make room */
    pause_ms(2300);
    for (unsigned i = 0; i < CLIENTS; i++) {
        EXPECT(resets(fds[i]));
        close(fds[i]);
    }
    echo_end(&e);
}

/* ------------------------------------------------------------------ closing the listener */

struct gatekeeper {
    struct echo echo;
    uint16_t port; /* the listener itself may be gone while clients still try */
    _Atomic bool closed;
    _Atomic uint32_t accepted;
};

static void
accept_if_open(void *ctx, struct loop *loop, struct stream *stream)
{
    struct gatekeeper *g = ctx;

    (void)loop;
    MUST(!atomic_load(&g->closed));
    pause_ms(1); /* closing the listener meanwhile must wait for us */
    MUST(!atomic_load(&g->closed));
    atomic_fetch_add(&g->accepted, 1);
    stream_close(stream);
}

static void
close_gate(void *ctx)
{
    struct gatekeeper *g = ctx;

    listener_close(g->echo.listener);
    atomic_store(&g->closed, true);
}

static void *
connect_until_refused(void *ctx)
{
    struct gatekeeper *g = ctx;
    struct timeval wait = { CLIENT_WAIT_S, 0 };

    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool connected;

        MUST(fd >= 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        connected = client_try_connect(fd, g->port);
        if (connected) {
            /* Whoever got in, or nearly did, is closed, not forgotten.  The byte is for those whose
             * handshake met the closing listener: Linux may tell them only when they speak. */
            send(fd, "x", 1, MSG_NOSIGNAL);
            MUST(client_is_cut_off(fd));
        }
        close(fd);
        if (!connected)
            return NULL;
    }
}

TEST(nothing_is_accepted_after_the_listener_was_closed)
{
    enum { CLIENTS = 4 };

    for (unsigned i = 0; i < 10; i++) {
        struct gatekeeper g = { 0 };
        pthread_t threads[CLIENTS];

        echo_start_with(&g.echo, 3, accept_if_open, &g);
        g.port = listener_port(g.echo.listener);
        for (unsigned t = 0; t < CLIENTS; t++)
            EXPECT(pthread_create(&threads[t], NULL, connect_until_refused, &g) == 0);
        WAIT_FOR(atomic_load(&g.accepted) > 10);
        on_loop(g.echo.w.env, 0, close_gate, &g);
        for (unsigned t = 0; t < CLIENTS; t++)
            pthread_join(threads[t], NULL);
        world_end(&g.echo.w);
    }
}

static void
accept_and_close_gate(void *ctx, struct loop *loop, struct stream *stream)
{
    struct gatekeeper *g = ctx;

    MUST(loop_index(loop) == 0);
    MUST(!atomic_load(&g->closed));
    atomic_fetch_add(&g->accepted, 1);
    stream_close(stream);
    close_gate(g);
}

TEST(a_listener_may_be_closed_by_the_callback_that_it_calls)
{
    struct gatekeeper g = { 0 };
    pthread_t threads[2];

    echo_start_with(&g.echo, 1, accept_and_close_gate, &g);
    g.port = listener_port(g.echo.listener);
    for (unsigned t = 0; t < 2; t++)
        EXPECT(pthread_create(&threads[t], NULL, connect_until_refused, &g) == 0);
    for (unsigned t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
    world_end(&g.echo.w);
    EXPECT_U64(g.accepted, 1);
}

/* A connection is on its way to a loop that is busy; meanwhile everything ends. */
struct block {
    struct task task;
    sem_t go;
};

static void
wait_for_go(struct task *task)
{
    struct block *b = container_of(task, struct block, task);

    while (sem_wait(&b->go) != 0) {
    }
}

TEST(a_connection_that_is_still_on_its_way_is_closed_with_the_listener)
{
    struct block b = { .task = { .run = wait_for_go } };
    struct gatekeeper g = { 0 };
    int fds[2];

    sem_init(&b.go, 0, 0);
    echo_start_with(&g.echo, 2, accept_if_open, &g);
    loop_post(real_env_loop(g.echo.w.env, 1), &b.task);
    fds[0] = client_connect(g.echo.listener);
    fds[1] = client_connect(g.echo.listener);
    WAIT_FOR(atomic_load(&g.accepted) == 1); /* the first; the second waits for loop 1 */
    pause_ms(20);
    on_loop(g.echo.w.env, 0, close_gate, &g);
    sem_post(&b.go);
    EXPECT(client_is_cut_off(fds[1]));
    EXPECT_U64(atomic_load(&g.accepted), 1);
    close(fds[0]);
    close(fds[1]);
    world_end(&g.echo.w);
    sem_destroy(&b.go);
}

/* ------------------------------------------------------------------ out of descriptors */

static void
count_round(void *ctx)
{
    atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
}

static void
look(void *ctx)
{
    (void)ctx;
}

TEST(running_out_of_descriptors_is_survived_without_spinning_and_recovered_from)
{
    enum { CLIENTS = 20, SPARE = 5 };
    _Atomic uint32_t rounds = 0;
    struct rlimit before, tight;
    struct echo e = { 0 };
    int fds[CLIENTS], highest;

    world_create(&e.w, 1);
    loop_set_after(real_env_loop(e.w.env, 0), count_round, &rounds);
    EXPECT_OK(env_listen(e.w.env, "127.0.0.1", 0, echo_accepted, &e, &e.listener, NULL));
    world_start(&e.w);
    for (unsigned i = 0; i < CLIENTS; i++)
        fds[i] = client_socket();
    highest = dup(fds[0]); /* no lower number is free */
    close(highest);

    EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
    tight = before;
    tight.rlim_cur = (rlim_t)highest + SPARE;
    EXPECT(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        EXPECT(client_try_connect(fds[i], listener_port(e.listener)));
    WAIT_FOR(atomic_load(&e.accepted) == SPARE);
    atomic_store(&rounds, 0);
    pause_ms(400);
    EXPECT(atomic_load(&rounds) <
           300); /* some per pause (L6); a spinning loop makes many thousands */
    EXPECT_U64(atomic_load(&e.accepted), SPARE);
    on_loop(e.w.env, 0, look, NULL); /* alive */

    close(fds[0]); /* one goes, and frees a descriptor on each side, with the limit unchanged */
    WAIT_FOR(atomic_load(&e.accepted) == SPARE + 2);
    EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
    WAIT_FOR(atomic_load(&e.accepted) == CLIENTS);
    for (unsigned i = 1; i < CLIENTS; i++) {
        client_expects_echo(fds[i], "after the famine");
        close(fds[i]);
    }
    echo_end(&e);
}

/* ------------------------------------------------------------------ out of memory */

TEST(listening_survives_the_failure_of_every_allocation)
{
    enum status st = ST_NO_MEMORY;

    for (uint64_t n = 1; st != ST_OK; n++) {
        struct env *env = bare_env(1);
        struct mem_heap heap = { .fail_at = n };
        struct listener *l = NULL;

        mem_heap_enter(&heap);
        st = env_listen(env, "127.0.0.1", 0, echo_accepted, NULL, &l, NULL);
        mem_heap_enter(NULL);
        listener_close(l);
        real_env_destroy(env);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
        EXPECT(n > 1 || st != ST_OK);
        EXPECT(n < 10);
    }
}

/* The loop's thread allocates from a heap that fails the next time. */
static void
enter_heap(void *ctx)
{
    mem_heap_enter(ctx);
}

TEST(a_connection_without_memory_is_closed_and_the_next_one_served)
{
    struct mem_heap heap = { .fail_at = 1 };
    struct echo e;
    int fd;

    echo_start(&e, 1);
    on_loop(e.w.env, 0, enter_heap, &heap);
    fd = client_connect(e.listener);
    EXPECT(client_is_cut_off(fd));
    close(fd);
    fd = client_connect(e.listener);
    client_expects_echo(fd, "served");
    close(fd);
    WAIT_FOR(atomic_load(&e.closed) == 1);
    on_loop(e.w.env, 0, enter_heap, NULL);
    echo_end(&e);
    EXPECT_U64(e.accepted, 1);
    EXPECT_U64(heap.block_count, 0);
}

TEST_MAIN(RUN(a_stream_may_be_closed_in_its_own_callback),
          RUN(a_stream_may_be_closed_in_the_callback_of_another_that_is_due_too),
          RUN(last_words_reach_a_client_that_is_still_sending),
          RUN(lingering_ends_by_number_and_by_time),
          RUN(nothing_is_accepted_after_the_listener_was_closed),
          RUN(a_listener_may_be_closed_by_the_callback_that_it_calls),
          RUN(a_connection_that_is_still_on_its_way_is_closed_with_the_listener),
          RUN(running_out_of_descriptors_is_survived_without_spinning_and_recovered_from),
          RUN(listening_survives_the_failure_of_every_allocation),
          RUN(a_connection_without_memory_is_closed_and_the_next_one_served))
