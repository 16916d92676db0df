/* Tests of ring/ring.h: each contract line, N1 to N4, and a comparison with a naive list that looks
 * at every virtual node again for each place of the list. */
#include "base/mem.h"
#include "base/prng.h"

#include "unit/ring/model.h"
#include "unit/test.h"

enum {
    ROUNDS = 300, /* of the random tests */
    LOOKUPS = 40, /* in each */
};

static struct ring *
create(const struct cluster *c)
{
    struct ring *ring = NULL;

    EXPECT_OK(ring_create(&ring, c->nodes, c->count, NULL));
    return ring;
}

TEST(a_list_is_what_the_naive_model_says)
{
    struct prng prng;

    prng_init(&prng, test_seed(1));
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct cluster c = model_cluster(&prng);
        struct ring *ring = create(&c);

        for (int lookup = 0; lookup < LOOKUPS / 10; lookup++) {
            struct ring_position from = model_position(&prng);
            struct ring_choice got[MODEL_NODES_MAX];
            struct ring_choice want[MODEL_NODES_MAX + 1];
            uint32_t count = ring_prefer(ring, from, MODEL_NODES_MAX, got);

            for (uint32_t i = 0; i < count; i++) {
                EXPECT(model_next(&c, NULL, from, want, i));
                EXPECT_U64(got[i].node, want[i].node);
                EXPECT(ring_position_compare(got[i].position, want[i].position) == 0);
            }
            EXPECT(!model_next(&c, NULL, from, want, count));
        }
        ring_destroy(ring);
    }
}

/* ------------------------------------------------------------------ the contract */

static uint64_t
first_of(const struct ring *ring, struct ring_position from)
{
    struct ring_choice choice = { 0 };

    EXPECT_U64(ring_prefer(ring, from, 1, &choice), 1);
    return choice.node;
}

TEST(a_virtual_node_has_its_own_position_and_what_lies_before_it)
{
    struct cluster c = { .nodes = { { .id = 1, .weight = 100 }, { .id = 2, .weight = 100 } },
                         .count = 2 };
    struct ring *ring = create(&c);

    for (uint32_t number = 0; number < 100; number++) {
        struct ring_position p = ring_position_of_node(1, number);

        EXPECT_U64(first_of(ring, p), 1);
        p.low--;
        EXPECT_U64(first_of(ring, p), 1);
    }
    ring_destroy(ring);
}

TEST(the_ring_closes)
{
    struct cluster c = { .nodes = { { .id = 1, .weight = 100 }, { .id = 2, .weight = 256 } },
                         .count = 2 };
    struct ring *ring = create(&c);
    struct ring_position last = { .high = UINT64_MAX, .low = UINT64_MAX };

    EXPECT_U64(first_of(ring, last), first_of(ring, (struct ring_position){ 0 }));
    ring_destroy(ring);
}

TEST(the_order_of_the_nodes_is_of_no_importance)
{
    struct prng prng;

    prng_init(&prng, test_seed(2));
    for (int round = 0; round < ROUNDS; round++) {
        struct cluster c = model_cluster(&prng);
        struct cluster turned = { .count = c.count };
        struct ring *a = create(&c);
        struct ring *b;

        for (uint32_t i = 0; i < c.count; i++)
            turned.nodes[i] = c.nodes[c.count - 1 - i];
        b = create(&turned);
        for (int lookup = 0; lookup < LOOKUPS; lookup++) {
            struct ring_position from = model_position(&prng);
            struct ring_choice x[MODEL_NODES_MAX], y[MODEL_NODES_MAX];
            uint32_t count = ring_prefer(a, from, MODEL_NODES_MAX, x);

            EXPECT_U64(ring_prefer(b, from, MODEL_NODES_MAX, y), count);
            for (uint32_t i = 0; i < count; i++)
                EXPECT_U64(x[i].node, y[i].node);
        }
        ring_destroy(a);
        ring_destroy(b);
    }
}

TEST(a_ring_without_nodes_prefers_nobody)
{
    struct cluster nobody = { 0 };
    struct cluster idle = { .nodes = { { .id = 1, .weight = 0 } }, .count = 1 };
    struct ring_choice choice;
    struct ring *ring = create(&nobody);

    EXPECT_U64(ring_prefer(ring, (struct ring_position){ 0 }, 3, &choice), 0);
    ring_destroy(ring);
    ring = create(&idle);
    EXPECT_U64(ring_node_count(ring), 0);
    EXPECT_U64(ring_prefer(ring, (struct ring_position){ 0 }, 3, &choice), 0);
    ring_destroy(ring);
    ring_destroy(NULL);
}

TEST(one_node_is_everywhere_the_first_and_the_only)
{
    struct cluster c = { .nodes = { { .id = 9, .weight = 128 }, { .id = 10, .weight = 0 } },
                         .count = 2 };
    struct ring *ring = create(&c);
    struct ring_choice list[3];
    struct prng prng;

    prng_init(&prng, test_seed(3));
    for (int lookup = 0; lookup < LOOKUPS; lookup++) {
        EXPECT_U64(ring_prefer(ring, model_position(&prng), 3, list), 1);
        EXPECT_U64(list[0].node, 9);
    }
    ring_destroy(ring);
}

static void
expect_refused(const struct ring_node *nodes, uint32_t count, enum status st, const char *text)
{
    struct ring *ring = NULL;
    struct err err = { 0 };

    EXPECT_ST(ring_create(&ring, nodes, count, &err), st);
    EXPECT(ring == NULL);
    EXPECT_STR(err.text, text);
}

TEST(nodes_that_make_no_sense_are_refused)
{
    struct ring_node nodes[] = { { .id = 5, .weight = 128 },
                                 { .id = 4, .weight = 128 },
                                 { .id = 5, .weight = 0 } };
    static struct ring_node many[RING_NODES_MAX + 1];

    expect_refused(nodes, 3, ST_INVALID, "ring: two nodes have the id 0000000000000005");
    nodes[2].id = 0;
    expect_refused(nodes, 3, ST_INVALID, "ring: a node has the id 0, which is nobody's");
    nodes[2] = (struct ring_node){ .id = 6, .weight = 99 };
    expect_refused(nodes, 3, ST_INVALID,
                   "ring: node 0000000000000006 has the weight 99, which is neither 0 nor from 100 "
                   "to 256");
    nodes[2].weight = 257;
    expect_refused(nodes, 3, ST_INVALID,
                   "ring: node 0000000000000006 has the weight 257, which is neither 0 nor from "
                   "100 to 256");
    expect_refused(many, RING_NODES_MAX + 1, ST_TOO_BIG, "ring: 1025 nodes, limit 1024");
}

TEST(a_ring_may_be_as_large_as_it_says)
{
    static struct ring_node nodes[RING_NODES_MAX];
    static struct ring_choice list[RING_NODES_MAX];
    struct ring *ring = NULL;

    for (uint32_t i = 0; i < RING_NODES_MAX; i++)
        nodes[i] = (struct ring_node){ .id = i + 1, .zone = i % 2, .weight = RING_WEIGHT_MAX };
    EXPECT_OK(ring_create(&ring, nodes, RING_NODES_MAX, NULL));
    EXPECT_U64(ring_prefer(ring, (struct ring_position){ 0 }, UINT32_MAX, list), RING_NODES_MAX);
    ring_destroy(ring);
}

TEST(ring_create_survives_the_failure_of_every_allocation)
{
    struct cluster c = { .nodes = { { .id = 1, .weight = 100 }, { .id = 2, .weight = 100 } },
                         .count = 2 };
    struct mem_heap heap = { 0 };
    struct ring *ring = NULL;

    mem_heap_enter(&heap);
    for (uint64_t fail_at = 1; ring == NULL; fail_at++) {
        enum status st;

        EXPECT_U64(heap.block_count, 0);
        heap.allocation = 0;
        heap.fail_at = fail_at;
        st = ring_create(&ring, c.nodes, c.count, NULL);
        EXPECT_ST(st, ring == NULL ? ST_NO_MEMORY : ST_OK);
    }
    EXPECT_U64(heap.fail_at, 6); /* five allocations, and each failed once */
    ring_destroy(ring);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(NULL);
}

/* ------------------------------------------------------------------ the invariants */

/* N3 for the first `count` of a list. */
static void
expect_zones_even(const struct cluster *c, const struct ring_choice *list, uint32_t count)
{
    uint32_t most = 0;
    uint32_t least = UINT32_MAX; /* of zones with a node that is not on the list */

    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t times = model_zone_count(c, list, count, &c->nodes[i]);

        if (times > most)
            most = times;
        if (c->nodes[i].weight > 0 && !model_contains(list, count, c->nodes[i].id) && times < least)
            least = times;
    }
    EXPECT(least == UINT32_MAX || most <= least + 1);
}

TEST(lists_keep_to_n1_to_n3)
{
    struct prng prng;

    prng_init(&prng, test_seed(4));
    for (int round = 0; round < ROUNDS; round++) {
        struct cluster c = model_cluster(&prng);
        struct ring *ring = create(&c);
        uint32_t wanted = 1 + (uint32_t)prng_below(&prng, 7);
        struct ring_choice list[MODEL_NODES_MAX], whole[MODEL_NODES_MAX];
        struct ring_position from = model_position(&prng);
        uint32_t all = ring_prefer(ring, from, MODEL_NODES_MAX, whole);
        uint32_t count = ring_prefer(ring, from, wanted, list);

        EXPECT_U64(all, ring_node_count(ring));         /* N2 */
        EXPECT_U64(count, wanted < all ? wanted : all); /* N2 */
        for (uint32_t i = 0; i < all; i++) {
            EXPECT(!model_contains(whole, i, whole[i].node)); /* N1 */
            EXPECT(model_find(&c, whole[i].node)->weight > 0);
            EXPECT(i >= count || whole[i].node == list[i].node);
            expect_zones_even(&c, whole, i + 1); /* N3 */
        }
        ring_destroy(ring);
    }
}

/* N4: how the list of `small` differs from that of `large`, which has one node more. */
static void
expect_at_most_one_moved(const struct ring *small, const struct ring *large, uint64_t newcomer,
                         struct ring_position from, uint32_t wanted)
{
    struct ring_choice before[MODEL_NODES_MAX], after[MODEL_NODES_MAX];
    uint32_t before_count = ring_prefer(small, from, wanted, before);
    uint32_t after_count = ring_prefer(large, from, wanted, after);
    uint32_t gone = 0;

    for (uint32_t i = 0; i < before_count; i++)
        gone += !model_contains(after, after_count, before[i].node);
    for (uint32_t i = 0; i < after_count; i++)
        EXPECT(after[i].node == newcomer || model_contains(before, before_count, after[i].node));
    EXPECT(gone <= 1);
    EXPECT(gone == 0 || model_contains(after, after_count, newcomer));
}

TEST(a_node_that_comes_or_goes_moves_nothing_between_others)
{
    struct prng prng;

    prng_init(&prng, test_seed(5));
    for (int round = 0; round < ROUNDS; round++) {
        struct cluster c = model_cluster(&prng);
        struct ring *large = create(&c);
        uint64_t newcomer;
        struct ring *small;

        if (c.count == 0) {
            ring_destroy(large);
            continue;
        }
        newcomer = c.nodes[--c.count].id;
        small = create(&c);
        for (int lookup = 0; lookup < LOOKUPS; lookup++)
            expect_at_most_one_moved(small, large, newcomer, model_position(&prng),
                                     1 + (uint32_t)prng_below(&prng, 7));
        ring_destroy(small);
        ring_destroy(large);
    }
}

/* The part of each node is its weight's, as exactly as so many virtual nodes can tell. */
TEST(weights_decide_how_much_a_node_gets)
{
    enum { NODES = 20, TABLETS = 100000 };
    struct cluster c = { .count = NODES };
    uint32_t counts[NODES] = { 0 };
    double total = 0;
    struct ring *ring;
    struct prng prng;

    for (uint32_t i = 0; i < NODES; i++) {
        c.nodes[i] = (struct ring_node){ .id = i + 1, .weight = i % 2 == 0 ? 100 : 250 };
        total += c.nodes[i].weight;
    }
    ring = create(&c);
    prng_init(&prng, test_seed(6));
    for (int i = 0; i < TABLETS; i++)
        counts[first_of(ring, model_position(&prng)) - 1]++;
    for (uint32_t i = 0; i < NODES; i++) {
        double part = counts[i] / (TABLETS * c.nodes[i].weight / total);

        EXPECT(part > 0.65 && part < 1.35); /* three deviations of the smaller ones and more */
    }
    ring_destroy(ring);
}

TEST_MAIN(RUN(a_list_is_what_the_naive_model_says),
          RUN(a_virtual_node_has_its_own_position_and_what_lies_before_it), RUN(the_ring_closes),
          RUN(the_order_of_the_nodes_is_of_no_importance), RUN(a_ring_without_nodes_prefers_nobody),
          RUN(one_node_is_everywhere_the_first_and_the_only),
          RUN(nodes_that_make_no_sense_are_refused), RUN(a_ring_may_be_as_large_as_it_says),
          RUN(ring_create_survives_the_failure_of_every_allocation), RUN(lists_keep_to_n1_to_n3),
          RUN(a_node_that_comes_or_goes_moves_nothing_between_others),
          RUN(weights_decide_how_much_a_node_gets))
