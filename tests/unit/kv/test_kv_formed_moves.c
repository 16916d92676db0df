/* Nodes that go, fail and come back, and keyspaces that come and go: what is kept where, and that nothing is lost
 * on the way. */
#include "simenv/simenv.h"
#include "unit/kv/formed.h"
#include "unit/test.h"

enum {
    KEYS = 12,
    DATABASES_AND_META = LIMIT_DATABASES + 1,
    FAILED_AFTER_MS = 600000,
    REPORTED_MS = 6000
};

/* ------------------------------------------------------------------ going */

TEST(a_drained_node_has_nothing_any_more_and_can_be_removed)
{
    struct formed f;

    formed_create(&f, 100, 4);
    formed_put_keys(&f, KEYS);
    EXPECT_ST(formed_try_order(&f, 1, "remove n1"), ST_INVALID);
    EXPECT(strstr(f.answer, "still has copies of") != NULL);
    formed_order(&f, 2, "drain n1");
    formed_await_placed(&f);
    EXPECT_U64(formed_copies(&f, 1), 0);
    EXPECT_U64(formed_replicas(&f, 1), 0);
    formed_put(&f, 1, "a", "1"); /* it answers meanwhile */
    formed_order(&f, 3, "remove n1");
    formed_await_refused(&f, 1, "was removed from this cluster");
    nodes_crash(&f.n, 1);
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_expect(&f, 2, "a", "1");
    formed_destroy(&f);
}

TEST(a_node_that_is_drained_no_longer_gets_its_share_again)
{
    struct formed f;

    formed_create(&f, 101, 3);
    formed_order(&f, 1, "drain n2");
    formed_await_placed(&f);
    EXPECT_U64(formed_copies(&f, 2), 0);
    formed_order(&f, 3, "undrain n2");
    formed_await_placed(&f);
    EXPECT_U64(formed_copies(&f, 2), DATABASES_AND_META);
    EXPECT_U64(formed_replicas(&f, 2), DATABASES_AND_META);
    formed_destroy(&f);
}

/* It was the first, and began them all; but what it has now it got from others. */
TEST(who_began_a_tablet_and_comes_back_to_learn_does_not_begin_it_anew)
{
    struct formed f;

    formed_create(&f, 104, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, REPORTED_MS);
    formed_order(&f, 2, "drain n1");
    formed_await_placed(&f);
    sim_run_ms(f.n.w, REPORTED_MS);
    formed_order(&f, 2, "drain n3");
    formed_await_placed(&f);
    formed_order(&f, 2, "undrain n1");
    formed_await_placed(&f);
    EXPECT_U64(formed_copies(&f, 1), DATABASES_AND_META);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

/* As it knows itself. */
static uint32_t
copies_of_its_own(struct formed *f, uint32_t node)
{
    const struct atlas *a = formed_atlas(f, node);
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->tablet_count; i++)
        count += tablet_record_member(a->tablets[i], f->nodes[node].id) != NULL;
    return count;
}

/* What it has acknowledged others may rely on, from the moment that it is a member again. */
TEST(who_has_heard_that_it_has_to_drop_a_copy_asks_whether_that_is_the_last_word)
{
    struct formed f;
    uint32_t own;

    formed_create(&f, 106, 4);
    formed_put_keys(&f, KEYS);
    formed_order(&f, 1, "drain n4");
    while (copies_of_its_own(&f, 4) >= formed_replicas(&f, 4))
        sim_run_ms(f.n.w, 1);
    nodes_cut(&f.n, 4, true);
    own = copies_of_its_own(&f, 4);
    sim_run_ms(f.n.w, 5000);
    EXPECT_U64(copies_of_its_own(&f, 4), own);
    EXPECT(formed_replicas(&f, 4) > own);
    nodes_crash(&f.n, 4);
    formed_boot(&f, 4);
    sim_run_ms(f.n.w, 5000);
    EXPECT(formed_replicas(&f, 4) > own);
    formed_order(&f, 1, "undrain n4");
    sim_run_ms(f.n.w, 3000);
    nodes_cut(&f.n, 4, false);
    formed_await_placed(&f);
    EXPECT_U64(formed_replicas(&f, 4), formed_copies(&f, 4));
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(nobody_is_drained_when_nobody_else_is_left)
{
    struct formed f;

    formed_create(&f, 102, 2);
    formed_order(&f, 1, "drain n2");
    EXPECT_ST(formed_try_order(&f, 1, "drain n1"), ST_INVALID);
    EXPECT(strstr(f.answer, "nobody would be left") != NULL);
    EXPECT_ST(formed_try_order(&f, 1, "drain n7"), ST_NOT_FOUND);
    EXPECT_ST(formed_try_order(&f, 1, "undrain n1"), ST_INVALID);
    formed_destroy(&f);
}

/* Each leaves in turn, and the data is on machines that were not there in the beginning. */
TEST(a_cluster_outlives_all_who_began_it)
{
    struct formed f;

    formed_create(&f, 103, 3);
    formed_put_keys(&f, KEYS);
    for (uint32_t i = 1; i <= 3; i++) {
        uint32_t next = formed_add(&f);
        char words[32];

        f.nodes[next].join = next - 1;
        formed_boot(&f, next);
        formed_await_member(&f, next);
        snprintf(words, sizeof(words), "drain n%u", i);
        formed_order(&f, next, words);
        formed_await_placed(&f);
        snprintf(words, sizeof(words), "remove n%u", i);
        formed_order(&f, next, words);
        nodes_crash(&f.n, i);
        formed_expect_keys(&f, KEYS);
    }
    for (uint32_t i = 4; i <= 6; i++)
        EXPECT_U64(formed_replicas(&f, i), DATABASES_AND_META);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ failing */

TEST(who_is_gone_for_long_is_replaced_and_who_comes_back_is_a_member_again)
{
    struct formed f;

    formed_create(&f, 110, 4);
    formed_put_keys(&f, KEYS);
    nodes_crash(&f.n, 2);
    formed_await_state(&f, 2, NODE_FAILED);
    formed_await_placed(&f);
    EXPECT_U64(formed_copies(&f, 2), 0);
    formed_put_keys(&f, KEYS);
    formed_boot(&f, 2);
    formed_await_state(&f, 2, NODE_MEMBER);
    formed_await_placed(&f);
    EXPECT(formed_copies(&f, 2) > 0);
    EXPECT_U64(formed_copies(&f, 2),
               formed_replicas(&f, 2)); /* what it had is not kept beside it */
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(who_is_back_before_it_is_given_up_keeps_what_it_has)
{
    struct formed f;
    uint64_t change;

    formed_create(&f, 111, 3);
    sim_run_ms(f.n.w, 2000);
    change = formed_newest(&f)->cluster.change;
    nodes_crash(&f.n, 3);
    sim_run_ms(f.n.w, FAILED_AFTER_MS / 2);
    formed_put_keys(&f, KEYS);
    formed_boot(&f, 3);
    formed_await_placed(&f);
    EXPECT_U64(formed_record(&f, 3)->state, NODE_MEMBER);
    EXPECT_U64(formed_copies(&f, 3), DATABASES_AND_META);
    EXPECT(formed_newest(&f)->cluster.change < change + 40); /* leaders moved, and nothing else */
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

/* As if it had never run. */
static void
empty_disk(struct formed *f, uint32_t node)
{
    struct sim_disk_image *blank = sim_disk_save(f->n.w, NODES_MAX);

    sim_disk_load(f->n.w, node, blank);
    sim_disk_image_free(blank);
}

TEST(a_machine_whose_disk_was_emptied_joins_as_a_new_node)
{
    struct formed f;
    uint64_t former;

    formed_create(&f, 112, 3);
    formed_put_keys(&f, KEYS);
    former = f.nodes[3].id;
    nodes_crash(&f.n, 3);
    empty_disk(&f, 3);
    formed_boot(&f, 3);
    EXPECT(f.nodes[3].id != former);
    formed_await_refused(&f, 3,
                         "has the name n3"); /* nobody knows yet that it will not come back */
    nodes_crash(&f.n, 3);
    snprintf(f.nodes[3].name, sizeof(f.nodes[3].name), "n3b");
    formed_boot(&f, 3);
    formed_await_member(&f, 3);
    formed_order(&f, 1, "drain n3");
    formed_await_placed(&f);
    formed_order(&f, 1, "remove n3");
    EXPECT_U64(atlas_node(formed_newest(&f), former)->state, NODE_REMOVED);
    EXPECT_U64(formed_replicas(&f, 3), DATABASES_AND_META);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ keyspaces */

static void
expect_spread(struct formed *f, const char *name, uint32_t tablets, uint32_t replicas)
{
    const struct atlas_keyspace *k = formed_keyspace(f, name);

    assert_non_null(k);
    EXPECT_U64(k->tablet_count, tablets);
    for (uint32_t i = 0; i < tablets; i++)
        EXPECT_U64(k->tablets[i]->member_count, replicas);
}

TEST(a_keyspace_of_many_tablets_is_spread_altered_and_dropped)
{
    struct formed f;

    formed_create(&f, 120, 5);
    formed_order(&f, 2, "keyspace-create many 3 16 hash");
    formed_await_placed(&f);
    expect_spread(&f, "many", 16, 3);
    formed_use(&f, "many");
    formed_put_keys(&f, 5 * KEYS);
    formed_order(&f, 3, "keyspace-alter many 5");
    formed_await_placed(&f);
    expect_spread(&f, "many", 16, 5);
    formed_expect_keys(&f, 5 * KEYS);
    formed_order(&f, 4, "keyspace-alter many 1");
    formed_await_placed(&f);
    expect_spread(&f, "many", 16, 1);
    formed_expect_keys(&f, 5 * KEYS);
    formed_order(&f, 5, "keyspace-drop many");
    formed_await_placed(&f);
    EXPECT(formed_keyspace(&f, "many") == NULL);
    EXPECT_ST(nodes_try_get(&f.n, 1, "k0"), ST_NOT_FOUND);
    sim_run_ms(f.n.w, 5000);
    for (uint32_t i = 1; i <= 5; i++)
        EXPECT_U64(formed_replicas(&f, i), formed_copies(&f, i));
    formed_destroy(&f);
}

TEST(a_keyspace_with_the_name_of_one_that_was_dropped_is_another_one)
{
    struct formed f;

    formed_create(&f, 121, 3);
    formed_order(&f, 1, "keyspace-create a 3 4 hash");
    formed_await_placed(&f);
    formed_use(&f, "a");
    formed_put_keys(&f, KEYS);
    EXPECT_ST(formed_try_order(&f, 2, "keyspace-create a 3 1 range"), ST_INVALID);
    formed_order(&f, 2, "keyspace-drop a");
    formed_await_placed(&f);
    formed_order(&f, 3, "keyspace-create a 2 1 range");
    formed_await_placed(&f);
    expect_spread(&f, "a", 1, 2);
    formed_use(&f, "a");
    formed_expect(&f, 1, "k0", "nil");
    formed_destroy(&f);
}

QUIET_TEST_MAIN(RUN(a_drained_node_has_nothing_any_more_and_can_be_removed),
                RUN(a_node_that_is_drained_no_longer_gets_its_share_again),
                RUN(who_began_a_tablet_and_comes_back_to_learn_does_not_begin_it_anew),
                RUN(who_has_heard_that_it_has_to_drop_a_copy_asks_whether_that_is_the_last_word),
                RUN(nobody_is_drained_when_nobody_else_is_left),
                RUN(a_cluster_outlives_all_who_began_it),
                RUN(who_is_gone_for_long_is_replaced_and_who_comes_back_is_a_member_again),
                RUN(who_is_back_before_it_is_given_up_keeps_what_it_has),
                RUN(a_machine_whose_disk_was_emptied_joins_as_a_new_node),
                RUN(a_keyspace_of_many_tablets_is_spread_altered_and_dropped),
                RUN(a_keyspace_with_the_name_of_one_that_was_dropped_is_another_one))
