/* A group in which all is said sleeps, and what wakes it. */
#include "unit/raft/raft_fixture.h"

/* Three members, 1 leads, all asleep. */
static struct group *
asleep(void)
{
    struct group *g = calm(3);

    elect(g, 1);
    for (int i = 0; i < 20; i++)
        settle(g);
    for (raft_id id = 1; id <= 3; id++)
        EXPECT(raft_is_quiesced(member(g, id)));
    EXPECT_U64(g->packet_count, 0);
    return g;
}

static enum status
tell(struct group *g, raft_id id, struct raft_event e)
{
    return group_step(g, group_node(g, id), e);
}

TEST(a_sleeping_group_is_silent_for_ever)
{
    struct group *g = asleep();

    for (int i = 0; i < 1000; i++) {
        for (raft_id id = 1; id <= 3; id++) {
            group_tick(g, group_node(g, id), ELECTION_MS);
            group_send_appends(g, group_node(g, id));
        }
    }
    EXPECT_U64(g->packet_count, 0);
    EXPECT_U64(raft_role(member(g, 1)), RAFT_LEADER);
    EXPECT_U64(raft_leader(member(g, 2)), 1);
    group_destroy(g);
}

TEST(whatever_is_asked_of_a_sleeping_leader_wakes_it)
{
    const struct raft_config two = voters(2);
    const struct raft_event events[] = {
        { .kind = RAFT_PROPOSE, .bytes = ENTRY_BYTES },
        { .kind = RAFT_READ },
        { .kind = RAFT_CHANGE, .config = &two },
        { .kind = RAFT_TRANSFER, .node = 2 },
        { .kind = RAFT_SILENT, .node = 2 },
        { .kind = RAFT_DISK_FAILED },
        { .kind = RAFT_CAMPAIGN },
    };

    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct group *g = asleep();

        EXPECT_OK(tell(g, 1, events[i]));
        EXPECT(!raft_is_quiesced(member(g, 1)));
        group_destroy(g);
    }
}

TEST(a_refused_event_wakes_nobody)
{
    struct group *g = asleep();
    const struct raft_config three = voters(3);

    EXPECT_ST(tell(g, 1, (struct raft_event){ .kind = RAFT_CHANGE, .config = &three }), ST_INVALID);
    EXPECT_ST(tell(g, 1, (struct raft_event){ .kind = RAFT_TRANSFER, .node = 7 }), ST_INVALID);
    EXPECT_ST(tell(g, 2, (struct raft_event){ .kind = RAFT_PROPOSE }), ST_NOT_LEADER);
    EXPECT(raft_is_quiesced(member(g, 1)) && raft_is_quiesced(member(g, 2)));
    group_destroy(g);
}

TEST(a_proposal_to_a_sleeping_group_is_committed_everywhere_and_it_sleeps_again)
{
    struct group *g = asleep();

    EXPECT_OK(group_propose(g, group_node(g, 1)));
    settle(g);
    for (raft_id id = 1; id <= 3; id++) {
        EXPECT(!raft_is_quiesced(member(g, id)));
        EXPECT_U64(raft_commit(member(g, id)), 2);
    }
    for (int i = 0; i < 20; i++)
        settle(g);
    for (raft_id id = 1; id <= 3; id++)
        EXPECT(raft_is_quiesced(member(g, id)));
    group_destroy(g);
}

TEST(when_the_sleeping_leaders_node_is_silent_another_is_elected)
{
    struct group *g = asleep();

    group_crash(g, group_node(g, 1));
    for (raft_id id = 2; id <= 3; id++)
        EXPECT_OK(tell(g, id, (struct raft_event){ .kind = RAFT_SILENT, .node = 1 }));
    EXPECT(!raft_is_quiesced(member(g, 2)));
    group_tick(g, group_node(g, 2), ELECTION_MS);
    group_deliver_all(g);
    EXPECT_U64(raft_role(member(g, 2)), RAFT_LEADER);
    group_destroy(g);
}

TEST(that_another_followers_node_is_silent_does_not_wake_a_follower)
{
    struct group *g = asleep();

    EXPECT_OK(tell(g, 2, (struct raft_event){ .kind = RAFT_SILENT, .node = 3 }));
    EXPECT(raft_is_quiesced(member(g, 2)));
    group_destroy(g);
}

TEST(a_group_sleeps_without_a_member_whose_node_is_silent)
{
    struct group *g = asleep();

    group_crash(g, group_node(g, 3));
    EXPECT_OK(tell(g, 1, (struct raft_event){ .kind = RAFT_SILENT, .node = 3 }));
    EXPECT(!raft_is_quiesced(member(g, 1)));
    for (int i = 0; i < 20; i++)
        settle(g);
    EXPECT(raft_is_quiesced(member(g, 1)) && raft_is_quiesced(member(g, 2)));
    group_destroy(g);
}

TEST(a_leader_does_not_sleep_before_it_has_applied_what_is_committed)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    for (int i = 0; i < 50; i++) {
        tick_ms(&o, HEARTBEAT_MS);
        EXPECT(!raft_is_quiesced(o.raft));
        answer_heartbeats(&o, 3);
    }
    apply(&o);
    tick_ms(&o, HEARTBEAT_MS);
    EXPECT(raft_is_quiesced(o.raft));
    EXPECT(said(&o, RAFT_HEARTBEAT, 2)->quiesce);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 2)->commit, raft_commit(o.raft)); /* which tells them */
    end(&o);
}

TEST(a_follower_that_lacks_something_does_not_sleep_and_says_so)
{
    struct one o = one_of(3, "1 1");
    struct raft_message m = heartbeat(2, 1);

    m.quiesce = true;
    m.commit = 1; /* its second is not committed */
    EXPECT_OK(hear(&o, m));
    EXPECT(!raft_is_quiesced(o.raft));
    EXPECT(said(&o, RAFT_HEARTBEAT_REPLY, 2) != NULL);
    m.commit = 2;
    EXPECT_OK(hear(&o, m));
    EXPECT(raft_is_quiesced(o.raft));
    EXPECT_U64(o.fx.message_count, 0);
    end(&o);
}

TEST(a_sleeping_follower_keeps_faith_with_its_leader)
{
    struct group *g = asleep();
    struct raft_message m = vote_request(3, 2, 99, 1);

    elapse_ms(g, 100 * ELECTION_MS);
    m.to = 2;
    EXPECT_OK(tell(g, 2, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &m }));
    EXPECT_U64(raft_hard(member(g, 2)).term, 1);
    EXPECT_OK(tell(g, 2, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_U64(raft_role(member(g, 2)), RAFT_FOLLOWER);
    group_tick(g, group_node(g, 2), ELECTION_MS - 1); /* awake now, and yet patient */
    EXPECT_U64(raft_role(member(g, 2)), RAFT_FOLLOWER);
    group_destroy(g);
}

TEST(a_woken_member_has_a_whole_timeout_before_it_stands)
{
    struct group *g = asleep();
    struct raft_message m = heartbeat(1, 1);

    elapse_ms(g, 100 * ELECTION_MS);
    m.to = 2;
    EXPECT_OK(tell(g, 2, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &m }));
    EXPECT(!raft_is_quiesced(member(g, 2)));
    group_tick(g, group_node(g, 2), ELECTION_MS - 1);
    EXPECT_U64(raft_role(member(g, 2)), RAFT_FOLLOWER);
    group_destroy(g);
}

/* All answer heartbeats for so long; the last tick is asked whether it sleeps now. */
static bool
sleeps_after_ms(struct one *o, uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed += HEARTBEAT_MS) {
        tick_ms(o, HEARTBEAT_MS);
        if (!raft_is_quiesced(o->raft))
            answer_heartbeats(o, 3);
    }
    return raft_is_quiesced(o->raft);
}

TEST(a_leader_whose_own_disk_is_behind_does_not_sleep)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    apply(&o);
    propose(&o, ENTRY_BYTES);
    (void)send_all(&o, 2, ENTRY_BYTES);
    (void)send_all(&o, 3, ENTRY_BYTES);
    ack(&o, 2, 3);
    ack(&o, 3, 3);
    (void)send_all(&o, 2, ENTRY_BYTES);
    EXPECT_U64(raft_commit(o.raft), 3);
    EXPECT(!sleeps_after_ms(&o, 2000));
    persist(&o);
    EXPECT(!sleeps_after_ms(&o, 2000)); /* and has not applied it */
    apply(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    EXPECT(sleeps_after_ms(&o, 2000));
    end(&o);
}

TEST(a_leader_that_has_not_confirmed_a_read_does_not_sleep)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    apply(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_READ }));
    for (int i = 0; i < 20; i++) {
        tick_ms(&o, HEARTBEAT_MS);
        EXPECT(!raft_is_quiesced(o.raft));
        ack(&o, 2, 2); /* they live, and do not answer that */
    }
    EXPECT(sleeps_after_ms(&o, 1000));
    end(&o);
}

TEST(a_leader_does_not_sleep_before_all_have_everything)
{
    struct one o = one_of(3, "1");

    lead(&o);
    persist(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 2);
    apply(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    EXPECT(!sleeps_after_ms(&o, 2000)); /* 3 has acknowledged nothing */
    end(&o);
}

TEST(the_offer_of_a_snapshot_wakes_who_sleeps)
{
    struct group *g = asleep();
    const struct raft_message m = append_after(3, 2, 9, 2);

    EXPECT_OK(tell(g, 2, (struct raft_event){ .kind = RAFT_SNAPSHOT_OFFER, .message = &m }));
    EXPECT(!raft_is_quiesced(member(g, 2)));
    EXPECT_U64(raft_leader(member(g, 2)), 3);
    group_destroy(g);
}

TEST(a_woken_leader_is_heard_at_its_next_tick)
{
    struct group *g = asleep();

    elapse_ms(g, ELECTION_MS);
    EXPECT_OK(group_propose(g, group_node(g, 1)));
    group_tick(g, group_node(g, 1), 0);
    EXPECT_U64(under_way(g, RAFT_HEARTBEAT, 1, 3), 1);
    EXPECT_U64(raft_role(member(g, 1)), RAFT_LEADER); /* whoever slept has a timeout to answer */
    group_destroy(g);
}

SUITE(quiescence, RUN(a_sleeping_group_is_silent_for_ever),
      RUN(whatever_is_asked_of_a_sleeping_leader_wakes_it), RUN(a_refused_event_wakes_nobody),
      RUN(a_proposal_to_a_sleeping_group_is_committed_everywhere_and_it_sleeps_again),
      RUN(when_the_sleeping_leaders_node_is_silent_another_is_elected),
      RUN(that_another_followers_node_is_silent_does_not_wake_a_follower),
      RUN(a_group_sleeps_without_a_member_whose_node_is_silent),
      RUN(a_leader_does_not_sleep_before_it_has_applied_what_is_committed),
      RUN(a_follower_that_lacks_something_does_not_sleep_and_says_so),
      RUN(a_sleeping_follower_keeps_faith_with_its_leader),
      RUN(a_woken_member_has_a_whole_timeout_before_it_stands),
      RUN(a_leader_whose_own_disk_is_behind_does_not_sleep),
      RUN(a_leader_that_has_not_confirmed_a_read_does_not_sleep),
      RUN(a_leader_does_not_sleep_before_all_have_everything),
      RUN(the_offer_of_a_snapshot_wakes_who_sleeps), RUN(a_woken_leader_is_heard_at_its_next_tick))
