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
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
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

static int
compare_trees(const void *a, const void *b)
{
    uint64_t x = (*(struct engine_tree *const *)a)->id;
    uint64_t y = (*(struct engine_tree *const *)b)->id;

    return (x > y) - (x < y);
}

struct engine_tree *
engine_find_tree(struct engine *e, uint64_t id)
{
    struct engine_tree wanted = { .id = id };
    struct engine_tree *key = &wanted;
    struct engine_tree **found;

    lock_take(&e->lock);
    found = e->tree_count == 0 ? NULL
                               : bsearch(&key, e->trees, e->tree_count,
                                         sizeof(struct engine_tree *), compare_trees);
    key = found == NULL ? NULL : *found;
    lock_drop(&e->lock);
    return key;
}

void
engine_each_tree(struct engine *e, engine_tree_fn *fn, void *ctx)
{
    for (uint32_t i = 0;; i++) {
        struct engine_tree *tree = NULL;

        lock_take(&e->lock);
        if (i < e->tree_count)
            tree = e->trees[i];
        lock_drop(&e->lock);
        if (tree == NULL)
            return;
        fn(ctx, tree);
    }
}

static enum status
open_tree(struct engine *e, uint64_t id, bool create, struct engine_tree **out, struct err *err)
{
    struct engine_tree *tree = mem_new(struct engine_tree);
    char dir[LIMIT_PATH_BYTES];
    enum status st;

    if (tree == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", e->dir);
    tree->engine = e;
    tree->id = id;
    atomic_init(&tree->active_floor, NO_FLOOR);
    snprintf(dir, sizeof(dir), "%s/tree-%016llx", e->dir, (unsigned long long)id);
    st = lsm_open(&tree->lsm, &e->shared, id, dir, &e->options.trees, create, err);
    if (st == ST_NOT_FOUND)
        st = err_raise(err, ST_CORRUPT, "%s: missing, though the catalogue names it", dir);
    if (st != ST_OK) {
        mem_free(tree);
        return st;
    }
    *out = tree;
    return ST_OK;
}

/* Room for one more was found before. */
static void
insert_tree(struct engine *e, struct engine_tree *tree)
{
    e->trees[e->tree_count++] = tree;
    qsort(e->trees, e->tree_count, sizeof(struct engine_tree *), compare_trees);
}

static enum status
grow_trees(struct engine *e, uint32_t count, struct err *err)
{
    struct engine_tree **grown;

    if (count > CATALOGUE_TREES_MAX)
        return err_raise(err, ST_TOO_BIG, "%s: more than %d trees", e->dir, CATALOGUE_TREES_MAX);
    grown = mem_alloc_array(sizeof(struct engine_tree *), count + (size_t)1);
    if (grown == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", e->dir);
    lock_take(&e->lock);
    if (e->tree_count > 0)
        memcpy(grown, e->trees, e->tree_count * sizeof(struct engine_tree *));
    mem_free(e->trees);
    e->trees = grown;
    lock_drop(&e->lock);
    return ST_OK;
}

enum status
engine__open_trees(struct engine *e, struct err *err)
{
    struct engine_tree *tree = NULL;
    uint64_t *ids = NULL;
    uint32_t count = 0;
    enum status st = engine__load_catalogue(e, &ids, &count, err);

    if (st == ST_OK)
        st = grow_trees(e, count, err);
    for (uint32_t i = 0; i < count && st == ST_OK; i++) {
        st = open_tree(e, ids[i], false, &tree, err);
        if (st == ST_OK)
            insert_tree(e, tree);
    }
    mem_free(ids);
    return st;
}

/* The folder comes first, the catalogue second: what the catalogue names is there.  A folder that
 * a crash left without its name in the catalogue is opened as it is: it is empty. */
enum status
engine_create_tree(struct engine *e, uint64_t id, struct engine_tree **out, struct err *err)
{
    struct engine_tree *tree = NULL;
    enum status st;

    if (id == 0 || engine_find_tree(e, id) != NULL)
        return err_raise(err, ST_EXISTS, "%s: tree %016llx is there already", e->dir,
                         (unsigned long long)id);
    st = grow_trees(e, e->tree_count + 1, err);
    if (st == ST_OK)
        st = open_tree(e, id, true, &tree, err);
    if (st != ST_OK)
        return st;
    ASSERT(tree != NULL);
    st = env_sync_dir(e->env, e->dir, err);
    if (st == ST_OK)
        st = engine__store_catalogue(e, id, err);
    if (st != ST_OK) {
        lsm_close(tree->lsm);
        mem_free(tree);
        return st;
    }
    lock_take(&e->lock);
    insert_tree(e, tree);
    lock_drop(&e->lock);
    *out = tree;
    return ST_OK;
}

void
engine__close_trees(struct engine *e)
{
    for (uint32_t i = 0; i < e->tree_count; i++) {
        lsm_close(e->trees[i]->lsm);
        mem_free(e->trees[i]->floors);
        mem_free(e->trees[i]);
    }
    mem_free(e->trees);
    e->trees = NULL;
    e->tree_count = 0;
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
