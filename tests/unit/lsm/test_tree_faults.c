/*
 * Everything that can fail does, in turn: allocations, env calls, the power.
 *
 * One script goes through the life of a tree.  It stops at the first failure, which must be
 * the one that was injected; the tree must then hold what it held, go on when asked again, and
 * hold the same after a power cut.
 */
#include "unit/lsm/tree_fixture.h"

enum { KEYS = 18 };

struct script {
    struct fix f;
    bool torn;        /* the last unit of the model was not applied */
    uint64_t flushed; /* the last answer of lsm_flushed() */
    enum status st;
};

/* ------------------------------------------------------------------ the script */

static enum status
apply(struct script *s)
{
    enum status st = fix_try_apply(&s->f, &s->f.model.units[s->f.model.count - 1]);

    s->torn = st != ST_OK;
    return st;
}

static enum status
write_keys(struct script *s, uint32_t begin, uint32_t step, bool live)
{
    for (uint32_t key = begin; key < KEYS; key += 3 * step) {
        struct model_unit *u = model_add(&s->f.model, false);
        enum status st;

        for (uint32_t i = 0; i < 3 && key + i * step < KEYS; i++) {
            if (live)
                model_write(u, key + i * step, 250, key == 6 ? s->f.model.now_ms + 5 : 0);
            else
                model_delete(u, key + i * step);
        }
        st = apply(s);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status
flush(struct script *s)
{
    enum status st = lsm_switch(s->f.tree);

    while (st == ST_OK && lsm_flush_due(s->f.tree)) {
        st = lsm_flush(s->f.tree, &s->f.err);
        s->flushed = lsm_flushed(s->f.tree).index;
    }
    return st;
}

static enum status
read_all(struct script *s)
{
    struct lsm_iter_options options = { .now_ms = s->f.model.now_ms, .fill_cache = true };
    struct lsm_iter *it = NULL;
    enum status st = ST_OK;

    for (uint32_t key = 0; key < KEYS && (st == ST_OK || st == ST_NOT_FOUND); key += 5) {
        char room[MODEL_KEY_BYTES];
        struct lsm_found found;

        st = lsm_get(s->f.tree, model_key(key, room), VERSION_MAX, &found, &s->f.err);
        lsm_found_release(&found);
    }
    if (st != ST_OK && st != ST_NOT_FOUND)
        return st;
    st = lsm_iter_create(s->f.tree, &options, &it, &s->f.err);
    if (st != ST_OK)
        return st;
    for (st = lsm_iter_first(it, &s->f.err); st == ST_OK;)
        st = lsm_iter_next(it, &s->f.err);
    if (st == ST_NOT_FOUND)
        st = lsm_iter_last(it, &s->f.err);
    while (st == ST_OK)
        st = lsm_iter_prev(it, &s->f.err);
    lsm_iter_destroy(it);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status
compact(struct script *s)
{
    enum status st;

    do {
        st = lsm_compact(s->f.tree, &s->f.err);
    } while (st == ST_OK);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status
clear(struct script *s)
{
    model_add(&s->f.model, true);
    return apply(s);
}

static enum status
snapshot_and_flush(struct script *s)
{
    struct lsm_snapshot *snapshot = lsm_snapshot_take(s->f.tree);
    enum status st;

    if (snapshot == NULL)
        return ST_NO_MEMORY;
    st = write_keys(s, 1, 1, true);
    if (st == ST_OK)
        st = flush(s);
    lsm_snapshot_release(s->f.tree, snapshot);
    return st;
}

static enum status
compact_all(struct script *s)
{
    struct lsm_compact_report report;
    enum status st;

    fix_pass_time(&s->f, 10);
    st = flush(s);
    return st == ST_OK ? lsm_compact_all(s->f.tree, &report, &s->f.err) : st;
}

static enum status
reopen(struct script *s)
{
    lsm_close(s->f.tree);
    s->f.tree = NULL;
    return fix_try_open(&s->f);
}

static enum status
start(struct script *s)
{
    return fix_try_start(&s->f);
}

static enum status
sweep(struct script *s)
{
    return lsm_sweep(s->f.tree, &s->f.err);
}

static enum status
write_first(struct script *s)
{
    enum status st = write_keys(s, 0, 2, true);

    return st == ST_OK ? flush(s) : st;
}

static enum status
write_deletes(struct script *s)
{
    enum status st = write_keys(s, 0, 3, false);

    return st == ST_OK ? flush(s) : st;
}

static enum status
write_last(struct script *s)
{
    return write_keys(s, 2, 4, true);
}

static enum status
run(struct script *s)
{
    static enum status (*const steps[])(struct script * s) = {
        start,    write_first, snapshot_and_flush, write_deletes, compact,     read_all,
        reopen,   write_last,  read_all,           flush,         compact_all, sweep,
        read_all, clear,       write_last,         flush,         sweep,       read_all,
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum status st = steps[i](s);

        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* ------------------------------------------------------------------ around it */

static void
begin(struct script *s, uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    fix_init(&s->f, seed);
    s->f.options.memtable_bytes = 64 << 10;
    s->f.options.table_bytes = 1500;
    s->f.options.level_base_bytes = 4000;
    s->f.options.tables.block_bytes = 512;
}

static void
check(struct script *s)
{
    for (uint32_t key = 0; key < KEYS; key++)
        fix_check_key(&s->f, key, VERSION_MAX);
}

/* After a failure the tree holds what it held, and goes on where it stopped. */
static void
go_on(struct script *s)
{
    if (s->f.tree == NULL) {
        fix_stop(&s->f);
        EXPECT_OK(fix_try_start(&s->f)); /* and with it the torn unit */
    } else if (s->torn) {
        s->f.model.count--;
        check(s);
        s->f.model.count++;
        fix_apply_last(&s->f);
    } else if (lsm_visible(s->f.tree) < model_last_version(&s->f.model)) {
        fix_reopen(&s->f); /* it failed while the log was played */
    }
    check(s);
    EXPECT_OK(flush(s));
    EXPECT_OK(compact(s));
    EXPECT_OK(sweep(s));
    check(s);
}

static void
recover(struct script *s)
{
    fix_boot(&s->f);
    fix_open(&s->f);
    EXPECT(lsm_flushed(s->f.tree).index >= s->flushed);
    check(s);
}

static void
cut_power_and_end(struct script *s)
{
    fix_leave(&s->f);
    sim_crash(s->f.world, NODE);
    recover(s);
    fix_close(&s->f);
}

/* ------------------------------------------------------------------ tests */

static bool
fail_allocation(uint64_t nth, bool for_good)
{
    struct mem_heap *heap;
    struct script s;
    enum status st;
    bool over;

    begin(&s, nth);
    heap = sim_heap(s.f.world, NODE);
    fix_enter(&s.f);
    heap->fail_at = heap->allocation + nth;
    heap->fail_for_good = for_good;
    st = run(&s);
    over = heap->allocation < heap->fail_at;
    heap->fail_at = 0;
    EXPECT(st == ST_OK || st == ST_NO_MEMORY || st == ST_IO); /* io: half-way through a manifest */
    EXPECT(!over || st == ST_OK);
    go_on(&s);
    fix_close(&s.f);
    return !over;
}

TEST(every_allocation_may_fail)
{
    uint64_t nth;

    for (nth = 1; fail_allocation(nth, false); nth++)
        EXPECT(nth < 100000);
    for (nth = 1; fail_allocation(nth, true); nth++)
        EXPECT(nth < 100000);
    print_message("%llu allocations\n", (unsigned long long)nth);
}

static bool
fail_call(uint64_t nth, bool for_good, enum status how)
{
    struct script s;
    enum status st;
    bool over;

    begin(&s, nth);
    fix_enter(&s.f);
    sim_fail(s.f.world, NODE, SIM_OP_ALL, nth, for_good, how);
    st = run(&s);
    over = sim_op_count(s.f.world, NODE, SIM_OP_ALL) < nth;
    sim_fail(s.f.world, NODE, SIM_OP_ALL, 0, false, ST_IO);
    if (st != ST_OK)
        EXPECT_ST(st, how);
    EXPECT(!over || st == ST_OK);
    go_on(&s);
    cut_power_and_end(&s);
    return !over;
}

TEST(every_env_call_may_fail_once)
{
    for (uint64_t nth = 1; fail_call(nth, false, ST_IO); nth++)
        EXPECT(nth < 100000);
}

TEST(every_env_call_may_fail_for_good)
{
    for (uint64_t nth = 1; fail_call(nth, true, nth % 2 == 0 ? ST_IO : ST_NO_SPACE); nth++)
        EXPECT(nth < 100000);
}

static void
run_in_fiber(void *ctx)
{
    struct script *s = ctx;

    s->st = run(s);
}

static bool
crash_at(uint64_t nth, bool after)
{
    struct script s;
    bool finished;

    begin(&s, nth * 2 + after);
    sim_crash_at(s.f.world, NODE, SIM_OP_ALL, nth, after);
    finished = sim_call(s.f.world, NODE, run_in_fiber, &s);
    sim_crash_at(s.f.world, NODE, SIM_OP_ALL, 0, false);
    if (finished) {
        EXPECT_OK(s.st);
        sim_crash(s.f.world, NODE);
    }
    recover(&s);
    EXPECT_OK(flush(&s));
    EXPECT_OK(compact(&s));
    check(&s);
    cut_power_and_end(&s);
    return !finished;
}

TEST(the_power_may_be_cut_at_every_env_call)
{
    for (uint64_t nth = 1; crash_at(nth, nth % 2 == 0); nth++)
        EXPECT(nth < 100000);
}

TEST(the_power_may_be_cut_on_the_other_side_of_every_env_call)
{
    for (uint64_t nth = 1; crash_at(nth, nth % 2 != 0); nth++)
        EXPECT(nth < 100000);
}

/* A test of the test above: with a sync that does nothing, it must find a loss. */
TEST(a_table_that_is_not_synced_is_found_out)
{
    uint64_t losses = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct script s;
        enum status st;

        begin(&s, seed);
        sim_ignore_sync(s.f.world, NODE, ".sst");
        fix_enter(&s.f);
        EXPECT_OK(start(&s));
        EXPECT_OK(write_first(&s));
        fix_leave(&s.f);
        sim_crash(s.f.world, NODE);
        fix_boot(&s.f);
        fix_enter(&s.f);
        st = fix_try_start(&s.f);
        for (uint32_t key = 0; key < KEYS && st == ST_OK; key += 2) {
            char room[MODEL_KEY_BYTES];
            struct lsm_found found;

            st = lsm_get(s.f.tree, model_key(key, room), VERSION_MAX, &found, &s.f.err);
            lsm_found_release(&found);
        }
        losses += st != ST_OK;
        EXPECT(st == ST_OK || st == ST_CORRUPT);
        fix_close(&s.f);
    }
    EXPECT(losses > 0);
}

TEST_MAIN(RUN(every_allocation_may_fail), RUN(every_env_call_may_fail_once),
          RUN(every_env_call_may_fail_for_good), RUN(the_power_may_be_cut_at_every_env_call),
          RUN(the_power_may_be_cut_on_the_other_side_of_every_env_call),
          RUN(a_table_that_is_not_synced_is_found_out))
