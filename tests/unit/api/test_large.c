/*
 * Large values and long replies: they travel whole, at the pace of whoever
 * reads them, and the node holds only a part of them at a time.
 */
#include "base/limits.h"
#include "base/mem.h"

#include "api_fixture.h"
#include "unit/test.h"
#include "wire/resp.h"

enum { MB = 1 << 20 };

static void
begin(struct inn *n, struct client *c, uint64_t seed)
{
    inn_init(n, seed);
    inn_open(n);
    *c = client_connect(n);
}

static void
end(struct inn *n, struct client *c)
{
    client_close(c);
    inn_close(n);
    inn_release(n);
}

/* A value of its own for every key: "<number>." repeated. */
static struct buf
value_of(int number, size_t size)
{
    struct buf value = buf_empty(LIMIT_VALUE_BYTES + MB);
    char text[16];

    snprintf(text, sizeof(text), "%d.", number);
    EXPECT_OK(buf_reserve(&value, size));
    while (value.size < size) {
        size_t left = size - value.size;
        size_t part = strlen(text) < left ? strlen(text) : left;

        EXPECT_OK(buf_append(&value, slice_of(text, part)));
    }
    return value;
}

static void
send_set(struct client *c, const char *key, struct slice value)
{
    struct buf command = buf_empty(value.size + 1000);
    struct resp_writer w = resp_writer_to(&command, 2);

    resp_put_array(&w, 3);
    resp_put_bulk(&w, slice_str("SET"));
    resp_put_bulk(&w, slice_str(key));
    resp_put_bulk(&w, value);
    EXPECT_OK(w.st);
    client_send(c, buf_slice(&command));
    buf_release(&command);
}

static void
fill(struct client *c, int count, size_t size)
{
    for (int i = 0; i < count; i++) {
        struct buf value = value_of(i, size);
        char key[16];

        snprintf(key, sizeof(key), "k%d", i);
        send_set(c, key, buf_slice(&value));
        client_expect(c, "+OK\r\n");
        buf_release(&value);
    }
}

static void
want_value(struct client *c, int number, size_t size)
{
    struct buf value = value_of(number, size);
    char head[32];

    snprintf(head, sizeof(head), "$%zu\r\n", size);
    client_expect(c, head);
    client_expect_bytes(c, buf_slice(&value));
    client_expect(c, "\r\n");
    buf_release(&value);
}

TEST(the_largest_value_travels_both_ways)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 1);
    fill(&c, 1, LIMIT_VALUE_BYTES);
    client_ask(&c, "STRLEN k0", ":16777216\r\n");
    client_send_text(&c, "GET k0\r\n");
    want_value(&c, 0, LIMIT_VALUE_BYTES);
    client_send_text(&c, "GETDEL k0\r\n");
    want_value(&c, 0, LIMIT_VALUE_BYTES);
    client_ask(&c, "EXISTS k0", ":0\r\n");
    end(&n, &c);
}

TEST(a_larger_value_is_refused_and_the_connection_goes_on)
{
    struct inn n;
    struct client c;
    struct buf value = buf_empty(LIMIT_VALUE_BYTES + 2 * MB);

    begin(&n, &c, 2);
    value = value_of(0, LIMIT_VALUE_BYTES + 1);
    send_set(&c, "k", buf_slice(&value));
    client_send_text(&c, "PING\r\n");
    client_expect(&c, "-ERR the command is too large: an argument may have 16777216 bytes, all of "
                      "them 67108864\r\n+PONG\r\n");
    client_ask(&c, "EXISTS k", ":0\r\n");
    buf_release(&value);
    end(&n, &c);
}

TEST(a_command_of_too_many_bytes_is_refused_and_the_connection_goes_on)
{
    struct inn n;
    struct client c;
    struct buf value;

    inn_init(&n, 3);
    n.engine.budget_bytes = (size_t)512 * MB;
    inn_open(&n);
    c = client_connect(&n);
    value = value_of(0, 15 * MB);
    client_send_text(&c, "*11\r\n$4\r\nMSET\r\n");
    for (int i = 0; i < 5; i++) {
        char text[64];

        snprintf(text, sizeof(text), "$2\r\nk%d\r\n$%d\r\n", i, 15 * MB);
        client_send_text(&c, text);
        client_send(&c, buf_slice(&value));
        client_send_text(&c, "\r\n");
    }
    client_send_text(&c, "PING\r\n");
    client_expect(&c, "-ERR the command is too large: an argument may have 16777216 bytes, all of "
                      "them 67108864\r\n+PONG\r\n");
    client_ask(&c, "EXISTS k0 k1 k2 k3 k4", ":0\r\n");
    buf_release(&value);
    end(&n, &c);
}

TEST(a_transaction_of_too_many_bytes_is_refused)
{
    struct inn n;
    struct client c;
    struct buf value;

    inn_init(&n, 4);
    n.engine.budget_bytes = (size_t)512 * MB;
    inn_open(&n);
    c = client_connect(&n);
    value = value_of(0, 15 * MB);
    client_ask(&c, "MULTI", "+OK\r\n");
    for (int i = 0; i < 5; i++) {
        send_set(&c, "k", buf_slice(&value));
        client_expect(&c, i < 4 ? "+QUEUED\r\n" : "-ERR the transaction is too large\r\n");
    }
    client_ask(&c, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    client_ask(&c, "EXISTS k", ":0\r\n");
    buf_release(&value);
    end(&n, &c);
}

/* The node's heap may grow by so much while `count` values of `size` bytes are replied. */
static void
expect_stream(struct inn *n, struct client *c, int count, size_t size, size_t growth_max)
{
    struct mem_heap *heap = sim_heap(n->w, NODE_ID);
    size_t before = heap->byte_count;
    char head[32];

    snprintf(head, sizeof(head), "*%d\r\n", count);
    client_expect(c, head);
    for (int i = 0; i < count; i++) {
        want_value(c, i, size);
        EXPECT(heap->byte_count < before + growth_max);
    }
}

static void
send_mget(struct client *c, int count)
{
    char text[32];

    client_send_text(c, "MGET");
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof(text), " k%d", i);
        client_send_text(c, text);
    }
    client_send_text(c, "\r\n");
}

TEST(a_long_mget_is_streamed)
{
    struct inn n;
    struct client c;

    inn_init(&n, 5);
    n.engine.budget_bytes = (size_t)512 * MB;
    n.engine.trees.memtable_bytes = 128 * MB;
    inn_open(&n);
    c = client_connect(&n);
    fill(&c, 50, 2 * MB);
    send_mget(&c, 50);
    client_send_text(&c, "SET k49 later\r\nGET k49\r\n");
    expect_stream(&n, &c, 50, 2 * MB, 24 * MB);
    client_expect(&c, "+OK\r\n$5\r\nlater\r\n");
    end(&n, &c);
}

TEST(a_long_mget_is_streamed_from_the_disk_too)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 15);
    sim_set_cold_percent(n.w, NODE_ID, 100);
    fill(&c, 50, 2 * MB);
    client_ask(&c, "SAVE", "+OK\r\n");
    send_mget(&c, 50);
    expect_stream(&n, &c, 50, 2 * MB, 64 * MB); /* the block cache fills meanwhile */
    end(&n, &c);
}

TEST(a_stream_of_small_values_mixes_what_there_is_with_what_there_is_not)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 6);
    fill(&c, 300, 3000);
    client_ask(&c, "DEL k7", ":1\r\n");
    send_mget(&c, 300);
    client_expect(&c, "*300\r\n");
    for (int i = 0; i < 300; i++) {
        if (i == 7)
            client_expect(&c, "$-1\r\n");
        else
            want_value(&c, i, 3000);
    }
    end(&n, &c);
}

TEST(a_long_exec_of_reads_is_streamed)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 7);
    fill(&c, 30, MB);
    client_ask(&c, "WATCH k0 k1", "+OK\r\n");
    client_ask(&c, "MULTI", "+OK\r\n");
    client_ask(&c, "PING", "+QUEUED\r\n");
    for (int i = 0; i < 30; i++) {
        char text[32];

        snprintf(text, sizeof(text), "GET k%d", i);
        client_ask(&c, text, "+QUEUED\r\n");
    }
    client_ask(&c, "EXISTS k0 k1 nokey", "+QUEUED\r\n");
    client_ask(&c, "MGET k2 nokey k3", "+QUEUED\r\n");
    client_send_text(&c, "EXEC\r\n");
    client_expect(&c, "*33\r\n+PONG\r\n");
    for (int i = 0; i < 30; i++)
        want_value(&c, i, MB);
    client_expect(&c, ":2\r\n*3\r\n");
    want_value(&c, 2, MB);
    client_expect(&c, "$-1\r\n");
    want_value(&c, 3, MB);
    client_ask(&c, "PING", "+PONG\r\n");
    end(&n, &c);
}

TEST(an_exec_that_writes_may_return_no_more_than_it_may_hold)
{
    struct inn n;
    struct client c;

    begin(&n, &c, 8);
    fill(&c, 3, 12 * MB);
    client_ask(&c, "MULTI", "+OK\r\n");
    client_ask(&c, "SET x 1", "+QUEUED\r\n");
    client_ask(&c, "MGET k0 k1 k2", "+QUEUED\r\n");
    client_ask(&c, "EXEC",
               "-ERR the replies of a unit that writes may have 33554432 bytes in all\r\n");
    client_ask(&c, "EXISTS x", ":0\r\n");
    client_ask(&c, "MULTI", "+OK\r\n");
    client_ask(&c, "SET x 1", "+QUEUED\r\n");
    client_ask(&c, "MGET k0 k1", "+QUEUED\r\n");
    client_send_text(&c, "EXEC\r\n");
    client_expect(&c, "*2\r\n+OK\r\n*2\r\n");
    want_value(&c, 0, 12 * MB);
    want_value(&c, 1, 12 * MB);
    end(&n, &c);
}

TEST(a_client_that_goes_in_the_middle_of_a_stream_leaves_nothing_behind)
{
    struct inn n;
    struct client c, other;

    begin(&n, &c, 9);
    fill(&c, 30, MB);
    for (int i = 0; i < 5; i++) {
        other = client_connect(&n);
        send_mget(&other, 30);
        sim_run_ms(n.w, (uint64_t)i);
        client_close(&other);
        client_ask(&c, "PING", "+PONG\r\n");
    }
    end(&n, &c);
}

/* ------------------------------------------------------------------ KEYS and RANGE */

enum { MANY = 12000 };

static void
fill_many(struct client *c)
{
    for (int i = 0; i < MANY; i += 100) {
        struct buf command = buf_empty(MB);

        EXPECT_OK(buf_printf(&command, "MSET"));
        for (int k = i; k < i + 100; k++)
            EXPECT_OK(buf_printf(&command, " a-key-of-some-length:%06d value-%06d", k, k));
        EXPECT_OK(buf_printf(&command, "\r\n"));
        client_send(c, buf_slice(&command));
        client_expect(c, "+OK\r\n");
        buf_release(&command);
    }
}

TEST(keys_and_range_count_before_they_send_much)
{
    struct inn n;
    struct client c;
    char text[128];

    begin(&n, &c, 10);
    fill_many(&c);
    snprintf(text, sizeof(text), ":%d\r\n", MANY);
    client_ask(&c, "DBSIZE", text);

    client_send_text(&c, "KEYS *\r\n");
    snprintf(text, sizeof(text), "*%d\r\n", MANY);
    client_expect(&c, text);
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof(text), "$27\r\na-key-of-some-length:%06d\r\n", i);
        client_expect(&c, text);
    }
    client_send_text(&c, "RANGE - + REV LIMIT 11000\r\n");
    client_expect(&c, "*22000\r\n");
    for (int i = MANY - 1; i >= MANY - 11000; i--) {
        snprintf(text, sizeof(text), "$27\r\na-key-of-some-length:%06d\r\n$12\r\nvalue-%06d\r\n", i,
                 i);
        client_expect(&c, text);
    }
    client_ask(
        &c, "KEYS *:00000[12]",
        "*2\r\n$27\r\na-key-of-some-length:000001\r\n$27\r\na-key-of-some-length:000002\r\n");
    client_ask(&c, "PING", "+PONG\r\n");
    end(&n, &c);
}

TEST(scan_returns_every_key_that_is_there_all_the_time)
{
    struct inn n;
    struct client c;
    bool *seen = calloc(MANY, sizeof(bool));
    char cursor[32] = "0";
    int found = 0;

    begin(&n, &c, 11);
    fill_many(&c);
    do {
        char text[64];
        struct slice reply;
        struct resp_reply_parser p = { 0 };
        struct resp_item item;
        size_t at = 0;

        snprintf(text, sizeof(text), "SCAN %s COUNT 500\r\n", cursor);
        client_send_text(&c, text);
        /* Others come and go meanwhile. */
        client_send_text(&c, "SET a-coming-and-going x\r\n");
        reply = client_reply(&c);
        EXPECT_U64(resp_reply_next(&p, reply, &at, &item), RESP_ITEM);
        EXPECT_U64(resp_reply_next(&p, reply, &at, &item), RESP_ITEM);
        snprintf(cursor, sizeof(cursor), "%.*s", (int)item.text.size, (const char *)item.text.data);
        EXPECT_U64(resp_reply_next(&p, reply, &at, &item), RESP_ITEM);
        while (p.depth > 0) {
            int number;

            EXPECT_U64(resp_reply_next(&p, reply, &at, &item), RESP_ITEM);
            if (item.text.data[2] == 'c')
                continue;
            number = atoi((const char *)item.text.data + 21);
            EXPECT(!seen[number]);
            seen[number] = true;
            found++;
        }
        client_expect(&c, "+OK\r\n");
    } while (strcmp(cursor, "0") != 0);
    EXPECT_U64(found, MANY);
    free(seen);
    end(&n, &c);
}

TEST_MAIN(RUN(the_largest_value_travels_both_ways),
          RUN(a_larger_value_is_refused_and_the_connection_goes_on),
          RUN(a_command_of_too_many_bytes_is_refused_and_the_connection_goes_on),
          RUN(a_transaction_of_too_many_bytes_is_refused), RUN(a_long_mget_is_streamed),
          RUN(a_long_mget_is_streamed_from_the_disk_too),
          RUN(a_stream_of_small_values_mixes_what_there_is_with_what_there_is_not),
          RUN(a_long_exec_of_reads_is_streamed),
          RUN(an_exec_that_writes_may_return_no_more_than_it_may_hold),
          RUN(a_client_that_goes_in_the_middle_of_a_stream_leaves_nothing_behind),
          RUN(keys_and_range_count_before_they_send_much),
          RUN(scan_returns_every_key_that_is_there_all_the_time))
