/* Tests of the tree's contract (lsm/lsm.h): units, visibility, switches and flushes.  The
 * world is simulated; see tree_fixture.h. */
#include "unit/lsm/tree_fixture.h"

static enum status
get(struct fix *f, uint32_t key, version_t snapshot)
{
    char room[MODEL_KEY_BYTES];
    struct lsm_found found;
    enum status st;

    st = lsm_get(f->tree, model_key(key, room), snapshot, &found, &f->err);
    lsm_found_release(&found);
    return st;
}

static enum status
try_get(struct fix *f, uint32_t key)
{
    char room[MODEL_KEY_BYTES];
    struct lsm_found found;
    enum status st;

    epoch_enter(&f->epoch, &f->slot);
    st = lsm_try_get(f->tree, model_key(key, room), VERSION_MAX, &found, &f->err);
    lsm_found_release(&found);
    epoch_leave(&f->epoch, &f->slot);
    return st;
}

/* ------------------------------------------------------------------ opening */

TEST(a_tree_is_made_only_when_that_is_asked_for)
{
    struct fix f;

    fix_init(&f, 1);
    fix_enter(&f);
    f.shared.blocks = cache_create(1 << 20, &f.budget);
    EXPECT_ST(lsm_open(&f.tree, &f.shared, TREE_ID, "tree", &f.options, false, &f.err),
              ST_NOT_FOUND);
    EXPECT(f.tree == NULL);
    EXPECT_OK(lsm_open(&f.tree, &f.shared, TREE_ID, "tree", &f.options, true, &f.err));
    EXPECT_U64(lsm_id(f.tree), TREE_ID);
    EXPECT_U64(lsm_flushed(f.tree).index, 0);
    EXPECT_U64(lsm_visible(f.tree), 0);
    EXPECT_ST(get(&f, 1, VERSION_MAX), ST_NOT_FOUND);
    fix_close(&f);
}

TEST(a_tree_refuses_options_that_make_no_sense)
{
    struct fix f;

    fix_init(&f, 1);
    fix_enter(&f);
    f.options.sealed_max = 33;
    EXPECT_ST(lsm_open(&f.tree, &f.shared, TREE_ID, "tree", &f.options, true, &f.err), ST_INVALID);
    f.options.sealed_max = 0;
    EXPECT_ST(lsm_open(&f.tree, &f.shared, TREE_ID, "tree", &f.options, true, &f.err), ST_INVALID);
    f.options.sealed_max = 2;
    f.options.l0_trigger = 0;
    EXPECT_ST(lsm_open(&f.tree, &f.shared, TREE_ID, "tree", &f.options, true, &f.err), ST_INVALID);
    fix_close(&f);
}

/* DESIGN, decision 3: a thousand idle tablets cost megabytes. */
TEST(an_idle_tree_holds_no_memtable)
{
    struct fix f;
    size_t idle;

    fix_init(&f, 1);
    fix_open(&f);
    idle = budget_used(&f.budget);
    fix_put(&f, 1, 10);
    EXPECT(budget_used(&f.budget) > idle);
    EXPECT_U64(fix_stats(&f).memtable_bytes, budget_used(&f.budget) - idle);
    fix_flush(&f);
    EXPECT_U64(budget_used(&f.budget), idle);
    EXPECT_U64(fix_stats(&f).memtable_bytes, 0);
    fix_close(&f);
}

/* ------------------------------------------------------------------ units */

TEST(what_was_applied_is_read_back_from_memory_and_from_tables)
{
    struct fix f;

    fix_init(&f, 2);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_put(&f, 2, 0);
    fix_delete(&f, 3);
    fix_put(&f, 1, 20);
    EXPECT_U64(lsm_visible(f.tree), model_last_version(&f.model));
    fix_check(&f);
    fix_flush(&f);
    fix_check(&f);
    fix_put(&f, 2, 30);
    fix_check(&f);
    fix_reopen(&f);
    fix_check(&f);
    fix_close(&f);
}

/* T2, T3: fail the n-th allocation of an apply, for every n. */
TEST(a_unit_that_fails_midway_is_invisible_and_may_be_repeated)
{
    bool failed = true;

    for (uint64_t nth = 1; failed; nth++) {
        struct model_unit *u;
        struct mem_heap *heap;
        struct fix f;
        enum status st;

        fix_init(&f, nth);
        fix_open(&f);
        heap = sim_heap(f.world, NODE);
        for (uint32_t key = 0; key < MODEL_WRITES; key++)
            fix_put(&f, key, 3);
        u = model_add(&f.model, false);
        for (uint32_t key = 0; key < MODEL_WRITES; key++)
            model_write(u, key, MODEL_VALUE_BYTES, 0);
        heap->fail_at = heap->allocation + nth;
        st = fix_try_apply(&f, u);
        heap->fail_at = 0;
        failed = st != ST_OK;
        if (failed) {
            EXPECT_ST(st, ST_NO_MEMORY);
            f.model.count--;
            fix_check(&f);
            if (nth % 3 == 0)
                fix_flush(&f); /* the torn part stays behind */
            if (nth % 3 == 1)
                EXPECT_OK(lsm_switch(f.tree)); /* and may be seen beside the whole */
            f.model.count++;
            fix_check_key(&f, 0, u->mark.version - 1);
            EXPECT_OK(fix_try_apply(&f, u));
        }
        fix_check(&f);
        fix_flush(&f);
        fix_check(&f);
        fix_close(&f);
        EXPECT(nth < 1000);
    }
}

TEST(a_position_without_entries_moves_the_mark_only)
{
    struct lsm_mark mark = { 1000, 9, 0 };
    struct fix f;

    fix_init(&f, 3);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    lsm_advance(f.tree, &mark);
    EXPECT_U64(lsm_flushed(f.tree).index, 1);
    EXPECT_OK(lsm_switch(f.tree));
    EXPECT(lsm_flush_due(f.tree));
    EXPECT_OK(lsm_flush(f.tree, &f.err));
    EXPECT(!lsm_flush_due(f.tree));
    EXPECT_U64(lsm_flushed(f.tree).index, 1000);
    EXPECT_U64(lsm_flushed(f.tree).term, 9);
    EXPECT_U64(lsm_flushed(f.tree).version, model_last_version(&f.model));
    EXPECT_U64(fix_stats(&f).tables[0], 1);
    fix_reopen(&f);
    EXPECT_U64(lsm_flushed(f.tree).index, 1000);
    EXPECT_U64(lsm_visible(f.tree), model_last_version(&f.model));
    fix_close(&f);
}

TEST(a_switch_of_nothing_is_nothing)
{
    struct fix f;

    fix_init(&f, 3);
    fix_open(&f);
    EXPECT_OK(lsm_switch(f.tree));
    EXPECT(!lsm_flush_due(f.tree));
    EXPECT_OK(lsm_flush(f.tree, &f.err));
    fix_put(&f, 1, 10);
    EXPECT_OK(lsm_switch(f.tree));
    EXPECT_OK(lsm_switch(f.tree));
    EXPECT_U64(fix_stats(&f).sealed_count, 1);
    fix_close(&f);
}

TEST(a_switch_or_clear_without_memory_changes_nothing)
{
    struct mem_heap *heap;
    struct fix f;

    fix_init(&f, 3);
    fix_open(&f);
    heap = sim_heap(f.world, NODE);
    fix_put(&f, 1, 10);
    model_add(&f.model, true);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        heap->fail_at = heap->allocation + nth;
        EXPECT_ST(fix_try_apply(&f, &f.model.units[1]), ST_NO_MEMORY);
    }
    f.model.count--;
    fix_check(&f);
    heap->fail_at = heap->allocation + 1;
    EXPECT_ST(lsm_switch(f.tree), ST_NO_MEMORY);
    EXPECT_U64(fix_stats(&f).sealed_count, 0);
    fix_check(&f);
    fix_flush(&f);
    EXPECT_U64(lsm_flushed(f.tree).index, 1);
    fix_check(&f);
    fix_close(&f);
}

/* ------------------------------------------------------------------ reading */

TEST(a_table_that_is_not_open_would_block_and_a_job_opens_it)
{
    struct fix f;

    fix_init(&f, 4);
    sim_set_cold_percent(f.world, NODE, 0);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    EXPECT_ST(try_get(&f, 1), ST_WOULD_BLOCK);
    EXPECT_ST(get(&f, 1, VERSION_MAX), ST_OK);
    EXPECT_ST(try_get(&f, 1), ST_OK);
    EXPECT_ST(try_get(&f, 40), ST_NOT_FOUND); /* outside of the table's range */
    fix_close(&f);
}

TEST(a_repeated_read_comes_from_the_record_cache)
{
    uint64_t hits;
    struct fix f;

    fix_init(&f, 4);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    EXPECT_ST(get(&f, 1, VERSION_MAX), ST_OK);
    hits = record_cache_hits(f.shared.records);
    fix_check_key(&f, 1, VERSION_MAX);
    EXPECT_U64(record_cache_hits(f.shared.records), hits + 2);

    fix_put(&f, 1,
            20); /* T9: the newer one is found first, and after the flush the old one is gone */
    fix_check_key(&f, 1, VERSION_MAX);
    fix_flush(&f);
    fix_check_key(&f, 1, VERSION_MAX);
    fix_check_key(&f, 1, VERSION_MAX);
    fix_close(&f);
}

TEST(readers_are_counted)
{
    struct lsm_stats stats;
    struct fix f;

    fix_init(&f, 4);
    fix_open(&f);
    for (uint32_t key = 0; key < MODEL_KEYS; key += 2)
        fix_put(&f, key, 10);
    fix_flush(&f);
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        EXPECT_ST(get(&f, key, VERSION_MAX), key % 2 == 0 ? ST_OK : ST_NOT_FOUND);
    stats = fix_stats(&f);
    EXPECT_U64(stats.gets, MODEL_KEYS);
    EXPECT_U64(stats.tables_read, stats.filter_passes);
    EXPECT_U64(stats.filter_passes, MODEL_KEYS / 2 + stats.filter_false);
    EXPECT_U64(stats.filter_skips + stats.filter_false,
               MODEL_KEYS / 2 - 1); /* 63 is beyond the last */
    EXPECT_U64(stats.entries, MODEL_KEYS / 2);
    EXPECT_U64(stats.flushes, 1);
    EXPECT(stats.bytes_written >= stats.bytes[0] && stats.bytes[0] > 0);
    EXPECT_U64(stats.bottom_bytes, stats.bytes[0]);
    fix_close(&f);
}

/* ------------------------------------------------------------------ flush */

TEST(a_memtable_past_its_threshold_is_flushed_and_its_memory_returned)
{
    struct fix f;
    size_t idle;

    fix_init(&f, 5);
    fix_open(&f);
    idle = budget_used(&f.budget);
    while (!lsm_switch_due(f.tree))
        fix_put(&f, f.model.count % MODEL_KEYS, 500);
    EXPECT(fix_stats(&f).memtable_bytes >= f.options.memtable_bytes);
    EXPECT_U64(lsm_flushed(f.tree).index, 0);
    EXPECT_OK(lsm_switch(f.tree));
    EXPECT(!lsm_switch_due(f.tree));
    EXPECT_OK(lsm_flush(f.tree, &f.err));
    EXPECT_U64(lsm_flushed(f.tree).index, f.model.count);
    EXPECT_U64(fix_stats(&f).tables[0], 1);
    EXPECT_U64(budget_used(&f.budget), idle);
    fix_check(&f);
    fix_close(&f);
}

TEST(a_flush_drops_versions_that_nobody_can_read)
{
    struct lsm_snapshot *s;
    version_t at;
    struct fix f;

    fix_init(&f, 5);
    fix_open(&f);
    for (int i = 0; i < 10; i++)
        fix_put(&f, 1, 20);
    s = lsm_snapshot_take(f.tree);
    at = lsm_snapshot_version(s);
    for (int i = 0; i < 10; i++)
        fix_put(&f, 1, 20);
    fix_flush(&f);
    EXPECT_U64(fix_stats(&f).entries, 2); /* the newest, and the snapshot's */
    fix_check_key(&f, 1, at);
    fix_check_key(&f, 1, VERSION_MAX);
    lsm_snapshot_release(f.tree, s);
    fix_close(&f);
}

TEST(writers_are_told_to_wait_and_why)
{
    struct fix f;

    fix_init(&f, 6);
    fix_open(&f);
    EXPECT_STR(lsm_stall_name(lsm_stall(f.tree)), "none");
    for (uint32_t i = 0; i < f.options.sealed_max; i++) {
        fix_put(&f, i, 10);
        EXPECT_OK(lsm_switch(f.tree));
    }
    EXPECT_U64(lsm_stall(f.tree), LSM_STALL_NONE);
    while (!lsm_switch_due(f.tree))
        fix_put(&f, 1, MODEL_VALUE_BYTES);
    EXPECT_STR(lsm_stall_name(lsm_stall(f.tree)), "memtables");
    fix_flush(&f);
    EXPECT_U64(lsm_stall(f.tree), LSM_STALL_NONE);
    while (fix_stats(&f).tables[0] < f.options.l0_stall) {
        fix_put(&f, 1, 10);
        fix_flush(&f);
    }
    EXPECT_STR(lsm_stall_name(lsm_stall(f.tree)), "l0");
    EXPECT(lsm_compact_score(f.tree) > 1);
    fix_compact(&f);
    EXPECT_U64(lsm_stall(f.tree), LSM_STALL_NONE);
    fix_close(&f);
}

TEST(an_owner_that_does_not_heed_a_stall_is_stopped)
{
    enum status st = ST_OK;
    struct fix f;

    fix_init(&f, 6);
    fix_open(&f);
    for (int i = 0; i < 100 && st == ST_OK; i++) {
        fix_put(&f, 1, 10);
        st = lsm_switch(f.tree);
    }
    EXPECT_ST(st, ST_BUSY);
    fix_check(&f);
    EXPECT_OK(lsm_flush(f.tree, &f.err));
    fix_flush(&f);
    EXPECT_U64(lsm_flushed(f.tree).index, f.model.count);
    fix_check(&f);
    fix_close(&f);
}

TEST(stopped_jobs_say_so)
{
    struct lsm_compact_report report;
    struct fix f;

    fix_init(&f, 6);
    fix_open(&f);
    fix_put(&f, 1, 10);
    EXPECT_OK(lsm_switch(f.tree));
    lsm_stop_jobs(f.tree);
    EXPECT_ST(lsm_flush(f.tree, &f.err), ST_CLOSED);
    EXPECT_ST(lsm_compact(f.tree, &f.err), ST_CLOSED);
    EXPECT_ST(lsm_compact_all(f.tree, &report, &f.err), ST_CLOSED);
    fix_check(&f);
    fix_close(&f);
}

TEST_MAIN(RUN(a_tree_is_made_only_when_that_is_asked_for),
          RUN(a_tree_refuses_options_that_make_no_sense), RUN(an_idle_tree_holds_no_memtable),
          RUN(what_was_applied_is_read_back_from_memory_and_from_tables),
          RUN(a_unit_that_fails_midway_is_invisible_and_may_be_repeated),
          RUN(a_position_without_entries_moves_the_mark_only), RUN(a_switch_of_nothing_is_nothing),
          RUN(a_switch_or_clear_without_memory_changes_nothing),
          RUN(a_table_that_is_not_open_would_block_and_a_job_opens_it),
          RUN(a_repeated_read_comes_from_the_record_cache), RUN(readers_are_counted),
          RUN(a_memtable_past_its_threshold_is_flushed_and_its_memory_returned),
          RUN(a_flush_drops_versions_that_nobody_can_read), RUN(writers_are_told_to_wait_and_why),
          RUN(an_owner_that_does_not_heed_a_stall_is_stopped), RUN(stopped_jobs_say_so))
