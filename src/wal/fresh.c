/*
 * Going on in a fresh segment: what a recovery does when the end of the log is
 * not clean, and how a stream begins that has no log yet.
 *
 * A fresh segment is prepared.  It gets the hard states as of the proven
 * offset, then a copy of every record beyond that, in order, and is synced.
 * Then CHAIN is replaced by one in which the old segment ends at the proven
 * offset and the fresh one is open.
 *
 * Until then nothing that the old CHAIN speaks of has been changed: not even
 * the prepared successor that a seal names.  So a crash at any point leaves
 * either the old stream, to be recovered again, or the new one.
 *
 * Where this leaves fewer spares than a start shall find (W11), all of the old
 * segment is copied, not only what is unproven: so the old one is free again,
 * and a start on a full disk gives back what it took.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

enum { COPY_BYTES = 1 << 20 }; /* written at a time */

/* ------------------------------------------------------------------ a copy */

/* Records on their way into a fresh segment. */
struct copy {
    struct wal *w;
    struct segment *to;
    uint64_t offset; /* of the next record */
};

static enum status
copy_write(struct copy *c, struct err *err)
{
    struct gather *g = &c->w->gathers[0];
    struct slice part = slice_of(g->bytes, g->used);
    enum status st;

    if (g->used == 0)
        return ST_OK;
    st = file_write(c->to->file, c->offset - g->used, &part, 1, err);
    wal__gather_reset(g);
    return st;
}

static enum status
copy_record(struct copy *c, struct raw_record *r, struct err *err)
{
    struct gather *g = &c->w->gathers[0];
    size_t size = wal__record_bytes(r);

    ASSERT(c->offset + size + TAIL_BYTES <= c->to->bytes); /* W10 */
    if (!wal__gather_reserve(g, size))
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", c->w->dir);
    r->watermark = SEGMENT_HEADER_BYTES;
    wal__record_put(g->bytes + g->used, c->to->seed, c->offset, r);
    g->used += size;
    c->offset += size;
    return g->used >= COPY_BYTES ? copy_write(c, err) : ST_OK;
}

static enum status
copy_heads(struct copy *c, struct err *err)
{
    struct heads *hs = &c->w->heads;
    enum status st = ST_OK;

    for (size_t i = 0; i < hs->slot_count && st == ST_OK; i++) {
        if (hs->slots[i] != NULL) {
            struct raw_record r = wal__head_record(hs->slots[i]);

            st = copy_record(c, &r, err);
        }
    }
    return st;
}

/* The hard states have been copied; those that come now are newer. */
static enum status
copy_found(struct copy *c, struct found *found, struct err *err)
{
    struct raw_record *r = &found->record;
    enum status st;

    if (!wal__record_is_outer(r))
        return ST_OK;
    st = copy_record(c, r, err);
    if (st == ST_OK && r->type == WAL_HEAD) {
        struct head *h = wal__head_create(r->tablet, r->term, r->body);

        if (h == NULL || wal__heads_reserve(&c->w->heads) != ST_OK) {
            mem_free(h);
            return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", c->w->dir);
        }
        mem_free(wal__heads_put(&c->w->heads, h));
    }
    return st;
}

static enum status
copy_unproven(struct copy *c, struct walk *k, struct err *err)
{
    struct found found;
    enum status st;

    for (uint64_t at = k->proven; at < k->end; at += found.size) {
        st = wal__scan_record(&k->scan, at, k->end, &found, err);
        if (st != ST_OK)
            return st;
        if (found.parse != PARSE_OK)
            return err_raise(err, ST_IO, "log %s: a record changed while it was read", c->w->dir);
        st = copy_found(c, &found, err);
        if (st != ST_OK)
            return st;
        if (wal__record_is_outer(&found.record))
            k->report->rewritten_count++;
    }
    return copy_write(c, err);
}

/* ------------------------------------------------------------------ a fresh segment */

static bool
is_usable(const struct segment *s, uint64_t barred)
{
    return s->sequence != barred && !s->doomed;
}

/* A spare that can hold `bytes`, and has `bytes_max` at most, taken out of `freed`; NULL when there
 * is none. */
static struct segment *
take_spare(struct wal *w, uint64_t bytes, uint64_t bytes_max, uint64_t barred)
{
    list_each (at, &w->freed) {
        struct segment *s = container_of(at, struct segment, link);

        if (s->bytes >= bytes && s->bytes <= bytes_max && is_usable(s, barred)) {
            list_remove(&s->link);
            return s;
        }
    }
    return NULL;
}

/* One of another size, rather than none. */
static enum status
obtain(struct wal *w, uint64_t bytes, uint64_t barred, struct segment **out, struct err *err)
{
    struct segment *s = take_spare(w, bytes, bytes, barred);
    enum status st;

    if (s == NULL) {
        st = wal__segment_make(&w->place, w->next_sequence++, bytes, out, err);
        if (st == ST_NO_SPACE)
            s = take_spare(w, bytes, UINT64_MAX, barred);
        if (s == NULL)
            return st;
    }
    st = wal__segment_recycle(&w->place, s, w->next_sequence++, err);
    if (st != ST_OK) {
        wal__segment_destroy(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

/* Would a start that takes a spare, and gives none back, leave too few for the next one?  A segment
 * that is nearly full stays: the start needs room for its own records. */
static bool
must_give_back(const struct wal *w, const struct walk *k)
{
    uint32_t spares = 0;

    list_each (at, &w->freed) {
        const struct segment *s = container_of(at, struct segment, link);

        spares += s->bytes == w->segment_bytes && is_usable(s, k->barred);
    }
    return !list_empty(&k->segments) && spares <= w->kept_count &&
           k->end <= w->segment_bytes / 4 * 3;
}

/* Copy the last segment from its beginning, where it repeats the hard states of that moment. */
static void
copy_all_of_last(struct wal *w, struct walk *k)
{
    k->proven = SEGMENT_HEADER_BYTES;
    wal__heads_release(&w->heads);
}

/* Take the proven part of the log over from the walk.  Segments of which nothing is left stay
 * behind, in the walk. */
static void
adopt_chain(struct wal *w, struct walk *k)
{
    struct list *link;

    if (!list_empty(&k->segments)) {
        struct segment *last = wal__walk_last(k);

        last->limit = k->proven;
        last->settled = true;
    }
    while ((link = list_pop_front(&k->segments)) != NULL)
        list_push_back(&w->chain, link);
    while (!list_empty(&w->chain)) {
        struct segment *s = container_of(w->chain.prev, struct segment, link);

        /* What comes next is not what its seal names. */
        if (s->seal_at != 0 && s->seal_at < s->limit)
            s->limit = s->seal_at;
        s->seal_at = 0;
        if (s->limit > SEGMENT_HEADER_BYTES)
            return;
        list_remove(&s->link);
        list_push_front(&k->segments, &s->link);
    }
}

/* A record that moves to a fresh segment gets a higher position than the one it was replayed at:
 * were it a lower one, a release up to that would take the record with it (N1 of the engine). */
static wal_position
end_of_walk(const struct walk *k)
{
    if (list_empty(&k->segments))
        return 0;
    return wal__walk_last(k)->base + (k->end - SEGMENT_HEADER_BYTES);
}

static uint64_t
round_up(uint64_t bytes)
{
    return (bytes + SEGMENT_HEADER_BYTES - 1) / SEGMENT_HEADER_BYTES * SEGMENT_HEADER_BYTES;
}

static enum status
fill_fresh(struct wal *w, struct walk *k, struct segment *fresh, struct err *err)
{
    struct copy c = { w, fresh, SEGMENT_HEADER_BYTES };
    enum status st = copy_heads(&c, err);

    if (st == ST_OK)
        st = copy_unproven(&c, k, err);
    if (st == ST_OK && c.offset > SEGMENT_HEADER_BYTES)
        st = file_sync(fresh->file, err);
    w->at = c.offset;
    return st;
}

enum status
wal__continue_fresh(struct wal *w, struct walk *k, struct err *err)
{
    struct segment *fresh = NULL;
    uint64_t need, bytes;
    enum status st;

    if (w->kept_count > 0 && must_give_back(w, k))
        copy_all_of_last(w, k);
    need = SEGMENT_HEADER_BYTES + w->heads.bytes + (k->end - k->proven) + TAIL_BYTES;
    bytes = need > w->segment_bytes ? round_up(need) : w->segment_bytes;
    st = obtain(w, bytes, k->barred, &fresh, err);
    if (st != ST_OK)
        return st;
    st = fill_fresh(w, k, fresh, err);
    if (st != ST_OK) {
        wal__segment_destroy(fresh);
        return st;
    }
    fresh->base = end_of_walk(k);
    adopt_chain(w, k);
    if (!list_empty(&w->chain))
        fresh->begin = wal__segment_end(container_of(w->chain.prev, struct segment, link));
    list_push_back(&w->chain, &fresh->link);
    return wal__chain_write(&w->place, &w->chain, err);
}
