/* Tests of lsm/picker.c.  A choice is shown as text: "L0>L1: 7 6 5 + 2 3 bottom". */
#include <inttypes.h>

#include "base/mem.h"
#include "base/prng.h"

#include "lsm/picker.h"
#include "store_fixture.h"
#include "unit/test.h"

enum { MB = 1 << 20 };

static struct file_sweep sweep;
static struct lsm_options options;
static struct buf cursor[LIMIT_LEVELS];

static int
begin(void **state)
{
    (void)state;
    file_sweep_init(&sweep);
    options = (struct lsm_options){
        .l0_trigger = 4,
        .l0_stall = 20,
        .level_base_bytes = 100 * MB,
        .level_multiplier = 10,
    };
    for (int i = 0; i < LIMIT_LEVELS; i++)
        cursor[i] = buf_empty(LIMIT_STORED_KEY_BYTES);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    for (int i = 0; i < LIMIT_LEVELS; i++)
        buf_release(&cursor[i]);
    file_sweep_release(&sweep);
    return 0;
}

static void
set_cursor(uint32_t level, const char *key)
{
    cursor[level].size = 0;
    EXPECT_OK(buf_append(&cursor[level], slice_str(key)));
}

/* ------------------------------------------------------------------ a choice as text */

static void
describe_choice(const struct compaction *c, struct buf *out)
{
    EXPECT_OK(buf_printf(out, "L%" PRIu32 ">L%" PRIu32 ":", c->level, c->output_level));
    for (uint32_t i = 0; i < c->input_count; i++)
        EXPECT_OK(buf_printf(out, "%s %" PRIu64, i == c->upper_count ? " +" : "",
                             c->inputs[i]->info.number));
    EXPECT_OK(buf_printf(out, "%s%s", c->trivial ? " trivial" : "", c->bottom ? " bottom" : ""));
}

static void
expect_choice(enum status st, struct compaction *c, const char *want)
{
    struct buf got = buf_empty(4096);

    if (st == ST_OK) {
        describe_choice(c, &got);
        compaction_release(c);
    } else {
        EXPECT_ST(st, ST_NOT_FOUND);
        EXPECT_OK(buf_append(&got, slice_str("none")));
    }
    EXPECT_SLICE(buf_slice(&got), want);
    buf_release(&got);
}

static void
expect_pick(const struct table_spec *specs, size_t count, const char *want)
{
    struct version *v = fixture_version(&sweep, specs, count);
    struct compaction c = { 0 };

    expect_choice(picker_pick(v, &options, cursor, &c), &c, want);
    version_unref(v);
}

#define PICK(want, ...)                                  \
 expect_pick((const struct table_spec[]){ __VA_ARGS__ }, \
             sizeof((struct table_spec[]){ __VA_ARGS__ }) / sizeof(struct table_spec), want)

/* A table with tombstones: of 100 entries, so many; and so many with an expiry. */
#define DENSE(l, n, f, t, w, dead, mortal)                                                         \
 {                                                                                                 \
  .level = (l), .number = (n), .from = (f), .to = (t), .newest = (w), .bytes = MB, .entries = 100, \
  .tombstones = (dead), .expiring = (mortal)                                                       \
 }

/* An L0 table that is as new as its number; and one of a lower level. */
#define UPPER(n, f, t)          TABLE(0, n, f, t, n, n, MB)
#define LOWER(l, n, f, t, size) TABLE(l, n, f, t, 1, 1, (uint64_t)(size)*MB)

/* ------------------------------------------------------------------ examples */

TEST(nothing_is_due_below_the_aims)
{
    struct version *v = version_create();
    struct compaction c;

    expect_choice(picker_pick(v, &options, cursor, &c), &c, "none");
    EXPECT(picker_score(v, &options) == 0);
    version_unref(v);

    PICK("none", UPPER(9, "a", "z"), UPPER(8, "a", "z"), UPPER(7, "a", "z"),
         LOWER(1, 1, "a", "z", 100), LOWER(2, 2, "a", "z", 1000));
}

TEST(l0_is_due_by_count_and_takes_all_that_overlap)
{
    PICK("L0>L1: 9 8 7 6 + 1 2 bottom", UPPER(9, "a", "m"), UPPER(8, "k", "p"), UPPER(7, "c", "e"),
         UPPER(6, "b", "z"), LOWER(1, 1, "a", "d", 1), LOWER(1, 2, "x", "z", 1));
}

/* P1: 6 is the oldest; 8 overlaps it, and 9 overlaps 8.  7 has nothing to do with them. */
TEST(what_overlaps_only_by_way_of_another_l0_table_comes_along)
{
    PICK("L0>L1: 9 8 6 bottom", UPPER(9, "e", "h"), UPPER(8, "c", "f"), UPPER(7, "m", "p"),
         UPPER(6, "a", "d"), LOWER(1, 1, "m", "z", 1));
}

TEST(a_lone_table_is_moved_without_being_read)
{
    PICK("L0>L1: 6 trivial bottom", UPPER(9, "s", "u"), UPPER(8, "m", "p"), UPPER(7, "e", "h"),
         UPPER(6, "a", "d"));
    PICK("L0>L1: 6 trivial", UPPER(9, "s", "u"), UPPER(8, "m", "p"), UPPER(7, "e", "h"),
         UPPER(6, "a", "d"), LOWER(1, 1, "e", "z", 1), LOWER(3, 2, "d", "e", 1));
    PICK("L1>L2: 1 trivial", LOWER(1, 1, "b", "c", 101), LOWER(2, 2, "a", "a", 1),
         LOWER(2, 3, "d", "e", 1), LOWER(4, 4, "a", "e", 1));
}

TEST(the_level_fullest_in_proportion_comes_first)
{
    /* L1 is at 1.5, L2 at 2. */
    PICK("L2>L3: 2 trivial bottom", LOWER(1, 1, "a", "z", 150), LOWER(2, 2, "a", "z", 2000));
    /* L1 at 2.5, L2 at 2. */
    PICK("L1>L2: 1 + 2 bottom", LOWER(1, 1, "a", "z", 250), LOWER(2, 2, "a", "z", 2000));
    /* L0 at 1, L1 at 1.5. */
    PICK("L1>L2: 1 trivial bottom", LOWER(1, 1, "a", "z", 150), UPPER(9, "a", "z"),
         UPPER(8, "a", "z"), UPPER(7, "a", "z"), UPPER(6, "a", "z"));
}

TEST(l0_comes_first_when_writes_are_about_to_stall)
{
    options.l0_stall = 6;
    PICK("L0>L1: 9 8 7 6 5 + 1 bottom", LOWER(1, 1, "a", "z", 500), UPPER(9, "a", "z"),
         UPPER(8, "a", "z"), UPPER(7, "a", "z"), UPPER(6, "a", "z"), UPPER(5, "a", "z"));
}

/* P2: the range of the inputs is one interval. */
TEST(lower_tables_are_those_that_the_range_touches)
{
    PICK("L1>L2: 2 + 12 13 14 bottom", LOWER(1, 2, "d", "k", 101), LOWER(2, 11, "a", "c", 1),
         LOWER(2, 12, "c0", "d", 1), LOWER(2, 13, "e", "j", 1), LOWER(2, 14, "k", "p", 1),
         LOWER(2, 15, "q", "z", 1));
    /* 12 reaches further to the left than 2 does, and so does what lies below it. */
    PICK("L1>L2: 2 + 12", LOWER(1, 2, "d", "k", 101), LOWER(2, 12, "a", "d", 1),
         LOWER(3, 20, "a", "b", 1));
}

TEST(tables_take_turns_by_key)
{
    struct table_spec tables[] = { LOWER(1, 1, "a", "b", 50), LOWER(1, 2, "c", "d", 50),
                                   LOWER(1, 3, "e", "f", 50) };

    expect_pick(tables, 3, "L1>L2: 1 trivial bottom");
    set_cursor(1, "b");
    expect_pick(tables, 3, "L1>L2: 2 trivial bottom");
    set_cursor(1, "d");
    expect_pick(tables, 3, "L1>L2: 3 trivial bottom");
    set_cursor(1, "f");
    expect_pick(tables, 3, "L1>L2: 1 trivial bottom");
}

TEST(dense_tables_come_first_within_a_level)
{
    PICK("L1>L2: 3 + 9 bottom", LOWER(1, 1, "a", "b", 101), DENSE(1, 2, "c", "d", 1, 49, 0),
         DENSE(1, 3, "e", "f", 1, 50, 0), LOWER(2, 9, "e", "f", 1));
    /* An expiry counts as if it had passed. */
    PICK("L1>L2: 3 + 9 bottom", LOWER(1, 1, "a", "b", 101), DENSE(1, 2, "c", "d", 1, 20, 29),
         DENSE(1, 3, "e", "f", 1, 20, 30), LOWER(2, 9, "e", "f", 1));
    /* In L0, too; with all that overlap. */
    PICK("L0>L1: 8 7 bottom", UPPER(9, "a", "b"), UPPER(8, "e", "f"),
         DENSE(0, 7, "e", "f", 7, 80, 0), UPPER(6, "c", "d"));
}

TEST(a_dense_table_is_due_though_its_level_is_not)
{
    PICK("L1>L2: 3 + 9 bottom", DENSE(1, 3, "e", "f", 1, 50, 0), LOWER(2, 9, "e", "f", 1));
    PICK("none", DENSE(1, 3, "e", "f", 1, 49, 0), LOWER(2, 9, "e", "f", 1));
    PICK("none", DENSE(1, 3, "e", "f", 1, 0, 100), LOWER(2, 9, "e", "f", 1));
    PICK("none", DENSE(6, 3, "e", "f", 1, 100, 0)); /* there is nowhere to go */
}

/* P4. */
TEST(a_move_never_keeps_tombstones_that_can_go)
{
    PICK("L1>L2: 3 bottom", DENSE(1, 3, "e", "f", 1, 50, 0));
    PICK("L1>L2: 3 trivial", DENSE(1, 3, "e", "f", 1, 50, 0), LOWER(3, 9, "e", "f", 1));
}

TEST(the_score_tells_what_may_wait)
{
    struct table_spec dense = DENSE(1, 3, "e", "f", 1, 50, 0);
    struct table_spec l0[] = { UPPER(9, "a", "z"), UPPER(8, "a", "z"), UPPER(7, "a", "z"),
                               UPPER(6, "a", "z"), UPPER(5, "a", "z") };
    struct table_spec l1 = LOWER(1, 1, "a", "z", 150);
    struct version *v = fixture_version(&sweep, &dense, 1);

    EXPECT(picker_score(v, &options) > 0 && picker_score(v, &options) < 1);
    version_unref(v);
    v = fixture_version(&sweep, l0, 3);
    EXPECT(picker_score(v, &options) == 0);
    version_unref(v);
    v = fixture_version(&sweep, l0, 4);
    EXPECT(picker_score(v, &options) == 1);
    version_unref(v);
    v = fixture_version(&sweep, l0, 5);
    EXPECT(picker_score(v, &options) == 1.25);
    version_unref(v);
    v = fixture_version(&sweep, &l1, 1);
    EXPECT(picker_score(v, &options) == 1.5);
    version_unref(v);
}

static void
expect_all(const struct table_spec *specs, size_t count, const char *want)
{
    struct version *v = fixture_version(&sweep, specs, count);
    struct compaction c = { 0 };

    expect_choice(picker_all(v, &c), &c, want);
    version_unref(v);
}

TEST(all_takes_every_table_to_the_last_level_in_use)
{
    struct table_spec tables[] = { UPPER(9, "a", "z"), UPPER(8, "a", "z"), LOWER(1, 7, "a", "b", 1),
                                   LOWER(1, 6, "c", "d", 1), LOWER(3, 5, "a", "z", 1) };
    struct version *v = fixture_version(&sweep, tables, 5);
    struct compaction c;

    expect_all(tables, 0, "none");
    expect_all(tables, 1, "L0>L1: 9 bottom");
    expect_all(tables + 2, 1, "L0>L1: + 7 bottom");
    expect_all(tables, 5, "L0>L3: 9 8 + 7 6 5 bottom");

    EXPECT_OK(picker_all(v, &c));
    EXPECT_U64(c.input_levels[0], 0);
    EXPECT_U64(c.input_levels[1], 0);
    EXPECT_U64(c.input_levels[2], 1);
    EXPECT_U64(c.input_levels[3], 1);
    EXPECT_U64(c.input_levels[4], 3);
    EXPECT_U64(c.input_bytes, 5 * MB);
    compaction_release(&c);
    version_unref(v);
}

/* ------------------------------------------------------------------ random versions */

enum { ROUNDS = 300, STEPS_MAX = 2000, KEYS = 200 };

static void
random_key(struct prng *p, int limit, char out[16])
{
    snprintf(out, 16, "%04d", (int)prng_below(p, (uint64_t)limit));
}

/* Below L0 the tables of a level divide the keys among them, with gaps. */
static void
add_random_level(struct prng *p, struct version_edit *e, uint32_t level, uint64_t *number)
{
    int at = (int)prng_below(p, 20);

    while (at < KEYS && prng_chance(p, 9, 10)) {
        int last = at + (int)prng_below(p, 20);
        char from[16], to[16];
        struct table_spec spec = TABLE(level, ++*number, from, to, 1, 1, 0);

        snprintf(from, sizeof(from), "%04d", at);
        snprintf(to, sizeof(to), "%04d", last);
        spec.bytes = prng_below(p, 60 * MB);
        spec.entries = 100;
        spec.tombstones = prng_chance(p, 1, 20) ? prng_below(p, 101) : 0;
        fixture_add(e, &sweep, &spec);
        at = last + 1 + (int)prng_below(p, 10);
    }
}

static struct version *
random_version(struct prng *p, uint64_t *number)
{
    struct version *empty = version_create();
    struct version *v = NULL;
    struct version_edit e;
    uint64_t l0 = prng_below(p, 12);

    version_edit_init(&e);
    for (uint32_t level = LIMIT_LEVELS - 1; level > 0; level--)
        add_random_level(p, &e, level, number);
    for (uint64_t i = 0; i < l0; i++) {
        char from[16], to[16];
        struct table_spec spec = TABLE(0, ++*number, from, to, 0, 10 + i, MB);

        random_key(p, KEYS, from);
        random_key(p, KEYS, to);
        if (strcmp(from, to) > 0)
            snprintf(to, sizeof(to), "%s", from);
        fixture_add(&e, &sweep, &spec);
    }
    EXPECT_OK(version_apply(empty, &e, &v, NULL));
    version_edit_release(&e);
    version_unref(empty);
    return v;
}

static bool
is_input(const struct compaction *c, const struct table_file *f)
{
    for (uint32_t i = 0; i < c->input_count; i++) {
        if (c->inputs[i] == f)
            return true;
    }
    return false;
}

/* The keys of the first `count` inputs. */
static void
inputs_range(const struct compaction *c, uint32_t count, struct slice *from, struct slice *to)
{
    *from = buf_slice(&c->inputs[0]->info.smallest);
    *to = buf_slice(&c->inputs[0]->info.largest);
    for (uint32_t i = 1; i < count; i++) {
        struct slice smallest = buf_slice(&c->inputs[i]->info.smallest);
        struct slice largest = buf_slice(&c->inputs[i]->info.largest);

        *from = slice_compare(smallest, *from) < 0 ? smallest : *from;
        *to = slice_compare(largest, *to) > 0 ? largest : *to;
    }
}

static uint32_t
count_left_touching(const struct version *v, const struct compaction *c, uint32_t level,
                    struct slice from, struct slice to)
{
    const struct level *l = &v->levels[level];
    uint32_t count = 0;

    for (uint32_t i = 0; i < l->count; i++) {
        const struct table_file *f = l->files[i];

        count += !is_input(c, f) && slice_compare(buf_slice(&f->info.smallest), to) <= 0 &&
                 slice_compare(buf_slice(&f->info.largest), from) >= 0;
    }
    return count;
}

/* P1..P4, looked at naively. */
static void
check_choice(const struct version *v, const struct compaction *c)
{
    struct slice from, to;
    uint32_t below = 0;

    EXPECT(c->upper_count > 0 && c->upper_count <= c->input_count);
    EXPECT(c->output_level == c->level + 1 && c->output_level < LIMIT_LEVELS);
    inputs_range(c, c->upper_count, &from, &to);
    if (c->level == 0)
        EXPECT_U64(count_left_touching(v, c, 0, from, to), 0);
    inputs_range(c, c->input_count, &from, &to);
    EXPECT_U64(count_left_touching(v, c, c->output_level, from, to), 0);
    for (uint32_t level = c->output_level + 1; level < LIMIT_LEVELS; level++)
        below += count_left_touching(v, c, level, from, to);
    EXPECT(c->bottom == (below == 0));
    EXPECT(!c->trivial || c->input_count == 1);
    for (uint32_t i = 0; i < c->input_count; i++)
        EXPECT_U64(c->input_levels[i], i < c->upper_count ? c->level : c->output_level);
}

/* Carry it out: the inputs become one table; tombstones go at the bottom. */
static struct version *
carry_out(struct version *v, const struct compaction *c, uint64_t number)
{
    struct table_spec out = TABLE(c->output_level, number, NULL, NULL, 1, 1, c->input_bytes);
    struct version *after = NULL;
    struct version_edit e;
    struct slice first, last;
    char from[16], to[16];

    inputs_range(c, c->input_count, &first, &last);
    snprintf(from, sizeof(from), "%.*s", (int)first.size, (const char *)first.data);
    snprintf(to, sizeof(to), "%.*s", (int)last.size, (const char *)last.data);
    out.from = from;
    out.to = to;
    version_edit_init(&e);
    for (uint32_t i = 0; i < c->input_count; i++) {
        out.entries += c->inputs[i]->info.entry_count;
        out.tombstones += c->bottom && !c->trivial ? 0 : c->inputs[i]->info.tombstone_count;
        EXPECT_OK(version_edit_remove(&e, c->input_levels[i], c->inputs[i]->info.number));
    }
    fixture_add(&e, &sweep, &out);
    EXPECT_OK(version_apply(v, &e, &after, NULL)); /* V1, V2 */
    version_edit_release(&e);
    version_unref(v);
    return after;
}

static void
move_cursor(const struct compaction *c)
{
    cursor[c->level].size = 0;
    EXPECT_OK(
        buf_append(&cursor[c->level], buf_slice(&c->inputs[c->upper_count - 1]->info.largest)));
}

TEST(random_versions_are_compacted_until_nothing_is_due)
{
    uint64_t number = 0;
    uint64_t steps = 0;
    struct prng p;

    prng_init(&p, test_seed(0x91c4e7));
    for (int round = 0; round < ROUNDS; round++) {
        struct version *v = random_version(&p, &number);
        struct compaction c;
        enum status st;
        int left = STEPS_MAX;

        while ((st = picker_pick(v, &options, cursor, &c)) == ST_OK) {
            EXPECT(picker_score(v, &options) > 0);
            check_choice(v, &c);
            move_cursor(&c);
            v = carry_out(v, &c, ++number);
            compaction_release(&c);
            steps++;
            EXPECT(--left > 0); /* P5 */
        }
        EXPECT_ST(st, ST_NOT_FOUND);
        EXPECT(picker_score(v, &options) == 0);
        version_unref(v);
    }
    EXPECT(steps > ROUNDS);
}

TEST(a_choice_without_memory_takes_nothing)
{
    struct table_spec spec = LOWER(1, 1, "a", "z", 150);
    struct version *v = fixture_version(&sweep, &spec, 1);

    for (uint64_t n = 1; n <= 2; n++) {
        struct mem_heap heap = { .fail_at = n };
        struct mem_heap *previous = mem_heap_enter(&heap);
        struct compaction c = { .level = 77 };

        EXPECT_ST(picker_pick(v, &options, cursor, &c), ST_NO_MEMORY);
        heap.fail_at = heap.allocation + n;
        EXPECT_ST(picker_all(v, &c), ST_NO_MEMORY);
        EXPECT_U64(c.level, 77);
        EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(previous);
    }
    EXPECT_U64(v->levels[1].files[0]->refs, 1);
    version_unref(v);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

TEST_MAIN(CASE(nothing_is_due_below_the_aims), CASE(l0_is_due_by_count_and_takes_all_that_overlap),
          CASE(what_overlaps_only_by_way_of_another_l0_table_comes_along),
          CASE(a_lone_table_is_moved_without_being_read),
          CASE(the_level_fullest_in_proportion_comes_first),
          CASE(l0_comes_first_when_writes_are_about_to_stall),
          CASE(lower_tables_are_those_that_the_range_touches), CASE(tables_take_turns_by_key),
          CASE(dense_tables_come_first_within_a_level),
          CASE(a_dense_table_is_due_though_its_level_is_not),
          CASE(a_move_never_keeps_tombstones_that_can_go), CASE(the_score_tells_what_may_wait),
          CASE(all_takes_every_table_to_the_last_level_in_use),
          CASE(random_versions_are_compacted_until_nothing_is_due),
          CASE(a_choice_without_memory_takes_nothing))
