/*
 * The engine's heartbeat, every ENGINE_TICK_MS: the interval's fsync, the
 * watermark of an idle log, the share of the memtables, the space monitor,
 * memory that the caches have left.
 * On loop 0; without loops, on a job of its own that sleeps.
 */
#include "base/log.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum {
    MONITOR_EVERY_NS = 1000000000,
    STILL_NS = 2000000000, /* the log has not moved for so long: what is in the trees is known */
    STILL_TREES_NS = 1000000000, /* and they are looked at so often; there may be thousands */
    NS_PER_MS = 1000000,
    TRIM_BYTES = 8 << 20,
};

static void
sync_if_due(struct engine *e, uint64_t now_ns)
{
    if (now_ns - e->last_sync_ns < (uint64_t)e->options.sync_interval_ms * NS_PER_MS)
        return;
    e->last_sync_ns = now_ns;
    if (atomic_exchange(&e->interval_dirty, false))
        engine_flush(e, true);
}

/* Two ticks without a record, and everything durable: say so in the log (P5). */
static void
mark_if_idle(struct engine *e)
{
    wal_position end = wal_end(e->log);

    if (end == e->last_end && wal_durable(e->log) == end && wal_wants_mark(e->log) &&
        wal_mark(e->log, NULL) == ST_OK)
        engine_flush(e, true);
}

/* Note where the log is, and say whether all trees are to be looked at. */
static bool
are_trees_due(struct engine *e, uint64_t now_ns)
{
    wal_position end = wal_end(e->log);

    if (end != e->last_end)
        e->last_moved_ns = now_ns;
    e->last_end = end;
    if (now_ns - e->last_moved_ns >= STILL_NS && now_ns - e->last_trees_ns < STILL_TREES_NS)
        return false;
    e->last_trees_ns = now_ns;
    return true;
}

struct sum {
    uint64_t bytes;
    uint64_t largest_bytes;
    struct engine_tree *largest; /* held */
};

static void
add_memtables(void *ctx, struct engine_tree *tree)
{
    struct lsm_stats stats = { 0 };
    struct sum *sum = ctx;

    lsm_stats(tree->lsm, &stats);
    sum->bytes += stats.memtable_bytes;
    if (stats.sealed_count == 0 && stats.memtable_bytes > sum->largest_bytes) {
        sum->largest_bytes = stats.memtable_bytes;
        engine__let_go(sum->largest);
        sum->largest = engine__hold_tree(tree);
    }
}

static void
watch_memtables(struct engine *e)
{
    struct sum sum = { 0 };
    size_t share = engine__memtable_share(e);
    bool stalled = atomic_load(&e->memtable_bytes) > share;
    bool seal;

    engine_each_tree(e, add_memtables, &sum);
    atomic_store(&e->memtable_bytes, sum.bytes);
    seal = sum.bytes > share / 5 * 4 && sum.largest != NULL;
    if (seal)
        engine__ask_for_seal(sum.largest);
    engine__let_go(sum.largest);
    if (seal || (stalled && sum.bytes <= share))
        engine__notify(e); /* the owner may be idle, or wait for the end of the stall */
}

static void
monitor_run(struct job *job)
{
    struct engine *e = container_of(job, struct engine, monitor_job);

    engine__monitor(e);
    atomic_store(&e->monitor_running, false);
    engine__end_job(e);
}

static void
monitor_if_due(struct engine *e, uint64_t now_ns)
{
    if (now_ns - e->last_monitor_ns < MONITOR_EVERY_NS ||
        atomic_exchange(&e->monitor_running, true))
        return;
    e->last_monitor_ns = now_ns;
    e->monitor_job = (struct job){ .run = monitor_run };
    engine__begin_job(e);
    env_submit(e->env, ENV_LANE_FLUSH, &e->monitor_job);
}

static void
trim_run(struct job *job)
{
    struct engine *e = container_of(job, struct engine, trim_job);

    mem_trim();
    atomic_store(&e->trimming, false);
    engine__end_job(e);
}

/* Where caches have made room for large things, small blocks have left holes that are of no use to those:
 * the room would be taken twice (P6). */
static void
trim_if_due(struct engine *e)
{
    size_t bytes = cache_bytes(e->blocks) + record_cache_bytes(e->records);

    if (bytes > e->elastic_bytes)
        e->elastic_bytes = bytes;
    if (e->elastic_bytes - bytes < TRIM_BYTES || atomic_exchange(&e->trimming, true))
        return;
    e->elastic_bytes = bytes;
    e->trim_job = (struct job){ .run = trim_run };
    engine__begin_job(e);
    env_submit(e->env, ENV_LANE_READ, &e->trim_job);
}

static void
tick(struct engine *e)
{
    uint64_t now_ns = env_boot_ns(e->env);

    sync_if_due(e, now_ns);
    if (wal_health(e->log) == ST_OK)
        mark_if_idle(e);
    if (are_trees_due(e, now_ns)) {
        watch_memtables(e);
        engine__schedule(e); /* what was put off after a failure, and compactions that waited */
    }
    monitor_if_due(e, now_ns);
    trim_if_due(e);
    epoch_reclaim(&e->epoch);
}

static uint32_t
period_ms(const struct engine *e)
{
    return e->options.sync_interval_ms < ENGINE_TICK_MS ? e->options.sync_interval_ms
                                                        : ENGINE_TICK_MS;
}

static void
on_timer(void *ctx)
{
    struct engine *e = ctx;

    tick(e);
    timer_start(e->tick_timer, period_ms(e));
}

static void
ticker_run(struct job *job)
{
    struct engine *e = container_of(job, struct engine, ticker);

    while (atomic_load(&e->ticking)) {
        tick(e);
        env_sleep_ms(e->env, period_ms(e));
    }
    engine__end_job(e);
}

enum status
engine__start_ticking(struct engine *e, struct err *err)
{
    enum status st = ST_OK;

    e->last_sync_ns = env_boot_ns(e->env);
    if (e->options.loop_count > 0) {
        st = timer_create_on(e->options.loops[0], on_timer, e, &e->tick_timer);
        if (st == ST_OK)
            timer_start(e->tick_timer, period_ms(e));
        else
            st = err_raise(err, st, "%s: out of memory", e->dir);
        return st;
    }
    atomic_store(&e->ticking, true);
    e->ticker = (struct job){ .run = ticker_run };
    engine__begin_job(e);
    env_submit(e->env, ENV_LANE_READ, &e->ticker);
    return ST_OK;
}

void
engine__stop_ticking(struct engine *e)
{
    atomic_store(&e->ticking, false);
    timer_destroy(e->tick_timer);
    e->tick_timer = NULL;
}
