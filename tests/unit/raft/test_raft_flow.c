/* Sending entries: windows, probes, and what is lost on the way. */
#include "unit/raft/raft_fixture.h"

static struct one
leader_with(uint32_t window_messages, uint64_t window_bytes, uint64_t message_bytes)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.window_messages = window_messages;
    options.window_bytes = window_bytes;
    options.message_bytes = message_bytes;
    o = one_with(&options, "");
    lead_with_all(&o);
    (void)send_all(&o, 2, 0); /* what is committed is told to all */
    return o;
}

static void
propose_many(struct one *o, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        propose(o, ENTRY_BYTES);
    persist(o);
}

static struct raft_progress_view
progress(const struct one *o, raft_id id)
{
    struct raft_progress_view view = { 0 };

    EXPECT_OK(raft_progress_of(o->raft, id, &view));
    return view;
}

/* As ack(), with what it has received of the flow. */
static void
ack_flow(struct one *o, raft_id from, raft_index index, struct raft_flow flow)
{
    EXPECT_OK(hear(o, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                             .from = from,
                                             .term = raft_hard(o->raft).term,
                                             .index = index,
                                             .hint = index,
                                             .flow = flow }));
}

TEST(appends_follow_each_other_without_waiting_up_to_the_window_of_messages)
{
    struct one o = leader_with(3, 1 << 20, ENTRY_BYTES);

    propose_many(&o, 10);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-2 3-3 4-4");
    ack_flow(&o, 2, 2,
             (struct raft_flow){ 2, ENTRY_BYTES }); /* the first entry of the term was one */
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "5-5");
    ack_flow(&o, 2, 5, (struct raft_flow){ 5, 4 * ENTRY_BYTES });
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "6-6 7-7 8-8");
    end(&o);
}

TEST(appends_follow_each_other_up_to_the_window_of_bytes)
{
    struct one o = leader_with(64, 4 * ENTRY_BYTES, 3 * ENTRY_BYTES);

    propose_many(&o, 10);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-4 5-5");
    end(&o);
}

TEST(one_entry_larger_than_the_window_is_sent_alone)
{
    struct one o = leader_with(64, 1000, 500);
    struct raft_append a;

    propose_many(&o, 3);
    EXPECT_STR(send_all(&o, 2, 5000), "2-2"); /* then the window is full, and overfull */
    ack_flow(&o, 2, 2, (struct raft_flow){ 2, 5000 + ENTRY_BYTES });
    a = send_next(&o, 2);
    EXPECT_U64(a.first, 3);
    EXPECT_U64(a.bytes_max, 500);
    end(&o);
}

TEST(what_a_message_may_hold_is_said_and_the_flow_counts_it)
{
    struct one o = leader_with(64, 1 << 20, 3 * ENTRY_BYTES);
    struct raft_append a;

    propose_many(&o, 7);
    a = send_next(&o, 2);
    EXPECT_U64(a.first, 2);
    EXPECT_U64(a.last, 4);
    EXPECT_U64(a.bytes_max, 3 * ENTRY_BYTES);
    EXPECT_U64(a.message.index, 1);
    EXPECT_U64(a.message.log_term, 1);
    EXPECT_U64(a.message.commit, 1);
    EXPECT_U64(a.message.flow.bytes - ENTRY_BYTES, 3 * ENTRY_BYTES);
    end(&o);
}

TEST(asked_twice_before_it_is_sent_the_same_append_is_next)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);
    struct raft_append a, b;

    propose_many(&o, 2);
    EXPECT(raft_next_append(o.raft, &a));
    EXPECT(raft_next_append(o.raft, &b));
    EXPECT_U64(a.message.to, b.message.to);
    EXPECT_U64(a.first, b.first);
    EXPECT_U64(a.last, b.last);
    end(&o);
}

TEST(where_the_logs_meet_is_found_out_with_one_append_at_a_time)
{
    struct one o = one_of(3, "1 1 1");

    lead(&o);
    persist(&o);
    EXPECT_U64(progress(&o, 2).state, RAFT_PROBE);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "4-4");
    propose(&o, ENTRY_BYTES);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    tick_ms(&o, HEARTBEAT_MS);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    answer_heartbeat(&o, 2); /* it is there, and has not answered: once more */
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "4-5");
    ack(&o, 2, 4);
    EXPECT_U64(progress(&o, 2).state, RAFT_REPLICATE);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "5-5");
    end(&o);
}

TEST(what_could_not_be_sent_waits_for_the_next_heartbeat)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);
    struct raft_append a;

    propose_many(&o, 1);
    for (int i = 0; i < 2; i++) {
        EXPECT(raft_next_append(o.raft, &a));
        raft_not_sent(o.raft, &a);
    }
    EXPECT(!raft_next_append(o.raft, &a));
    propose_many(&o, 1);
    EXPECT(!raft_next_append(o.raft, &a));
    tick_ms(&o, HEARTBEAT_MS);
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "2-3");
    end(&o);
}

TEST(what_could_not_be_sent_is_sent_as_soon_as_it_can_be)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);
    struct raft_append a;

    propose_many(&o, 1);
    for (int i = 0; i < 2; i++) {
        EXPECT(raft_next_append(o.raft, &a));
        raft_not_sent(o.raft, &a);
    }
    raft_can_send(o.raft, 9); /* no member */
    EXPECT(!raft_next_append(o.raft, &a));
    raft_can_send(o.raft, 3);
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "2-2");
    EXPECT(!raft_next_append(o.raft, &a));
    end(&o);
}

TEST(one_member_that_cannot_be_sent_to_does_not_keep_the_others_waiting)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);
    struct raft_append a, b;

    propose_many(&o, 1);
    EXPECT(raft_next_append(o.raft, &a));
    raft_not_sent(o.raft, &a);
    EXPECT(raft_next_append(o.raft, &b));
    EXPECT(a.message.to != b.message.to);
    raft_sent(o.raft, &b, b.last, ENTRY_BYTES);
    end(&o);
}

TEST(after_unreachable_it_is_probed_from_what_is_durable_there)
{
    struct one o = leader_with(64, 1 << 20, ENTRY_BYTES);

    propose_many(&o, 4);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-2 3-3 4-4 5-5");
    ack(&o, 2, 2);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_UNREACHABLE, .node = 2 }));
    EXPECT_U64(progress(&o, 2).state, RAFT_PROBE);
    EXPECT_U64(progress(&o, 2).match, 2);
    EXPECT_U64(progress(&o, 2).next, 3);
    (void)send_all(&o, 2, ENTRY_BYTES); /* to all */
    end(&o);
}

TEST(nothing_is_sent_to_a_silent_node_until_it_is_heard_again)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);

    propose_many(&o, 1);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-2"); /* it may be lost with the node */
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_SILENT, .node = 2 }));
    propose_many(&o, 1);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    EXPECT(!progress(&o, 2).active);
    answer_heartbeat(&o, 2);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-3");
    EXPECT(progress(&o, 2).active);
    end(&o);
}

/* An entry is overdue: the member has answered a heartbeat since, and lacks it. */
TEST(after_a_heartbeat_is_answered_a_missing_entry_is_asked_for)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);

    propose_many(&o, 2);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-3");
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    tick_ms(&o, HEARTBEAT_MS);
    answer_heartbeat(&o, 2);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "4-3");
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                              .from = 2,
                                              .term = 1,
                                              .reject = true,
                                              .index = 3,
                                              .hint = 1,
                                              .hint_term = 1 }));
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-3");
    end(&o);
}

TEST(a_refusal_of_long_ago_changes_nothing)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);

    propose_many(&o, 3);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 3);
    EXPECT_OK(hear(
        &o, (struct raft_message){
                .kind = RAFT_APPEND_REPLY, .from = 2, .term = 1, .reject = true, .index = 2 }));
    EXPECT_OK(hear(
        &o, (struct raft_message){
                .kind = RAFT_APPEND_REPLY, .from = 2, .term = 1, .reject = true, .index = 3 }));
    EXPECT_U64(progress(&o, 2).state, RAFT_REPLICATE);
    EXPECT_U64(progress(&o, 2).match, 3);
    ack(&o, 2, 2); /* nor does an acknowledgement that was overtaken */
    EXPECT_U64(progress(&o, 2).match, 3);
    end(&o);
}

TEST(a_commit_is_told_with_the_next_entries_or_heartbeat_and_is_no_message_of_its_own)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);

    propose_many(&o, 1);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 2);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    propose_many(&o, 1);
    EXPECT_U64(send_next(&o, 2).message.commit, 2);
    ack(&o, 2, 3);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    tick_ms(&o, HEARTBEAT_MS);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 2)->commit, 3);
    end(&o);
}

/* Whoever led before waits for that to answer its clients. */
TEST(who_has_the_first_entry_of_a_term_later_than_the_others_is_told_at_once_that_it_is_committed)
{
    struct one o = one_of(3, "1 1");
    struct raft_append a;

    lead(&o);
    persist(&o);
    (void)send_all(&o, 2, ENTRY_BYTES); /* to all */
    ack(&o, 2, 3);
    EXPECT_U64(raft_commit(o.raft), 3);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 2)->commit, 3);
    EXPECT_U64(said(&o, RAFT_HEARTBEAT, 3)->commit, 0);
    ack(&o, 3, 3);
    a = send_next(&o, 3);
    EXPECT(a.last < a.first);
    EXPECT_U64(a.message.commit, 3);
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "");
    end(&o);
}

TEST(who_does_not_lead_sends_no_entries_and_no_snapshots)
{
    struct one o = one_of(3, "1 1");
    struct raft_append a;

    EXPECT(!raft_next_append(o.raft, &a));
    EXPECT_U64(raft_next_snapshot(o.raft), 0);
    lead(&o);
    EXPECT(raft_next_append(o.raft, &a));
    EXPECT_OK(hear(&o, heartbeat(2, 9)));
    raft_sent(o.raft, &a, a.last, ENTRY_BYTES); /* the driver took its time */
    EXPECT(!raft_next_append(o.raft, &a));
    end(&o);
}

/* ------------------------------------------------------------------ proposals */

TEST(beyond_the_bound_of_uncommitted_bytes_proposals_are_refused_and_one_is_always_taken)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.uncommitted_bytes_max = 1000;
    o = one_with(&options, "");
    lead_with_all(&o);
    propose(&o, 5000); /* one is always taken */
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE, .bytes = 1 }), ST_BUSY);
    EXPECT_U64(o.fx.ticket, 0);
    EXPECT_U64(raft_last(o.raft), 2);
    persist(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 2);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_APPLIED, .index = 2, .bytes = 5000 }));
    propose(&o, 600);
    propose(&o, 400);
    EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_PROPOSE, .bytes = 1 }), ST_BUSY);
    end(&o);
}

TEST(what_was_received_is_not_sent_again_although_it_is_not_durable_yet)
{
    struct one o = one_of(3, "1 1 1");

    lead(&o);
    propose(&o, ENTRY_BYTES);
    persist(&o);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "4-5");
    propose(&o, ENTRY_BYTES);
    EXPECT_OK(
        hear(&o, (struct raft_message){
                     .kind = RAFT_APPEND_REPLY, .from = 2, .term = 2, .index = 3, .hint = 5 }));
    EXPECT_U64(progress(&o, 2).match, 3);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "6-6");
    end(&o);
}

TEST(a_hint_beyond_what_was_refused_is_not_believed)
{
    struct one o = one_of(3, "1 1 1");

    lead(&o);
    persist(&o);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "4-4");
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                              .from = 2,
                                              .term = 2,
                                              .reject = true,
                                              .index = 3,
                                              .hint = 100,
                                              .hint_term = 1 }));
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "3-4");
    end(&o);
}

TEST(whoever_acknowledges_is_not_silent)
{
    struct one o = leader_with(64, 1 << 20, 1 << 20);

    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_SILENT, .node = 2 }));
    propose_many(&o, 1);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    ack(&o, 2, 1);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-2");
    end(&o);
}

TEST(a_window_is_opened_only_by_what_was_sent_in_it)
{
    struct one o = leader_with(3, 1 << 20, ENTRY_BYTES);

    propose_many(&o, 10);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-2 3-3 4-4");
    ack_flow(&o, 2, 1, (struct raft_flow){ 100, 1 << 30 }); /* of another leader, say */
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "");
    ack_flow(&o, 2, 4, (struct raft_flow){ 4, 4 * ENTRY_BYTES });
    ack_flow(&o, 2, 2, (struct raft_flow){ 2, 2 * ENTRY_BYTES }); /* overtaken: closes nothing */
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "5-5 6-6 7-7");
    end(&o);
}

/* What is under way to the old log of a member says nothing of its new one. */
TEST(of_two_refusals_of_one_pipeline_the_second_is_not_believed)
{
    struct one o = leader_with(64, 1 << 20, ENTRY_BYTES);
    struct raft_message no = { .kind = RAFT_APPEND_REPLY,
                               .from = 2,
                               .term = 1,
                               .reject = true,
                               .index = 2,
                               .hint = 1,
                               .hint_term = 1 };

    propose_many(&o, 3);
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-2 3-3 4-4");
    EXPECT_OK(hear(&o, no));
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "2-2");
    no.index = 3;
    EXPECT_OK(hear(&o, no));
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), ""); /* one probe is under way */
    end(&o);
}

SUITE(
    flow, RUN(appends_follow_each_other_without_waiting_up_to_the_window_of_messages),
    RUN(appends_follow_each_other_up_to_the_window_of_bytes),
    RUN(one_entry_larger_than_the_window_is_sent_alone),
    RUN(what_a_message_may_hold_is_said_and_the_flow_counts_it),
    RUN(asked_twice_before_it_is_sent_the_same_append_is_next),
    RUN(where_the_logs_meet_is_found_out_with_one_append_at_a_time),
    RUN(what_could_not_be_sent_waits_for_the_next_heartbeat),
    RUN(what_could_not_be_sent_is_sent_as_soon_as_it_can_be),
    RUN(one_member_that_cannot_be_sent_to_does_not_keep_the_others_waiting),
    RUN(after_unreachable_it_is_probed_from_what_is_durable_there),
    RUN(nothing_is_sent_to_a_silent_node_until_it_is_heard_again),
    RUN(after_a_heartbeat_is_answered_a_missing_entry_is_asked_for),
    RUN(a_refusal_of_long_ago_changes_nothing),
    RUN(a_commit_is_told_with_the_next_entries_or_heartbeat_and_is_no_message_of_its_own),
    RUN(who_has_the_first_entry_of_a_term_later_than_the_others_is_told_at_once_that_it_is_committed),
    RUN(who_does_not_lead_sends_no_entries_and_no_snapshots),
    RUN(beyond_the_bound_of_uncommitted_bytes_proposals_are_refused_and_one_is_always_taken),
    RUN(what_was_received_is_not_sent_again_although_it_is_not_durable_yet),
    RUN(a_hint_beyond_what_was_refused_is_not_believed), RUN(whoever_acknowledges_is_not_silent),
    RUN(a_window_is_opened_only_by_what_was_sent_in_it),
    RUN(of_two_refusals_of_one_pipeline_the_second_is_not_believed))
