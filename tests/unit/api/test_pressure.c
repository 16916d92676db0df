/*
 * What clients cannot do to the node: slow readers, endless pipelines, half of
 * a large command, many of them at once.  Its memory stays bounded, the other
 * clients are served, and everything that was taken is given back.
 */
#include "base/limits.h"
#include "base/mem.h"

#include "api_fixture.h"
#include "unit/test.h"

enum { MB = 1 << 20 };

static size_t
heap_bytes(struct inn *n)
{
    return sim_heap(n->w, NODE_ID)->byte_count;
}

static void
send_head(struct client *c, const char *key, size_t size)
{
    char text[128];

    snprintf(text, sizeof(text), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key,
             size);
    client_send_text(c, text);
}

static void
send_value(struct client *c, const char *key, size_t size)
{
    uint8_t *bytes = mem_alloc(size + 2);

    memset(bytes, 'x', size);
    memcpy(bytes + size, "\r\n", 2);
    send_head(c, key, size);
    client_send(c, slice_of(bytes, size + 2));
    mem_free(bytes);
}

TEST(a_slow_reader_is_read_from_no_more)
{
    struct inn n;
    struct client slow, other;
    size_t before;

    inn_init(&n, 1);
    inn_open(&n);
    slow = client_connect(&n);
    other = client_connect(&n);
    send_value(&other, "k", 100 << 10);
    client_expect(&other, "+OK\r\n");
    before = heap_bytes(&n);
    sim_client_set_window(slow.c, 1000);
    for (int i = 0; i < 1000; i++)
        client_send_text(&slow, "GET k\r\n"); /* a hundred megabytes of replies */
    for (int i = 0; i < 100; i++) {
        sim_run_ms(n.w, 1);
        EXPECT(heap_bytes(&n) < before + 4 * MB);
    }
    client_ask(&other, "PING", "+PONG\r\n");

    sim_client_set_window(slow.c, 10 * MB);
    for (int i = 0; i < 1000; i++) {
        struct slice got;

        while ((got = sim_client_received(slow.c)).size < (100 << 10) + 11)
            sim_run_ms(n.w, 1);
        test_expect_slice(slice_of(got.data, 12), slice_str("$102400\r\nxxx"), __FILE__, __LINE__);
        sim_client_consume(slow.c, (100 << 10) + 11);
        EXPECT(heap_bytes(&n) < before + 4 * MB);
    }
    client_close(&slow);
    client_close(&other);
    inn_close(&n);
    inn_release(&n);
}

TEST(a_reader_that_takes_nothing_is_given_up)
{
    struct inn n;
    struct client slow;

    inn_init(&n, 2);
    inn_open(&n);
    slow = client_connect(&n);
    sim_client_set_window(slow.c, 100);
    for (int i = 0; i < 100; i++)
        client_send_text(&slow, "PING\r\n");
    sim_run_ms(n.w, 30000);
    EXPECT(!sim_client_closed(slow.c));
    sim_run_ms(n.w, 31000);
    sim_client_consume(slow.c, sim_client_received(slow.c).size);
    sim_run_ms(n.w, 10);
    sim_client_consume(slow.c, sim_client_received(slow.c).size);
    client_expect_closed(&slow);
    client_close(&slow);
    inn_close(&n);
    inn_release(&n);
}

TEST(an_endless_pipeline_takes_bounded_memory)
{
    struct inn n;
    struct client c, other;
    struct buf batch = buf_empty(MB);
    size_t before;

    inn_init(&n, 3);
    inn_open(&n);
    c = client_connect(&n);
    other = client_connect(&n);
    client_ask(&other, "PING", "+PONG\r\n");
    for (int i = 0; i < 1000; i++)
        EXPECT_OK(buf_printf(&batch, "SET key:%d some-value-of-a-hundred-bytes-%080d\r\n", i, i));
    before = heap_bytes(&n);
    for (int i = 0; i < 100; i++) { /* a hundred thousand commands, a dozen megabytes */
        client_send(&c, buf_slice(&batch));
        sim_run_ms(n.w, 2);
        EXPECT(heap_bytes(&n) < before + 24 * MB); /* memtables included */
    }
    client_ask(&other, "PING", "+PONG\r\n");
    for (int i = 0; i < 100000; i++)
        client_expect(&c, "+OK\r\n");
    client_close(&c);
    client_close(&other);
    buf_release(&batch);
    inn_close(&n);
    inn_release(&n);
}

/* What a refused command is answered with. */
static const char busy[] = "-BUSY the node is overloaded; nothing was carried out, try again\r\n";

TEST(announced_lengths_are_reserved_before_they_are_read)
{
    enum { COUNT = 30 };
    struct client c[COUNT], other;
    struct inn n;
    size_t before;
    int refused = 0, closed = 0;

    inn_init(&n, 4);
    n.engine.budget_bytes = 128 * MB;
    inn_open(&n);
    other = client_connect(&n);
    client_ask(&other, "PING", "+PONG\r\n");
    before = heap_bytes(&n);
    for (int i = 0; i < COUNT; i++) {
        c[i] = client_connect(&n);
        send_head(&c[i], "k", 15 * MB);
    }
    sim_run_ms(n.w, 10);
    for (int i = 0; i < COUNT; i++)
        client_send_text(&c[i], "xxx"); /* and then nothing */
    for (int i = 0; i < 100; i++) {
        sim_run_ms(n.w, 10);
        EXPECT(heap_bytes(&n) < before + 40 * MB);
    }
    client_ask(&other, "SET k v", "+OK\r\n");
    client_ask(&other, "GET k", "$1\r\nv\r\n");

    /* The rest comes late: those that got no room by their deadline are told so.  Those that held
     * it and did nothing are closed, for the sake of the others. */
    sim_run_ms(n.w, 6000);
    for (int i = 0; i < COUNT; i++) {
        uint8_t *bytes = mem_alloc(15 * MB + 2);

        memset(bytes, 'x', 15 * MB);
        memcpy(bytes + 15 * MB, "\r\n", 2);
        client_send(&c[i], slice_of(bytes + 3, 15 * MB + 2 - 3));
        mem_free(bytes);
    }
    for (int i = 0; i < COUNT; i++) {
        struct slice reply = client_reply(&c[i]);

        if (reply.size == 0) {
            client_expect_closed(&c[i]);
            closed++;
        } else if (!slice_equal(reply, slice_str("+OK\r\n"))) {
            EXPECT_SLICE(reply, busy);
            client_ask(&c[i], "PING", "+PONG\r\n"); /* the connection goes on */
            refused++;
        }
        client_close(&c[i]);
    }
    print_message("%d were refused, %d closed\n", refused, closed);
    EXPECT(refused >= COUNT / 2 && closed >= 1);
    send_value(&other, "k", 15 * MB); /* and there is room again */
    client_expect(&other, "+OK\r\n");
    client_close(&other);
    inn_close(&n);
    inn_release(&n);
}

TEST(large_requests_take_turns)
{
    enum { COUNT = 12 };
    struct client c[COUNT];
    struct inn n;

    inn_init(&n, 5);
    n.engine.budget_bytes = 256 * MB;
    n.engine.trees.memtable_bytes = 16 * MB;
    n.options.deadline_ms = 60000;
    inn_open(&n);
    for (int i = 0; i < COUNT; i++)
        c[i] = client_connect(&n);
    client_ask(&c[0], "EXISTS k0",
               ":0\r\n"); /* who leads is known: while it is sought, little may wait */
    for (int i = 0; i < COUNT; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%d", i);
        send_value(&c[i], key, 12 * MB);
    }
    for (int i = 0; i < COUNT; i++)
        client_expect(&c[i], "+OK\r\n");
    for (int i = 0; i < COUNT; i++) {
        char text[32];

        snprintf(text, sizeof(text), "STRLEN k%d", i);
        client_ask(&c[i], text, ":12582912\r\n");
        client_close(&c[i]);
    }
    inn_close(&n);
    inn_release(&n);
}

TEST(large_replies_take_turns)
{
    enum { COUNT = 12 };
    struct client c[COUNT];
    struct inn n;
    size_t before;

    inn_init(&n, 6);
    n.options.deadline_ms = 60000;
    inn_open(&n);
    for (int i = 0; i < COUNT; i++) {
        c[i] = client_connect(&n);
        client_ask(&c[i], "PING", "+PONG\r\n");
        sim_client_set_window(c[i].c, 16 * MB);
    }
    send_value(&c[0], "k", 15 * MB);
    client_expect(&c[0], "+OK\r\n");
    before = heap_bytes(&n);
    for (int i = 0; i < COUNT; i++)
        client_send_text(&c[i], "GET k\r\n");
    for (int i = 0; i < COUNT; i++) {
        client_expect(&c[i], "$15728640\r\n");
        for (int k = 0; k < 15 * MB;) {
            struct slice got = sim_client_received(c[i].c);
            size_t size = got.size < (size_t)(15 * MB - k) ? got.size : (size_t)(15 * MB - k);

            sim_client_consume(c[i].c, size);
            k += (int)size;
            sim_run_ms(n.w, 1);
            EXPECT(heap_bytes(&n) < before + 80 * MB);
        }
        client_expect(&c[i], "\r\n");
    }
    for (int i = 0; i < COUNT; i++)
        client_close(&c[i]);
    inn_close(&n);
    inn_release(&n);
}

TEST(replies_that_find_no_room_by_their_deadline_say_so)
{
    enum { COUNT = 6 };
    struct client c[COUNT], other;
    struct inn n;
    int refused = 0;

    inn_init(&n, 7);
    n.engine.budget_bytes = 128 * MB;
    n.engine.trees.memtable_bytes = 20 * MB;
    n.options.deadline_ms = 1000;
    inn_open(&n);
    other = client_connect(&n);
    send_value(&other, "k", 15 * MB);
    client_expect(&other, "+OK\r\n");
    for (int i = 0; i < COUNT; i++) {
        c[i] = client_connect(&n);
        sim_client_set_window(c[i].c, 100); /* none of them reads */
        client_send_text(&c[i], "GET k\r\n");
    }
    sim_run_ms(n.w, 3000);
    client_ask(&other, "PING", "+PONG\r\n");
    for (int i = 0; i < COUNT; i++) {
        refused += slice_starts_with(sim_client_received(c[i].c), slice_str("-BUSY"));
        client_close(&c[i]);
    }
    print_message("%d of %d were refused\n", refused, COUNT);
    EXPECT(refused > 0 && refused < COUNT);
    sim_run_ms(n.w, 100);
    client_send_text(&other, "GET k\r\n");
    client_expect(&other, "$15728640\r\nxxx");
    client_close(&other);
    inn_close(&n);
    inn_release(&n);
}

TEST(transactions_that_hold_much_are_spoiled_when_others_need_the_room)
{
    struct client holder[3], other;
    struct inn n;

    inn_init(&n, 8);
    n.engine.budget_bytes = 128 * MB;
    n.options.deadline_ms = 1000;
    inn_open(&n);
    for (int i = 0; i < 3; i++) {
        holder[i] = client_connect(&n);
        client_ask(&holder[i], "MULTI", "+OK\r\n");
        send_value(&holder[i], "k", 10 * MB);
        client_expect(&holder[i], "+QUEUED\r\n");
    }
    send_value(&holder[0], "k", 10 * MB);
    client_expect(&holder[0], busy);
    client_ask(&holder[0], "EXEC",
               "-EXECABORT Transaction discarded because of previous errors.\r\n");
    other = client_connect(&n);
    send_value(&other, "k", 8 * MB);
    client_expect(&other, "+OK\r\n");
    for (int i = 1; i < 3; i++)
        client_ask(&holder[i], "EXEC", "*1\r\n+OK\r\n");
    for (int i = 0; i < 3; i++)
        client_close(&holder[i]);
    client_close(&other);
    inn_close(&n);
    inn_release(&n);
}

TEST(a_full_disk_is_told_and_deletes_are_admitted)
{
    struct inn n;
    struct client c;

    inn_init(&n, 9);
    n.engine.min_free_bytes = 64 * MB;
    inn_open(&n);
    c = client_connect(&n);
    client_ask(&c, "SET k v", "+OK\r\n");
    sim_set_capacity(n.w, NODE_ID, 1);
    for (int i = 0; i < 20; i++)
        sim_run_ms(n.w, 1000); /* the monitor looks */
    client_ask(&c, "SET k w",
               "-MISCONF the disk is full: the node is read-only, deletes are admitted\r\n");
    client_ask(&c, "GET k", "$1\r\nv\r\n");
    client_ask(&c, "DEL k", ":1\r\n");
    client_ask(&c, "GET k", "$-1\r\n");
    sim_set_capacity(n.w, NODE_ID, (uint64_t)1 << 40);
    for (int i = 0; i < 20; i++)
        sim_run_ms(n.w, 1000);
    client_ask(&c, "SET k x", "+OK\r\n");
    client_close(&c);
    inn_close(&n);
    inn_release(&n);
}

TEST(requests_end_by_their_deadline)
{
    struct inn n;
    struct client c;

    inn_init(&n, 10);
    n.options.deadline_ms = 300;
    inn_open(&n);
    c = client_connect(&n);
    client_ask(&c, "SET k v", "+OK\r\n");
    client_ask(&c, "SAVE", "+OK\r\n");
    sim_set_disk_latency_us(n.w, NODE_ID, 2000000);
    sim_set_cold_percent(n.w, NODE_ID, 100);
    client_ask(&c, "SET k w",
               "-UNKNOWN the outcome is unknown: it may or may not have been carried out\r\n");
    client_close(&c);
    sim_set_disk_latency_us(n.w, NODE_ID, 50);
    inn_close(&n);
    inn_release(&n);
}

TEST_MAIN(RUN(a_slow_reader_is_read_from_no_more), RUN(a_reader_that_takes_nothing_is_given_up),
          RUN(an_endless_pipeline_takes_bounded_memory),
          RUN(announced_lengths_are_reserved_before_they_are_read), RUN(large_requests_take_turns),
          RUN(large_replies_take_turns), RUN(replies_that_find_no_room_by_their_deadline_say_so),
          RUN(transactions_that_hold_much_are_spoiled_when_others_need_the_room),
          RUN(a_full_disk_is_told_and_deletes_are_admitted), RUN(requests_end_by_their_deadline))
