/*
 * Loops, their tasks and their timers.
 *
 * A ROUND
 *
 *      libuv's turn:    timers -> [before_poll] -> poll, and what it reports -> ...
 *
 *      before_poll:     take the inbox, run its tasks, and those that these posted
 *                       call `after`
 *                       fall asleep: only from here on is a post worth a system call
 *
 * Other threads push onto `inbox`, a stack (Treiber, "Coping with parallelism",
 * 1986); the loop takes it whole and turns it round.  A loop that is busy finds
 * new tasks at its next round by itself; only one that sleeps must be woken.
 *
 * INVARIANTS
 *
 *   L1  Tasks run in the order in which they were pushed, so those of one
 *       thread in the order of its posting; each once.
 *   L2  No task is left lying while the loop sleeps.  Poster: push, then look at
 *       `asleep`.  Loop: set `asleep`, then look at `inbox`.  All four are
 *       sequentially consistent, so at least one of the two sees the other.
 *       Calling the loop awake too late costs a system call, nothing else.
 *   L3  Between whatever a round ran and the wait that follows, `after` is
 *       called: timers come before it in the same turn, and what poll reports
 *       comes before it in the next.
 *   L4  A loop that was told to stop does so when its inbox is empty, not before.
 *   L5  A timer never fires early, and always at a later libuv time than it was
 *       started at, so that timers which restart themselves cannot starve poll.
 *   L6  A loop that had something to do looks a few times more before it sleeps: to wake it costs
 *       whoever has something for it, a client, another loop or the log's thread, several times
 *       what a look costs.  If what it did was for other threads of ours, it lets them run first.
 */
#include <sched.h>

#include "base/assert.h"
#include "base/mem.h"

#include "env/real_internal.h"

enum {
    CLOSE_ROUNDS_MAX = 16,
    TASK_TURNS_MAX = 3,
    LOOKS_BEFORE_SLEEP = 6,
    NS_PER_MS = 1000000,
};

struct real_timer {
    struct timer base;
    struct real_loop *loop;
    uv_timer_t uv;
    void (*fire)(void *ctx);
    void *ctx;
};

static const struct loop_ops loop_ops;
static const struct timer_ops timer_ops;

static struct real_loop *
real(struct loop *loop)
{
    ASSERT(loop->ops == &loop_ops);
    return container_of(loop, struct real_loop, base);
}

/* ------------------------------------------------------------------ tasks */

void
loop__rouse(struct real_loop *loop)
{
    loop->eventful = true;
    if (atomic_load_explicit(&loop->asleep, memory_order_relaxed))
        atomic_store_explicit(&loop->asleep, false, memory_order_relaxed);
}

static void
wake_up(struct real_loop *loop)
{
    int failed = uv_async_send(&loop->wake);

    ASSERT(failed == 0); /* only for a handle of another kind */
}

/* The task may run, and be gone, as soon as it is pushed. */
static void
post(struct loop *base, struct task *task)
{
    struct real_loop *loop = real(base);
    struct task *newest = atomic_load_explicit(&loop->inbox, memory_order_relaxed);

    do
        task->next = newest;
    while (!atomic_compare_exchange_weak(&loop->inbox, &newest, task));
    if (newest == NULL && atomic_load(&loop->asleep)) /* L2 */
        wake_up(loop);
}

/* The inbox, oldest first. */
static struct task *
take_tasks(struct real_loop *loop)
{
    struct task *newest = atomic_exchange(&loop->inbox, NULL);
    struct task *oldest = NULL;

    while (newest != NULL) {
        struct task *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static bool
has_tasks(const struct real_loop *loop)
{
    return atomic_load_explicit(&loop->inbox, memory_order_relaxed) != NULL;
}

static void
run_tasks(struct real_loop *loop)
{
    struct task *task = take_tasks(loop);

    while (task != NULL) {
        struct task *next = task->next; /* the task may be gone, or posted again, after its run */

        task->run(task);
        task = next;
    }
}

static void
run_done_jobs(struct task *task)
{
    struct real_loop *loop = container_of(task, struct real_loop, done_jobs_task);
    struct list jobs, *link;

    list_init(&jobs);
    lock_take(&loop->done_lock);
    list_splice_back(&jobs, &loop->done_jobs);
    lock_drop(&loop->done_lock);
    while ((link = list_pop_front(&jobs)) != NULL) {
        struct job *job = container_of(link, struct job, link);

        job->done(job);
    }
}

/* The list is emptied whole, so the one task is never posted twice at a time. */
void
loop__post_done(struct real_loop *loop, struct job *job)
{
    bool was_empty;

    lock_take(&loop->done_lock);
    was_empty = list_empty(&loop->done_jobs);
    list_push_back(&loop->done_jobs, &job->link);
    lock_drop(&loop->done_lock);
    if (was_empty)
        post(&loop->base, &loop->done_jobs_task);
}

/* ------------------------------------------------------------------ rounds */

static void
do_nothing(uv_idle_t *idle)
{
    (void)idle;
}

/* L6: true while it is too early to sleep. */
static bool
looks_again(struct real_loop *loop)
{
    if (loop->eventful)
        loop->looks_left = LOOKS_BEFORE_SLEEP;
    loop->eventful = false;
    if (loop->looks_left == 0 || atomic_load_explicit(&loop->stopping, memory_order_relaxed))
        return false;
    loop->looks_left--;
    return true;
}

static void
fall_asleep(struct real_loop *loop)
{
    int failed = 0;

    loop->now_known = false;
    if (looks_again(loop)) {
        failed = uv_idle_start(&loop->more_to_do, do_nothing);
        ASSERT(failed == 0);
        if (loop->had_tasks)
            sched_yield();
        loop->had_tasks = false;
        return;
    }
    loop->had_tasks = false;
    atomic_store(&loop->asleep, true);
    if (atomic_load(&loop->inbox) != NULL) { /* L2 */
        loop__rouse(loop);
        failed = uv_idle_start(&loop->more_to_do, do_nothing);
    } else {
        uv_idle_stop(&loop->more_to_do);
        if (atomic_load(&loop->stopping)) /* L4 */
            uv_stop(&loop->uv);
    }
    ASSERT(failed == 0);
}

/* Tasks that were posted while tasks ran are run before `after`, too, within reason; but they may
 * come from others, for whom time has passed. */
static void
run_round(struct real_loop *loop)
{
    for (unsigned i = 0; i < TASK_TURNS_MAX && has_tasks(loop); i++) {
        if (i > 0)
            loop->now_known = false;
        run_tasks(loop);
    }
    if (loop->base.after != NULL)
        loop->base.after(loop->base.after_ctx);
}

static void
before_poll(uv_prepare_t *prepare)
{
    struct real_loop *loop = prepare->data;

    if (has_tasks(loop)) {
        loop__rouse(loop);
        loop->had_tasks = true;
    }
    run_round(loop);
    fall_asleep(loop);
}

/* The poll has returned, which is all that was wanted. */
static void
woken(uv_async_t *wake)
{
    loop__rouse(wake->data);
}

/* libuv polls once more after uv_stop(); what that reported is owed its `after` (L3). */
void
loop__run(struct real_loop *loop)
{
    loop->running = true;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop__rouse(loop);
    do
        run_round(loop);
    while (atomic_load(&loop->inbox) != NULL);
    loop->now_known = false;
    loop->running = false;
}

bool
loop__sweep(struct real_loop *loop)
{
    ASSERT(!loop->running);
    if (atomic_load(&loop->inbox) == NULL)
        return false;
    run_round(loop);
    return true;
}

void
loop__stop(struct real_loop *loop)
{
    atomic_store(&loop->stopping, true);
    wake_up(loop);
}

/* ------------------------------------------------------------------ time */

/* Read at the first question of a round: most rounds ask never, or many times. */
static void
know_the_time(struct real_loop *loop)
{
    if (loop->now_known)
        return;
    loop->now_ns = real__boot_ns(loop->base.env);
    loop->now_wall_ms = real__wall_ms(loop->base.env);
    loop->now_known = loop->running; /* outside of rounds there is no "start of the round" */
}

static uint64_t
now_ns(struct loop *base)
{
    struct real_loop *loop = real(base);

    know_the_time(loop);
    return loop->now_ns;
}

static uint64_t
wall_ms(struct loop *base)
{
    struct real_loop *loop = real(base);

    know_the_time(loop);
    return loop->now_wall_ms;
}

static struct real_timer *
real_timer(struct timer *t)
{
    ASSERT(t->ops == &timer_ops);
    return container_of(t, struct real_timer, base);
}

static void
timer_due(uv_timer_t *uv)
{
    struct real_timer *t = uv->data;

    loop__rouse(t->loop);
    t->fire(t->ctx);
}

/* libuv counts from the start of its turn, in whole milliseconds.  What has passed since is added,
 * and one for what was rounded away (L5). */
uint64_t
loop__delay_ms(const struct real_loop *loop, uint32_t delay_ms)
{
    uint64_t turn_ms = uv_now(&loop->uv);
    uint64_t now_ms = uv_hrtime() / NS_PER_MS;
    uint64_t late_ms = now_ms > turn_ms ? now_ms - turn_ms : 0;

    return late_ms + delay_ms + 1;
}

static void
start_timer(struct timer *base, uint32_t delay_ms)
{
    struct real_timer *t = real_timer(base);
    int failed = uv_timer_start(&t->uv, timer_due, loop__delay_ms(t->loop, delay_ms), 0);

    ASSERT(failed == 0); /* only for a timer that was destroyed */
}

static void
stop_timer(struct timer *base)
{
    uv_timer_stop(&real_timer(base)->uv);
}

static void
timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void
destroy_timer(struct timer *base)
{
    uv_close((uv_handle_t *)&real_timer(base)->uv, timer_closed);
}

static const struct timer_ops timer_ops = {
    .start = start_timer,
    .stop = stop_timer,
    .destroy = destroy_timer,
};

static enum status
create_timer(struct loop *base, void (*fire)(void *ctx), void *ctx, struct timer **out)
{
    struct real_loop *loop = real(base);
    struct real_timer *t = mem_new(struct real_timer);

    if (t == NULL)
        return ST_NO_MEMORY;
    t->base.ops = &timer_ops;
    t->loop = loop;
    t->fire = fire;
    t->ctx = ctx;
    t->uv.data = t;
    uv_timer_init(&loop->uv, &t->uv); /* cannot fail */
    *out = &t->base;
    return ST_OK;
}

/* ------------------------------------------------------------------ life */

static const struct loop_ops loop_ops = {
    .post = post,
    .now_ns = now_ns,
    .wall_ms = wall_ms,
    .timer_create_on = create_timer,
    .connect = real__connect,
};

/* These calls only link the handles to the loop. */
static void
init_handles(struct real_loop *loop)
{
    uv_prepare_init(&loop->uv, &loop->before_poll);
    loop->before_poll.data = loop;
    uv_prepare_start(&loop->before_poll, before_poll);
    uv_idle_init(&loop->uv, &loop->more_to_do);
    uv_timer_init(&loop->uv, &loop->linger_timer);
    loop->linger_timer.data = loop;
}

enum status
loop__init(struct real_loop *loop, struct real_env *env, uint32_t index, struct err *err)
{
    int failed = uv_loop_init(&loop->uv);

    if (failed != 0)
        return err_raise_sys(err, ST_IO, -failed, "event loop %u", index);
    failed = uv_async_init(&loop->uv, &loop->wake, woken);
    if (failed != 0) {
        uv_loop_close(&loop->uv);
        return err_raise_sys(err, ST_IO, -failed, "event loop %u", index);
    }
    init_handles(loop);
    loop->base.ops = &loop_ops;
    loop->base.env = &env->base;
    loop->base.index = index;
    loop->wake.data = loop;
    stream__begin_lingering(loop);
    list_init(&loop->done_jobs);
    lock_init(&loop->done_lock);
    loop->done_jobs_task.run = run_done_jobs;
    return ST_OK;
}

/* Connections that nobody took are ours to close; all other tasks belong to others. */
static void
drop_tasks(struct real_loop *loop)
{
    struct task *task = take_tasks(loop);

    while (task != NULL) {
        struct task *next = task->next;

        if (task->run == listener__hand_over)
            task->run(task);
        task = next;
    }
}

void
loop__release(struct real_loop *loop)
{
    int busy = -1;

    ASSERT(!loop->running);
    drop_tasks(loop);
    stream__end_lingering(loop);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->more_to_do, NULL);
    uv_close((uv_handle_t *)&loop->linger_timer, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);

    /* One round runs the close callbacks; a signal handle may need another. */
    for (unsigned i = 0; i < CLOSE_ROUNDS_MAX && busy != 0; i++) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        busy = uv_loop_close(&loop->uv);
    }
    ASSERT(busy == 0); /* else a timer, stream or listener was left open */
    lock_release(&loop->done_lock);
}
