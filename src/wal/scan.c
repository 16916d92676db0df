/*
 * Reading a segment file, record by record, through a window that moves.
 *
 * A size field is believed only after the tag of its header, and never beyond
 * the end of the file, so the window cannot grow past the file.
 */
#include "base/assert.h"

#include "wal/wal_internal.h"

enum {
    WINDOW_BYTES = 256 << 10,
    FORMAT_AT = 13, /* in a record's header */
};

void
wal__scan_init(struct scan *s, struct file *file, uint64_t bytes, uint64_t seed)
{
    *s = (struct scan){ .file = file, .bytes = bytes, .seed = seed };
    s->window = buf_empty(SIZE_MAX / 2);
}

void
wal__scan_release(struct scan *s)
{
    buf_release(&s->window);
}

/* The bytes [offset, offset + size), which lie inside the file; borrowed until the next call. */
static enum status
look(struct scan *s, uint64_t offset, uint64_t size, const uint8_t **out, struct err *err)
{
    uint64_t want = size < WINDOW_BYTES ? WINDOW_BYTES : size;
    enum status st;

    ASSERT(size <= s->bytes && offset <= s->bytes - size);
    if (offset >= s->begin && offset + size <= s->begin + s->window.size) {
        *out = s->window.data + (offset - s->begin);
        return ST_OK;
    }
    if (want > s->bytes - offset)
        want = s->bytes - offset;
    s->window.size = 0;
    s->begin = offset;
    st = buf_reserve(&s->window, (size_t)want);
    if (st != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", file_path(s->file));
    st = file_read(s->file, offset, s->window.data, (size_t)want, &s->window.size, err);
    if (st != ST_OK)
        return st;
    if (s->window.size < size)
        return err_raise(err, ST_IO, "%s became shorter while it was read", file_path(s->file));
    *out = s->window.data;
    return ST_OK;
}

enum status
wal__scan_record(struct scan *s, uint64_t offset, uint64_t limit, struct found *out,
                 struct err *err)
{
    const uint8_t *bytes = NULL;
    enum status st;

    ASSERT(limit <= s->bytes);
    *out = (struct found){ .parse = PARSE_NONE, .offset = offset };
    if (offset > limit || limit - offset < RECORD_BYTES_MIN)
        return ST_OK;
    st = look(s, offset, RECORD_HEADER_BYTES, &bytes, err);
    if (st != ST_OK)
        return st;
    ASSERT(bytes != NULL);
    out->size = wal__record_peek(bytes, s->seed, offset, limit - offset);
    if (out->size == 0)
        return ST_OK;
    st = look(s, offset, out->size, &bytes, err);
    if (st != ST_OK)
        return st;
    out->parse = wal__record_get(slice_of(bytes, (size_t)out->size), s->seed, offset, &out->record);
    return ST_OK;
}

/* The first offset at or after `from` where a record may begin; `bytes` when there is none.
 * Most of what is searched is zeros, where memchr() is as fast as memory. */
static enum status
next_candidate(struct scan *s, uint64_t from, uint64_t *out, struct err *err)
{
    const uint8_t *bytes = NULL;
    const uint8_t *hit;
    enum status st;

    while (s->bytes - from >= RECORD_BYTES_MIN) {
        uint64_t span;

        st = look(s, from, RECORD_HEADER_BYTES, &bytes, err);
        if (st != ST_OK)
            return st;
        ASSERT(bytes != NULL);
        span = s->begin + s->window.size - from - (RECORD_HEADER_BYTES - 1);
        hit = memchr(bytes + FORMAT_AT, LOG_FORMAT, (size_t)span);
        if (hit != NULL) {
            *out = from + (uint64_t)(hit - bytes) - FORMAT_AT;
            return ST_OK;
        }
        from += span;
    }
    *out = s->bytes;
    return ST_OK;
}

enum status
wal__scan_ahead(struct scan *s, uint64_t from, scan_fn *fn, void *ctx, struct err *err)
{
    enum status st;

    while (from < s->bytes) {
        struct found found;

        st = next_candidate(s, from, &from, err);
        if (st != ST_OK || from == s->bytes)
            return st;
        st = wal__scan_record(s, from, s->bytes, &found, err);
        if (st == ST_OK && found.parse == PARSE_OK)
            st = fn(ctx, &found, err);
        if (st != ST_OK)
            return st;
        from += found.parse == PARSE_OK ? found.size : 1;
    }
    return ST_OK;
}
