/* When exactly a state begins, on virtual time: a millisecond before it has not, at the moment it has. */
#include "unit/swim/lone.h"
#include "unit/test.h"

enum { B = 2, C = 3 };

static void
heard(struct lone *l, swim_id id)
{
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_HEARD, .node = id }));
}

/* Whoever was asked for help says that it was. */
static void
acknowledge(struct lone *l, swim_id id)
{
    const struct swim_message *asked = lone_sent(l, SWIM_PING_REQ, id);
    struct swim_message receipt = lone_message(SWIM_ACK, id, 1);

    if (asked == NULL)
        return;
    receipt.origin = LONE_SELF;
    receipt.probe = asked->probe;
    EXPECT_OK(lone_receive(l, &receipt));
}

/* As lone_run_to(), while C and those after it, up to `last`, live. */
static void
run_to(struct lone *l, uint64_t ms, swim_id last)
{
    while (lone_ms(l) < ms) {
        uint64_t next = lone_ms(l) + 50;

        for (swim_id id = C; id <= last; id++) {
            heard(l, id);
            acknowledge(l, id);
        }
        lone_read_mail(l);
        lone_run_to(l, next < ms ? next : ms);
    }
}

/* Run to a millisecond before the edge, look, and to the edge, and look again. */
static void
expect_edge_among(struct lone *l, swim_id id, uint64_t ms, enum swim_state before, swim_id last)
{
    run_to(l, ms - 1, last);
    EXPECT_U64(lone_state(l, id), before);
    run_to(l, ms, last);
    EXPECT_U64(lone_state(l, id), before + 1);
    EXPECT_U64(l->last.node, id);
    EXPECT_U64(l->last.from, before);
    EXPECT_U64(l->last.to, before + 1);
}

static void
expect_edge(struct lone *l, swim_id id, uint64_t ms, enum swim_state before)
{
    expect_edge_among(l, id, ms, before, 0);
}

/* B answers once, and never again; returns when, in ms. */
static uint64_t
last_answer(struct lone *l)
{
    lone_answer(l, lone_await_ping(l, B), 1);
    l->now_ns = (l->now_ns / 1000000 + 1) * 1000000;
    heard(l, B);
    return lone_ms(l);
}

/* B is silent from a whole millisecond on, at which we ping it; returns when. */
static uint64_t
last_ping(struct lone *l, swim_id last)
{
    lone_read_mail(l);
    while (lone_sent(l, SWIM_PING, B) == NULL)
        run_to(l, lone_ms(l) + 1, last);
    return lone_ms(l);
}

TEST(in_a_cluster_of_two_each_threshold_is_exact)
{
    struct lone *l = lone_create(2);
    uint64_t heard_ms = last_answer(l);

    expect_edge(l, B, heard_ms + 5000, SWIM_HEALTHY);
    expect_edge(l, B, heard_ms + 30000, SWIM_SUSPICIOUS);
    expect_edge(l, B, heard_ms + 30000 + 600000, SWIM_DOWN);
    EXPECT_U64(l->change_count, 3);
    lone_run_to(l, heard_ms + 3600000);
    EXPECT_U64(lone_state(l, B), SWIM_LOST);
    EXPECT_U64(l->change_count, 3);
    lone_destroy(l);
}

TEST(a_sign_of_life_a_millisecond_before_the_edge_moves_it)
{
    struct lone *l = lone_create(2);
    uint64_t heard_ms = last_answer(l);

    lone_run_to(l, heard_ms + 4999);
    heard(l, B);
    EXPECT(!lone_view(l, B).accused);
    lone_run_to(l, heard_ms + 4999 + 4999);
    EXPECT_U64(lone_state(l, B), SWIM_HEALTHY);
    expect_edge(l, B, heard_ms + 4999 + 5000, SWIM_HEALTHY);
    lone_destroy(l);
}

TEST(any_sign_of_life_leads_back_from_every_state)
{
    static const uint64_t silent_ms[] = { 5000, 30000, 630000 };

    for (int i = 0; i < 3; i++) {
        struct lone *l = lone_create(2);
        struct swim_message ping = lone_message(SWIM_PING, B, 1);
        uint64_t heard_ms = last_answer(l);

        lone_run_to(l, heard_ms + silent_ms[i]);
        EXPECT_U64(lone_state(l, B), SWIM_SUSPICIOUS + i);
        EXPECT_OK(lone_receive(l, &ping));
        EXPECT_U64(lone_state(l, B), SWIM_HEALTHY);
        EXPECT_U64(l->last.from, SWIM_SUSPICIOUS + i);
        EXPECT_U64(l->last.to, SWIM_HEALTHY);
        EXPECT_U64(lone_view(l, B).silent_ns, 0);
        lone_destroy(l);
    }
}

/* Three nodes: C could confirm, and does not.  The ping may have been sent up to a millisecond before. */
TEST(without_the_confirmation_that_there_could_be_suspicion_waits_twice_as_long)
{
    struct lone *l = lone_create(3);
    uint64_t sent_ms = last_ping(l, C);

    run_to(l, sent_ms + 7998, C);
    EXPECT(lone_view(l, B).accused);
    EXPECT_U64(swim_health(l->swim), 0);
    EXPECT_U64(lone_state(l, B), SWIM_HEALTHY);
    run_to(l, sent_ms + 8000, C);
    EXPECT_U64(lone_state(l, B), SWIM_SUSPICIOUS);
    lone_destroy(l);
}

/* Of five who could, three are enough. */
TEST(each_confirmation_makes_the_window_shorter)
{
    static const uint64_t window_ms[] = { 8000, 6000, 4832, 4000, 4000 };

    for (uint32_t confirmed = 0; confirmed < 5; confirmed++) {
        struct lone *l = lone_create(7);
        uint64_t sent_ms = last_ping(l, 7);

        run_to(l, sent_ms + 1001, 7);
        EXPECT(lone_view(l, B).accused);
        for (swim_id accuser = C; accuser < C + confirmed; accuser++)
            lone_accuse(l, accuser, B, lone_view(l, B).incarnation, accuser, 1000);
        run_to(l, sent_ms + window_ms[confirmed] - 2, 7);
        EXPECT_U64(lone_state(l, B), SWIM_HEALTHY);
        run_to(l, sent_ms + window_ms[confirmed], 7);
        EXPECT_U64(lone_state(l, B), SWIM_SUSPICIOUS);
        lone_destroy(l);
    }
}

TEST(confirmations_never_hasten_below_the_threshold)
{
    struct lone *l = lone_create(6);
    uint64_t heard_ms;

    (void)last_ping(l, 6);
    heard(l, B);
    heard_ms = lone_ms(l);
    for (swim_id accuser = C; accuser <= 6; accuser++)
        lone_accuse(l, accuser, B, 0, accuser, 0);
    EXPECT(lone_view(l, B).accused);
    expect_edge_among(l, B, heard_ms + 5000, SWIM_HEALTHY, 6);
    expect_edge_among(l, B, heard_ms + 30000, SWIM_SUSPICIOUS, 6);
    lone_destroy(l);
}

/* Four members, none of whom answers, and none lets us hear that it was asked: it may be us. */
TEST(in_bad_health_we_accuse_later)
{
    struct lone *l = lone_create(6);
    uint64_t down_ms;

    lone_run_to(l, 10);
    for (swim_id id = 2; id <= 6; id++)
        heard(l, id);
    lone_run_to(l, 12000);
    EXPECT(swim_health(l->swim) > 0);
    EXPECT_U64(l->change_count, 0);
    lone_run_to(l, 32000);
    EXPECT(l->change_count > 0);
    down_ms = 0;
    while (down_ms == 0 && lone_ms(l) < 60000) {
        lone_run_to(l, lone_ms(l) + 100);
        if (l->last.to == SWIM_DOWN)
            down_ms = lone_ms(l);
    }
    EXPECT(down_ms >= 30010 && down_ms <= 40000);
    lone_destroy(l);
}

/* A hundred members, all heard but B, whose turn to be probed has not come. */
TEST(an_accusation_by_gossip_counts_as_at_most_half_a_window_old)
{
    struct lone *l = lone_create(100);

    run_to(l, 4000, 100);
    lone_accuse(l, C, B, 0, C, 4001); /* of before it was learned */
    EXPECT(!lone_view(l, B).accused);
    for (swim_id accuser = C; accuser < C + 4; accuser++)
        lone_accuse(l, accuser, B, 0, accuser, 3999);
    EXPECT(lone_view(l, B).accused);
    expect_edge_among(l, B, 4000 + 2000, SWIM_HEALTHY, 100);
    lone_destroy(l);
}

/* Of a hundred, whose turns take minutes; and all on hearsay. */
TEST(nobody_is_down_whom_we_have_not_probed_ourselves_more_than_once)
{
    struct lone *l = lone_create(100);
    uint32_t pings = 0;

    run_to(l, 4000, 100);
    for (swim_id accuser = C; accuser < C + 4; accuser++)
        lone_accuse(l, accuser, B, 0, accuser, 0);
    while (lone_state(l, B) != SWIM_DOWN) {
        run_to(l, lone_ms(l) + 50, 100);
        pings += lone_sent(l, SWIM_PING, B) != NULL;
    }
    EXPECT(pings >= 3 && pings <= 5);
    lone_destroy(l);
}

TEST(time_in_which_we_slept_is_nobodys_silence)
{
    struct lone *l = lone_create(5);

    run_to(l, 900, 5);
    for (swim_id id = B; id <= 5; id++)
        heard(l, id);
    EXPECT_U64(swim_health(l->swim), 0);
    l->now_ns += 3600 * UINT64_C(1000000000);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_TICK }));
    EXPECT_U64(swim_health(l->swim), 1);
    for (swim_id id = 2; id <= 5; id++)
        EXPECT_U64(lone_view(l, id).silent_ns, UINT64_C(1000000000));
    EXPECT_U64(l->change_count, 0);
    lone_run_to(l, lone_ms(l) + 2500);
    EXPECT_U64(l->change_count, 0);
    lone_destroy(l);
}

TEST(a_probe_of_before_our_sleep_blames_nobody)
{
    struct lone *l = lone_create(2);
    const struct swim_message *ping = lone_await_ping(l, B);
    uint64_t number = ping->probe;

    l->now_ns += UINT64_C(60000000000);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_TICK }));
    EXPECT(!lone_view(l, B).accused);
    EXPECT_U64(lone_sent(l, SWIM_PING, B)->probe, number + 1);
    lone_destroy(l);
}

/* And time that does not pass, or runs back, is none. */
TEST(an_event_of_the_past_counts_as_now)
{
    struct lone *l = lone_create(2);
    uint64_t wake;

    lone_run_to(l, 3000);
    wake = swim_wake_ns(l->swim);
    l->now_ns -= UINT64_C(2000000000);
    heard(l, B);
    EXPECT_U64(swim_wake_ns(l->swim) >= wake, true);
    EXPECT_U64(lone_view(l, B).silent_ns, 0);
    lone_destroy(l);
}

TEST(thresholds_may_change_at_any_time)
{
    struct lone *l = lone_create(2);
    struct swim_timing timing = *swim_timing(l->swim);
    uint64_t heard_ms = last_answer(l);

    lone_run_to(l, heard_ms + 4000);
    timing.suspicion_threshold_ns = UINT64_C(8000000000);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &timing }));
    expect_edge(l, B, heard_ms + 8000, SWIM_HEALTHY);
    timing.down_threshold_ns = UINT64_C(20000000000);
    timing.permanent_failure_threshold_ns = UINT64_C(1000000000);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &timing }));
    expect_edge(l, B, heard_ms + 20000, SWIM_SUSPICIOUS);
    expect_edge(l, B, heard_ms + 21000, SWIM_DOWN);
    timing.suspicion_threshold_ns = timing.down_threshold_ns;
    EXPECT_ST(lone_step(l, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &timing }),
              ST_INVALID);
    EXPECT_U64(swim_timing(l->swim)->suspicion_threshold_ns, UINT64_C(8000000000));
    lone_destroy(l);
}

/* Probes that take half of the threshold: our own accusation counts from when we asked. */
TEST(with_the_longest_interval_the_edge_is_exact_too)
{
    struct lone *l = lone_create(2);
    struct swim_timing timing = *swim_timing(l->swim);
    uint64_t heard_ms;

    timing.gossip_interval_ns = timing.suspicion_threshold_ns / 2;
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &timing }));
    (void)last_answer(l);
    heard_ms = last_answer(l);
    expect_edge(l, B, heard_ms + 5000, SWIM_HEALTHY);
    lone_destroy(l);
}

TEST(a_shorter_interval_is_in_force_at_once)
{
    struct lone *l = lone_create(2);
    struct swim_timing timing = *swim_timing(l->swim);
    uint64_t pinged_ms;

    lone_answer(l, lone_await_ping(l, B), 1);
    pinged_ms = lone_ms(l);
    timing.gossip_interval_ns = UINT64_C(100000000);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &timing }));
    (void)lone_await_ping(l, B);
    EXPECT(lone_ms(l) <= pinged_ms + 101);
    lone_destroy(l);
}

/* A threshold that is already behind: each state still has its time to be refuted in. */
TEST(thresholds_that_are_lowered_do_not_skip_a_state)
{
    struct lone *l = lone_create(2);
    struct swim_timing timing = *swim_timing(l->swim);
    uint64_t heard_ms = last_answer(l);

    lone_run_to(l, heard_ms + 25000);
    EXPECT_U64(lone_state(l, B), SWIM_SUSPICIOUS);
    timing.suspicion_threshold_ns = UINT64_C(3000000000);
    timing.down_threshold_ns = UINT64_C(4000000000);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &timing }));
    EXPECT_U64(lone_state(l, B), SWIM_DOWN);
    heard(l, B);
    heard_ms = lone_ms(l);
    expect_edge(l, B, heard_ms + 3000, SWIM_HEALTHY);
    expect_edge(l, B, heard_ms + 5000, SWIM_SUSPICIOUS); /* not 4000: a window of 2 s */
    lone_destroy(l);
}

TEST_MAIN(RUN(in_a_cluster_of_two_each_threshold_is_exact),
          RUN(a_sign_of_life_a_millisecond_before_the_edge_moves_it),
          RUN(any_sign_of_life_leads_back_from_every_state),
          RUN(without_the_confirmation_that_there_could_be_suspicion_waits_twice_as_long),
          RUN(each_confirmation_makes_the_window_shorter),
          RUN(confirmations_never_hasten_below_the_threshold), RUN(in_bad_health_we_accuse_later),
          RUN(an_accusation_by_gossip_counts_as_at_most_half_a_window_old),
          RUN(nobody_is_down_whom_we_have_not_probed_ourselves_more_than_once),
          RUN(time_in_which_we_slept_is_nobodys_silence),
          RUN(a_probe_of_before_our_sleep_blames_nobody), RUN(an_event_of_the_past_counts_as_now),
          RUN(thresholds_may_change_at_any_time),
          RUN(with_the_longest_interval_the_edge_is_exact_too),
          RUN(a_shorter_interval_is_in_force_at_once),
          RUN(thresholds_that_are_lowered_do_not_skip_a_state))
