/* Tests of cluster/recovery.h.  A log is written as the terms of its entries, first to last: "1122". */
#include "cluster/recovery.h"
#include "unit/test.h"

enum { TABLET = 7, NODES_MAX = 5 };

/* Nodes 1, 2, ... are left; the membership is of five. */
struct scene {
    struct remnant all[NODES_MAX];
    uint64_t ids[NODES_MAX];
    uint32_t count;
    struct raft_config asked;
};

static const struct raft_config five = { .voter_count = 5, .voters = { 1, 2, 3, 4, 5 } };

static struct remnant *
leave(struct scene *s, const char *log, raft_index commit)
{
    struct remnant *m = &s->all[s->count];

    *m = (struct remnant){
        .node = s->count + 1, .tablet = TABLET, .commit = commit, .config = five
    };
    s->asked = five;
    s->ids[s->count++] = m->node;
    for (; *log != '\0'; log++) {
        raft_term term = (raft_term)(*log - '0');

        m->last++;
        if (m->run_count == 0 || m->runs[m->run_count - 1].term != term)
            m->runs[m->run_count++] = (struct raft_run){ m->last, term };
        m->term = term;
    }
    return m;
}

static enum recovery_verdict
judge(const struct scene *s, uint64_t *chosen)
{
    const struct left left = { s->ids, s->count };
    const struct remnant *who = NULL;
    enum recovery_verdict v = recovery_judge(s->all, s->count, &left, &s->asked, &who);

    *chosen = who == NULL ? 0 : who->node;
    return v;
}

static void
expect_chosen(const struct scene *s, uint64_t node)
{
    uint64_t chosen;

    EXPECT_U64(judge(s, &chosen), RECOVERY_STRANDED);
    EXPECT_U64(chosen, node);
}

TEST(of_two_logs_the_longer_one_of_the_same_term_is_chosen)
{
    struct scene s = { 0 };

    leave(&s, "112", 2);
    leave(&s, "1122", 2);
    expect_chosen(&s, 2);
}

TEST(a_log_that_ends_in_a_later_term_is_chosen_though_it_is_shorter)
{
    struct scene s = { 0 };

    leave(&s, "1111", 1);
    leave(&s, "12", 1);
    expect_chosen(&s, 2);
}

TEST(of_two_that_are_the_same_the_one_that_knows_more_is_chosen)
{
    struct scene s = { 0 };

    leave(&s, "112", 1);
    leave(&s, "112", 3);
    expect_chosen(&s, 2);
}

/* The first ends in what a leader of term 2 never got to anybody; the second was told, in term 3, that its entry is
 * committed. */
TEST(the_newest_log_is_not_chosen_when_it_lacks_what_is_known_to_be_committed)
{
    struct scene s = { 0 };

    leave(&s, "112", 2);
    leave(&s, "111", 3)->term = 3;
    expect_chosen(&s, 2);
    EXPECT_U64(recovery_given_up(&s.all[1], &s.all[0]), 1);
}

TEST(a_log_that_is_too_short_to_have_what_is_committed_is_not_chosen)
{
    struct scene s = { 0 };

    leave(&s, "12", 1)->term = 2;
    leave(&s, "111", 3);
    expect_chosen(&s, 2);
}

TEST(a_log_that_begins_after_what_others_have_is_judged_by_its_end)
{
    struct scene s = { 0 };

    leave(&s, "1122", 2);
    s.all[0].base = 2; /* what is before is in its tables */
    s.all[0].base_term = 1;
    s.all[0].runs[0] = (struct raft_run){ 3, 2 };
    s.all[0].run_count = 1;
    leave(&s, "112", 2);
    expect_chosen(&s, 1);
    EXPECT_U64(recovery_given_up(&s.all[0], &s.all[1]), 0);
}

TEST(nobody_is_chosen_where_a_majority_is_left)
{
    struct scene s = { 0 };
    uint64_t chosen;

    leave(&s, "1", 1);
    leave(&s, "1", 1);
    EXPECT_U64(judge(&s, &chosen), RECOVERY_STRANDED);
    leave(&s, "1", 0);
    EXPECT_U64(judge(&s, &chosen), RECOVERY_ELECTS);
}

TEST(of_a_joint_membership_both_majorities_have_to_be_left)
{
    struct scene s = { 0 };
    struct remnant *m = leave(&s, "11", 1);
    uint64_t chosen;

    leave(&s, "1", 1);
    m->config = (struct raft_config){
        .voter_count = 3, .voters = { 1, 2, 8 }, .outgoing_count = 3, .outgoing = { 1, 8, 9 }
    };
    EXPECT_U64(judge(&s, &chosen), RECOVERY_STRANDED);
    m->config.outgoing[1] = 2;
    m->config.outgoing[2] = 8;
    EXPECT_U64(judge(&s, &chosen), RECOVERY_ELECTS);
}

TEST(the_membership_of_the_chosen_one_counts_and_an_older_one_does_not)
{
    struct scene s = { 0 };
    uint64_t chosen;

    leave(&s, "11", 1);
    s.all[0].config = (struct raft_config){ .voter_count = 3, .voters = { 1, 8, 9 } };
    leave(&s, "1", 1);
    s.all[1].config = (struct raft_config){ .voter_count = 3, .voters = { 1, 2, 3 } };
    EXPECT_U64(judge(&s, &chosen), RECOVERY_STRANDED);
    EXPECT_U64(chosen, 1);
}

TEST(where_somebody_leads_nobody_else_is_chosen)
{
    struct scene s = { 0 };
    uint64_t chosen;

    leave(&s, "113", 1);
    leave(&s, "11", 1)->leads = true;
    EXPECT_U64(judge(&s, &chosen), RECOVERY_LED);
    EXPECT_U64(chosen, 2);
}

TEST(what_nobody_has_is_gone_and_what_is_empty_goes_by_its_record)
{
    struct scene s = { 0 };
    uint64_t chosen;

    EXPECT_U64(judge(&s, &chosen), RECOVERY_GONE);
    EXPECT_U64(chosen, 0);
    leave(&s, "", 0);
    s.all[0].config = (struct raft_config){ .voter_count = 1, .voters = { 1 } };
    expect_chosen(&s, 1); /* it would elect itself, by what it believes */
    s.asked = s.all[0].config;
    EXPECT_U64(judge(&s, &chosen), RECOVERY_ELECTS);
}

TEST(the_imposed_term_is_far_above_all_that_are_known)
{
    struct scene s = { 0 };

    leave(&s, "1", 1)->term = 9;
    leave(&s, "12", 1);
    EXPECT_U64(recovery_term(s.all, s.count), 9 + RECOVERY_TERMS_ABOVE);
}

/* ------------------------------------------------------------------ bytes */

TEST(a_remnant_comes_back_from_its_bytes)
{
    struct scene s = { 0 };
    struct remnant *m = leave(&s, "1122444", 3);
    struct buf bytes = buf_empty(REMNANT_BYTES_MAX);
    struct remnant back;
    struct reader r;

    m->leads = true;
    m->config.learner_count = 2;
    m->config.learners[0] = 6;
    m->config.learners[1] = 7;
    EXPECT_OK(remnant_encode(m, &bytes));
    r = reader_of(buf_slice(&bytes));
    EXPECT_OK(remnant_decode(&r, &back));
    EXPECT_U64(reader_left(&r), 0);
    EXPECT(back.leads && back.node == 1 && back.tablet == TABLET && back.commit == 3);
    EXPECT(raft_config_equal(&back.config, &m->config));
    for (raft_index i = 0; i <= 8; i++)
        EXPECT_U64(remnant_term_at(&back, i), remnant_term_at(m, i));
    for (size_t size = 0; size < bytes.size; size++) {
        r = reader_of(slice_of(bytes.data, size));
        EXPECT_ST(remnant_decode(&r, &back), ST_CORRUPT);
    }
    buf_release(&bytes);
}

static void
expect_corrupt(const struct remnant *m)
{
    struct buf bytes = buf_empty(REMNANT_BYTES_MAX);
    struct remnant back;
    struct reader r;

    EXPECT_OK(remnant_encode(m, &bytes));
    r = reader_of(buf_slice(&bytes));
    EXPECT_ST(remnant_decode(&r, &back), ST_CORRUPT);
    buf_release(&bytes);
}

TEST(what_no_log_looks_like_is_refused)
{
    struct scene s = { 0 };
    struct remnant good = *leave(&s, "1122", 2);
    struct remnant bad = good;

    bad.node = 0;
    expect_corrupt(&bad);
    bad = good;
    bad.commit = 5;
    expect_corrupt(&bad);
    bad = good;
    bad.term = 1; /* before its last entry's */
    expect_corrupt(&bad);
    bad = good;
    bad.runs[1].term = 0;
    expect_corrupt(&bad);
    bad = good;
    bad.runs[0].first = 2;
    expect_corrupt(&bad);
    bad = good;
    bad.run_count = 0;
    expect_corrupt(&bad);
    bad = good;
    bad.config.voter_count = 0;
    expect_corrupt(&bad);
    bad = good;
    bad.term = UINT64_MAX; /* nothing would be above it */
    expect_corrupt(&bad);
}

TEST_MAIN(RUN(of_two_logs_the_longer_one_of_the_same_term_is_chosen),
          RUN(a_log_that_ends_in_a_later_term_is_chosen_though_it_is_shorter),
          RUN(of_two_that_are_the_same_the_one_that_knows_more_is_chosen),
          RUN(the_newest_log_is_not_chosen_when_it_lacks_what_is_known_to_be_committed),
          RUN(a_log_that_is_too_short_to_have_what_is_committed_is_not_chosen),
          RUN(a_log_that_begins_after_what_others_have_is_judged_by_its_end),
          RUN(nobody_is_chosen_where_a_majority_is_left),
          RUN(of_a_joint_membership_both_majorities_have_to_be_left),
          RUN(the_membership_of_the_chosen_one_counts_and_an_older_one_does_not),
          RUN(where_somebody_leads_nobody_else_is_chosen),
          RUN(what_nobody_has_is_gone_and_what_is_empty_goes_by_its_record),
          RUN(the_imposed_term_is_far_above_all_that_are_known),
          RUN(a_remnant_comes_back_from_its_bytes), RUN(what_no_log_looks_like_is_refused))
