/* Tests of lsm/manifest.h on a disk that does what it is told.  manifest_crash_test.c has the
 * others. */
#include "base/coding.h"
#include "base/hash.h"

#include "lsm/manifest_internal.h"
#include "manifest_fixture.h"
#include "store_fixture.h"
#include "unit/test.h"

static void
expect_state(const struct script_state *found, int steps)
{
    struct script_state want = script_expected(steps);

    EXPECT_STR(found->text, want.text);
}

TEST(a_tree_is_created_only_on_request)
{
    struct script_state found;
    struct run r;

    run_init(&r, 1);
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_ST(r.st, ST_NOT_FOUND);
    run_read(&r, &found);
    EXPECT_ST(r.st, ST_NOT_FOUND);

    EXPECT(run_look(&r, true, &found));
    EXPECT_OK(r.st);
    EXPECT_STR(found.text, "index 0 term 0 version 0");
    EXPECT(run_look(&r, false, &found));
    EXPECT_OK(r.st);
    EXPECT_STR(found.text, "index 0 term 0 version 0");
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

TEST(every_step_of_the_script_is_found_again)
{
    for (int steps = 0; steps <= SCRIPT_STEPS; steps++) {
        struct script_state found;
        struct run r;

        run_build(&r, 1, steps);
        run_boot(&r);
        run_read(&r, &found);
        EXPECT_OK(r.st);
        expect_state(&found, steps);
        EXPECT(run_look(&r, false, &found));
        EXPECT_OK(r.st);
        expect_state(&found, steps);
        sim_end(r.w, SCRIPT_NODE);
        run_destroy(&r);
    }
}

TEST(the_highest_table_number_ever_seen_is_remembered)
{
    struct script_state found;
    struct run r;

    run_build(&r, 1, 10); /* after the clear: no table is left */
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_U64(r.number_max, 8);
    EXPECT(sim_disk_write(r.w, SCRIPT_NODE, SCRIPT_DIR "/0000000000000abc.sst", slice_str("?")));
    EXPECT(run_look(&r, false, &found));
    EXPECT_U64(r.number_max, 0xabc);
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);

    run_build(&r, 1, 6); /* has taken over; table 7 came and went before that */
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_U64(r.number_max, 7);
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

TEST(what_no_version_names_is_deleted_and_the_rest_is_left_alone)
{
    static const char *const unknown[] = { "/00000000000000aa.sst",
                                           "/MANIFEST-0000000000000009.tmp", "/whatever.tmp" };
    static const char *const foreign[] = { "/LOCK", "/00000000000000AA.sst", "/aa.sst",
                                           "/MANIFEST-9", "/00000000000000aa.sst.bak" };
    struct script_state found;
    struct run r;
    char path[LIMIT_PATH_BYTES];

    run_build(&r, 1, 3);
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", SCRIPT_DIR, unknown[i]);
        EXPECT(sim_disk_write(r.w, SCRIPT_NODE, path, slice_str("?")));
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", SCRIPT_DIR, foreign[i]);
        EXPECT(sim_disk_write(r.w, SCRIPT_NODE, path, slice_str("?")));
    }
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_OK(r.st);
    expect_state(&found, 3);
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        EXPECT_U64(run_count_files(&r, unknown[i]),
                   i == 0 ? 1 : 0); /* .sst.bak has the name in it */
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        EXPECT_U64(run_count_files(&r, foreign[i]), 1);
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

/* A thousand idle trees start without a single write. */
TEST(opening_what_was_closed_writes_nothing)
{
    struct script_state found;
    struct run r;

    run_build(&r, 1, 5);
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_OK(r.st);
    EXPECT_U64(sim_op_count(r.w, SCRIPT_NODE,
                            SIM_WRITE | SIM_FILL | SIM_TRUNCATE | SIM_SYNC | SIM_SYNC_DIR |
                                SIM_RENAME | SIM_REMOVE),
               0);
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

/* M5. */
TEST(a_new_process_begins_a_new_file)
{
    struct script_state found;
    char path[LIMIT_PATH_BYTES];
    struct run r;

    run_build(&r, 1, 2);
    run_current_manifest(&r, path);
    EXPECT_STR(path, SCRIPT_DIR "/MANIFEST-0000000000000001");
    run_boot(&r);
    EXPECT(run_script(&r));
    EXPECT(r.finished);
    EXPECT_U64(run_count_files(&r, "MANIFEST-"), 1);
    run_current_manifest(&r, path);
    EXPECT_STR(path, SCRIPT_DIR "/MANIFEST-0000000000000004"); /* restart, full, reopened */
    EXPECT(run_look(&r, false, &found));
    expect_state(&found, SCRIPT_STEPS);
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

/* ------------------------------------------------------------------ the order of calls */

static void
trace_main(void *ctx)
{
    struct run *r = ctx;
    struct version *after = NULL;
    struct version_edit e;

    file_sweep_init(&r->sweep);
    watch_begin(r, 0);
    r->st = manifest_open(&r->manifest, r->env, SCRIPT_DIR, SCRIPT_TREE, true, &r->sweep,
                          &r->version, &r->mark, &r->number_max, &r->err);
    if (r->st != ST_OK)
        return;
    for (uint64_t i = 1; r->st == ST_OK && i <= 3; i++) {
        version_edit_init(&e);
        if (i < 3)
            fixture_add(
                &e, &r->sweep,
                &(struct table_spec)TABLE(1, i, i == 1 ? "a" : "b", i == 1 ? "a" : "b", 1, 1, 1));
        e.mark_set = true;
        e.mark.index = i;
        r->st = version_apply(r->version, &e, &after, &r->err);
        if (r->st == ST_OK)
            r->st = manifest_record(r->manifest, &e, after, &e.mark, &r->err);
        version_edit_release(&e);
        version_unref(r->version);
        r->version = after;
    }
    manifest_close(r->manifest);
    version_unref(r->version);
    file_sweep_release(&r->sweep);
}

/* The essay's two lists of steps, as they are carried out: a takeover, edits that add a table
 * and one that does not, and closing. */
TEST(the_calls_come_in_the_order_that_the_invariants_ask_for)
{
    struct run r;

    run_init(&r, 1);
    run_boot(&r);
    EXPECT(sim_call(r.w, SCRIPT_NODE, trace_main, &r));
    EXPECT_OK(r.st);
    EXPECT_STR(watch_trace(), "sync-folder " /* the parent */
                              "create fill write sync rename sync-folder open write " /* takeover */
                              "sync-folder write sync write "                         /* edit */
                              "sync-folder write sync write "                         /* edit */
                              "write sync write "                                     /* mark */
                              "sync");                                                /* close */
    sim_crash(r.w, SCRIPT_NODE); /* the tables do not exist: no more of this */
    run_destroy(&r);
}

static void
reopen_main(void *ctx)
{
    struct run *r = ctx;
    struct version_edit e;

    version_edit_init(&e);
    e.mark_set = true;
    e.mark.index = 99;
    file_sweep_init(&r->sweep);
    watch_begin(r, 0);
    r->st = manifest_open(&r->manifest, r->env, SCRIPT_DIR, SCRIPT_TREE, false, &r->sweep,
                          &r->version, &r->mark, &r->number_max, &r->err);
    if (r->st != ST_OK)
        return;
    watch_forget();
    r->st = manifest_record(r->manifest, &e, r->version, &e.mark, &r->err);
    manifest_close(r->manifest);
    version_unref(r->version);
    file_sweep_release(&r->sweep);
}

TEST(an_older_manifest_goes_before_anybody_is_told)
{
    struct run r;

    run_build(&r, 1, 2);
    run_boot(&r);
    EXPECT(sim_call(r.w, SCRIPT_NODE, reopen_main, &r));
    EXPECT_OK(r.st);
    EXPECT_STR(watch_trace(), "create fill write sync rename sync-folder remove sync-folder "
                              "open write sync");
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

/* ------------------------------------------------------------------ whose and what */

static void
open_as_another(void *ctx)
{
    struct run *r = ctx;

    file_sweep_init(&r->sweep);
    r->st = manifest_open(&r->manifest, r->env, SCRIPT_DIR, SCRIPT_TREE + 1, true, &r->sweep,
                          &r->version, &r->mark, &r->number_max, &r->err);
    file_sweep_release(&r->sweep);
}

TEST(another_trees_manifest_is_refused)
{
    struct run r;

    run_build(&r, 1, 2);
    run_boot(&r);
    EXPECT(sim_call(r.w, SCRIPT_NODE, open_as_another, &r));
    EXPECT_ST(r.st, ST_INVALID);
    EXPECT_STR(r.err.text, SCRIPT_DIR "/MANIFEST-0000000000000001: of tree 00000000000007ee, "
                                      "and not of tree 00000000000007ef");
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

/* Decision 8: what a newer program has written is not damage, and is not touched. */
TEST(a_newer_format_is_refused)
{
    enum { AT_FORMAT = 8, AT_CHECKSUM = 40 };
    struct script_state found;
    struct buf bytes = buf_empty(1 << 20);
    char path[LIMIT_PATH_BYTES];
    struct run r;

    run_build(&r, 1, 2);
    run_current_manifest(&r, path);
    EXPECT(sim_disk_read(r.w, SCRIPT_NODE, path, &bytes));
    put_u32le(bytes.data + AT_FORMAT, MANIFEST_HEADER_FORMAT + 1);
    put_u64le(bytes.data + AT_CHECKSUM, hash64(slice_of(bytes.data, AT_CHECKSUM)));
    EXPECT(sim_disk_write(r.w, SCRIPT_NODE, path, buf_slice(&bytes)));
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_ST(r.st, ST_INVALID);
    run_read(&r, &found);
    EXPECT_ST(r.st, ST_INVALID);
    sim_end(r.w, SCRIPT_NODE);
    buf_release(&bytes);
    run_destroy(&r);
}

TEST(a_record_of_a_newer_type_is_refused)
{
    struct script_state found;
    struct buf bytes = buf_empty(1 << 20);
    struct buf record = buf_empty(1 << 10);
    char path[LIMIT_PATH_BYTES];
    struct manifest_frame frame;
    uint64_t at = MANIFEST_HEADER_BYTES;
    uint64_t seed = manifest__seed(SCRIPT_TREE, 1);
    struct run r;

    run_build(&r, 1, 2);
    run_current_manifest(&r, path);
    EXPECT(sim_disk_read(r.w, SCRIPT_NODE, path, &bytes));
    while (manifest__record_get(buf_slice(&bytes), at, seed, &frame))
        at = frame.limit;
    EXPECT_OK(manifest__record_begin(&record));
    manifest__record_seal(&record, 0, seed, at, (enum manifest_record_type)(MANIFEST_SYNCED + 1),
                          0);
    memcpy(bytes.data + at, record.data, record.size);
    EXPECT(sim_disk_write(r.w, SCRIPT_NODE, path, buf_slice(&bytes)));
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_ST(r.st, ST_INVALID);
    sim_end(r.w, SCRIPT_NODE);
    buf_release(&bytes);
    buf_release(&record);
    run_destroy(&r);
}

TEST(a_path_that_is_too_long_is_refused)
{
    char dir[LIMIT_PATH_BYTES];
    struct file_sweep sweep;
    struct manifest *m = NULL;
    struct version *v = NULL;
    struct lsm_mark mark;
    uint64_t number_max;
    struct run r;

    memset(dir, 'x', sizeof(dir));
    dir[LIMIT_PATH_BYTES - 40] = '\0';
    run_init(&r, 1);
    run_boot(&r);
    file_sweep_init(&sweep);
    EXPECT_ST(manifest_open(&m, r.env, dir, 1, true, &sweep, &v, &mark, &number_max, &r.err),
              ST_TOO_BIG);
    EXPECT_ST(manifest_read(r.env, dir, &sweep, &v, &mark, &r.err), ST_TOO_BIG);
    file_sweep_release(&sweep);
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
}

/* ------------------------------------------------------------------ inspection */

struct inspected {
    struct buf text;
    enum status say;
};

static enum status
note_table(void *ctx, uint32_t level, const struct table_info *info, const char *path,
           struct err *err)
{
    struct inspected *i = ctx;

    if (i->say != ST_OK)
        return err_raise(err, i->say, "as the test has it");
    return buf_printf(&i->text, "L%u %u %s; ", level, (unsigned)info->number, path);
}

TEST(inspection_names_every_table_and_changes_nothing)
{
    struct inspected i = { .text = buf_empty(4096) };
    struct lsm_mark mark = { 0 };
    struct run r;

    run_build(&r, 1, 4);
    run_boot(&r);
    EXPECT_OK(lsm_inspect(r.env, SCRIPT_DIR, note_table, &i, &mark, &r.err));
    EXPECT_SLICE(buf_slice(&i.text), "L1 3 " SCRIPT_DIR "/0000000000000003.sst; "
                                     "L2 4 " SCRIPT_DIR "/0000000000000004.sst; ");
    EXPECT_U64(mark.index, 2);
    EXPECT_U64(mark.term, 2);
    EXPECT_U64(mark.version, 20);
    EXPECT_U64(sim_op_count(r.w, SCRIPT_NODE,
                            SIM_OP_ALL & ~(unsigned)(SIM_OPEN | SIM_READ | SIM_LIST | SIM_STAT)),
               0);

    i.say = ST_CORRUPT;
    mark.index = 77;
    EXPECT_ST(lsm_inspect(r.env, SCRIPT_DIR, note_table, &i, &mark, &r.err), ST_CORRUPT);
    EXPECT_U64(mark.index, 77);
    EXPECT_ST(lsm_inspect(r.env, "nowhere", note_table, &i, &mark, &r.err), ST_NOT_FOUND);
    sim_end(r.w, SCRIPT_NODE);
    buf_release(&i.text);
    run_destroy(&r);
}

TEST_MAIN(RUN(a_tree_is_created_only_on_request), RUN(every_step_of_the_script_is_found_again),
          RUN(the_highest_table_number_ever_seen_is_remembered),
          RUN(what_no_version_names_is_deleted_and_the_rest_is_left_alone),
          RUN(opening_what_was_closed_writes_nothing), RUN(a_new_process_begins_a_new_file),
          RUN(the_calls_come_in_the_order_that_the_invariants_ask_for),
          RUN(an_older_manifest_goes_before_anybody_is_told),
          RUN(another_trees_manifest_is_refused), RUN(a_newer_format_is_refused),
          RUN(a_record_of_a_newer_type_is_refused), RUN(a_path_that_is_too_long_is_refused),
          RUN(inspection_names_every_table_and_changes_nothing))
