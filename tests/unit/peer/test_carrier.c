/* Streams that a carrier wraps keep env's contract: what is written arrives, whatever its pieces; who cannot, waits;
 * what was accepted outlives the end.  OpenSSL draws randomness of its own, so nothing here counts on a trace. */
#include "unit/peer/line.h"

static void
connect_two(struct line *l, uint64_t seed)
{
    line_begin(l, seed);
    line_equip(l);
}

static void
expect_all_heard(const struct line *l)
{
    for (uint32_t i = 0; i < 2; i++) {
        EXPECT_U64(l->ends[i].sent, l->ends[i].to_send);
        EXPECT_U64(l->ends[i].received, l->ends[1 - i].to_send);
        EXPECT_OK(l->ends[i].ended);
    }
}

TEST(what_is_written_arrives_both_ways_in_pieces_of_any_size)
{
    static const size_t part_sizes[] = { 1, 24, 1000, 16384, 16385, 60000 };
    static const size_t read_sizes[] = { 1, 72, 4096, 65536 };

    for (size_t i = 0; i < sizeof(part_sizes) / sizeof(part_sizes[0]); i++) {
        for (size_t k = 0; k < sizeof(read_sizes) / sizeof(read_sizes[0]); k++) {
            struct line l;

            connect_two(&l, i * 10 + k);
            for (uint32_t n = 0; n < 2; n++) {
                l.ends[n].part_size = part_sizes[i];
                l.ends[n].read_size = read_sizes[k];
                l.ends[n].to_send = 100 + part_sizes[i] * 20 + n;
            }
            line_call(&l);
            line_run(&l, 3000);
            expect_all_heard(&l);
            line_end(&l);
        }
    }
}

TEST(without_a_carrier_a_stream_is_what_it_was)
{
    struct line l;

    line_begin(&l, 1);
    l.ends[CALLER].to_send = 1000;
    line_call(&l);
    line_run(&l, 100);
    expect_all_heard(&l);
    EXPECT_U64(budget_used(&l.ends[CALLER].budget), 0);
    line_end(&l);
}

TEST(either_side_may_speak_first)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct line l;

        connect_two(&l, i);
        l.ends[i].to_send = 10;
        line_call(&l);
        line_run(&l, 100);
        expect_all_heard(&l);
        line_end(&l);
    }
}

/* As with any stream: windows fill up, and then no more is accepted. */
TEST(who_does_not_read_stops_the_other)
{
    struct sim_link slow = sim_link_default();
    struct line l;
    struct end *from, *to;
    size_t stopped_at;

    connect_two(&l, 3);
    slow.bytes_per_s = 20 << 20;
    sim_net_set(l.w, 2, 1, &slow);
    from = &l.ends[CALLER];
    to = &l.ends[CALLEE];
    from->to_send = 20 << 20;
    to->read_size = 65536;
    line_call(&l);
    line_run(&l, 100);
    to->deaf = true;
    end_resume(to);
    line_run(&l, 2000);
    stopped_at = from->sent;
    EXPECT(stopped_at > 0 && stopped_at < from->to_send);
    line_run(&l, 2000);
    EXPECT_U64(from->sent, stopped_at);
    to->deaf = false;
    end_resume(to);
    line_run(&l, 20000);
    expect_all_heard(&l);
    line_end(&l);
}

/* T4: a record is here as a whole, and the stream below has nothing more to say. */
TEST(who_reads_a_little_at_each_event_is_called_again)
{
    struct line l;
    struct end *to;

    connect_two(&l, 4);
    to = &l.ends[CALLEE];
    to->reads_once = true;
    to->read_size = 10;
    l.ends[CALLER].to_send = 30000;
    line_call(&l);
    line_run(&l, 3000);
    EXPECT_U64(to->received, 30000);
    EXPECT(to->events >= 3000 && to->events < 4000);
    line_end(&l);
}

TEST(who_has_read_all_is_not_called_for_nothing)
{
    struct line l;
    uint32_t events;

    connect_two(&l, 5);
    l.ends[CALLER].to_send = 30000;
    line_call(&l);
    line_run(&l, 1000);
    expect_all_heard(&l);
    events = l.ends[CALLEE].events + l.ends[CALLER].events;
    line_run(&l, 1000);
    EXPECT_U64(l.ends[CALLEE].events + l.ends[CALLER].events, events);
    line_end(&l);
}

TEST(what_was_accepted_arrives_though_the_stream_is_closed)
{
    for (size_t size = 1; size < 300000; size = size * 3 + 7) {
        struct line l;

        connect_two(&l, size);
        l.ends[CALLER].to_send = size;
        l.ends[CALLER].hangs_up = true;
        line_call(&l);
        line_run(&l, 3000);
        EXPECT(l.ends[CALLER].stream == NULL);
        EXPECT_U64(l.ends[CALLEE].received, size);
        EXPECT_ST(l.ends[CALLEE].ended, ST_CLOSED);
        EXPECT_STR(l.ends[CALLEE].why, "it hung up");
        line_end(&l);
    }
}

/* Whenever that is, in steps of some microseconds: the other one hears of it, and nothing stays. */
TEST(either_end_can_hang_up_at_any_time)
{
    for (uint32_t turn = 0; turn < 120; turn++) {
        struct line l;
        struct end *first, *second;

        connect_two(&l, turn);
        first = &l.ends[turn % 2];
        second = &l.ends[1 - turn % 2];
        first->to_send = 1 << 20;
        second->to_send = turn % 3 == 0 ? 1 << 20 : 0;
        first->read_size = second->read_size = 50;
        first->reads_once = second->reads_once = true;
        line_call(&l);
        for (uint32_t i = 0; i < turn / 4; i++)
            line_run(&l, 1);
        if (first->stream != NULL)
            end_hang_up(first);
        line_run(&l, 3000);
        EXPECT(first->stream == NULL ? second->stream == NULL || second->ended == ST_CLOSED
                                     : first->ended == ST_OK);
        line_end(&l);
    }
}

/* T5: in a callback, while another is on its way. */
TEST(a_reader_can_hang_up_when_it_has_enough)
{
    for (uint32_t turn = 0; turn < 60; turn++) {
        struct line l;

        connect_two(&l, turn);
        l.ends[CALLER].to_send = 20000;
        l.ends[CALLER].part_size = 700;
        l.ends[CALLEE].reads_once = true;
        l.ends[CALLEE].read_size = 400;
        l.ends[CALLEE].enough = 1 + turn * 300;
        line_call(&l);
        line_run(&l, 1000);
        EXPECT(l.ends[CALLEE].stream == NULL);
        EXPECT(l.ends[CALLEE].received < l.ends[CALLEE].enough + 400);
        line_end(&l);
    }
}

TEST(a_watch_that_is_taken_away_stays_away)
{
    struct line l;
    uint32_t events;

    connect_two(&l, 6);
    l.ends[CALLER].to_send = 5000;
    line_call(&l);
    line_run(&l, 100);
    l.ends[CALLEE].deaf = true;
    end_resume(&l.ends[CALLEE]);
    events = l.ends[CALLEE].events;
    l.ends[CALLER].to_send = 10000;
    end_resume(&l.ends[CALLER]);
    line_run(&l, 100);
    EXPECT_U64(l.ends[CALLEE].events, events);
    line_end(&l);
}

QUIET_TEST_MAIN(RUN(what_is_written_arrives_both_ways_in_pieces_of_any_size),
                RUN(without_a_carrier_a_stream_is_what_it_was), RUN(either_side_may_speak_first),
                RUN(who_does_not_read_stops_the_other),
                RUN(who_reads_a_little_at_each_event_is_called_again),
                RUN(who_has_read_all_is_not_called_for_nothing),
                RUN(what_was_accepted_arrives_though_the_stream_is_closed),
                RUN(either_end_can_hang_up_at_any_time),
                RUN(a_reader_can_hang_up_when_it_has_enough),
                RUN(a_watch_that_is_taken_away_stays_away))
