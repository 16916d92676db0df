/* The tables of raft/raft.h: every status of raft_create, raft_restore, raft_grow and raft_step. */
#include "base/mem.h"

#include "unit/raft/raft_fixture.h"

TEST(senseless_options_are_refused)
{
    struct raft_options good = options_for(3);
    struct raft_options bad[8];
    struct raft *r = NULL;
    int i = 0;

    for (i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].self = 0;
    bad[1].config.voter_count = 0;
    bad[2].heartbeat_ns = 0;
    bad[3].election_ns = bad[3].heartbeat_ns;
    bad[4].lease_percent = 100;
    bad[5].window_messages = 0;
    bad[6].term_run_max = 1;
    bad[7].base_term = 3; /* beyond the hard state */
    for (i = 0; i < 8; i++)
        EXPECT_ST(raft_create(&r, &bad[i]), ST_INVALID);
    EXPECT(r == NULL);
    EXPECT_OK(raft_create(&r, &good));
    raft_destroy(r);
    raft_destroy(NULL);
}

TEST(what_a_new_member_is)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.base_index = 7;
    options.base_term = 2;
    options.hard = (struct raft_hard){ 5, 3 };
    o = one_with(&options, "2 3");
    EXPECT_U64(raft_self(o.raft), 1);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_U64(raft_leader(o.raft), 0);
    EXPECT_U64(raft_hard(o.raft).term, 5);
    EXPECT_U64(raft_hard(o.raft).vote, 3);
    EXPECT_U64(raft_base(o.raft), 7);
    EXPECT_U64(raft_commit(o.raft), 7);
    EXPECT_U64(raft_last(o.raft), 9);
    EXPECT_U64(raft_persisted(o.raft), 9);
    EXPECT_U64(raft_applicable(o.raft), 7);
    EXPECT_U64(raft_config_index(o.raft), 7);
    EXPECT(!raft_is_quiesced(o.raft));
    end(&o);

    o = one_with(&options, "");
    EXPECT_U64(raft_last(o.raft), 7);
    EXPECT_U64(raft_persisted(o.raft), 7);
    EXPECT_U64(raft_applicable(o.raft), 7);
    end(&o);
}

TEST(restoring_a_log_with_a_hole_or_terms_that_run_backwards_is_corruption)
{
    struct raft_options options = options_for(3);
    struct raft_entry e = { .term = 2 };
    struct one o;

    options.base_index = 7;
    options.base_term = options.hard.term = 2;
    o = one_with(&options, "");
    EXPECT_ST(raft_restore(&o.raft, 9, &e), ST_CORRUPT);
    EXPECT_ST(raft_restore(&o.raft, 7, &e), ST_CORRUPT); /* of the snapshot: committed */
    e.term = 1;
    EXPECT_ST(raft_restore(&o.raft, 8, &e), ST_CORRUPT);
    EXPECT_U64(raft_last(o.raft), 7);
    e.term = 3;
    EXPECT_OK(raft_restore(&o.raft, 8, &e));
    EXPECT_U64(raft_hard(o.raft).term, 3);
    end(&o);
}

TEST(restoring_an_entry_again_supersedes_it_and_all_after_it)
{
    struct one o = one_of(3, "1 1 1 1");
    const struct raft_entry e = { .term = 2 };

    EXPECT_OK(raft_restore(&o.raft, 2, &e));
    EXPECT_STR(log_of(o.raft), "1 2");
    EXPECT_U64(raft_persisted(o.raft), 2);
    end(&o);
}

TEST(restoring_what_is_known_to_be_committed_anew_is_corruption)
{
    struct one o = one_of(3, "1");
    const struct raft_config four = voters(4), five = voters(5);
    struct raft_entry e = { .term = 1, .kind = RAFT_CONFIG, .config = &four };

    EXPECT_OK(raft_restore(&o.raft, 2, &e));
    e.config = &five;
    EXPECT_OK(raft_restore(&o.raft, 3, &e)); /* the one before was committed, then */
    e = (struct raft_entry){ .term = 2 };
    EXPECT_ST(raft_restore(&o.raft, 2, &e), ST_CORRUPT);
    EXPECT_OK(raft_restore(&o.raft, 3, &e));
    EXPECT_U64(raft_config(o.raft)->voter_count, 4);
    end(&o);
}

/* A log that begins before what is applied: its entries are there for those who are behind. */
TEST(what_is_applied_and_still_in_the_log_can_be_sent)
{
    struct raft_options options = options_for(3);
    struct raft_entry e = { .term = 4 };
    struct one o;

    options.base_index = 3;
    options.base_term = 1;
    options.hard.term = 4;
    o = one_with(&options, "");
    EXPECT_OK(raft_restore_applied(&o.raft, 5, 1));
    EXPECT_OK(raft_restore_applied(&o.raft, 6, 3));
    EXPECT_OK(raft_restore_applied(&o.raft, 8, 3));
    EXPECT_OK(raft_restore(&o.raft, 9, &e));
    EXPECT_STR(log_of(o.raft), "1 1 3 3 3 4");
    EXPECT_U64(raft_base(o.raft), 3);
    EXPECT_U64(raft_commit(o.raft), 8);
    EXPECT_U64(raft_applicable(o.raft), 8);
    EXPECT_U64(raft_persisted(o.raft), 9);
    lead(&o);
    EXPECT_OK(hear(&o, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                              .from = 2,
                                              .term = 5,
                                              .index = 9,
                                              .hint = 4,
                                              .hint_term = 1,
                                              .reject = true }));
    EXPECT_STR(send_all(&o, 2, ENTRY_BYTES), "5-10");
    end(&o);
}

TEST(what_is_applied_is_committed_and_of_terms_that_do_not_run_backwards)
{
    struct raft_options options = options_for(3);
    struct raft_entry e = { .term = 4 };
    struct one o;

    options.base_index = 3;
    options.base_term = 2;
    options.hard.term = 4;
    o = one_with(&options, "");
    EXPECT_ST(raft_restore_applied(&o.raft, 5, 1), ST_CORRUPT);
    EXPECT_ST(raft_restore_applied(&o.raft, 5, 5), ST_CORRUPT); /* we never were in that term */
    EXPECT_OK(raft_restore_applied(&o.raft, 5, 2));
    EXPECT_ST(raft_restore(&o.raft, 5, &e), ST_CORRUPT);
    EXPECT_U64(raft_last(o.raft), 5);
    end(&o);
}

/* ------------------------------------------------------------------ room for terms */

TEST(room_for_more_terms_is_asked_for_and_made)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.term_run_max = 2;
    o = one_with(&options, "");
    tick_ms(&o, 0);
    EXPECT(!o.fx.wants_room);
    EXPECT_OK(hear_append(&o, append_after(2, 1, 0, 0), "1"));
    EXPECT(o.fx.wants_room);
    EXPECT_OK(raft_grow(&o.raft));
    tick_ms(&o, 0);
    EXPECT(!o.fx.wants_room);
    EXPECT_STR(log_of(o.raft), "1");
    end(&o);
}

TEST(without_room_no_entries_of_one_more_term_are_taken_and_nobody_stands)
{
    struct raft_options options = options_for(3);
    struct raft_message m = append_after(2, 3, 2, 2);
    struct one o;

    options.term_run_max = 2;
    o = one_with(&options, "");
    EXPECT_OK(hear_append(&o, append_after(2, 3, 0, 0), "1 2"));
    persist(&o);
    tick_ms(&o, 2 * ELECTION_MS);
    EXPECT_U64(raft_role(o.raft), RAFT_FOLLOWER);
    EXPECT_OK(hear_append(&o, m, "2 3 3"));
    EXPECT_STR(log_of(o.raft), "1 2 2"); /* as many as there is room for */
    persist(&o);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->index, 3);
    EXPECT_U64(said(&o, RAFT_APPEND_REPLY, 2)->hint, 3);
    m = heartbeat(2, 3);
    m.commit = 1;
    EXPECT_OK(hear(&o, m));
    apply(&o); /* the first term is forgotten: */
    EXPECT_OK(hear_append(&o, append_after(2, 3, 3, 2), "3 3"));
    EXPECT_STR(log_of(o.raft), "2 2 3 3");
    EXPECT_U64(raft_base(o.raft), 1);
    end(&o);
}

TEST(when_there_is_no_memory_to_grow_nothing_changes)
{
    struct mem_heap heap = { 0 };
    struct mem_heap *outside = mem_heap_enter(&heap);
    struct raft_options options = options_for(3);
    struct raft *r = NULL;

    heap.fail_at = 1;
    EXPECT_ST(raft_create(&r, &options), ST_NO_MEMORY);
    EXPECT(r == NULL);
    EXPECT_OK(raft_create(&r, &options));
    heap.fail_at = heap.allocation + 1;
    EXPECT_ST(raft_grow(&r), ST_NO_MEMORY);
    EXPECT_OK(raft_grow(&r));
    EXPECT_U64(heap.block_count, 1);
    raft_destroy(r);
    EXPECT_U64(heap.block_count, 0);
    (void)mem_heap_enter(outside);
}

/* ------------------------------------------------------------------ no step allocates */

static void
one_busy_turn(struct one *o)
{
    raft_index last;

    propose(o, ENTRY_BYTES);
    persist(o);
    last = raft_last(o->raft);
    (void)send_all(o, 2, ENTRY_BYTES);
    ack(o, 2, last);
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_READ }));
    answer_heartbeat(o, 3);
    EXPECT_OK(
        step(o, (struct raft_event){ .kind = RAFT_APPLIED, .index = last, .bytes = ENTRY_BYTES }));
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_COMPACTED, .index = last - 1 }));
    tick_ms(o, 1);
}

TEST(no_step_allocates)
{
    struct mem_heap heap = { 0 };
    struct mem_heap *outside = mem_heap_enter(&heap);
    struct one o = one_of(3, "1");
    uint64_t allocations = heap.allocation;

    heap.fail_at = heap.allocation + 1;
    heap.fail_for_good = true;
    for (int term = 0; term < 50; term++) {
        lead(&o);
        for (int i = 0; i < 5000; i++)
            one_busy_turn(&o);
        EXPECT_OK(hear(&o, heartbeat(2, raft_hard(o.raft).term + 1)));
        persist(&o);
    }
    EXPECT_U64(heap.allocation, allocations);
    EXPECT_U64(heap.block_count, 1);
    end(&o);
    (void)mem_heap_enter(outside);
}

/* ------------------------------------------------------------------ statuses of a step */

TEST(who_does_not_lead_refuses_what_only_a_leader_can_do)
{
    static const enum raft_event_kind kinds[] = { RAFT_PROPOSE, RAFT_CHANGE, RAFT_READ,
                                                  RAFT_TRANSFER };
    const struct raft_config two = voters(2);
    struct one o = one_of(3, "1");

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        EXPECT_ST(step(&o, (struct raft_event){ .kind = kinds[i], .config = &two, .node = 2 }),
                  ST_NOT_LEADER);
        EXPECT_U64(o.fx.message_count + o.fx.ticket, 0);
    }
    end(&o);
}

TEST(a_malformed_message_is_refused_and_changes_nothing)
{
    const struct raft_entry entries[] = { { .term = 2 }, { .term = 1 } };
    const struct raft_entry late = { .term = 9 };
    const struct raft_config none = { 0 };
    const struct raft_entry no_config = { .term = 2, .kind = RAFT_CONFIG, .config = &none };
    const struct raft_entry no_kind = { .term = 2, .kind = RAFT_ENTRY_KIND_COUNT };
    const struct raft_message bad[] = {
        { .kind = RAFT_MESSAGE_KIND_COUNT, .from = 2, .to = 1, .term = 9 },
        { .kind = RAFT_HEARTBEAT, .from = 0, .to = 1, .term = 9 },
        { .kind = RAFT_HEARTBEAT, .from = 1, .to = 1, .term = 9 },
        { .kind = RAFT_HEARTBEAT, .from = 2, .to = 3, .term = 9 },
        { .kind = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 0 },
        { .kind = RAFT_VOTE, .from = 2, .to = 1, .term = 3, .index = 9, .log_term = 4 },
        { .kind = RAFT_HEARTBEAT,
          .from = 2,
          .to = 1,
          .term = 9,
          .entry_count = 1,
          .entries = &late },
        { .kind = RAFT_APPEND,
          .from = 2,
          .to = 1,
          .term = 3,
          .entry_count = 2,
          .entries = entries },
        { .kind = RAFT_APPEND, .from = 2, .to = 1, .term = 3, .entry_count = 1, .entries = &late },
        { .kind = RAFT_APPEND,
          .from = 2,
          .to = 1,
          .term = 3,
          .entry_count = 1,
          .entries = &no_config },
        { .kind = RAFT_APPEND,
          .from = 2,
          .to = 1,
          .term = 3,
          .entry_count = 1,
          .entries = &no_kind },
        { .kind = RAFT_APPEND,
          .from = 2,
          .to = 1,
          .term = 9,
          .index = 1,
          .log_term = 3,
          .entry_count = 1,
          .entries = entries },
    };
    struct one o = one_of(3, "1");

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EXPECT_ST(step(&o, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &bad[i] }),
                  ST_INVALID);
        EXPECT_U64(raft_hard(o.raft).term, 1);
        EXPECT_U64(o.fx.message_count + o.fx.ticket, 0);
        EXPECT_STR(log_of(o.raft), "1");
    }
    end(&o);
}

TEST(entries_of_another_leader_in_our_term_are_corruption)
{
    struct one o = one_of(3, "1");

    lead(&o);
    EXPECT_ST(hear_append(&o, append_after(2, 2, 1, 1), "2"), ST_CORRUPT);
    EXPECT_U64(raft_role(o.raft), RAFT_LEADER);
    EXPECT_U64(o.fx.message_count + o.fx.ticket, 0);
    EXPECT_STR(log_of(o.raft), "1 2");
    end(&o);
}

TEST(what_contradicts_the_committed_is_corruption_and_nothing_is_cut_off)
{
    struct one o = one_of(3, "1 1 1");
    struct raft_message m = append_after(2, 2, 3, 1);

    m.commit = 3;
    EXPECT_OK(hear(&o, m));
    persist(&o);
    EXPECT_U64(raft_commit(o.raft), 3);
    EXPECT_ST(hear_append(&o, append_after(2, 2, 1, 1), "2 2"), ST_CORRUPT);
    EXPECT_ST(hear_append(&o, append_after(2, 2, 2, 2), "2"), ST_CORRUPT);
    EXPECT_ST(hear_append(&o, append_after(2, 2, 2, 1), "2"), ST_CORRUPT); /* the very last one */
    EXPECT_U64(o.fx.message_count + o.fx.ticket, 0);
    EXPECT_STR(log_of(o.raft), "1 1 1");
    end(&o);
}

TEST(an_answer_for_more_than_the_leader_has_is_corruption)
{
    struct one o = one_of(3, "1");
    struct raft_message m = {
        .kind = RAFT_APPEND_REPLY, .from = 2, .term = 2, .index = 3, .hint = 3
    };

    lead(&o);
    EXPECT_ST(hear(&o, m), ST_CORRUPT);
    m.index = 0;
    EXPECT_ST(hear(&o, m), ST_CORRUPT);
    EXPECT_U64(raft_commit(o.raft), 0);
    end(&o);
}

TEST(everything_has_a_name)
{
    for (int role = 0; role < RAFT_ROLE_COUNT; role++)
        EXPECT(strlen(raft_role_name((enum raft_role)role)) > 0);
    for (int kind = 0; kind < RAFT_MESSAGE_KIND_COUNT; kind++)
        EXPECT(strlen(raft_message_name((enum raft_message_kind)kind)) > 0);
}

TEST(progress_is_known_of_members_only)
{
    struct raft_progress_view view;
    struct one o = one_of(3, "1");

    EXPECT_ST(raft_progress_of(o.raft, 4, &view), ST_NOT_FOUND);
    EXPECT_OK(raft_progress_of(o.raft, 1, &view));
    EXPECT_U64(view.match, 1);
    EXPECT_U64(view.next, 2);
    EXPECT(view.active);
    end(&o);
}

TEST(what_contradicts_the_base_of_the_log_is_corruption)
{
    struct raft_options options = options_for(3);
    struct one o;

    options.base_index = 10;
    options.base_term = options.hard.term = 3;
    o = one_with(&options, "");
    EXPECT_ST(hear(&o, append_after(2, 3, 10, 2)), ST_CORRUPT);
    EXPECT_OK(hear(&o, append_after(2, 3, 10, 3)));
    EXPECT_OK(hear_append(&o, append_after(2, 3, 8, 3), "3 3 3")); /* two are of the snapshot */
    EXPECT_STR(log_of(o.raft), "3");
    end(&o);
}

SUITE(contract, RUN(senseless_options_are_refused), RUN(what_a_new_member_is),
      RUN(restoring_a_log_with_a_hole_or_terms_that_run_backwards_is_corruption),
      RUN(restoring_an_entry_again_supersedes_it_and_all_after_it),
      RUN(restoring_what_is_known_to_be_committed_anew_is_corruption),
      RUN(what_is_applied_and_still_in_the_log_can_be_sent),
      RUN(what_is_applied_is_committed_and_of_terms_that_do_not_run_backwards),
      RUN(room_for_more_terms_is_asked_for_and_made),
      RUN(without_room_no_entries_of_one_more_term_are_taken_and_nobody_stands),
      RUN(when_there_is_no_memory_to_grow_nothing_changes), RUN(no_step_allocates),
      RUN(who_does_not_lead_refuses_what_only_a_leader_can_do),
      RUN(a_malformed_message_is_refused_and_changes_nothing),
      RUN(entries_of_another_leader_in_our_term_are_corruption),
      RUN(what_contradicts_the_committed_is_corruption_and_nothing_is_cut_off),
      RUN(an_answer_for_more_than_the_leader_has_is_corruption), RUN(everything_has_a_name),
      RUN(progress_is_known_of_members_only),
      RUN(what_contradicts_the_base_of_the_log_is_corruption))
