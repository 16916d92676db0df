/*
 * Any node answers any request, and what one connection asks is carried out in its order, whoever leads
 * meanwhile (kv/route.c).
 */
#include "base/coding.h"
#include "base/prng.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "tablet/request_codec.h"
#include "unit/kv/nodes.h"
#include "unit/test.h"

enum {
    LINE_MAX = 600,
    DEADLINE_MS = 2000,
    SLACK_MS = 200,
    PAUSE_MS = 1500,
    PATIENCE_MS = 60000,
    ROUNDS = 300
};

/* One append of a pipeline, or a read of what the earlier ones amount to. */
struct step {
    struct request request;
    struct op op;
    struct op_result result;
    struct line *line;
    char text[8];
    bool sent;
    bool done;
    enum status status;
    uint64_t took_ms;
    uint64_t sent_ns;
};

/* A connection at a node, that appends "1,", "2," .. to one key, and waits for nothing. */
struct line {
    struct nodes *n;
    uint32_t node;
    uint32_t loop;
    uint64_t client_id;
    struct step steps[LINE_MAX];
    uint32_t count;
    uint32_t done;
    const char *key;
};

static void
step_done(struct request *r)
{
    struct step *s = container_of(r, struct step, request);

    EXPECT(!s->done);
    s->done = true;
    s->status = r->status;
    s->took_ms = (sim_now_ns(s->line->n->w) - s->sent_ns) / 1000000;
    s->line->done++;
}

static void
submit_step(void *ctx)
{
    struct step *s = ctx;
    struct line *l = s->line;
    struct kv *kv = l->n->kv[l->node];

    s->sent = true;
    s->sent_ns = sim_now_ns(l->n->w);
    s->request.deadline_ns =
        loop_now_ns(sim_loop(l->n->w, l->node, l->loop)) + DEADLINE_MS * UINT64_C(1000000);
    kv_submit(kv_door_of(kv, l->loop), &s->request);
}

static void
line_begin(struct line *l, struct nodes *n, uint32_t node, uint32_t loop)
{
    *l = (struct line){ .n = n, .node = node, .loop = loop, .key = "line" };
}

static struct step *
line_step(struct line *l)
{
    struct step *s = &l->steps[l->count];

    EXPECT(l->count < LINE_MAX);
    *s = (struct step){ .line = l };
    snprintf(s->text, sizeof(s->text), "%u,", ++l->count);
    s->op = (struct op){ .kind = OP_APPEND, .key = slice_str(l->key), .value = slice_str(s->text) };
    s->request = (struct request){ .keyspace = l->n->keyspace,
                                   .ops = &s->op,
                                   .op_count = 1,
                                   .results = &s->result,
                                   .result_bytes_max = 1 << 20,
                                   .origin = 40 + l->node,
                                   .done = step_done };
    return s;
}

static void
line_append(struct line *l, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sim_on_loop(l->n->w, l->node, l->loop, submit_step, line_step(l));
}

/* Nothing hangs: every step is done, by its deadline; or when the node goes on. */
static void
line_await(struct line *l)
{
    for (uint32_t passed_ms = 0; passed_ms < PATIENCE_MS && l->done < l->count; passed_ms += 10)
        sim_run_ms(l->n->w, 10);
    EXPECT_U64(l->done, l->count);
    for (uint32_t i = 0; i < l->count; i++)
        EXPECT(l->steps[i].took_ms <= DEADLINE_MS + PAUSE_MS + SLACK_MS);
}

static uint32_t
line_count(const struct line *l, enum status st)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < l->count; i++)
        count += l->steps[i].status == st;
    return count;
}

/* Who answered that it was done is there, once, and was told of its own end of the line; who failed for certain is
 * not; and all are in order. */
static void
line_check(struct line *l, uint32_t reader)
{
    char *at, *rest = NULL;
    uint32_t next = 0;
    size_t length = 0;
    char value[NODES_VALUE_MAX];

    snprintf(value, sizeof(value), "%s", nodes_get(l->n, reader, l->key));
    for (at = strtok_r(value, ",", &rest); at != NULL; at = strtok_r(NULL, ",", &rest)) {
        uint32_t number = (uint32_t)strtoul(at, NULL, 10);

        if (strcmp(at, "nil") == 0)
            break;
        EXPECT(number > next && number <= l->count);
        for (uint32_t i = next + 1; i < number; i++)
            EXPECT(l->steps[i - 1].status != ST_OK);
        EXPECT(l->steps[number - 1].status == ST_OK || l->steps[number - 1].status == ST_UNKNOWN);
        length += strlen(at) + 1;
        if (l->steps[number - 1].status == ST_OK)
            EXPECT_U64(l->steps[number - 1].result.integer, length);
        next = number;
    }
    for (uint32_t i = next + 1; i <= l->count; i++)
        EXPECT(l->steps[i - 1].status != ST_OK);
}

/* A node that does not lead, and is a founder, or is none. */
static uint32_t
other_than(uint32_t leader)
{
    return leader % NODES_FOUNDERS + 1;
}

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
    other = other_than(leader);
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

/* ------------------------------------------------------------------ order */

/* The two nodes that are no members are far from the others, and from each other. */
static void
draw_apart(struct nodes *n)
{
    for (uint32_t from = 1; from <= n->count; from++) {
        for (uint32_t to = 1; to <= n->count; to++) {
            struct sim_link link = sim_net_get(n->w, from, to);

            if (from == to || (from <= NODES_FOUNDERS && to <= NODES_FOUNDERS))
                continue;
            link.delay_us_min = 1000 * (uint32_t)prng_below(sim_prng(n->w), 60);
            link.delay_us_max = link.delay_us_min + 5000;
            sim_net_set(n->w, from, to, &link);
        }
    }
}

static void
check_that_order_holds(uint64_t seed, void (*disturb)(struct nodes *n), bool losses)
{
    struct nodes n;
    struct line *lines = calloc(5, sizeof(*lines));
    static const char *const keys[] = { "l1", "l2", "l3", "l4", "l5" };

    nodes_create_forwarding(&n, seed, 5);
    (void)nodes_leader(&n);
    draw_apart(&n);
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

    if (!nodes_begin_transfer(n, other_than(leader)) || prng_chance(sim_prng(n->w), 1, 2))
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

/* Every connection, again and again; and answers are lost where requests were not. */
static void
break_connections(struct nodes *n)
{
    for (uint32_t from = 1; from <= n->count; from++) {
        for (uint32_t to = 1; to <= n->count; to++) {
            struct sim_link link = sim_net_get(n->w, from, to);

            link.break_ms = 200;
            sim_net_set(n->w, from, to, &link);
        }
    }
}

static void
pause_the_leader(struct nodes *n)
{
    sim_pause(n->w, nodes_leader(n), PAUSE_MS);
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
        check_that_order_holds(seed + i, break_connections, true);
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
    sim_on_loop(n.w, 5, 0, submit_step, &l.steps[0]);
    line_await(&l);
    EXPECT_OK(l.steps[0].status);
    nodes_destroy(&n);
}

/* What another node says, as it comes from the connection. */
struct said {
    struct nodes *n;
    uint32_t to;
    uint32_t loop;
    struct peer_sender from;
    struct slice payload;
    uint8_t type;
};

static void
say_body(void *ctx)
{
    struct said *s = ctx;
    struct exchange_guest *guest = kv_door_of(s->n->kv[s->to], s->loop)->reactor.guest;

    guest->receive(guest, &s->from, s->type, 7, s->payload);
}

static void
say_put(struct said *s, uint64_t stream, const char *value)
{
    struct tablet *t = kv_tablet(s->n->kv[s->to], 0);
    struct op op = { .kind = OP_PUT, .key = slice_str("k"), .value = slice_str(value) };
    struct request r = { .ops = &op, .op_count = 1, .term = raft_hard(tablet_raft(t)).term };
    struct request_envelope e = { .tablet = tablet_id(t), .left_us = 1000000 };
    uint8_t bytes[256];
    uint8_t *at = put_varint(bytes, stream);

    s->type = FORWARD_REQUEST;
    s->payload = slice_of(bytes, (size_t)(at - bytes) + request_encode(at, &r, &e));
    sim_on_loop(s->n->w, s->to, s->loop, say_body, s);
}

static void
expect_said(struct said *s, const char *value)
{
    sim_run_ms(s->n->w, 50);
    EXPECT_STR(nodes_get(s->n, s->to, "k"), value);
}

TEST(what_comes_late_on_an_old_stream_is_not_evaluated)
{
    struct nodes n;
    struct said s;

    nodes_create_forwarding(&n, test_seed(16), 3);
    s = (struct said){ .n = &n, .to = nodes_leader(&n) };
    s.from = (struct peer_sender){ other_than(s.to), 77 };
    say_put(&s, 1, "first");
    expect_said(&s, "first");
    say_put(&s, 3, "second");
    expect_said(&s, "second");
    say_put(&s, 2, "late");
    expect_said(&s, "second");
    say_put(&s, 3, "third");
    expect_said(&s, "third");
    s.from.incarnation = 78; /* a new process of the node counts anew */
    say_put(&s, 0, "reborn");
    expect_said(&s, "reborn");
    s.from.incarnation = 77; /* and the former one is heard no more */
    say_put(&s, 4, "dead");
    expect_said(&s, "reborn");
    s.from.node = 99;
    say_put(&s, 9, "stranger");
    expect_said(&s, "reborn");
    nodes_destroy(&n);
}

/* The one on the tablet's own loop comes first; the other is on its way there from another loop. */
TEST(what_is_on_its_way_between_loops_when_a_later_stream_comes_is_not_evaluated)
{
    struct nodes n;
    struct said s;

    nodes_create_forwarding(&n, test_seed(21), 3);
    s = (struct said){ .n = &n, .to = nodes_leader(&n) };
    s.from = (struct peer_sender){ other_than(s.to), 77 };
    EXPECT(loop_index(tablet_loop(kv_tablet(n.kv[s.to], 0))) == 0);
    s.loop = 1;
    say_put(&s, 5, "early");
    expect_said(&s, "early");
    say_put(&s, 5, "late");
    s.loop = 0;
    say_put(&s, 6, "now");
    expect_said(&s, "now");
    nodes_destroy(&n);
}

/* The leader says that answers of its may be lost: the one that is waited for will not come. */
TEST(what_an_answer_was_lost_of_is_not_waited_for)
{
    struct nodes n;
    struct line l;
    struct said s;

    nodes_create_forwarding(&n, test_seed(15), 5);
    s = (struct said){ .n = &n, .to = 5, .type = FORWARD_LOST };
    s.from = (struct peer_sender){ nodes_leader(&n), 77 };
    EXPECT_OK(nodes_put(&n, 5, "a", "1"));
    for (uint32_t i = 1; i <= NODES_FOUNDERS; i++) {
        if (i != s.from.node)
            sim_net_cut(n.w, (uint32_t)s.from.node, i); /* it commits nothing */
    }
    line_begin(&l, &n, 5, 0);
    line_append(&l, 1);
    sim_run_ms(n.w, 20);
    EXPECT_U64(l.done, 0);
    sim_on_loop(n.w, 5, 0, say_body, &s);
    sim_run_ms(n.w, 60);
    EXPECT_ST(l.steps[0].status, ST_UNKNOWN);
    nodes_destroy(&n);
}

/* Cut short, or with a byte that is another one: it is refused, or is another request; the node serves on. */
TEST(nonsense_from_another_node_does_no_harm)
{
    struct nodes n;
    struct said s;
    struct prng p;

    nodes_create_forwarding(&n, test_seed(17), 3);
    prng_init(&p, test_seed(17));
    s = (struct said){ .n = &n, .to = nodes_leader(&n) };
    s.from = (struct peer_sender){ other_than(s.to), 77 };
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[128] = { 0, 1, 1, 0, 0, 0, (uint8_t)prng_below(&p, REQUEST_KINDS), 0 };
        size_t known = prng_below(&p, 8);

        for (size_t at = known; at < sizeof(bytes); at++)
            bytes[at] = prng_chance(&p, 1, 2) ? 0 : (uint8_t)prng_next(&p);
        s.type = (uint8_t)(FORWARD_REQUEST + prng_below(&p, 5));
        s.payload = slice_of(bytes, prng_below(&p, sizeof(bytes)));
        sim_on_loop(n.w, s.to, 0, say_body, &s);
    }
    sim_run_ms(n.w, 1000);
    EXPECT_OK(nodes_put(&n, other_than(s.to), "a", "1"));
    EXPECT_STR(nodes_get(&n, 1, "a"), "1");
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
    draw_apart(&n);
    break_connections(&n);
    line_begin(l, &n, 5, 0);
    l->key = "sum";
    for (uint32_t i = 0; i < 200; i++) {
        struct step *s = line_step(l);

        s->op = (struct op){ .kind = OP_APPEND, .key = slice_str(l->key), .value = s->op.value };
        s->request.client_id = 900;
        s->request.sequence = i + 1;
        sim_on_loop(n.w, 5, 0, submit_step, s);
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
        sim_on_loop(n.w, 5, 0, submit_step, s);
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
        sim_on_loop(n.w, 5, 0, submit_step, &l->steps[i]);
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
        loop_now_ns(sim_loop(r->n->w, r->node, 0)) + DEADLINE_MS * UINT64_C(1000000);
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
    EXPECT(nodes_transfer(&n, other_than(leader)));
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

/* ------------------------------------------------------------------ one answer */

/* The same ids are used by the next process of the node: what its former life had asked is not for it. */
TEST(an_answer_to_a_former_life_is_nobodys)
{
    struct nodes n;
    struct line l;
    uint32_t leader;

    nodes_create_forwarding(&n, test_seed(12), 5);
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, 4, "warm", "1"));
    for (uint32_t i = 1; i <= NODES_FOUNDERS; i++) {
        if (i != leader)
            sim_net_cut(n.w, leader, i);
    }
    line_begin(&l, &n, 4, 0);
    line_append(&l, 20);
    sim_run_ms(n.w, 20);
    nodes_crash(&n, 4);
    nodes_boot(&n, 4);
    sim_run_ms(n.w, 20);
    l.count = 0;
    l.key = "other";
    line_append(&l, 20);
    for (uint32_t i = 1; i <= NODES_FOUNDERS; i++)
        nodes_cut(&n, i, false);
    line_await(&l);
    line_check(&l, 4);
    nodes_destroy(&n);
}

QUIET_TEST_MAIN(
    RUN(any_node_answers_any_request), RUN(a_request_waits_for_the_first_leader),
    RUN(an_answer_from_afar_says_all_that_one_from_here_does), RUN(a_pipeline_keeps_its_order),
    RUN(no_request_fails_when_leadership_is_handed_over), RUN(order_holds_when_leaders_are_cut_off),
    RUN(order_holds_when_a_link_is_cut_one_way), RUN(order_holds_when_connections_break),
    RUN(order_holds_when_leaders_stand_still),
    RUN(a_read_is_asked_elsewhere_when_whoever_was_asked_is_silent),
    RUN(what_an_answer_was_lost_of_is_not_waited_for),
    RUN(what_comes_late_on_an_old_stream_is_not_evaluated),
    RUN(what_is_on_its_way_between_loops_when_a_later_stream_comes_is_not_evaluated),
    RUN(a_deadline_says_that_nothing_was_applied_only_of_what_was_never_sent),
    RUN(nonsense_from_another_node_does_no_harm), RUN(a_write_with_a_number_is_applied_once),
    RUN(a_slow_node_is_back_pressure_and_no_growth),
    RUN(a_node_without_memory_for_a_moment_answers_all_the_same),
    RUN(any_node_scans_counts_and_draws), RUN(a_scan_from_afar_is_one_snapshot),
    RUN(a_scan_that_nobody_goes_on_with_is_forgotten), RUN(an_answer_to_a_former_life_is_nobodys))
