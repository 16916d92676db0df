/* The contract of wal/wal.h, line by line; W1..W10 are at the head of wal.c. */
#include "unit/wal/fixture.h"

/* ------------------------------------------------------------------ opening */

TEST(a_stream_that_is_not_there_is_not_found)
{
    struct fix *f = setup(1);
    struct wal *none = NULL;

    f->options.dir = "/other";
    EXPECT_ST(wal_open(&none, f->env, &f->options, &f->report, &f->err), ST_NOT_FOUND);
    EXPECT(none == NULL);
    EXPECT_STR(f->err.text, "there is no log in /other");
    teardown(f);
}

TEST(a_new_stream_is_empty_clean_and_durable)
{
    struct fix *f = setup(2);

    EXPECT_STR(contents(f), "");
    EXPECT(f->report.clean);
    EXPECT_U64(wal_end(f->wal), wal_durable(f->wal));
    EXPECT(!wal_wants_mark(f->wal));
    crash(f);
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f), "");
    EXPECT(f->report.clean);
    teardown(f);
}

TEST(senseless_options_are_invalid)
{
    struct fix *f = setup(3);
    struct wal *none = NULL;

#define EXPECT_REFUSED(field, value)                                             \
 do {                                                                            \
  struct wal_options options = f->options;                                       \
  options.field = value;                                                         \
  EXPECT_ST(wal_open(&none, f->env, &options, &f->report, &f->err), ST_INVALID); \
  EXPECT(none == NULL);                                                          \
 } while (0)

    EXPECT_REFUSED(segment_bytes, SEGMENT_BYTES_MIN - 1);
    EXPECT_REFUSED(segment_bytes, (uint64_t)SEGMENT_BYTES_MAX + 1);
    EXPECT_REFUSED(spare_count, 0);
    EXPECT_REFUSED(kept_count, f->options.spare_count);
    EXPECT_REFUSED(gather_bytes_max, 0);
    EXPECT_REFUSED(dir, "");
    EXPECT_REFUSED(store_id, STORE_ID + 1); /* another stream's folder */
    teardown(f);
}

TEST(records_come_back_in_order_with_all_their_fields)
{
    struct fix *f = setup(4);

    append(f, "alpha");
    append(f, "");
    append_head(f, 7, "vote");
    append(f, "beta");
    reopen(f);
    EXPECT_STR(contents(f), "alpha,,[7:vote],beta");
    EXPECT_U64(f->report.record_count, 4);
    EXPECT_U64(f->report.segment_count, 1);
    EXPECT(f->report.byte_count > 4 * RECORD_BYTES_MIN);
    teardown(f);
}

static enum status
check_fields(void *ctx, const struct wal_record *r, wal_position at, struct err *err)
{
    bool *seen = ctx;

    (void)at;
    (void)err;
    *seen = r->type == WAL_ENTRY && r->tablet == UINT64_MAX - 1 && r->term == UINT64_MAX - 2 &&
            r->index == UINT64_MAX - 3 && slice_equal(r->body, slice_str("body"));
    return ST_OK;
}

TEST(the_largest_numbers_survive)
{
    struct fix *f = setup(5);
    struct wal_record r = { WAL_ENTRY, UINT64_MAX - 1, UINT64_MAX - 2, UINT64_MAX - 3,
                            slice_str("body") };
    bool seen = false;

    EXPECT_OK(wal_append(f->wal, &r, &f->end, &f->err));
    close_stream(f);
    f->options.replay = check_fields;
    f->options.replay_ctx = &seen;
    open_stream(f);
    EXPECT(seen);
    teardown(f);
}

static enum status
refuse(void *ctx, const struct wal_record *r, wal_position at, struct err *err)
{
    (void)ctx;
    (void)r;
    (void)at;
    return err_raise(err, ST_NOT_FOUND, "no such tablet");
}

/* Even a status that wal_open() itself gives a meaning to. */
TEST(a_replay_that_refuses_ends_wal_open_with_its_status)
{
    struct fix *f = setup(6);

    append(f, "alpha");
    close_stream(f);
    f->options.replay = refuse;
    f->options.create = true;
    EXPECT_ST(try_open(f), ST_NOT_FOUND);
    EXPECT_STR(f->err.text, "no such tablet");
    EXPECT(f->wal == NULL);
    end(f); /* nothing stays open */
    teardown(f);
}

/* ------------------------------------------------------------------ appending and flushing */

TEST(positions_never_overtake_each_other)
{
    struct fix *f = setup(10);
    wal_position begin = wal_end(f->wal);

    append(f, "alpha");
    EXPECT_U64(f->end, wal_end(f->wal));
    EXPECT(f->end > begin);
    EXPECT_U64(wal_written(f->wal), begin);
    EXPECT_U64(wal_durable(f->wal), begin);
    flush(f, false);
    EXPECT_U64(wal_written(f->wal), f->end);
    EXPECT_U64(wal_durable(f->wal), begin);
    flush(f, true);
    EXPECT_U64(wal_durable(f->wal), f->end);
    teardown(f);
}

TEST(a_batch_is_one_write_and_one_sync)
{
    struct fix *f = setup(11);
    struct wal_counters c;
    uint64_t writes, syncs;

    for (int i = 0; i < 100; i++)
        append(f, "a record");
    writes = sim_op_count(f->sim, NODE, SIM_WRITE);
    syncs = sim_op_count(f->sim, NODE, SIM_SYNC | SIM_SYNC_DIR);
    flush(f, true);
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_WRITE), writes + 1);
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_SYNC | SIM_SYNC_DIR), syncs + 1);
    wal_count(f->wal, &c);
    EXPECT_U64(c.records, 100);
    EXPECT_U64(c.writes, 1);
    EXPECT_U64(c.syncs, 1);
    EXPECT_U64(c.bytes, wal_end(f->wal));

    flush(f, true); /* nothing is left to do */
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_WRITE), writes + 1);
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_SYNC | SIM_SYNC_DIR), syncs + 1);
    teardown(f);
}

TEST(the_steady_state_allocates_nothing)
{
    struct fix *f = setup(12);
    struct mem_heap *heap = sim_heap(f->sim, NODE);
    uint64_t allocations = 0;

    for (int round = 0; round < 10; round++) {
        if (round == 2)
            allocations = heap->allocation;
        for (int i = 0; i < 20; i++)
            append(f, "a record of some length, as they come");
        flush(f, true);
    }
    EXPECT_U64(heap->allocation, allocations);
    teardown(f);
}

TEST(an_append_beyond_the_gathered_maximum_is_busy_until_a_flush)
{
    struct fix *f = setup(13);

    close_stream(f);
    f->options.gather_bytes_max = 1000;
    open_stream(f);
    append_big(f, 600, 'a');
    EXPECT_ST(try_append_big(f, 600, 'b'), ST_BUSY);
    EXPECT_U64(wal_end(f->wal), f->end); /* nothing has changed */
    flush(f, false);
    append_big(f, 600, 'b');
    flush(f, true);
    append_big(f, 5000, 'c'); /* alone, it may be larger */
    reopen(f);
    EXPECT_STR(contents(f), "#600,#600,#5000");
    teardown(f);
}

TEST(a_gather_that_grew_huge_shrinks_again)
{
    struct fix *f = setup(14);
    size_t grown, after;

    close_stream(f);
    f->options.segment_bytes = 16 << 20;
    f->options.gather_bytes_max = 16 << 20;
    open_stream(f);
    tend(f);
    for (int i = 0; i < 40; i++) /* the stream goes on in its small segment until that is full */
        append_big(f, 100000, 'x');
    flush(f, true);
    append(f, "small");
    flush(f, true);
    grown = f->wal->gathers[0].capacity + f->wal->gathers[1].capacity;
    EXPECT(grown > 3 << 20);
    for (int i = 0; i < 10; i++) {
        append(f, "small");
        flush(f, true);
    }
    after = f->wal->gathers[0].capacity + f->wal->gathers[1].capacity;
    EXPECT(after <= 2 << 20);
    teardown(f);
}

TEST(a_record_beyond_the_limit_is_too_big)
{
    struct fix *f = setup(15);
    struct wal_record r = { .type = WAL_ENTRY };

    r.body = slice_of(f, (size_t)LIMIT_RECORD_BYTES + 1); /* never looked at */
    EXPECT_ST(wal_append(f->wal, &r, &f->end, &f->err), ST_TOO_BIG);
    EXPECT_U64(wal_end(f->wal), 0);
    teardown(f);
}

/* ------------------------------------------------------------------ segments */

TEST(a_full_segment_is_busy_until_the_next_one_is_ready)
{
    struct fix *f = setup(20);

    EXPECT(wal_wants_tending(f->wal));
    append_big(f, 60000, 'a');
    EXPECT_ST(try_append_big(f, 60000, 'b'), ST_BUSY);
    append(f, "small"); /* what fits is not kept waiting */
    tend(f);
    EXPECT(!wal_wants_tending(f->wal));
    append_big(f, 60000, 'b');
    EXPECT(wal_wants_tending(f->wal)); /* the spare is gone */
    reopen(f);
    EXPECT_STR(contents(f), "#60000,small,#60000");
    EXPECT_U64(f->report.segment_count, 2);
    teardown(f);
}

TEST(a_record_larger_than_a_segment_gets_one_of_its_own)
{
    struct fix *f = setup(21);

    tend(f);
    append(f, "before");
    EXPECT_ST(try_append_big(f, 200000, 'x'), ST_BUSY);
    EXPECT(wal_wants_tending(f->wal));
    tend(f);
    append(f, "between");
    append_big(f, 200000, 'x');
    append(f, "after");
    reopen(f);
    EXPECT_STR(contents(f), "before,between,#200000,after");
    teardown(f);
}

TEST(a_batch_may_cross_several_segments)
{
    struct fix *f = setup(22);

    close_stream(f);
    f->options.spare_count = 4;
    open_stream(f);
    tend(f);
    for (int i = 0; i < 5; i++)
        append_big(f, 50000, (char)('a' + i));
    flush(f, true);
    EXPECT_U64(wal_durable(f->wal), wal_end(f->wal));
    crash(f);
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f), "#50000,#50000,#50000,#50000,#50000");
    EXPECT_U64(f->report.segment_count, 5);
    teardown(f);
}

/* W4 */
TEST(a_rotation_syncs_the_old_segment_even_when_no_sync_was_asked_for)
{
    struct fix *f = setup(23);
    wal_position first;

    tend(f);
    append_big(f, 60000, 'a');
    first = f->end;
    append_big(f, 60000, 'b');
    flush(f, false);
    EXPECT(wal_durable(f->wal) > first);
    EXPECT(wal_durable(f->wal) < wal_end(f->wal));
    teardown(f);
}

TEST(each_later_segment_begins_with_the_newest_hard_state_of_every_tablet)
{
    struct fix *f = setup(24);

    tend(f);
    append_head(f, 7, "old");
    append_head(f, 8, "eight");
    append_head(f, 9, "nine");
    append_head(f, 7, "new");
    wal_forget(f->wal, 9);
    wal_forget(f->wal, 10); /* never heard of */
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, true);
    wal_release(f->wal, wal_durable(f->wal));
    tend(f);
    reopen(f);
    EXPECT_U64(f->report.segment_count, 1);
    EXPECT(strcmp(contents(f), "[7:new],[8:eight],#60000") == 0 ||
           strcmp(contents(f), "[8:eight],[7:new],#60000") == 0);
    teardown(f);
}

TEST(hard_states_are_remembered_across_opening)
{
    struct fix *f = setup(25);

    append_head(f, 7, "vote");
    reopen(f);
    tend(f);
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, true);
    wal_release(f->wal, wal_durable(f->wal));
    tend(f);
    reopen(f);
    EXPECT_STR(contents(f), "[7:vote],#60000");
    teardown(f);
}

/* ------------------------------------------------------------------ releasing and recycling */

TEST(only_whole_segments_below_the_released_position_go)
{
    struct fix *f = setup(30);
    wal_position a, b;

    close_stream(f);
    f->options.spare_count = 3;
    open_stream(f);
    tend(f);
    append_big(f, 60000, 'a');
    a = f->end;
    append_big(f, 60000, 'b');
    b = f->end;
    append_big(f, 60000, 'c');
    flush(f, true);
    EXPECT_U64(wal_retained_bytes(f->wal), 3 * SEGMENT);
    EXPECT_U64(wal_begin(f->wal), 0);

    wal_release(f->wal, a); /* the seal of the first is still beyond that */
    tend(f);
    EXPECT_U64(wal_retained_bytes(f->wal), 3 * SEGMENT);
    wal_release(f->wal, b);
    tend(f);
    EXPECT_U64(wal_retained_bytes(f->wal), 2 * SEGMENT);
    EXPECT(wal_begin(f->wal) > a && wal_begin(f->wal) < b);
    wal_release(f->wal, a); /* going back changes nothing */
    wal_release(f->wal, wal_durable(f->wal));
    tend(f);
    EXPECT_U64(wal_retained_bytes(f->wal), SEGMENT); /* the one that is written to stays */
    reopen(f);
    EXPECT_STR(contents(f), "#60000");
    teardown(f);
}

/* W7 */
TEST(a_segment_stays_until_the_hard_states_behind_it_are_durable)
{
    struct fix *f = setup(31);

    tend(f);
    append_head(f, 7, "vote");
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, false); /* the first segment is durable, the hard state in the second is not */
    wal_release(f->wal, wal_end(f->wal));
    tend(f);
    EXPECT_U64(wal_retained_bytes(f->wal), 2 * SEGMENT);
    EXPECT(!wal_wants_tending(f->wal));
    flush(f, true);
    EXPECT(wal_wants_tending(f->wal));
    tend(f);
    EXPECT_U64(wal_retained_bytes(f->wal), SEGMENT);
    teardown(f);
}

TEST(released_segments_are_recycled_and_their_old_records_never_come_back)
{
    struct fix *f = setup(32);
    uint64_t fills;

    tend(f);
    append_big(f, 30000, 'a');
    append_big(f, 30000, 'b');
    append_big(f, 30000, 'c');
    flush(f, true);
    tend(f);
    fills = sim_op_count(f->sim, NODE, SIM_FILL);
    for (int i = 0; i < 12; i++) { /* each of the files is used again and again */
        append_big(f, 30000, 'd');
        append_big(f, 30000, 'e');
        flush(f, true);
        wal_release(f->wal, wal_durable(f->wal));
        tend(f);
    }
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_FILL), fills);
    append(f, "last");
    flush(f, true);
    crash(f);
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f) + strlen(contents(f)) - strlen(",last"), ",last");
    EXPECT(strlen(contents(f)) <= strlen("#30000,#30000,#30000,last"));
    teardown(f);
}

/* W5 holds for spares, too: what a failed sync has left is removed, not tried again. */
TEST(a_spare_whose_sync_failed_is_never_used)
{
    for (int folder = 0; folder < 2; folder++) {
        struct fix *f = setup(36);

        tend(f);
        append_big(f, 60000, 'a');
        append_big(f, 60000, 'b');
        flush(f, true);
        wal_release(f->wal, wal_durable(f->wal));
        /* CHAIN and its name come first, then the header and the name of the recycled one */
        sim_fail(f->sim, NODE, folder ? SIM_SYNC_DIR : SIM_SYNC, 2, false, ST_IO);
        EXPECT_ST(wal_tend(f->wal, &f->err), ST_IO);
        EXPECT_U64(f->wal->ready_count, 0);
        EXPECT(wal_wants_tending(f->wal));
        EXPECT_ST(wal_health(f->wal), ST_OK);
        EXPECT_U64(sim_op_count(f->sim, NODE, SIM_FILL), 2);
        tend(f);
        EXPECT_U64(sim_op_count(f->sim, NODE, SIM_FILL), 3);
        EXPECT_STR(names(f), "0000000000000002.log,0000000000000004.log,CHAIN");
        teardown(f);
    }
}

TEST(the_number_of_files_stays_bounded)
{
    struct fix *f = setup(33);

    close_stream(f);
    f->options.spare_count = 2;
    open_stream(f);
    for (int i = 0; i < 40; i++) {
        while (try_append_big(f, 20000 + 1000 * (size_t)i, 'x') == ST_BUSY)
            tend(f);
        flush(f, true);
        if (i % 5 == 4)
            wal_release(f->wal, wal_durable(f->wal));
        tend(f);
    }
    EXPECT_U64(wal_retained_bytes(f->wal), SEGMENT);
    EXPECT_U64(strlen(names(f)), strlen("CHAIN") + 3 * strlen(",0000000000000001.log"));
    teardown(f);
}

TEST(spares_are_reused_at_a_restart)
{
    struct fix *f = setup(34);

    close_stream(f);
    f->options.spare_count = 3;
    open_stream(f);
    tend(f);
    append(f, "alpha");
    reopen(f);
    tend(f);
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_FILL), 0);
    EXPECT_U64(f->wal->ready_count, 3);
    kill9(f);
    boot(f);
    open_stream(f); /* needs a fresh segment */
    tend(f);
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_FILL), 0);
    teardown(f);
}

/* The position that replay was given is good enough to release by. */
TEST(a_record_stays_while_the_position_it_was_replayed_at_is_not_released)
{
    struct fix *f = setup(35);

    append(f, "alpha");
    flush(f, true);
    append_big(f, 50000, 'b');
    flush(f, true);
    for (int i = 0; i < 3; i++) { /* moved to a fresh segment each time */
        kill9(f);
        boot(f);
        open_stream(f);
        EXPECT_STR(contents(f), "alpha,#50000");
        wal_release(f->wal, f->first_at);
        tend(f);
    }
    teardown(f);
}

/* ------------------------------------------------------------------ marks */

TEST(an_idle_stream_wants_one_mark_and_then_no_more)
{
    struct fix *f = setup(40);
    wal_position end;

    append(f, "alpha");
    EXPECT(!wal_wants_mark(f->wal));
    EXPECT_OK(wal_mark(f->wal, &f->err)); /* not durable yet: nothing to say */
    EXPECT_U64(wal_end(f->wal), f->end);
    flush(f, true);
    EXPECT(wal_wants_mark(f->wal));
    EXPECT_OK(wal_mark(f->wal, &f->err));
    EXPECT(!wal_wants_mark(f->wal));
    flush(f, true);
    end = wal_end(f->wal);
    EXPECT(end > f->end);
    EXPECT(!wal_wants_mark(f->wal));
    EXPECT_OK(wal_mark(f->wal, &f->err));
    EXPECT_U64(wal_end(f->wal), end);

    crash(f);
    boot(f);
    open_stream(f);
    EXPECT(f->report.clean);
    EXPECT_U64(f->report.rewritten_count, 0);
    EXPECT_STR(contents(f), "alpha");
    teardown(f);
}

/* W10: at whatever byte the segment is full. */
TEST(there_is_always_room_for_a_mark)
{
    for (size_t size = 61200; size < 61440; size++) {
        struct fix *f = setup(41);

        if (try_append_big(f, size, 'a') != ST_OK) {
            EXPECT(size > SEGMENT - SEGMENT_HEADER_BYTES - RECORD_BYTES_MIN - TAIL_BYTES - 4);
            teardown(f);
            continue;
        }
        flush(f, true);
        EXPECT_OK(wal_mark(f->wal, &f->err));
        flush(f, true);
        tend(f);
        append(f, "next");
        reopen(f);
        EXPECT_STR(contents(f) + 6, ",next");
        teardown(f);
    }
}

TEST(a_closed_stream_opens_clean_and_goes_on_in_place)
{
    struct fix *f = setup(42);
    char name[SEGMENT_NAME_BYTES];

    append(f, "alpha");
    snprintf(name, sizeof(name), "%s", current_name(f));
    for (int i = 0; i < 3; i++) {
        reopen(f);
        EXPECT(f->report.clean);
        EXPECT_U64(f->report.torn_bytes, 0);
        EXPECT_U64(f->report.rewritten_count, 0);
        EXPECT_STR(current_name(f), name);
    }
    append(f, "beta");
    reopen(f);
    EXPECT_STR(contents(f), "alpha,beta");
    teardown(f);
}

TEST(a_killed_process_leaves_a_stream_that_is_rewritten)
{
    struct fix *f = setup(43);

    append(f, "alpha");
    flush(f, true);
    append(f, "beta");
    flush(f, false);
    kill9(f);
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f), "alpha,beta");
    EXPECT(!f->report.clean);
    EXPECT_U64(f->report.rewritten_count, 1); /* beta's watermark proves alpha */
    EXPECT(wal_wants_mark(f->wal));
    crash(f); /* W9: at once */
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f), "alpha,beta");
    teardown(f);
}

/* Or a process that dies again and again would fill the disk. */
TEST(a_segment_of_which_nothing_is_proven_leaves_the_log)
{
    struct fix *f = setup(45);

    append(f, "alpha");
    flush(f, true);
    for (int i = 0; i < 5; i++) {
        kill9(f);
        boot(f);
        open_stream(f);
        EXPECT_STR(contents(f), "alpha");
        EXPECT_U64(f->report.rewritten_count, 1);
        EXPECT_U64(wal_retained_bytes(f->wal), SEGMENT);
        tend(f);
    }
    EXPECT_U64(strlen(names(f)), strlen("CHAIN") + 2 * strlen(",0000000000000001.log"));
    teardown(f);
}

/* Hard states keep their place among the entries when they are copied. */
TEST(rewriting_keeps_the_order_of_hard_states_and_entries)
{
    struct fix *f = setup(44);

    append_head(f, 7, "one");
    append(f, "alpha");
    flush(f, true);
    append(f, "beta");
    append_head(f, 7, "two");
    append(f, "gamma");
    append_head(f, 7, "three");
    flush(f, false);
    kill9(f);
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f), "[7:one],alpha,beta,[7:two],gamma,[7:three]");
    reopen(f);
    EXPECT_STR(contents(f), "[7:one],alpha,[7:one],beta,[7:two],gamma,[7:three]");
    teardown(f);
}

/* ------------------------------------------------------------------ W5 */

static void
expect_ended(struct fix *f, enum status st, wal_position durable)
{
    sim_fail(f->sim, NODE, 0, 0, false, ST_OK); /* the disk is fine again; the stream is not */
    EXPECT_ST(wal_health(f->wal), st);
    EXPECT_ST(wal_flush(f->wal, true, &f->err), st);
    EXPECT_ST(try_append(f, "after"), st);
    EXPECT_ST(wal_mark(f->wal, &f->err), st);
    EXPECT(!wal_wants_mark(f->wal));
    EXPECT_U64(wal_durable(f->wal), durable);
    EXPECT(strstr(f->err.text, "has failed") != NULL);
}

TEST(a_failed_sync_is_final)
{
    struct fix *f = setup(50);

    append(f, "alpha");
    flush(f, true);
    append(f, "beta");
    sim_fail(f->sim, NODE, SIM_SYNC, 1, false, ST_IO);
    EXPECT_ST(wal_flush(f->wal, true, &f->err), ST_IO);
    expect_ended(f, ST_IO, wal_durable(f->wal));
    EXPECT_ST(wal_close(f->wal, &f->err), ST_IO);
    f->wal = NULL;
    end(f); /* everything is released all the same */
    boot(f);
    open_stream(f);
    EXPECT(strcmp(contents(f), "alpha,beta") == 0);
    crash(f); /* the bytes that the failed sync forgot have been written anew */
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f), "alpha,beta");
    teardown(f);
}

TEST(a_failed_write_is_final)
{
    struct fix *f = setup(51);

    append(f, "alpha");
    sim_fail(f->sim, NODE, SIM_WRITE, 1, false, ST_NO_SPACE);
    EXPECT_ST(wal_flush(f->wal, true, &f->err), ST_NO_SPACE);
    expect_ended(f, ST_NO_SPACE, 0);
    teardown(f);
}

TEST(a_failed_sync_at_a_rotation_is_final)
{
    struct fix *f = setup(52);
    uint64_t writes;

    tend(f);
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    writes = sim_op_count(f->sim, NODE, SIM_WRITE);
    sim_fail(f->sim, NODE, SIM_SYNC, 1, false, ST_IO);
    EXPECT_ST(wal_flush(f->wal, false, &f->err), ST_IO);
    EXPECT_U64(sim_op_count(f->sim, NODE, SIM_WRITE), writes + 1); /* W4 */
    expect_ended(f, ST_IO, 0);
    teardown(f);
}

/* ------------------------------------------------------------------ full disks */

TEST(a_full_disk_is_met_by_tending_and_passes)
{
    struct fix *f = setup(60);

    append_big(f, 60000, 'a');
    flush(f, true);
    sim_set_capacity(f->sim, NODE, 100 << 10);
    EXPECT_ST(wal_tend(f->wal, &f->err), ST_NO_SPACE);
    EXPECT_ST(try_append_big(f, 60000, 'b'), ST_NO_SPACE);
    EXPECT_ST(wal_health(f->wal), ST_OK);
    append(f, "small");
    flush(f, true); /* there is room for it already */
    EXPECT(wal_wants_tending(f->wal));
    EXPECT_ST(wal_tend(f->wal, &f->err), ST_NO_SPACE);
    EXPECT_STR(names(f), "0000000000000001.log,CHAIN"); /* nothing half made is left */
    sim_set_capacity(f->sim, NODE, 1 << 20);
    tend(f);
    append_big(f, 60000, 'b');
    reopen(f);
    EXPECT_STR(contents(f), "#60000,small,#60000");
    teardown(f);
}

TEST(on_a_full_disk_a_large_record_does_not_keep_the_small_ones_waiting)
{
    struct fix *f = setup(62);

    append_big(f, 60000, 'a');
    sim_set_capacity(f->sim, NODE, 2 * SEGMENT + 8192);
    EXPECT_ST(try_append_big(f, 200000, 'x'), ST_BUSY);
    EXPECT_ST(wal_tend(f->wal, &f->err), ST_NO_SPACE); /* but the ordinary one was made first */
    EXPECT(!wal_wants_tending(f->wal));
    EXPECT_ST(try_append_big(f, 200000, 'x'), ST_NO_SPACE);
    EXPECT(wal_wants_tending(f->wal));
    append_big(f, 60000, 'b');
    sim_set_capacity(f->sim, NODE, 1 << 20);
    tend(f);
    append_big(f, 200000, 'x');
    reopen(f);
    EXPECT_STR(contents(f), "#60000,#60000,#200000");
    teardown(f);
}

/* What was released is used before new room is asked for. */
TEST(a_full_disk_can_be_written_to_as_long_as_segments_are_released)
{
    struct fix *f = setup(61);

    tend(f);
    tend(f);
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, true);
    sim_set_capacity(f->sim, NODE, 2 * SEGMENT + 8192); /* two segments, CHAIN and its draft */
    for (int i = 0; i < 10; i++) {
        wal_release(f->wal, wal_durable(f->wal));
        tend(f);
        append_big(f, 60000, 'c');
        flush(f, true);
    }
    teardown(f);
}

/* ------------------------------------------------------------------ the end of the log */

TEST(a_torn_tail_is_cut_and_said)
{
    struct fix *f = setup(70);
    uint64_t at;

    append(f, "alpha");
    flush(f, true);
    at = f->wal->at;
    append_big(f, 5000, 'b');
    flush(f, false);
    wal_abandon(f->wal);
    f->wal = NULL;
    flip(f, "0000000000000001.log", at + 4000, 3); /* a sector of "b" did not make it */
    open_stream(f);
    EXPECT_STR(contents(f), "alpha");
    EXPECT(!f->report.clean);
    EXPECT_STR(f->report.torn_file, "0000000000000001.log");
    EXPECT_U64(f->report.torn_offset, at);
    EXPECT(f->report.torn_bytes >= 5000);
    append(f, "gamma"); /* and the log is usable again */
    reopen(f);
    EXPECT_STR(contents(f), "alpha,gamma");
    teardown(f);
}

/* W8: what survived behind the tear must not appear again once the gap is filled by a record of
 * the same size. */
TEST(records_behind_a_tear_never_come_back_to_life)
{
    struct fix *f = setup(71);
    uint64_t at;

    append(f, "alpha");
    flush(f, true);
    EXPECT_OK(wal_mark(f->wal, &f->err));
    flush(f, true);
    at = f->wal->at;
    append(f, "torn!");
    append(f, "ghost");
    flush(f, false);
    wal_abandon(f->wal);
    f->wal = NULL;
    flip(f, "0000000000000001.log", at + 36, 0);
    open_stream(f);
    EXPECT_STR(contents(f), "alpha");
    EXPECT(!f->report.clean);
    append(f, "newer"); /* of the size of "torn!" */
    reopen(f);
    EXPECT_STR(contents(f), "alpha,newer");
    teardown(f);
}

TEST_MAIN(RUN(a_stream_that_is_not_there_is_not_found),
          RUN(a_new_stream_is_empty_clean_and_durable), RUN(senseless_options_are_invalid),
          RUN(records_come_back_in_order_with_all_their_fields), RUN(the_largest_numbers_survive),
          RUN(a_replay_that_refuses_ends_wal_open_with_its_status),
          RUN(positions_never_overtake_each_other), RUN(a_batch_is_one_write_and_one_sync),
          RUN(the_steady_state_allocates_nothing),
          RUN(an_append_beyond_the_gathered_maximum_is_busy_until_a_flush),
          RUN(a_gather_that_grew_huge_shrinks_again), RUN(a_record_beyond_the_limit_is_too_big),
          RUN(a_full_segment_is_busy_until_the_next_one_is_ready),
          RUN(a_record_larger_than_a_segment_gets_one_of_its_own),
          RUN(a_batch_may_cross_several_segments),
          RUN(a_rotation_syncs_the_old_segment_even_when_no_sync_was_asked_for),
          RUN(each_later_segment_begins_with_the_newest_hard_state_of_every_tablet),
          RUN(hard_states_are_remembered_across_opening),
          RUN(only_whole_segments_below_the_released_position_go),
          RUN(a_segment_stays_until_the_hard_states_behind_it_are_durable),
          RUN(released_segments_are_recycled_and_their_old_records_never_come_back),
          RUN(a_spare_whose_sync_failed_is_never_used), RUN(the_number_of_files_stays_bounded),
          RUN(spares_are_reused_at_a_restart),
          RUN(a_record_stays_while_the_position_it_was_replayed_at_is_not_released),
          RUN(an_idle_stream_wants_one_mark_and_then_no_more), RUN(there_is_always_room_for_a_mark),
          RUN(a_closed_stream_opens_clean_and_goes_on_in_place),
          RUN(a_killed_process_leaves_a_stream_that_is_rewritten),
          RUN(a_segment_of_which_nothing_is_proven_leaves_the_log),
          RUN(rewriting_keeps_the_order_of_hard_states_and_entries), RUN(a_failed_sync_is_final),
          RUN(a_failed_write_is_final), RUN(a_failed_sync_at_a_rotation_is_final),
          RUN(a_full_disk_is_met_by_tending_and_passes),
          RUN(on_a_full_disk_a_large_record_does_not_keep_the_small_ones_waiting),
          RUN(a_full_disk_can_be_written_to_as_long_as_segments_are_released),
          RUN(a_torn_tail_is_cut_and_said), RUN(records_behind_a_tear_never_come_back_to_life))
