/*
 * Tests of CLUSTER, and of MOVED: what the nodes of a cluster say of its slots is what is, and who follows it
 * is answered.
 */
#include "unit/api/doors.h"
#include "unit/test.h"
#include "wire/resp.h"

enum { ITEMS_MAX = 2000, PATIENCE_MS = 30000, STEP_MS = 100, SILENCE_MS = 1500 };

/* ------------------------------------------------------------------ helpers */

/* One reply, item by item. */
struct reply {
    struct slice bytes;
    struct resp_reply_parser parser;
    size_t at;
};

static struct reply
ask(struct client *c, const char *command)
{
    client_send_text(c, command);
    client_send_text(c, "\r\n");
    return (struct reply){ .bytes = client_reply(c) };
}

static struct resp_item
next(struct reply *r, enum resp_type type)
{
    struct resp_item item;

    EXPECT(resp_reply_next(&r->parser, r->bytes, &r->at, &item) == RESP_ITEM);
    EXPECT_U64(item.type, type);
    return item;
}

/* As text; until the next. */
static const char *
said(struct client *c, const char *command)
{
    static char text[64 << 10];
    struct reply r = ask(c, command);

    EXPECT(r.bytes.size < sizeof(text));
    memcpy(text, r.bytes.data, r.bytes.size);
    text[r.bytes.size] = '\0';
    return text;
}

static bool
has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void
expect_has(const char *text, const char *part)
{
    if (!has(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static const char *
text(const char *fmt, ...)
{
    static char out[4][256];
    static unsigned at;
    va_list args;

    at = (at + 1) % 4;
    va_start(args, fmt);
    vsnprintf(out[at], sizeof(out[at]), fmt, args);
    va_end(args);
    return out[at];
}

/* Until what the node says has this part, or has it no more. */
static void
await(struct client *c, const char *command, const char *part, bool there)
{
    for (uint32_t ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
        if (has(said(c, command), part) == there)
            return;
        sim_run_ms(c->n->w, STEP_MS);
    }
    fail_msg("%s: %s %s:\n%s", command, there ? "never" : "always", part, said(c, command));
}

static uint32_t
slot_of(const char *key)
{
    return atlas_slot(slice_str(key));
}

/* ------------------------------------------------------------------ SLOTS, SHARDS, NODES, INFO */

/* [host, port, id, {}]: the number of the node. */
static uint32_t
next_place(struct doors *d, struct reply *r)
{
    struct resp_item host, id;
    uint32_t node = 0;

    EXPECT_U64(next(r, RESP_ARRAY).count, 4);
    host = next(r, RESP_BULK);
    EXPECT_U64(next(r, RESP_INTEGER).integer, DOORS_PORT);
    id = next(r, RESP_BULK);
    EXPECT_U64(next(r, RESP_ARRAY).count, 0);
    for (uint32_t i = 1; i <= d->f.n.count; i++) {
        if (slice_equal(host.text, slice_str(text("10.0.0.%u", i))))
            node = i;
    }
    EXPECT(node != 0);
    EXPECT_SLICE(id.text, text("%016llx%024d", (unsigned long long)d->f.nodes[node].id, 0));
    return node;
}

/* Every slot once, in order, as it is. */
static void
check_slots(struct doors *d, struct client *c)
{
    const struct atlas_keyspace *k = formed_keyspace(&d->f, "users");
    struct reply r = ask(c, "CLUSTER SLOTS");
    uint64_t ranges = next(&r, RESP_ARRAY).count;
    uint32_t slot = 0;

    for (uint64_t i = 0; i < ranges; i++) {
        uint64_t places = next(&r, RESP_ARRAY).count - 2;
        uint32_t last, leader;

        EXPECT_U64(next(&r, RESP_INTEGER).integer, slot);
        last = (uint32_t)next(&r, RESP_INTEGER).integer;
        leader = next_place(d, &r);
        for (; slot <= last; slot++) {
            const struct tablet_record *t = k->tablets[slot * DOORS_TABLETS / ATLAS_SLOTS];

            EXPECT_U64(leader, formed_leader_of(&d->f, t->id));
        }
        EXPECT_U64(places, 3);
        EXPECT(next_place(d, &r) != leader);
        EXPECT(next_place(d, &r) != leader);
    }
    EXPECT_U64(slot, ATLAS_SLOTS);
}

TEST(every_node_says_of_all_slots_who_leads_them_and_has_copies)
{
    struct doors d;

    doors_open(&d, 1, 3, false);
    for (uint32_t node = 1; node <= 3; node++) {
        struct client c = doors_connect(&d, node);

        check_slots(&d, &c);
        expect_has(said(&c, "CLUSTER MYID"),
                   text("%016llx", (unsigned long long)d.f.nodes[node].id));
        client_close(&c);
    }
    doors_release(&d);
}

/* Each has 3 + 2 copies of some tablets, and so all three lead and follow. */
TEST(shards_are_the_slots_by_who_leads_and_who_has_copies)
{
    struct doors d;
    struct client c;
    struct reply r;
    uint64_t shards;
    uint32_t slots = 0;

    doors_open(&d, 2, 3, false);
    c = doors_connect(&d, 2);
    r = ask(&c, "CLUSTER SHARDS");
    shards = next(&r, RESP_ARRAY).count;
    EXPECT_U64(shards, 3);
    for (uint64_t i = 0; i < shards; i++) {
        uint64_t bounds;

        EXPECT_U64(next(&r, RESP_ARRAY).count, 4);
        EXPECT_SLICE(next(&r, RESP_BULK).text, "slots");
        bounds = next(&r, RESP_ARRAY).count;
        for (uint64_t b = 0; b < bounds; b += 2) {
            int64_t first = next(&r, RESP_INTEGER).integer;

            slots += (uint32_t)(next(&r, RESP_INTEGER).integer - first + 1);
        }
        EXPECT_SLICE(next(&r, RESP_BULK).text, "nodes");
        EXPECT_U64(next(&r, RESP_ARRAY).count, 3);
        for (int n = 0; n < 3; n++) {
            EXPECT_U64(next(&r, RESP_ARRAY).count, 14);
            for (int f = 0; f < 14; f++) {
                bool is_number = f == 3 || f == 11;
                struct resp_item item = next(&r, is_number ? RESP_INTEGER : RESP_BULK);

                if (f == 9)
                    EXPECT_SLICE(item.text, n == 0 ? "master" : "replica");
                if (f == 13)
                    EXPECT_SLICE(item.text, "online");
            }
        }
    }
    EXPECT_U64(slots, ATLAS_SLOTS);
    client_close(&c);
    doors_release(&d);
}

/* Database 0 has one tablet: one node leads it, two have copies, and the fourth has nothing. */
TEST(nodes_are_listed_whatever_they_have)
{
    struct doors d;
    struct client c;
    const char *nodes;
    unsigned masters = 0, slaves = 0, lines = 0;

    doors_open(&d, 3, 4, false);
    c = doors_connect(&d, 1);
    client_ask(&c, "SELECT 0", "+OK\r\n");
    nodes = said(&c, "CLUSTER NODES");
    for (uint32_t i = 1; i <= 4; i++)
        expect_has(nodes, text("%016llx%024d 10.0.0.%u:6379@7000 %s",
                               (unsigned long long)d.f.nodes[i].id, 0, i, i == 1 ? "myself," : ""));
    for (const char *at = nodes; *at != '\0'; at++) {
        masters += strncmp(at, "master - 0 0 ", 13) == 0;
        slaves += strncmp(at, "slave ", 6) == 0;
        lines += strncmp(at, "connected", 9) == 0;
    }
    EXPECT_U64(masters, 2);
    EXPECT_U64(slaves, 2);
    EXPECT_U64(lines, 4);
    expect_has(nodes, " connected 0-16383\n");
    expect_has(said(&c, "CLUSTER SHARDS"), "$5\r\nslots\r\n*0\r\n"); /* of who has nothing */
    expect_has(said(&c, "CLUSTER INFO"), "cluster_known_nodes:4\r\ncluster_size:1\r\n");
    expect_has(said(&c, "INFO cluster"), "cluster_enabled:1");
    expect_has(said(&c, "INFO server"), "redis_mode:cluster");
    expect_has(said(&c, "HELLO"), "cluster");
    client_close(&c);
    doors_release(&d);
}

TEST(nobody_is_sent_to_a_node_that_is_down)
{
    struct doors d;
    struct client c;
    const char *info;

    doors_open(&d, 4, 3, false);
    c = doors_connect(&d, 1);
    expect_has(said(&c, "CLUSTER SLOTS"), "10.0.0.2");
    doors_crash(&d, 2);
    sim_run_ms(d.f.n.w, SILENCE_MS);
    EXPECT(!has(said(&c, "CLUSTER SLOTS"), "10.0.0.2"));
    expect_has(said(&c, "CLUSTER NODES"), "10.0.0.2:6379@7000 slave,fail? ");
    expect_has(said(&c, "CLUSTER NODES"), "disconnected");
    expect_has(said(&c, "CLUSTER SHARDS"), "$4\r\nfail\r\n");
    info = said(&c, "CLUSTER INFO");
    expect_has(info, "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"
                     "cluster_slots_ok:16384\r\n");
    expect_has(info, "cluster_known_nodes:3\r\ncluster_size:2\r\n");
    doors_boot(&d, 2);
    await(&c, "CLUSTER SLOTS", "10.0.0.2", true);
    client_close(&c);
    doors_release(&d);
}

/* The one that is left sees itself, and says so of all slots. */
TEST(slots_that_nobody_serves_are_not_ok)
{
    struct doors d;
    struct client c;

    doors_open(&d, 5, 4, false);
    c = doors_connect(&d, 1);
    for (uint32_t node = 2; node <= 4; node++)
        doors_crash(&d, node);
    await(&c, "CLUSTER INFO", "cluster_state:fail", true);
    EXPECT(!has(said(&c, "CLUSTER INFO"), "cluster_slots_ok:16384"));
    EXPECT(!has(said(&c, "CLUSTER INFO"), "cluster_slots_pfail:0"));
    expect_has(said(&c, "CLUSTER INFO"), "cluster_slots_fail:0");
    client_close(&c);
    doors_release(&d);
}

/* ------------------------------------------------------------------ keys in a slot */

TEST(keys_in_a_slot_are_found_from_every_node)
{
    struct doors d;
    struct client c;

    doors_open(&d, 6, 3, false);
    c = doors_connect(&d, 1);
    for (int i = 0; i < 40; i++)
        client_ask(&c, text("SET {foo}%02d v", i), "+OK\r\n");
    client_ask(&c, "SET other v", "+OK\r\n");
    client_close(&c);
    for (uint32_t node = 1; node <= 3; node++) {
        c = doors_connect(&d, node);
        client_ask(&c, text("CLUSTER COUNTKEYSINSLOT %u", slot_of("foo")), ":40\r\n");
        client_ask(&c, text("CLUSTER COUNTKEYSINSLOT %u", slot_of("other")), ":1\r\n");
        client_ask(&c, "CLUSTER COUNTKEYSINSLOT 0", ":0\r\n");
        client_ask(&c, text("CLUSTER GETKEYSINSLOT %u 2", slot_of("foo")),
                   "*2\r\n$7\r\n{foo}00\r\n$7\r\n{foo}01\r\n");
        client_close(&c);
    }
    doors_release(&d);
}

/* ------------------------------------------------------------------ MOVED */

static const char *
moved_to(const char *key, uint32_t node)
{
    return text("-MOVED %u 10.0.0.%u:6379\r\n", slot_of(key), node);
}

/* The first request is forwarded: so the node learns who leads. */
static void
learn(struct client *c, const char *key, uint32_t leader)
{
    await(c, text("GET %s", key), moved_to(key, leader), true);
}

TEST(who_does_not_want_to_be_moved_is_not)
{
    struct doors d;
    struct client c;

    doors_open(&d, 7, 3, false);
    c = doors_connect(&d, 1);
    for (int i = 0; i < 30; i++) {
        client_ask(&c, text("SET k%d v%d", i, i), "+OK\r\n");
        client_ask(&c, text("GET k%d", i), text("$%d\r\nv%d\r\n", i < 10 ? 2 : 3, i));
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
    client_ask(&c, text("SET %s v", key), moved_to(key, 2));
    client_ask(&c, text("MGET %s %sx", key, key), moved_to(key, 2));
    client_ask(&c, text("WATCH %s", key), moved_to(key, 2));
    client_ask(&other, text("SET %s v", key), "+OK\r\n");
    client_ask(&other, text("GET %s", key), "$1\r\nv\r\n");
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
        client_ask(&c, text("MGET %s %s", theirs, ours), "*2\r\n$-1\r\n$-1\r\n");
        client_ask(&c, text("DEL %s %s", theirs, ours), ":0\r\n");
        client_ask(&c, "SELECT r", "+OK\r\n");
        client_ask(&c, "SET k v", "+OK\r\n");
        client_ask(&c, "GET k", "$1\r\nv\r\n");
        client_ask(&c, "GET k", "$1\r\nv\r\n");
        expect_has(said(&c, "CLUSTER SLOTS"), "*1\r\n*5\r\n:0\r\n:16383\r\n");
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
    client_ask(&c, text("GET %s", key), "$-1\r\n");
    client_ask(&c, text("SET %s v", key), moved_to(key, 3));
    client_ask(&c, "READWRITE", "+OK\r\n");
    client_ask(&c, text("GET %s", key), moved_to(key, 3));
    client_ask(&c, "ASKING", "+OK\r\n");
    client_ask(&c, text("SET %s v", key), "+OK\r\n");
    client_ask(&c, text("SET %s v", key), moved_to(key, 3));
    client_ask(&c, "READONLY", "+OK\r\n");
    client_ask(&c, text("GET %s", key), "$1\r\nv\r\n");
    client_ask(&c, "RESET", "+RESET\r\n");
    client_ask(&c, "SELECT users", "+OK\r\n");
    client_ask(&c, text("GET %s", key), moved_to(key, 3));
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
    client_ask(&c, text("SET %s v", key), moved_to(key, 1));
    client_ask(&c, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    key = doors_key(&d, 2);
    client_ask(&c, "MULTI", "+OK\r\n");
    client_ask(&c, text("SET %s v", key), "+QUEUED\r\n");
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
    client_send_text(&c, text("ASKING\r\nSET %s w\r\nGET %s\r\n", key, key));
    client_expect(&c, "+OK\r\n+OK\r\n$1\r\nw\r\n");
    client_ask(&c, text("GET %s", key), moved_to(key, 2));
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
    EXPECT(!has(said(&c, "CLUSTER SLOTS"), "10.0.0.2"));
    EXPECT(!has(said(&c, text("GET %s", key)), "10.0.0.2"));
    await(&c, text("GET %s", key), "$-1", true);
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
    await(&c, text("SET %s v", key), moved_to(key, 2), true);
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

QUIET_TEST_MAIN(RUN(every_node_says_of_all_slots_who_leads_them_and_has_copies),
                RUN(shards_are_the_slots_by_who_leads_and_who_has_copies),
                RUN(nodes_are_listed_whatever_they_have),
                RUN(nobody_is_sent_to_a_node_that_is_down),
                RUN(slots_that_nobody_serves_are_not_ok),
                RUN(keys_in_a_slot_are_found_from_every_node),
                RUN(who_does_not_want_to_be_moved_is_not),
                RUN(a_client_is_moved_to_the_leader_and_answered_there),
                RUN(what_has_no_one_leader_is_forwarded),
                RUN(readonly_lets_reads_be_answered_here_and_asking_the_next_command),
                RUN(a_multi_is_spoiled_by_what_is_moved),
                RUN(nothing_is_moved_past_a_write_that_is_under_way),
                RUN(nobody_is_moved_to_a_leader_that_is_silent),
                RUN(who_only_redirects_hears_of_a_new_leader_all_the_same),
                RUN(who_has_no_copy_hears_of_a_new_leader_too))
