#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

#include "history/codec.h"
#include "history/history_internal.h"
#include "history/parse.h"

struct history_reader {
    struct history *into;
    char *name;       /* owned */
    struct buf line;  /* the unfinished one */
    uint64_t number;  /* of the line that is being read, from 1 */
    enum status done; /* anything but ST_OK: it takes no more */
};

enum status
history_reader_create(struct history_reader **out, struct history *into, const char *name)
{
    struct history_reader *r = mem_new(struct history_reader);

    if (r == NULL)
        return ST_NO_MEMORY;
    r->into = into;
    r->name = mem_strdup(name);
    r->line = buf_empty(HISTORY_LINE_BYTES_MAX);
    r->number = 1;
    if (r->name == NULL) {
        history_reader_destroy(r);
        return ST_NO_MEMORY;
    }
    *out = r;
    return ST_OK;
}

void
history_reader_destroy(struct history_reader *r)
{
    if (r == NULL)
        return;
    buf_release(&r->line);
    mem_free(r->name);
    mem_free(r);
}

/* Every failure goes this way: it gets its place, and is the last. */
static enum status
fail_at(struct history_reader *r, uint64_t line, enum status st, struct err *err)
{
    char why[ERR_TEXT_MAX] = "";

    if (err != NULL)
        memcpy(why, err->text, sizeof(why));
    r->done = st;
    return err_raise(err, st, "%s:%" PRIu64 ": %s", r->name, line, why);
}

static bool
is_blank(struct slice line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    }
    return true;
}

static enum status
take_line(struct history_reader *r, struct slice line, struct err *err)
{
    struct history_op op;
    json_t *object;
    enum status st;

    if (!is_blank(line)) {
        st = history__parse_line(line, &op, &object, err);
        op.line = r->number;
        if (st == ST_OK)
            st = history_add(r->into, &op, err);
        json_decref(object);
        if (st != ST_OK)
            return fail_at(r, r->number, st, err);
    }
    r->number++;
    return ST_OK;
}

static enum status
keep_rest(struct history_reader *r, struct slice bytes, struct err *err)
{
    enum status st = buf_append(&r->line, bytes);

    if (st == ST_TOO_BIG)
        st = err_raise(err, ST_INVALID, "a line of more than %d bytes", HISTORY_LINE_BYTES_MAX);
    else if (st != ST_OK)
        st = err_raise(err, st, "out of memory");
    return st == ST_OK ? ST_OK : fail_at(r, r->number, st, err);
}

/* A line that lies in one piece is not copied. */
static enum status
end_line(struct history_reader *r, struct slice piece, struct err *err)
{
    enum status st;

    if (r->line.size == 0)
        return take_line(r, piece, err);
    st = keep_rest(r, piece, err);
    if (st == ST_OK)
        st = take_line(r, buf_slice(&r->line), err);
    r->line.size = 0;
    return st;
}

enum status
history_reader_feed(struct history_reader *r, struct slice bytes, struct err *err)
{
    enum status st = r->done;
    size_t at = 0;

    if (st != ST_OK)
        return err_raise(err, st, "%s: it was given up", r->name);
    while (at < bytes.size && st == ST_OK) {
        const uint8_t *begin = bytes.data + at;
        const uint8_t *end = memchr(begin, '\n', bytes.size - at);

        if (end == NULL)
            return keep_rest(r, slice_of(begin, bytes.size - at), err);
        st = end_line(r, slice_of(begin, (size_t)(end - begin)), err);
        at = (size_t)(end - bytes.data) + 1;
    }
    return st;
}

enum status
history_reader_finish(struct history_reader *r, struct err *err)
{
    enum status st = r->done;
    uint32_t index = 0;

    if (st != ST_OK)
        return err_raise(err, st, "%s: it was given up", r->name);
    st = end_line(r, slice_of("", 0), err);
    if (st != ST_OK)
        return st;
    st = history_check_clients(r->into, &index, err);
    if (st == ST_INVALID)
        st = fail_at(r, r->into->ops[index].line, st, err);
    return st;
}
