/* Commitment: paper, 5.4.2 with figure 8, 5.4.3, and 8. */
#include "unit/raft/raft_fixture.h"

/* Figure 8: S1 leads term 2 and replicates to S2 (a); S5 leads term 3 with votes of S3 and S4, and
 * takes an entry (b); S1 leads term 4 and sends its entry of term 2 to S3, so that a majority has it
 * (c).  S5 could still be elected and overwrite it (d): so it must not be committed. */
static struct group *
figure_8_up_to_c(void)
{
    struct group *g = calm(5);

    set_log(g, 1, "1 2");
    set_log(g, 2, "1 2");
    set_log(g, 3, "1");
    set_log(g, 4, "1");
    set_log(g, 5, "1 3");
    for (raft_id id = 1; id <= 4; id++)
        set_hard(g, id, 3, id == 3 || id == 4 ? 5 : 0);
    cut_off(g, 5);
    campaign(g, 1);
    for (int turn = 0; turn < 3; turn++) {
        for (raft_id id = 2; id <= 4; id++) {
            deliver(g, 1, id);
            group_sync(g, group_node(g, id));
            deliver(g, id, 1);
        }
        group_sync(g, group_node(g, 1));
    }
    EXPECT_U64(raft_role(member(g, 1)), RAFT_LEADER);
    EXPECT_U64(raft_hard(member(g, 1)).term, 4);
    return g;
}

TEST(paper_5_4_2_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting)
{
    struct group *g = figure_8_up_to_c();
    struct raft_append a;

    while (raft_next_append(member(g, 1), &a)) /* the driver sends one entry to each */
        raft_not_sent(member(g, 1), &a);
    for (raft_id id = 2; id <= 3; id++) {
        const struct raft_message m = {
            .kind = RAFT_APPEND_REPLY, .from = id, .to = 1, .term = 4, .index = 2, .hint = 2
        };

        EXPECT_OK(group_step(g, group_node(g, 1),
                             (struct raft_event){ .kind = RAFT_RECEIVE, .message = &m }));
    }
    EXPECT_U64(raft_commit(member(g, 1)), 0); /* 2^2 is on three of five */

    group_crash(g, group_node(g, 1)); /* (d) */
    group_heal(g);
    set_log(g, 3, "1 2");
    set_hard(g, 3, 4, 1);
    campaign(g, 5);
    group_deliver_all(g);
    campaign(g, 5); /* the first attempt has taught it the term */
    group_deliver_all(g);
    EXPECT_U64(raft_role(member(g, 5)), RAFT_LEADER);
    EXPECT_STR(log_of(member(g, 2)), "1 3 5");
    group_destroy(g);
}

TEST(paper_5_4_2_figure_8_an_entry_of_the_leaders_term_commits_those_before_it)
{
    struct group *g = figure_8_up_to_c(); /* (e) */

    settle(g);
    EXPECT_STR(log_of(member(g, 3)), "1 2 4");
    EXPECT_U64(raft_commit(member(g, 1)), 3);
    group_heal(g);
    campaign(g, 5);
    group_deliver_all(g);
    EXPECT_U64(raft_role(member(g, 5)), RAFT_FOLLOWER);
    settle(g);
    EXPECT_STR(log_of(member(g, 5)), "1 2 4");
    group_destroy(g);
}

/* Paper, 8.  Without it, what an earlier leader left would wait for the next client. */
TEST(paper_8_fact_a_leader_begins_its_term_with_an_entry_of_its_own)
{
    struct one o = one_of(3, "1 1");

    lead(&o);
    EXPECT(o.fx.role_changed);
    EXPECT_U64(o.fx.own.kind, RAFT_NOOP);
    EXPECT_U64(o.fx.own.term, 2);
    EXPECT_U64(o.fx.append_first, 3);
    EXPECT_U64(o.fx.append_last, 3);
    EXPECT_STR(log_of(o.raft), "1 1 2");
    persist(&o);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "3-3");
    ack(&o, 2, 3);
    EXPECT_U64(raft_commit(o.raft), 3);
    end(&o);
}

/* C-Raft 0.15: commit stood still for as long as proposals kept coming. */
TEST(fact_commit_follows_the_quorum_while_proposals_keep_coming)
{
    struct one o = one_of(3, "");

    lead_with_all(&o);
    for (raft_index i = 2; i < 100; i++) {
        propose(&o, ENTRY_BYTES);
        propose(&o, ENTRY_BYTES); /* the log is always longer than what they have */
        persist(&o);
        (void)send_all(&o, 2, ENTRY_BYTES);
        ack(&o, 2, i);
        EXPECT_U64(raft_commit(o.raft), i);
    }
    end(&o);
}

TEST(paper_5_3_what_most_have_is_committed_whatever_the_size_of_the_group)
{
    for (uint32_t n = 1; n <= RAFT_VOTERS_MAX; n++) {
        struct one o = one_of(n, "");

        lead(&o);
        persist(&o);
        for (raft_id id = 2; id <= n; id++) {
            EXPECT_U64(raft_commit(o.raft), id - 1 >= n / 2 + 1);
            (void)send_next(&o, id);
            ack(&o, id, 1);
        }
        EXPECT_U64(raft_commit(o.raft), 1);
        end(&o);
    }
}

/* Thesis, 10.2.1: others may be faster than our own disk. */
TEST(thesis_10_2_1_a_leader_counts_itself_only_when_it_is_durable)
{
    struct one o = one_of(3, "");

    lead_with_all(&o);
    propose(&o, ENTRY_BYTES);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 2);
    EXPECT_U64(raft_commit(o.raft), 1);
    persist(&o);
    EXPECT_U64(raft_commit(o.raft), 2);
    end(&o);
}

/* C-Raft: the commit index of a leader went beyond what it had stored. */
TEST(fact_what_others_commit_before_our_disk_has_it_is_not_applied_yet)
{
    struct one o = one_of(3, "");

    lead_with_all(&o);
    propose(&o, ENTRY_BYTES);
    (void)send_all(&o, 2, ENTRY_BYTES);
    (void)send_all(&o, 3, ENTRY_BYTES);
    ack(&o, 2, 2);
    ack(&o, 3, 2);
    EXPECT_U64(raft_commit(o.raft), 2);
    EXPECT_U64(raft_persisted(o.raft), 1);
    EXPECT_U64(raft_applicable(o.raft), 1);
    persist(&o);
    EXPECT_U64(raft_applicable(o.raft), 2);
    end(&o);
}

TEST(paper_5_4_3_committed_entries_are_in_the_log_of_every_later_leader)
{
    struct group *g = calm(5);

    elect(g, 1);
    settle(g);
    g->cut[1][4] = g->cut[1][5] = true;
    EXPECT_OK(group_propose(g, group_node(g, 1)));
    group_deliver_all(g);
    EXPECT_U64(raft_commit(member(g, 1)), 2);
    group_crash(g, group_node(g, 1));
    group_heal(g);
    for (raft_id id = 4; id <= 5; id++) { /* they lack it */
        campaign(g, id);
        group_deliver_all(g);
        EXPECT(raft_role(member(g, id)) != RAFT_LEADER);
    }
    elect(g, 2);
    EXPECT_STR(log_of(member(g, 2)), "1 1 2");
    group_destroy(g);
}

SUITE(commitment,
      RUN(paper_5_4_2_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting),
      RUN(paper_5_4_2_figure_8_an_entry_of_the_leaders_term_commits_those_before_it),
      RUN(paper_8_fact_a_leader_begins_its_term_with_an_entry_of_its_own),
      RUN(fact_commit_follows_the_quorum_while_proposals_keep_coming),
      RUN(paper_5_3_what_most_have_is_committed_whatever_the_size_of_the_group),
      RUN(thesis_10_2_1_a_leader_counts_itself_only_when_it_is_durable),
      RUN(fact_what_others_commit_before_our_disk_has_it_is_not_applied_yet),
      RUN(paper_5_4_3_committed_entries_are_in_the_log_of_every_later_leader))
