/*
 * Driving the log: one flush at a time, on the log's own thread.
 *
 *      engine_append ──> wal (gathers) ──engine_flush──> log_run: wal_flush, while there is more
 *                                                           └──> listeners, on their loops
 *
 * A batch gathers during a round of its reactor, and while the flush before it runs: group commit
 * without a timer.
 */
#include "base/log.h"

#include "base/assert.h"

#include "engine/engine_internal.h"

enum { ROOM_POLL_MS = 10 };

static void
listener_task(struct task *task)
{
    struct engine_listener *l = container_of(task, struct engine_listener, task);

    atomic_store(&l->posted, false); /* before the call: what moves meanwhile posts again */
    l->moved(l->ctx);
}

void
engine_listen(struct engine *e, struct engine_listener *listener)
{
    listener->task.run = listener_task;
    atomic_init(&listener->posted, false);
    atomic_init(&listener->awaits_log, true);
    lock_take(&e->lock); /* against another one; whoever walks takes no lock */
    listener->next = atomic_load(&e->listeners);
    atomic_store(&e->listeners, listener);
    lock_drop(&e->lock);
}

static void
call(struct engine_listener *l)
{
    if (!atomic_exchange(&l->posted, true))
        loop_post(l->loop, &l->task);
}

void
engine__notify(struct engine *e)
{
    for (struct engine_listener *l = atomic_load(&e->listeners); l != NULL; l = l->next)
        call(l);
    gate_wake(e->idle);
}

/* Waking a loop costs more than a write: only those whose entries are in the log. */
static void
notify_who_awaits(struct engine *e)
{
    for (struct engine_listener *l = atomic_load(&e->listeners); l != NULL; l = l->next) {
        if (atomic_exchange(&l->awaits_log, false))
            call(l);
    }
    gate_wake(e->idle);
}

static bool
take_sync_wanted(struct engine *e)
{
    bool wanted;

    lock_take(&e->lock);
    wanted = e->sync_wanted;
    e->sync_wanted = false;
    lock_drop(&e->lock);
    return wanted;
}

/* True: everything is written, and `log_running` is off again. */
static bool
may_rest(struct engine *e, enum status st)
{
    bool rest;

    lock_take(&e->lock);
    rest = st != ST_OK || (wal_written(e->log) == wal_end(e->log) && !e->sync_wanted);
    if (rest)
        e->log_running = false;
    lock_drop(&e->lock);
    return rest;
}

static enum status
flush_once(struct engine *e, bool sync, struct err *err)
{
    enum status st = wal_flush(e->log, sync, err);

    if (st != ST_OK)
        log_event(LOG_EMERGENCY, "log.failed", log_str("dir", e->dir), log_err(err),
                  log_str("effect", "no write is accepted until a restart"));
    return st;
}

static void
log_run(struct job *job)
{
    struct engine *e = container_of(job, struct engine, log_job);
    struct err err;
    enum status st;

    do {
        st = flush_once(e, take_sync_wanted(e), &err);
        if (st == ST_OK)
            notify_who_awaits(e);
        else
            engine__notify(e);
    } while (!may_rest(e, st));
    engine__end_job(e);
}

static void
submit_log_job(struct engine *e)
{
    e->log_job = (struct job){ .run = log_run };
    engine__begin_job(e);
    env_submit(e->env, ENV_LANE_LOG, &e->log_job);
}

static bool
claim_log(struct engine *e)
{
    bool mine;

    lock_take(&e->lock);
    mine = !e->log_running;
    if (mine)
        e->log_running = true;
    lock_drop(&e->lock);
    return mine;
}

void
engine_flush(struct engine *e, bool sync)
{
    if (sync) {
        lock_take(&e->lock);
        e->sync_wanted = true;
        lock_drop(&e->lock);
    }
    if (wal_health(e->log) == ST_OK && claim_log(e))
        submit_log_job(e);
}

enum status
engine__flush_now(struct engine *e, bool sync, struct err *err)
{
    enum status st;

    if (!claim_log(e)) {
        gate_enter(e->idle);
        while (!claim_log(e))
            gate_wait(e->idle);
        gate_leave(e->idle);
    }
    st = flush_once(e, sync, err);
    if (!may_rest(e, st))
        submit_log_job(e); /* somebody wants more than we do; the turn goes with it */
    engine__notify(e);     /* others may wait for the turn, or for what was written */
    return st;
}

enum status
engine_make_room(struct engine *e, struct err *err)
{
    bool gathered = wal_written(e->log) < wal_end(e->log);
    enum status st = engine__flush_now(e, false, err);
    bool waits;

    if (st != ST_OK || gathered)
        return st;
    st = engine__put_off_by(e, ENGINE_STALL_LOG);
    if (st != ST_OK)
        return err_raise(err, st, "%s: no room in the log, and none can be made now (%s)", e->dir,
                         status_name(st));
    engine__release_log(e);
    engine__schedule(e);
    gate_enter(e->idle);
    waits = wal_wants_tending(e->log);
    if (waits)
        gate_wait(e->idle);
    gate_leave(e->idle);
    if (!waits) /* made meanwhile, or a memtable holds the log, and its owner is asked to seal it */
        env_sleep_ms(e->env, ROOM_POLL_MS);
    return ST_OK;
}

/* Somebody waits for room: what is gathered goes out, and a fresh segment comes. */
static void
make_way(struct engine *e)
{
    if (wal_written(e->log) < wal_end(e->log))
        engine_flush(e, false);
    if (wal_wants_tending(e->log))
        engine__schedule(e);
}

enum status
engine_append(struct engine_tree *tree, const struct wal_record *record,
              enum engine_sync_class sync, wal_position *end, struct err *err)
{
    struct engine *e = tree->engine;
    struct wal_record named = *record;
    bool entry = record->type == WAL_ENTRY;
    enum status st;

    ASSERT(record->tablet == tree->id);
    named.tablet = tree->log; /* N8 */
    if (entry)
        atomic_fetch_add(&tree->in_flight, 1); /* before the append: N1 */
    st = wal_append(e->log, &named, end, err);
    if (st != ST_OK) {
        if (entry)
            atomic_fetch_sub(&tree->in_flight, 1);
        if (st == ST_BUSY)
            make_way(e);
        return st;
    }
    if (sync == ENGINE_SYNC_INTERVAL)
        atomic_store_explicit(&e->interval_dirty, true, memory_order_relaxed);
    return ST_OK;
}

wal_position
engine_log_end(const struct engine *e)
{
    return wal_end(e->log);
}

wal_position
engine_log_begin(const struct engine *e)
{
    return wal_begin(e->log);
}

wal_position
engine_written(const struct engine *e)
{
    return wal_written(e->log);
}

wal_position
engine_durable(const struct engine *e)
{
    return wal_durable(e->log);
}

void
engine_log_count(const struct engine *e, struct wal_counters *out)
{
    *out = (struct wal_counters){ 0 };
    if (e->log != NULL)
        wal_count(e->log, out);
}

enum status
engine_log_health(const struct engine *e)
{
    return e->log == NULL ? ST_OK : wal_health(e->log);
}

enum status
engine_sync(struct engine *e, struct err *err)
{
    wal_position target = wal_end(e->log);

    engine_flush(e, true);
    gate_enter(e->idle);
    while (wal_durable(e->log) < target && wal_health(e->log) == ST_OK)
        gate_wait(e->idle);
    gate_leave(e->idle);
    if (wal_durable(e->log) >= target)
        return ST_OK;
    return err_raise(err, wal_health(e->log), "%s: the log has failed", e->dir);
}
