/* Replication: paper, 5.3 with figure 7, and 5.5. */
#include "unit/raft/raft_fixture.h"

static const struct raft_message *
reply_to(const struct one *o, raft_id to)
{
    const struct raft_message *m = said(o, RAFT_APPEND_REPLY, to);

    EXPECT(m != NULL);
    return m;
}

/* Figure 7: the leader of term 8, and what followers may look like. */
static const char *const figure_7[] = {
    "1 1 1 4 4 5 5 6 6",       /* a */
    "1 1 1 4",                 /* b */
    "1 1 1 4 4 5 5 6 6 6 6",   /* c */
    "1 1 1 4 4 5 5 6 6 6 7 7", /* d */
    "1 1 1 4 4 4 4",           /* e */
    "1 1 1 2 2 2 3 3 3 3 3",   /* f */
};

/* A leader of term 8 and one such follower; what was refused is counted. */
static uint32_t
refusals_until_equal(const char *follower_log)
{
    struct group *g = calm(3);
    uint32_t refusals = 0;

    set_log(g, 1, "1 1 1 4 4 5 5 6 6 6");
    set_log(g, 2, follower_log);
    set_log(g, 3, "1 1 1");
    set_hard(g, 1, 7, 0);
    set_hard(g, 3, 7, 0);
    g->cut[1][2] = g->cut[2][1] = true;
    elect(g, 1);
    group_heal(g);
    for (int turn = 0; turn < 20; turn++) {
        group_tick(g, group_node(g, 1), HEARTBEAT_MS);
        deliver(g, 1, 3);
        deliver(g, 3, 1);
        deliver(g, 1, 2);
        group_sync(g, group_node(g, 2));
        for (uint32_t i = 0; i < g->packet_count; i++)
            refusals += g->packets[i].message.kind == RAFT_APPEND_REPLY &&
                        g->packets[i].message.from == 2 && g->packets[i].message.reject;
        deliver(g, 2, 1);
        group_send_appends(g, group_node(g, 1));
    }
    EXPECT_STR(log_of(member(g, 2)), "1 1 1 4 4 5 5 6 6 6 8");
    EXPECT_STR(log_of(member(g, 1)), "1 1 1 4 4 5 5 6 6 6 8");
    group_destroy(g);
    return refusals;
}

TEST(paper_5_3_figure_7_every_follower_becomes_like_the_leader)
{
    for (size_t i = 0; i < sizeof(figure_7) / sizeof(figure_7[0]); i++)
        EXPECT(refusals_until_equal(figure_7[i]) <= 1); /* whatever it has, by one exchange */
}

TEST(paper_5_3_entries_are_taken_only_where_the_logs_meet)
{
    struct one o = one_of(3, "1 1 2");

    EXPECT_OK(hear_append(&o, append_after(2, 3, 5, 2), "3"));
    EXPECT(reply_to(&o, 2)->reject);
    EXPECT_U64(reply_to(&o, 2)->index, 5);
    EXPECT_U64(reply_to(&o, 2)->hint, 3);
    EXPECT_U64(reply_to(&o, 2)->hint_term, 2);
    EXPECT_OK(hear_append(&o, append_after(2, 3, 3, 1), "3"));
    EXPECT(reply_to(&o, 2)->reject);
    EXPECT_U64(reply_to(&o, 2)->hint, 2);
    EXPECT_U64(reply_to(&o, 2)->hint_term, 1);
    EXPECT_STR(log_of(o.raft), "1 1 2");
    EXPECT_OK(hear_append(&o, append_after(2, 3, 3, 2), "3 3"));
    EXPECT_STR(log_of(o.raft), "1 1 2 3 3");
    EXPECT_U64(o.fx.append_first, 4);
    EXPECT_U64(o.fx.append_last, 5);
    EXPECT_U64(o.fx.truncate_from, 0);
    persist(&o);
    EXPECT_U64(reply_to(&o, 2)->index, 5);
    end(&o);
}

TEST(paper_5_3_entries_that_conflict_are_replaced_with_all_that_follow_them)
{
    struct one o = one_of(3, "1 1 2 2 2");

    EXPECT_OK(hear_append(&o, append_after(2, 4, 2, 1), "2 3"));
    EXPECT_STR(log_of(o.raft), "1 1 2 3");
    EXPECT_U64(o.fx.truncate_from, 4);
    EXPECT_U64(o.fx.append_first, 4);
    EXPECT_U64(o.fx.append_last, 4);
    EXPECT_U64(raft_persisted(o.raft), 3);
    persist(&o);
    EXPECT_U64(reply_to(&o, 2)->index, 4);
    end(&o);
}

/* Paper, 5.5: a repeated request does no harm; nor does one that was overtaken. */
TEST(paper_5_5_an_old_message_that_repeats_entries_cuts_nothing_off)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear_append(&o, append_after(2, 2, 1, 1), "2 2 2"));
    persist(&o);
    EXPECT_OK(hear_append(&o, append_after(2, 2, 1, 1), "2"));
    EXPECT_OK(hear_append(&o, append_after(2, 2, 1, 1), "2 2"));
    EXPECT_STR(log_of(o.raft), "1 2 2 2");
    EXPECT_U64(o.fx.ticket, 0);
    EXPECT_U64(reply_to(&o, 2)->index, 4); /* what is durable, not what was repeated */
    end(&o);
}

TEST(paper_5_3_a_follower_commits_what_the_leader_has_and_it_is_known_to_match)
{
    struct one o = one_of(3, "1 1 2 2 2");
    struct raft_message m = append_after(2, 3, 2, 1);

    m.commit = 5;
    EXPECT_OK(hear_append(&o, m, "2")); /* 4 and 5 may be anybody's */
    EXPECT_U64(raft_commit(o.raft), 3);
    m.commit = 2;
    EXPECT_OK(hear_append(&o, m, "2")); /* it was overtaken */
    EXPECT_U64(raft_commit(o.raft), 3);
    end(&o);
}

TEST(paper_5_3_a_heartbeat_tells_nobody_of_commits_beyond_what_is_known_of_it)
{
    struct one o = one_of(3, "1 1");

    lead(&o);
    persist(&o);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "3-3");
    ack(&o, 2, 3);
    EXPECT_U64(raft_commit(o.raft), 3);
    tick_ms(&o, HEARTBEAT_MS);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 2)->commit, 3);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 3)->commit, 0);
    end(&o);
}

/* Each is tried again for as long as it takes: paper, 5.3 and 5.5. */
TEST(paper_5_5_a_lost_append_and_a_lost_answer_are_made_up_for)
{
    struct group *g = calm(3);

    elect(g, 1);
    settle(g);
    for (int i = 0; i < 4; i++)
        EXPECT_OK(group_propose(g, group_node(g, 1)));
    group_send_appends(g, group_node(g, 1));
    drop(g, 1, 2);
    EXPECT_OK(group_propose(g, group_node(g, 1)));
    group_send_appends(g, group_node(g, 1)); /* follows what is lost: refused */
    deliver(g, 1, 2);
    deliver(g, 2, 1);
    group_send_appends(g, group_node(g, 1));
    deliver(g, 1, 2);
    group_sync(g, group_node(g, 2));
    EXPECT_STR(log_of(member(g, 2)), "1 1 1 1 1 1");
    drop(g, 2, 1);
    settle(g);
    EXPECT_U64(raft_commit(member(g, 1)), 6);
    EXPECT_U64(raft_commit(member(g, 2)), 6);
    group_destroy(g);
}

TEST(paper_5_5_a_follower_that_was_down_catches_up_when_it_is_back)
{
    struct group *g = calm(3);

    elect(g, 1);
    settle(g);
    group_crash(g, group_node(g, 3));
    for (int i = 0; i < 10; i++) {
        EXPECT_OK(group_propose(g, group_node(g, 1)));
        group_deliver_all(g);
    }
    EXPECT_U64(raft_commit(member(g, 1)), 11);
    group_start(g, group_node(g, 3));
    settle(g);
    EXPECT_U64(raft_commit(member(g, 3)), 11);
    group_destroy(g);
}

/* C-Raft: the term changed between the request and its answer. */
TEST(fact_no_append_is_acknowledged_after_the_term_has_changed_under_it)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear_append(&o, append_after(2, 2, 1, 1), "2 2"));
    EXPECT_OK(hear(&o, vote_request(3, 3, 9, 2))); /* in touch with 2: nothing */
    pass_ms(&o, ELECTION_MS);
    EXPECT_OK(hear(&o, vote_request(3, 3, 9, 2)));
    persist(&o);
    EXPECT_U64(raft_hard(o.raft).term, 3);
    EXPECT(said(&o, RAFT_APPEND_REPLY, 2) == NULL);
    EXPECT(said(&o, RAFT_VOTE_REPLY, 3) != NULL);
    end(&o);
}

TEST(fact_an_append_of_a_term_that_is_over_is_refused_and_leaves_no_trace)
{
    struct one o = one_of(3, "1");
    struct raft_message m = append_after(2, 2, 1, 1);

    m.commit = 2;
    EXPECT_OK(hear(&o, heartbeat(3, 3)));
    EXPECT_OK(hear_append(&o, m, "2"));
    EXPECT(reply_to(&o, 2)->reject);
    EXPECT_STR(log_of(o.raft), "1");
    EXPECT_U64(raft_commit(o.raft), 0);
    EXPECT_U64(raft_leader(o.raft), 3);
    end(&o);
}

/* An answer to a leader that is none any more, or is one again in a later term. */
TEST(fact_answers_to_an_earlier_term_of_the_same_leader_count_for_nothing)
{
    struct one o = one_of(3, "1");

    lead(&o);
    persist(&o);
    EXPECT_OK(hear(&o, heartbeat(3, 3)));
    lead(&o);
    EXPECT_U64(raft_hard(o.raft).term, 4);
    persist(&o);
    EXPECT_OK(
        hear(&o, (struct raft_message){
                     .kind = RAFT_APPEND_REPLY, .from = 2, .term = 2, .index = 3, .hint = 3 }));
    EXPECT_U64(raft_commit(o.raft), 0);
    end(&o);
}

TEST(a_stranger_is_answered_but_does_not_count)
{
    struct one o = one_of(3, "1");

    lead(&o);
    persist(&o);
    ack(&o, 9, 2);
    answer_heartbeat(&o, 9);
    EXPECT_U64(raft_commit(o.raft), 0);
    EXPECT_OK(hear(&o, append_after(9, 1, 0, 0)));
    EXPECT_U64(reply_to(&o, 9)->term, 2);
    end(&o);
}

SUITE(replication, RUN(paper_5_3_figure_7_every_follower_becomes_like_the_leader),
      RUN(paper_5_3_entries_are_taken_only_where_the_logs_meet),
      RUN(paper_5_3_entries_that_conflict_are_replaced_with_all_that_follow_them),
      RUN(paper_5_5_an_old_message_that_repeats_entries_cuts_nothing_off),
      RUN(paper_5_3_a_follower_commits_what_the_leader_has_and_it_is_known_to_match),
      RUN(paper_5_3_a_heartbeat_tells_nobody_of_commits_beyond_what_is_known_of_it),
      RUN(paper_5_5_a_lost_append_and_a_lost_answer_are_made_up_for),
      RUN(paper_5_5_a_follower_that_was_down_catches_up_when_it_is_back),
      RUN(fact_no_append_is_acknowledged_after_the_term_has_changed_under_it),
      RUN(fact_an_append_of_a_term_that_is_over_is_refused_and_leaves_no_trace),
      RUN(fact_answers_to_an_earlier_term_of_the_same_leader_count_for_nothing),
      RUN(a_stranger_is_answered_but_does_not_count))
