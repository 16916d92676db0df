#include "sim/setup.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/prng.h"

enum {
    LEASE_PERCENT = 60, /* of an election timeout; clocks may differ in rate by the rest */
    MINUTE_MS = 60000,
    SETUP_SALT = 0x5e7,
    FORMED_SALT = 0xf03,
    ARRIVAL_DOUBLINGS = 8,
    ARRIVAL_MS_MIN = 50,
};

void
trial_options_default(struct trial_options *options)
{
    *options = (struct trial_options){
        .seed = 1,
        .nodes = 1,
        .ms = (uint64_t)2 * MINUTE_MS,
        .faults = FAULTS_ALL,
    };
}

/* ------------------------------------------------------------------ the command */

static enum status
print_faults(unsigned mask, struct buf *out)
{
    const char *before = "";
    enum status st = buf_printf(out, " --faults ");

    if (st != ST_OK || mask == FAULTS_ALL || mask == 0)
        return st == ST_OK ? buf_printf(out, mask == 0 ? "none" : "all") : st;
    for (enum fault f = 0; f < FAULT_COUNT && st == ST_OK; f++) {
        if ((mask & 1u << f) == 0)
            continue;
        st = buf_printf(out, "%s%s", before, fault_name(f));
        before = ",";
    }
    return st;
}

static enum status
print_number(struct buf *out, const char *flag, uint64_t value)
{
    return value == 0 ? ST_OK : buf_printf(out, " --%s %" PRIu64, flag, value);
}

static enum status
print_text(struct buf *out, const char *flag, const char *value)
{
    return value == NULL ? ST_OK : buf_printf(out, " --%s %s", flag, value);
}

enum status
trial_command(const struct trial_options *o, struct buf *out)
{
    enum status st = buf_printf(
        out, "distkv sim --seed %" PRIu64 " --nodes %" PRIu32 " --minutes %" PRIu64 ".%05" PRIu64,
        o->seed, o->nodes, o->ms / MINUTE_MS,
        (o->ms % MINUTE_MS * 100000 + MINUTE_MS - 1) / MINUTE_MS);

    if (st == ST_OK)
        st = print_faults(o->faults, out);
    if (st == ST_OK && o->formed != TRIAL_FORMED_DRAWN)
        st = print_text(out, "formed", o->formed == TRIAL_FORMED ? "yes" : "no");
    if (st == ST_OK)
        st = print_text(out, "workload", o->workload == NULL ? NULL : o->workload->name);
    if (st == ST_OK)
        st = print_number(out, "rate", o->rate);
    if (st == ST_OK)
        st = print_number(out, "clients", o->callers);
    if (st == ST_OK)
        st = print_number(out, "ops", o->ops_max);
    if (st == ST_OK)
        st = print_text(out, "ignore-sync", o->ignore_sync);
    if (st == ST_OK && o->broken != BROKEN_NOTHING)
        st = print_text(out, "broken", broken_name(o->broken));
    if (st != ST_OK || !o->only.some)
        return st;
    st = buf_printf(out, " --only ");
    return st == ST_OK ? picks_print(&o->only, out) : st;
}

/* ------------------------------------------------------------------ draws */

static uint64_t
one_of(struct prng *p, const uint64_t *values, uint32_t count)
{
    return values[prng_below(p, count)];
}

#define ONE_OF(p, ...)                          \
 one_of((p), (const uint64_t[]){ __VA_ARGS__ }, \
        sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static void
draw_engine(struct engine_options *o, struct prng *p)
{
    engine_options_default(o);
    o->dir = "data";
    o->create = true;
    o->budget_bytes = (size_t)ONE_OF(p, 4 << 20, 8 << 20, 32 << 20);
    o->segment_bytes = ONE_OF(p, 64 << 10, 128 << 10, 256 << 10, 1 << 20);
    o->log_bytes_max = o->segment_bytes * ONE_OF(p, 4, 8, 16);
    o->log_reserve_bytes = ONE_OF(p, 0, 64 << 10, 1 << 20);
    o->sync_interval_ms = (uint32_t)ONE_OF(p, 10, 100, 1000);
    o->min_free_bytes = 1 << 20;
    o->open_tables_max = (uint32_t)ONE_OF(p, 8, 20, 1000);
    o->idle_close_ms = (uint32_t)ONE_OF(p, 500, 5000, 30000);
    o->trees.memtable_bytes = (size_t)ONE_OF(p, 64 << 10, 128 << 10, 512 << 10);
    o->trees.table_bytes = ONE_OF(p, 32 << 10, 64 << 10, 256 << 10);
    o->trees.level_base_bytes = ONE_OF(p, 128 << 10, 256 << 10, 1 << 20);
    o->trees.level_multiplier = (uint32_t)ONE_OF(p, 3, 10);
    o->trees.l0_trigger = (uint32_t)ONE_OF(p, 2, 4);
    o->trees.l0_stall = (uint32_t)ONE_OF(p, 6, 20);
    o->trees.compact_wait_ms = (uint32_t)ONE_OF(p, 10, 100, 5000);
    o->trees.tables.filter_bits_per_key = (uint32_t)ONE_OF(p, 0, 10);
    o->trees.tables.compression = (enum table_compression)prng_below(p, 3);
    o->trees.last_level_compression = (enum table_compression)prng_below(p, 3);
}

static unsigned
all_nodes(uint32_t nodes)
{
    return ((1u << nodes) - 1) << 1;
}

static unsigned
draw_founders(struct prng *p, uint32_t nodes)
{
    unsigned some = (unsigned)prng_next(p) & all_nodes(nodes);

    return prng_chance(p, 1, 2) || some == 0 ? all_nodes(nodes) : some;
}

/* Of a generator of its own, so that what is drawn for clusters that are told does not depend on it. */
static void
draw_formed(struct setup *setup, const struct trial_options *options)
{
    struct prng p;
    bool drawn;

    prng_init(&p, hash_u64(options->seed ^ FORMED_SALT));
    drawn = prng_chance(&p, 1, 3);
    setup->formed = setup->nodes >= SETUP_FORMED_NODES_MIN && options->formed != TRIAL_FIXED &&
                    (drawn || options->formed == TRIAL_FORMED);
    if (!setup->formed)
        return;
    setup->forwards = true;
    setup->founders = all_nodes(setup->nodes);
    setup->keyspace = prng_chance(&p, 1, 2) ? 0 : LIMIT_DATABASES;
    setup->ranges = setup->keyspace != 0 && prng_chance(&p, 1, 3);
    setup->impatient = prng_chance(&p, 1, 2);
}

uint64_t
setup_arrival_ms(const struct setup *setup, uint32_t node)
{
    uint64_t drawn = hash_u64(setup->seed ^ hash_u64(FORMED_SALT + node));

    if (!setup->formed || node == 1)
        return 0;
    return (drawn >> 32) % ((uint64_t)ARRIVAL_MS_MIN << drawn % ARRIVAL_DOUBLINGS);
}

/* Everything is drawn, also what the user then sets: so that one of his words does not change
 * all the others. */
void
setup_draw(struct setup *setup, const struct trial_options *options)
{
    struct prng p;

    prng_init(&p, hash_u64(options->seed ^ SETUP_SALT));
    *setup = (struct setup){ .seed = options->seed, .nodes = options->nodes };
    draw_engine(&setup->engine, &p);
    setup->workload = workload_at((uint32_t)prng_below(&p, workload_count()));
    setup->callers = 1 + (uint32_t)prng_below(&p, SETUP_CALLERS_MAX);
    setup->loops = 1 + (uint32_t)prng_below(&p, SETUP_LOOPS_MAX);
    setup->durability = DURABILITY_ALWAYS;
    if (prng_chance(&p, 1, 8))
        setup->durability = (enum durability)prng_below(&p, DURABILITY_COUNT);
    setup->latency_us = (uint32_t)ONE_OF(&p, 10, 50, 200, 1000);
    setup->cold_percent = (uint32_t)ONE_OF(&p, 0, 50, 100);
    setup->lease_percent = prng_chance(&p, 1, 2) ? 0 : LEASE_PERCENT;
    setup->founders = draw_founders(&p, setup->nodes);
    if ((options->faults & 1u << FAULT_MEMBERS) == 0)
        setup->founders = all_nodes(setup->nodes);
    setup->sunders = setup->nodes > 1 && (options->faults & 1u << FAULT_PARTITION) != 0;
    setup->retries = prng_chance(&p, 1, 2);
    setup->readers = prng_chance(&p, 1, 2) ? 0 : (uint32_t)prng_below(&p, SETUP_CALLERS_MAX / 2);
    setup->forwards = prng_chance(&p, 1, 2);
    if (setup->nodes > 1)
        setup->durability = DURABILITY_ALWAYS; /* the others may lose what a leader alone has */
    draw_formed(setup, options);
    setup->rate = options->rate;
    if (options->workload != NULL)
        setup->workload = options->workload;
    if (options->callers != 0)
        setup->callers = options->callers;
    if (setup->readers >= setup->callers)
        setup->readers = setup->callers - 1;
}

enum status
setup_plan(const struct setup *setup, const struct trial_options *options, struct plan *out)
{
    struct plan_options wanted = {
        .seed = options->seed,
        .nodes = options->nodes,
        .ms = options->ms,
        .faults = options->faults,
        .keeps_unsynced = !setup_is_durable(setup),
        .trusts_clocks = setup->lease_percent > 0,
        .formed = setup->formed,
    };

    return plan_draw(out, &wanted);
}
