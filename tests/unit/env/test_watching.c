/* Tests of watching streams, and of the loop's hook after their events. */
#include "echo.h"

/* ------------------------------------------------------------------ watching */

struct watcher {
    struct stream *stream;
    struct loop *loop;
    _Atomic uint32_t calls;
    _Atomic bool ready;
};

static void
count_call(void *ctx, unsigned events)
{
    struct watcher *w = ctx;

    MUST(events == STREAM_READABLE);
    if (atomic_fetch_add(&w->calls, 1) + 1 == 3)
        stream_watch(w->stream, 0, NULL, NULL);
}

static void
start_watching(void *ctx, struct loop *loop, struct stream *stream)
{
    struct watcher *w = ctx;

    w->stream = stream;
    w->loop = loop;
    stream_watch(stream, STREAM_READABLE, count_call, w);
    atomic_store(&w->ready, true);
}

static void
watch_again(void *ctx)
{
    struct watcher *w = ctx;

    atomic_store(&w->calls, 0);
    stream_watch(w->stream, STREAM_READABLE, count_call, w);
}

static void
pause_and_resume(void *ctx)
{
    struct watcher *w = ctx;

    stream_watch(w->stream, 0, NULL, NULL);
    watch_again(w);
}

static void
close_watched(void *ctx)
{
    stream_close(((struct watcher *)ctx)->stream);
}

static void
count_round(void *ctx)
{
    atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
}

struct hook {
    struct loop *loop;
    _Atomic uint32_t *rounds;
};

static void
hook_rounds(void *ctx)
{
    struct hook *h = ctx;

    loop_set_after(h->loop, count_round, h->rounds);
}

TEST(watching_is_level_triggered_and_watching_nothing_is_silence)
{
    _Atomic uint32_t rounds = 0;
    struct echo e = { 0 };
    struct watcher w = { 0 };
    int fd;

    echo_start_with(&e, 1, start_watching, &w);
    on_loop(e.w.env, 0, hook_rounds, &(struct hook){ real_env_loop(e.w.env, 0), &rounds });
    fd = client_connect(e.listener);
    client_send(fd, "x", 1); /* never read */
    WAIT_FOR(atomic_load(&w.calls) == 3);
    atomic_store(&rounds, 0);
    pause_ms(50);
    EXPECT_U64(atomic_load(&w.calls), 3); /* it said 0 at the third */
    EXPECT(atomic_load(&rounds) < 5);     /* and the loop does not spin over what nobody wants */
    on_loop(e.w.env, 0, watch_again, &w);
    WAIT_FOR(atomic_load(&w.calls) == 3);
    on_loop(e.w.env, 0, pause_and_resume, &w);
    WAIT_FOR(atomic_load(&w.calls) == 3);
    on_loop(e.w.env, 0, close_watched, &w);
    close(fd);
    echo_end(&e);
}

/* An owner that does not read is told again and again, after an error too. */
static void
ignore_twice(void *ctx, unsigned events)
{
    struct watcher *w = ctx;

    MUST((events & STREAM_READABLE) != 0);
    if (atomic_fetch_add(&w->calls, 1) + 1 == 3)
        stream_close(w->stream);
}

static void
start_ignoring(void *ctx, struct loop *loop, struct stream *stream)
{
    struct watcher *w = ctx;

    (void)loop;
    w->stream = stream;
    stream_watch(stream, STREAM_READABLE, ignore_twice, w);
    atomic_store(&w->ready, true);
}

TEST(an_error_that_nobody_asks_about_is_reported_again)
{
    struct echo e = { 0 };
    struct watcher w = { 0 };
    int fd;

    echo_start_with(&e, 1, start_ignoring, &w);
    fd = client_connect(e.listener);
    WAIT_FOR(atomic_load(&w.ready));
    client_reset(fd);
    WAIT_FOR(atomic_load(&w.calls) == 3);
    echo_end(&e);
}

/* ------------------------------------------------------------------ the hook of the loop */

struct ledger {
    struct stream *stream;
    uint32_t produced; /* of the loop's thread */
    uint32_t written;
    _Atomic bool ready;
    sem_t busy, go;
};

static void
write_out(void *ctx)
{
    struct ledger *l = ctx;

    l->written = l->produced;
}

static void
produce(void *ctx, unsigned events)
{
    struct ledger *l = ctx;

    (void)events;
    l->produced++;
    stream_close(l->stream);
}

static void
start_producing(void *ctx, struct loop *loop, struct stream *stream)
{
    struct ledger *l = ctx;

    (void)loop;
    l->stream = stream;
    stream_watch(stream, STREAM_READABLE, produce, l);
    atomic_store(&l->ready, true);
}

struct pause_task {
    struct task task;
    struct ledger *ledger;
};

static void
stay_until_go(struct task *task)
{
    struct ledger *l = container_of(task, struct pause_task, task)->ledger;

    sem_post(&l->busy);
    while (sem_wait(&l->go) != 0) {
    }
}

/* L3: while the loop is busy, bytes arrive and it is told to stop; so they are met by the poll that
 * libuv still makes when it stops. */
TEST(the_hook_runs_after_the_last_event_of_a_loop_that_stops)
{
    struct ledger l = { 0 };
    struct pause_task busy = { .task = { .run = stay_until_go }, .ledger = &l };
    struct echo e = { 0 };
    struct err err;
    int fd;

    sem_init(&l.busy, 0, 0);
    sem_init(&l.go, 0, 0);
    world_create(&e.w, 1);
    loop_set_after(real_env_loop(e.w.env, 0), write_out, &l);
    EXPECT_OK(env_listen(e.w.env, "127.0.0.1", 0, start_producing, &l, &e.listener, &err));
    world_start(&e.w);
    fd = client_connect(e.listener);
    WAIT_FOR(atomic_load(&l.ready));
    loop_post(real_env_loop(e.w.env, 0), &busy.task);
    EXPECT(sem_wait(&l.busy) == 0);
    client_send(fd, "x", 1);
    real_env_stop(e.w.env);
    sem_post(&l.go);
    pthread_join(e.w.thread, NULL);
    EXPECT_U64(l.produced, 1);
    EXPECT_U64(l.written, 1);
    listener_close(e.listener);
    real_env_destroy(e.w.env);
    close(fd);
    sem_destroy(&l.busy);
    sem_destroy(&l.go);
}

TEST_MAIN(RUN(watching_is_level_triggered_and_watching_nothing_is_silence),
          RUN(an_error_that_nobody_asks_about_is_reported_again),
          RUN(the_hook_runs_after_the_last_event_of_a_loop_that_stops))
