/*
 * Several nodes that keep one store: what one acknowledged, all have.
 */
#include "unit/kv/nodes.h"
#include "unit/test.h"

/* Small keys from..limit-1, each its own value. */
static void
put_keys(struct nodes *n, uint32_t leader, uint32_t from, uint32_t limit)
{
    char key[16];

    for (uint32_t i = from; i < limit; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(nodes_put(n, leader, key, key));
    }
}

static void
check_keys(struct nodes *n, uint32_t leader, uint32_t from, uint32_t limit)
{
    char key[16];

    for (uint32_t i = from; i < limit; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT(strcmp(nodes_get(n, leader, key), key) == 0);
    }
}

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
    n.hint = 0;
    EXPECT_ST(nodes_ask(&n, other), ST_NOT_LEADER);
    EXPECT(n.hint == leader);
    n.hint = 0;
    EXPECT_ST(nodes_try_scan(&n, other), ST_NOT_LEADER);
    EXPECT(n.hint == leader);
    EXPECT_OK(nodes_try_scan(&n, leader));
    EXPECT_STR(n.value, "a,");
    EXPECT(strcmp(nodes_get(&n, leader, "a"), "1") == 0);
    nodes_destroy(&n);
}

static void
the_loss_of_a_leader_loses_nothing_that_was_acknowledged(void **state)
{
    struct nodes n;

    (void)state;
    nodes_create(&n, test_seed(3), 3);
    for (uint32_t round = 0; round < 10; round++) {
        uint32_t leader = nodes_leader(&n);

        put_keys(&n, leader, 20 * round, 20 * (round + 1));
        nodes_crash(&n, leader);
        check_keys(&n, nodes_leader(&n), 0, 20 * (round + 1));
        nodes_boot_all(&n);
    }
    nodes_destroy(&n);
}

/* A leader that hears nobody answers no read: another may have taken over. */
static void
check_that_nothing_old_is_told(struct nodes *n)
{
    uint32_t old = nodes_leader(n);
    uint32_t leader;

    EXPECT_OK(nodes_put(n, old, "a", "old"));
    nodes_cut(n, old, true);
    leader = nodes_leader_but(n, old);
    EXPECT_OK(nodes_put(n, leader, "a", "new"));
    EXPECT(nodes_try_get(n, old, "a") != ST_OK);
    EXPECT(nodes_ask(n, old) != ST_OK);
    EXPECT(nodes_try_scan(n, old) != ST_OK);
    nodes_cut(n, old, false);
    sim_run_ms(n->w, 3000);
    EXPECT(strcmp(nodes_get(n, nodes_leader(n), "a"), "new") == 0);
    nodes_destroy(n);
}

static void
a_leader_that_is_cut_off_tells_nothing_old(void **state)
{
    struct nodes n;

    (void)state;
    nodes_create(&n, test_seed(4), 3);
    check_that_nothing_old_is_told(&n);
    nodes_create_with_leases(&n, test_seed(4), 3);
    check_that_nothing_old_is_told(&n);
}

/* B6.  The moment at which it is cut off: it still believes that it leads. */
static void
a_read_waits_for_the_others_unless_a_lease_says_that_we_lead(void **state)
{
    struct nodes n;
    uint32_t leader;

    (void)state;
    for (int leases = 0; leases < 2; leases++) {
        if (leases)
            nodes_create_with_leases(&n, test_seed(5), 3);
        else
            nodes_create(&n, test_seed(5), 3);
        leader = nodes_leader(&n);
        EXPECT_OK(nodes_put(&n, leader, "a", "1"));
        sim_run_ms(n.w, 100);
        nodes_cut(&n, leader, true);
        EXPECT((nodes_try_get(&n, leader, "a") == ST_OK) == leases);
        EXPECT((nodes_ask(&n, leader) == ST_OK) == leases);
        EXPECT((nodes_try_scan(&n, leader) == ST_OK) == leases);
        nodes_destroy(&n);
    }
}

/* What the deposed leader had appended and nobody else has is cut off, and the rest caught up. */
static void
a_deposed_leader_follows_with_a_log_that_was_cut(void **state)
{
    struct nodes n;
    uint32_t old;
    uint32_t leader;

    (void)state;
    nodes_create(&n, test_seed(5), 3);
    old = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, old, "a", "1"));
    nodes_leave_uncommitted(&n, old, 5);
    leader = nodes_leader_but(&n, old);
    put_keys(&n, leader, 0, 20);
    nodes_cut(&n, old, false);
    sim_run_ms(n.w, 3000);
    nodes_crash(&n, leader);
    leader = nodes_leader(&n);
    check_keys(&n, leader, 0, 20);
    EXPECT(strcmp(nodes_get(&n, leader, "lost"), "nil") == 0);
    nodes_destroy(&n);
}

/* The log still has what was cut off, and the tables what came instead of some of it. */
static void
what_was_cut_off_is_no_damage_behind_a_table(void **state)
{
    struct nodes n;
    uint32_t old;

    (void)state;
    nodes_create(&n, test_seed(6), 3);
    old = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, old, "a", "1"));
    nodes_leave_uncommitted(&n, old, 5);
    put_keys(&n, nodes_leader_but(&n, old), 0, 1);
    nodes_cut(&n, old, false);
    sim_run_ms(n.w, 3000);
    nodes_flush(&n, old);
    nodes_crash(&n, old);
    nodes_boot_all(&n);
    put_keys(&n, nodes_leader(&n), 1, 20);
    check_keys(&n, nodes_leader(&n), 0, 20);
    nodes_destroy(&n);
}

/* With several voters, too, a weaker class is answered when the leader has the entry; but nobody reads
 * what the group does not have, lease or not. */
static void
a_hasty_write_is_answered_early_and_read_late(void **state)
{
    struct nodes n;
    uint32_t leader;

    (void)state;
    for (int leases = 0; leases < 2; leases++) {
        if (leases)
            nodes_create_with_leases(&n, test_seed(7), 3);
        else
            nodes_create(&n, test_seed(7), 3);
        leader = nodes_leader(&n);
        sim_run_ms(n.w, 100);
        nodes_cut(&n, leader, true);
        EXPECT_OK(nodes_put_hastily(&n, leader, "a", "1"));
        EXPECT(nodes_try_get(&n, leader, "a") != ST_OK);
        nodes_destroy(&n);
    }
}

/* What comes in one message may find room in the log piece by piece: it counts when all of it is there. */
static void
a_message_larger_than_the_room_in_the_log_is_taken_in_the_end(void **state)
{
    static char value[4001];
    struct nodes n;
    uint32_t leader;

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    nodes_create(&n, test_seed(9), 3);
    leader = nodes_leader(&n);
    for (uint32_t i = 0; i < 300; i++)
        nodes_send_put(&n, leader, "large", value);
    EXPECT_OK(nodes_put(&n, leader, "last", "1"));
    EXPECT(strcmp(nodes_get(&n, leader, "large"), value) == 0);
    nodes_destroy(&n);
}

/* B4.  The clock of the first leader is an hour ahead of the others'. */
static void
what_has_expired_under_one_leader_stays_so_under_the_next(void **state)
{
    enum { HOUR_MS = 3600 * 1000 };
    struct nodes n;
    uint64_t now_ms;

    (void)state;
    nodes_create(&n, test_seed(8), 3);
    nodes_crash(&n, 1);
    sim_jump_clock(n.w, 1, HOUR_MS);
    nodes_boot_all(&n);
    sim_run_ms(n.w, 2000);
    if (nodes_leader(&n) != 1)
        EXPECT(nodes_transfer(&n, 1));
    now_ms = env_wall_ms(loop_env(sim_loop(n.w, 1, 0)));
    EXPECT_OK(nodes_put_until(&n, 1, "a", now_ms + 3000));
    EXPECT(strcmp(nodes_get(&n, 1, "a"), "x") == 0);
    sim_run_ms(n.w, 4000);
    EXPECT(strcmp(nodes_get(&n, 1, "a"), "nil") == 0);
    EXPECT(nodes_transfer(&n, 2));
    EXPECT(strcmp(nodes_get(&n, 2, "a"), "nil") == 0);
    nodes_destroy(&n);
}

enum { MANY = 300 };

/* The leader's log no longer has what the member lacks: it gets the tables. */
static void
a_member_that_was_away_for_long_gets_a_snapshot(void **state)
{
    struct nodes n;
    uint32_t leader;
    uint32_t away;

    (void)state;
    nodes_create(&n, test_seed(6), 3);
    leader = nodes_leader(&n);
    away = leader == 3 ? 1 : 3;
    nodes_cut(&n, away, true);
    nodes_put_many(&n, nodes_leader_but(&n, away), MANY, 'a');
    nodes_put_many(&n, nodes_leader_but(&n, away), MANY, 'b');
    nodes_cut(&n, away, false);
    sim_run_ms(n.w, 10000);
    EXPECT(nodes_stats(&n, nodes_leader(&n)).snapshots > 0);
    nodes_make_lead(&n, away);
    nodes_check_many(&n, away, MANY, 'b');
    nodes_destroy(&n);
}

/* Its log has what nobody else has, where the snapshot has something else. */
static void
a_snapshot_takes_the_place_of_a_log_that_contradicts_it(void **state)
{
    struct nodes n;
    uint32_t old;

    (void)state;
    nodes_create(&n, test_seed(11), 3);
    old = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, old, "a", "1"));
    nodes_leave_uncommitted(&n, old, 5);
    nodes_put_many(&n, nodes_leader_but(&n, old), MANY, 'a');
    nodes_cut(&n, old, false);
    sim_run_ms(n.w, 10000);
    nodes_crash(&n, old);
    nodes_boot_all(&n);
    sim_run_ms(n.w, 2000);
    nodes_make_lead(&n, old);
    nodes_check_many(&n, old, MANY, 'a');
    EXPECT(strcmp(nodes_get(&n, old, "lost"), "nil") == 0);
    nodes_destroy(&n);
}

/* What it has installed, and what it was told afterwards, survives a power cut. */
static void
a_snapshot_survives_a_power_cut_at_any_time(void **state)
{
    uint64_t seed = test_seed(7);

    (void)state;
    for (uint32_t life = 0; life < 15; life++) {
        struct nodes n;
        uint32_t away;

        nodes_create(&n, seed + life, 3);
        away = nodes_leader(&n) == 3 ? 1 : 3;
        nodes_crash(&n, away);
        nodes_put_many(&n, nodes_leader(&n), MANY, 'a');
        nodes_boot_all(&n);
        for (uint32_t cuts = 0; cuts < 4; cuts++) {
            sim_run_ms(n.w, prng_below(sim_prng(n.w), 1200));
            nodes_crash(&n, away);
            EXPECT_OK(nodes_put(&n, nodes_leader(&n), "z", "z"));
            nodes_boot_all(&n);
        }
        sim_run_ms(n.w, 10000);
        nodes_make_lead(&n, away);
        nodes_check_many(&n, away, MANY, 'a');
        nodes_destroy(&n);
    }
}

/* One for another, through a joint membership; then one at a time down to a member that is alone, and
 * back: nothing is lost on the way. */
static void
members_come_and_go_while_the_store_serves(void **state)
{
    static const uint64_t replaced[] = { 1, 4, 5 };
    static const uint64_t two[] = { 4, 5 };
    static const uint64_t one[] = { 5 };
    static const uint64_t many[] = { 1, 2, 3, 4, 5 };
    struct nodes n;

    (void)state;
    nodes_create(&n, test_seed(8), 5);
    nodes_put_many(&n, nodes_leader(&n), MANY, 'a');
    nodes_change(&n, replaced, 3);
    nodes_crash(&n, 2);
    nodes_crash(&n, 3);
    nodes_check_many(&n, nodes_leader(&n), MANY, 'a');
    nodes_put_many(&n, nodes_leader(&n), MANY, 'b');
    nodes_change(&n, two, 2);
    nodes_crash(&n, 1);
    nodes_change(&n, one, 1);
    nodes_crash(&n, 4);
    EXPECT(nodes_leader(&n) == 5);
    nodes_check_many(&n, 5, MANY, 'b');
    nodes_put_many(&n, 5, MANY, 'c');
    nodes_boot_all(&n);
    nodes_change(&n, many, 5);
    sim_run_ms(n.w, 5000);
    nodes_crash(&n, 5);
    nodes_check_many(&n, nodes_leader(&n), MANY, 'c');
    nodes_destroy(&n);
}

static uint64_t
index_of(struct nodes *n, uint32_t node)
{
    struct errand e;

    nodes_begin(n, node, KV_HASH, &e);
    EXPECT_OK(nodes_finish(n, &e));
    return e.admin.state.index;
}

/* One voter commits by itself; whoever only learns has to be sent everything all the same. */
static void
a_learner_follows_a_lone_voter(void **state)
{
    struct raft_config config = { .voter_count = 1, .learner_count = 1 };
    struct nodes n;
    uint32_t leader, learner;

    (void)state;
    nodes_create(&n, test_seed(23), 3);
    leader = nodes_leader(&n);
    learner = leader % 3 + 1;
    config.voters[0] = leader;
    config.learners[0] = learner;
    nodes_change_to(&n, &config);
    for (int round = 0; round < 5; round++) {
        nodes_put_many(&n, leader, MANY, 'a');
        sim_run_ms(n.w, 2000);
        EXPECT_U64(index_of(&n, learner), index_of(&n, leader));
        nodes_crash(&n, round % 2 == 0 ? learner : leader);
        nodes_boot_all(&n);
        EXPECT_U64(nodes_leader(&n), leader);
    }
    nodes_destroy(&n);
}

static void
leadership_is_handed_over_on_request(void **state)
{
    struct nodes n;
    uint32_t to;

    (void)state;
    nodes_create(&n, test_seed(9), 3);
    to = nodes_leader(&n) == 2 ? 3 : 2;
    EXPECT_OK(nodes_put(&n, nodes_leader(&n), "a", "1"));
    EXPECT(nodes_transfer(&n, to));
    EXPECT(strcmp(nodes_get(&n, to, "a"), "1") == 0);
    nodes_destroy(&n);
}

/* Each allocation of each node in turn: what was acknowledged is there afterwards. */
static void
a_node_without_memory_for_a_moment_loses_nothing(void **state)
{
    bool kept[MANY] = { false };
    char key[16];
    struct nodes n;

    (void)state;
    nodes_create(&n, test_seed(10), 3);
    (void)nodes_leader(&n);
    for (uint32_t i = 0; i < MANY; i++) {
        struct mem_heap *heap = sim_heap(n.w, 1 + i % 3);

        snprintf(key, sizeof(key), "k%u", i);
        heap->fail_at = heap->allocation + 1 + i / 3;
        for (uint32_t node = 1; node <= 3 && !kept[i]; node++)
            kept[i] = nodes_put(&n, node, key, key) == ST_OK;
    }
    for (uint32_t i = 1; i <= 3; i++)
        sim_heap(n.w, i)->fail_at = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        if (kept[i])
            check_keys(&n, nodes_leader(&n), i, i + 1);
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
        cmocka_unit_test(a_read_waits_for_the_others_unless_a_lease_says_that_we_lead),
        cmocka_unit_test(a_deposed_leader_follows_with_a_log_that_was_cut),
        cmocka_unit_test(what_was_cut_off_is_no_damage_behind_a_table),
        cmocka_unit_test(a_hasty_write_is_answered_early_and_read_late),
        cmocka_unit_test(a_message_larger_than_the_room_in_the_log_is_taken_in_the_end),
        cmocka_unit_test(what_has_expired_under_one_leader_stays_so_under_the_next),
        cmocka_unit_test(a_member_that_was_away_for_long_gets_a_snapshot),
        cmocka_unit_test(a_snapshot_takes_the_place_of_a_log_that_contradicts_it),
        cmocka_unit_test(a_snapshot_survives_a_power_cut_at_any_time),
        cmocka_unit_test(members_come_and_go_while_the_store_serves),
        cmocka_unit_test(a_learner_follows_a_lone_voter),
        cmocka_unit_test(leadership_is_handed_over_on_request),
        cmocka_unit_test(a_node_without_memory_for_a_moment_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
