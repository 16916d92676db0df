/*
 * Reading entries back, beside those who append, flush and tend.
 *
 *      chain   [ segment ][ segment ][ segment ][ current ]
 *                     ^ from                        ^ limit
 *                held ────> held ────────> held ────> held
 *
 * What was written is never written again, so there is nothing to agree upon with the flusher: all
 * before `limit` is at the operating system.  Only tending must be kept away, by holding the
 * segment that is read (W12); as the chain loses segments from its front alone, those behind
 * it stay as well, and the next one is there when its turn comes.
 *
 * The file is opened anew: the one that the flusher writes through is closed when it leaves.
 */
#include "base/assert.h"

#include "wal/wal_internal.h"

struct reading {
    struct wal *w;
    wal_position from; /* of the next record */
    wal_position limit;
    wal_read_fn *fn;
    void *ctx;
    struct segment *held;
};

/* What of [from, limit) stands in the segment that is held. */
struct span {
    uint64_t begin; /* offsets in its file */
    uint64_t limit;
    bool last;
};

/* Under the lock. */
static void
hold(struct reading *r, struct segment *s)
{
    s->readers++;
    if (r->held != NULL)
        r->held->readers--;
    r->held = s;
}

static void
let_go(struct reading *r)
{
    lock_take(r->w->lock);
    r->held->readers--;
    lock_drop(r->w->lock);
}

/* The youngest are asked for most often. */
static enum status
hold_first(struct reading *r, struct err *err)
{
    const struct wal *w = r->w;
    struct segment *s;
    enum status st = ST_OK;

    lock_take(w->lock);
    if (r->from < w->begin) {
        st = err_raise(err, ST_NOT_FOUND, "log %s: position %llu was released, up to %llu", w->dir,
                       (unsigned long long)r->from, (unsigned long long)w->begin);
    } else {
        s = w->current;
        while (s->begin > r->from)
            s = container_of(s->link.prev, struct segment, link);
        hold(r, s);
    }
    lock_drop(w->lock);
    return st;
}

static void
hold_next(struct reading *r)
{
    lock_take(r->w->lock);
    ASSERT(r->held != r->w->current);
    hold(r, container_of(r->held->link.next, struct segment, link));
    lock_drop(r->w->lock);
}

/* Between two segments there may be positions that no record has: recovery leaves them. */
static uint64_t
offset_of(const struct segment *s, wal_position position)
{
    return SEGMENT_HEADER_BYTES + (position > s->base ? position - s->base : 0);
}

static struct span
span_of(const struct reading *r)
{
    const struct segment *s = r->held;
    struct span span;

    ASSERT(s != NULL);
    span.begin = offset_of(s, r->from);
    lock_take(r->w->lock);
    span.last = s->limit == 0 || wal__segment_end(s) >= r->limit;
    span.limit = span.last ? offset_of(s, r->limit) : s->limit;
    lock_drop(r->w->lock);
    return span;
}

static enum status
damaged(const struct reading *r, uint64_t offset, const char *what, struct err *err)
{
    char name[SEGMENT_NAME_BYTES];

    wal__segment_name(r->held->sequence, name);
    return err_raise(err, ST_CORRUPT, "%s at %llu: %s (log %s)", name, (unsigned long long)offset,
                     what, r->w->dir);
}

static enum status
open_held(const struct reading *r, uint64_t limit, struct file **out, struct err *err)
{
    const struct place *p = &r->w->place;
    char path[LIMIT_PATH_BYTES];
    uint64_t bytes = 0;
    enum status st;

    wal__segment_path(p, r->held->sequence, path);
    st = env_open(p->env, path, ENV_OPEN_READ, out, err);
    if (st == ST_NOT_FOUND)
        return damaged(r, 0, "the segment is missing", err);
    if (st != ST_OK)
        return st;
    st = file_size(*out, &bytes, err);
    if (st == ST_OK && bytes < limit)
        st = damaged(r, bytes, "the segment was cut short", err);
    if (st != ST_OK)
        file_close(*out);
    return st;
}

static enum status
read_records(struct reading *r, struct scan *scan, const struct span *span, struct err *err)
{
    struct found found;

    for (uint64_t at = span->begin; at < span->limit; at += found.size) {
        struct wal_record record;
        enum status st = wal__scan_record(scan, at, span->limit, &found, err);

        if (st != ST_OK)
            return st;
        if (found.parse != PARSE_OK)
            return damaged(r, at, "was written, and does not check out", err);
        r->from = r->held->base + (at + found.size - SEGMENT_HEADER_BYTES);
        if (found.record.type != WAL_ENTRY)
            continue;
        record = wal__record_outer(&found.record);
        st = r->fn(r->ctx, &record, r->from, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status
read_held(struct reading *r, const struct span *span, struct err *err)
{
    struct file *file = NULL;
    struct scan scan;
    enum status st;

    if (span->begin >= span->limit)
        return ST_OK;
    st = open_held(r, span->limit, &file, err);
    if (st != ST_OK)
        return st;
    wal__scan_init(&scan, file, span->limit, r->held->seed);
    st = read_records(r, &scan, span, err);
    wal__scan_release(&scan);
    file_close(file);
    return st;
}

enum status
wal_read(struct wal *w, wal_position from, wal_position limit, wal_read_fn *fn, void *ctx,
         struct err *err)
{
    struct reading r = { .w = w, .from = from, .limit = limit, .fn = fn, .ctx = ctx };
    enum status st;

    ASSERT(limit <= wal_written(w));
    st = hold_first(&r, err);
    if (st != ST_OK)
        return st;
    while (true) {
        struct span span = span_of(&r);

        st = read_held(&r, &span, err);
        if (st != ST_OK || span.last)
            break;
        hold_next(&r);
    }
    let_go(&r);
    return st;
}
