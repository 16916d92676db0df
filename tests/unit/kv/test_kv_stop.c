/* Nodes that stop in an orderly way while they send, or receive, what takes long. */
#include "unit/kv/scene.h"

enum {
    SLOW_DISK_US = 400000,
    STOP_MS_MAX = 2000, /* a job or two on a slow disk; a transfer takes many of them */
    PATIENCE_MS = 40000,
};

struct stop {
    struct kv *kv;
    bool drained;
    enum status status;
    struct err err;
};

static void
on_drained(void *ctx)
{
    struct stop *stop = ctx;

    stop->drained = true;
}

static void
drain_body(void *ctx)
{
    struct stop *stop = ctx;

    kv_drain(stop->kv, on_drained, stop);
}

static void
close_body(void *ctx)
{
    struct stop *stop = ctx;

    stop->status = kv_close(stop->kv, &stop->err);
}

static void
expect_prompt_stop(struct scene *s, uint32_t node)
{
    struct stop stop = { .kv = s->n.kv[node] };

    sim_on_loop(s->n.w, node, 0, drain_body, &stop);
    EXPECT(sim_run_until(s->n.w, &stop.drained, STOP_MS_MAX));
    EXPECT(!scene_has_caught_up(s, s->away));
    sim_end_loops(s->n.w, node);
    EXPECT(sim_call(s->n.w, node, close_body, &stop));
    EXPECT_OK(stop.status);
    sim_end(s->n.w, node);
    s->n.kv[node] = NULL;
}

/* The leader's disk is slow, so that reading for the follower has no end soon. */
static void
a_leader_that_stops_does_not_wait_for_what_it_sends(void **state)
{
    struct scene s;

    (void)state;
    scene_begin(&s, test_seed(6), 3, 0);
    sim_set_disk_latency_us(s.n.w, s.leader, SLOW_DISK_US);
    nodes_boot(&s.n, s.away);
    scene_await_tables(&s, 2); /* there are more */
    expect_prompt_stop(&s, s.leader);
    EXPECT(scene_await(&s, s.away, PATIENCE_MS));
    scene_end(&s);
}

static void
a_follower_that_stops_does_not_wait_for_what_it_receives(void **state)
{
    struct scene s;

    (void)state;
    scene_begin(&s, test_seed(7), 3, 0);
    nodes_boot(&s.n, s.away);
    sim_set_disk_latency_us(s.n.w, s.away, SLOW_DISK_US);
    scene_await_tables(&s, 2); /* there are more */
    expect_prompt_stop(&s, s.away);
    nodes_boot(&s.n, s.away);
    sim_set_disk_latency_us(s.n.w, s.away, 50);
    EXPECT(scene_await(&s, s.away, PATIENCE_MS));
    scene_end(&s);
}

static void
a_leader_that_stops_does_not_wait_for_what_it_reads_from_its_log(void **state)
{
    struct scene s;

    (void)state;
    scene_begin(&s, test_seed(8), 3, 4 << 20);
    nodes_boot(&s.n, s.away);
    sim_set_disk_latency_us(s.n.w, s.leader, SLOW_DISK_US);
    while (nodes_stats(&s.n, s.leader).log_readings == 0)
        sim_run_ms(s.n.w, 10);
    expect_prompt_stop(&s, s.leader);
    EXPECT(scene_await(&s, s.away, PATIENCE_MS));
    scene_end(&s);
}

QUIET_TEST_MAIN(RUN(a_leader_that_stops_does_not_wait_for_what_it_sends),
                RUN(a_follower_that_stops_does_not_wait_for_what_it_receives),
                RUN(a_leader_that_stops_does_not_wait_for_what_it_reads_from_its_log))
