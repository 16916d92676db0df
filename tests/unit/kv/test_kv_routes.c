/*
 * What one connection asks is carried out in its order, whoever leads meanwhile, and each request ends by its
 * deadline with the truth about it (kv/route.c).
 */
#include "base/prng.h"

#include "unit/kv/line.h"
#include "unit/test.h"

enum { PATIENCE_MS = 60000, ROUNDS = 300 };

/* ------------------------------------------------------------------ order */

static void
check_that_order_holds(uint64_t seed, void (*disturb)(struct nodes *n), bool losses)
{
    struct nodes n;
    struct line *lines = calloc(5, sizeof(*lines));
    static const char *const keys[] = { "l1", "l2", "l3", "l4", "l5" };

    nodes_create_forwarding(&n, seed, 5);
    (void)nodes_leader(&n);
    line_draw_nodes_apart(&n);
    for (uint32_t i = 0; i < 5; i++) {
        line_begin(&lines[i], &n, i + 1, i % 2);
        lines[i].key = keys[i];
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < 5; i++) {
            if (!sim_paused(n.w, i + 1))
                line_append(&lines[i], 2);
        }
        sim_run_ms(n.w, prng_below(sim_prng(n.w), 8));
        if (prng_chance(sim_prng(n.w), 1, 40))
            disturb(&n);
    }
    for (uint32_t i = 0; i < 5; i++)
        line_await(&lines[i]);
    for (uint32_t i = 1; i <= 5; i++)
        nodes_cut(&n, i, false);
    sim_run_ms(n.w, 3000);
    for (uint32_t i = 0; i < 5; i++) {
        line_check(&lines[i], i + 1);
        if (!losses)
            EXPECT_U64(line_count(&lines[i], ST_OK), lines[i].count);
        EXPECT_U64(line_count(&lines[i], ST_NOT_LEADER), 0);
    }
    nodes_destroy(&n);
    free(lines);
}

static void
nothing(struct nodes *n)
{
    (void)n;
}

/* And perhaps at once again, back to where it was. */
static void
hand_over(struct nodes *n)
{
    uint32_t leader = nodes_leader(n);

    if (!nodes_begin_transfer(n, line_other_than(leader)) || prng_chance(sim_prng(n->w), 1, 2))
        return;
    sim_run_ms(n->w, prng_below(sim_prng(n->w), 10));
    (void)nodes_begin_transfer(n, leader);
}

static void
cut_off_the_leader(struct nodes *n)
{
    uint32_t leader = nodes_leader(n);

    for (uint32_t i = 1; i <= n->count; i++)
        nodes_cut(n, i, false);
    nodes_cut(n, leader, true);
}

/* Between any two nodes, in one direction. */
static void
cut_a_link_one_way(struct nodes *n)
{
    uint32_t from = 1 + (uint32_t)prng_below(sim_prng(n->w), n->count);
    uint32_t to = from % n->count + 1;

    for (uint32_t i = 1; i <= n->count; i++)
        nodes_cut(n, i, false);
    sim_net_cut(n->w, from, to);
}

static void
pause_the_leader(struct nodes *n)
{
    sim_pause(n->w, nodes_leader(n), LINE_PAUSE_MS);
}

TEST(a_pipeline_keeps_its_order)
{
    check_that_order_holds(test_seed(4), nothing, false);
}

TEST(no_request_fails_when_leadership_is_handed_over)
{
    for (uint64_t seed = test_seed(5), i = 0; i < 3; i++)
        check_that_order_holds(seed + i, hand_over, false);
}

TEST(order_holds_when_leaders_are_cut_off)
{
    for (uint64_t seed = test_seed(6), i = 0; i < 3; i++)
        check_that_order_holds(seed + i, cut_off_the_leader, true);
}

TEST(order_holds_when_a_link_is_cut_one_way)
{
    for (uint64_t seed = test_seed(8), i = 0; i < 3; i++)
        check_that_order_holds(seed + i, cut_a_link_one_way, true);
}

TEST(order_holds_when_connections_break)
{
    for (uint64_t seed = test_seed(14), i = 0; i < 3; i++)
        check_that_order_holds(seed + i, line_break_connections, true);
}

TEST(order_holds_when_leaders_stand_still)
{
    for (uint64_t seed = test_seed(7), i = 0; i < 3; i++)
        check_that_order_holds(seed + i, pause_the_leader, true);
}

/* The leader stands still: the others choose another one, which answers in time. */
TEST(a_read_is_asked_elsewhere_when_whoever_was_asked_is_silent)
{
    struct nodes n;
    struct line l;

    nodes_create_forwarding(&n, test_seed(13), 5);
    EXPECT_OK(nodes_put(&n, 5, "line", "x"));
    line_begin(&l, &n, 5, 0);
    sim_pause(n.w, nodes_leader(&n), PATIENCE_MS);
    line_step(&l)->op = (struct op){ .kind = OP_GET, .key = slice_str("line") };
    line_send(&l.steps[0]);
    line_await(&l);
    EXPECT_OK(l.steps[0].status);
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ numbers, bounds, memory */

/* Writes with a number, while connections break: each that is answered was applied once, and none fails for
 * certain after it was applied. */
TEST(a_write_with_a_number_is_applied_once)
{
    struct nodes n;
    struct line *l = calloc(1, sizeof(*l));

    nodes_create_forwarding(&n, test_seed(18), 5);
    (void)nodes_leader(&n);
    line_draw_nodes_apart(&n);
    line_break_connections(&n);
    line_begin(l, &n, 5, 0);
    l->key = "sum";
    for (uint32_t i = 0; i < 200; i++) {
        struct step *s = line_step(l);

        s->op = (struct op){ .kind = OP_APPEND, .key = slice_str(l->key), .value = s->op.value };
        s->request.client_id = 900;
        s->request.sequence = i + 1;
        line_send(s);
        for (uint32_t passed_ms = 0; passed_ms < PATIENCE_MS && !s->done; passed_ms++)
            sim_run_ms(n.w, 1);
    }
    line_await(l);
    line_check(l, 1);
    EXPECT(line_count(l, ST_OK) > 190);
    nodes_destroy(&n);
    free(l);
}

/* The leader carries the first out and cannot say so; the second never reaches it. */
TEST(a_deadline_says_that_nothing_was_applied_only_of_what_was_never_sent)
{
    struct nodes n;
    struct line *l = calloc(1, sizeof(*l));
    uint32_t leader;

    nodes_create_forwarding(&n, test_seed(22), 5);
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, 5, "a", "1"));
    sim_net_cut(n.w, leader, 5);
    line_begin(l, &n, 5, 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct step *s = line_step(l);

        s->request.client_id = 901 + i;
        s->request.sequence = 1;
        line_send(s);
        sim_run_ms(n.w, 500);
    }
    line_await(l);
    EXPECT_ST(l->steps[0].status, ST_UNKNOWN);
    EXPECT_ST(l->steps[1].status, ST_TIMEOUT);
    EXPECT_STR(nodes_get(&n, leader, "line"), "1,");
    nodes_destroy(&n);
    free(l);
}

/* The leader's node takes nothing: what is asked of it does not grow, and what is beyond is told so at once. */
TEST(a_slow_node_is_back_pressure_and_no_growth)
{
    static char value[4001];
    struct nodes n;
    struct line *l = calloc(1, sizeof(*l));
    uint32_t leader;

    memset(value, 'v', sizeof(value) - 1);
    nodes_create_forwarding(&n, test_seed(19), 5);
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, 5, "a", "1"));
    line_begin(l, &n, 5, 0);
    sim_pause(n.w, leader, 150);
    for (uint32_t i = 0; i < LINE_MAX; i++) {
        line_step(l)->op =
            (struct op){ .kind = OP_PUT, .key = slice_str("k"), .value = slice_str(value) };
        line_send(&l->steps[i]);
    }
    EXPECT(line_count(l, ST_BUSY) > 100);
    EXPECT(budget_used(kv_budget(n.kv[5])) < n.budget_bytes);
    line_await(l);
    EXPECT(line_count(l, ST_OK) > 50);
    EXPECT_U64(line_count(l, ST_OK) + line_count(l, ST_BUSY), LINE_MAX);
    nodes_destroy(&n);
    free(l);
}

/* Each allocation of each node in turn: every request is answered, and what was acknowledged is there. */
TEST(a_node_without_memory_for_a_moment_answers_all_the_same)
{
    struct nodes n;
    struct line *l = calloc(1, sizeof(*l));

    nodes_create_forwarding(&n, test_seed(20), 5);
    (void)nodes_leader(&n);
    line_begin(l, &n, 5, 0);
    for (uint32_t i = 0; i < 300; i++) {
        struct mem_heap *heap = sim_heap(n.w, 1 + i % 5);

        heap->fail_at = heap->allocation + 1 + i / 5;
        line_append(l, 1);
        sim_run_ms(n.w, 5);
        heap->fail_at = 0;
    }
    line_await(l);
    line_check(l, 4);
    EXPECT(line_count(l, ST_OK) > 100);
    nodes_destroy(&n);
    free(l);
}

QUIET_TEST_MAIN(RUN(a_pipeline_keeps_its_order),
                RUN(no_request_fails_when_leadership_is_handed_over),
                RUN(order_holds_when_leaders_are_cut_off),
                RUN(order_holds_when_a_link_is_cut_one_way),
                RUN(order_holds_when_connections_break), RUN(order_holds_when_leaders_stand_still),
                RUN(a_read_is_asked_elsewhere_when_whoever_was_asked_is_silent),
                RUN(a_write_with_a_number_is_applied_once),
                RUN(a_deadline_says_that_nothing_was_applied_only_of_what_was_never_sent),
                RUN(a_slow_node_is_back_pressure_and_no_growth),
                RUN(a_node_without_memory_for_a_moment_answers_all_the_same))
