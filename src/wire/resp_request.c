/*
 * Requests of the Redis protocol.
 *
 *      command :=  "*" count CRLF  bulk{count}   |   line LF
 *      bulk    :=  "$" size CRLF  byte{size} CRLF
 *
 * A token is a line or a bulk's bytes; resp_next() takes whole tokens only, and
 * remembers between them what it must (args_left, in_bulk, bulk_size), so
 * that the caller may move the rest of the input between any two calls.
 *
 * INVARIANTS
 *
 *   Q1  *at never passes the end of the input, and only grows.
 *   Q2  in_bulk implies args_left > 0, and bulk_size <= bulk_max as it was
 *       when the length was read.
 *   Q3  No byte is looked at twice in search of an ending, but for a constant
 *       number per call: `scanned` remembers how far a line was searched.
 */
#include <stdio.h>

#include "base/assert.h"

#include "wire/decimal.h"
#include "wire/resp.h"

enum line_result { LINE_WHOLE, LINE_PART, LINE_ENDLESS, LINE_BAD };

static enum resp_event
fail(struct resp_parser *p, const char *text)
{
    snprintf(p->error, sizeof(p->error), "Protocol error: %s", text);
    return RESP_ERROR;
}

/* "<mark><number>\r\n" at the front of `rest`. */
static enum line_result
parse_number_line(struct slice rest, int64_t *number, size_t *size)
{
    size_t limit = rest.size < RESP_NUMBER_LINE_BYTES_MAX ? rest.size : RESP_NUMBER_LINE_BYTES_MAX;
    const uint8_t *end = memchr(rest.data, '\r', limit);
    size_t length;

    if (end == NULL)
        return rest.size < RESP_NUMBER_LINE_BYTES_MAX ? LINE_PART : LINE_ENDLESS;
    if (end + 1 == rest.data + rest.size)
        return LINE_PART;
    length = (size_t)(end - rest.data);
    if (end[1] != '\n' || !decimal_parse_i64(slice_of(rest.data + 1, length - 1), number))
        return LINE_BAD;
    *size = length + 2;
    return LINE_WHOLE;
}

static enum resp_event
more(struct resp_parser *p, size_t need)
{
    p->need = need;
    return RESP_MORE;
}

static enum resp_event
begin_command(struct resp_parser *p, struct slice rest, size_t *at)
{
    int64_t count;
    size_t size;

    switch (parse_number_line(rest, &count, &size)) {
    case LINE_PART:
        return more(p, 0);
    case LINE_ENDLESS:
        return fail(p, "too big mbulk count string");
    case LINE_BAD:
        return fail(p, "invalid multibulk length");
    case LINE_WHOLE:
        break;
    }
    if (count > (int64_t)p->args_max)
        return fail(p, p->args_max == RESP_STRANGER_ARGS_MAX ? "unauthenticated multibulk length"
                                                             : "invalid multibulk length");
    *at += size;
    p->args_left = count > 0 ? (uint32_t)count : 0;
    return RESP_END;
}

static enum resp_event
begin_bulk(struct resp_parser *p, struct slice rest, size_t *at)
{
    int64_t length;
    size_t size;

    if (rest.data[0] != '$') {
        char c = (char)rest.data[0];

        snprintf(p->error, sizeof(p->error), "Protocol error: expected '$', got '%c'",
                 c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
        return RESP_ERROR;
    }
    switch (parse_number_line(rest, &length, &size)) {
    case LINE_PART:
        return more(p, 0);
    case LINE_ENDLESS:
        return fail(p, "too big bulk count string");
    case LINE_BAD:
        return fail(p, "invalid bulk length");
    case LINE_WHOLE:
        break;
    }
    if (length < 0 || length > (int64_t)RESP_BULK_BYTES_MAX)
        return fail(p, "invalid bulk length");
    if (length > (int64_t)p->bulk_max)
        return fail(p, "unauthenticated bulk length");
    *at += size;
    p->in_bulk = true;
    p->bulk_size = (size_t)length;
    return RESP_END;
}

static enum resp_event
take_bulk(struct resp_parser *p, struct slice rest, size_t *at, struct slice *arg)
{
    ASSERT(p->args_left > 0); /* Q2 */
    if (rest.size < p->bulk_size + 2)
        return more(p, p->bulk_size + 2);
    if (rest.data[p->bulk_size] != '\r' || rest.data[p->bulk_size + 1] != '\n')
        return fail(p, "expected CRLF after a bulk string");
    *arg = slice_of(rest.data, p->bulk_size);
    *at += p->bulk_size + 2;
    resp_skip_bulk(p);
    return RESP_ARG;
}

void
resp_skip_bulk(struct resp_parser *p)
{
    ASSERT(p->in_bulk && p->args_left > 0);
    p->in_bulk = false;
    p->args_left--;
}

static enum resp_event
take_inline(struct resp_parser *p, struct slice rest, size_t *at, struct slice *arg)
{
    const uint8_t *end = memchr(rest.data + p->scanned, '\n', rest.size - p->scanned);
    size_t size = end == NULL ? rest.size : (size_t)(end - rest.data);

    if (size > RESP_INLINE_BYTES_MAX)
        return fail(p, "too big inline request");
    if (end == NULL) {
        p->scanned = rest.size;
        return more(p, 0);
    }
    p->scanned = 0;
    *at += size + 1;
    if (size > 0 && rest.data[size - 1] == '\r')
        size--;
    *arg = slice_of(rest.data, size);
    return RESP_INLINE;
}

enum resp_event
resp_next(struct resp_parser *p, struct slice input, size_t *at, struct slice *arg)
{
    enum resp_event event = RESP_END;

    ASSERT(*at <= input.size); /* Q1 */
    while (event == RESP_END) {
        struct slice rest = slice_of(input.data + *at, input.size - *at);

        if (p->in_bulk)
            return take_bulk(p, rest, at, arg);
        if (rest.size == 0)
            return more(p, 0);
        if (p->args_left > 0)
            event = begin_bulk(p, rest, at);
        else if (rest.data[0] == '*')
            event = begin_command(p, rest, at);
        else
            return take_inline(p, rest, at, arg);
    }
    return event;
}
