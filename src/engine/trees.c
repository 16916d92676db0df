/*
 * Trees, and the log that they still need.
 *
 * A tree needs the log from the first entry that no table of it holds:
 *
 *      log    ──────────[ flushed ][ sealed memtable ][ active memtable ][ in flight ]
 *                                  ^ floors[0]         ^ active_floor     ^ applied
 *
 * The floor of a memtable is the position just past the last entry before it:
 * not beyond the start of its own first entry.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum { NS_PER_MS = 1000000, MANIFESTS_AT_ONCE = 16 };

struct lsm *
engine_tree_lsm(const struct engine_tree *tree)
{
    return tree->lsm;
}

uint64_t
engine_tree_id(const struct engine_tree *tree)
{
    return tree->id;
}

bool
engine_tree_is_damaged(const struct engine_tree *tree)
{
    return atomic_load_explicit(&tree->compaction_failed, memory_order_relaxed);
}

struct engine_oath
engine_tree_oath(const struct engine_tree *tree)
{
    return tree->oath;
}

/* Where the first tree is whose id is not below; under the lock. */
static uint32_t
place_of(const struct engine *e, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = e->tree_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (e->trees[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct engine_tree *
first_above(const struct engine *e, uint64_t id)
{
    uint32_t at = id == UINT64_MAX ? e->tree_count : place_of(e, id + 1);

    return at < e->tree_count ? e->trees[at] : NULL;
}

struct engine_tree *
engine_find_tree(struct engine *e, uint64_t id)
{
    struct engine_tree *found = NULL;
    uint32_t at;

    lock_take(&e->lock);
    at = place_of(e, id);
    if (at < e->tree_count && e->trees[at]->id == id)
        found = e->trees[at];
    lock_drop(&e->lock);
    return found;
}

/* ------------------------------------------------------------------ walking (N9) */

struct engine_tree *
engine__hold_tree(struct engine_tree *tree)
{
    lock_take(&tree->engine->lock);
    tree->users++;
    lock_drop(&tree->engine->lock);
    return tree;
}

void
engine__let_go(struct engine_tree *tree)
{
    struct engine *e;
    bool last;

    if (tree == NULL)
        return;
    e = tree->engine;
    lock_take(&e->lock);
    ASSERT(tree->users > 0);
    last = --tree->users == 0 && atomic_load(&tree->dropped);
    lock_drop(&e->lock);
    if (last)
        gate_wake(e->idle); /* the tree may be gone already; the engine is not: N7 */
}

struct engine_tree *
engine__tree_after(struct engine *e, struct engine_tree *before)
{
    struct engine_tree *next = NULL;

    lock_take(&e->lock);
    if (before == NULL)
        next = e->tree_count > 0 ? e->trees[0] : NULL;
    else
        next = first_above(e, before->id);
    if (next != NULL)
        next->users++;
    lock_drop(&e->lock);
    engine__let_go(before);
    return next;
}

void
engine_each_tree(struct engine *e, engine_tree_fn *fn, void *ctx)
{
    struct engine_tree *tree = NULL;

    while ((tree = engine__tree_after(e, tree)) != NULL)
        fn(ctx, tree);
}

struct resting {
    uint64_t now_ns;
    uint64_t idle_ns;
    uint32_t manifests; /* so many may still be closed */
};

static void
rest(void *ctx, struct engine_tree *tree)
{
    struct resting *r = ctx;

    lsm_rest(tree->lsm, r->now_ns, r->idle_ns, &r->manifests);
}

/* A few manifests at a time: each waits for its tree's gate, and flushes wait for us. */
void
engine__rest_trees(struct engine *e)
{
    struct resting r = { env_boot_ns(e->env), (uint64_t)e->options.idle_close_ms * NS_PER_MS,
                         MANIFESTS_AT_ONCE };

    engine_each_tree(e, rest, &r);
    readers_close(e->readers);
}

/* ------------------------------------------------------------------ the owner's part */

static bool
seal(struct engine_tree *tree)
{
    struct engine *e = tree->engine;
    wal_position floor = atomic_load(&tree->active_floor);
    struct sealed_floor *floors;
    bool room;

    lock_take(&e->lock);
    room = tree->floor_count < SEALED_FLOORS_MAX;
    lock_drop(&e->lock);
    if (!room || tree->held || floor == NO_FLOOR)
        return false;
    floors = mem_new_array(struct sealed_floor, SEALED_FLOORS_MAX);
    if (floors == NULL || lsm_switch(tree->lsm) != ST_OK) {
        mem_free(floors);
        return false;
    }
    lock_take(&e->lock);
    if (tree->floors == NULL) { /* asked here, for a job may just have freed them */
        tree->floors = floors;
        floors = NULL;
    }
    tree->floors[tree->floor_count++] = (struct sealed_floor){ floor, tree->applied_index };
    atomic_store(&tree->active_floor, NO_FLOOR);
    lock_drop(&e->lock);
    mem_free(floors);
    return true;
}

static bool
seal_and_schedule(struct engine_tree *tree)
{
    bool sealed = seal(tree);

    if (sealed)
        engine__schedule(tree->engine);
    return sealed;
}

void
engine__tree_moved(struct engine_tree *tree, uint64_t index, wal_position position)
{
    if (atomic_load_explicit(&tree->active_floor, memory_order_relaxed) == NO_FLOOR)
        atomic_store(&tree->active_floor,
                     atomic_load_explicit(&tree->applied, memory_order_relaxed));
    tree->applied_index = index;
    atomic_store(&tree->applied, position);
    if (lsm_switch_due(tree->lsm))
        (void)seal_and_schedule(tree); /* without memory it is tried again at the next entry */
}

void
engine_tree_expect(struct engine_tree *tree)
{
    atomic_fetch_add(&tree->in_flight, 1);
}

void
engine_tree_applied(struct engine_tree *tree, uint64_t index, wal_position position)
{
    engine__tree_moved(tree, index, position);
    atomic_fetch_sub(&tree->in_flight, 1);
}

void
engine_tree_dropped(struct engine_tree *tree)
{
    atomic_fetch_sub(&tree->in_flight, 1);
}

void
engine__ask_for_seal(struct engine_tree *tree)
{
    atomic_store(&tree->seal_wanted, true);
    atomic_fetch_add(&tree->engine->seals_asked, 1);
}

uint64_t
engine_seals_asked(const struct engine *e)
{
    return atomic_load(&e->seals_asked);
}

void
engine_tree_tend(struct engine_tree *tree)
{
    if (!atomic_load_explicit(&tree->seal_wanted, memory_order_relaxed))
        return;
    atomic_store(&tree->seal_wanted, false);
    (void)seal_and_schedule(tree);
}

enum status
engine_tree_seal(struct engine_tree *tree)
{
    if (atomic_load(&tree->active_floor) == NO_FLOOR)
        return ST_OK;
    return seal_and_schedule(tree) ? ST_OK : ST_NO_MEMORY;
}

void
engine_tree_hold(struct engine_tree *tree)
{
    tree->held = true;
}

void
engine_tree_resume(struct engine_tree *tree, uint64_t installed)
{
    tree->held = false;
    if (installed == 0)
        return;
    tree->applied_index = installed;
    atomic_store(&tree->applied, wal_end(tree->engine->log));
    atomic_store(&tree->active_floor, NO_FLOOR);
    engine__drop_floors(tree); /* the mark is beyond all of them */
}

void
engine_tree_follow(struct engine_tree *tree, bool followed)
{
    atomic_store_explicit(&tree->followed, followed, memory_order_relaxed);
}

/* ------------------------------------------------------------------ stalls */

static const char *const stall_names[ENGINE_STALL_COUNT] = {
    [ENGINE_STALL_NONE] = "none",    [ENGINE_STALL_MEMTABLES] = "memtables",
    [ENGINE_STALL_L0] = "l0-tables", [ENGINE_STALL_BUDGET] = "memory-budget",
    [ENGINE_STALL_LOG] = "log",
};

const char *
engine_stall_name(enum engine_stall stall)
{
    ASSERT(stall < ENGINE_STALL_COUNT);
    return stall_names[stall];
}

/* Half of the budget; or one memtable and a quarter, when that is more: the caches and the
 * connections live in the rest. */
size_t
engine__memtable_share(const struct engine *e)
{
    size_t half = e->options.budget_bytes / 2;
    size_t one = e->options.trees.memtable_bytes + e->options.trees.memtable_bytes / 4;

    return half > one ? half : one;
}

static bool
memtables_beyond_share(const struct engine *e)
{
    return atomic_load_explicit(&e->memtable_bytes, memory_order_relaxed) >
           engine__memtable_share(e);
}

enum engine_stall
engine_tree_stall(const struct engine_tree *tree)
{
    if (atomic_load_explicit(&tree->engine->ending, memory_order_relaxed))
        return ENGINE_STALL_NONE; /* nothing is flushed any more; what is under way is to end */
    switch (lsm_stall(tree->lsm)) {
    case LSM_STALL_MEMTABLES:
        return ENGINE_STALL_MEMTABLES;
    case LSM_STALL_L0:
        if (!atomic_load_explicit(&tree->compaction_failed, memory_order_relaxed))
            return ENGINE_STALL_L0;
        break; /* nothing would end it; reads are slower, memory is bounded all the same */
    case LSM_STALL_NONE:
    case LSM_STALL_COUNT:
        break;
    }
    return memtables_beyond_share(tree->engine) ? ENGINE_STALL_BUDGET : ENGINE_STALL_NONE;
}

void
engine_count_stall(struct engine *e, enum engine_stall stall, uint64_t ns)
{
    atomic_fetch_add_explicit(&e->stall_count[stall], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&e->stall_ns[stall], ns, memory_order_relaxed);
}
