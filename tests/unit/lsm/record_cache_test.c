/* Tests of lsm/record_cache.c. */
#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "lsm/record_cache.h"
#include "unit/test.h"

enum { KB = 1 << 10, MB = 1 << 20 };

static _Atomic uint64_t still; /* a tag that does not move */

static void
add(struct record_cache *c, uint64_t tree, const char *key, const char *value, version_t version)
{
    struct entry e = {
        .key = slice_str(key), .value = slice_str(value), .version = version, .type = ENTRY_VALUE
    };

    record_cache_add(c, tree, hash64(e.key), &e, &still, 0);
}

static bool
get(struct record_cache *c, uint64_t tree, const char *key, struct entry *out)
{
    static uint8_t room[RECORD_CACHE_VALUE_MAX];

    return record_cache_get(c, tree, slice_str(key), hash64(slice_str(key)), room, out);
}

static void
expect_holds(struct record_cache *c, uint64_t tree, const char *key, const char *want)
{
    struct entry e;

    EXPECT(get(c, tree, key, &e));
    EXPECT_SLICE(e.value, want);
    EXPECT_SLICE(e.key, key);
}

static bool
misses(struct record_cache *c, uint64_t tree, const char *key)
{
    struct entry e;

    return !get(c, tree, key, &e);
}

TEST(a_record_comes_back_as_it_was)
{
    struct record_cache *c = record_cache_create(MB, NULL);
    struct entry e = { .key = slice_str("k"),
                       .value = slice_str("v"),
                       .version = 7,
                       .expiry_ms = 99,
                       .type = ENTRY_VALUE };
    struct entry got;

    EXPECT(misses(c, 1, "k"));
    record_cache_add(c, 1, hash64(e.key), &e, &still, 0);
    EXPECT(get(c, 1, "k", &got));
    EXPECT_SLICE(got.value, "v");
    EXPECT_U64(got.version, 7);
    EXPECT_U64(got.expiry_ms, 99);
    EXPECT(got.type == ENTRY_VALUE);

    e = (struct entry){ .key = slice_str("gone"), .version = 8, .type = ENTRY_TOMBSTONE };
    record_cache_add(c, 1, hash64(e.key), &e, &still, 0);
    EXPECT(get(c, 1, "gone", &got));
    EXPECT(got.type == ENTRY_TOMBSTONE && got.value.size == 0);
    EXPECT_U64(record_cache_hits(c), 2);
    record_cache_destroy(c);
}

TEST(trees_with_the_same_keys_do_not_meet)
{
    struct record_cache *c = record_cache_create(MB, NULL);

    add(c, 1, "k", "one", 1);
    add(c, 2, "k", "two", 2);
    expect_holds(c, 1, "k", "one");
    expect_holds(c, 2, "k", "two");
    record_cache_drop(c, 1, slice_str("k"), hash64(slice_str("k")));
    EXPECT(misses(c, 1, "k"));
    expect_holds(c, 2, "k", "two");
    record_cache_destroy(c);
}

/* C3. */
TEST(a_later_record_replaces_an_earlier_one)
{
    struct record_cache *c = record_cache_create(MB, NULL);
    size_t bytes;

    add(c, 1, "k", "old", 1);
    bytes = record_cache_bytes(c);
    add(c, 1, "k", "new", 2);
    expect_holds(c, 1, "k", "new");
    EXPECT_U64(record_cache_bytes(c), bytes);
    record_cache_destroy(c);
}

TEST(a_dropped_tree_leaves_the_others)
{
    struct record_cache *c = record_cache_create(4 * MB, NULL);
    char key[16];

    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        add(c, 1 + i % 2, key, "v", 1);
    }
    record_cache_drop_tree(c, 1);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        EXPECT(misses(c, 1, key));
        EXPECT(misses(c, 2, key) == (i % 2 == 0));
    }
    record_cache_destroy(c);
}

TEST(what_does_not_fit_is_left_out)
{
    struct record_cache *c = record_cache_create(MB, NULL);
    struct record_cache *tiny = record_cache_create(64, NULL);
    static char big[RECORD_CACHE_VALUE_MAX + 2];

    memset(big, 'x', sizeof(big) - 1);
    add(c, 1, "k", big, 1); /* one more than may be */
    EXPECT(misses(c, 1, "k"));
    big[RECORD_CACHE_VALUE_MAX] = '\0';
    add(c, 1, "k", big, 1);
    EXPECT(!misses(c, 1, "k"));

    add(tiny, 1, "k", "v", 1);
    EXPECT(misses(tiny, 1, "k"));
    record_cache_destroy(c);
    record_cache_destroy(tiny);
}

/* A scan of keys that nobody asks for again does not drive out the one that is asked for. */
TEST(what_is_read_again_stays)
{
    struct record_cache *c = record_cache_create(256 * KB, NULL);
    char key[16];

    add(c, 1, "hot", "v", 1);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "cold%d", i);
        add(c, 1, key, "v", 1);
        EXPECT(!misses(c, 1, "hot"));
    }
    EXPECT(misses(c, 1, "cold0"));
    EXPECT(record_cache_bytes(c) <= 256 * KB);
    record_cache_destroy(c);
}

TEST(what_is_never_read_again_goes)
{
    struct record_cache *c = record_cache_create(256 * KB, NULL);
    char key[16];
    int kept = 0;

    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "cold%d", i);
        add(c, 1, key, "v", 1);
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "cold%d", i);
        EXPECT(i >= 10000 || misses(c, 1, key));
        kept += !misses(c, 1, key);
    }
    EXPECT(kept > 1000);
    record_cache_destroy(c);
}

/* A budget that is full of our own records does not keep new ones out. */
TEST(within_a_tight_budget_new_records_replace_old_ones)
{
    struct record_cache *c;
    struct budget budget;
    char key[16];

    budget_init(&budget, 200 * KB);
    c = record_cache_create(512 * KB, &budget);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        add(c, 1, key, "v", 1);
        EXPECT(!misses(c, 1, key));
    }
    EXPECT(budget_used(&budget) <= 200 * KB);
    record_cache_destroy(c);
    EXPECT_U64(budget_used(&budget), 0);
}

/* C2; what else is charged comes first. */
TEST(the_cache_gives_way_to_the_rest_of_the_budget)
{
    struct budget budget;
    struct record_cache *c;
    char key[16];

    budget_init(&budget, MB);
    c = record_cache_create(512 * KB, &budget);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        add(c, 1, key, "v", 1);
    }
    EXPECT(record_cache_bytes(c) <= 512 * KB && record_cache_bytes(c) > 400 * KB);
    EXPECT_U64(budget_used(&budget), record_cache_bytes(c));

    budget_charge(&budget, MB); /* far over */
    add(c, 1, "one more", "v", 1);
    EXPECT(misses(c, 1, "one more"));
    budget_return(&budget, MB);
    add(c, 1, "one more", "v", 1);
    EXPECT(!misses(c, 1, "one more"));
    record_cache_destroy(c);
    EXPECT_U64(budget_used(&budget), 0);
}

TEST(a_record_that_was_read_before_a_flush_is_not_added_after_it)
{
    struct record_cache *c = record_cache_create(MB, NULL);
    struct entry e = { .key = slice_str("k"), .value = slice_str("stale"), .type = ENTRY_VALUE };
    _Atomic uint64_t tag = 5;
    uint64_t seen = atomic_load(&tag);

    atomic_fetch_add(&tag, 1);
    record_cache_add(c, 1, hash64(e.key), &e, &tag, seen);
    EXPECT(misses(c, 1, "k"));
    record_cache_add(c, 1, hash64(e.key), &e, &tag, seen + 1);
    EXPECT(!misses(c, 1, "k"));
    record_cache_destroy(c);
}

TEST(out_of_memory_nothing_is_cached_and_nothing_lost)
{
    uint64_t n = 0;
    bool cached;

    do {
        struct mem_heap heap = { .fail_at = ++n };
        struct mem_heap *previous = mem_heap_enter(&heap);
        struct record_cache *c = record_cache_create(MB, NULL);

        cached = false;
        if (c != NULL) {
            add(c, 1, "k", "v", 1);
            cached = !misses(c, 1, "k");
        }
        record_cache_destroy(c);
        EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(previous);
    } while (!cached);
    EXPECT(n > 3);
}

/* ------------------------------------------------------------------ model */

enum { MODEL_KEYS = 600, MODEL_TREES = 3, MODEL_STEPS = 60000 };

struct model {
    version_t version; /* 0: never added, or dropped since */
    uint32_t value_size;
};

static void
model_key(uint64_t i, char out[24])
{
    snprintf(out, 24, "key%0*d", (int)(i % 7) + 1, (int)i);
}

static void
fill_value(uint8_t *out, uint32_t size, uint64_t tree, uint64_t key, version_t version)
{
    for (uint32_t i = 0; i < size; i++)
        out[i] = (uint8_t)(tree * 31 + key * 7 + version + i);
}

static void
check_get(struct record_cache *c, uint64_t tree, uint64_t i, const struct model *m, bool roomy)
{
    static uint8_t room[RECORD_CACHE_VALUE_MAX], want[RECORD_CACHE_VALUE_MAX];
    struct entry e;
    char key[24];
    bool found;

    model_key(i, key);
    found = record_cache_get(c, tree, slice_str(key), hash64(slice_str(key)), room, &e);
    if (roomy)
        EXPECT(found == (m->version != 0));
    if (!found)
        return;
    EXPECT_U64(e.version, m->version);
    EXPECT_U64(e.value.size, m->value_size);
    fill_value(want, m->value_size, tree, i, m->version);
    EXPECT(memcmp(room, want, m->value_size) == 0);
}

static void
model_add(struct record_cache *c, uint64_t tree, uint64_t i, struct model *m, struct prng *p)
{
    static uint8_t value[RECORD_CACHE_VALUE_MAX];
    struct entry e = { .version = m->version + 1 + prng_below(p, 9), .type = ENTRY_VALUE };
    char key[24];

    model_key(i, key);
    m->value_size = (uint32_t)prng_below(p, prng_chance(p, 1, 50) ? RECORD_CACHE_VALUE_MAX : 200);
    m->version = e.version;
    fill_value(value, m->value_size, tree, i, e.version);
    e.key = slice_str(key);
    e.value = slice_of(value, m->value_size);
    record_cache_add(c, tree, hash64(e.key), &e, &still, 0);
}

static void
run_model(size_t capacity, bool roomy, uint64_t seed)
{
    struct model models[MODEL_TREES][MODEL_KEYS] = { 0 };
    struct record_cache *c;
    struct budget budget;
    struct prng p;

    prng_init(&p, seed);
    budget_init(&budget, SIZE_MAX);
    c = record_cache_create(capacity, &budget);
    for (int step = 0; step < MODEL_STEPS; step++) {
        uint64_t tree = prng_below(&p, MODEL_TREES);
        uint64_t i = prng_below(&p, MODEL_KEYS);
        struct model *m = &models[tree][i];
        char key[24];

        if (prng_chance(&p, 1, 2000)) {
            record_cache_drop_tree(c, tree);
            memset(models[tree], 0, sizeof(models[tree]));
        } else if (prng_chance(&p, 1, 10)) {
            model_key(i, key);
            record_cache_drop(c, tree, slice_str(key), hash64(slice_str(key)));
            *m = (struct model){ 0 };
        } else if (prng_chance(&p, 1, 3)) {
            model_add(c, tree, i, m, &p);
        } else {
            check_get(c, tree, i, m, roomy);
        }
        EXPECT(record_cache_bytes(c) <= capacity);
        EXPECT_U64(record_cache_bytes(c), budget_used(&budget));
    }
    record_cache_destroy(c);
    EXPECT_U64(budget_used(&budget), 0);
}

TEST(a_roomy_cache_equals_a_map)
{
    run_model(16 * MB, true, test_seed(0xcac4e));
}

TEST(a_tight_cache_forgets_and_never_lies)
{
    run_model(100 * KB, false, test_seed(0xcac4e));
}

TEST_MAIN(RUN(a_record_comes_back_as_it_was), RUN(trees_with_the_same_keys_do_not_meet),
          RUN(a_later_record_replaces_an_earlier_one), RUN(a_dropped_tree_leaves_the_others),
          RUN(what_does_not_fit_is_left_out), RUN(what_is_read_again_stays),
          RUN(what_is_never_read_again_goes),
          RUN(within_a_tight_budget_new_records_replace_old_ones),
          RUN(the_cache_gives_way_to_the_rest_of_the_budget),
          RUN(a_record_that_was_read_before_a_flush_is_not_added_after_it),
          RUN(out_of_memory_nothing_is_cached_and_nothing_lost), RUN(a_roomy_cache_equals_a_map),
          RUN(a_tight_cache_forgets_and_never_lies))
