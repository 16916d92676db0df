/* Tests of resp_inline_next(): the words of a line, with the quoting rules of Redis. */
#include "base/mem.h"

#include "unit/test.h"
#include "wire/resp.h"

/* "a|b|" or "!" for unbalanced quotes. */
static void
expect_words(const char *line, const char *want)
{
    size_t size = strlen(line);
    uint8_t *copy = mem_alloc(size);
    struct buf trace = buf_empty(1 << 16);
    struct resp_inline it;
    enum resp_event event;
    struct slice arg;

    memcpy(copy, line, size);
    it = (struct resp_inline){ copy, copy + size };
    while ((event = resp_inline_next(&it, &arg)) == RESP_ARG) {
        EXPECT_OK(buf_append(&trace, arg));
        EXPECT_OK(buf_append(&trace, slice_str("|")));
    }
    if (event == RESP_ERROR)
        EXPECT_OK(buf_append(&trace, slice_str("!")));
    EXPECT_SLICE(buf_slice(&trace), want);
    buf_release(&trace);
    mem_free(copy);
}

TEST(inline_words_are_separated_by_white_space)
{
    expect_words("", "");
    expect_words("   ", "");
    expect_words("PING", "PING|");
    expect_words("  SET\tkey   value ", "SET|key|value|");
}

TEST(inline_double_quotes_know_escapes)
{
    expect_words("SET \"a b\" \"\"", "SET|a b||");
    expect_words("\"\\x41\\n\\r\\t\\\"\\\\\"", "A\n\r\t\"\\|");
    expect_words("\"\\a\\b\\q\"", "\a\bq|");
    expect_words("\"\\x4\"", "x4|");
    expect_words("\"\\xzz\"", "xzz|");
}

TEST(inline_single_quotes_know_one_escape)
{
    expect_words("'a \\' b' '\\n'", "a ' b|\\n|");
}

TEST(inline_quotes_must_end_and_be_followed_by_space)
{
    expect_words("\"abc", "!");
    expect_words("'abc", "!");
    expect_words("\"abc\\", "!");
    expect_words("\"abc\\\"", "!");
    expect_words("\"a\"b", "!");
    expect_words("ok 'a'b", "ok|!");
    expect_words("\"", "!");
}

TEST(inline_quotes_may_begin_inside_a_word)
{
    expect_words("ab\"c d\" e", "abc d|e|");
}

TEST_MAIN(RUN(inline_words_are_separated_by_white_space), RUN(inline_double_quotes_know_escapes),
          RUN(inline_single_quotes_know_one_escape),
          RUN(inline_quotes_must_end_and_be_followed_by_space),
          RUN(inline_quotes_may_begin_inside_a_word))
