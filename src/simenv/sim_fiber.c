/*
 * Fibers: stacks of their own for code that blocks.
 *
 *      mapping  [ guard page | ................ stack ................ ]
 *                 no access     <- grows down
 *
 * A fiber that ends, or whose node crashes, leaves its stack to the next one
 * (world->idle_fibers): one that has ended (`ended`) as it stands, in fiber_main(), the other to
 * begin anew.  An abandoned fiber never returns: what its frames
 * point to belongs to the node's heap, which is dropped with it.
 */
#include <sys/mman.h>

#include "base/assert.h"

#include "simenv/sim_announce.h"
#include "simenv/sim_internal.h"

enum {
    GUARD_BYTES = 4096,
    MAPPING_BYTES = 512 << 10, /* a sanitizer's frames need about twice as much as others */
    STACK_BYTES = MAPPING_BYTES - GUARD_BYTES,
    GIVE_WAY_NS = 1000,     /* how long a call that only computes may take a job */
    ROUND_PAUSE_ONE_IN = 8, /* how often a reactor is overtaken in a call to env */
    ROUND_PAUSE_NS = 20 * SIM_NS_PER_US,
};

static void
wake_up(struct sim_event *e)
{
    struct sim_fiber *f = container_of(e, struct sim_fiber, wake);

    if (!sim__postpone(f->node, e))
        sim__fiber_resume(f);
}

static uint8_t *
stack_of(const struct sim_fiber *f)
{
    return f->mapping + GUARD_BYTES;
}

static struct sim_fiber *
new_fiber(struct sim *w)
{
    struct sim_fiber *f = sim__alloc(sizeof(*f));
    void *mapping = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int failed;

    ASSERT(mapping != MAP_FAILED); /* as sim__alloc(): the machine has no memory left */
    failed = mprotect(mapping, GUARD_BYTES, PROT_NONE);
    ASSERT(failed == 0);
    f->mapping = mapping;
    f->world = w;
    list_init(&f->link);
    list_init(&f->wait);
    sim__event_init(&f->wake, SIM_EVENT_WAKE, wake_up);
    return f;
}

/* ------------------------------------------------------------------ switching */

/* On the fiber's stack: back to the scheduler. */
SIM_CHANGES_STACKS static void
leave(struct sim_fiber *f)
{
    struct sim *w = f->world;

    ANNOUNCE_LEAVING(&f->fake_stack, w->scheduler_stack, w->scheduler_stack_bytes);
    ANNOUNCE_THREAD_SWITCH(w->scheduler_thread);
    sim__stack_switch(&f->stack, &w->scheduler);
    ANNOUNCE_ARRIVAL(f->fake_stack, &w->scheduler_stack, &w->scheduler_stack_bytes);
}

/* One call after another: a fiber that has ended waits here for the next. */
SIM_CHANGES_STACKS static void
fiber_main(void *ctx)
{
    struct sim_fiber *f = ctx;

    ANNOUNCE_ARRIVAL(NULL, &f->world->scheduler_stack, &f->world->scheduler_stack_bytes);
    for (;;) {
        f->run(f);
        f->ended = true;
        leave(f);
    }
}

static void
forget_thread(struct sim_fiber *f)
{
    if (f->thread != NULL)
        ANNOUNCE_THREAD_ENDED(f->thread);
    f->thread = NULL;
}

static void
recycle(struct sim_fiber *f)
{
    struct sim *w = f->world;

    sim__cancel(w, &f->wake);
    list_remove(&f->wait);
    list_remove(&f->link);
    list_push_front(&w->idle_fibers, &f->link);
}

static void
prepare(struct sim_fiber *f)
{
    ANNOUNCE_NO_FRAMES(stack_of(f), STACK_BYTES);
    sim__stack_make(&f->stack, stack_of(f), STACK_BYTES, fiber_main, f);
    if (f->thread == NULL)
        f->thread = ANNOUNCE_THREAD_CREATED(); /* costly: kept while frames come to their end */
}

struct sim_fiber *
sim__fiber_create(struct sim_node *node, enum sim_fiber_kind kind, sim_fiber_fn *run)
{
    struct sim *w = node->world;
    struct list *idle = list_pop_front(&w->idle_fibers);
    struct sim_fiber *f = idle != NULL ? container_of(idle, struct sim_fiber, link) : new_fiber(w);

    f->node = node;
    f->kind = kind;
    f->run = run;
    f->heap = &node->heap; /* S3 */
    f->job = NULL;
    f->lane = NULL;
    f->loop = NULL;
    f->call = NULL;
    f->finished = NULL;
    if (!f->ended)
        prepare(f);
    f->ended = false;
    list_push_back(&node->fibers, &f->link);
    return f;
}

void
sim__fiber_resume(struct sim_fiber *f)
{
    struct sim *w = f->world;
    struct mem_heap *outer = mem_heap_enter(f->heap);

    ASSERT(w->current == NULL && !f->ended); /* S2 */
    list_remove(&f->wait);
    w->current = f;
    w->scheduler_thread = ANNOUNCE_THREAD_HERE();
    ANNOUNCE_LEAVING(&w->scheduler_fake_stack, stack_of(f), STACK_BYTES);
    ANNOUNCE_THREAD_SWITCH(f->thread);
    sim__stack_switch(&w->scheduler, &f->stack);
    ANNOUNCE_ARRIVAL(w->scheduler_fake_stack, NULL, NULL);
    w->current = NULL;
    f->heap = mem_heap_enter(outer);

    if (w->doomed != NULL) {
        sim__bury_doomed(w); /* and `f` with it */
        return;
    }
    if (w->watch != NULL && f->kind != SIM_FIBER_JOB)
        w->watch(w->watch_ctx, f->node->id);
    if (f->ended)
        recycle(f);
}

void
sim__fiber_block(struct sim *w)
{
    ASSERT(w->current != NULL);
    leave(w->current);
}

void
sim__fiber_abandon(struct sim_fiber *f)
{
    ASSERT(f->world->current != f);
    forget_thread(f);
    recycle(f);
}

void
sim__fibers_release(struct sim *w)
{
    struct list *link;

    while ((link = list_pop_front(&w->idle_fibers)) != NULL) {
        struct sim_fiber *f = container_of(link, struct sim_fiber, link);

        forget_thread(f);
        ANNOUNCE_NO_FRAMES(stack_of(f), STACK_BYTES); /* the addresses may be used again */
        munmap(f->mapping, MAPPING_BYTES);
        mem_free(f);
    }
}

/* ------------------------------------------------------------------ waiting */

bool
sim__in_reactor(const struct sim *w)
{
    return w->current != NULL && w->current->kind == SIM_FIBER_REACTOR;
}

bool
sim__in_job(const struct sim *w)
{
    return w->current != NULL && w->current->kind == SIM_FIBER_JOB;
}

void
sim__fiber_sleep(struct sim *w, uint64_t ns)
{
    uint64_t at = w->now_ns + ns;

    if (w->current == NULL)
        return;
    ASSERT(w->current->kind != SIM_FIBER_REACTOR); /* a reactor never blocks */
    if (sim__undisturbed_until(w, at)) {
        w->now_ns = at;
        return;
    }
    sim__schedule(w, &w->current->wake, at);
    sim__fiber_block(w);
}

/* A thread of its own is what a loop has in the real world: others may come between. */
static void
pause_round(struct sim *w)
{
    uint64_t at;

    if (w->hurry || !prng_chance(&w->prng, 1, ROUND_PAUSE_ONE_IN))
        return;
    at = sim__soon(w, ROUND_PAUSE_NS);
    if (sim__undisturbed_until(w, at)) {
        w->now_ns = at;
        return;
    }
    list_push_back(&w->paused_rounds, &w->current->wait);
    sim__schedule(w, &w->current->wake, at);
    sim__fiber_block(w);
}

void
sim__fiber_give_way(struct sim *w)
{
    if (w->current == NULL)
        return;
    if (w->current->kind == SIM_FIBER_REACTOR)
        pause_round(w);
    else
        sim__fiber_sleep(w, prng_below(&w->prng, GIVE_WAY_NS));
}

/* A round does not block, only pause; in a hurry not even that.  So each ends at once. */
void
sim__finish_rounds(struct sim *w)
{
    w->hurry = true;
    while (!list_empty(&w->paused_rounds)) {
        struct sim_fiber *f = container_of(w->paused_rounds.next, struct sim_fiber, wait);

        sim__cancel(w, &f->wake);
        sim__fiber_resume(f);
    }
    w->hurry = false;
}
