/* Tests of files, names and clocks of the real environment. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "one_file.h"

/* ------------------------------------------------------------------ reading and writing */

TEST(a_file_gives_back_the_parts_that_were_written)
{
    struct folder d;
    struct file *f;
    struct slice parts[] = { slice_str("one"), slice_str(""), slice_str("two"), slice_of(NULL, 0),
                             slice_str("three") };

    folder_create(&d);
    f = open_new(&d, "a");
    EXPECT_OK(file_write(f, 2, parts, 5, NULL));
    EXPECT_U64(size_of(f), 13);
    EXPECT_STR(text_at(f, 2), "onetwothree");
    EXPECT_STR(file_path(f), in(&d, "a"));
    EXPECT_OK(file_write(f, 0, NULL, 0, NULL));
    EXPECT_OK(file_write(f, 13, parts + 1, 1, NULL));
    EXPECT_U64(size_of(f), 13);
    EXPECT_OK(file_sync(f, NULL));
    file_close(f);
    folder_destroy(&d);
}

TEST(a_file_takes_more_parts_than_one_call_to_the_system_does)
{
    enum { PARTS = 5000 };
    static struct slice parts[PARTS];
    static uint8_t bytes[PARTS * 3], read_back[PARTS * 3 + 1];
    struct folder d;
    struct file *f;
    size_t at = 0, got = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = slice_of(bytes + at, i % 4);
        at += i % 4;
    }
    folder_create(&d);
    f = open_new(&d, "a");
    EXPECT_OK(file_write(f, 0, parts, PARTS, NULL));
    EXPECT_OK(file_read(f, 0, read_back, sizeof(read_back), &got, NULL));
    EXPECT_U64(got, at);
    EXPECT(memcmp(bytes, read_back, at) == 0);
    file_close(f);
    folder_destroy(&d);
}

TEST(a_read_is_short_only_at_the_end_of_the_file)
{
    struct folder d;
    struct file *f;
    char out[8];
    size_t got = 99;

    folder_create(&d);
    f = open_new(&d, "a");
    write_text(f, 0, "0123456789");
    EXPECT_OK(file_read(f, 2, out, 8, &got, NULL));
    EXPECT_U64(got, 8);
    EXPECT_OK(file_read(f, 7, out, 8, &got, NULL));
    EXPECT_U64(got, 3);
    EXPECT_OK(file_read(f, 10, out, 8, &got, NULL));
    EXPECT_U64(got, 0);
    EXPECT_OK(file_read(f, 1000, out, 8, &got, NULL));
    EXPECT_U64(got, 0);
    EXPECT_OK(file_read(f, 0, NULL, 0, &got, NULL));
    EXPECT_U64(got, 0);
    file_close(f);
    folder_destroy(&d);
}

/* Whether the page cache has the bytes is the system's business; an answer must be right. */
TEST(a_read_that_may_not_wait_answers_or_says_that_it_would_block)
{
    struct folder d;
    struct file *f;
    char out[16] = "";
    size_t got = 99;
    enum status st;

    folder_create(&d);
    f = open_new(&d, "a");
    write_text(f, 0, "0123456789");
    st = file_try_read(f, 4, out, sizeof(out), &got, NULL);
    if (st == ST_OK) {
        EXPECT_U64(got, 6);
        EXPECT(memcmp(out, "456789", 6) == 0);
    } else {
        EXPECT_ST(st, ST_WOULD_BLOCK);
        EXPECT_U64(got, 99);
    }
    file_close(f);
    folder_destroy(&d);
}

TEST(a_negative_offset_is_an_error_and_not_a_wrong_read)
{
    struct folder d;
    struct file *f;
    struct slice part = slice_str("x");
    struct err err;
    char out[4];
    size_t got = 99;

    folder_create(&d);
    f = open_new(&d, "a");
    EXPECT_ST(file_read(f, UINT64_MAX - 100, out, 4, &got, &err), ST_IO);
    EXPECT_U64(err.sys, EINVAL);
    EXPECT_ST(file_try_read(f, UINT64_MAX - 100, out, 4, &got, &err), ST_IO);
    EXPECT_ST(file_write(f, UINT64_MAX - 100, &part, 1, &err), ST_IO);
    EXPECT_ST(file_truncate(f, UINT64_MAX - 100, &err), ST_IO);
    EXPECT_U64(got, 99);
    file_close(f);
    folder_destroy(&d);
}

TEST(truncating_cuts_and_grows_with_zeros)
{
    struct folder d;
    struct file *f;
    char out[8] = "xxxxxxx";
    size_t got = 0;

    folder_create(&d);
    f = open_new(&d, "a");
    write_text(f, 0, "0123456789");
    EXPECT_OK(file_truncate(f, 3, NULL));
    EXPECT_STR(text_at(f, 0), "012");
    EXPECT_OK(file_truncate(f, 6, NULL));
    EXPECT_OK(file_read(f, 0, out, 8, &got, NULL));
    EXPECT_U64(got, 6);
    EXPECT(memcmp(out, "012\0\0\0", 6) == 0);
    file_close(f);
    folder_destroy(&d);
}

/* ------------------------------------------------------------------ filling */

static bool
is_all_zero(struct file *f, uint64_t size)
{
    static uint8_t out[64 << 10];
    uint64_t at = 0;

    while (at < size) {
        size_t got = 0;

        EXPECT_OK(file_read(f, at, out, sizeof(out), &got, NULL));
        if (got == 0)
            return false;
        for (size_t i = 0; i < got; i++) {
            if (out[i] != 0)
                return false;
        }
        at += got;
    }
    return at == size;
}

TEST(filling_leaves_zeros_and_the_size_whatever_was_there_before)
{
    static const uint64_t sizes[] = { 0, 1, 4096, 16385, (3 << 20) + 17, 4096, 0 };
    struct folder d;
    struct file *f;

    folder_create(&d);
    f = open_new(&d, "a");
    write_text(f, 0, "something old");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        EXPECT_OK(file_fill(f, sizes[i], NULL));
        EXPECT_U64(size_of(f), sizes[i]);
        EXPECT(is_all_zero(f, sizes[i]));
        if (sizes[i] > 100)
            write_text(f, sizes[i] - 50, "dirt");
    }
    file_close(f);
    folder_destroy(&d);
}

/* ------------------------------------------------------------------ running out of space */

/* The device that is always full. */
TEST(a_full_disk_is_told_as_no_space)
{
    struct env *env = bare_env(0);
    struct slice part = slice_str("x");
    struct file *f = NULL;
    struct err err;

    EXPECT_OK(env_open(env, "/dev/full", ENV_OPEN_WRITE, &f, &err));
    EXPECT_ST(file_write(f, 0, &part, 1, &err), ST_NO_SPACE);
    EXPECT_U64(err.sys, ENOSPC);
    file_close(f);
    real_env_destroy(env);
}

/* A quota: the process may not make files longer than this.  In a child, because the hard part of
 * the limit is the default action of its signal. */
static int
meet_the_quota(struct folder *d)
{
    struct rlimit limit = { 1 << 20, RLIM_INFINITY };
    struct file *f = NULL;
    struct slice part = slice_str("0123456789");
    struct err err;
    uint64_t size = 0;

    signal(SIGXFSZ, SIG_IGN);
    if (env_open(d->env, in(d, "quota"), NEW_FILE, &f, &err) != ST_OK ||
        setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (file_fill(f, 1 << 20, &err) != ST_OK)
        return 2;
    if (file_fill(f, (1 << 20) + 1, &err) != ST_NO_SPACE || err.sys != EFBIG)
        return 3;
    if (file_write(f, (1 << 20) - 5, &part, 1, &err) != ST_NO_SPACE)
        return 4;
    if (file_truncate(f, 2 << 20, &err) != ST_NO_SPACE)
        return 5;
    if (file_write(f, 0, &part, 1, &err) != ST_OK) /* and inside there is still room */
        return 6;
    if (file_size(f, &size, &err) != ST_OK || size != 1 << 20)
        return 7;
    file_close(f);
    return 0;
}

TEST(a_quota_is_told_as_no_space_by_writes_fills_and_truncations)
{
    struct folder d;
    int status = -1;
    pid_t child;

    folder_create(&d);
    child = fork();
    if (child == 0)
        _exit(meet_the_quota(&d));
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status));
    EXPECT_U64(WEXITSTATUS(status), 0);
    folder_destroy(&d);
}

/* ------------------------------------------------------------------ time and chance */

TEST(clocks_go_forward_and_sleep_lasts_as_long_as_it_says)
{
    struct env *env = bare_env(0);
    uint64_t before = env_boot_ns(env), wall = env_wall_ms(env), passed;

    env_sleep_ms(env, 30);
    passed = env_boot_ns(env) - before;
    EXPECT(passed >= 30000000);
    EXPECT(wall > UINT64_C(1700000000000)); /* 2023 */
    EXPECT(env_wall_ms(env) >= wall);
    real_env_destroy(env);
}

TEST(random_bytes_fill_all_that_was_asked_for_and_differ)
{
    static uint8_t a[1000], b[1000];
    struct env *env = bare_env(0);
    size_t zeros = 0;

    env_random(env, a, sizeof(a));
    env_random(env, b, sizeof(b));
    env_random(env, NULL, 0);
    EXPECT(memcmp(a, b, sizeof(a)) != 0);
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0;
    EXPECT(zeros < 100);
    EXPECT(memcmp(a + 900, b + 900, 100) != 0);
    real_env_destroy(env);
}

TEST_MAIN(RUN(a_file_gives_back_the_parts_that_were_written),
          RUN(a_file_takes_more_parts_than_one_call_to_the_system_does),
          RUN(a_read_is_short_only_at_the_end_of_the_file),
          RUN(a_read_that_may_not_wait_answers_or_says_that_it_would_block),
          RUN(a_negative_offset_is_an_error_and_not_a_wrong_read),
          RUN(truncating_cuts_and_grows_with_zeros),
          RUN(filling_leaves_zeros_and_the_size_whatever_was_there_before),
          RUN(a_full_disk_is_told_as_no_space),
          RUN(a_quota_is_told_as_no_space_by_writes_fills_and_truncations),
          RUN(clocks_go_forward_and_sleep_lasts_as_long_as_it_says),
          RUN(random_bytes_fill_all_that_was_asked_for_and_differ))
