/* Tests of wire/line.h. */
#include "base/limits.h"
#include "base/mem.h"

#include "unit/test.h"
#include "wire/line.h"
#include "wire/resp.h"

static void
expect_command(const char *line, enum line_verb verb, const char *key, const char *value)
{
    struct line_command c;

    line_parse(slice_str(line), &c);
    EXPECT_U64(c.verb, verb);
    if (verb == LINE_UNKNOWN)
        return;
    EXPECT_SLICE(c.key, key);
    EXPECT_SLICE(c.value, value);
}

TEST(line_knows_its_verbs_in_any_case)
{
    expect_command("GET k", LINE_GET, "k", "");
    expect_command("get k", LINE_GET, "k", "");
    expect_command("pUt k v", LINE_PUT, "k", "v");
    expect_command("Del k", LINE_DEL, "k", "");
    expect_command("stats", LINE_STATS, "", "");
    expect_command("AUTH secret", LINE_AUTH, "secret", "");
}

TEST(line_takes_a_value_verbatim)
{
    expect_command("PUT k a b  c ", LINE_PUT, "k", "a b  c ");
    expect_command("PUT k  a", LINE_PUT, "k", " a");
    expect_command("PUT k ", LINE_PUT, "k", "");
    expect_command("PUT k \r", LINE_PUT, "k", "\r");
}

TEST(line_refuses_a_wrong_count_of_arguments)
{
    expect_command("", LINE_UNKNOWN, "", "");
    expect_command("PUT", LINE_UNKNOWN, "", "");
    expect_command("PUT k", LINE_UNKNOWN, "", "");
    expect_command("PUT  v", LINE_UNKNOWN, "", "");
    expect_command("GET", LINE_UNKNOWN, "", "");
    expect_command("GET ", LINE_UNKNOWN, "", "");
    expect_command("GET a b", LINE_UNKNOWN, "", "");
    expect_command("DEL a b", LINE_UNKNOWN, "", "");
    expect_command("STATS now", LINE_UNKNOWN, "", "");
    expect_command("HELLO", LINE_UNKNOWN, "", "");
    expect_command(" GET k", LINE_UNKNOWN, "", "");
    expect_command("GETT k", LINE_UNKNOWN, "", "");
}

TEST(lines_are_taken_cut_anywhere)
{
    struct slice text = slice_str("one\ntwo\r\n\nend\n");

    for (int either = 0; either < 2; either++) {
        for (size_t piece = 1; piece <= text.size; piece++) {
            struct line_parser p = { .either_ending = either != 0 };
            struct buf trace = buf_empty(1000);
            struct slice line;
            size_t at = 0;

            for (size_t have = 0; have < text.size;) {
                have = have + piece < text.size ? have + piece : text.size;
                while (line_next(&p, slice_of(text.data, have), &at, &line) == LINE_TAKEN) {
                    EXPECT_OK(buf_append(&trace, line));
                    EXPECT_OK(buf_append(&trace, slice_str("|")));
                }
            }
            EXPECT_SLICE(buf_slice(&trace), either ? "one|two||end|" : "one|two\r||end|");
            buf_release(&trace);
        }
    }
}

TEST(line_has_a_limit)
{
    size_t size = (size_t)LIMIT_LINE_BYTES + 1;
    uint8_t *bytes = mem_alloc(size + 1);
    struct line_parser p = { 0 };
    struct slice line;
    size_t at = 0;

    memset(bytes, 'x', size);
    EXPECT_U64(line_next(&p, slice_of(bytes, size - 1), &at, &line), LINE_MORE);
    EXPECT_U64(line_next(&p, slice_of(bytes, size), &at, &line), LINE_TOO_LONG);
    p = (struct line_parser){ 0 };
    bytes[size - 1] = '\n';
    EXPECT_U64(line_next(&p, slice_of(bytes, size), &at, &line), LINE_TAKEN);
    EXPECT_U64(line.size, size - 1);
    mem_free(bytes);
}

TEST(line_replies_are_lines)
{
    struct buf out = buf_empty(1000);

    EXPECT_OK(line_put_reply(&out, "OK"));
    EXPECT_OK(line_put_value(&out, slice_str("a b")));
    EXPECT_OK(line_put_value(&out, slice_str("")));
    EXPECT_OK(line_put_error(&out, slice_str("two\r\nlines")));
    EXPECT_SLICE(buf_slice(&out), "OK\nVALUE a b\nVALUE \nERROR two  lines\n");
    buf_release(&out);
}

static void
expect_kind(const char *text, enum wire_kind want)
{
    EXPECT_U64(wire_detect(slice_str(text)), want);
}

TEST(the_first_line_says_which_protocol_it_is)
{
    expect_kind("", WIRE_UNDECIDED);
    expect_kind("*", WIRE_REDIS);
    expect_kind("*\n", WIRE_REDIS);
    expect_kind("PING", WIRE_UNDECIDED);
    expect_kind("PING\r", WIRE_UNDECIDED);
    expect_kind("PING\r\n", WIRE_REDIS);
    expect_kind("PING\n", WIRE_LINE);
    expect_kind("\n", WIRE_LINE);
    expect_kind("\r\n", WIRE_REDIS);
    expect_kind("PUT a b\nPING\r\n", WIRE_LINE);
}

TEST(a_first_line_too_long_for_redis_is_the_line_protocol)
{
    uint8_t *bytes = mem_alloc(RESP_INLINE_BYTES_MAX + 2);

    memset(bytes, 'x', RESP_INLINE_BYTES_MAX + 2);
    EXPECT_U64(wire_detect(slice_of(bytes, RESP_INLINE_BYTES_MAX + 1)), WIRE_UNDECIDED);
    EXPECT_U64(wire_detect(slice_of(bytes, RESP_INLINE_BYTES_MAX + 2)), WIRE_LINE);
    mem_free(bytes);
}

TEST_MAIN(RUN(line_knows_its_verbs_in_any_case), RUN(line_takes_a_value_verbatim),
          RUN(line_refuses_a_wrong_count_of_arguments), RUN(lines_are_taken_cut_anywhere),
          RUN(line_has_a_limit), RUN(line_replies_are_lines),
          RUN(the_first_line_says_which_protocol_it_is),
          RUN(a_first_line_too_long_for_redis_is_the_line_protocol))
