/* Tests of clears, of the snapshots that outlive them, and of the files that go. */
#include "unit/lsm/tree_fixture.h"

TEST(a_clear_empties_the_tree_at_once_and_its_files_go_with_the_next_flush)
{
    struct fix f;

    fix_init(&f, 7);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    fix_put(&f, 2, 10);
    fix_check(&f); /* key 1 is in the record cache now */
    fix_clear(&f);
    fix_check(&f);
    EXPECT_U64(fix_stats(&f).entries, 0);
    EXPECT_U64(fix_count_files(&f, ".sst"), 1);
    fix_put(&f, 2, 20);
    fix_check(&f);
    EXPECT(lsm_flush_due(f.tree));
    fix_flush(&f);
    EXPECT_U64(lsm_flushed(f.tree).index, f.model.count);
    EXPECT_U64(fix_count_files(&f, ".sst"), 2);
    EXPECT(lsm_sweep_due(f.tree));
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT(!lsm_sweep_due(f.tree));
    EXPECT_U64(fix_count_files(&f, ".sst"), 1);
    fix_check(&f);
    fix_reopen(&f);
    fix_check(&f);
    fix_close(&f);
}

TEST(a_clear_that_was_not_flushed_is_repeated_from_the_log)
{
    struct fix f;

    fix_init(&f, 7);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    fix_clear(&f);
    fix_reopen(&f);
    fix_check(&f);
    fix_clear(&f);
    fix_clear(&f);
    fix_flush(&f);
    EXPECT(!lsm_flush_due(f.tree));
    fix_reopen(&f);
    EXPECT_U64(lsm_flushed(f.tree).index, f.model.count);
    fix_check(&f);
    fix_close(&f);
}

TEST(a_snapshot_outlives_a_clear)
{
    struct lsm_snapshot *before, *after;
    struct prng prng;
    struct fix f;

    prng_init(&prng, 8);
    fix_init(&f, 8);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_put(&f, 2, 10);
    fix_flush(&f);
    fix_put(&f, 2, 20);
    before = lsm_snapshot_take(f.tree);
    fix_clear(&f);
    after = lsm_snapshot_take(f.tree);
    fix_put(&f, 1, 30);
    fix_flush(&f);
    fix_clear(&f);
    fix_flush(&f);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    fix_check_keys(&f, lsm_snapshot_version(before));
    fix_check_iter(&f, before, &prng);
    fix_check_keys(&f, lsm_snapshot_version(after));
    fix_check_iter(&f, after, &prng);
    fix_check(&f);
    lsm_snapshot_release(f.tree, before);
    lsm_snapshot_release(f.tree, after);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 0);
    fix_close(&f);
}

/* ------------------------------------------------------------------ sweep */

TEST(a_file_stays_while_an_iterator_uses_it)
{
    struct lsm_iter_options options = { .now_ms = 1 };
    struct lsm_iter *it;
    struct entry e;
    struct fix f;

    fix_init(&f, 9);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_put(&f, 2, 10);
    fix_flush(&f);
    EXPECT_OK(lsm_iter_create(f.tree, &options, &it, &f.err));
    EXPECT_OK(lsm_iter_first(it, &f.err));
    fix_clear(&f);
    fix_flush(&f);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 1);
    EXPECT_OK(lsm_iter_next(it, &f.err));
    lsm_iter_entry(it, &e);
    EXPECT_U64(e.version, f.model.units[1].mark.version);
    lsm_iter_destroy(it);
    EXPECT(lsm_sweep_due(f.tree));
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 0);
    fix_close(&f);
}

TEST(a_file_that_cannot_be_deleted_is_tried_again)
{
    struct fix f;

    fix_init(&f, 9);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    fix_clear(&f);
    fix_flush(&f);
    sim_fail(f.world, NODE, SIM_REMOVE, 1, false, ST_IO);
    EXPECT_ST(lsm_sweep(f.tree, &f.err), ST_IO);
    EXPECT(lsm_sweep_due(f.tree));
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 0);
    fix_close(&f);
}

TEST_MAIN(RUN(a_clear_empties_the_tree_at_once_and_its_files_go_with_the_next_flush),
          RUN(a_clear_that_was_not_flushed_is_repeated_from_the_log),
          RUN(a_snapshot_outlives_a_clear), RUN(a_file_stays_while_an_iterator_uses_it),
          RUN(a_file_that_cannot_be_deleted_is_tried_again))
