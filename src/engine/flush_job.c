/*
 * The flush job: what is sealed becomes a table, and the log gives up what no memtable needs any more.
 *
 * It goes on while any tree has a memtable to flush or the log wants tending, and puts itself off for
 * a while after a failure.  N6 is kept here: nothing becomes a table that the log has not durably.
 */
#include "base/log.h"

#include "engine/engine_internal.h"

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

/* Not after the log has failed: what it lost must not come into a table (N6). */
static bool
is_flush_due(struct engine *e)
{
    struct engine_tree *tree = NULL;
    bool due = false;

    if (wal_health(e->log) != ST_OK || atomic_load(&e->flushes_held))
        return false;
    while (!due && (tree = engine__work_after(e, tree)) != NULL)
        due = lsm_flush_due(tree->lsm);
    engine__let_go(tree);
    return due;
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
        if (engine__make_room(e, st, &err))
            st = lsm_flush(tree->lsm, &err);
    }
    if (st == ST_OK) {
        engine__drop_floors(tree);
        return ST_OK;
    }
    if (st != ST_CLOSED) {
        log_event(LOG_ERROR, "flush.failed", log_u64("tree", tree->id), log_err(&err),
                  log_str("effect", "kept in memory and in the log; tried again in a second"));
        engine__put_off(e, &e->flush_retry, st);
    }
    return st;
}

static enum status
flush_all_due(struct engine *e)
{
    struct engine_tree *tree = NULL;
    enum status st = ST_OK;

    while (st == ST_OK && (tree = engine__work_after(e, tree)) != NULL) {
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
    if (engine__make_room(e, st, &err))
        st = wal_tend(e->log, &err);
    if (st != ST_OK) {
        log_event(LOG_ERROR, "log.tend_failed", log_str("dir", e->dir), log_err(&err),
                  log_str("effect", "writes wait for a log segment; tried again in a second"));
        engine__put_off(e, &e->flush_retry, st);
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

/* ------------------------------------------------------------------ starting it */

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

void
engine__flush_if_due(struct engine *e)
{
    if (!engine__is_put_off(e, &e->flush_retry) && has_flush_work(e) && claim_flush(e)) {
        e->flush_job = (struct job){ .run = flush_run };
        env_submit(e->env, ENV_LANE_FLUSH, &e->flush_job);
    }
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
