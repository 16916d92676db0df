/*
 * Tests of resp_reply_next().  A reply is shown as one line per item, indented
 * by depth with dots: "array 2;.int 1;.bulk a;", and ";" alone after a whole
 * reply.
 */
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"
#include "wire/resp.h"

static const char *const type_names[RESP_TYPE_COUNT] = {
    [RESP_SIMPLE] = "simple",
    [RESP_FAILURE] = "error",
    [RESP_INTEGER] = "int",
    [RESP_BULK] = "bulk",
    [RESP_NIL] = "nil",
    [RESP_ARRAY] = "array",
    [RESP_MAP] = "map",
    [RESP_SET] = "set",
    [RESP_PUSH] = "push",
    [RESP_BOOL] = "bool",
    [RESP_DOUBLE] = "double",
    [RESP_BIG] = "big",
    [RESP_ATTRIBUTE] = "attribute",
};

static void
trace_item(struct buf *trace, const struct resp_item *item)
{
    for (uint32_t i = 0; i < item->depth; i++)
        EXPECT_OK(buf_printf(trace, "."));
    EXPECT_OK(buf_printf(trace, "%s", type_names[item->type]));
    switch (item->type) {
    case RESP_INTEGER:
    case RESP_BOOL:
        EXPECT_OK(buf_printf(trace, " %lld", (long long)item->integer));
        break;
    case RESP_ARRAY:
    case RESP_MAP:
    case RESP_SET:
    case RESP_PUSH:
    case RESP_ATTRIBUTE:
        EXPECT_OK(buf_printf(trace, " %llu", (unsigned long long)item->count));
        break;
    case RESP_SIMPLE:
    case RESP_FAILURE:
    case RESP_BULK:
    case RESP_DOUBLE:
    case RESP_BIG:
        EXPECT_OK(buf_printf(trace, " "));
        EXPECT_OK(buf_append(trace, item->text));
        break;
    case RESP_NIL:
    case RESP_TYPE_COUNT:
        break;
    }
    EXPECT_OK(buf_printf(trace, ";"));
}

static bool
step(struct resp_reply_parser *p, struct slice input, size_t *at, struct buf *trace)
{
    struct resp_item item;

    switch (resp_reply_next(p, input, at, &item)) {
    case RESP_ITEM:
        trace_item(trace, &item);
        if (p->depth == 0 && item.type != RESP_ATTRIBUTE)
            EXPECT_OK(buf_printf(trace, ";"));
        return true;
    case RESP_ERROR:
        EXPECT_OK(buf_printf(trace, "!%s", p->error));
        return false;
    case RESP_MORE:
        return false;
    case RESP_ARG:
    case RESP_INLINE:
    case RESP_END:
        break;
    }
    fail_msg("an event that does not belong to replies");
    return false;
}

/* The input grows by `piece` bytes at a time, each time in a block of its exact size. */
static void
expect_reply_in_pieces(struct slice text, size_t piece, const char *want)
{
    struct resp_reply_parser p = { 0 };
    struct buf trace = buf_empty(1 << 20);
    size_t at = 0;
    size_t have = 0;

    while (have < text.size && (trace.size == 0 || memchr(trace.data, '!', trace.size) == NULL)) {
        struct buf exact = buf_empty(1 << 20);
        size_t shown = at;

        have = have + piece < text.size ? have + piece : text.size;
        EXPECT_OK(buf_append(&exact, slice_of(text.data + shown, have - shown)));
        at = 0;
        while (step(&p, buf_slice(&exact), &at, &trace))
            continue;
        at += shown;
        buf_release(&exact);
    }
    EXPECT_SLICE(buf_slice(&trace), want);
    buf_release(&trace);
}

static void
expect_reply(const char *text, const char *want)
{
    struct slice all = slice_str(text);

    for (size_t piece = 1; piece <= all.size; piece++)
        expect_reply_in_pieces(all, piece, want);
}

TEST(reply_parser_reads_every_type)
{
    expect_reply("+OK\r\n-ERR no\r\n:-5\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n",
                 "simple OK;;error ERR no;;int -5;;bulk a\r\n;;bulk ;;nil;;nil;;");
    expect_reply("_\r\n#t\r\n#f\r\n,3.25\r\n(123\r\n=6\r\ntxt:hi\r\n!4\r\nERR!\r\n",
                 "nil;;bool 1;;bool 0;;double 3.25;;big 123;;bulk hi;;error ERR!;;");
}

TEST(reply_parser_nests)
{
    expect_reply("*2\r\n:1\r\n*1\r\n$1\r\na\r\n+after\r\n",
                 "array 2;.int 1;.array 1;..bulk a;;simple after;;");
    expect_reply("%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n>1\r\n+p\r\n*0\r\n",
                 "map 2;.simple k;.set 2;..int 1;..int 2;;push 1;.simple p;;array 0;;");
}

TEST(reply_parser_lets_attributes_precede_their_item)
{
    expect_reply("*1\r\n|1\r\n+ttl\r\n:9\r\n:1\r\n",
                 "array 1;.attribute 2;..simple ttl;..int 9;.int 1;;");
}

TEST(reply_parser_refuses_what_is_no_reply)
{
    expect_reply("?\r\n", "!Protocol error: unknown type of reply");
    expect_reply(":x\r\n", "!Protocol error: invalid integer");
    expect_reply("#x\r\n", "!Protocol error: invalid boolean");
    expect_reply("_x\r\n", "!Protocol error: invalid null");
    expect_reply("$-2\r\n", "!Protocol error: invalid bulk length");
    expect_reply("$9223372036854775808\r\n", "!Protocol error: invalid bulk length");
    expect_reply("$1\r\nabc", "!Protocol error: a bulk string does not end in CRLF");
    expect_reply("*4294967296\r\n", "!Protocol error: invalid length of an aggregate");
    expect_reply("*-2\r\n", "!Protocol error: invalid length of an aggregate");
    expect_reply("=3\r\nabc\r\n", "!Protocol error: a verbatim text without a format");
    expect_reply("\n", "!Protocol error: a line does not end in CRLF");
    expect_reply("+\n", "!Protocol error: a line does not end in CRLF");
}

TEST(reply_parser_bounds_depth_and_length_of_lines)
{
    struct resp_reply_parser p = { 0 };
    struct resp_item item;
    size_t at = 0;
    char deep[4 * (RESP_DEPTH_MAX + 1)];
    uint8_t *wide = mem_alloc(1 << 20);

    for (int i = 0; i <= RESP_DEPTH_MAX; i++)
        memcpy(deep + 4 * i, "*1\r\n", 4);
    for (int i = 0; i < RESP_DEPTH_MAX; i++)
        EXPECT_U64(resp_reply_next(&p, slice_of(deep, sizeof(deep)), &at, &item), RESP_ITEM);
    EXPECT_U64(resp_reply_next(&p, slice_of(deep, sizeof(deep)), &at, &item), RESP_ERROR);

    memset(wide, '+', 1 << 20);
    p = (struct resp_reply_parser){ 0 };
    at = 0;
    EXPECT_U64(resp_reply_next(&p, slice_of(wide, 1 << 20), &at, &item), RESP_ERROR);
    mem_free(wide);
}

TEST(reply_parser_never_reads_past_random_bytes)
{
    static const char alphabet[] = "*$%+:-_#=!,(~>|0123456789\r\n\r\n\r\nabt";
    struct prng prng;

    prng_init(&prng, test_seed(3));
    for (int round = 0; round < 20000; round++) {
        struct resp_reply_parser p = { 0 };
        size_t size = prng_below(&prng, 60);
        uint8_t *bytes = mem_alloc(size);
        struct resp_item item;
        enum resp_event event = RESP_ITEM;
        size_t at = 0;

        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)alphabet[prng_below(&prng, sizeof(alphabet) - 1)];
        while (event == RESP_ITEM) {
            size_t before = at;

            event = resp_reply_next(&p, slice_of(bytes, size), &at, &item);
            EXPECT(at <= size && (event != RESP_ITEM || at > before));
        }
        mem_free(bytes);
    }
}

TEST_MAIN(RUN(reply_parser_reads_every_type), RUN(reply_parser_nests),
          RUN(reply_parser_lets_attributes_precede_their_item),
          RUN(reply_parser_refuses_what_is_no_reply),
          RUN(reply_parser_bounds_depth_and_length_of_lines),
          RUN(reply_parser_never_reads_past_random_bytes))
