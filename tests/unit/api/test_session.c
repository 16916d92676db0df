/* Tests of sessions: beginnings, endings, and what happens between two reactors. */
#include "base/limits.h"
#include "base/mem.h"

#include "api_fixture.h"
#include "unit/test.h"

static void
begin(struct inn *n, struct client *c, uint64_t seed)
{
    inn_init(n, seed);
    inn_open(n);
    *c = client_connect(n);
}

static void
end(struct inn *n)
{
    inn_close(n);
    inn_release(n);
}

TEST(a_client_is_answered)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 1);
    client_ask(&c, "PING", "+PONG\r\n");
    client_ask(&c, "SET k v", "+OK\r\n");
    client_ask(&c, "GET k", "$1\r\nv\r\n");
    client_close(&c);
    end(&n);
}

TEST(clients_on_different_reactors_see_each_other)
{
    struct inn n;
    struct client a, b;

    begin(&n, &a, 2);
    b = client_connect(&n);
    for (int i = 0; i < 20; i++) {
        char set[32], want[32];

        snprintf(set, sizeof(set), "SET k %02d", i);
        snprintf(want, sizeof(want), "$2\r\n%02d\r\n", i);
        client_ask(i % 2 == 0 ? &a : &b, set, "+OK\r\n");
        client_ask(i % 2 == 0 ? &b : &a, "GET k", want);
    }
    client_close(&a);
    client_close(&b);
    end(&n);
}

TEST(a_counter_is_not_limited_to_one_step_per_fsync)
{
    struct inn n;
    struct client c;
    uint64_t begun_ns;

    begin(&n, &c, 3);
    sim_set_disk_latency_us(n.w, NODE_ID, 5000);
    begun_ns = sim_now_ns(n.w);
    for (int i = 0; i < 1000; i++)
        client_send_text(&c, "INCR n\r\n");
    for (int i = 1; i <= 1000; i++) {
        char want[16];

        snprintf(want, sizeof(want), ":%d\r\n", i);
        client_expect(&c, want);
    }
    EXPECT(sim_now_ns(n.w) - begun_ns < UINT64_C(1000000000)); /* not 1000 times 10 ms */
    client_close(&c);
    end(&n);
}

TEST(every_byte_may_come_alone)
{
    static const char text[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nbc\r\n*2\r\n$3\r\nGET\r\n$"
                               "1\r\nk\r\nPING\r\nECHO \"x y\"\r\n";
    struct inn n;
    struct client c;

    begin(&n, &c, 4);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        client_send(&c, slice_of(text + i, 1));
        sim_run_ms(n.w, 1);
    }
    client_expect(&c, "+OK\r\n$5\r\na\r\nbc\r\n+PONG\r\n$3\r\nx y\r\n");
    client_close(&c);
    end(&n);
}

TEST(what_was_sent_before_the_end_is_carried_out)
{
    struct inn n;
    struct client a, b;

    begin(&n, &a, 5);
    for (int i = 0; i < 100; i++)
        client_send_text(&a, "INCR n\r\n");
    sim_run_ms(n.w, 20);
    client_close(&a);
    b = client_connect(&n);
    sim_run_ms(n.w, 200);
    client_ask(&b, "GET n", "$3\r\n100\r\n");
    client_close(&b);
    end(&n);
}

TEST(quit_answers_what_came_before_it_and_nothing_after)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 6);
    client_send_text(&c, "SET k v\r\nGET k\r\nQUIT\r\nSET k w\r\n");
    client_expect(&c, "+OK\r\n$1\r\nv\r\n+OK\r\n");
    client_expect_closed(&c);
    EXPECT_U64(client_waiting(&c), 0);
    client_close(&c);
    c = client_connect(&n);
    client_ask(&c, "GET k", "$1\r\nv\r\n");
    client_close(&c);
    end(&n);
}

TEST(a_protocol_error_answers_what_came_before_it_and_closes)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 7);
    client_send_text(&c, "SET k v\r\n*1\r\n$x\r\nPING\r\n");
    client_expect(&c, "+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
    client_expect_closed(&c);
    client_close(&c);
    end(&n);
}

TEST(too_many_connections_are_told_so)
{
    struct inn n;
    struct client c[4];

    inn_init(&n, 8);
    n.options.connections_max = 3;
    inn_open(&n);
    for (int i = 0; i < 3; i++) {
        c[i] = client_connect(&n);
        client_ask(&c[i], "PING", "+PONG\r\n");
    }
    c[3] = client_connect(&n);
    client_expect(&c[3], "-ERR max number of clients reached\r\n");
    client_expect_closed(&c[3]);
    client_close(&c[3]);
    client_close(&c[0]);
    sim_run_ms(n.w, 50);
    c[0] = client_connect(&n);
    for (int i = 0; i < 3; i++) {
        client_ask(&c[i], "PING", "+PONG\r\n");
        client_close(&c[i]);
    }
    end(&n);
}

TEST(idle_connections_are_closed_when_the_node_is_told_to)
{
    struct inn n;
    struct client idle, half, busy;

    inn_init(&n, 9);
    n.options.idle_ms_max = 2000;
    inn_open(&n);
    idle = client_connect(&n);
    half = client_connect(&n);
    busy = client_connect(&n);
    client_ask(&idle, "PING", "+PONG\r\n");
    client_send_text(&half, "*2\r\n$3\r\nGET\r\n");
    for (int i = 0; i < 10; i++) {
        sim_run_ms(n.w, 500);
        client_ask(&busy, "PING", "+PONG\r\n");
    }
    EXPECT(sim_client_closed(idle.c));
    EXPECT(sim_client_closed(half.c));
    EXPECT(!sim_client_closed(busy.c));
    client_close(&idle);
    client_close(&half);
    client_close(&busy);
    end(&n);
}

TEST(two_thousand_idle_connections_cost_little)
{
    enum { IDLE = 2000 };
    struct client *c = calloc(IDLE, sizeof(*c));
    struct inn n;
    struct client busy;
    size_t before, used;

    begin(&n, &busy, 10);
    client_ask(&busy, "PING", "+PONG\r\n");
    before = sim_heap(n.w, NODE_ID)->byte_count;
    for (int i = 0; i < IDLE; i++) {
        c[i] = client_connect(&n);
        client_send_text(&c[i], "PING\r\n");
        if (i % 100 == 99)
            sim_run_ms(n.w, 5);
    }
    for (int i = 0; i < IDLE; i++)
        client_expect(&c[i], "+PONG\r\n");
    used = sim_heap(n.w, NODE_ID)->byte_count - before;
    print_message("%zu bytes for each idle connection\n", used / IDLE);
    EXPECT(used / IDLE < 8 << 10); /* pools of blocks and calls included */
    client_ask(&busy, "SET k v", "+OK\r\n");
    for (int i = 0; i < IDLE; i++)
        client_close(&c[i]);
    client_close(&busy);
    free(c);
    end(&n);
}

/* ------------------------------------------------------------------ leaving at odd moments */

TEST(clients_may_leave_in_the_middle_of_anything)
{
    static const char *const things[] = {
        "SET k v\r\n",
        "GET k\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc",
        "MULTI\r\nSET k v\r\n",
        "MULTI\r\nSET k v\r\nEXEC\r\n",
        "WATCH k\r\n",
        "KEYS *\r\n",
        "SCAN 0\r\n",
        "RANGE - +\r\n",
        "DBSIZE\r\n",
        "RANDOMKEY\r\n",
        "SAVE\r\n",
        "BGSAVE\r\n",
        "COMPACT\r\n",
        "CLIENT LIST\r\n",
        "CONFIG GET *\r\n",
        "CONFIG SET test-setting x\r\n",
        "FLUSHALL\r\nSET k v\r\n",
        "MGET k k k\r\n",
        "SET k v\r\nKEYS *\r\nGET k\r\nSAVE\r\nPING\r\n",
    };
    struct inn n;
    struct client c, other;

    begin(&n, &c, 11);
    client_ask(&c, "SET k v", "+OK\r\n");
    client_ask(&c, "SAVE", "+OK\r\n");
    sim_set_cold_percent(n.w, NODE_ID, 100);
    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        for (uint64_t ms = 0; ms < 4; ms++) {
            other = client_connect(&n);
            client_send_text(&other, things[i]);
            sim_run_ms(n.w, ms);
            client_close(&other);
            sim_run_ms(n.w, prng_below(sim_prng(n.w), 3));
        }
    }
    client_ask(&c, "PING", "+PONG\r\n");
    client_close(&c);
    end(&n);
}

/* ------------------------------------------------------------------ draining */

TEST(draining_answers_what_was_received_and_closes)
{
    struct inn n;
    struct client c, idle;

    begin(&n, &c, 12);
    idle = client_connect(&n);
    client_ask(&idle, "PING", "+PONG\r\n");
    sim_set_disk_latency_us(n.w, NODE_ID, 20000);
    client_send_text(&c, "SET k v\r\nINCR n\r\nGET k\r\n");
    sim_run_ms(n.w, 5);
    inn_close(&n);
    client_expect(&c, "+OK\r\n:1\r\n$1\r\nv\r\n");
    client_expect_closed(&c);
    client_expect_closed(&idle);
    client_close(&c);
    client_close(&idle);
    inn_release(&n);
}

TEST(draining_does_not_wait_for_ever_for_a_client_that_does_not_read)
{
    struct inn n;
    struct client c;
    uint64_t begun_ns;

    begin(&n, &c, 13);
    sim_client_set_window(c.c, 1000);
    client_send_text(&c, "SET k 0123456789012345678901234567890123456789\r\n");
    for (int i = 0; i < 1000; i++)
        client_send_text(&c, "GET k\r\n");
    sim_run_ms(n.w, 100);
    begun_ns = sim_now_ns(n.w);
    inn_close(&n);
    EXPECT(sim_now_ns(n.w) - begun_ns < UINT64_C(15000000000));
    client_close(&c);
    inn_release(&n);
}

TEST(shutdown_asks_the_program)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 14);
    client_send_text(&c, "SHUTDOWN\r\n");
    client_expect_closed(&c);
    EXPECT(n.shutdown_asked);
    client_close(&c);
    end(&n);
}

/* ------------------------------------------------------------------ settings */

TEST(settings_take_effect_on_connections_that_are_open)
{
    struct inn n;
    struct client a, b;

    begin(&n, &a, 15);
    b = client_connect(&n);
    client_ask(&b, "PING", "+PONG\r\n");
    client_ask(&a, "CONFIG SET requirepass secret", "+OK\r\n");
    client_ask(&b, "PING", "+PONG\r\n"); /* it was let in before */
    client_ask(&b, "RESET", "+RESET\r\n");
    client_ask(&b, "PING", "-NOAUTH Authentication required.\r\n");
    client_ask(&b, "AUTH secret", "+OK\r\n");
    client_ask(&a, "CONFIG SET requirepass \"\"", "+OK\r\n");
    client_ask(&b, "RESET", "+RESET\r\n");
    client_ask(&b, "PING", "+PONG\r\n");
    client_ask(&b, "DISTKV DURABILITY", "$6\r\nalways\r\n");
    api_set_durability(n.api, DURABILITY_NEVER);
    client_ask(&b, "DISTKV DURABILITY", "$5\r\nnever\r\n");
    client_ask(&b, "DISTKV DURABILITY interval", "+OK\r\n");
    client_ask(&b, "DISTKV DURABILITY", "$8\r\ninterval\r\n");
    client_ask(&a, "DISTKV DURABILITY", "$5\r\nnever\r\n");
    client_close(&a);
    client_close(&b);
    end(&n);
}

TEST(client_list_shows_connections_of_every_reactor)
{
    struct inn n;
    struct client c[5];
    struct slice reply;
    int lines = 0;

    begin(&n, &c[0], 16);
    for (int i = 1; i < 5; i++) {
        c[i] = client_connect(&n);
        client_ask(&c[i], "PING", "+PONG\r\n");
    }
    client_send_text(&c[0], "CLIENT LIST\r\n");
    reply = client_reply(&c[0]);
    for (size_t i = 0; i < reply.size; i++)
        lines += reply.data[i] == '\n';
    EXPECT_U64(lines, 1 + 5 + 1); /* the header, five lines, the ending */
    for (int i = 0; i < 5; i++)
        client_close(&c[i]);
    end(&n);
}

TEST(what_was_acknowledged_survives_a_power_cut)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 17);
    for (int i = 0; i < 50; i++)
        client_send_text(&c, "INCR n\r\n");
    for (int i = 1; i <= 50; i++) {
        char want[16];

        snprintf(want, sizeof(want), ":%d\r\n", i);
        client_expect(&c, want);
    }
    inn_crash(&n);
    client_close(&c);
    inn_open(&n);
    c = client_connect(&n);
    client_ask(&c, "GET n", "$2\r\n50\r\n");
    client_close(&c);
    end(&n);
}

/* Of three members the only one that runs. */
TEST(who_does_not_lead_answers_no_read_of_any_kind)
{
    static const struct kv_node nodes[] = { { 1, "10.0.0.1", 7000 },
                                            { 2, "10.0.0.2", 7000 },
                                            { 3, "10.0.0.3", 7000 } };
    static const uint64_t founders[] = { 1, 2, 3 };
    static const struct kv_cluster cluster = { .nodes = nodes,
                                               .node_count = 3,
                                               .founders = founders,
                                               .founder_count = 3,
                                               .keyspace_count = 1 };
    static const char *const reads[] = { "GET k",     "MGET k l", "SCAN 0",   "KEYS *",
                                         "RANGE - +", "DBSIZE",   "RANDOMKEY" };
    struct inn n;
    struct client c;

    inn_init(&n, 18);
    n.cluster = &cluster;
    n.engine.node = 1;
    inn_open(&n);
    c = client_connect(&n);
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
        client_ask(&c, reads[i], "-ERR not-leader\r\n");
    client_close(&c);
    end(&n);
}

/* A scan judges expiry by the same time as GET: the ceiling is raised for it, too. */
TEST(what_has_expired_while_nobody_asked_is_in_no_scan)
{
    enum { IDLE_MS = 10000 };
    static const char *const reads[] = { "SCAN 0", "KEYS *", "DBSIZE", "RANDOMKEY" };
    static const char *const replies[] = { "*2\r\n$1\r\n0\r\n*0\r\n", "*0\r\n", ":0\r\n",
                                           "$-1\r\n" };
    struct inn n;
    struct client c;

    begin(&n, &c, 19);
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        client_ask(&c, "SET k v PX 5000", "+OK\r\n");
        sim_run_ms(n.w, IDLE_MS);
        client_ask(&c, reads[i], replies[i]);
    }
    client_close(&c);
    end(&n);
}

TEST_MAIN(RUN(a_client_is_answered), RUN(clients_on_different_reactors_see_each_other),
          RUN(a_counter_is_not_limited_to_one_step_per_fsync), RUN(every_byte_may_come_alone),
          RUN(what_was_sent_before_the_end_is_carried_out),
          RUN(quit_answers_what_came_before_it_and_nothing_after),
          RUN(a_protocol_error_answers_what_came_before_it_and_closes),
          RUN(too_many_connections_are_told_so),
          RUN(idle_connections_are_closed_when_the_node_is_told_to),
          RUN(two_thousand_idle_connections_cost_little),
          RUN(clients_may_leave_in_the_middle_of_anything),
          RUN(draining_answers_what_was_received_and_closes),
          RUN(draining_does_not_wait_for_ever_for_a_client_that_does_not_read),
          RUN(shutdown_asks_the_program), RUN(settings_take_effect_on_connections_that_are_open),
          RUN(client_list_shows_connections_of_every_reactor),
          RUN(what_was_acknowledged_survives_a_power_cut),
          RUN(who_does_not_lead_answers_no_read_of_any_kind),
          RUN(what_has_expired_while_nobody_asked_is_in_no_scan))
