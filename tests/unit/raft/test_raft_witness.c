/* The witness believes every history that can be, and none that cannot. */
#include "raft/witness.h"
#include "unit/test.h"

/* Three logs of one group; entries are written as their terms, from index 1. */
struct scene {
    struct witness *w;
    struct raft_run runs[8];
    struct witness_view v;
    raft_index quorum; /* of whoever leads; 0: what is committed, and no more */
    struct err err;
};

static void
setup(struct scene *s)
{
    *s = (struct scene){ .w = witness_create() };
    EXPECT(s->w != NULL);
}

/* The log is a string of terms, "1122": four entries; after a base, when the scene has one. */
static void
set_log(struct scene *s, const char *terms)
{
    s->v.runs = s->runs;
    s->v.run_count = 0;
    s->v.last = s->v.base;
    for (; *terms != '\0'; terms++) {
        raft_term term = (raft_term)(*terms - '0');

        s->v.last++;
        if (s->v.run_count == 0 || s->runs[s->v.run_count - 1].term != term)
            s->runs[s->v.run_count++] = (struct raft_run){ s->v.last, term };
    }
}

static enum status
see(struct scene *s, raft_id member, enum raft_role role, raft_term term, const char *log,
    raft_index commit)
{
    s->v.member = member;
    s->v.role = role;
    s->v.hard.term = term;
    s->v.commit = commit;
    s->v.quorum = s->quorum != 0 ? s->quorum : commit;
    set_log(s, log);
    return witness_see(s->w, &s->v, &s->err);
}

static void
expect_says(struct scene *s, enum status st, const char *words)
{
    EXPECT_ST(st, ST_CORRUPT);
    if (strstr(s->err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", s->err.text, words);
    witness_destroy(s->w);
}

TEST(a_history_that_can_be)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "1", 0));
    EXPECT_OK(see(&s, 2, RAFT_FOLLOWER, 1, "1", 0));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "111", 1));
    EXPECT_OK(see(&s, 3, RAFT_LEADER, 2, "12", 0)); /* without what is not committed */
    EXPECT_OK(see(&s, 2, RAFT_FOLLOWER, 2, "12", 2));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "1111", 1)); /* it knows nothing of it yet */
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 2, "12", 2)); /* and is cut */
    s.v.life = 1;
    EXPECT_OK(see(&s, 2, RAFT_FOLLOWER, 2, "12", 0)); /* a new life knows no commit index */
    s.v.base = 2;
    s.v.base_term = 2;
    EXPECT_OK(see(&s, 2, RAFT_LEADER, 3, "23", 2)); /* a log that begins in the middle of a term */
    EXPECT_U64(witness_elections(s.w), 3);
    witness_destroy(s.w);
}

TEST(two_leaders_of_one_term)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 4, "4", 0));
    expect_says(&s, see(&s, 2, RAFT_LEADER, 4, "4", 0), "election safety");
}

TEST(a_term_that_begins_at_two_indices)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 2, "112", 0));
    expect_says(&s, see(&s, 2, RAFT_FOLLOWER, 2, "12", 0), "log matching");
}

TEST(a_term_that_begins_after_two_others)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "113", 0));
    expect_says(&s, see(&s, 2, RAFT_FOLLOWER, 3, "123", 0), "log matching");
}

TEST(a_log_that_begins_before_its_term_does)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "1133", 0));
    s.v.base = 1;
    s.v.base_term = 3;
    expect_says(&s, see(&s, 2, RAFT_FOLLOWER, 3, "3", 1), "log matching");
}

TEST(a_leader_without_what_is_committed)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "111", 2));
    expect_says(&s, see(&s, 2, RAFT_LEADER, 2, "12", 0), "leader completeness");
}

TEST(a_leader_whose_log_is_shorter_than_what_is_committed)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "1111", 4));
    expect_says(&s, see(&s, 2, RAFT_LEADER, 2, "12", 0), "leader completeness");
}

/* Seen the other way round: first the leader, then that it lacks what was committed before. */
TEST(what_is_committed_without_a_later_leader)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "111", 1));
    EXPECT_OK(see(&s, 2, RAFT_LEADER, 2, "12", 0));
    expect_says(&s, see(&s, 1, RAFT_LEADER, 1, "111", 2), "leader completeness");
}

TEST(a_member_that_commits_another_entry)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 2));
    expect_says(&s, see(&s, 2, RAFT_FOLLOWER, 3, "12", 2), "state machine safety");
}

TEST(a_member_that_goes_back)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 2));
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 2, "1", 1), "went back from term");

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 2));
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 3, "13", 1), "went back from commit index");
}

TEST(a_leader_that_cuts_its_log)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "133", 1));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 5, "15", 1)); /* in between somebody else has led */
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 5, "155", 1));
    expect_says(&s, see(&s, 1, RAFT_LEADER, 5, "15", 1), "cut its log");
}

TEST(a_member_that_votes_twice)
{
    struct scene s;

    setup(&s);
    s.v.hard.vote = 2;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 1));
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 1));
    s.v.hard.vote = 3;
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 3, "13", 1), "voted for 2 and then for 3");
}

TEST(a_member_that_forgets_in_a_later_life)
{
    struct scene s;

    setup(&s);
    s.v.hard.vote = 2;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 1));
    s.v.life = 1;
    s.v.hard.vote = 0;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 2, "1", 1)); /* none of it had been durable */
    s.v.hard = (struct raft_hard){ .vote = 3 };
    s.v.hard_is_durable = true;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "1", 1));
    s.v.hard_is_durable = false;
    s.v.hard.vote = 0;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "1", 1));
    s.v.life = 2;
    s.v.hard.vote = 3;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "1", 0)); /* as it was durable last */
    s.v.life = 3;
    s.v.hard.vote = 0;
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 3, "1", 0), "has forgotten term 3 or its vote for 3");

    setup(&s);
    s.v.hard_is_durable = true;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "1", 1));
    s.v.life = 1;
    s.v.hard.vote = 2;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "1", 0)); /* it had no vote yet */
    s.v.life = 2;
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 2, "1", 0), "has forgotten term 3");
}

TEST(a_member_that_does_not_wait_for_its_snapshot)
{
    struct scene s;

    setup(&s);
    s.v.installing = 7;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "113", 2));
    s.v.base = 1;
    s.v.base_term = 1;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "13", 2)); /* the same log, which begins later */
    s.v.base = 3;
    s.v.base_term = 3;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "", 3));
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 4, "3", 3), "changed its log");

    setup(&s);
    s.v.installing = 7;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "13", 1));
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 4, "14", 1), "changed its log");

    setup(&s);
    s.v.installing = 7;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "13", 1));
    s.v.installing = 8;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "134", 1)); /* another one: that one came to nothing */
    s.v.installing = 0;
    EXPECT_OK(see(&s, 1, RAFT_PRECANDIDATE, 4, "134", 1));
    s.v.installing = 9;
    expect_says(&s, see(&s, 1, RAFT_PRECANDIDATE, 4, "134", 1), "installs a snapshot");
}

TEST(a_member_that_takes_part_without_a_log)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 1));
    s.v.disk_failed = true;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "13", 1)); /* it failed in the new term */
    s.v.hard.vote = 2;
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 4, "13", 1), "with a log that has failed");

    setup(&s);
    s.v.disk_failed = true;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 1));
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 4, "13", 1), "with a log that has failed");

    setup(&s);
    s.v.disk_failed = true;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "13", 1), "has a log that has failed");
}

TEST(a_leader_that_commits_by_an_earlier_term)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "112", 1));
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "112", 2)); /* as its leader says */
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 4, "1124", 2));
    s.quorum = 3;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 4, "1124", 2)); /* known, and no reason to commit */
    expect_says(&s, see(&s, 1, RAFT_LEADER, 4, "1124", 3), "of an earlier term");

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 4, "1124", 2));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 4, "1124", 4)); /* with one of its own, all before */
    s.v.base = 4;
    s.v.base_term = 4;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 4, "4", 5));
    witness_destroy(s.w);
}

TEST(a_leader_that_commits_what_no_majority_has)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "133", 1));
    s.quorum = 2;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "133", 3), "no majority is known to have");

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "133", 2));
    s.quorum = 2;
    s.v.config = 4;
    EXPECT_OK(
        see(&s, 1, RAFT_LEADER, 3, "1333", 3)); /* by the members before, of whom more had it */
    witness_destroy(s.w);
}

TEST(a_leader_that_does_not_commit_what_a_majority_has)
{
    struct scene s;

    setup(&s);
    s.quorum = 3;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "1113", 2)); /* of an earlier term */
    s.quorum = 4;
    EXPECT_OK(see(&s, 2, RAFT_FOLLOWER, 3, "1113", 2)); /* who does not lead */
    s.v.config = 3;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "1113", 2)); /* of members who are not committed */
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "11133", 4));
    s.quorum = 5;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "11133", 4), "what a majority has");
}

TEST(a_leader_that_changes_the_members_too_early)
{
    struct scene s;

    setup(&s);
    s.v.config = 1;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 0)); /* it has found that change in its log */
    s.v.config = 3;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "133", 1), "before an entry of its term");

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 2));
    s.v.config = 3;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "133", 2));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "1333", 3));
    s.v.config = 5;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13333", 4));
    s.v.config = 6;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "133333", 4), "while another change");
}

TEST(a_leader_that_confirms_reads_too_early)
{
    struct scene s;

    setup(&s);
    s.v.confirmed = 7; /* in an earlier term */
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 2, "1", 1));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 1));
    s.v.confirmed = 8;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "13", 1), "confirmed reads");

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 1));
    s.v.confirmed = 8;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 2));
    witness_destroy(s.w);
}

TEST(a_leader_that_nobody_hears)
{
    struct scene s;

    setup(&s);
    s.v.checked_ns = 300;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 1));
    s.v.heard_ns = 300;
    s.v.checked_ns = 600;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 1));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "133", 1)); /* until the next time that it makes sure */
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "133", 1));
    s.v.checked_ns = 900;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 4, "1334", 1)); /* elected again */
    s.v.checked_ns = 1200;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 4, "1334", 1), "has not heard a majority");
}

/* It made sure of the majority of those who were members then. */
TEST(a_leader_whose_members_are_others_by_now)
{
    struct scene s;

    setup(&s);
    s.v.config = 1;
    s.v.checked_ns = 300;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "133", 2));
    s.v.checked_ns = 600;
    s.v.config = 4;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "1333", 2));
    s.v.checked_ns = 900;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "1333", 2), "has not heard a majority");
}

TEST(what_no_member_looks_like)
{
    struct scene s;

    setup(&s);
    EXPECT_ST(see(&s, 1, RAFT_FOLLOWER, 3, "13", 3), ST_INVALID); /* beyond its log */
    EXPECT_ST(see(&s, 1, RAFT_FOLLOWER, 3, "31", 1), ST_INVALID); /* terms run backwards */
    EXPECT_ST(see(&s, 1, RAFT_FOLLOWER, 2, "13", 1), ST_INVALID); /* of a term to come */
    EXPECT_ST(see(&s, 0, RAFT_FOLLOWER, 3, "13", 1), ST_INVALID); /* nobody */
    set_log(&s, "13");
    s.runs[0].first = 2; /* a hole */
    s.v.member = 1;
    EXPECT_ST(witness_see(s.w, &s.v, &s.err), ST_INVALID);
    witness_destroy(s.w);
}

/* A base beyond what was seen committed: what lies between is not known, and nobody is blamed. */
TEST(who_looks_seldom_blames_nobody)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "11", 1));
    s.v.base = 5;
    s.v.base_term = 2;
    EXPECT_OK(see(&s, 2, RAFT_LEADER, 3, "23", 7));
    s.v.base = 0;
    s.v.base_term = 0;
    EXPECT_OK(see(&s, 3, RAFT_FOLLOWER, 3, "112", 3));
    expect_says(&s, see(&s, 3, RAFT_FOLLOWER, 4, "1112223", 7), "log matching");
}

TEST(an_order_without_which_it_would_be_a_loss)
{
    for (int ordered = 0; ordered <= 1; ordered++) {
        struct scene s;

        setup(&s);
        EXPECT_OK(see(&s, 1, RAFT_LEADER, 1, "1111", 4));
        s.v.imposed = ordered ? 3 : 0;
        if (!ordered) {
            expect_says(&s, see(&s, 2, RAFT_LEADER, 3, "113", 0), "leader completeness");
            continue;
        }
        EXPECT_OK(see(&s, 2, RAFT_LEADER, 3, "113", 3));
        s.v.imposed = 0;
        EXPECT_OK(see(&s, 3, RAFT_FOLLOWER, 3, "113", 3));
        expect_says(&s, see(&s, 4, RAFT_FOLLOWER, 3, "1111", 4), "state machine safety");
    }
}

TEST_MAIN(RUN(a_history_that_can_be), RUN(two_leaders_of_one_term),
          RUN(a_term_that_begins_at_two_indices), RUN(a_term_that_begins_after_two_others),
          RUN(a_log_that_begins_before_its_term_does), RUN(a_leader_without_what_is_committed),
          RUN(a_leader_whose_log_is_shorter_than_what_is_committed),
          RUN(what_is_committed_without_a_later_leader), RUN(a_member_that_commits_another_entry),
          RUN(a_member_that_goes_back), RUN(a_leader_that_cuts_its_log),
          RUN(a_member_that_votes_twice), RUN(a_member_that_forgets_in_a_later_life),
          RUN(a_member_that_does_not_wait_for_its_snapshot),
          RUN(a_member_that_takes_part_without_a_log),
          RUN(a_leader_that_commits_by_an_earlier_term),
          RUN(a_leader_that_commits_what_no_majority_has),
          RUN(a_leader_that_does_not_commit_what_a_majority_has),
          RUN(a_leader_that_changes_the_members_too_early),
          RUN(a_leader_that_confirms_reads_too_early), RUN(a_leader_that_nobody_hears),
          RUN(a_leader_whose_members_are_others_by_now), RUN(what_no_member_looks_like),
          RUN(who_looks_seldom_blames_nobody), RUN(an_order_without_which_it_would_be_a_loss))
