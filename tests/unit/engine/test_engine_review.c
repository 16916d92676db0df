/* The care of a data directory: what must end, what must be released, what must not be done twice. */
#include "unit/engine/store_fixture.h"
#include "unit/test.h"

enum { FILL_BYTES = 4000, SMALL_LOG_BYTES = 256 << 10 };

static void
begin(struct store_fix *f)
{
    store_create(f, test_seed(1));
    EXPECT_OK(store_open(f));
}

static void
finish(struct store_fix *f)
{
    store_close(f);
    store_destroy(f);
}

static struct dkv_family *
family(struct store_fix *f, const char *name)
{
    struct dkv_family *out = NULL;

    EXPECT(dkv_family_open(f->db, name, true, &out, &f->error) == DKV_OK);
    return out;
}

static void
fill(struct store_fix *f, struct dkv_family *to, int count)
{
    char key[16], value[FILL_BYTES];

    memset(value, 'x', sizeof(value));
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%05d", i);
        EXPECT(dkv_put(f->db, to, key, 6, value, sizeof(value), NULL, &f->error) == DKV_OK);
    }
}

/* ------------------------------------------------------------------ idle families */

/* Each far from full, together more than the memtables may take. */
static void
fill_families_in_turn(struct store_fix *f)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    struct engine_stats stats;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        fill(f, family(f, names[i]), 100);
    fill(f, family(f, "last"), 200);
    engine_stats(f->db->engine, &stats);
    EXPECT(stats.trees.flushes > 0);
    EXPECT(stats.trees.memtable_bytes < f->options.memory_budget_bytes / 2 + (1 << 20));
}

TEST(memory_that_idle_families_hold_is_flushed_for_the_others)
{
    struct store_fix f;

    store_create(&f, test_seed(2));
    f.options.memtable_bytes = 1 << 20;
    f.options.log_segment_bytes = 1 << 20;
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, fill_families_in_turn));
    finish(&f);
}

static void
fill_beside_an_idle_family(struct store_fix *f)
{
    struct dkv_family *idle = family(f, "idle");

    f->db->engine->options.log_bytes_max = SMALL_LOG_BYTES;
    EXPECT(store_put(f, idle, "k", "1") == DKV_OK);
    fill(f, NULL, 1000);
    EXPECT(wal_retained_bytes(f->db->engine->log) < 4 * SMALL_LOG_BYTES);
    EXPECT_STR(store_get(f, idle, NULL, "k"), "1");
}

TEST(one_entry_of_an_idle_family_does_not_hold_the_log_for_ever)
{
    struct store_fix f;

    begin(&f);
    EXPECT(store_run(&f, fill_beside_an_idle_family));
    finish(&f);
}

/* ------------------------------------------------------------------ ids of families */

static void
try_to_open_families(struct store_fix *f)
{
    static const char *const names[] = { "a", "b" };
    struct dkv_family *got;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)dkv_family_open(f->db, names[i], true, &got, &f->error);
}

static void
expect_distinct_ids(struct store_fix *f)
{
    struct dkv *db = f->db;

    EXPECT(store_put(f, family(f, "a"), "k", "in a") == DKV_OK);
    EXPECT(store_put(f, family(f, "b"), "k", "in b") == DKV_OK);
    EXPECT_STR(store_get(f, family(f, "a"), NULL, "k"), "in a");
    EXPECT_U64(db->family_count, 4);
    for (uint32_t i = 0; i < db->family_count; i++) {
        for (uint32_t j = 0; j < i; j++)
            EXPECT(db->families[i]->tree != db->families[j]->tree);
    }
}

TEST(no_two_families_share_a_tree_whichever_step_of_a_creation_fails)
{
    for (uint64_t nth = 1; nth <= 24; nth++) {
        struct store_fix f;

        begin(&f);
        sim_fail(f.w, STORE_NODE, SIM_OP_ALL & ~SIM_STAT, nth, false, ST_IO);
        EXPECT(store_run(&f, try_to_open_families));
        sim_fail(f.w, STORE_NODE, 0, 0, false, ST_IO);
        sim_kill(f.w, STORE_NODE);
        EXPECT_OK(store_open(&f));
        EXPECT(store_run(&f, expect_distinct_ids));
        finish(&f);
    }
}

/* The second step fails: the name is there, the tree is not. */
TEST(an_id_is_not_handed_out_again_after_a_creation_that_failed_half_way)
{
    struct store_fix f;

    begin(&f);
    sim_fail(f.w, STORE_NODE, SIM_MAKE_DIR | SIM_RENAME, 1, false, ST_IO);
    EXPECT(store_run(&f, try_to_open_families));
    sim_kill(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_distinct_ids));
    finish(&f);
}

/* ------------------------------------------------------------------ stalls and failures */

static void
pile_up_tables(struct store_fix *f)
{
    struct engine_tree *tree = f->db->families[1]->tree;
    struct lsm_stats stats = { 0 };

    atomic_store(&tree->compaction_failed, true);
    for (int i = 0; i < 25; i++) {
        EXPECT(store_put(f, NULL, "k", "1") == DKV_OK);
        EXPECT(dkv_flush(f->db, &f->error) == DKV_OK);
    }
    lsm_stats(tree->lsm, &stats);
    EXPECT_U64(stats.tables[0], 25);
    EXPECT(lsm_stall(tree->lsm) == LSM_STALL_L0);
}

TEST(writes_do_not_wait_for_a_compaction_that_damage_has_ended)
{
    struct store_fix f;

    begin(&f);
    EXPECT(store_run(&f, pile_up_tables));
    finish(&f);
}

static void
flush_after_the_log_failed(struct store_fix *f)
{
    EXPECT(store_put(f, NULL, "a", "1") == DKV_OK);
    EXPECT(store_put(f, NULL, "b", "1") == DKV_IO);
    EXPECT(dkv_flush(f->db, &f->error) == DKV_IO);
    env_sleep_ms(f->env, 3000);
    EXPECT(dkv_flush(f->db, &f->error) == DKV_IO);
    EXPECT_U64(lsm_flushed(f->db->families[1]->lsm).index, 0); /* N6 */
    EXPECT_STR(store_get(f, NULL, NULL, "a"), "1");
}

TEST(nothing_is_flushed_after_the_log_has_failed_and_a_flush_says_so)
{
    struct store_fix f;

    begin(&f);
    sim_fail(f.w, STORE_NODE, SIM_SYNC, 2, false, ST_IO);
    EXPECT(store_run(&f, flush_after_the_log_failed));
    sim_crash(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    finish(&f);
}

/* ------------------------------------------------------------------ the end */

static void
write_while_closing(struct store_fix *f)
{
    struct engine *e = f->db->engine;
    struct engine_tree *tree = f->db->families[1]->tree;

    fill(f, NULL, 10);
    engine_begin_close(e);
    EXPECT_ST(engine_tree_compact_all(tree, NULL, &f->err), ST_CLOSED);
    fill(f, NULL, 200); /* more than the log's spare segment, and several memtables */
    EXPECT(lsm_flush_due(tree->lsm));
    EXPECT_ST(engine_tree_flush(tree, &f->err), ST_CLOSED);
    EXPECT(!e->compact_running);
}

static void
expect_filled(struct store_fix *f)
{
    EXPECT_U64(strlen(store_get(f, NULL, NULL, "k00199")), FILL_BYTES);
}

TEST(when_the_end_has_begun_jobs_are_refused_and_the_log_goes_on)
{
    struct store_fix f;

    begin(&f);
    EXPECT(store_run(&f, write_while_closing));
    store_close(&f);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_filled));
    finish(&f);
}

/* ------------------------------------------------------------------ the reserve */

static void
spend(struct store_fix *f)
{
    struct engine *e = f->db->engine;

    EXPECT(e->reserve != NULL);
    EXPECT(engine__spend_reserve(e));
    EXPECT(!engine__spend_reserve(e));
    EXPECT(store_put(f, NULL, "k", "1") == DKV_NO_SPACE);
}

static void
expect_low(struct store_fix *f)
{
    EXPECT(f->db->engine->reserve == NULL);
    EXPECT(store_put(f, NULL, "k", "1") == DKV_NO_SPACE);
    EXPECT(store_delete(f, NULL, "k") == DKV_OK);
}

static void
expect_room(struct store_fix *f)
{
    EXPECT(f->db->engine->reserve != NULL);
    EXPECT(store_put(f, NULL, "k", "1") == DKV_OK);
}

TEST(a_reserve_that_was_spent_is_missed_until_it_is_made_again_also_by_the_next_process)
{
    struct store_fix f;

    begin(&f);
    sim_run_ms(f.w, 2500);
    store_close(&f);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_room)); /* found at once */
    sim_set_capacity(f.w, STORE_NODE, 40 << 20);
    EXPECT(store_run(&f, spend));
    sim_run_ms(f.w, 2500);
    EXPECT(store_run(&f, expect_low));
    store_close(&f);
    EXPECT_OK(store_open(&f));
    sim_run_ms(f.w, 2500);
    EXPECT(store_run(&f, expect_low));
    sim_set_capacity(f.w, STORE_NODE, 200 << 20);
    sim_run_ms(f.w, 2500);
    EXPECT(store_run(&f, expect_room));
    finish(&f);
}

/* Tables of L0 that nobody may merge yet. */
static void
pile_up_without_compaction(struct store_fix *f)
{
    atomic_store(&f->db->families[1]->tree->compaction_failed, true);
    for (int i = 0; i < 8; i++) {
        fill(f, NULL, 100);
        EXPECT(dkv_flush(f->db, &f->error) == DKV_OK);
    }
}

static void
compact_now(struct store_fix *f)
{
    struct engine_tree *tree = f->db->families[1]->tree;

    EXPECT(f->db->engine->reserve != NULL);
    atomic_store(&tree->compaction_failed, false);
    engine__schedule(f->db->engine);
    for (int i = 0; i < 100 && lsm_compact_score(tree->lsm) > 0; i++)
        env_sleep_ms(f->env, 100);
    EXPECT(lsm_compact_score(tree->lsm) == 0);
}

static void
add_blocks(void *ctx, const char *path, uint64_t size)
{
    (void)path;
    *(uint64_t *)ctx += (size + 4095) / 4096 * 4096;
}

static uint64_t
disk_used(struct store_fix *f)
{
    uint64_t used = 0;

    sim_disk_each(f->w, STORE_NODE, add_blocks, &used);
    return used;
}

TEST(a_compaction_that_meets_the_full_disk_spends_the_reserve)
{
    struct store_fix f;

    begin(&f);
    EXPECT(store_run(&f, pile_up_without_compaction));
    sim_run_ms(f.w, 2500);
    sim_set_capacity(f.w, STORE_NODE, disk_used(&f));
    EXPECT(store_run(&f, compact_now));
    EXPECT(f.db->engine->reserve == NULL);
    EXPECT(engine_space(f.db->engine) == ENGINE_SPACE_LOW);
    finish(&f);
}

static void
put_one(struct store_fix *f)
{
    EXPECT(store_put(f, NULL, "k", "1") == DKV_OK);
}

TEST(a_disk_that_never_had_room_for_a_reserve_takes_writes_after_a_restart)
{
    struct store_fix f;

    store_create(&f, test_seed(3));
    sim_set_capacity(f.w, STORE_NODE, 20 << 20);
    EXPECT_OK(store_open(&f));
    for (int i = 0; i < 2; i++) {
        sim_run_ms(f.w, 2500);
        EXPECT(store_run(&f, put_one));
        store_close(&f);
        EXPECT_OK(store_open(&f));
    }
    finish(&f);
}

TEST_MAIN(RUN(memory_that_idle_families_hold_is_flushed_for_the_others),
          RUN(one_entry_of_an_idle_family_does_not_hold_the_log_for_ever),
          RUN(no_two_families_share_a_tree_whichever_step_of_a_creation_fails),
          RUN(an_id_is_not_handed_out_again_after_a_creation_that_failed_half_way),
          RUN(writes_do_not_wait_for_a_compaction_that_damage_has_ended),
          RUN(nothing_is_flushed_after_the_log_has_failed_and_a_flush_says_so),
          RUN(when_the_end_has_begun_jobs_are_refused_and_the_log_goes_on),
          RUN(a_reserve_that_was_spent_is_missed_until_it_is_made_again_also_by_the_next_process),
          RUN(a_compaction_that_meets_the_full_disk_spends_the_reserve),
          RUN(a_disk_that_never_had_room_for_a_reserve_takes_writes_after_a_restart))
