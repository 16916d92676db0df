/* Tests of loops, their tasks and their hook in the real environment. */
#include "fixture.h"

/* ------------------------------------------------------------------ tasks */

enum { POSTERS = 4, POSTS = 20000 };

struct numbered {
    struct task task;
    struct poster *poster;
    uint32_t number;
};

struct poster {
    struct loop *loop;
    pthread_t thread;
    struct numbered *tasks;
    uint32_t next; /* of the loop's thread */
    uint32_t out_of_order;
};

static _Atomic uint32_t tasks_run;

static void
check_number(struct task *task)
{
    struct numbered *n = container_of(task, struct numbered, task);

    if (n->number != n->poster->next++)
        n->poster->out_of_order++;
    atomic_fetch_add(&tasks_run, 1);
}

/* Pauses now and then, so that the loop falls asleep in between and must be woken. */
static void *
post_many(void *ctx)
{
    struct poster *p = ctx;

    for (uint32_t i = 0; i < POSTS; i++) {
        struct numbered *n = &p->tasks[i];

        *n = (struct numbered){ .task = { .run = check_number }, .poster = p, .number = i };
        loop_post(p->loop, &n->task);
        if (i % 1000 == 0)
            pause_ms(1);
    }
    return NULL;
}

TEST(tasks_of_each_thread_run_once_and_in_the_order_of_posting)
{
    struct poster posters[POSTERS] = { 0 };
    struct world w;

    atomic_store(&tasks_run, 0);
    world_create(&w, 2);
    world_start(&w);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i].loop = real_env_loop(w.env, 1);
        posters[i].tasks = mem_new_array(struct numbered, POSTS);
        EXPECT(posters[i].tasks != NULL);
        EXPECT(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]) == 0);
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    WAIT_FOR(atomic_load(&tasks_run) == POSTERS * POSTS);
    world_end(&w);
    for (unsigned i = 0; i < POSTERS; i++) {
        EXPECT_U64(posters[i].out_of_order, 0);
        EXPECT_U64(posters[i].next, POSTS);
        mem_free(posters[i].tasks);
    }
}

/* One task thrown back and forth between two loops that sleep in between: a lost wake hangs. */
struct ball {
    struct task task;
    struct env *env;
    uint32_t throws;
    _Atomic bool landed;
};

static void
throw_back(struct task *task)
{
    struct ball *b = container_of(task, struct ball, task);

    if (++b->throws == POSTS)
        atomic_store(&b->landed, true);
    else
        loop_post(real_env_loop(b->env, b->throws % 2), &b->task);
}

TEST(a_task_that_is_thrown_between_sleeping_loops_is_never_lost)
{
    struct ball b = { .task = { .run = throw_back } };
    struct world w;

    world_create(&w, 2);
    world_start(&w);
    b.env = w.env;
    loop_post(real_env_loop(w.env, 1), &b.task);
    WAIT_FOR(atomic_load(&b.landed));
    world_end(&w);
    EXPECT_U64(b.throws, POSTS);
}

/* Posted before the loops run, and told to stop before they run: L4 in its purest form. */
TEST(a_loop_that_is_stopped_still_runs_all_its_tasks)
{
    struct ball b = { .task = { .run = throw_back } };
    struct world w;
    struct err err;

    world_create(&w, 2);
    b.env = w.env;
    loop_post(real_env_loop(w.env, 0), &b.task);
    real_env_stop(w.env);
    EXPECT_OK(real_env_run(w.env, &err));
    EXPECT_U64(b.throws, POSTS); /* whichever loop returned first */

    atomic_store(&b.landed, false);
    b.throws = 0;
    real_env_stop(w.env); /* and it may run again */
    loop_post(real_env_loop(w.env, 1), &b.task);
    EXPECT_OK(real_env_run(w.env, &err));
    EXPECT_U64(b.throws, POSTS);
    real_env_destroy(w.env);
}

static void
check_own_loop(void *ctx)
{
    struct loop *loop = ctx;

    MUST(loop_index(loop) == 1);
    MUST(loop_env(loop) != NULL && real_env_loop(loop_env(loop), 1) == loop);
}

TEST(a_loop_knows_its_number_and_its_environment)
{
    struct world w;

    world_create(&w, 2);
    world_start(&w);
    on_loop(w.env, 1, check_own_loop, real_env_loop(w.env, 1));
    world_end(&w);
}

/* ------------------------------------------------------------------ the hook */

struct ledger {
    uint32_t produced; /* of the loop's thread */
    _Atomic uint32_t written;
    struct timer *timer;
    struct loop *loop;
};

static void
write_out(void *ctx)
{
    struct ledger *l = ctx;

    atomic_store(&l->written, l->produced);
}

static void
produce(void *ctx)
{
    struct ledger *l = ctx;

    l->produced++;
}

static void
produce_later(void *ctx)
{
    struct ledger *l = ctx;

    timer_start(l->timer, 5);
}

/* After each of these the loop sleeps: nothing but the round itself can have called the hook. */
TEST(the_hook_runs_after_tasks_and_timers_before_the_loop_sleeps)
{
    struct ledger l = { 0 };
    struct world w;

    world_create(&w, 1);
    l.loop = real_env_loop(w.env, 0);
    loop_set_after(l.loop, write_out, &l);
    EXPECT_OK(timer_create_on(l.loop, produce, &l, &l.timer));
    world_start(&w);
    on_loop(w.env, 0, produce, &l);
    WAIT_FOR(atomic_load(&l.written) == 1);
    on_loop(w.env, 0, produce, &l);
    WAIT_FOR(atomic_load(&l.written) == 2);
    on_loop(w.env, 0, produce_later, &l);
    WAIT_FOR(atomic_load(&l.written) == 3);
    world_stop(&w);
    timer_destroy(l.timer);
    real_env_destroy(w.env);
}

struct late {
    struct task task;
    struct ledger *ledger;
};

static void
produce_late(struct task *task)
{
    container_of(task, struct late, task)->ledger->produced++;
}

TEST(the_hook_runs_after_the_last_task_of_a_loop_that_stops)
{
    for (unsigned i = 0; i < 200; i++) {
        struct ledger l = { 0 };
        struct late late = { .task = { .run = produce_late }, .ledger = &l };
        struct world w;

        world_create(&w, 1);
        loop_set_after(real_env_loop(w.env, 0), write_out, &l);
        world_start(&w);
        if (i % 2 == 0)
            loop_post(real_env_loop(w.env, 0), &late.task);
        real_env_stop(w.env);
        if (i % 2 == 1)
            loop_post(real_env_loop(w.env, 0), &late.task);
        world_end(&w);
        EXPECT_U64(atomic_load(&l.written), l.produced);
    }
}

/* The hook may itself make work; it is done in the next round, not at the next event. */
struct chain {
    struct task task;
    struct loop *loop;
    bool wanted;
    _Atomic uint32_t count;
};

static void
link_run(struct task *task)
{
    struct chain *c = container_of(task, struct chain, task);

    c->wanted = atomic_fetch_add(&c->count, 1) < 99;
}

static void
post_next_link(void *ctx)
{
    struct chain *c = ctx;

    if (!c->wanted)
        return;
    c->wanted = false;
    loop_post(c->loop, &c->task);
}

TEST(what_the_hook_posts_is_run_without_another_event)
{
    struct chain c = { .task = { .run = link_run }, .wanted = true };
    struct world w;

    world_create(&w, 1);
    c.loop = real_env_loop(w.env, 0);
    loop_set_after(c.loop, post_next_link, &c);
    world_start(&w);
    WAIT_FOR(atomic_load(&c.count) == 100);
    world_end(&w);
}

TEST_MAIN(RUN(tasks_of_each_thread_run_once_and_in_the_order_of_posting),
          RUN(a_task_that_is_thrown_between_sleeping_loops_is_never_lost),
          RUN(a_loop_that_is_stopped_still_runs_all_its_tasks),
          RUN(a_loop_knows_its_number_and_its_environment),
          RUN(the_hook_runs_after_tasks_and_timers_before_the_loop_sleeps),
          RUN(the_hook_runs_after_the_last_task_of_a_loop_that_stops),
          RUN(what_the_hook_posts_is_run_without_another_event))
