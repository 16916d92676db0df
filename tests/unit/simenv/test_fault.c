/* Calls that fail, calls that are a node's last, and a small protocol that is tried at each of
 * them: a file that is replaced as a whole. */
#include "unit/simenv/fixture.h"

TEST(the_nth_matching_call_fails_and_no_other)
{
    struct fix f = setup(1);
    struct file *file = create_file(&f, "a");
    struct err err;
    uint64_t size;

    sim_fail(f.w, 1, SIM_WRITE | SIM_STAT, 3, false, ST_NO_SPACE);
    write_at(file, 0, "x");
    EXPECT_OK(file_sync(file, NULL)); /* does not match */
    EXPECT_OK(file_size(file, &size, NULL));
    EXPECT_ST(file_write(file, 0, &(struct slice){ 0 }, 1, &err), ST_NO_SPACE);
    EXPECT_STR(err.text, "write a: No space left on device");
    write_at(file, 0, "y");
    EXPECT_OK(file_size(file, &size, NULL));
    teardown(&f);
}

TEST(a_fault_for_good_ends_when_it_is_switched_off)
{
    struct fix f = setup(2);
    struct file *file = create_file(&f, "a");

    sim_fail(f.w, 1, SIM_WRITE, 2, true, ST_IO);
    write_at(file, 0, "x");
    for (int i = 0; i < 5; i++)
        EXPECT_ST(try_write(file, 0, "y"), ST_IO);
    sim_fail(f.w, 1, SIM_WRITE, 0, false, ST_OK);
    write_at(file, 0, "z");
    expect_file(&f, "a", "z");
    teardown(&f);
}

TEST(a_failing_write_leaves_any_part_of_it)
{
    int nothing = 0, all = 0, front = 0, rest = 0;

    for (uint64_t seed = 0; seed < 300; seed++) {
        struct fix f = setup(seed);
        struct file *file = create_file(&f, "a");
        struct buf got = buf_empty(64);

        write_at(file, 0, "........");
        sim_fail(f.w, 1, SIM_WRITE, 1, false, ST_IO);
        EXPECT_ST(try_write(file, 0, "abcdefgh"), ST_IO);
        EXPECT(sim_disk_read(f.w, 1, "a", &got));
        EXPECT_U64(got.size, 8);
        for (int i = 0; i < 8; i++)
            EXPECT(got.data[i] == '.' || got.data[i] == "abcdefgh"[i]);
        nothing += slice_equal(buf_slice(&got), slice_str("........"));
        all += slice_equal(buf_slice(&got), slice_str("abcdefgh"));
        front += got.data[0] == 'a' && got.data[7] == '.';
        rest += got.data[0] == '.' && got.data[4] == 'e';
        buf_release(&got);
        teardown(&f);
    }
    EXPECT(nothing > 5 && all > 5 && front > 5 && rest > 5);
}

/* One call of each kind; each must say so when it fails, and change nothing it need not. */
TEST(every_kind_of_call_can_fail)
{
    for (unsigned bit = 0; bit < 13; bit++) {
        struct fix f = setup(bit);
        struct file *file = create_file(&f, "a");
        enum status got[13];
        uint64_t n = 0;
        char text[256] = "";
        struct file *other = NULL;

        put_durable(&f, "b", "text");
        sim_fail(f.w, 1, 1u << bit, 1, false, ST_IO);
        got[0] = env_open(f.env, "b", ENV_OPEN_READ, &other, NULL);
        got[1] = file_read(file, 0, text, 4, &(size_t){ 0 }, NULL);
        got[2] = try_write(file, 0, "x");
        got[3] = file_sync(file, NULL);
        got[4] = file_truncate(file, 1, NULL);
        got[5] = file_fill(file, 1, NULL);
        got[6] = env_remove(f.env, "b", NULL);
        if (got[6] == ST_OK)
            put_file(&f, "b", "text", true);
        got[7] = env_rename(f.env, "b", "c", NULL);
        got[8] = env_link(f.env, got[7] == ST_OK ? "c" : "b", "e", NULL);
        got[9] = env_make_dir(f.env, "d", NULL);
        got[10] = env_sync_dir(f.env, "/", NULL);
        got[11] = env_list(f.env, "/", add_name, text, NULL);
        got[12] = env_stat(f.env, "a", &n, NULL);
        for (unsigned i = 0; i < 13; i++)
            EXPECT_ST(got[i], i == bit ? ST_IO : ST_OK);
        EXPECT(exists(&f, "b") == (bit == 7));
        teardown(&f);
    }
}

TEST(the_other_calls_of_a_kind_fail_with_it)
{
    struct fix f = setup(3);
    struct file *file = NULL;
    struct env_room room;

    EXPECT_OK(env_make_dir(f.env, "d", NULL));
    sim_fail(f.w, 1, SIM_OP_ALL, 1, true, ST_IO);
    EXPECT_ST(env_lock(f.env, "LOCK", &file, NULL), ST_IO);
    EXPECT_ST(env_remove_dir(f.env, "d", NULL), ST_IO);
    EXPECT_ST(env_room(f.env, "/", &room, NULL), ST_IO);
    sim_fail(f.w, 1, 0, 0, false, ST_OK);
    expect_names(&f, "/", "d");
    teardown(&f);
}

TEST(calls_are_counted_from_the_boot)
{
    struct fix f = setup(4);

    EXPECT_U64(sim_op_count(f.w, 1, SIM_OP_ALL), 0);
    put_durable(&f, "a", "text"); /* open, write, sync; sync of the folder */
    EXPECT_U64(sim_op_count(f.w, 1, SIM_OP_ALL), 4);
    EXPECT_U64(sim_op_count(f.w, 1, SIM_SYNC | SIM_SYNC_DIR), 2);
    EXPECT_U64(sim_op_count(f.w, 1, SIM_READ), 0);
    crash_and_boot(&f);
    EXPECT_U64(sim_op_count(f.w, 1, SIM_OP_ALL), 0);
    teardown(&f);
}

/* ------------------------------------------------------------------ a node's last call */

struct body {
    struct env *env;
    enum status st;
    uint32_t steps; /* how far it came */
    void *block;    /* of the node's heap */
};

/* Replace "CURRENT" as a whole, with all that it takes. */
static void
replace(void *ctx)
{
    struct body *b = ctx;
    struct slice part = slice_str("new");
    struct file *file = NULL;

    b->block = mem_alloc(100);
    b->st =
        env_open(b->env, "tmp", ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file, NULL);
    if (b->st == ST_OK)
        b->st = file_write(file, 0, &part, 1, NULL);
    b->steps = 2;
    if (b->st == ST_OK)
        b->st = file_sync(file, NULL);
    b->steps = 3;
    file_close(file);
    if (b->st == ST_OK)
        b->st = env_rename(b->env, "tmp", "CURRENT", NULL);
    b->steps = 4;
    if (b->st == ST_OK)
        b->st = env_sync_dir(b->env, "/", NULL);
    b->steps = 5;
    mem_free(b->block);
}

enum { REPLACE_OPS = 5 };

TEST(a_crash_before_a_call_has_none_of_its_effect_and_after_it_all)
{
    for (int after = 0; after < 2; after++) {
        struct fix f = setup(5);
        struct body b = { .env = f.env };

        put_durable(&f, "CURRENT", "old");
        sim_crash_at(f.w, 1, SIM_RENAME, 1, after);
        for (int i = 0; i < 50; i++) { /* until the unsynced rename survives, or never */
            EXPECT(!sim_call(f.w, 1, replace, &b));
            EXPECT(!sim_running(f.w, 1));
            EXPECT_U64(sim_heap(f.w, 1)->block_count, 0); /* the heap went with it */
            EXPECT_U64(b.steps, 3);
            f.env = sim_boot(f.w, 1, 0);
            if (file_is(&f, "CURRENT", "new"))
                break;
            sim_crash_at(f.w, 1, SIM_RENAME, 1, after);
        }
        EXPECT(file_is(&f, "CURRENT", after ? "new" : "old"));
        teardown(&f);
    }
}

/* One world: the n-th call is the last one.  True: the protocol came to its end. */
static bool
crash_at(uint64_t seed, uint64_t n, bool after, const char *ignore, bool *violated)
{
    struct fix f = setup(seed);
    struct body b = { .env = f.env };
    bool finished, old, new;

    put_durable(&f, "CURRENT", "old");
    sim_ignore_sync(f.w, 1, ignore);
    sim_crash_at(f.w, 1, SIM_OP_ALL, n, after);
    finished = sim_call(f.w, 1, replace, &b);
    EXPECT(!finished || b.st == ST_OK);
    sim_crash_at(f.w, 1, 0, 0, false);
    sim_crash(f.w, 1);
    old = file_is(&f, "CURRENT", "old");
    new = file_is(&f, "CURRENT", "new");
    *violated |= !new && (finished || !old);
    teardown(&f);
    return finished;
}

static bool
any_crash_violates(const char *ignore)
{
    bool violated = false;

    for (int after = 0; after < 2; after++) {
        for (uint64_t n = 1; n <= REPLACE_OPS + 1; n++) {
            for (uint64_t seed = 0; seed < 40; seed++) {
                bool finished = crash_at(seed, n, after, ignore, &violated);

                EXPECT(finished == (n > REPLACE_OPS)); /* exactly the n-th */
            }
        }
    }
    return violated;
}

TEST(a_file_replaced_with_care_is_old_or_new_whatever_call_is_the_last)
{
    EXPECT(!any_crash_violates(NULL));
}

/* A test of the test: without either sync it must fail. */
TEST(a_file_replaced_without_care_is_caught)
{
    EXPECT(any_crash_violates("tmp"));
    EXPECT(any_crash_violates("/"));
}

TEST(every_call_of_a_body_fails_in_turn)
{
    for (int for_good = 0; for_good < 2; for_good++) {
        for (uint64_t n = 1; n <= REPLACE_OPS + 1; n++) {
            struct fix f = setup(n);
            struct body b = { .env = f.env };

            put_durable(&f, "CURRENT", "old");
            sim_fail(f.w, 1, SIM_OP_ALL, n, for_good, ST_IO);
            EXPECT(sim_call(f.w, 1, replace, &b));
            EXPECT_ST(b.st, n > REPLACE_OPS ? ST_OK : ST_IO);
            sim_end(f.w, 1); /* nothing leaks */
            EXPECT(file_is(&f, "CURRENT", n >= REPLACE_OPS ? "new" : "old"));
            teardown(&f);
        }
    }
}

TEST(every_allocation_of_a_body_fails_in_turn)
{
    bool finished = false;

    for (uint64_t n = 1; !finished; n++) {
        struct fix f = setup(n);
        struct body b = { .env = f.env };

        put_durable(&f, "CURRENT", "old");
        sim_heap(f.w, 1)->fail_at = n;
        EXPECT(sim_call(f.w, 1, replace, &b));
        finished = sim_heap(f.w, 1)->allocation < n;
        EXPECT(b.block != NULL || n == 1);
        EXPECT_ST(b.st, n == 2 ? ST_NO_MEMORY : ST_OK);
        sim_end(f.w, 1);
        teardown(&f);
        EXPECT(n < 10);
    }
}

/* The next life does not meet the fault that ended the last one. */
TEST(a_crash_that_was_ordered_comes_once)
{
    struct fix f = setup(6);
    struct body b = { .env = f.env };

    sim_crash_at(f.w, 1, SIM_SYNC, 1, false);
    EXPECT(!sim_call(f.w, 1, replace, &b));
    f.env = sim_boot(f.w, 1, 0);
    EXPECT(sim_call(f.w, 1, replace, &b));
    EXPECT_OK(b.st);
    teardown(&f);
}

static void
write_outside(struct fix *f)
{
    write_at(create_file(f, "a"), 0, "x");
}

TEST(code_outside_of_a_fiber_cannot_be_crashed_in_its_middle)
{
    struct fix f = setup(7);

    EXPECT(!asserts(write_outside, &f));
    sim_crash_at(f.w, 1, SIM_WRITE, 1, false);
    EXPECT(asserts(write_outside, &f));
    teardown(&f);
}

TEST_MAIN(RUN(the_nth_matching_call_fails_and_no_other),
          RUN(a_fault_for_good_ends_when_it_is_switched_off),
          RUN(a_failing_write_leaves_any_part_of_it), RUN(every_kind_of_call_can_fail),
          RUN(the_other_calls_of_a_kind_fail_with_it), RUN(calls_are_counted_from_the_boot),
          RUN(a_crash_before_a_call_has_none_of_its_effect_and_after_it_all),
          RUN(a_file_replaced_with_care_is_old_or_new_whatever_call_is_the_last),
          RUN(a_file_replaced_without_care_is_caught), RUN(every_call_of_a_body_fails_in_turn),
          RUN(every_allocation_of_a_body_fails_in_turn), RUN(a_crash_that_was_ordered_comes_once),
          RUN(code_outside_of_a_fiber_cannot_be_crashed_in_its_middle))
