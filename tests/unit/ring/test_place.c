/* Tests of ring_place(): each contract line, B1 to B4, and a comparison with a naive model. */
#include <math.h>

#include "base/hash.h"
#include "base/mem.h"

#include "ring/share.h"
#include "unit/ring/model.h"
#include "unit/test.h"

enum {
    TABLETS_MAX = 200,
    REPLICAS_MAX = 7,
    ROUNDS = 20, /* of the random tests */
};

struct fix {
    struct cluster c;
    struct ring *ring;
    struct ring_tablet tablets[TABLETS_MAX];
    uint32_t count;
    struct ring_bound bound;
    uint64_t holders[TABLETS_MAX * REPLICAS_MAX];
};

static void
setup(struct fix *f, struct cluster c, uint32_t tablet_count, struct ring_bound bound)
{
    *f = (struct fix){ .c = c, .count = tablet_count, .bound = bound };
    EXPECT_OK(ring_create(&f->ring, c.nodes, c.count, NULL));
    tablets_of(f->tablets, tablet_count, bound.replicas_max, 1);
}

static void
place(struct fix *f)
{
    memset(f->holders, 0xff, sizeof(f->holders));
    EXPECT_OK(ring_place(f->ring, f->tablets, f->count, &f->bound, f->holders));
}

static void
teardown(struct fix *f)
{
    ring_destroy(f->ring);
}

/* A random cluster, random sizes and numbers of replicas, and whatever bound. */
static void
setup_random(struct fix *f, struct prng *p)
{
    struct ring_bound bound = { .replicas_max = 1 + (uint32_t)prng_below(p, REPLICAS_MAX),
                                .slack_permille = (uint32_t)prng_below(p, 300) };

    setup(f, model_cluster(p), (uint32_t)prng_below(p, TABLETS_MAX + 1), bound);
    for (uint32_t i = 0; i < f->count; i++) {
        struct ring_tablet *tablet = &f->tablets[i];

        tablet->position = model_position(p);
        tablet->size = prng_below(p, 1000000);
        tablet->replicas = 1 + (uint32_t)prng_below(p, bound.replicas_max);
    }
}

/* ------------------------------------------------------------------ the model */

struct model {
    double caps[MODEL_NODES_MAX]; /* by index into the cluster */
    double loads[MODEL_NODES_MAX];
    bool full[MODEL_NODES_MAX];
};

/* How many nodes that store something have a lower id: the order of shares. */
static uint32_t
rank_of(const struct cluster *c, const struct ring_node *node)
{
    uint32_t rank = 0;

    for (uint32_t i = 0; i < c->count; i++)
        rank += c->nodes[i].weight > 0 && c->nodes[i].id < node->id;
    return rank;
}

static double
size_with(const struct fix *f, uint32_t replicas)
{
    double size = 0;

    for (uint32_t i = 0; i < f->count; i++)
        size += f->tablets[i].replicas == replicas ? (double)f->tablets[i].size : 0;
    return size;
}

static void
model_init(struct model *m, const struct fix *f)
{
    uint32_t all = ring_node_count(f->ring);
    double total = 0;

    *m = (struct model){ 0 };
    for (uint32_t replicas = 1; replicas <= f->bound.replicas_max; replicas++) {
        double size = size_with(f, replicas);
        uint64_t shares[MODEL_NODES_MAX];

        EXPECT_OK(ring__shares(f->ring, replicas < all ? replicas : all, shares));
        total += size;
        for (uint32_t i = 0; i < f->c.count; i++) {
            if (f->c.nodes[i].weight > 0)
                m->caps[i] += (double)shares[rank_of(&f->c, &f->c.nodes[i])] / RING_SHARE_ONE *
                              size * (1 + f->bound.slack_permille / 1000.0);
        }
    }
    for (uint32_t i = 0; i < f->c.count; i++) {
        double dice = (double)(hash_u64(f->c.nodes[i].id) >> 32) / 0x1p32;

        m->caps[i] -= dice * total / f->count;
        m->full[i] = m->caps[i] <= 0;
    }
}

static void
model_expect_row(struct model *m, const struct fix *f, uint32_t tablet)
{
    const uint64_t *row = &f->holders[tablet * f->bound.replicas_max];
    struct ring_choice list[REPLICAS_MAX] = { 0 };

    for (uint32_t i = 0; i < f->tablets[tablet].replicas; i++) {
        (void)model_next(&f->c, m->full, f->tablets[tablet].position, list, i);
        EXPECT_U64(row[i], list[i].node);
    }
    for (uint32_t i = f->tablets[tablet].replicas; i < f->bound.replicas_max; i++)
        EXPECT_U64(row[i], 0);
    for (uint32_t i = 0; i < f->bound.replicas_max && row[i] != 0; i++) {
        uint32_t index = (uint32_t)(model_find(&f->c, row[i]) - f->c.nodes);

        m->loads[index] += (double)f->tablets[tablet].size;
        m->full[index] = m->loads[index] >= m->caps[index];
    }
}

/* Which of the tablets comes next after the one at `last`; count: none. */
static uint32_t
next_tablet(const struct fix *f, uint32_t last)
{
    uint32_t best = f->count;

    for (uint32_t i = 0; i < f->count; i++) {
        struct ring_position p = f->tablets[i].position;

        if (last < f->count && ring_position_compare(p, f->tablets[last].position) <= 0)
            continue;
        if (best == f->count || ring_position_compare(p, f->tablets[best].position) < 0)
            best = i;
    }
    return best;
}

TEST(rows_are_what_the_naive_model_says)
{
    struct prng prng;

    prng_init(&prng, test_seed(1));
    for (int round = 0; round < ROUNDS; round++) {
        struct fix f;
        struct model m;

        setup_random(&f, &prng);
        place(&f);
        model_init(&m, &f);
        for (uint32_t at = next_tablet(&f, f.count); at < f.count; at = next_tablet(&f, at))
            model_expect_row(&m, &f, at);
        teardown(&f);
    }
}

/* ------------------------------------------------------------------ the contract */

/* B4. */
TEST(the_order_of_the_tablets_is_of_no_importance)
{
    struct prng prng;

    prng_init(&prng, test_seed(2));
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t turned[TABLETS_MAX * REPLICAS_MAX];
        struct fix f;

        setup_random(&f, &prng);
        place(&f);
        memcpy(turned, f.holders, sizeof(turned));
        for (uint32_t i = 0; i < f.count / 2; i++) {
            struct ring_tablet tablet = f.tablets[i];

            f.tablets[i] = f.tablets[f.count - 1 - i];
            f.tablets[f.count - 1 - i] = tablet;
        }
        place(&f);
        for (uint32_t i = 0; i < f.count; i++)
            assert_memory_equal(&f.holders[i * f.bound.replicas_max],
                                &turned[(f.count - 1 - i) * f.bound.replicas_max],
                                f.bound.replicas_max * sizeof(turned[0]));
        teardown(&f);
    }
}

/* B1, at its ends: fewer nodes than replicas, nodes without data, no node at all. */
TEST(a_row_ends_with_zeros_where_nodes_are_missing)
{
    struct cluster c = { .nodes = { { .id = 5, .weight = 128 },
                                    { .id = 6, .weight = 0 },
                                    { .id = 7, .weight = 256 } },
                         .count = 3 };
    struct fix f;

    setup(&f, c, 10, (struct ring_bound){ .replicas_max = 3 });
    place(&f);
    for (uint32_t i = 0; i < f.count; i++) {
        EXPECT_U64(f.holders[3 * i] + f.holders[3 * i + 1], 5 + 7);
        EXPECT(f.holders[3 * i] != 6);
        EXPECT_U64(f.holders[3 * i + 2], 0);
    }
    EXPECT_U64(f.holders[30], UINT64_MAX); /* nothing beyond the rows is touched */
    teardown(&f);

    c.count = 0;
    setup(&f, c, 2, (struct ring_bound){ .replicas_max = 2 });
    place(&f);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT_U64(f.holders[i], 0);
    teardown(&f);
}

TEST(no_tablets_are_placed_nowhere)
{
    struct fix f;

    setup(&f, cluster_of(3, 0, 1), 0, (struct ring_bound){ .replicas_max = 3 });
    place(&f);
    EXPECT_U64(f.holders[0], UINT64_MAX);
    teardown(&f);
}

/* B3: the ring alone gives a node three of sixteen tablets where others have none. */
TEST(few_tablets_lie_on_different_nodes)
{
    enum { TABLETS = 16, NODES = 48 };
    struct fix f;
    uint32_t used = 0;

    setup(&f, cluster_of(NODES, 0, 1), TABLETS,
          (struct ring_bound){ .replicas_max = 3, .slack_permille = RING_SLACK_PERMILLE });
    place(&f);
    for (uint32_t i = 0; i < NODES; i++) {
        uint32_t times = 0;

        for (uint32_t j = 0; j < 3 * TABLETS; j++)
            times += f.holders[j] == f.c.nodes[i].id;
        EXPECT(times <= 2);
        used += times > 0;
    }
    EXPECT(used >= 40);
    teardown(&f);
}

/* B2 before B3: the only node of its zone has a replica of everything. */
TEST(zones_come_before_the_bound)
{
    enum { TABLETS = 100 };
    struct cluster c = cluster_of(9, 2, 1);
    struct fix f;

    c.nodes[8].zone = 3;
    setup(&f, c, TABLETS, (struct ring_bound){ .replicas_max = 3 });
    place(&f);
    for (uint32_t i = 0; i < TABLETS; i++) {
        uint32_t zones = 0;

        for (uint32_t j = 0; j < 3; j++)
            zones |= 1U << model_find(&c, f.holders[3 * i + j])->zone;
        EXPECT_U64(zones, 1 << 1 | 1 << 2 | 1 << 3);
    }
    teardown(&f);
}

/* The unit of the sizes is of no importance, up to the largest that there is. */
TEST(sizes_may_be_as_large_as_they_can_be)
{
    struct fix small, large;
    uint64_t unit = UINT64_MAX / TABLETS_MAX;

    setup(&small, cluster_of(10, 0, 1), TABLETS_MAX,
          (struct ring_bound){ .replicas_max = 3, .slack_permille = 50 });
    setup(&large, cluster_of(10, 0, 1), TABLETS_MAX,
          (struct ring_bound){ .replicas_max = 3, .slack_permille = 50 });
    for (uint32_t i = 0; i < TABLETS_MAX; i++)
        large.tablets[i].size = unit;
    place(&small);
    place(&large);
    assert_memory_equal(small.holders, large.holders, sizeof(small.holders));

    large.tablets[0].size += UINT64_MAX % TABLETS_MAX;
    place(&large);
    large.tablets[0].size++;
    EXPECT_ST(ring_place(large.ring, large.tablets, TABLETS_MAX, &large.bound, large.holders),
              ST_TOO_BIG);
    teardown(&small);
    teardown(&large);
}

TEST(tablets_without_size_lie_where_the_ring_says)
{
    struct fix f;

    setup(&f, cluster_of(10, 0, 1), TABLETS_MAX, (struct ring_bound){ .replicas_max = 3 });
    for (uint32_t i = 0; i < TABLETS_MAX; i++)
        f.tablets[i].size = 0;
    place(&f);
    for (uint32_t i = 0; i < TABLETS_MAX; i++) {
        struct ring_choice list[3];

        EXPECT_U64(ring_prefer(f.ring, f.tablets[i].position, 3, list), 3);
        for (uint32_t j = 0; j < 3; j++)
            EXPECT_U64(f.holders[3 * i + j], list[j].node);
    }
    teardown(&f);
}

TEST(ring_place_survives_the_failure_of_every_allocation)
{
    struct mem_heap heap = { 0 };
    enum status st = ST_NO_MEMORY;
    struct fix f;

    setup(&f, cluster_of(5, 3, 1), 10, (struct ring_bound){ .replicas_max = 3 });
    memset(f.holders, 0xff, sizeof(f.holders));
    mem_heap_enter(&heap);
    for (uint64_t fail_at = 1; st != ST_OK; fail_at++) {
        EXPECT_U64(f.holders[0], UINT64_MAX);
        heap.allocation = 0;
        heap.fail_at = fail_at;
        st = ring_place(f.ring, f.tablets, f.count, &f.bound, f.holders);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
    }
    EXPECT_U64(heap.fail_at, 9); /* eight allocations, and each failed once */
    mem_heap_enter(NULL);
    teardown(&f);
}

TEST_MAIN(RUN(rows_are_what_the_naive_model_says),
          RUN(the_order_of_the_tablets_is_of_no_importance),
          RUN(a_row_ends_with_zeros_where_nodes_are_missing), RUN(no_tablets_are_placed_nowhere),
          RUN(few_tablets_lie_on_different_nodes), RUN(zones_come_before_the_bound),
          RUN(sizes_may_be_as_large_as_they_can_be),
          RUN(tablets_without_size_lie_where_the_ring_says),
          RUN(ring_place_survives_the_failure_of_every_allocation))
