/*
 * Many groups on few nodes, most of them with nothing to do.
 */
#include "tablet/tablet.h"
#include "unit/kv/nodes.h"
#include "unit/test.h"

enum { NODES = 3, GROUPS = 200, GROUP_BYTES_MAX = 9728, SETTLE_MS = 20000 };

/* How many groups of all nodes sleep. */
static uint32_t
asleep(const struct nodes *n)
{
    uint32_t count = 0;

    for (uint32_t node = 1; node <= n->count; node++) {
        for (uint32_t i = 0; i < n->keyspace_count; i++)
            count += raft_is_quiesced(tablet_raft(kv_tablet(n->kv[node], i)));
    }
    return count;
}

static void
a_store_has_as_many_keyspaces_as_its_cluster_is_told(void **state)
{
    enum { COUNT = 40 };
    struct nodes n;
    uint32_t leader;

    (void)state;
    nodes_create_with_keyspaces(&n, test_seed(1), NODES, COUNT);
    n.keyspace = COUNT - 1;
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, leader, "a", "1"));
    n.keyspace = COUNT;
    EXPECT_ST(nodes_put(&n, leader, "a", "1"), ST_NOT_FOUND);
    for (uint32_t node = 1; node <= NODES; node++)
        nodes_crash(&n, node);
    nodes_boot_all(&n);
    n.keyspace = COUNT - 1;
    EXPECT_STR(nodes_get(&n, nodes_leader(&n), "a"), "1");
    n.keyspace = COUNT - 2;
    EXPECT_STR(nodes_get(&n, nodes_leader(&n), "a"), "nil");
    nodes_destroy(&n);
}

/* Megabytes for a thousand of them. */
static void
groups_without_traffic_sleep_and_take_little(void **state)
{
    size_t bytes[2];
    struct nodes n;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        nodes_create_with_keyspaces(&n, test_seed(2), NODES, i == 0 ? 1 : GROUPS);
        sim_run_ms(n.w, SETTLE_MS);
        EXPECT_U64(asleep(&n), NODES * n.keyspace_count);
        bytes[i] = sim_heap(n.w, 1)->byte_count;
        nodes_destroy(&n);
    }
    EXPECT((bytes[1] - bytes[0]) / (GROUPS - 1) <= GROUP_BYTES_MAX);
}

static void
every_group_that_slept_has_a_leader_again_when_its_node_falls_silent(void **state)
{
    struct nodes n;

    (void)state;
    nodes_create_with_keyspaces(&n, test_seed(3), NODES, GROUPS);
    sim_run_ms(n.w, SETTLE_MS);
    nodes_crash(&n, 1);
    sim_run_ms(n.w, 3000);
    for (n.keyspace = 0; n.keyspace < GROUPS; n.keyspace++)
        EXPECT(nodes_ask(&n, 2) == ST_OK || nodes_ask(&n, 3) == ST_OK);
    nodes_destroy(&n);
}

/* The log is kept for what one of them has not flushed; it is flushed when the log's cap is reached, as if it
 * were awake: beyond it there is what comes in a tick or two, of 4 MB that are written. */
static void
a_group_that_sleeps_does_not_hold_the_log_beyond_its_cap(void **state)
{
    enum { CAP = 1 << 20, PUTS = 1000 };
    static char value[NODES_VALUE_MAX];
    uint64_t retained_max = 0;
    struct nodes n;

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    nodes_create_with_keyspaces(&n, test_seed(4), 1, 2);
    n.keyspace = 1;
    EXPECT_OK(nodes_put(&n, 1, "a", "1"));
    sim_run_ms(n.w, SETTLE_MS);
    EXPECT_U64(asleep(&n), 2);
    n.keyspace = 0;
    for (uint32_t i = 0; i < PUTS; i++) {
        struct kv_stats stats;

        EXPECT_OK(nodes_put(&n, 1, "b", value));
        kv_stats(n.kv[1], &stats);
        if (stats.engine.log_retained_bytes > retained_max)
            retained_max = stats.engine.log_retained_bytes;
    }
    EXPECT(retained_max > CAP);
    EXPECT(retained_max < 3 * CAP);
    nodes_destroy(&n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_has_as_many_keyspaces_as_its_cluster_is_told),
        cmocka_unit_test(groups_without_traffic_sleep_and_take_little),
        cmocka_unit_test(every_group_that_slept_has_a_leader_again_when_its_node_falls_silent),
        cmocka_unit_test(a_group_that_sleeps_does_not_hold_the_log_beyond_its_cap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
