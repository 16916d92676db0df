/*
 * The catalogue is replaced as a whole, so that it is always one of two states.  The first segment of each
 * log stream is named by the stream's own CHAIN file.
 */
#include "engine/catalogue.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "env/whole_file.h"

enum {
    CATALOGUE_FORMAT = 2,
    FORMAT_OF_IDS = 1, /* no lines, but the ids of trees */
    HEADER_BYTES = 32,
    LINE_BYTES = 48,
    ID_BYTES = 8,
    TRAILER_BYTES = 8,
    FILE_BYTES_MAX = HEADER_BYTES + LINE_BYTES * CATALOGUE_LINES_MAX + TRAILER_BYTES,
};

static const char magic[8] = { 'D', 'K', 'V', 'C', 'A', 'T', 'L', 'G' };

/* ------------------------------------------------------------------ lines */

static int
compare(const struct catalogue_line *a, const struct catalogue_line *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static int
compare_lines(const void *a, const void *b)
{
    return compare(a, b);
}

void
catalogue_release(struct catalogue *c)
{
    mem_free(c->lines);
    *c = (struct catalogue){ 0 };
}

static enum status
make_room(struct catalogue *c, uint64_t room)
{
    if (room > CATALOGUE_LINES_MAX)
        return ST_TOO_BIG;
    c->lines = mem_new_array(struct catalogue_line, room + 1); /* never none */
    if (c->lines == NULL)
        return ST_NO_MEMORY;
    c->room = (uint32_t)room;
    return ST_OK;
}

enum status
catalogue_copy(const struct catalogue *from, uint32_t more, struct catalogue *out)
{
    struct catalogue copy = { .count = from->count, .sequence = from->sequence };
    enum status st = make_room(&copy, (uint64_t)from->count + more);

    if (st != ST_OK)
        return st;
    if (from->count > 0)
        memcpy(copy.lines, from->lines, from->count * sizeof(copy.lines[0]));
    *out = copy;
    return ST_OK;
}

struct catalogue_line *
catalogue_find(const struct catalogue *c, enum catalogue_kind kind, uint64_t id)
{
    struct catalogue_line wanted = { .kind = kind, .id = id };

    if (c->count == 0)
        return NULL;
    return bsearch(&wanted, c->lines, c->count, sizeof(wanted), compare_lines);
}

void
catalogue_put(struct catalogue *c, const struct catalogue_line *line)
{
    struct catalogue_line *there = catalogue_find(c, line->kind, line->id);
    uint32_t at = c->count;

    if (there != NULL) {
        *there = *line;
        return;
    }
    ASSERT(c->count < c->room);
    for (; at > 0 && compare(&c->lines[at - 1], line) > 0; at--)
        c->lines[at] = c->lines[at - 1];
    c->lines[at] = *line;
    c->count++;
}

void
catalogue_take(struct catalogue *c, enum catalogue_kind kind, uint64_t id)
{
    struct catalogue_line *there = catalogue_find(c, kind, id);

    if (there == NULL)
        return;
    c->count--;
    memmove(there, there + 1, (size_t)(c->lines + c->count - there) * sizeof(*there));
}

bool
catalogue_has_log(const struct catalogue *c, uint64_t log)
{
    for (uint32_t i = 0; i < c->count && c->lines[i].kind == CATALOGUE_TREE; i++) {
        if (c->lines[i].log == log)
            return true;
    }
    return catalogue_find(c, CATALOGUE_GONE, log) != NULL;
}

/* ------------------------------------------------------------------ from bytes */

static struct catalogue_line
decode_line(const uint8_t *at, size_t size)
{
    struct catalogue_line line = { .kind = CATALOGUE_TREE };

    if (size == ID_BYTES) {
        line.id = line.log = get_u64le(at);
        return line;
    }
    line.kind = (enum catalogue_kind)get_u64le(at);
    line.id = get_u64le(at + 8);
    if (line.kind == CATALOGUE_TREE)
        line.log = get_u64le(at + 16);
    if (line.kind == CATALOGUE_OATH)
        line.oath = (struct engine_oath){ get_u64le(at + 16), get_u64le(at + 24),
                                          get_u64le(at + 32), get_u64le(at + 40) };
    return line;
}

static bool
is_sane(const struct catalogue *c, uint32_t i)
{
    const struct catalogue_line *line = &c->lines[i];

    if (line->kind < CATALOGUE_TREE || line->kind > CATALOGUE_OATH || line->id == 0)
        return false;
    return i == 0 || compare(line - 1, line) < 0;
}

static enum status
decode_lines(struct catalogue *out, const uint8_t *at, uint32_t count, size_t size)
{
    struct catalogue c = { 0 };
    enum status st = make_room(&c, count);

    if (st != ST_OK)
        return st;
    for (; c.count < count; c.count++)
        c.lines[c.count] = decode_line(at + c.count * size, size);
    if (size == ID_BYTES)
        qsort(c.lines, c.count, sizeof(c.lines[0]), compare_lines);
    for (uint32_t i = 0; i < c.count && st == ST_OK; i++)
        st = is_sane(&c, i) ? ST_OK : ST_CORRUPT;
    if (st == ST_OK)
        *out = c;
    else
        catalogue_release(&c);
    return st;
}

static enum status
decode(struct catalogue *out, struct slice bytes, uint64_t store, const char *path, struct err *err)
{
    const uint8_t *at = bytes.data;
    uint32_t format, n;
    size_t size;
    enum status st;

    if (bytes.size < HEADER_BYTES + TRAILER_BYTES || memcmp(at, magic, sizeof(magic)) != 0 ||
        get_u64le(at + bytes.size - TRAILER_BYTES) !=
            hash64_seeded(slice_of(at, bytes.size - TRAILER_BYTES), store))
        return err_raise(err, ST_CORRUPT, "%s: damaged (offset 0, %zu bytes)", path, bytes.size);
    format = get_u32le(at + 8);
    if (format > CATALOGUE_FORMAT)
        return err_raise(err, ST_INVALID, "%s: format %u is newer than this program's %d", path,
                         format, CATALOGUE_FORMAT);
    n = get_u32le(at + 12);
    size = format == FORMAT_OF_IDS ? ID_BYTES : LINE_BYTES;
    if (bytes.size != HEADER_BYTES + size * n + TRAILER_BYTES)
        return err_raise(err, ST_CORRUPT, "%s: damaged: %u lines in %zu bytes (offset 12)", path, n,
                         bytes.size);
    st = decode_lines(out, at + HEADER_BYTES, n, size);
    if (st == ST_NO_MEMORY)
        return err_raise(err, st, "%s: out of memory", path);
    if (st != ST_OK)
        return err_raise(err, ST_CORRUPT, "%s: not one that this program writes", path);
    out->sequence = get_u64le(at + 24);
    return ST_OK;
}

enum status
catalogue_load(struct catalogue *out, struct env *env, const char *dir, uint64_t store,
               struct err *err)
{
    struct buf bytes = buf_empty(FILE_BYTES_MAX);
    char path[LIMIT_PATH_BYTES];
    enum status st;

    snprintf(path, sizeof(path), "%s/CATALOGUE", dir);
    st = whole_file_read(env, path, &bytes, err);
    if (st == ST_NOT_FOUND)
        st = err_raise(err, ST_CORRUPT, "%s: missing, though the store has an identity", path);
    else if (st == ST_TOO_BIG)
        st = err_raise(err, ST_CORRUPT, "%s: damaged: larger than a catalogue can be", path);
    else if (st == ST_OK)
        st = decode(out, buf_slice(&bytes), store, path, err);
    buf_release(&bytes);
    return st;
}

/* ------------------------------------------------------------------ to bytes */

static void
encode_line(const struct catalogue_line *line, uint8_t *at)
{
    memset(at, 0, LINE_BYTES);
    put_u64le(at, line->kind);
    put_u64le(at + 8, line->id);
    if (line->kind == CATALOGUE_TREE)
        put_u64le(at + 16, line->log);
    if (line->kind == CATALOGUE_OATH) {
        put_u64le(at + 16, line->oath.term);
        put_u64le(at + 24, line->oath.vote);
        put_u64le(at + 32, line->oath.log_term);
        put_u64le(at + 40, line->oath.log_index);
    }
}

static void
encode(const struct catalogue *c, uint64_t store, struct buf *out)
{
    uint8_t *at = out->data;

    memcpy(at, magic, sizeof(magic));
    put_u32le(at + 8, CATALOGUE_FORMAT);
    put_u32le(at + 12, c->count);
    put_u64le(at + 16, store);
    put_u64le(at + 24, c->sequence + 1);
    at += HEADER_BYTES;
    for (uint32_t i = 0; i < c->count; i++, at += LINE_BYTES)
        encode_line(&c->lines[i], at);
    put_u64le(at, hash64_seeded(slice_of(out->data, (size_t)(at - out->data)), store));
    out->size = (size_t)(at - out->data) + TRAILER_BYTES;
}

enum status
catalogue_store(struct catalogue *c, struct env *env, const char *dir, uint64_t store,
                struct err *err)
{
    struct buf bytes = buf_empty(FILE_BYTES_MAX);
    enum status st =
        buf_reserve(&bytes, HEADER_BYTES + (size_t)LINE_BYTES * c->count + TRAILER_BYTES);

    if (st == ST_OK) {
        encode(c, store, &bytes);
        st = whole_file_replace(env, dir, "CATALOGUE", buf_slice(&bytes), err);
    } else {
        st = err_raise(err, st, "%s/CATALOGUE: out of memory", dir);
    }
    buf_release(&bytes);
    c->sequence += st == ST_OK;
    return st;
}
