/* Files and folders of a simulated node while it runs: what a process sees, whatever the medium
 * has.  What a power cut leaves is in test_crash.c. */
#include "unit/simenv/fixture.h"

TEST(a_read_gives_what_was_written_and_stops_at_the_end)
{
    struct fix f = setup(1);
    struct file *file = create_file(&f, "a");
    char out[16] = "";
    size_t got = 99;

    write_at(file, 0, "hello world");
    EXPECT_OK(file_read(file, 6, out, sizeof(out), &got, NULL));
    EXPECT_SLICE(slice_of(out, got), "world");
    EXPECT_OK(file_read(file, 11, out, sizeof(out), &got, NULL));
    EXPECT_U64(got, 0);
    EXPECT_OK(file_read(file, 1000, out, sizeof(out), &got, NULL));
    EXPECT_U64(got, 0);
    file_close(file);
    teardown(&f);
}

TEST(the_parts_of_a_write_follow_one_another)
{
    struct fix f = setup(2);
    struct file *file = create_file(&f, "a");
    struct slice parts[] = { slice_str("one,"), slice_of(NULL, 0), slice_str("two,"),
                             slice_str("three") };

    EXPECT_OK(file_write(file, 0, parts, 4, NULL));
    expect_file(&f, "a", "one,two,three");
    EXPECT_OK(file_write(file, 5, NULL, 0, NULL));
    expect_file(&f, "a", "one,two,three");
    file_close(file);
    teardown(&f);
}

TEST(a_write_beyond_the_end_leaves_zeros_before_it)
{
    struct fix f = setup(3);
    struct file *file = create_file(&f, "a");
    uint8_t out[9001];
    size_t got;

    write_at(file, 9000, "x");
    EXPECT_OK(file_read(file, 0, out, sizeof(out), &got, NULL));
    EXPECT_U64(got, 9001);
    for (size_t i = 0; i < 9000; i++)
        EXPECT_U64(out[i], 0);
    EXPECT_U64(out[9000], 'x');
    file_close(file);
    teardown(&f);
}

TEST(truncating_cuts_and_growing_gives_zeros)
{
    struct fix f = setup(4);
    struct file *file = create_file(&f, "a");
    uint64_t size = 0;

    write_at(file, 0, "abcdefgh");
    EXPECT_OK(file_truncate(file, 3, NULL));
    expect_file(&f, "a", "abc");
    EXPECT_OK(file_truncate(file, 6, NULL));
    EXPECT_OK(file_size(file, &size, NULL));
    EXPECT_U64(size, 6);
    write_at(file, 5, "!");
    {
        char out[8];
        size_t got;

        EXPECT_OK(file_read(file, 0, out, sizeof(out), &got, NULL));
        EXPECT(slice_equal(slice_of(out, got), slice_of("abc\0\0!", 6)));
    }
    file_close(file);
    teardown(&f);
}

TEST(filling_zeros_all_and_sets_the_size)
{
    struct fix f = setup(5);
    struct file *file = create_file(&f, "a");
    uint8_t out[6000];
    uint64_t size;
    size_t got;

    write_at(file, 0, "old");
    write_at(file, 9000, "old");
    EXPECT_OK(file_fill(file, 5000, NULL));
    EXPECT_OK(file_size(file, &size, NULL));
    EXPECT_U64(size, 5000);
    EXPECT_OK(file_read(file, 0, out, sizeof(out), &got, NULL));
    EXPECT_U64(got, 5000);
    for (size_t i = 0; i < got; i++)
        EXPECT_U64(out[i], 0);
    file_close(file);
    teardown(&f);
}

TEST(opening_obeys_its_flags)
{
    struct fix f = setup(6);
    struct file *file = NULL;
    struct err err;

    EXPECT_ST(env_open(f.env, "a", ENV_OPEN_READ, &file, &err), ST_NOT_FOUND);
    EXPECT_STR(err.text, "open a: No such file or directory");
    put_file(&f, "a", "text", false);
    EXPECT_ST(
        env_open(f.env, "a", ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &file, NULL),
        ST_EXISTS);
    file_close(open_file(&f, "a", ENV_OPEN_WRITE | ENV_OPEN_CREATE));
    expect_file(&f, "a", "text");
    file_close(open_file(&f, "a", ENV_OPEN_WRITE | ENV_OPEN_TRUNCATE));
    expect_file(&f, "a", "");
    EXPECT_ST(env_open(f.env, "no/a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, NULL), ST_NOT_FOUND);
    EXPECT_ST(env_open(f.env, "a/b", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, NULL), ST_IO);
    EXPECT_ST(env_open(f.env, "/", ENV_OPEN_READ, &file, NULL), ST_IO);
    EXPECT(file == NULL);
    file = open_file(&f, "./a", ENV_OPEN_READ);
    EXPECT_STR(file_path(file), "./a");
    file_close(file);
    teardown(&f);
}

TEST(names_change_as_posix_has_it)
{
    struct fix f = setup(7);
    uint64_t size;

    put_file(&f, "a", "A", false);
    put_file(&f, "b", "BB", false);
    EXPECT_ST(env_rename(f.env, "none", "b", NULL), ST_NOT_FOUND);
    EXPECT_ST(env_link(f.env, "a", "b", NULL), ST_EXISTS);
    EXPECT_OK(env_link(f.env, "a", "c", NULL));
    EXPECT_OK(env_rename(f.env, "a", "b", NULL)); /* replaces it */
    expect_names(&f, "/", "b,c");
    expect_file(&f, "b", "A");
    expect_file(&f, "c", "A");
    EXPECT_OK(env_rename(f.env, "b", "c", NULL)); /* one file already: nothing happens */
    expect_names(&f, ".", "b,c");
    EXPECT_OK(env_stat(f.env, "c", &size, NULL));
    EXPECT_U64(size, 1);
    EXPECT_OK(env_remove(f.env, "b", NULL));
    EXPECT_ST(env_remove(f.env, "b", NULL), ST_NOT_FOUND);
    EXPECT_ST(env_stat(f.env, "b", &size, NULL), ST_NOT_FOUND);
    expect_file(&f, "c", "A");
    teardown(&f);
}

TEST(folders_hold_files_and_must_be_empty_to_go)
{
    struct fix f = setup(8);

    EXPECT_OK(env_make_dir(f.env, "d", NULL));
    EXPECT_ST(env_make_dir(f.env, "d", NULL), ST_EXISTS);
    EXPECT_ST(env_make_dir(f.env, "/", NULL), ST_EXISTS);
    EXPECT_ST(env_make_dir(f.env, "no/d", NULL), ST_NOT_FOUND);
    EXPECT_OK(env_make_dir(f.env, "/d/e/", NULL));
    put_file(&f, "d/e/x", "X", false);
    expect_names(&f, "d", "e");
    expect_names(&f, "d/e", "x");
    EXPECT_ST(env_remove_dir(f.env, "d/e", NULL), ST_IO);
    EXPECT_ST(env_remove(f.env, "d/e", NULL), ST_IO);
    EXPECT_ST(env_remove_dir(f.env, "d/e/x", NULL), ST_IO);
    EXPECT_ST(env_rename(f.env, "d", "d/e/f", NULL), ST_IO); /* into itself */
    EXPECT_OK(env_rename(f.env, "d/e", "g", NULL));
    expect_file(&f, "g/x", "X");
    EXPECT_OK(env_remove(f.env, "g/x", NULL));
    EXPECT_OK(env_remove_dir(f.env, "g", NULL));
    EXPECT_OK(env_remove_dir(f.env, "d", NULL));
    expect_names(&f, "/", "");
    EXPECT_ST(env_list(f.env, "d", add_name, NULL, NULL), ST_NOT_FOUND);
    teardown(&f);
}

TEST(an_open_file_outlives_its_name)
{
    struct fix f = setup(9);
    struct file *file = create_file(&f, "a");
    char out[4];
    size_t got;

    write_at(file, 0, "abc");
    EXPECT_OK(env_remove(f.env, "a", NULL));
    EXPECT_OK(file_read(file, 0, out, sizeof(out), &got, NULL));
    EXPECT_SLICE(slice_of(out, got), "abc");
    EXPECT_OK(file_sync(file, NULL));
    file_close(file);
    teardown(&f);
}

static void
remove_listed(void *ctx, const char *name)
{
    EXPECT_OK(env_remove(ctx, name, NULL));
}

TEST(what_is_listed_may_be_removed_meanwhile)
{
    struct fix f = setup(10);

    put_file(&f, "b", "", false);
    put_file(&f, "a", "", false);
    put_file(&f, "c", "", false);
    expect_names(&f, "/", "a,b,c");
    EXPECT_OK(env_list(f.env, "/", remove_listed, f.env, NULL));
    expect_names(&f, "/", "");
    teardown(&f);
}

TEST(a_lock_is_held_by_one_until_it_is_closed)
{
    struct fix f = setup(11);
    struct file *lock, *second = NULL;

    EXPECT_OK(env_lock(f.env, "LOCK", &lock, NULL));
    EXPECT_ST(env_lock(f.env, "LOCK", &second, NULL), ST_EXISTS);
    EXPECT(second == NULL);
    file_close(lock);
    EXPECT_OK(env_lock(f.env, "LOCK", &lock, NULL));
    crash_and_boot(&f); /* or until its holder is gone */
    EXPECT_OK(env_lock(f.env, "LOCK", &lock, NULL));
    sim_kill(f.w, 1);
    f.env = sim_boot(f.w, 1, 0);
    EXPECT_OK(env_lock(f.env, "LOCK", &lock, NULL));
    file_close(lock);
    sim_end(f.w, 1);
    teardown(&f);
}

TEST(a_full_disk_says_so_and_recovers)
{
    struct fix f = setup(12);
    struct file *file = create_file(&f, "a");
    struct file *other = NULL;
    static char big[16384];
    struct slice part = slice_of(big, sizeof(big));
    uint64_t bytes, size;

    sim_set_capacity(f.w, 1, 5 * 4096);
    bytes = free_bytes(&f);
    EXPECT_U64(bytes, 5 * 4096);
    EXPECT_OK(file_write(file, 0, &part, 1, NULL));
    bytes = free_bytes(&f);
    EXPECT_U64(bytes, 4096);
    EXPECT_ST(file_write(file, 16384, &part, 1, NULL), ST_NO_SPACE);
    EXPECT_OK(file_size(file, &size, NULL));
    EXPECT_U64(size, 5 * 4096); /* what fitted was written */
    EXPECT_ST(env_open(f.env, "b", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &other, NULL), ST_NO_SPACE);
    EXPECT_ST(env_make_dir(f.env, "d", NULL), ST_NO_SPACE);
    EXPECT_OK(file_write(file, 0, &part, 1, NULL)); /* over what is there */
    EXPECT_OK(file_truncate(file, 100, NULL));
    bytes = free_bytes(&f);
    EXPECT_U64(bytes, 4 * 4096);
    EXPECT_OK(env_remove(f.env, "a", NULL));
    bytes = free_bytes(&f);
    EXPECT_U64(bytes, 4 * 4096); /* it is still open */
    file_close(file);
    bytes = free_bytes(&f);
    EXPECT_U64(bytes, 5 * 4096);
    teardown(&f);
}

TEST(what_was_filled_can_be_written_on_a_full_disk)
{
    struct fix f = setup(13);
    struct file *a = create_file(&f, "a");
    struct file *b = create_file(&f, "b");
    uint64_t bytes;

    sim_set_capacity(f.w, 1, 8 * 4096);
    EXPECT_OK(file_fill(a, 6 * 4096, NULL));
    EXPECT_ST(file_fill(b, 3 * 4096, NULL), ST_NO_SPACE);
    EXPECT_OK(file_truncate(b, 0, NULL));
    EXPECT_OK(file_fill(b, 2 * 4096, NULL));
    bytes = free_bytes(&f);
    EXPECT_U64(bytes, 0);
    for (uint64_t at = 0; at < 6 * 4096 - 8; at += 1000)
        write_at(a, at, "text");
    EXPECT_ST(try_write(a, 6 * 4096, "x"), ST_NO_SPACE);
    EXPECT_OK(file_fill(a, 6 * 4096, NULL)); /* it takes no more the second time */
    sim_set_capacity(f.w, 1, 0);             /* a disk that shrinks has none free, not less */
    bytes = free_bytes(&f);
    EXPECT_U64(bytes, 0);
    teardown(&f);
}

TEST(a_reactors_read_is_answered_from_the_cache_or_not_at_all)
{
    struct fix f = setup(14);
    struct file *file = create_file(&f, "a");
    int answered = 0;
    struct err err;

    write_at(file, 0, "abc");
    for (int i = 0; i < 200; i++) {
        char out[4] = "";
        size_t got = 0;
        enum status st = file_try_read(file, 0, out, 3, &got, &err);

        EXPECT(st == ST_OK || (st == ST_WOULD_BLOCK && got == 0 && err.code == st));
        EXPECT(st != ST_OK || strcmp(out, "abc") == 0);
        answered += st == ST_OK;
    }
    EXPECT(answered > 50 && answered < 150);
    sim_set_cold_percent(f.w, 1, 100);
    EXPECT_ST(file_try_read(file, 0, &(char){ 0 }, 1, &(size_t){ 0 }, NULL), ST_WOULD_BLOCK);
    sim_set_cold_percent(f.w, 1, 0);
    EXPECT_OK(file_try_read(file, 0, &(char){ 0 }, 1, &(size_t){ 0 }, NULL));
    teardown(&f);
}

TEST(an_allocation_that_fails_fails_the_open)
{
    struct fix f = setup(15);
    struct mem_heap *heap = sim_heap(f.w, 1);
    struct mem_heap *outer = mem_heap_enter(heap);
    struct file *file = NULL;
    struct gate *gate = NULL;

    heap->fail_at = 1;
    heap->fail_for_good = true;
    EXPECT_ST(env_open(f.env, "a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, NULL), ST_NO_MEMORY);
    EXPECT_ST(env_lock(f.env, "l", &file, NULL), ST_NO_MEMORY);
    EXPECT_ST(gate_create(f.env, &gate), ST_NO_MEMORY);
    EXPECT(file == NULL && gate == NULL);
    heap->fail_at = 0;
    EXPECT_OK(env_open(f.env, "a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, NULL));
    file_close(file);
    mem_heap_enter(outer);
    EXPECT_U64(heap->block_count, 0);
    teardown(&f);
}

/* ------------------------------------------------------------------ from outside */

static void
note_path(void *ctx, const char *path, uint64_t size)
{
    char text[64];

    snprintf(text, sizeof(text), "%s:%u", path, (unsigned)size);
    add_name(ctx, text);
}

TEST(the_disk_can_be_read_and_changed_from_outside)
{
    struct fix f = setup(16);
    char paths[256] = "";

    EXPECT(sim_disk_write(f.w, 1, "/d/sub/x", slice_str("hello")));
    EXPECT(sim_disk_write(f.w, 1, "d.y", slice_str("")));
    EXPECT(sim_disk_write(f.w, 1, "d/a", slice_str("1234")));
    sim_disk_each(f.w, 1, note_path, paths);
    EXPECT_STR(paths, "d.y:0,d/a:4,d/sub/x:5");
    expect_file(&f, "d/sub/x", "hello");
    crash_and_boot(&f); /* it was durable at once */
    expect_file(&f, "d/sub/x", "hello");

    EXPECT(sim_disk_truncate(f.w, 1, "d/sub/x", 2));
    expect_file(&f, "d/sub/x", "he");
    EXPECT(sim_disk_flip(f.w, 1, "d/sub/x", 1, 0));
    expect_file(&f, "d/sub/x", "hd");
    EXPECT(!sim_disk_flip(f.w, 1, "d/sub/x", 2, 0));
    EXPECT(sim_disk_remove(f.w, 1, "d/a"));
    EXPECT(!sim_disk_remove(f.w, 1, "d/a"));
    EXPECT(!sim_disk_remove(f.w, 1, "d"));
    EXPECT(!sim_disk_truncate(f.w, 1, "d/a", 0));
    EXPECT(!sim_disk_write(f.w, 1, "d", slice_str("")));
    EXPECT(!sim_disk_write(f.w, 1, "d.y/z", slice_str("")));
    crash_and_boot(&f);
    expect_file(&f, "d/sub/x", "hd");
    EXPECT(!exists(&f, "d/a"));
    teardown(&f);
}

TEST(a_file_from_outside_overrules_what_was_pending)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct fix f = setup(seed);

        put_durable(&f, "a", "durable");
        put_file(&f, "b", "other", false);
        EXPECT_OK(env_rename(f.env, "b", "a", NULL));
        EXPECT(sim_disk_write(f.w, 1, "a", slice_str("outside")));
        EXPECT(sim_disk_remove(f.w, 1, "b") == false);
        crash_and_boot(&f);
        expect_file(&f, "a", "outside");
        teardown(&f);
    }
}

TEST(what_was_cut_off_from_outside_does_not_come_back)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct fix f = setup(seed);
        struct file *file;
        struct buf got = buf_empty(64);

        put_durable(&f, "a", "secret");
        file = open_file(&f, "a", ENV_OPEN_WRITE);
        write_at(file, 0, "public");
        EXPECT(sim_disk_truncate(f.w, 1, "a", 2));
        EXPECT_OK(file_truncate(file, 6, NULL));
        crash_and_boot(&f);
        EXPECT(sim_disk_read(f.w, 1, "a", &got));
        EXPECT(got.size >= 2);
        for (size_t i = 2; i < got.size; i++)
            EXPECT_U64(got.data[i], 0);
        buf_release(&got);
        teardown(&f);
    }
}

static void
remove_each(void *ctx, const char *path, uint64_t size)
{
    (void)size;
    EXPECT(sim_disk_remove(ctx, 1, path));
}

TEST(every_file_may_be_removed_while_they_are_told)
{
    struct fix f = setup(17);

    put_file(&f, "a", "1", false);
    put_file(&f, "b", "2", true);
    sim_disk_each(f.w, 1, remove_each, f.w);
    expect_names(&f, "/", "");
    crash_and_boot(&f);
    expect_names(&f, "/", "");
    teardown(&f);
}

TEST(a_saved_disk_can_be_put_back_as_often_as_wanted)
{
    struct fix f = setup(18);
    struct sim_disk_image *image;

    EXPECT_OK(env_make_dir(f.env, "d", NULL));
    put_file(&f, "d/a", "text", false);
    EXPECT_OK(env_link(f.env, "d/a", "linked", NULL));
    sim_end(f.w, 1);
    image = sim_disk_save(f.w, 1);
    for (int i = 0; i < 3; i++) {
        sim_disk_load(f.w, 1, image);
        f.env = sim_boot(f.w, 1, 0);
        expect_file(&f, "d/a", "text");
        EXPECT(sim_disk_flip(f.w, 1, "d/a", 0, 0));
        expect_file(&f, "linked", "uext"); /* still one file with two names */
        put_file(&f, "new", "", false);
        EXPECT_OK(env_remove(f.env, "d/a", NULL));
        crash_and_boot(&f);
        sim_crash(f.w, 1);
    }
    sim_disk_load(f.w, 2, image); /* also into another machine */
    sim_disk_image_free(image);
    EXPECT(sim_disk_truncate(f.w, 2, "d/a", 1));
    teardown(&f);
}

TEST_MAIN(RUN(a_read_gives_what_was_written_and_stops_at_the_end),
          RUN(the_parts_of_a_write_follow_one_another),
          RUN(a_write_beyond_the_end_leaves_zeros_before_it),
          RUN(truncating_cuts_and_growing_gives_zeros), RUN(filling_zeros_all_and_sets_the_size),
          RUN(opening_obeys_its_flags), RUN(names_change_as_posix_has_it),
          RUN(folders_hold_files_and_must_be_empty_to_go), RUN(an_open_file_outlives_its_name),
          RUN(what_is_listed_may_be_removed_meanwhile),
          RUN(a_lock_is_held_by_one_until_it_is_closed), RUN(a_full_disk_says_so_and_recovers),
          RUN(what_was_filled_can_be_written_on_a_full_disk),
          RUN(a_reactors_read_is_answered_from_the_cache_or_not_at_all),
          RUN(an_allocation_that_fails_fails_the_open),
          RUN(the_disk_can_be_read_and_changed_from_outside),
          RUN(a_file_from_outside_overrules_what_was_pending),
          RUN(what_was_cut_off_from_outside_does_not_come_back),
          RUN(every_file_may_be_removed_while_they_are_told),
          RUN(a_saved_disk_can_be_put_back_as_often_as_wanted))
