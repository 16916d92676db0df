/* Tests of CLUSTER: what the nodes of a cluster say of its slots is what is. */
#include "unit/api/doors.h"
#include "unit/test.h"
#include "wire/resp.h"

enum { SILENCE_MS = 1500 };

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
    return (struct reply){ .bytes = slice_str(client_said(c, command)) };
}

static struct resp_item
next(struct reply *r, enum resp_type type)
{
    struct resp_item item;

    EXPECT(resp_reply_next(&r->parser, r->bytes, &r->at, &item) == RESP_ITEM);
    EXPECT_U64(item.type, type);
    return item;
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
        if (slice_equal(host.text, slice_str(doors_text("10.0.0.%u", i))))
            node = i;
    }
    EXPECT(node != 0);
    EXPECT_SLICE(id.text, doors_text("%016llx%024d", (unsigned long long)d->f.nodes[node].id, 0));
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
            const struct tablet_record *t = k->tablets[slot * DOORS_TABLETS / SLOT_COUNT];

            EXPECT_U64(leader, formed_leader_of(&d->f, t->id));
        }
        EXPECT_U64(places, 3);
        EXPECT(next_place(d, &r) != leader);
        EXPECT(next_place(d, &r) != leader);
    }
    EXPECT_U64(slot, SLOT_COUNT);
}

TEST(every_node_says_of_all_slots_who_leads_them_and_has_copies)
{
    struct doors d;

    doors_open(&d, 1, 3, false);
    for (uint32_t node = 1; node <= 3; node++) {
        struct client c = doors_connect(&d, node);

        check_slots(&d, &c);
        expect_part(client_said(&c, "CLUSTER MYID"),
                    doors_text("%016llx", (unsigned long long)d.f.nodes[node].id));
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
    EXPECT_U64(slots, SLOT_COUNT);
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
    nodes = client_said(&c, "CLUSTER NODES");
    for (uint32_t i = 1; i <= 4; i++)
        expect_part(nodes,
                    doors_text("%016llx%024d 10.0.0.%u:6379@7000 %s",
                               (unsigned long long)d.f.nodes[i].id, 0, i, i == 1 ? "myself," : ""));
    for (const char *at = nodes; *at != '\0'; at++) {
        masters += strncmp(at, "master - 0 0 ", 13) == 0;
        slaves += strncmp(at, "slave ", 6) == 0;
        lines += strncmp(at, "connected", 9) == 0;
    }
    EXPECT_U64(masters, 2);
    EXPECT_U64(slaves, 2);
    EXPECT_U64(lines, 4);
    expect_part(nodes, " connected 0-16383\n");
    expect_part(client_said(&c, "CLUSTER SHARDS"),
                "$5\r\nslots\r\n*0\r\n"); /* of who has nothing */
    expect_part(client_said(&c, "CLUSTER INFO"), "cluster_known_nodes:4\r\ncluster_size:1\r\n");
    expect_part(client_said(&c, "INFO cluster"), "cluster_enabled:1");
    expect_part(client_said(&c, "INFO server"), "redis_mode:cluster");
    expect_part(client_said(&c, "HELLO"), "cluster");
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
    expect_part(client_said(&c, "CLUSTER SLOTS"), "10.0.0.2");
    doors_crash(&d, 2);
    sim_run_ms(d.f.n.w, SILENCE_MS);
    EXPECT(!has_part(client_said(&c, "CLUSTER SLOTS"), "10.0.0.2"));
    expect_part(client_said(&c, "CLUSTER NODES"), "10.0.0.2:6379@7000 slave,fail? ");
    expect_part(client_said(&c, "CLUSTER NODES"), "disconnected");
    expect_part(client_said(&c, "CLUSTER SHARDS"), "$4\r\nfail\r\n");
    info = client_said(&c, "CLUSTER INFO");
    expect_part(info, "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"
                      "cluster_slots_ok:16384\r\n");
    expect_part(info, "cluster_known_nodes:3\r\ncluster_size:2\r\n");
    doors_boot(&d, 2);
    client_await(&c, "CLUSTER SLOTS", "10.0.0.2", true);
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
    client_await(&c, "CLUSTER INFO", "cluster_state:fail", true);
    EXPECT(!has_part(client_said(&c, "CLUSTER INFO"), "cluster_slots_ok:16384"));
    EXPECT(!has_part(client_said(&c, "CLUSTER INFO"), "cluster_slots_pfail:0"));
    expect_part(client_said(&c, "CLUSTER INFO"), "cluster_slots_fail:0");
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
        client_ask(&c, doors_text("SET {foo}%02d v", i), "+OK\r\n");
    client_ask(&c, "SET other v", "+OK\r\n");
    client_close(&c);
    for (uint32_t node = 1; node <= 3; node++) {
        c = doors_connect(&d, node);
        client_ask(&c, doors_text("CLUSTER COUNTKEYSINSLOT %u", doors_slot("foo")), ":40\r\n");
        client_ask(&c, doors_text("CLUSTER COUNTKEYSINSLOT %u", doors_slot("other")), ":1\r\n");
        client_ask(&c, "CLUSTER COUNTKEYSINSLOT 0", ":0\r\n");
        client_ask(&c, doors_text("CLUSTER GETKEYSINSLOT %u 2", doors_slot("foo")),
                   "*2\r\n$7\r\n{foo}00\r\n$7\r\n{foo}01\r\n");
        client_close(&c);
    }
    doors_release(&d);
}

QUIET_TEST_MAIN(RUN(every_node_says_of_all_slots_who_leads_them_and_has_copies),
                RUN(shards_are_the_slots_by_who_leads_and_who_has_copies),
                RUN(nodes_are_listed_whatever_they_have),
                RUN(nobody_is_sent_to_a_node_that_is_down),
                RUN(slots_that_nobody_serves_are_not_ok),
                RUN(keys_in_a_slot_are_found_from_every_node))
