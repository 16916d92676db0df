/*
 * Tests of api/input.h: what arrives in pieces of any size comes out as the
 * same commands, whose arguments stay where they are for as long as somebody
 * holds their blocks; and all memory is given back.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/prng.h"

#include "api/input.h"
#include "unit/test.h"

enum { MB = 1 << 20 };

struct world {
    struct budget budget;
    struct room_shares shares;
    struct room room;
    struct block_pool pool;
    struct input in;
};

static void
begin(struct world *x)
{
    budget_init(&x->budget, (size_t)512 * MB);
    room_shares_init(&x->shares, &x->budget);
    room_init(&x->room, &x->shares);
    block_pool_init(&x->pool, &x->room);
    input_init(&x->in, &x->pool);
    x->in.parser.args_max = LIMIT_COMMAND_ARGS;
    x->in.parser.bulk_max = RESP_BULK_BYTES_MAX;
}

static void
end(struct world *x)
{
    input_release(&x->in);
    block_pool_release(&x->pool);
    EXPECT_U64(budget_used(&x->budget), 0);
}

/* As a socket would: as much as fits, at most `size`. */
static size_t
feed(struct world *x, struct slice bytes, size_t size)
{
    uint8_t *to;
    size_t room, wanted;

    EXPECT_OK(input_prepare(&x->in, &to, &room, &wanted));
    size = size < room ? size : room;
    size = size < bytes.size ? size : bytes.size;
    memcpy(to, bytes.data, size);
    input_filled(&x->in, size);
    return size;
}

/* ------------------------------------------------------------------ commands that are held */

enum { HELD_MAX = 64 };

struct held {
    struct block_refs blocks;
    struct slice arg;
    uint64_t seed; /* of its bytes */
};

static size_t
size_of(uint64_t seed)
{
    static const size_t sizes[] = {
        0, 1, 5, 100, 3000, BLOCK_BYTES - 40, BLOCK_BYTES, 40000, 300000
    };

    return sizes[seed % 9] + seed / 9 % 7;
}

static uint8_t
byte_of(uint64_t seed, size_t at)
{
    return (uint8_t)(seed * 31 + at * 7 + at / 251);
}

static void
append_command(struct buf *out, uint64_t seed)
{
    size_t size = size_of(seed);

    EXPECT_OK(buf_printf(out, "*2\r\n$4\r\nECHO\r\n$%zu\r\n", size));
    EXPECT_OK(buf_reserve(out, size + 2));
    for (size_t i = 0; i < size; i++)
        out->data[out->size++] = byte_of(seed, i);
    EXPECT_OK(buf_append(out, slice_str("\r\n")));
}

static void
check(const struct held *h)
{
    EXPECT_U64(h->arg.size, size_of(h->seed));
    for (size_t i = 0; i < h->arg.size; i++)
        EXPECT_U64(h->arg.data[i], byte_of(h->seed, i));
}

static void
let_go(struct world *x, struct held *h)
{
    if (h->blocks.first == NULL)
        return;
    check(h);
    block_refs_release(&h->blocks, &x->pool);
}

static void
take_commands(struct world *x, struct prng *prng, struct held *held, uint64_t *next)
{
    while (input_next(&x->in) == INPUT_COMMAND) {
        struct held *h = &held[prng_below(prng, HELD_MAX)];

        EXPECT_U64(x->in.refused, INPUT_KEPT);
        EXPECT_U64(x->in.arg_count, 2);
        EXPECT_SLICE(x->in.args[0], "ECHO");
        let_go(x, h);
        *h = (struct held){ .arg = x->in.args[1], .seed = (*next)++ };
        EXPECT_OK(input_lend(&x->in, &h->blocks));
        input_done(&x->in);
        check(h);
    }
    input_rest_idle(&x->in);
}

TEST(arguments_stay_where_they_are_while_somebody_holds_them)
{
    struct held held[HELD_MAX] = { 0 };
    struct buf stream = buf_empty(256 * MB);
    struct prng prng;
    struct world x;
    uint64_t next = 1000;
    size_t at = 0;

    prng_init(&prng, test_seed(1));
    begin(&x);
    for (uint64_t seed = 1000; seed < 1400; seed++)
        append_command(&stream, seed);
    while (at < stream.size) {
        size_t most = prng_chance(&prng, 1, 3) ? 20 : 50000;

        at += feed(&x, slice_of(stream.data + at, stream.size - at), 1 + prng_below(&prng, most));
        take_commands(&x, &prng, held, &next);
    }
    EXPECT_U64(next, 1400);
    for (int i = 0; i < HELD_MAX; i++)
        let_go(&x, &held[i]);
    input_rest_idle(&x.in);
    EXPECT(x.in.block == NULL); /* nothing is unparsed: nothing is held */
    buf_release(&stream);
    end(&x);
}

/* ------------------------------------------------------------------ refusals */

static void
feed_all(struct world *x, const char *text)
{
    struct slice rest = slice_str(text);

    while (rest.size > 0) {
        size_t size = feed(x, rest, rest.size);

        rest = slice_of(rest.data + size, rest.size - size);
    }
}

TEST(a_refused_command_is_dropped_as_it_comes)
{
    static const uint8_t junk[10000];
    struct world x;
    size_t left = LIMIT_VALUE_BYTES + 1;

    begin(&x);
    feed_all(&x, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16777217\r\n");
    EXPECT_U64(input_next(&x.in), INPUT_MORE);
    while (left > 0) {
        left -= feed(&x, slice_of(junk, left < sizeof(junk) ? left : sizeof(junk)), left);
        EXPECT_U64(input_next(&x.in), INPUT_MORE);
        EXPECT(budget_used(&x.budget) <= 2 * BLOCK_BYTES);
    }
    feed_all(&x, "\r\n*1\r\n$4\r\nPING\r\n");
    EXPECT_U64(input_next(&x.in), INPUT_COMMAND);
    EXPECT_U64(x.in.refused, INPUT_TOO_LARGE);
    input_done(&x.in);
    EXPECT_U64(input_next(&x.in), INPUT_COMMAND);
    EXPECT_U64(x.in.refused, INPUT_KEPT);
    EXPECT_SLICE(x.in.args[0], "PING");
    input_done(&x.in);
    end(&x);
}

TEST(a_command_that_finds_no_room_can_be_given_up_in_its_middle)
{
    struct world x;
    uint8_t *to;
    size_t size, wanted;

    begin(&x);
    feed_all(&x, "*2\r\n$4\r\nECHO\r\n$1000000\r\nabc");
    EXPECT_U64(input_next(&x.in), INPUT_MORE);
    budget_charge(&x.budget, (size_t)512 * MB);
    EXPECT_ST(input_prepare(&x.in, &to, &size, &wanted), ST_BUSY);
    EXPECT_U64(wanted, 1000002);
    input_refuse(&x.in, INPUT_NO_ROOM);
    budget_return(&x.budget, (size_t)512 * MB);
    EXPECT_U64(input_next(&x.in), INPUT_MORE);
    for (size_t left = 999997; left > 0;) {
        static const uint8_t junk[5000];

        left -= feed(&x, slice_of(junk, left < sizeof(junk) ? left : sizeof(junk)), left);
        EXPECT_U64(input_next(&x.in), INPUT_MORE);
    }
    feed_all(&x, "\r\nPING\r\n");
    EXPECT_U64(input_next(&x.in), INPUT_COMMAND);
    EXPECT_U64(x.in.refused, INPUT_NO_ROOM);
    input_done(&x.in);
    EXPECT_U64(input_next(&x.in), INPUT_COMMAND);
    EXPECT_SLICE(x.in.args[0], "PING");
    input_done(&x.in);
    end(&x);
}

TEST(many_arguments_are_charged)
{
    struct buf text = buf_empty(16 * MB);
    struct world x;
    size_t at = 0;

    begin(&x);
    EXPECT_OK(buf_printf(&text, "*100000\r\n"));
    for (int i = 0; i < 100000; i++)
        EXPECT_OK(buf_printf(&text, "$1\r\nx\r\n"));
    while (at < text.size) {
        at += feed(&x, slice_of(text.data + at, text.size - at), text.size);
        if (at < text.size)
            EXPECT_U64(input_next(&x.in), INPUT_MORE);
    }
    EXPECT_U64(input_next(&x.in), INPUT_COMMAND);
    EXPECT_U64(x.in.arg_count, 100000);
    EXPECT(budget_used(&x.budget) > 100000 * sizeof(struct slice) + text.size);
    input_done(&x.in);
    buf_release(&text);
    end(&x);
}

TEST(a_long_line_grows_its_block)
{
    struct buf text = buf_empty(64 * MB);
    struct world x;
    struct slice line;
    size_t at = 0;

    begin(&x);
    EXPECT_OK(buf_printf(&text, "PUT k "));
    for (int i = 0; i < 3 * MB; i++)
        EXPECT_OK(buf_append(&text, slice_str("v")));
    EXPECT_OK(buf_printf(&text, "\nGET k\n"));
    while (at < text.size) {
        at += feed(&x, slice_of(text.data + at, text.size - at), 1000000);
        if (at < 3 * MB)
            EXPECT_U64(line_next(&x.in.lines, slice_of(x.in.block->bytes, x.in.block->filled),
                                 &x.in.at, &line),
                       LINE_MORE);
    }
    EXPECT_U64(
        line_next(&x.in.lines, slice_of(x.in.block->bytes, x.in.block->filled), &x.in.at, &line),
        LINE_TAKEN);
    EXPECT_U64(line.size, 6 + 3 * MB);
    buf_release(&text);
    end(&x);
}

TEST_MAIN(RUN(arguments_stay_where_they_are_while_somebody_holds_them),
          RUN(a_refused_command_is_dropped_as_it_comes),
          RUN(a_command_that_finds_no_room_can_be_given_up_in_its_middle),
          RUN(many_arguments_are_charged), RUN(a_long_line_grows_its_block))
