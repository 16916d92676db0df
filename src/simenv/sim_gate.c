/*
 * Gates: where fibers of a node wait for one another.
 *
 *      outside --enter--> queue --> inside --leave--> outside
 *                           ^          |
 *                           |         wait
 *                        woken up      |
 *                           '------- asleep
 *
 * As with a mutex and a condition of the system, whoever leaves does not hand
 * the gate over: one of the queue is woken, and may find that another was
 * faster.  A sleeper may wake early.
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

enum {
    WAKE_SPREAD_NS = 20 * SIM_NS_PER_US,
    WAKE_EARLY_ONE_IN = 16,
    WAKE_EARLY_NS = 5 * SIM_NS_PER_MS,
};

struct sim_gate {
    struct gate base;
    struct list link; /* in node->gates */
    struct sim_node *node;
    bool entered;
    struct sim_fiber *inside; /* NULL: nobody, or start-up code outside of fibers */
    struct list queue;        /* struct sim_fiber, by `wait`; to get in */
    struct list asleep;       /* struct sim_fiber, by `wait`; for a wake */
};

static struct sim_gate *
gate_of(struct gate *g)
{
    return (struct sim_gate *)g;
}

static bool
is_inside(const struct sim_gate *g)
{
    return g->entered && g->inside == g->node->world->current;
}

/* Out of the list it waits in, and on its way. */
static void
rouse(struct sim_gate *g, struct list *link)
{
    struct sim *w = g->node->world;
    struct sim_fiber *f = container_of(link, struct sim_fiber, wait);

    list_remove(link);
    sim__schedule(w, &f->wake, sim__soon(w, WAKE_SPREAD_NS));
}

/* Start-up code outside of a fiber has nobody to wait for: the gate must be free. */
static void
get_in(struct sim_gate *g)
{
    struct sim *w = g->node->world;

    while (g->entered) {
        ASSERT(w->current != NULL && g->inside != w->current);
        list_push_back(&g->queue, &w->current->wait);
        sim__fiber_block(w);
    }
    g->entered = true;
    g->inside = w->current;
}

static void
get_out(struct sim_gate *g)
{
    ASSERT(is_inside(g));
    g->entered = false;
    g->inside = NULL;
    if (!list_empty(&g->queue))
        rouse(g, g->queue.next);
}

static void
enter(struct gate *base)
{
    struct sim_gate *g = gate_of(base);

    ASSERT(!sim__in_reactor(g->node->world)); /* a reactor never blocks */
    sim__fiber_give_way(g->node->world);
    get_in(g);
}

static void
leave(struct gate *base)
{
    struct sim_gate *g = gate_of(base);

    get_out(g);
    sim__fiber_give_way(g->node->world);
}

static void
wait_for_wake(struct gate *base)
{
    struct sim_gate *g = gate_of(base);
    struct sim *w = g->node->world;

    ASSERT(w->current != NULL); /* outside of sim_call() nobody would ever wake us */
    get_out(g);
    list_push_back(&g->asleep, &w->current->wait);
    if (prng_chance(&w->prng, 1, WAKE_EARLY_ONE_IN))
        sim__schedule(w, &w->current->wake, sim__soon(w, WAKE_EARLY_NS));
    sim__fiber_block(w); /* whoever resumes us takes us out of the list */
    get_in(g);
}

static void
wake(struct gate *base)
{
    struct sim_gate *g = gate_of(base);

    while (!list_empty(&g->asleep))
        rouse(g, g->asleep.next);
    sim__fiber_give_way(g->node->world);
}

static void
drop_gate(struct sim_gate *g)
{
    list_remove(&g->link);
    mem_free(g);
}

static void
destroy(struct gate *base)
{
    struct sim_gate *g = gate_of(base);

    ASSERT(!g->entered && list_empty(&g->queue) && list_empty(&g->asleep));
    drop_gate(g);
}

static const struct gate_ops gate_ops = {
    .enter = enter,
    .leave = leave,
    .wait = wait_for_wake,
    .wake = wake,
    .destroy = destroy,
};

enum status
sim__gate_create(struct env *env, struct gate **out)
{
    struct sim_node *node = sim__node_of(env);
    struct sim_gate *g;

    if (sim__memory_refused())
        return ST_NO_MEMORY;
    g = sim__alloc(sizeof(*g));
    g->base.ops = &gate_ops;
    g->node = node;
    list_init(&g->queue);
    list_init(&g->asleep);
    list_push_back(&node->gates, &g->link);
    *out = &g->base;
    return ST_OK;
}

/* The fibers that waited are abandoned already. */
void
sim__gates_drop(struct sim_node *node)
{
    while (!list_empty(&node->gates))
        drop_gate(container_of(node->gates.next, struct sim_gate, link));
}
