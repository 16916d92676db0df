/*
 * Disk space, watched before it ends (DESIGN "Disk space").
 *
 *      OK    free >= min_free, the RESERVE file is whole
 *      LOW   free <  min_free after flushed log and obsolete tables were dropped:
 *            ordinary writes are refused, deletes admitted; a flush, a log segment or a compaction
 *            that meets ENOSPC spends the reserve
 *
 * The monitor is a job that runs once a second.  When there is room again, for the reserve too if
 * that was spent, it goes back to OK by itself.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"

#include "engine/engine_internal.h"

enum { MANIFEST_RESERVE_BYTES = 1 << 20, COMPACTION_RESERVE_TABLES = 4 };

enum engine_space
engine_space(const struct engine *e)
{
    return (enum engine_space)atomic_load_explicit(&e->space, memory_order_relaxed);
}

static uint64_t
reserve_bytes(const struct engine *e)
{
    const struct engine_options *o = &e->options;

    return 2 * o->segment_bytes + o->trees.memtable_bytes +
           COMPACTION_RESERVE_TABLES * o->trees.table_bytes + MANIFEST_RESERVE_BYTES;
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

/* True when there was something to give.  Ordinary writes must not have it: they are refused until
 * the reserve can be made again. */
bool
engine__spend_reserve(struct engine *e)
{
    struct err err;

    if (e->reserve == NULL)
        return false;
    log_event(LOG_EMERGENCY, "space.reserve_spent", log_str("dir", e->dir),
              log_u64("bytes", reserve_bytes(e)));
    if (file_truncate(e->reserve, 0, &err) != ST_OK)
        log_event(LOG_ERROR, "space.reserve_failed", log_err(&err));
    file_close(e->reserve);
    e->reserve = NULL;
    e->reserve_spent = true;
    enter_low(e, 0);
    return true;
}

static void
make_reserve(struct engine *e, uint64_t free_bytes)
{
    char path[LIMIT_PATH_BYTES];
    uint64_t wanted = reserve_bytes(e);
    struct file *f = NULL;
    uint64_t size = 0;
    struct err err;
    enum status st;

    if (e->reserve != NULL)
        return;
    snprintf(path, sizeof(path), "%s/RESERVE", e->dir);
    st = env_open(e->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f, &err);
    if (st == ST_OK)
        st = file_size(f, &size, &err);
    if (st == ST_OK && size != wanted) {
        if (free_bytes + size < wanted + e->options.min_free_bytes) {
            file_close(f);
            return; /* not now */
        }
        st = file_fill(f, wanted, &err);
    }
    if (st == ST_OK) {
        e->reserve = f;
        return;
    }
    log_event(LOG_WARN, "space.reserve_failed", log_err(&err));
    if (f != NULL && file_truncate(f, 0, &err) != ST_OK)
        log_event(LOG_WARN, "space.reserve_failed", log_err(&err));
    file_close(f);
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
    struct err err;
    enum status st = env_free_bytes(e->env, e->dir, free_bytes, &err);

    if (st != ST_OK) {
        log_event(LOG_WARN, "space.unknown", log_err(&err));
        return st;
    }
    atomic_store(&e->free_bytes, *free_bytes);
    return ST_OK;
}

static void
enter_ok(struct engine *e, uint64_t free_bytes)
{
    make_reserve(e, free_bytes);
    e->reserve_spent = false;
    if (engine_space(e) == ENGINE_SPACE_OK)
        return;
    atomic_store(&e->space, (uint32_t)ENGINE_SPACE_OK);
    log_event(LOG_WARN, "space.resumed", log_str("dir", e->dir), log_u64("free_bytes", free_bytes));
    engine__notify(e);
}

/* Below which ordinary writes are refused. */
static uint64_t
free_wanted(const struct engine *e)
{
    return e->options.min_free_bytes + (e->reserve_spent ? reserve_bytes(e) : 0);
}

void
engine__monitor(struct engine *e)
{
    uint64_t free_bytes = 0;

    if (measure(e, &free_bytes) != ST_OK)
        return;
    if (free_bytes < free_wanted(e)) {
        engine__release_log(e);
        engine_each_tree(e, drop_what_is_flushed, NULL);
        engine__schedule(e);
        if (measure(e, &free_bytes) != ST_OK)
            return;
    }
    if (free_bytes < free_wanted(e))
        enter_low(e, free_bytes);
    else
        enter_ok(e, free_bytes);
}
