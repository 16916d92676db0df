/* Elections: paper, 5.1, 5.2, 5.4.1, 5.6. */
#include "unit/raft/raft_fixture.h"

/* Member 1 of so many, a candidate of term 3 who has asked for votes. */
static struct one
candidate(uint32_t voter_count)
{
    struct one o = one_of(voter_count, "1 2");

    pass_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    for (raft_id id = 2; id <= voter_count / 2 + 1; id++)
        EXPECT_OK(hear(&o, prevote_reply(id, 3, false)));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    persist(&o);
    return o;
}

/* ------------------------------------------------------------------ 5.1 */

TEST(paper_5_1_a_later_term_is_entered_and_an_earlier_one_answered_with_ours)
{
    struct one o = one_of(3, "1 2");

    EXPECT_OK(hear(&o, heartbeat(2, 5)));
    EXPECT_U64(raft_hard(o.raft).term, 5);
    EXPECT_OK(hear(&o, append_after(3, 4, 2, 2)));
    EXPECT_U64(raft_hard(o.raft).term, 5);
    EXPECT_U64(raft_leader(o.raft), 2);
    EXPECT(said(&o, RAFT_APPEND_REPLY, 3)->reject);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->term, 5);
    EXPECT_OK(hear(&o, heartbeat(3, 4)));
    EXPECT_U64(o.fx.messages[0].term, 5);
    EXPECT_U64(raft_leader(o.raft), 2);
    EXPECT_OK(hear(&o, prevote_request(3, 4, 9, 4)));
    EXPECT(said(&o, RAFT_PREVOTE_REPLY, 3)->reject);
    EXPECT_U64(said(&o, RAFT_PREVOTE_REPLY, 3)->term, 5);
    end(&o);
}

TEST(paper_5_1_a_leader_that_hears_of_a_later_term_follows)
{
    struct one o = one_of(3, "1");

    lead(&o);
    EXPECT_OK(hear(&o, (struct raft_message){
                           .kind = RAFT_APPEND_REPLY, .from = 2, .term = 7, .reject = true }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_hard(o.raft).term, 7);
    EXPECT_U64(raft_hard(o.raft).vote, 0);
    EXPECT_U64(raft_leader(o.raft), 0);
    EXPECT(o.fx.hard_changed && o.fx.role_changed);
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE }), ST_NOT_LEADER);
    end(&o);
}

TEST(paper_5_1_a_request_of_an_earlier_term_gets_no_vote)
{
    struct one o = one_of(3, "1 4");

    EXPECT(!votes_for(&o, vote_request(2, 3, 9, 3)));
    EXPECT_U64(raft_hard(o.raft).term, 4);
    end(&o);
}

/* ------------------------------------------------------------------ 5.2 */

TEST(paper_5_2_a_follower_that_hears_nothing_stands_and_asks_everyone)
{
    struct one o = one_of(3, "1 2");

    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT_U64(said_count(&o, RAFT_PREVOTE), 2);
    EXPECT_OK(hear(&o, prevote_reply(2, 3, false)));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    EXPECT_U64(raft_hard(o.raft).term, 3);
    EXPECT_U64(raft_hard(o.raft).vote, 1);
    persist(&o);
    EXPECT_U64(said_count(&o, RAFT_VOTE), 2);
    EXPECT_U64(said(&o, RAFT_VOTE, 3)->index, 2);
    EXPECT_U64(said(&o, RAFT_VOTE, 3)->log_term, 2);
    EXPECT_OK(hear(&o, vote_reply(3, 3, false)));
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    end(&o);
}

/* Votes of half of an even number are no majority; nor is one vote told twice. */
TEST(paper_5_2_it_takes_a_majority_to_win)
{
    for (uint32_t n = 2; n <= RAFT_VOTERS_MAX; n++) {
        struct one o = candidate(n);

        for (uint32_t granted = 1; granted < n / 2 + 1; granted++) {
            EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
            EXPECT_OK(hear(&o, vote_reply(granted + 1, 3, false)));
            if (granted < n / 2)
                EXPECT_OK(hear(&o, vote_reply(granted + 1, 3, false)));
        }
        EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
        end(&o);
    }
}

TEST(paper_5_2_a_lone_voter_elects_itself_once_its_vote_is_durable)
{
    struct one o = one_of(1, "");

    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    persist(&o);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    persist(&o);
    EXPECT_U64(raft_commit(o.raft), 1);
    end(&o);
}

TEST(paper_5_2_votes_of_another_term_are_not_counted)
{
    struct one o = candidate(5);

    EXPECT_OK(hear(&o, vote_reply(2, 2, false)));
    EXPECT_OK(hear(&o, vote_reply(3, 2, false)));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
    end(&o);
}

TEST(paper_5_2_a_candidate_gives_way_to_the_leader_of_its_term)
{
    struct one o = candidate(3);

    EXPECT_OK(hear(&o, heartbeat(3, 2)));
    EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE); /* to one of an earlier term it does not */
    EXPECT_OK(hear_append(&o, append_after(3, 3, 2, 2), "3"));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_leader(o.raft), 3);
    EXPECT_U64(raft_hard(o.raft).vote, 1); /* and has still voted */
    end(&o);
}

TEST(paper_5_2_in_one_term_the_first_who_asks_gets_the_vote)
{
    struct one o = one_of(5, "1 2");

    EXPECT(votes_for(&o, vote_request(2, 3, 2, 2)));
    EXPECT(!votes_for(&o, vote_request(3, 3, 9, 2)));
    EXPECT(votes_for(&o, vote_request(2, 3, 2, 2))); /* its reply may have been lost */
    EXPECT_U64(raft_hard(o.raft).vote, 2);
    EXPECT(votes_for(&o, vote_request(3, 4, 2, 2))); /* a new term, a new vote */
    end(&o);
}

TEST(paper_5_2_who_has_voted_for_itself_votes_for_nobody_else)
{
    struct one o = candidate(3);

    EXPECT(!votes_for(&o, vote_request(2, 3, 9, 2)));
    end(&o);
}

TEST(paper_5_2_a_split_vote_elects_nobody_and_the_next_timeout_tries_again)
{
    struct one o = candidate(3);

    EXPECT_OK(hear(&o, vote_reply(2, 3, true)));
    EXPECT_OK(hear(&o, vote_reply(3, 3, true)));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_hard(o.raft).term, 3);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT_U64(said(&o, RAFT_PREVOTE, 2)->term, 4);
    end(&o);
}

/* ------------------------------------------------------------------ 5.4.1 */

TEST(paper_5_4_1_only_a_log_at_least_as_new_as_ours_gets_the_vote)
{
    static const struct {
        const char *ours;
        raft_index last;
        raft_term last_term;
        bool granted;
    } rows[] = {
        { "1 1 2", 3, 2, true },  { "1 1 2", 4, 2, true }, { "1 1 2", 2, 2, false },
        { "1 1 2", 9, 1, false }, { "1 1 2", 1, 3, true }, { "1 1 2", 0, 0, false },
        { "", 0, 0, true },       { "3", 1, 3, true },     { "3", 5, 2, false },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct one o = one_of(3, rows[i].ours);

        EXPECT_U64(votes_for(&o, vote_request(2, 5, rows[i].last, rows[i].last_term)),
                   rows[i].granted);
        EXPECT_U64(raft_hard(o.raft).term, 5); /* the term is entered all the same */
        EXPECT_OK(hear(&o, prevote_request(3, 6, rows[i].last, rows[i].last_term)));
        EXPECT_U64(!said(&o, RAFT_PREVOTE_REPLY, 3)->reject, rows[i].granted);
        end(&o);
    }
}

TEST(paper_5_4_1_a_member_whose_log_is_behind_cannot_win_however_often_it_tries)
{
    struct group *g = calm(3);

    set_log(g, 1, "1 1 2");
    set_log(g, 2, "1 1 2");
    set_log(g, 3, "1 1");
    for (int attempt = 0; attempt < 5; attempt++) {
        campaign(g, 3);
        group_deliver_all(g);
        EXPECT_U64(raft_role(member(g, 3)), RAFT_FOLLOWER);
    }
    elect(g, 1);
    group_destroy(g);
}

/* ------------------------------------------------------------------ 5.6 */

TEST(paper_5_6_the_timeout_is_what_the_dice_say_to_the_nanosecond)
{
    static const uint64_t dice[] = { 0, 1, 149999999, 299999999, 300000000, 4294967295 };

    for (size_t i = 0; i < sizeof(dice) / sizeof(dice[0]); i++) {
        struct raft_options options = options_for(3);
        uint64_t timeout = options.election_ns + dice[i] % options.election_ns;
        struct one o;

        options.dice = (uint32_t)dice[i];
        o = one_with(&options, "1");
        o.now_ns = options.now_ns + timeout - 1;
        tick_ms(&o, 0);
        EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
        o.now_ns++;
        tick_ms(&o, 0);
        EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
        end(&o);
    }
}

TEST(paper_5_6_a_heartbeat_puts_the_election_off)
{
    struct one o = one_of(3, "1");

    for (int i = 0; i < 20; i++) {
        pass_ms(&o, ELECTION_MS - 1);
        EXPECT_OK(hear(&o, heartbeat(2, 1)));
        tick_ms(&o, 0);
        EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    }
    tick_ms(&o, ELECTION_MS - 1);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    tick_ms(&o, 1);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    end(&o);
}

TEST(paper_5_6_a_leader_is_heard_several_times_within_an_election_timeout)
{
    struct one o = one_of(3, "1");
    uint32_t heard = 0;

    lead_with_all(&o);
    for (int ms = 0; ms < ELECTION_MS; ms++) {
        tick_ms(&o, 1);
        heard += said(&o, RAFT_HEARTBEAT, 2) != NULL;
    }
    EXPECT_U64(heard, ELECTION_MS / HEARTBEAT_MS);
    end(&o);
}

/* ------------------------------------------------------------------ timeouts */

/* Paper, 5.2: "without receiving AppendEntries or granting vote". */
TEST(paper_5_2_who_gives_its_vote_waits_a_whole_timeout_for_the_leader)
{
    struct one o = one_of(3, "1");

    pass_ms(&o, ELECTION_MS - 1);
    EXPECT(votes_for(&o, vote_request(2, 2, 1, 1)));
    tick_ms(&o, ELECTION_MS - 1);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    tick_ms(&o, 1);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    end(&o);
}

TEST(who_stands_knows_no_leader_and_gives_each_attempt_a_whole_timeout)
{
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    pass_ms(&o, ELECTION_MS);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT_U64(raft_leader(o.raft), 0);
    EXPECT(o.fx.role_changed);
    tick_ms(&o, ELECTION_MS - 1);
    EXPECT_U64(said_count(&o, RAFT_PREVOTE), 0);
    tick_ms(&o, 1);
    EXPECT_U64(said_count(&o, RAFT_PREVOTE), 2);
    end(&o);
}

/* A candidate whose vote does not become durable, as the disk is slow: it waits longer each time, but not for ever; and
 * as before when there was a leader. */
TEST(terms_in_vain_make_patient)
{
    static const int patience[] = { 1, 2, 4, 8, 8 };
    struct one o = one_of(3, "1");

    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    pass_ms(&o, ELECTION_MS);
    for (size_t i = 0; i < sizeof(patience) / sizeof(patience[0]); i++) {
        raft_term term = 2 + i;

        EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
        EXPECT_OK(
            hear(&o, (struct raft_message){ .kind = RAFT_PREVOTE_REPLY, .from = 2, .term = term }));
        EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
        EXPECT_U64(raft_hard(o.raft).term, term);
        tick_ms(&o, patience[i] * ELECTION_MS - 1);
        EXPECT_U64(raft_role(o.raft), RAFT_CANDIDATE);
        tick_ms(&o, 1);
        EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    }
    EXPECT_OK(hear(&o, heartbeat(2, raft_hard(o.raft).term)));
    tick_ms(&o, ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    end(&o);
}

TEST(paper_5_6_each_tick_brings_the_dice_for_the_timeout_after_it)
{
    struct one o = one_of(3, "1");

    o.dice = 100 * MS;
    tick_ms(&o, 1);
    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    tick_ms(&o, ELECTION_MS + 99);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    o.dice = 7 * MS;
    tick_ms(&o, 1);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    tick_ms(&o, ELECTION_MS + 6);
    EXPECT_U64(said_count(&o, RAFT_PREVOTE), 0);
    tick_ms(&o, 1);
    EXPECT_U64(said_count(&o, RAFT_PREVOTE), 2);
    end(&o);
}

/* R11: an earlier life had acknowledged up to (4, 7); this one has nothing yet. */
TEST(who_has_given_up_its_log_votes_and_stands_as_if_it_had_it)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.lost_term = 4;
    options.lost_index = 7;
    options.hard.term = 4;
    o = one_with(&options, "");
    EXPECT(!votes_for(&o, vote_request(2, 5, 6, 4)));
    EXPECT(!votes_for(&o, vote_request(2, 6, 90, 3)));
    EXPECT(votes_for(&o, vote_request(2, 7, 7, 4)));
    EXPECT(votes_for(&o, vote_request(2, 8, 2, 5)));
    tick_ms(&o, 10 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_OK(hear_append(&o, append_after(2, 8, 0, 0), "1 1 4 4 4 4 4"));
    persist(&o);
    tick_ms(&o, 10 * ELECTION_MS);
    tick_ms(&o, 10 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    end(&o);
}

SUITE(elections, RUN(paper_5_1_a_later_term_is_entered_and_an_earlier_one_answered_with_ours),
      RUN(paper_5_1_a_leader_that_hears_of_a_later_term_follows),
      RUN(paper_5_1_a_request_of_an_earlier_term_gets_no_vote),
      RUN(paper_5_2_a_follower_that_hears_nothing_stands_and_asks_everyone),
      RUN(paper_5_2_it_takes_a_majority_to_win),
      RUN(paper_5_2_a_lone_voter_elects_itself_once_its_vote_is_durable),
      RUN(paper_5_2_votes_of_another_term_are_not_counted),
      RUN(paper_5_2_a_candidate_gives_way_to_the_leader_of_its_term),
      RUN(paper_5_2_in_one_term_the_first_who_asks_gets_the_vote),
      RUN(paper_5_2_who_has_voted_for_itself_votes_for_nobody_else),
      RUN(paper_5_2_a_split_vote_elects_nobody_and_the_next_timeout_tries_again),
      RUN(paper_5_4_1_only_a_log_at_least_as_new_as_ours_gets_the_vote),
      RUN(paper_5_4_1_a_member_whose_log_is_behind_cannot_win_however_often_it_tries),
      RUN(paper_5_6_the_timeout_is_what_the_dice_say_to_the_nanosecond),
      RUN(paper_5_6_a_heartbeat_puts_the_election_off),
      RUN(paper_5_6_a_leader_is_heard_several_times_within_an_election_timeout),
      RUN(paper_5_2_who_gives_its_vote_waits_a_whole_timeout_for_the_leader),
      RUN(who_stands_knows_no_leader_and_gives_each_attempt_a_whole_timeout),
      RUN(terms_in_vain_make_patient),
      RUN(paper_5_6_each_tick_brings_the_dice_for_the_timeout_after_it),
      RUN(who_has_given_up_its_log_votes_and_stands_as_if_it_had_it))
