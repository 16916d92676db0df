/* Keyspaces of several tablets: what is asked in parts (kv/scatter.c), and scans that are merged (kv/scan_merge.c). */
#include "base/prng.h"

#include "unit/kv/nodes.h"
#include "unit/test.h"

enum { KEYS = 60, TABLETS = 7, PATIENCE_MS = 60000, PATTERN_EVERY = 7 };

static const char *
key_of(uint32_t i, char room[16])
{
    snprintf(room, 16, "%sk%03u", i % PATTERN_EVERY == 0 ? "x" : "", i);
    return room;
}

static void
fill(struct nodes *n)
{
    char key[16];

    (void)nodes_leader(n);
    for (uint32_t i = 0; i < KEYS; i++)
        EXPECT_OK(nodes_put(n, i % n->count + 1, key_of(i, key), "v"));
}

/* ------------------------------------------------------------------ scans */

struct reading {
    struct nodes *n;
    uint32_t node;
    struct kv_scan_options options;
    struct kv_scan *scan;
    uint32_t keys_max;
    uint64_t examined_max;
    uint32_t close_after; /* pieces; 0: not before the end */
    uint32_t pieces;
    enum status status;
    bool done;
    char text[NODES_VALUE_MAX];
};

static void read_on(struct reading *r);

static void
came(void *ctx, const struct kv_scan_piece *piece)
{
    struct reading *r = ctx;
    size_t used = strlen(r->text);

    r->pieces++;
    r->status = piece->status;
    for (uint32_t i = 0; piece->status == ST_OK && i < piece->count; i++)
        used += (size_t)snprintf(r->text + used, sizeof(r->text) - used, "%.*s ",
                                 (int)piece->entries[i].key.size,
                                 (const char *)piece->entries[i].key.data);
    EXPECT(used < sizeof(r->text) && piece->count <= r->keys_max);
    r->done = piece->status != ST_OK || piece->end || r->pieces == r->close_after;
    if (r->done)
        kv_scan_close(r->scan);
    else
        read_on(r);
}

static void
read_on(struct reading *r)
{
    kv_scan_next(r->scan, r->keys_max, r->examined_max, 1 << 20, came, r);
}

static void
read_body(void *ctx)
{
    struct reading *r = ctx;
    struct kv_door *door = kv_door_of(r->n->kv[r->node], 0);

    r->options.deadline_ns = loop_now_ns(sim_loop(r->n->w, r->node, 0)) + UINT64_C(2000000000);
    EXPECT_OK(kv_scan_open(door, &r->options, &r->scan, NULL));
    read_on(r);
}

static void
read_all(struct reading *r)
{
    sim_on_loop(r->n->w, r->node, 0, read_body, r);
    EXPECT(sim_run_until(r->n->w, &r->done, PATIENCE_MS));
}

/* As a sorted list of the keys says. */
static void
expect_list(const struct reading *r)
{
    const struct kv_scan_options *o = &r->options;
    char want[NODES_VALUE_MAX] = "";
    size_t used = 0;

    for (uint32_t step = 0; step < 2 * KEYS; step++) {
        uint32_t at =
            o->reverse ? 2 * KEYS - 1 - step : step; /* first those with k, then those with x */
        uint32_t i = at % KEYS;
        struct slice key;
        char room[16];

        if ((i % PATTERN_EVERY == 0) != (at >= KEYS))
            continue;
        key = slice_str(key_of(i, room));
        if (slice_compare(key, o->from) < 0 ||
            (o->has_limit && slice_compare(key, o->limit) >= 0) ||
            (o->pattern.size > 0 && !kv_glob(o->pattern, key)))
            continue;
        used += (size_t)snprintf(want + used, sizeof(want) - used, "%s ", room);
    }
    EXPECT_STR(r->text, want);
}

TEST(a_scan_of_several_tablets_is_in_order_from_every_node_and_in_pieces_of_every_size)
{
    static const char *const patterns[] = { "", "x*", "*1*", "nobody" };
    struct nodes n;

    nodes_create_with_tablets(&n, test_seed(1), 4, TABLETS);
    fill(&n);
    for (uint32_t i = 0; i < 160; i++) {
        struct reading r = { .n = &n, .node = i % 4 + 1, .keys_max = 1 + i * i % 23 };

        r.examined_max = 1 + i * 7 % 50;
        r.options.reverse = i % 3 == 0;
        r.options.pattern = slice_str(patterns[i / 4 % 4]);
        if (i % 5 == 0)
            r.options.from = slice_str("k011");
        r.options.has_limit = i % 7 == 0;
        r.options.limit = slice_str("k047");
        read_all(&r);
        EXPECT_OK(r.status);
        expect_list(&r);
    }
    nodes_destroy(&n);
}

TEST(a_scan_can_be_closed_in_its_midst)
{
    struct nodes n;

    nodes_create_with_tablets(&n, test_seed(2), 3, TABLETS);
    fill(&n);
    for (uint32_t i = 0; i < 8; i++) {
        struct reading r = { .n = &n, .node = i % 3 + 1, .keys_max = 3, .examined_max = 100 };

        r.close_after = i + 1;
        read_all(&r);
        EXPECT_OK(r.status);
    }
    sim_run_ms(n.w, 1000);
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ requests */

struct ask {
    struct nodes *n;
    uint32_t node;
    struct op ops[KEYS];
    struct op_result results[KEYS];
    char keys[KEYS][16];
    uint32_t count;
    struct precondition precondition;
    struct request request;
    uint32_t found;
    bool done;
};

static void
answered(struct request *r)
{
    struct ask *a = container_of(r, struct ask, request);

    for (uint32_t i = 0; r->status == ST_OK && i < a->count; i++)
        a->found += a->ops[i].kind == OP_GET ? slice_equal(a->results[i].value, slice_str("v"))
                                             : a->results[i].integer == 1;
    a->done = true;
}

static void
ask_body(void *ctx)
{
    struct ask *a = ctx;

    a->request.deadline_ns = loop_now_ns(sim_loop(a->n->w, a->node, 0)) + UINT64_C(2000000000);
    kv_submit(kv_door_of(a->n->kv[a->node], 0), &a->request);
}

static enum status
ask(struct nodes *n, struct ask *a, enum op_kind kind, uint32_t first, uint32_t count)
{
    *a = (struct ask){ .n = n, .node = 4, .count = count };
    for (uint32_t i = 0; i < count; i++)
        a->ops[i] = (struct op){ .kind = kind,
                                 .key = slice_str(key_of(first + i, a->keys[i])),
                                 .value = slice_str("v") };
    a->request = (struct request){ .ops = a->ops,
                                   .op_count = count,
                                   .results = a->results,
                                   .result_bytes_max = 1 << 20,
                                   .origin = 1,
                                   .done = answered };
    sim_on_loop(n->w, a->node, 0, ask_body, a);
    EXPECT(sim_run_until(n->w, &a->done, PATIENCE_MS));
    return a->request.status;
}

TEST(reads_and_deletions_are_asked_in_parts_and_what_has_to_be_one_is_refused)
{
    struct nodes n;
    struct ask a;

    nodes_create_with_tablets(&n, test_seed(3), 4, TABLETS);
    fill(&n);
    EXPECT_OK(ask(&n, &a, OP_GET, 0, KEYS));
    EXPECT_U64(a.found, KEYS);
    EXPECT_OK(ask(&n, &a, OP_DELETE, 0, 20));
    EXPECT_U64(a.found, 20);
    EXPECT_OK(ask(&n, &a, OP_GET, 10, 20));
    EXPECT_U64(a.found, 10);
    EXPECT_ST(ask(&n, &a, OP_PUT, 0, 20), ST_SCATTERED);
    EXPECT_OK(ask(&n, &a, OP_GET, 0, 20));
    EXPECT_U64(a.found, 0);
    EXPECT_OK(ask(&n, &a, OP_PUT, 3, 1));
    a.count = 0;
    EXPECT_OK(ask(&n, &a, OP_GET, 3, 1));
    EXPECT_U64(a.found, 1);
    nodes_destroy(&n);
}

TEST(keys_with_one_tag_are_one_request)
{
    struct nodes n;
    struct ask a;

    nodes_create_with_tablets(&n, test_seed(4), 4, TABLETS);
    (void)nodes_leader(&n);
    a = (struct ask){ .n = &n, .node = 4, .count = 5 };
    for (uint32_t i = 0; i < a.count; i++) {
        snprintf(a.keys[i], sizeof(a.keys[i]), "{tag}%u", i);
        a.ops[i] =
            (struct op){ .kind = OP_PUT, .key = slice_str(a.keys[i]), .value = slice_str("v") };
    }
    a.request = (struct request){ .ops = a.ops,
                                  .op_count = a.count,
                                  .results = a.results,
                                  .result_bytes_max = 1 << 20,
                                  .done = answered };
    sim_on_loop(n.w, a.node, 0, ask_body, &a);
    EXPECT(sim_run_until(n.w, &a.done, PATIENCE_MS));
    EXPECT_OK(a.request.status);
    nodes_destroy(&n);
}

TEST(a_clear_empties_every_tablet)
{
    struct reading r;
    struct nodes n;
    struct ask a;

    nodes_create_with_tablets(&n, test_seed(5), 4, TABLETS);
    fill(&n);
    EXPECT_OK(ask(&n, &a, OP_CLEAR, 0, 1));
    r = (struct reading){ .n = &n, .node = 2, .keys_max = 100, .examined_max = 1000 };
    read_all(&r);
    EXPECT_OK(r.status);
    EXPECT_STR(r.text, "");
    nodes_destroy(&n);
}

/* A part whose leader is gone fails by its deadline, and nothing hangs. */
TEST(when_a_part_fails_the_whole_does)
{
    struct nodes n;
    struct ask a;

    nodes_create_with_tablets(&n, test_seed(6), 4, TABLETS);
    fill(&n);
    nodes_crash(&n, 1);
    nodes_crash(&n, 2);
    EXPECT_ST(ask(&n, &a, OP_GET, 0, KEYS), ST_TIMEOUT);
    EXPECT(ask(&n, &a, OP_DELETE, 0, 20) != ST_OK);
    nodes_boot_all(&n);
    EXPECT_OK(ask(&n, &a, OP_GET, 30, 20));
    EXPECT_U64(a.found, 20);
    nodes_destroy(&n);
}

QUIET_TEST_MAIN(
    RUN(a_scan_of_several_tablets_is_in_order_from_every_node_and_in_pieces_of_every_size),
    RUN(a_scan_can_be_closed_in_its_midst),
    RUN(reads_and_deletions_are_asked_in_parts_and_what_has_to_be_one_is_refused),
    RUN(keys_with_one_tag_are_one_request), RUN(a_clear_empties_every_tablet),
    RUN(when_a_part_fails_the_whole_does))
