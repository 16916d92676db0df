/* What is said only when it is durable (R1, R2), tickets, restarts, and failed disks. */
#include "unit/raft/raft_fixture.h"

/* ------------------------------------------------------------------ votes */

/* C-Raft 0.17. */
TEST(fact_a_vote_is_told_when_it_is_durable_and_not_before)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, vote_request(2, 2, 1, 1)));
    EXPECT(o.fx.hard_changed && o.fx.ticket != 0);
    EXPECT_U64(o.fx.message_count, 0);
    EXPECT_OK(hear(&o, vote_request(2, 2, 1, 1))); /* asked again meanwhile */
    EXPECT_U64(o.fx.message_count, 0);
    persist(&o);
    EXPECT(!said(&o, RAFT_VOTE_REPLY, 2)->reject);
    EXPECT_U64(said(&o, RAFT_VOTE_REPLY, 2)->term, 2);
    end(&o);
}

TEST(a_vote_that_is_overtaken_by_a_later_term_is_never_told)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, vote_request(2, 2, 1, 1)));
    EXPECT_OK(hear(&o, vote_request(3, 3, 1, 1)));
    persist_up_to(&o, o.ticket - 1); /* the first vote is durable: too late */
    EXPECT_U64(o.fx.message_count, 0);
    persist(&o);
    EXPECT_U64(o.fx.message_count, 1);
    EXPECT(said(&o, RAFT_VOTE_REPLY, 3) != NULL);
    end(&o);
}

TEST(fact_nobody_is_asked_for_votes_before_our_own_is_durable)
{
    struct one o = one_of(3, "1");
    struct raft_message yes = { .kind = RAFT_PREVOTE_REPLY, .from = 2, .term = 2 };

    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(hear(&o, yes));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    EXPECT_U64(o.fx.message_count, 0);
    yes.kind = RAFT_VOTE_REPLY; /* of whom nobody has asked */
    EXPECT_OK(hear(&o, yes));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    persist(&o);
    EXPECT_U64(said_count(&o, RAFT_VOTE), 2);
    end(&o);
}

TEST(fact_nobody_stands_for_real_on_entries_that_are_not_durable)
{
    struct one o = one_of(3, "1");
    uint64_t entries;

    EXPECT_OK(hear_append(&o, append_after(2, 1, 1, 1), "1 1"));
    entries = o.ticket;
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_TIMEOUT_NOW, .from = 2, .term = 1 }));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    EXPECT(o.ticket > entries);
    persist_up_to(&o, entries); /* the vote, which comes after them, is not yet */
    EXPECT_U64(said_count(&o, RAFT_VOTE), 0);
    persist(&o);
    EXPECT_U64(said(&o, RAFT_VOTE, 2)->index, 3);
    EXPECT_U64(raft_persisted(o.raft), 3);
    end(&o);
}

TEST(the_vote_survives_a_restart)
{
    struct group *g = calm(3);

    set_log(g, 2, "1");
    set_log(g, 3, "1");
    campaign(g, 2);
    deliver(g, 2, 1);
    deliver(g, 1, 2);
    group_sync(g, group_node(g, 2));
    deliver(g, 2, 1);
    group_sync(g, group_node(g, 1));
    EXPECT_U64(raft_hard(member(g, 1)).vote, 2);
    restart(g, 1);
    EXPECT_U64(raft_hard(member(g, 1)).term, 2);
    EXPECT_U64(raft_hard(member(g, 1)).vote, 2);
    group_destroy(g);
}

/* ------------------------------------------------------------------ entries */

/* NATS JetStream (Jepsen 2025). */
TEST(fact_entries_are_acknowledged_when_they_are_durable_and_not_before)
{
    struct one o = one_of(3, "1");
    uint64_t first;

    EXPECT_OK(hear_append(&o, append_after(2, 1, 1, 1), "1 1"));
    EXPECT_U64(o.fx.message_count, 0);
    first = o.ticket;
    EXPECT_OK(hear_append(&o, append_after(2, 1, 3, 1), "1"));
    persist_up_to(&o, first);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 3);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->hint, 4);
    persist(&o);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 4);
    end(&o);
}

TEST(one_report_stands_for_all_tickets_before_it)
{
    struct one o = one_of(3, "1");

    for (raft_index i = 1; i < 6; i++)
        EXPECT_OK(hear_append(&o, append_after(2, 1, i, 1), "1"));
    persist(&o);
    EXPECT_U64(raft_persisted(o.raft), 6);
    EXPECT_U64(said_count(&o, RAFT_APPEND_REPLY), 1);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 6);
    persist_up_to(&o, 1); /* and an older one changes nothing */
    EXPECT_U64(raft_persisted(o.raft), 6);
    end(&o);
}

TEST(more_gifts_to_the_log_than_are_remembered_cost_time_and_nothing_else)
{
    struct one o = one_of(3, "1");
    enum { GIFTS = 100 };

    for (raft_index i = 1; i <= GIFTS; i++)
        EXPECT_OK(hear_append(&o, append_after(2, 1, i, 1), "1"));
    for (uint64_t ticket = 1; ticket <= GIFTS; ticket++) {
        persist_up_to(&o, ticket);
        EXPECT(raft_persisted(o.raft) <= ticket + 1);
        EXPECT(ticket > 15 || raft_persisted(o.raft) == ticket + 1);
    }
    EXPECT_U64(raft_persisted(o.raft), GIFTS + 1);
    end(&o);
}

/* Entry 2 is given to the log, cut off, and given again as another: the report of the first gift says
 * nothing of the second. */
TEST(a_late_report_does_not_count_for_entries_that_replaced_others)
{
    struct one o = one_of(3, "1");
    uint64_t first;

    EXPECT_OK(hear_append(&o, append_after(2, 2, 1, 1), "2 2 2"));
    first = o.ticket;
    EXPECT_OK(hear_append(&o, append_after(3, 3, 1, 1), "3 3"));
    EXPECT_U64(o.fx.truncate_from, 2);
    EXPECT_U64(raft_persisted(o.raft), 1);
    persist_up_to(&o, first);
    EXPECT_U64(raft_persisted(o.raft), 1);
    EXPECT(said(&o, RAFT_APPEND_REPLY, 3) == NULL);
    persist(&o);
    EXPECT_U64(raft_persisted(o.raft), 3);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->index, 3);
    end(&o);
}

TEST(a_term_is_answered_in_only_when_it_is_durable)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, heartbeat(2, 4)));
    EXPECT_U64(o.fx.message_count, 0);
    EXPECT_OK(hear(&o, append_after(2, 4, 1, 1)));
    EXPECT_U64(o.fx.message_count, 0);
    persist(&o);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->term, 4);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 1);
    EXPECT_OK(hear(&o, heartbeat(2, 4)));
    EXPECT(said(&o, RAFT_HEARTBEAT_REPLY, 2) != NULL);
    end(&o);
}

/* What an earlier leader wrote may not be what this one has, durable or not. */
TEST(only_what_was_matched_with_this_leader_is_acknowledged_to_it)
{
    struct one o = one_of(3, "1 1 1 1");

    EXPECT_OK(hear(&o, append_after(2, 2, 2, 1)));
    persist(&o);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 2);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->hint, 2);
    end(&o);
}

/* ------------------------------------------------------------------ failed disks (P4) */

/* C-Raft. */
TEST(fact_a_leader_whose_disk_fails_leads_no_more_and_hands_over)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_DISK_FAILED }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(said_count(&o, RAFT_TIMEOUT_NOW), 1);
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE }), ST_NOT_LEADER);
    for (int i = 0; i < 5; i++)
        tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER); /* for good */
    end(&o);
}

/* C-Raft: what a follower could not write stayed in its memory, and was acknowledged later. */
TEST(fact_a_follower_whose_append_failed_acknowledges_nothing_of_it_ever)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear_append(&o, append_after(2, 1, 1, 1), "1 1"));
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_DISK_FAILED }));
    EXPECT_OK(hear_append(&o, append_after(2, 1, 1, 1), "1 1"));
    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    EXPECT_OK(hear(&o, vote_request(3, 9, 99, 8)));
    EXPECT_U64(o.fx.message_count, 0);
    EXPECT_U64(o.fx.ticket, 0);
    EXPECT_U64(raft_persisted(o.raft), 1);
    EXPECT_U64(raft_hard(o.raft).term, 1);
    end(&o);
}

/* FAST'18, protocol-aware recovery: a log with damage in its middle is not the shorter log before the
 * damage; what comes after it was promised.  The log refuses to open (P5); so does the core, if the log
 * does not. */
TEST(fact_a_log_with_its_middle_missing_is_refused_and_not_taken_for_a_shorter_one)
{
    struct one o = one_of(3, "1 1");
    const struct raft_entry e = { .term = 1 };

    EXPECT_ST(raft_restore(&o.raft, 4, &e), ST_CORRUPT);
    EXPECT_ST(raft_restore(&o.raft, 5, &e), ST_CORRUPT);
    EXPECT_STR(log_of(o.raft), "1 1");
    end(&o);
}

/* One entry replaced by one: the bounds of what is taken back. */
TEST(what_was_durable_is_not_once_its_very_last_entry_is_replaced)
{
    struct one o = one_of(3, "1 1");
    uint64_t first;

    EXPECT_OK(hear_append(&o, append_after(2, 2, 1, 1), "2"));
    EXPECT_U64(raft_persisted(o.raft), 1);
    first = o.ticket;
    EXPECT_OK(hear_append(&o, append_after(3, 3, 1, 1), "3"));
    persist_up_to(&o, first);
    EXPECT_U64(raft_persisted(o.raft), 1);
    persist(&o);
    EXPECT_U64(raft_persisted(o.raft), 2);
    end(&o);
}

TEST(what_the_leader_has_sent_is_echoed_when_it_is_durable)
{
    struct one o = one_of(3, "1");
    struct raft_message m = append_after(2, 1, 1, 1);
    uint64_t first;

    m.flow = (struct raft_flow){ 1, 100 };
    EXPECT_OK(hear_append(&o, m, "1"));
    first = o.ticket;
    m.index = 2;
    m.flow = (struct raft_flow){ 2, 200 };
    EXPECT_OK(hear_append(&o, m, "1"));
    persist_up_to(&o, first);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->flow.messages, 1);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->flow.bytes, 100);
    persist(&o);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->flow.messages, 2);
    m.flow = (struct raft_flow){ 3, 300 };
    EXPECT_OK(hear_append(&o, m, "1")); /* nothing new in it: durable already */
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->flow.messages, 3);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->flow.bytes, 300);
    end(&o);
}

TEST(a_vote_that_is_not_durable_yet_is_never_told_once_its_giver_stands_itself)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, vote_request(2, 2, 1, 1)));
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_TIMEOUT_NOW, .from = 3, .term = 2 }));
    EXPECT_U64(raft_hard(o.raft).term, 3);
    persist(&o);
    EXPECT_U64(said_count(&o, RAFT_VOTE_REPLY), 0);
    EXPECT_U64(said_count(&o, RAFT_VOTE), 2);
    end(&o);
}

/* What matched the leader of an earlier term is not known to match this one. */
TEST(what_matched_an_earlier_leader_is_not_acknowledged_to_the_next)
{
    struct one o = one_of(3, "1 1 1");

    EXPECT_OK(hear(&o, append_after(2, 1, 3, 1)));
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 3);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_PREVOTE_REPLY, .from = 2, .term = 2 }));
    persist(&o);
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    EXPECT_OK(hear(&o, append_after(3, 2, 1, 1)));
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->index, 1);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->hint, 1);
    end(&o);
}

TEST(a_vote_that_is_overtaken_by_a_leader_is_never_told)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, vote_request(2, 2, 1, 1)));
    EXPECT_OK(hear(&o, heartbeat(3, 3)));
    persist(&o);
    EXPECT_U64(said_count(&o, RAFT_VOTE_REPLY), 0);
    EXPECT_U64(raft_hard(o.raft).vote, 0);
    end(&o);
}

/* As above, by a leader of a later term instead of a candidacy in between. */
TEST(what_was_acknowledged_to_one_leader_is_matched_and_told_anew_to_the_next)
{
    struct one o = one_of(3, "1 1 1");

    EXPECT_OK(hear(&o, append_after(2, 1, 3, 1)));
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 3);
    EXPECT_OK(hear(&o, append_after(3, 2, 1, 1)));
    persist(&o);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->index, 1);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->hint, 1);
    end(&o);
}

SUITE(durability, RUN(fact_a_vote_is_told_when_it_is_durable_and_not_before),
      RUN(a_vote_that_is_overtaken_by_a_later_term_is_never_told),
      RUN(fact_nobody_is_asked_for_votes_before_our_own_is_durable),
      RUN(fact_nobody_stands_for_real_on_entries_that_are_not_durable),
      RUN(the_vote_survives_a_restart),
      RUN(fact_entries_are_acknowledged_when_they_are_durable_and_not_before),
      RUN(one_report_stands_for_all_tickets_before_it),
      RUN(more_gifts_to_the_log_than_are_remembered_cost_time_and_nothing_else),
      RUN(a_late_report_does_not_count_for_entries_that_replaced_others),
      RUN(a_term_is_answered_in_only_when_it_is_durable),
      RUN(only_what_was_matched_with_this_leader_is_acknowledged_to_it),
      RUN(fact_a_leader_whose_disk_fails_leads_no_more_and_hands_over),
      RUN(fact_a_follower_whose_append_failed_acknowledges_nothing_of_it_ever),
      RUN(fact_a_log_with_its_middle_missing_is_refused_and_not_taken_for_a_shorter_one),
      RUN(what_was_durable_is_not_once_its_very_last_entry_is_replaced),
      RUN(what_the_leader_has_sent_is_echoed_when_it_is_durable),
      RUN(a_vote_that_is_not_durable_yet_is_never_told_once_its_giver_stands_itself),
      RUN(what_matched_an_earlier_leader_is_not_acknowledged_to_the_next),
      RUN(a_vote_that_is_overtaken_by_a_leader_is_never_told),
      RUN(what_was_acknowledged_to_one_leader_is_matched_and_told_anew_to_the_next))
