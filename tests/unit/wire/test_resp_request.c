/*
 * Tests of the request side of wire/resp.h.  feed() hands a text to a parser
 * in pieces of a given size, moving the unparsed rest each time, and shows the
 * commands as "SET|key|value;GET|key;" or "!the error".
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"
#include "wire/decimal.h"
#include "wire/resp.h"

struct feed {
    struct resp_parser parser;
    struct buf input;
    struct buf trace;
    bool failed;
};

static void
feed_init(struct feed *f)
{
    *f = (struct feed){ .parser = { .args_max = LIMIT_COMMAND_ARGS,
                                    .bulk_max = RESP_BULK_BYTES_MAX },
                        .input = buf_empty(64 << 20),
                        .trace = buf_empty(64 << 20) };
}

static void
feed_release(struct feed *f)
{
    buf_release(&f->input);
    buf_release(&f->trace);
}

static void
trace(struct feed *f, struct slice text, const char *after)
{
    EXPECT_OK(buf_append(&f->trace, text));
    EXPECT_OK(buf_append(&f->trace, slice_str(after)));
}

static bool
feed_step(struct feed *f, size_t *at)
{
    struct slice arg = { NULL, 0 };

    switch (resp_next(&f->parser, buf_slice(&f->input), at, &arg)) {
    case RESP_ARG:
        trace(f, arg, f->parser.args_left > 0 ? "|" : ";");
        return true;
    case RESP_INLINE:
        trace(f, slice_str("inline:"), "");
        trace(f, arg, ";");
        return true;
    case RESP_ERROR:
        trace(f, slice_str("!"), f->parser.error);
        f->failed = true;
        return false;
    case RESP_MORE:
        return false;
    case RESP_ITEM:
    case RESP_END:
        break;
    }
    fail_msg("an event that does not belong to requests");
    return false;
}

/* The rest is copied to a block of its exact size, so that reading past it is seen. */
static void
feed_bytes(struct feed *f, struct slice bytes)
{
    struct buf moved = buf_empty(64 << 20);
    size_t at = 0;

    if (f->failed)
        return;
    EXPECT_OK(buf_append(&f->input, bytes));
    while (feed_step(f, &at))
        continue;
    EXPECT(at <= f->input.size);
    EXPECT_OK(buf_append(&moved, slice_of(f->input.data + at, f->input.size - at)));
    buf_release(&f->input);
    f->input = moved;
}

static void
expect_parse_in_pieces(struct slice text, size_t piece, const char *want)
{
    struct feed f;

    feed_init(&f);
    for (size_t i = 0; i < text.size; i += piece) {
        size_t size = text.size - i < piece ? text.size - i : piece;

        feed_bytes(&f, slice_of(text.data + i, size));
    }
    EXPECT_SLICE(buf_slice(&f.trace), want);
    feed_release(&f);
}

/* The same, whole and cut at every place. */
static void
expect_parse(const char *text, const char *want)
{
    struct slice all = slice_str(text);

    for (size_t piece = 1; piece <= all.size; piece++)
        expect_parse_in_pieces(all, piece, want);
    for (size_t cut = 1; cut < all.size; cut++) {
        struct feed f;

        feed_init(&f);
        feed_bytes(&f, slice_of(all.data, cut));
        feed_bytes(&f, slice_of(all.data + cut, all.size - cut));
        EXPECT_SLICE(buf_slice(&f.trace), want);
        feed_release(&f);
    }
}

TEST(resp_parses_commands_cut_anywhere)
{
    expect_parse("*1\r\n$4\r\nPING\r\n", "PING;");
    expect_parse("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
                 "SET|k|;GET|k;");
    expect_parse("*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", "ECHO|\r\n\r\n;");
}

TEST(resp_parses_lines_cut_anywhere)
{
    expect_parse("PING\r\nGET k\n", "inline:PING;inline:GET k;");
    expect_parse("\r\n\n", "inline:;inline:;");
    expect_parse("GET a\r\n*1\r\n$4\r\nPING\r\n", "inline:GET a;PING;");
}

TEST(resp_skips_commands_without_arguments)
{
    expect_parse("*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", "PING;");
}

TEST(resp_refuses_bad_frames_with_the_words_of_redis)
{
    expect_parse("*x\r\n", "!Protocol error: invalid multibulk length");
    expect_parse("*1048577\r\n", "!Protocol error: invalid multibulk length");
    expect_parse("*9223372036854775808\r\n", "!Protocol error: invalid multibulk length");
    expect_parse("*1\r\nPING\r\n", "!Protocol error: expected '$', got 'P'");
    expect_parse("*1\r\n\r\n", "!Protocol error: expected '$', got ' '");
    expect_parse("*1\r\n$-1\r\n", "!Protocol error: invalid bulk length");
    expect_parse("*1\r\n$abc\r\n", "!Protocol error: invalid bulk length");
    expect_parse("*1\r\n$536870913\r\n", "!Protocol error: invalid bulk length");
    expect_parse("*1\r\n$9223372036854775807\r\n", "!Protocol error: invalid bulk length");
    expect_parse("*1\r\n$9223372036854775808\r\n", "!Protocol error: invalid bulk length");
    expect_parse("*1\r\n$2\r\nabcd\r\n", "!Protocol error: expected CRLF after a bulk string");
}

TEST(resp_refuses_numbers_without_an_end)
{
    expect_parse("*00000000000000000000000000000000",
                 "!Protocol error: too big mbulk count string");
    expect_parse("*1\r\n$0000000000000000000000000000000",
                 "!Protocol error: too big bulk count string");
}

TEST(resp_refuses_a_line_beyond_the_limit_of_redis)
{
    struct buf text = buf_empty(1 << 20);
    struct feed f;

    for (size_t i = 0; i < RESP_INLINE_BYTES_MAX; i++)
        EXPECT_OK(buf_append(&text, slice_str("x")));
    feed_init(&f);
    feed_bytes(&f, buf_slice(&text));
    EXPECT(!f.failed);
    feed_bytes(&f, slice_str("x"));
    EXPECT_SLICE(buf_slice(&f.trace), "!Protocol error: too big inline request");
    feed_release(&f);

    feed_init(&f);
    feed_bytes(&f, buf_slice(&text));
    feed_bytes(&f, slice_str("\n"));
    EXPECT(!f.failed);
    EXPECT_U64(f.trace.size, strlen("inline:;") + RESP_INLINE_BYTES_MAX);
    feed_release(&f);
    buf_release(&text);
}

TEST(resp_holds_strangers_to_smaller_limits)
{
    struct feed f;

    feed_init(&f);
    f.parser.args_max = RESP_STRANGER_ARGS_MAX;
    f.parser.bulk_max = RESP_STRANGER_BULK_BYTES_MAX;
    feed_bytes(&f, slice_str("*11\r\n"));
    EXPECT_SLICE(buf_slice(&f.trace), "!Protocol error: unauthenticated multibulk length");
    feed_release(&f);

    feed_init(&f);
    f.parser.args_max = RESP_STRANGER_ARGS_MAX;
    f.parser.bulk_max = RESP_STRANGER_BULK_BYTES_MAX;
    feed_bytes(&f, slice_str("*10\r\n$16385\r\n"));
    EXPECT_SLICE(buf_slice(&f.trace), "!Protocol error: unauthenticated bulk length");
    feed_release(&f);
}

TEST(resp_says_how_much_of_a_bulk_is_needed)
{
    struct resp_parser p = { .args_max = 10, .bulk_max = RESP_BULK_BYTES_MAX };
    struct slice input = slice_str("*1\r\n$1000\r\nabc");
    struct slice arg;
    size_t at = 0;

    EXPECT_U64(resp_next(&p, input, &at, &arg), RESP_MORE);
    EXPECT(p.in_bulk);
    EXPECT_U64(p.bulk_size, 1000);
    EXPECT_U64(p.need, 1002);
    EXPECT_U64(at, input.size - 3);

    resp_skip_bulk(&p);
    EXPECT_U64(p.args_left, 0);
    at = 0;
    EXPECT_U64(resp_next(&p, slice_str("*1\r\n$1\r\na\r\n"), &at, &arg), RESP_ARG);
}

static void
put_random_command(struct prng *prng, struct buf *encoded, struct buf *want)
{
    struct resp_writer w = resp_writer_to(encoded, 2);
    uint32_t count = 1 + (uint32_t)prng_below(prng, 5);

    resp_put_array(&w, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[64];
        size_t size = prng_below(prng, sizeof(bytes));

        for (size_t k = 0; k < size; k++)
            bytes[k] = (uint8_t)prng_next(prng);
        resp_put_bulk(&w, slice_of(bytes, size));
        EXPECT_OK(buf_append(want, slice_of(bytes, size)));
        EXPECT_OK(buf_append(want, slice_str(i + 1 < count ? "|" : ";")));
    }
    EXPECT_OK(w.st);
}

TEST(resp_parses_what_it_encodes)
{
    struct prng prng;

    prng_init(&prng, test_seed(2));
    for (int round = 0; round < 300; round++) {
        struct buf encoded = buf_empty(1 << 20);
        struct buf want = buf_empty(1 << 20);
        struct feed f;
        size_t at = 0;

        feed_init(&f);
        for (int i = 0; i < 10; i++)
            put_random_command(&prng, &encoded, &want);
        while (at < encoded.size) {
            size_t left = encoded.size - at;
            size_t size = 1 + prng_below(&prng, left < 100 ? left : 100);

            feed_bytes(&f, slice_of(encoded.data + at, size));
            at += size;
        }
        EXPECT(slice_equal(buf_slice(&f.trace), buf_slice(&want)));
        EXPECT_U64(f.input.size, 0);
        feed_release(&f);
        buf_release(&encoded);
        buf_release(&want);
    }
}

TEST_MAIN(RUN(resp_parses_commands_cut_anywhere), RUN(resp_parses_lines_cut_anywhere),
          RUN(resp_skips_commands_without_arguments),
          RUN(resp_refuses_bad_frames_with_the_words_of_redis),
          RUN(resp_refuses_numbers_without_an_end),
          RUN(resp_refuses_a_line_beyond_the_limit_of_redis),
          RUN(resp_holds_strangers_to_smaller_limits), RUN(resp_says_how_much_of_a_bulk_is_needed),
          RUN(resp_parses_what_it_encodes))
