/* What is held is bounded and charged, whoever reads slowly, sends much, or says nothing. */
#include "unit/peer/fixture.h"

enum { MB = 1 << 20 };

static struct cluster *
pair_with(uint64_t seed, size_t queue_bytes, size_t urgent_bytes)
{
    struct cluster *c = cluster_create(seed, 2, 1);

    if (queue_bytes > 0)
        c->options.queue_bytes = queue_bytes;
    if (urgent_bytes > 0)
        c->options.urgent_bytes = urgent_bytes;
    member_start(c, 1);
    member_start(c, 2);
    cluster_settle(c);
    return c;
}

/* ------------------------------------------------------------------ queues */

TEST(a_node_that_never_reads_costs_a_queue_and_no_more)
{
    struct cluster *c = pair_with(1, 1 * MB, 64 << 10);
    size_t idle = budget_used(&c->members[1].budget);
    uint64_t bulk = 0, urgent = 0;

    sim_pause(c->w, 2, 5000);
    while (send(c, 1, 0, 2, 10000, false) == ST_OK)
        bulk++;
    EXPECT_ST(send(c, 1, 0, 2, 10000, false), ST_BUSY);
    while (send(c, 1, 0, 2, 1000, true) == ST_OK) /* the reserve is theirs */
        urgent++;
    EXPECT_ST(send(c, 1, 0, 2, 1000, true), ST_BUSY);
    EXPECT(bulk >= 100 && urgent >= 50);
    EXPECT(peer_queued(peer_of(c, 1), 2) <= 1 * MB + (64 << 10));
    EXPECT_U64(budget_used(&c->members[1].budget), idle + peer_queued(peer_of(c, 1), 2));
    sim_run_ms(c->w, 10000);
    EXPECT_U64(count_heard(c, 2, 1, BULK), bulk);
    EXPECT_U64(count_heard(c, 2, 1, URGENT), urgent);
    expect_order(c, 2, 1);
    EXPECT_U64(budget_used(&c->members[1].budget), idle);
    cluster_destroy(c);
}

TEST(a_message_larger_than_the_queue_is_taken_when_it_is_empty)
{
    struct cluster *c = pair_with(2, 100000, 0);

    send_ok(c, 1, 2, 5 * MB, false);
    EXPECT_ST(send(c, 1, 0, 2, 10, false), ST_BUSY);
    EXPECT(sim_settle(c->w, 10000));
    send_ok(c, 1, 2, 10, false);
    EXPECT(sim_settle(c->w, 10000));
    EXPECT_U64(count_heard(c, 2, 1, BULK), 2);
    expect_order(c, 2, 1);
    cluster_destroy(c);
}

TEST(a_full_budget_stops_bulk_and_not_what_is_urgent)
{
    struct cluster *c = pair_with(3, 0, 0);
    struct budget *b = &c->members[1].budget;
    size_t left = budget_left(b);

    budget_charge(b, left);
    EXPECT_ST(send(c, 1, 0, 2, 10, false), ST_BUSY);
    send_ok(c, 1, 2, 10, true);
    EXPECT(sim_settle(c->w, 1000));
    EXPECT_U64(count_heard(c, 2, 1, URGENT), 1);
    budget_return(b, left);
    send_ok(c, 1, 2, 10, false);
    cluster_destroy(c);
}

TEST(what_was_queued_for_a_node_that_is_gone_is_given_back)
{
    struct cluster *c = pair_with(4, 0, 0);
    size_t idle = budget_used(&c->members[1].budget);

    sim_net_cut(c->w, 1, 2);
    for (int i = 0; i < 20; i++)
        send_ok(c, 1, 2, 500000, false);
    EXPECT(budget_used(&c->members[1].budget) > idle + 9 * MB);
    sim_run_ms(c->w, 11000); /* options.silence_ms */
    EXPECT_U64(peer_incarnation(peer_of(c, 1), 2), 0);
    EXPECT(budget_used(&c->members[1].budget) <= idle); /* node 2's connection is gone, too */
    cluster_destroy(c);
}

/* ------------------------------------------------------------------ urgency */

static uint64_t
bulk_before_the_urgent_one(uint64_t seed, size_t bulk_bytes, uint32_t bulk_count)
{
    struct cluster *c = pair_with(seed, 64 * MB, 0);
    struct sim_link slow = sim_link_default();
    uint64_t before, after;

    slow.bytes_per_s = 2 * MB;
    sim_net_set(c->w, 1, 2, &slow);
    for (uint32_t i = 0; i < bulk_count; i++)
        send_ok(c, 1, 2, bulk_bytes, false);
    sim_run_ms(c->w, 700 + seed * 37);
    before = count_heard(c, 2, 1, BULK);
    send_ok(c, 1, 2, 100, true);
    for (int ms = 0; ms < 10000 && count_heard(c, 2, 1, URGENT) == 0; ms++)
        sim_run_ms(c->w, 1);
    EXPECT_U64(count_heard(c, 2, 1, URGENT), 1);
    after = count_heard(c, 2, 1, BULK);
    EXPECT(after < bulk_count);
    cluster_destroy(c);
    return after - before;
}

/* One is being written; of the one before, the kernel may hold the end.  Between the frames of a
 * long message, too: it is not heard before the urgent one. */
TEST(an_urgent_message_waits_for_one_frame_of_bulk)
{
    for (uint64_t seed = 0; seed < seeds(10); seed++) {
        EXPECT(bulk_before_the_urgent_one(seed, 500000, 12) <= 2);
        EXPECT_U64(bulk_before_the_urgent_one(seed, 20 * MB, 1), 0);
    }
}

/* ------------------------------------------------------------------ arriving */

TEST(a_long_message_without_memory_is_dropped_and_the_connection_stays)
{
    struct cluster *c = pair_with(5, 64 * MB, 0);
    struct budget *b = &c->members[2].budget;
    size_t left = budget_left(b);

    budget_charge(b, left - MB);
    send_ok(c, 1, 2, 5 * MB, false);
    send_ok(c, 1, 2, 100, true);
    send_ok(c, 1, 2, 1000000, false); /* of one frame */
    sim_run_ms(c->w, 2000);
    EXPECT_U64(count_heard(c, 2, 1, BULK), 1);
    EXPECT_U64(count_heard(c, 2, 1, URGENT), 1);
    EXPECT_U64(peer_dropped(peer_of(c, 2)), 1);
    budget_return(b, left - MB);
    send_ok(c, 1, 2, 5 * MB, false);
    sim_run_ms(c->w, 2000);
    EXPECT_U64(count_heard(c, 2, 1, BULK), 2);
    EXPECT_U64(c->members[2].heard[1][0].damaged, 0);
    EXPECT_U64(c->members[1].state_count, 1);
    cluster_destroy(c);
}

TEST(long_messages_that_arrive_share_a_bound)
{
    struct cluster *c = cluster_create(6, 3, 1);

    c->options.assembly_bytes = 6 * MB;
    for (uint32_t id = 1; id <= 3; id++)
        member_start(c, id);
    cluster_settle(c);
    send_ok(c, 1, 3, 4 * MB, false); /* at once: together they are too much */
    send_ok(c, 2, 3, 4 * MB, false);
    sim_run_ms(c->w, 2000);
    EXPECT_U64(count_heard(c, 3, 1, BULK) + count_heard(c, 3, 2, BULK), 1);
    EXPECT_U64(peer_dropped(peer_of(c, 3)), 1);
    send_ok(c, 1, 3, 4 * MB, false);
    send_ok(c, 2, 3, 7 * MB, false); /* never */
    sim_run_ms(c->w, 2000);
    EXPECT_U64(count_heard(c, 3, 1, BULK) + count_heard(c, 3, 2, BULK), 2);
    EXPECT_U64(peer_dropped(peer_of(c, 3)), 2);
    cluster_destroy(c);
}

TEST(an_idle_connection_costs_little)
{
    struct cluster *c = pair_with(7, 0, 0);
    size_t idle = budget_used(&c->members[1].budget);

    EXPECT(idle < SCRATCH_BYTES + 8192); /* the loop's, and two connections */
    for (int i = 0; i < 50; i++)
        send_ok(c, 1, 2, 100000, false);
    sim_run_ms(c->w, 1000);
    EXPECT_U64(count_heard(c, 2, 1, BULK), 50);
    EXPECT_U64(budget_used(&c->members[1].budget), idle);
    EXPECT_U64(budget_used(&c->members[2].budget), idle);
    cluster_destroy(c);
}

TEST(the_largest_message_gets_through)
{
    struct cluster *c = pair_with(8, 0, 0);

    send_ok(c, 1, 2, PEER_MESSAGE_BYTES_MAX, false);
    for (int i = 0; i < 100 && count_heard(c, 2, 1, BULK) == 0; i++)
        sim_run_ms(c->w, 1000);
    EXPECT_U64(count_heard(c, 2, 1, BULK), 1);
    expect_order(c, 2, 1);
    cluster_destroy(c);
}

QUIET_TEST_MAIN(RUN(a_node_that_never_reads_costs_a_queue_and_no_more),
                RUN(a_message_larger_than_the_queue_is_taken_when_it_is_empty),
                RUN(a_full_budget_stops_bulk_and_not_what_is_urgent),
                RUN(what_was_queued_for_a_node_that_is_gone_is_given_back),
                RUN(an_urgent_message_waits_for_one_frame_of_bulk),
                RUN(a_long_message_without_memory_is_dropped_and_the_connection_stays),
                RUN(long_messages_that_arrive_share_a_bound), RUN(an_idle_connection_costs_little),
                RUN(the_largest_message_gets_through))
