/* Tests of ring/share.h.  Shares are shown in percent of one replica of each tablet. */
#include "base/mem.h"

#include "ring/share.h"
#include "unit/ring/model.h"
#include "unit/test.h"

enum { ROUNDS = 300 };

static struct ring *
create(const struct cluster *c)
{
    struct ring *ring = NULL;

    EXPECT_OK(ring_create(&ring, c->nodes, c->count, NULL));
    return ring;
}

static uint32_t
percent(uint64_t share)
{
    return (uint32_t)((share * 100 + RING_SHARE_ONE / 2) / RING_SHARE_ONE);
}

/* By index into the cluster, whose ids ascend. */
static void
expect_shares(const struct cluster *c, uint32_t replicas, const uint32_t *want)
{
    struct ring *ring = create(c);
    uint64_t shares[SCHEME_NODES_MAX];

    EXPECT_OK(ring__shares(ring, replicas, shares));
    for (uint32_t i = 0; i < c->count; i++)
        EXPECT_U64(percent(shares[i]), want[i]);
    ring_destroy(ring);
}

/* Nodes 1, 2, ... with these zones and weights. */
static struct cluster
nodes(uint32_t count, const uint64_t *zones, const uint32_t *weights)
{
    struct cluster c = { .count = count };

    for (uint32_t i = 0; i < count; i++)
        c.nodes[i] = (struct ring_node){ .id = i + 1, .zone = zones[i], .weight = weights[i] };
    return c;
}

TEST(shares_are_in_proportion_to_weights)
{
    struct cluster c = nodes(4, (uint64_t[]){ 0, 0, 0, 0 }, (uint32_t[]){ 100, 100, 100, 200 });

    expect_shares(&c, 1, (uint32_t[]){ 20, 20, 20, 40 });
    expect_shares(&c, 2, (uint32_t[]){ 40, 40, 40, 80 });
}

TEST(nobody_carries_a_tablet_twice)
{
    struct cluster c = nodes(4, (uint64_t[]){ 0, 0, 0, 0 }, (uint32_t[]){ 100, 100, 100, 200 });

    expect_shares(&c, 3, (uint32_t[]){ 67, 67, 67, 100 });
    expect_shares(&c, 4, (uint32_t[]){ 100, 100, 100, 100 });
}

/* A zone of one node has one of the three replicas of each tablet. */
TEST(a_small_zone_carries_as_much_as_a_large_one)
{
    struct cluster c =
        nodes(5, (uint64_t[]){ 1, 1, 2, 2, 3 }, (uint32_t[]){ 128, 128, 128, 128, 128 });

    expect_shares(&c, 3, (uint32_t[]){ 50, 50, 50, 50, 100 });
}

/* Of three replicas in two zones, one zone has two: the larger one more often. */
TEST(what_the_rounds_leave_open_goes_by_weight)
{
    struct cluster c =
        nodes(5, (uint64_t[]){ 1, 1, 1, 2, 2 }, (uint32_t[]){ 128, 128, 128, 128, 128 });

    expect_shares(&c, 3, (uint32_t[]){ 60, 60, 60, 60, 60 });
    expect_shares(&c, 2, (uint32_t[]){ 33, 33, 33, 50, 50 });
}

/* Five replicas in three zones: in proportion to its weight the first would have more than three. */
TEST(a_heavy_zone_carries_one_more_than_a_light_one_at_most)
{
    struct cluster c = nodes(7, (uint64_t[]){ 1, 1, 1, 2, 2, 3, 3 },
                             (uint32_t[]){ 256, 256, 256, 100, 100, 100, 100 });

    expect_shares(&c, 5, (uint32_t[]){ 67, 67, 67, 75, 75, 75, 75 });
}

/* Shares add up to what is shared, but for the rounding of each; and no part is beyond its bounds. */
TEST(shares_add_up)
{
    struct prng prng;

    prng_init(&prng, test_seed(1));
    for (int round = 0; round < ROUNDS; round++) {
        struct cluster c = model_cluster(&prng);
        struct ring *ring = create(&c);
        uint32_t replicas = (uint32_t)prng_below(&prng, ring_node_count(ring) + 1);
        uint64_t shares[MODEL_NODES_MAX];
        uint64_t sum = 0;

        EXPECT_OK(ring__shares(ring, replicas, shares));
        for (uint32_t i = 0; i < ring_node_count(ring); i++) {
            EXPECT(shares[i] <= RING_SHARE_ONE);
            sum += shares[i];
        }
        EXPECT(sum >= (uint64_t)replicas * RING_SHARE_ONE);
        EXPECT(sum <= (uint64_t)replicas * RING_SHARE_ONE + 2 * MODEL_NODES_MAX);
        ring_destroy(ring);
    }
}

/* The numbers of the largest ring of the heaviest and the lightest nodes do not overflow. */
TEST(shares_of_the_largest_ring_add_up)
{
    static struct ring_node many[RING_NODES_MAX];
    static uint64_t shares[RING_NODES_MAX];
    struct ring *ring = NULL;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < RING_NODES_MAX; i++)
        many[i] = (struct ring_node){ .id = i + 1, .zone = 1, .weight = RING_WEIGHT_MAX };
    many[0] = (struct ring_node){ .id = 1, .zone = 2, .weight = RING_WEIGHT_MIN };
    EXPECT_OK(ring_create(&ring, many, RING_NODES_MAX, NULL));
    EXPECT_OK(ring__shares(ring, RING_NODES_MAX, shares));
    for (uint32_t i = 0; i < RING_NODES_MAX; i++)
        EXPECT_U64(shares[i], RING_SHARE_ONE);
    EXPECT_OK(ring__shares(ring, RING_NODES_MAX - 2, shares));
    for (uint32_t i = 0; i < RING_NODES_MAX; i++)
        sum += shares[i];
    EXPECT_U64(shares[0], RING_SHARE_ONE);
    EXPECT(sum - (uint64_t)(RING_NODES_MAX - 2) * RING_SHARE_ONE <= 2 * RING_NODES_MAX);
    ring_destroy(ring);
}

TEST_MAIN(RUN(shares_are_in_proportion_to_weights), RUN(nobody_carries_a_tablet_twice),
          RUN(a_small_zone_carries_as_much_as_a_large_one),
          RUN(what_the_rounds_leave_open_goes_by_weight),
          RUN(a_heavy_zone_carries_one_more_than_a_light_one_at_most), RUN(shares_add_up),
          RUN(shares_of_the_largest_ring_add_up))
