/* The witness believes every history that can be, and none that cannot. */
#include "raft/witness.h"
#include "unit/test.h"

/* Three logs of one group; entries are written as their terms, from index 1. */
struct scene {
    struct witness *w;
    struct raft_run runs[8];
    struct witness_view v;
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
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "13", 1), "cut its log");
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
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 2, "1", 1)); /* it had not been durable */
    s.v.hard.vote = 3;
    s.v.hard_is_durable = true;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "1", 1));
    s.v.life = 2;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "1", 0));
    s.v.life = 3;
    s.v.hard.vote = 0;
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 3, "1", 0), "has forgotten term 3");
}

TEST(a_leader_that_commits_by_an_earlier_term)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "1123", 1));
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "1123", 4));
    EXPECT_OK(see(&s, 2, RAFT_LEADER, 4, "11234", 1));
    expect_says(&s, see(&s, 2, RAFT_LEADER, 4, "11234", 2), "by an entry of an earlier term");
}

TEST(a_leader_that_does_not_commit_what_a_majority_has)
{
    struct scene s;

    setup(&s);
    s.v.quorum = 2;
    s.v.config_index = 2;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "113", 1)); /* of an earlier term */
    s.v.quorum = 3;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "113", 1)); /* by members that are not committed */
    s.v.config_index = 1;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "113", 1), "what a majority has");
}

TEST(a_leader_that_changes_the_members_too_early)
{
    struct scene s;

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 1));
    s.v.config_index = 3;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "133", 1), "before it has committed an entry");

    setup(&s);
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 2));
    s.v.config_index = 3;
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "133", 2));
    s.v.config_index = 4;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "1333", 2), "another change is under way");
}

TEST(a_leader_that_confirms_reads_too_early)
{
    struct scene s;

    setup(&s);
    s.v.confirmed = 7; /* in an earlier term */
    EXPECT_OK(see(&s, 1, RAFT_LEADER, 3, "13", 1));
    s.v.confirmed = 8;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "13", 1), "confirms reads");
}

TEST(a_member_that_installs_a_snapshot_and_does_other_things)
{
    struct scene s;

    setup(&s);
    s.v.installing = true;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 1));
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "13", 1));
    s.v.base = s.v.base_term = 1; /* a compaction */
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 4, "3", 1));
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 4, "33", 1), "changes its log");

    setup(&s);
    s.v.installing = true;
    expect_says(&s, see(&s, 1, RAFT_PRECANDIDATE, 3, "13", 1), "while it installs");
}

TEST(a_member_whose_log_has_failed_and_that_takes_part)
{
    struct scene s;

    setup(&s);
    s.v.disk_failed = true;
    EXPECT_OK(see(&s, 1, RAFT_FOLLOWER, 3, "13", 1));
    expect_says(&s, see(&s, 1, RAFT_FOLLOWER, 4, "13", 1), "votes or enters a term");

    setup(&s);
    s.v.disk_failed = true;
    expect_says(&s, see(&s, 1, RAFT_LEADER, 3, "13", 1), "with a log that has failed");
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

TEST_MAIN(RUN(a_history_that_can_be), RUN(two_leaders_of_one_term),
          RUN(a_term_that_begins_at_two_indices), RUN(a_term_that_begins_after_two_others),
          RUN(a_log_that_begins_before_its_term_does), RUN(a_leader_without_what_is_committed),
          RUN(a_leader_whose_log_is_shorter_than_what_is_committed),
          RUN(what_is_committed_without_a_later_leader), RUN(a_member_that_commits_another_entry),
          RUN(a_member_that_goes_back), RUN(a_leader_that_cuts_its_log),
          RUN(a_member_that_votes_twice), RUN(a_member_that_forgets_in_a_later_life),
          RUN(a_leader_that_commits_by_an_earlier_term),
          RUN(a_leader_that_does_not_commit_what_a_majority_has),
          RUN(a_leader_that_changes_the_members_too_early),
          RUN(a_leader_that_confirms_reads_too_early),
          RUN(a_member_that_installs_a_snapshot_and_does_other_things),
          RUN(a_member_whose_log_has_failed_and_that_takes_part), RUN(what_no_member_looks_like),
          RUN(who_looks_seldom_blames_nobody))
