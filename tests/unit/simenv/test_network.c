/* What happens to connections between nodes: cuts, slow links, deaths; and to nodes: pauses, clocks
 * that drift. */
#include "base/list.h"

#include "unit/simenv/net.h"

enum { SEEDS = 40, WINDOW = 64 << 10 };

/* ------------------------------------------------------------------ cuts */

TEST(what_is_sent_into_a_cut_arrives_after_healing_in_order)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct net n;
        size_t before;

        net_begin(&n, seed);
        net_connect(&n);
        net_send(&n.caller, net_pattern(100000));
        sim_run_ms(n.w, seed % 2);
        sim_net_cut(n.w, 2, 1);
        before = n.server.in.size;
        sim_run_ms(n.w, 5000);
        EXPECT_U64(n.server.in.size, before);
        EXPECT(!n.server.closed && !n.caller.closed);
        sim_net_heal(n.w, 2, 1);
        EXPECT(sim_settle(n.w, 10000));
        EXPECT(n.server.in.size == 100000 && net_in_order(&n.server));
        net_close_all(&n);
        sim_end(n.w, 1);
        sim_end(n.w, 2);
        net_destroy(&n);
    }
}

/* Data passes, acknowledgements do not: a window's worth and no more. */
TEST(a_cut_of_the_way_back_fills_the_window)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct net n;

        net_begin(&n, seed);
        net_connect(&n);
        sim_net_cut(n.w, 1, 2);
        net_send(&n.caller, net_pattern(200000));
        sim_run_ms(n.w, 5000);
        EXPECT_U64(n.server.in.size, WINDOW);
        net_send(&n.server, net_pattern(100));
        sim_run_ms(n.w, 5000);
        EXPECT_U64(n.caller.in.size, 0);
        sim_net_heal(n.w, 1, 2);
        EXPECT(sim_settle(n.w, 10000));
        EXPECT(n.server.in.size == 200000 && net_in_order(&n.server));
        EXPECT_U64(n.caller.in.size, 100);
        net_destroy(&n);
    }
}

/* The sender loses patience; the other learns it only when it speaks. */
TEST(a_connection_that_is_not_acknowledged_breaks_for_its_sender)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct net n;
        bool way_back = seed % 2 == 0;

        net_begin(&n, seed);
        n.options.silence_ms = 3000;
        net_connect(&n);
        sim_net_cut(n.w, way_back ? 1 : 2, way_back ? 2 : 1);
        net_send(&n.caller, net_pattern(100));
        sim_run_ms(n.w, 2900);
        EXPECT(!n.caller.closed);
        sim_run_ms(n.w, 200);
        EXPECT(n.caller.closed);
        net_hang_up(&n.caller);
        sim_net_heal(n.w, 1, 2);
        sim_net_heal(n.w, 2, 1);
        EXPECT(sim_settle(n.w, 10000));
        EXPECT(!n.server.closed); /* half open */
        net_send(&n.server, net_pattern(10));
        EXPECT(sim_settle(n.w, 10000));
        EXPECT(n.server.closed);
        net_close_all(&n);
        sim_end(n.w, 1);
        sim_end(n.w, 2);
        net_destroy(&n);
    }
}

/* The reader is gone, but its words do not pass. */
TEST(a_sender_whose_reader_hung_up_behind_a_cut_loses_patience)
{
    struct net n;

    net_begin(&n, 1);
    n.options.silence_ms = 1000;
    net_connect(&n);
    sim_net_cut(n.w, 1, 2);
    net_hang_up(&n.server);
    sim_run_ms(n.w, 5000);
    EXPECT(!n.caller.closed); /* it has said nothing yet */
    net_send(&n.caller, net_pattern(10));
    sim_run_ms(n.w, 900);
    EXPECT(!n.caller.closed);
    sim_run_ms(n.w, 200);
    EXPECT(n.caller.closed);
    net_close_all(&n);
    sim_end(n.w, 1);
    sim_end(n.w, 2);
    net_destroy(&n);
}

TEST(a_link_has_its_own_patience)
{
    struct sim_link link = sim_link_default();
    struct net n;

    net_begin(&n, 1);
    net_connect(&n);
    link.break_ms = 100;
    link.cut = true;
    sim_net_set(n.w, 2, 1, &link);
    net_send(&n.caller, net_pattern(1));
    sim_run_ms(n.w, 50);
    EXPECT(!n.caller.closed);
    sim_run_ms(n.w, 60);
    EXPECT(n.caller.closed);
    net_destroy(&n);
}

/* ------------------------------------------------------------------ speed */

TEST(a_slow_link_takes_its_time)
{
    struct sim_link slow = sim_link_default();
    struct net n;
    uint64_t begin;

    slow.bytes_per_s = 100000;
    slow.delay_us_min = slow.delay_us_max = 5000;
    net_begin(&n, 2);
    net_connect(&n);
    sim_net_set(n.w, 2, 1, &slow);
    begin = sim_now_ns(n.w);
    net_send(&n.caller, net_pattern(1));
    EXPECT(sim_settle(n.w, 100000));
    EXPECT(sim_now_ns(n.w) - begin >= 5 * 1000 * 1000);
    net_send(&n.caller, net_pattern(300000));
    sim_run_ms(n.w, 2900);
    EXPECT(n.server.in.size > 250000 && n.server.in.size < 300001);
    sim_run_ms(n.w, 200);
    EXPECT_U64(n.server.in.size, 300001);
    net_send(&n.server, net_pattern(300000)); /* the other direction is as fast as ever */
    sim_run_ms(n.w, 50);
    EXPECT_U64(n.caller.in.size, 300000);
    EXPECT_U64(sim_net_get(n.w, 2, 1).bytes_per_s, 100000);
    EXPECT_U64(sim_net_get(n.w, 1, 2).bytes_per_s, 0);
    net_destroy(&n);
}

/* ------------------------------------------------------------------ deaths */

TEST(a_killed_process_is_noticed)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct net n;

        net_begin(&n, seed);
        net_connect(&n);
        sim_kill(n.w, 1);
        EXPECT(sim_settle(n.w, 1000));
        EXPECT(n.caller.closed);
        net_destroy(&n);
    }
}

/* By the seed an end, or silence: then a write is answered when the machine is on again, or given up. */
TEST(a_machine_without_power_may_leave_its_peers_in_doubt)
{
    int noticed = 0, reset = 0, given_up = 0;

    for (uint64_t seed = 0; seed < 4 * SEEDS; seed++) {
        struct net n;
        bool was_closed;

        net_begin(&n, seed);
        n.options.silence_ms = 10000;
        net_connect(&n);
        sim_crash(n.w, 1);
        EXPECT(sim_settle(n.w, 1000));
        was_closed = n.caller.closed;
        noticed += was_closed;
        if (!was_closed) {
            net_send(&n.caller, net_pattern(100));
            sim_run_ms(n.w, 5000);
            EXPECT(!n.caller.closed);
            if (seed % 2 == 0)
                sim_boot(n.w, 1, 1);
            sim_run_ms(n.w, 4000);
            reset += n.caller.closed;
            EXPECT(n.caller.closed == (seed % 2 == 0));
            sim_run_ms(n.w, 2000);
            EXPECT(n.caller.closed);
            given_up += seed % 2 != 0;
        }
        net_hang_up(&n.caller);
        buf_release(&n.caller.in);
        sim_end(n.w, 2);
        net_destroy(&n);
    }
    EXPECT(noticed > 20 && reset > 10 && given_up > 10);
}

/* ------------------------------------------------------------------ pauses and clocks */

struct clockwork {
    struct net *n;
    struct timer *timer;
    uint64_t asked_ns, fired_ns; /* on the node's boot clock */
    struct job job;
    bool ran;
};

static void
fire(void *ctx)
{
    struct clockwork *c = ctx;

    c->fired_ns = env_boot_ns(loop_env(sim_loop(c->n->w, 1, 0)));
}

static void
start_clockwork(void *ctx)
{
    struct clockwork *c = ctx;

    if (c->timer == NULL)
        EXPECT_OK(timer_create_on(sim_loop(c->n->w, 1, 0), fire, c, &c->timer));
    c->asked_ns = env_boot_ns(loop_env(sim_loop(c->n->w, 1, 0)));
    c->fired_ns = 0;
    timer_start(c->timer, 1000);
}

static void
run_job(struct job *job)
{
    container_of(job, struct clockwork, job)->ran = true;
}

TEST(nothing_of_a_paused_node_runs_and_nothing_is_lost)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct clockwork c = { .job = { .run = run_job } };
        struct net n;

        net_begin(&n, seed);
        c.n = &n;
        net_connect(&n);
        sim_on_loop(n.w, 1, 0, start_clockwork, &c);
        env_submit(loop_env(sim_loop(n.w, 1, 0)), ENV_LANE_READ, &c.job);
        net_send(&n.caller, net_pattern(200000));
        sim_pause(n.w, 1, 3000);
        EXPECT(sim_paused(n.w, 1) && !sim_paused(n.w, 2));
        sim_run_ms(n.w, 2990);
        EXPECT(n.server.in.size == 0 && c.fired_ns == 0 && !c.ran);
        EXPECT(n.caller.out.size >= 200000 - WINDOW); /* the kernel took what it has room for */
        sim_run_ms(n.w, 100);
        EXPECT(!sim_paused(n.w, 1));
        EXPECT(c.ran && c.fired_ns - c.asked_ns >= UINT64_C(2990) * 1000000);
        EXPECT(n.server.in.size == 200000 && net_in_order(&n.server));
        net_destroy(&n);
    }
}

TEST(a_clock_that_drifts_drives_its_timers)
{
    static const int32_t drifts[] = { 100000, -100000, 500000, -500000, 20 };

    for (size_t i = 0; i < sizeof(drifts) / sizeof(drifts[0]); i++) {
        struct net n;
        struct clockwork c = { .n = &n };
        struct env *env;
        uint64_t own, world;
        double rate;

        net_begin(&n, i);
        env = loop_env(sim_loop(n.w, 1, 0));
        sim_run_ms(n.w, 777);
        own = env_boot_ns(env);
        sim_drift_clock(n.w, 1, drifts[i]);
        EXPECT_U64(env_boot_ns(env), own); /* it does not jump */
        world = sim_now_ns(n.w);
        sim_on_loop(n.w, 1, 0, start_clockwork, &c);
        while (c.fired_ns == 0)
            sim_run_ms(n.w, 1);
        EXPECT(c.fired_ns - c.asked_ns >= 1000 * 1000000); /* by its own clock, never early */
        EXPECT(c.fired_ns - c.asked_ns <= 1010 * 1000000);
        sim_run_ms(n.w, 10000);
        rate = (double)(env_boot_ns(env) - own) / (double)(sim_now_ns(n.w) - world);
        EXPECT(rate > 0.999999 + drifts[i] / 1e6 && rate < 1.000001 + drifts[i] / 1e6);
        own = env_boot_ns(env);
        sim_drift_clock(n.w, 1, 0);
        EXPECT_U64(env_boot_ns(env), own);
        net_destroy(&n);
    }
}

/* ------------------------------------------------------------------ the same seed */

static uint64_t
live(uint64_t seed)
{
    struct net n;
    uint64_t trace;

    net_begin(&n, seed);
    net_connect(&n);
    net_send(&n.caller, net_pattern(150000));
    sim_run_ms(n.w, 1);
    sim_net_cut(n.w, 2, 1);
    sim_drift_clock(n.w, 2, 300);
    sim_run_ms(n.w, 300);
    sim_net_heal(n.w, 2, 1);
    sim_pause(n.w, 1, 20);
    sim_run_ms(n.w, 1000);
    sim_crash(n.w, 1);
    sim_run_ms(n.w, 1000);
    trace = sim_trace_hash(n.w);
    net_destroy(&n);
    return trace;
}

TEST(the_same_seed_is_the_same_network)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        EXPECT_U64(live(seed), live(seed));
        EXPECT(live(seed) != live(seed + 1));
    }
}

TEST_MAIN(RUN(what_is_sent_into_a_cut_arrives_after_healing_in_order),
          RUN(a_cut_of_the_way_back_fills_the_window),
          RUN(a_connection_that_is_not_acknowledged_breaks_for_its_sender),
          RUN(a_sender_whose_reader_hung_up_behind_a_cut_loses_patience),
          RUN(a_link_has_its_own_patience), RUN(a_slow_link_takes_its_time),
          RUN(a_killed_process_is_noticed),
          RUN(a_machine_without_power_may_leave_its_peers_in_doubt),
          RUN(nothing_of_a_paused_node_runs_and_nothing_is_lost),
          RUN(a_clock_that_drifts_drives_its_timers), RUN(the_same_seed_is_the_same_network))
