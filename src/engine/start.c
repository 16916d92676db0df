/*
 * Space for a start on a full disk.
 *
 * A start writes before anything can be flushed or dropped: a manifest for each tree whose last
 * edit is not proven durable, CATALOGUE, CHAIN twice.  Each takes the place of an older one, which
 * then goes; so all of them get by with the room for one, but without that room there is no start.
 *
 *      <dir>/START     START_BYTES of zeros, which nobody but a start spends
 *
 *      spent           by a STEP_BYTES at a time, before the trees are opened, and before the log
 *                      writes; by all there is, when a manifest needs more
 *      taken back      when the trees are open, and when the log is: before a flush, the log's
 *                      housekeeping or a client can have anything
 *
 * The segment that the log goes on in is none of this: the log keeps spares (W11 in wal.c).
 *
 * The file says nothing, so no order of its changes can do harm.  A process that is killed between
 * the two leaves it short, and what it lacks is free, or in files that replaced others: the next
 * start finds as much.  Only another process can take that meanwhile; but it takes a step of several.
 *
 * A store made before there was a START has its RESERVE.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"

#include "engine/engine_internal.h"

enum { START_BYTES = 1 << 20, STEP_BYTES = 256 << 10, BLOCK_BYTES = 4096 };

static void
start_path(const struct engine *e, char path[LIMIT_PATH_BYTES])
{
    snprintf(path, LIMIT_PATH_BYTES, "%s/START", e->dir);
}

/* 0 when there is none. */
static uint64_t
start_bytes(struct engine *e)
{
    char path[LIMIT_PATH_BYTES];
    uint64_t size = 0;
    struct err err;
    enum status st;

    start_path(e, path);
    st = env_stat(e->env, path, &size, &err);
    if (st != ST_OK && st != ST_NOT_FOUND)
        log_event(LOG_WARN, "space.start_failed", log_err(&err));
    return st == ST_OK ? size : 0;
}

static uint64_t
free_bytes(struct engine *e)
{
    struct env_room room;
    struct err err;

    if (env_room(e->env, e->dir, &room, &err) == ST_OK)
        return room.free_bytes;
    log_event(LOG_WARN, "space.unknown", log_err(&err));
    return UINT64_MAX; /* whoever needs it will see */
}

/* From `had` bytes to more, or not at all: what it has is never let go.  What a power cut leaves of a
 * size without its blocks would pass for START, so it is synced. */
static enum status
fill_start(struct engine *e, uint64_t had, uint64_t bytes, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct file *f = NULL;
    struct err ignored;
    enum status st, cut;

    start_path(e, path);
    st = env_open(e->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f, err);
    if (st != ST_OK)
        return st;
    st = file_fill(f, bytes, err);
    if (st == ST_OK)
        st = file_sync(f, err);
    if (st != ST_OK) {
        cut = file_truncate(f, had, &ignored);
        (void)cut; /* it is tried again */
    }
    file_close(f);
    return st;
}

static enum status
shorten_start(struct engine *e, uint64_t bytes, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct file *f = NULL;
    enum status st;

    start_path(e, path);
    st = env_open(e->env, path, ENV_OPEN_WRITE, &f, err);
    if (st == ST_OK)
        st = file_truncate(f, bytes, err);
    if (st == ST_OK)
        st = file_sync(f, err); /* so that no power cut gives it back what others have by then */
    file_close(f);
    return st;
}

/* False: there is nothing more to give. */
static bool
cut_start(struct engine *e, uint64_t size, uint64_t bytes)
{
    struct err err;

    if (size == 0)
        return false;
    log_event(LOG_WARN, "space.start_spent", log_str("dir", e->dir), log_u64("of", size),
              log_u64("bytes", bytes < size ? bytes : size));
    if (shorten_start(e, bytes < size ? size - bytes : 0, &err) == ST_OK)
        return true;
    log_event(LOG_WARN, "space.start_failed", log_err(&err));
    return false;
}

void
engine__spend_start(struct engine *e)
{
    uint64_t size = start_bytes(e);
    uint64_t had = free_bytes(e);

    if (had < STEP_BYTES && cut_start(e, size, STEP_BYTES - had))
        return;
    if (size == 0 && had < STEP_BYTES + e->options.segment_bytes)
        (void)engine__spend_reserve(e);
}

bool
engine__spend_all_of_start(struct engine *e)
{
    uint64_t size = start_bytes(e);

    return cut_start(e, size, size) || engine__spend_reserve(e);
}

void
engine__refill_start(struct engine *e)
{
    uint64_t had = start_bytes(e);
    uint64_t more = had < START_BYTES ? START_BYTES - had : 0;
    enum status st = ST_NO_SPACE;
    struct err err;

    for (; st == ST_NO_SPACE && more >= BLOCK_BYTES; more /= 2)
        st = fill_start(e, had, had + more, &err);
    e->start_short = start_bytes(e) < START_BYTES;
    if (e->start_short && st != ST_OK)
        log_event(LOG_WARN, "space.start_failed", log_err(&err));
}

bool
engine__may_flush_in_replay(struct engine *e)
{
    uint64_t need = STEP_BYTES + 2 * (uint64_t)e->options.trees.memtable_bytes;

    if (!e->replay_full && free_bytes(e) < need && !engine__spend_reserve(e))
        e->replay_full = true;
    return !e->replay_full;
}
