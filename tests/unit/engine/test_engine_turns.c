/*
 * What the engine's jobs and its callers do to one another: who has the turn, who waits for it,
 * and who is still there at the end.  The simulator draws the order, so each test is a campaign
 * over many of them.
 */
#include "base/log.h"

#include "unit/engine/store_fixture.h"
#include "unit/test.h"

enum { VALUE_BYTES = 4000, POISON = 0xa5 };

static void
finish(struct store_fix *f)
{
    store_close(f);
    store_destroy(f);
}

static void
fill(struct store_fix *f, struct dkv_family *to, int first, int count)
{
    static const struct dkv_write_options unsynced = { DKV_SYNC_NONE };
    char key[16], value[VALUE_BYTES];

    memset(value, 'x', sizeof(value));
    for (int i = first; i < first + count; i++) {
        snprintf(key, sizeof(key), "k%05d", i);
        EXPECT(dkv_put(f->db, to, key, 6, value, sizeof(value), &unsynced, &f->error) == DKV_OK);
    }
}

/* Another thread of the process, which does one thing beside the test's own. */
struct helper {
    struct job job;
    struct store_fix *f;
    void (*body)(struct store_fix *f);
    bool begun;
    bool done;
};

static void
helper_run(struct job *job)
{
    struct helper *h = container_of(job, struct helper, job);

    h->begun = true;
    h->body(h->f);
    h->done = true;
}

static void
start(struct helper *h, struct store_fix *f, void (*body)(struct store_fix *f))
{
    *h = (struct helper){ .job = { .run = helper_run }, .f = f, .body = body };
    env_submit(f->env, ENV_LANE_READ, &h->job);
}

static void
await(const struct helper *h)
{
    while (!h->done)
        env_sleep_ms(h->f->env, 1);
}

/* ------------------------------------------------------------------ the end of jobs (N7) */

static void
ask_for_any_compaction(struct store_fix *f)
{
    struct err err;
    enum status st = engine_tree_compact_all(f->db->families[1]->tree, NULL, &err);

    EXPECT(st == ST_OK || st == ST_CLOSED);
}

/* A request is not to be begun when the engine ends; but once it has the turn, it is a job. */
static void
await_turn_of(const struct helper *h)
{
    while (!h->done && (!h->begun || h->f->db->engine->compact_waiters > 0))
        env_sleep_ms(h->f->env, 0);
}

/* The ticker sleeps, so it would always be the last; it goes first. */
static void
leave_jobs_behind(struct store_fix *f, struct helper *helper)
{
    struct prng *p = sim_prng(f->w);

    fill(f, NULL, 0, 16 * (1 + (int)prng_below(p, 4)));
    if (prng_chance(p, 1, 2))
        env_sleep_ms(f->env, (uint32_t)prng_below(p, 2500)); /* for the monitor to be under way */
    atomic_store(&f->db->engine->ticking, false);
    env_sleep_ms(f->env, 2 * ENGINE_TICK_MS);
    fill(f, NULL, 0, 16 * (1 + (int)prng_below(p, 4)));
    if (prng_chance(p, 1, 2))
        engine_flush(f->db->engine, true);
    if (prng_chance(p, 1, 4))
        EXPECT(dkv_flush(f->db, &f->error) == DKV_OK);
    if (prng_chance(p, 1, 2))
        start(helper, f, ask_for_any_compaction);
    if (prng_chance(p, 1, 4))
        env_sleep_ms(f->env, 1);
    await_turn_of(helper);
}

/* Whoever has ended the jobs may take the engine apart: here it is overwritten, so that a job which
 * looks at it falls over, and one that writes to it is found out. */
static void
end_and_poison(struct store_fix *f)
{
    struct helper helper = { .f = f, .done = true };
    struct engine *e = f->db->engine;
    struct engine saved, poisoned;

    leave_jobs_behind(f, &helper);
    engine_quiesce(e);
    memcpy(&saved, e, sizeof(saved));
    memset(&poisoned, POISON, sizeof(poisoned));
    memcpy(e, &poisoned, sizeof(poisoned));
    env_sleep_ms(f->env, 2000);
    await(&helper);
    EXPECT(memcmp(e, &poisoned, sizeof(poisoned)) == 0);
    memcpy(e, &saved, sizeof(saved));
}

TEST(nothing_touches_the_engine_after_its_end)
{
    static const uint32_t latencies_us[] = { 0, 50, 150 * 1000 };
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 300; i++) {
        struct store_fix f;

        store_create(&f, seed + i);
        f.options.level_base_bytes = 64 << 10;
        EXPECT_OK(store_open(&f));
        sim_set_disk_latency_us(f.w, STORE_NODE, latencies_us[i % 3]);
        EXPECT(store_run(&f, end_and_poison));
        finish(&f);
    }
}

/* ------------------------------------------------------------------ the turn to compact */

static uint64_t
compactions_of(const struct dkv_family *family)
{
    struct lsm_stats stats = { 0 };

    lsm_stats(family->lsm, &stats);
    return stats.compactions;
}

/* Tables that nobody may compact yet, worth many compactions. */
static void
pile_up(struct store_fix *f, struct dkv_family *busy)
{
    atomic_store(&busy->tree->compaction_failed, true);
    for (int i = 0; i < 24; i++) {
        fill(f, busy, i * 97 % 500, 15);
        EXPECT(dkv_flush(f->db, &f->error) == DKV_OK);
    }
    atomic_store(&busy->tree->compaction_failed, false);
}

/* The ticker, flushes and writers do so, too, and may come in between. */
static void
schedule_all_the_time(struct store_fix *f)
{
    bool *over = f->ctx;

    while (!*over) {
        engine__schedule(f->db->engine);
        env_sleep_ms(f->env, 0);
    }
}

static void
compact_beside_a_backlog(struct store_fix *f)
{
    struct dkv_family *busy = NULL, *small = NULL;
    struct helper hurry;
    bool over = false;
    uint64_t before;

    EXPECT(dkv_family_open(f->db, "busy", true, &busy, &f->error) == DKV_OK);
    EXPECT(dkv_family_open(f->db, "small", true, &small, &f->error) == DKV_OK);
    fill(f, small, 0, 1);
    pile_up(f, busy);
    before = compactions_of(busy);
    f->ctx = &over;
    start(&hurry, f, schedule_all_the_time);
    EXPECT(dkv_compact(f->db, small, &f->error) == DKV_OK);
    EXPECT(compactions_of(busy) - before <= 2); /* the one that had begun; and one after our turn */
    while (lsm_compact_score(busy->lsm) > 0)
        env_sleep_ms(f->env, 10);
    EXPECT(compactions_of(busy) - before >= 5); /* it was a backlog */
    over = true;
    await(&hurry);
}

TEST(who_asks_for_a_compaction_does_not_wait_for_the_backlog_of_others)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 10; i++) {
        struct store_fix f;

        store_create(&f, seed + i);
        f.options.level_base_bytes = 64 << 10;
        EXPECT_OK(store_open(&f));
        f.db->engine->options.trees.table_bytes = 64 << 10;
        EXPECT(store_run(&f, compact_beside_a_backlog));
        finish(&f);
    }
}

static void
ask_for_a_compaction(struct store_fix *f)
{
    struct err err;

    EXPECT_ST(engine_tree_compact_all(f->db->families[1]->tree, NULL, &err), ST_CLOSED);
}

static void
set_turn(struct engine *e, bool taken)
{
    lock_take(&e->lock);
    e->compact_running = taken;
    lock_drop(&e->lock);
}

static void
close_while_they_wait(struct store_fix *f)
{
    struct engine *e = f->db->engine;
    struct helper waiters[2];

    set_turn(e, true); /* somebody's, who does not end before we do */
    start(&waiters[0], f, ask_for_a_compaction);
    start(&waiters[1], f, ask_for_a_compaction);
    env_sleep_ms(f->env, 500);
    EXPECT(!waiters[0].done && !waiters[1].done);
    EXPECT_U64(e->compact_waiters, 2);
    engine_begin_close(e);
    await(&waiters[0]);
    await(&waiters[1]);
    EXPECT_U64(e->compact_waiters, 0);
    set_turn(e, false);
}

TEST(who_waits_for_the_turn_to_compact_is_told_when_the_end_begins)
{
    struct store_fix f;

    store_create(&f, test_seed(1));
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, close_while_they_wait));
    finish(&f);
}

/* ------------------------------------------------------------------ families of a snapshot */

enum { FAMILIES = 100 };

static void
name_family(int number, char out[16])
{
    snprintf(out, 16, "f%03d", number);
}

/* Each family is made, and its first write is one batch with the default family's. */
static void
make_families(struct store_fix *f)
{
    struct dkv_batch *b = dkv_batch_create();
    struct dkv_family *made = NULL;
    char name[16];

    for (int i = 0; i < FAMILIES; i++) {
        name_family(i, name);
        EXPECT(dkv_family_open(f->db, name, true, &made, NULL) == DKV_OK);
        dkv_batch_clear(b);
        EXPECT(dkv_batch_put(b, NULL, name, 4, "1", 1, NULL) == DKV_OK);
        EXPECT(dkv_batch_put(b, made, "k", 1, "1", 1, NULL) == DKV_OK);
        EXPECT(dkv_write(f->db, b, NULL, NULL) == DKV_OK);
    }
    dkv_batch_destroy(b);
}

/* Of the newest family that the snapshot's default family names, the write is there, too. */
static void
expect_whole(struct store_fix *f, const struct dkv_snapshot *snapshot)
{
    struct dkv_family *named = NULL;
    struct dkv_iter *it = NULL;
    char name[STORE_NAME_MAX] = "";
    size_t size = 0;

    EXPECT(dkv_iter_create(f->db, NULL, snapshot, &it, &f->error) == DKV_OK);
    dkv_iter_last(it);
    if (dkv_iter_valid(it)) {
        memcpy(name, dkv_iter_key(it, &size), 4);
        EXPECT(dkv_family_open(f->db, name, false, &named, &f->error) == DKV_OK);
        EXPECT_STR(store_list(f, named, snapshot, false), "k=1");
    }
    dkv_iter_destroy(it);
}

/* Its turns are long: it fills memtables and segments, and waits for room in them. */
static void
write_all_the_time(struct store_fix *f)
{
    struct dkv_family *noise = NULL;
    bool *over = f->ctx;

    EXPECT(dkv_family_open(f->db, "noise", true, &noise, NULL) == DKV_OK);
    for (int i = 0; !*over; i++)
        fill(f, noise, i % 100, 1);
}

static void
take_snapshots_meanwhile(struct store_fix *f)
{
    struct helper maker, writer;
    bool over = false;

    f->ctx = &over;
    start(&maker, f, make_families);
    start(&writer, f, write_all_the_time);
    while (!maker.done) {
        struct dkv_snapshot *snapshot;

        env_sleep_ms(f->env, 0); /* time passes only in calls to env */
        snapshot = dkv_snapshot_take(f->db);
        assert_non_null(snapshot);
        expect_whole(f, snapshot);
        dkv_snapshot_release(f->db, snapshot);
    }
    over = true;
    await(&writer);
}

TEST(a_snapshot_that_shows_a_write_shows_it_in_families_made_while_it_was_taken)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 10; i++) {
        struct store_fix f;

        store_create(&f, seed + i);
        EXPECT_OK(store_open(&f));
        sim_set_disk_latency_us(f.w, STORE_NODE, i % 2 == 0 ? 0 : 50);
        EXPECT(store_run(&f, take_snapshots_meanwhile));
        finish(&f);
    }
}

QUIET_TEST_MAIN(RUN(nothing_touches_the_engine_after_its_end),
                RUN(who_asks_for_a_compaction_does_not_wait_for_the_backlog_of_others),
                RUN(who_waits_for_the_turn_to_compact_is_told_when_the_end_begins),
                RUN(a_snapshot_that_shows_a_write_shows_it_in_families_made_while_it_was_taken))
