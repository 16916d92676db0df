/*
 * Trees that come and go: what the log has of one that is gone counts no more (N8), its promises do, and a
 * crash leaves all of it or nothing.
 */
#include "base/mem.h"

#include "engine/check.h"
#include "unit/engine/trees_fixture.h"
#include "unit/test.h"

enum { TREE = 7, OTHER = 8, MANY = 1000, POINTS_MAX = 2000 };

static const struct engine_oath oath = { .term = 5, .vote = 2, .log_term = 5, .log_index = 70 };
static const struct engine_oath nothing = { 0 };

static void
expect_oath(struct house *h, uint64_t id, const struct engine_oath *want)
{
    struct engine_oath got = engine_tree_oath(engine_find_tree(h->engine, id));

    EXPECT_U64(got.term, want->term);
    EXPECT_U64(got.vote, want->vote);
}

static void
drop(struct house *h, uint64_t id)
{
    EXPECT_OK(engine_drop_tree(h->engine, id, &oath, &h->err));
}

static void
two_trees(struct house *h)
{
    (void)house_new_tree(h, TREE);
    (void)house_new_tree(h, OTHER);
    house_head(h, TREE, "old head");
    house_write(h, TREE, "old");
    house_write(h, OTHER, "other");
    EXPECT_OK(engine_sync(h->engine, &h->err));
}

static void
begin(struct house *h)
{
    house_create(h, test_seed(1));
    house_boot(h);
    EXPECT(house_run(h, two_trees));
}

static void
finish(struct house *h)
{
    house_end(h);
    house_destroy(h);
}

/* ------------------------------------------------------------------ gone */

static void
drop_it(struct house *h)
{
    drop(h, TREE);
    EXPECT(engine_find_tree(h->engine, TREE) == NULL);
    EXPECT_ST(engine_drop_tree(h->engine, TREE, &oath, &h->err), ST_NOT_FOUND);
    house_write(h, OTHER, "later");
    EXPECT_OK(engine_sync(h->engine, &h->err));
}

static void
expect_the_other(struct house *h)
{
    EXPECT(engine_find_tree(h->engine, TREE) == NULL);
    EXPECT(house_has(h, OTHER, "other") && house_has(h, OTHER, "later"));
    EXPECT(!house_replayed(h, "7:old") && !house_replayed(h, "7:old head"));
}

TEST(of_a_dropped_tree_there_are_no_files_and_its_records_are_passed_over)
{
    struct house h;

    begin(&h);
    EXPECT(house_has_files(&h, TREE));
    EXPECT(house_run(&h, drop_it));
    EXPECT(!house_has_files(&h, TREE));
    for (int i = 0; i < 3; i++) { /* a start may copy the log */
        house_reboot(&h);
        EXPECT(house_run(&h, expect_the_other));
    }
    finish(&h);
}

/* ------------------------------------------------------------------ born again */

static void
bear_again(struct house *h)
{
    drop(h, TREE);
    (void)house_new_tree(h, TREE);
    EXPECT(!house_has(h, TREE, "old"));
    house_write(h, TREE, "new");
    house_head(h, TREE, "new head");
    EXPECT_OK(engine_sync(h->engine, &h->err));
}

static void
expect_only_the_new(struct house *h)
{
    EXPECT(house_has(h, TREE, "new") && house_has(h, OTHER, "other"));
    EXPECT(!house_has(h, TREE, "old") && !house_replayed(h, "7:old"));
    EXPECT(!house_replayed(h, "7:old head") && house_replayed(h, "7:new head"));
    expect_oath(h, TREE, &oath);
    expect_oath(h, OTHER, &nothing);
}

TEST(a_tree_that_is_born_again_has_its_own_records_only_and_the_oath_of_the_one_before)
{
    struct house h;

    begin(&h);
    for (int life = 0; life < 3; life++) {
        EXPECT(house_run(&h, bear_again));
        house_reboot(&h);
        EXPECT(house_run(&h, expect_only_the_new));
    }
    finish(&h);
}

static void
read_back(struct house *h)
{
    struct engine_tree *tree = engine_find_tree(h->engine, TREE);
    struct engine_span span = { .first = 1, .limit = 2, .term = 1, .bytes_max = 1 << 20 };
    struct engine_entries got = { 0 };

    span.position = engine_log_begin(h->engine);
    span.first = h->index;
    span.limit = h->index + 1;
    EXPECT_OK(engine_read_log(tree, &span, &got, &h->err));
    EXPECT_SLICE(got.bodies[0], "new");
    engine_entries_release(&got);
}

TEST(the_log_of_a_tree_that_is_born_again_can_be_read_back)
{
    struct house h;

    begin(&h);
    EXPECT(house_run(&h, bear_again));
    EXPECT(house_run(&h, read_back));
    finish(&h);
}

/* ------------------------------------------------------------------ oaths */

static bool
is_the_one(const void *ctx, uint64_t id)
{
    return id == *(const uint64_t *)ctx;
}

static void
forget(struct house *h, uint64_t id)
{
    EXPECT_OK(engine_forget_oaths(h->engine, is_the_one, &id, &h->err));
}

static void
swear_more(struct house *h)
{
    const struct engine_oath more = { .term = 9, .vote = 1 };

    drop(h, TREE);
    (void)house_new_tree(h, TREE);
    EXPECT_OK(engine_drop_tree(h->engine, TREE, &more, &h->err));
    (void)house_new_tree(h, TREE);
    expect_oath(h, TREE, &more);
    EXPECT_OK(engine_drop_tree(h->engine, TREE, &more, &h->err));
    forget(h, TREE + 1);
    (void)house_new_tree(h, TREE);
    expect_oath(h, TREE, &more);
    EXPECT_OK(engine_drop_tree(h->engine, TREE, &more, &h->err));
    forget(h, TREE);
    forget(h, TREE); /* there is none */
}

static void
expect_forgotten(struct house *h)
{
    (void)house_new_tree(h, TREE);
    expect_oath(h, TREE, &nothing);
    EXPECT(!house_has(h, TREE, "old"));
}

TEST(an_oath_is_replaced_by_a_later_one_and_forgotten_on_request_while_the_records_are_not)
{
    struct house h;

    begin(&h);
    EXPECT(house_run(&h, swear_more));
    house_reboot(&h);
    EXPECT(house_run(&h, expect_forgotten));
    finish(&h);
}

/* ------------------------------------------------------------------ distkv check */

static void
note_damage(void *ctx, enum check_finding kind, const char *text)
{
    bool *lost = ctx;

    *lost |= strstr(text, "writes to tree") != NULL;
    EXPECT(kind != CHECK_DAMAGE);
}

static void
check(struct house *h)
{
    bool lost = false;

    h->status = engine_check(h->env, "data", false, note_damage, &lost, &h->err);
    EXPECT(!lost);
}

TEST(what_the_log_has_of_dropped_trees_is_no_damage)
{
    struct house h;

    begin(&h);
    EXPECT(house_run(&h, bear_again));
    EXPECT(house_run(&h, swear_more));
    sim_crash(h.w, HOUSE_NODE);
    h.env = sim_boot(h.w, HOUSE_NODE, 0);
    EXPECT(house_run(&h, check));
    EXPECT_OK(h.status);
    sim_end(h.w, HOUSE_NODE);
    house_destroy(&h);
}

/* ------------------------------------------------------------------ crashes */

static void
change_much(struct house *h)
{
    drop(h, TREE);
    (void)house_new_tree(h, 9);
    (void)house_new_tree(h, TREE);
    house_write(h, TREE, "new");
    EXPECT_OK(engine_sync(h->engine, &h->err));
    drop(h, 9);
}

/* All of the old one, or nothing of it and its promises. */
static void
expect_whole(struct house *h)
{
    struct engine_tree *tree = engine_find_tree(h->engine, TREE);
    bool old = house_has(h, TREE, "old");

    EXPECT(house_has(h, OTHER, "other"));
    if (tree == NULL)
        tree = house_new_tree(h, TREE);
    expect_oath(h, TREE, old ? &nothing : &oath);
    EXPECT(!old || !house_has(h, TREE, "new"));
    if (engine_find_tree(h->engine, 9) == NULL)
        (void)house_new_tree(h, 9);
}

static bool
crash_in_change(uint64_t nth, bool after)
{
    struct house h;
    bool finished;

    begin(&h);
    sim_crash_at(h.w, HOUSE_NODE, SIM_OP_ALL, nth, after);
    finished = house_run(&h, change_much);
    sim_crash_at(h.w, HOUSE_NODE, SIM_OP_ALL, 0, false);
    house_reboot(&h);
    EXPECT(house_has_files(&h, 9) == (engine_find_tree(h.engine, 9) != NULL));
    EXPECT(house_has_files(&h, TREE) == (engine_find_tree(h.engine, TREE) != NULL));
    EXPECT(house_run(&h, expect_whole));
    house_reboot(&h);
    EXPECT(house_run(&h, expect_whole));
    finish(&h);
    return finished;
}

TEST(a_crash_at_any_point_leaves_a_whole_tree_or_nothing_but_its_oath)
{
    uint64_t nth = 1;

    while (nth < POINTS_MAX && !(crash_in_change(nth, false) && crash_in_change(nth, true)))
        nth++;
    print_message("%llu points\n", (unsigned long long)nth);
    EXPECT(nth > 20 && nth < POINTS_MAX);
}

/* ------------------------------------------------------------------ faults */

static void
try_to_drop(struct house *h)
{
    h->status = engine_drop_tree(h->engine, TREE, &oath, &h->err);
}

static void
try_to_create(struct house *h)
{
    struct engine_tree *tree;

    h->status = engine_create_tree(h->engine, 9, &tree, &h->err);
}

static void
expect_dropped(struct house *h)
{
    if (engine_find_tree(h->engine, TREE) != NULL)
        drop(h, TREE);
    EXPECT(house_has(h, OTHER, "other"));
}

static void
expect_created(struct house *h)
{
    if (engine_find_tree(h->engine, 9) == NULL)
        (void)house_new_tree(h, 9);
    house_write(h, 9, "nine");
    EXPECT_OK(engine_sync(h->engine, &h->err));
    EXPECT(house_has(h, 9, "nine") && house_has(h, OTHER, "other"));
}

/* The `nth` call of the body fails; it can be tried again, at once and after a power cut.  False: it has fewer. */
static bool
fail_once(void (*body)(struct house *h), void (*again)(struct house *h), uint64_t nth,
          enum status st, bool memory)
{
    struct house h;
    uint64_t before;
    bool failed;

    begin(&h);
    before = sim_op_count(h.w, HOUSE_NODE, SIM_OP_ALL);
    if (memory)
        sim_heap(h.w, HOUSE_NODE)->fail_at = sim_heap(h.w, HOUSE_NODE)->allocation + nth;
    else
        sim_fail(h.w, HOUSE_NODE, SIM_OP_ALL, nth, false, st);
    EXPECT(house_run(&h, body));
    failed = memory ? sim_heap(h.w, HOUSE_NODE)->allocation >= sim_heap(h.w, HOUSE_NODE)->fail_at
                    : sim_op_count(h.w, HOUSE_NODE, SIM_OP_ALL) - before >= nth;
    sim_fail(h.w, HOUSE_NODE, SIM_OP_ALL, 0, false, ST_OK);
    sim_heap(h.w, HOUSE_NODE)->fail_at = 0;
    EXPECT(h.status == ST_OK || h.status == st || (memory && h.status == ST_IO));
    if (nth % 2 == 0)
        house_reboot(&h);
    EXPECT(house_run(&h, again));
    house_reboot(&h);
    EXPECT(house_run(&h, again));
    finish(&h);
    return failed;
}

static void
fail_each(void (*body)(struct house *h), void (*again)(struct house *h))
{
    uint64_t nth = 1;

    while (fail_once(body, again, nth, ST_IO, false))
        nth++;
    EXPECT(nth > 5);
    for (nth = 1; fail_once(body, again, nth, ST_NO_SPACE, false);)
        nth++;
    for (nth = 1; fail_once(body, again, nth, ST_NO_MEMORY, true);)
        nth++;
    EXPECT(nth > 2);
}

TEST(a_drop_that_failed_can_be_asked_again)
{
    fail_each(try_to_drop, expect_dropped);
}

TEST(a_creation_that_failed_can_be_asked_again)
{
    fail_each(try_to_create, expect_created);
}

/* ------------------------------------------------------------------ beside jobs */

static void
fill(struct house *h, uint64_t tree, int count)
{
    char key[200];

    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%08d%0150d", i, 0);
        house_write(h, tree, key);
    }
}

static void
drop_under_way(struct house *h)
{
    for (uint64_t id = 20; id < 30; id++) {
        (void)house_new_tree(h, id);
        for (int i = 0; i < 5; i++) {
            fill(h, id, 150);
            house_seal(h, id);
        }
        if (id % 2 == 0)
            drop(h, id);
        else
            EXPECT_OK(engine_tree_flush(engine_find_tree(h->engine, id), &h->err));
    }
    EXPECT(house_has(h, OTHER, "other"));
}

TEST(a_tree_is_dropped_while_its_memtables_are_flushed_and_its_tables_compacted)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 20; i++) {
        struct house h;

        house_create(&h, seed + i);
        house_boot(&h);
        EXPECT(house_run(&h, two_trees));
        EXPECT(house_run(&h, drop_under_way));
        sim_run_ms(h.w, 500);
        house_reboot(&h);
        for (uint64_t id = 20; id < 30; id++)
            EXPECT(house_has_files(&h, id) == (id % 2 != 0));
        finish(&h);
    }
}

/* Beside one another, and each is there. */
enum { AT_ONCE = 8 };

struct making {
    struct house *h;
    uint64_t id;
    bool finished;
};

static void
make_and_drop(void *ctx)
{
    struct making *m = ctx;
    struct engine_tree *tree;
    struct err err;

    EXPECT_OK(engine_create_tree(m->h->engine, m->id, &tree, &err));
    if (m->id % 2 == 0)
        EXPECT_OK(engine_drop_tree(m->h->engine, m->id, &oath, &err));
}

static void
expect_the_odd_ones(struct house *h)
{
    for (uint64_t id = 20; id < 20 + AT_ONCE; id++)
        EXPECT((engine_find_tree(h->engine, id) != NULL) == (id % 2 != 0));
    EXPECT(house_has(h, OTHER, "other"));
}

TEST(several_are_made_and_dropped_at_once)
{
    struct making making[AT_ONCE];
    struct house h;

    begin(&h);
    for (uint64_t i = 0; i < AT_ONCE; i++) {
        making[i] = (struct making){ .h = &h, .id = 20 + i };
        sim_begin_call(h.w, HOUSE_NODE, make_and_drop, &making[i], &making[i].finished);
    }
    for (uint64_t i = 0; i < AT_ONCE; i++)
        EXPECT(sim_run_until(h.w, &making[i].finished, 10000));
    EXPECT(house_run(&h, expect_the_odd_ones));
    house_reboot(&h);
    EXPECT(house_run(&h, expect_the_odd_ones));
    finish(&h);
}

/* ------------------------------------------------------------------ the log */

static void
fill_and_flush(struct house *h)
{
    for (int i = 0; i < 4; i++) {
        fill(h, OTHER, 400);
        house_seal(h, OTHER);
        EXPECT_OK(engine_tree_flush(engine_find_tree(h->engine, OTHER), &h->err));
    }
}

static void
come_and_go(struct house *h)
{
    house_seal(h, TREE); /* or it would hold the log */
    EXPECT_OK(engine_tree_flush(engine_find_tree(h->engine, TREE), &h->err));
    for (int i = 0; i < MANY; i++) {
        (void)house_new_tree(h, 100);
        house_head(h, 100, "its promises");
        house_write(h, 100, "a");
        drop(h, 100);
        if (i % 100 == 99)
            fill_and_flush(h);
    }
}

static uint64_t
catalogue_bytes(struct house *h)
{
    struct buf bytes = buf_empty(1 << 20);
    uint64_t size;

    EXPECT(sim_disk_read(h->w, HOUSE_NODE, "data/CATALOGUE", &bytes));
    size = bytes.size;
    buf_release(&bytes);
    return size;
}

/* A tree that is empty does not hold the log, nor does one that is gone; and when the log has gone on, its
 * name in there is forgotten. */
TEST(a_thousand_that_come_and_go_leave_nothing)
{
    enum { BYTES_MAX = 32 * 200 };
    struct house h;
    size_t heap;

    begin(&h);
    EXPECT(house_run(&h, fill_and_flush));
    sim_run_ms(h.w, 2000);
    heap = sim_heap(h.w, HOUSE_NODE)->byte_count;
    EXPECT(house_run(&h, come_and_go));
    sim_run_ms(h.w, 2000);
    EXPECT(catalogue_bytes(&h) < BYTES_MAX);
    EXPECT(sim_heap(h.w, HOUSE_NODE)->byte_count < heap + (256 << 10));
    house_reboot(&h);
    finish(&h);
}

QUIET_TEST_MAIN(
    RUN(of_a_dropped_tree_there_are_no_files_and_its_records_are_passed_over),
    RUN(a_tree_that_is_born_again_has_its_own_records_only_and_the_oath_of_the_one_before),
    RUN(the_log_of_a_tree_that_is_born_again_can_be_read_back),
    RUN(an_oath_is_replaced_by_a_later_one_and_forgotten_on_request_while_the_records_are_not),
    RUN(what_the_log_has_of_dropped_trees_is_no_damage),
    RUN(a_crash_at_any_point_leaves_a_whole_tree_or_nothing_but_its_oath),
    RUN(a_drop_that_failed_can_be_asked_again), RUN(a_creation_that_failed_can_be_asked_again),
    RUN(a_tree_is_dropped_while_its_memtables_are_flushed_and_its_tables_compacted),
    RUN(several_are_made_and_dropped_at_once), RUN(a_thousand_that_come_and_go_leave_nothing))
