/* Streams and clients in virtual time: bytes, windows, ends. */
#include "unit/simenv/server.h"

enum { SEEDS = 60 };

/* ------------------------------------------------------------------ bytes */

TEST(bytes_go_both_ways_in_pieces_and_in_order)
{
    int piecewise = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 2);
        struct server s = { 0 };
        struct sim_client *c;

        serve(&s, &f);
        c = sim_connect(f.w, 1, PORT);
        EXPECT(c != NULL);
        sim_client_send(c, pattern(5000)); /* before anybody has accepted */
        EXPECT_U64(s.count, 0);
        EXPECT(sim_settle(f.w, 1000));
        EXPECT_U64(s.count, 1);
        EXPECT(slice_equal(buf_slice(&s.peers[0].in), pattern(5000)));
        piecewise += s.peers[0].calls > 1;

        tell(&s.peers[0], pattern(3000));
        EXPECT_U64(sim_client_received(c).size, 0); /* on their way */
        EXPECT(sim_settle(f.w, 1000));
        EXPECT(slice_equal(sim_client_received(c), pattern(3000)));
        sim_client_consume(c, 1000);
        EXPECT_U64(sim_client_received(c).size, 2000);
        EXPECT(sim_client_received(c).data[0] == pattern(3000).data[1000]);
        sim_client_consume(c, 2000);
        EXPECT_U64(sim_client_received(c).size, 0);
        EXPECT(!sim_client_closed(c));
        sim_client_close(c);
        end_server(&s);
        sim_end(f.w, 1);
        teardown(&f);
    }
    EXPECT(piecewise > SEEDS / 2);
}

TEST(a_slow_reader_holds_the_writer_up)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct server s = { 0 };
        struct sim_client *c;
        size_t got = 0;

        serve(&s, &f);
        c = sim_connect(f.w, 1, PORT);
        sim_client_set_window(c, 1000);
        EXPECT(sim_settle(f.w, 1000));
        tell(&s.peers[0], pattern(20000));
        EXPECT(sim_settle(f.w, 1000)); /* blocked, and quiet */
        EXPECT_U64(sim_client_received(c).size, 1000);
        EXPECT_U64(s.peers[0].out.size, 19000);
        while (got < 20000) {
            struct slice in = sim_client_received(c);

            EXPECT(in.size > 0 && in.size <= 1000);
            EXPECT(memcmp(in.data, pattern(20000).data + got, in.size) == 0);
            got += in.size;
            sim_client_consume(c, in.size);
            EXPECT(sim_settle(f.w, 1000));
        }
        EXPECT_U64(s.peers[0].out.size, 0);
        sim_client_close(c);
        teardown(&f);
    }
}

TEST(a_node_that_does_not_read_holds_the_client_up)
{
    struct fix f = setup_loops(1, 1);
    struct server s = { 0 };
    struct sim_client *c;

    serve(&s, &f);
    c = sim_connect(f.w, 1, PORT);
    EXPECT(sim_settle(f.w, 1000));
    s.peers[0].paused = true;
    sim_on_loop(f.w, 1, 0, reply, &s.peers[0]);
    sim_client_send(c, pattern(300000)); /* five windows */
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_U64(s.peers[0].in.size, 0);
    s.peers[0].paused = false;
    sim_on_loop(f.w, 1, 0, reply, &s.peers[0]);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT(slice_equal(buf_slice(&s.peers[0].in), pattern(300000)));
    sim_client_close(c);
    teardown(&f);
}

TEST(a_window_that_opens_wakes_the_writer)
{
    struct fix f = setup_loops(2, 1);
    struct server s = { 0 };
    struct sim_client *c;

    serve(&s, &f);
    c = sim_connect(f.w, 1, PORT);
    sim_client_set_window(c, 10);
    EXPECT(sim_settle(f.w, 1000));
    tell(&s.peers[0], pattern(100));
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_U64(sim_client_received(c).size, 10);
    sim_client_set_window(c, 1000);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT(slice_equal(sim_client_received(c), pattern(100)));
    teardown(&f);
}

/* ------------------------------------------------------------------ ends */

TEST(what_was_accepted_is_delivered_before_the_end)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct server s = { 0 };
        struct sim_client *c;

        serve(&s, &f);
        c = sim_connect(f.w, 1, PORT);
        EXPECT(sim_settle(f.w, 1000));
        do
            tell(&s.peers[0], pattern(2000)); /* until a write takes all at once */
        while (s.peers[0].out.size > 0);
        sim_on_loop(f.w, 1, 0, hang_up, &s.peers[0]);
        EXPECT(!sim_client_closed(c));
        EXPECT(sim_settle(f.w, 1000));
        EXPECT(sim_client_closed(c));
        EXPECT(sim_client_received(c).size % 2000 == 0 && sim_client_received(c).size > 0);
        sim_client_send(c, pattern(100)); /* into the void */
        EXPECT(sim_settle(f.w, 1000));
        sim_client_close(c);
        end_server(&s);
        sim_end(f.w, 1);
        teardown(&f);
    }
}

TEST(a_node_reads_all_that_a_client_sent_before_it_closed)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct server s = { 0 };
        struct sim_client *c;

        serve(&s, &f);
        c = sim_connect(f.w, 1, PORT);
        sim_client_send(c, pattern(100000)); /* more than a window */
        sim_client_close(c);
        EXPECT(sim_settle(f.w, 1000));
        EXPECT(slice_equal(buf_slice(&s.peers[0].in), pattern(100000)));
        EXPECT(s.peers[0].closed);
        EXPECT_ST(stream_write(s.peers[0].stream, &(struct slice){ (const uint8_t *)"x", 1 }, 1,
                               &(size_t){ 0 }),
                  ST_CLOSED);
        end_server(&s);
        sim_end(f.w, 1);
        teardown(&f);
    }
}

/* Or it would wait for ever, with a full window and nobody to empty it. */
TEST(a_blocked_writer_hears_that_its_reader_is_gone)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct server s = { 0 };
        struct sim_client *c;

        serve(&s, &f);
        c = sim_connect(f.w, 1, PORT);
        sim_client_set_window(c, 100);
        EXPECT(sim_settle(f.w, 1000));
        s.peers[0].paused = true;
        tell(&s.peers[0], pattern(1000));
        EXPECT(sim_settle(f.w, 1000));
        sim_client_send(c, pattern(100000));
        sim_client_close(c);
        EXPECT(sim_settle(f.w, 1000));
        EXPECT(s.peers[0].closed);
        end_server(&s);
        sim_end(f.w, 1);
        teardown(&f);
    }
}

TEST(nothing_is_called_for_a_stream_that_watches_nothing_or_was_closed)
{
    struct fix f = setup_loops(3, 1);
    struct server s = { 0 };
    struct sim_client *c;

    serve(&s, &f);
    c = sim_connect(f.w, 1, PORT);
    EXPECT(sim_settle(f.w, 1000));
    s.peers[0].paused = true;
    sim_on_loop(f.w, 1, 0, reply, &s.peers[0]);
    s.peers[0].calls = 0;
    sim_client_send(c, pattern(10));
    sim_client_close(c);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_U64(s.peers[0].calls, 0);
    c = sim_connect(f.w, 1, PORT);
    EXPECT(sim_settle(f.w, 1000));
    sim_client_send(c, pattern(10));
    sim_on_loop(f.w, 1, 0, hang_up, &s.peers[1]);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_U64(s.peers[1].calls, 0);
    EXPECT(sim_client_closed(c));
    teardown(&f);
}

static void
watch_writable(void *ctx)
{
    struct peer *p = ctx;

    stream_watch(p->stream, STREAM_WRITABLE, on_events, p);
}

/* Level-triggered: as long as there is room, and time goes on meanwhile. */
static void
count_only(void *ctx, unsigned events)
{
    struct peer *p = ctx;

    EXPECT_U64(events, STREAM_WRITABLE);
    p->calls++;
}

static void
watch_and_count(void *ctx)
{
    struct peer *p = ctx;

    stream_watch(p->stream, STREAM_WRITABLE, count_only, p);
}

TEST(events_are_level_triggered)
{
    struct fix f = setup_loops(4, 1);
    struct server s = { 0 };
    struct sim_client *c;

    serve(&s, &f);
    c = sim_connect(f.w, 1, PORT);
    EXPECT(sim_settle(f.w, 1000));
    sim_on_loop(f.w, 1, 0, watch_and_count, &s.peers[0]);
    EXPECT(!sim_settle(f.w, 10));
    EXPECT(s.peers[0].calls > 100);
    sim_on_loop(f.w, 1, 0, watch_writable, &s.peers[0]);
    s.peers[0].paused = true; /* its next call asks for nothing more */
    EXPECT(sim_settle(f.w, 10));
    sim_client_close(c);
    teardown(&f);
}

TEST_MAIN(RUN(bytes_go_both_ways_in_pieces_and_in_order), RUN(a_slow_reader_holds_the_writer_up),
          RUN(a_node_that_does_not_read_holds_the_client_up),
          RUN(a_window_that_opens_wakes_the_writer),
          RUN(what_was_accepted_is_delivered_before_the_end),
          RUN(a_node_reads_all_that_a_client_sent_before_it_closed),
          RUN(a_blocked_writer_hears_that_its_reader_is_gone),
          RUN(nothing_is_called_for_a_stream_that_watches_nothing_or_was_closed),
          RUN(events_are_level_triggered))
