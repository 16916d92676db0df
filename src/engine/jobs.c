/*
 * Background work: one flush job (flush_job.c) and one compaction job
 * (compaction_job.c) for the whole data directory, each going on while any
 * tree has something due.  Here is what they share, and the log's release.
 *
 * engine__schedule() may be called by anyone at any time; it submits the jobs
 * that are not running.  A job that finds nothing due ends, and checks once
 * more under the lock, so that nothing that became due meanwhile is missed.
 */
#include "base/assert.h"
#include "base/broken.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum { RETRY_NS = 1000000000 };

/* Not for whoever releases the log, who must see every tree to the very end: N1. */
struct engine_tree *
engine__work_after(struct engine *e, struct engine_tree *before)
{
    if (!atomic_load(&e->ending))
        return engine__tree_after(e, before);
    engine__let_go(before);
    return NULL;
}

/* ------------------------------------------------------------------ the log's release (N1) */

/* An entry is counted in flight, then applied, and its memtable has a floor before it is no longer
 * counted.  So it is looked for in that order: whichever way it moves meanwhile, it is found. */
static wal_position
needed_from(struct engine *e, struct engine_tree *tree, wal_position end)
{
    bool in_flight = atomic_load(&tree->in_flight) > 0;
    wal_position applied = atomic_load(&tree->applied);
    wal_position floor;

    lock_take(&e->lock);
    floor = tree->floor_count > 0 ? tree->floors[0].floor : atomic_load(&tree->active_floor);
    lock_drop(&e->lock);
    if (floor != NO_FLOOR)
        return floor;
    return in_flight ? applied : end;
}

static uint64_t
log_cap(const struct engine *e)
{
    uint64_t two_memtables = 2 * (uint64_t)e->options.trees.memtable_bytes;

    return e->options.log_bytes_max > two_memtables ? e->options.log_bytes_max : two_memtables;
}

uint64_t
engine__log_reserve(const struct engine *e)
{
    uint64_t half = e->options.log_bytes_max / 2;

    return e->options.log_reserve_bytes < half ? e->options.log_reserve_bytes : half;
}

/* From where on flushed log is kept for those who are behind; nothing that bounds the log waits for
 * it. */
static wal_position
kept_from(const struct engine *e, bool followed, wal_position end)
{
    uint64_t bytes = engine__log_reserve(e);

    if (!followed || atomic_load(&e->space_is_short))
        return end;
    return end > bytes ? end - bytes : 0;
}

void
engine__drop_floors(struct engine_tree *tree)
{
    uint64_t flushed = lsm_flushed(tree->lsm).index;
    struct engine *e = tree->engine;
    uint32_t gone = 0;

    lock_take(&e->lock);
    while (gone < tree->floor_count && tree->floors[gone].index <= flushed)
        gone++;
    tree->floor_count -= gone;
    if (tree->floor_count > 0) {
        memmove(tree->floors, tree->floors + gone, tree->floor_count * sizeof(tree->floors[0]));
    } else {
        mem_free(tree->floors);
        tree->floors = NULL;
    }
    lock_drop(&e->lock);
}

/* Entries that are in flight were counted before they were appended; so what is not counted now, or is
 * of a tree that is just made, lies beyond `end`, which was read first. */
void
engine__release_log(struct engine *e)
{
    wal_position end = wal_end(e->log);
    wal_position durable = wal_durable(e->log); /* hard state in later segments is durable */
    wal_position release = durable < end ? durable : end;
    struct engine_tree *oldest = NULL;
    struct engine_tree *tree = NULL;
    bool followed = false;
    wal_position kept;

    while ((tree = engine__tree_after(e, tree)) != NULL) {
        wal_position need;

        followed |= atomic_load_explicit(&tree->followed, memory_order_relaxed);
        engine__drop_floors(tree); /* a job may have been faster than its owner's seal() */
        need = BROKEN(RELEASE_UNFLUSHED) ? end : needed_from(e, tree, end);
        if (need < release || (need == release && oldest == NULL)) {
            release = need;
            engine__let_go(oldest);
            oldest = engine__hold_tree(tree);
        }
    }
    kept = kept_from(e, followed, end);
    atomic_store(&e->log_is_kept, kept < release);
    wal_release(e->log, kept < release ? kept : release);
    if (oldest != NULL && wal_end(e->log) - release > log_cap(e))
        engine__ask_for_seal(oldest);
    engine__let_go(oldest);
}

/* ------------------------------------------------------------------ after a failure */

void
engine__put_off(struct engine *e, struct engine_retry *retry, enum status failure)
{
    atomic_store(&retry->failure, (uint32_t)failure);
    atomic_store(&retry->at_ns, env_boot_ns(e->env) + RETRY_NS);
}

bool
engine__is_put_off(const struct engine *e, const struct engine_retry *retry)
{
    return env_boot_ns(e->env) < atomic_load(&retry->at_ns);
}

enum status
engine__put_off_by(const struct engine *e, enum engine_stall stall)
{
    const struct engine_retry *retry =
        stall == ENGINE_STALL_L0 ? &e->compact_retry : &e->flush_retry;

    return engine__is_put_off(e, retry) ? (enum status)atomic_load(&retry->failure) : ST_OK;
}

bool
engine__make_room(struct engine *e, enum status st, const struct err *err)
{
    if (st == ST_NO_SPACE)
        return engine__spend_reserve(e);
    return readers_is_out_of_descriptors(st, err) && readers_free_descriptors(e->readers, e->env);
}

/* ------------------------------------------------------------------ starting them */

void
engine__schedule(struct engine *e)
{
    if (e->recovering)
        return;
    engine__flush_if_due(e);
    engine__compact_if_due(e);
}

/* ------------------------------------------------------------------ ending them (N7) */

void
engine__begin_job(struct engine *e)
{
    atomic_fetch_add(&e->jobs, 1);
}

/* Inside the gate, so that whoever sees the count at 0 comes after this thread's last look at `e`. */
void
engine__end_job(struct engine *e)
{
    uint32_t before;

    gate_enter(e->idle);
    before = atomic_fetch_sub(&e->jobs, 1);
    ASSERT(before > 0);
    gate_wake(e->idle);
    gate_leave(e->idle);
}

/* A job that starts another is counted still, so the count is 0 only when none will come. */
void
engine__await_jobs(struct engine *e)
{
    gate_enter(e->idle);
    while (atomic_load(&e->jobs) > 0)
        gate_wait(e->idle);
    gate_leave(e->idle);
}
