/* Tests of tables on an intact disk: what is written is what is read. */
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "unit/sst/fixture.h"

static const struct table_iter_options cached = { TABLE_BLOCK, true };
static const struct table_iter_options bulk = { TABLE_BLOCK, false };

static struct entry
text_entry(const char *key, const char *value, version_t version)
{
    return (struct entry){
        .key = slice_str(key), .value = slice_str(value), .version = version, .type = ENTRY_VALUE
    };
}

/* Build, read in both ways, verify. */
static void
round_trip(struct fix *f, const struct table_options *options, const struct model *m)
{
    struct table_info info = build(f, "t.sst", 9, options, m);
    struct table *t = open_table(f, "t.sst", &info);

    EXPECT(!read_back(f, t, m, &cached, ST_OK));
    EXPECT(!read_back(f, t, m, &bulk, ST_OK));
    table_close(t);
    EXPECT_OK(verify_table(f, "t.sst", &info));
    cache_drop_table(f->cache, 9);
    table_info_release(&info);
    EXPECT_OK(env_remove(f->env, "t.sst", &f->err));
}

TEST(table_with_one_entry_gives_it_back)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct model m = { 0 };
    struct entry e = text_entry("k", "v", 1);

    model_put(&m, &e);
    round_trip(&f, &options, &m);
    model_release(&m);
    teardown(&f);
}

TEST(table_gives_back_what_was_written_under_random_options)
{
    struct fix f = setup();
    struct prng p;

    prng_init(&p, test_seed(31));
    for (int round = 0; round < 24; round++) {
        struct table_options options = {
            .block_bytes = 64u << prng_below(&p, 8),
            .restart_interval = (uint32_t)prng_below(&p, 20) + 1,
            .filter_bits_per_key = (uint32_t)prng_below(&p, 16),
            .compression = (enum table_compression)(round % 3),
        };
        size_t key_max = round % 6 == 5 ? 3000 : 40;
        struct model m = random_model(&p, 1 + prng_below(&p, 500), UINT64_C(1) << (2 + round % 12),
                                      key_max, 200);

        round_trip(&f, &options, &m);
        model_release(&m);
    }
    teardown(&f);
}

/* Read each entry once in every way. */
static void
read_once(struct fix *f, const struct table_options *options, const struct model *m)
{
    struct table_info info = build(f, "t.sst", 9, options, m);
    struct table *t = open_table(f, "t.sst", &info);
    struct table_iter *it;

    for (size_t i = 0; i < m->count; i++) {
        struct table_found found;

        EXPECT_OK(table_get(t, m->entries[i].key, VERSION_MAX, TABLE_BLOCK, &found, &f->err));
        model_expect_equal(&found.entry, &m->entries[i]);
        cache_release(found.pin);
    }
    EXPECT_OK(table_iter_create(t, &bulk, &it));
    EXPECT_OK(table_iter_first(it, &f->err));
    for (size_t i = 0; i < m->count; i++) {
        struct entry e;

        table_iter_entry(it, &e);
        model_expect_equal(&e, &m->entries[i]);
        EXPECT_ST(table_iter_next(it, &f->err), i + 1 < m->count ? ST_OK : ST_NOT_FOUND);
    }
    table_iter_destroy(it);
    table_close(t);
    EXPECT_OK(verify_table(f, "t.sst", &info));
    table_info_release(&info);
    EXPECT_OK(env_remove(f->env, "t.sst", &f->err));
}

TEST(table_takes_the_largest_keys_and_values)
{
    struct fix f = setup();
    uint8_t *bytes = mem_alloc(LIMIT_VALUE_BYTES);
    struct prng p;

    assert_non_null(bytes);
    prng_init(&p, 32);
    for (size_t i = 0; i < LIMIT_VALUE_BYTES; i++) /* half of it can be packed */
        bytes[i] = i % (1 << 20) < 1 << 19 ? (uint8_t)prng_next(&p) : 'x';
    for (int kind = TABLE_PLAIN; kind <= TABLE_ZSTD; kind++) {
        struct table_options options = default_options();
        struct model m = { 0 };
        struct entry e = { .version = 1, .type = ENTRY_VALUE };

        options.compression = (enum table_compression)kind;
        for (size_t i = 0; i < 4; i++) {
            e.key = slice_of(bytes, i == 3 ? 0 : LIMIT_STORED_KEY_BYTES - i);
            e.value = slice_of(bytes, i == 1 ? LIMIT_VALUE_BYTES : 7 * i);
            model_put(&m, &e);
        }
        read_once(&f, &options, &m);
        model_release(&m);
    }
    mem_free(bytes);
    teardown(&f);
}

TEST(table_builder_refuses_what_no_reader_would_accept)
{
    struct fix f = setup();
    struct table_options options = default_options();
    size_t size = LIMIT_VALUE_BYTES + (2 << 20);
    uint8_t *bytes = mem_alloc_zero(size);
    struct model m = { 0 };
    struct entry e = { .version = 1, .type = ENTRY_VALUE };
    struct table_info info;

    assert_non_null(bytes);
    e.value = slice_of(bytes, size);
    model_put(&m, &e);
    EXPECT_ST(try_build(&f, "t.sst", 1, &options, &m, &info), ST_TOO_BIG);
    model_release(&m);
    mem_free(bytes);
    EXPECT_ST(env_remove(f.env, "t.sst", &f.err), ST_NOT_FOUND);
    teardown(&f);
}

TEST(table_info_says_what_was_written)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct model m = { 0 };
    struct entry e = text_entry("b", "12345", 70);
    struct table_info info;
    uint64_t size;

    model_put(&m, &e);
    e = text_entry("a", "123", 90);
    e.expiry_ms = 5;
    model_put(&m, &e);
    e = (struct entry){ .key = slice_str("c"), .version = 60, .type = ENTRY_TOMBSTONE };
    model_put(&m, &e);
    info = build(&f, "t.sst", 42, &options, &m);
    EXPECT_U64(info.entry_count, 3);
    EXPECT_U64(info.tombstone_count, 1);
    EXPECT_U64(info.expiring_count, 1);
    EXPECT_U64(info.raw_bytes, 3 + 8);
    EXPECT_U64(info.version_min, 60);
    EXPECT_U64(info.version_max, 90);
    EXPECT_SLICE(buf_slice(&info.smallest), "a");
    EXPECT_SLICE(buf_slice(&info.largest), "c");
    EXPECT_OK(env_stat(f.env, "t.sst", &size, &f.err));
    EXPECT_U64(info.file_bytes, size);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

TEST(table_builder_does_not_touch_a_file_that_is_there)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct table_builder *b;

    EXPECT(sim_disk_write(f.sim, NODE, "t.sst", slice_str("precious")));
    EXPECT_ST(
        table_builder_create(f.env, "t.sst", &(struct table_id){ 1, 1 }, &options, &b, &f.err),
        ST_EXISTS);
    teardown(&f);
}

TEST(table_builder_that_gives_up_leaves_no_file)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct table_builder *b;
    struct entry e = text_entry("k", "v", 1);

    EXPECT_OK(
        table_builder_create(f.env, "t.sst", &(struct table_id){ 1, 1 }, &options, &b, &f.err));
    EXPECT_OK(table_builder_add(b, &e, &f.err));
    EXPECT(table_builder_file_bytes(b) > 0);
    table_builder_abandon(b);
    table_builder_abandon(NULL);
    EXPECT_ST(env_remove(f.env, "t.sst", &f.err), ST_NOT_FOUND);
    teardown(&f);
}

/* What was finished survives a power cut, once its folder is synced. */
TEST(table_is_durable_when_it_is_finished)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct model m;
    struct prng p;
    struct table_info info;
    struct table *t;

    prng_init(&p, test_seed(33));
    m = random_model(&p, 2000, 1000, 30, 100);
    info = build(&f, "t.sst", 3, &options, &m);
    EXPECT_OK(env_sync_dir(f.env, ".", &f.err));
    sim_crash(f.sim, NODE);
    f.env = sim_boot(f.sim, NODE, 0);
    t = open_table(&f, "t.sst", &info);
    EXPECT(!read_back(&f, t, &m, &cached, ST_OK));
    table_close(t);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

/* ------------------------------------------------------------------ never blocking */

/* TABLE_TRY either answers or says that it would block; after a blocking read has filled the
 * cache, it answers. */
TEST(table_try_answers_from_the_cache_or_says_so)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct model m;
    struct prng p;
    struct table_info info;
    struct table *t;
    uint64_t blocked = 0;

    prng_init(&p, test_seed(34));
    m = random_model(&p, 1500, 1000, 30, 100);
    info = build(&f, "t.sst", 3, &options, &m);
    t = open_table(&f, "t.sst", &info);
    sim_set_cold_percent(f.sim, NODE, 100);
    for (size_t i = 0; i < m.count; i++) {
        const struct entry *e = &m.entries[i];
        struct table_found found;
        enum status st = table_get(t, e->key, e->version, TABLE_TRY, &found, &f.err);

        if (st == ST_WOULD_BLOCK) {
            blocked++;
            EXPECT_OK(table_get(t, e->key, e->version, TABLE_BLOCK, &found, &f.err));
            cache_release(found.pin);
            st = table_get(t, e->key, e->version, TABLE_TRY, &found, &f.err);
        }
        EXPECT_ST(st, ST_OK);
        model_expect_equal(&found.entry, e);
        cache_release(found.pin);
    }
    EXPECT(blocked > 5);
    table_close(t);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

static void
seek_until_warm(struct fix *f, struct table_iter *it, const struct entry *e, uint64_t *blocked)
{
    enum status st = table_iter_seek(it, e->key, e->version, &f->err);

    for (int i = 0; st == ST_WOULD_BLOCK && i < 1000; i++) {
        (*blocked)++;
        st = table_iter_seek(it, e->key, e->version, &f->err);
    }
    EXPECT_OK(st);
}

TEST(table_iterator_that_would_block_may_repeat_its_seek)
{
    struct fix f = setup();
    const struct table_iter_options options[2] = { { TABLE_TRY, true }, { TABLE_TRY, false } };
    struct table_options table_options = default_options();
    struct model m;
    struct prng p;
    struct table_info info;
    struct table *t;

    prng_init(&p, test_seed(35));
    m = random_model(&p, 1000, 1000, 30, 100);
    info = build(&f, "t.sst", 3, &table_options, &m);
    t = open_table(&f, "t.sst", &info);
    sim_set_cold_percent(f.sim, NODE, 70);
    for (int kind = 0; kind < 2; kind++) {
        uint64_t blocked = 0;
        struct table_iter *it;

        cache_drop_table(f.cache, 3);
        EXPECT_OK(table_iter_create(t, &options[kind], &it));
        for (size_t i = 0; i < m.count; i++) {
            struct entry e;

            seek_until_warm(&f, it, &m.entries[i], &blocked);
            table_iter_entry(it, &e);
            model_expect_equal(&e, &m.entries[i]);
        }
        EXPECT(blocked > 5);
        table_iter_destroy(it);
    }
    table_close(t);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

/* A reactor is not kept busy with a huge block, even when the page cache has it. */
TEST(table_try_leaves_huge_blocks_to_jobs)
{
    struct fix f = setup();
    struct table_options options = default_options();
    uint8_t *bytes = mem_alloc_zero(4 << 20);
    struct entry e = text_entry("k", "", 1);
    struct model m = { 0 };
    struct table_found found;
    struct table_info info;
    struct table *t;

    e.value = slice_of(bytes, 4 << 20);
    model_put(&m, &e);
    info = build(&f, "t.sst", 3, &options, &m);
    t = open_table(&f, "t.sst", &info);
    sim_set_cold_percent(f.sim, NODE, 0);
    EXPECT_ST(table_get(t, e.key, 1, TABLE_TRY, &found, &f.err), ST_WOULD_BLOCK);
    EXPECT_OK(table_get(t, e.key, 1, TABLE_BLOCK, &found, &f.err));
    model_expect_equal(&found.entry, &e);
    cache_release(found.pin);
    table_close(t);
    table_info_release(&info);
    model_release(&m);
    mem_free(bytes);
    teardown(&f);
}

/* ------------------------------------------------------------------ economy */

static uint64_t
misses(const struct fix *f)
{
    struct cache_counters c;

    cache_count(f->cache, &c);
    return c.misses;
}

TEST(table_get_reads_a_block_once)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct entry e = text_entry("k", "v", 1);
    struct model m = { 0 };
    struct table_found found;
    struct table_info info;
    struct table *t;
    uint64_t reads;

    model_put(&m, &e);
    info = build(&f, "t.sst", 3, &options, &m);
    t = open_table(&f, "t.sst", &info);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(table_get(t, e.key, 1, TABLE_BLOCK, &found, &f.err));
        cache_release(found.pin);
        if (i == 0)
            reads = sim_op_count(f.sim, NODE, SIM_READ);
    }
    EXPECT_U64(sim_op_count(f.sim, NODE, SIM_READ), reads);
    EXPECT_U64(misses(&f), 1);
    table_close(t);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

TEST(table_bulk_reads_are_few_and_leave_the_cache_alone)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct cache_counters before;
    struct cache_counters after;
    struct table_iter *it;
    struct table_info info;
    struct table *t;
    struct model m;
    struct prng p;
    enum status st;
    uint64_t reads;

    prng_init(&p, 36);
    m = random_model(&p, 6000, 100000, 30, 400);
    info = build(&f, "t.sst", 3, &options, &m);
    t = open_table(&f, "t.sst", &info);
    EXPECT_OK(table_iter_create(t, &bulk, &it));
    cache_count(f.cache, &before);
    reads = sim_op_count(f.sim, NODE, SIM_READ);
    for (st = table_iter_first(it, &f.err); st == ST_OK; st = table_iter_next(it, &f.err))
        continue;
    EXPECT_ST(st, ST_NOT_FOUND);
    reads = sim_op_count(f.sim, NODE, SIM_READ) - reads;
    EXPECT(info.file_bytes > 1 << 20);
    EXPECT(reads < 12);
    reads = sim_op_count(f.sim, NODE, SIM_READ);
    for (st = table_iter_last(it, &f.err); st == ST_OK; st = table_iter_prev(it, &f.err))
        continue;
    EXPECT_ST(st, ST_NOT_FOUND);
    EXPECT(sim_op_count(f.sim, NODE, SIM_READ) - reads < 12);
    cache_count(f.cache, &after);
    EXPECT_U64(after.bytes, before.bytes);
    table_iter_destroy(it);
    table_close(t);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

/* P6: what an open table and its iterators take is charged, and returned (teardown looks). */
TEST(table_memory_is_charged_to_the_budget)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct table_info info;
    struct table_iter *it;
    struct table *t;
    struct model m;
    struct prng p;
    size_t before;

    prng_init(&p, 37);
    m = random_model(&p, 3000, 100000, 30, 100);
    info = build(&f, "t.sst", 3, &options, &m);
    table_close(open_table(&f, "t.sst", &info));
    before = budget_used(&f.budget);
    t = open_table(&f, "t.sst", &info);
    EXPECT(table_memory_bytes(t) > 3000);
    EXPECT_U64(budget_used(&f.budget), before + table_memory_bytes(t));
    EXPECT_OK(table_iter_create(t, &bulk, &it));
    EXPECT_OK(table_iter_first(it, &f.err));
    EXPECT(budget_used(&f.budget) > before + table_memory_bytes(t));
    table_iter_destroy(it);
    EXPECT_U64(budget_used(&f.budget), before + table_memory_bytes(t));
    table_close(t);
    EXPECT_U64(budget_used(&f.budget), before);
    table_close(NULL);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

/* The size of a table whose values are all zeros, or random. */
static uint64_t
size_of_table(struct fix *f, enum table_compression kind, bool random)
{
    struct table_options options = default_options();
    struct model m = { 0 };
    struct table_info info;
    struct prng p;
    uint64_t size;

    options.compression = kind;
    prng_init(&p, 38);
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t key = hash_u64(i);
        uint8_t value[400] = { 0 };
        struct entry e = { slice_of(&key, sizeof(key)), slice_of(value, sizeof(value)), 1, 0,
                           ENTRY_VALUE };

        for (size_t j = 0; random && j < sizeof(value); j++)
            value[j] = (uint8_t)prng_next(&p);
        model_put(&m, &e);
    }
    info = build(f, "t.sst", 3, &options, &m);
    size = info.file_bytes;
    EXPECT_OK(env_remove(f->env, "t.sst", &f->err));
    table_info_release(&info);
    model_release(&m);
    return size;
}

/* Blocks shrink when they can, and are stored plain when they cannot. */
/* P6: what one huge value passes through on its way into a table. */
TEST(table_builder_charges_what_it_holds_of_large_blocks)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct budget budget;
    struct table_builder *b;
    struct table_info info;
    uint8_t *huge = mem_alloc_zero(LIMIT_VALUE_BYTES);
    struct entry e = text_entry("a", "small", 1);

    EXPECT(huge != NULL);
    budget_init(&budget, 1 << 20);
    options.budget = &budget;
    EXPECT_OK(
        table_builder_create(f.env, "t.sst", &(struct table_id){ 9, 9 }, &options, &b, &f.err));
    EXPECT_OK(table_builder_add(b, &e, &f.err));
    EXPECT_U64(budget_used(&budget), 0);
    e = text_entry("b", "", 1);
    e.value = slice_of(huge, LIMIT_VALUE_BYTES);
    EXPECT_OK(table_builder_add(b, &e, &f.err));
    e = text_entry("c", "small", 1);
    EXPECT_OK(table_builder_add(b, &e, &f.err)); /* the block before is finished */
    EXPECT(budget_used(&budget) >= LIMIT_VALUE_BYTES);
    EXPECT_OK(table_builder_finish(b, &info, &f.err));
    EXPECT_U64(budget_used(&budget), 0);
    table_info_release(&info);
    mem_free(huge);
    teardown(&f);
}

TEST(table_compresses_what_is_worth_it)
{
    struct fix f = setup();

    for (int kind = TABLE_LZ4; kind <= TABLE_ZSTD; kind++) {
        EXPECT(size_of_table(&f, (enum table_compression)kind, false) <
               size_of_table(&f, TABLE_PLAIN, false) / 4);
        EXPECT_U64(size_of_table(&f, (enum table_compression)kind, true),
                   size_of_table(&f, TABLE_PLAIN, true));
    }
    teardown(&f);
}

TEST_MAIN(RUN(table_with_one_entry_gives_it_back),
          RUN(table_gives_back_what_was_written_under_random_options),
          RUN(table_takes_the_largest_keys_and_values),
          RUN(table_builder_refuses_what_no_reader_would_accept),
          RUN(table_info_says_what_was_written),
          RUN(table_builder_does_not_touch_a_file_that_is_there),
          RUN(table_builder_that_gives_up_leaves_no_file),
          RUN(table_is_durable_when_it_is_finished),
          RUN(table_try_answers_from_the_cache_or_says_so),
          RUN(table_iterator_that_would_block_may_repeat_its_seek),
          RUN(table_try_leaves_huge_blocks_to_jobs), RUN(table_get_reads_a_block_once),
          RUN(table_bulk_reads_are_few_and_leave_the_cache_alone),
          RUN(table_memory_is_charged_to_the_budget),
          RUN(table_builder_charges_what_it_holds_of_large_blocks),
          RUN(table_compresses_what_is_worth_it))
