/*
 * Pipelines against a model: clients send random commands on their own keys,
 * cut anywhere, without waiting; what comes back must be, byte for byte, what
 * a server would say that carries out one command after the other.
 */
#include "api_fixture.h"
#include "model.h"
#include "unit/test.h"

enum { CLIENTS = 6, STREAM_BYTES_MAX = 64 << 20 };

struct talker {
    struct client client;
    struct model model;
    struct buf request;
    struct buf reply;
    size_t sent;
    size_t matched;
};

static void
talker_begin(struct talker *t, struct inn *n, struct prng *prng, uint32_t number)
{
    t->client = client_connect(n);
    t->request = buf_empty(STREAM_BYTES_MAX);
    t->reply = buf_empty(STREAM_BYTES_MAX);
    t->sent = 0;
    t->matched = 0;
    model_init(&t->model, prng, number);
}

static void
talker_end(struct talker *t)
{
    client_close(&t->client);
    buf_release(&t->request);
    buf_release(&t->reply);
    model_release(&t->model);
}

static void
send_some(struct talker *t, struct prng *prng)
{
    size_t left = t->request.size - t->sent;
    size_t size = prng_below(prng, prng_chance(prng, 1, 3) ? 64 << 10 : 200);

    if (size > left)
        size = left;
    if (size == 0)
        return;
    client_send(&t->client, slice_of(t->request.data + t->sent, size));
    t->sent += size;
}

static void
match_some(struct talker *t)
{
    struct slice got = sim_client_received(t->client.c);

    EXPECT(got.size <= t->reply.size - t->matched);
    if (got.size == 0)
        return;
    if (memcmp(got.data, t->reply.data + t->matched, got.size) != 0) {
        size_t i = 0;

        while (got.data[i] == t->reply.data[t->matched + i])
            i++;
        i = i > 40 ? i - 40 : 0;
        test_expect_slice(
            slice_of(got.data + i, got.size - i < 80 ? got.size - i : 80),
            slice_of(t->reply.data + t->matched + i, got.size - i < 80 ? got.size - i : 80),
            __FILE__, __LINE__);
    }
    t->matched += got.size;
    sim_client_consume(t->client.c, got.size);
}

static bool
talk(struct talker *talkers, struct inn *n, struct prng *prng)
{
    for (int ms = 0; ms < NODE_PATIENCE_MS; ms++) {
        bool all = true;

        for (int i = 0; i < CLIENTS; i++) {
            send_some(&talkers[i], prng);
            match_some(&talkers[i]);
            all = all && talkers[i].matched == talkers[i].reply.size;
        }
        if (all)
            return true;
        sim_run_ms(n->w, 1);
    }
    return false;
}

static void
run(uint64_t seed, int rounds, int steps, uint32_t cold_percent)
{
    struct talker talkers[CLIENTS];
    struct prng prng;
    struct inn n;

    prng_init(&prng, seed);
    inn_init(&n, seed);
    inn_open(&n);
    sim_set_cold_percent(n.w, NODE_ID, cold_percent);
    for (uint32_t i = 0; i < CLIENTS; i++)
        talker_begin(&talkers[i], &n, &prng, i);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            for (int step = 0; step < steps; step++)
                model_step(&talkers[i].model, &talkers[i].request, &talkers[i].reply);
        }
        EXPECT(talk(talkers, &n, &prng));
    }
    for (int i = 0; i < CLIENTS; i++)
        talker_end(&talkers[i]);
    inn_close(&n);
    inn_release(&n);
}

TEST(pipelined_commands_are_carried_out_one_after_the_other)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 8; i++)
        run(seed + i, 6, 100, 50);
}

TEST(a_slow_disk_changes_nothing_of_that)
{
    run(test_seed(100), 6, 60, 100);
}

static void
ask_many(const char *command, const char *expected, int count)
{
    struct inn n;
    struct client c;

    inn_init(&n, 3);
    inn_open(&n);
    c = client_connect(&n);
    for (int i = 0; i < count; i++)
        client_send_text(&c, command);
    for (int i = 0; i < count; i++)
        client_expect(&c, expected);
    client_close(&c);
    inn_close(&n);
    inn_release(&n);
}

TEST(more_commands_than_may_be_under_way_are_answered_all_the_same)
{
    ask_many("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "+OK\r\n", 5000);
}

TEST(a_read_never_sees_a_later_write_of_its_connection)
{
    struct inn n;
    struct client c;

    inn_init(&n, 4);
    inn_open(&n);
    sim_set_cold_percent(n.w, NODE_ID, 100);
    c = client_connect(&n);
    client_ask(&c, "SET k 0", "+OK\r\n");
    client_ask(&c, "SAVE", "+OK\r\n"); /* now only the disk knows */
    for (int i = 0; i < 50; i++) {
        char text[200];

        snprintf(text, sizeof(text), "GET k\r\nMGET k k\r\nSET k %d\r\nGET k\r\n", i + 1);
        client_send_text(&c, text);
    }
    for (int i = 0; i < 50; i++) {
        char text[200];
        int before = i < 10 ? 1 : 2;
        int after = i + 1 < 10 ? 1 : 2;

        snprintf(text, sizeof(text),
                 "$%d\r\n%d\r\n*2\r\n$%d\r\n%d\r\n$%d\r\n%d\r\n+OK\r\n$%d\r\n%d\r\n", before, i,
                 before, i, before, i, after, i + 1);
        client_expect(&c, text);
    }
    client_close(&c);
    inn_close(&n);
    inn_release(&n);
}

TEST_MAIN(RUN(pipelined_commands_are_carried_out_one_after_the_other),
          RUN(a_slow_disk_changes_nothing_of_that),
          RUN(more_commands_than_may_be_under_way_are_answered_all_the_same),
          RUN(a_read_never_sees_a_later_write_of_its_connection))
