/*
 * Replies of the Redis protocol, read: for our own client.
 *
 * A reply is a tree; it is given out item by item, outer ones first, and the
 * levels that are open are counted in an array of fixed depth, so that a
 * hostile server can make a client neither recurse nor allocate.
 *
 *      *2 CRLF         ITEM array, depth 0, count 2     left = {2}
 *      :1 CRLF         ITEM integer, depth 1            left = {1}
 *      :2 CRLF         ITEM integer, depth 1            left = {}   complete
 */
#include <stdio.h>

#include "base/assert.h"

#include "wire/decimal.h"
#include "wire/resp.h"

enum { REPLY_LINE_BYTES_MAX = 64 << 10, VERBATIM_PREFIX = 4 };

struct line {
    char mark;
    struct slice text; /* between the mark and the ending */
    size_t size;       /* with both */
};

static enum resp_event
fail(struct resp_reply_parser *p, const char *text)
{
    snprintf(p->error, sizeof(p->error), "Protocol error: %s", text);
    return RESP_ERROR;
}

static enum resp_event
take_line(struct resp_reply_parser *p, struct slice rest, struct line *line)
{
    const uint8_t *end =
        rest.size == 0 ? NULL : memchr(rest.data + p->scanned, '\n', rest.size - p->scanned);

    if (end == NULL) {
        if (rest.size > REPLY_LINE_BYTES_MAX)
            return fail(p, "too long a line");
        p->scanned = rest.size;
        p->need = 0;
        return RESP_MORE;
    }
    if (end - rest.data < 2 || end[-1] != '\r')
        return fail(p, "a line does not end in CRLF");
    p->scanned = 0;
    line->mark = (char)rest.data[0];
    line->size = (size_t)(end - rest.data) + 1;
    line->text = slice_of(rest.data + 1, line->size - 3);
    return RESP_ITEM;
}

static enum resp_event
parse_bulk(struct resp_reply_parser *p, const struct line *line, struct slice rest, size_t *size,
           struct resp_item *item)
{
    uint64_t length;

    if (line->mark == '$' && slice_equal(line->text, slice_str("-1"))) {
        item->type = RESP_NIL;
        return RESP_ITEM;
    }
    if (!decimal_parse_u64(line->text, &length) || length > RESP_BULK_BYTES_MAX)
        return fail(p, "invalid bulk length");
    if (rest.size - line->size < length + 2) {
        p->need = line->size + (size_t)length + 2;
        return RESP_MORE;
    }
    item->text = slice_of(rest.data + line->size, (size_t)length);
    if (memcmp(item->text.data + length, "\r\n", 2) != 0)
        return fail(p, "a bulk string does not end in CRLF");
    item->type = line->mark == '!' ? RESP_FAILURE : RESP_BULK;
    *size += (size_t)length + 2;
    if (line->mark != '=')
        return RESP_ITEM;
    if (length < VERBATIM_PREFIX || item->text.data[3] != ':')
        return fail(p, "a verbatim text without a format");
    item->text = slice_of(item->text.data + VERBATIM_PREFIX, (size_t)length - VERBATIM_PREFIX);
    return RESP_ITEM;
}

static enum resp_event
parse_aggregate(struct resp_reply_parser *p, const struct line *line, struct resp_item *item)
{
    bool pairs = line->mark == '%' || line->mark == '|';

    if (line->mark == '*' && slice_equal(line->text, slice_str("-1"))) {
        item->type = RESP_NIL;
        return RESP_ITEM;
    }
    if (!decimal_parse_u64(line->text, &item->count) || item->count > UINT32_MAX)
        return fail(p, "invalid length of an aggregate");
    if (pairs)
        item->count *= 2;
    switch (line->mark) {
    case '*':
        item->type = RESP_ARRAY;
        break;
    case '%':
        item->type = RESP_MAP;
        break;
    case '~':
        item->type = RESP_SET;
        break;
    case '|':
        item->type = RESP_ATTRIBUTE;
        break;
    default:
        item->type = RESP_PUSH;
        break;
    }
    if (item->count > 0 && p->depth == RESP_DEPTH_MAX)
        return fail(p, "nested too deeply");
    return RESP_ITEM;
}

static enum resp_event
parse_scalar(struct resp_reply_parser *p, const struct line *line, struct resp_item *item)
{
    item->text = line->text;
    switch (line->mark) {
    case '+':
        item->type = RESP_SIMPLE;
        return RESP_ITEM;
    case '-':
        item->type = RESP_FAILURE;
        return RESP_ITEM;
    case ':':
        item->type = RESP_INTEGER;
        return decimal_parse_i64(line->text, &item->integer) ? RESP_ITEM
                                                             : fail(p, "invalid integer");
    case '#':
        item->type = RESP_BOOL;
        item->integer = line->text.size == 1 && line->text.data[0] == 't';
        return item->integer || slice_equal(line->text, slice_str("f"))
                   ? RESP_ITEM
                   : fail(p, "invalid boolean");
    case '_':
        item->type = RESP_NIL;
        return line->text.size == 0 ? RESP_ITEM : fail(p, "invalid null");
    case ',':
        item->type = RESP_DOUBLE;
        return RESP_ITEM;
    case '(':
        item->type = RESP_BIG;
        return RESP_ITEM;
    default:
        return fail(p, "unknown type of reply");
    }
}

/* The item has been given out: the levels that it completes are closed. */
static void
count_item(struct resp_reply_parser *p, const struct resp_item *item)
{
    if (item->type != RESP_ATTRIBUTE && p->depth > 0) {
        ASSERT(p->left[p->depth - 1] > 0);
        p->left[p->depth - 1]--;
    }
    if (item->count > 0)
        p->left[p->depth++] = item->count;
    while (p->depth > 0 && p->left[p->depth - 1] == 0)
        p->depth--;
}

enum resp_event
resp_reply_next(struct resp_reply_parser *p, struct slice input, size_t *at, struct resp_item *item)
{
    struct slice rest;
    enum resp_event event;
    struct line line = { 0 };
    size_t size;

    ASSERT(*at <= input.size);
    rest = slice_of(input.data + *at, input.size - *at);
    event = take_line(p, rest, &line);
    if (event != RESP_ITEM)
        return event;

    *item = (struct resp_item){ .depth = p->depth };
    size = line.size;
    switch (line.mark) {
    case '$':
    case '!':
    case '=':
        event = parse_bulk(p, &line, rest, &size, item);
        break;
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
        event = parse_aggregate(p, &line, item);
        break;
    default:
        event = parse_scalar(p, &line, item);
        break;
    }
    if (event != RESP_ITEM)
        return event;
    *at += size;
    count_item(p, item);
    return RESP_ITEM;
}
