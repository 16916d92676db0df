/* Tests of lsm/version.c and version_edit.c.  Tables are names only; keys in the tables of
 * examples are single letters. */
#include "base/mem.h"
#include "base/prng.h"

#include "store_fixture.h"
#include "unit/test.h"

static struct file_sweep sweep;

static int
begin(void **state)
{
    (void)state;
    file_sweep_init(&sweep);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    file_sweep_release(&sweep);
    return 0;
}

static void
expect_tables(const struct version *v, const char *want)
{
    struct buf got = fixture_describe(v);

    EXPECT_STR((const char *)got.data, want);
    buf_release(&got);
}

/* Apply `specs` and `removed` to `v`, which is let go of on success. */
static enum status
change(struct version **v, const struct table_spec *specs, size_t count,
       const struct edit_removed *removed, size_t removed_count)
{
    struct version *after = NULL;
    struct version_edit e;
    struct err err = { 0 };
    enum status st;

    version_edit_init(&e);
    for (size_t i = 0; i < count; i++)
        fixture_add(&e, &sweep, &specs[i]);
    for (size_t i = 0; i < removed_count; i++)
        EXPECT_OK(version_edit_remove(&e, removed[i].level, removed[i].number));
    st = version_apply(*v, &e, &after, &err);
    version_edit_release(&e);
    if (st == ST_OK) {
        version_unref(*v);
        *v = after;
    } else {
        EXPECT(after == NULL);
        EXPECT(err.code == st && err.text[0] != '\0');
    }
    return st;
}

#define TABLES(...)                          \
 (const struct table_spec[]){ __VA_ARGS__ }, \
     sizeof((struct table_spec[]){ __VA_ARGS__ }) / sizeof(struct table_spec)
#define REMOVED(...)                           \
 (const struct edit_removed[]){ __VA_ARGS__ }, \
     sizeof((struct edit_removed[]){ __VA_ARGS__ }) / sizeof(struct edit_removed)
#define NOTHING NULL, 0

/* V2: the newest first, in whatever order they come. */
TEST(l0_stands_newest_first)
{
    struct version *v = version_create();

    EXPECT_OK(change(&v, TABLES(TABLE(0, 5, "a", "m", 50, 59, 1), TABLE(0, 7, "c", "z", 70, 79, 1)),
                     NOTHING));
    EXPECT_OK(change(&v, TABLES(TABLE(0, 6, "b", "b", 60, 69, 1)), NOTHING));

    expect_tables(v, "L0: 7[c..z]@70-79 6[b..b]@60-69 5[a..m]@50-59");
    EXPECT_U64(v->levels[0].bytes, 3);
    version_unref(v);
}

/* V1. */
TEST(lower_levels_stand_by_key)
{
    struct version *v = version_create();

    EXPECT_OK(change(&v, TABLES(TABLE(1, 3, "m", "p", 1, 9, 10), TABLE(1, 1, "a", "c", 1, 9, 20)),
                     NOTHING));
    EXPECT_OK(change(&v, TABLES(TABLE(1, 2, "d", "l", 1, 9, 30)), NOTHING));
    expect_tables(v, "L1: 1[a..c]@1-9 2[d..l]@1-9 3[m..p]@1-9");
    EXPECT_U64(v->levels[1].bytes, 60);
    version_unref(v);
}

TEST(an_edit_moves_tables_from_level_to_level)
{
    struct version *v = version_create();

    EXPECT_OK(change(&v, TABLES(TABLE(0, 1, "a", "c", 1, 9, 10), TABLE(2, 2, "a", "z", 1, 1, 10)),
                     NOTHING));
    EXPECT_OK(change(&v, TABLES(TABLE(1, 1, "a", "c", 1, 9, 10)), REMOVED({ 0, 1 })));
    expect_tables(v, "L1: 1[a..c]@1-9 | L2: 2[a..z]@1-1");
    version_unref(v);
}

TEST(a_clear_drops_what_was_there_and_keeps_what_it_adds)
{
    struct version *v = version_create();
    struct version *after = NULL;
    struct version_edit e;

    EXPECT_OK(change(&v, TABLES(TABLE(0, 1, "a", "c", 1, 9, 10), TABLE(6, 2, "a", "z", 1, 1, 10)),
                     NOTHING));
    version_edit_init(&e);
    e.clear = true;
    fixture_add(&e, &sweep, &(struct table_spec)TABLE(0, 1, "x", "y", 5, 6, 1));
    EXPECT_OK(version_apply(v, &e, &after, NULL));
    expect_tables(after, "L0: 1[x..y]@5-6");
    version_edit_release(&e);
    version_unref(v);
    version_unref(after);
}

TEST(an_edit_that_contradicts_the_version_is_refused)
{
    struct version *v = version_create();

    EXPECT_OK(change(&v, TABLES(TABLE(0, 1, "a", "c", 10, 19, 1), TABLE(1, 2, "d", "g", 1, 1, 1)),
                     NOTHING));

    /* What is not there, cannot go; nor twice. */
    EXPECT_ST(change(&v, NOTHING, REMOVED({ 0, 9 })), ST_CORRUPT);
    EXPECT_ST(change(&v, NOTHING, REMOVED({ 1, 1 })), ST_CORRUPT);
    EXPECT_ST(change(&v, NOTHING, REMOVED({ 0, 1 }, { 0, 1 })), ST_CORRUPT);
    /* What is there, cannot come, at any level; nor twice. */
    EXPECT_ST(change(&v, TABLES(TABLE(2, 2, "d", "g", 1, 1, 1)), NOTHING), ST_CORRUPT);
    EXPECT_ST(
        change(&v, TABLES(TABLE(1, 8, "h", "i", 1, 1, 1), TABLE(2, 8, "h", "i", 1, 1, 1)), NOTHING),
        ST_CORRUPT);
    /* V1, with the shared key at either end; and a table that is inside out. */
    EXPECT_ST(change(&v, TABLES(TABLE(1, 8, "g", "h", 1, 1, 1)), NOTHING), ST_CORRUPT);
    EXPECT_ST(change(&v, TABLES(TABLE(1, 8, "a", "d", 1, 1, 1)), NOTHING), ST_CORRUPT);
    EXPECT_ST(change(&v, TABLES(TABLE(1, 8, "a", "z", 1, 1, 1)), NOTHING), ST_CORRUPT);
    EXPECT_ST(change(&v, TABLES(TABLE(1, 8, "e", "f", 1, 1, 1)), NOTHING), ST_CORRUPT);
    EXPECT_ST(change(&v, TABLES(TABLE(2, 8, "b", "a", 1, 1, 1)), NOTHING), ST_CORRUPT);
    /* V2. */
    EXPECT_ST(change(&v, TABLES(TABLE(0, 8, "x", "y", 19, 25, 1)), NOTHING), ST_CORRUPT);
    EXPECT_ST(change(&v, TABLES(TABLE(0, 8, "x", "y", 5, 10, 1)), NOTHING), ST_CORRUPT);

    expect_tables(v, "L0: 1[a..c]@10-19 | L1: 2[d..g]@1-1");
    version_unref(v);
}

TEST(find_gives_the_first_table_that_does_not_end_before_the_key)
{
    struct version *v = version_create();
    const struct level *l;

    EXPECT_OK(change(&v,
                     TABLES(TABLE(1, 1, "b", "d", 1, 1, 1), TABLE(1, 2, "f", "f", 1, 1, 1),
                            TABLE(1, 3, "h", "k", 1, 1, 1)),
                     NOTHING));
    l = &v->levels[1];
    EXPECT_U64(version_find(l, slice_str("")), 0);
    EXPECT_U64(version_find(l, slice_str("b")), 0);
    EXPECT_U64(version_find(l, slice_str("d")), 0);
    EXPECT_U64(version_find(l, slice_str("d0")), 1);
    EXPECT_U64(version_find(l, slice_str("f")), 1);
    EXPECT_U64(version_find(l, slice_str("k")), 2);
    EXPECT_U64(version_find(l, slice_str("k0")), 3);
    EXPECT_U64(version_find(&v->levels[2], slice_str("a")), 0);
    version_unref(v);
}

TEST(overlaps_counts_a_shared_end_and_no_gap)
{
    struct version *v = version_create();

    EXPECT_OK(change(&v,
                     TABLES(TABLE(1, 1, "b", "d", 1, 1, 1), TABLE(1, 2, "h", "k", 1, 1, 1),
                            TABLE(0, 3, "b", "d", 3, 3, 1), TABLE(0, 4, "h", "k", 4, 4, 1)),
                     NOTHING));
    for (uint32_t level = 0; level < 2; level++) {
        const struct level *l = &v->levels[level];

        EXPECT(!version_overlaps(l, level, slice_str("a"), slice_str("a9")));
        EXPECT(version_overlaps(l, level, slice_str("a"), slice_str("b")));
        EXPECT(version_overlaps(l, level, slice_str("c"), slice_str("c")));
        EXPECT(version_overlaps(l, level, slice_str("d"), slice_str("e")));
        EXPECT(!version_overlaps(l, level, slice_str("e"), slice_str("g")));
        EXPECT(version_overlaps(l, level, slice_str("e"), slice_str("z")));
        EXPECT(version_overlaps(l, level, slice_str("a"), slice_str("z")));
        EXPECT(!version_overlaps(l, level, slice_str("l"), slice_str("z")));
    }
    EXPECT(!version_overlaps(&v->levels[2], 2, slice_str("a"), slice_str("z")));
    version_unref(v);
}

/* ------------------------------------------------------------------ model */

enum { MODEL_TABLES = 64, MODEL_KEYS = 40, MODEL_VERSIONS = 60, MODEL_STEPS = 20000 };

struct model_table {
    uint32_t level;
    uint64_t number;
    int from, to;
    int oldest, newest;
};

struct model {
    struct model_table tables[MODEL_TABLES];
    size_t count;
};

static bool
model_conflicts(const struct model_table *a, const struct model_table *b)
{
    if (a->number == b->number)
        return true;
    if (a->level != b->level)
        return false;
    if (a->level == 0)
        return a->oldest <= b->newest && b->oldest <= a->newest;
    return a->from <= b->to && b->from <= a->to;
}

static bool
model_is_valid(const struct model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->tables[i].from > m->tables[i].to)
            return false;
        for (size_t k = 0; k < i; k++) {
            if (model_conflicts(&m->tables[i], &m->tables[k]))
                return false;
        }
    }
    return true;
}

static bool
model_remove(struct model *m, uint32_t level, uint64_t number)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->tables[i].level == level && m->tables[i].number == number) {
            m->tables[i] = m->tables[--m->count];
            return true;
        }
    }
    return false;
}

static struct model_table
random_table(struct prng *p)
{
    struct model_table t = {
        .level = (uint32_t)prng_below(p, 4),
        .number = prng_below(p, 50),
        .from = (int)prng_below(p, MODEL_KEYS),
        .oldest = (int)prng_below(p, MODEL_VERSIONS),
    };

    t.to = t.from + (int)prng_below(p, 4) - (prng_chance(p, 1, 50) ? 1 : 0);
    t.newest = t.oldest + (int)prng_below(p, 3);
    return t;
}

static void
add_to_edit(struct version_edit *e, const struct model_table *t)
{
    char from[16], to[16];

    snprintf(from, sizeof(from), "%03d", t->from + 1);
    snprintf(to, sizeof(to), "%03d", t->to + 1);
    fixture_add(e, &sweep,
                &(struct table_spec)TABLE(t->level, t->number, from, to, (uint64_t)t->oldest + 1,
                                          (uint64_t)t->newest + 1, t->number * 10));
}

/* Draw an edit, and carry it out on the model.  False: the model says that it is none. */
static bool
random_edit(struct prng *p, const struct model *before, struct model *m, struct version_edit *e)
{
    uint64_t removals = prng_below(p, 3);
    uint64_t additions = prng_below(p, 4);
    bool valid = true;

    *m = *before;
    e->clear = prng_chance(p, 1, 100);
    if (e->clear)
        m->count = 0;
    for (uint64_t i = 0; i < removals; i++) {
        struct model_table t = random_table(p);

        if (before->count > 0 && !prng_chance(p, 1, 20))
            t = before->tables[prng_below(p, before->count)];
        EXPECT_OK(version_edit_remove(e, t.level, t.number));
        valid = model_remove(m, t.level, t.number) && valid;
    }
    for (uint64_t i = 0; i < additions && m->count < MODEL_TABLES; i++) {
        struct model_table t = random_table(p);

        add_to_edit(e, &t);
        m->tables[m->count++] = t;
    }
    return valid && model_is_valid(m);
}

static const struct table_file *
find_in_version(const struct version *v, const struct model_table *t)
{
    for (uint32_t i = 0; i < v->levels[t->level].count; i++) {
        if (v->levels[t->level].files[i]->info.number == t->number)
            return v->levels[t->level].files[i];
    }
    return NULL;
}

static void
expect_model(const struct version *v, const struct model *m)
{
    size_t count = 0;

    EXPECT(version_is_ordered(v));
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++)
        count += v->levels[level].count;
    EXPECT_U64(count, m->count);
    for (size_t i = 0; i < m->count; i++)
        assert_non_null(find_in_version(v, &m->tables[i]));
}

TEST(random_edits_do_what_a_naive_model_does)
{
    struct version *v = version_create();
    struct model model = { .count = 0 };
    uint64_t accepted = 0, refused = 0;
    struct prng p;

    prng_init(&p, test_seed(0x1e51));
    for (int step = 0; step < MODEL_STEPS; step++) {
        struct version *after = NULL;
        struct model next;
        struct version_edit e;
        bool valid;

        version_edit_init(&e);
        valid = random_edit(&p, &model, &next, &e);
        EXPECT_ST(version_apply(v, &e, &after, NULL), valid ? ST_OK : ST_CORRUPT);
        version_edit_release(&e);
        if (valid) {
            version_unref(v);
            v = after;
            model = next;
            accepted++;
        } else {
            refused++;
        }
        expect_model(v, &model);
    }
    EXPECT(accepted > MODEL_STEPS / 10 && refused > MODEL_STEPS / 10); /* both were tried */
    version_unref(v);
}

/* ------------------------------------------------------------------ memory */

static enum status
build_and_change(void)
{
    struct version *v = version_create();
    struct version *after = NULL;
    struct version_edit e;
    enum status st = v == NULL ? ST_NO_MEMORY : ST_OK;

    version_edit_init(&e);
    for (uint64_t i = 1; st == ST_OK && i <= 6; i++) {
        struct table_spec spec = TABLE(i % 2 == 0 ? 0 : 1, i, "", "", i * 10, i * 10 + 5, 1);
        char key[2] = { (char)('a' + i), '\0' };
        struct table_file *f;

        spec.from = key;
        spec.to = key;
        f = fixture_try_file(&sweep, &spec);
        st = f == NULL ? ST_NO_MEMORY : version_edit_add(&e, spec.level, f);
        if (f != NULL)
            table_file_unref(f);
    }
    if (st == ST_OK)
        st = version_apply(v, &e, &after, NULL);
    version_edit_release(&e);
    if (v != NULL)
        version_unref(v);
    if (after == NULL)
        return st;

    v = after;
    after = NULL;
    version_edit_init(&e);
    st = version_edit_remove(&e, 0, 2);
    if (st == ST_OK)
        st = version_apply(v, &e, &after, NULL);
    version_edit_release(&e);
    version_unref(v);
    if (after != NULL)
        version_unref(after);
    return st;
}

TEST(every_allocation_may_fail_and_nothing_leaks)
{
    uint64_t n = 1;
    enum status st;

    do {
        struct mem_heap heap = { .fail_at = n++ };
        struct mem_heap *previous = mem_heap_enter(&heap);

        st = build_and_change();
        mem_heap_enter(previous);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
    } while (st != ST_OK);
    EXPECT(n > 20);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

TEST_MAIN(CASE(l0_stands_newest_first), CASE(lower_levels_stand_by_key),
          CASE(an_edit_moves_tables_from_level_to_level),
          CASE(a_clear_drops_what_was_there_and_keeps_what_it_adds),
          CASE(an_edit_that_contradicts_the_version_is_refused),
          CASE(find_gives_the_first_table_that_does_not_end_before_the_key),
          CASE(overlaps_counts_a_shared_end_and_no_gap),
          CASE(random_edits_do_what_a_naive_model_does),
          CASE(every_allocation_may_fail_and_nothing_leaks))
