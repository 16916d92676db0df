/* What power cuts leave on a simulated disk.  Outcomes are drawn, so each
 * test looks at many seeds: what must be, is in each of them; what may be, is in one at least. */
#include "unit/simenv/fixture.h"

enum { SEEDS = 300 };

TEST(what_was_synced_with_its_name_survives)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_durable(&f, "a", "durable");
        crash_and_boot(&f);
        expect_file(&f, "a", "durable");
        expect_names(&f, "/", "a");
        teardown(&f);
    }
}

TEST(syncing_a_file_does_not_make_its_name_durable)
{
    int lost = 0, kept = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_file(&f, "a", "synced", true);
        crash_and_boot(&f);
        if (exists(&f, "a")) {
            expect_file(&f, "a", "synced");
            kept++;
        } else {
            lost++;
        }
        teardown(&f);
    }
    EXPECT(lost > SEEDS / 5 && kept > SEEDS / 5);
}

TEST(syncing_a_folder_does_not_make_its_files_durable)
{
    int empty = 0, zeros = 0, whole = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_file(&f, "a", "unsynced", false);
        sync_dir(&f, "/");
        crash_and_boot(&f);
        EXPECT(exists(&f, "a"));
        empty += file_is(&f, "a", "");
        whole += file_is(&f, "a", "unsynced");
        zeros += !file_is(&f, "a", "") && !file_is(&f, "a", "unsynced");
        teardown(&f);
    }
    EXPECT(empty > 10 && whole > 10 && zeros > 10);
}

/* Two sectors, overwritten: each is old or new, and no sector is torn. */
TEST(sectors_survive_one_by_one_and_whole)
{
    int seen[2][2] = { { 0, 0 }, { 0, 0 } };

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct file *file = create_file(&f, "a");
        uint8_t old[2 * SIM_SECTOR], new[2 * SIM_SECTOR];
        struct slice part = slice_of(old, sizeof(old));
        struct buf got = buf_empty(4096);
        bool is_new[2];

        memset(old, 'o', sizeof(old));
        memset(new, 'n', sizeof(new));
        EXPECT_OK(file_write(file, 0, &part, 1, NULL));
        EXPECT_OK(file_sync(file, NULL));
        sync_dir(&f, "/");
        part = slice_of(new, sizeof(new));
        EXPECT_OK(file_write(file, 0, &part, 1, NULL));
        crash_and_boot(&f);

        EXPECT(sim_disk_read(f.w, 1, "a", &got));
        EXPECT_U64(got.size, sizeof(old));
        for (int s = 0; s < 2; s++) {
            const uint8_t *at = got.data + s * SIM_SECTOR;

            is_new[s] = at[0] == 'n';
            EXPECT(memcmp(at, is_new[s] ? new : old, SIM_SECTOR) == 0);
        }
        seen[is_new[0]][is_new[1]]++;
        buf_release(&got);
        teardown(&f);
    }
    EXPECT(seen[0][0] > 5 && seen[0][1] > 5 && seen[1][0] > 5 && seen[1][1] > 5);
}

TEST(any_of_several_unsynced_versions_may_be_the_one)
{
    int seen[4] = { 0 };

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct file *file;

        put_durable(&f, "a", "0");
        file = open_file(&f, "a", ENV_OPEN_WRITE);
        write_at(file, 0, "1");
        write_at(file, 0, "2");
        write_at(file, 0, "3");
        crash_and_boot(&f);
        for (int i = 0; i < 4; i++)
            seen[i] += file_is(&f, "a", (const char *[]){ "0", "1", "2", "3" }[i]);
        teardown(&f);
    }
    EXPECT(seen[0] > 5 && seen[1] > 5 && seen[2] > 5 && seen[3] > 5);
    EXPECT_U64(seen[0] + seen[1] + seen[2] + seen[3], SEEDS);
}

TEST(a_file_that_grew_has_any_size_on_the_way)
{
    int old_size = 0, new_size = 0, between = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct file *file;
        uint64_t size;

        put_durable(&f, "a", "start");
        file = open_file(&f, "a", ENV_OPEN_WRITE);
        write_at(file, 4000, "end");
        crash_and_boot(&f);
        EXPECT_OK(env_stat(f.env, "a", &size, NULL));
        old_size += size == 5;
        new_size += size == 4003;
        between += size > 5 && size < 4003;
        EXPECT(size >= 5 && size <= 4003);
        EXPECT(size == 5 || size == 4003 || size % SIM_SECTOR == 0);
        teardown(&f);
    }
    EXPECT(old_size > 5 && new_size > 5 && between > 5);
}

/* A truncation that is lost takes nothing with it. */
TEST(a_truncation_is_kept_or_lost_whole)
{
    int cut = 0, uncut = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        char text[3000];

        memset(text, 't', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        put_durable(&f, "a", text);
        EXPECT_OK(file_truncate(open_file(&f, "a", ENV_OPEN_WRITE), 1024, NULL));
        crash_and_boot(&f);
        uncut += file_is(&f, "a", text);
        text[1024] = '\0';
        cut += file_is(&f, "a", text);
        teardown(&f);
    }
    EXPECT(cut > 20 && uncut > 20);
    EXPECT_U64(cut + uncut, SEEDS);
}

TEST(a_truncation_that_was_synced_brings_nothing_back)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct file *file;
        struct buf got = buf_empty(1 << 20);

        put_durable(&f, "a", "secret secret secret");
        file = open_file(&f, "a", ENV_OPEN_WRITE);
        EXPECT_OK(file_truncate(file, 2, NULL));
        EXPECT_OK(file_sync(file, NULL));
        EXPECT_OK(file_truncate(file, 20000, NULL));
        crash_and_boot(&f);
        EXPECT(sim_disk_read(f.w, 1, "a", &got));
        EXPECT(got.size >= 2 && memcmp(got.data, "se", 2) == 0);
        for (size_t i = 2; i < got.size; i++)
            EXPECT_U64(got.data[i], 0);
        buf_release(&got);
        teardown(&f);
    }
}

/* ------------------------------------------------------------------ names */

TEST(a_rename_is_atomic)
{
    int old = 0, new = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_durable(&f, "CURRENT", "old");
        put_durable(&f, "CURRENT.tmp", "new");
        EXPECT_OK(env_rename(f.env, "CURRENT.tmp", "CURRENT", NULL));
        expect_file(&f, "CURRENT", "new");
        crash_and_boot(&f);
        if (exists(&f, "CURRENT.tmp")) {
            expect_file(&f, "CURRENT.tmp", "new");
            expect_file(&f, "CURRENT", "old");
            old++;
        } else {
            expect_file(&f, "CURRENT", "new");
            new ++;
        }
        teardown(&f);
    }
    EXPECT(old > 20 && new > 20);
}

/* D4: or the first file would be lost, though nobody ever removed it. */
TEST(changes_of_one_name_survive_in_their_order)
{
    int outcomes[3] = { 0 };

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_durable(&f, "LOG", "first");
        EXPECT_OK(env_rename(f.env, "LOG", "LOG.old", NULL));
        put_file(&f, "LOG", "second", true);
        crash_and_boot(&f);
        if (file_is(&f, "LOG", "first")) {
            expect_names(&f, "/", "LOG");
            outcomes[0]++;
        } else {
            expect_file(&f, "LOG.old", "first");
            outcomes[exists(&f, "LOG") ? 1 : 2]++;
        }
        teardown(&f);
    }
    EXPECT(outcomes[0] > 10 && outcomes[1] > 10 && outcomes[2] > 10);
}

TEST(changes_of_different_names_survive_in_any_order)
{
    int only_second = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        put_file(&f, "first", "1", true);
        put_file(&f, "second", "2", true);
        crash_and_boot(&f);
        only_second += exists(&f, "second") && !exists(&f, "first");
        teardown(&f);
    }
    EXPECT(only_second > 5);
}

TEST(a_removed_file_comes_back_unless_its_folder_was_synced)
{
    int back = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        bool synced = seed % 2 == 0;

        put_durable(&f, "a", "text");
        EXPECT_OK(env_remove(f.env, "a", NULL));
        if (synced)
            sync_dir(&f, "/");
        crash_and_boot(&f);
        if (exists(&f, "a")) {
            EXPECT(!synced);
            expect_file(&f, "a", "text");
            back++;
        }
        teardown(&f);
    }
    EXPECT(back > 20);
}

TEST(a_folder_whose_name_is_lost_takes_its_files_with_it)
{
    int lost = 0, kept = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        EXPECT_OK(env_make_dir(f.env, "d", NULL));
        put_file(&f, "d/a", "text", true);
        sync_dir(&f, "d"); /* its own name is in its parent */
        crash_and_boot(&f);
        if (exists(&f, "d/a")) {
            expect_file(&f, "d/a", "text");
            kept++;
        } else {
            expect_names(&f, "/", "");
            lost++;
        }
        teardown(&f);
    }
    EXPECT(kept > 20 && lost > 20);
}

TEST(a_sync_of_either_folder_makes_a_move_between_them_durable)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);

        EXPECT_OK(env_make_dir(f.env, "d", NULL));
        put_file(&f, "a", "text", true);
        sync_dir(&f, "/");
        EXPECT_OK(env_rename(f.env, "a", "d/a", NULL));
        sync_dir(&f, seed % 2 == 0 ? "/" : "d");
        crash_and_boot(&f);
        EXPECT(!exists(&f, "a"));
        expect_file(&f, "d/a", "text");
        teardown(&f);
    }
}

/* Two moves that, each without the other, would put a folder inside itself. */
TEST(moved_folders_are_neither_lost_nor_doubled)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        bool first, second, moved;

        EXPECT_OK(env_make_dir(f.env, "a", NULL));
        EXPECT_OK(env_make_dir(f.env, "a/b", NULL));
        put_file(&f, "a/b/file", "text", true);
        sync_dir(&f, "a/b");
        sync_dir(&f, "a");
        sync_dir(&f, "/");
        EXPECT_OK(env_rename(f.env, "a/b", "b", NULL));
        EXPECT_OK(env_rename(f.env, "a", "b/a", NULL));
        crash_and_boot(&f);
        first = exists(&f, "a/b/file");
        second = exists(&f, "b/file");
        moved = env_list(f.env, "b/a", add_name, (char[256]){ "" }, NULL) == ST_OK;
        EXPECT(first != second);
        EXPECT(!moved || second);
        teardown(&f);
    }
}

TEST(a_crash_finds_the_space_of_what_it_took)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        uint64_t size = 0, bytes = 0;
        static char big[10 * 4096];

        memset(big, 'b', sizeof(big) - 1);
        sim_set_capacity(f.w, 1, 100 * 4096);
        put_durable(&f, "a", big);
        EXPECT_OK(file_truncate(open_file(&f, "a", ENV_OPEN_WRITE), 4096, NULL));
        EXPECT_OK(env_remove(f.env, "a", NULL));
        EXPECT_OK(file_fill(create_file(&f, "b"), 20 * 4096, NULL));
        crash_and_boot(&f);
        bytes = free_bytes(&f);
        for (int i = 0; i < 2; i++) {
            if (env_stat(f.env, i == 0 ? "a" : "b", &size, NULL) == ST_OK)
                bytes += size / 4096 * 4096; /* at most that; files may have holes */
        }
        EXPECT(bytes >= 90 * 4096 && bytes <= 120 * 4096);
        if (exists(&f, "a"))
            EXPECT_OK(env_remove(f.env, "a", NULL));
        if (exists(&f, "b"))
            EXPECT_OK(env_remove(f.env, "b", NULL));
        bytes = free_bytes(&f);
        EXPECT_U64(bytes, 100 * 4096);
        teardown(&f);
    }
}

TEST_MAIN(RUN(what_was_synced_with_its_name_survives),
          RUN(syncing_a_file_does_not_make_its_name_durable),
          RUN(syncing_a_folder_does_not_make_its_files_durable),
          RUN(sectors_survive_one_by_one_and_whole),
          RUN(any_of_several_unsynced_versions_may_be_the_one),
          RUN(a_file_that_grew_has_any_size_on_the_way), RUN(a_truncation_is_kept_or_lost_whole),
          RUN(a_truncation_that_was_synced_brings_nothing_back), RUN(a_rename_is_atomic),
          RUN(changes_of_one_name_survive_in_their_order),
          RUN(changes_of_different_names_survive_in_any_order),
          RUN(a_removed_file_comes_back_unless_its_folder_was_synced),
          RUN(a_folder_whose_name_is_lost_takes_its_files_with_it),
          RUN(a_sync_of_either_folder_makes_a_move_between_them_durable),
          RUN(moved_folders_are_neither_lost_nor_doubled),
          RUN(a_crash_finds_the_space_of_what_it_took))
