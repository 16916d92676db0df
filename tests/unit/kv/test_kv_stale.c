/* Reads that may be behind (request.stale_ms), and reads that rest on a lease (kv_set_leases). */
#include "unit/kv/line.h"
#include "unit/test.h"

enum { BOUND_MS = 5000 };

/* Three nodes; `follower` has "a" = "old", as everybody. */
static uint32_t
begin(struct nodes *n, uint64_t seed)
{
    uint32_t leader;

    nodes_create_forwarding(n, seed, 3);
    leader = nodes_leader(n);
    EXPECT_OK(nodes_put(n, leader, "a", "old"));
    sim_run_ms(n->w, 1000);
    return leader;
}

/* Cut off from all others it can be asked, and alone decides what it tells. */
TEST(a_replica_that_is_cut_off_tells_what_it_has_as_long_as_that_may_be_so_old)
{
    struct nodes n;
    uint32_t leader = begin(&n, test_seed(1));
    uint32_t follower = line_other_than(leader);

    nodes_cut(&n, follower, true);
    EXPECT(nodes_try_get(&n, follower, "a") != ST_OK);
    EXPECT_OK(nodes_put(&n, nodes_leader_but(&n, follower), "a", "new"));
    nodes_cut(&n, follower, false);
    EXPECT_STR(nodes_get(&n, follower, "a"), "new");
    sim_run_ms(n.w, 1000);

    n.stale_ms = BOUND_MS;
    nodes_cut(&n, follower, true);
    EXPECT_OK(nodes_put(&n, nodes_leader_but(&n, follower), "a", "newest"));
    EXPECT_STR(nodes_get(&n, follower, "a"), "new");
    EXPECT_OK(nodes_ask(&n, follower));
    sim_run_ms(n.w, BOUND_MS);
    EXPECT(nodes_try_get(&n, follower, "a") != ST_OK);
    EXPECT(nodes_ask(&n, follower) != ST_OK);

    nodes_cut(&n, follower, false);
    EXPECT_STR(nodes_get(&n, follower, "a"), "newest");
    nodes_destroy(&n);
}

/* A second is what its clock may be behind that of the term before: within that nobody is known to be. */
TEST(a_bound_that_no_replica_is_known_to_keep_is_for_the_leader)
{
    struct nodes n;
    uint32_t leader = begin(&n, test_seed(2));
    uint32_t follower = line_other_than(leader);

    n.stale_ms = 1000;
    EXPECT_OK(nodes_put(&n, leader, "a", "new"));
    EXPECT_STR(nodes_get(&n, follower, "a"), "new");
    nodes_cut(&n, follower, true);
    EXPECT(nodes_try_get(&n, follower, "a") != ST_OK);
    nodes_destroy(&n);
}

/* Those who ask bring the time of an idle tablet forward: who leads notes in the log that it goes on. */
TEST(a_tablet_without_writes_is_read_where_it_is_asked_for)
{
    struct nodes n;
    uint32_t leader = begin(&n, test_seed(3));
    uint32_t follower = line_other_than(leader);

    n.stale_ms = BOUND_MS;
    sim_run_ms(n.w, 60000);
    nodes_cut(&n, follower, true);
    EXPECT(nodes_try_get(&n, follower, "a") != ST_OK);
    nodes_cut(&n, follower, false);
    for (uint32_t i = 0; i < 10; i++) {
        EXPECT_STR(nodes_get(&n, follower, "a"), "old");
        sim_run_ms(n.w, 200);
    }
    nodes_cut(&n, follower, true);
    EXPECT_STR(nodes_get(&n, follower, "a"), "old");
    nodes_destroy(&n);
}

/* That a value has expired is for who leads to say (decision 12), and not to be told here as if it lived. */
TEST(what_has_expired_is_not_told_by_who_is_behind)
{
    struct nodes n;
    uint32_t leader = begin(&n, test_seed(4));
    uint32_t follower = line_other_than(leader);
    uint64_t now_ms = kv_now_ms(kv_door_of(n.kv[leader], 0), n.keyspace);

    EXPECT_OK(nodes_put_until(&n, leader, "brief", now_ms + 500));
    sim_run_ms(n.w, 200);
    n.stale_ms = BOUND_MS;
    nodes_cut(&n, follower, true);
    EXPECT_STR(nodes_get(&n, follower, "brief"), "x");
    sim_run_ms(n.w, 1000);
    EXPECT_STR(nodes_get(&n, follower, "a"), "old");
    EXPECT(nodes_try_get(&n, follower, "brief") != ST_OK);
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ leases */

static enum status
get_alone(struct nodes *n, uint32_t leader)
{
    enum status st;

    nodes_cut(n, leader, true);
    st = nodes_try_get(n, leader, "a");
    nodes_cut(n, leader, false);
    sim_run_ms(n->w, 3000);
    EXPECT_OK(nodes_put(n, nodes_leader(n), "a", "1"));
    return st;
}

TEST(leases_are_used_while_that_is_wanted)
{
    struct nodes n;
    uint32_t leader;

    nodes_create_with_leases(&n, test_seed(5), 3);
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, leader, "a", "1"));
    EXPECT_OK(get_alone(&n, leader));
    for (uint32_t i = 1; i <= 3; i++)
        kv_set_leases(n.kv[i], false);
    leader = nodes_leader(&n);
    sim_run_ms(n.w, 500); /* what was published before is over */
    EXPECT(get_alone(&n, leader) != ST_OK);
    for (uint32_t i = 1; i <= 3; i++)
        kv_set_leases(n.kv[i], true);
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, leader, "a", "1"));
    EXPECT_OK(get_alone(&n, leader));
    nodes_destroy(&n);
}

QUIET_TEST_MAIN(RUN(a_replica_that_is_cut_off_tells_what_it_has_as_long_as_that_may_be_so_old),
                RUN(a_bound_that_no_replica_is_known_to_keep_is_for_the_leader),
                RUN(a_tablet_without_writes_is_read_where_it_is_asked_for),
                RUN(what_has_expired_is_not_told_by_who_is_behind),
                RUN(leases_are_used_while_that_is_wanted))
