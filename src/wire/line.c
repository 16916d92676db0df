#include "wire/line.h"

#include "base/assert.h"
#include "base/limits.h"

#include "wire/resp.h"

enum line_event
line_next(struct line_parser *p, struct slice input, size_t *at, struct slice *line)
{
    struct slice rest;
    const uint8_t *end;
    size_t size;

    ASSERT(*at <= input.size);
    if (*at == input.size)
        return LINE_MORE;
    rest = slice_of(input.data + *at, input.size - *at);
    ASSERT(p->scanned <= rest.size);
    end = memchr(rest.data + p->scanned, '\n', rest.size - p->scanned);
    size = end == NULL ? rest.size : (size_t)(end - rest.data);
    if (size > LIMIT_LINE_BYTES)
        return LINE_TOO_LONG;
    if (end == NULL) {
        p->scanned = rest.size;
        return LINE_MORE;
    }
    p->scanned = 0;
    *at += size + 1;
    if (p->either_ending && size > 0 && rest.data[size - 1] == '\r')
        size--;
    *line = slice_of(rest.data, size);
    return LINE_TAKEN;
}

/* The bytes up to the next space, which is dropped; `*more` says whether there was one. */
static struct slice
take_word(struct slice *rest, bool *more)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, ' ', rest->size);
    struct slice word = *rest;

    *more = end != NULL;
    if (end == NULL) {
        *rest = slice_of(rest->data + rest->size, 0);
        return word;
    }
    word.size = (size_t)(end - rest->data);
    *rest = slice_of(end + 1, rest->size - word.size - 1);
    return word;
}

static enum line_verb
verb_of(struct slice word)
{
    if (slice_equal_nocase(word, "GET"))
        return LINE_GET;
    if (slice_equal_nocase(word, "PUT"))
        return LINE_PUT;
    if (slice_equal_nocase(word, "DEL"))
        return LINE_DEL;
    if (slice_equal_nocase(word, "STATS"))
        return LINE_STATS;
    if (slice_equal_nocase(word, "AUTH"))
        return LINE_AUTH;
    return LINE_UNKNOWN;
}

void
line_parse(struct slice line, struct line_command *out)
{
    struct slice rest = line;
    bool has_key, has_value;
    enum line_verb verb = verb_of(take_word(&rest, &has_key));

    *out = (struct line_command){ .verb = LINE_UNKNOWN };
    if (verb == LINE_STATS && !has_key)
        out->verb = verb;
    if (verb == LINE_STATS || !has_key)
        return;
    out->key = take_word(&rest, &has_value);
    out->value = rest;
    if (out->key.size > 0 && has_value == (verb == LINE_PUT))
        out->verb = verb;
}

static enum status
put_line(struct buf *out, const char *word, struct slice rest)
{
    struct slice head = slice_str(word);
    uint8_t *at;
    enum status st;

    if (rest.size > SIZE_MAX / 2)
        return ST_TOO_BIG;
    st = buf_reserve(out, head.size + rest.size + 1);
    if (st != ST_OK)
        return st;
    at = out->data + out->size;
    memcpy(at, head.data, head.size);
    if (rest.size > 0)
        memcpy(at + head.size, rest.data, rest.size);
    at[head.size + rest.size] = '\n';
    out->size += head.size + rest.size + 1;
    return ST_OK;
}

enum status
line_put_reply(struct buf *out, const char *word)
{
    return put_line(out, word, slice_of(NULL, 0));
}

enum status
line_put_value(struct buf *out, struct slice value)
{
    ASSERT(value.size == 0 || memchr(value.data, '\n', value.size) == NULL);
    return put_line(out, "VALUE ", value);
}

enum status
line_put_error(struct buf *out, struct slice text)
{
    size_t begin = out->size;
    enum status st = put_line(out, "ERROR ", text);

    if (st != ST_OK)
        return st;
    for (size_t i = begin; i + 1 < out->size; i++) {
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    }
    return ST_OK;
}

enum wire_kind
wire_detect(struct slice input)
{
    const uint8_t *end;

    if (input.size == 0)
        return WIRE_UNDECIDED;
    if (input.data[0] == '*')
        return WIRE_REDIS;
    end = memchr(input.data, '\n', input.size);
    if (end == NULL)
        return input.size > RESP_INLINE_BYTES_MAX + 1 ? WIRE_LINE : WIRE_UNDECIDED;
    return end > input.data && end[-1] == '\r' ? WIRE_REDIS : WIRE_LINE;
}
