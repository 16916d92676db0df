/* Every allocation and every call to the disk fails in turn, once and for good: each
 * step either does all that it says or fails with the cause, nothing leaks, nothing
 * stays open, and no file is left that was not finished. */
#include "base/mem.h"

#include "unit/sst/fixture.h"

enum { NUMBER = 6 };

static const char *const path = "t.sst";

/* What a run has to see. */
struct run {
    struct fix f;
    struct model model;
    enum table_compression kind;
    enum status cause; /* what a failing step may say */
    uint64_t failures;
};

static struct model
make_model(void)
{
    struct prng p;

    prng_init(&p, 51);
    return random_model(&p, 60, 40, 30, 120);
}

/* True when the step worked; a step that did not must name the cause. */
static bool
worked(struct run *r, enum status st)
{
    if (st == ST_OK)
        return true;
    EXPECT_ST(st, r->cause);
    EXPECT_U64(r->f.err.code, st);
    r->failures++;
    r->f.err.code = ST_OK;
    return false;
}

static void
get_all(struct run *r, struct table *t)
{
    for (size_t i = 0; i < r->model.count; i += 7) {
        const struct entry *e = &r->model.entries[i];
        struct table_found found;
        enum status st = table_get(t, e->key, e->version, TABLE_BLOCK, &found, &r->f.err);

        if (!worked(r, st))
            continue;
        model_expect_equal(&found.entry, e);
        cache_release(found.pin);
    }
}

static void
walk_all(struct run *r, struct table *t, bool fill_cache)
{
    const struct table_iter_options options = { TABLE_BLOCK, fill_cache };
    struct table_iter *it;
    enum status st = table_iter_create(t, &options, &it);
    size_t i = 0;

    if (st != ST_OK) {
        EXPECT_ST(st, r->cause);
        r->failures++;
        return;
    }
    for (st = table_iter_first(it, &r->f.err); st == ST_OK; st = table_iter_next(it, &r->f.err)) {
        struct entry e;

        table_iter_entry(it, &e);
        model_expect_equal(&e, &r->model.entries[i++]);
    }
    if (st == ST_NOT_FOUND)
        EXPECT_U64(i, r->model.count);
    else
        EXPECT(!worked(r, st));
    table_iter_destroy(it);
}

static void
read_all(struct run *r, const struct table_info *info, struct cache *cache, struct budget *budget)
{
    struct table *t;
    enum status st = table_open(r->f.env, path, info, cache, budget, &t, &r->f.err);

    if (!worked(r, st))
        return;
    get_all(r, t);
    cache_drop_table(cache, NUMBER);
    walk_all(r, t, true);
    cache_drop_table(cache, NUMBER);
    walk_all(r, t, false);
    table_close(t);
}

static void
read_and_verify(struct run *r, const struct table_info *info)
{
    struct budget budget;
    struct cache *cache;

    budget_init(&budget, 1 << 20);
    cache = cache_create(64 << 10, &budget);
    if (cache == NULL)
        r->failures++;
    else
        read_all(r, info, cache, &budget);
    cache_destroy(cache);
    EXPECT_U64(budget_used(&budget), 0);
    (void)worked(r, table_verify(r->f.env, path, info, NULL, NULL, &r->f.err));
}

static void
life(struct run *r)
{
    struct table_options options = {
        .block_bytes = 256, .restart_interval = 4, .filter_bits_per_key = 10, .compression = r->kind
    };
    struct table_info info;
    uint64_t size;

    if (worked(r, try_build(&r->f, path, NUMBER, &options, &r->model, &info))) {
        read_and_verify(r, &info);
        table_info_release(&info);
        return;
    }
    sim_fail(r->f.sim, NODE, SIM_OP_ALL, 0, false, ST_IO);
    /* A remove that failed as well leaves an orphan, which recovery deletes. */
    if (env_stat(r->f.env, path, &size, NULL) == ST_OK)
        EXPECT(r->cause == ST_IO);
}

static struct run
start(enum table_compression kind, enum status cause)
{
    struct run r = { .f = setup(), .kind = kind, .cause = cause };

    r.model = make_model();
    return r;
}

static void
end(struct run *r)
{
    model_release(&r->model);
    teardown(&r->f);
}

/* The number of allocations that failed before a run found none left to fail. */
static uint64_t
fail_allocations(enum table_compression kind, bool for_good)
{
    for (uint64_t n = 1;; n++) {
        struct run r = start(kind, ST_NO_MEMORY);
        struct mem_heap heap = { .fail_at = n, .fail_for_good = for_good };
        struct mem_heap *outer = mem_heap_enter(&heap);
        bool done;

        life(&r);
        mem_heap_enter(outer);
        EXPECT_U64(heap.block_count, 0);
        done = heap.allocation < n;
        EXPECT(done == (r.failures == 0));
        end(&r);
        if (done) {
            print_message("%llu points of failure\n", (unsigned long long)n - 1);
            return n - 1;
        }
    }
}

static uint64_t
fail_calls(enum table_compression kind, bool for_good)
{
    for (uint64_t n = 1;; n++) {
        struct run r = start(kind, ST_IO);
        bool done;

        sim_fail(r.f.sim, NODE, SIM_OP_ALL, n, for_good, ST_IO);
        life(&r);
        sim_fail(r.f.sim, NODE, SIM_OP_ALL, 0, false, ST_IO);
        done = r.failures == 0;
        end(&r);
        if (done) {
            print_message("%llu points of failure\n", (unsigned long long)n - 1);
            return n - 1;
        }
    }
}

TEST(table_survives_the_failure_of_every_allocation)
{
    for (int kind = TABLE_PLAIN; kind <= TABLE_ZSTD; kind++) {
        EXPECT(fail_allocations((enum table_compression)kind, false) > 50);
        EXPECT(fail_allocations((enum table_compression)kind, true) > 50);
    }
}

TEST(table_survives_the_failure_of_every_call_to_the_disk)
{
    EXPECT(fail_calls(TABLE_LZ4, false) > 20);
    EXPECT(fail_calls(TABLE_LZ4, true) > 20);
}

/* B3, P4: a sync that failed is never tried again, and the table is not announced. */
TEST(table_builder_fails_when_the_sync_does)
{
    struct run r = start(TABLE_PLAIN, ST_IO);
    struct table_options options = default_options();
    struct table_info info;

    sim_fail(r.f.sim, NODE, SIM_SYNC, 1, false, ST_IO);
    EXPECT_ST(try_build(&r.f, path, NUMBER, &options, &r.model, &info), ST_IO);
    EXPECT_U64(sim_op_count(r.f.sim, NODE, SIM_SYNC), 1);
    EXPECT_ST(env_remove(r.f.env, path, NULL), ST_NOT_FOUND);
    end(&r);
}

/* B4 */
TEST(table_builder_that_failed_stays_failed)
{
    struct run r = start(TABLE_PLAIN, ST_NO_SPACE);
    struct table_options options = default_options();
    uint8_t *value = mem_alloc_zero(2 << 20);
    struct entry e = { slice_str("a"), slice_of(value, 2 << 20), 1, 0, ENTRY_VALUE };
    struct table_builder *b;
    struct table_info info;

    EXPECT_OK(table_builder_create(r.f.env, path, &(struct table_id){ NUMBER, NUMBER }, &options,
                                   &b, &r.f.err));
    EXPECT_OK(table_builder_add(b, &e, &r.f.err));
    sim_fail(r.f.sim, NODE, SIM_WRITE, 1, false, ST_NO_SPACE);
    e.key = slice_str("b");
    EXPECT_ST(table_builder_add(b, &e, &r.f.err), ST_NO_SPACE);
    e.key = slice_str("c");
    EXPECT_ST(table_builder_add(b, &e, &r.f.err), ST_NO_SPACE);
    EXPECT_ST(table_builder_finish(b, &info, &r.f.err), ST_NO_SPACE);
    EXPECT_ST(env_remove(r.f.env, path, NULL), ST_NOT_FOUND);
    mem_free(value);
    end(&r);
}

TEST_MAIN(RUN(table_survives_the_failure_of_every_allocation),
          RUN(table_survives_the_failure_of_every_call_to_the_disk),
          RUN(table_builder_fails_when_the_sync_does), RUN(table_builder_that_failed_stays_failed))
