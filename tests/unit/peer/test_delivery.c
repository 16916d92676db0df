/* What is sent arrives, in order; who comes, goes and comes back is told. */
#include "unit/peer/fixture.h"

enum { SEEDS = 20, MESSAGES = 300 };

static struct cluster *
started(uint64_t seed, uint32_t count, uint32_t loop_count)
{
    struct cluster *c = cluster_create(seed, count, loop_count);

    for (uint32_t id = 1; id <= count; id++)
        member_start(c, id); /* all call all, at once */
    cluster_settle(c);
    return c;
}

/* Mostly small, some longer than what is read at a time, few of several frames. */
static size_t
random_size(struct prng *p, bool urgent)
{
    uint64_t kind = prng_below(p, 100);

    if (urgent || kind < 70)
        return NUMBER_BYTES + (size_t)prng_below(p, 200);
    if (kind < 98)
        return NUMBER_BYTES + (size_t)prng_below(p, 100000);
    return NUMBER_BYTES + PEER_FRAME_BYTES_MAX - 10 + (size_t)prng_below(p, 2000000);
}

static void
send_something(struct cluster *c, uint64_t sent[NODES_MAX + 1][NODES_MAX + 1][TYPES])
{
    struct prng *p = sim_prng(c->w);
    uint32_t from = 1 + (uint32_t)prng_below(p, c->count);
    uint32_t to = 1 + (uint32_t)prng_below(p, c->count);
    uint32_t loop = (uint32_t)prng_below(p, c->members[from].loop_count);
    bool urgent = prng_chance(p, 1, 4);
    enum status st = send(c, from, loop, to, random_size(p, urgent), urgent);

    EXPECT(st == (from == to ? ST_NOT_FOUND : ST_OK) || st == ST_BUSY);
    sent[from][to][urgent ? URGENT : BULK] += st == ST_OK;
}

TEST(everything_that_is_sent_arrives_once_and_in_order)
{
    for (uint64_t seed = 0; seed < seeds(SEEDS); seed++) {
        struct cluster *c = started(seed, 3, 1 + (uint32_t)(seed % 3));
        uint64_t sent[NODES_MAX + 1][NODES_MAX + 1][TYPES] = { 0 };

        for (int i = 0; i < MESSAGES; i++) {
            send_something(c, sent);
            if (i % 10 == 0)
                sim_run_ms(c->w, prng_below(sim_prng(c->w), 5));
        }
        EXPECT(sim_settle(c->w, 20000));
        for (uint32_t a = 1; a <= c->count; a++) {
            for (uint32_t b = 1; b <= c->count; b++) {
                EXPECT_U64(count_heard(c, b, a, BULK), sent[a][b][BULK]);
                EXPECT_U64(count_heard(c, b, a, URGENT), sent[a][b][URGENT]);
                expect_order(c, b, a);
            }
        }
        cluster_destroy(c);
    }
}

TEST(those_that_call_each_other_at_once_have_a_connection_each_way)
{
    for (uint64_t seed = 0; seed < seeds(SEEDS); seed++) {
        struct cluster *c = started(seed, 2, 1);

        for (uint32_t id = 1; id <= 2; id++) {
            EXPECT_U64(c->members[id].state_count, 1); /* told once */
            EXPECT_U64(c->members[id].states[0], 100 + (3 - id));
            EXPECT_U64(c->members[id].state_nodes[0], 3 - id);
            EXPECT_U64(peer_of(c, id)->incoming_count, 1);
            send_ok(c, id, 3 - id, 100, false);
        }
        EXPECT(sim_settle(c->w, 1000));
        EXPECT_U64(count_heard(c, 1, 2, BULK), 1);
        EXPECT_U64(count_heard(c, 2, 1, BULK), 1);
        cluster_destroy(c);
    }
}

TEST(sending_says_when_there_is_nobody)
{
    struct cluster *c = cluster_create(1, 2, 1);

    member_start(c, 1);
    EXPECT_ST(send(c, 1, 0, 3, 10, false), ST_NOT_FOUND);
    EXPECT_ST(send(c, 1, 0, 2, 10, false), ST_CLOSED);
    EXPECT_ST(send(c, 1, 0, 2, PEER_URGENT_BYTES_MAX + 1, true), ST_TOO_BIG);
    EXPECT_ST(send(c, 1, 0, 2, PEER_MESSAGE_BYTES_MAX + 1, false), ST_TOO_BIG);
    member_start(c, 2);
    cluster_settle(c);
    send_ok(c, 1, 2, PEER_URGENT_BYTES_MAX, true);
    EXPECT(sim_settle(c->w, 1000));
    EXPECT_U64(count_heard(c, 2, 1, URGENT), 1);
    cluster_destroy(c);
}

static void
expect_states(struct cluster *c, uint32_t id, const uint64_t *want, uint32_t count)
{
    EXPECT_U64(c->members[id].state_count, count);
    for (uint32_t i = 0; i < count; i++)
        EXPECT_U64(c->members[id].states[i], want[i]);
}

TEST(a_node_that_was_started_anew_has_another_incarnation)
{
    int half_open = 0;

    for (uint64_t seed = 0; seed < seeds(SEEDS); seed++) {
        struct cluster *c = started(seed, 2, 1);

        send_ok(c, 1, 2, 5000, false);
        if (seed % 2 == 0)
            sim_kill(c->w, 2);
        else
            sim_crash(c->w, 2);
        member_gone(c, 2);
        sim_run_ms(c->w, 500);
        half_open += peer_incarnation(peer_of(c, 1), 2) != 0; /* nobody says a word */
        member_start(c, 2);
        cluster_settle(c);
        expect_states(c, 1, (const uint64_t[]){ 102, 0, 202 }, 3);
        memset(c->members[2].heard, 0, sizeof(c->members[2].heard));
        c->members[2].heard[1][0].next[BULK] = c->members[1].seats[0].next[2][BULK];
        send_ok(c, 1, 2, 100, false); /* and nothing of before comes now (P2) */
        EXPECT(sim_settle(c->w, 1000));
        EXPECT_U64(count_heard(c, 2, 1, BULK) + count_heard(c, 2, 1, URGENT), 1);
        expect_order(c, 2, 1);
        cluster_destroy(c);
    }
    EXPECT(half_open > 0 || seeds(SEEDS) < SEEDS);
}

/* Whichever way it is: whoever gets no acknowledgements gives up, and tries until it is healed. */
TEST(a_cut_of_one_way_is_noticed_and_survived)
{
    for (uint64_t seed = 0; seed < seeds(SEEDS); seed++) {
        uint32_t from = 1 + (uint32_t)(seed % 2);
        struct cluster *c = cluster_create(seed, 2, 1);

        c->options.silence_ms = 2000;
        member_start(c, 1);
        member_start(c, 2);
        cluster_settle(c);
        sim_net_cut(c->w, from, 3 - from);
        send_ok(c, 1, 2, 100, false);
        send_ok(c, 2, 1, 100, false);
        sim_run_ms(c->w, 2500);
        EXPECT_U64(peer_incarnation(peer_of(c, 1), 2), 0);
        EXPECT_U64(peer_incarnation(peer_of(c, 2), 1), 0);
        EXPECT_ST(send(c, 1, 0, 2, 100, false), ST_CLOSED);
        sim_run_ms(c->w, 20000);
        EXPECT_U64(peer_incarnation(peer_of(c, 1), 2), 0);
        sim_net_heal(c->w, from, 3 - from);
        cluster_settle(c);
        expect_states(c, 1, (const uint64_t[]){ 102, 0, 102 }, 3);
        cluster_destroy(c);
    }
}

TEST(a_node_may_move_and_be_forgotten)
{
    struct cluster *c = started(5, 3, 1);
    struct peer *p = peer_of(c, 1);
    struct err err;

    EXPECT_ST(peer_set_address(p, 1, "10.0.0.2", PEER_PORT, &err), ST_INVALID); /* ourselves */
    EXPECT_ST(peer_set_address(p, 0, "10.0.0.2", PEER_PORT, &err), ST_INVALID);
    EXPECT_OK(peer_set_address(p, 2, "10.0.0.2", PEER_PORT, &err)); /* nothing new */
    EXPECT_U64(peer_incarnation(p, 2), 102);
    EXPECT_OK(peer_set_address(p, 2, "10.0.0.3", PEER_PORT, &err)); /* wrong: that is node 3 */
    EXPECT_U64(peer_incarnation(p, 2), 0);
    sim_run_ms(c->w, 3000);
    EXPECT_U64(peer_incarnation(p, 2), 0);
    EXPECT_U64(peer_incarnation(p, 3), 103);
    EXPECT_OK(peer_set_address(p, 2, "not an address", PEER_PORT, &err));
    sim_run_ms(c->w, 3000);
    EXPECT_OK(peer_set_address(p, 2, "10.0.0.2", PEER_PORT, &err));
    cluster_settle(c);
    peer_forget(p, 2);
    peer_forget(p, 77);
    EXPECT_ST(send(c, 1, 0, 2, 100, false), ST_NOT_FOUND);
    sim_run_ms(c->w, 3000);
    EXPECT_U64(peer_incarnation(p, 2), 0);
    EXPECT_U64(peer_incarnation(peer_of(c, 2), 1), 101); /* its own connection is its own */
    cluster_destroy(c);
}

/* ------------------------------------------------------------------ a worse network */

TEST(faults_lose_repeat_and_reorder_messages_and_damage_none)
{
    struct cluster *c = cluster_create(6, 2, 1);
    const struct heard *h = &c->members[2].heard[1][0];

    c->faults = (struct peer_faults){ 77, 100, 100, 200, 20 };
    member_start(c, 1);
    member_start(c, 2);
    cluster_settle(c);
    for (int i = 0; i < 1000; i++) {
        send_ok(c, 1, 2, 50, i % 3 == 0);
        sim_run_ms(c->w, 1);
    }
    sim_run_ms(c->w, 1000);
    EXPECT(h->count[BULK] + h->count[URGENT] > 900 && h->count[BULK] + h->count[URGENT] < 1100);
    EXPECT(h->skipped > 50 && h->overtaken > 100);
    EXPECT_U64(h->damaged, 0);
    EXPECT_U64(c->members[1].state_count, 1);
    EXPECT_U64(peer_queued(peer_of(c, 1), 2), 0);
    cluster_destroy(c);
}

/* ------------------------------------------------------------------ the same seed */

static uint64_t
live(uint64_t seed)
{
    uint64_t sent[NODES_MAX + 1][NODES_MAX + 1][TYPES] = { 0 };
    struct cluster *c = cluster_create(seed, 3, 2);
    uint64_t trace;

    c->faults = (struct peer_faults){ seed, 50, 50, 50, 5 };
    for (uint32_t id = 1; id <= 3; id++)
        member_start(c, id);
    cluster_settle(c);
    for (int i = 0; i < 100; i++)
        send_something(c, sent);
    sim_run_ms(c->w, 200);
    sim_crash(c->w, 2);
    member_gone(c, 2);
    sim_run_ms(c->w, 200);
    trace = sim_trace_hash(c->w);
    cluster_destroy(c);
    return trace;
}

TEST(the_same_seed_is_the_same_life)
{
    for (uint64_t seed = 0; seed < seeds(5); seed++) {
        EXPECT_U64(live(seed), live(seed));
        EXPECT(live(seed) != live(seed + 1));
    }
}

QUIET_TEST_MAIN(RUN(everything_that_is_sent_arrives_once_and_in_order),
                RUN(those_that_call_each_other_at_once_have_a_connection_each_way),
                RUN(sending_says_when_there_is_nobody),
                RUN(a_node_that_was_started_anew_has_another_incarnation),
                RUN(a_cut_of_one_way_is_noticed_and_survived),
                RUN(a_node_may_move_and_be_forgotten),
                RUN(faults_lose_repeat_and_reorder_messages_and_damage_none),
                RUN(the_same_seed_is_the_same_life))
