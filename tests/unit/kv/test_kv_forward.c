/* Any node answers any request, scans, counts, and stops in an orderly way (kv/forward.h). */
#include "unit/kv/line.h"
#include "unit/test.h"

enum { PATIENCE_MS = 60000 };

/* ------------------------------------------------------------------ any node */

TEST(any_node_answers_any_request)
{
    struct nodes n;

    nodes_create_forwarding(&n, test_seed(1), 5);
    (void)nodes_leader(&n);
    for (uint32_t i = 1; i <= 5; i++) {
        char key[8];

        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(nodes_put(&n, i, key, key));
        for (uint32_t reader = 1; reader <= 5; reader++)
            EXPECT_STR(nodes_get(&n, reader, key), key);
        EXPECT_OK(nodes_ask(&n, i));
    }
    EXPECT_STR(nodes_get(&n, 5, "nobody"), "nil");
    nodes_destroy(&n);
}

/* From the very first moment, when nobody leads yet. */
TEST(a_request_waits_for_the_first_leader)
{
    struct nodes n;

    nodes_create_forwarding(&n, test_seed(2), 5);
    EXPECT_OK(nodes_put(&n, 5, "a", "1"));
    EXPECT_STR(nodes_get(&n, 4, "a"), "1");
    nodes_destroy(&n);
}

/* The result of every kind, as the leader itself would give it. */
TEST(an_answer_from_afar_says_all_that_one_from_here_does)
{
    struct op op = { .kind = OP_APPEND, .key = slice_str("a"), .value = slice_str("xyz") };
    struct op_result here, there;
    struct nodes n;
    uint32_t leader, other;

    nodes_create_forwarding(&n, test_seed(3), 3);
    leader = nodes_leader(&n);
    other = line_other_than(leader);
    EXPECT_OK(nodes_do(&n, other, &op, &there));
    EXPECT_U64(there.integer, 3);
    op = (struct op){ .kind = OP_META, .key = slice_str("a") };
    EXPECT_OK(nodes_do(&n, other, &op, &there));
    EXPECT_OK(nodes_do(&n, leader, &op, &here));
    EXPECT(here.version == there.version && here.integer == there.integer && there.integer == 3);
    op = (struct op){ .kind = OP_INCR, .key = slice_str("a"), .number = 1 };
    EXPECT_OK(nodes_do(&n, other, &op, &there));
    EXPECT_U64(there.code, OP_NOT_INTEGER);
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ scans, counts, random keys */

/* A scan of a few keys at a time, downwards or upwards. */
struct reading {
    struct nodes *n;
    uint32_t node;
    struct kv_scan_options options;
    struct kv_scan *scan;
    enum status status;
    uint32_t pieces;
    uint32_t keys;
    bool came;
    bool end;
    bool closes;
    char text[NODES_VALUE_MAX];
};

static void
reading_came(void *ctx, const struct kv_scan_piece *piece)
{
    struct reading *r = ctx;
    size_t used = strlen(r->text);

    r->came = true;
    r->status = piece->status;
    r->end = piece->end;
    r->pieces++;
    r->keys += piece->count;
    for (uint32_t i = 0; i < piece->count; i++)
        used += (size_t)snprintf(r->text + used, sizeof(r->text) - used, "%.*s=%.*s,",
                                 (int)piece->entries[i].key.size, piece->entries[i].key.data,
                                 (int)piece->entries[i].value.size, piece->entries[i].value.data);
}

static void
reading_open(void *ctx)
{
    struct reading *r = ctx;

    r->options.want_values = true;
    r->options.deadline_ns =
        loop_now_ns(sim_loop(r->n->w, r->node, 0)) + LINE_DEADLINE_MS * UINT64_C(1000000);
    EXPECT_OK(kv_scan_open(kv_door_of(r->n->kv[r->node], 0), &r->options, &r->scan, NULL));
}

static void
reading_next(void *ctx)
{
    struct reading *r = ctx;

    kv_scan_next(r->scan, 3, 1000, 1 << 20, reading_came, r);
    EXPECT(!r->came);
}

static void
reading_rewind(void *ctx)
{
    struct reading *r = ctx;

    r->text[0] = '\0';
    kv_scan_rewind(r->scan);
}

static void
reading_close(void *ctx)
{
    struct reading *r = ctx;

    kv_scan_close(r->scan);
}

static void
reading_on(struct reading *r)
{
    r->came = false;
    sim_on_loop(r->n->w, r->node, 0, reading_next, r);
    EXPECT(sim_run_until(r->n->w, &r->came, PATIENCE_MS));
}

static void
reading_begin(struct reading *r, struct nodes *n, uint32_t node, bool reverse)
{
    *r = (struct reading){ .n = n, .node = node, .options = { .reverse = reverse } };
    sim_on_loop(n->w, node, 0, reading_open, r);
}

static void
put_letters(struct nodes *n, uint32_t node, const char *letters, const char *value)
{
    for (; *letters != '\0'; letters++) {
        char key[] = { *letters, '\0' };

        EXPECT_OK(nodes_put(n, node, key, value));
    }
}

static void
check_whole_scan(struct nodes *n, uint32_t node, bool reverse, const char *text)
{
    struct reading r;

    reading_begin(&r, n, node, reverse);
    for (int again = 0; again < 2; again++) {
        do {
            reading_on(&r);
            EXPECT_OK(r.status);
        } while (!r.end);
        EXPECT_STR(r.text, text);
        sim_on_loop(n->w, node, 0, reading_rewind, &r);
    }
    EXPECT_U64(r.keys, 14);
    EXPECT(r.pieces >= 6);
    sim_on_loop(n->w, node, 0, reading_close, &r);
}

TEST(any_node_scans_counts_and_draws)
{
    struct nodes n;

    nodes_create_forwarding(&n, test_seed(9), 5);
    put_letters(&n, 4, "abcdefg", "1");
    for (uint32_t i = 1; i <= 5; i++) {
        struct op_result result;
        struct errand e;

        check_whole_scan(&n, i, false, "a=1,b=1,c=1,d=1,e=1,f=1,g=1,");
        check_whole_scan(&n, i, true, "g=1,f=1,e=1,d=1,c=1,b=1,a=1,");
        nodes_begin_at(&n, i, nodes_leader(&n), KV_COUNT, &e);
        EXPECT_OK(nodes_finish(&n, &e));
        EXPECT_U64(e.admin.count, 7);
        nodes_begin_at(&n, i, nodes_leader(&n), KV_RANDOM, &e);
        EXPECT(sim_run_until(n.w, &e.done, PATIENCE_MS));
        EXPECT_OK(e.admin.status);
        EXPECT(e.admin.key.size == 1 && e.admin.key.data[0] >= 'a' && e.admin.key.data[0] <= 'g');
        EXPECT_OK(nodes_finish(&n, &e));
        EXPECT_OK(nodes_do(&n, i, &(struct op){ .kind = OP_META, .key = slice_str("a") }, &result));
    }
    nodes_destroy(&n);
}

/* Whoever leads meanwhile: the node that took the snapshot goes on reading from it. */
TEST(a_scan_from_afar_is_one_snapshot)
{
    struct nodes n;
    struct reading r;
    uint32_t leader;

    nodes_create_forwarding(&n, test_seed(10), 5);
    put_letters(&n, 1, "abcdefg", "1");
    leader = nodes_leader(&n);
    reading_begin(&r, &n, 5, false);
    reading_on(&r);
    EXPECT_STR(r.text, "a=1,b=1,c=1,");
    put_letters(&n, 5, "abcdefgh", "2");
    EXPECT(nodes_transfer(&n, line_other_than(leader)));
    put_letters(&n, 5, "abcdefghi", "3");
    reading_on(&r);
    reading_on(&r);
    EXPECT_OK(r.status);
    EXPECT_STR(r.text, "a=1,b=1,c=1,d=1,e=1,f=1,g=1,");
    nodes_crash(&n, leader);
    reading_on(&r);
    EXPECT_ST(r.status, ST_BUSY);
    sim_on_loop(n.w, 5, 0, reading_close, &r);
    reading_begin(&r, &n, 5, false);
    reading_on(&r);
    EXPECT_STR(r.text, "a=3,b=3,c=3,");
    sim_on_loop(n.w, 5, 0, reading_close, &r);
    nodes_destroy(&n);
}

/* Nobody says that it is over: the snapshot is let go of all the same. */
TEST(a_scan_that_nobody_goes_on_with_is_forgotten)
{
    struct nodes n;
    struct reading r;

    nodes_create_forwarding(&n, test_seed(11), 5);
    put_letters(&n, 1, "abcdefg", "1");
    reading_begin(&r, &n, 5, false);
    reading_on(&r);
    EXPECT_OK(r.status);
    sim_run_ms(n.w, 62000);
    reading_on(&r);
    EXPECT_ST(r.status, ST_BUSY);
    sim_on_loop(n.w, 5, 0, reading_close, &r);
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ stopping */

struct stop {
    struct kv *kv;
    bool drained;
    enum status status;
};

static void
on_drained(void *ctx)
{
    struct stop *stop = ctx;

    stop->drained = true;
}

static void
drain(void *ctx)
{
    struct stop *stop = ctx;

    kv_drain(stop->kv, on_drained, stop);
}

/* As a server stops: what is on its way to the leader finds one. */
static void
drain_body(void *ctx)
{
    struct stop *stop = ctx;

    kv_hand_over(stop->kv, drain, stop);
}

static void
close_body(void *ctx)
{
    struct stop *stop = ctx;

    stop->status = kv_close(stop->kv, NULL);
}

/* Nothing that it was asked, or asks others, is left: leaks fail. */
static void
stop_node(struct nodes *n, uint32_t node)
{
    struct stop stop = { .kv = n->kv[node] };

    sim_on_loop(n->w, node, 0, drain_body, &stop);
    EXPECT(sim_run_until(n->w, &stop.drained, PATIENCE_MS));
    sim_end_loops(n->w, node);
    EXPECT(sim_call(n->w, node, close_body, &stop));
    EXPECT_OK(stop.status);
    sim_end(n->w, node);
    n->kv[node] = NULL;
}

TEST(a_leader_that_stops_costs_no_request_of_another_node)
{
    struct nodes n;
    struct line l;

    nodes_create_forwarding(&n, test_seed(23), 5);
    (void)nodes_leader(&n);
    line_begin(&l, &n, 5, 0);
    line_append(&l, 50);
    sim_run_ms(n.w, 1);
    line_append(&l, 50);
    stop_node(&n, nodes_leader(&n));
    line_append(&l, 50);
    line_await(&l);
    EXPECT_U64(line_count(&l, ST_OK), 150);
    line_check(&l, 4);
    nodes_destroy(&n);
}

/* What was sent before the word of the new leader came, arrives after the old one has nothing left to do. */
TEST(a_leader_that_stops_costs_no_request_of_a_node_that_hears_of_it_late)
{
    for (uint32_t delay_ms = 1; delay_ms <= 128; delay_ms *= 2) {
        struct sim_link late = sim_link_default();
        struct nodes n;
        struct line l;
        uint32_t leader;

        nodes_create_forwarding(&n, test_seed(26 + delay_ms), 5);
        leader = nodes_leader(&n);
        late.delay_us_min = late.delay_us_max = delay_ms * 1000;
        sim_net_set(n.w, 5, leader, &late);
        sim_net_set(n.w, leader, 5, &late);
        line_begin(&l, &n, 5, 0);
        for (uint32_t i = 0; i < 200; i++) {
            line_append(&l, 1);
            sim_run_ms(n.w, 1);
            if (i == 99)
                stop_node(&n, leader);
        }
        line_await(&l);
        EXPECT_U64(line_count(&l, ST_OK), 200);
        line_check(&l, 4);
        nodes_destroy(&n);
    }
}

/* It was asked, and leads; then it stops, or dies, before or after the first piece was asked for. */
TEST(a_scan_that_has_read_nothing_yet_begins_anew_elsewhere)
{
    for (uint32_t ms = 0; ms < 160; ms += 10) {
        struct sim_link late = sim_link_default();
        struct nodes n;
        struct reading r;
        uint32_t leader;

        nodes_create_forwarding(&n, test_seed(300 + ms), 5);
        put_letters(&n, 4, "abcdefg", "1");
        leader = nodes_leader(&n);
        late.delay_us_min = late.delay_us_max = 32000;
        sim_net_set(n.w, 5, leader, &late);
        sim_net_set(n.w, leader, 5, &late);
        reading_begin(&r, &n, 5, false);
        r.came = false;
        sim_on_loop(n.w, 5, 0, reading_next, &r);
        sim_run_ms(n.w, ms);
        if (ms % 20 == 0)
            stop_node(&n, leader);
        else
            nodes_crash(&n, leader);
        EXPECT(r.came || sim_run_until(n.w, &r.came, PATIENCE_MS));
        EXPECT_OK(r.status);
        EXPECT_STR(r.text, "a=1,b=1,c=1,");
        sim_on_loop(n.w, 5, 0, reading_close, &r);
        nodes_destroy(&n);
    }
}

TEST(who_stops_waits_for_a_second_at_most_for_who_stands_still)
{
    struct nodes n;
    uint64_t begin_ns, took_ms;

    nodes_create_forwarding(&n, test_seed(25), 5);
    EXPECT_OK(nodes_put(&n, 5, "a", "1"));
    sim_pause(n.w, 5, 10000);
    begin_ns = sim_now_ns(n.w);
    stop_node(&n, 4);
    took_ms = (sim_now_ns(n.w) - begin_ns) / 1000000;
    EXPECT(took_ms >= 900 && took_ms < 1300);
    nodes_destroy(&n);
}

/* Its own clients are told that it closes, or what became of what was under way. */
TEST(a_node_stops_while_others_carry_out_what_it_asked)
{
    struct nodes n;
    struct line l;
    struct reading r;

    nodes_create_forwarding(&n, test_seed(24), 5);
    put_letters(&n, 4, "abcdefg", "1");
    reading_begin(&r, &n, 5, false);
    reading_on(&r);
    sim_on_loop(n.w, 5, 0, reading_close, &r);
    line_begin(&l, &n, 5, 1);
    line_append(&l, 50);
    stop_node(&n, 5);
    EXPECT_U64(line_count(&l, ST_OK) + line_count(&l, ST_CLOSED), 50);
    line_check(&l, 4);
    stop_node(&n, nodes_leader(&n)); /* with the snapshot of a scan */
    nodes_destroy(&n);
}

QUIET_TEST_MAIN(RUN(any_node_answers_any_request), RUN(a_request_waits_for_the_first_leader),
                RUN(an_answer_from_afar_says_all_that_one_from_here_does),
                RUN(any_node_scans_counts_and_draws), RUN(a_scan_from_afar_is_one_snapshot),
                RUN(a_scan_that_nobody_goes_on_with_is_forgotten),
                RUN(a_leader_that_stops_costs_no_request_of_another_node),
                RUN(a_leader_that_stops_costs_no_request_of_a_node_that_hears_of_it_late),
                RUN(a_scan_that_has_read_nothing_yet_begins_anew_elsewhere),
                RUN(who_stops_waits_for_a_second_at_most_for_who_stands_still),
                RUN(a_node_stops_while_others_carry_out_what_it_asked))
