/* Tests of mem/: each contract line of memtable.h, and a comparison with a
 * sorted array under random writes. */
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "mem/memtable.h"
#include "unit/mem/model.h"
#include "unit/test.h"

enum {
    MODEL_VALUE_MAX = 300,
    ORDER_BYTES_MAX = 512, /* of an order itself, which is not counted; its runs are */
};

static struct entry
text_entry(const char *key, const char *value, version_t version)
{
    return (struct entry){
        .key = slice_str(key), .value = slice_str(value), .version = version, .type = ENTRY_VALUE
    };
}

static void
put(struct memtable *m, const char *key, const char *value, version_t version)
{
    struct entry e = text_entry(key, value, version);

    EXPECT_OK(memtable_put(m, &e));
}

static bool
get(const struct memtable *m, const char *key, version_t snapshot, struct entry *out)
{
    return memtable_get(m, slice_str(key), hash64(slice_str(key)), snapshot, out);
}

TEST(memtable_finds_the_newest_version_that_the_snapshot_sees)
{
    struct memtable *m = memtable_create(1 << 20);
    struct entry e;

    put(m, "k", "one", 10);
    put(m, "k", "two", 20);
    EXPECT(get(m, "k", VERSION_MAX, &e));
    EXPECT_SLICE(e.value, "two");
    EXPECT(get(m, "k", 20, &e));
    EXPECT_U64(e.version, 20);
    EXPECT(get(m, "k", 19, &e));
    EXPECT_SLICE(e.value, "one");
    EXPECT_SLICE(e.key, "k");
    EXPECT(!get(m, "k", 9, &e));
    EXPECT(!get(m, "j", VERSION_MAX, &e));
    EXPECT(!get(m, "", VERSION_MAX, &e));
    memtable_unref(m);
}

TEST(memtable_keeps_type_and_expiry_and_counts_tombstones)
{
    struct memtable *m = memtable_create(1 << 20);
    struct entry e = { .key = slice_str("k"), .version = 1, .type = ENTRY_TOMBSTONE };

    EXPECT_OK(memtable_put(m, &e));
    e = text_entry("e", "v", 2);
    e.expiry_ms = UINT64_MAX;
    EXPECT_OK(memtable_put(m, &e));

    EXPECT(get(m, "k", VERSION_MAX, &e));
    EXPECT_U64(e.type, ENTRY_TOMBSTONE);
    EXPECT_U64(e.expiry_ms, 0);
    EXPECT_U64(e.value.size, 0);
    EXPECT(get(m, "e", VERSION_MAX, &e));
    EXPECT_U64(e.expiry_ms, UINT64_MAX);
    EXPECT_SLICE(e.value, "v");
    EXPECT_U64(memtable_entry_count(m), 2);
    EXPECT_U64(memtable_tombstone_count(m), 1);
    memtable_unref(m);
}

TEST(memtable_that_is_empty_has_an_order_without_runs)
{
    struct memtable *m = memtable_create(0);

    for (int whole = 0; whole < 2; whole++) {
        struct memtable_order *o;

        EXPECT_OK(memtable_order(m, whole, &o));
        EXPECT_U64(memtable_order_run_count(o), 0);
        memtable_order_unref(o);
    }
    memtable_unref(m);
}

TEST(memtable_order_keeps_what_it_was_made_of)
{
    struct memtable *m = memtable_create(1 << 20);
    struct memtable_order *before, *after;
    struct memtable_iter it;
    struct entry e;

    put(m, "b", "1", 1);
    EXPECT_OK(memtable_order(m, false, &before));
    put(m, "a", "2", 2);
    EXPECT_OK(memtable_order(m, true, &after));

    memtable_iter_init(&it, before, 0);
    EXPECT(!memtable_iter_valid(&it));
    memtable_iter_first(&it);
    memtable_iter_entry(&it, &e);
    EXPECT_SLICE(e.key, "b");
    memtable_iter_next(&it);
    EXPECT(!memtable_iter_valid(&it));

    memtable_iter_init(&it, after, 0);
    memtable_iter_first(&it);
    memtable_iter_entry(&it, &e);
    EXPECT_SLICE(e.key, "a");
    memtable_order_unref(before);
    memtable_order_unref(after);
    memtable_unref(m);
}

TEST(memtable_lives_while_anyone_refers_to_it)
{
    struct memtable *m = memtable_create(1 << 20);
    struct entry e;

    put(m, "k", "v", 1);
    memtable_ref(m);
    memtable_unref(m);
    EXPECT(get(m, "k", 1, &e));
    memtable_unref(m);
}

/* DESIGN, decision 3: a thousand idle tablets cost megabytes. */
TEST(memtable_that_holds_little_takes_little)
{
    struct memtable *m = memtable_create(64 << 20);

    EXPECT(memtable_bytes(m) < 8 << 10);
    put(m, "k", "v", 1);
    EXPECT(memtable_bytes(m) < 16 << 10);
    memtable_unref(m);
}

TEST(memtable_bytes_are_what_the_heap_has_given)
{
    struct mem_heap heap = { 0 };
    struct mem_heap *outer = mem_heap_enter(&heap);
    struct memtable *m = memtable_create(256 << 10);
    struct budget budget;
    uint8_t key_bytes[32];

    budget_init(&budget, 0);
    memtable_set_budget(m, &budget);
    for (uint64_t i = 0; i < 3000; i++) {
        struct entry e = { .key = model_key(i, key_bytes, sizeof(key_bytes)),
                           .version = i + 1,
                           .type = ENTRY_VALUE };

        EXPECT_OK(memtable_put(m, &e));
        if (i % 100 == 0) {
            struct memtable_order *o;

            EXPECT_OK(memtable_order(m, i % 300 == 0, &o));
            memtable_order_unref(o);
        }
        EXPECT(memtable_bytes(m) + memtable_order_bytes(m) <= heap.byte_count);
        EXPECT(memtable_bytes(m) + memtable_order_bytes(m) + ORDER_BYTES_MAX >= heap.byte_count);
        EXPECT_U64(budget_used(&budget), memtable_order_bytes(m));
    }
    memtable_unref(m);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(outer);
}

TEST(memtable_takes_the_largest_key_and_value)
{
    struct memtable *m = memtable_create(1 << 20);
    uint8_t *bytes = mem_alloc(LIMIT_VALUE_BYTES);
    struct entry e = { .version = 1, .type = ENTRY_VALUE };
    struct entry got;

    assert_non_null(bytes);
    memset(bytes, 'x', LIMIT_VALUE_BYTES);
    e.key = slice_of(bytes, LIMIT_STORED_KEY_BYTES);
    e.value = slice_of(bytes, LIMIT_VALUE_BYTES);
    EXPECT_OK(memtable_put(m, &e));
    EXPECT(memtable_get(m, e.key, hash64(e.key), 1, &got));
    model_expect_equal(&got, &e);
    EXPECT(memtable_bytes(m) > LIMIT_VALUE_BYTES);
    memtable_unref(m);
    mem_free(bytes);
}

/* A key that shares its bucket with "hot" until the index has thousands of buckets: it has
 * the same bits at both ends of the part of the hash that the index uses. */
static uint64_t
find_neighbour(char *text, size_t room)
{
    const uint64_t same = UINT64_C(0xfc00007f00000000);
    uint64_t hot = hash64(slice_str("hot"));

    for (unsigned i = 0;; i++) {
        uint64_t hash;

        snprintf(text, room, "neighbour%u", i);
        hash = hash64(slice_str(text));
        if (((hash ^ hot) & same) == 0)
            return hash;
    }
}

/* M5.  A hot key must cost its neighbours in the index nothing, and its own old versions must be
 * found by order.  If either walked all newer versions, this would take minutes. */
TEST(memtable_stays_fast_when_one_key_has_many_versions)
{
    enum { VERSIONS = 200000, READS = 50000 };
    struct memtable *m = memtable_create(16 << 20);
    char text[32];
    uint64_t neighbour = find_neighbour(text, sizeof(text));
    struct entry e;

    put(m, text, "n", 1);
    for (version_t v = 1; v <= VERSIONS; v++)
        put(m, "hot", "v", v);
    for (version_t v = 1; v <= READS; v++) {
        EXPECT(get(m, "hot", v * (VERSIONS / READS), &e));
        EXPECT_U64(e.version, v * (VERSIONS / READS));
        EXPECT(memtable_get(m, slice_str(text), neighbour, VERSION_MAX, &e));
        EXPECT_SLICE(e.value, "n");
    }
    memtable_unref(m);
}

/* ------------------------------------------------------------------ the model */

struct pair {
    struct memtable *table;
    struct memtable_order *order; /* of all, in one run; while it is checked */
    struct model model;
};

static void
take_order(struct pair *p)
{
    EXPECT_OK(memtable_order(p->table, true, &p->order));
    EXPECT_U64(memtable_order_run_count(p->order), 1);
}

static void
drop_order(struct pair *p)
{
    memtable_order_unref(p->order);
    p->order = NULL;
}

static void
put_random(struct pair *p, struct prng *prng, uint64_t key_number, version_t version)
{
    static uint8_t key[LIMIT_STORED_KEY_BYTES];
    uint8_t value[MODEL_VALUE_MAX];
    struct entry e =
        model_entry(prng, model_key(key_number, key, sizeof(key)), version, value, sizeof(value));

    EXPECT_OK(memtable_put(p->table, &e));
    model_put(&p->model, &e);
}

static void
expect_at(const struct pair *p, const struct memtable_iter *it, size_t want)
{
    struct entry e;

    EXPECT(memtable_iter_valid(it) == (want < p->model.count));
    if (want >= p->model.count)
        return;
    memtable_iter_entry(it, &e);
    model_expect_equal(&e, &p->model.entries[want]);
}

/* SIZE_MAX, "before the first", is as invalid as `count`. */
static void
check_seeks(const struct pair *p, struct slice key, version_t version)
{
    size_t at = model_at(&p->model, key, version);
    struct memtable_iter it;

    memtable_iter_init(&it, p->order, 0);
    memtable_iter_seek(&it, key, version);
    expect_at(p, &it, at);
    if (memtable_iter_valid(&it)) {
        memtable_iter_prev(&it);
        expect_at(p, &it, at - 1);
    }
    memtable_iter_seek_before(&it, key, version);
    expect_at(p, &it, at - 1);
    if (memtable_iter_valid(&it)) {
        memtable_iter_next(&it);
        expect_at(p, &it, at);
    }
}

static void
check_get(const struct pair *p, struct slice key, version_t snapshot)
{
    const struct entry *want = model_get(&p->model, key, snapshot);
    struct entry got;

    EXPECT(memtable_get(p->table, key, hash64(key), snapshot, &got) == (want != NULL));
    if (want != NULL)
        model_expect_equal(&got, want);
}

static void
check_everything(struct pair *p)
{
    struct memtable_iter it;
    size_t i = 0;

    take_order(p);
    memtable_iter_init(&it, p->order, 0);
    for (memtable_iter_first(&it); memtable_iter_valid(&it); memtable_iter_next(&it))
        expect_at(p, &it, i++);
    EXPECT_U64(i, p->model.count);
    for (memtable_iter_last(&it); memtable_iter_valid(&it); memtable_iter_prev(&it))
        expect_at(p, &it, --i);
    EXPECT_U64(i, 0);

    for (i = 0; i < p->model.count; i++) {
        const struct entry *e = &p->model.entries[i];

        for (int d = -1; d <= 1; d++) {
            check_seeks(p, e->key, e->version + (version_t)d);
            check_get(p, e->key, e->version + (version_t)d);
        }
        check_get(p, e->key, VERSION_MAX);
    }
    EXPECT_U64(memtable_entry_count(p->table), p->model.count);
    drop_order(p);
}

static void
check_absent(struct pair *p, struct prng *prng)
{
    uint8_t key[64];

    take_order(p);
    for (int i = 0; i < 2000; i++) {
        struct slice k = model_key(prng_next(prng), key, sizeof(key));

        check_get(p, k, VERSION_MAX);
        check_seeks(p, k, prng_below(prng, 5000));
    }
    drop_order(p);
}

TEST(memtable_equals_a_sorted_array_under_random_writes)
{
    enum { ROUNDS = 6, WRITES = 4000 };
    struct prng prng;

    prng_init(&prng, test_seed(11));
    for (int round = 0; round < ROUNDS; round++) {
        struct pair p = { .table = memtable_create((size_t)1 << (10 + 3 * round)) };
        uint64_t key_space = UINT64_C(1) << (4 + 2 * round);
        bool ascending = round == 3;

        for (version_t v = 1; v <= WRITES; v++)
            put_random(&p, &prng, ascending ? v / 3 : prng_below(&prng, key_space), v);
        check_everything(&p);
        check_absent(&p, &prng);
        memtable_unref(p.table);
        model_release(&p.model);
    }
}

/* M5, M6: each run in order, all of them together what was put, each more than twice the next. */
static void
check_runs(const struct pair *p, const struct memtable_order *o)
{
    struct model found = { 0 };
    uint64_t larger = UINT64_MAX;

    for (uint32_t run = 0; run < memtable_order_run_count(o); run++) {
        struct memtable_iter it;
        struct entry before = { 0 };
        uint64_t count = 0;

        memtable_iter_init(&it, o, run);
        for (memtable_iter_first(&it); memtable_iter_valid(&it); memtable_iter_next(&it)) {
            struct entry e;

            memtable_iter_entry(&it, &e);
            EXPECT(count == 0 || entry_compare(before.key, before.version, e.key, e.version) < 0);
            model_put(&found, &e);
            before = e;
            count++;
        }
        EXPECT(count > 0 && count < larger / 2 + 1);
        larger = count;
    }
    EXPECT_U64(found.count, p->model.count);
    for (size_t i = 0; i < found.count; i++)
        model_expect_equal(&found.entries[i], &p->model.entries[i]);
    model_release(&found);
}

TEST(memtable_orders_what_came_since_the_order_before)
{
    enum { ORDERS = 60 };
    struct pair p = { .table = memtable_create(1 << 20) };
    struct memtable_order *kept = NULL;
    uint32_t runs_max = 0;
    version_t version = 0;
    struct prng prng;

    prng_init(&prng, test_seed(14));
    for (int i = 0; i < ORDERS; i++) {
        uint64_t burst = prng_chance(&prng, 1, 4) ? prng_below(&prng, 200) : prng_below(&prng, 8);
        struct memtable_order *o;

        while (burst-- > 0)
            put_random(&p, &prng, prng_below(&prng, 700), ++version);
        EXPECT_OK(memtable_order(p.table, prng_chance(&prng, 1, 10), &o));
        check_runs(&p, o);
        if (memtable_order_run_count(o) > runs_max)
            runs_max = memtable_order_run_count(o);
        memtable_order_unref(kept); /* the newest two live at a time */
        kept = o;
    }
    EXPECT(runs_max >= 4);
    memtable_order_unref(kept);
    check_everything(&p);
    memtable_unref(p.table);
    model_release(&p.model);
}

/* Several ascending runs that interleave, meet and overtake one another. */
TEST(memtable_keeps_order_when_ascending_runs_interleave)
{
    struct pair p = { .table = memtable_create(1 << 20) };
    version_t version = 0;
    struct prng prng;
    uint32_t next[3] = { 0, 1000, 1500 };

    prng_init(&prng, test_seed(12));
    for (int i = 0; i < 3000; i++) {
        uint32_t run = (uint32_t)prng_below(&prng, 3);
        char text[16];
        struct entry e;

        snprintf(text, sizeof(text), "key%08u", next[run]++);
        e = text_entry(text, "v", ++version);
        EXPECT_OK(memtable_put(p.table, &e));
        model_put(&p.model, &e);
    }
    check_everything(&p);
    memtable_unref(p.table);
    model_release(&p.model);
}

/* ------------------------------------------------------------------ faults */

/* What was there before a put that failed is there after it, and nothing else. */
TEST(memtable_is_unchanged_by_a_put_that_finds_no_memory)
{
    struct mem_heap heap = { 0 };
    struct pair p = { 0 };
    uint8_t key[LIMIT_STORED_KEY_BYTES];
    struct prng prng;
    uint64_t failed = 0;

    prng_init(&prng, test_seed(13));
    mem_heap_enter(&heap);
    p.table = memtable_create(64 << 10);
    for (version_t v = 1; v <= 4000; v++) {
        uint8_t value[MODEL_VALUE_MAX];
        struct entry e = model_entry(&prng, model_key(prng_below(&prng, 3000), key, sizeof(key)), v,
                                     value, sizeof(value));
        enum status st;

        heap.fail_at = prng_chance(&prng, 1, 2) ? heap.allocation + 1 + prng_below(&prng, 2) : 0;
        heap.fail_for_good = prng_chance(&prng, 1, 2);
        st = memtable_put(p.table, &e);
        heap.fail_at = 0;
        mem_heap_enter(NULL);
        if (st == ST_OK)
            model_put(&p.model, &e);
        else
            EXPECT_ST(st, ST_NO_MEMORY);
        failed += st != ST_OK;
        check_get(&p, e.key, VERSION_MAX);
        mem_heap_enter(&heap);
    }
    mem_heap_enter(NULL);
    EXPECT(failed > 10);
    check_everything(&p);
    memtable_unref(p.table);
    EXPECT_U64(heap.block_count, 0);
    model_release(&p.model);
}

TEST(memtable_order_survives_the_failure_of_every_allocation)
{
    struct mem_heap heap = { 0 };
    struct pair p = { 0 };
    struct memtable_order *o = NULL;
    struct prng prng;
    uint64_t n = 0;

    prng_init(&prng, test_seed(15));
    p.table = memtable_create(1 << 20);
    for (version_t v = 1; v <= 300; v++)
        put_random(&p, &prng, prng_below(&prng, 200), v);
    EXPECT_OK(memtable_order(p.table, false, &o));
    memtable_order_unref(o);
    for (version_t v = 301; v <= 500; v++)
        put_random(&p, &prng, prng_below(&prng, 200), v);
    for (o = NULL; o == NULL;) {
        mem_heap_enter(&heap);
        heap.allocation = 0;
        heap.fail_at = ++n;
        if (memtable_order(p.table, true, &o) != ST_OK)
            EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(NULL);
    }
    EXPECT(n > 4);
    check_runs(&p, o);
    memtable_order_unref(o);
    memtable_unref(p.table);
    EXPECT_U64(heap.block_count, 0);
    model_release(&p.model);
}

TEST(memtable_create_survives_the_failure_of_every_allocation)
{
    struct mem_heap heap = { 0 };
    struct memtable *m = NULL;
    uint64_t n = 0;

    mem_heap_enter(&heap);
    while (m == NULL) {
        heap = (struct mem_heap){ .fail_at = ++n };
        m = memtable_create(1 << 20);
        if (m == NULL)
            EXPECT_U64(heap.block_count, 0);
    }
    EXPECT(n > 2);
    memtable_unref(m);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(NULL);
}

TEST_MAIN(RUN(memtable_finds_the_newest_version_that_the_snapshot_sees),
          RUN(memtable_keeps_type_and_expiry_and_counts_tombstones),
          RUN(memtable_that_is_empty_has_an_order_without_runs),
          RUN(memtable_order_keeps_what_it_was_made_of),
          RUN(memtable_lives_while_anyone_refers_to_it),
          RUN(memtable_that_holds_little_takes_little),
          RUN(memtable_bytes_are_what_the_heap_has_given),
          RUN(memtable_takes_the_largest_key_and_value),
          RUN(memtable_stays_fast_when_one_key_has_many_versions),
          RUN(memtable_equals_a_sorted_array_under_random_writes),
          RUN(memtable_keeps_order_when_ascending_runs_interleave),
          RUN(memtable_is_unchanged_by_a_put_that_finds_no_memory),
          RUN(memtable_orders_what_came_since_the_order_before),
          RUN(memtable_order_survives_the_failure_of_every_allocation),
          RUN(memtable_create_survives_the_failure_of_every_allocation))
