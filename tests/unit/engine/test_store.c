/* What include/distkv/distkv.h promises, call by call. */
#include "unit/engine/store_fixture.h"
#include "unit/test.h"

static struct store_fix
fixture(void)
{
    struct store_fix f;

    store_create(&f, test_seed(1));
    EXPECT_OK(store_open(&f));
    return f;
}

static void
finish(struct store_fix *f)
{
    store_close(f);
    store_destroy(f);
}

static struct dkv_family *
family(struct store_fix *f, const char *name)
{
    struct dkv_family *out = NULL;

    EXPECT(dkv_family_open(f->db, name, true, &out, &f->error) == DKV_OK);
    return out;
}

static void
reopen(struct store_fix *f)
{
    store_close(f);
    EXPECT_OK(store_open(f));
}

/* ------------------------------------------------------------------ one key */

static void
put_get_delete(struct store_fix *f)
{
    void *value = NULL;
    size_t size = 0;

    EXPECT_STR(store_get(f, NULL, NULL, "a"), "nil");
    EXPECT(store_delete(f, NULL, "a") == DKV_OK);
    EXPECT(store_put(f, NULL, "a", "one") == DKV_OK);
    EXPECT(store_put(f, NULL, "b", "") == DKV_OK);
    EXPECT_STR(store_get(f, NULL, NULL, "a"), "one");
    EXPECT_STR(store_get(f, NULL, NULL, "b"), "");
    EXPECT(dkv_get(f->db, NULL, NULL, "b", 1, &value, &size, NULL) == DKV_OK);
    EXPECT_U64(size, 0);
    dkv_free(value);
    EXPECT(store_delete(f, NULL, "a") == DKV_OK);
    EXPECT_STR(store_get(f, NULL, NULL, "a"), "nil");
}

static void
expect_only_b(struct store_fix *f)
{
    EXPECT_STR(store_list(f, NULL, NULL, false), "b=");
}

TEST(a_value_is_read_as_it_was_written_and_stays_after_reopening)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, put_get_delete));
    reopen(&f);
    EXPECT(store_run(&f, expect_only_b));
    finish(&f);
}

static void
beyond_limits(struct store_fix *f)
{
    static char big[LIMIT_KEY_BYTES + 1];

    EXPECT(dkv_put(f->db, NULL, "", 0, "v", 1, NULL, &f->error) == DKV_INVALID);
    EXPECT(dkv_put(f->db, NULL, big, sizeof(big), "v", 1, NULL, &f->error) == DKV_TOO_BIG);
    EXPECT(dkv_put(f->db, NULL, "k", 1, big, LIMIT_VALUE_BYTES + 1, NULL, NULL) == DKV_TOO_BIG);
    EXPECT(dkv_put(f->db, NULL, big, sizeof(big) - 1, "v", 1, NULL, &f->error) == DKV_OK);
    EXPECT(dkv_family_open(f->db, "", true, &(struct dkv_family *){ NULL }, NULL) == DKV_INVALID);
    EXPECT(dkv_family_open(f->db, "x", false, &(struct dkv_family *){ NULL }, NULL) ==
           DKV_NOT_FOUND);
}

TEST(what_is_beyond_a_limit_is_refused)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, beyond_limits));
    finish(&f);
}

/* ------------------------------------------------------------------ batches and families */

/* Many operations, of several families in turn, several of the same keys. */
static void
write_mixed_batch(struct store_fix *f)
{
    struct dkv_family *a = family(f, "a");
    struct dkv_family *b = family(f, "b");
    struct dkv_batch *batch = dkv_batch_create();
    char key[16], value[16];

    for (int i = 0; i < 300; i++) {
        struct dkv_family *to = i % 3 == 0 ? NULL : i % 3 == 1 ? a : b;

        snprintf(key, sizeof(key), "k%d", i / 3 % 80);
        snprintf(value, sizeof(value), "%d", i);
        EXPECT(dkv_batch_put(batch, to, key, strlen(key), value, strlen(value), NULL) == DKV_OK);
    }
    EXPECT(dkv_batch_delete(batch, a, "k0", 2, NULL) == DKV_OK);
    EXPECT(dkv_write(f->db, batch, NULL, &f->error) == DKV_OK);
    dkv_batch_clear(batch);
    EXPECT(dkv_write(f->db, batch, NULL, &f->error) == DKV_OK);
    dkv_batch_destroy(batch);
}

static void
expect_mixed_batch(struct store_fix *f)
{
    EXPECT_STR(store_get(f, NULL, NULL, "k0"), "240"); /* the later of two */
    EXPECT_STR(store_get(f, family(f, "a"), NULL, "k0"), "nil");
    EXPECT_STR(store_get(f, family(f, "a"), NULL, "k1"), "244");
    EXPECT_STR(store_get(f, family(f, "b"), NULL, "k0"), "242");
    EXPECT_STR(store_get(f, family(f, "b"), NULL, "k79"), "239");
    EXPECT_STR(store_get(f, NULL, NULL, "k80"), "nil");
}

static void
flush_all(struct store_fix *f)
{
    EXPECT(dkv_flush(f->db, &f->error) == DKV_OK);
}

TEST(a_batch_writes_to_several_families_and_is_replayed_as_a_whole)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, write_mixed_batch));
    EXPECT(store_run(&f, expect_mixed_batch));
    sim_crash(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_mixed_batch));
    EXPECT(store_run(&f, flush_all));
    sim_crash(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_mixed_batch));
    finish(&f);
}

/* One of the families is in tables, the other only in the log. */
static void
flush_one_family(struct store_fix *f)
{
    EXPECT(dkv_compact(f->db, family(f, "a"), &f->error) == DKV_OK);
}

TEST(a_replay_passes_over_the_families_that_have_the_record)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, write_mixed_batch));
    EXPECT(store_run(&f, flush_one_family));
    sim_crash(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_mixed_batch));
    finish(&f);
}

static void
fill_many(struct store_fix *f)
{
    struct dkv_write_options quick = { .sync = DKV_SYNC_NONE };
    char key[16], value[1000];

    memset(value, 'x', sizeof(value));
    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof(key), "m%04d", i);
        EXPECT(dkv_put(f->db, family(f, i % 2 == 0 ? "a" : "b"), key, 5, value, sizeof(value),
                       &quick, &f->error) == DKV_OK);
    }
}

static void
expect_many(struct store_fix *f)
{
    char key[16];

    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof(key), "m%04d", i);
        EXPECT_U64(strlen(store_get(f, family(f, i % 2 == 0 ? "a" : "b"), NULL, key)), 1000);
    }
}

/* The log holds several memtables' worth; what the replay seals must be in tables before the log
 * that held it may go. */
TEST(a_long_log_is_replayed_through_small_memtables)
{
    struct store_fix f = fixture();

    f.options.memtable_bytes = 1 << 20;
    reopen(&f);
    EXPECT(store_run(&f, fill_many));
    f.options.memtable_bytes = 64 << 10;
    for (int i = 0; i < 3; i++) {
        sim_kill(f.w, STORE_NODE);
        EXPECT_OK(store_open(&f));
    }
    EXPECT(store_run(&f, expect_many));
    sim_run_ms(f.w, 5000);
    sim_crash(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_many));
    finish(&f);
}

/* ------------------------------------------------------------------ SYNC_NONE */

static void
write_unsynced(struct store_fix *f)
{
    struct dkv_write_options quick = { .sync = DKV_SYNC_NONE };
    char key[16];

    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "k%03d", i);
        EXPECT(dkv_put(f->db, NULL, key, 4, key, 4, &quick, &f->error) == DKV_OK);
    }
}

static void
expect_unsynced(struct store_fix *f)
{
    char key[16];

    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "k%03d", i);
        EXPECT_STR(store_get(f, NULL, NULL, key), key);
    }
}

static void
sync_all(struct store_fix *f)
{
    EXPECT(dkv_sync(f->db, &f->error) == DKV_OK);
}

TEST(a_killed_process_loses_nothing_without_fsyncs)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, write_unsynced));
    sim_kill(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_unsynced));
    finish(&f);
}

TEST(after_dkv_sync_a_power_cut_loses_nothing)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, write_unsynced));
    EXPECT(store_run(&f, sync_all));
    sim_crash(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, expect_unsynced));
    finish(&f);
}

/* ------------------------------------------------------------------ snapshots and iterators */

static void
look_through_snapshot(struct store_fix *f)
{
    struct dkv_family *a = family(f, "a");
    struct dkv_snapshot *s;

    EXPECT(store_put(f, NULL, "k", "1") == DKV_OK);
    EXPECT(store_put(f, a, "k", "1") == DKV_OK);
    EXPECT(store_put(f, a, "l", "1") == DKV_OK);
    s = dkv_snapshot_take(f->db);
    assert_non_null(s);
    EXPECT(store_put(f, NULL, "k", "2") == DKV_OK);
    EXPECT(store_delete(f, a, "k") == DKV_OK);
    EXPECT(store_put(f, a, "m", "2") == DKV_OK);
    for (int i = 0; i < 3; i++) { /* in memory, in L0, at the bottom */
        EXPECT_STR(store_get(f, NULL, s, "k"), "1");
        EXPECT_STR(store_get(f, a, s, "k"), "1");
        EXPECT_STR(store_get(f, a, s, "m"), "nil");
        EXPECT_STR(store_list(f, a, s, false), "k=1,l=1");
        EXPECT_STR(store_list(f, a, s, true), "l=1,k=1");
        EXPECT_STR(store_list(f, a, NULL, false), "l=1,m=2");
        EXPECT_STR(store_get(f, NULL, NULL, "k"), "2");
        if (i == 0)
            EXPECT(dkv_flush(f->db, &f->error) == DKV_OK);
        else
            EXPECT(dkv_compact(f->db, a, &f->error) == DKV_OK);
    }
    EXPECT_STR(store_list(f, family(f, "young"), s, false), "");
    dkv_snapshot_release(f->db, s);
}

TEST(a_snapshot_keeps_all_families_as_of_one_moment)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, look_through_snapshot));
    finish(&f);
}

static void
expect_at(struct dkv_iter *it, const char *key)
{
    size_t size = 0;
    const void *at;

    EXPECT(dkv_iter_valid(it) == (key != NULL));
    EXPECT(dkv_iter_status(it, NULL) == DKV_OK);
    if (key == NULL)
        return;
    at = dkv_iter_key(it, &size);
    EXPECT_SLICE(slice_of(at, size), key);
}

static void
move_about(struct store_fix *f)
{
    struct dkv_iter *it = NULL;

    EXPECT(store_put(f, NULL, "b", "1") == DKV_OK);
    EXPECT(store_put(f, NULL, "d", "1") == DKV_OK);
    EXPECT(dkv_flush(f->db, NULL) == DKV_OK);
    EXPECT(store_put(f, NULL, "c", "1") == DKV_OK);
    EXPECT(store_delete(f, NULL, "d") == DKV_OK);
    EXPECT(store_put(f, NULL, "e", "1") == DKV_OK);
    EXPECT(dkv_iter_create(f->db, NULL, NULL, &it, NULL) == DKV_OK);
    EXPECT(!dkv_iter_valid(it));
    dkv_iter_seek(it, "c", 1);
    expect_at(it, "c");
    dkv_iter_next(it);
    expect_at(it, "e");
    dkv_iter_prev(it);
    expect_at(it, "c");
    dkv_iter_seek(it, "d", 1);
    expect_at(it, "e");
    dkv_iter_seek_before(it, "d", 1);
    expect_at(it, "c");
    dkv_iter_prev(it);
    expect_at(it, "b");
    dkv_iter_prev(it);
    expect_at(it, NULL);
    dkv_iter_last(it);
    expect_at(it, "e");
    dkv_iter_next(it);
    expect_at(it, NULL);
    dkv_iter_seek(it, "f", 1);
    expect_at(it, NULL);
    dkv_iter_destroy(it);
}

TEST(an_iterator_moves_both_ways)
{
    struct store_fix f = fixture();

    EXPECT(store_run(&f, move_about));
    finish(&f);
}

/* ------------------------------------------------------------------ failures */

static void
fail_a_sync(struct store_fix *f)
{
    EXPECT(store_put(f, NULL, "a", "1") == DKV_OK);
    EXPECT(store_put(f, NULL, "b", "1") == DKV_IO);
    EXPECT(store_put(f, NULL, "b", "1") == DKV_IO); /* the disk is fine again, the log is not */
    EXPECT(store_delete(f, NULL, "a") == DKV_IO);
    EXPECT(dkv_sync(f->db, &f->error) == DKV_IO);
    EXPECT_STR(store_get(f, NULL, NULL, "a"), "1");
    EXPECT_STR(store_get(f, NULL, NULL, "b"), "nil");
    EXPECT_STR(store_list(f, NULL, NULL, false), "a=1");
}

TEST(after_a_failed_fsync_no_write_succeeds_and_reads_and_iterators_go_on)
{
    struct store_fix f = fixture();

    sim_fail(f.w, STORE_NODE, SIM_SYNC, 2, false, ST_IO);
    EXPECT(store_run(&f, fail_a_sync));
    sim_crash(f.w, STORE_NODE);
    EXPECT_OK(store_open(&f));
    finish(&f);
}

/* The disk is full for good: puts end with a status, instead of waiting for a flush for ever. */
static void
fill_the_disk(struct store_fix *f)
{
    char key[16], value[1000];
    enum dkv_status status = DKV_OK;
    int acknowledged = 0;

    memset(value, 'x', sizeof(value));
    for (; acknowledged < 100000 && status == DKV_OK; acknowledged += status == DKV_OK) {
        snprintf(key, sizeof(key), "k%05d", acknowledged);
        status = dkv_put(f->db, NULL, key, 6, value, sizeof(value), NULL, &f->error);
    }
    *(int *)f->ctx = acknowledged;
    EXPECT(status == DKV_NO_SPACE);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%05d", i);
        EXPECT(store_delete(f, NULL, key) == DKV_OK);
    }
    EXPECT_U64(strlen(store_get(f, NULL, NULL, "k00100")), 1000);
}

static void
write_after_space(struct store_fix *f)
{
    char key[16];

    EXPECT(store_put(f, NULL, "new", "1") == DKV_OK);
    for (int i = 0; i < *(int *)f->ctx; i++) {
        snprintf(key, sizeof(key), "k%05d", i);
        EXPECT_U64(strlen(store_get(f, NULL, NULL, key)), i < 20 ? 3 : 1000);
    }
}

TEST(on_a_full_disk_puts_are_refused_deletes_admitted_and_it_resumes_by_itself)
{
    struct store_fix f;
    int acknowledged = 0;

    store_create(&f, test_seed(4));
    EXPECT_OK(store_open(&f));
    sim_run_ms(f.w, 2500); /* the reserve is made: 66 MB */
    sim_set_capacity(f.w, STORE_NODE, 70 << 20);
    f.ctx = &acknowledged;
    EXPECT(store_run(&f, fill_the_disk));
    EXPECT(acknowledged > 500);
    sim_set_capacity(f.w, STORE_NODE, 200 << 20);
    sim_run_ms(f.w, 3000);
    EXPECT(store_run(&f, write_after_space));
    finish(&f);
}

TEST(a_store_is_opened_once_and_as_the_options_say)
{
    struct store_fix f;

    store_create(&f, 1);
    f.options.must_exist = true;
    EXPECT_ST(store_open(&f), ST_NOT_FOUND);
    sim_end(f.w, STORE_NODE);
    f.options.must_exist = false;
    EXPECT_OK(store_open(&f));
    store_close(&f);
    f.options.must_be_new = true;
    EXPECT_ST(store_open(&f), ST_EXISTS);
    sim_end(f.w, STORE_NODE);
    store_destroy(&f);
}

TEST_MAIN(RUN(a_value_is_read_as_it_was_written_and_stays_after_reopening),
          RUN(what_is_beyond_a_limit_is_refused),
          RUN(a_batch_writes_to_several_families_and_is_replayed_as_a_whole),
          RUN(a_replay_passes_over_the_families_that_have_the_record),
          RUN(a_long_log_is_replayed_through_small_memtables),
          RUN(a_killed_process_loses_nothing_without_fsyncs),
          RUN(after_dkv_sync_a_power_cut_loses_nothing),
          RUN(a_snapshot_keeps_all_families_as_of_one_moment), RUN(an_iterator_moves_both_ways),
          RUN(after_a_failed_fsync_no_write_succeeds_and_reads_and_iterators_go_on),
          RUN(on_a_full_disk_puts_are_refused_deletes_admitted_and_it_resumes_by_itself),
          RUN(a_store_is_opened_once_and_as_the_options_say))
