/* Tests of compaction: what goes, what stays, and what happens when it cannot be finished. */
#include "unit/lsm/tree_fixture.h"

/* Several levels of data: rounds of writes, each flushed, and compacted in between. */
static void
fill(struct fix *f, uint32_t rounds, uint32_t value_bytes)
{
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t key = 0; key < MODEL_KEYS; key++)
            fix_put(f, key, value_bytes);
        fix_flush(f);
        fix_compact(f);
    }
}

static uint64_t
table_bytes(struct fix *f)
{
    struct lsm_stats stats = fix_stats(f);
    uint64_t bytes = 0;

    for (int level = 0; level < LIMIT_LEVELS; level++)
        bytes += stats.bytes[level];
    return bytes;
}

static uint32_t
table_count(struct fix *f)
{
    struct lsm_stats stats = fix_stats(f);
    uint32_t count = 0;

    for (int level = 0; level < LIMIT_LEVELS; level++)
        count += stats.tables[level];
    return count;
}

TEST(compaction_moves_data_down_and_keeps_it)
{
    struct lsm_stats stats;
    struct fix f;

    fix_init(&f, 1);
    fix_open(&f);
    fill(&f, 12, 900);
    stats = fix_stats(&f);
    EXPECT(stats.tables[0] < f.options.l0_trigger);
    EXPECT(stats.tables[1] + stats.tables[2] + stats.tables[3] > 1);
    EXPECT(stats.tables[1] > 0 && stats.tables[2] == 0);
    EXPECT_U64(stats.bottom_bytes, stats.bytes[1]);
    EXPECT(stats.compactions > 0 && stats.last_compaction_ms > 0);
    EXPECT(lsm_compact_score(f.tree) == 0);
    EXPECT_U64(lsm_compact_permille(f.tree), 0);
    fix_check(&f);
    fix_reopen(&f);
    fix_check(&f);
    fix_close(&f);
}

TEST(compaction_drops_tombstones_and_duplicates_and_reclaims_half_after_overwrites)
{
    struct lsm_compact_report report;
    uint64_t before;
    struct fix f;

    fix_init(&f, 2);
    f.options.l0_trigger = 100; /* everything waits in L0 */
    f.options.l0_stall = 200;
    fix_open(&f);
    for (int round = 0; round < 4; round++) {
        for (uint32_t key = 0; key < MODEL_KEYS; key++)
            fix_put(&f, key, 700);
        fix_flush(&f);
    }
    for (uint32_t key = 0; key < MODEL_KEYS; key += 4)
        fix_delete(&f, key);
    fix_flush(&f);
    before = table_bytes(&f);
    EXPECT_U64(fix_stats(&f).entries, 4 * MODEL_KEYS + MODEL_KEYS / 4);
    EXPECT_U64(fix_stats(&f).tombstones, MODEL_KEYS / 4);

    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    EXPECT_U64(fix_stats(&f).entries, MODEL_KEYS * 3 / 4);
    EXPECT_U64(fix_stats(&f).tombstones, 0);
    EXPECT_U64(report.tables_in, 5);
    EXPECT_U64(report.tables_out, table_count(&f));
    EXPECT_U64(report.keys_removed, 4 * MODEL_KEYS + MODEL_KEYS / 4 - MODEL_KEYS * 3 / 4);
    EXPECT_U64(report.bytes_reclaimed, before - table_bytes(&f));
    EXPECT(table_bytes(&f) * 2 <= before);
    EXPECT_U64(fix_stats(&f).keys_removed, report.keys_removed);
    EXPECT_U64(fix_stats(&f).bytes_reclaimed, report.bytes_reclaimed);
    fix_check(&f);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), table_count(&f));
    fix_reopen(&f);
    fix_check(&f);
    fix_close(&f);
}

TEST(compacting_a_tree_of_tombstones_leaves_no_table)
{
    struct lsm_compact_report report;
    struct fix f;

    fix_init(&f, 2);
    fix_open(&f);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err)); /* there is none */
    EXPECT_U64(report.tables_in, 0);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    fix_delete(&f, 1);
    fix_flush(&f);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    EXPECT_U64(report.tables_in, 2);
    EXPECT_U64(report.tables_out, 0);
    EXPECT_U64(table_count(&f), 0);
    fix_check(&f);
    fix_close(&f);
}

/* T6. */
TEST(compaction_keeps_what_a_snapshot_reads)
{
    struct lsm_compact_report report;
    struct lsm_snapshot *first, *second;
    struct prng prng;
    struct fix f;

    prng_init(&prng, 3);
    fix_init(&f, 3);
    fix_open(&f);
    first = lsm_snapshot_take(f.tree); /* before everything */
    fill(&f, 2, 300);
    second = lsm_snapshot_take(f.tree);
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        fix_delete(&f, key);
    fix_flush(&f);
    fix_put(&f, 5, 20);
    fix_flush(&f);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    fix_check_keys(&f, lsm_snapshot_version(first));
    fix_check_keys(&f, lsm_snapshot_version(second));
    fix_check_iter(&f, first, &prng);
    fix_check_iter(&f, second, &prng);
    fix_check(&f);
    EXPECT(fix_stats(&f).tombstones >= MODEL_KEYS - 1); /* they are newer than a snapshot */

    lsm_snapshot_release(f.tree, first);
    lsm_snapshot_release(f.tree, second);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    EXPECT_U64(fix_stats(&f).entries, 1);
    fix_check(&f);
    fix_close(&f);
}

/* A tombstone that lets go too early would show what it hid. */
TEST(a_tombstone_stays_while_something_older_lies_below)
{
    struct fix f;

    fix_init(&f, 4);
    f.options.level_base_bytes = 4 << 10;
    fix_open(&f);
    fill(&f, 8, 900); /* L1 and L2 are full */
    for (uint32_t key = 0; key < MODEL_KEYS; key += 2) {
        fix_delete(&f, key);
        fix_put(&f, key + 1, 30);
        if (key % 6 == 0) {
            fix_flush(&f);
            fix_check(&f);
            EXPECT(lsm_compact(f.tree, &f.err) != ST_CORRUPT);
            fix_check(&f);
        }
    }
    fix_compact(&f);
    fix_check(&f);
    fix_close(&f);
}

TEST(an_expired_version_hides_what_is_older_until_that_is_gone)
{
    struct lsm_compact_report report;
    struct model_unit *u;
    struct fix f;

    fix_init(&f, 5);
    f.options.l0_trigger = 2;
    fix_open(&f);
    fix_put(&f, 1, 2000);
    fix_put(&f, 40, 2000);
    fix_flush(&f);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err)); /* at the bottom of L1 */
    u = model_add(&f.model, false);
    model_write(u, 1, 50, f.model.now_ms + 1000);
    fix_apply_last(&f);
    fix_flush(&f);
    EXPECT_U64(fix_stats(&f).tombstones, 0);
    fix_check(&f);
    fix_pass_time(&f, 1000);
    fix_flush(&f);
    fix_check(&f);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    EXPECT_U64(fix_stats(&f).entries, 1); /* both versions of key 1 are gone */
    fix_check(&f);
    fix_close(&f);
}

/* T6: with an older snapshot, the expired version becomes a tombstone. */
TEST(an_expired_version_becomes_a_tombstone_while_a_snapshot_needs_what_it_hides)
{
    struct lsm_compact_report report;
    struct lsm_snapshot *s;
    struct model_unit *u;
    struct fix f;

    fix_init(&f, 5);
    fix_open(&f);
    fix_put(&f, 1, 20);
    s = lsm_snapshot_take(f.tree);
    u = model_add(&f.model, false);
    model_write(u, 1, 50, f.model.now_ms + 1000);
    fix_apply_last(&f);
    fix_pass_time(&f, 1000);
    fix_flush(&f);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    EXPECT_U64(fix_stats(&f).entries, 2);
    EXPECT_U64(fix_stats(&f).tombstones, 1);
    fix_check(&f);
    fix_check_keys(&f, lsm_snapshot_version(s));
    lsm_snapshot_release(f.tree, s);
    fix_close(&f);
}

TEST(tables_are_cut_near_their_aimed_size)
{
    struct lsm_compact_report report;
    struct lsm_stats stats;
    struct fix f;

    fix_init(&f, 6);
    f.options.tables.compression = TABLE_PLAIN;
    f.options.last_level_compression = TABLE_PLAIN;
    fix_open(&f);
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        fix_put(&f, key, 1000);
    fix_flush(&f);
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    stats = fix_stats(&f);
    EXPECT(stats.tables[1] >= 6 && stats.tables[1] <= 10);
    fix_check(&f);
    fix_close(&f);
}

/* An output that overlapped all of L2 would be dear to compact later. */
TEST(an_output_overlaps_only_so_much_of_the_level_below)
{
    struct fix f;

    fix_init(&f, 7);
    f.options.tables.compression = TABLE_PLAIN;
    f.options.last_level_compression = TABLE_PLAIN;
    f.options.level_base_bytes = 1; /* L1 gives everything to L2 */
    f.options.level_multiplier = 1000000000;
    fix_open(&f);
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        fix_put(&f, key, 2500);
    fix_flush(&f);
    fix_put(&f, 0, 2500);
    fix_flush(&f);
    fix_put(&f, 0, 2500);
    fix_flush(&f);
    fix_compact(&f);
    EXPECT(fix_stats(&f).bytes[2] > 15 * f.options.table_bytes);
    for (uint32_t round = 0; round < f.options.l0_trigger; round++) {
        for (uint32_t key = round; key < MODEL_KEYS; key += 8)
            fix_put(&f, key, 0);
        fix_flush(&f);
    }
    EXPECT_OK(lsm_compact(f.tree, &f.err));
    EXPECT_U64(fix_stats(&f).tables[1], 2);
    fix_check(&f);
    fix_close(&f);
}

TEST(a_table_that_overlaps_nothing_is_moved_without_being_read)
{
    struct fix f;
    uint64_t written;

    fix_init(&f, 7);
    f.options.l0_trigger = 1;
    fix_open(&f);
    fix_put(&f, 1, 100);
    fix_flush(&f);
    written = fix_stats(&f).bytes_written;
    sim_fail(f.world, NODE, SIM_SYNC, 1, false, ST_IO); /* T7: not in limbo, it is in the version */
    EXPECT_ST(lsm_compact(f.tree, &f.err), ST_IO);
    fix_check(&f);
    EXPECT_OK(lsm_compact(f.tree, &f.err));
    EXPECT_U64(fix_stats(&f).tables[0], 0);
    EXPECT_U64(fix_stats(&f).tables[1], 1);
    EXPECT_U64(fix_stats(&f).bytes_written, written);
    EXPECT_U64(fix_stats(&f).bytes_reclaimed, 0);
    EXPECT(!lsm_sweep_due(f.tree));
    fix_check(&f);
    fix_reopen(&f);
    fix_check(&f);
    fix_close(&f);
}

/* ------------------------------------------------------------------ failures */

/* T10. */
TEST(a_damaged_input_ends_the_compaction_and_stays)
{
    struct lsm_compact_report report;
    struct fix f;
    uint64_t entries;

    fix_init(&f, 8);
    fix_open(&f);
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        fix_put(&f, key, 100);
    fix_flush(&f);
    EXPECT(sim_disk_flip(f.world, NODE, "tree/0000000000000001.sst", 700, 3));
    fix_put(&f, 3, 100);
    fix_flush(&f);
    entries = fix_stats(&f).entries;
    EXPECT_ST(lsm_compact_all(f.tree, &report, &f.err), ST_CORRUPT);
    EXPECT(strstr(f.err.text, "0000000000000001.sst") != NULL);
    EXPECT_U64(fix_stats(&f).entries, entries);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 2);
    EXPECT(sim_disk_flip(f.world, NODE, "tree/0000000000000001.sst", 700, 3));
    EXPECT_OK(lsm_compact_all(f.tree, &report, &f.err));
    fix_check(&f);
    fix_close(&f);
}

TEST(a_missing_table_is_damage_and_not_an_absent_key)
{
    struct lsm_compact_report report;
    struct lsm_found found;
    char room[MODEL_KEY_BYTES];
    struct fix f;

    fix_init(&f, 8);
    fix_open(&f);
    fix_put(&f, 1, 100);
    fix_flush(&f);
    EXPECT(sim_disk_remove(f.world, NODE, "tree/0000000000000001.sst"));
    EXPECT_ST(lsm_get(f.tree, model_key(1, room), VERSION_MAX, &found, &f.err), ST_CORRUPT);
    EXPECT(strstr(f.err.text, "0000000000000001.sst") != NULL);
    EXPECT_ST(lsm_compact_all(f.tree, &report, &f.err), ST_CORRUPT);
    fix_close(&f);
}

/* T7: the manifest's sync fails, so the edit may be durable or not. */
TEST(tables_of_an_unknown_outcome_stay_until_a_later_edit_is_durable)
{
    struct lsm_compact_report report;
    uint64_t syncs;
    struct fix f;

    fix_init(&f, 9);
    fix_open(&f);
    fix_put(&f, 1, 100);
    fix_flush(&f);
    fix_put(&f, 1, 100);
    EXPECT_OK(lsm_switch(f.tree));
    syncs = sim_op_count(f.world, NODE, SIM_SYNC);
    sim_fail(f.world, NODE, SIM_SYNC, 2, false, ST_IO); /* the table's is the first */
    EXPECT_ST(lsm_flush(f.tree, &f.err), ST_IO);
    EXPECT_U64(sim_op_count(f.world, NODE, SIM_SYNC), syncs + 2);
    EXPECT_U64(lsm_flushed(f.tree).index, 1);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 2);
    fix_check(&f);
    EXPECT_OK(lsm_flush(f.tree, &f.err));
    EXPECT_U64(lsm_flushed(f.tree).index, 2);
    EXPECT(lsm_sweep_due(f.tree));
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 2);
    fix_check(&f);

    sim_fail(f.world, NODE, SIM_SYNC, 2, false, ST_IO);
    EXPECT_ST(lsm_compact_all(f.tree, &report, &f.err), ST_IO);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 3);
    fix_check(&f);
    fix_reopen(&f);
    EXPECT(fix_count_files(&f, ".sst") <= 2);
    fix_check(&f);
    fix_close(&f);
}

TEST_MAIN(RUN(compaction_moves_data_down_and_keeps_it),
          RUN(compaction_drops_tombstones_and_duplicates_and_reclaims_half_after_overwrites),
          RUN(compacting_a_tree_of_tombstones_leaves_no_table),
          RUN(compaction_keeps_what_a_snapshot_reads),
          RUN(a_tombstone_stays_while_something_older_lies_below),
          RUN(an_expired_version_hides_what_is_older_until_that_is_gone),
          RUN(an_expired_version_becomes_a_tombstone_while_a_snapshot_needs_what_it_hides),
          RUN(tables_are_cut_near_their_aimed_size),
          RUN(an_output_overlaps_only_so_much_of_the_level_below),
          RUN(a_table_that_overlaps_nothing_is_moved_without_being_read),
          RUN(a_damaged_input_ends_the_compaction_and_stays),
          RUN(a_missing_table_is_damage_and_not_an_absent_key),
          RUN(tables_of_an_unknown_outcome_stay_until_a_later_edit_is_durable))
