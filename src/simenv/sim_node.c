/*
 * Nodes: processes that begin and end, on machines whose disks stay.
 *
 *                      sim_boot
 *        stopped  ------------------->  running
 *                 <-------------------
 *          sim_crash   power cut: the disk keeps what it has, the rest is gone
 *          sim_kill    the page cache stays: a later power cut may still take it
 *          sim_end     as sim_kill, but nothing may be open, pending or allocated
 *
 * A fiber whose own call crashes its node cannot take its own stack away: it
 * leaves word in world->doomed and returns to the scheduler for good (S2).
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

enum {
    DEFAULT_LATENCY_US = 50,
    DEFAULT_COLD_PERCENT = 50,
    FIRST_PORT = 30000,
    CLOCK_READ_NS = 200,
};

/* ------------------------------------------------------------------ plain calls of env */

/* Looking at a clock takes a moment, also for a reactor that nobody overtakes. */
static void
spend_a_moment(struct sim *w)
{
    sim__fiber_give_way(w);
    if (w->current != NULL)
        w->now_ns += 1 + prng_below(&w->prng, CLOCK_READ_NS);
}

static uint64_t
wall_ms(struct env *env)
{
    struct sim_node *node = sim__node_of(env);

    spend_a_moment(node->world);
    return sim__wall_ms(node);
}

static uint64_t
boot_ns(struct env *env)
{
    struct sim_node *node = sim__node_of(env);

    spend_a_moment(node->world);
    return sim__boot_ns(node);
}

static void
random_bytes(struct env *env, void *out, size_t size)
{
    struct prng *prng = &sim__node_of(env)->world->prng;
    uint8_t *to = out;

    while (size > 0) {
        uint64_t word = prng_next(prng);
        size_t piece = size < sizeof(word) ? size : sizeof(word);

        memcpy(to, &word, piece);
        to += piece;
        size -= piece;
    }
}

/* Start-up code outside of a fiber is alone: for it, sleeping is setting the clock. */
static void
sleep_ms(struct env *env, uint32_t ms)
{
    struct sim_node *node = sim__node_of(env);
    struct sim *w = node->world;
    uint64_t ns = sim__world_ns(node, (uint64_t)ms * SIM_NS_PER_MS);

    ns += prng_below(&w->prng, SIM_NS_PER_MS);

    if (w->current == NULL)
        w->now_ns += ns;
    else
        sim__fiber_sleep(w, ns);
}

static const struct env_ops env_ops = {
    .wall_ms = wall_ms,
    .boot_ns = boot_ns,
    .random = random_bytes,
    .sleep_ms = sleep_ms,
    .open = sim__open,
    .remove = sim__remove,
    .rename = sim__rename,
    .link = sim__link,
    .make_dir = sim__make_dir,
    .remove_dir = sim__remove_dir,
    .sync_dir = sim__sync_dir,
    .stat = sim__stat,
    .list = sim__list,
    .lock = sim__lock,
    .room = sim__room,
    .submit = sim__submit,
    .gate_create = sim__gate_create,
    .listen = sim__listen,
};

/* ------------------------------------------------------------------ nodes */

static struct sim_node *
new_node(struct sim *w, uint32_t id)
{
    struct sim_node *node = sim__alloc(sizeof(*node));

    node->env.ops = &env_ops;
    node->world = w;
    node->id = id;
    node->disk = sim__disk_create();
    list_init(&node->fibers);
    list_init(&node->files);
    list_init(&node->gates);
    list_init(&node->timers);
    list_init(&node->listeners);
    list_init(&node->streams);
    list_init(&node->connectors);
    node->off = true;
    node->next_port = FIRST_PORT;
    node->latency_us = DEFAULT_LATENCY_US;
    node->cold_percent = DEFAULT_COLD_PERCENT;
    sim__boot_clock_restart(node);
    return node;
}

struct sim_node *
sim__node(struct sim *w, uint32_t id)
{
    ASSERT(id >= 1 && id <= SIM_NODES_MAX);
    if (w->nodes[id] == NULL)
        w->nodes[id] = new_node(w, id);
    return w->nodes[id];
}

struct env *
sim_boot(struct sim *w, uint32_t id, uint32_t loop_count)
{
    struct sim_node *node = sim__node(w, id);

    ASSERT(!node->running);
    node->running = true;
    node->off = false;
    memset(&node->heap, 0, sizeof(node->heap));
    memset(node->op_counts, 0, sizeof(node->op_counts));
    node->loops_held = false;
    sim__lanes_init(node);
    node->loop_count = loop_count;
    node->loops = sim__alloc(loop_count * sizeof(struct sim_loop));
    for (uint32_t i = 0; i < loop_count; i++)
        sim__loop_init(&node->loops[i], node, i);
    sim__links_changed(w);
    return &node->env;
}

struct loop *
sim_loop(struct sim *w, uint32_t id, uint32_t index)
{
    struct sim_node *node = sim__node(w, id);

    ASSERT(node->running && index < node->loop_count);
    return &node->loops[index].base;
}

struct mem_heap *
sim_heap(struct sim *w, uint32_t id)
{
    return &sim__node(w, id)->heap;
}

bool
sim_running(const struct sim *w, uint32_t id)
{
    ASSERT(id >= 1 && id <= SIM_NODES_MAX);
    return w->nodes[id] != NULL && w->nodes[id]->running;
}

/* ------------------------------------------------------------------ ends */

static void
drop_heap(struct sim_node *node)
{
    struct mem_heap *outer = mem_heap_enter(NULL);

    mem_heap_drop(&node->heap);
    if (outer != &node->heap)
        mem_heap_enter(outer);
}

/* Everything that belongs to the process, but not the disk. */
static void
stop(struct sim_node *node, bool power_cut)
{
    node->running = false;
    node->paused_until_ns = 0;
    node->life++;
    while (!list_empty(&node->fibers))
        sim__fiber_abandon(container_of(node->fibers.next, struct sim_fiber, link));
    sim__lanes_stop(node);
    sim__connectors_drop(node);
    sim__streams_cut(node, power_cut);
    sim__listeners_drop(node);
    sim__timers_drop(node);
    sim__gates_drop(node);
    sim__files_drop(node); /* and with them the locks */
    for (uint32_t i = 0; i < node->loop_count; i++)
        sim__loop_stop(&node->loops[i]);
    mem_free(node->loops);
    node->loops = NULL;
    node->loop_count = 0;
    drop_heap(node);
}

static void
cut_power(struct sim_node *node)
{
    node->off = true;
    sim__disk_power_cut(node->disk, &node->world->prng);
    sim__boot_clock_restart(node);
}

static bool
is_own_fiber(const struct sim_node *node)
{
    return node->world->current != NULL && node->world->current->node == node;
}

void
sim_crash(struct sim *w, uint32_t id)
{
    struct sim_node *node = sim__node(w, id);

    if (is_own_fiber(node))
        sim__die(node, true);
    if (node->running)
        stop(node, true);
    cut_power(node);
}

void
sim_kill(struct sim *w, uint32_t id)
{
    struct sim_node *node = sim__node(w, id);

    ASSERT(node->running);
    if (is_own_fiber(node))
        sim__die(node, false);
    stop(node, false);
}

void
sim__die(struct sim_node *node, bool power_cut)
{
    struct sim *w = node->world;

    ASSERT(is_own_fiber(node)); /* code that is called outside of sim_call() cannot be ended */
    w->doomed = node;
    w->doomed_by_power_cut = power_cut;
    sim__fiber_block(w);
    assert_failed("a fiber of a crashed node was resumed", __FILE__, __LINE__);
}

void
sim__bury_doomed(struct sim *w)
{
    struct sim_node *node = w->doomed;

    w->doomed = NULL;
    stop(node, w->doomed_by_power_cut);
    if (w->doomed_by_power_cut)
        cut_power(node);
}

void
sim_end(struct sim *w, uint32_t id)
{
    struct sim_node *node = sim__node(w, id);

    ASSERT(w->current == NULL && node->running);
    for (int lane = 0; lane < ENV_LANE_COUNT; lane++)
        ASSERT(list_empty(&node->lanes[lane].queue) && node->lanes[lane].busy == 0);
    ASSERT(list_empty(&node->fibers));
    for (uint32_t i = 0; i < node->loop_count; i++)
        ASSERT(sim__loop_idle(&node->loops[i]));
    sim__files_report(node);
    ASSERT(list_empty(&node->files));
    ASSERT(list_empty(&node->gates));
    ASSERT(list_empty(&node->timers));
    ASSERT(list_empty(&node->listeners));
    ASSERT(list_empty(&node->connectors));
    ASSERT(list_empty(&node->streams));
    ASSERT(node->heap.block_count == 0);
    stop(node, false);
}

/* ------------------------------------------------------------------ calling into a node */

static void
call_main(struct sim_fiber *self)
{
    self->call(self->ctx);
    *self->finished = true;
}

/* Longer than this no start-up lasts: it waits for something that will never be. */
#define CALL_LIMIT_NS (UINT64_C(24) * 3600 * 1000 * SIM_NS_PER_MS)

static void
enter_node(struct sim_node *node, void (*fn)(void *ctx), void *ctx, bool *finished)
{
    struct sim_fiber *f = sim__fiber_create(node, SIM_FIBER_CALL, call_main);

    *finished = false;
    f->call = fn;
    f->ctx = ctx;
    f->finished = finished;
    sim__fiber_resume(f); /* last: the node may not survive it */
}

void
sim_begin_call(struct sim *w, uint32_t id, void (*fn)(void *ctx), void *ctx, bool *finished)
{
    struct sim_node *node = sim__node(w, id);

    ASSERT(node->running && !sim_paused(w, id));
    sim__run_begin(w, w->now_ns, NULL);
    enter_node(node, fn, ctx, finished);
    sim__run_end(w);
}

bool
sim_call(struct sim *w, uint32_t id, void (*fn)(void *ctx), void *ctx)
{
    struct sim_node *node = sim__node(w, id);
    uint64_t life = node->life;
    bool finished = false;

    ASSERT(node->running && !sim_paused(w, id));
    sim__run_begin(w, w->now_ns + CALL_LIMIT_NS, &finished);
    enter_node(node, fn, ctx, &finished);
    while (!finished && node->life == life) {
        bool something_happened = sim__step(w);

        ASSERT(something_happened); /* else `fn` waits for ever */
    }
    sim__run_end(w);
    return finished;
}

void
sim_on_loop(struct sim *w, uint32_t id, uint32_t loop_index, void (*fn)(void *ctx), void *ctx)
{
    struct sim_node *node = sim__node(w, id);

    ASSERT(node->running && loop_index < node->loop_count && !sim_paused(w, id));
    sim__run_begin(w, w->now_ns, NULL);
    sim__loop_visit(&node->loops[loop_index], fn, ctx);
    sim__run_end(w); /* if it paused, it is finished now */
}

static bool
loops_are_idle(const struct sim_node *node)
{
    for (uint32_t i = 0; i < node->loop_count; i++) {
        if (node->loops[i].busy || !sim__loop_idle(&node->loops[i]))
            return false;
    }
    return true;
}

void
sim_hold_loops(struct sim *w, uint32_t id, bool held)
{
    struct sim_node *node = sim__node(w, id);

    node->loops_held = held;
    for (uint32_t i = 0; i < node->loop_count && !held; i++) {
        if (node->loops[i].stirred)
            sim__loop_stir(&node->loops[i]);
    }
}

void
sim_end_loops(struct sim *w, uint32_t id)
{
    struct sim_node *node = sim__node(w, id);

    while (node->running && !loops_are_idle(node))
        sim_run_ms(w, 1);
    for (uint32_t i = 0; i < node->loop_count; i++)
        sim__loop_end(&node->loops[i]);
}
