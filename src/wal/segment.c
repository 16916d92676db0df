/*
 * Segment files: their names, their headers, and how they are made ready.
 *
 * A file is ready (W3) when its blocks are allocated, its header with a fresh
 * incarnation is durable, and so is its name.  Only then may a seal or CHAIN
 * speak of it: a reader who finds it missing or illegible knows that this is
 * damage.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

/* "DKVSEGM\n" */
#define SEGMENT_MAGIC UINT64_C(0x0a4d474553564b44)

enum {
    AT_MAGIC = 0,
    AT_FORMAT = 8,
    AT_RESERVED = 12,
    AT_STORE_ID = 16,
    AT_SEQUENCE = 24,
    AT_INCARNATION = 32,
    AT_BYTES = 40,
    AT_CHECKSUM = SEGMENT_HEADER_BYTES - 8,
};

void
wal__header_put(uint8_t out[SEGMENT_HEADER_BYTES], const struct segment_header *h)
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    put_u64le(out + AT_MAGIC, SEGMENT_MAGIC);
    put_u32le(out + AT_FORMAT, LOG_FORMAT);
    put_u64le(out + AT_STORE_ID, h->store_id);
    put_u64le(out + AT_SEQUENCE, h->sequence);
    put_u64le(out + AT_INCARNATION, h->incarnation);
    put_u64le(out + AT_BYTES, h->bytes);
    put_u64le(out + AT_CHECKSUM, hash64(slice_of(out, AT_CHECKSUM)));
}

enum parse
wal__header_get(const uint8_t in[SEGMENT_HEADER_BYTES], struct segment_header *h)
{
    if (get_u64le(in + AT_MAGIC) != SEGMENT_MAGIC)
        return PARSE_NONE;
    if (get_u64le(in + AT_CHECKSUM) != hash64(slice_of(in, AT_CHECKSUM)))
        return PARSE_NONE;
    if (get_u32le(in + AT_FORMAT) > LOG_FORMAT)
        return PARSE_NEWER;
    h->store_id = get_u64le(in + AT_STORE_ID);
    h->sequence = get_u64le(in + AT_SEQUENCE);
    h->incarnation = get_u64le(in + AT_INCARNATION);
    h->bytes = get_u64le(in + AT_BYTES);
    return PARSE_OK;
}

/* ------------------------------------------------------------------ names */

void
wal__segment_name(uint64_t sequence, char out[SEGMENT_NAME_BYTES])
{
    snprintf(out, SEGMENT_NAME_BYTES, "%016llx.log", (unsigned long long)sequence);
}

bool
wal__segment_parse_name(const char *name, uint64_t *sequence)
{
    enum { DIGITS = 16 };
    uint64_t value = 0;

    if (strlen(name) != DIGITS + 4 || strcmp(name + DIGITS, ".log") != 0)
        return false;
    for (size_t i = 0; i < DIGITS; i++) {
        char c = name[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *sequence = value;
    return value > 0 && value < INT64_MAX; /* we never came so far, and the next one must exist */
}

void
wal__path(const struct place *p, const char *name, char out[LIMIT_PATH_BYTES])
{
    int size = snprintf(out, LIMIT_PATH_BYTES, "%s/%s", p->dir, name);

    ASSERT(size > 0 && size < LIMIT_PATH_BYTES); /* wal__check_options */
}

void
wal__segment_path(const struct place *p, uint64_t sequence, char out[LIMIT_PATH_BYTES])
{
    char name[SEGMENT_NAME_BYTES];

    wal__segment_name(sequence, name);
    wal__path(p, name, out);
}

/* ------------------------------------------------------------------ objects */

wal_position
wal__segment_end(const struct segment *s)
{
    ASSERT(s->limit >= SEGMENT_HEADER_BYTES);
    return s->base + (s->limit - SEGMENT_HEADER_BYTES);
}

void
wal__segment_destroy(struct segment *s)
{
    if (s == NULL)
        return;
    file_close(s->file);
    mem_free(s);
}

void
wal__segments_destroy(struct list *segments)
{
    struct list *link;

    while ((link = list_pop_front(segments)) != NULL)
        wal__segment_destroy(container_of(link, struct segment, link));
}

/* ------------------------------------------------------------------ making */

static uint64_t
draw_incarnation(struct env *env)
{
    uint64_t incarnation = 0;

    while (incarnation == 0)
        env_random(env, &incarnation, sizeof(incarnation));
    return incarnation;
}

/* Give the open file a header that makes everything behind it void, durably. */
static enum status
write_header(const struct place *p, struct segment *s, struct err *err)
{
    struct segment_header h;
    struct slice part;
    enum status st;
    uint8_t *bytes = mem_alloc(SEGMENT_HEADER_BYTES);

    if (bytes == NULL)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", p->dir);
    s->incarnation = draw_incarnation(p->env);
    s->seed = wal__record_seed(p->store_id, s->incarnation);
    h = (struct segment_header){ p->store_id, s->sequence, s->incarnation, s->bytes };
    wal__header_put(bytes, &h);
    part = slice_of(bytes, SEGMENT_HEADER_BYTES);

    st = file_write(s->file, 0, &part, 1, err);
    if (st == ST_OK)
        st = file_sync(s->file, err);
    mem_free(bytes);
    return st;
}

static enum status
fill(const struct place *p, struct segment *s, const char *path, struct err *err)
{
    enum status st, ignored;

    st = env_open(p->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &s->file,
                  err);
    if (st != ST_OK)
        return st;
    st = file_fill(s->file, s->bytes, err);
    if (st == ST_OK)
        st = write_header(p, s, err);
    if (st == ST_OK)
        st = env_sync_dir(p->env, p->dir, err);
    if (st == ST_OK)
        return ST_OK;

    file_close(s->file);
    s->file = NULL;
    ignored = env_remove(p->env, path, NULL);
    (void)ignored; /* what stays is found, and removed, after the next wal_open() */
    return st;
}

enum status
wal__segment_make(const struct place *p, uint64_t sequence, uint64_t bytes, struct segment **out,
                  struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct segment *s = mem_new(struct segment);
    enum status st;

    ASSERT(sequence > 0 && bytes >= SEGMENT_BYTES_MIN);
    if (s == NULL)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", p->dir);
    s->sequence = sequence;
    s->bytes = bytes;
    list_init(&s->link);
    wal__segment_path(p, sequence, path);

    st = fill(p, s, path, err);
    if (st != ST_OK) {
        wal__segment_destroy(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

enum status
wal__segment_recycle(const struct place *p, struct segment *s, uint64_t sequence, struct err *err)
{
    char from[LIMIT_PATH_BYTES], to[LIMIT_PATH_BYTES];
    enum status st;

    ASSERT(s->file == NULL && !s->doomed && sequence > s->sequence);
    wal__segment_path(p, s->sequence, from);
    wal__segment_path(p, sequence, to);

    s->doomed = true; /* until all of it has succeeded */
    st = env_rename(p->env, from, to, err);
    if (st != ST_OK)
        return st;
    s->sequence = sequence;
    st = env_open(p->env, to, ENV_OPEN_WRITE, &s->file, err);
    if (st != ST_OK)
        return st;
    st = write_header(p, s, err);
    if (st == ST_OK)
        st = env_sync_dir(p->env, p->dir, err);
    if (st != ST_OK) {
        file_close(s->file);
        s->file = NULL;
        return st;
    }
    s->begin = s->base = 0;
    s->heads_end = 0;
    s->limit = 0;
    s->seal_at = 0;
    s->settled = false;
    s->doomed = false;
    return ST_OK;
}

/* ------------------------------------------------------------------ reading */

static enum status
check_header(const struct place *p, struct file *f, uint64_t sequence, struct segment_header *h,
             struct err *err)
{
    char name[SEGMENT_NAME_BYTES];
    uint8_t *bytes = mem_alloc(SEGMENT_HEADER_BYTES);
    uint64_t actual = 0;
    enum parse parse;
    enum status st;
    size_t got = 0;

    if (bytes == NULL)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", p->dir);
    st = file_size(f, &actual, err);
    if (st == ST_OK)
        st = file_read(f, 0, bytes, SEGMENT_HEADER_BYTES, &got, err);
    parse = st == ST_OK && got == SEGMENT_HEADER_BYTES ? wal__header_get(bytes, h) : PARSE_NONE;
    mem_free(bytes);
    if (st != ST_OK)
        return st;

    wal__segment_name(sequence, name);
    if (parse == PARSE_NEWER)
        return err_raise(err, ST_INVALID, "%s in %s has a format newer than this program", name,
                         p->dir);
    if (parse == PARSE_NONE)
        return err_raise(err, ST_CORRUPT, "the header does not check out");
    if (h->sequence != sequence || h->store_id != p->store_id)
        return err_raise(err, ST_CORRUPT, "the header is that of another file");
    if (h->bytes != actual)
        return err_raise(err, ST_CORRUPT, "the file has %llu bytes, and its header says %llu",
                         (unsigned long long)actual, (unsigned long long)h->bytes);
    return ST_OK;
}

enum status
wal__segment_open(const struct place *p, uint64_t sequence, unsigned flags, struct file **out,
                  struct segment_header *h, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct file *f = NULL;
    enum status st;

    wal__segment_path(p, sequence, path);
    st = env_open(p->env, path, flags, &f, err);
    if (st != ST_OK)
        return st;
    st = check_header(p, f, sequence, h, err);
    if (st != ST_OK) {
        file_close(f);
        return st;
    }
    *out = f;
    return ST_OK;
}

/* ------------------------------------------------------------------ the folder */

static void
add_sequence(void *ctx, const char *name)
{
    struct sequences *s = ctx;
    uint64_t sequence;

    if (s->failed || !wal__segment_parse_name(name, &sequence))
        return;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 16 : 2 * s->capacity;
        uint64_t *grown = mem_resize(s->items, capacity * sizeof(*grown));

        if (grown == NULL) {
            s->failed = true;
            return;
        }
        s->items = grown;
        s->capacity = capacity;
    }
    s->items[s->count++] = sequence; /* in byte order of names, so ascending */
}

enum status
wal__sequences_read(const struct place *p, struct sequences *out, struct err *err)
{
    struct sequences s = { 0 };
    enum status st = env_list(p->env, p->dir, add_sequence, &s, err);

    if (st == ST_OK && s.failed)
        st = err_raise(err, ST_NO_MEMORY, "log %s: out of memory", p->dir);
    if (st != ST_OK) {
        wal__sequences_release(&s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void
wal__sequences_release(struct sequences *s)
{
    mem_free(s->items);
    *s = (struct sequences){ 0 };
}
