/* How evenly tablets lie, and how many move when one of n nodes comes or goes, for n from 3 to 100:
 * what docs/PLACEMENT.md promises, and what modulo hashing does instead. */
#include "unit/ring/schemes.h"
#include "unit/test.h"

enum {
    NODES_MIN = 3,
    NODES_MAX = 100,
    TABLETS = 4096,
    REPLICAS = 3,
    SLACK_PERMILLE = RING_SLACK_PERMILLE,
};

static struct ring_tablet tablets[TABLETS];
static uint64_t before[TABLETS * REPLICAS];
static uint64_t after[TABLETS * REPLICAS];

/* What is moved, in parts of what must be: the one of n + 1 nodes that comes or goes has 1/(n + 1). */
struct movement {
    double join;
    double leave;
    struct balance balance; /* of the n nodes */
};

static const struct ring_bound bound = { .replicas_max = REPLICAS,
                                         .slack_permille = SLACK_PERMILLE };

static void
place(enum scheme scheme, const struct cluster *c, uint64_t *holders)
{
    scheme_place(scheme, c, tablets, TABLETS, &bound, holders);
}

/* The last of n + 1 nodes comes to the n others; then the first goes. */
static struct movement
measure(enum scheme scheme, uint32_t nodes, uint32_t zones)
{
    struct cluster large = cluster_of(nodes + 1, zones, 1);
    struct cluster small = large;
    struct movement m;

    tablets_of(tablets, TABLETS, REPLICAS, 1);
    cluster_remove(&small, nodes);
    place(scheme, &small, before);
    place(scheme, &large, after);
    m.balance = balance_of_replicas(&small, tablets, TABLETS, REPLICAS, before);
    m.join = moved_replicas(before, after, TABLETS, REPLICAS) * (nodes + 1);
    cluster_remove(&large, 0);
    place(scheme, &large, before);
    m.leave = moved_replicas(after, before, TABLETS, REPLICAS) * (nodes + 1);
    return m;
}

TEST(on_the_ring_about_one_nth_moves)
{
    for (uint32_t nodes = NODES_MIN; nodes <= NODES_MAX; nodes++) {
        struct movement m = measure(SCHEME_RING, nodes, 0);

        EXPECT(m.join > 0.7 && m.join < 1.3);
        EXPECT(m.leave > 0.7 && m.leave < 1.3);
        EXPECT(m.balance.most < 1.35);
        EXPECT(m.balance.deviation < 0.12);
    }
}

/* The bound holds, but for the last tablets (B3), and its price is small. */
TEST(with_a_bound_no_node_is_overfull_and_little_more_moves)
{
    for (uint32_t nodes = NODES_MIN; nodes <= NODES_MAX; nodes++) {
        struct movement m = measure(SCHEME_BOUNDED, nodes, 0);
        double tablet = nodes / (double)(TABLETS * REPLICAS);

        EXPECT(m.balance.most < 1 + SLACK_PERMILLE / 1000.0 + tablet);
        EXPECT(m.join > 0.7 && m.join < 1.5);
        EXPECT(m.leave > 0.7 && m.leave < 1.5);
    }
}

TEST(by_modulo_nearly_everything_moves)
{
    for (uint32_t nodes = 2 * REPLICAS; nodes <= NODES_MAX; nodes++) {
        struct movement m = measure(SCHEME_MODULO, nodes, 0);

        EXPECT(m.join / (nodes + 1) > 1 - 4.0 / (nodes + 1));
        EXPECT(m.leave / (nodes + 1) > 1 - 4.0 / (nodes + 1));
    }
}

TEST(zones_change_neither)
{
    for (uint32_t nodes = NODES_MIN; nodes <= NODES_MAX; nodes++) {
        struct movement ring = measure(SCHEME_RING, nodes, 4);
        struct movement bounded = measure(SCHEME_BOUNDED, nodes, 4);

        EXPECT(ring.join < 1.4 && ring.leave < 1.4);
        EXPECT(bounded.join < 1.7 && bounded.leave < 1.7);
    }
}

TEST_MAIN(RUN(on_the_ring_about_one_nth_moves),
          RUN(with_a_bound_no_node_is_overfull_and_little_more_moves),
          RUN(by_modulo_nearly_everything_moves), RUN(zones_change_neither))
