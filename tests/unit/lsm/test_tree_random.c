/*
 * The tree against the naive model, under random operations.
 *
 * The owner runs on the test's stack; flushes and compactions are jobs of the
 * simulated node, which go on between the owner's calls, or are cut short by a power
 * cut.  After a restart the test plays the log: it applies again what is later than
 * lsm_flushed().  A failing run prints its seed.
 */
#include <inttypes.h>

#include "unit/lsm/tree_fixture.h"

enum { SNAPSHOTS = 4, STEPS = 700 };

struct worker {
    struct job job;
    struct fix *f;
    bool busy;
    enum status st;
};

struct play {
    struct fix f;
    struct prng prng;
    struct lsm_snapshot *snapshots[SNAPSHOTS];
    struct worker flush, compact, rest;
    uint64_t flushed; /* lsm_flushed().index never goes back */
};

/* Faults hit writers only, so that what is read can be compared at any time. */
enum { FAULTY_OPS = SIM_WRITE | SIM_SYNC | SIM_RENAME | SIM_SYNC_DIR | SIM_REMOVE };

static bool
is_fault(enum status st)
{
    return st == ST_IO || st == ST_NO_SPACE;
}

static void
heal(struct play *p)
{
    sim_fail(p->f.world, NODE, FAULTY_OPS, 0, false, ST_IO);
}

/* ------------------------------------------------------------------ background */

static void
run_flush(struct job *job)
{
    struct worker *w = container_of(job, struct worker, job);
    struct err err;

    w->st = lsm_flush(w->f->tree, &err);
    w->busy = false;
}

static void
run_compact(struct job *job)
{
    struct worker *w = container_of(job, struct worker, job);
    struct err err;

    w->st = lsm_compact(w->f->tree, &err);
    w->busy = false;
}

static void
run_compact_all(struct job *job)
{
    struct worker *w = container_of(job, struct worker, job);
    struct lsm_compact_report report;
    struct err err;

    w->st = lsm_compact_all(w->f->tree, &report, &err);
    w->busy = false;
}

/* As if the tree had been idle; sometimes it is, for all that a rest can see. */
static void
run_rest(struct job *job)
{
    struct worker *w = container_of(job, struct worker, job);
    uint32_t manifests = 1;

    lsm_rest(w->f->tree, env_boot_ns(w->f->env), 0, &manifests);
    w->busy = false;
}

static void
begin(struct play *p, struct worker *w, enum env_lane lane, void (*run)(struct job *job))
{
    if (w->busy)
        return;
    *w = (struct worker){ .job = { .run = run }, .f = &p->f, .busy = true };
    env_submit(p->f.env, lane, &w->job);
}

static void
await_worker(struct play *p, struct worker *w)
{
    for (int i = 0; w->busy; i++) {
        sim_run_ms(p->f.world, 10);
        EXPECT(i < 10000);
    }
    EXPECT(w->st == ST_OK || w->st == ST_NOT_FOUND || is_fault(w->st));
}

static void
await_jobs(struct play *p)
{
    heal(p);
    await_worker(p, &p->flush);
    await_worker(p, &p->compact);
    await_worker(p, &p->rest);
}

/* ------------------------------------------------------------------ steps of the owner */

static void
drop_snapshots(struct play *p)
{
    for (int i = 0; i < SNAPSHOTS; i++) {
        lsm_snapshot_release(p->f.tree, p->snapshots[i]);
        p->snapshots[i] = NULL;
    }
}

static void
turn_snapshot(struct play *p)
{
    struct lsm_snapshot **slot = &p->snapshots[prng_below(&p->prng, SNAPSHOTS)];

    lsm_snapshot_release(p->f.tree, *slot);
    *slot = NULL;
    if (prng_chance(&p->prng, 2, 3)) {
        *slot = lsm_snapshot_take(p->f.tree);
        EXPECT(*slot != NULL);
    }
}

static void
check_some(struct play *p)
{
    struct lsm_snapshot *s = p->snapshots[prng_below(&p->prng, SNAPSHOTS)];
    version_t at = s != NULL ? lsm_snapshot_version(s) : VERSION_MAX;

    for (int i = 0; i < 6; i++)
        fix_check_key(&p->f, (uint32_t)prng_below(&p->prng, MODEL_KEYS), at);
    if (prng_chance(&p->prng, 1, 6))
        fix_check_iter(&p->f, s, &p->prng);
}

static void
check_all(struct play *p)
{
    fix_check(&p->f);
    for (int i = 0; i < SNAPSHOTS; i++) {
        if (p->snapshots[i] == NULL)
            continue;
        fix_check_keys(&p->f, lsm_snapshot_version(p->snapshots[i]));
        fix_check_iter(&p->f, p->snapshots[i], &p->prng);
    }
}

/* What is durable never shrinks; and the files alone hold the state at their mark. */
static void
check_durable(struct play *p)
{
    struct lsm_mark mark = lsm_flushed(p->f.tree);

    EXPECT(mark.index >= p->flushed);
    p->flushed = mark.index;
    if (mark.index > 0)
        EXPECT_U64(mark.version, p->f.model.units[mark.index - 1].mark.version);
}

static void
restart(struct play *p, bool power_cut)
{
    if (power_cut) {
        check_durable(p);
        heal(p);
        fix_leave(&p->f);
        sim_crash(p->f.world, NODE);
        fix_boot(&p->f);
        memset(p->snapshots, 0, sizeof(p->snapshots));
        p->flush.busy = false;
        p->compact.busy = false;
        p->rest.busy = false;
        fix_open(&p->f);
    } else {
        await_jobs(p);
        drop_snapshots(p);
        fix_reopen(&p->f);
    }
    check_durable(p);
    fix_check(&p->f);
}

static void
apply(struct play *p)
{
    uint32_t count = 1 + (uint32_t)prng_below(&p->prng, 12);

    for (uint32_t i = 0; i < count; i++) {
        model_add_random(&p->f.model, &p->prng);
        fix_apply_last(&p->f);
    }
}

static void
switch_memtable(struct play *p)
{
    enum status st = lsm_switch(p->f.tree);

    EXPECT(st == ST_OK || st == ST_BUSY);
}

static void
break_something(struct play *p)
{
    enum status st = prng_chance(&p->prng, 1, 2) ? ST_IO : ST_NO_SPACE;

    sim_fail(p->f.world, NODE, FAULTY_OPS, 1 + prng_below(&p->prng, 10),
             prng_chance(&p->prng, 1, 5), st);
}

static void
sweep(struct play *p)
{
    enum status st = lsm_sweep(p->f.tree, &p->f.err);

    EXPECT(st == ST_OK || is_fault(st));
}

static void
step(struct play *p)
{
    uint64_t dice = prng_below(&p->prng, 1000);

    if (dice < 400)
        apply(p);
    else if (dice < 480)
        switch_memtable(p);
    else if (dice < 600)
        begin(p, &p->flush, ENV_LANE_FLUSH, run_flush);
    else if (dice < 660)
        begin(p, &p->compact, ENV_LANE_COMPACT, run_compact);
    else if (dice < 670)
        begin(p, &p->compact, ENV_LANE_COMPACT, run_compact_all);
    else if (dice < 676)
        break_something(p);
    else if (dice < 690)
        begin(p, &p->rest, ENV_LANE_READ, run_rest);
    else if (dice < 800)
        sim_run_ms(p->f.world, 1 + prng_below(&p->prng, 5));
    else if (dice < 840)
        turn_snapshot(p);
    else if (dice < 940)
        check_some(p);
    else if (dice < 970)
        fix_pass_time(&p->f, prng_below(&p->prng, 300));
    else if (dice < 980)
        sweep(p);
    else if (dice < 983)
        heal(p);
    else if (dice < 986)
        fix_clear(&p->f);
    else if (dice < 992)
        check_all(p);
    else if (dice < 996)
        restart(p, false);
    else
        restart(p, true);
}

static void
play(uint64_t seed)
{
    static struct play p;

    memset(&p, 0, sizeof(p));
    prng_init(&p.prng, seed);
    fix_init(&p.f, seed);
    fix_open(&p.f);
    for (int i = 0; i < STEPS; i++)
        step(&p);
    await_jobs(&p);
    check_all(&p);
    drop_snapshots(&p);
    fix_flush(&p.f);
    fix_compact(&p.f);
    EXPECT_OK(lsm_sweep(p.f.tree, &p.f.err));
    fix_reopen(&p.f);
    EXPECT_U64(lsm_flushed(p.f.tree).index, p.f.model.count);
    fix_check(&p.f);
    fix_close(&p.f);
}

TEST(the_tree_equals_the_model_under_random_operations)
{
    uint64_t seed = test_seed(20260);
    uint64_t count = getenv("TEST_RUNS") != NULL ? strtoull(getenv("TEST_RUNS"), NULL, 0) : 15;

    for (uint64_t i = 0; i < count; i++) {
        print_message("run TEST_SEED=%" PRIu64 " TEST_RUNS=1\n", seed + i);
        play(seed + i);
    }
}

TEST_MAIN(RUN(the_tree_equals_the_model_under_random_operations))
