/* Changes of membership: paper, 6; thesis, 4. */
#include "unit/raft/raft_fixture.h"

static enum status
change_to(struct one *o, const char *voter_ids, const char *learner_ids)
{
    struct raft_config target = config_of(voter_ids, learner_ids);

    return step(o, (struct raft_event){ .kind = RAFT_CHANGE, .config = &target });
}

static bool
in_force(const struct raft *r, const char *voter_ids, const char *outgoing_ids,
         const char *learner_ids)
{
    struct raft_config c = config_of(voter_ids, learner_ids);
    const struct raft_config outgoing = config_of(outgoing_ids, "");

    c.outgoing_count = outgoing.voter_count;
    memcpy(c.outgoing, outgoing.voters, sizeof(c.outgoing));
    return raft_config_equal(raft_config(r), &c);
}

/* Member 1 leads a group of these, and all have its first entry. */
static struct one
leader_of(const char *voter_ids, const char *learner_ids)
{
    struct raft_options options = options_for(1);
    struct one o;

    options.config = config_of(voter_ids, learner_ids);
    o = one_with(&options, "1");
    lead_with_all(&o);
    return o;
}

static void
send_and_ack(struct one *o, raft_id id)
{
    (void)send_all(o, id, ENTRY_BYTES);
    ack(o, id, raft_last(o->raft));
}

static enum status
hear_config(struct one *o, struct raft_message m, raft_term term, const struct raft_config *c)
{
    const struct raft_entry e = { .term = term, .kind = RAFT_CONFIG, .config = c };

    m.entry_count = 1;
    m.entries = &e;
    return hear(o, m);
}

/* ------------------------------------------------------------------ one at a time */

TEST(thesis_4_1_one_voter_more_is_in_force_as_soon_as_it_is_in_the_log)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "1 2 3 4", ""));
    EXPECT_U64(o.fx.own.kind, RAFT_CONFIG);
    EXPECT(raft_config_equal(o.fx.own.config, raft_config(o.raft)));
    EXPECT(in_force(o.raft, "1 2 3 4", "", ""));
    EXPECT_U64(raft_config_index(o.raft), 3);
    persist(&o);
    send_and_ack(&o, 2);
    EXPECT_U64(raft_commit(o.raft), 2); /* two of four are no majority */
    send_and_ack(&o, 3);
    EXPECT_U64(raft_commit(o.raft), 3);
    end(&o);
}

/* Ongaro, 2015; reachable in C-Raft 0.15. */
TEST(fact_no_change_before_an_entry_of_the_leaders_own_term_is_committed)
{
    struct one o = one_of(3, "1");

    lead(&o);
    EXPECT_ST(change_to(&o, "1 2", ""), ST_BUSY);
    persist(&o);
    EXPECT_ST(change_to(&o, "1 2", ""), ST_BUSY);
    EXPECT_U64(o.fx.ticket, 0);
    send_and_ack(&o, 2);
    EXPECT_OK(change_to(&o, "1 2", ""));
    end(&o);
}

TEST(thesis_4_1_one_change_at_a_time)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "1 2 3 4", ""));
    EXPECT_ST(change_to(&o, "1 2 3 4 5", ""), ST_BUSY);
    persist(&o);
    send_and_ack(&o, 2);
    EXPECT_ST(change_to(&o, "1 2 3 4 5", ""), ST_BUSY);
    send_and_ack(&o, 3);
    EXPECT_OK(change_to(&o, "1 2 3 4 5", ""));
    end(&o);
}

TEST(a_change_to_what_is_no_membership_or_to_nothing_new_is_refused)
{
    struct one o = leader_of("1 2 3", "4");
    struct raft_config joint = config_of("1 2", "");

    joint.outgoing[joint.outgoing_count++] = 1;
    EXPECT_ST(change_to(&o, "", ""), ST_INVALID);
    EXPECT_ST(change_to(&o, "1 2 2", ""), ST_INVALID);
    EXPECT_ST(change_to(&o, "2 1", ""), ST_INVALID);
    EXPECT_ST(change_to(&o, "1 2 3", "3"), ST_INVALID);
    EXPECT_ST(change_to(&o, "1 2 3", "4"), ST_INVALID);
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_CHANGE, .config = &joint }), ST_INVALID);
    EXPECT(in_force(o.raft, "1 2 3", "", "4"));
    EXPECT_U64(raft_last(o.raft), 2);
    end(&o);
}

TEST(thesis_4_2_1_a_learner_gets_entries_does_not_count_and_can_be_promoted)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "1 2 3", "4 5"));
    persist(&o);
    EXPECT_STR(send_all(&o, 4, ENTRY_BYTES), "4-3"); /* a probe; an empty one */
    ack(&o, 4, 3);
    ack(&o, 5, 3);
    EXPECT_U64(raft_commit(o.raft), 2);
    send_and_ack(&o, 2);
    EXPECT_U64(raft_commit(o.raft), 3);
    EXPECT_OK(change_to(&o, "1 2 3 4", "5"));
    EXPECT(in_force(o.raft, "1 2 3 4", "", "5"));
    persist(&o);
    send_and_ack(&o, 2);
    send_and_ack(&o, 5);
    EXPECT_U64(raft_commit(o.raft), 3);
    send_and_ack(&o, 4); /* now it does */
    EXPECT_U64(raft_commit(o.raft), 4);
    end(&o);
}

/* ------------------------------------------------------------------ joint */

TEST(paper_6_voters_change_by_more_than_one_only_by_a_joint_membership)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "1 4 5", ""));
    EXPECT(in_force(o.raft, "1 4 5", "1 2 3", ""));
    end(&o);
}

TEST(paper_6_a_joint_membership_needs_both_majorities_and_is_left_when_it_has_them)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "1 4 5", ""));
    persist(&o);
    send_and_ack(&o, 4);
    ack(&o, 5, 3);
    EXPECT_U64(raft_commit(o.raft), 2); /* the new ones alone */
    send_and_ack(&o, 2);
    EXPECT_U64(raft_commit(o.raft), 3);
    EXPECT(in_force(o.raft, "1 4 5", "", "")); /* appended by itself, and in force */
    EXPECT_U64(raft_config_index(o.raft), 4);
    EXPECT_U64(raft_last(o.raft), 4);
    EXPECT_ST(change_to(&o, "1 4", ""), ST_BUSY);
    persist(&o);
    ack(&o, 4, 4);
    EXPECT_U64(raft_commit(o.raft), 4);
    EXPECT_OK(change_to(&o, "1 4", ""));
    end(&o);
}

TEST(paper_6_the_old_majority_alone_commits_nothing_either)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "1 4 5", ""));
    persist(&o);
    send_and_ack(&o, 2);
    send_and_ack(&o, 3);
    EXPECT_U64(raft_commit(o.raft), 2);
    end(&o);
}

TEST(paper_6_a_candidate_under_a_joint_membership_needs_votes_of_both)
{
    struct one o = one_of(3, "1");
    struct raft_config joint = config_of("1 4 5", "");
    struct raft_message yes = { .kind = RAFT_PREVOTE_REPLY, .term = 2 };

    memcpy(joint.outgoing, voters(3).voters, sizeof(joint.outgoing));
    joint.outgoing_count = 3;
    EXPECT_OK(hear_config(&o, append_after(2, 1, 1, 1), 1, &joint));
    persist(&o);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(said_count(&o, RAFT_PREVOTE), 4);
    for (yes.from = 4; yes.from <= 5; yes.from++)
        EXPECT_OK(hear(&o, yes));
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    yes.from = 3;
    EXPECT_OK(hear(&o, yes));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    persist(&o);
    yes.kind = RAFT_VOTE_REPLY;
    for (yes.from = 2; yes.from <= 3; yes.from++)
        EXPECT_OK(hear(&o, yes));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    yes.from = 5;
    EXPECT_OK(hear(&o, yes));
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    end(&o);
}

TEST(paper_6_a_leader_elected_under_a_committed_joint_membership_leaves_it)
{
    struct one o = one_of(3, "1");
    struct raft_config joint = config_of("1 4 5", "");
    struct raft_message m = append_after(2, 1, 1, 1);

    memcpy(joint.outgoing, voters(3).voters, sizeof(joint.outgoing));
    joint.outgoing_count = 3;
    EXPECT_OK(hear_config(&o, m, 1, &joint));
    m = heartbeat(2, 1);
    m.commit = 2;
    EXPECT_OK(hear(&o, m));
    EXPECT_U64(raft_commit(o.raft), 2);
    persist(&o);
    lead(&o);
    persist(&o);
    EXPECT(in_force(o.raft, "1 4 5", "1 2 3", ""));
    send_and_ack(&o, 2);
    send_and_ack(&o, 4);
    EXPECT_U64(raft_commit(o.raft), 3); /* its first entry */
    EXPECT(in_force(o.raft, "1 4 5", "", ""));
    end(&o);
}

/* ------------------------------------------------------------------ rolled back */

/* C-Raft (Jepsen). */
TEST(fact_a_membership_whose_entry_is_cut_off_is_in_force_no_more)
{
    struct one o = one_of(3, "1");
    const struct raft_config four = voters(4);

    EXPECT_OK(hear_config(&o, append_after(2, 2, 1, 1), 2, &four));
    EXPECT(in_force(o.raft, "1 2 3 4", "", ""));
    persist(&o);
    EXPECT_OK(hear_append(&o, append_after(3, 3, 1, 1), "3"));
    EXPECT(in_force(o.raft, "1 2 3", "", ""));
    EXPECT_U64(raft_config_index(o.raft), 0);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(said_count(&o, RAFT_PREVOTE), 2); /* 4 is not asked */
    end(&o);
}

TEST(fact_a_membership_can_be_rolled_back_to_that_of_a_snapshot)
{
    struct raft_options options = options_for(3);
    const struct raft_config five = voters(5);
    struct one o;

    options.base_index = 10;
    options.base_term = options.hard.term = 4;
    options.config = config_of("1 2 3 4", "");
    o = one_with(&options, "");
    EXPECT_OK(hear_config(&o, append_after(2, 5, 10, 4), 5, &five));
    EXPECT(in_force(o.raft, "1 2 3 4 5", "", ""));
    persist(&o);
    EXPECT_OK(hear_append(&o, append_after(3, 6, 10, 4), "6"));
    EXPECT(in_force(o.raft, "1 2 3 4", "", ""));
    EXPECT_U64(raft_config_index(o.raft), 10);
    end(&o);
}

TEST(a_membership_in_a_durable_log_is_in_force_after_a_restart)
{
    struct one o = one_of(3, "1");
    const struct raft_config four = voters(4);
    struct raft_entry e = { .term = 1, .kind = RAFT_CONFIG, .config = &four };

    EXPECT_OK(raft_restore(&o.raft, 2, &e));
    EXPECT(in_force(o.raft, "1 2 3 4", "", ""));
    e = (struct raft_entry){ .term = 2 };
    EXPECT_OK(raft_restore(&o.raft, 2, &e)); /* superseded */
    EXPECT(in_force(o.raft, "1 2 3", "", ""));
    e = (struct raft_entry){ .term = 2, .kind = RAFT_CONFIG, .config = &four };
    EXPECT_OK(raft_restore(&o.raft, 3, &e));
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT(said(&o, RAFT_PREVOTE, 4) != NULL); /* and in use */
    end(&o);
}

/* ------------------------------------------------------------------ leaving */

TEST(thesis_4_2_2_a_removed_leader_leads_until_that_is_committed_and_hands_over)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "2 3", ""));
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    persist(&o);
    send_and_ack(&o, 2);
    EXPECT_U64(raft_commit(o.raft), 2); /* it does not count itself */
    send_and_ack(&o, 3);
    EXPECT_U64(raft_commit(o.raft), 3);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(said_count(&o, RAFT_TIMEOUT_NOW), 1);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER); /* and stands no more */
    end(&o);
}

TEST(thesis_4_2_2_who_is_on_the_way_out_may_still_have_to_lead)
{
    struct one o = one_of(2, "1");
    const struct raft_config without = config_of("2", "");

    EXPECT_OK(hear_config(&o, append_after(2, 1, 1, 1), 1, &without));
    persist(&o);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT(said(&o, RAFT_PREVOTE, 2) != NULL);
    end(&o);
}

TEST(thesis_4_2_3_a_removed_member_does_not_disturb)
{
    struct group *g = calm(4);
    const struct raft_config three = voters(3);

    elect(g, 1);
    settle(g);
    cut_off(g, 4); /* it never learns that it is out */
    EXPECT_OK(group_change(g, group_node(g, 1), &three));
    settle(g);
    EXPECT_U64(raft_commit(member(g, 2)), 2);
    group_heal(g);
    for (int i = 0; i < 5; i++) {
        group_tick(g, group_node(g, 4), 2 * ELECTION_MS);
        settle(g);
    }
    EXPECT_U64(raft_hard(member(g, 1)).term, 1);
    EXPECT_U64(raft_role(member(g, 1)), RAFT_LEADER);
    group_destroy(g);
}

/* ------------------------------------------------------------------ what is a membership */

TEST(a_membership_is_ascending_not_too_large_and_has_no_voting_learner)
{
    struct raft_config c = voters(RAFT_VOTERS_MAX);

    EXPECT(raft_config_is_valid(&c));
    for (raft_id id = 100; id < 100 + RAFT_MEMBERS_MAX - RAFT_VOTERS_MAX; id++)
        c.learners[c.learner_count++] = id;
    EXPECT(raft_config_is_valid(&c));
    c.learners[c.learner_count++] = 200;
    EXPECT(!raft_config_is_valid(&c));

    c = voters(3);
    c.voter_count = RAFT_VOTERS_MAX + 1;
    EXPECT(!raft_config_is_valid(&c));
    c = config_of("1 2 3", "4");
    memcpy(c.outgoing, config_of("3 4", "").voters, sizeof(c.outgoing));
    c.outgoing_count = 2;
    EXPECT(raft_config_is_valid(&c)); /* 4 votes until the joint membership is left */
    c.learners[0] = 2;
    EXPECT(!raft_config_is_valid(&c));
    c = voters(9);
    c.outgoing_count = 9;
    memcpy(c.outgoing, voters(9).voters, sizeof(c.outgoing));
    EXPECT(raft_config_is_valid(&c)); /* nine members in all */
    for (uint32_t i = 0; i < 9; i++)
        c.outgoing[i] += 8;
    EXPECT(!raft_config_is_valid(&c)); /* seventeen */
    c = voters(3);
    c.outgoing_count = RAFT_VOTERS_MAX + 1;
    EXPECT(!raft_config_is_valid(&c));
    c = config_of("0 1", "");
    EXPECT(!raft_config_is_valid(&c));
    c = config_of("1 2 3", "9 8");
    EXPECT(!raft_config_is_valid(&c));
}

TEST(paper_6_two_voters_more_or_two_less_are_a_joint_change_as_well)
{
    static const char *const targets[] = { "1 2 3 4 5 6 7", "1 2 3" };

    for (size_t i = 0; i < 2; i++) {
        struct one o = leader_of("1 2 3 4 5", "");

        EXPECT_OK(change_to(&o, targets[i], ""));
        EXPECT(in_force(o.raft, targets[i], "1 2 3 4 5", ""));
        end(&o);
    }
}

TEST(paper_6_under_a_joint_membership_nobody_is_voter_and_learner_at_once)
{
    struct one o = leader_of("1 2 3", "");

    EXPECT_OK(change_to(&o, "1 4 5", "6 7"));
    EXPECT(in_force(o.raft, "1 4 5", "1 2 3", "6 7"));
    end(&o);

    o = leader_of("1 2 3", "");
    EXPECT_OK(change_to(&o, "1 4 5", "2 3 6 7"));
    EXPECT(raft_config_is_valid(raft_config(o.raft)));
    for (raft_id id = 1; id <= 7; id++) {
        EXPECT(raft_config_has(raft_config(o.raft), id));
        EXPECT_U64(raft_config_votes(raft_config(o.raft), id), id <= 5);
    }
    EXPECT(!raft_config_has(raft_config(o.raft), 8));
    end(&o);
}

TEST(a_voter_that_has_just_been_added_has_a_timeout_to_be_heard)
{
    struct one o = leader_of("1", "");

    tick_ms(&o, ELECTION_MS); /* alone it hears enough */
    pass_ms(&o, ELECTION_MS - 1);
    EXPECT_OK(change_to(&o, "1 2", ""));
    tick_ms(&o, 1);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    tick_ms(&o, ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    end(&o);
}

SUITE(membership, RUN(thesis_4_1_one_voter_more_is_in_force_as_soon_as_it_is_in_the_log),
      RUN(fact_no_change_before_an_entry_of_the_leaders_own_term_is_committed),
      RUN(thesis_4_1_one_change_at_a_time),
      RUN(a_change_to_what_is_no_membership_or_to_nothing_new_is_refused),
      RUN(thesis_4_2_1_a_learner_gets_entries_does_not_count_and_can_be_promoted),
      RUN(paper_6_voters_change_by_more_than_one_only_by_a_joint_membership),
      RUN(paper_6_a_joint_membership_needs_both_majorities_and_is_left_when_it_has_them),
      RUN(paper_6_the_old_majority_alone_commits_nothing_either),
      RUN(paper_6_a_candidate_under_a_joint_membership_needs_votes_of_both),
      RUN(paper_6_a_leader_elected_under_a_committed_joint_membership_leaves_it),
      RUN(fact_a_membership_whose_entry_is_cut_off_is_in_force_no_more),
      RUN(fact_a_membership_can_be_rolled_back_to_that_of_a_snapshot),
      RUN(a_membership_in_a_durable_log_is_in_force_after_a_restart),
      RUN(thesis_4_2_2_a_removed_leader_leads_until_that_is_committed_and_hands_over),
      RUN(thesis_4_2_2_who_is_on_the_way_out_may_still_have_to_lead),
      RUN(thesis_4_2_3_a_removed_member_does_not_disturb),
      RUN(a_membership_is_ascending_not_too_large_and_has_no_voting_learner),
      RUN(paper_6_two_voters_more_or_two_less_are_a_joint_change_as_well),
      RUN(paper_6_under_a_joint_membership_nobody_is_voter_and_learner_at_once),
      RUN(a_voter_that_has_just_been_added_has_a_timeout_to_be_heard))
