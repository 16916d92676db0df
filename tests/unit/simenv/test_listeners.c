/* Listeners in virtual time, and what crashes do to connections. */
#include "unit/simenv/server.h"

enum { SEEDS = 60 };

TEST(connections_are_given_to_the_loops_in_turn)
{
    struct fix f = setup_loops(5, 3);
    struct server s = { 0 };
    int per_loop[3] = { 0 };

    serve(&s, &f);
    for (int i = 0; i < 9; i++)
        EXPECT(sim_connect(f.w, 1, PORT) != NULL);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_U64(s.count, 9);
    for (int i = 0; i < 9; i++) {
        per_loop[s.peers[i].loop_index]++;
        EXPECT(strncmp(s.peers[i].address, "127.0.0.1:", 10) == 0);
        for (int j = 0; j < i; j++)
            EXPECT(strcmp(s.peers[i].address, s.peers[j].address) != 0);
    }
    EXPECT(per_loop[0] == 3 && per_loop[1] == 3 && per_loop[2] == 3);
    teardown(&f);
}

TEST(listening_has_its_failures)
{
    struct fix f = setup_loops(6, 1);
    struct server s = { 0 };
    struct listener *other = NULL, *third = NULL;
    struct err err;

    EXPECT(sim_connect(f.w, 1, PORT) == NULL);
    serve(&s, &f);
    EXPECT_U64(listener_port(s.listener), PORT);
    EXPECT_ST(env_listen(f.env, "localhost", 1, accepted, &s, &other, &err), ST_INVALID);
    EXPECT_ST(env_listen(f.env, "127.0.0.1", PORT, accepted, &s, &other, &err), ST_EXISTS);
    EXPECT_STR(err.text, "listen on 127.0.0.1 port 7000: in use");
    EXPECT(other == NULL);
    EXPECT_OK(env_listen(f.env, "::1", PORT, accepted, &s, &other, &err));
    EXPECT_OK(env_listen(f.env, "127.0.0.1", 0, accepted, &s, &third, &err));
    EXPECT(listener_port(third) != 0 && listener_port(third) != PORT);
    EXPECT(sim_connect(f.w, 1, listener_port(third)) != NULL);
    EXPECT(sim_connect(f.w, 2, PORT) == NULL); /* another machine */
    listener_close(other);
    listener_close(third);
    listener_close(s.listener);
    EXPECT(sim_connect(f.w, 1, PORT) == NULL);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_U64(s.count, 0); /* who was waiting was refused */
    sim_end(f.w, 1);
    teardown(&f);
}

TEST(who_was_not_accepted_yet_is_refused_when_the_listener_closes)
{
    struct fix f = setup_loops(7, 1);
    struct server s = { 0 };
    struct sim_client *c;

    serve(&s, &f);
    c = sim_connect(f.w, 1, PORT);
    sim_client_send(c, pattern(10));
    listener_close(s.listener);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT(sim_client_closed(c));
    EXPECT_U64(s.count, 0);
    sim_client_close(c);
    sim_end(f.w, 1);
    teardown(&f);
}

/* ------------------------------------------------------------------ crashes */

TEST(a_crash_cuts_connections_and_loses_some_of_what_was_on_its_way)
{
    int all = 0, some = 0, none = 0;

    for (uint64_t seed = 0; seed < 4 * SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct server s = { 0 };
        struct sim_client *c;
        size_t sent, got;

        serve(&s, &f);
        c = sim_connect(f.w, 1, PORT);
        EXPECT(sim_settle(f.w, 1000));
        tell(&s.peers[0], pattern(50));
        sent = 50 - s.peers[0].out.size;
        if (seed % 2 == 0)
            sim_crash(f.w, 1);
        else
            sim_kill(f.w, 1);
        EXPECT(sim_connect(f.w, 1, PORT) == NULL);
        EXPECT(sim_settle(f.w, 1000));
        EXPECT(sim_client_closed(c));
        got = sim_client_received(c).size;
        EXPECT(slice_starts_with(pattern(50), sim_client_received(c)));
        all += got == sent;
        none += got == 0;
        some += got > 0 && got < sent;
        sim_client_close(c);
        teardown(&f);
    }
    EXPECT(all > 5 && some > 5 && none > 5);
}

TEST(a_node_comes_back_without_its_connections)
{
    struct fix f = setup_loops(8, 1);
    struct server s = { 0 };
    struct sim_client *old, *waiting, *new;

    serve(&s, &f);
    old = sim_connect(f.w, 1, PORT);
    EXPECT(sim_settle(f.w, 1000));
    waiting = sim_connect(f.w, 1, PORT);
    sim_client_send(old, pattern(1000));
    crash_and_boot(&f);
    s = (struct server){ 0 };
    serve(&s, &f);
    new = sim_connect(f.w, 1, PORT);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_U64(s.count, 1);
    EXPECT(sim_client_closed(old) && sim_client_closed(waiting) && !sim_client_closed(new));
    sim_client_close(old);
    sim_client_close(new);
    teardown(&f); /* with one client left open */
}

TEST_MAIN(RUN(connections_are_given_to_the_loops_in_turn), RUN(listening_has_its_failures),
          RUN(who_was_not_accepted_yet_is_refused_when_the_listener_closes),
          RUN(a_crash_cuts_connections_and_loses_some_of_what_was_on_its_way),
          RUN(a_node_comes_back_without_its_connections))
