/*
 * Torn tail or damage (P5)?  What lies beyond the end of the last segment's
 * records, at B, decides.
 *
 * Between two syncs the disk may keep any of the sectors written, in any
 * order, so an intact record beyond B proves nothing by itself.  Two things do:
 *
 *   a record of this incarnation whose watermark is beyond B: when it was laid
 *   out, B had been durable;
 *
 *   a segment that begins by following this one: it was first written to after
 *   all of this one had become durable (W4).
 *
 * With neither, a crash explains it, and nobody was ever told of what is gone.
 */
#include <stdio.h>

#include "wal/wal_internal.h"

/* What was seen beyond an offset. */
struct beyond {
    uint64_t from;
    uint64_t end;      /* of the last intact record; 0 = there is none */
    uint64_t proof_at; /* of a record that knew `from` to be durable; 0 = none */
};

static enum status
look_beyond(void *ctx, const struct found *found, struct err *err)
{
    struct beyond *b = ctx;

    (void)err;
    b->end = found->offset + found->size;
    if (b->proof_at == 0 && found->record.watermark > b->from)
        b->proof_at = found->offset;
    return ST_OK;
}

/* Search from `from` on; count a torn record that begins right there, too. */
static enum status
search(struct scan *s, uint64_t from, struct beyond *out, struct err *err)
{
    struct found found;
    enum status st;

    *out = (struct beyond){ .from = from };
    st = wal__scan_record(s, from, s->bytes, &found, err);
    if (st != ST_OK)
        return st;
    st = wal__scan_ahead(s, from, look_beyond, out, err);
    if (st == ST_OK && out->end == 0 && found.size != 0)
        out->end = from + found.size;
    return st;
}

/* Say where the log ended, and what of it was not finished. */
static void
report_end(struct walk *k, uint64_t sequence, const struct beyond *b)
{
    struct wal_recovery *r = k->report;
    char name[SEGMENT_NAME_BYTES];

    wal__segment_name(sequence, name);
    snprintf(r->torn_file, sizeof(r->torn_file), "%s", name);
    r->torn_offset = b->from;
    r->torn_bytes = b->end == 0 ? 0 : b->end - b->from;
    if (b->end != 0)
        k->alive = true;
}

enum status
wal__first_record(const struct place *p, uint64_t sequence, struct first_record *out,
                  struct err *err)
{
    struct file *f = NULL;
    struct found found;
    struct scan scan;
    enum status st;

    *out = (struct first_record){ 0 };
    st = wal__segment_open(p, sequence, ENV_OPEN_READ, &f, &out->header, err);
    if (st == ST_CORRUPT || st == ST_NOT_FOUND || st == ST_INVALID)
        return ST_OK; /* not of this log, so not its damage */
    if (st != ST_OK)
        return st;
    out->header_ok = true;
    wal__scan_init(&scan, f, out->header.bytes,
                   wal__record_seed(p->store_id, out->header.incarnation));
    st = wal__scan_record(&scan, SEGMENT_HEADER_BYTES, scan.bytes, &found, err);
    if (st == ST_OK && found.parse != PARSE_NONE) {
        out->intact = true;
        out->record = found.record;
        out->record.body = (struct slice){ NULL, 0 };
        out->link = found.parse == PARSE_OK ? wal__record_link(&found.record) : 0;
    }
    wal__scan_release(&scan);
    file_close(f);
    return st;
}

static bool
follows(const struct first_record *first, const struct segment *s)
{
    return first->header_ok && first->intact && first->record.type == RECORD_FOLLOW &&
           first->record.tablet == s->sequence && first->link == s->incarnation;
}

/* Does any other file follow the last segment? */
static enum status
find_follower(struct walk *k, uint64_t *sequence, struct err *err)
{
    const struct segment *last = wal__walk_last(k);

    *sequence = 0;
    for (size_t i = 0; i < k->sequences.count; i++) {
        struct first_record first;
        enum status st;

        if (wal__walk_has(k, k->sequences.items[i]))
            continue;
        st = wal__first_record(k->place, k->sequences.items[i], &first, err);
        if (st != ST_OK)
            return st;
        if (follows(&first, last))
            *sequence = k->sequences.items[i];
    }
    return ST_OK;
}

static enum status
proved_by_record(struct walk *k, const char *name, const struct beyond *b, struct err *err)
{
    return wal__damage(k, name, b->from, err,
                       "was durable, as the record at %llu knew, and does not check out",
                       (unsigned long long)b->proof_at);
}

enum status
wal__judge_end(struct walk *k, struct err *err)
{
    const struct segment *last = wal__walk_last(k);
    char name[SEGMENT_NAME_BYTES];
    uint64_t follower;
    struct beyond b;
    enum status st;

    st = search(&k->scan, k->end, &b, err);
    if (st != ST_OK)
        return st;
    st = find_follower(k, &follower, err);
    if (st != ST_OK)
        return st;
    wal__segment_name(last->sequence, name);
    k->damaged =
        (struct segment_header){ .sequence = last->sequence, .incarnation = last->incarnation };
    if (b.proof_at != 0)
        return proved_by_record(k, name, &b, err);
    if (follower != 0) {
        return wal__damage(k, name, k->end, err,
                           "was durable before %016llx.log was begun, and does not check out",
                           (unsigned long long)follower);
    }
    report_end(k, last->sequence, &b);
    return ST_OK;
}

/* The successor has no intact follow record.  It was prepared, but is there more? */
static enum status
judge_unused(struct walk *k, struct scan *s, struct err *err)
{
    const struct segment *last = wal__walk_last(k);
    char name[SEGMENT_NAME_BYTES];
    struct beyond b;
    enum status st;

    st = search(s, SEGMENT_HEADER_BYTES, &b, err);
    if (st != ST_OK)
        return st;
    if (b.proof_at != 0) {
        wal__segment_name(k->next.sequence, name);
        k->damaged = k->next;
        return proved_by_record(k, name, &b, err);
    }
    k->barred = k->next.sequence;
    if (b.end != 0) {
        report_end(k, k->next.sequence, &b);
    } else {
        b = (struct beyond){ .from = k->end };
        report_end(k, last->sequence, &b);
    }
    return ST_OK;
}

enum status
wal__judge_successor(struct walk *k, bool *joined, struct err *err)
{
    struct segment_header got;
    struct first_record first = { 0 };
    struct file *f = NULL;
    struct found found;
    struct scan scan;
    enum status st;

    st = wal__open_named(k, &k->next, &got, &f, err);
    if (st != ST_OK)
        return st;
    wal__scan_init(&scan, f, got.bytes, wal__record_seed(k->place->store_id, got.incarnation));
    st = wal__scan_record(&scan, SEGMENT_HEADER_BYTES, scan.bytes, &found, err);
    if (st == ST_OK) {
        first.header_ok = true;
        first.intact = found.parse != PARSE_NONE;
        first.record = found.record;
        first.link = found.parse == PARSE_OK ? wal__record_link(&found.record) : 0;
        *joined = found.parse == PARSE_NEWER || follows(&first, wal__walk_last(k));
        if (!*joined)
            st = judge_unused(k, &scan, err);
    }
    wal__scan_release(&scan);
    file_close(f);
    return st;
}
