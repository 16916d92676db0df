/*
 * Background work: one flush job and one compaction job for the whole data
 * directory, each going on while any tree has something due.
 *
 * engine__schedule() may be called by anyone at any time; it submits the jobs
 * that are not running.  A job that finds nothing due ends, and checks once
 * more under the lock, so that nothing that became due meanwhile is missed.
 */
#include "base/assert.h"
#include "base/broken.h"
#include "base/log.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum { RETRY_NS = 1000000000 };

/* As engine__tree_after(), for those who look for work: there is none when the engine closes.  (Whoever
 * releases the log must see every tree to the very end: N1.) */
static struct engine_tree *
work_after(struct engine *e, struct engine_tree *before)
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

static void
put_off(struct engine *e, struct engine_retry *retry, enum status failure)
{
    atomic_store(&retry->failure, (uint32_t)failure);
    atomic_store(&retry->at_ns, env_boot_ns(e->env) + RETRY_NS);
}

static bool
is_put_off(const struct engine *e, const struct engine_retry *retry)
{
    return env_boot_ns(e->env) < atomic_load(&retry->at_ns);
}

enum status
engine__put_off_by(const struct engine *e, enum engine_stall stall)
{
    const struct engine_retry *retry =
        stall == ENGINE_STALL_L0 ? &e->compact_retry : &e->flush_retry;

    return is_put_off(e, retry) ? (enum status)atomic_load(&retry->failure) : ST_OK;
}

/* On a full disk the log that is kept for followers goes first.  True: it has, and what failed is to be tried
 * once more.  On the FLUSH lane. */
static bool
give_back_log(struct engine *e, enum status st)
{
    struct err err;

    if (st != ST_NO_SPACE || !atomic_load(&e->log_is_kept))
        return false;
    atomic_store(&e->space_is_short, true);
    engine__release_log(e);
    st = wal_tend(e->log, &err);
    log_event(LOG_WARN, "space.followers_log_released", log_str("dir", e->dir),
              log_str("status", status_name(st)));
    return true;
}

/* Is there now what the job has failed for want of?  Then it is tried once more. */
static bool
make_room(struct engine *e, enum status st, const struct err *err)
{
    if (st == ST_NO_SPACE)
        return engine__spend_reserve(e);
    return readers_is_out_of_descriptors(st, err) && readers_free_descriptors(e->readers, e->env);
}

/* ------------------------------------------------------------------ flush */

/* Not after the log has failed: what it lost must not come into a table (N6). */
static bool
is_flush_due(struct engine *e)
{
    struct engine_tree *tree = NULL;
    bool due = false;

    if (wal_health(e->log) != ST_OK || atomic_load(&e->flushes_held))
        return false;
    while (!due && (tree = work_after(e, tree)) != NULL)
        due = lsm_flush_due(tree->lsm);
    engine__let_go(tree);
    return due;
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

/* N6.  What is sealed was written before; only its fsync may be missing. */
static enum status
make_log_durable(struct engine *e, struct err *err)
{
    return wal_durable(e->log) == wal_end(e->log) ? ST_OK : engine__flush_now(e, true, err);
}

static enum status
flush_tree(struct engine_tree *tree)
{
    struct engine *e = tree->engine;
    struct err err;
    enum status st = make_log_durable(e, &err);

    if (st == ST_OK) {
        st = lsm_flush(tree->lsm, &err);
        if (give_back_log(e, st))
            st = lsm_flush(tree->lsm, &err);
        if (make_room(e, st, &err))
            st = lsm_flush(tree->lsm, &err);
    }
    if (st == ST_OK) {
        engine__drop_floors(tree);
        return ST_OK;
    }
    if (st != ST_CLOSED) {
        log_event(LOG_ERROR, "flush.failed", log_u64("tree", tree->id), log_err(&err),
                  log_str("effect", "kept in memory and in the log; tried again in a second"));
        put_off(e, &e->flush_retry, st);
    }
    return st;
}

static enum status
flush_all_due(struct engine *e)
{
    struct engine_tree *tree = NULL;
    enum status st = ST_OK;

    while (st == ST_OK && (tree = work_after(e, tree)) != NULL) {
        while (st == ST_OK && !atomic_load(&tree->dropped) && lsm_flush_due(tree->lsm)) {
            st = flush_tree(tree);
            engine__notify(e); /* a stall may have ended */
        }
        if (st == ST_CLOSED && atomic_load(&tree->dropped))
            st = ST_OK; /* the others are not */
    }
    engine__let_go(tree);
    return st;
}

static enum status
tend_log(struct engine *e)
{
    struct err err;
    enum status st;

    if (e->recovering || wal_health(e->log) != ST_OK)
        return ST_OK;
    engine__release_log(e);
    if (!wal_wants_tending(e->log))
        return ST_OK;
    st = wal_tend(e->log, &err);
    if (give_back_log(e, st))
        st = wal_tend(e->log, &err);
    if (make_room(e, st, &err))
        st = wal_tend(e->log, &err);
    if (st != ST_OK) {
        log_event(LOG_ERROR, "log.tend_failed", log_str("dir", e->dir), log_err(&err),
                  log_str("effect", "writes wait for a log segment; tried again in a second"));
        put_off(e, &e->flush_retry, st);
    } else {
        atomic_store(&e->log_gone_before, wal_begin(e->log));
    }
    engine__notify(e);
    return st;
}

static bool
has_flush_work(struct engine *e)
{
    return is_flush_due(e) ||
           (!e->recovering && wal_health(e->log) == ST_OK && wal_wants_tending(e->log));
}

static void
flush_run(struct job *job)
{
    struct engine *e = container_of(job, struct engine, flush_job);
    enum status st = ST_OK;

    while (st == ST_OK && has_flush_work(e)) {
        st = tend_log(e);
        if (st == ST_OK || st == ST_NO_SPACE)
            st = flush_all_due(e);
        if (st == ST_OK)
            st = tend_log(e);
    }
    lock_take(&e->lock);
    e->flush_running = false;
    lock_drop(&e->lock);
    if (st == ST_OK)
        engine__schedule(e); /* compactions; and whatever became due since the last look */
    engine__end_job(e);
}

/* ------------------------------------------------------------------ compaction */

/* Held; NULL: nothing is due. */
static struct engine_tree *
most_urgent(struct engine *e)
{
    struct engine_tree *best = NULL;
    struct engine_tree *tree = NULL;
    double best_score = 0;

    while ((tree = work_after(e, tree)) != NULL) {
        double score = atomic_load(&tree->compaction_failed) ? 0 : lsm_compact_score(tree->lsm);

        if (score > best_score) {
            best_score = score;
            engine__let_go(best);
            best = engine__hold_tree(tree);
        }
    }
    return best;
}

static bool
is_compaction_due(struct engine *e)
{
    struct engine_tree *tree = most_urgent(e);

    engine__let_go(tree);
    return tree != NULL;
}

static void
sweep(struct engine_tree *tree)
{
    struct err err;

    if (lsm_sweep_due(tree->lsm) && lsm_sweep(tree->lsm, &err) != ST_OK)
        log_event(LOG_WARN, "sweep.failed", log_u64("tree", tree->id), log_err(&err));
}

/* False: stop for now. */
static bool
compact_tree(struct engine_tree *tree)
{
    struct engine *e = tree->engine;
    struct err err;
    enum status st = lsm_compact(tree->lsm, &err);

    if (make_room(e, st, &err))
        st = lsm_compact(tree->lsm, &err);
    sweep(tree);
    if (st == ST_CORRUPT) {
        atomic_store(&tree->compaction_failed, true);
        log_event(LOG_EMERGENCY, "compaction.damage", log_u64("tree", tree->id), log_err(&err),
                  log_str("effect", "its tables are kept as they are, and writes do not wait for "
                                    "fewer of them; run distkv check"));
    } else if (st != ST_OK && st != ST_NOT_FOUND) {
        if (st == ST_CLOSED && atomic_load(&tree->dropped))
            return true;
        if (st != ST_CLOSED) {
            log_event(LOG_ERROR, "compaction.failed", log_u64("tree", tree->id), log_err(&err),
                      log_str("effect", "tried again in a second"));
            put_off(e, &e->compact_retry, st);
        }
        return false;
    }
    engine__notify(e); /* a stall may have ended */
    return true;
}

static bool
is_turn_wanted(struct engine *e)
{
    bool wanted;

    lock_take(&e->lock);
    wanted = e->compact_waiters > 0;
    lock_drop(&e->lock);
    return wanted;
}

static void
end_compaction_turn(struct engine *e)
{
    lock_take(&e->lock);
    e->compact_running = false;
    lock_drop(&e->lock);
}

static void
compact_run(struct job *job)
{
    struct engine *e = container_of(job, struct engine, compact_job);
    struct engine_tree *tree;
    bool go_on = true;

    while (go_on && !is_turn_wanted(e) && (tree = most_urgent(e)) != NULL) {
        go_on = compact_tree(tree);
        engine__let_go(tree);
    }
    end_compaction_turn(e);
    engine__end_job(e);
}

/* ------------------------------------------------------------------ starting them */

/* What is claimed is counted in the same breath: after `closing` the count does not grow. */
static bool
claim_flush(struct engine *e)
{
    bool mine;

    lock_take(&e->lock);
    mine = !e->flush_running && !e->closing;
    if (mine) {
        e->flush_running = true;
        engine__begin_job(e);
    }
    lock_drop(&e->lock);
    return mine;
}

static bool
claim_compaction(struct engine *e, bool on_request)
{
    bool mine;

    lock_take(&e->lock);
    mine = !e->compact_running && !e->closing && !atomic_load(&e->ending) &&
           (on_request || e->compact_waiters == 0);
    if (mine) {
        e->compact_running = true;
        engine__begin_job(e);
    }
    lock_drop(&e->lock);
    return mine;
}

void
engine__schedule(struct engine *e)
{
    if (e->recovering)
        return;
    if (!is_put_off(e, &e->flush_retry) && has_flush_work(e) && claim_flush(e)) {
        e->flush_job = (struct job){ .run = flush_run };
        env_submit(e->env, ENV_LANE_FLUSH, &e->flush_job);
    }
    if (!is_put_off(e, &e->compact_retry) && is_compaction_due(e) && claim_compaction(e, false)) {
        e->compact_job = (struct job){ .run = compact_run };
        env_submit(e->env, ENV_LANE_COMPACT, &e->compact_job);
    }
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

/* ------------------------------------------------------------------ on request */

static enum status
why_not_flushed(const struct engine *e)
{
    enum status st = wal_health(e->log);

    if (st == ST_OK && atomic_load(&e->ending))
        st = ST_CLOSED;
    return st == ST_OK ? engine__put_off_by(e, ENGINE_STALL_MEMTABLES) : st;
}

/* Until the flush job has done with this tree, or has given up for now. */
enum status
engine_tree_flush(struct engine_tree *tree, struct err *err)
{
    struct engine *e = tree->engine;
    bool due = true;

    while (due) {
        enum status failure = why_not_flushed(e);

        if (failure != ST_OK)
            return err_raise(err, failure, "tree %016llx could not be flushed (%s)",
                             (unsigned long long)tree->id, status_name(failure));
        engine__schedule(e);
        gate_enter(e->idle);
        due = lsm_flush_due(tree->lsm);
        if (due && why_not_flushed(e) == ST_OK)
            gate_wait(e->idle);
        gate_leave(e->idle);
    }
    return ST_OK;
}

static void
want_turn(struct engine *e, bool wants)
{
    lock_take(&e->lock);
    e->compact_waiters += wants ? 1 : UINT32_MAX;
    lock_drop(&e->lock);
}

/* True: it is this caller's. */
static bool
await_compaction_turn(struct engine *e)
{
    bool mine;

    want_turn(e, true);
    gate_enter(e->idle);
    while (!(mine = claim_compaction(e, true)) && !atomic_load(&e->ending))
        gate_wait(e->idle);
    gate_leave(e->idle);
    want_turn(e, false);
    return mine;
}

enum status
engine_tree_compact_all(struct engine_tree *tree, struct lsm_compact_report *report,
                        struct err *err)
{
    struct engine *e = tree->engine;
    enum status st;

    if (!await_compaction_turn(e))
        return err_raise(err, ST_CLOSED, "shutting down");
    st = lsm_compact_all(tree->lsm, report, err);
    sweep(tree);
    end_compaction_turn(e);
    engine__schedule(e);
    engine__end_job(e);
    return st == ST_NOT_FOUND ? ST_OK : st;
}
