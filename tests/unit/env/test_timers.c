/* Tests of time, timers and signals on the loops of the real environment. */
#include <signal.h>

#include "fixture.h"

static void
do_nothing(void *ctx)
{
    (void)ctx;
}

/* ------------------------------------------------------------------ time */

struct clock_check {
    struct loop *loop;
    uint64_t ns;
    uint64_t wall_ms;
};

static void
read_time_of_round(void *ctx)
{
    struct clock_check *c = ctx;

    c->ns = loop_now_ns(c->loop);
    c->wall_ms = loop_wall_ms(c->loop);
    pause_ms(3);
    MUST(loop_now_ns(c->loop) == c->ns); /* within a round, time stands still */
    MUST(loop_wall_ms(c->loop) == c->wall_ms);
}

TEST(the_time_of_a_round_is_one_and_that_of_the_next_is_later)
{
    struct clock_check first, second;
    struct world w;

    world_create(&w, 1);
    first.loop = second.loop = real_env_loop(w.env, 0);
    EXPECT(loop_now_ns(first.loop) < loop_now_ns(first.loop)); /* no rounds yet: simply now */
    world_start(&w);
    on_loop(w.env, 0, read_time_of_round, &first);
    on_loop(w.env, 0, read_time_of_round, &second);
    EXPECT(second.ns >= first.ns + 3000000);
    EXPECT(second.ns <= env_boot_ns(w.env));
    EXPECT(second.wall_ms <= env_wall_ms(w.env));
    world_end(&w);
}

/* ------------------------------------------------------------------ timers */

enum { TIMERS = 5 };

struct alarm {
    struct timer *timer;
    struct loop *loop;
    uint32_t delay_ms;
    uint64_t started_ns;
    struct alarms *all;
    char name;
};

struct alarms {
    struct alarm alarm[TIMERS];
    char order[TIMERS + 1];
    _Atomic uint32_t fired;
};

static void
ring(void *ctx)
{
    struct alarm *a = ctx;
    uint64_t late_ns = env_boot_ns(loop_env(a->loop)) - a->started_ns;
    uint32_t place = atomic_load(&a->all->fired);

    MUST(late_ns >= a->delay_ms * UINT64_C(1000000)); /* L5 */
    MUST(place < TIMERS);
    a->all->order[place] = a->name;
    atomic_store(&a->all->fired, place + 1);
}

static void
start_alarms(void *ctx)
{
    struct alarms *all = ctx;

    pause_ms(7); /* libuv's idea of now is old, and must not make them early */
    for (unsigned i = 0; i < TIMERS; i++) {
        struct alarm *a = &all->alarm[i];

        a->started_ns = env_boot_ns(loop_env(a->loop));
        timer_start(a->timer, a->delay_ms);
    }
}

static void
destroy_alarms(void *ctx)
{
    struct alarms *all = ctx;

    for (unsigned i = 0; i < TIMERS; i++)
        timer_destroy(all->alarm[i].timer);
    timer_destroy(NULL);
}

TEST(timers_fire_once_in_the_order_of_their_times_and_never_early)
{
    static const uint32_t delays_ms[TIMERS] = { 240, 80, 160, 0, 81 };
    struct alarms all = { 0 };
    struct world w;

    world_create(&w, 1);
    for (unsigned i = 0; i < TIMERS; i++) {
        struct alarm *a = &all.alarm[i];

        *a = (struct alarm){ .loop = real_env_loop(w.env, 0),
                             .delay_ms = delays_ms[i],
                             .all = &all,
                             .name = (char)('a' + i) };
        EXPECT_OK(timer_create_on(a->loop, ring, a, &a->timer));
    }
    world_start(&w);
    on_loop(w.env, 0, start_alarms, &all);
    WAIT_FOR(atomic_load(&all.fired) == TIMERS);
    pause_ms(30);
    EXPECT_U64(atomic_load(&all.fired), TIMERS);
    on_loop(w.env, 0, destroy_alarms, &all);
    world_end(&w);
    EXPECT_STR(all.order, "dbeca");
}

struct moved {
    struct timer *moved;
    struct timer *stopped;
    struct timer *restarting;
    struct timer *suicidal;
    struct loop *loop;
    uint64_t started_ns;
    uint32_t restarts;
    _Atomic uint32_t moved_fired;
    _Atomic uint32_t stopped_fired;
    _Atomic uint32_t suicidal_fired;
};

static void
moved_fire(void *ctx)
{
    struct moved *m = ctx;

    MUST(env_boot_ns(loop_env(m->loop)) - m->started_ns >= 80 * UINT64_C(1000000));
    atomic_fetch_add(&m->moved_fired, 1);
}

static void
stopped_fire(void *ctx)
{
    atomic_fetch_add(&((struct moved *)ctx)->stopped_fired, 1);
}

static void
restart_itself(void *ctx)
{
    struct moved *m = ctx;

    m->restarts++;
    pause_ms(2);
    timer_start(m->restarting, 0);
}

static void
destroy_itself(void *ctx)
{
    struct moved *m = ctx;

    timer_destroy(m->suicidal);
    m->suicidal = NULL;
    atomic_fetch_add(&m->suicidal_fired, 1);
}

static void
start_moved(void *ctx)
{
    struct moved *m = ctx;

    m->started_ns = env_boot_ns(loop_env(m->loop));
    timer_start(m->moved, 10);
    timer_start(m->stopped, 10);
    timer_start(m->suicidal, 1);
    timer_start(m->moved, 80); /* moves it */
    timer_stop(m->stopped);
    timer_stop(m->stopped); /* twice is harmless */
}

TEST(a_timer_moves_when_restarted_and_stays_silent_when_stopped)
{
    struct moved m = { 0 };
    struct world w;

    world_create(&w, 1);
    m.loop = real_env_loop(w.env, 0);
    EXPECT_OK(timer_create_on(m.loop, moved_fire, &m, &m.moved));
    EXPECT_OK(timer_create_on(m.loop, stopped_fire, &m, &m.stopped));
    EXPECT_OK(timer_create_on(m.loop, destroy_itself, &m, &m.suicidal));
    world_start(&w);
    on_loop(w.env, 0, start_moved, &m);
    WAIT_FOR(atomic_load(&m.moved_fired) > 0);
    pause_ms(20);
    world_stop(&w);
    timer_destroy(m.moved); /* the loops do not run: allowed as well */
    timer_destroy(m.stopped);
    real_env_destroy(w.env);
    EXPECT_U64(m.moved_fired, 1);
    EXPECT_U64(m.stopped_fired, 0);
    EXPECT_U64(m.suicidal_fired, 1);
}

static void
start_restarting(void *ctx)
{
    timer_start(((struct moved *)ctx)->restarting, 0);
}

/* L5: libuv runs all due timers before it polls, so a timer that is always due is a trap. */
TEST(a_timer_that_restarts_itself_leaves_time_for_tasks)
{
    struct moved m = { 0 };
    struct world w;

    world_create(&w, 1);
    m.loop = real_env_loop(w.env, 0);
    EXPECT_OK(timer_create_on(m.loop, restart_itself, &m, &m.restarting));
    world_start(&w);
    on_loop(w.env, 0, start_restarting, &m);
    for (unsigned i = 0; i < 5; i++) {
        pause_ms(5);
        on_loop(w.env, 0, stopped_fire, &m);
    }
    EXPECT_U64(m.stopped_fired, 5);
    world_stop(&w);
    timer_destroy(m.restarting);
    real_env_destroy(w.env);
    EXPECT(m.restarts > 1);
}

/* The loop is kept awake by tasks, so that a timer is looked at again and again before its time. */
struct hasty {
    struct timer *timer;
    struct loop *loop;
    uint64_t started_ns;
    _Atomic uint32_t fired;
};

static void
start_hasty(void *ctx)
{
    struct hasty *h = ctx;

    h->started_ns = env_boot_ns(loop_env(h->loop));
    timer_start(h->timer, 1);
}

static void
hasty_fire(void *ctx)
{
    struct hasty *h = ctx;

    MUST(env_boot_ns(loop_env(h->loop)) - h->started_ns >= 1000000); /* L5 */
    atomic_fetch_add(&h->fired, 1);
    start_hasty(h);
}

TEST(a_timer_of_a_busy_loop_is_not_early_either)
{
    struct hasty h = { 0 };
    struct world w;

    world_create(&w, 1);
    h.loop = real_env_loop(w.env, 0);
    EXPECT_OK(timer_create_on(h.loop, hasty_fire, &h, &h.timer));
    world_start(&w);
    on_loop(w.env, 0, start_hasty, &h);
    while (atomic_load(&h.fired) < 50)
        on_loop(w.env, 0, do_nothing, NULL);
    world_stop(&w);
    timer_destroy(h.timer);
    real_env_destroy(w.env);
}

/* ------------------------------------------------------------------ signals */

struct caught {
    pthread_t loop_thread;
    _Atomic uint32_t count[2];
};

static void
caught_one(void *ctx, int signal)
{
    struct caught *c = ctx;

    MUST(pthread_equal(pthread_self(), c->loop_thread));
    MUST(signal == SIGHUP || signal == SIGTERM);
    atomic_fetch_add(&c->count[signal == SIGTERM], 1);
}

static void
remember_thread(void *ctx)
{
    ((struct caught *)ctx)->loop_thread = pthread_self();
}

TEST(signals_are_reported_on_the_first_loop)
{
    struct caught c = { 0 };
    struct world w;

    world_create(&w, 2);
    EXPECT_OK(real_env_on_signal(w.env, SIGHUP, caught_one, &c, NULL));
    EXPECT_OK(real_env_on_signal(w.env, SIGTERM, caught_one, &c, NULL));
    world_start(&w);
    on_loop(w.env, 0, remember_thread, &c);
    kill(getpid(), SIGHUP);
    WAIT_FOR(atomic_load(&c.count[0]) == 1);
    kill(getpid(), SIGTERM);
    WAIT_FOR(atomic_load(&c.count[1]) == 1);
    kill(getpid(), SIGHUP);
    WAIT_FOR(atomic_load(&c.count[0]) == 2);
    world_end(&w);
}

TEST(a_signal_that_cannot_be_caught_is_refused)
{
    struct env *env = bare_env(1);
    struct err err;

    EXPECT_ST(real_env_on_signal(env, SIGKILL, caught_one, NULL, &err), ST_IO);
    real_env_destroy(env);
}

/* ------------------------------------------------------------------ out of memory */

TEST(timers_and_signals_survive_the_failure_of_every_allocation)
{
    enum status st = ST_NO_MEMORY;

    for (uint64_t n = 1; st != ST_OK; n++) {
        struct env *env = bare_env(1);
        struct mem_heap heap = { .fail_at = n };
        struct timer *t = NULL;

        mem_heap_enter(&heap);
        st = timer_create_on(real_env_loop(env, 0), do_nothing, NULL, &t);
        if (st == ST_OK)
            st = real_env_on_signal(env, SIGHUP, caught_one, NULL, NULL);
        mem_heap_enter(NULL);
        timer_destroy(t);
        real_env_destroy(env);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
        EXPECT(n > 2 || st != ST_OK);
        EXPECT(n < 10);
    }
}

TEST_MAIN(RUN(the_time_of_a_round_is_one_and_that_of_the_next_is_later),
          RUN(timers_fire_once_in_the_order_of_their_times_and_never_early),
          RUN(a_timer_moves_when_restarted_and_stays_silent_when_stopped),
          RUN(a_timer_that_restarts_itself_leaves_time_for_tasks),
          RUN(a_timer_of_a_busy_loop_is_not_early_either),
          RUN(signals_are_reported_on_the_first_loop),
          RUN(a_signal_that_cannot_be_caught_is_refused),
          RUN(timers_and_signals_survive_the_failure_of_every_allocation))
