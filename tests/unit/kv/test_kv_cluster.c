/*
 * Several nodes that keep one store: what one acknowledged, all have.
 */
#include "unit/kv/nodes.h"
#include "unit/test.h"

static void
three_nodes_agree_on_a_leader_and_keep_what_it_acknowledges(void **state)
{
    struct nodes n;
    uint32_t leader;

    (void)state;
    nodes_create(&n, test_seed(1), 3);
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, leader, "a", "1"));
    EXPECT_OK(nodes_put(&n, leader, "b", "2"));
    EXPECT(strcmp(nodes_get(&n, leader, "a"), "1") == 0);
    nodes_destroy(&n);
}

static void
who_does_not_lead_says_who_does(void **state)
{
    struct nodes n;
    uint32_t leader;
    uint32_t other;

    (void)state;
    nodes_create(&n, test_seed(2), 3);
    leader = nodes_leader(&n);
    other = leader == 1 ? 2 : 1;
    EXPECT_OK(nodes_put(&n, leader, "a", "1"));
    EXPECT(nodes_put(&n, other, "a", "2") == ST_NOT_LEADER);
    EXPECT(n.hint == leader);
    EXPECT(strcmp(nodes_get(&n, leader, "a"), "1") == 0);
    nodes_destroy(&n);
}

static void
the_loss_of_a_leader_loses_nothing_that_was_acknowledged(void **state)
{
    char key[16];
    struct nodes n;

    (void)state;
    nodes_create(&n, test_seed(3), 3);
    for (uint32_t round = 0; round < 10; round++) {
        uint32_t leader = nodes_leader(&n);

        for (uint32_t i = 0; i < 20; i++) {
            snprintf(key, sizeof(key), "k%u", 20 * round + i);
            EXPECT_OK(nodes_put(&n, leader, key, key));
        }
        nodes_crash(&n, leader);
        leader = nodes_leader(&n);
        for (uint32_t i = 0; i < 20 * (round + 1); i++) {
            snprintf(key, sizeof(key), "k%u", i);
            EXPECT(strcmp(nodes_get(&n, leader, key), key) == 0);
        }
        nodes_boot_all(&n);
    }
    nodes_destroy(&n);
}

/* A leader that hears nobody answers no read: another may have taken over. */
static void
a_leader_that_is_cut_off_tells_nothing_old(void **state)
{
    struct nodes n;
    uint32_t old;
    uint32_t leader;

    (void)state;
    nodes_create(&n, test_seed(4), 3);
    old = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, old, "a", "old"));
    nodes_cut(&n, old, true);
    leader = nodes_leader_but(&n, old);
    EXPECT_OK(nodes_put(&n, leader, "a", "new"));
    EXPECT(nodes_try_get(&n, old, "a") != ST_OK);
    nodes_cut(&n, old, false);
    sim_run_ms(n.w, 3000);
    leader = nodes_leader(&n);
    EXPECT(strcmp(nodes_get(&n, leader, "a"), "new") == 0);
    nodes_destroy(&n);
}

/* What the deposed leader had appended and nobody else has is cut off, and the rest caught up. */
static void
a_deposed_leader_follows_with_a_log_that_was_cut(void **state)
{
    char key[16];
    struct nodes n;
    uint32_t old;
    uint32_t leader;

    (void)state;
    nodes_create(&n, test_seed(5), 3);
    old = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, old, "a", "1"));
    nodes_cut(&n, old, true);
    for (uint32_t i = 0; i < 5; i++) {
        snprintf(key, sizeof(key), "lost%u", i);
        nodes_send_put(&n, old, key, "x");
    }
    leader = nodes_leader_but(&n, old);
    for (uint32_t i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(nodes_put(&n, leader, key, key));
    }
    nodes_cut(&n, old, false);
    sim_run_ms(n.w, 3000);
    nodes_crash(&n, leader);
    leader = nodes_leader(&n);
    for (uint32_t i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT(strcmp(nodes_get(&n, leader, key), key) == 0);
    }
    nodes_destroy(&n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_nodes_agree_on_a_leader_and_keep_what_it_acknowledges),
        cmocka_unit_test(who_does_not_lead_says_who_does),
        cmocka_unit_test(the_loss_of_a_leader_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_leader_that_is_cut_off_tells_nothing_old),
        cmocka_unit_test(a_deposed_leader_follows_with_a_log_that_was_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
