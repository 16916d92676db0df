/*
 * Loops: one fiber per round, and what a round works through.
 *
 *      round    timers that are due, tasks, finished jobs, new streams, answers to
 *               attempts to connect, streams that are ready, then `after`
 *
 * What callbacks post is for the next round.  A round begins a moment after the first thing came in,
 * so things gather.  Between two rounds of one loop time passes, always, so
 * that a loop that is never done (a stream that stays writable) cannot stop
 * the clock.
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

enum {
    ROUND_NS_MIN = SIM_NS_PER_US,
    ROUND_SPREAD_NS = 10 * SIM_NS_PER_US,
    TIMER_LATE_NS = 200 * SIM_NS_PER_US,
};

struct sim_timer {
    struct timer base;
    struct list link; /* in node->timers */
    struct list due;  /* in loop->due */
    struct sim_loop *loop;
    struct sim_event event;
    void (*fire)(void *ctx);
    void *ctx;
};

static struct sim_loop *
loop_of(struct loop *loop)
{
    return (struct sim_loop *)loop;
}

void
sim__assert_on_loop(const struct sim_loop *loop)
{
    const struct sim_fiber *f = loop->node->world->current;

    ASSERT(f == NULL || f->kind == SIM_FIBER_CALL || f->loop == loop);
}

/* ------------------------------------------------------------------ rounds */

void
sim__loop_stir(struct sim_loop *loop)
{
    struct sim *w = loop->node->world;

    if (loop->ended)
        return;
    loop->stirred = true;
    if (!loop->busy && !loop->node->loops_held && loop->round.slot == 0)
        sim__schedule(w, &loop->round, ROUND_NS_MIN + sim__soon(w, ROUND_SPREAD_NS));
}

static void
look_at_clocks(struct sim_loop *loop)
{
    loop->now_ns = sim__boot_ns(loop->node);
    loop->wall_ms = sim__wall_ms(loop->node);
}

static void
run_timers(struct sim_loop *loop)
{
    struct list *link;

    while ((link = list_pop_front(&loop->due)) != NULL) {
        struct sim_timer *t = container_of(link, struct sim_timer, due);

        t->fire(t->ctx);
    }
}

static void
run_tasks(struct sim_loop *loop)
{
    struct task *task = loop->tasks;

    loop->tasks = NULL;
    loop->tasks_end = &loop->tasks;
    while (task != NULL) {
        struct task *next = task->next;

        task->run(task); /* may post itself again, or free itself */
        task = next;
    }
}

static void
run_dones(struct sim_loop *loop)
{
    struct list dones;
    struct list *link;

    list_init(&dones);
    list_splice_back(&dones, &loop->dones);
    while ((link = list_pop_front(&dones)) != NULL) {
        struct job *job = container_of(link, struct job, link);

        job->done(job);
    }
}

static void
run_arrivals(struct sim_loop *loop)
{
    struct list *link;

    while ((link = list_pop_front(&loop->arrivals)) != NULL) {
        struct sim_stream *s = container_of(link, struct sim_stream, loop_link);

        list_push_back(&loop->streams, link);
        sim__stream_accept(s);
    }
}

static void
run_answered(struct sim_loop *loop)
{
    while (!list_empty(&loop->answered))
        sim__connector_tell(loop->answered.next);
}

/* In no particular order, as the kernel reports them. */
static void
gather_ready(struct sim_loop *loop)
{
    struct prng *prng = &loop->node->world->prng;

    for (struct list *at = loop->streams.next, *next; at != &loop->streams; at = next) {
        next = at->next;
        if (sim__stream_ready(container_of(at, struct sim_stream, loop_link)) == 0)
            continue;
        list_remove(at);
        if (prng_chance(prng, 1, 2))
            list_push_front(&loop->ready, at);
        else
            list_push_back(&loop->ready, at);
    }
}

static void
run_streams(struct sim_loop *loop)
{
    struct list *link;

    gather_ready(loop);
    while ((link = list_pop_front(&loop->ready)) != NULL) {
        struct sim_stream *s = container_of(link, struct sim_stream, loop_link);
        unsigned events = sim__stream_ready(s);

        list_push_back(&loop->streams, link);
        if (events != 0)
            s->fn(s->ctx, events); /* may close it */
    }
}

static bool
any_stream_ready(const struct sim_loop *loop)
{
    list_each (link, &loop->streams) {
        if (sim__stream_ready(container_of(link, struct sim_stream, loop_link)) != 0)
            return true;
    }
    return false;
}

static void
round_main(struct sim_fiber *self)
{
    struct sim_loop *loop = self->loop;

    look_at_clocks(loop);
    if (self->call != NULL) {
        self->call(self->ctx);
    } else {
        loop->stirred = false;
        run_timers(loop);
        run_tasks(loop);
        run_dones(loop);
        run_arrivals(loop);
        run_answered(loop);
        run_streams(loop);
    }
    if (loop->base.after != NULL)
        loop->base.after(loop->base.after_ctx);
    loop->busy = false;
    if (loop->stirred || any_stream_ready(loop))
        sim__loop_stir(loop);
}

static void
begin_round(struct sim_loop *loop, void (*call)(void *ctx), void *ctx)
{
    struct sim_fiber *f = sim__fiber_create(loop->node, SIM_FIBER_REACTOR, round_main);

    ASSERT(!loop->busy); /* S5 */
    loop->busy = true;
    f->loop = loop;
    f->call = call;
    f->ctx = ctx;
    sim__fiber_resume(f); /* last: the node may not survive it */
}

static void
round_is_due(struct sim_event *e)
{
    struct sim_loop *loop = container_of(e, struct sim_loop, round);

    if (!sim__postpone(loop->node, e))
        begin_round(loop, NULL, NULL);
}

void
sim__loop_visit(struct sim_loop *loop, void (*fn)(void *ctx), void *ctx)
{
    begin_round(loop, fn, ctx);
}

/* ------------------------------------------------------------------ tasks and jobs */

static void
post(struct loop *base, struct task *task)
{
    struct sim_loop *loop = loop_of(base);

    if (!loop->ended) { /* else nobody looks at it, and its owner may free it */
        task->next = NULL;
        *loop->tasks_end = task;
        loop->tasks_end = &task->next;
    }
    sim__loop_stir(loop);
    sim__fiber_give_way(loop->node->world);
}

void
sim__loop_job_done(struct sim_loop *loop, struct job *job)
{
    list_push_back(&loop->dones, &job->link);
    sim__loop_stir(loop);
}

/* ------------------------------------------------------------------ clocks */

static uint64_t
now_ns(struct loop *base)
{
    struct sim_loop *loop = loop_of(base);

    if (!loop->busy)
        look_at_clocks(loop);
    return loop->now_ns;
}

static uint64_t
wall_ms(struct loop *base)
{
    struct sim_loop *loop = loop_of(base);

    if (!loop->busy)
        look_at_clocks(loop);
    return loop->wall_ms;
}

/* ------------------------------------------------------------------ timers */

static void
timer_is_due(struct sim_event *e)
{
    struct sim_timer *t = container_of(e, struct sim_timer, event);

    list_push_back(&t->loop->due, &t->due);
    sim__loop_stir(t->loop);
}

static void
stop_timer(struct timer *base)
{
    struct sim_timer *t = (struct sim_timer *)base;

    sim__assert_on_loop(t->loop);
    sim__cancel(t->loop->node->world, &t->event);
    list_remove(&t->due);
}

/* Never early, and a little late as on any machine. */
static void
start_timer(struct timer *base, uint32_t delay_ms)
{
    struct sim_timer *t = (struct sim_timer *)base;
    struct sim *w = t->loop->node->world;
    uint64_t delay_ns = sim__world_ns(t->loop->node, (uint64_t)delay_ms * SIM_NS_PER_MS);

    stop_timer(base);
    sim__schedule(w, &t->event, delay_ns + sim__soon(w, TIMER_LATE_NS));
}

static void
drop_timer(struct sim_timer *t)
{
    sim__cancel(t->loop->node->world, &t->event);
    list_remove(&t->due);
    list_remove(&t->link);
    mem_free(t);
}

static void
destroy_timer(struct timer *base)
{
    struct sim_timer *t = (struct sim_timer *)base;

    sim__assert_on_loop(t->loop);
    drop_timer(t);
}

void
sim__timers_drop(struct sim_node *node)
{
    while (!list_empty(&node->timers))
        drop_timer(container_of(node->timers.next, struct sim_timer, link));
}

static const struct timer_ops timer_ops = {
    .start = start_timer,
    .stop = stop_timer,
    .destroy = destroy_timer,
};

static enum status
create_timer(struct loop *base, void (*fire)(void *ctx), void *ctx, struct timer **out)
{
    struct sim_loop *loop = loop_of(base);
    struct sim_timer *t;

    sim__assert_on_loop(loop);
    if (sim__memory_refused())
        return ST_NO_MEMORY;
    t = sim__alloc(sizeof(*t));
    t->base.ops = &timer_ops;
    t->loop = loop;
    t->fire = fire;
    t->ctx = ctx;
    list_init(&t->due);
    sim__event_init(&t->event, SIM_EVENT_TIMER, timer_is_due);
    list_push_back(&loop->node->timers, &t->link);
    *out = &t->base;
    return ST_OK;
}

/* ------------------------------------------------------------------ life */

static const struct loop_ops loop_ops = {
    .post = post,
    .now_ns = now_ns,
    .wall_ms = wall_ms,
    .timer_create_on = create_timer,
    .connect = sim__connect,
};

void
sim__loop_init(struct sim_loop *loop, struct sim_node *node, uint32_t index)
{
    loop->base.ops = &loop_ops;
    loop->base.env = &node->env;
    loop->base.index = index;
    loop->node = node;
    loop->tasks_end = &loop->tasks;
    list_init(&loop->dones);
    list_init(&loop->due);
    list_init(&loop->arrivals);
    list_init(&loop->answered);
    list_init(&loop->streams);
    list_init(&loop->ready);
    sim__event_init(&loop->round, SIM_EVENT_ROUND, round_is_due);
}

void
sim__loop_stop(struct sim_loop *loop)
{
    ASSERT(list_empty(&loop->streams) && list_empty(&loop->arrivals) && list_empty(&loop->due));
    ASSERT(list_empty(&loop->answered));
    sim__cancel(loop->node->world, &loop->round);
}

void
sim__loop_end(struct sim_loop *loop)
{
    ASSERT(!loop->busy);
    loop->ended = true;
    sim__cancel(loop->node->world, &loop->round);
}

bool
sim__loop_idle(const struct sim_loop *loop)
{
    return loop->tasks == NULL && list_empty(&loop->dones);
}
