/* Whole clusters on virtual time: deaths, returns, partitions, one-way links, pauses, joins. */
#include "unit/swim/net.h"
#include "unit/test.h"

#define NS_PER_MS UINT64_C(1000000)

enum { WARM_MS = 10000 };

/* How long after `from_ns` the observer has last come to think so of the subject, in ms. */
static uint64_t
after_ms(struct net *n, swim_id observer, swim_id subject, enum swim_state state, uint64_t from_ns)
{
    struct net_opinion *o = net_opinion(n, observer, subject);

    EXPECT(o->times[state] > 0);
    EXPECT(o->since_ns[state] >= from_ns);
    return (o->since_ns[state] - from_ns) / NS_PER_MS;
}

TEST(a_dead_node_is_suspicious_then_down_then_lost_for_everybody)
{
    struct net *n = net_create(test_seed(1), 5);
    uint64_t dead_ns;

    net_run_ms(n, WARM_MS);
    net_crash(n, 5);
    dead_ns = n->now_ns;
    net_run_ms(n, 700000);
    for (swim_id id = 1; id <= 4; id++) {
        uint64_t suspicious_ms = after_ms(n, id, 5, SWIM_SUSPICIOUS, dead_ns);
        uint64_t down_ms = after_ms(n, id, 5, SWIM_DOWN, dead_ns);

        EXPECT(suspicious_ms <= 12000);
        EXPECT(down_ms <= 36000);
        EXPECT_U64(after_ms(n, id, 5, SWIM_LOST, dead_ns), down_ms + 600000);
    }
    EXPECT(net_all_healthy(n)); /* who live */
    net_destroy(n);
}

TEST(whoever_comes_back_is_healthy_for_everybody_from_any_state)
{
    static const uint64_t silent_ms[] = { 12000, 60000, 700000 };

    for (int i = 0; i < 3; i++) {
        struct net *n = net_create(10 + (uint64_t)i, 7);

        net_run_ms(n, WARM_MS);
        net_crash(n, 3);
        net_run_ms(n, silent_ms[i]);
        EXPECT_U64(net_state(n, 1, 3), SWIM_SUSPICIOUS + i);
        net_start(n, 3); /* of incarnation 1, and does not know that it was accused */
        net_run_ms(n, 5000);
        EXPECT(net_all_healthy(n));
        net_destroy(n);
    }
}

TEST(a_node_that_paused_accuses_nobody_and_is_healthy_again)
{
    struct net *n = net_create(test_seed(3), 20);

    net_run_ms(n, WARM_MS);
    net_pause_ms(n, 4, 120000);
    net_run_ms(n, 119000);
    EXPECT_U64(net_state(n, 1, 4), SWIM_DOWN);
    (void)net_count(n, SWIM_SUSPICIOUS);
    net_run_ms(n, 6000);
    EXPECT(net_all_healthy(n));
    net_run_ms(n, 60000);
    for (swim_id id = 1; id <= 20; id++)
        EXPECT_U64(net_opinion(n, 4, id)->times[SWIM_SUSPICIOUS], 0);
    EXPECT_U64(net_count(n, SWIM_SUSPICIOUS), 0);
    net_destroy(n);
}

/* All of them, as when their machine does. */
TEST(a_cluster_that_paused_goes_on)
{
    struct net *n = net_create(test_seed(4), 20);

    net_run_ms(n, WARM_MS);
    for (swim_id id = 1; id <= 20; id++)
        net_pause_ms(n, id, 3600000);
    net_run_ms(n, 3660000);
    EXPECT_U64(net_count(n, SWIM_SUSPICIOUS), 0);
    EXPECT(net_all_healthy(n));
    net_destroy(n);
}

static void
cut_between(struct net *n, swim_id last_of_first)
{
    for (swim_id a = 1; a <= last_of_first; a++) {
        for (swim_id b = last_of_first + 1; b <= n->node_count; b++) {
            net_cut(n, a, b);
            net_cut(n, b, a);
        }
    }
}

TEST(halves_of_a_cluster_think_each_other_down_and_find_together_again)
{
    struct net *n = net_create(test_seed(5), 20);

    net_run_ms(n, WARM_MS);
    cut_between(n, 10);
    net_run_ms(n, 60000);
    for (swim_id a = 1; a <= 10; a++) {
        EXPECT_U64(net_state(n, a, 20), SWIM_DOWN);
        EXPECT_U64(net_state(n, 20, a), SWIM_DOWN);
        EXPECT_U64(net_opinion(n, 1, a)->times[SWIM_DOWN], 0);
    }
    (void)net_count(n, SWIM_DOWN);
    net_heal(n);
    net_run_ms(n, 20000);
    EXPECT(net_all_healthy(n));
    EXPECT_U64(net_count(n, SWIM_DOWN), 0);
    net_destroy(n);
}

TEST(a_short_cut_leads_to_nobody_being_down)
{
    struct net *n = net_create(test_seed(6), 50);

    net_run_ms(n, WARM_MS);
    for (int i = 0; i < 20; i++) {
        cut_between(n, 1 + prng_below(&n->prng, 48));
        net_run_ms(n, 8000);
        net_heal(n);
        net_run_ms(n, 30000);
    }
    EXPECT_U64(net_count(n, SWIM_DOWN), 0);
    net_run_ms(n, 10000);
    EXPECT(net_all_healthy(n));
    net_destroy(n);
}

/* ------------------------------------------------------------------ one-way links */

TEST(of_two_nodes_the_one_that_is_heard_is_healthy_and_the_other_down)
{
    struct net *n = net_create(test_seed(7), 2);

    net_run_ms(n, WARM_MS);
    net_cut(n, 2, 1);
    net_run_ms(n, 40000);
    EXPECT_U64(net_state(n, 1, 2), SWIM_DOWN);
    EXPECT_U64(net_state(n, 2, 1), SWIM_HEALTHY);
    EXPECT_U64(net_opinion(n, 2, 1)->times[SWIM_SUSPICIOUS], 0);
    net_heal(n);
    net_run_ms(n, 2000);
    EXPECT(net_all_healthy(n));
    net_destroy(n);
}

TEST(a_third_who_reaches_both_vouches_for_them)
{
    struct net *n = net_create(test_seed(8), 3);

    net_run_ms(n, WARM_MS);
    net_cut(n, 2, 1);
    net_run_ms(n, 600000);
    EXPECT_U64(net_count(n, SWIM_SUSPICIOUS), 0);
    net_cut(n, 1, 2); /* and now not one way, either */
    net_run_ms(n, 600000);
    EXPECT_U64(net_count(n, SWIM_SUSPICIOUS), 0);
    net_destroy(n);
}

TEST(a_mute_node_is_down_and_itself_thinks_all_healthy)
{
    struct net *n = net_create(test_seed(9), 8);

    net_run_ms(n, WARM_MS);
    for (swim_id id = 2; id <= 8; id++)
        net_cut(n, 1, id);
    net_run_ms(n, 60000);
    for (swim_id id = 2; id <= 8; id++) {
        EXPECT_U64(net_state(n, id, 1), SWIM_DOWN);
        EXPECT_U64(net_opinion(n, 1, id)->times[SWIM_SUSPICIOUS], 0);
    }
    net_destroy(n);
}

TEST(a_deaf_node_harms_nobody_but_itself)
{
    struct net *n = net_create(test_seed(10), 8);

    net_run_ms(n, WARM_MS);
    for (swim_id id = 2; id <= 8; id++)
        net_cut(n, id, 1);
    net_run_ms(n, 120000);
    for (swim_id a = 2; a <= 8; a++) {
        EXPECT_U64(net_state(n, 1, a), SWIM_DOWN);
        for (swim_id b = 2; b <= 8; b++)
            EXPECT_U64(net_opinion(n, a, b)->times[SWIM_DOWN], 0);
    }
    net_heal(n);
    net_run_ms(n, 20000);
    EXPECT(net_all_healthy(n));
    net_destroy(n);
}

/* ------------------------------------------------------------------ changes */

/* Up for two seconds, away for four, and so on: never silent for five, but nineteen others do not hear it
 * in each of the two. */
TEST(a_flapping_node_is_hardly_ever_suspicious_and_never_down)
{
    struct net *n = net_create(test_seed(11), 20);

    net_run_ms(n, WARM_MS);
    for (int i = 0; i < 100; i++) {
        net_pause_ms(n, 7, 4000);
        net_run_ms(n, 6000);
    }
    EXPECT_U64(net_count(n, SWIM_DOWN), 0);
    EXPECT(net_count(n, SWIM_SUSPICIOUS) <= 100 * 19 / 20);
    net_run_ms(n, 10000);
    EXPECT(net_all_healthy(n));
    net_destroy(n);
}

static void
for_all(struct net *n, enum swim_event_kind kind, swim_id node)
{
    for (swim_id id = 1; id <= n->node_count; id++) {
        if (id != node && n->nodes[id].swim != NULL)
            EXPECT_OK(net_event(n, id, (struct swim_event){ .kind = kind, .node = node }));
        net_run_ms(n, 300);
    }
}

TEST(news_of_one_node_is_everybodys_soon)
{
    static const uint32_t counts[] = { 3, 10, 30, 100 };

    for (int i = 0; i < 4; i++) {
        struct net *n = net_create(20 + (uint64_t)i, counts[i]);
        struct swim_event e = { .kind = SWIM_ANNOUNCE, .payload = slice_str("load 7") };

        net_run_ms(n, 60000); /* of a start, everything is news */
        EXPECT_OK(net_event(n, 2, e));
        net_run_ms(n, 8000);
        for (swim_id id = 1; id <= counts[i]; id++) {
            struct swim_view view;

            EXPECT_OK(swim_view(n->nodes[id].swim, 2, &view));
            EXPECT_U64(view.payload.sequence, 1);
            EXPECT_SLICE(slice_of(view.payload.bytes, view.payload.size), "load 7");
        }
        net_destroy(n);
    }
}

TEST(a_node_that_is_removed_is_nobodys_and_one_that_is_added_everybodys)
{
    struct net *n = net_create(test_seed(12), 12);

    net_run_ms(n, WARM_MS);
    for_all(n, SWIM_FORGET, 12); /* one after the other, with gossip between them */
    net_crash(n, 12);
    net_run_ms(n, 60000);
    EXPECT_U64(net_count(n, SWIM_SUSPICIOUS), 0);
    for (swim_id id = 1; id < 12; id++)
        EXPECT_U64(swim_member_count(n->nodes[id].swim), 10);
    net_start(n, 12);
    for_all(n, SWIM_LEARN, 12);
    net_run_ms(n, 60000);
    EXPECT(net_all_healthy(n));
    EXPECT_U64(net_count(n, SWIM_SUSPICIOUS), 0);
    net_destroy(n);
}

TEST(thresholds_change_while_the_cluster_runs)
{
    struct net *n = net_create(test_seed(13), 9);
    struct swim_timing faster = { 200 * NS_PER_MS, 1000 * NS_PER_MS, 3000 * NS_PER_MS,
                                  10000 * NS_PER_MS };
    uint64_t dead_ns;

    net_run_ms(n, WARM_MS);
    for (swim_id id = 1; id <= 9; id++)
        EXPECT_OK(
            net_event(n, id, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &faster }));
    net_run_ms(n, WARM_MS);
    EXPECT_U64(net_count(n, SWIM_SUSPICIOUS), 0);
    net_crash(n, 9);
    dead_ns = n->now_ns;
    net_run_ms(n, 20000);
    for (swim_id id = 1; id <= 8; id++) {
        EXPECT(after_ms(n, id, 9, SWIM_SUSPICIOUS, dead_ns) <= 3000);
        EXPECT(after_ms(n, id, 9, SWIM_DOWN, dead_ns) <= 5000);
        EXPECT(after_ms(n, id, 9, SWIM_LOST, dead_ns) <= 15000);
    }
    net_destroy(n);
}

TEST_MAIN(RUN(a_dead_node_is_suspicious_then_down_then_lost_for_everybody),
          RUN(whoever_comes_back_is_healthy_for_everybody_from_any_state),
          RUN(a_node_that_paused_accuses_nobody_and_is_healthy_again),
          RUN(a_cluster_that_paused_goes_on),
          RUN(halves_of_a_cluster_think_each_other_down_and_find_together_again),
          RUN(a_short_cut_leads_to_nobody_being_down),
          RUN(of_two_nodes_the_one_that_is_heard_is_healthy_and_the_other_down),
          RUN(a_third_who_reaches_both_vouches_for_them),
          RUN(a_mute_node_is_down_and_itself_thinks_all_healthy),
          RUN(a_deaf_node_harms_nobody_but_itself),
          RUN(a_flapping_node_is_hardly_ever_suspicious_and_never_down),
          RUN(news_of_one_node_is_everybodys_soon),
          RUN(a_node_that_is_removed_is_nobodys_and_one_that_is_added_everybodys),
          RUN(thresholds_change_while_the_cluster_runs))
