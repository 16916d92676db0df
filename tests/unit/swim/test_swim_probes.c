/* Pings, answers and helpers, of one node: whom it probes, when, and whom it asks. */
#include "unit/swim/lone.h"
#include "unit/test.h"

enum { B = 2, C = 3, D = 4, STRANGER = 99 };

TEST(whoever_pings_us_is_answered_even_a_stranger)
{
    struct lone *l = lone_create(2);
    struct swim_message ping = lone_message(SWIM_PING, STRANGER, 1);
    const struct swim_message *ack;

    ping.probe = 17;
    EXPECT_OK(lone_receive(l, &ping));
    ack = lone_sent(l, SWIM_ACK, STRANGER);
    assert_non_null(ack);
    EXPECT_U64(ack->probe, 17);
    EXPECT_U64(ack->subject, LONE_SELF);
    EXPECT_U64(ack->origin, STRANGER);
    EXPECT_U64(swim_member_count(l->swim), 1);
    lone_destroy(l);
}

TEST(a_round_of_probes_goes_to_everybody_once)
{
    struct lone *l = lone_create(20);
    uint32_t pings[21] = { 0 };

    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 19; i++) {
            const struct swim_message *ping = lone_await_ping(l, 0);
            swim_id to = ping->to;

            pings[to]++;
            lone_answer(l, ping, 1);
        }
        for (swim_id id = 2; id <= 20; id++)
            EXPECT_U64(pings[id], round);
    }
    lone_destroy(l);
}

TEST(a_probe_that_is_not_answered_is_tried_through_three_others)
{
    struct lone *l = lone_create(10);
    const struct swim_message *ping = lone_await_ping(l, 0);
    uint64_t sent_ns = l->now_ns;
    swim_id target = ping->to;
    struct swim_message passed_on = lone_message(SWIM_ACK, 0, 1);
    uint32_t asked = 0;

    lone_read_mail(l);
    while (l->mail_count == 0)
        lone_run_to(l, lone_ms(l) + 1);
    EXPECT(l->now_ns >= sent_ns + 300000000 && l->now_ns < sent_ns + 302000000);
    for (swim_id id = 2; id <= 10; id++) {
        const struct swim_message *m = lone_sent(l, SWIM_PING_REQ, id);

        if (m == NULL)
            continue;
        asked++;
        EXPECT(id != target);
        EXPECT_U64(m->subject, target);
        passed_on = lone_message(SWIM_ACK, id, 1);
        passed_on.probe = m->probe;
    }
    EXPECT_U64(asked, SWIM_HELPERS);
    EXPECT_U64(l->mail_count, SWIM_HELPERS);

    passed_on.subject = target;
    passed_on.origin = LONE_SELF;
    EXPECT_OK(lone_receive(l, &passed_on));
    EXPECT_U64(lone_view(l, target).silent_ns, 0);
    lone_run_to(l, lone_ms(l) + 1000);
    EXPECT(!lone_view(l, target).accused);
    lone_destroy(l);
}

TEST(an_answer_to_an_earlier_probe_is_no_answer_to_this_one)
{
    struct lone *l = lone_create(3);
    const struct swim_message *ping = lone_await_ping(l, B);
    struct swim_message late = lone_message(SWIM_ACK, C, 1);

    late.subject = B;
    late.origin = LONE_SELF;
    late.probe = ping->probe - 1;
    EXPECT_OK(lone_receive(l, &late)); /* C says so, of long ago */
    EXPECT(lone_view(l, B).silent_ns > 0);
    lone_run_to(l, lone_ms(l) + 6000); /* however we feel */
    EXPECT(lone_view(l, B).accused);
    lone_destroy(l);
}

TEST(a_helper_says_that_it_was_asked_and_passes_the_answer_on)
{
    struct lone *l = lone_create(3);
    struct swim_message ask = lone_message(SWIM_PING_REQ, B, 1);
    struct swim_message ack = lone_message(SWIM_ACK, C, 1);
    const struct swim_message *m;

    ask.subject = C;
    ask.probe = 42;
    EXPECT_OK(lone_receive(l, &ask));
    m = lone_sent(l, SWIM_ACK, B);
    assert_non_null(m);
    EXPECT_U64(m->subject, LONE_SELF);
    EXPECT_U64(m->probe, 42);
    m = lone_sent(l, SWIM_PING, C);
    assert_non_null(m);
    EXPECT_U64(m->origin, B);
    EXPECT_U64(m->probe, 42);

    lone_read_mail(l);
    ack.origin = B;
    ack.probe = 42;
    EXPECT_OK(lone_receive(l, &ack));
    m = lone_sent(l, SWIM_ACK, B);
    assert_non_null(m);
    EXPECT_U64(m->subject, C);
    EXPECT_U64(m->origin, B);
    EXPECT_U64(m->probe, 42);

    lone_read_mail(l);
    ask.subject = STRANGER;
    EXPECT_OK(lone_receive(l, &ask));
    EXPECT_U64(l->mail_count, 1); /* nothing to a stranger */
    ack.origin = STRANGER;
    EXPECT_OK(lone_receive(l, &ack));
    EXPECT_U64(l->mail_count, 1);
    lone_destroy(l);
}

TEST(whoever_was_heard_otherwise_needs_no_help)
{
    struct lone *l = lone_create(5);
    swim_id target = lone_await_ping(l, 0)->to;

    lone_run_to(l, lone_ms(l) + 100);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_HEARD, .node = target }));
    lone_run_to(l, lone_ms(l) + 800);
    assert_null(lone_sent(l, SWIM_PING_REQ, 0));
    lone_destroy(l);
}

TEST(whoever_is_accused_itself_is_not_asked_for_help)
{
    struct lone *l = lone_create(4);

    (void)lone_await_ping(l, B);
    lone_accuse(l, D, C, 0, D, 0);
    EXPECT(lone_view(l, C).accused);
    lone_run_to(l, lone_ms(l) + 400);
    assert_non_null(lone_sent(l, SWIM_PING_REQ, D));
    assert_null(lone_sent(l, SWIM_PING_REQ, C));
    lone_destroy(l);
}

TEST(those_who_were_heard_lately_are_asked_for_help_first)
{
    struct lone *l = lone_create(40);
    swim_id target;

    lone_run_to(l, 11000);
    target = lone_await_ping(l, 0)->to;
    for (swim_id id = 2; id <= 4; id++)
        EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_HEARD, .node = id }));
    EXPECT(target > 4);
    lone_read_mail(l);
    while (l->mail_count == 0)
        lone_run_to(l, lone_ms(l) + 10);
    EXPECT_U64(l->mail_count, SWIM_HELPERS);
    for (swim_id id = 2; id <= 4; id++)
        assert_non_null(lone_sent(l, SWIM_PING_REQ, id));
    lone_destroy(l);
}

/* So that those whom nobody has missed yet have their turns; but whoever is DOWN must be found again. */
TEST(a_round_passes_over_whoever_is_in_doubt_and_not_whoever_is_down)
{
    struct lone *l = lone_create(5);
    uint32_t pings = 0;

    lone_accuse(l, C, B, 0, C, 0);
    while (lone_state(l, B) < SWIM_DOWN) {
        const struct swim_message *ping = lone_await_ping(l, 0);

        EXPECT(ping->to != B || lone_state(l, B) != SWIM_HEALTHY);
        if (ping->to != B)
            lone_answer(l, ping, 1);
    }
    for (int i = 0; i < 2 * 4; i++) {
        const struct swim_message *ping = lone_await_ping(l, 0);

        pings += ping->to == B;
        if (ping->to != B)
            lone_answer(l, ping, 1);
    }
    EXPECT_U64(pings, 2);
    lone_destroy(l);
}

/* It may have died right after we had heard from it: the others, who accuse it, would repeat only what is void here,
 * and its turn comes late in a large cluster. */
TEST(whoever_is_accused_of_silence_from_before_we_heard_it_is_asked_out_of_turn)
{
    struct lone *l = lone_create(100);
    uint32_t before = 0;

    lone_run_to(l, 1000);
    lone_tell_alive(l, B, B, 3, 0, "");
    lone_run_to(l, 1100);
    lone_accuse(l, C, B, 3, C, 101);
    EXPECT(!lone_view(l, B).accused);
    for (const struct swim_message *ping = lone_await_ping(l, 0); ping->to != B; before++) {
        lone_answer(l, ping, 1);
        ping = lone_await_ping(l, 0);
    }
    EXPECT(before <= 1);
    (void)lone_await_ping(l, 0); /* until then it may answer */
    EXPECT(lone_view(l, B).accused);
    lone_destroy(l);
}

TEST(in_bad_health_we_probe_less_often)
{
    struct lone *l = lone_create(2);
    uint64_t last_ms;

    lone_accuse(l, B, LONE_SELF, 1, B, 0);
    lone_accuse(l, B, LONE_SELF, 2, B, 0);
    EXPECT_U64(swim_health(l->swim), 2);
    (void)lone_await_ping(l, B);
    last_ms = lone_ms(l);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_HEARD, .node = B }));
        lone_run_to(l, lone_ms(l) + 100);
        EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_HEARD, .node = B }));
        (void)lone_await_ping(l, B);
        EXPECT(lone_ms(l) >= last_ms + 2999 && lone_ms(l) <= last_ms + 3001);
        last_ms = lone_ms(l);
    }
    lone_destroy(l);
}

TEST_MAIN(RUN(whoever_pings_us_is_answered_even_a_stranger),
          RUN(a_round_of_probes_goes_to_everybody_once),
          RUN(a_probe_that_is_not_answered_is_tried_through_three_others),
          RUN(an_answer_to_an_earlier_probe_is_no_answer_to_this_one),
          RUN(a_helper_says_that_it_was_asked_and_passes_the_answer_on),
          RUN(whoever_was_heard_otherwise_needs_no_help),
          RUN(whoever_is_accused_itself_is_not_asked_for_help),
          RUN(those_who_were_heard_lately_are_asked_for_help_first),
          RUN(a_round_passes_over_whoever_is_in_doubt_and_not_whoever_is_down),
          RUN(whoever_is_accused_of_silence_from_before_we_heard_it_is_asked_out_of_turn),
          RUN(in_bad_health_we_probe_less_often))
