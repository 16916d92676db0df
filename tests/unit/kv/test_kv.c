/* What a session may rely on: the operations, their order, and their limits. */
#include "kv_fixture.h"
#include "unit/test.h"

static struct kvfix
fixture(void)
{
    struct kvfix f;

    kvfix_create(&f, test_seed(1));
    EXPECT_OK(kvfix_open(&f));
    return f;
}

static void
finish(struct kvfix *f)
{
    kvfix_close(f);
    kvfix_destroy(f);
}

TEST(a_value_is_read_as_it_was_written)
{
    struct kvfix f = fixture();
    bool existed;

    EXPECT_STR(fix_get(&f, "user:1"), "nil");
    EXPECT_OK(fix_put(&f, "user:1", "Alice"));
    EXPECT_STR(fix_get(&f, "user:1"), "Alice");
    EXPECT_STR(fix_get_on(&f, 1, "user:1"), "Alice");
    EXPECT_OK(fix_delete(&f, "user:1", &existed));
    EXPECT(existed);
    EXPECT_STR(fix_get(&f, "user:1"), "nil");
    EXPECT_OK(fix_delete(&f, "user:1", &existed));
    EXPECT(!existed);
    finish(&f);
}

TEST(a_clean_stop_and_a_start_keep_everything)
{
    struct kvfix f = fixture();

    EXPECT_OK(fix_put(&f, "user:1", "Alice"));
    kvfix_close(&f);
    EXPECT_OK(kvfix_open(&f));
    EXPECT_STR(fix_get(&f, "user:1"), "Alice");
    finish(&f);
}

/* DESIGN, decision 5: consecutive writes do not wait for one another's fsync. */
TEST(a_hot_counter_is_not_limited_to_one_increment_per_fsync)
{
    enum { COUNT = 100 };
    struct kvfix f = fixture();
    struct call *calls[COUNT];
    uint64_t syncs;

    EXPECT_OK(fix_put(&f, "n", "0"));
    syncs = sim_op_count(f.w, FIX_NODE, SIM_SYNC);
    for (int i = 0; i < COUNT; i++) {
        calls[i] = call_new(&f, (uint32_t)i % FIX_LOOPS);
        call_op(calls[i], OP_INCR, "n")->number = 1;
    }
    for (int i = 0; i < COUNT; i++)
        call_send(calls[i]);
    for (int i = 0; i < COUNT; i++)
        EXPECT_OK(call_wait(calls[i]));
    EXPECT(sim_op_count(f.w, FIX_NODE, SIM_SYNC) - syncs < COUNT / 4);
    EXPECT_STR(fix_get(&f, "n"), "100");
    for (int i = 0; i < COUNT; i++)
        free(calls[i]);
    finish(&f);
}

/* Invariant B3. */
TEST(an_ordered_read_sees_the_write_before_it_and_waits_for_it)
{
    struct kvfix f = fixture();
    struct call *write = call_new(&f, 0);
    struct call *read = call_new(&f, 0);

    EXPECT_OK(fix_put(&f, "k", "old"));
    call_value(write, call_op(write, OP_PUT, "k"), "new");
    call_op(read, OP_GET, "k");
    read->request.ordered = true;
    read->request.origin = write->request.origin;
    call_send(write);
    call_send(read);
    EXPECT(!write->done);
    EXPECT(!read->done); /* not before the write is durable */
    EXPECT_OK(call_wait(read));
    EXPECT(write->done);
    EXPECT(write->done_at < read->done_at);
    EXPECT_STR(read->values[0], "new");
    free(write);
    free(read);
    finish(&f);
}

TEST(another_client_does_not_see_what_is_not_committed)
{
    struct kvfix f = fixture();
    struct call *write = call_new(&f, 0);
    struct call *read = call_new(&f, 0);

    EXPECT_OK(fix_put(&f, "k", "old"));
    call_value(write, call_op(write, OP_PUT, "k"), "new");
    call_op(read, OP_GET, "k");
    call_send(write);
    call_send(read);
    EXPECT_OK(call_wait(read));
    if (!write->done)
        EXPECT_STR(read->values[0], "old");
    EXPECT_OK(call_wait(write));
    free(write);
    free(read);
    finish(&f);
}

TEST(a_unit_sees_its_own_effects_and_happens_as_a_whole)
{
    struct kvfix f = fixture();
    struct call *c = call_new(&f, 1);

    call_value(c, call_op(c, OP_PUT, "a"), "5");
    call_op(c, OP_INCR, "a")->number = 2;
    call_value(c, call_op(c, OP_APPEND, "a"), "!");
    call_op(c, OP_GET, "a");
    call_op(c, OP_DELETE, "a");
    call_op(c, OP_GET, "a");
    call_send(c);
    EXPECT_OK(call_wait(c));
    EXPECT_U64(c->results[1].integer, 7);
    EXPECT_U64(c->results[2].integer, 2);
    EXPECT_STR(c->values[3], "7!");
    EXPECT_U64(c->results[4].integer, 1);
    EXPECT_U64(c->results[5].code, OP_NIL);
    free(c);
    finish(&f);
}

TEST(a_failed_operation_changes_nothing_and_the_others_are_carried_out)
{
    struct kvfix f = fixture();
    struct call *c = call_new(&f, 0);

    EXPECT_OK(fix_put(&f, "word", "abc"));
    call_op(c, OP_INCR, "word")->number = 1;
    call_value(c, call_op(c, OP_PUT, "other"), "1");
    call_send(c);
    EXPECT_OK(call_wait(c));
    EXPECT_U64(c->results[0].code, OP_NOT_INTEGER);
    free(c);
    EXPECT_STR(fix_get(&f, "word"), "abc");
    EXPECT_STR(fix_get(&f, "other"), "1");
    finish(&f);
}

TEST(a_precondition_that_does_not_hold_stops_the_unit)
{
    struct kvfix f = fixture();
    struct call *c = call_new(&f, 0);

    EXPECT_OK(fix_put(&f, "k", "1"));
    call_value(c, call_op(c, OP_PUT, "k"), "2");
    c->preconditions[0] = (struct precondition){ .key = slice_str("k"), .version = 0 };
    c->request.precondition_count = 1;
    call_send(c);
    EXPECT_ST(call_wait(c), ST_CONFLICT);
    free(c);
    EXPECT_STR(fix_get(&f, "k"), "1");
    finish(&f);
}

TEST(an_expired_key_is_gone_and_its_time_never_comes_back)
{
    struct kvfix f = fixture();
    struct call *c = call_new(&f, 0);
    uint64_t now_ms = kv_now_ms(kv_door_of(f.kv, 0), 0);
    struct op *op = call_op(c, OP_PUT, "k");

    call_value(c, op, "v");
    op->expiry_ms = now_ms + 500;
    call_send(c);
    EXPECT_OK(call_wait(c));
    free(c);
    EXPECT_STR(fix_get(&f, "k"), "v");
    sim_run_ms(f.w, 1000);
    EXPECT_STR(fix_get(&f, "k"), "nil");
    sim_jump_clock(f.w, FIX_NODE, -3600 * 1000);
    sim_run_ms(f.w, 3000);
    EXPECT_STR(fix_get(&f, "k"), "nil");
    kvfix_crash(&f);
    EXPECT_OK(kvfix_open(&f)); /* the wall clock is an hour behind now */
    EXPECT_STR(fix_get(&f, "k"), "nil");
    finish(&f);
}

/* A write that found a value alive may be under way when the value expires.  Nobody is told meanwhile that the
 * value is gone: it never was. */
TEST(a_value_that_is_being_replaced_does_not_expire)
{
    for (uint32_t loop = 0; loop < FIX_LOOPS; loop++) {
        struct kvfix f = fixture();
        struct call *put = call_new(&f, 0);
        struct call *replace = call_new(&f, 0);
        uint64_t now_ms = kv_now_ms(kv_door_of(f.kv, 0), 0);
        struct op *op = call_op(put, OP_PUT, "k");

        call_value(put, op, "old");
        op->expiry_ms = now_ms + 2000;
        call_send(put);
        EXPECT_OK(call_wait(put));
        sim_run_ms(f.w, 1850);
        EXPECT_OK(fix_put(&f, "other", "raises the ceiling of time if that is due"));
        sim_set_disk_latency_us(f.w, FIX_NODE, 200000);
        call_value(replace, call_op(replace, OP_PUT, "k"), "new");
        replace->preconditions[0] =
            (struct precondition){ .key = slice_str("k"), .version = put->results[0].version };
        replace->request.precondition_count = 1;
        call_send(replace);
        sim_run_ms(f.w, 160);
        EXPECT(!replace->done && kv_now_ms(kv_door_of(f.kv, 0), 0) > now_ms + 2000);
        EXPECT_STR(fix_get_on(&f, loop, "k"), "new");
        EXPECT_OK(call_wait(replace));
        free(put);
        free(replace);
        finish(&f);
    }
}

/* Invariant B4, and P: versions strictly increase per key. */
TEST(versions_increase_though_the_clock_jumps_back)
{
    struct kvfix f = fixture();
    version_t last = 0;

    for (int i = 0; i < 6; i++) {
        struct call *c = call_new(&f, 0);

        if (i == 3)
            sim_jump_clock(f.w, FIX_NODE, -3600 * 1000);
        if (i == 4) {
            kvfix_crash(&f);
            EXPECT_OK(kvfix_open(&f));
        }
        call_value(c, call_op(c, OP_PUT, "k"), "v");
        call_send(c);
        EXPECT_OK(call_wait(c));
        EXPECT(c->results[0].version > last);
        last = c->results[0].version;
        free(c);
    }
    finish(&f);
}

TEST(a_clear_empties_one_keyspace_and_what_follows_stays)
{
    struct kvfix f = fixture();
    struct call *clear = call_new(&f, 0);
    struct call *put = call_new(&f, 0);

    EXPECT_OK(fix_put(&f, "a", "1"));
    call_op(clear, OP_CLEAR, "");
    call_value(put, call_op(put, OP_PUT, "b"), "2");
    put->request.origin = clear->request.origin;
    call_send(clear);
    call_send(put);
    EXPECT_OK(call_wait(put));
    EXPECT_STR(fix_get(&f, "a"), "nil");
    EXPECT_STR(fix_get(&f, "b"), "2");
    kvfix_crash(&f);
    EXPECT_OK(kvfix_open(&f));
    EXPECT_STR(fix_get(&f, "a"), "nil");
    EXPECT_STR(fix_get(&f, "b"), "2");
    free(clear);
    free(put);
    finish(&f);
}

TEST(a_key_or_value_beyond_its_limit_is_refused_and_nothing_is_stored)
{
    struct kvfix f = fixture();
    struct call *c = call_new(&f, 0);
    static char big[LIMIT_KEY_BYTES + 1];
    struct op *op = call_op(c, OP_PUT, "");

    memset(big, 'k', sizeof(big));
    op->key = slice_of(big, sizeof(big));
    call_value(c, op, "v");
    call_send(c);
    EXPECT_ST(call_wait(c), ST_TOO_BIG);
    free(c);
    finish(&f);
}

/* P4. */
TEST(after_a_failed_fsync_no_write_is_acknowledged_and_reads_go_on)
{
    struct kvfix f = fixture();

    EXPECT_OK(fix_put(&f, "a", "1"));
    sim_fail(f.w, FIX_NODE, SIM_SYNC, 1, false, ST_IO);
    EXPECT_ST(fix_put(&f, "b", "2"), ST_UNKNOWN);
    EXPECT_ST(fix_put(&f, "c", "3"), ST_IO); /* the disk is fine again, the log is not */
    EXPECT_STR(fix_get(&f, "a"), "1");
    EXPECT_STR(fix_get(&f, "c"), "nil");
    EXPECT_ST(kv_writable(f.kv), ST_IO);
    kvfix_crash(&f);
    EXPECT_OK(kvfix_open(&f));
    EXPECT_STR(fix_get(&f, "a"), "1");
    EXPECT_OK(fix_put(&f, "c", "3"));
    finish(&f);
}

/* What one attempt of such a unit opens, it must not close for the next, for ever. */
TEST(a_unit_over_more_tables_than_may_be_open_is_carried_out)
{
    enum { COUNT = 2000, OPS = 50 };
    struct kvfix f;
    struct kv_stats stats;
    struct call *c;
    uint64_t tables = 0;
    char key[32], value[200];

    kvfix_create(&f, test_seed(1));
    f.options.open_tables_max = 8;
    f.options.trees.table_bytes = 1 << 10;
    EXPECT_OK(kvfix_open(&f));
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "key:%05d", i);
        snprintf(value, sizeof(value), "%0150d", i);
        EXPECT_OK(fix_put(&f, key, value));
    }
    EXPECT_OK(fix_admin(&f, KV_COMPACT, NULL));
    kv_stats(f.kv, &stats);
    for (int level = 0; level < LIMIT_LEVELS; level++)
        tables += stats.engine.trees.tables[level];
    EXPECT(tables > 3 * f.options.open_tables_max);
    EXPECT_STR(fix_get(&f, "key:00000x"), "nil"); /* one of the tables is open */
    c = call_new(&f, 0);
    for (int i = 0; i < OPS; i++) {
        snprintf(key, sizeof(key), "key:%05dx", i * (COUNT / OPS));
        call_value(c, call_op(c, OP_APPEND, key), "v");
    }
    call_send(c);
    EXPECT_OK(call_wait(c));
    free(c);
    finish(&f);
}

static struct call *
send_put(struct kvfix *f, int number)
{
    struct call *c = call_new(f, 0);
    char key[32], value[200];

    snprintf(key, sizeof(key), "key:%05d", number);
    snprintf(value, sizeof(value), "%0190d", number);
    call_value(c, call_op(c, OP_PUT, key), value);
    call_send(c);
    return c;
}

/* P7.  Writes may wait for a compaction; their client, and nobody else. */
TEST(reads_go_on_while_writes_are_stalled_for_longer_than_the_ceiling)
{
    struct kvfix f;
    struct call *stalled;
    uint64_t begin_ns;
    int number = 0;

    kvfix_create(&f, test_seed(1));
    f.options.trees.l0_trigger = 1000;
    f.options.trees.l0_stall = 2;
    f.options.trees.compact_wait_ms = 100000000;
    EXPECT_OK(kvfix_open(&f));
    for (bool waits = false; !waits; number++) {
        stalled = send_put(&f, number);
        waits = !sim_run_until(f.w, &stalled->done, 1500);
        if (!waits)
            free(stalled);
    }
    EXPECT(number > 100);
    begin_ns = sim_now_ns(f.w);
    EXPECT(strlen(fix_get_on(&f, 1, "key:00000")) == 190);
    EXPECT(sim_now_ns(f.w) - begin_ns < 200 * UINT64_C(1000000));
    EXPECT(!stalled->done);
    (void)call_wait(stalled);
    free(stalled);
    kvfix_crash(&f);
    kvfix_destroy(&f);
}

TEST(many_writes_pass_the_memtable_and_are_all_found_in_tables)
{
    enum { COUNT = 3000 };
    struct kvfix f = fixture();
    char key[32], value[200];
    struct kv_stats stats;

    memset(value, 'x', sizeof(value));
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "key:%05d", i * 7919 % COUNT);
        snprintf(value, sizeof(value), "%0150d", i * 7919 % COUNT);
        EXPECT_OK(fix_put(&f, key, value));
    }
    sim_run_ms(f.w, 5000);
    kv_stats(f.kv, &stats);
    EXPECT(stats.engine.trees.flushes > 3);
    EXPECT(stats.engine.trees.compactions > 0);
    for (int i = 0; i < COUNT; i += 7) {
        snprintf(key, sizeof(key), "key:%05d", i);
        snprintf(value, sizeof(value), "%0150d", i);
        EXPECT_STR(fix_get_on(&f, (uint32_t)i % FIX_LOOPS, key), value);
    }
    kvfix_crash(&f);
    EXPECT_OK(kvfix_open(&f));
    for (int i = 0; i < COUNT; i += 7) {
        snprintf(key, sizeof(key), "key:%05d", i);
        snprintf(value, sizeof(value), "%0150d", i);
        EXPECT_STR(fix_get(&f, key), value);
    }
    finish(&f);
}

/* DESIGN, decision 3.  The reactor, which must not open a file, leaves it to a job. */
TEST(an_idle_keyspace_closes_its_tables_and_a_read_finds_them_again)
{
    struct kvfix f;
    uint32_t open;

    kvfix_create(&f, test_seed(1));
    f.options.idle_close_ms = 2000;
    EXPECT_OK(kvfix_open(&f));
    sim_run_ms(f.w, 5000);
    open = sim_open_files(f.w, FIX_NODE);
    EXPECT_OK(fix_put(&f, "user:1", "Alice"));
    EXPECT_OK(fix_put(&f, "user:2", "Bob"));
    EXPECT_OK(fix_admin(&f, KV_SAVE, NULL));
    EXPECT_STR(fix_get(&f, "user:1"), "Alice");
    EXPECT(sim_open_files(f.w, FIX_NODE) > open);
    sim_run_ms(f.w, 5000);
    EXPECT_U64(sim_open_files(f.w, FIX_NODE), open);
    EXPECT_STR(fix_get(&f, "user:2"), "Bob");
    EXPECT_STR(fix_get_on(&f, 1, "user:1"), "Alice");
    EXPECT_STR(fix_get_on(&f, 1, "user:3"), "nil");
    EXPECT(sim_open_files(f.w, FIX_NODE) > open);
    finish(&f);
}

TEST_MAIN(RUN(a_value_is_read_as_it_was_written), RUN(a_clean_stop_and_a_start_keep_everything),
          RUN(a_hot_counter_is_not_limited_to_one_increment_per_fsync),
          RUN(an_ordered_read_sees_the_write_before_it_and_waits_for_it),
          RUN(another_client_does_not_see_what_is_not_committed),
          RUN(a_unit_sees_its_own_effects_and_happens_as_a_whole),
          RUN(a_failed_operation_changes_nothing_and_the_others_are_carried_out),
          RUN(a_precondition_that_does_not_hold_stops_the_unit),
          RUN(an_expired_key_is_gone_and_its_time_never_comes_back),
          RUN(a_value_that_is_being_replaced_does_not_expire),
          RUN(versions_increase_though_the_clock_jumps_back),
          RUN(a_clear_empties_one_keyspace_and_what_follows_stays),
          RUN(a_key_or_value_beyond_its_limit_is_refused_and_nothing_is_stored),
          RUN(after_a_failed_fsync_no_write_is_acknowledged_and_reads_go_on),
          RUN(a_unit_over_more_tables_than_may_be_open_is_carried_out),
          RUN(reads_go_on_while_writes_are_stalled_for_longer_than_the_ceiling),
          RUN(many_writes_pass_the_memtable_and_are_all_found_in_tables),
          RUN(an_idle_keyspace_closes_its_tables_and_a_read_finds_them_again))
