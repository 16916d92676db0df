/* The pure parts of tablet/ and kv/: codec, overlay, numbers, clock, glob. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "engine/body.h"
#include "kv/kv.h"
#include "tablet/clock.h"
#include "tablet/number.h"
#include "tablet/overlay.h"
#include "tablet/tail.h"
#include "unit/test.h"

TEST(integers_are_read_in_their_one_canonical_form)
{
    static const char *const wrong[] = { "",
                                         "-",
                                         "+1",
                                         " 1",
                                         "1 ",
                                         "01",
                                         "-0",
                                         "1.0",
                                         "0x1",
                                         "9223372036854775808",
                                         "-9223372036854775809",
                                         "1a" };
    int64_t v;

    EXPECT(number_parse_i64(slice_str("9223372036854775807"), &v) && v == INT64_MAX);
    EXPECT(number_parse_i64(slice_str("-9223372036854775808"), &v) && v == INT64_MIN);
    EXPECT(number_parse_i64(slice_str("0"), &v) && v == 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        EXPECT(!number_parse_i64(slice_str(wrong[i]), &v));
}

TEST(an_integer_survives_being_written_and_read)
{
    struct prng p;
    char text[24];
    int64_t back;

    prng_init(&p, test_seed(1));
    for (int i = 0; i < 10000; i++) {
        int64_t v = (int64_t)(prng_next(&p) >> prng_below(&p, 64)) * (i % 2 == 0 ? 1 : -1);

        EXPECT(number_parse_i64(slice_of(text, number_format_i64(v, text)), &back));
        EXPECT(back == v);
    }
}

TEST(a_float_is_written_plainly_without_trailing_zeros)
{
    char text[NUMBER_TEXT_MAX];
    long double v;

    EXPECT(number_parse_float(slice_str("10.50"), &v));
    EXPECT_SLICE(slice_of(text, number_format_float(v, text)), "10.5");
    EXPECT(number_parse_float(slice_str("5.0e3"), &v));
    EXPECT_SLICE(slice_of(text, number_format_float(v, text)), "5000");
    EXPECT(number_parse_float(slice_str("-0"), &v));
    EXPECT_SLICE(slice_of(text, number_format_float(v, text)), "0");
    EXPECT(!number_parse_float(slice_str("nan"), &v));
    EXPECT(!number_parse_float(slice_str(" 1"), &v));
    EXPECT(!number_parse_float(slice_str("1x"), &v));
    EXPECT(!number_parse_float(slice_str(""), &v));
}

/* Invariant C1. */
TEST(the_clock_never_runs_backwards_and_follows_a_jump_slowly)
{
    struct node_clock c;
    uint64_t boot_ns = 5000000000;
    uint64_t wall_ms = 1800000000000;
    uint64_t last;

    node_clock_init(&c, wall_ms, 0, boot_ns);
    last = node_clock_ms(&c, boot_ns);
    EXPECT_U64(last, wall_ms);
    wall_ms -= 3600 * 1000; /* an hour back */
    for (int i = 0; i < 1000; i++) {
        boot_ns += 1000000000;
        wall_ms += 1000;
        EXPECT(node_clock_ms(&c, boot_ns) >= last + 999);
        last = node_clock_ms(&c, boot_ns);
        node_clock_slew(&c, wall_ms, boot_ns);
        EXPECT(node_clock_ms(&c, boot_ns) + 1 >= last);
    }
    EXPECT(last > wall_ms + 3590 * 1000); /* 500 ppm of 1000 s is half a second */
}

TEST(the_clock_begins_at_the_ceiling_when_the_wall_is_behind)
{
    struct node_clock c;

    node_clock_init(&c, 1000, 5000, 77);
    EXPECT_U64(node_clock_ms(&c, 77), 5000);
    EXPECT_U64(node_clock_ms(&c, 77 + 3000000), 5003);
}

TEST(glob_matches_as_redis_does)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool match;
    } cases[] = {
        { "*", "", true },
        { "h?llo", "hello", true },
        { "h*llo", "heeeello", true },
        { "h[ae]llo", "hallo", true },
        { "h[ae]llo", "hillo", false },
        { "h[^e]llo", "hello", false },
        { "h[a-b]llo", "hbllo", true },
        { "h\\*llo", "h*llo", true },
        { "h\\*llo", "hello", false },
        { "a*b*c", "aXbYbZc", true },
        { "a*b*c", "aXbYbZ", false },
        { "", "", true },
        { "", "a", false },
        { "[", "x", false },
        { "**a", "bba", true },
        { "[b-a]", "a", true },
        { "a[", "a", false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (kv_glob(slice_str(cases[i].pattern), slice_str(cases[i].text)) != cases[i].match)
            print_error("%s against %s\n", cases[i].pattern, cases[i].text);
        EXPECT(kv_glob(slice_str(cases[i].pattern), slice_str(cases[i].text)) == cases[i].match);
    }
}

TEST(a_batch_survives_the_log_and_damage_to_it_is_seen)
{
    struct entry in[3] = {
        { .key = slice_str("ua"), .value = slice_str("1"), .type = ENTRY_VALUE },
        { .key = slice_str("ub"), .type = ENTRY_TOMBSTONE },
        { .key = slice_str("uc"), .value = slice_str(""), .expiry_ms = 99, .type = ENTRY_VALUE },
    };
    struct entry out[3];
    uint8_t bytes[128];
    struct body body = { .version = 42, .lag = 7 };
    size_t size = body_batch_size(&body, in, 3);

    EXPECT(size <= sizeof(bytes));
    body_encode_batch(bytes, &body, in, 3);
    EXPECT_OK(body_decode(slice_of(bytes, size), &body));
    EXPECT_U64(body.version, 42);
    EXPECT_U64(body.lag, 7);
    EXPECT_U64(body.entry_count, 3);
    EXPECT_OK(body_entries(&body, out));
    EXPECT_SLICE(out[0].value, "1");
    EXPECT_U64(out[1].type, ENTRY_TOMBSTONE);
    EXPECT_U64(out[2].expiry_ms, 99);
    for (size_t cut = 0; cut < size; cut++) {
        bool whole = body_decode(slice_of(bytes, cut), &body) == ST_OK && body.kind == BODY_BATCH &&
                     body.entry_count <= 3 && body_entries(&body, out) == ST_OK;

        EXPECT(!whole);
    }
}

TEST(the_overlay_equals_a_naive_list)
{
    enum { NODES = 200, KEYS = 20 };
    static struct overlay_node nodes[NODES];
    static struct entry entries[NODES];
    static char keys[NODES][16];
    struct overlay o;
    int newest[KEYS];
    struct prng p;

    prng_init(&p, test_seed(7));
    overlay_init(&o);
    for (int k = 0; k < KEYS; k++)
        newest[k] = -1;
    EXPECT_OK(overlay_reserve(&o, NODES));
    for (int i = 0; i < NODES; i++) {
        int k = (int)prng_below(&p, KEYS);

        snprintf(keys[i], sizeof(keys[i]), "k%d", k);
        entries[i] = (struct entry){ .key = slice_str(keys[i]), .version = (version_t)i };
        nodes[i] = (struct overlay_node){ .entry = &entries[i], .hash = hash64(entries[i].key) };
        overlay_put(&o, &nodes[i]);
        newest[k] = i;
        if (i >= 50) { /* the oldest leaves, as when it was applied */
            int gone = i - 50;
            int gone_key = atoi(keys[gone] + 1);

            overlay_remove(&o, &nodes[gone]);
            if (newest[gone_key] == gone)
                newest[gone_key] = -1;
        }
        for (int j = 0; j < KEYS; j++) {
            char key[16];
            const struct entry *e;

            snprintf(key, sizeof(key), "k%d", j);
            e = overlay_find(&o, slice_str(key), hash64(slice_str(key)));
            EXPECT((e == NULL) == (newest[j] < 0));
            if (e != NULL)
                EXPECT_U64(e->version, newest[j]);
        }
    }
    overlay_clear(&o);
    EXPECT_U64(o.count, 0);
    overlay_release(&o);
}

/* Entries come at the end, and leave at both ends, however often the ring has gone round. */
TEST(the_tail_equals_a_naive_queue)
{
    enum { STEPS = 20000, FIRST = 7 };
    const struct body body = { .kind = BODY_TERM, .lag = 1, .ceiling_ms = 1 };
    raft_index first = FIRST, limit = FIRST;
    struct tail t;
    struct prng p;

    prng_init(&p, test_seed(8));
    tail_init(&t, FIRST);
    for (int i = 0; i < STEPS; i++) {
        uint32_t what =
            (uint32_t)prng_below(&p, i / 1000 % 2 == 0 ? 3 : 5); /* it grows, and shrinks */

        if (what < 2) {
            struct tail_entry *e = tail_entry_small();

            EXPECT(e != NULL);
            tail_entry_set(e, &body, NULL);
            e->index = limit++;
            EXPECT_OK(tail_reserve(&t, 1));
            tail_push(&t, e);
        } else if (first < limit) {
            struct tail_entry *e = what % 2 == 0 ? tail_pop_first(&t) : tail_pop_last(&t);

            EXPECT_U64(e->index, what % 2 == 0 ? first++ : --limit);
            mem_free(e);
        }
        EXPECT(t.first == first && t.limit == limit);
        EXPECT(tail_at(&t, first - 1) == NULL && tail_at(&t, limit) == NULL);
        for (raft_index at = first; at < limit; at += 1 + (limit - first) / 10)
            EXPECT_U64(tail_at(&t, at)->index, at);
    }
    while (first++ < limit)
        mem_free(tail_pop_first(&t));
    tail_release(&t);
}

TEST(an_entry_is_the_same_from_its_bytes)
{
    struct entry in[2] = {
        { .key = slice_str("ua"), .value = slice_str("1"), .type = ENTRY_VALUE },
        { .key = slice_str("ub"), .type = ENTRY_TOMBSTONE },
    };
    struct raft_config config = { .voter_count = 2, .voters = { 3, 9 } }, got;
    struct body body = { .kind = BODY_BATCH, .version = 42, .lag = 3 };
    struct tail_entry *batch = tail_entry_of_batch(&body, body_batch_size(&body, in, 2), in, 2);
    struct tail_entry *change = tail_entry_small();
    struct tail_entry *again;

    EXPECT(batch != NULL && change != NULL);
    EXPECT_OK(tail_entry_decode(batch->bytes, &again));
    EXPECT_U64(again->write_count, 2);
    EXPECT_SLICE(again->writes[0].value, "1");
    EXPECT(again->nodes[1].entry == &again->writes[1] && !again->nodes[1].linked);
    EXPECT_U64(again->nodes[1].hash, hash64(in[1].key));
    mem_free(again);
    body.kind = BODY_CONFIG;
    tail_entry_set(change, &body, &config);
    body_config(&change->body, &got);
    EXPECT(raft_config_equal(&got, &config));
    for (size_t cut = 0; cut < change->bytes.size; cut++)
        EXPECT_ST(tail_entry_decode(slice_of(change->bytes.data, cut), &again), ST_CORRUPT);
    mem_free(batch);
    mem_free(change);
}

TEST_MAIN(RUN(integers_are_read_in_their_one_canonical_form),
          RUN(an_integer_survives_being_written_and_read),
          RUN(a_float_is_written_plainly_without_trailing_zeros),
          RUN(the_clock_never_runs_backwards_and_follows_a_jump_slowly),
          RUN(the_clock_begins_at_the_ceiling_when_the_wall_is_behind),
          RUN(glob_matches_as_redis_does), RUN(a_batch_survives_the_log_and_damage_to_it_is_seen),
          RUN(the_overlay_equals_a_naive_list), RUN(the_tail_equals_a_naive_queue),
          RUN(an_entry_is_the_same_from_its_bytes))
