/*
 * Everything that can fail during an import does, in turn: allocations, env calls, the power.
 *
 * The follower has a table, a sealed memtable and an active one; then it imports.  Whatever
 * happens, it holds what it held or what the leader sent, the whole of it; and an import that is
 * begun again succeeds.
 */
#include "lsm/lsm_internal.h"
#include "unit/lsm/shipment.h"

enum { OLD_UNITS = 30 };

/* What is sent, once for all tests. */
static struct model leader;
static struct shipment ship;

struct script {
    struct fix f;
    enum status st;
};

/* ------------------------------------------------------------------ the script */

static void
begin(struct script *s, uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    fix_init(&s->f, seed);
    s->f.store_id = 22;
    fix_open(&s->f);
    model_copy(&s->f.model, &leader, OLD_UNITS);
    for (uint32_t i = 0; i < OLD_UNITS; i++) {
        fix_apply(&s->f, &s->f.model.units[i]);
        if (i == OLD_UNITS / 3)
            fix_flush(&s->f);
        if (i == OLD_UNITS / 2)
            EXPECT_OK(lsm_switch(s->f.tree));
    }
}

static void
check_keys(struct script *s)
{
    for (uint32_t key = 0; key < MODEL_KEYS; key += 3)
        fix_check_key(&s->f, key, VERSION_MAX);
}

/* Old or new?  The model follows; in either case all of it is there. */
static bool
judge(struct script *s)
{
    bool is_new = lsm_flushed(s->f.tree).index == ship.mark.index;

    if (is_new)
        model_copy(&s->f.model, &leader, (uint32_t)ship.mark.index);
    EXPECT_U64(lsm_visible(s->f.tree), model_last_version(&s->f.model));
    check_keys(s);
    return is_new;
}

static void
check_files(struct script *s)
{
    struct lsm_stats stats = fix_stats(&s->f);
    uint32_t tables = 0;

    for (uint32_t level = 0; level < LIMIT_LEVELS; level++)
        tables += stats.tables[level];
    EXPECT_U64(fix_count_files(&s->f, ".sst"), tables);
}

/* The replay of fix_open() would apply old units to a new tree: the log is cut at the mark. */
static void
reopen_after_crash(struct script *s)
{
    fix_boot(&s->f);
    fix_open(&s->f);
    (void)judge(s);
    check_files(s);
}

/* Whatever it is now, the import can be done, and is durable. */
static void
import_at_last(struct script *s)
{
    EXPECT_OK(shipment_import(&ship, &s->f));
    EXPECT(judge(s));
    EXPECT_OK(lsm_sweep(s->f.tree, &s->f.err)); /* a file whose removal has failed stays for now */
    fix_put(&s->f, 1, 100);
    fix_flush(&s->f);
    fix_leave(&s->f);
    sim_crash(s->f.world, NODE);
    fix_boot(&s->f);
    fix_open(&s->f);
    check_keys(s);
    check_files(s);
    fix_close(&s->f);
}

/* ------------------------------------------------------------------ tests */

static bool
fail_allocation(uint64_t nth, bool for_good)
{
    struct mem_heap *heap;
    struct script s;
    bool over, is_new;

    begin(&s, nth);
    heap = sim_heap(s.f.world, NODE);
    heap->fail_at = heap->allocation + nth;
    heap->fail_for_good = for_good;
    s.st = shipment_import(&ship, &s.f);
    over = heap->allocation < heap->fail_at;
    heap->fail_at = 0;
    EXPECT(s.st == ST_OK || s.st == ST_NO_MEMORY || s.st == ST_IO); /* io: midway in a manifest */
    EXPECT(!over || s.st == ST_OK);
    is_new = judge(&s);
    EXPECT(is_new == (s.st == ST_OK));
    import_at_last(&s);
    return !over;
}

TEST(every_allocation_may_fail)
{
    uint64_t nth;

    for (nth = 1; fail_allocation(nth, false); nth++)
        EXPECT(nth < 100000);
    EXPECT(nth > 60);
    for (nth = 1; fail_allocation(nth, true); nth++)
        EXPECT(nth < 100000);
}

static bool
fail_call(uint64_t nth, bool for_good, enum status how)
{
    struct script s;
    uint64_t before;
    bool over;

    begin(&s, nth);
    before = sim_op_count(s.f.world, NODE, SIM_OP_ALL);
    sim_fail(s.f.world, NODE, SIM_OP_ALL, nth, for_good, how);
    s.st = shipment_import(&ship, &s.f);
    over = sim_op_count(s.f.world, NODE, SIM_OP_ALL) - before < nth;
    sim_fail(s.f.world, NODE, SIM_OP_ALL, 0, false, ST_IO);
    if (s.st != ST_OK)
        EXPECT_ST(s.st, how);
    EXPECT(!over || s.st == ST_OK);
    EXPECT(judge(&s) == (s.st == ST_OK));
    import_at_last(&s);
    return !over;
}

TEST(every_env_call_may_fail_once)
{
    uint64_t nth;

    for (nth = 1; fail_call(nth, false, ST_IO); nth++)
        EXPECT(nth < 100000);
    EXPECT(nth > 20);
}

TEST(every_env_call_may_fail_for_good)
{
    for (uint64_t nth = 1; fail_call(nth, true, nth % 2 == 0 ? ST_IO : ST_NO_SPACE); nth++)
        EXPECT(nth < 100000);
}

/* An edit of unknown outcome, and then a power cut: old or new. */
TEST(the_power_may_be_cut_after_every_failure)
{
    uint64_t nth = 1;
    bool more = true;

    for (; more; nth++) {
        struct script s;
        uint64_t before;

        begin(&s, nth);
        before = sim_op_count(s.f.world, NODE, SIM_OP_ALL);
        sim_fail(s.f.world, NODE, SIM_OP_ALL, nth, false, ST_IO);
        s.st = shipment_import(&ship, &s.f);
        more = sim_op_count(s.f.world, NODE, SIM_OP_ALL) - before >= nth;
        sim_fail(s.f.world, NODE, SIM_OP_ALL, 0, false, ST_IO);
        fix_leave(&s.f);
        sim_crash(s.f.world, NODE);
        if (s.st == ST_OK)
            model_copy(&s.f.model, &leader, (uint32_t)ship.mark.index);
        reopen_after_crash(&s);
        import_at_last(&s);
    }
}

static void
import_in_fiber(void *ctx)
{
    struct script *s = ctx;

    s->st = shipment_import(&ship, &s->f);
}

static bool
crash_at(uint64_t nth, bool after)
{
    struct script s;
    bool finished;

    begin(&s, nth * 2 + after);
    fix_leave(&s.f);
    sim_crash_at(s.f.world, NODE, SIM_OP_ALL, nth, after);
    finished = sim_call(s.f.world, NODE, import_in_fiber, &s);
    sim_crash_at(s.f.world, NODE, SIM_OP_ALL, 0, false);
    if (finished) {
        EXPECT_OK(s.st);
        sim_crash(s.f.world, NODE);
        model_copy(&s.f.model, &leader, (uint32_t)ship.mark.index);
    }
    reopen_after_crash(&s);
    if (finished)
        EXPECT_U64(lsm_flushed(s.f.tree).index, ship.mark.index);
    import_at_last(&s);
    return !finished;
}

TEST(the_power_may_be_cut_at_every_env_call)
{
    uint64_t nth;

    for (nth = 1; crash_at(nth, nth % 2 == 0); nth++)
        EXPECT(nth < 100000);
    EXPECT(nth > 20);
    for (nth = 1; crash_at(nth, nth % 2 != 0); nth++)
        EXPECT(nth < 100000);
}

/* A test of the tests above: with a sync that does nothing, they must find a loss. */
static uint64_t
losses_without_sync_of(const char *part)
{
    uint64_t losses = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct script s;
        enum status st;

        begin(&s, seed);
        sim_ignore_sync(s.f.world, NODE, part);
        EXPECT_OK(shipment_import(&ship, &s.f));
        sim_ignore_sync(s.f.world, NODE, NULL);
        fix_leave(&s.f);
        sim_crash(s.f.world, NODE);
        model_copy(&s.f.model, &leader, (uint32_t)ship.mark.index);
        fix_boot(&s.f);
        fix_enter(&s.f);
        st = fix_try_start(&s.f);
        for (uint32_t key = 0; key < MODEL_KEYS && (st == ST_OK || st == ST_NOT_FOUND); key++) {
            char room[MODEL_KEY_BYTES];
            struct lsm_found found;

            st = lsm_get(s.f.tree, model_key(key, room), VERSION_MAX, &found, &s.f.err);
            lsm_found_release(&found);
        }
        EXPECT(st == ST_OK || st == ST_NOT_FOUND || st == ST_CORRUPT);
        losses += st == ST_CORRUPT;
        fix_close(&s.f);
    }
    return losses;
}

TEST(a_received_table_that_is_not_synced_is_found_out)
{
    EXPECT(losses_without_sync_of(".sst") > 0);
}

static int
make_ship(void **state)
{
    (void)state;
    shipment_make(&ship, 77, &leader);
    return test_quiet(state);
}

static int
release_ship(void **state)
{
    (void)state;
    shipment_release(&ship);
    model_release(&leader);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(every_allocation_may_fail),
        RUN(every_env_call_may_fail_once),
        RUN(every_env_call_may_fail_for_good),
        RUN(the_power_may_be_cut_after_every_failure),
        RUN(the_power_may_be_cut_at_every_env_call),
        RUN(a_received_table_that_is_not_synced_is_found_out),
    };

    return cmocka_run_group_tests(tests, make_ship, release_ship);
}
