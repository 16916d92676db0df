/* Promises of raft/raft.h that were once broken, and found so by these tests. */
#include "unit/raft/raft_fixture.h"

/* A lease rests on "who heard of a leader within an election timeout does not vote".  The check is made
 * only for requests of a later term than ours; whoever has come into the term by another way (a refused
 * pre-vote of its own, say) gives its vote in it while the old leader's lease lasts.  The same holds
 * after a restart. */
TEST(a_promise_not_to_vote_outlasts_the_entry_into_a_later_term)
{
    struct raft_options options = options_for(5);
    struct one o;

    options.lease_percent = 90;
    o = one_with(&options, "1");
    pass_ms(&o, 10 * ELECTION_MS);
    EXPECT_OK(hear(&o, heartbeat(2, 1)));
    EXPECT_OK(hear(&o, (struct raft_message){
                           .kind = RAFT_PREVOTE_REPLY, .from = 4, .term = 2, .reject = true }));
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).vote, 0); /* member 2 still holds a lease that counts us */
    end(&o);
}

static void
stand(struct group *g, raft_id id)
{
    EXPECT_OK(group_step(g, group_node(g, id), (struct raft_event){ .kind = RAFT_CAMPAIGN }));
}

static void
talk(struct group *g, raft_id a, raft_id b)
{
    deliver(g, a, b);
    group_sync(g, group_node(g, b));
    deliver(g, b, a);
    group_sync(g, group_node(g, a));
}

/* What comes of it: a stale read under a lease, with honest clocks.  2 and 5 have not heard leader 1
 * for an election timeout, and let 4 stand in term 2; then 2 and 3 hear 1, which has its lease.  2 has
 * asked 5 for a pre-vote, is refused in term 2, enters it, and votes for 4. */
TEST(no_lease_is_held_beside_another_leader)
{
    struct raft_options options;
    struct group *g;
    uint64_t now_ns;

    raft_options_default(&options);
    options.lease_percent = 90;
    g = calm_with(5, 5, &options);
    elect(g, 1);
    settle(g);
    elapse_ms(g, ELECTION_MS + 1);
    stand(g, 4);
    talk(g, 4, 2);
    talk(g, 4, 5);
    EXPECT_U64(raft_role(member(g, 4)), RAFT_CANDIDATE);
    stand(g, 2);
    talk(g, 4, 5);                                 /* its vote */
    EXPECT_OK(group_propose(g, group_node(g, 1))); /* or it would go to sleep */
    group_tick(g, group_node(g, 1), 0);
    talk(g, 1, 2);
    talk(g, 1, 3);
    now_ns = g->now_ns + (uint64_t)group_node(g, 1)->clock_offset_ns;
    EXPECT(lease_holds(member(g, 1), now_ns));
    talk(g, 2, 5); /* the refused pre-vote */
    talk(g, 4, 2); /* the vote of 2 */
    group_send_appends(g, group_node(g, 4));
    talk(g, 4, 2);
    talk(g, 4, 5);
    EXPECT(!lease_holds(member(g, 1), now_ns) || raft_commit(member(g, 1)) == g->committed_last);
    group_destroy(g);
}

TEST(a_promise_made_before_a_restart_holds_in_the_term_of_then)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.lease_percent = 90;
    options.hard.term = 2;
    o = one_with(&options, "1");
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).vote, 0);
    end(&o);
}

/* "The event is refused, and nothing has happened" — but the term has been entered, and a ticket given
 * that a driver who obeys the header never writes: a later report then stands for it. */
TEST(a_corrupt_message_of_a_later_term_changes_nothing)
{
    struct one o = one_of(3, "1 1 1");
    struct raft_message m = append_after(2, 1, 3, 1);

    m.commit = 3;
    EXPECT_OK(hear(&o, m));
    EXPECT_ST(hear_append(&o, append_after(2, 2, 1, 1), "2 2"), ST_CORRUPT);
    EXPECT_U64(raft_hard(o.raft).term, 1);
    EXPECT_U64(o.fx.ticket, 0);
    end(&o);
}

/* Bytes of the network reach an ASSERT: an append that begins before our base and disagrees with it. */
TEST(an_append_that_contradicts_the_base_is_corruption_and_no_assertion)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.base_index = 10;
    options.base_term = options.hard.term = 3;
    o = one_with(&options, "");
    EXPECT_ST(hear_append(&o, append_after(2, 5, 9, 1), "1 4"), ST_CORRUPT); /* taken today */
    EXPECT_ST(hear_append(&o, append_after(2, 5, 9, 1), "1 2"), ST_CORRUPT); /* an ASSERT today */
    end(&o);
}

/* The target is voters 1 2 4 and learner 3: by way of a joint membership the learner gets lost. */
TEST(a_voter_that_becomes_a_learner_by_a_joint_change_is_one_afterwards)
{
    struct one o = one_of(3, "1");
    const struct raft_config target = config_of("1 2 4", "3");

    lead_with_all(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CHANGE, .config = &target }));
    persist(&o);
    for (raft_id id = 2; id <= 4; id++) {
        (void)send_all(&o, id, ENTRY_BYTES);
        ack(&o, id, 3);
    }
    EXPECT(raft_config_equal(raft_config(o.raft), &target));
    end(&o);
}

/* The quiesce heartbeat to 3 is lost.  It asks for pre-votes for ever; those who sleep ignore it, and
 * it knows no leader until there is a proposal. */
TEST(a_member_that_missed_the_good_night_finds_its_leader_again)
{
    struct group *g = calm(3);

    elect(g, 1);
    do {
        group_deliver_all(g);
        group_tick(g, group_node(g, 1), HEARTBEAT_MS);
    } while (!raft_is_quiesced(member(g, 1)));
    drop(g, 1, 3);
    for (int i = 0; i < 20; i++) {
        group_tick(g, group_node(g, 3), 2 * ELECTION_MS);
        settle(g);
    }
    EXPECT_U64(raft_leader(member(g, 3)), 1);
    group_destroy(g);
}

/* A member in PROBE that has everything is never probed, so it never leaves PROBE, and a leader with a
 * member in PROBE does not sleep. */
TEST(a_group_sleeps_again_after_a_member_was_unreachable)
{
    struct group *g = calm(3);

    elect(g, 1);
    settle(g);
    EXPECT_OK(group_step(g, group_node(g, 1),
                         (struct raft_event){ .kind = RAFT_UNREACHABLE, .node = 2 }));
    for (int i = 0; i < 50; i++)
        settle(g);
    EXPECT(raft_is_quiesced(member(g, 1)));
    group_destroy(g);
}

/* The flow of an earlier leader is echoed to the one of now, who may take it for its own: then its
 * window is counted wrongly until the next heartbeat. */
TEST(the_flow_of_an_earlier_leader_is_not_echoed)
{
    struct one o = one_of(3, "1");
    struct raft_message m = append_after(2, 1, 1, 1);

    m.flow = (struct raft_flow){ 50, 5000 };
    EXPECT_OK(hear_append(&o, m, "1"));
    persist(&o);
    EXPECT_OK(hear(&o, heartbeat(3, 2)));
    persist(&o);
    m = append_after(3, 2, 2, 1);
    m.flow = (struct raft_flow){ 1, 100 };
    EXPECT_OK(hear_append(&o, m, "2")); /* not durable yet */
    m = append_after(3, 2, 3, 2);
    m.flow = (struct raft_flow){ 2, 100 };
    EXPECT_OK(hear(&o, m));
    EXPECT(said(&o, RAFT_APPEND_REPLY, 3)->flow.messages <= 2);
    end(&o);
}

/* "heard of within the last election timeout": one tick after the check of the quorum nobody was. */
TEST(a_member_that_was_heard_just_now_is_active)
{
    struct raft_progress_view view;
    struct one o = one_of(3, "1");

    lead_with_all(&o);
    pass_ms(&o, ELECTION_MS);
    answer_heartbeats(&o, 3);
    tick_ms(&o, 0);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    EXPECT_OK(raft_progress_of(o.raft, 2, &view));
    EXPECT(view.active);
    end(&o);
}

/* "our log takes no more: final", but an offer of a later term is given a ticket. */
TEST(a_failed_disk_is_given_nothing_more)
{
    struct one o = one_of(3, "1");
    const struct raft_message m = append_after(2, 4, 9, 3);

    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_DISK_FAILED }));
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_SNAPSHOT_OFFER, .message = &m }));
    EXPECT_U64(o.fx.ticket, 0);
    end(&o);
}

/* Paper, 5.1: whoever leads in an earlier term follows.  An offer is ignored by any leader. */
TEST(a_leader_that_is_offered_a_snapshot_of_a_later_term_follows)
{
    struct one o = one_of(3, "1");
    const struct raft_message m = append_after(2, 7, 9, 6);

    lead_with_all(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_SNAPSHOT_OFFER, .message = &m }));
    EXPECT_U64(raft_hard(o.raft).term, 7);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    end(&o);
}

/* What is no membership is taken from the log without a word; majorities of nobody are then computed. */
TEST(a_membership_that_is_none_is_not_restored)
{
    struct one o = one_of(3, "1");
    const struct raft_config none = { 0 };
    const struct raft_entry e = { .term = 1, .kind = RAFT_CONFIG, .config = &none };

    EXPECT_ST(raft_restore(&o.raft, 2, &e), ST_CORRUPT);
    end(&o);
}

/* A leader tells each member no commit beyond what that has acknowledged.  So a heartbeat that goes
 * beyond the log means that entries were acknowledged and are gone (raft.h: ST_CORRUPT).  Taken as it is,
 * the member stays behind for ever, and counts as one who has them. */
TEST(a_heartbeat_beyond_the_log_says_that_acknowledged_entries_are_gone)
{
    struct raft_message heartbeat = { .kind = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 3 };
    struct raft_event e = { .kind = RAFT_RECEIVE, .message = &heartbeat };
    struct raft_entry entry = { .term = 2, .kind = RAFT_DATA };
    struct raft_options options;
    struct raft_effects fx;
    struct raft *r;

    raft_options_default(&options);
    options.self = 1;
    options.config = (struct raft_config){ .voter_count = 3, .voters = { 1, 2, 3 } };
    options.hard.term = 3;
    EXPECT_OK(raft_create(&r, &options));
    EXPECT_OK(raft_restore(&r, 1, &entry));

    heartbeat.commit = 2;
    EXPECT_ST(raft_step(r, &e, &fx), ST_CORRUPT);
    raft_destroy(r);
}

SUITE(mended, RUN(a_promise_not_to_vote_outlasts_the_entry_into_a_later_term),
      RUN(no_lease_is_held_beside_another_leader),
      RUN(a_promise_made_before_a_restart_holds_in_the_term_of_then),
      RUN(a_corrupt_message_of_a_later_term_changes_nothing),
      RUN(an_append_that_contradicts_the_base_is_corruption_and_no_assertion),
      RUN(a_voter_that_becomes_a_learner_by_a_joint_change_is_one_afterwards),
      RUN(a_member_that_missed_the_good_night_finds_its_leader_again),
      RUN(a_group_sleeps_again_after_a_member_was_unreachable),
      RUN(the_flow_of_an_earlier_leader_is_not_echoed),
      RUN(a_member_that_was_heard_just_now_is_active), RUN(a_failed_disk_is_given_nothing_more),
      RUN(a_leader_that_is_offered_a_snapshot_of_a_later_term_follows),
      RUN(a_membership_that_is_none_is_not_restored),
      RUN(a_heartbeat_beyond_the_log_says_that_acknowledged_entries_are_gone))
