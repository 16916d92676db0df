/* The words of an inline command, with the quoting rules of Redis. */
#include "wire/resp.h"

const char resp_unbalanced_quotes[] = "Protocol error: unbalanced quotes in request";

static bool
is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* What a backslash and `c` stand for between double quotes. */
static uint8_t
escaped(uint8_t c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* One character between double quotes, to `*to`; returns where the next begins. */
static uint8_t *
unquote_one(uint8_t *from, const uint8_t *limit, uint8_t **to)
{
    if (from[0] != '\\' || limit - from < 2) {
        *(*to)++ = *from;
        return from + 1;
    }
    if (limit - from >= 4 && from[1] == 'x' && hex_digit(from[2]) >= 0 && hex_digit(from[3]) >= 0) {
        *(*to)++ = (uint8_t)(hex_digit(from[2]) << 4 | hex_digit(from[3]));
        return from + 4;
    }
    *(*to)++ = escaped(from[1]);
    return from + 2;
}

static uint8_t *
unquote_one_single(uint8_t *from, const uint8_t *limit, uint8_t **to)
{
    if (from[0] == '\\' && limit - from >= 2 && from[1] == '\'')
        from++;
    *(*to)++ = *from;
    return from + 1;
}

/* From behind the opening quote to behind the closing one; NULL when there is none, or when
 * something other than white space follows it. */
static uint8_t *
unquote(uint8_t *from, const uint8_t *limit, uint8_t quote, uint8_t **to)
{
    while (from < limit && *from != quote)
        from = quote == '"' ? unquote_one(from, limit, to) : unquote_one_single(from, limit, to);
    if (from >= limit)
        return NULL;
    from++;
    return from == limit || is_space(*from) ? from : NULL;
}

enum resp_event
resp_inline_next(struct resp_inline *it, struct slice *arg)
{
    uint8_t *begin, *to, *at;

    while (it->at < it->limit && is_space(*it->at))
        it->at++;
    if (it->at == it->limit)
        return RESP_END;

    begin = to = at = it->at;
    while (at < it->limit && !is_space(*at)) {
        if (*at == '"' || *at == '\'') {
            at = unquote(at + 1, it->limit, *at, &to);
            if (at == NULL)
                return RESP_ERROR;
            break;
        }
        *to++ = *at++;
    }
    it->at = at;
    *arg = slice_of(begin, (size_t)(to - begin));
    return RESP_ARG;
}
