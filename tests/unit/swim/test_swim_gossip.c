/* What one node says, and what it believes: accusations, refutation, payloads, and who there is. */
#include "base/mem.h"

#include "unit/swim/lone.h"
#include "unit/test.h"

enum { B = 2, C = 3, D = 4, STRANGER = 99 };

/* ------------------------------------------------------------------ accusations */

TEST(whoever_is_accused_is_told_so_first_of_all)
{
    struct lone *l = lone_create(30);
    const struct swim_update *u;

    for (swim_id id = 5; id <= 30; id++)
        lone_tell_alive(l, C, id, 2, 0, ""); /* much else to tell */
    lone_accuse(l, C, B, 0, C, 0);
    lone_read_mail(l);
    u = lone_update_about(lone_await_ping(l, B), B);
    assert_non_null(u);
    EXPECT(u->accused);
    EXPECT_U64(u->incarnation, 0);
    lone_destroy(l);
}

/* Even by one who has heard from it meanwhile. */
TEST(an_accused_that_pings_us_learns_that_it_is_accused)
{
    struct lone *l = lone_create(3);
    const struct swim_update *u;

    lone_tell_alive(l, B, B, 4, 0, "");
    lone_run_to(l, 100);
    lone_accuse(l, C, B, 4, C, 50);
    EXPECT(lone_view(l, B).accused);
    u = lone_update_about(lone_answer_to(l, B), B);
    EXPECT(!lone_view(l, B).accused);
    assert_non_null(u);
    EXPECT(u->accused);
    EXPECT_U64(u->incarnation, 4);
    lone_tell_alive(l, B, B, 5, 0, "");
    assert_null(lone_update_about(lone_sent(l, SWIM_ACK, B), B));
    lone_destroy(l);
}

TEST(we_refute_by_a_higher_incarnation_and_feel_unwell)
{
    struct lone *l = lone_create(3);
    const struct swim_message *ack;

    lone_accuse(l, B, LONE_SELF, 1, C, 500);
    EXPECT_U64(lone_view(l, LONE_SELF).incarnation, 2);
    EXPECT_U64(swim_health(l->swim), 1);
    ack = lone_sent(l, SWIM_ACK, B);
    EXPECT_U64(ack->updates[0].id, LONE_SELF);
    EXPECT_U64(ack->updates[0].incarnation, 2);
    EXPECT(!ack->updates[0].accused);

    lone_accuse(l, B, LONE_SELF, 1, C, 500); /* an old story */
    EXPECT_U64(lone_view(l, LONE_SELF).incarnation, 2);
    lone_accuse(l, B, LONE_SELF, 7, C, 500); /* of an earlier life */
    EXPECT_U64(lone_view(l, LONE_SELF).incarnation, 8);
    lone_accuse(l, B, LONE_SELF, SWIM_INCARNATION_MAX, C, 500); /* nonsense */
    EXPECT(lone_view(l, LONE_SELF).incarnation <= SWIM_INCARNATION_MAX);
    lone_destroy(l);
}

TEST(who_comes_back_with_an_old_incarnation_is_told_the_one_that_we_know)
{
    struct lone *l = lone_create(2);
    const struct swim_update *u;

    lone_tell_alive(l, B, B, 7, 3, "before");
    lone_tell_alive(l, B, B, 1, 1, "after");
    u = lone_update_about(lone_sent(l, SWIM_ACK, B), B);
    assert_non_null(u);
    EXPECT_U64(u->incarnation, 7);
    lone_tell_alive(l, B, B, 8, 1, "after");
    EXPECT_U64(lone_view(l, B).incarnation, 8);
    EXPECT_SLICE(slice_of(lone_view(l, B).payload.bytes, lone_view(l, B).payload.size), "after");
    lone_destroy(l);
}

TEST(a_refutation_by_gossip_acquits_and_only_of_a_higher_incarnation)
{
    struct lone *l = lone_create(3);

    lone_tell_alive(l, B, B, 3, 0, "");
    lone_run_to(l, 100);
    lone_accuse(l, C, B, 3, C, 0);
    lone_tell_alive(l, C, B, 3, 0, "");
    EXPECT(lone_view(l, B).accused);
    lone_tell_alive(l, C, B, 2, 0, "");
    EXPECT(lone_view(l, B).accused);
    lone_tell_alive(l, C, B, 4, 0, "");
    EXPECT(!lone_view(l, B).accused);
    EXPECT_U64(lone_view(l, B).silent_ns, 0);
    lone_accuse(l, C, B, 3, C, 0); /* late */
    EXPECT(!lone_view(l, B).accused);
    lone_destroy(l);
}

TEST(an_accusation_of_before_the_last_sign_of_life_is_void)
{
    struct lone *l = lone_create(3);

    lone_tell_alive(l, B, B, 3, 0, "");
    lone_run_to(l, 1500);
    lone_tell_alive(l, B, B, 3, 0, "");
    lone_run_to(l, 1600);
    lone_accuse(l, C, B, 3, C, 101);
    EXPECT(!lone_view(l, B).accused);
    lone_accuse(l, C, B, 3, C, 99);
    EXPECT(lone_view(l, B).accused);
    lone_destroy(l);
}

/* It rose, and was accused again, before we heard of either. */
TEST(an_accusation_of_a_higher_incarnation_is_a_sign_of_life_and_an_accusation)
{
    struct lone *l = lone_create(3);

    lone_tell_alive(l, B, B, 3, 0, "");
    lone_run_to(l, 4000);
    lone_accuse(l, C, B, 5, C, 1000);
    EXPECT(lone_view(l, B).accused);
    EXPECT_U64(lone_view(l, B).incarnation, 5);
    EXPECT_U64(lone_view(l, B).silent_ns, UINT64_C(1000000000));
    lone_destroy(l);
}

TEST(accusers_are_united_and_none_counts_twice)
{
    struct lone *l = lone_create(9);
    struct swim_message m = lone_message(SWIM_PING, C, 1);
    const struct swim_update *u;

    m.updates[m.update_count++] = (struct swim_update){
        .id = B, .accused = true, .accuser_count = 3, .accusers = { C, D, 5 }
    };
    EXPECT_OK(lone_receive(l, &m));
    lone_accuse(l, D, B, 0, D, 0);
    u = lone_update_about(lone_answer_to(l, 6), B);
    assert_non_null(u);
    EXPECT_U64(u->accuser_count, 3);
    for (swim_id accuser = 6; accuser <= 9; accuser++)
        lone_accuse(l, accuser, B, 0, accuser, 0);
    u = lone_update_about(lone_answer_to(l, 6), B);
    EXPECT_U64(u->accuser_count, SWIM_ACCUSERS_MAX);
    EXPECT_U64(u->accusers[3], 6);
    lone_destroy(l);
}

/* Of each kind there is more than goes into a message, or it was told before the others. */
TEST(refutations_go_first_then_accusations_then_payloads)
{
    struct lone *l = lone_create(40);
    struct swim_message m = lone_message(SWIM_PING, C, 1);
    const struct swim_message *ack;

    lone_tell_alive(l, B, D, 1, 0, "");
    lone_run_to(l, 100);
    for (swim_id id = 20; id < 40; id++)
        lone_tell_alive(l, B, id, 1, 1, "payload");
    lone_tell_alive(l, B, D, 2, 0, "");
    (void)lone_answer_to(l, B);
    for (swim_id id = 5; id < 5 + SWIM_UPDATES_MAX - 1; id++) {
        m.updates[m.update_count++] = (struct swim_update){
            .id = id, .accused = true, .accuser_count = 1, .accusers = { C }
        };
    }
    EXPECT_OK(lone_receive(l, &m));
    ack = lone_sent(l, SWIM_ACK, C);
    EXPECT_U64(ack->updates[1].id, D);
    EXPECT_U64(ack->update_count, SWIM_UPDATES_MAX);
    for (uint32_t i = 2; i < SWIM_UPDATES_MAX; i++)
        EXPECT(ack->updates[i].accused);
    lone_destroy(l);
}

/* ------------------------------------------------------------------ what is told */

TEST(news_is_told_a_bounded_number_of_times_and_never_to_whom_it_is_about)
{
    struct lone *l = lone_create(15);
    uint32_t told = 0;

    lone_tell_alive(l, C, B, 9, 0, "");
    for (int i = 0; i < 200; i++) {
        const struct swim_message *ping = lone_await_ping(l, 0);

        assert_non_null(ping);
        if (lone_update_about(ping, B) != NULL) {
            told++;
            EXPECT(ping->to != B);
        }
        lone_answer(l, ping, ping->to == B ? 9 : 1);
    }
    EXPECT(told > 3 && told <= 2 * 4);
    lone_destroy(l);
}

/* Whoever is accused may be deaf, and a stranger does not care. */
TEST(what_is_told_to_the_accused_and_to_strangers_does_not_count)
{
    struct lone *l = lone_create(15);
    uint32_t told = 0;

    lone_tell_alive(l, C, B, 8, 0, "");
    lone_tell_alive(l, C, B, 9, 0, "");
    for (int i = 0; i < 20; i++)
        EXPECT(lone_update_about(lone_answer_to(l, STRANGER), B) != NULL);
    for (int i = 0; i < 20; i++) {
        struct swim_message ask = lone_message(SWIM_PING_REQ, C, 1);

        lone_accuse(l, C, D, 0, C, 0);
        ask.subject = D;
        lone_read_mail(l);
        EXPECT_OK(lone_receive(l, &ask)); /* to C, which counts, and to D, which does not */
        told += lone_update_about(lone_sent(l, SWIM_ACK, C), B) != NULL;
        EXPECT(i > 2 || lone_update_about(lone_sent(l, SWIM_PING, D), B) != NULL);
    }
    EXPECT(told >= 3);
    lone_destroy(l);
}

TEST(a_message_has_never_more_updates_than_it_may_and_our_own_is_the_first)
{
    struct lone *l = lone_create(60);
    uint32_t known[61] = { 0 };

    for (swim_id id = 3; id <= 60; id++)
        lone_tell_alive(l, B, id, 2, 1, "payload");
    for (int i = 0; i < 300; i++) {
        const struct swim_message *ack = lone_answer_to(l, B);

        EXPECT(ack->update_count >= 1 && ack->update_count <= SWIM_UPDATES_MAX);
        EXPECT_U64(ack->updates[0].id, LONE_SELF);
        for (uint32_t u = 1; u < ack->update_count; u++)
            known[ack->updates[u].id]++;
        lone_read_mail(l);
    }
    for (swim_id id = 3; id <= 60; id++)
        EXPECT(known[id] > 0 && known[id] <= 2 * 6);
    lone_destroy(l);
}

TEST(an_accusation_that_stands_is_told_where_there_is_room)
{
    struct lone *l = lone_create(15);

    lone_run_to(l, 100);
    lone_accuse(l, C, B, 0, C, 0);
    for (int i = 0; i < 100; i++)
        assert_non_null(lone_update_about(lone_answer_to(l, D), B));
    lone_tell_alive(l, B, B, 1, 0, "");
    for (int i = 0; i < 100; i++)
        (void)lone_answer_to(l, D);
    assert_null(lone_update_about(lone_answer_to(l, D), B));
    lone_destroy(l);
}

TEST(a_payload_is_told_with_our_own_news_and_a_later_one_replaces_it)
{
    struct lone *l = lone_create(2);
    static const uint8_t long_one[SWIM_PAYLOAD_BYTES + 1];
    struct swim_event e = { .kind = SWIM_ANNOUNCE, .payload = slice_str("one") };
    const struct swim_update *u;

    EXPECT_OK(lone_step(l, e));
    e.payload = slice_str("two");
    EXPECT_OK(lone_step(l, e));
    e.payload = slice_of(long_one, sizeof(long_one));
    EXPECT_ST(lone_step(l, e), ST_TOO_BIG);
    u = &lone_answer_to(l, B)->updates[0];
    EXPECT_U64(u->payload.sequence, 2);
    EXPECT_SLICE(slice_of(u->payload.bytes, u->payload.size), "two");

    lone_tell_alive(l, B, B, 1, 5, "five");
    lone_tell_alive(l, B, B, 1, 4, "four");
    EXPECT_U64(lone_view(l, B).payload.sequence, 5);
    lone_tell_alive(l, B, B, 2, 1, "a new life");
    EXPECT_U64(lone_view(l, B).payload.sequence, 1);
    lone_destroy(l);
}

/* ------------------------------------------------------------------ who there is */

TEST(who_there_is_is_the_layer_above_to_say)
{
    struct lone *l = lone_create(3);
    struct swim_view view;

    EXPECT_ST(lone_step(l, (struct swim_event){ .kind = SWIM_LEARN, .node = B }), ST_EXISTS);
    EXPECT_ST(lone_step(l, (struct swim_event){ .kind = SWIM_LEARN, .node = 0 }), ST_INVALID);
    EXPECT_ST(lone_step(l, (struct swim_event){ .kind = SWIM_LEARN, .node = LONE_SELF }),
              ST_INVALID);
    EXPECT_ST(lone_step(l, (struct swim_event){ .kind = SWIM_FORGET, .node = D }), ST_NOT_FOUND);
    EXPECT_ST(lone_step(l, (struct swim_event){ .kind = SWIM_HEARD, .node = D }), ST_NOT_FOUND);
    lone_accuse(l, B, D, 1, C, 0); /* gossip about whom we do not know */
    lone_tell_alive(l, B, D, 1, 0, "");
    EXPECT_ST(swim_view(l->swim, D, &view), ST_NOT_FOUND);
    EXPECT_U64(swim_member_count(l->swim), 2);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_FORGET, .node = B }));
    EXPECT_ST(swim_view(l->swim, B, &view), ST_NOT_FOUND);
    EXPECT_U64(swim_member_id(l->swim, 0), C);
    lone_destroy(l);
}

TEST(there_is_a_limit_to_how_many_there_are)
{
    struct lone *l = lone_create(SWIM_NODES_MAX);

    EXPECT_U64(swim_member_count(l->swim), SWIM_MEMBERS_MAX);
    EXPECT_ST(lone_step(l, (struct swim_event){ .kind = SWIM_LEARN, .node = 1000 }), ST_TOO_BIG);
    lone_destroy(l);
}

TEST(whoever_is_forgotten_while_it_is_probed_is_not_missed)
{
    struct lone *l = lone_create(2);

    (void)lone_await_ping(l, B);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_FORGET, .node = B }));
    lone_read_mail(l);
    lone_run_to(l, lone_ms(l) + 60000);
    EXPECT_U64(l->mail_count, 0);
    EXPECT_U64(l->change_count, 0);
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_LEARN, .node = B }));
    EXPECT_U64(lone_view(l, B).incarnation, 0);
    EXPECT_U64(lone_view(l, B).silent_ns, 0);
    (void)lone_await_ping(l, B);
    lone_destroy(l);
}

/* ------------------------------------------------------------------ what is refused */

TEST(a_malformed_message_is_refused_and_changes_nothing)
{
    struct lone *l = lone_create(3);
    struct swim_message m = lone_message(SWIM_PING, B, 1);

    m.to = C;
    EXPECT_ST(lone_receive(l, &m), ST_INVALID);
    m = lone_message(SWIM_PING, LONE_SELF, 1);
    EXPECT_ST(lone_receive(l, &m), ST_INVALID);
    m = lone_message(SWIM_PING, B, 1);
    m.update_count = SWIM_UPDATES_MAX + 1;
    EXPECT_ST(lone_receive(l, &m), ST_INVALID);
    m = lone_message(SWIM_PING, B, 1);
    m.updates[0].payload.size = SWIM_PAYLOAD_BYTES + 1;
    EXPECT_ST(lone_receive(l, &m), ST_INVALID);
    m = lone_message(SWIM_PING, B, 1);
    m.updates[0].accused = true;
    EXPECT_ST(lone_receive(l, &m), ST_INVALID);
    EXPECT_U64(l->mail_count, 0);
    EXPECT_U64(lone_view(l, B).incarnation, 0);
    lone_destroy(l);
}

TEST(senseless_options_are_refused)
{
    struct swim_options options;
    struct swim *s = NULL;

    swim_options_default(&options);
    EXPECT_ST(swim_create(&s, &options), ST_INVALID); /* nobody */
    options.self = 1;
    options.incarnation = 0;
    EXPECT_ST(swim_create(&s, &options), ST_INVALID);
    options.incarnation = 1;
    options.timing.gossip_interval_ns = options.timing.suspicion_threshold_ns / 2 + 1;
    EXPECT_ST(swim_create(&s, &options), ST_INVALID);
    swim_options_default(&options);
    options.self = 1;
    options.timing.permanent_failure_threshold_ns = UINT64_MAX;
    EXPECT_ST(swim_create(&s, &options), ST_INVALID);
    assert_null(s);
}

TEST(no_memory_no_node_and_no_step_allocates)
{
    struct mem_heap heap = { .fail_at = 1 };
    struct mem_heap *outer = mem_heap_enter(&heap);
    struct swim_options options;
    struct swim *s = NULL;
    static struct swim_effects fx;

    swim_options_default(&options);
    options.self = 1;
    EXPECT_ST(swim_create(&s, &options), ST_NO_MEMORY);
    EXPECT_OK(swim_create(&s, &options));
    for (swim_id id = 2; id < 50; id++)
        EXPECT_OK(swim_step(s, &(struct swim_event){ .kind = SWIM_LEARN, .node = id }, &fx));
    for (int i = 0; i < 1000; i++)
        EXPECT_OK(swim_step(s, &(struct swim_event){ .kind = SWIM_TICK, .now_ns = swim_wake_ns(s) },
                            &fx));
    EXPECT_U64(heap.allocation, 2);
    swim_destroy(s);
    swim_destroy(NULL);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(outer);
}

TEST_MAIN(RUN(accusers_are_united_and_none_counts_twice),
          RUN(refutations_go_first_then_accusations_then_payloads),
          RUN(whoever_is_accused_is_told_so_first_of_all),
          RUN(an_accused_that_pings_us_learns_that_it_is_accused),
          RUN(we_refute_by_a_higher_incarnation_and_feel_unwell),
          RUN(who_comes_back_with_an_old_incarnation_is_told_the_one_that_we_know),
          RUN(a_refutation_by_gossip_acquits_and_only_of_a_higher_incarnation),
          RUN(an_accusation_of_before_the_last_sign_of_life_is_void),
          RUN(an_accusation_of_a_higher_incarnation_is_a_sign_of_life_and_an_accusation),
          RUN(news_is_told_a_bounded_number_of_times_and_never_to_whom_it_is_about),
          RUN(what_is_told_to_the_accused_and_to_strangers_does_not_count),
          RUN(a_message_has_never_more_updates_than_it_may_and_our_own_is_the_first),
          RUN(an_accusation_that_stands_is_told_where_there_is_room),
          RUN(a_payload_is_told_with_our_own_news_and_a_later_one_replaces_it),
          RUN(who_there_is_is_the_layer_above_to_say), RUN(there_is_a_limit_to_how_many_there_are),
          RUN(whoever_is_forgotten_while_it_is_probed_is_not_missed),
          RUN(a_malformed_message_is_refused_and_changes_nothing),
          RUN(senseless_options_are_refused), RUN(no_memory_no_node_and_no_step_allocates))
