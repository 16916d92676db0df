#include <inttypes.h>

#include "history/codec.h"
#include "history/history_internal.h"
#include "history/number.h"
#include "history/utf8.h"

/* Everything but quotes, backslashes and control characters goes as it is. */
static enum status
put_text(struct buf *out, struct slice text)
{
    enum status st = buf_append(out, slice_str("\""));
    size_t begin = 0;

    for (size_t i = 0; i < text.size && st == ST_OK; i++) {
        uint8_t byte = text.data[i];

        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        st = buf_append(out, slice_of(text.data + begin, i - begin));
        begin = i + 1;
        if (st == ST_OK)
            st = byte < 0x20 ? buf_printf(out, "\\u%04x", byte) : buf_printf(out, "\\%c", byte);
    }
    if (st == ST_OK && begin < text.size)
        st = buf_append(out, slice_of(text.data + begin, text.size - begin));
    return st == ST_OK ? buf_append(out, slice_str("\"")) : st;
}

static enum status
put_field(struct buf *out, const char *name, struct history_value value)
{
    enum status st = buf_printf(out, ",\"%s\":", name);

    if (st != ST_OK)
        return st;
    return value.present ? put_text(out, value.text) : buf_append(out, slice_str("null"));
}

static enum status
put_number(struct buf *out, const char *name, int64_t number)
{
    char room[NUMBER_ROOM];
    struct slice text = number_print(number, room);

    return buf_printf(out, ",\"%s\":\"%.*s\"", name, (int)text.size, (const char *)text.data);
}

static enum status
put_values(struct buf *out, const struct history_op *op)
{
    enum status st = ST_OK;

    switch (op->verb) {
    case HISTORY_GET:
        return op->result == HISTORY_OK ? put_field(out, "value", op->value) : ST_OK;
    case HISTORY_CAS:
        st = put_field(out, "expect", op->expect);
        return st == ST_OK ? put_field(out, "value", op->value) : st;
    case HISTORY_PUT:
        return put_field(out, "value", op->value);
    case HISTORY_INCR:
        st = put_number(out, "value", op->delta);
        return st == ST_OK && op->result == HISTORY_OK ? put_number(out, "sum", op->sum) : st;
    case HISTORY_DELETE:
    case HISTORY_VERB_COUNT:
        break;
    }
    return ST_OK;
}

static enum status
put_line(struct buf *out, const struct history_op *op)
{
    enum status st = buf_printf(out, "{\"client\":%" PRIu64 ",\"op\":\"%s\",\"key\":", op->client,
                                history_verb_name(op->verb));

    if (st == ST_OK)
        st = put_text(out, op->key);
    if (st == ST_OK)
        st = put_values(out, op);
    if (st == ST_OK)
        st = buf_printf(out, ",\"call_ns\":%" PRIu64, op->call_ns);
    if (st == ST_OK && op->return_ns != HISTORY_NEVER)
        st = buf_printf(out, ",\"return_ns\":%" PRIu64, op->return_ns);
    if (st == ST_OK)
        st = buf_printf(out, ",\"result\":\"%s\"%s}\n", history_result_name(op->result),
                        op->mismatch ? ",\"mismatch\":true" : "");
    return st;
}

enum status
history_write(struct buf *out, const struct history_op *op, struct err *err)
{
    size_t before = out->size;
    enum status st = history__op_validate(op, err);

    if (st != ST_OK)
        return st;
    if (!utf8_is_valid(op->key))
        return err_raise(err, ST_INVALID, "the key is not UTF-8, and JSON can hold nothing else");
    if (!utf8_is_valid(op->value.text) || !utf8_is_valid(op->expect.text))
        return err_raise(err, ST_INVALID, "a value is not UTF-8, and JSON can hold nothing else");
    st = put_line(out, op);
    if (st == ST_OK)
        return ST_OK;
    out->size = before;
    return err_raise(err, st, "the line cannot be written: %s", status_name(st));
}
