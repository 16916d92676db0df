/*
 * Disk space, watched before it ends (DESIGN "Disk space").
 *
 *      OK    free >= min_free, the RESERVE file is whole
 *      LOW   free <  min_free after flushed log (what is kept of it for followers, too) and obsolete
 *            tables were dropped:
 *            ordinary writes are refused, deletes admitted; a flush, a log segment or a compaction
 *            that meets ENOSPC spends the reserve
 *
 * What a start needs is START's (start.c) and the log's own spares: no flush and no delete has it.
 *
 * The monitor is a job that runs once a second.  When there is room again, for the reserve too if
 * that was spent, it goes back to OK by itself.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"

#include "engine/engine_internal.h"

enum { MANIFEST_RESERVE_BYTES = 1 << 20, COMPACTION_RESERVE_TABLES = 4 };

enum engine_space
engine_space(const struct engine *e)
{
    return (enum engine_space)atomic_load_explicit(&e->space, memory_order_relaxed);
}

struct env_room
engine_room(const struct engine *e)
{
    return (struct env_room){ atomic_load(&e->free_bytes), atomic_load(&e->disk_bytes) };
}

static uint64_t
reserve_bytes(const struct engine *e)
{
    const struct engine_options *o = &e->options;

    return 2 * o->segment_bytes + o->trees.memtable_bytes +
           COMPACTION_RESERVE_TABLES * o->trees.table_bytes + MANIFEST_RESERVE_BYTES;
}

static bool
is_reserve_spent(struct engine *e)
{
    bool spent;

    lock_take(&e->lock);
    spent = e->reserve_spent;
    lock_drop(&e->lock);
    return spent;
}

static void
enter_low(struct engine *e, uint64_t free_bytes)
{
    if (engine_space(e) == ENGINE_SPACE_LOW)
        return;
    atomic_store(&e->space, (uint32_t)ENGINE_SPACE_LOW);
    log_event(LOG_EMERGENCY, "space.low", log_str("dir", e->dir), log_u64("free_bytes", free_bytes),
              log_u64("min_free_bytes", e->options.min_free_bytes),
              log_str("effect", "writes are refused, deletes are admitted"));
}

/* For one of those who meet the full disk at the same time. */
static struct file *
take_reserve(struct engine *e)
{
    struct file *f;

    lock_take(&e->lock);
    f = e->reserve;
    e->reserve = NULL;
    if (f != NULL)
        e->reserve_spent = e->reserve_busy = true;
    lock_drop(&e->lock);
    return f;
}

static void
give_reserve(struct engine *e, struct file *f)
{
    lock_take(&e->lock);
    ASSERT(e->reserve == NULL);
    e->reserve = f;
    e->reserve_spent = false;
    lock_drop(&e->lock);
}

/* True when there was something to give.  Ordinary writes must not have it: they are refused until
 * the reserve can be made again. */
bool
engine__spend_reserve(struct engine *e)
{
    struct file *f = take_reserve(e);
    struct err err;

    if (f == NULL)
        return false;
    log_event(LOG_EMERGENCY, "space.reserve_spent", log_str("dir", e->dir),
              log_u64("bytes", reserve_bytes(e)));
    if (file_truncate(f, 0, &err) != ST_OK)
        log_event(LOG_ERROR, "space.reserve_failed", log_err(&err));
    file_close(f);
    lock_take(&e->lock);
    e->reserve_busy = false;
    lock_drop(&e->lock);
    enter_low(e, 0);
    return true;
}

static void
reserve_path(const struct engine *e, char path[LIMIT_PATH_BYTES])
{
    snprintf(path, LIMIT_PATH_BYTES, "%s/RESERVE", e->dir);
}

/* An empty file means that the reserve was spent; so one that was never made leaves none. */
static void
give_up_reserve(struct engine *e, struct file *f, const char *path)
{
    struct err err;
    enum status st = file_truncate(f, 0, &err);

    file_close(f);
    if (st == ST_OK && !is_reserve_spent(e))
        st = env_remove(e->env, path, &err);
    if (st != ST_OK)
        log_event(LOG_WARN, "space.reserve_failed", log_err(&err));
}

static void
fill_reserve(struct engine *e, const char *path)
{
    struct file *f = NULL;
    struct err err;
    enum status st = env_open(e->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f, &err);

    if (st == ST_OK)
        st = file_fill(f, reserve_bytes(e), &err);
    if (st == ST_OK) {
        give_reserve(e, f);
        return;
    }
    log_event(LOG_WARN, "space.reserve_failed", log_err(&err));
    if (f != NULL)
        give_up_reserve(e, f, path);
}

static void
make_reserve(struct engine *e, uint64_t free_bytes)
{
    char path[LIMIT_PATH_BYTES];
    uint64_t size = 0;
    struct err err;
    enum status st;
    bool wanted;

    lock_take(&e->lock);
    wanted = e->reserve == NULL && !e->reserve_busy;
    lock_drop(&e->lock);
    if (!wanted)
        return;
    reserve_path(e, path);
    st = env_stat(e->env, path, &size, &err);
    if (st != ST_OK && st != ST_NOT_FOUND)
        log_event(LOG_WARN, "space.reserve_failed", log_err(&err));
    else if (free_bytes + size >= reserve_bytes(e) + e->options.min_free_bytes)
        fill_reserve(e, path);
}

void
engine__find_reserve(struct engine *e)
{
    char path[LIMIT_PATH_BYTES];
    struct file *f = NULL;
    uint64_t size = 0;
    struct err err;
    enum status st;

    reserve_path(e, path);
    st = env_stat(e->env, path, &size, &err);
    if (st == ST_OK && size == reserve_bytes(e))
        st = env_open(e->env, path, ENV_OPEN_WRITE, &f, &err);
    if (f != NULL)
        give_reserve(e, f);
    else if (st != ST_OK && st != ST_NOT_FOUND)
        log_event(LOG_WARN, "space.reserve_failed", log_err(&err));
    else if (st == ST_OK && size == 0)
        e->reserve_spent = true; /* nobody else is there yet */
}

static void
drop_what_is_flushed(void *ctx, struct engine_tree *tree)
{
    struct err err;

    (void)ctx;
    if (lsm_sweep_due(tree->lsm) && lsm_sweep(tree->lsm, &err) != ST_OK)
        log_event(LOG_WARN, "sweep.failed", log_u64("tree", tree->id), log_err(&err));
}

static enum status
measure(struct engine *e, uint64_t *free_bytes)
{
    struct env_room room;
    struct err err;
    enum status st = env_room(e->env, e->dir, &room, &err);

    if (st != ST_OK) {
        log_event(LOG_WARN, "space.unknown", log_err(&err));
        return st;
    }
    *free_bytes = room.free_bytes;
    atomic_store(&e->free_bytes, room.free_bytes);
    atomic_store(&e->disk_bytes, room.total_bytes);
    return ST_OK;
}

static void
enter_ok(struct engine *e, uint64_t free_bytes)
{
    if (engine_space(e) == ENGINE_SPACE_OK)
        return;
    atomic_store(&e->space, (uint32_t)ENGINE_SPACE_OK);
    log_event(LOG_WARN, "space.resumed", log_str("dir", e->dir), log_u64("free_bytes", free_bytes));
    engine__notify(e);
}

/* Below which ordinary writes are refused. */
static uint64_t
free_wanted(struct engine *e)
{
    return e->options.min_free_bytes + (is_reserve_spent(e) ? reserve_bytes(e) : 0);
}

/* Kept again only where there is room for all of it: else it would be given back at once. */
static bool
is_short(struct engine *e, uint64_t free_bytes)
{
    uint64_t again = atomic_load(&e->space_is_short) ? engine__log_reserve(e) : 0;

    return free_bytes < free_wanted(e) + again;
}

static void
watch_space(struct engine *e)
{
    uint64_t free_bytes = 0;

    if (measure(e, &free_bytes) != ST_OK)
        return;
    atomic_store(&e->space_is_short, is_short(e, free_bytes));
    if (free_bytes < free_wanted(e)) {
        engine__release_log(e);
        engine_each_tree(e, drop_what_is_flushed, NULL);
        engine__schedule(e);
        if (measure(e, &free_bytes) != ST_OK)
            return;
    }
    if (free_bytes >= free_wanted(e) && e->start_short)
        engine__refill_start(e);
    if (free_bytes >= free_wanted(e))
        make_reserve(e, free_bytes);
    if (free_bytes < free_wanted(e))
        enter_low(e, free_bytes);
    else if (!is_reserve_spent(e))
        enter_ok(e, free_bytes);
}

void
engine__monitor(struct engine *e)
{
    watch_space(e);
    engine__rest_trees(e);
}
