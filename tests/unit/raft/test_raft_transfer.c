/* Leadership is handed over: thesis, 3.10. */
#include "unit/raft/raft_fixture.h"

static enum status
transfer_to(struct one *o, raft_id node)
{
    return step(o, (struct raft_event){ .kind = RAFT_TRANSFER, .node = node });
}

TEST(thesis_3_10_who_has_everything_is_told_to_stand_at_once)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    EXPECT_OK(transfer_to(&o, 3));
    EXPECT_U64(said_count(&o, RAFT_TIMEOUT_NOW), 1);
    EXPECT(said(&o, RAFT_TIMEOUT_NOW, 3) != NULL);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER); /* until the other is elected */
    end(&o);
}

TEST(thesis_3_10_who_is_behind_gets_the_rest_first_and_nothing_new_is_taken_meanwhile)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    propose(&o, ENTRY_BYTES);
    EXPECT_OK(transfer_to(&o, 3));
    EXPECT(said(&o, RAFT_TIMEOUT_NOW, 3) == NULL);
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE, .bytes = 1 }), ST_BUSY);
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "3-3");
    ack(&o, 3, 3);
    EXPECT(said(&o, RAFT_TIMEOUT_NOW, 3) != NULL);
    end(&o);
}

TEST(thesis_3_10_a_transfer_that_takes_an_election_timeout_is_given_up)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    EXPECT_OK(transfer_to(&o, 3));
    tick_ms(&o, ELECTION_MS - 1);
    answer_heartbeats(&o, 3);
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE }), ST_BUSY);
    tick_ms(&o, 1);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE }));
    end(&o);
}

TEST(a_transfer_to_nobody_in_particular_goes_to_whom_is_nearest)
{
    struct one o = one_of(5, "1");

    lead_with_all(&o);
    propose(&o, ENTRY_BYTES);
    persist(&o);
    (void)send_all(&o, 4, ENTRY_BYTES);
    ack(&o, 4, 3);
    EXPECT_OK(transfer_to(&o, 0));
    EXPECT(said(&o, RAFT_TIMEOUT_NOW, 4) != NULL);
    end(&o);
}

TEST(leadership_goes_to_another_voter_only)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.config = config_of("1 2 3", "4");
    o = one_with(&options, "1");
    EXPECT_ST(transfer_to(&o, 2), ST_NOT_LEADER);
    lead_with_all(&o);
    EXPECT_ST(transfer_to(&o, 1), ST_INVALID);
    EXPECT_ST(transfer_to(&o, 4), ST_INVALID);
    EXPECT_ST(transfer_to(&o, 9), ST_INVALID);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE })); /* none is under way */
    end(&o);

    options.config = config_of("1", "4");
    o = one_with(&options, "1");
    lead(&o);
    EXPECT_ST(transfer_to(&o, 0), ST_INVALID);
    end(&o);
}

/* No pre-vote, and in spite of the leader that everyone has just heard. */
TEST(thesis_3_10_who_is_told_to_stand_is_not_refused_for_the_old_leaders_sake)
{
    struct group *g = calm(3);

    elect(g, 1);
    settle(g);
    EXPECT_OK(
        group_step(g, group_node(g, 1), (struct raft_event){ .kind = RAFT_TRANSFER, .node = 2 }));
    settle(g);
    EXPECT_U64(raft_role(member(g, 2)), RAFT_LEADER);
    EXPECT_U64(raft_hard(member(g, 2)).term, 2);
    EXPECT_U64(raft_leader(member(g, 1)), 2);
    EXPECT_U64(raft_leader(member(g, 3)), 2);
    group_destroy(g);
}

TEST(thesis_3_10_to_be_told_to_stand_is_no_vote_for_a_log_that_is_behind)
{
    struct one o = one_of(3, "1 2 2");
    struct raft_message m = vote_request(2, 3, 2, 2);

    m.force = true;
    EXPECT_OK(hear(&o, m));
    EXPECT(said(&o, RAFT_VOTE_REPLY, 2)->reject);
    end(&o);
}

TEST(an_order_to_stand_that_comes_a_term_late_is_ignored)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, heartbeat(3, 2)));
    persist(&o);
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_TIMEOUT_NOW, .from = 2, .term = 1 }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_hard(o.raft).term, 2);
    end(&o);
}

/* C-Raft (Jepsen): use after free.  Here: the one who is to take over leaves meanwhile. */
TEST(fact_a_transfer_survives_that_its_target_is_removed)
{
    struct one o = one_of(4, "1");
    const struct raft_config three = config_of("1 2 3", "");

    lead_with_all(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CHANGE, .config = &three }));
    EXPECT_ST(transfer_to(&o, 4), ST_INVALID);
    EXPECT_OK(transfer_to(&o, 3));
    persist(&o);
    for (raft_id id = 2; id <= 3; id++) {
        (void)send_all(&o, id, ENTRY_BYTES);
        ack(&o, id, 3);
    }
    ack(&o, 4, 2);
    EXPECT(raft_commit(o.raft) == 3);
    tick_ms(&o, ELECTION_MS);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE }));
    end(&o);
}

TEST(a_transfer_ends_with_the_term)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    EXPECT_OK(transfer_to(&o, 2));
    EXPECT_OK(hear(&o, heartbeat(2, 3)));
    lead_with_all(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE }));
    end(&o);
}

TEST(whom_nobody_may_vote_for_or_who_is_silent_is_never_nearest)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.config = config_of("1 2 3", "4");
    o = one_with(&options, "1");
    lead_with_all(&o);
    propose(&o, ENTRY_BYTES);
    persist(&o);
    (void)send_all(&o, 4, ENTRY_BYTES);
    ack(&o, 4, 3); /* the learner is nearest of all, and the leader itself */
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_SILENT, .node = 2 }));
    EXPECT_OK(transfer_to(&o, 0));
    (void)send_all(&o, 3, ENTRY_BYTES);
    ack(&o, 3, 3);
    EXPECT(said(&o, RAFT_TIMEOUT_NOW, 3) != NULL);
    end(&o);
}

SUITE(transfer, RUN(thesis_3_10_who_has_everything_is_told_to_stand_at_once),
      RUN(thesis_3_10_who_is_behind_gets_the_rest_first_and_nothing_new_is_taken_meanwhile),
      RUN(thesis_3_10_a_transfer_that_takes_an_election_timeout_is_given_up),
      RUN(a_transfer_to_nobody_in_particular_goes_to_whom_is_nearest),
      RUN(leadership_goes_to_another_voter_only),
      RUN(thesis_3_10_who_is_told_to_stand_is_not_refused_for_the_old_leaders_sake),
      RUN(thesis_3_10_to_be_told_to_stand_is_no_vote_for_a_log_that_is_behind),
      RUN(an_order_to_stand_that_comes_a_term_late_is_ignored),
      RUN(fact_a_transfer_survives_that_its_target_is_removed), RUN(a_transfer_ends_with_the_term),
      RUN(whom_nobody_may_vote_for_or_who_is_silent_is_never_nearest))
