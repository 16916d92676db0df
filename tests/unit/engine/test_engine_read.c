/*
 * engine_read_log(): of what all tablets have in the log, the entries that were asked for, and no others.
 */
#include "base/mem.h"

#include "engine/engine.h"
#include "simenv/simenv.h"
#include "unit/test.h"

enum { NODE = 1, TREE = 7, OTHER = 8, ALL_BYTES = 1 << 20, SEGMENT_BYTES = 64 << 10 };

struct house {
    struct sim *w;
    struct env *env;
    struct engine *engine;
    struct engine_tree *tree;
    struct engine_tree *other;
    struct engine_entries got;
    struct err err;
};

static enum status
no_replay(void *ctx, struct engine_tree *tree, const struct wal_record *record, wal_position at,
          struct err *err)
{
    (void)ctx, (void)tree, (void)record, (void)at, (void)err;
    return ST_OK;
}

static void
open_house(struct house *h)
{
    const struct engine_replay replay = { .replay = no_replay };
    struct engine_options options;
    struct wal_recovery report;

    engine_options_default(&options);
    options.dir = "data";
    options.segment_bytes = SEGMENT_BYTES;
    options.min_free_bytes = 1 << 20;
    EXPECT_OK(engine_open(&h->engine, h->env, &options, &h->err));
    EXPECT_OK(engine_recover(h->engine, &replay, &report, &h->err));
    engine_serve(h->engine);
    EXPECT_OK(engine_create_tree(h->engine, TREE, &h->tree, &h->err));
    EXPECT_OK(engine_create_tree(h->engine, OTHER, &h->other, &h->err));
}

/* Returns where it can be read from. */
static wal_position
append(struct house *h, struct engine_tree *tree, uint64_t index, uint64_t term, const char *body)
{
    struct wal_record record = { .type = WAL_ENTRY,
                                 .tablet = engine_tree_id(tree),
                                 .term = term,
                                 .index = index,
                                 .body = slice_str(body) };
    wal_position begin = engine_log_end(h->engine);
    wal_position end;
    enum status st;

    while ((st = engine_append(tree, &record, ENGINE_SYNC_NOW, &end, &h->err)) == ST_BUSY)
        EXPECT_OK(engine_make_room(h->engine, &h->err));
    EXPECT_OK(st);
    return begin;
}

static enum status
read_log(struct house *h, const struct engine_span *span)
{
    EXPECT_OK(engine_sync(h->engine, &h->err));
    engine_entries_release(&h->got);
    return engine_read_log(h->tree, span, &h->got, &h->err);
}

static void
close_house(struct house *h)
{
    engine_entries_release(&h->got);
    EXPECT_OK(engine_close(h->engine, &h->err));
}

static void
run(void (*body)(void *ctx))
{
    struct house h = { .w = sim_create(test_seed(1)) };

    assert_non_null(h.w);
    h.env = sim_boot(h.w, NODE, 0);
    EXPECT(sim_call(h.w, NODE, body, &h));
    sim_end(h.w, NODE);
    sim_destroy(h.w);
}

/* ------------------------------------------------------------------ which ones */

/* A history, cut off and written again by another leader, between entries of another tablet. */
static void
only_that_term(void *ctx)
{
    struct house *h = ctx;
    struct engine_span span = { .first = 2, .limit = 4, .term = 5, .bytes_max = ALL_BYTES };
    wal_position four;

    open_house(h);
    span.position = append(h, h->tree, 1, 4, "one");
    (void)append(h, h->tree, 2, 4, "void");
    (void)append(h, h->other, 2, 5, "other");
    (void)append(h, h->tree, 3, 4, "void, too");
    (void)append(h, h->tree, 2, 5, "two");
    (void)append(h, h->other, 3, 5, "other");
    (void)append(h, h->tree, 3, 5, "three");
    four = append(h, h->tree, 4, 5, "four");
    EXPECT_OK(read_log(h, &span));
    EXPECT_U64(h->got.count, 2);
    EXPECT_U64(h->got.bytes, 8);
    EXPECT_SLICE(h->got.bodies[0], "two");
    EXPECT_SLICE(h->got.bodies[1], "three");

    span = (struct engine_span){ 4, 5, 5, four, ALL_BYTES };
    EXPECT_OK(read_log(h, &span));
    EXPECT_U64(h->got.count, 1);
    EXPECT_SLICE(h->got.bodies[0], "four");
    close_house(h);
}

TEST(what_another_leader_has_overwritten_and_what_others_have_is_passed_over)
{
    run(only_that_term);
}

static void
bounded(void *ctx)
{
    struct house *h = ctx;
    struct engine_span span = { .first = 1, .limit = 5, .term = 1, .bytes_max = 9 };

    open_house(h);
    span.position = append(h, h->tree, 1, 1, "0123456789");
    (void)append(h, h->tree, 2, 1, "0123");
    (void)append(h, h->tree, 3, 1, "45678");
    (void)append(h, h->tree, 4, 1, "");
    EXPECT_OK(read_log(h, &span));
    EXPECT_U64(h->got.count, 1); /* it is larger, and one is given in any case */
    span.first = 2;
    EXPECT_OK(read_log(h, &span));
    EXPECT_U64(h->got.count, 3);
    EXPECT_U64(h->got.bytes, 9);
    span.bytes_max = 8;
    EXPECT_OK(read_log(h, &span));
    EXPECT_U64(h->got.count, 1);
    close_house(h);
}

TEST(as_much_is_given_as_was_asked_for)
{
    run(bounded);
}

/* Beside so much of others', a reading does not go on and on for one more entry. */
static void
not_for_long(void *ctx)
{
    enum { LARGE = 60000, MANY = 100 };
    struct house *h = ctx;
    struct engine_span span = { .first = 1, .limit = 3, .term = 1, .bytes_max = ALL_BYTES };
    char *large = mem_alloc_zero(LARGE + 1);

    memset(large, 'x', LARGE);
    open_house(h);
    span.position = append(h, h->tree, 1, 1, "one");
    for (uint32_t i = 0; i < MANY; i++)
        (void)append(h, h->other, i + 1, 1, large);
    (void)append(h, h->tree, 2, 1, "two");
    EXPECT_OK(read_log(h, &span));
    EXPECT_U64(h->got.count, 1);
    span = (struct engine_span){ 2, 3, 1, span.position, ALL_BYTES };
    EXPECT_OK(read_log(h, &span)); /* but it does for the first */
    EXPECT_SLICE(h->got.bodies[0], "two");
    mem_free(large);
    close_house(h);
}

TEST(a_reading_ends_where_little_of_it_is_to_be_found)
{
    run(not_for_long);
}

/* ------------------------------------------------------------------ what is not there */

static void
absent(void *ctx)
{
    struct house *h = ctx;
    struct engine_span span = { .first = 2, .limit = 3, .term = 2, .bytes_max = ALL_BYTES };

    open_house(h);
    span.position = append(h, h->tree, 1, 1, "one");
    (void)append(h, h->tree, 2, 1, "two");
    EXPECT_ST(read_log(h, &span), ST_CORRUPT);
    EXPECT(strstr(h->err.text, "entry 2 of term 2 is not in the log") != NULL);
    close_house(h);
}

TEST(what_is_not_where_it_was_is_corruption)
{
    run(absent);
}

static void
released(void *ctx)
{
    enum { LARGE = 60000 };
    struct house *h = ctx;
    struct engine_span span = { .first = 1, .limit = 2, .term = 1, .bytes_max = ALL_BYTES };
    char *large = mem_alloc_zero(LARGE + 1);

    memset(large, 'x', LARGE);
    open_house(h);
    span.position = append(h, h->tree, 1, 1, large);
    for (uint64_t i = 2; i < 10; i++)
        (void)append(h, h->tree, i, 1, large);
    EXPECT_OK(read_log(h, &span));
    for (uint64_t i = 1; i < 10; i++)
        engine_tree_dropped(h->tree); /* nobody needs them */
    (void)append(h, h->tree, 10, 1, large);
    EXPECT_OK(engine_sync(h->engine, &h->err));
    engine_tree_dropped(h->tree);
    for (uint32_t i = 0; i < 50 && engine_log_begin(h->engine) <= span.position; i++) {
        (void)append(h, h->tree, 11 + i, 1, large);
        engine_tree_dropped(h->tree);
        EXPECT_OK(engine_sync(h->engine, &h->err));
        env_sleep_ms(h->env, 200);
    }
    EXPECT(engine_log_begin(h->engine) > span.position);
    EXPECT_ST(read_log(h, &span), ST_NOT_FOUND);
    mem_free(large);
    close_house(h);
}

TEST(what_was_released_is_not_found)
{
    run(released);
}

/* ------------------------------------------------------------------ memory */

static void
starved(void *ctx)
{
    struct house *h = ctx;
    struct engine_span span = { .first = 1, .limit = 3, .term = 1, .bytes_max = ALL_BYTES };
    struct mem_heap *heap = sim_heap(h->w, NODE);
    enum status st = ST_NO_MEMORY;
    uint32_t failures = 0;

    open_house(h);
    span.position = append(h, h->tree, 1, 1, "one");
    (void)append(h, h->tree, 2, 1, "two");
    EXPECT_OK(engine_sync(h->engine, &h->err));
    for (; st != ST_OK; failures += st != ST_OK) {
        heap->fail_at = heap->allocation + failures + 1;
        st = engine_read_log(h->tree, &span, &h->got, &h->err);
        heap->fail_at = 0;
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT((h->got.count == 2) == (st == ST_OK));
    }
    EXPECT(failures > 2);
    close_house(h);
}

TEST(without_memory_nothing_is_given_and_nothing_stays)
{
    run(starved);
}

QUIET_TEST_MAIN(RUN(what_another_leader_has_overwritten_and_what_others_have_is_passed_over),
                RUN(as_much_is_given_as_was_asked_for),
                RUN(a_reading_ends_where_little_of_it_is_to_be_found),
                RUN(what_is_not_where_it_was_is_corruption), RUN(what_was_released_is_not_found),
                RUN(without_memory_nothing_is_given_and_nothing_stays))
