/* N6.  A replay that must write tables, because the memtables would outgrow their share, writes
 * them of records that no fsync has covered yet.  A power cut in its middle may take such records,
 * but only from the end: never an earlier one of one tree and not a later one of another. */
#include "kv_fixture.h"
#include "unit/test.h"

enum {
    UNITS = 80,
    KEYS_PER_UNIT = 50,
    SEEDS = 60,
    MEMTABLE_BYTES_FIRST = 8 << 20, /* holds everything */
    BUDGET_BYTES_FIRST = 64 << 20,
    SEGMENT_BYTES_FIRST = 4 << 20, /* as well: a segment that is left is fsynced */
    CALLS_MAX = 110,               /* to env, of a whole recovery */
};

/* Every third unit goes into another database, whose memtables find room. */
static struct call *
unit_call(struct kvfix *f, int unit, enum op_kind kind)
{
    struct call *c = call_new(f, 0);
    char value[200];

    c->request.keyspace = unit % 3 == 0 ? 1 : 0;
    c->request.durability = DURABILITY_NEVER;
    snprintf(value, sizeof(value), "%0190d", unit);
    for (int i = 0; i < KEYS_PER_UNIT; i++) {
        char key[32];
        struct op *op;

        snprintf(key, sizeof(key), "key:%d:%d", unit, i);
        op = call_op(c, kind, key);
        if (kind == OP_PUT)
            call_value(c, op, value);
    }
    call_send(c);
    return c;
}

static void
write_all(struct kvfix *f)
{
    for (int unit = 0; unit < UNITS; unit++) {
        struct call *c = unit_call(f, unit, OP_PUT);

        EXPECT_OK(call_wait(c));
        free(c);
    }
}

static bool
is_there(struct kvfix *f, int unit)
{
    struct call *c = unit_call(f, unit, OP_GET);
    uint32_t found = 0;

    EXPECT_OK(call_wait(c));
    for (int i = 0; i < KEYS_PER_UNIT; i++)
        found += c->results[i].code != OP_NIL;
    EXPECT(found == 0 || found == KEYS_PER_UNIT);
    free(c);
    return found > 0;
}

/* How many units are there: the first ones. */
static int
check_prefix(struct kvfix *f)
{
    int count = 0;

    while (count < UNITS && is_there(f, count))
        count++;
    for (int unit = count; unit < UNITS; unit++)
        EXPECT(!is_there(f, unit));
    return count;
}

/* The units gather behind an fsync that is under way, and a record after them says that it has
 * ended: a watermark beyond them which does not prove them. */
static void
write_all_behind_an_fsync(struct kvfix *f)
{
    struct call *units[UNITS];
    struct call *first;

    EXPECT_OK(fix_put(f, "the ceiling", "is fresh"));
    sim_set_disk_latency_us(f->w, FIX_NODE, 10000);
    first = call_new(f, 0);
    call_value(first, call_op(first, OP_PUT, "first"), "x");
    call_send(first);
    sim_run_ms(f->w, 5 + prng_below(sim_prng(f->w), 20));
    for (int unit = 0; unit < UNITS - 1; unit++)
        units[unit] = unit_call(f, unit, OP_PUT);
    EXPECT_OK(call_wait(first));
    free(first);
    for (int unit = 0; unit < UNITS - 1; unit++) {
        EXPECT_OK(call_wait(units[unit]));
        free(units[unit]);
    }
    units[UNITS - 1] = unit_call(f, UNITS - 1, OP_PUT);
    EXPECT_OK(call_wait(units[UNITS - 1]));
    free(units[UNITS - 1]);
    sim_set_disk_latency_us(f->w, FIX_NODE, 50);
}

/* True: recovery was cut, and some units were lost, but not all. */
static bool
run_seed(uint64_t seed, void (*write)(struct kvfix *f))
{
    struct kvfix f;
    struct engine_options small;
    enum status st;
    int count;

    kvfix_create(&f, seed);
    small = f.options;
    f.options.trees.memtable_bytes = MEMTABLE_BYTES_FIRST;
    f.options.budget_bytes = BUDGET_BYTES_FIRST;
    f.options.segment_bytes = SEGMENT_BYTES_FIRST;
    EXPECT_OK(kvfix_open(&f));
    write(&f);
    sim_kill(f.w, FIX_NODE);

    f.options = small;
    st = kvfix_open_cut(&f, 1 + prng_below(sim_prng(f.w), CALLS_MAX));
    EXPECT(st == ST_OK || !sim_running(f.w, FIX_NODE)); /* the end of recovery may come first */
    kvfix_crash(&f);

    EXPECT_OK(kvfix_open(&f));
    count = check_prefix(&f);
    kvfix_close(&f);
    kvfix_destroy(&f);
    return st != ST_OK && count > 0 && count < UNITS;
}

static void
run_seeds(uint64_t seed, void (*write)(struct kvfix *f))
{
    int with_loss = 0;

    for (uint64_t i = 0; i < SEEDS; i++) {
        print_message("seed %llu\n", (unsigned long long)(seed + i));
        with_loss += run_seed(seed + i, write);
    }
    EXPECT(with_loss >= SEEDS / 12);
}

TEST(a_replay_that_writes_tables_keeps_the_order_of_the_log)
{
    run_seeds(test_seed(700), write_all);
}

TEST(a_watermark_beyond_records_does_not_prove_them)
{
    run_seeds(test_seed(800), write_all_behind_an_fsync);
}

/* However many memtables a log fills. */
TEST(a_replay_into_small_memtables_holds_few_of_them)
{
    struct kvfix f;
    struct engine_options small;
    struct kv_stats stats;

    kvfix_create(&f, test_seed(900));
    small = f.options;
    f.options.trees.memtable_bytes = 4 * MEMTABLE_BYTES_FIRST;
    f.options.budget_bytes = 4 * BUDGET_BYTES_FIRST;
    f.options.log_bytes_max = BUDGET_BYTES_FIRST;
    EXPECT_OK(kvfix_open(&f));
    for (int round = 0; round < 16; round++)
        write_all(&f);
    sim_kill(f.w, FIX_NODE);

    f.options = small;
    EXPECT_OK(kvfix_open(&f));
    kv_stats(f.kv, &stats);
    print_message("%llu flushes, %zu bytes\n", (unsigned long long)stats.engine.trees.flushes,
                  stats.engine.trees.memtable_bytes);
    EXPECT(stats.engine.trees.flushes > 128); /* two trees remember the positions of 64 each */
    EXPECT(stats.engine.trees.memtable_bytes < small.budget_bytes);
    kvfix_close(&f);
    kvfix_destroy(&f);
}

static size_t
budget_used_now(struct kvfix *f)
{
    struct kv_stats stats;

    kv_stats(f->kv, &stats);
    return stats.engine.budget_used;
}

/* P6.  The last entries of a log wait for the group's new leader; those that are large are charged
 * meanwhile, and what is returned afterwards was charged. */
TEST(large_entries_that_no_word_of_commit_follows_are_charged_and_applied)
{
    enum { VALUE_BYTES = 300 << 10 };
    static uint8_t value[VALUE_BYTES];
    struct kvfix f;
    struct op *op;
    struct call *c;
    size_t empty;

    kvfix_create(&f, test_seed(1000));
    f.options.trees.memtable_bytes = MEMTABLE_BYTES_FIRST;
    f.options.budget_bytes = BUDGET_BYTES_FIRST;
    f.options.segment_bytes = SEGMENT_BYTES_FIRST;
    EXPECT_OK(kvfix_open(&f));
    empty = budget_used_now(&f);
    c = call_new(&f, 0);
    op = call_op(c, OP_PUT, "large");
    op->value = slice_of(value, sizeof(value));
    call_send(c);
    EXPECT_OK(call_wait(c));
    free(c);
    sim_kill(f.w, FIX_NODE);

    EXPECT_OK(kvfix_open(&f));
    EXPECT(budget_used_now(&f) >= empty + VALUE_BYTES); /* in the memtable, and nowhere else */
    EXPECT(budget_used_now(&f) < empty + 2 * (size_t)VALUE_BYTES + (2 << 20));
    EXPECT(strcmp(fix_get(&f, "large"), "nil") != 0);
    kvfix_close(&f);
    kvfix_destroy(&f);
}

QUIET_TEST_MAIN(RUN(a_replay_that_writes_tables_keeps_the_order_of_the_log),
                RUN(a_watermark_beyond_records_does_not_prove_them),
                RUN(a_replay_into_small_memtables_holds_few_of_them),
                RUN(large_entries_that_no_word_of_commit_follows_are_charged_and_applied))
