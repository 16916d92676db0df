/* Tests of cluster/dialog.h: parcels there and back, whole, in pieces, late, never and wrong. */
#include "unit/cluster/table.h"

/* ------------------------------------------------------------------ whole ones */

TEST(who_asks_is_answered)
{
    static const size_t sizes[] = { 0, 1, 50000, FEED_MAX };

    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct table t = table_lay(i, ANSWERS);

        t.feed_bytes = sizes[i / 2];
        t.asked.ends_inside = t.asks.ends_inside = i % 2 == 0;
        table_open(&t);
        table_call(&t, "10.0.0.1");
        table_run(&t, 2000);
        EXPECT(t.asks.parcels == 1 && t.asks.kind == VERDICT_WELCOME);
        EXPECT(t.asks.body_bytes >= t.feed_bytes);
        EXPECT(t.asked.parcels == 2 && t.asked.body_bytes > 0);
        table_run(&t, 2 * DIALOG_MS); /* what is over is not late as well */
        EXPECT(t.asks.failures == 0 && t.asked.failures == 0);
        table_clear(&t);
    }
}

TEST(a_slow_line_is_waited_for_but_not_for_ever)
{
    static const uint64_t bytes_per_s[] = { 2 << 20, 200 << 10 };

    for (int i = 0; i < 2; i++) {
        struct table t = table_lay(3, ANSWERS);
        struct sim_link link = sim_link_default();

        link.bytes_per_s = bytes_per_s[i];
        sim_net_set(t.w, ASKED, ASKS, &link);
        t.feed_bytes = FEED_MAX;
        table_open(&t);
        table_call(&t, "10.0.0.1");
        table_run(&t, 3 * DIALOG_MS);
        EXPECT_U64(t.asks.parcels, i == 0);
        if (i == 1)
            end_expect_failed(&t.asks, ST_TIMEOUT);
        table_clear(&t);
    }
}

/* ------------------------------------------------------------------ who is asked */

TEST(a_petition_may_come_byte_by_byte)
{
    struct table t = table_lay(4, ANSWERS);
    struct sim_client *c;
    uint8_t bytes[1000];
    size_t size = make_petition(bytes);

    table_open(&t);
    c = sim_connect(t.w, ASKED, PORT);
    for (size_t i = 0; i < size; i++) {
        EXPECT_U64(t.asked.parcels, 0);
        sim_client_send(c, slice_of(bytes + i, 1));
        sim_run_ms(t.w, 5);
    }
    table_run(&t, 500);
    EXPECT_U64(t.asked.parcels, 2);
    EXPECT(sim_client_received(c).size > PARCEL_HEAD_BYTES);
    sim_client_close(c);
    table_clear(&t);
}

/* Whoever took the connection has read some of it, or all. */
TEST(what_was_read_before_counts)
{
    uint8_t bytes[1000];
    size_t size = make_petition(bytes);

    for (size_t known = 0; known <= size; known += known + 20 < size ? 20 : 1) {
        struct table t = table_lay(known, ANSWERS);
        struct sim_client *c;

        t.begin = slice_of(bytes, known);
        table_open(&t);
        c = sim_connect(t.w, ASKED, PORT);
        sim_client_send(c, slice_of(bytes + known, size - known));
        table_run(&t, 500);
        EXPECT_U64(t.asked.parcels, 2);
        sim_client_close(c);
        table_clear(&t);
    }
}

TEST(what_was_read_before_and_is_nothing_of_ours_is_refused_at_once)
{
    struct table t = table_lay(5, ANSWERS);
    struct sim_client *c;

    t.begin = slice_str("GET / HTTP/1.1\r\n\r\n");
    table_open(&t);
    c = sim_connect(t.w, ASKED, PORT);
    table_run(&t, 500);
    end_expect_failed(&t.asked, ST_CORRUPT);
    sim_client_close(c);
    table_clear(&t);
}

TEST(who_hangs_up_in_a_petition_is_no_more)
{
    uint8_t bytes[1000];
    size_t size = make_petition(bytes);

    for (size_t at = 0; at < size; at += 7) {
        struct table t = table_lay(at, ANSWERS);
        struct sim_client *c;

        t.asked.ends_inside = at % 2 == 0;
        table_open(&t);
        c = sim_connect(t.w, ASKED, PORT);
        sim_client_send(c, slice_of(bytes, at));
        sim_run_ms(t.w, 100);
        sim_client_close(c);
        table_run(&t, 500);
        end_expect_failed(&t.asked, ST_CLOSED);
        EXPECT_U64(t.asked.parcels, 0);
        table_clear(&t);
    }
}

TEST(what_is_no_petition_is_refused_at_once)
{
    static const char too_large[] = "DKVENTER\x01\x40\x00\x00";
    const struct slice words[] = { slice_str("GET /"), slice_str("DKVPEER\n"),
                                   slice_of(too_large, 12) };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct table t = table_lay(i, ANSWERS);
        struct sim_client *c;

        table_open(&t);
        c = sim_connect(t.w, ASKED, PORT);
        sim_client_send(c, words[i]);
        table_run(&t, 500);
        end_expect_failed(&t.asked, ST_CORRUPT);
        EXPECT_U64(sim_client_received(c).size, 0);
        sim_client_close(c);
        table_clear(&t);
    }
}

TEST(who_says_nothing_or_reads_nothing_is_given_up)
{
    for (int reads = 0; reads < 2; reads++) {
        struct table t = table_lay(6, ANSWERS);
        struct sim_client *c;
        uint8_t bytes[1000];
        size_t size = make_petition(bytes);

        t.feed_bytes = FEED_MAX;
        table_open(&t);
        c = sim_connect(t.w, ASKED, PORT);
        if (reads == 1)
            sim_client_send(c, slice_of(bytes, size));
        table_run(&t, DIALOG_MS - 200);
        EXPECT_U64(t.asked.failures, 0);
        table_run(&t, 500);
        end_expect_failed(&t.asked, ST_TIMEOUT);
        EXPECT_U64(t.asked.parcels, reads);
        sim_client_close(c);
        table_clear(&t);
    }
}

/* Its time begins with the answer: to find out what to say may have taken long. */
TEST(an_answer_that_begins_late_has_its_time)
{
    struct table t = table_lay(9, SAYS_NOTHING);
    struct sim_client *c;
    uint8_t bytes[1000];
    size_t size = make_petition(bytes);

    t.feed_bytes = 200000;
    table_open(&t);
    c = sim_connect(t.w, ASKED, PORT);
    sim_client_send(c, slice_of(bytes, size));
    table_run(&t, DIALOG_MS - 500);
    EXPECT(t.asked.parcels == 1 && t.asked.failures == 0);
    table_reply(&t);
    table_run(&t, DIALOG_MS - 500);
    EXPECT_U64(t.asked.parcels, 1); /* there is no room for all of it */
    for (int i = 0; i < 20; i++) {
        sim_client_consume(c, sim_client_received(c).size);
        sim_run_ms(t.w, 10);
    }
    EXPECT(t.asked.parcels == 2 && t.asked.failures == 0);
    sim_client_close(c);
    table_clear(&t);
}

/* ------------------------------------------------------------------ who asks */

TEST(an_answer_that_is_none_is_refused)
{
    static const char too_large[] = "DKVENTER\xff\xff\xff\xff";
    const struct slice words[] = { slice_str("-ERR unknown command\r\n"), slice_of(too_large, 12) };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct table t = table_lay(i, SAYS_WORDS);

        t.words = words[i];
        table_open(&t);
        table_call(&t, "10.0.0.1");
        table_run(&t, 500);
        end_expect_failed(&t.asks, ST_CORRUPT);
        table_clear(&t);
    }
}

TEST(who_is_asked_may_hang_up_or_not_be_there_or_be_silent)
{
    for (int i = 0; i < 3; i++) {
        static const enum manner manners[] = { HANGS_UP, ANSWERS, SAYS_NOTHING };
        struct table t = table_lay(i, manners[i]);

        table_open(&t);
        if (i == 1)
            table_close_door(&t);
        table_call(&t, "10.0.0.1");
        table_run(&t, DIALOG_MS - 200);
        EXPECT_U64(t.asks.failures, i < 2);
        table_run(&t, 500);
        end_expect_failed(&t.asks, i < 2 ? ST_CLOSED : ST_TIMEOUT);
        table_clear(&t);
    }
}

TEST(a_network_that_is_cut_is_waited_for_but_not_for_ever)
{
    for (uint32_t from = ASKED; from <= ASKS; from++) {
        struct table t = table_lay(from, ANSWERS);

        table_open(&t);
        sim_net_cut(t.w, from, ASKED + ASKS - from);
        table_call(&t, "10.0.0.1");
        table_run(&t, DIALOG_MS + 500);
        end_expect_failed(&t.asks, ST_TIMEOUT);
        sim_net_heal(t.w, from, ASKED + ASKS - from);
        table_run(&t, 3 * DIALOG_MS);
        table_clear(&t);
    }
}

static void
call_it_late(void *ctx)
{
    struct end *e = ctx;

    dialog_due(e->d, UINT64_MAX);
}

/* What is over stays so until it is ended, also when the connection comes then. */
TEST(an_attempt_that_was_given_up_is_not_heard_of_again)
{
    struct table t = table_lay(7, ANSWERS);

    table_open(&t);
    table_call(&t, "10.0.0.1");
    sim_on_loop(t.w, ASKS, 0, call_it_late, &t.asks);
    end_expect_failed(&t.asks, ST_TIMEOUT);
    table_run(&t, 2 * DIALOG_MS);
    end_expect_failed(&t.asks, ST_TIMEOUT);
    table_clear(&t);
}

TEST(an_address_that_is_none_is_not_called)
{
    struct table t = table_lay(8, ANSWERS);

    table_open(&t);
    table_call(&t, "no address");
    EXPECT(t.asks.d == NULL);
    table_run(&t, 100);
    EXPECT_U64(t.asks.failures, 0);
    table_clear(&t);
}

/* ------------------------------------------------------------------ ends and failures */

TEST(a_dialog_can_be_ended_at_any_time)
{
    for (uint64_t ms = 0; ms < 16; ms++) {
        struct table t = table_lay(ms, ANSWERS);
        struct end *e = ms % 2 == 0 ? &t.asks : &t.asked;
        struct sim_link link = sim_link_default();
        unsigned told;

        link.delay_us_min = link.delay_us_max = 1500;
        sim_net_set(t.w, ASKED, ASKS, &link);
        sim_net_set(t.w, ASKS, ASKED, &link);
        t.feed_bytes = 100000;
        table_open(&t);
        table_call(&t, "10.0.0.1");
        sim_run_ms(t.w, ms);
        told = e->d == NULL ? 0 : e->parcels;
        if (e->d != NULL) {
            table_end(&t, e);
            table_run(&t, 2 * DIALOG_MS);
            EXPECT(e->parcels == told && e->failures == 0);
        }
        table_clear(&t);
    }
}

/* Of either node; whoever remains is told, or its time is up. */
static bool
talk_with_fault(uint32_t node, uint64_t nth)
{
    struct table t = table_lay(nth, ANSWERS);
    bool struck;

    t.feed_bytes = 100000;
    table_open(&t);
    sim_heap(t.w, node)->fail_at = sim_heap(t.w, node)->allocation + nth;
    table_call(&t, "10.0.0.1");
    table_run(&t, 3 * DIALOG_MS);
    struck = sim_heap(t.w, node)->allocation >= sim_heap(t.w, node)->fail_at;
    sim_heap(t.w, node)->fail_at = 0;
    if (!struck)
        EXPECT_U64(t.asks.parcels, 1);
    if (t.asks.d != NULL)
        EXPECT_U64(t.asks.parcels + t.asks.failures, 1);
    if (t.asked.d != NULL)
        EXPECT(end_is_over(&t.asked));
    table_clear(&t);
    return struck;
}

TEST(a_dialog_survives_the_failure_of_every_allocation)
{
    for (uint32_t node = ASKED; node <= ASKS; node++) {
        uint64_t nth = 1;

        while (talk_with_fault(node, nth))
            nth++;
        EXPECT(nth > 3);
    }
}

QUIET_TEST_MAIN(RUN(who_asks_is_answered), RUN(a_slow_line_is_waited_for_but_not_for_ever),
                RUN(a_petition_may_come_byte_by_byte), RUN(what_was_read_before_counts),
                RUN(what_was_read_before_and_is_nothing_of_ours_is_refused_at_once),
                RUN(who_hangs_up_in_a_petition_is_no_more),
                RUN(what_is_no_petition_is_refused_at_once),
                RUN(who_says_nothing_or_reads_nothing_is_given_up),
                RUN(an_answer_that_begins_late_has_its_time),
                RUN(an_answer_that_is_none_is_refused),
                RUN(who_is_asked_may_hang_up_or_not_be_there_or_be_silent),
                RUN(a_network_that_is_cut_is_waited_for_but_not_for_ever),
                RUN(an_attempt_that_was_given_up_is_not_heard_of_again),
                RUN(an_address_that_is_none_is_not_called), RUN(a_dialog_can_be_ended_at_any_time),
                RUN(a_dialog_survives_the_failure_of_every_allocation))
