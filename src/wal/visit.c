/*
 * The records of one segment, as a walk comes to them.
 *
 * `proven` moves with the watermarks of the last segment.  Hard states up to
 * there are in `heads`, those beyond it wait in `pending`: should the stream
 * have to be rewritten from `proven` on, then the fresh segment must begin
 * with the state that held at that point, so that what is replayed keeps its
 * order.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

/* ------------------------------------------------------------------ hard states */

static enum status
keep_head(struct walk *k, uint64_t tablet, uint64_t term, struct slice body, struct err *err)
{
    struct head *h = wal__head_create(tablet, term, body);

    if (h == NULL || wal__heads_reserve(&k->heads) != ST_OK) {
        mem_free(h);
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", k->place->dir);
    }
    mem_free(wal__heads_put(&k->heads, h));
    return ST_OK;
}

static enum status
defer_head(struct walk *k, const struct found *found, struct err *err)
{
    const struct raw_record *r = &found->record;
    enum status st = append_u64(&k->pending, found->offset);

    if (st == ST_OK)
        st = append_u64(&k->pending, r->tablet);
    if (st == ST_OK)
        st = append_u64(&k->pending, r->term);
    if (st == ST_OK)
        st = append_string(&k->pending, r->body);
    if (st != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", k->place->dir);
    return ST_OK;
}

enum status
wal__prove(struct walk *k, uint64_t offset, struct err *err)
{
    struct reader r = reader_of(buf_slice(&k->pending));
    size_t used = 0;

    if (offset > k->proven)
        k->proven = offset;
    while (reader_left(&r) > 0 && read_u64(&r) < k->proven) {
        uint64_t tablet = read_u64(&r);
        uint64_t term = read_u64(&r);
        struct slice body = read_string(&r);
        enum status st;

        ASSERT(!r.bad); /* we wrote it ourselves */
        st = keep_head(k, tablet, term, body, err);
        if (st != ST_OK)
            return st;
        used = (size_t)(r.at - k->pending.data);
    }
    buf_consume(&k->pending, used);
    return ST_OK;
}

/* ------------------------------------------------------------------ records */

/* The position of a record that no watermark proves yet, as far as whoever replays may rely on it.
 * It moves only when everything that was replayed is proven: so who is told a higher one than before
 * knows that what came before is durable. */
static uint64_t
position_of(struct walk *k, const struct found *found)
{
    if (k->proven >= k->replayed)
        k->told = k->proven;
    if (found->offset + found->size > k->replayed)
        k->replayed = found->offset + found->size;
    return found->offset < k->proven ? found->offset : k->told;
}

static enum status
replay(struct walk *k, const struct found *found, struct err *err)
{
    struct wal_record record = wal__record_outer(&found->record);
    uint64_t at = position_of(k, found);

    k->report->record_count++;
    k->report->byte_count += found->size;
    /* Beyond `proven` it may move to another segment: then that is where it begins. */
    return k->options->replay(k->options->replay_ctx, &record,
                              wal__walk_last(k)->base + (at - SEGMENT_HEADER_BYTES), err);
}

static enum status
visit_head(struct walk *k, const struct found *found, struct err *err)
{
    enum status st;

    if (found->offset < k->proven)
        st = keep_head(k, found->record.tablet, found->record.term, found->record.body, err);
    else
        st = defer_head(k, found, err);
    return st == ST_OK ? replay(k, found, err) : st;
}

static enum status
visit_seal(struct walk *k, const struct found *found)
{
    wal__walk_last(k)->seal_at = found->offset;
    k->sealed = true;
    k->next.sequence = found->record.tablet;
    k->next.incarnation = wal__record_link(&found->record);
    return ST_OK;
}

/* A follow record names the segment before this one, if that is still there. */
static enum status
visit_follow(struct walk *k, const struct found *found, struct err *err)
{
    const struct segment *s = wal__walk_last(k);
    const struct segment *before;

    if (found->offset != SEGMENT_HEADER_BYTES)
        return wal__damage_here(k, found->offset, "a follow record in the middle", err);
    if (s->link.prev == &k->segments)
        return ST_OK; /* it has been released */
    before = container_of(s->link.prev, struct segment, link);
    if (found->record.tablet != before->sequence ||
        wal__record_link(&found->record) != before->incarnation)
        return wal__damage_here(k, found->offset, "it follows another segment than the one before",
                                err);
    return ST_OK;
}

static enum status
visit(struct walk *k, const struct found *found, struct err *err)
{
    const struct raw_record *r = &found->record;
    enum status st = wal__prove(k, r->watermark, err);

    if (st != ST_OK)
        return st;
    k->mark_at = 0;
    switch (r->type) {
    case WAL_ENTRY:
    case WAL_CUT:
        return replay(k, found, err);
    case WAL_HEAD:
        return visit_head(k, found, err);
    case RECORD_MARK:
        k->mark_at = r->watermark == found->offset ? found->offset : 0;
        return ST_OK;
    case RECORD_SEAL:
        return visit_seal(k, found);
    default:
        ASSERT(r->type == RECORD_FOLLOW); /* wal__record_get */
        return visit_follow(k, found, err);
    }
}

enum status
wal__visit_records(struct walk *k, uint64_t limit, bool cut_here, struct err *err)
{
    uint64_t bound = limit != 0 ? limit : k->scan.bytes;
    struct found found;
    enum status st;

    if (cut_here && k->cut->offset < bound)
        bound = k->cut->offset;
    while (!k->sealed && k->end != limit) {
        st = wal__scan_record(&k->scan, k->end, bound, &found, err);
        if (st != ST_OK)
            return st;
        if (found.parse == PARSE_NEWER)
            return err_raise(err, ST_INVALID, "log %s: a record newer than this program",
                             k->place->dir);
        if (found.parse == PARSE_NONE && cut_here) {
            k->was_cut = true;
            return ST_OK;
        }
        if (found.parse == PARSE_NONE && limit != 0)
            return wal__damage_here(k, k->end, "was durable, and does not check out", err);
        if (found.parse == PARSE_NONE)
            return ST_OK;
        st = visit(k, &found, err);
        if (st != ST_OK)
            return st;
        k->end += found.size;
    }
    if (limit != 0 && k->end != limit)
        return wal__damage_here(k, k->end, "the segment ends before its limit", err);
    return ST_OK;
}
