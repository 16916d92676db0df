/* history/codec.h: what is written is read again, and what is no history is refused with its
 * line. */
#include "base/mem.h"

#include "history/check.h"
#include "history/codec.h"
#include "random.h"
#include "unit/test.h"

enum { TEXT_BYTES_MAX = 64 << 20, OPS = 3000 };

/* Read a text in pieces; ST_OK also says that it ended well. */
static enum status
read_text(struct slice text, size_t piece, struct history *h, struct err *err)
{
    struct history_reader *r = NULL;
    enum status st = history_reader_create(&r, h, "f.jsonl");

    for (size_t at = 0; at < text.size && st == ST_OK; at += piece) {
        size_t size = text.size - at < piece ? text.size - at : piece;

        st = history_reader_feed(r, slice_of(text.data + at, size), err);
    }
    if (st == ST_OK)
        st = history_reader_finish(r, err);
    history_reader_destroy(r);
    return st;
}

static struct buf
write_all(const struct history *h)
{
    struct buf out = buf_empty(TEXT_BYTES_MAX);

    for (uint32_t i = 0; i < history_op_count(h); i++) {
        struct history_op op = history_op_at(h, i);

        EXPECT_OK(history_write(&out, &op, NULL));
    }
    return out;
}

static const char *
refusal(const char *text)
{
    static struct err err;
    struct history *h = NULL;

    EXPECT_OK(history_create(&h));
    err.text[0] = '\0';
    EXPECT_ST(read_text(slice_str(text), SIZE_MAX, h, &err), ST_INVALID);
    history_destroy(h);
    return err.text;
}

#define EXPECT_REFUSED(text, want) EXPECT_STR(refusal(text), "f.jsonl:" want)

/* ------------------------------------------------------------------ the form */

static const char form[] =
    "{\"client\":1,\"op\":\"put\",\"key\":\"k\",\"value\":\"v\",\"call_ns\":10,\"return_ns\":20,"
    "\"result\":\"ok\"}\n"
    "{\"client\":1,\"op\":\"get\",\"key\":\"k\",\"value\":\"v\",\"call_ns\":20,\"return_ns\":20,"
    "\"result\":\"ok\"}\n"
    "{\"client\":1,\"op\":\"get\",\"key\":\"k\",\"value\":null,\"call_ns\":21,\"return_ns\":22,"
    "\"result\":\"ok\"}\n"
    "{\"client\":1,\"op\":\"get\",\"key\":\"k\",\"call_ns\":23,\"return_ns\":24,\"result\":\"fail\"}\n"
    "{\"client\":2,\"op\":\"delete\",\"key\":\"\",\"call_ns\":10,\"result\":\"unknown\"}\n"
    "{\"client\":3,\"op\":\"cas\",\"key\":\"k\",\"expect\":null,\"value\":\"\",\"call_ns\":10,"
    "\"return_ns\":20,\"result\":\"fail\",\"mismatch\":true}\n"
    "{\"client\":4,\"op\":\"incr\",\"key\":\"n\",\"value\":\"-5\",\"sum\":\"9223372036854775807\","
    "\"call_ns\":0,\"return_ns\":9223372036854775807,\"result\":\"ok\"}\n"
    "{\"client\":5,\"op\":\"put\",\"key\":\"\\u0000\\\"\\\\\\u000a/\xc3\xa9\",\"value\":\"\xf0\x9f\x98\x80\","
    "\"call_ns\":10,\"return_ns\":20,\"result\":\"unknown\"}\n";

TEST(codec_writes_just_what_it_reads)
{
    for (size_t piece = 1; piece < sizeof(form); piece += 7) {
        struct history *h = NULL;
        struct buf out;

        EXPECT_OK(history_create(&h));
        EXPECT_OK(read_text(slice_str(form), piece, h, NULL));
        out = write_all(h);
        EXPECT_SLICE(buf_slice(&out), form);
        EXPECT_U64(history_op_at(h, 4).line, 5);
        EXPECT_U64(history_key_count(h), 4);
        buf_release(&out);
        history_destroy(h);
    }
}

TEST(codec_takes_other_orders_blank_lines_and_a_last_line_without_an_end)
{
    static const char text[] =
        "\n  \r\n{ \"result\" : \"unknown\", \"return_ns\":null, \"call_ns\":1, \"key\":\"k\", "
        "\"op\":\"incr\", \"value\":\"3\", \"client\":0 }\r\n\n"
        "{\"client\":0,\"op\":\"get\",\"key\":\"k\",\"call_ns\":1,\"result\":\"unknown\"}";
    struct history *h = NULL;

    EXPECT_OK(history_create(&h));
    EXPECT_OK(read_text(slice_str(text), 5, h, NULL));
    EXPECT_U64(history_op_count(h), 2);
    EXPECT_U64(history_op_at(h, 0).line, 3);
    EXPECT_U64(history_op_at(h, 0).delta, 3);
    EXPECT(history_op_at(h, 0).return_ns == HISTORY_NEVER);
    EXPECT_U64(history_op_at(h, 1).line, 5);
    history_destroy(h);
}

TEST(codec_reads_what_it_wrote_of_any_history)
{
    struct crowd crowd = {
        .client_count = 7, .key_count = 3, .op_count = OPS, .unknown_of_1000 = 100
    };
    struct drawn *drawn = calloc(OPS, sizeof(*drawn));
    struct prng prng;

    prng_init(&prng, test_seed(30));
    for (int i = 0; i < FLAVOUR_COUNT; i++) {
        struct history *h, *again = NULL;
        struct buf out, out_again;

        crowd.flavour = (enum flavour)i;
        draw_long(&prng, &crowd, drawn);
        h = history_of_drawn(drawn, OPS);
        out = write_all(h);
        EXPECT_OK(history_create(&again));
        EXPECT_OK(read_text(buf_slice(&out), 1 + prng_below(&prng, 5000), again, NULL));
        out_again = write_all(again);
        EXPECT(slice_equal(buf_slice(&out), buf_slice(&out_again)));
        buf_release(&out);
        buf_release(&out_again);
        history_destroy(h);
        history_destroy(again);
    }
    free(drawn);
}

/* ------------------------------------------------------------------ refusals */

#define LINE(rest) "{\"client\":1,\"key\":\"k\",\"call_ns\":5," rest "}"
#define DONE       ",\"return_ns\":9,\"result\":\"ok\""
#define GET        "\"op\":\"get\",\"value\":\"v\"" DONE

TEST(reader_refuses_what_is_no_operation)
{
    EXPECT_REFUSED("[]", "1: it is not an object");
    EXPECT_REFUSED(LINE(GET) "\n7\n", "2: '[' or '{' expected near '7'");
    EXPECT_REFUSED("\n\n{\"client\":1", "3: '}' expected near end of file");
    EXPECT_REFUSED(LINE(GET) LINE(GET), "1: end of file expected near '{'");
    EXPECT_REFUSED(LINE("\"key\":\"again\"," GET), "1: duplicate object key near '\"key\"'");
    EXPECT_REFUSED(LINE("\"kex\":1," GET), "1: there is no field \"kex\"");
    EXPECT_REFUSED(LINE("\"op\":\"swap\"" DONE),
                   "1: \"op\" is none of get, put, delete, cas, incr");
    EXPECT_REFUSED(LINE("\"op\":\"get\\u0000\"" DONE),
                   "1: \"op\" is none of get, put, delete, cas, incr");
    EXPECT_REFUSED(LINE("\"op\":\"get\",\"result\":\"maybe\""),
                   "1: \"result\" is none of ok, fail, unknown");
    EXPECT_REFUSED("{}", "1: \"op\" is none of get, put, delete, cas, incr");
}

TEST(reader_refuses_fields_that_lack_or_do_not_belong)
{
    EXPECT_REFUSED("{\"op\":\"get\",\"value\":null,\"key\":\"k\",\"call_ns\":5" DONE "}",
                   "1: \"client\" is missing");
    EXPECT_REFUSED("{\"op\":\"get\",\"value\":null,\"client\":1,\"call_ns\":5" DONE "}",
                   "1: \"key\" is missing");
    EXPECT_REFUSED("{\"op\":\"get\",\"value\":null,\"client\":1,\"key\":\"k\"" DONE "}",
                   "1: \"call_ns\" is missing");
    EXPECT_REFUSED(LINE("\"op\":\"get\"" DONE), "1: \"value\" is missing");
    EXPECT_REFUSED(LINE("\"op\":\"put\"" DONE), "1: \"value\" is missing");
    EXPECT_REFUSED(LINE("\"op\":\"cas\",\"value\":\"v\"" DONE), "1: \"expect\" is missing");
    EXPECT_REFUSED(LINE("\"op\":\"incr\",\"value\":\"1\"" DONE), "1: \"sum\" is missing");
    EXPECT_REFUSED(LINE("\"op\":\"delete\",\"result\":\"ok\""), "1: \"return_ns\" is missing");
    EXPECT_REFUSED(LINE("\"op\":\"delete\",\"result\":\"fail\",\"return_ns\":null"),
                   "1: the result is \"fail\", and it has not returned");
    EXPECT_REFUSED(LINE("\"op\":\"get\",\"value\":\"v\",\"result\":\"unknown\""),
                   "1: a get with the result \"unknown\" has no \"value\"");
    EXPECT_REFUSED(LINE("\"op\":\"delete\",\"value\":\"v\"" DONE),
                   "1: a delete with the result \"ok\" has no \"value\"");
    EXPECT_REFUSED(LINE("\"op\":\"incr\",\"value\":\"1\",\"sum\":\"1\",\"result\":\"unknown\""),
                   "1: a incr with the result \"unknown\" has no \"sum\"");
    EXPECT_REFUSED(LINE("\"op\":\"cas\",\"expect\":null,\"value\":\"v\",\"mismatch\":true" DONE),
                   "1: a cas with the result \"ok\" has no \"mismatch\"");
}

TEST(reader_refuses_fields_of_another_type)
{
    EXPECT_REFUSED("{\"client\":-1,\"key\":\"k\",\"call_ns\":5," GET "}",
                   "1: \"client\" is not an integer from 0");
    EXPECT_REFUSED("{\"client\":1.5,\"key\":\"k\",\"call_ns\":5," GET "}",
                   "1: \"client\" is not an integer from 0");
    EXPECT_REFUSED("{\"client\":1,\"key\":7,\"call_ns\":5," GET "}", "1: \"key\" is not a string");
    EXPECT_REFUSED("{\"client\":1,\"key\":\"k\",\"call_ns\":\"5\"," GET "}",
                   "1: \"call_ns\" is not an integer from 0");
    EXPECT_REFUSED("{\"client\":1,\"key\":\"k\",\"call_ns\":9223372036854775808," GET "}",
                   "1: too big integer near '9223372036854775808'");
    EXPECT_REFUSED(LINE("\"op\":\"get\",\"value\":1" DONE), "1: \"value\" is not a string");
    EXPECT_REFUSED(LINE("\"op\":\"put\",\"value\":null" DONE), "1: a put without a value");
    EXPECT_REFUSED(LINE("\"op\":\"cas\",\"expect\":\"a\",\"value\":null" DONE),
                   "1: a cas without a value");
    EXPECT_REFUSED(LINE("\"op\":\"cas\",\"expect\":1,\"value\":\"v\"" DONE),
                   "1: \"expect\" is not a string");
    EXPECT_REFUSED(LINE("\"op\":\"incr\",\"value\":1,\"sum\":\"1\"" DONE),
                   "1: \"value\" is not a string");
    EXPECT_REFUSED(LINE("\"op\":\"incr\",\"value\":\"+1\",\"sum\":\"1\"" DONE),
                   "1: \"value\" is not a decimal integer of 64 bits");
    EXPECT_REFUSED(LINE("\"op\":\"incr\",\"value\":\"1\",\"sum\":\"9223372036854775808\"" DONE),
                   "1: \"sum\" is not a decimal integer of 64 bits");
    EXPECT_REFUSED(
        LINE(
            "\"op\":\"cas\",\"expect\":null,\"value\":\"v\",\"mismatch\":1,\"return_ns\":9,\"result\":\"fail\""),
        "1: \"mismatch\" is neither true nor false");
    EXPECT(strstr(refusal(LINE("\"op\":\"get\",\"value\":\"\xff\"" DONE)),
                  "f.jsonl:1: unable to decode") != NULL);
}

TEST(reader_refuses_times_that_cannot_be)
{
    EXPECT_REFUSED(LINE("\"op\":\"get\",\"value\":null,\"return_ns\":4,\"result\":\"ok\""),
                   "1: it returns at 4, before it was called at 5");
    EXPECT_REFUSED(LINE("\"op\":\"delete\",\"return_ns\":4,\"result\":\"unknown\""),
                   "1: it returns at 4, before it was called at 5");
    EXPECT_REFUSED(LINE(GET) "\n" LINE(GET),
                   "2: client 1 calls at 5, but its operation of line 1 returns at 9 only");
}

TEST(reader_takes_no_more_after_a_refusal)
{
    struct history_reader *r = NULL;
    struct history *h = NULL;

    EXPECT_OK(history_create(&h));
    EXPECT_OK(history_reader_create(&r, h, "f.jsonl"));
    EXPECT_ST(history_reader_feed(r, slice_str(LINE(GET) "\nx\n"), NULL), ST_INVALID);
    EXPECT_ST(history_reader_feed(r, slice_str(LINE(GET) "\n"), NULL), ST_INVALID);
    EXPECT_ST(history_reader_finish(r, NULL), ST_INVALID);
    EXPECT_U64(history_op_count(h), 1);
    history_reader_destroy(r);
    history_destroy(h);
}

/* ------------------------------------------------------------------ writing */

TEST(writer_refuses_what_is_not_utf8_and_leaves_the_output_as_it_was)
{
    static const char *const bad[] = {
        "\xff",     "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xe2\x82", "\x80",      "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf"
    };
    struct buf out = buf_empty(TEXT_BYTES_MAX);
    struct err err;

    EXPECT_OK(buf_append(&out, slice_str("before")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct history_op op = { .verb = HISTORY_PUT,
                                 .key = slice_str("k"),
                                 .return_ns = 1,
                                 .value = { true, slice_str(bad[i]) } };

        EXPECT_ST(history_write(&out, &op, &err), ST_INVALID);
        EXPECT_STR(err.text, "a value is not UTF-8, and JSON can hold nothing else");
        op.value.text = slice_str("v");
        op.key = slice_str(bad[i]);
        EXPECT_ST(history_write(&out, &op, &err), ST_INVALID);
        EXPECT_STR(err.text, "the key is not UTF-8, and JSON can hold nothing else");
        EXPECT_SLICE(buf_slice(&out), "before");
    }
    buf_release(&out);
}

TEST(writer_leaves_the_output_as_it_was_when_there_is_no_room)
{
    struct history_op op = { .verb = HISTORY_DELETE, .key = slice_str("k"), .return_ns = 1 };

    for (size_t room = 0; room < 70; room++) {
        struct buf out = buf_empty(room);

        EXPECT_ST(history_write(&out, &op, NULL), ST_TOO_BIG);
        EXPECT_U64(out.size, 0);
        buf_release(&out);
    }
}

/* ------------------------------------------------------------------ memory */

static enum status
read_and_judge(struct mem_heap *heap)
{
    struct mem_heap *before = mem_heap_enter(heap);
    struct history_check_options options = { 0 };
    struct history_report report;
    struct buf text = buf_empty(TEXT_BYTES_MAX);
    struct history *h = NULL;
    enum status st = history_create(&h);

    if (st == ST_OK)
        st = read_text(slice_str(form), 100, h, NULL);
    if (st == ST_OK)
        st = history_check(h, &options, &report, NULL);
    if (st == ST_OK)
        st = history_explain(h, &report, &text);
    buf_release(&text);
    history_destroy(h);
    (void)mem_heap_enter(before);
    return st;
}

TEST(every_allocation_may_fail)
{
    struct mem_heap heap = { .fail_at = 1 };
    uint64_t failed = 0;

    while (read_and_judge(&heap) != ST_OK) {
        EXPECT_U64(heap.block_count, 0);
        heap = (struct mem_heap){ .fail_at = heap.fail_at + 1 };
        failed++;
    }
    EXPECT_U64(heap.block_count, 0);
    EXPECT(failed > 30);
}

TEST_MAIN(RUN(codec_writes_just_what_it_reads),
          RUN(codec_takes_other_orders_blank_lines_and_a_last_line_without_an_end),
          RUN(codec_reads_what_it_wrote_of_any_history), RUN(reader_refuses_what_is_no_operation),
          RUN(reader_refuses_fields_that_lack_or_do_not_belong),
          RUN(reader_refuses_fields_of_another_type), RUN(reader_refuses_times_that_cannot_be),
          RUN(reader_takes_no_more_after_a_refusal),
          RUN(writer_refuses_what_is_not_utf8_and_leaves_the_output_as_it_was),
          RUN(writer_leaves_the_output_as_it_was_when_there_is_no_room),
          RUN(every_allocation_may_fail))
