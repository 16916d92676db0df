/* Reads without the log: thesis, 6.4; leases: 6.4.1. */
#include "unit/raft/raft_fixture.h"

enum { LEASE_PERCENT = 90 };
#define ELECTION_NS ((uint64_t)ELECTION_MS * MS)
#define LEASE_NS    (ELECTION_NS / 100 * LEASE_PERCENT)

static uint64_t
read_round(struct one *o)
{
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_READ }));
    return raft_round(o->raft);
}

static void
answer_round(struct one *o, raft_id from, uint64_t round)
{
    EXPECT_OK(hear(o, (struct raft_message){ .kind = RAFT_HEARTBEAT_REPLY,
                                             .from = from,
                                             .term = raft_hard(o->raft).term,
                                             .round = round }));
}

static bool
confirmed(const struct one *o, uint64_t round)
{
    return raft_confirmed_round(o->raft) >= round;
}

static struct one
leader_with_leases(uint32_t voter_count)
{
    struct raft_options options = options_for(voter_count);
    struct one o;

    options.lease_percent = LEASE_PERCENT;
    o = one_with(&options, "1");
    lead_with_all(&o);
    return o;
}

/* All are asked now; the answers come so much later. */
static void
renew(struct one *o, raft_id from, uint64_t after_ms)
{
    struct raft_message reply = { .kind = RAFT_HEARTBEAT_REPLY, .from = from };

    tick_ms(o, HEARTBEAT_MS);
    reply.sent_ns = said(o, RAFT_HEARTBEAT, from)->sent_ns;
    reply.round = said(o, RAFT_HEARTBEAT, from)->round;
    reply.term = raft_hard(o->raft).term;
    EXPECT_U64(reply.sent_ns, o->now_ns);
    pass_ms(o, after_ms);
    EXPECT_OK(hear(o, reply));
}

/* ------------------------------------------------------------------ rounds */

TEST(thesis_6_4_a_read_waits_until_a_majority_has_answered_its_round)
{
    struct one o = one_of(5, "1");
    uint64_t round;

    lead_with_all(&o);
    round = read_round(&o);
    EXPECT_U64(said_count(&o, RAFT_HEARTBEAT), 4);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 3)->round, round);
    answer_round(&o, 2, round);
    answer_round(&o, 2, round);
    EXPECT(!confirmed(&o, round));
    answer_round(&o, 3, round);
    EXPECT(confirmed(&o, round));
    EXPECT(o.fx.reads_moved);
    end(&o);
}

/* etcd-raft, 2026. */
TEST(fact_an_answer_to_an_earlier_round_confirms_no_later_one)
{
    struct one o = one_of(3, "1");
    uint64_t first, second;

    lead_with_all(&o);
    first = read_round(&o);
    second = read_round(&o);
    EXPECT(second > first);
    answer_round(&o, 2, first);
    EXPECT(confirmed(&o, first));
    EXPECT(!confirmed(&o, second));
    answer_round(&o, 2, first);
    answer_round(&o, 3, first);
    EXPECT(!confirmed(&o, second));
    answer_round(&o, 3, second);
    EXPECT(confirmed(&o, second));
    end(&o);
}

TEST(an_answer_to_a_later_round_confirms_all_before_it)
{
    struct one o = one_of(3, "1");
    uint64_t first, second;

    lead_with_all(&o);
    first = read_round(&o);
    second = read_round(&o);
    answer_round(&o, 3, second);
    EXPECT(confirmed(&o, first) && confirmed(&o, second));
    answer_round(&o, 2, second + 5); /* of a round that there was not */
    EXPECT_U64(raft_confirmed_round(o.raft), second);
    EXPECT(!confirmed(&o, read_round(&o)));
    end(&o);
}

TEST(paper_8_no_read_before_an_entry_of_the_leaders_term_is_committed)
{
    struct one o = one_of(3, "1 1");
    uint64_t round;

    lead(&o);
    persist(&o);
    round = read_round(&o);
    answer_round(&o, 2, round);
    answer_round(&o, 3, round);
    EXPECT(!confirmed(&o, round));
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 3);
    EXPECT(confirmed(&o, round)); /* the answers were not in vain */
    EXPECT(o.fx.reads_moved && o.fx.commit_moved);
    end(&o);
}

TEST(a_round_that_nobody_could_answer_is_asked_again_with_the_first_commit_of_the_term)
{
    struct one o = one_of(3, "1 1");
    uint64_t round;

    lead(&o);
    persist(&o);
    round = read_round(&o); /* lost on those whose term is not durable */
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 3);
    EXPECT(!confirmed(&o, round));
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 2)->round, round);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 3)->round, round);
    answer_round(&o, 2, round);
    EXPECT(confirmed(&o, round));
    end(&o);
}

TEST(nothing_is_asked_again_of_those_who_have_answered_or_later)
{
    struct one o = one_of(3, "1 1");
    uint64_t round;

    lead(&o);
    persist(&o);
    answer_round(&o, 2, read_round(&o));
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 3);
    EXPECT_U64(said_count(&o, RAFT_HEARTBEAT), 0);
    round = read_round(&o);
    propose(&o, ENTRY_BYTES);
    persist(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 4);
    EXPECT(o.fx.commit_moved && !confirmed(&o, round));
    EXPECT_U64(said_count(&o, RAFT_HEARTBEAT), 0);
    end(&o);
}

TEST(answers_from_an_earlier_term_confirm_nothing)
{
    struct one o = one_of(3, "1");
    uint64_t round;

    lead_with_all(&o);
    round = read_round(&o);
    EXPECT_OK(hear(&o, heartbeat(3, 3)));
    lead(&o);
    persist(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, raft_last(o.raft));
    EXPECT_OK(hear(&o, (struct raft_message){
                           .kind = RAFT_HEARTBEAT_REPLY, .from = 2, .term = 2, .round = round }));
    EXPECT(!confirmed(&o, round));
    answer_round(&o, 2, round); /* in this term, to an old round: cannot be */
    EXPECT(!confirmed(&o, raft_round(o.raft)));
    end(&o);
}

TEST(a_lone_voter_asks_nobody)
{
    struct one o = one_of(1, "1");
    uint64_t round;

    lead(&o);
    EXPECT(!confirmed(&o, read_round(&o))); /* not even it knows what is committed yet */
    persist(&o);
    round = read_round(&o);
    EXPECT(confirmed(&o, round));
    EXPECT(o.fx.reads_moved);
    end(&o);
}

TEST(learners_confirm_no_reads)
{
    struct raft_options options = options_for(2);
    struct one o;
    uint64_t round;

    options.config = config_of("1 2", "4 5");
    o = one_with(&options, "1");
    lead_with_all(&o);
    round = read_round(&o);
    answer_round(&o, 4, round);
    answer_round(&o, 5, round);
    EXPECT(!confirmed(&o, round));
    end(&o);
}

/* ------------------------------------------------------------------ leases */

TEST(a_lease_lasts_its_part_of_the_election_timeout_to_the_nanosecond)
{
    struct one o = leader_with_leases(3);
    uint64_t asked_ns;

    renew(&o, 2, 0);
    asked_ns = o.now_ns;
    EXPECT(lease_holds(o.raft, asked_ns));
    EXPECT(lease_holds(o.raft, asked_ns + LEASE_NS - 1));
    EXPECT(!lease_holds(o.raft, asked_ns + LEASE_NS));
    end(&o);
}

/* etcd (Antithesis 2025), Aerospike: a pause longer than the lease. */
TEST(fact_after_a_pause_longer_than_the_lease_nothing_is_read_by_it)
{
    struct one o = leader_with_leases(3);

    renew(&o, 2, 0);
    EXPECT(lease_holds(o.raft, o.now_ns));
    EXPECT(!lease_holds(o.raft, o.now_ns + 27 * UINT64_C(1000000000)));
    pass_ms(&o, 27000);
    answer_heartbeat(&o, 3); /* the answer says when it was asked: */
    EXPECT(lease_holds(o.raft, o.now_ns));
    end(&o);
}

TEST(fact_a_lease_counts_from_when_it_was_asked_not_from_when_it_was_answered)
{
    struct one o = leader_with_leases(3);
    uint64_t asked_ns;

    renew(&o, 2, 200);
    asked_ns = o.now_ns - 200 * (uint64_t)MS;
    EXPECT(lease_holds(o.raft, asked_ns + LEASE_NS - 1));
    EXPECT(!lease_holds(o.raft, asked_ns + LEASE_NS));
    end(&o);
}

TEST(a_lease_needs_a_majority)
{
    struct one o = leader_with_leases(5);

    renew(&o, 2, 0);
    EXPECT(!lease_holds(o.raft, o.now_ns));
    renew(&o, 3, 0);
    EXPECT(lease_holds(o.raft, o.now_ns));
    /* It lasts from when the older of the two was asked. */
    EXPECT(lease_holds(o.raft, o.now_ns - HEARTBEAT_MS * (uint64_t)MS + LEASE_NS - 1));
    EXPECT(!lease_holds(o.raft, o.now_ns - HEARTBEAT_MS * (uint64_t)MS + LEASE_NS));
    end(&o);
}

TEST(without_leases_there_is_none)
{
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    renew(&o, 2, 0);
    EXPECT(!lease_holds(o.raft, o.now_ns));
    end(&o);
}

TEST(no_lease_before_an_entry_of_the_leaders_term_is_committed)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.lease_percent = LEASE_PERCENT;
    o = one_with(&options, "1");
    lead(&o);
    persist(&o);
    renew(&o, 2, 0);
    EXPECT(!lease_holds(o.raft, o.now_ns));
    end(&o);
}

TEST(no_lease_once_somebody_was_told_to_stand)
{
    struct one o = leader_with_leases(3);

    renew(&o, 2, 0);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_TRANSFER, .node = 2 }));
    EXPECT(said(&o, RAFT_TIMEOUT_NOW, 2) != NULL);
    EXPECT(!lease_holds(o.raft, o.now_ns));
    for (int i = 0; i < 20; i++) /* it may be late: for the rest of the term */
        renew(&o, 3, 0);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    EXPECT(!lease_holds(o.raft, o.now_ns));
    end(&o);
}

TEST(who_has_heard_a_leader_votes_for_nobody_until_the_lease_must_be_over)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.lease_percent = LEASE_PERCENT;
    o = one_with(&options, "1");
    pass_ms(&o, 10 * ELECTION_MS);
    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    o.now_ns += ELECTION_NS - 1;
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).term, 1);
    o.now_ns++;
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).vote, 3);
    end(&o);
}

TEST(who_restarts_may_have_heard_a_leader_just_before)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.lease_percent = LEASE_PERCENT;
    o = one_with(&options, "1");
    o.now_ns += ELECTION_NS - 1;
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).term, 1);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    o.now_ns++;
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).vote, 3);
    end(&o);

    options.lease_percent = 0; /* nobody relies on it */
    o = one_with(&options, "1");
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).vote, 3);
    end(&o);
}

TEST(a_new_term_has_a_lease_again_after_a_transfer_in_an_earlier_one)
{
    struct one o = leader_with_leases(3);

    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_TRANSFER, .node = 2 }));
    EXPECT_OK(hear(&o, heartbeat(2, raft_hard(o.raft).term + 1)));
    lead_with_all(&o);
    renew(&o, 2, 0);
    EXPECT(lease_holds(o.raft, o.now_ns));
    end(&o);
}

TEST(a_lease_is_neither_prolonged_by_what_was_never_asked_nor_shortened_by_what_is_old)
{
    struct one o = leader_with_leases(3);
    struct raft_message reply = { .kind = RAFT_HEARTBEAT_REPLY,
                                  .from = 2,
                                  .term = raft_hard(o.raft).term };
    uint64_t asked_ns;

    renew(&o, 2, 0);
    asked_ns = o.now_ns;
    reply.sent_ns = asked_ns + 1000 * (uint64_t)MS; /* of a clock before a restart, say */
    EXPECT_OK(hear(&o, reply));
    EXPECT(!lease_holds(o.raft, asked_ns + LEASE_NS));
    reply.sent_ns = asked_ns - 40 * (uint64_t)MS; /* it was overtaken */
    EXPECT_OK(hear(&o, reply));
    EXPECT(lease_holds(o.raft, asked_ns + LEASE_NS - 1));
    end(&o);
}

TEST(a_leader_that_was_deposed_has_no_lease_left)
{
    struct one o = leader_with_leases(3);

    renew(&o, 2, 0);
    EXPECT(lease_holds(o.raft, o.now_ns));
    EXPECT_OK(hear(&o, heartbeat(3, raft_hard(o.raft).term + 1)));
    EXPECT(!lease_holds(o.raft, o.now_ns));
    end(&o);
}

SUITE(reads_and_leases, RUN(thesis_6_4_a_read_waits_until_a_majority_has_answered_its_round),
      RUN(fact_an_answer_to_an_earlier_round_confirms_no_later_one),
      RUN(an_answer_to_a_later_round_confirms_all_before_it),
      RUN(paper_8_no_read_before_an_entry_of_the_leaders_term_is_committed),
      RUN(a_round_that_nobody_could_answer_is_asked_again_with_the_first_commit_of_the_term),
      RUN(nothing_is_asked_again_of_those_who_have_answered_or_later),
      RUN(answers_from_an_earlier_term_confirm_nothing), RUN(a_lone_voter_asks_nobody),
      RUN(learners_confirm_no_reads),
      RUN(a_lease_lasts_its_part_of_the_election_timeout_to_the_nanosecond),
      RUN(fact_after_a_pause_longer_than_the_lease_nothing_is_read_by_it),
      RUN(fact_a_lease_counts_from_when_it_was_asked_not_from_when_it_was_answered),
      RUN(a_lease_needs_a_majority), RUN(without_leases_there_is_none),
      RUN(no_lease_before_an_entry_of_the_leaders_term_is_committed),
      RUN(no_lease_once_somebody_was_told_to_stand),
      RUN(who_has_heard_a_leader_votes_for_nobody_until_the_lease_must_be_over),
      RUN(who_restarts_may_have_heard_a_leader_just_before),
      RUN(a_new_term_has_a_lease_again_after_a_transfer_in_an_earlier_one),
      RUN(a_lease_is_neither_prolonged_by_what_was_never_asked_nor_shortened_by_what_is_old),
      RUN(a_leader_that_was_deposed_has_no_lease_left))
