/*
 * Reading a stream from its beginning to its end, without changing it.
 *
 *      CHAIN ---> [segment, limit] [segment, limit] [segment, open]
 *                                                         |  seal names the next,
 *                                                         v  which follows it
 *                                                     [segment] -> [segment] -> the end
 *
 * In a segment with a limit, and in one that has a successor, whatever does
 * not check out is damage: all of it had been durable.  Only the end of the
 * last one may be torn; judge.c decides whether it is.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

void
wal__walk_init(struct walk *k, const struct place *p, const struct wal_options *options,
               struct wal_recovery *report)
{
    *k = (struct walk){ .place = p, .options = options, .report = report };
    *report = (struct wal_recovery){ 0 };
    list_init(&k->segments);
    k->pending = buf_empty(SIZE_MAX / 2);
}

static void
leave_segment(struct walk *k)
{
    wal__scan_release(&k->scan);
    file_close(k->file);
    k->file = NULL;
}

void
wal__walk_release(struct walk *k)
{
    leave_segment(k);
    wal__segments_destroy(&k->segments);
    wal__sequences_release(&k->sequences);
    wal__heads_release(&k->heads);
    buf_release(&k->pending);
}

struct segment *
wal__walk_last(const struct walk *k)
{
    ASSERT(!list_empty(&k->segments));
    return container_of(k->segments.prev, struct segment, link);
}

bool
wal__walk_has(const struct walk *k, uint64_t sequence)
{
    list_each (at, &k->segments) {
        if (container_of(at, struct segment, link)->sequence == sequence)
            return true;
    }
    return false;
}

enum status
wal__damage(struct walk *k, const char *file, uint64_t offset, struct err *err, const char *fmt,
            ...)
{
    va_list args;

    k->damage = (struct wal_damage){ .offset = offset };
    snprintf(k->damage.file, sizeof(k->damage.file), "%s", file);
    va_start(args, fmt);
    vsnprintf(k->damage.text, sizeof(k->damage.text), fmt, args);
    va_end(args);
    return err_raise(err, ST_CORRUPT, "%s at %llu: %s (log %s)", file, (unsigned long long)offset,
                     k->damage.text, k->place->dir);
}

enum status
wal__damage_here(struct walk *k, uint64_t offset, const char *what, struct err *err)
{
    const struct segment *s = wal__walk_last(k);
    char name[SEGMENT_NAME_BYTES];

    wal__segment_name(s->sequence, name);
    k->damaged = (struct segment_header){ .sequence = s->sequence, .incarnation = s->incarnation };
    return wal__damage(k, name, offset, err, "%s", what);
}

/* ------------------------------------------------------------------ segments */

/* Add a segment to those walked; it becomes the last.  All before it is durable. */
static enum status
enter_segment(struct walk *k, const struct segment_header *h, struct file *file, struct err *err)
{
    struct segment *s = mem_new(struct segment);
    enum status st = ST_OK;

    if (s == NULL) {
        file_close(file);
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", k->place->dir);
    }
    if (!list_empty(&k->segments)) {
        struct segment *before = wal__walk_last(k);

        st = wal__prove(k, k->end, err);
        before->limit = k->end;
        before->settled = true;
        s->begin = s->base = wal__segment_end(before);
        s->heads_end = s->base;
        leave_segment(k);
    }
    s->sequence = h->sequence;
    s->incarnation = h->incarnation;
    s->bytes = h->bytes;
    s->seed = wal__record_seed(k->place->store_id, h->incarnation);
    list_push_back(&k->segments, &s->link);
    k->segment_count++;
    k->report->segment_count++;

    k->file = file;
    wal__scan_init(&k->scan, file, h->bytes, s->seed);
    k->end = SEGMENT_HEADER_BYTES;
    k->proven = SEGMENT_HEADER_BYTES;
    k->replayed = SEGMENT_HEADER_BYTES;
    k->told = SEGMENT_HEADER_BYTES;
    k->mark_at = 0;
    k->sealed = false;
    return st;
}

static enum status
check_identity(struct walk *k, const char *name, const struct segment_header *want,
               const struct segment_header *got, struct err *err)
{
    if (got->incarnation != want->incarnation)
        return wal__damage(k, name, 0, err, "the segment is of another incarnation");
    if (k->segment_count == CHAIN_SEGMENTS_MAX || wal__walk_has(k, want->sequence))
        return wal__damage(k, name, 0, err, "the segment is in the log twice");
    return ST_OK;
}

enum status
wal__open_named(struct walk *k, const struct segment_header *want, struct segment_header *got,
                struct file **out, struct err *err)
{
    char name[SEGMENT_NAME_BYTES];
    struct err reason;
    enum status st;

    wal__segment_name(want->sequence, name);
    k->damaged =
        (struct segment_header){ .sequence = want->sequence, .incarnation = want->incarnation };
    st = wal__segment_open(k->place, want->sequence, ENV_OPEN_READ, out, got, &reason);
    if (st == ST_NOT_FOUND)
        return wal__damage(k, name, 0, err, "the segment is missing");
    if (st == ST_CORRUPT)
        return wal__damage(k, name, 0, err, "%s", reason.text);
    if (st != ST_OK) {
        if (err != NULL)
            *err = reason;
        return st;
    }
    st = check_identity(k, name, want, got, err);
    if (st != ST_OK)
        file_close(*out);
    return st;
}

static bool
is_cut_at(const struct walk *k, uint64_t sequence)
{
    char name[SEGMENT_NAME_BYTES];

    wal__segment_name(sequence, name);
    return k->cut != NULL && strcmp(k->cut->file, name) == 0;
}

static enum status
walk_segment(struct walk *k, const struct segment_header *want, uint64_t limit, struct err *err)
{
    struct segment_header got;
    struct file *file = NULL;
    bool cut_here = is_cut_at(k, want->sequence);
    enum status st;

    if (cut_here && k->cut->offset < SEGMENT_HEADER_BYTES) {
        k->was_cut = true; /* the log ends with the segment before */
        return ST_OK;
    }
    st = wal__open_named(k, want, &got, &file, err);
    if (st != ST_OK)
        return st;
    st = enter_segment(k, &got, file, err);
    if (st != ST_OK)
        return st;
    if (limit > got.bytes)
        return wal__damage_here(k, 0, "its limit is beyond its end", err);
    if (limit != 0)
        st = wal__prove(k, limit, err);
    if (st == ST_OK)
        st = wal__visit_records(k, limit, cut_here, err);
    if (k->was_cut && k->proven > k->end)
        k->proven = k->end;
    return st;
}

/* ------------------------------------------------------------------ the stream */

static enum status
absent(struct walk *k, struct err *err)
{
    k->absent = true;
    return err_raise(err, ST_NOT_FOUND, "there is no log in %s", k->place->dir);
}

/* No CHAIN: was there never a stream, or has it lost its root?  A crash of wal_open() before the
 * first CHAIN was durable leaves segments, but not one record in them. */
static enum status
judge_no_chain(struct walk *k, struct err *err)
{
    for (size_t i = 0; i < k->sequences.count; i++) {
        struct first_record first;
        enum status st = wal__first_record(k->place, k->sequences.items[i], &first, err);

        if (st != ST_OK)
            return st;
        if (first.header_ok && first.intact)
            return wal__damage(k, "CHAIN", 0, err, "missing, and there are records");
    }
    return absent(k, err);
}

static enum status
read_chain(struct walk *k, struct chain *chain, struct err *err)
{
    struct chain_found found;
    enum status st = wal__chain_read(k->place, chain, &found, err);

    if (st == ST_NOT_FOUND)
        return judge_no_chain(k, err);
    if (st != ST_OK)
        return st;
    if (found.parse == PARSE_NEWER)
        return err_raise(err, ST_INVALID, "log %s has a format newer than this program",
                         k->place->dir);
    if (found.parse == PARSE_NONE || found.damaged)
        return wal__damage(k, "CHAIN", found.damaged_at, err, "does not check out");
    if (chain->store_id != k->place->store_id)
        return err_raise(err, ST_INVALID, "log %s belongs to another store", k->place->dir);
    return ST_OK;
}

static enum status
walk_chain(struct walk *k, const struct chain *chain, struct err *err)
{
    for (uint32_t i = 0; i < chain->count && !k->was_cut; i++) {
        const struct chain_entry *e = &chain->entries[i];
        struct segment_header want = { .sequence = e->sequence, .incarnation = e->incarnation };
        enum status st = ST_OK;

        if (k->sealed && (k->next.sequence != e->sequence || k->next.incarnation != e->incarnation))
            st = wal__damage_here(k, wal__walk_last(k)->seal_at, "the seal names another segment",
                                  err);
        if (st == ST_OK)
            st = walk_segment(k, &want, e->limit, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* Beyond what CHAIN knows: from seal to segment to seal. */
static enum status
walk_seals(struct walk *k, struct err *err)
{
    bool joined = true;

    while (k->sealed && !k->was_cut) {
        struct segment_header want = k->next;
        enum status st = ST_OK;

        if (is_cut_at(k, want.sequence) && k->cut->offset <= SEGMENT_HEADER_BYTES) {
            k->was_cut = true;
            k->barred = want.sequence;
            return ST_OK;
        }
        st = wal__judge_successor(k, &joined, err);
        if (st != ST_OK || !joined)
            return st;
        st = walk_segment(k, &want, 0, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* It ends in a mark, or is empty: nothing is to be copied, and it can go on in place. */
static bool
is_clean(const struct walk *k)
{
    if (k->was_cut || k->alive || k->sealed)
        return false;
    /* An empty one can be what CHAIN ends with when the process died between the two: then the
     * hard states that should begin it were never written (W7). */
    if (k->end == SEGMENT_HEADER_BYTES)
        return k->heads.count == 0;
    return k->mark_at != 0 && k->mark_at + MARK_BYTES == k->end;
}

enum status
wal__walk(struct walk *k, struct err *err)
{
    struct chain chain = { 0 };
    enum status st;

    st = wal__sequences_read(k->place, &k->sequences, err);
    if (st == ST_NOT_FOUND)
        return absent(k, err);
    if (st != ST_OK)
        return st;
    st = read_chain(k, &chain, err);
    if (st == ST_OK)
        st = walk_chain(k, &chain, err);
    wal__chain_release(&chain);
    if (st == ST_OK)
        st = walk_seals(k, err);
    if (st == ST_OK && !k->sealed && !k->was_cut)
        st = wal__judge_end(k, err);
    if (st != ST_OK)
        return st;
    if (k->cut != NULL && !k->was_cut)
        return err_raise(err, ST_INVALID, "log %s has no %s at %llu to be cut", k->place->dir,
                         k->cut->file, (unsigned long long)k->cut->offset);
    k->report->clean = is_clean(k);
    return ST_OK;
}
