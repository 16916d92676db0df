/* Tests of lsm/manifest.h on a machine that fails: power cuts, calls that fail, no memory.  The
 * script and its judge are in manifest_fixture.c. */
#include "base/hash.h"

#include "manifest_fixture.h"
#include "unit/test.h"

enum { SEEDS = 2, CALLS_MAX = 1000 };

/* One seed per case, from the test's. */
static uint64_t
mix(uint64_t seed, uint64_t a, uint64_t b)
{
    return hash_u64(seed + hash_u64(a * 1000 + b));
}

static const char *
name_case(const char *what, uint64_t seed, uint64_t n)
{
    static char text[100];

    snprintf(text, sizeof(text), "%s at call %llu, seed %llu", what, (unsigned long long)n,
             (unsigned long long)seed);
    return text;
}

/* Run the script and cut the power at the `n`-th call, or at its end.  False: it got to the end. */
static bool
run_into_power_cut(struct run *r, uint64_t seed, uint64_t n, bool after, int skipped_sync)
{
    run_init(r, seed);
    run_boot(r);
    watch_begin(r, skipped_sync);
    sim_crash_at(r->w, SCRIPT_NODE, SIM_OP_ALL, n, after);
    if (!run_script(r))
        return true;
    sim_crash_at(r->w, SCRIPT_NODE, SIM_OP_ALL, 0, false);
    EXPECT(r->finished);
    sim_crash(r->w, SCRIPT_NODE);
    return false;
}

TEST(a_power_cut_at_any_call_leaves_the_old_state_or_the_new_one)
{
    uint64_t seed = test_seed(1);
    uint64_t n;

    for (uint64_t s = 0; s < SEEDS; s++) {
        bool cut = true;

        for (n = 1; cut && n < CALLS_MAX; n++) {
            for (int after = 0; after < 2; after++) {
                struct run r;

                cut = run_into_power_cut(&r, mix(seed + s, n, (uint64_t)after), n, after != 0, 0);
                run_judge(&r, name_case("power cut", seed + s, n));
                run_destroy(&r);
            }
        }
        EXPECT(n > 80 && n < CALLS_MAX);
    }
}

/* Recovery is a series of calls, too, and begins again after each cut. */
TEST(a_power_cut_at_any_call_of_the_recovery_from_another_changes_nothing)
{
    uint64_t seed = test_seed(2);
    int in_recovery = 0;
    bool cut = true;

    for (uint64_t n = 1; cut && n < CALLS_MAX; n += 2) {
        struct script_state found;
        struct run r;

        cut = run_into_power_cut(&r, mix(seed, n, 0), n, n % 4 == 1, 0);
        for (uint64_t m = 1 + n % 3; m < CALLS_MAX; m += 3) {
            run_boot(&r);
            sim_crash_at(r.w, SCRIPT_NODE, SIM_OP_ALL, m, m % 2 == 0);
            if (run_look(&r, !r.opened, &found))
                break;
            in_recovery++;
        }
        sim_crash_at(r.w, SCRIPT_NODE, SIM_OP_ALL, 0, false);
        if (sim_running(r.w, SCRIPT_NODE))
            sim_crash(r.w, SCRIPT_NODE);
        r.names_doubtful = true; /* a takeover by recovery may have been cut */
        run_judge(&r, name_case("power cut in recovery", seed, n));
        run_destroy(&r);
    }
    EXPECT(in_recovery > 50);
}

/* ------------------------------------------------------------------ calls that fail */

enum ending { END_OF_PROCESS, POWER_CUT };

/* Fail the `n`-th call.  False: there was no such call. */
static bool
run_with_fault(struct run *r, uint64_t seed, uint64_t n, bool for_good, enum status st)
{
    bool crashed;

    run_init(r, seed);
    run_boot(r);
    r->names_doubtful = true;
    sim_fail(r->w, SCRIPT_NODE, SIM_OP_ALL, n, for_good, st);
    crashed = !run_script(r);
    EXPECT(!crashed);
    sim_fail(r->w, SCRIPT_NODE, 0, 0, false, ST_IO);
    return sim_op_count(r->w, SCRIPT_NODE, SIM_OP_ALL) >= n;
}

static void
end_process(struct run *r, enum ending ending)
{
    if (ending == POWER_CUT)
        sim_crash(r->w, SCRIPT_NODE);
    else
        sim_end(r->w, SCRIPT_NODE); /* asserts that nothing leaked */
}

TEST(any_call_may_fail_once_and_the_tree_goes_on)
{
    uint64_t seed = test_seed(3);
    bool failed = true;
    uint64_t n;

    for (n = 1; failed && n < CALLS_MAX; n++) {
        for (int i = 0; i < 4; i++) {
            struct run r;

            failed = run_with_fault(&r, mix(seed, n, (uint64_t)i), n, false,
                                    i % 2 == 0 ? ST_IO : ST_NO_SPACE);
            if (!r.finished)
                print_error("%s: %s\n", name_case("fault", seed, n), r.err.text);
            EXPECT(r.finished);
            EXPECT_U64(run_count_files(&r, ".tmp"), 0);
            end_process(&r, i < 2 ? END_OF_PROCESS : POWER_CUT);
            run_judge(&r, name_case("fault", seed, n));
            run_destroy(&r);
        }
    }
    EXPECT(n > 80 && n < CALLS_MAX);
}

TEST(the_disk_may_fail_for_good_at_any_call)
{
    uint64_t seed = test_seed(4);
    bool failed = true;
    uint64_t n;

    for (n = 1; failed && n < CALLS_MAX; n++) {
        for (int i = 0; i < 2; i++) {
            struct run r;

            failed = run_with_fault(&r, mix(seed, n, (uint64_t)i), n, true, ST_IO);
            EXPECT(r.finished == !failed || r.acked == SCRIPT_STEPS);
            end_process(&r, i == 0 ? END_OF_PROCESS : POWER_CUT);
            run_judge(&r, name_case("disk failure", seed, n));
            run_destroy(&r);
        }
    }
    EXPECT(n > 80 && n < CALLS_MAX);
}

/* P6: a full disk is resumable.  The room is given back while the process runs. */
TEST(a_full_disk_stops_nothing_for_good)
{
    uint64_t full = 0;

    for (uint64_t room = 64 << 10; room < (2 << 20); room += 32 << 10) {
        struct run r;

        run_init(&r, room);
        run_boot(&r);
        sim_set_capacity(r.w, SCRIPT_NODE, room);
        EXPECT(run_script(&r));
        full += !r.finished;
        sim_set_capacity(r.w, SCRIPT_NODE, UINT64_C(1) << 30);
        r.st = ST_OK;
        sim_end(r.w, SCRIPT_NODE);
        run_judge(&r, "full disk");
        run_destroy(&r);
    }
    EXPECT(full > 3);
}

/* Fail the `n`-th allocation.  False: there was no such one. */
static bool
run_without_memory(struct run *r, uint64_t n, bool once)
{
    struct mem_heap *heap;

    run_init(r, n);
    r->once = once;
    run_boot(r);
    heap = sim_heap(r->w, SCRIPT_NODE);
    heap->fail_at = heap->allocation + n;
    EXPECT(run_script(r));
    n = heap->fail_at;
    heap->fail_at = 0;
    return heap->allocation >= n;
}

TEST(any_allocation_may_fail_and_the_tree_goes_on)
{
    bool failed = true;
    uint64_t n;

    for (n = 1; failed && n < CALLS_MAX; n++) {
        struct run r;

        failed = run_without_memory(&r, n, false);
        EXPECT(r.finished);
        sim_end(r.w, SCRIPT_NODE);
        run_judge(&r, name_case("no memory", n, n));
        run_destroy(&r);
    }
    EXPECT(n > 100 && n < CALLS_MAX);
}

/* A tree deletes the tables of such an edit, so it must be certain that nothing names them. */
TEST(where_the_status_is_no_memory_nothing_was_written)
{
    bool failed = true;
    int certain = 0;

    for (uint64_t n = 1; failed && n < CALLS_MAX; n++) {
        struct run r;

        failed = run_without_memory(&r, n, true);
        EXPECT(r.finished == !failed || r.acked == SCRIPT_STEPS || r.st != ST_OK);
        if (!r.finished && r.st == ST_NO_MEMORY && r.opened) {
            r.attempted = r.acked;
            r.names_doubtful = true;
            certain++;
        }
        sim_end(r.w, SCRIPT_NODE);
        run_judge(&r, name_case("no memory", n, n));
        run_destroy(&r);
    }
    EXPECT(certain > 20);
}

/* ------------------------------------------------------------------ what is told, stays */

/* After the end of a process whose disk has failed, the page cache may show what the disk does
 * not have. */
TEST(what_opening_has_told_survives_a_power_cut)
{
    uint64_t seed = test_seed(6);
    bool failed = true;

    for (uint64_t n = 1; failed && n < CALLS_MAX; n++) {
        struct script_state told, found;
        struct run r;

        failed = run_with_fault(&r, mix(seed, n, 0), n, true, ST_IO);
        sim_end(r.w, SCRIPT_NODE);
        run_boot(&r);
        EXPECT(run_look(&r, true, &told));
        EXPECT_OK(r.st);
        sim_crash(r.w, SCRIPT_NODE);
        run_boot(&r);
        EXPECT(run_look(&r, false, &found));
        EXPECT_OK(r.st);
        EXPECT_STR(found.text, told.text);
        sim_end(r.w, SCRIPT_NODE);
        run_destroy(&r);
    }
}

/* So many small edits, each with a mark.  Their records meet the bounds of sectors in every way,
 * and sectors reach the disk, or are forgotten, one by one. */
struct marks {
    struct run *r;
    uint64_t count;
    uint64_t told; /* the last that was recorded */
};

enum { MARKS = 120, SYNCS_OF_OPENING = 1 };

static void
record_marks(void *ctx)
{
    struct marks *m = ctx;
    struct run *r = m->r;

    file_sweep_init(&r->sweep);
    r->st = manifest_open(&r->manifest, r->env, SCRIPT_DIR, SCRIPT_TREE, true, &r->sweep,
                          &r->version, &r->mark, &r->number_max, &r->err);
    for (uint64_t i = 1; r->manifest != NULL && i <= m->count; i++) {
        struct version_edit e = { .mark = { i, 1, 1 }, .mark_set = true };

        r->st = manifest_record(r->manifest, &e, r->version, &e.mark, &r->err);
        if (r->st == ST_OK)
            m->told = i;
    }
    if (r->manifest == NULL)
        return;
    manifest_close(r->manifest);
    version_unref(r->version);
    file_sweep_release(&r->sweep);
}

static uint64_t
look_for_mark(struct run *r)
{
    struct script_state found;
    unsigned long long index;

    run_boot(r);
    EXPECT(run_look(r, false, &found));
    if (r->st != ST_OK)
        print_error("%s\n", r->err.text);
    EXPECT_OK(r->st);
    EXPECT(sscanf(found.text, "index %llu", &index) == 1);
    sim_end(r->w, SCRIPT_NODE);
    return index;
}

/* M3: a SYNCED that did not reach the disk before the edit that follows it is not damage. */
TEST(a_power_cut_never_looks_like_damage)
{
    uint64_t seed = test_seed(7);

    for (uint64_t n = 1; n <= MARKS; n++) {
        for (uint64_t s = 0; s < 3; s++) {
            struct marks m = { .count = n };
            uint64_t found;
            struct run r;

            m.r = &r;
            run_init(&r, mix(seed, n, s));
            run_boot(&r);
            sim_crash_at(r.w, SCRIPT_NODE, SIM_SYNC, SYNCS_OF_OPENING + n, false);
            EXPECT(!sim_call(r.w, SCRIPT_NODE, record_marks, &m));
            found = look_for_mark(&r);
            EXPECT(found == n || found == n - 1);
            run_destroy(&r);
        }
    }
}

/* M5: after a failed sync nobody knows which of the bytes before are durable. */
TEST(nothing_is_appended_after_a_failed_sync)
{
    for (uint64_t n = 1; n < MARKS; n++) {
        struct marks m = { .count = n + 1 };
        char path[LIMIT_PATH_BYTES];
        struct run r;

        m.r = &r;
        run_init(&r, n);
        run_boot(&r);
        sim_fail(r.w, SCRIPT_NODE, SIM_SYNC, SYNCS_OF_OPENING + n, false, ST_IO);
        EXPECT(sim_call(r.w, SCRIPT_NODE, record_marks, &m));
        EXPECT_OK(r.st);
        EXPECT_U64(m.told, n + 1);
        sim_crash(r.w, SCRIPT_NODE);
        run_current_manifest(&r, path);
        EXPECT_STR(path, SCRIPT_DIR "/MANIFEST-0000000000000002");
        EXPECT_U64(look_for_mark(&r), n + 1);
        run_destroy(&r);
    }
}

/* ------------------------------------------------------------------ tests of the tests */

enum { CALLS_AFTER = 14, SEEDS_FOLDER = 150, SEEDS_FILE = 12, SYNCS = 60 };

/* The script without its `skip`-th sync, which is call `at`, cut somewhere soon after it.  What
 * do the promises say to that? */
static bool
is_missed(uint64_t seed, int skip, uint64_t at)
{
    bool cut = true;

    for (uint64_t n = at + 1; cut && n < at + CALLS_AFTER; n++) {
        const char *complaint;
        struct run r;

        cut = run_into_power_cut(&r, mix(seed, n, (uint64_t)skip), n, false, skip);
        complaint = run_complaint(&r);
        run_destroy(&r);
        if (complaint != NULL)
            return true;
    }
    return false;
}

/* What a folder's sync prevents takes a rename that is lost and a removal that is not: seldom. */
static bool
is_missed_sometimes(uint64_t seed, int skip, uint64_t at, bool folder)
{
    for (uint64_t s = 0; s < (folder ? SEEDS_FOLDER : SEEDS_FILE); s++) {
        if (is_missed(mix(seed, s, 0), skip, at))
            return true;
    }
    return false;
}

/* All but the two that only help to tell damage from a torn tail: those of manifest_close().  What
 * tables hold is not looked at here. */
TEST(every_sync_is_needed)
{
    uint64_t seed = test_seed(5);
    char paths[SYNCS][100];
    uint64_t calls[SYNCS];
    int count;
    int spare = 0;
    struct run r;

    EXPECT(!run_into_power_cut(&r, seed, CALLS_MAX, false, 0));
    count = watch_sync_count();
    EXPECT(count > 25 && count < SYNCS);
    for (int i = 1; i <= count; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s", watch_sync_path(i));
        calls[i] = watch_sync_call(i);
    }
    run_destroy(&r);

    for (int i = 1; i <= count; i++) {
        bool folder = strstr(paths[i], "MANIFEST-") == NULL;

        if (strstr(paths[i], ".sst") != NULL || is_missed_sometimes(seed, i, calls[i], folder))
            continue;
        print_message("not missed: sync %d, of %s\n", i, paths[i]);
        spare++;
    }
    EXPECT_U64(spare, 2);
}

TEST_MAIN(RUN(a_power_cut_at_any_call_leaves_the_old_state_or_the_new_one),
          RUN(a_power_cut_at_any_call_of_the_recovery_from_another_changes_nothing),
          RUN(any_call_may_fail_once_and_the_tree_goes_on),
          RUN(the_disk_may_fail_for_good_at_any_call), RUN(a_full_disk_stops_nothing_for_good),
          RUN(any_allocation_may_fail_and_the_tree_goes_on),
          RUN(where_the_status_is_no_memory_nothing_was_written),
          RUN(what_opening_has_told_survives_a_power_cut), RUN(a_power_cut_never_looks_like_damage),
          RUN(nothing_is_appended_after_a_failed_sync), RUN(every_sync_is_needed))
