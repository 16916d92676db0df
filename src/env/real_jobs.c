/*
 * Lanes, where jobs run, and gates, where they wait for one another.
 *
 * INVARIANTS
 *
 *   J1  A lane's jobs are taken in the order of their submission; with one
 *       thread they also end in it, and so do their `done` calls arrive.
 *   J2  A job is not touched after its `run` when it has no `done`, and not
 *       after it was handed to its loop when it has one: it may be gone.
 *   J3  `unfinished` counts a job from its submission until after its `run`.  A
 *       job that submits another is itself still counted, so that 0 means that
 *       nothing runs and nothing can come.
 *
 *   G1  At most one thread is inside a gate.
 *   G2  No wake is lost: a gate_wake() that comes after the waiter has entered
 *       (or last returned from gate_wait) makes its next gate_wait() return.
 *       So whoever wakes need not be inside: it changes an atomic, then wakes.
 *
 * One mutex serves all lanes: it is held for list operations only, and jobs are
 * as rare as disk operations.
 */
#include <time.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "env/real_internal.h"

enum { THREAD_RETRY_MS = 20 };

static const char *const lane_names[ENV_LANE_COUNT] = {
    [ENV_LANE_LOG] = "distkv-log",
    [ENV_LANE_FLUSH] = "distkv-flush",
    [ENV_LANE_COMPACT] = "distkv-compact",
    [ENV_LANE_READ] = "distkv-read",
};

/* ------------------------------------------------------------------ on the lane's threads */

/* Wait for a job and take it; NULL when the lanes are ending.  The mutex is held. */
static struct job *
take_job(struct lane *lane)
{
    struct job *job;

    while (list_empty(&lane->queue)) {
        if (lane->all->ending)
            return NULL;
        lane->idle++;
        pthread_cond_wait(&lane->work, &lane->all->mutex);
        lane->idle--;
    }
    job = container_of(list_pop_front(&lane->queue), struct job, link);
    lane->queued--;
    return job;
}

static void
run_job(struct job *job)
{
    bool hand_over = job->done != NULL; /* asked before `run`, after which it may be gone (J2) */
    struct real_loop *loop = NULL;

    if (hand_over)
        loop = container_of(job->loop, struct real_loop, base);
    job->run(job);
    if (hand_over)
        loop__post_done(loop, job);
}

static void *
lane_main(void *ctx)
{
    struct lane *lane = ctx;
    struct lanes *all = lane->all;
    struct job *job;

    pthread_mutex_lock(&all->mutex);
    while ((job = take_job(lane)) != NULL) {
        pthread_mutex_unlock(&all->mutex);
        run_job(job);
        pthread_mutex_lock(&all->mutex);
        ASSERT(all->unfinished > 0);
        if (--all->unfinished == 0)
            pthread_cond_broadcast(&all->quiet);
    }
    pthread_mutex_unlock(&all->mutex);
    return NULL;
}

/* ------------------------------------------------------------------ submitting */

/* The mutex is held. */
static bool
start_thread(struct lane *lane)
{
    ASSERT(lane->thread_count < lane->thread_max);
    if (real__start_thread(&lane->threads[lane->thread_count], lane->name, lane_main, lane) != 0)
        return false;
    lane->thread_count++;
    return true;
}

/* The system has no thread for us.  Without a first one the lane would stand still, and its jobs
 * cannot be refused any more; so whoever submits waits until there is one.  The mutex is held. */
static void
insist_on_a_thread(struct lane *lane)
{
    struct timespec pause = { 0, THREAD_RETRY_MS * 1000000L };

    pthread_mutex_unlock(&lane->all->mutex);
    log_event(LOG_ERROR, "env.no_thread", log_str("thread", lane->name));
    pthread_mutex_lock(&lane->all->mutex);
    while (lane->thread_count == 0 && !start_thread(lane)) {
        pthread_mutex_unlock(&lane->all->mutex);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lane->all->mutex);
    }
}

void
lanes__submit(struct lanes *lanes, enum env_lane which, struct job *job)
{
    struct lane *lane = &lanes->lane[which];

    pthread_mutex_lock(&lanes->mutex);
    ASSERT(!lanes->ending);
    list_push_back(&lane->queue, &job->link);
    lane->queued++;
    lanes->unfinished++;
    if (lane->queued > lane->idle && lane->thread_count < lane->thread_max && !start_thread(lane) &&
        lane->thread_count == 0)
        insist_on_a_thread(lane);
    pthread_cond_signal(&lane->work);
    pthread_mutex_unlock(&lanes->mutex);
}

/* ------------------------------------------------------------------ life */

void
lanes__init(struct lanes *lanes, const uint32_t thread_max[ENV_LANE_COUNT])
{
    int failed = pthread_mutex_init(&lanes->mutex, NULL);

    failed |= pthread_cond_init(&lanes->quiet, NULL);
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++) {
        struct lane *lane = &lanes->lane[i];

        ASSERT(thread_max[i] > 0 && thread_max[i] <= REAL_LANE_THREADS_MAX);
        lane->all = lanes;
        lane->name = lane_names[i];
        lane->thread_max = thread_max[i];
        list_init(&lane->queue);
        failed |= pthread_cond_init(&lane->work, NULL);
    }
    ASSERT(failed == 0); /* plain ones need no resource on Linux */
}

static void
wait_until_quiet(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->mutex);
    while (lanes->unfinished > 0)
        pthread_cond_wait(&lanes->quiet, &lanes->mutex);
    lanes->ending = true; /* J3: nothing can come */
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++)
        pthread_cond_broadcast(&lanes->lane[i].work);
    pthread_mutex_unlock(&lanes->mutex);
}

void
lanes__release(struct lanes *lanes)
{
    wait_until_quiet(lanes);
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++) {
        struct lane *lane = &lanes->lane[i];

        for (uint32_t t = 0; t < lane->thread_count; t++)
            pthread_join(lane->threads[t], NULL);
        ASSERT(list_empty(&lane->queue) && lane->queued == 0);
        pthread_cond_destroy(&lane->work);
    }
    pthread_cond_destroy(&lanes->quiet);
    pthread_mutex_destroy(&lanes->mutex);
}

/* ------------------------------------------------------------------ gates */

/* The gate is not the mutex itself: a gate may be held across a long operation, and a wake, which
 * reactors may send, must not wait for that. */
struct real_gate {
    struct gate base;
    pthread_mutex_t mutex; /* guards all below; held for moments */
    pthread_cond_t left;   /* `inside` became false */
    pthread_cond_t woken;  /* `wakes` grew */
    bool inside;           /* somebody is (G1) */
    uint64_t wakes;        /* how many there were */
    uint64_t wakes_seen;   /* of these, how many whoever is inside knows of (G2) */
};

static const struct gate_ops gate_ops;

static struct real_gate *
real(struct gate *g)
{
    ASSERT(g->ops == &gate_ops);
    return container_of(g, struct real_gate, base);
}

/* The mutex is held. */
static void
go_inside(struct real_gate *g)
{
    while (g->inside)
        pthread_cond_wait(&g->left, &g->mutex);
    g->inside = true;
    g->wakes_seen = g->wakes;
}

/* The mutex is held. */
static void
go_outside(struct real_gate *g)
{
    ASSERT(g->inside);
    g->inside = false;
    pthread_cond_signal(&g->left);
}

static void
enter_gate(struct gate *base)
{
    struct real_gate *g = real(base);

    pthread_mutex_lock(&g->mutex);
    go_inside(g);
    pthread_mutex_unlock(&g->mutex);
}

static void
leave_gate(struct gate *base)
{
    struct real_gate *g = real(base);

    pthread_mutex_lock(&g->mutex);
    go_outside(g);
    pthread_mutex_unlock(&g->mutex);
}

static void
wait_in_gate(struct gate *base)
{
    struct real_gate *g = real(base);
    uint64_t known;

    pthread_mutex_lock(&g->mutex);
    known = g->wakes_seen;
    go_outside(g);
    while (g->wakes == known)
        pthread_cond_wait(&g->woken, &g->mutex);
    go_inside(g);
    pthread_mutex_unlock(&g->mutex);
}

static void
wake_gate(struct gate *base)
{
    struct real_gate *g = real(base);

    pthread_mutex_lock(&g->mutex);
    g->wakes++;
    pthread_cond_broadcast(&g->woken);
    pthread_mutex_unlock(&g->mutex);
}

static void
destroy_gate(struct gate *base)
{
    struct real_gate *g = real(base);

    ASSERT(!g->inside);
    pthread_cond_destroy(&g->woken);
    pthread_cond_destroy(&g->left);
    pthread_mutex_destroy(&g->mutex);
    mem_free(g);
}

static const struct gate_ops gate_ops = {
    .enter = enter_gate,
    .leave = leave_gate,
    .wait = wait_in_gate,
    .wake = wake_gate,
    .destroy = destroy_gate,
};

enum status
real__gate_create(struct env *env, struct gate **out)
{
    struct real_gate *g = mem_new(struct real_gate);
    int failed;

    (void)env;
    if (g == NULL)
        return ST_NO_MEMORY;
    g->base.ops = &gate_ops;
    failed = pthread_mutex_init(&g->mutex, NULL);
    failed |= pthread_cond_init(&g->left, NULL);
    failed |= pthread_cond_init(&g->woken, NULL);
    ASSERT(failed == 0); /* plain ones need no resource on Linux */
    *out = &g->base;
    return ST_OK;
}
