/* Tests of ring_lead(). */
#include "base/mem.h"

#include "unit/ring/model.h"
#include "unit/test.h"

enum {
    TABLETS = 600,
    REPLICAS = 3,
};

struct fix {
    struct cluster c;
    struct ring *ring;
    struct ring_tablet tablets[TABLETS];
    struct ring_bound bound;
    uint64_t placed[TABLETS * REPLICAS]; /* as the ring says */
    uint64_t holders[TABLETS * REPLICAS];
};

static void
setup(struct fix *f, struct cluster c, uint32_t slack_permille)
{
    *f = (struct fix){ .c = c,
                       .bound = { .replicas_max = REPLICAS, .slack_permille = slack_permille } };
    EXPECT_OK(ring_create(&f->ring, c.nodes, c.count, NULL));
    tablets_of(f->tablets, TABLETS, REPLICAS, 1);
    scheme_place(SCHEME_RING, &c, f->tablets, TABLETS, &f->bound, f->placed);
    memcpy(f->holders, f->placed, sizeof(f->holders));
}

static void
lead(struct fix *f)
{
    EXPECT_OK(ring_lead(f->ring, f->tablets, TABLETS, &f->bound, f->holders));
}

static void
teardown(struct fix *f)
{
    ring_destroy(f->ring);
}

/* Each row is what it was, but for one that has moved to the front. */
static void
expect_same_rows(const struct fix *f)
{
    for (uint32_t i = 0; i < TABLETS; i++) {
        const uint64_t *before = &f->placed[i * REPLICAS];
        const uint64_t *after = &f->holders[i * REPLICAS];
        uint32_t next = 1;

        for (uint32_t j = 0; j < REPLICAS; j++) {
            if (before[j] != after[0])
                EXPECT_U64(after[next++], before[j]);
        }
        EXPECT_U64(next, REPLICAS);
    }
}

TEST(leaders_are_spread_evenly)
{
    for (uint32_t nodes = 3; nodes <= 30; nodes += 9) {
        struct fix f;
        struct balance before, after;

        setup(&f, cluster_of(nodes, 0, 1), 0);
        lead(&f);
        before = balance_of_leaders(&f.c, TABLETS, REPLICAS, f.placed);
        after = balance_of_leaders(&f.c, TABLETS, REPLICAS, f.holders);
        EXPECT(before.most > 1.15);
        EXPECT(after.most < 1.11);
        expect_same_rows(&f);
        teardown(&f);
    }
}

TEST(heavier_nodes_lead_more)
{
    struct cluster c = cluster_of(6, 0, 1);
    struct balance balance;
    struct fix f;

    for (uint32_t i = 0; i < 6; i++)
        c.nodes[i].weight = i < 3 ? 100 : 200;
    setup(&f, c, 0);
    lead(&f);
    balance = balance_of_leaders(&f.c, TABLETS, REPLICAS, f.holders);
    EXPECT(balance.most < 1.05 && balance.least > 0.9);
    teardown(&f);
}

/* With enough slack the first of each row leads: nothing is moved that need not be. */
TEST(who_is_first_leads_while_it_may)
{
    struct fix f;

    setup(&f, cluster_of(10, 0, 1), 10000);
    lead(&f);
    assert_memory_equal(f.holders, f.placed, sizeof(f.holders));
    teardown(&f);
}

TEST(the_order_of_the_tablets_is_of_no_importance)
{
    static struct ring_tablet tablets[TABLETS];
    static uint64_t holders[TABLETS * REPLICAS];
    struct fix f;

    setup(&f, cluster_of(10, 0, 1), 0);
    for (uint32_t i = 0; i < TABLETS; i++) {
        tablets[i] = f.tablets[TABLETS - 1 - i];
        memcpy(&holders[i * REPLICAS], &f.placed[(TABLETS - 1 - i) * REPLICAS],
               REPLICAS * sizeof(holders[0]));
    }
    lead(&f);
    EXPECT_OK(ring_lead(f.ring, tablets, TABLETS, &f.bound, holders));
    for (uint32_t i = 0; i < TABLETS; i++)
        EXPECT_U64(holders[i * REPLICAS], f.holders[(TABLETS - 1 - i) * REPLICAS]);
    teardown(&f);
}

/* The rows are those of the present: a node that is to be emptied is still in them. */
TEST(a_node_that_the_ring_does_not_have_leads_only_alone)
{
    struct cluster c = cluster_of(4, 0, 1);
    uint64_t leaving = c.nodes[3].id;
    struct fix f;

    setup(&f, c, 0);
    ring_destroy(f.ring);
    c.nodes[3].weight = 0;
    EXPECT_OK(ring_create(&f.ring, c.nodes, c.count, NULL));
    for (uint32_t i = 0; i < TABLETS; i += 100) {
        f.placed[i * REPLICAS] = leaving;
        f.placed[i * REPLICAS + 1] = 0;
        f.placed[i * REPLICAS + 2] = 0;
    }
    memcpy(f.holders, f.placed, sizeof(f.holders));
    lead(&f);
    for (uint32_t i = 0; i < TABLETS; i++) {
        if (i % 100 == 0)
            EXPECT_U64(f.holders[i * REPLICAS], leaving);
        else
            EXPECT(f.holders[i * REPLICAS] != leaving);
    }
    teardown(&f);
}

/* Where all tablets are on the same few nodes, nobody has room before long; they still share. */
TEST(who_has_no_room_leads_least_for_its_share)
{
    struct fix f;
    struct balance balance;
    struct cluster crowd;

    setup(&f, cluster_of(30, 0, 1), 0);
    for (uint32_t i = 0; i < TABLETS * REPLICAS; i++)
        f.holders[i] = f.c.nodes[i % REPLICAS].id;
    lead(&f);
    crowd = f.c;
    crowd.count = REPLICAS;
    balance = balance_of_leaders(&crowd, TABLETS, REPLICAS, f.holders);
    EXPECT(balance.most < 1.01);
    teardown(&f);
}

TEST(empty_rows_are_left_alone)
{
    struct fix f;

    setup(&f, cluster_of(0, 0, 1), 0);
    memset(f.holders, 0, sizeof(f.holders));
    lead(&f);
    for (uint32_t i = 0; i < TABLETS * REPLICAS; i++)
        EXPECT_U64(f.holders[i], 0);
    teardown(&f);
}

TEST(ring_lead_survives_the_failure_of_every_allocation)
{
    struct mem_heap heap = { 0 };
    enum status st = ST_NO_MEMORY;
    struct fix f;

    setup(&f, cluster_of(5, 3, 1), 0);
    mem_heap_enter(&heap);
    for (uint64_t fail_at = 1; st != ST_OK; fail_at++) {
        assert_memory_equal(f.holders, f.placed, sizeof(f.holders));
        heap.allocation = 0;
        heap.fail_at = fail_at;
        st = ring_lead(f.ring, f.tablets, TABLETS, &f.bound, f.holders);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
    }
    EXPECT_U64(heap.fail_at, 6); /* five allocations, and each failed once */
    mem_heap_enter(NULL);
    teardown(&f);
}

TEST_MAIN(RUN(leaders_are_spread_evenly), RUN(heavier_nodes_lead_more),
          RUN(who_is_first_leads_while_it_may), RUN(the_order_of_the_tablets_is_of_no_importance),
          RUN(a_node_that_the_ring_does_not_have_leads_only_alone),
          RUN(who_has_no_room_leads_least_for_its_share), RUN(empty_rows_are_left_alone),
          RUN(ring_lead_survives_the_failure_of_every_allocation))
