/*
 * The compaction job: the most urgent tree's compaction, one after the other, while any is due.
 *
 * There is one turn for the whole data directory.  Whoever asks for a compaction of a whole tree waits
 * for it, on the calling thread, and the job, which works on nobody's request, gives way.
 */
#include "base/log.h"

#include "engine/engine_internal.h"

/* Held; NULL: nothing is due. */
static struct engine_tree *
most_urgent(struct engine *e)
{
    struct engine_tree *best = NULL;
    struct engine_tree *tree = NULL;
    double best_score = 0;

    while ((tree = engine__work_after(e, tree)) != NULL) {
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

    if (engine__make_room(e, st, &err))
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
            engine__put_off(e, &e->compact_retry, st);
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

/* ------------------------------------------------------------------ starting it */

/* Counted in the same breath: after `closing` the count does not grow. */
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
engine__compact_if_due(struct engine *e)
{
    if (!engine__is_put_off(e, &e->compact_retry) && is_compaction_due(e) &&
        claim_compaction(e, false)) {
        e->compact_job = (struct job){ .run = compact_run };
        env_submit(e->env, ENV_LANE_COMPACT, &e->compact_job);
    }
}

/* ------------------------------------------------------------------ on request */

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
