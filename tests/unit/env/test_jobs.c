/* Tests of lanes and gates of the real environment. */
#include "fixture.h"

/* ------------------------------------------------------------------ jobs */

enum { JOBS = 2000 };

struct counted {
    struct job job;
    struct record *record;
    uint32_t number;
};

/* What happened, in the order in which it did. */
struct record {
    _Atomic uint32_t run_count;
    _Atomic uint32_t done_count;
    uint32_t out_of_order; /* written by one thread, read after it was joined */
    uint32_t wrong_thread;
    uint32_t next_run;
    uint32_t next_done;
    pthread_t loop_thread;
};

static void
counted_run(struct job *job)
{
    struct counted *c = container_of(job, struct counted, job);

    if (c->number != c->record->next_run++)
        c->record->out_of_order++;
    atomic_fetch_add(&c->record->run_count, 1);
}

static void
counted_done(struct job *job)
{
    struct counted *c = container_of(job, struct counted, job);

    if (c->number != c->record->next_done++)
        c->record->out_of_order++;
    if (!pthread_equal(pthread_self(), c->record->loop_thread))
        c->record->wrong_thread++;
    atomic_fetch_add(&c->record->done_count, 1);
}

static void
remember_thread(void *ctx)
{
    struct record *r = ctx;

    r->loop_thread = pthread_self();
}

TEST(jobs_of_a_lane_run_and_end_in_order_and_report_to_their_loop)
{
    static struct counted jobs[JOBS];
    struct record r = { 0 };
    struct world w;

    world_create(&w, 3);
    world_start(&w);
    on_loop(w.env, 2, remember_thread, &r);
    for (uint32_t i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted){
            .job = { .run = counted_run, .done = counted_done, .loop = real_env_loop(w.env, 2) },
            .record = &r,
            .number = i
        };
        env_submit(w.env, ENV_LANE_LOG, &jobs[i].job);
    }
    WAIT_FOR(atomic_load(&r.done_count) == JOBS);
    world_end(&w);
    EXPECT_U64(r.run_count, JOBS);
    EXPECT_U64(r.out_of_order, 0);
    EXPECT_U64(r.wrong_thread, 0);
}

/* An embedded store: no loop, nobody to report to.  The job frees itself. */
static _Atomic uint32_t freed;

static void
free_itself(struct job *job)
{
    mem_free(job);
    atomic_fetch_add(&freed, 1);
}

static void *
submit_many(void *ctx)
{
    for (uint32_t i = 0; i < JOBS; i++) {
        struct job *job = mem_new(struct job);

        MUST(job != NULL);
        job->run = free_itself;
        env_submit(ctx, (enum env_lane)(i % ENV_LANE_COUNT), job);
    }
    return NULL;
}

TEST(many_threads_submit_to_all_lanes_and_destroy_waits_for_every_job)
{
    enum { SUBMITTERS = 6 };
    struct env *env = bare_env(0);
    pthread_t threads[SUBMITTERS];

    atomic_store(&freed, 0);
    for (unsigned i = 0; i < SUBMITTERS; i++)
        EXPECT(pthread_create(&threads[i], NULL, submit_many, env) == 0);
    for (unsigned i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    real_env_destroy(env);
    EXPECT_U64(freed, SUBMITTERS * JOBS);
}

/* The lane's threads work beside each other: each job waits until all of them are there. */
struct meeting {
    struct job job;
    pthread_barrier_t *barrier;
};

static void
meet(struct job *job)
{
    pthread_barrier_wait(container_of(job, struct meeting, job)->barrier);
}

TEST(a_lane_has_as_many_threads_as_it_was_given)
{
    enum { WIDTH = 5 };
    struct real_env_options options = { .lane_threads[ENV_LANE_COMPACT] = WIDTH };
    struct meeting jobs[WIDTH];
    pthread_barrier_t barrier;
    struct env *env = NULL;

    EXPECT_OK(real_env_create(&options, &env, NULL));
    pthread_barrier_init(&barrier, NULL, WIDTH);
    for (unsigned i = 0; i < WIDTH; i++) {
        jobs[i] = (struct meeting){ .job = { .run = meet }, .barrier = &barrier };
        env_submit(env, ENV_LANE_COMPACT, &jobs[i].job);
    }
    real_env_destroy(env); /* hangs when they do not meet */
    pthread_barrier_destroy(&barrier);
}

/* A job that submits the next one, to another lane; destroy is called at once. */
struct relay {
    struct job job;
    struct env *env;
    uint32_t left;
};

static void
pass_on(struct job *job)
{
    struct relay *r = container_of(job, struct relay, job);

    pause_ms(1);
    if (--r->left > 0)
        env_submit(r->env, (enum env_lane)(r->left % ENV_LANE_COUNT), &r->job);
}

TEST(destroy_waits_for_jobs_that_jobs_submit)
{
    struct relay r = { .job = { .run = pass_on }, .env = bare_env(0), .left = 40 };

    env_submit(r.env, ENV_LANE_FLUSH, &r.job);
    real_env_destroy(r.env);
    EXPECT_U64(r.left, 0);
}

TEST(options_beyond_the_limits_are_refused)
{
    struct real_env_options loops = { .loop_count = 10000 };
    struct real_env_options threads = { .lane_threads = { 0, 10000 } };
    struct env *env = NULL;
    struct err err;

    EXPECT_ST(real_env_create(&loops, &env, &err), ST_INVALID);
    EXPECT_ST(real_env_create(&threads, &env, &err), ST_INVALID);
    EXPECT(env == NULL);
}

/* ------------------------------------------------------------------ gates */

enum { VISITORS = 4, VISITS = 5000 };

struct visited {
    struct gate *gate;
    uint64_t count; /* not atomic: the gate guards it */
    bool inside;
};

static void *
visit_often(void *ctx)
{
    struct visited *v = ctx;

    for (unsigned i = 0; i < VISITS; i++) {
        gate_enter(v->gate);
        MUST(!v->inside);
        v->inside = true;
        v->count++;
        v->inside = false;
        gate_leave(v->gate);
    }
    return NULL;
}

TEST(one_at_a_time_is_inside_a_gate)
{
    struct env *env = bare_env(0);
    struct visited v = { 0 };
    pthread_t threads[VISITORS];

    EXPECT_OK(gate_create(env, &v.gate));
    for (unsigned i = 0; i < VISITORS; i++)
        EXPECT(pthread_create(&threads[i], NULL, visit_often, &v) == 0);
    for (unsigned i = 0; i < VISITORS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_U64(v.count, VISITORS * VISITS);
    gate_destroy(v.gate);
    gate_destroy(NULL);
    real_env_destroy(env);
}

/* A queue of one place between two threads, both inside when they change it. */
struct exchange {
    struct gate *gate;
    uint32_t item; /* 0 = empty */
    uint64_t sum;
};

enum { ITEMS = 5000 };

static void *
consume(void *ctx)
{
    struct exchange *x = ctx;

    for (uint32_t i = 1; i <= ITEMS; i++) {
        gate_enter(x->gate);
        while (x->item == 0)
            gate_wait(x->gate);
        x->sum += x->item;
        x->item = 0;
        gate_wake(x->gate);
        gate_leave(x->gate);
    }
    return NULL;
}

TEST(waiting_in_a_gate_lets_others_in_and_a_wake_ends_it)
{
    struct env *env = bare_env(0);
    struct exchange x = { 0 };
    pthread_t consumer;

    EXPECT_OK(gate_create(env, &x.gate));
    EXPECT(pthread_create(&consumer, NULL, consume, &x) == 0);
    for (uint32_t i = 1; i <= ITEMS; i++) {
        gate_enter(x.gate);
        while (x.item != 0)
            gate_wait(x.gate);
        x.item = i;
        gate_leave(x.gate);
        gate_wake(x.gate); /* from outside is as good */
    }
    pthread_join(consumer, NULL);
    EXPECT_U64(x.sum, (uint64_t)ITEMS * (ITEMS + 1) / 2);
    gate_destroy(x.gate);
    real_env_destroy(env);
}

/* As a reactor does: change an atomic, wake, never enter.  The waiter looks before it waits, so the
 * wake often comes between the two; a lost one would hang this test. */
struct signalled {
    struct gate *gate;
    _Atomic uint32_t given;
    _Atomic uint32_t taken;
};

static void *
give_without_entering(void *ctx)
{
    struct signalled *s = ctx;

    for (uint32_t i = 1; i <= ITEMS; i++) {
        atomic_store(&s->given, i);
        gate_wake(s->gate);
        while (atomic_load(&s->taken) < i) {
        }
    }
    return NULL;
}

TEST(a_wake_from_someone_who_never_enters_is_not_lost)
{
    struct env *env = bare_env(0);
    struct signalled s = { 0 };
    pthread_t giver;

    EXPECT_OK(gate_create(env, &s.gate));
    EXPECT(pthread_create(&giver, NULL, give_without_entering, &s) == 0);
    gate_enter(s.gate);
    for (uint32_t i = 1; i <= ITEMS; i++) {
        while (atomic_load(&s.given) < i)
            gate_wait(s.gate);
        atomic_store(&s.taken, i);
    }
    gate_leave(s.gate);
    pthread_join(giver, NULL);
    gate_destroy(s.gate);
    real_env_destroy(env);
}

/* Whoever is inside may stay long; a reactor that wakes must not wait for it. */
TEST(waking_does_not_wait_for_whoever_is_inside)
{
    struct env *env = bare_env(0);
    struct gate *g = NULL;

    EXPECT_OK(gate_create(env, &g));
    gate_enter(g);
    gate_wake(g); /* on this very thread: a wake that entered would hang */
    gate_wait(g); /* and a wake since the entry ends the wait */
    gate_leave(g);
    gate_destroy(g);
    real_env_destroy(env);
}

struct crowd {
    struct gate *gate;
    bool open;
    _Atomic uint32_t waiting;
};

static void *
wait_for_opening(void *ctx)
{
    struct crowd *c = ctx;

    gate_enter(c->gate);
    atomic_fetch_add(&c->waiting, 1);
    while (!c->open)
        gate_wait(c->gate);
    gate_leave(c->gate);
    return NULL;
}

TEST(a_wake_reaches_all_who_wait)
{
    struct env *env = bare_env(0);
    struct crowd c = { 0 };
    pthread_t threads[VISITORS];

    EXPECT_OK(gate_create(env, &c.gate));
    for (unsigned i = 0; i < VISITORS; i++)
        EXPECT(pthread_create(&threads[i], NULL, wait_for_opening, &c) == 0);
    WAIT_FOR(atomic_load(&c.waiting) == VISITORS);
    gate_enter(c.gate);
    c.open = true;
    gate_wake(c.gate);
    gate_leave(c.gate);
    for (unsigned i = 0; i < VISITORS; i++)
        pthread_join(threads[i], NULL);
    gate_destroy(c.gate);
    real_env_destroy(env);
}

/* ------------------------------------------------------------------ out of memory */

TEST(environments_and_gates_survive_the_failure_of_every_allocation)
{
    struct real_env_options options = { .loop_count = 2 };
    enum status st = ST_NO_MEMORY;

    for (uint64_t n = 1; st != ST_OK; n++) {
        struct mem_heap heap = { .fail_at = n };
        struct env *env = NULL;
        struct gate *g = NULL;

        mem_heap_enter(&heap);
        st = real_env_create(&options, &env, NULL);
        if (st == ST_OK) {
            st = gate_create(env, &g);
            gate_destroy(g);
            real_env_destroy(env);
        }
        mem_heap_enter(NULL);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
        EXPECT(n > 3 || st != ST_OK); /* the environment, its loops, the gate */
        EXPECT(n < 20);
    }
}

TEST_MAIN(RUN(jobs_of_a_lane_run_and_end_in_order_and_report_to_their_loop),
          RUN(many_threads_submit_to_all_lanes_and_destroy_waits_for_every_job),
          RUN(a_lane_has_as_many_threads_as_it_was_given),
          RUN(destroy_waits_for_jobs_that_jobs_submit), RUN(options_beyond_the_limits_are_refused),
          RUN(one_at_a_time_is_inside_a_gate),
          RUN(waiting_in_a_gate_lets_others_in_and_a_wake_ends_it),
          RUN(a_wake_from_someone_who_never_enters_is_not_lost),
          RUN(waking_does_not_wait_for_whoever_is_inside), RUN(a_wake_reaches_all_who_wait),
          RUN(environments_and_gates_survive_the_failure_of_every_allocation))
