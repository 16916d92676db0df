/* Plans that are made by hand: what happens to one node while another one starts. */
#include "sim/crowd.h"
#include "sim/havoc.h"
#include "sim/observer.h"
#include "sim/trial.h"
#include "unit/test.h"

enum { NODES = 3, NS_PER_MS = 1000000, STEP_MS = 100, NOTICED_MS_MAX = 500 };

/* What trial.c makes, without a verdict. */
struct fix {
    struct setup setup;
    struct plan plan;
    struct picks all;
    struct sim *world;
    struct node nodes[NODE_CLUSTER_MAX];
    struct observer *observer;
    struct crowd *crowd;
    struct havoc *havoc;
    bool stirred;
};

static void
set_up(struct fix *f, struct action *actions, uint32_t count)
{
    struct trial_options options;

    *f = (struct fix){ .plan = { actions, count } };
    trial_options_default(&options);
    options.seed = 1;
    options.nodes = NODES;
    options.formed = TRIAL_FIXED;
    options.rate = 1000;
    options.callers = 16;
    setup_draw(&f->setup, &options);
    f->setup.latency_us = 5000; /* so that something is always under way */
    f->world = sim_create(options.seed);
    EXPECT(f->world != NULL);
    for (uint32_t i = 0; i < NODES; i++)
        node_init(&f->nodes[i], f->world, &f->setup, i + 1);
    EXPECT_OK(observer_create(&f->observer, f->world, f->nodes, NODES));

    struct crowd_options crowd = {
        .world = f->world, .nodes = f->nodes, .setup = &f->setup, .stirred = &f->stirred
    };

    EXPECT_OK(crowd_create(&f->crowd, &crowd));

    struct havoc_options havoc = { .world = f->world,
                                   .nodes = f->nodes,
                                   .setup = &f->setup,
                                   .plan = &f->plan,
                                   .only = &f->all,
                                   .crowd = f->crowd,
                                   .observer = f->observer };

    EXPECT_OK(havoc_create(&f->havoc, &havoc));
}

static void
tear_down(struct fix *f)
{
    observer_destroy(f->observer);
    sim_destroy(f->world);
    crowd_destroy(f->crowd);
    havoc_destroy(f->havoc);
}

static uint64_t
now_ms(const struct fix *f)
{
    return sim_now_ns(f->world) / NS_PER_MS;
}

/* A process that is gone is known to be, soon; the crowd's own bound is looked at with each step. */
static void
live_for(struct fix *f, uint64_t ms)
{
    uint64_t limit = now_ms(f) + ms;

    while (now_ms(f) < limit) {
        uint64_t before = now_ms(f);
        struct err err = { 0 };

        bool stirred = sim_run_until(f->world, &f->stirred, STEP_MS);

        f->stirred = f->stirred && !stirred;
        if (havoc_tend(f->havoc, &err) != ST_OK || crowd_tend(f->crowd, &err) != ST_OK)
            fail_msg("%s", err.text);
        EXPECT(now_ms(f) - before < NOTICED_MS_MAX);
    }
}

/* Node 3 is cut off its power and starts on a disk each call to which takes two seconds.  Meanwhile
 * whoever leads dies in a call, with requests under way: they end with it, and are not late. */
TEST(a_node_that_dies_while_another_starts_owes_no_answers)
{
    struct action actions[] = {
        { .at_ms = 3000, .for_ms = 30000, .kind = FAULT_SLOW, .node = 3, .amount = 2000000 },
        { .at_ms = 3000, .for_ms = 0, .kind = FAULT_POWER, .node = 3 },
        { .at_ms = 3000,
          .for_ms = 3000,
          .kind = FAULT_DEATH,
          .node = 0,
          .ops = SIM_WRITE,
          .nth = 2 },
    };
    struct machine_counts counts;
    struct fix f;

    set_up(&f, actions, 3);
    live_for(&f, 60000);
    havoc_count(f.havoc, &counts);
    EXPECT_U64(counts.power_cuts, 2);
    EXPECT(havoc_all_up(f.havoc));
    tear_down(&f);
}

QUIET_TEST_MAIN(RUN(a_node_that_dies_while_another_starts_owes_no_answers))
