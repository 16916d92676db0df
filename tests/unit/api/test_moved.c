/* Tests of MOVED: who follows it is answered, and who does not want it is answered anyway. */
#include "unit/api/doors.h"
#include "unit/test.h"

enum { PATIENCE_MS = 30000, STEP_MS = 100, SILENCE_MS = 1500 };

static const char *
moved_to(const char *key, uint32_t node)
{
    return doors_text("-MOVED %u 10.0.0.%u:6379\r\n", doors_slot(key), node);
}

/* The first request is forwarded: so the node learns who leads. */
static void
learn(struct client *c, const char *key, uint32_t leader)
{
    client_await(c, doors_text("GET %s", key), moved_to(key, leader), true);
}

TEST(who_does_not_want_to_be_moved_is_not)
{
    struct doors d;
    struct client c;

    doors_open(&d, 7, 3, false);
    c = doors_connect(&d, 1);
    for (int i = 0; i < 30; i++) {
        client_ask(&c, doors_text("SET k%d v%d", i, i), "+OK\r\n");
        client_ask(&c, doors_text("GET k%d", i), doors_text("$%d\r\nv%d\r\n", i < 10 ? 2 : 3, i));
    }
    client_close(&c);
    doors_release(&d);
}

TEST(a_client_is_moved_to_the_leader_and_answered_there)
{
    struct doors d;
    struct client c, other;
    const char *key;

    doors_open(&d, 8, 3, true);
    c = doors_connect(&d, 1);
    other = doors_connect(&d, 2);
    key = doors_key(&d, 2);
    learn(&c, key, 2);
    client_ask(&c, doors_text("SET %s v", key), moved_to(key, 2));
    client_ask(&c, doors_text("MGET %s %sx", key, key), moved_to(key, 2));
    client_ask(&c, doors_text("WATCH %s", key), moved_to(key, 2));
    client_ask(&other, doors_text("SET %s v", key), "+OK\r\n");
    client_ask(&other, doors_text("GET %s", key), "$1\r\nv\r\n");
    client_ask(&c, "PING", "+PONG\r\n");
    client_ask(&c, "DBSIZE", ":1\r\n");
    client_close(&other);
    client_close(&c);
    doors_release(&d);
}

/* Keys of several leaders, and those of a range keyspace. */
TEST(what_has_no_one_leader_is_forwarded)
{
    struct doors d;
    struct client c;
    char ours[32];
    const char *theirs;

    doors_open(&d, 9, 3, true);
    formed_order(&d.f, 1, "keyspace-create r 3 1 range");
    formed_await_placed(&d.f);
    for (uint32_t node = 1; node <= 3; node++) {
        c = doors_connect(&d, node);
        snprintf(ours, sizeof(ours), "%s", doors_key(&d, node));
        theirs = doors_key(&d, node % 3 + 1);
        learn(&c, theirs, node % 3 + 1);
        client_ask(&c, doors_text("MGET %s %s", theirs, ours), "*2\r\n$-1\r\n$-1\r\n");
        client_ask(&c, doors_text("DEL %s %s", theirs, ours), ":0\r\n");
        client_ask(&c, "SELECT r", "+OK\r\n");
        client_ask(&c, "SET k v", "+OK\r\n");
        client_ask(&c, "GET k", "$1\r\nv\r\n");
        client_ask(&c, "GET k", "$1\r\nv\r\n");
        expect_part(client_said(&c, "CLUSTER SLOTS"), "*1\r\n*5\r\n:0\r\n:16383\r\n");
        client_ask(&c, "CLUSTER COUNTKEYSINSLOT 7629", ":1\r\n");
        client_close(&c);
    }
    doors_release(&d);
}

TEST(readonly_lets_reads_be_answered_here_and_asking_the_next_command)
{
    struct doors d;
    struct client c;
    const char *key;

    doors_open(&d, 10, 3, true);
    c = doors_connect(&d, 1);
    key = doors_key(&d, 3);
    learn(&c, key, 3);
    client_ask(&c, "READONLY", "+OK\r\n");
    client_ask(&c, doors_text("GET %s", key), "$-1\r\n");
    client_ask(&c, doors_text("SET %s v", key), moved_to(key, 3));
    client_ask(&c, "READWRITE", "+OK\r\n");
    client_ask(&c, doors_text("GET %s", key), moved_to(key, 3));
    client_ask(&c, "ASKING", "+OK\r\n");
    client_ask(&c, doors_text("SET %s v", key), "+OK\r\n");
    client_ask(&c, doors_text("SET %s v", key), moved_to(key, 3));
    client_ask(&c, "READONLY", "+OK\r\n");
    client_ask(&c, doors_text("GET %s", key), "$1\r\nv\r\n");
    client_ask(&c, "RESET", "+RESET\r\n");
    client_ask(&c, "SELECT users", "+OK\r\n");
    client_ask(&c, doors_text("GET %s", key), moved_to(key, 3));
    client_close(&c);
    doors_release(&d);
}

TEST(a_multi_is_spoiled_by_what_is_moved)
{
    struct doors d;
    struct client c;
    const char *key;

    doors_open(&d, 11, 3, true);
    c = doors_connect(&d, 2);
    key = doors_key(&d, 1);
    learn(&c, key, 1);
    client_ask(&c, "MULTI", "+OK\r\n");
    client_ask(&c, doors_text("SET %s v", key), moved_to(key, 1));
    client_ask(&c, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    key = doors_key(&d, 2);
    client_ask(&c, "MULTI", "+OK\r\n");
    client_ask(&c, doors_text("SET %s v", key), "+QUEUED\r\n");
    client_ask(&c, "EXEC", "*1\r\n+OK\r\n");
    client_close(&c);
    doors_release(&d);
}

/* The write is still on its way to the leader: a read that was sent there by the client itself might come
 * before it. */
TEST(nothing_is_moved_past_a_write_that_is_under_way)
{
    struct doors d;
    struct client c;
    const char *key;

    doors_open(&d, 12, 3, true);
    c = doors_connect(&d, 1);
    key = doors_key(&d, 2);
    learn(&c, key, 2);
    client_send_text(&c, doors_text("ASKING\r\nSET %s w\r\nGET %s\r\n", key, key));
    client_expect(&c, "+OK\r\n+OK\r\n$1\r\nw\r\n");
    client_ask(&c, doors_text("GET %s", key), moved_to(key, 2));
    client_close(&c);
    doors_release(&d);
}

/* It is paused: its connections stay, and only its silence tells. */
TEST(nobody_is_moved_to_a_leader_that_is_silent)
{
    struct doors d;
    struct client c;
    const char *key;

    doors_open(&d, 14, 3, true);
    c = doors_connect(&d, 1);
    key = doors_key(&d, 2);
    learn(&c, key, 2);
    sim_pause(d.f.n.w, 2, PATIENCE_MS);
    sim_run_ms(d.f.n.w, SILENCE_MS);
    EXPECT(!has_part(client_said(&c, "CLUSTER SLOTS"), "10.0.0.2"));
    EXPECT(!has_part(client_said(&c, doors_text("GET %s", key)), "10.0.0.2"));
    for (uint32_t ms = 0; ms < SILENCE_MS; ms += STEP_MS) { /* whoever leads by then */
        EXPECT(!has_part(client_said(&c, doors_text("GET %s", key)), "10.0.0.2"));
        sim_run_ms(d.f.n.w, STEP_MS);
    }
    client_close(&c);
    doors_release(&d);
}

static uint32_t
await_leader_but(struct doors *d, const char *key, uint32_t not_this)
{
    for (uint32_t ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
        uint32_t leader = doors_leader(d, key);

        if (leader != 0 && leader != not_this)
            return leader;
        sim_run_ms(d->f.n.w, STEP_MS);
    }
    fail_msg("nobody but %u leads %s", not_this, key);
    return 0;
}

/* Node 2 is down, and another one leads; it comes back, and is handed its leadership.  Nothing that a node only
 * redirects tells it so.  That is a third member, or one that has no copy. */
static void
redirect_until_the_leader_is_back(uint64_t seed, bool is_member)
{
    struct doors d;
    struct client c;
    const char *key;
    uint32_t heir, asked = 1;

    doors_open(&d, seed, is_member ? 3 : 4, true);
    key = doors_key(&d, 2);
    doors_crash(&d, 2);
    heir = await_leader_but(&d, key, 2);
    while (asked == 2 || asked == heir ||
           is_member != (tablet_record_member(doors_tablet(&d, key), d.f.nodes[asked].id) != NULL))
        asked++;
    c = doors_connect(&d, asked);
    learn(&c, key, heir);
    doors_boot(&d, 2);
    EXPECT_U64(await_leader_but(&d, key, heir), 2);
    client_await(&c, doors_text("SET %s v", key), moved_to(key, 2), true);
    client_close(&c);
    doors_release(&d);
}

TEST(who_only_redirects_hears_of_a_new_leader_all_the_same)
{
    redirect_until_the_leader_is_back(13, true);
}

TEST(who_has_no_copy_hears_of_a_new_leader_too)
{
    redirect_until_the_leader_is_back(15, false);
}

QUIET_TEST_MAIN(RUN(who_does_not_want_to_be_moved_is_not),
                RUN(a_client_is_moved_to_the_leader_and_answered_there),
                RUN(what_has_no_one_leader_is_forwarded),
                RUN(readonly_lets_reads_be_answered_here_and_asking_the_next_command),
                RUN(a_multi_is_spoiled_by_what_is_moved),
                RUN(nothing_is_moved_past_a_write_that_is_under_way),
                RUN(nobody_is_moved_to_a_leader_that_is_silent),
                RUN(who_only_redirects_hears_of_a_new_leader_all_the_same),
                RUN(who_has_no_copy_hears_of_a_new_leader_too))
