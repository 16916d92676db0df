/* Replies of the Redis protocol, written. */
#include <math.h>
#include <stdio.h>

#include "wire/decimal.h"
#include "wire/resp.h"

enum { HEADER_BYTES_MAX = 1 + DECIMAL_BYTES + 2 };

/* Room for `size` bytes, or NULL when the writer has failed. */
static uint8_t *
room(struct resp_writer *w, size_t size)
{
    if (w->st == ST_OK)
        w->st = buf_reserve(w->out, size);
    return w->st == ST_OK ? w->out->data + w->out->size : NULL;
}

static uint8_t *
put_line_end(uint8_t *at)
{
    at[0] = '\r';
    at[1] = '\n';
    return at + 2;
}

static uint8_t *
put_header(uint8_t *at, char mark, uint64_t number)
{
    *at++ = (uint8_t)mark;
    at += decimal_format_u64(number, (char *)at);
    return put_line_end(at);
}

static void
header(struct resp_writer *w, char mark, uint64_t number)
{
    uint8_t *at = room(w, HEADER_BYTES_MAX);

    if (at != NULL)
        w->out->size += (size_t)(put_header(at, mark, number) - at);
}

void
resp_put_raw(struct resp_writer *w, struct slice bytes)
{
    uint8_t *at = room(w, bytes.size);

    if (at == NULL || bytes.size == 0)
        return;
    memcpy(at, bytes.data, bytes.size);
    w->out->size += bytes.size;
}

void
resp_put_simple(struct resp_writer *w, const char *text)
{
    struct slice word = slice_str(text);
    uint8_t *at = room(w, word.size + 3);

    if (at == NULL)
        return;
    at[0] = '+';
    memcpy(at + 1, word.data, word.size);
    put_line_end(at + 1 + word.size);
    w->out->size += word.size + 3;
}

static void
put_bytes(struct resp_writer *w, char mark, struct slice prefix, struct slice bytes)
{
    uint8_t *begin, *at;

    if (bytes.size > SIZE_MAX / 2) {
        w->st = ST_TOO_BIG;
        return;
    }
    begin = at = room(w, HEADER_BYTES_MAX + prefix.size + bytes.size + 2);
    if (at == NULL)
        return;
    at = put_header(at, mark, prefix.size + bytes.size);
    if (prefix.size > 0)
        memcpy(at, prefix.data, prefix.size);
    at += prefix.size;
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    at = put_line_end(at + bytes.size);
    w->out->size += (size_t)(at - begin);
}

void
resp_put_bulk(struct resp_writer *w, struct slice bytes)
{
    put_bytes(w, '$', slice_of(NULL, 0), bytes);
}

void
resp_put_text(struct resp_writer *w, struct slice text)
{
    if (w->version >= 3)
        put_bytes(w, '=', slice_str("txt:"), text);
    else
        resp_put_bulk(w, text);
}

void
resp_put_i64(struct resp_writer *w, int64_t value)
{
    uint8_t *begin = room(w, HEADER_BYTES_MAX);
    uint8_t *at = begin;

    if (at == NULL)
        return;
    *at++ = ':';
    at += decimal_format_i64(value, (char *)at);
    w->out->size += (size_t)(put_line_end(at) - begin);
}

void
resp_put_nil(struct resp_writer *w)
{
    resp_put_raw(w, slice_str(w->version >= 3 ? "_\r\n" : "$-1\r\n"));
}

void
resp_put_nil_array(struct resp_writer *w)
{
    resp_put_raw(w, slice_str(w->version >= 3 ? "_\r\n" : "*-1\r\n"));
}

void
resp_put_error(struct resp_writer *w, struct slice text)
{
    uint8_t *at = room(w, text.size + 3);

    if (at == NULL)
        return;
    at[0] = '-';
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        at[1 + i] = c == '\r' || c == '\n' ? ' ' : c; /* a reply of one line stays one */
    }
    put_line_end(at + 1 + text.size);
    w->out->size += text.size + 3;
}

void
resp_put_error_text(struct resp_writer *w, const char *text)
{
    resp_put_error(w, slice_str(text));
}

void
resp_put_array(struct resp_writer *w, uint64_t count)
{
    header(w, '*', count);
}

void
resp_put_map(struct resp_writer *w, uint64_t count)
{
    if (w->version >= 3)
        header(w, '%', count);
    else
        header(w, '*', count * 2);
}

void
resp_put_set(struct resp_writer *w, uint64_t count)
{
    header(w, w->version >= 3 ? '~' : '*', count);
}

void
resp_put_bool(struct resp_writer *w, bool value)
{
    if (w->version >= 3)
        resp_put_raw(w, slice_str(value ? "#t\r\n" : "#f\r\n"));
    else
        resp_put_i64(w, value ? 1 : 0);
}

void
resp_put_double(struct resp_writer *w, double value)
{
    char text[40];
    int size;

    if (isnan(value))
        size = snprintf(text, sizeof(text), "nan");
    else if (isinf(value))
        size = snprintf(text, sizeof(text), "%s", value > 0 ? "inf" : "-inf");
    else
        size = snprintf(text, sizeof(text), "%.17g", value);

    if (w->version < 3) {
        resp_put_bulk(w, slice_of(text, (size_t)size));
        return;
    }
    resp_put_raw(w, slice_str(","));
    resp_put_raw(w, slice_of(text, (size_t)size));
    resp_put_raw(w, slice_str("\r\n"));
}
