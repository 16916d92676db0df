/*
 * A data directory's life.
 *
 * INVARIANTS
 *
 *   N1  The log is retained from the first entry of any tree that no durable
 *       table of it holds: flushed entries may go, pending ones may not.
 *   N2  What the CATALOGUE names is there: a tree's folder is made before its
 *       name, so a missing folder is damage.
 *   N3  One process at a time: LOCK is held from opening to closing.
 *   N4  Nothing is answered from the log before engine_recover() has made
 *       durable what it replayed (wal_open's promise).
 *   N5  After a failed write or fsync of the log nothing is appended (P4).
 *   N6  A table holds nothing that the log could still lose: the log is durable before a memtable
 *       is flushed.  Otherwise a power cut would keep a later write of one tree, and take an
 *       earlier one, or the other half of the same record, of another.
 *   N7  Jobs are counted from before their submission to their last statement, and nothing is
 *       released before the count is 0.
 *   N8  Each tree has a name of its own in the log, which no other has while any segment may have
 *       records under it: so what the log has of a tree that was dropped is not taken for a later one's
 *       of the same id.
 *   N9  Whoever walks the trees holds the one that it looks at; a tree that was dropped is found by
 *       nobody, and released when nobody holds it.
 *
 * Not here, on purpose: what log records mean (tablet/), threads (env).
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum {
    SEGMENT_BYTES_MIN = 64 << 10,
    SEGMENT_BYTES_MAX = 1 << 30,
    MEMTABLE_BYTES_MIN = 64 << 10,
    JOBS_BYTES_MAX = 96 << 20,
    JOBS_SHARE = 6, /* and at most this part of the budget */
    SYNC_INTERVAL_MIN_MS = 10,
    MANIFESTS_OPEN_MAX = 64,
    TABLES_PER_MANIFEST = 8,
};

void
engine_options_default(struct engine_options *options)
{
    *options = (struct engine_options){
        .kind = ENGINE_SERVER,
        .create = true,
        .budget_bytes = (size_t)512 << 20,
        .segment_bytes = 64 << 20,
        .log_bytes_max = 256 << 20,
        .log_reserve_bytes = 64 << 20,
        .sync_interval_ms = 1000,
        .min_free_bytes = 100 << 20,
        .open_tables_max = OPEN_TABLES_DEFAULT,
        .idle_close_ms = 30000,
    };
    lsm_options_default(&options->trees);
}

static enum status
check_options(const struct engine_options *o, struct err *err)
{
    if (o->segment_bytes < SEGMENT_BYTES_MIN || o->segment_bytes > SEGMENT_BYTES_MAX)
        return err_raise(err, ST_INVALID, "a log segment of %llu bytes: 64 KB to 1 GB are possible",
                         (unsigned long long)o->segment_bytes);
    if (o->trees.memtable_bytes < MEMTABLE_BYTES_MIN)
        return err_raise(err, ST_INVALID, "a memtable of %zu bytes: 64 KB is the least",
                         o->trees.memtable_bytes);
    if (o->budget_bytes < o->trees.memtable_bytes + o->trees.memtable_bytes / 2) {
        return err_raise(err, ST_INVALID,
                         "a memory budget of %zu bytes: one and a half memtables of %zu bytes must "
                         "fit",
                         o->budget_bytes, o->trees.memtable_bytes);
    }
    if (o->sync_interval_ms < SYNC_INTERVAL_MIN_MS)
        return err_raise(err, ST_INVALID, "a sync interval of %u ms: 10 ms is the least",
                         o->sync_interval_ms);
    if (o->open_tables_max < OPEN_TABLES_MIN)
        return err_raise(err, ST_INVALID, "%u open tables: %d is the least", o->open_tables_max,
                         OPEN_TABLES_MIN);
    return ST_OK;
}

/* ------------------------------------------------------------------ opening */

static enum status
make_folder(struct engine *e, struct err *err)
{
    char parent[LIMIT_PATH_BYTES];
    enum status st = env_make_dir(e->env, e->dir, err);
    char *slash;

    if (st == ST_EXISTS)
        return ST_OK;
    if (st != ST_OK)
        return st;
    snprintf(parent, sizeof(parent), "%s", e->dir);
    slash = strrchr(parent, '/');
    if (slash == NULL)
        snprintf(parent, sizeof(parent), ".");
    else if (slash == parent)
        parent[1] = '\0';
    else
        *slash = '\0';
    return env_sync_dir(e->env, parent, err);
}

static enum status
lock_folder(struct engine *e, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    snprintf(path, sizeof(path), "%s/LOCK", e->dir);
    st = env_lock(e->env, path, &e->lock_file, err);
    if (st == ST_EXISTS) {
        st = err_raise(err, ST_EXISTS,
                       "%s is in use by another process; stop that one first, or "
                       "choose another data directory",
                       e->dir);
    }
    return st;
}

struct contents {
    uint32_t files;
};

static void
count_contents(void *ctx, const char *name)
{
    struct contents *c = ctx;
    size_t size = strlen(name);

    if (strcmp(name, "LOCK") == 0 || (size > 4 && strcmp(name + size - 4, ".tmp") == 0))
        return;
    c->files++;
}

/* A store is born in this order: identity, catalogue, log. */
static enum status
create_store(struct engine *e, struct err *err)
{
    struct contents c = { 0 };
    enum status st;

    if (!e->options.create)
        return err_raise(err, ST_NOT_FOUND, "%s: there is no store", e->dir);
    st = env_list(e->env, e->dir, count_contents, &c, err);
    if (st != ST_OK)
        return st;
    if (c.files > 0) {
        return err_raise(err, ST_CORRUPT,
                         "%s/IDENTITY: missing, but the folder is not empty: it "
                         "is not a DistKV store, or it is damaged",
                         e->dir);
    }
    return engine__create_identity(e, err);
}

static enum status
is_there(struct engine *e, const char *name, bool *there, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    uint64_t size;
    enum status st;

    snprintf(path, sizeof(path), "%s/%s", e->dir, name);
    st = env_stat(e->env, path, &size, err);
    *there = st == ST_OK;
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* The creation was cut short: there is no log yet.  It may have been a sync of the folder that
 * failed, after which the system shows names that no later sync makes durable; so what is there
 * is written once more. */
static enum status
finish_creation(struct engine *e, struct err *err)
{
    bool there;
    enum status st = is_there(e, "CATALOGUE", &there, err);

    if (st == ST_OK && there)
        st = engine__open_trees(e, err);
    if (st != ST_OK || e->catalogue.count > 0)
        return st; /* a log that is missing is found to be so by engine_recover() */
    st = engine__store_identity(e, err);
    return st == ST_OK ? engine__settle_catalogue(e, err) : st;
}

/* The last process may have ended because a sync of the folder failed: then the catalogue that is
 * seen need not be the durable one, and the log must not build upon it.  A full disk has to be
 * opened all the same; nothing was created on it. */
static enum status
open_trees(struct engine *e, struct err *err)
{
    enum status st = engine__open_trees(e, err);

    if (st != ST_OK)
        return st;
    st = engine__settle_catalogue(e, err);
    if (st == ST_OK)
        engine__remove_leftovers(e);
    return st == ST_NO_SPACE ? ST_OK : st;
}

static enum status
open_store(struct engine *e, struct err *err)
{
    bool exists = false;
    bool has_log = false;
    enum status st = engine__load_identity(e, &exists, err);

    if (st != ST_OK)
        return st;
    if (exists && e->options.must_be_new)
        return err_raise(err, ST_EXISTS, "%s: there is a store already", e->dir);
    if (!exists)
        st = create_store(e, err);
    if (st == ST_OK)
        st = is_there(e, "log-0/CHAIN", &has_log, err);
    if (st != ST_OK)
        return st;
    e->shared.store_id = e->identity.store;
    return has_log ? open_trees(e, err) : finish_creation(e, err);
}

static enum status
open_on_full_disk(struct engine *e, struct err *err)
{
    enum status st;

    engine__spend_start(e);
    st = open_store(e, err);
    if (st == ST_NO_SPACE && engine__spend_all_of_start(e)) {
        engine__close_trees(e);
        st = open_store(e, err);
    }
    if (st == ST_OK && e->tree_count > 0)
        engine__refill_start(e);
    return st;
}

/* Of idle trees, until they rest: who has few descriptors for tables has few for them, too. */
static uint32_t
manifests_max(uint32_t open_tables_max)
{
    uint32_t share = open_tables_max / TABLES_PER_MANIFEST;

    return share < MANIFESTS_OPEN_MAX ? share : MANIFESTS_OPEN_MAX;
}

static enum status
make_shared(struct engine *e, struct err *err)
{
    size_t budget = e->options.budget_bytes;
    size_t records = e->options.record_cache_bytes;
    size_t blocks = e->options.block_cache_bytes;

    budget_init(&e->budget, budget);
    /* What flushes and compactions hold of small blocks, and what the allocator cannot give back between
     * blocks that live, is not counted one by one: it is set aside, for good (P6). */
    budget_charge(&e->budget, budget_part(budget, JOBS_SHARE, JOBS_BYTES_MAX));
    epoch_init(&e->epoch);
    atomic_init(&e->next_number, 1);
    e->records = record_cache_create(records == 0 ? budget / 8 : records, &e->budget);
    e->blocks = cache_create(blocks == 0 ? budget / 4 : blocks, &e->budget);
    e->readers = readers_create(&e->epoch, e->options.open_tables_max);
    if (e->records == NULL || e->blocks == NULL || e->readers == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", e->dir);
    e->shared = (struct lsm_shared){
        .env = e->env,
        .epoch = &e->epoch,
        .blocks = e->blocks,
        .records = e->records,
        .readers = e->readers,
        .budget = &e->budget,
        .next_number = &e->next_number,
        .manifests_open = &e->manifests_open,
        .manifests_open_max = manifests_max(e->options.open_tables_max),
    };
    return ST_OK;
}

static void
destroy(struct engine *e)
{
    ASSERT(atomic_load(&e->jobs) == 0); /* N7 */
    engine__close_trees(e);
    readers_destroy(e->readers);
    epoch_release(&e->epoch);
    cache_destroy(e->blocks);
    record_cache_destroy(e->records);
    file_close(e->reserve);
    file_close(e->lock_file);
    gate_destroy(e->idle);
    gate_destroy(e->catalogue_gate);
    lock_release(&e->lock);
    mem_free(e->dir);
    mem_free(e);
}

enum status
engine_open(struct engine **out, struct env *env, const struct engine_options *options,
            struct err *err)
{
    enum status st = check_options(options, err);
    struct engine *e;

    if (st != ST_OK)
        return st;
    e = mem_new(struct engine);
    if (e == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", options->dir);
    e->env = env;
    e->options = *options;
    lock_init(&e->lock);
    atomic_init(&e->memtable_bytes, 0);
    atomic_init(&e->space_is_short, false);
    atomic_init(&e->log_is_kept, false);
    e->recovering = true;
    st = make_shared(e, err);
    e->dir = mem_strdup(options->dir);
    if (st == ST_OK && (e->dir == NULL || gate_create(env, &e->idle) != ST_OK ||
                        gate_create(env, &e->catalogue_gate) != ST_OK))
        st = err_raise(err, ST_NO_MEMORY, "%s: out of memory", options->dir);
    if (st == ST_OK && options->create)
        st = make_folder(e, err);
    if (st == ST_OK)
        st = lock_folder(e, err);
    if (st == ST_OK) {
        engine__find_reserve(e);
        st = open_on_full_disk(e, err);
    }
    if (st != ST_OK) {
        destroy(e);
        return st;
    }
    *out = e;
    return ST_OK;
}

const char *
engine_dir(const struct engine *e)
{
    return e->dir;
}

const struct engine_identity *
engine_identity(const struct engine *e)
{
    return &e->identity;
}

struct env *
engine_env(const struct engine *e)
{
    return e->env;
}

struct budget *
engine_budget(struct engine *e)
{
    return &e->budget;
}

struct epoch *
engine_epoch(struct engine *e)
{
    return &e->epoch;
}

/* ------------------------------------------------------------------ closing */

static void
stop_jobs(void *ctx, struct engine_tree *tree)
{
    (void)ctx;
    lsm_stop_jobs(tree->lsm);
}

void
engine_begin_close(struct engine *e)
{
    atomic_store(&e->ending, true);
    engine_each_tree(e, stop_jobs, NULL);
    engine__notify(e); /* who waits for a flush or a compaction */
}

bool
engine_is_closing(const struct engine *e)
{
    return atomic_load(&e->ending);
}

void
engine_quiesce(struct engine *e)
{
    atomic_store(&e->ending, true);
    atomic_store(&e->listeners, NULL); /* the loops have stopped: whoever listened goes now */
    engine_each_tree(e, stop_jobs, NULL);
    lock_take(&e->lock);
    e->closing = true;
    lock_drop(&e->lock);
    gate_wake(e->idle); /* who waits for a flush or a compaction */
    engine__stop_ticking(e);
    engine__await_jobs(e);
}

enum status
engine_close(struct engine *e, struct err *err)
{
    enum status st;

    if (e == NULL)
        return ST_OK;
    engine_quiesce(e);
    st = wal_close(e->log, err);
    destroy(e);
    return st;
}
