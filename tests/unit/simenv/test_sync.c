/* Syncs that fail, syncs that only pretend, and what is left in the page cache by processes that
 * end.  As in test_crash.c, each test looks at many seeds. */
#include "unit/simenv/fixture.h"

enum { SEEDS = 300 };

TEST(after_a_failed_sync_only_a_rewrite_makes_bytes_durable)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        bool rewrite = seed % 2 == 0;
        struct file *file;

        put_durable(&f, "a", "old");
        file = open_file(&f, "a", ENV_OPEN_WRITE);
        write_at(file, 0, "new");
        sim_fail(f.w, 1, SIM_SYNC, 1, false, ST_IO);
        EXPECT_ST(file_sync(file, NULL), ST_IO);
        expect_file(&f, "a", "new"); /* the page cache has it still */
        if (rewrite)
            write_at(file, 0, "new");
        EXPECT_OK(file_sync(file, NULL)); /* a success that means nothing, without the rewrite */
        expect_file(&f, "a", "new");
        crash_and_boot(&f);
        expect_file(&f, "a", rewrite ? "new" : "old");
        teardown(&f);
    }
}

/* What is appended after a failed sync is durable at the next; what should have been is not. */
TEST(a_failed_sync_leaves_a_hole_that_later_syncs_do_not_fill)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct file *file;
        struct buf got = buf_empty(1 << 20);

        put_durable(&f, "a", "start");
        file = open_file(&f, "a", ENV_OPEN_WRITE);
        write_at(file, 512, "lost");
        sim_fail(f.w, 1, SIM_SYNC, 1, false, ST_IO);
        EXPECT_ST(file_sync(file, NULL), ST_IO);
        write_at(file, 1024, "later");
        EXPECT_OK(file_sync(file, NULL));
        crash_and_boot(&f);
        EXPECT(sim_disk_read(f.w, 1, "a", &got));
        EXPECT_U64(got.size, 1029);
        EXPECT(memcmp(got.data + 1024, "later", 5) == 0);
        EXPECT(memcmp(got.data + 512, "\0\0\0\0", 4) == 0);
        buf_release(&got);
        teardown(&f);
    }
}

TEST(after_a_failed_sync_the_size_is_lost_with_the_bytes)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct file *file;

        put_durable(&f, "a", "start");
        file = open_file(&f, "a", ENV_OPEN_WRITE);
        write_at(file, 5, " and more");
        sim_fail(f.w, 1, SIM_SYNC, 1, false, ST_IO);
        EXPECT_ST(file_sync(file, NULL), ST_IO);
        EXPECT_OK(file_sync(file, NULL));
        crash_and_boot(&f);
        expect_file(&f, "a", "start");
        teardown(&f);
    }
}

TEST(after_a_failed_sync_of_a_folder_its_changes_are_lost)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_file(&f, "a", "text", true);
        sim_fail(f.w, 1, SIM_SYNC_DIR, 1, false, ST_IO);
        EXPECT_ST(env_sync_dir(f.env, "/", NULL), ST_IO);
        put_file(&f, "b", "text", true);
        sync_dir(&f, "/");
        expect_names(&f, "/", "a,b");
        crash_and_boot(&f);
        expect_names(&f, "/", "b");
        teardown(&f);
    }
}

TEST(an_ignored_sync_succeeds_and_does_nothing)
{
    int lost_bytes = 0, lost_name = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        EXPECT_OK(env_make_dir(f.env, "dir", NULL));
        sync_dir(&f, "/");
        put_durable(&f, "x.wal", "old");
        sim_ignore_sync(f.w, 1, ".wal");
        put_file(&f, "x.wal", "new", true);
        put_file(&f, "x.sst", "new", true);
        sim_ignore_sync(f.w, 1, "dir");
        put_file(&f, "dir/y", "new", true);
        sync_dir(&f, "dir");
        sync_dir(&f, "/");
        crash_and_boot(&f);
        lost_bytes += !file_is(&f, "x.wal", "new");
        lost_name += !exists(&f, "dir/y");
        expect_file(&f, "x.sst", "new");
        sim_ignore_sync(f.w, 1, NULL);
        put_file(&f, "dir/y", "new", true);
        sync_dir(&f, "dir");
        crash_and_boot(&f);
        EXPECT(file_is(&f, "dir/y", "new"));
        teardown(&f);
    }
    EXPECT(lost_bytes > 20 && lost_name > 20);
}

/* ------------------------------------------------------------------ kills and ends */

TEST(a_kill_harms_nothing_that_was_written)
{
    int lost_later = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_file(&f, "a", "unsynced", false);
        sim_kill(f.w, 1);
        EXPECT(!sim_running(f.w, 1));
        f.env = sim_boot(f.w, 1, 0);
        expect_file(&f, "a", "unsynced");
        crash_and_boot(&f); /* it was in the page cache only */
        lost_later += !file_is(&f, "a", "unsynced");
        teardown(&f);
    }
    EXPECT(lost_later > 50);
}

TEST(a_clean_end_leaves_the_page_cache_to_the_next_power_cut)
{
    int lost = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_file(&f, "a", "unsynced", false);
        sim_end(f.w, 1);
        expect_file(&f, "a", "unsynced");
        sim_crash(f.w, 1); /* of a machine on which nothing runs */
        lost += !file_is(&f, "a", "unsynced");
        teardown(&f);
    }
    EXPECT(lost > 50);
}

TEST_MAIN(RUN(after_a_failed_sync_only_a_rewrite_makes_bytes_durable),
          RUN(a_failed_sync_leaves_a_hole_that_later_syncs_do_not_fill),
          RUN(after_a_failed_sync_the_size_is_lost_with_the_bytes),
          RUN(after_a_failed_sync_of_a_folder_its_changes_are_lost),
          RUN(an_ignored_sync_succeeds_and_does_nothing),
          RUN(a_kill_harms_nothing_that_was_written),
          RUN(a_clean_end_leaves_the_page_cache_to_the_next_power_cut))
