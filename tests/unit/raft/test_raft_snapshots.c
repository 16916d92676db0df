/* Snapshots: paper, 7. */
#include "unit/raft/raft_fixture.h"

static enum status
stage(struct one *o, raft_index index, raft_term term)
{
    const struct raft_config config = voters(4);

    return step(
        o, (struct raft_event){
               .kind = RAFT_SNAPSHOT_STAGED, .index = index, .term = term, .config = &config });
}

static void
offer(struct one *o, raft_id from, raft_term term, raft_index index, raft_term log_term)
{
    const struct raft_message m = append_after(from, term, index, log_term);

    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_SNAPSHOT_OFFER, .message = &m }));
}

static void
installed(struct one *o, bool ok)
{
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_INSTALLED, .ok = ok }));
}

/* A member with entries of its own, to whom a snapshot at 9^3 is being installed. */
static struct one
installing(void)
{
    struct one o = one_of(3, "1 1 2");

    offer(&o, 2, 3, 9, 3);
    persist(&o);
    EXPECT_OK(stage(&o, 9, 3));
    EXPECT(o.fx.install);
    return o;
}

static struct raft_progress_view
progress(const struct one *o, raft_id id)
{
    struct raft_progress_view view = { 0 };

    EXPECT_OK(raft_progress_of(o->raft, id, &view));
    return view;
}

/* Member 1 leads, has ten entries, and its log begins after the sixth. */
static struct one
leader_with_short_log(void)
{
    struct one o = one_of(3, "1 1 1 1 1 1 1 1 1");

    lead(&o);
    persist(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 10);
    apply(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_COMPACTED, .index = 6 }));
    EXPECT_U64(raft_base(o.raft), 6);
    return o;
}

static void
refuse_from(struct one *o, raft_id from, raft_index index, raft_index hint)
{
    EXPECT_OK(hear(o, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                             .from = from,
                                             .term = raft_hard(o->raft).term,
                                             .reject = true,
                                             .index = index,
                                             .hint = hint,
                                             .hint_term = hint == 0 ? 0 : 1 }));
}

static void
refuse_from_3(struct one *o, raft_index index, raft_index hint)
{
    refuse_from(o, 3, index, hint);
}

/* ------------------------------------------------------------------ the leader */

TEST(paper_7_who_needs_what_is_no_longer_in_the_log_gets_a_snapshot)
{
    struct one o = leader_with_short_log();

    EXPECT_U64(raft_next_snapshot(o.raft), 0);
    (void)send_all(&o, 3, ENTRY_BYTES);
    refuse_from_3(&o, 9, 2);
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "");
    EXPECT_U64(progress(&o, 3).state, RAFT_SNAPSHOT);
    EXPECT_U64(raft_next_snapshot(o.raft), 3);
    EXPECT_U64(raft_next_snapshot(o.raft), 0); /* it is on its way */
    EXPECT_OK(step(
        &o, (struct raft_event){ .kind = RAFT_SNAPSHOT_SENT, .node = 3, .index = 10, .ok = true }));
    EXPECT_U64(progress(&o, 3).state, RAFT_PROBE);
    EXPECT_U64(progress(&o, 3).match, 0); /* not before it says so itself */
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "11-10");
    ack(&o, 3, 10);
    EXPECT_U64(progress(&o, 3).state, RAFT_REPLICATE);
    EXPECT_U64(progress(&o, 3).match, 10);
    end(&o);
}

TEST(paper_7_the_last_entry_before_the_log_is_enough_to_go_on_without_a_snapshot)
{
    struct one o = leader_with_short_log();

    (void)send_all(&o, 3, ENTRY_BYTES);
    refuse_from_3(&o, 9, 6); /* its log ends where ours begins */
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "7-10");
    end(&o);
}

static void
sent(struct one *o, raft_id to, bool ok)
{
    EXPECT_OK(step(
        o, (struct raft_event){ .kind = RAFT_SNAPSHOT_SENT, .node = to, .index = 10, .ok = ok }));
}

/* Heartbeats go out and are answered, and what can be sent is; until a snapshot is due to the member, ms. */
static uint32_t
ms_to_snapshot(struct one *o, raft_id to)
{
    for (uint32_t ms = 0; ms <= 60000; ms += HEARTBEAT_MS) {
        raft_id due;

        (void)send_all(o, to, ENTRY_BYTES);
        due = raft_next_snapshot(o->raft);
        if (due == to)
            return ms;
        EXPECT_U64(due, 0);
        tick_ms(o, HEARTBEAT_MS);
        answer_heartbeat(o, 2);
    }
    fail_msg("no snapshot for member %llu", (unsigned long long)to);
    return 0;
}

/* Member 3 needs one. */
static struct one
leader_with_one_behind(void)
{
    struct one o = leader_with_short_log();

    (void)send_all(&o, 3, ENTRY_BYTES);
    refuse_from_3(&o, 9, 2);
    return o;
}

TEST(a_snapshot_that_did_not_arrive_is_tried_again_later_each_time)
{
    static const uint32_t pauses_ms[] = { 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
    struct one o = leader_with_one_behind();

    EXPECT_U64(ms_to_snapshot(&o, 3), 0);
    for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
        sent(&o, 3, false);
        EXPECT_U64(ms_to_snapshot(&o, 3), pauses_ms[i]);
    }
    end(&o);
}

TEST(a_snapshot_that_arrives_makes_up_for_those_that_did_not)
{
    struct one o = leader_with_one_behind();

    EXPECT_U64(ms_to_snapshot(&o, 3), 0);
    for (int i = 0; i < 3; i++) {
        sent(&o, 3, false);
        (void)ms_to_snapshot(&o, 3);
    }
    sent(&o, 3, true);
    refuse_from_3(&o, 10, 2); /* and it has lost it again */
    EXPECT_U64(ms_to_snapshot(&o, 3), 0);
    sent(&o, 3, false);
    EXPECT_U64(ms_to_snapshot(&o, 3), 500);
    end(&o);
}

TEST(whose_node_was_silent_is_sent_a_snapshot_as_soon_as_it_is_there)
{
    struct one o = leader_with_one_behind();

    EXPECT_U64(ms_to_snapshot(&o, 3), 0);
    for (int i = 0; i < 3; i++) {
        sent(&o, 3, false);
        (void)ms_to_snapshot(&o, 3);
    }
    sent(&o, 3, false);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_SILENT, .node = 3 }));
    answer_heartbeat(&o, 3);
    EXPECT(ms_to_snapshot(&o, 3) <= HEARTBEAT_MS);
    end(&o);
}

TEST(a_new_term_in_office_forgets_whose_snapshots_did_not_arrive)
{
    struct one o = leader_with_one_behind();

    EXPECT_U64(ms_to_snapshot(&o, 3), 0);
    sent(&o, 3, false);
    EXPECT_OK(hear(&o, heartbeat(2, raft_hard(o.raft).term + 1)));
    persist(&o);
    lead(&o);
    persist(&o);
    (void)send_all(&o, 3, ENTRY_BYTES);
    refuse_from_3(&o, 10, 2);
    EXPECT_U64(ms_to_snapshot(&o, 3), 0);
    end(&o);
}

/* Two need one; that the first one's pause is over does not put it before the other. */
TEST(members_take_turns_with_snapshots)
{
    struct one o = one_of(5, "1 1 1 1 1 1 1 1 1");

    lead(&o);
    persist(&o);
    for (raft_id id = 2; id <= 5; id++)
        (void)send_all(&o, id, ENTRY_BYTES);
    ack(&o, 2, 10);
    ack(&o, 5, 10);
    apply(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_COMPACTED, .index = 6 }));
    for (raft_id id = 3; id <= 4; id++) {
        refuse_from(&o, id, 9, 2);
        (void)send_all(&o, id, ENTRY_BYTES);
    }
    EXPECT_U64(raft_next_snapshot(o.raft), 3);
    sent(&o, 3, false);
    pass_ms(&o, 500);
    tick_ms(&o, 0);
    (void)send_all(&o, 3, ENTRY_BYTES);
    EXPECT_U64(raft_next_snapshot(o.raft), 4);
    EXPECT_U64(raft_next_snapshot(o.raft), 3);
    end(&o);
}

TEST(a_member_that_answers_beyond_the_base_needs_no_snapshot_any_more)
{
    struct one o = leader_with_short_log();

    (void)send_all(&o, 3, ENTRY_BYTES);
    refuse_from_3(&o, 9, 2);
    (void)send_all(&o, 3, ENTRY_BYTES);
    EXPECT_U64(raft_next_snapshot(o.raft), 3);
    ack(&o, 3, 8); /* another leader's snapshot has reached it, or its own disk */
    EXPECT_U64(progress(&o, 3).state, RAFT_REPLICATE);
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "9-10");
    end(&o);
}

TEST(compaction_forgets_terms_before_the_base_and_keeps_that_of_the_base)
{
    struct one o = leader_with_short_log();
    raft_term term = 0;

    EXPECT_ST(raft_term_at(o.raft, 5, &term), ST_NOT_FOUND);
    EXPECT_OK(raft_term_at(o.raft, 6, &term));
    EXPECT_U64(term, 1);
    EXPECT_OK(raft_term_at(o.raft, 10, &term));
    EXPECT_U64(term, 2);
    EXPECT_ST(raft_term_at(o.raft, 11, &term), ST_NOT_FOUND);
    EXPECT_STR(log_of(o.raft), "1 1 1 2");
    end(&o);
}

/* ------------------------------------------------------------------ the follower */

TEST(paper_7_a_snapshot_replaces_a_log_that_lacks_its_last_entry)
{
    struct one o = installing();

    installed(&o, true);
    EXPECT_U64(raft_base(o.raft), 9);
    EXPECT_U64(raft_last(o.raft), 9);
    EXPECT_U64(raft_commit(o.raft), 9);
    EXPECT_U64(raft_persisted(o.raft), 9);
    EXPECT(o.fx.commit_moved);
    EXPECT_U64(raft_config(o.raft)->voter_count, 4);
    EXPECT_U64(raft_config_index(o.raft), 9);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 9);
    EXPECT_OK(hear_append(&o, append_after(2, 3, 9, 3), "3"));
    EXPECT_U64(raft_last(o.raft), 10);
    end(&o);
}

TEST(paper_7_a_snapshot_of_what_is_in_the_log_keeps_what_follows)
{
    struct one o = one_of(3, "1 1 2 2 2");

    offer(&o, 2, 3, 4, 2);
    persist(&o);
    EXPECT_OK(stage(&o, 4, 2));
    EXPECT(!o.fx.install);
    EXPECT_U64(raft_commit(o.raft), 4);
    EXPECT_U64(raft_last(o.raft), 5);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 4);
    end(&o);
}

TEST(paper_7_a_snapshot_of_what_is_committed_already_changes_nothing)
{
    struct one o = installing();

    installed(&o, true);
    EXPECT_OK(stage(&o, 5, 2));
    EXPECT(!o.fx.install);
    EXPECT_U64(raft_commit(o.raft), 9);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 9);
    end(&o);
}

TEST(a_snapshot_of_a_term_that_was_not_offered_or_beside_another_is_refused)
{
    struct one o = installing();

    EXPECT_ST(stage(&o, 9, 3), ST_INVALID);
    installed(&o, false);
    EXPECT_U64(raft_last(o.raft), 3); /* as if nothing had been */
    EXPECT_U64(raft_base(o.raft), 0);
    EXPECT_ST(stage(&o, 12, 4), ST_INVALID);
    EXPECT_OK(stage(&o, 9, 3));
    end(&o);
}

TEST(an_offer_is_a_sign_of_life_of_the_leader)
{
    struct one o = one_of(3, "1");

    for (int i = 0; i < 5; i++) {
        pass_ms(&o, ELECTION_MS - 1);
        offer(&o, 2, 1, 9, 1);
        tick_ms(&o, 0);
        EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
        EXPECT_U64(raft_leader(o.raft), 2);
    }
    offer(&o, 3, 4, 9, 1); /* and of its term */
    EXPECT_U64(raft_hard(o.raft).term, 4);
    offer(&o, 2, 3, 9, 1);
    EXPECT_U64(raft_leader(o.raft), 3);
    end(&o);
}

/* ------------------------------------------------------------------ while it is installed (R10) */

/* C-Raft: safety, and a crash. */
TEST(fact_nobody_stands_while_a_snapshot_is_being_installed)
{
    struct one o = installing();

    for (int i = 0; i < 5; i++)
        tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_TIMEOUT_NOW, .from = 2, .term = 3 }));
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    installed(&o, true);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT_U64(said(&o, RAFT_PREVOTE, 2)->index, 9);
    EXPECT_U64(said(&o, RAFT_PREVOTE, 2)->log_term, 3); /* of the snapshot */
    end(&o);
}

TEST(fact_a_candidate_to_whom_a_snapshot_is_staged_stands_no_more)
{
    struct one o = one_of(3, "1 1 2");

    offer(&o, 2, 3, 9, 3);
    persist(&o);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_PRECANDIDATE);
    EXPECT_OK(stage(&o, 9, 3));
    EXPECT(o.fx.install);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    end(&o);
}

TEST(fact_a_higher_term_while_a_snapshot_is_being_installed_is_entered)
{
    struct one o = installing();

    EXPECT_OK(hear(&o, heartbeat(3, 7)));
    EXPECT_U64(raft_hard(o.raft).term, 7);
    persist(&o);
    installed(&o, true);
    EXPECT_U64(raft_base(o.raft), 9);
    EXPECT_U64(raft_hard(o.raft).term, 7);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->index, 9); /* to the leader of now */
    end(&o);
}

TEST(fact_no_entries_are_taken_while_a_snapshot_is_being_installed)
{
    struct one o = installing();
    struct raft_message m = append_after(2, 3, 3, 2);

    m.commit = 3;
    EXPECT_OK(hear_append(&o, m, "3 3"));
    EXPECT_U64(o.fx.ticket, 0);
    EXPECT_U64(raft_last(o.raft), 3);
    EXPECT_U64(raft_commit(o.raft), 0);
    m = heartbeat(2, 3);
    m.commit = 3;
    EXPECT_OK(hear(&o, m));
    EXPECT_U64(raft_commit(o.raft), 0);
    installed(&o, true);
    EXPECT_U64(raft_last(o.raft), 9);
    end(&o);
}

TEST(paper_7_a_lagging_member_is_brought_up_by_a_snapshot_and_follows_again)
{
    struct group *g = calm(3);

    elect(g, 1);
    settle(g);
    group_crash(g, group_node(g, 3));
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(group_propose(g, group_node(g, 1)));
        group_deliver_all(g);
    }
    group_compact(g, group_node(g, 1));
    group_start(g, group_node(g, 3));
    settle(g);
    EXPECT_OK(group_propose(g, group_node(g, 1)));
    settle(g);
    EXPECT_U64(g->installs, 1);
    EXPECT_U64(raft_base(member(g, 3)), 9);
    EXPECT_U64(raft_commit(member(g, 3)), 10);
    group_destroy(g);
}

TEST(whoever_lags_a_second_time_gets_a_second_snapshot)
{
    struct one o = leader_with_short_log();

    (void)send_all(&o, 3, ENTRY_BYTES);
    refuse_from_3(&o, 9, 2);
    (void)send_all(&o, 3, ENTRY_BYTES);
    EXPECT_U64(raft_next_snapshot(o.raft), 3);
    EXPECT_OK(step(
        &o, (struct raft_event){ .kind = RAFT_SNAPSHOT_SENT, .node = 3, .index = 10, .ok = true }));
    ack(&o, 3, 10);
    for (raft_index i = 11; i <= 13; i++)
        propose(&o, ENTRY_BYTES);
    persist(&o);
    (void)send_all(&o, 2, ENTRY_BYTES);
    ack(&o, 2, 13);
    apply(&o);
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_COMPACTED, .index = 12 }));
    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_UNREACHABLE, .node = 3 }));
    EXPECT_STR(send_all(&o, 3, ENTRY_BYTES), "");
    EXPECT_U64(raft_next_snapshot(o.raft), 3);
    end(&o);
}

TEST(what_is_said_of_snapshots_to_nobody_or_by_nobody_is_ignored)
{
    const struct raft_event sent = {
        .kind = RAFT_SNAPSHOT_SENT, .node = 3, .index = 10, .ok = true
    };
    struct raft_event other = sent;
    struct one o = leader_with_short_log();

    other.node = 9;
    EXPECT_OK(step(&o, other));
    (void)send_all(&o, 3, ENTRY_BYTES);
    refuse_from_3(&o, 9, 2);
    (void)send_all(&o, 3, ENTRY_BYTES);
    EXPECT_U64(raft_next_snapshot(o.raft), 3);
    EXPECT_OK(hear(&o, heartbeat(2, 9))); /* it leads no more */
    EXPECT_OK(step(&o, sent));
    EXPECT_U64(progress(&o, 3).state, RAFT_SNAPSHOT);
    EXPECT_U64(raft_next_snapshot(o.raft), 0);
    end(&o);
}

TEST(whoever_has_been_offered_a_snapshot_has_heard_a_leader)
{
    struct one o = one_of(3, "1");

    pass_ms(&o, 10 * ELECTION_MS);
    offer(&o, 2, 1, 9, 1);
    EXPECT_OK(hear(&o, vote_request(3, 2, 9, 1)));
    EXPECT_U64(raft_hard(o.raft).term, 1);
    end(&o);
}

TEST(a_snapshot_that_is_not_needed_is_answered_only_to_a_leader_and_in_a_durable_term)
{
    struct one o = installing();

    installed(&o, true);
    offer(&o, 3, 7, 5, 2);
    EXPECT_OK(stage(&o, 5, 2));
    EXPECT_U64(o.fx.message_count, 0); /* term 7 is not durable */
    persist(&o);
    EXPECT_OK(stage(&o, 5, 2));
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 3)->index, 9);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_OK(stage(&o, 5, 2));
    EXPECT_U64(o.fx.message_count, 0); /* it knows no leader */
    end(&o);
}

TEST(a_snapshot_with_what_is_no_membership_is_refused)
{
    const struct raft_config none = { 0 };
    struct one o = one_of(3, "1 1 2");

    offer(&o, 2, 3, 9, 3);
    EXPECT_ST(step(&o,
                   (struct raft_event){
                       .kind = RAFT_SNAPSHOT_STAGED, .index = 9, .term = 3, .config = &none }),
              ST_INVALID);
    EXPECT(!o.fx.install);
    end(&o);
}

TEST(paper_7_a_snapshot_replaces_a_log_that_contradicts_its_last_entry)
{
    struct one o = one_of(3, "1 1 2 2 2");

    offer(&o, 2, 4, 4, 3);
    persist(&o);
    EXPECT_OK(stage(&o, 4, 3)); /* ours is 4^2 */
    EXPECT(o.fx.install);
    installed(&o, true);
    EXPECT_U64(raft_last(o.raft), 4);
    EXPECT_STR(log_of(o.raft), "");
    end(&o);
}

TEST(neither_a_leader_nor_a_failed_disk_installs_anything)
{
    struct one o = one_of(3, "1 1 2");

    EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_DISK_FAILED }));
    EXPECT_OK(stage(&o, 9, 2));
    EXPECT(!o.fx.install);
    end(&o);

    o = one_of(3, "1 1 2");
    lead(&o);
    EXPECT_OK(stage(&o, 9, 2));
    EXPECT(!o.fx.install);
    EXPECT_U64(o.fx.message_count, 0);
    end(&o);
}

TEST(a_report_of_what_a_snapshot_has_replaced_says_nothing_of_the_log_of_now)
{
    struct one o = one_of(3, "1 1 2");
    uint64_t old;

    EXPECT_OK(hear_append(&o, append_after(2, 2, 3, 2), "2 2 2 2 2 2 2 2 2"));
    old = o.ticket;
    offer(&o, 3, 3, 9, 3);
    EXPECT_OK(stage(&o, 9, 3));
    EXPECT(o.fx.install);
    installed(&o, true);
    EXPECT_U64(raft_last(o.raft), 9);
    persist_up_to(&o, old); /* twelve entries, of before */
    EXPECT_U64(raft_persisted(o.raft), 9);
    end(&o);
}

static void
expect_terms(struct one *o, const raft_term *terms, raft_index base, raft_index last)
{
    for (raft_index i = 0; i <= last + 1; i++) {
        raft_term term = 0;

        if (i < base || i > last) {
            EXPECT_ST(raft_term_at(o->raft, i, &term), ST_NOT_FOUND);
            continue;
        }
        EXPECT_OK(raft_term_at(o->raft, i, &term));
        EXPECT_U64(term, terms[i]);
    }
}

/* There are few ways to cut a log twice: all of them. */
TEST(compaction_at_any_entry_keeps_the_terms_of_the_rest)
{
    static const raft_term terms[] = { 0, 1, 1, 2, 3, 3, 3, 5, 6, 6 };

    for (raft_index first = 0; first <= 7; first++) {
        for (raft_index second = first; second <= 7; second++) {
            struct one o = one_of(3, "1 1 2 3 3 3 5");
            struct raft_message m = append_after(2, 5, 7, 5);

            m.commit = 7;
            EXPECT_OK(hear(&o, m));
            apply(&o);
            EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_COMPACTED, .index = first }));
            expect_terms(&o, terms, first, 7);
            EXPECT_OK(step(&o, (struct raft_event){ .kind = RAFT_COMPACTED, .index = second }));
            expect_terms(&o, terms, second, 7);
            EXPECT_OK(hear_append(&o, append_after(2, 6, 7, 5), "6 6"));
            expect_terms(&o, terms, second, 9);
            end(&o);
        }
    }
}

SUITE(snapshots, RUN(paper_7_who_needs_what_is_no_longer_in_the_log_gets_a_snapshot),
      RUN(paper_7_the_last_entry_before_the_log_is_enough_to_go_on_without_a_snapshot),
      RUN(a_snapshot_that_did_not_arrive_is_tried_again_later_each_time),
      RUN(a_snapshot_that_arrives_makes_up_for_those_that_did_not),
      RUN(whose_node_was_silent_is_sent_a_snapshot_as_soon_as_it_is_there),
      RUN(a_new_term_in_office_forgets_whose_snapshots_did_not_arrive),
      RUN(members_take_turns_with_snapshots),
      RUN(a_member_that_answers_beyond_the_base_needs_no_snapshot_any_more),
      RUN(compaction_forgets_terms_before_the_base_and_keeps_that_of_the_base),
      RUN(paper_7_a_snapshot_replaces_a_log_that_lacks_its_last_entry),
      RUN(paper_7_a_snapshot_of_what_is_in_the_log_keeps_what_follows),
      RUN(paper_7_a_snapshot_of_what_is_committed_already_changes_nothing),
      RUN(a_snapshot_of_a_term_that_was_not_offered_or_beside_another_is_refused),
      RUN(an_offer_is_a_sign_of_life_of_the_leader),
      RUN(fact_nobody_stands_while_a_snapshot_is_being_installed),
      RUN(fact_a_candidate_to_whom_a_snapshot_is_staged_stands_no_more),
      RUN(fact_a_higher_term_while_a_snapshot_is_being_installed_is_entered),
      RUN(fact_no_entries_are_taken_while_a_snapshot_is_being_installed),
      RUN(paper_7_a_lagging_member_is_brought_up_by_a_snapshot_and_follows_again),
      RUN(whoever_lags_a_second_time_gets_a_second_snapshot),
      RUN(what_is_said_of_snapshots_to_nobody_or_by_nobody_is_ignored),
      RUN(whoever_has_been_offered_a_snapshot_has_heard_a_leader),
      RUN(a_snapshot_that_is_not_needed_is_answered_only_to_a_leader_and_in_a_durable_term),
      RUN(a_snapshot_with_what_is_no_membership_is_refused),
      RUN(paper_7_a_snapshot_replaces_a_log_that_contradicts_its_last_entry),
      RUN(neither_a_leader_nor_a_failed_disk_installs_anything),
      RUN(a_report_of_what_a_snapshot_has_replaced_says_nothing_of_the_log_of_now),
      RUN(compaction_at_any_entry_keeps_the_terms_of_the_rest))
