/* How a cluster forms: who begins it, who is let in and who is not, and what a joiner may meet on the way. */
#include "cluster/cluster.h"
#include "simenv/simenv.h"
#include "unit/kv/formed.h"
#include "unit/test.h"

enum { KEYS = 12, RUNS = 6, CLOCK_APART_MS = 11000 };

/* Every database, and the metadata, with so many copies. */
static void
expect_copies(struct formed *f, uint32_t copies)
{
    const struct atlas *a = formed_newest(f);

    EXPECT_U64(a->tablet_count, LIMIT_DATABASES + 1);
    for (uint32_t i = 0; i < a->tablet_count; i++)
        EXPECT_U64(a->tablets[i]->member_count, copies);
}

TEST(three_nodes_form_a_cluster_in_which_all_is_kept_three_times)
{
    struct formed f;

    formed_prepare(&f, 1, 3);
    formed_boot(&f, 1);
    formed_await_member(&f, 1);
    formed_await_placed(&f);
    expect_copies(&f, 1);
    formed_put_keys(&f, KEYS); /* what was written before is there afterwards */
    formed_boot(&f, 2);
    formed_boot(&f, 3);
    formed_await_member(&f, 2);
    formed_await_member(&f, 3);
    formed_await_placed(&f);
    expect_copies(&f, 3);
    formed_expect_keys(&f, KEYS);
    for (uint32_t i = 1; i <= 3; i++)
        EXPECT_U64(formed_replicas(&f, i), LIMIT_DATABASES + 1);
    formed_destroy(&f);
}

TEST(what_is_kept_three_times_outlives_any_one_machine)
{
    struct formed f;

    formed_create(&f, 2, 3);
    formed_put_keys(&f, KEYS);
    for (uint32_t i = 1; i <= 3; i++) {
        nodes_crash(&f.n, i);
        formed_expect_keys(&f, KEYS);
        formed_put_keys(&f, KEYS);
        formed_boot(&f, i);
        formed_await_placed(&f);
    }
    formed_destroy(&f);
}

TEST(nodes_that_are_stopped_and_started_are_the_cluster_that_they_were)
{
    struct formed f;

    formed_create(&f, 3, 3);
    formed_put_keys(&f, KEYS);
    for (uint32_t i = 1; i <= 3; i++)
        formed_stop(&f, i);
    formed_boot_all(&f);
    formed_await_placed(&f);
    EXPECT_U64(formed_newest(&f)->node_count, 3);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(a_node_of_weight_0_stores_nothing_and_answers_everything)
{
    struct formed f;

    formed_prepare(&f, 4, 4);
    f.nodes[4].weight = 0;
    formed_boot_all(&f);
    formed_await_member(&f, 4);
    formed_await_placed(&f);
    EXPECT_U64(formed_replicas(&f, 4), 0);
    EXPECT_U64(formed_copies(&f, 4), 0);
    formed_put(&f, 4, "a", "1");
    formed_expect(&f, 4, "a", "1");
    formed_expect(&f, 1, "a", "1");
    formed_order(&f, 4, "status");
    EXPECT(strstr(f.answer, "\"nodes\"") != NULL);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ who is not let in */

/* It stores nothing, and has lost what it knew of the cluster that it is of. */
TEST(a_node_of_another_cluster_is_refused)
{
    struct formed f;

    formed_prepare(&f, 5, 3);
    f.nodes[2].weight = 0;
    f.nodes[3].join = 0;
    formed_boot_all(&f);
    formed_await_member(&f, 2);
    sim_run_ms(f.n.w, 1000);
    nodes_crash(&f.n, 2);
    EXPECT(sim_disk_remove(f.n.w, 2, "data/ATLAS"));
    f.nodes[2].join = 3;
    formed_boot(&f, 2);
    formed_await_refused(&f, 2, "belongs to another cluster");
    EXPECT_U64(formed_atlas(&f, 3)->node_count, 1);
    formed_destroy(&f);
}

TEST(a_removed_identity_stays_out)
{
    struct formed f;

    formed_create(&f, 6, 3);
    formed_order(&f, 1, "drain n3");
    formed_await_placed(&f);
    nodes_crash(&f.n, 3);
    formed_order(&f, 2, "remove n3");
    formed_boot(&f, 3);
    formed_await_refused(&f, 3, "was removed from this cluster");
    formed_destroy(&f);
}

TEST(a_node_whose_clock_is_apart_is_refused_until_it_is_set)
{
    struct formed f;

    formed_prepare(&f, 7, 2);
    formed_boot(&f, 1);
    (void)sim_boot(f.n.w, 2, 1);
    sim_crash(f.n.w, 2);
    for (int64_t sign = -1; sign <= 1; sign += 2) {
        sim_jump_clock(f.n.w, 2, sign * CLOCK_APART_MS);
        formed_boot(&f, 2);
        formed_await_refused(&f, 2, "its clock is");
        EXPECT_U64(formed_atlas(&f, 1)->node_count, 1);
        nodes_crash(&f.n, 2);
        sim_jump_clock(f.n.w, 2, -sign * CLOCK_APART_MS);
    }
    formed_boot(&f, 2);
    formed_await_member(&f, 2);
    formed_destroy(&f);
}

/* Who hears nobody asks the cluster what became of itself. */
TEST(a_member_whose_clock_has_jumped_stays_one)
{
    struct formed f;

    formed_create(&f, 17, 3);
    sim_jump_clock(f.n.w, 3, INT64_C(10) * CLOCK_APART_MS);
    nodes_cut(&f.n, 3, true);
    sim_run_ms(f.n.w, 20000);
    nodes_cut(&f.n, 3, false);
    sim_run_ms(f.n.w, 20000);
    EXPECT(!f.nodes[3].refused);
    formed_put(&f, 3, "a", "1");
    formed_expect(&f, 1, "a", "1");
    formed_destroy(&f);
}

TEST(a_name_that_another_node_has_is_refused)
{
    struct formed f;

    formed_prepare(&f, 8, 2);
    snprintf(f.nodes[2].name, sizeof(f.nodes[2].name), "n1");
    formed_boot_all(&f);
    formed_await_refused(&f, 2, "another node of this cluster has the name n1");
    nodes_crash(&f.n, 2);
    snprintf(f.nodes[2].name, sizeof(f.nodes[2].name), "n2");
    formed_boot(&f, 2);
    formed_await_member(&f, 2);
    EXPECT_U64(formed_newest(&f)->node_count, 2);
    formed_destroy(&f);
}

TEST(who_is_told_to_join_itself_is_never_let_in)
{
    struct formed f;

    formed_prepare(&f, 9, 2);
    f.nodes[2].join = 2;
    formed_boot_all(&f);
    sim_run_ms(f.n.w, 10000);
    EXPECT(!formed_is_member(&f, 2));
    EXPECT_U64(formed_atlas(&f, 1)->node_count, 1);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ on the way in */

TEST(who_asks_a_node_that_is_not_up_yet_asks_again)
{
    struct formed f;

    formed_prepare(&f, 10, 2);
    formed_boot(&f, 2);
    sim_run_ms(f.n.w, 5000);
    EXPECT(!formed_is_member(&f, 2));
    formed_boot(&f, 1);
    formed_await_member(&f, 2);
    formed_await_placed(&f);
    formed_destroy(&f);
}

TEST(who_asks_a_node_that_is_no_member_yet_is_let_in_once_that_is)
{
    struct formed f;

    formed_prepare(&f, 11, 3);
    f.nodes[3].join = 2; /* which listens to nobody before it is of a cluster */
    formed_boot(&f, 3);
    formed_boot(&f, 2);
    sim_run_ms(f.n.w, 5000);
    EXPECT(!formed_is_member(&f, 3) && !formed_is_member(&f, 2));
    formed_boot(&f, 1);
    formed_await_member(&f, 3);
    formed_await_placed(&f);
    EXPECT_U64(formed_newest(&f)->node_count, 3);
    formed_destroy(&f);
}

TEST(nodes_that_start_all_at_once_find_together)
{
    uint64_t first = test_seed(400);

    for (uint64_t seed = first; seed < first + RUNS; seed++) {
        struct formed f;

        formed_prepare(&f, seed, 5);
        formed_boot_all(&f);
        for (uint32_t i = 1; i <= 5; i++)
            formed_await_member(&f, i);
        formed_await_placed(&f);
        EXPECT_U64(formed_newest(&f)->node_count, 5);
        formed_put_keys(&f, KEYS);
        formed_expect_keys(&f, KEYS);
        formed_destroy(&f);
    }
}

TEST(messages_that_are_lost_late_or_twice_keep_nobody_out)
{
    uint64_t first = test_seed(300);

    for (uint64_t seed = first; seed < first + RUNS; seed++) {
        struct formed f;

        formed_prepare(&f, seed, 4);
        formed_spoil_messages(&f, true);
        formed_boot_all(&f);
        for (uint32_t i = 1; i <= 4; i++)
            formed_await_member(&f, i);
        formed_put_keys(&f, KEYS);
        formed_await_placed(&f);
        formed_expect_keys(&f, KEYS);
        formed_spoil_messages(&f, false);
        formed_await_placed(&f);
        formed_destroy(&f);
    }
}

/* A third node joins two, and its power is cut at the nth call to its disk, counted from its start. */
static bool
dies_while_it_joins(uint64_t nth, bool after)
{
    struct formed f;
    bool died = false;

    formed_prepare(&f, 40, 2);
    formed_boot_all(&f);
    formed_await_member(&f, 2);
    (void)formed_add(&f);
    sim_crash_at(f.n.w, 3, SIM_OP_ALL, nth, after);
    if (formed_try_boot(&f, 3) == ST_OK) {
        for (uint32_t ms = 0; ms < 8000 && sim_running(f.n.w, 3); ms += 100)
            sim_run_ms(f.n.w, 100);
    }
    died = !sim_running(f.n.w, 3);
    sim_crash_at(f.n.w, 3, 0, 0, false);
    if (died)
        formed_boot(&f, 3);
    formed_await_member(&f, 3);
    formed_await_placed(&f);
    EXPECT(formed_newest(&f)->node_count == 3 || formed_newest(&f)->node_count == 4);
    formed_destroy(&f);
    return died;
}

/* Whoever dies before its disk has an identity is another node the next time; nobody else is in the cluster
 * for it: it has not asked yet. */
TEST(a_joiner_that_dies_anywhere_on_its_way_joins_in_the_end)
{
    uint32_t deaths = 0;

    for (uint64_t nth = 1; nth < 400; nth += 1 + nth / 12)
        deaths += dies_while_it_joins(nth, nth % 2 == 0);
    EXPECT(deaths > 30);
}

/* ------------------------------------------------------------------ members that change */

TEST(a_member_that_calls_itself_otherwise_is_found_there)
{
    struct formed f;

    formed_create(&f, 50, 3);
    formed_put_keys(&f, KEYS);
    for (uint32_t i = 1; i <= 3; i++) {
        nodes_crash(&f.n, i);
        f.nodes[i].port += 5;
        formed_boot(&f, i);
        formed_await_placed(&f);
        for (uint32_t ms = 0; ms < 60000; ms += 100) {
            if (formed_record(&f, i)->peer.port == f.nodes[i].port)
                break;
            sim_run_ms(f.n.w, 100);
        }
        EXPECT_U64(formed_record(&f, i)->peer.port, f.nodes[i].port);
        formed_put(&f, i, "a", "1");
    }
    formed_expect_keys(&f, KEYS);
    EXPECT_U64(formed_newest(&f)->node_count, 3);
    formed_destroy(&f);
}

TEST(a_lone_node_changes_its_own_record)
{
    struct formed f;

    formed_create(&f, 51, 1);
    formed_stop(&f, 1);
    f.nodes[1].port += 3;
    formed_boot(&f, 1);
    sim_run_ms(f.n.w, 2000);
    EXPECT_U64(formed_record(&f, 1)->peer.port, FORMED_PORT + 3);
    formed_destroy(&f);
}

QUIET_TEST_MAIN(RUN(three_nodes_form_a_cluster_in_which_all_is_kept_three_times),
                RUN(what_is_kept_three_times_outlives_any_one_machine),
                RUN(nodes_that_are_stopped_and_started_are_the_cluster_that_they_were),
                RUN(a_node_of_weight_0_stores_nothing_and_answers_everything),
                RUN(a_node_of_another_cluster_is_refused), RUN(a_removed_identity_stays_out),
                RUN(a_node_whose_clock_is_apart_is_refused_until_it_is_set),
                RUN(a_member_whose_clock_has_jumped_stays_one),
                RUN(a_name_that_another_node_has_is_refused),
                RUN(who_is_told_to_join_itself_is_never_let_in),
                RUN(who_asks_a_node_that_is_not_up_yet_asks_again),
                RUN(who_asks_a_node_that_is_no_member_yet_is_let_in_once_that_is),
                RUN(nodes_that_start_all_at_once_find_together),
                RUN(messages_that_are_lost_late_or_twice_keep_nobody_out),
                RUN(a_joiner_that_dies_anywhere_on_its_way_joins_in_the_end),
                RUN(a_member_that_calls_itself_otherwise_is_found_there),
                RUN(a_lone_node_changes_its_own_record))
