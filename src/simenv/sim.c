/*
 * The simulated world: one queue of what is due, one generator, one thread.
 *
 *      test's stack                       fibers
 *      ------------                       ------
 *      sim_run_ms()
 *        take the next event  --------->  a job goes on after its disk answered
 *                             <---------  it calls env, and waits
 *        take the next event              (a round of a loop, a piece of a stream ...)
 *        ...
 *
 * The test's stack is the scheduler.  Whatever happens is an event at a time;
 * code of a node runs in fibers, which events resume.  A fiber that calls env
 * names the time at which it wants to go on, and leaves; when nothing else is
 * due before that, it goes on without leaving (sim__undisturbed_until), which
 * is the same run, only faster.
 *
 * INVARIANTS
 *
 *   S1  Events fire in the order of (time, sequence), and time never runs
 *       backwards.  Reading a clock may carry time past an event; that then
 *       fires late, like everything on a busy machine.
 *   S2  Only the scheduler resumes fibers, and a fiber returns only to it.
 *   S3  The world's memory is of no heap; code of a node runs with its heap.
 *       So a crash can drop the heap whole and the world still has its lists.
 *   S4  Nothing depends on an address, the real clock or the environment: all
 *       chance comes from the one generator, in the order of events.
 *   S5  When a call of the test returns, no round of a loop is half-way, so a
 *       test may look at what reactors own.  Jobs may be anywhere.
 *
 * NOT HERE, ON PURPOSE
 *
 *   No real parallelism: races on shared memory are for the real environment
 *   and the thread sanitizer.  Between two calls to env a fiber is alone.
 */
#include "base/assert.h"
#include "base/hash.h"

#include "simenv/sim_internal.h"

enum {
    QUEUE_CAPACITY_MIN = 64,
    CLIENT_PORT_FIRST = 40000,
};

/* ------------------------------------------------------------------ memory */

void *
sim__alloc(size_t size)
{
    struct mem_heap *outer = mem_heap_enter(NULL);
    void *block = mem_alloc_zero(size);

    mem_heap_enter(outer);
    ASSERT(block != NULL);
    return block;
}

void *
sim__resize(void *block, size_t size)
{
    struct mem_heap *outer = mem_heap_enter(NULL);
    void *moved = mem_resize(block, size);

    mem_heap_enter(outer);
    ASSERT(moved != NULL);
    return moved;
}

char *
sim__strdup(const char *text)
{
    struct mem_heap *outer = mem_heap_enter(NULL);
    char *copy = mem_strdup(text);

    mem_heap_enter(outer);
    ASSERT(copy != NULL);
    return copy;
}

void
sim__append(struct buf *b, struct slice bytes)
{
    struct mem_heap *outer = mem_heap_enter(NULL);
    enum status st = buf_append(b, bytes);

    mem_heap_enter(outer);
    ASSERT(st == ST_OK);
}

/* What the real environment allocates for a handle comes from the node's heap; ours does not, but
 * a test that makes every allocation fail in turn shall meet these, too. */
bool
sim__memory_refused(void)
{
    void *block = mem_alloc(1);

    if (block == NULL)
        return true;
    mem_free(block);
    return false;
}

/* ------------------------------------------------------------------ the queue */

static bool
comes_before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns;
    return a->sequence < b->sequence;
}

static void
put_in_slot(struct sim *w, size_t index, struct sim_event *e)
{
    w->queue[index] = e;
    e->slot = index + 1;
}

static void
sift_up(struct sim *w, size_t index)
{
    struct sim_event *e = w->queue[index];

    while (index > 0) {
        size_t parent = (index - 1) / 2;

        if (!comes_before(e, w->queue[parent]))
            break;
        put_in_slot(w, index, w->queue[parent]);
        index = parent;
    }
    put_in_slot(w, index, e);
}

static void
sift_down(struct sim *w, size_t index)
{
    struct sim_event *e = w->queue[index];

    for (;;) {
        size_t child = 2 * index + 1;

        if (child >= w->queue_size)
            break;
        if (child + 1 < w->queue_size && comes_before(w->queue[child + 1], w->queue[child]))
            child++;
        if (!comes_before(w->queue[child], e))
            break;
        put_in_slot(w, index, w->queue[child]);
        index = child;
    }
    put_in_slot(w, index, e);
}

void
sim__event_init(struct sim_event *e, enum sim_event_kind kind, void (*fire)(struct sim_event *e))
{
    e->slot = 0;
    e->kind = kind;
    e->fire = fire;
}

void
sim__schedule(struct sim *w, struct sim_event *e, uint64_t at_ns)
{
    sim__cancel(w, e);
    if (w->queue_size == w->queue_capacity) {
        w->queue_capacity = w->queue_capacity == 0 ? QUEUE_CAPACITY_MIN : w->queue_capacity * 2;
        w->queue = sim__resize(w->queue, w->queue_capacity * sizeof(struct sim_event *));
    }
    e->at_ns = at_ns;
    e->sequence = ++w->sequence;
    w->timer_count += e->kind == SIM_EVENT_TIMER;
    w->queue[w->queue_size++] = e;
    sift_up(w, w->queue_size - 1);
}

void
sim__cancel(struct sim *w, struct sim_event *e)
{
    size_t index = e->slot - 1;
    struct sim_event *last;

    if (e->slot == 0)
        return;
    ASSERT(w->queue[index] == e);
    w->timer_count -= e->kind == SIM_EVENT_TIMER;
    e->slot = 0;
    last = w->queue[--w->queue_size];
    if (last == e)
        return;
    put_in_slot(w, index, last);
    sift_up(w, index);
    sift_down(w, last->slot - 1);
}

void
sim__trace(struct sim *w, uint64_t what, uint64_t a, uint64_t b)
{
    w->trace = hash_u64(w->trace ^ what);
    w->trace = hash_u64(w->trace ^ a);
    w->trace = hash_u64(w->trace ^ b);
}

uint64_t
sim__soon(struct sim *w, uint64_t spread_ns)
{
    return w->now_ns + prng_below(&w->prng, spread_ns + 1);
}

/* ------------------------------------------------------------------ running */

/* At the same time, whoever was scheduled first comes first (S1): hence "later than". */
bool
sim__undisturbed_until(const struct sim *w, uint64_t at_ns)
{
    if (at_ns > w->deadline_ns || (w->until != NULL && *w->until))
        return false;
    return w->queue_size == 0 || w->queue[0]->at_ns > at_ns;
}

static uint64_t
after_ms(const struct sim *w, uint64_t ms)
{
    uint64_t ns;

    if (__builtin_mul_overflow(ms, (uint64_t)SIM_NS_PER_MS, &ns) || ns > UINT64_MAX - w->now_ns)
        return UINT64_MAX;
    return w->now_ns + ns;
}

void
sim__run_begin(struct sim *w, uint64_t limit_ns, const bool *until)
{
    ASSERT(w->current == NULL); /* S2: the test's calls are not for code of nodes */
    w->deadline_ns = limit_ns;
    w->until = until;
}

void
sim__run_end(struct sim *w)
{
    sim__finish_rounds(w);
    w->deadline_ns = 0;
    w->until = NULL;
}

bool
sim__step(struct sim *w)
{
    struct sim_event *e;

    ASSERT(w->current == NULL);
    if (w->queue_size == 0 || w->queue[0]->at_ns > w->deadline_ns)
        return false;
    e = w->queue[0];
    sim__cancel(w, e);
    if (e->at_ns > w->now_ns)
        w->now_ns = e->at_ns;
    sim__trace(w, e->kind, w->now_ns, e->sequence);
    e->fire(e);
    return true;
}

static void
pass_time_until(struct sim *w, uint64_t at_ns)
{
    if (w->now_ns < at_ns)
        w->now_ns = at_ns;
}

void
sim_run_ms(struct sim *w, uint64_t ms)
{
    uint64_t limit = after_ms(w, ms);

    sim__run_begin(w, limit, NULL);
    while (sim__step(w))
        continue;
    pass_time_until(w, limit);
    sim__run_end(w);
}

/* Only timers are left, and none is near. */
static bool
is_settled(const struct sim *w, uint64_t limit_ms)
{
    if (w->queue_size > w->timer_count)
        return false;
    return w->queue_size == 0 || w->queue[0]->at_ns > after_ms(w, limit_ms);
}

bool
sim_settle(struct sim *w, uint64_t limit_ms)
{
    uint64_t limit = after_ms(w, limit_ms);
    bool settled;

    sim__run_begin(w, limit, NULL);
    while (!is_settled(w, limit_ms) && sim__step(w))
        continue;
    settled = is_settled(w, limit_ms);
    if (!settled)
        pass_time_until(w, limit);
    sim__run_end(w);
    return settled;
}

bool
sim_run_until(struct sim *w, const bool *flag, uint64_t limit_ms)
{
    uint64_t limit = after_ms(w, limit_ms);

    sim__run_begin(w, limit, flag);
    while (!*flag && sim__step(w))
        continue;
    if (!*flag)
        pass_time_until(w, limit);
    sim__run_end(w);
    return *flag;
}

/* ------------------------------------------------------------------ the world */

struct sim *
sim_create(uint64_t seed)
{
    struct mem_heap *outer = mem_heap_enter(NULL);
    struct sim *w = mem_new(struct sim);

    mem_heap_enter(outer);
    if (w == NULL)
        return NULL;
    prng_init(&w->prng, seed);
    w->now_ns = SIM_START_NS;
    w->next_client_port = CLIENT_PORT_FIRST;
    list_init(&w->idle_fibers);
    list_init(&w->paused_rounds);
    list_init(&w->connections);
    return w;
}

static void
release_node(struct sim_node *node)
{
    if (node->running)
        sim_crash(node->world, node->id);
    sim__disk_destroy(node->disk);
    mem_free(node->ignored_sync);
    mem_free(node->paths);
    node->world->nodes[node->id] = NULL;
    mem_free(node);
}

void
sim_destroy(struct sim *w)
{
    if (w == NULL)
        return;
    ASSERT(w->current == NULL);
    for (uint32_t id = 1; id <= SIM_NODES_MAX; id++) {
        if (w->nodes[id] != NULL)
            release_node(w->nodes[id]);
    }
    while (!list_empty(&w->connections)) {
        struct sim_connection *c = container_of(w->connections.next, struct sim_connection, link);

        sim_client_close(c->client); /* the node's end went with the node */
    }
    sim__fibers_release(w);
    ASSERT(w->queue_size == 0); /* nobody is left for whom anything could be due */
    mem_free(w->queue);
    mem_free(w);
}

struct prng *
sim_prng(struct sim *w)
{
    return &w->prng;
}

uint64_t
sim_now_ns(const struct sim *w)
{
    return w->now_ns;
}

uint32_t
sim_current(const struct sim *w)
{
    return w->current == NULL ? 0 : w->current->node->id;
}

void
sim_watch(struct sim *w, sim_watch_fn *fn, void *ctx)
{
    w->watch = fn;
    w->watch_ctx = ctx;
}

uint64_t
sim_trace_hash(const struct sim *w)
{
    return w->trace;
}
