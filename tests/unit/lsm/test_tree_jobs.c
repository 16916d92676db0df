/*
 * Tests of jobs that run beside the owner, and beside each other.
 *
 * The jobs are fibers of the simulated node, and its disk is slow; the owner,
 * on the test's stack, comes between them after any number of milliseconds.
 */
#include "unit/lsm/tree_fixture.h"

enum { SLOW_US = 2000, OFFSETS_MS = 60, LIMIT_MS = 60000 };

struct background {
    struct job job;
    struct fix *f;
    enum status st;
    bool over;
};

static void
run_flush(struct job *job)
{
    struct background *b = container_of(job, struct background, job);
    struct err err;

    b->st = lsm_flush(b->f->tree, &err);
    b->over = true;
}

static void
run_compact(struct job *job)
{
    struct background *b = container_of(job, struct background, job);
    struct err err;

    b->st = lsm_compact(b->f->tree, &err);
    b->over = true;
}

/* Read key 1, which is in a table. */
static void
run_get(struct job *job)
{
    struct background *b = container_of(job, struct background, job);
    char room[MODEL_KEY_BYTES];
    struct lsm_found found;
    struct err err;

    b->st = lsm_get(b->f->tree, model_key(1, room), VERSION_MAX, &found, &err);
    lsm_found_release(&found);
    b->over = true;
}

static void
begin(struct background *b, struct fix *f, enum env_lane lane, void (*run)(struct job *job))
{
    *b = (struct background){ .job = { .run = run }, .f = f };
    env_submit(f->env, lane, &b->job);
}

static void
finish(struct background *b)
{
    EXPECT(sim_run_until(b->f->world, &b->over, LIMIT_MS));
}

/* Flush all as a job: a compaction may be inside the gate. */
static void
flush_beside(struct fix *f)
{
    EXPECT_OK(lsm_switch(f->tree));
    while (lsm_flush_due(f->tree)) {
        struct background flush;

        begin(&flush, f, ENV_LANE_FLUSH, run_flush);
        finish(&flush);
        EXPECT_OK(flush.st);
    }
}

/* A tree with three tables in L0, so that a compaction is due, on a slow disk. */
static void
open_with_tables(struct fix *f, uint64_t seed)
{
    fix_init(f, seed);
    f->options.l0_trigger = 2;
    sim_set_disk_latency_us(f->world, NODE, SLOW_US);
    fix_open(f);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t key = 0; key < MODEL_KEYS; key += 2)
            fix_put(f, key + round % 2, 200);
        fix_flush(f);
    }
}

/* T8: the clear comes at any moment of a flush and a compaction that run side by side, and is
 * flushed while the compaction may still run. */
static void
clear_after(uint64_t ms)
{
    struct background flush, compact;
    struct fix f;

    open_with_tables(&f, ms);
    fix_put(&f, 3, 500);
    EXPECT_OK(lsm_switch(f.tree));
    begin(&flush, &f, ENV_LANE_FLUSH, run_flush);
    begin(&compact, &f, ENV_LANE_COMPACT, run_compact);
    sim_run_ms(f.world, ms);
    fix_clear(&f);
    fix_put(&f, 5, 10);
    fix_check(&f);
    finish(&flush);
    EXPECT_OK(flush.st);
    fix_check(&f);
    if (ms % 2 == 0)
        flush_beside(&f);
    finish(&compact);
    EXPECT(compact.st == ST_OK || compact.st == ST_NOT_FOUND);
    fix_check(&f);
    fix_flush(&f);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 1);
    fix_reopen(&f);
    fix_check(&f);
    fix_close(&f);
}

TEST(a_clear_makes_running_jobs_discard_their_work)
{
    for (uint64_t ms = 0; ms < OFFSETS_MS; ms++)
        clear_after(ms);
}

/* T9: what a slow reader brings from an old view must not stay in the record cache. */
TEST(a_slow_reader_does_not_leave_an_old_record_behind)
{
    for (uint64_t ms = 0; ms < 20; ms++) {
        struct background get;
        struct fix f;

        open_with_tables(&f, ms);
        begin(&get, &f, ENV_LANE_READ, run_get);
        sim_run_ms(f.world, ms);
        fix_put(&f, 1, 50);
        fix_flush(&f);
        finish(&get);
        EXPECT_OK(get.st);
        fix_check_key(&f, 1, VERSION_MAX);
        fix_close(&f);
    }
}

/* T4: the folder's sync of a flush fails while a compaction writes its outputs.  Their names may be
 * forgotten with it, although the compaction's own sync of the folder succeeds. */
static void
lose_names_after(uint64_t ms, uint32_t *discarded)
{
    struct background flush, compact;
    struct fix f;

    open_with_tables(&f, ms);
    fix_put(&f, 3, 500);
    EXPECT_OK(lsm_switch(f.tree));
    begin(&compact, &f, ENV_LANE_COMPACT, run_compact);
    sim_run_ms(f.world, ms);
    sim_fail(f.world, NODE, SIM_SYNC_DIR, 1, false, ST_IO);
    begin(&flush, &f, ENV_LANE_FLUSH, run_flush);
    finish(&flush);
    finish(&compact);
    EXPECT(flush.st == ST_OK || flush.st == ST_IO);
    EXPECT(compact.st == ST_OK || compact.st == ST_IO);
    *discarded += flush.st == ST_IO && compact.st == ST_IO; /* one sync failed, and took both */
    fix_check(&f);
    fix_leave(&f);
    sim_crash(f.world, NODE);
    fix_boot(&f);
    fix_open(&f);
    fix_check(&f);
    fix_close(&f);
}

TEST(outputs_whose_names_may_be_lost_are_not_recorded)
{
    uint32_t discarded = 0;

    for (uint64_t ms = 0; ms < OFFSETS_MS; ms++)
        lose_names_after(ms, &discarded);
    EXPECT(discarded > 0);
}

TEST(a_flush_beside_a_compaction_keeps_both_results)
{
    for (uint64_t ms = 0; ms < OFFSETS_MS; ms += 3) {
        struct background flush, compact;
        struct fix f;

        open_with_tables(&f, ms);
        begin(&compact, &f, ENV_LANE_COMPACT, run_compact);
        sim_run_ms(f.world, ms);
        fix_put(&f, 3, 500);
        EXPECT_OK(lsm_switch(f.tree));
        begin(&flush, &f, ENV_LANE_FLUSH, run_flush);
        finish(&flush);
        finish(&compact);
        EXPECT_OK(flush.st);
        EXPECT_OK(compact.st);
        EXPECT_U64(fix_stats(&f).compactions, 1);
        EXPECT_U64(fix_stats(&f).tables[0], 1);
        EXPECT_U64(lsm_flushed(f.tree).index, f.model.count);
        fix_check(&f);
        fix_reopen(&f);
        fix_check(&f);
        fix_close(&f);
    }
}

TEST(a_running_job_stops_soon_when_it_is_told_to)
{
    struct background compact;
    uint64_t begun;
    struct fix f;

    open_with_tables(&f, 1);
    begin(&compact, &f, ENV_LANE_COMPACT, run_compact);
    sim_run_ms(f.world, 2);
    EXPECT(!compact.over);
    begun = sim_now_ns(f.world);
    lsm_stop_jobs(f.tree);
    finish(&compact);
    EXPECT_ST(compact.st, ST_CLOSED);
    EXPECT(sim_now_ns(f.world) - begun < UINT64_C(1000000000));
    fix_check(&f);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 3);
    fix_close(&f);
}

/* A reactor that is inside the epoch while a job closes the tree. */
struct guest {
    struct job job;
    struct fix *f;
    struct epoch_slot slot;
    bool inside;
    bool over;
};

static void
run_guest(struct job *job)
{
    struct guest *g = container_of(job, struct guest, job);
    struct model_found want = model_find(&g->f->model, 1, VERSION_MAX);
    uint8_t value[MODEL_VALUE_BYTES];
    char room[MODEL_KEY_BYTES];
    struct lsm_found found;
    struct err err;

    epoch_enter(&g->f->epoch, &g->slot);
    EXPECT_OK(lsm_try_get(g->f->tree, model_key(1, room), VERSION_MAX, &found, &err));
    g->inside = true;
    env_sleep_ms(g->f->env, 20);
    EXPECT(slice_equal(found.entry.value, model_value(&want, value)));
    lsm_found_release(&found);
    epoch_leave(&g->f->epoch, &g->slot);
    g->over = true;
}

static void
close_tree(void *ctx)
{
    struct fix *f = ctx;

    lsm_close(f->tree);
    f->tree = NULL;
}

TEST(closing_waits_for_readers_who_still_look_at_the_tree)
{
    struct guest g = { .job = { .run = run_guest } };
    struct fix f;

    fix_init(&f, 1);
    fix_open(&f);
    fix_put(&f, 1, 500);
    g.f = &f;
    epoch_join(&f.epoch, &g.slot);
    env_submit(f.env, ENV_LANE_READ, &g.job);
    EXPECT(sim_run_until(f.world, &g.inside, LIMIT_MS));
    EXPECT(!g.over);
    EXPECT(sim_call(f.world, NODE, close_tree, &f));
    EXPECT(g.over);
    epoch_part(&f.epoch, &g.slot);
    fix_close(&f);
}

TEST_MAIN(RUN(a_clear_makes_running_jobs_discard_their_work),
          RUN(a_slow_reader_does_not_leave_an_old_record_behind),
          RUN(outputs_whose_names_may_be_lost_are_not_recorded),
          RUN(a_flush_beside_a_compaction_keeps_both_results),
          RUN(closing_waits_for_readers_who_still_look_at_the_tree),
          RUN(a_running_job_stops_soon_when_it_is_told_to))
