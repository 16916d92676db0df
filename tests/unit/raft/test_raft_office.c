/* In office and out of it: pre-vote (thesis, 9.6), who has a leader is not disturbed (4.2.3), a leader that
 * hears no majority (6.2), and who has a vote at all. */
#include "unit/raft/raft_fixture.h"

TEST(thesis_9_6_a_prevote_changes_nothing_in_who_is_asked)
{
    struct one o = one_of(3, "1 2");

    EXPECT_OK(hear(&o, prevote_request(2, 9, 2, 2)));
    EXPECT(!said(&o, RAFT_PREVOTE_REPLY, 2)->reject);
    EXPECT_U64(said(&o, RAFT_PREVOTE_REPLY, 2)->term, 9);
    EXPECT_U64(raft_hard(o.raft).term, 2);
    EXPECT_U64(o.fx.ticket, 0);
    EXPECT_OK(hear(&o, prevote_request(3, 9, 2, 2))); /* and binds to nobody */
    EXPECT(!said(&o, RAFT_PREVOTE_REPLY, 3)->reject);
    end(&o);
}

TEST(thesis_9_6_a_member_that_was_cut_off_comes_back_without_a_higher_term)
{
    struct group *g = calm(3);

    elect(g, 1);
    settle(g);
    cut_off(g, 3);
    for (int i = 0; i < 10; i++)
        group_tick(g, group_node(g, 3), 2 * ELECTION_MS);
    EXPECT_U64(raft_role(member(g, 3)), RAFT_PRECANDIDATE);
    EXPECT_U64(raft_hard(member(g, 3)).term, 1);
    group_heal(g);
    group_tick(g, group_node(g, 3), 2 * ELECTION_MS);
    settle(g);
    EXPECT_U64(raft_role(member(g, 1)), RAFT_LEADER);
    EXPECT_U64(raft_hard(member(g, 1)).term, 1);
    EXPECT_U64(raft_leader(member(g, 3)), 1);
    group_destroy(g);
}

/* CCF 2026: with its vote cleared by a pre-vote a member would vote twice. */
TEST(fact_a_prevote_of_the_same_term_does_not_clear_the_vote)
{
    struct one o = one_of(3, "1 2");

    EXPECT(votes_for(&o, vote_request(2, 3, 2, 2)));
    EXPECT_OK(hear(&o, prevote_request(3, 4, 2, 2)));
    EXPECT_U64(raft_hard(o.raft).vote, 2);
    EXPECT_OK(hear(&o, prevote_request(3, 3, 2, 2)));
    EXPECT(said(&o, RAFT_PREVOTE_REPLY, 3)->reject);
    EXPECT(!votes_for(&o, vote_request(3, 3, 2, 2)));
    end(&o);
}

TEST(thesis_9_6_prevotes_of_a_minority_are_not_enough)
{
    struct one o = one_of(5, "1");

    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(hear(&o, prevote_reply(2, 2, false)));
    EXPECT_OK(hear(&o, prevote_reply(2, 2, false)));
    EXPECT_OK(hear(&o, prevote_reply(3, 1, true)));
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT_OK(hear(&o, prevote_reply(4, 2, false)));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    end(&o);
}

TEST(thesis_4_2_3_who_has_just_heard_a_leader_does_not_even_enter_the_term)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    o.now_ns += (uint64_t)ELECTION_MS * MS - 1;
    EXPECT(!votes_for(&o, vote_request(3, 2, 9, 1)));
    EXPECT_OK(hear(&o, prevote_request(3, 2, 9, 1)));
    EXPECT_U64(o.fx.message_count, 0);
    EXPECT_U64(raft_hard(o.raft).term, 1);
    o.now_ns++;
    EXPECT(votes_for(&o, vote_request(3, 2, 9, 1)));
    end(&o);
}

TEST(thesis_4_2_3_a_leader_is_not_deposed_by_who_asks_for_votes)
{
    struct one o = one_of(3, "1");

    lead(&o);
    persist(&o);
    EXPECT_OK(hear(&o, vote_request(3, 9, 99, 8)));
    EXPECT_OK(hear(&o, prevote_request(3, 9, 99, 8)));
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    EXPECT_U64(raft_hard(o.raft).term, 2);
    end(&o);
}

TEST(thesis_6_2_a_leader_that_hears_no_majority_leads_nobody)
{
    struct one o = one_of(5, "1");

    lead_with_all(&o);
    for (int i = 0; i < 5; i++) { /* two others and it are a majority */
        tick_ms(&o, ELECTION_MS);
        answer_heartbeats(&o, 3);
        EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    }
    tick_ms(&o, ELECTION_MS);
    answer_heartbeats(&o, 2); /* one is not */
    tick_ms(&o, ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_hard(o.raft).term, 2);
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_READ }), ST_NOT_LEADER);
    end(&o);
}

TEST(thesis_6_2_learners_do_not_keep_a_leader_in_office)
{
    struct raft_options options = options_for(2);
    struct one o;

    options.config = config_of("1 2", "4 5");
    o = one_with(&options, "1");
    lead_with_all(&o);
    tick_ms(&o, ELECTION_MS);
    answer_heartbeat(&o, 4);
    answer_heartbeat(&o, 5);
    tick_ms(&o, ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    end(&o);
}

/* YugabyteDB (Jepsen): votes of members who may not vote, during a change of membership. */
TEST(fact_votes_of_learners_and_strangers_elect_nobody)
{
    struct raft_options options = options_for(2);
    struct one o;

    options.config = config_of("1 2", "4 5");
    o = one_with(&options, "1");
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(o.fx.message_count, 1); /* learners are not asked */
    for (raft_id id = 4; id <= 7; id++)
        EXPECT_OK(hear(&o, prevote_reply(id, 2, false)));
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT_OK(hear(&o, prevote_reply(2, 2, false)));
    persist(&o);
    for (raft_id id = 4; id <= 7; id++)
        EXPECT_OK(hear(&o, vote_reply(id, 2, false)));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    end(&o);
}

TEST(a_learner_never_stands)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.config = config_of("2 3 4", "1");
    o = one_with(&options, "1");
    for (int i = 0; i < 5; i++)
        tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_TIMEOUT_NOW, .from = 2, .term = 1 }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_hard(o.raft).term, 1);
    end(&o);
}

TEST(to_campaign_is_to_stand_now_unless_a_leader_was_just_heard)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    pass_ms(&o, ELECTION_MS - 1);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    pass_ms(&o, 1);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    end(&o);
}

TEST(the_leader_itself_is_no_reason_to_refuse_the_leader)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    EXPECT(votes_for(&o, vote_request(2, 2, 1, 1)));
    end(&o);
}

TEST(thesis_6_2_whoever_was_heard_keeps_the_leader_in_office_for_a_whole_timeout)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    tick_ms(&o, ELECTION_MS); /* here it is counted */
    answer_heartbeats(&o, 3);
    for (int ms = 0; ms < ELECTION_MS - 1; ms++)
        tick_ms(&o, 1);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    tick_ms(&o, 1);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER); /* here, again */
    tick_ms(&o, ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    end(&o);
}

TEST(thesis_6_2_a_leader_that_steps_down_waits_a_whole_timeout_before_it_stands)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    tick_ms(&o, ELECTION_MS);
    tick_ms(&o, ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    tick_ms(&o, ELECTION_MS - 1);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    tick_ms(&o, 1);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    end(&o);
}

SUITE(office, RUN(thesis_9_6_a_prevote_changes_nothing_in_who_is_asked),
      RUN(thesis_9_6_a_member_that_was_cut_off_comes_back_without_a_higher_term),
      RUN(fact_a_prevote_of_the_same_term_does_not_clear_the_vote),
      RUN(thesis_9_6_prevotes_of_a_minority_are_not_enough),
      RUN(thesis_4_2_3_who_has_just_heard_a_leader_does_not_even_enter_the_term),
      RUN(thesis_4_2_3_a_leader_is_not_deposed_by_who_asks_for_votes),
      RUN(thesis_6_2_a_leader_that_hears_no_majority_leads_nobody),
      RUN(thesis_6_2_learners_do_not_keep_a_leader_in_office),
      RUN(fact_votes_of_learners_and_strangers_elect_nobody), RUN(a_learner_never_stands),
      RUN(to_campaign_is_to_stand_now_unless_a_leader_was_just_heard),
      RUN(the_leader_itself_is_no_reason_to_refuse_the_leader),
      RUN(thesis_6_2_whoever_was_heard_keeps_the_leader_in_office_for_a_whole_timeout),
      RUN(thesis_6_2_a_leader_that_steps_down_waits_a_whole_timeout_before_it_stands))
