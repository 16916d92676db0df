/* A membership by order, when a majority is gone for good (raft.h, IMPOSED MEMBERSHIPS). */
#include "unit/raft/raft_fixture.h"

enum { LATER = 100 }; /* a term that nobody has seen */

static enum status
impose(struct one *o, raft_term term, struct raft_config config)
{
    return step(o, (struct raft_event){ .kind = RAFT_IMPOSE, .term = term, .config = &config });
}

static enum status
impose_on(struct group *g, raft_id id, raft_term term, struct raft_config config)
{
    return group_step(g, group_node(g, id),
                      (struct raft_event){ .kind = RAFT_IMPOSE, .term = term, .config = &config });
}

TEST(one_that_is_left_leads_by_order_and_its_log_is_committed)
{
    struct one o = one_of(3, "1 2 2");
    struct raft_config alone = config_of("1", "");

    EXPECT_OK(impose(&o, LATER, alone));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    EXPECT_U64(o.fx.message_count, 0); /* nobody is asked */
    EXPECT_U64(raft_hard(o.raft).term, LATER);
    EXPECT_U64(raft_hard(o.raft).vote, 1);
    EXPECT_U64(raft_commit(o.raft), 0);
    persist(&o); /* the term; then it leads, and the membership is written */
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    EXPECT_STR(log_of(o.raft), "1 2 2 100");
    EXPECT(raft_config_equal(raft_config(o.raft), &alone));
    EXPECT_U64(raft_config_index(o.raft), 4);
    persist(&o);
    EXPECT_U64(raft_commit(o.raft), 4);
    apply(&o);
    propose(&o, ENTRY_BYTES); /* and it goes on */
    persist(&o);
    EXPECT_U64(raft_commit(o.raft), 5);
    end(&o);
}

TEST(an_order_says_nothing_before_its_term_is_durable)
{
    struct one o = one_of(3, "1 2 2");

    EXPECT_OK(impose(&o, LATER, config_of("1", "2")));
    EXPECT(!raft_next_append(o.raft, &(struct raft_append){ 0 }));
    persist(&o);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "4-4");
    end(&o);
}

TEST(an_order_is_dropped_by_a_later_term)
{
    struct one o = one_of(3, "1 2 2");

    EXPECT_OK(impose(&o, LATER, config_of("1", "")));
    EXPECT_OK(hear(&o, heartbeat(2, LATER + 1)));
    persist(&o);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_leader(o.raft), 2);
    EXPECT_STR(log_of(o.raft), "1 2 2");
    end(&o);
}

TEST(an_order_that_takes_too_long_to_become_durable_is_dropped_by_the_next_election)
{
    struct one o = one_of(3, "1 2 2");

    EXPECT_OK(impose(&o, LATER, config_of("1", "")));
    tick_ms(&o, 3 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    persist(&o);
    EXPECT_STR(log_of(o.raft), "1 2 2");
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    end(&o);
}

TEST(an_order_that_makes_no_sense_is_refused)
{
    struct raft_config joint = config_of("1", "");
    struct one o = one_of(3, "1 2 2");

    joint.outgoing_count = 1;
    joint.outgoing[0] = 2;
    EXPECT_ST(impose(&o, 2, config_of("1", "")), ST_INVALID); /* a term that is not later */
    EXPECT_ST(impose(&o, LATER, config_of("2", "")), ST_INVALID);
    EXPECT_ST(impose(&o, LATER, config_of("1 2", "")), ST_INVALID);
    EXPECT_ST(impose(&o, LATER, config_of("1", "1")), ST_INVALID);
    EXPECT_ST(impose(&o, LATER, joint), ST_INVALID);
    EXPECT_U64(raft_hard(o.raft).term, 2);
    lead_with_all(&o);
    EXPECT_ST(impose(&o, LATER, config_of("1", "")), ST_BUSY); /* there is a majority */
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_DISK_FAILED }));
    EXPECT_ST(impose(&o, LATER, config_of("1", "")), ST_INVALID);
    end(&o);
}

/* A joint membership was under way: what it waits for will never come. */
TEST(an_order_ends_a_change_that_was_under_way)
{
    struct one o = one_of(3, "1 2 2");
    struct raft_config joint = config_of("1 4 5", "");
    struct raft_entry entry = { .term = 3, .kind = RAFT_CONFIG, .config = &joint };
    struct raft_message m = append_after(2, 3, 3, 2);

    joint.outgoing_count = 3;
    memcpy(joint.outgoing, (raft_id[]){ 1, 2, 3 }, 3 * sizeof(raft_id));
    m.entry_count = 1;
    m.entries = &entry;
    EXPECT_OK(hear(&o, m));
    persist(&o);
    EXPECT_U64(raft_config_index(o.raft), 4);
    tick_ms(&o, 3 * ELECTION_MS);
    EXPECT_OK(impose(&o, LATER, config_of("1", "4")));
    persist(&o);
    EXPECT_U64(raft_commit(o.raft), 4); /* it is superseded, and never cut off */
    persist(&o);
    EXPECT_U64(raft_commit(o.raft), 5);
    EXPECT_U64(raft_config(o.raft)->outgoing_count, 0);
    end(&o);
}

TEST(a_restart_after_an_order_knows_of_it)
{
    struct group *g = calm(3);

    elect(g, 1);
    settle(g);
    group_crash(g, group_node(g, 1));
    group_crash(g, group_node(g, 3));
    EXPECT_OK(impose_on(g, 2, LATER, config_of("2", "")));
    group_deliver_all(g);
    EXPECT_U64(raft_role(member(g, 2)), RAFT_LEADER);
    restart(g, 2);
    elect(g, 2);
    EXPECT_U64(raft_hard(member(g, 2)).term, LATER + 1);
    EXPECT_U64(raft_config(member(g, 2))->voter_count, 1);
    group_destroy(g);
}

/* Five, of whom three are gone: the others hear of it as learners, are caught up, and vote again. */
TEST(others_that_are_left_learn_and_can_vote_again)
{
    struct group *g = calm(5);
    struct raft_config three = config_of("2 3", "");

    elect(g, 1);
    settle(g);
    cut_off(g, 3);
    EXPECT_OK(group_propose(g, group_node(g, 1)));
    settle(g);
    group_crash(g, group_node(g, 1));
    group_crash(g, group_node(g, 4));
    group_crash(g, group_node(g, 5));
    group_heal(g);
    EXPECT_OK(impose_on(g, 2, LATER, config_of("2", "3")));
    settle(g);
    EXPECT_U64(raft_leader(member(g, 3)), 2);
    EXPECT_U64(raft_commit(member(g, 3)), raft_last(member(g, 2)));
    campaign(g, 3); /* it has no vote any more */
    EXPECT_U64(raft_role(member(g, 3)), RAFT_FOLLOWER);
    EXPECT_OK(group_change(g, group_node(g, 2), &three));
    settle(g);
    EXPECT(raft_config_equal(raft_config(member(g, 3)), &three));
    EXPECT_OK(group_propose(g, group_node(g, 2)));
    settle(g);
    EXPECT_U64(raft_commit(member(g, 3)), raft_last(member(g, 2)));
    group_destroy(g);
}

/* What the chosen one never got is gone, and a witness that saw it committed knows why. */
TEST(what_only_the_lost_had_is_lost_and_the_witness_lets_it_be)
{
    struct witness *w = witness_create();
    struct raft_run dead_runs[] = { { 1, 1 }, { 2, 2 } };
    struct witness_view dead = { .member = 2,
                                 .hard.term = 2,
                                 .commit = 5,
                                 .last = 5,
                                 .runs = dead_runs,
                                 .run_count = 2,
                                 .role = RAFT_FOLLOWER };
    struct one o = one_of(3, "1 2 2");
    struct witness_view left;
    struct err err;

    EXPECT(w != NULL);
    EXPECT_OK(witness_see(w, &dead, &err));
    EXPECT_OK(impose(&o, LATER, config_of("1", "")));
    persist(&o);
    left = raft_view(o.raft, 1);
    EXPECT_U64(left.imposed, 4);
    EXPECT_OK(witness_see(w, &left, &err));
    persist(&o);
    left = raft_view(o.raft, 1);
    EXPECT_OK(witness_see(w, &left, &err));
    dead.life = 2; /* it comes back, and must not */
    EXPECT_ST(witness_see(w, &dead, &err), ST_CORRUPT);
    witness_destroy(w);
    end(&o);
}

SUITE(impose, RUN(one_that_is_left_leads_by_order_and_its_log_is_committed),
      RUN(an_order_says_nothing_before_its_term_is_durable),
      RUN(an_order_is_dropped_by_a_later_term),
      RUN(an_order_that_takes_too_long_to_become_durable_is_dropped_by_the_next_election),
      RUN(an_order_that_makes_no_sense_is_refused), RUN(an_order_ends_a_change_that_was_under_way),
      RUN(a_restart_after_an_order_knows_of_it), RUN(others_that_are_left_learn_and_can_vote_again),
      RUN(what_only_the_lost_had_is_lost_and_the_witness_lets_it_be))
