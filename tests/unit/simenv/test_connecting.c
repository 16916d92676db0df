/* One node calls another: addresses, answers, and attempts that come to nothing. */
#include "unit/simenv/net.h"

enum { SEEDS = 40 };

/* Call, and wait for what comes of it. */
static enum status
outcome_of(struct net *n, const char *address, uint16_t port)
{
    bool settled;

    n->options.address = address;
    n->options.port = port;
    n->answers = 0;
    net_call(n);
    EXPECT_OK(n->st);
    settled = sim_settle(n->w, NET_TIMEOUT_MS + 1000);
    EXPECT(settled && n->answers == 1);
    if (n->outcome == ST_OK)
        net_hang_up(&n->caller);
    settled = sim_settle(n->w, 1000);
    EXPECT(settled);
    if (n->outcome == ST_OK)
        net_hang_up(&n->server);
    n->server.closed = n->caller.closed = false;
    return n->outcome;
}

TEST(a_node_is_reached_by_the_address_that_names_it)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct net n;

        net_begin(&n, seed);
        net_connect(&n);
        EXPECT_STR(stream_peer(n.caller.stream), "10.0.0.1:7000");
        EXPECT(strncmp(stream_peer(n.server.stream), "10.0.0.2:", 9) == 0);
        net_send(&n.caller, net_pattern(200000));
        EXPECT(sim_settle(n.w, 1000));
        EXPECT(n.server.in.size == 200000 && net_in_order(&n.server));
        net_send(&n.server, net_pattern(100000));
        EXPECT(sim_settle(n.w, 1000));
        EXPECT(n.caller.in.size == 100000 && net_in_order(&n.caller));
        net_hang_up(&n.caller);
        EXPECT(sim_settle(n.w, 1000));
        EXPECT(n.server.closed);
        net_close_all(&n);
        sim_end(n.w, 1);
        sim_end(n.w, 2);
        net_destroy(&n);
    }
}

static void
never_accepted(void *ctx, struct loop *loop, struct stream *stream)
{
    (void)ctx;
    (void)loop;
    EXPECT(stream == NULL);
}

TEST(who_listens_where_decides_who_is_answered)
{
    struct net n;
    struct listener *own = NULL;

    net_begin(&n, 1);
    net_listen(&n);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_OK);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", 7001), ST_CLOSED);
    EXPECT_ST(outcome_of(&n, "10.0.0.2", NET_PORT), ST_CLOSED); /* the caller itself */
    EXPECT_ST(outcome_of(&n, "127.0.0.1", NET_PORT), ST_CLOSED);
    EXPECT_ST(outcome_of(&n, "10.0.0.3", NET_PORT), ST_TIMEOUT); /* never switched on */
    EXPECT_ST(outcome_of(&n, "192.0.2.1", NET_PORT), ST_IO);
    EXPECT_ST(outcome_of(&n, "::1", NET_PORT), ST_CLOSED);
    EXPECT_OK(env_listen(loop_env(sim_loop(n.w, 1, 0)), "127.0.0.1", 7002, never_accepted, NULL,
                         &own, NULL));
    EXPECT_ST(outcome_of(&n, "10.0.0.1", 7002), ST_CLOSED); /* for node 1 only */
    listener_close(own);
    n.options.address = "node-1";
    net_call(&n);
    EXPECT_ST(n.st, ST_INVALID);
    net_close_all(&n);
    sim_end(n.w, 1);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_CLOSED); /* no process */
    sim_crash(n.w, 1);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_TIMEOUT); /* no machine */
    sim_end(n.w, 2);
    net_destroy(&n);
}

TEST(a_link_may_refuse_be_cut_or_be_cut_on_the_way_back)
{
    struct sim_link refusing = sim_link_default();
    struct net n;

    refusing.refuse = true;
    net_begin(&n, 2);
    net_listen(&n);
    sim_net_set(n.w, 2, 1, &refusing);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_CLOSED);
    refusing.refuse = false;
    sim_net_set(n.w, 2, 1, &refusing);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_OK);
    sim_net_cut(n.w, 2, 1);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_TIMEOUT);
    sim_net_heal(n.w, 2, 1);
    sim_net_cut(n.w, 1, 2);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_TIMEOUT);
    EXPECT(n.server.stream == NULL); /* the handshake did not come to its end */
    sim_net_heal(n.w, 1, 2);
    EXPECT_ST(outcome_of(&n, "10.0.0.1", NET_PORT), ST_OK);
    net_close_all(&n);
    sim_end(n.w, 1);
    sim_end(n.w, 2);
    net_destroy(&n);
}

/* A cut that is healed in time, and a machine that is switched on in time. */
TEST(an_attempt_waits_for_what_comes_back_in_time)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct net n;

        net_begin(&n, seed);
        if (seed % 2 == 0) {
            net_listen(&n);
            sim_net_cut(n.w, 2, 1);
        } else {
            sim_crash(n.w, 1);
        }
        net_call(&n);
        sim_run_ms(n.w, 500);
        EXPECT_U64(n.answers, 0);
        if (seed % 2 == 0) {
            sim_net_heal(n.w, 2, 1);
        } else {
            sim_boot(n.w, 1, 1);
            net_listen(&n);
        }
        EXPECT(sim_settle(n.w, NET_TIMEOUT_MS));
        EXPECT_U64(n.answers, 1);
        EXPECT_OK(n.outcome);
        net_destroy(&n);
    }
}

static void
pass_a_moment(void *ctx)
{
    struct net *n = ctx;

    env_wall_ms(loop_env(sim_loop(n->w, 1, 0)));
    env_wall_ms(loop_env(sim_loop(n->w, 1, 0)));
}

/* At any moment: on the way there, on the way back, and when the answer waits to be told. */
TEST(a_cancelled_attempt_is_not_heard_of_again)
{
    int answered_before = 0, cancelled = 0;

    for (uint64_t seed = 0; seed < 4 * SEEDS; seed++) {
        struct net n;
        int steps;

        net_begin(&n, seed);
        net_listen(&n);
        net_call(&n);
        steps = (int)prng_below(sim_prng(n.w), 1500);
        for (int i = 0; i < steps; i++)
            EXPECT(sim_call(n.w, 1, pass_a_moment, &n));
        answered_before += n.answers;
        cancelled += n.answers == 0;
        if (n.answers == 0)
            net_cancel(&n);
        if (n.caller.stream != NULL)
            net_hang_up(&n.caller);
        EXPECT(sim_settle(n.w, NET_TIMEOUT_MS + 1000));
        EXPECT(n.answers <= 1);
        net_close_all(&n);
        sim_end(n.w, 1);
        sim_end(n.w, 2);
        net_destroy(&n);
    }
    EXPECT(answered_before > 10 && cancelled > 10);
}

static void
end_caller(struct fix *f)
{
    sim_end(f->w, 2);
}

TEST(an_open_attempt_and_an_open_stream_are_leaks)
{
    struct net n;
    struct fix f;

    net_begin(&n, 3);
    f = (struct fix){ n.w, NULL, 1 };
    net_listen(&n);
    net_call(&n);
    EXPECT(asserts(end_caller, &f));
    EXPECT(sim_settle(n.w, 1000));
    EXPECT(asserts(end_caller, &f));
    net_hang_up(&n.caller);
    EXPECT(!asserts(end_caller, &f));
    net_destroy(&n);
}

TEST(an_attempt_counts_as_an_allocation)
{
    struct net n;

    net_begin(&n, 4);
    net_listen(&n);
    sim_heap(n.w, 2)->fail_at = 1;
    net_call(&n);
    EXPECT_ST(n.st, ST_NO_MEMORY);
    EXPECT(sim_settle(n.w, 1000));
    EXPECT_U64(n.answers, 0);
    net_destroy(&n);
}

TEST_MAIN(RUN(a_node_is_reached_by_the_address_that_names_it),
          RUN(who_listens_where_decides_who_is_answered),
          RUN(a_link_may_refuse_be_cut_or_be_cut_on_the_way_back),
          RUN(an_attempt_waits_for_what_comes_back_in_time),
          RUN(a_cancelled_attempt_is_not_heard_of_again),
          RUN(an_open_attempt_and_an_open_stream_are_leaks),
          RUN(an_attempt_counts_as_an_allocation))
