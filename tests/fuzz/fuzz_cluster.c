/* LINKS: cluster */
/* cluster/: what another node, or a file, may say.  The first byte chooses.
 *
 *      0   a record, after the 9 bytes of its key: what decodes encodes to the same bytes
 *      1   a feed for a book that knows some of it: taken, it leaves a book whose own feed makes the
 *          same one of an empty book, and of which an atlas can be drawn; refused, it changes nothing
 *      2   a petition's body: what decodes encodes to the same bytes
 *      3   a verdict's body: likewise
 *      4   a report: likewise, as far as its flags have a meaning
 *      5   a parcel, in pieces: no piece before the last makes it whole, or it is refused for good
 *      6   a fitness: what decodes encodes to the same bytes, but for longer forms of the same numbers
 *      7   a remnant: what decodes is a log that can be, and encodes to what decodes the same
 */
#include "base/assert.h"

#include "cluster/atlas.h"
#include "cluster/fitness.h"
#include "cluster/petition.h"
#include "cluster/recovery.h"
#include "cluster/report.h"
#include "fuzz/fuzz.h"

enum { BYTES_MAX = 1 << 20, WAYS = 8 };

/* ------------------------------------------------------------------ records */

static bool
is_member_twice(const struct tablet_record *t)
{
    for (uint32_t i = 0; i < t->member_count; i++) {
        if (tablet_record_member(t, t->members[i].node) != &t->members[i])
            return true;
    }
    return false;
}

/* raft is given such a membership as it stands. */
static void
check_tablet(const struct tablet_record *t)
{
    struct raft_config config;
    uint32_t begin, limit;

    tablet_record_config(t, &config);
    ASSERT(t->state == TABLET_GONE || raft_config_is_valid(&config));
    ASSERT(!is_member_twice(t));
    atlas_slots_of(t, &begin, &limit);
    ASSERT(begin <= limit && limit <= SLOT_COUNT);
}

static void
try_record(struct slice bytes)
{
    struct buf again = buf_empty(BYTES_MAX);
    struct slice value;
    struct record_key key, known;
    struct record r;
    enum status st;

    if (bytes.size < RECORD_KEY_BYTES)
        return;
    value = slice_of(bytes.data + RECORD_KEY_BYTES, bytes.size - RECORD_KEY_BYTES);
    st = record_key_decode(slice_of(bytes.data, RECORD_KEY_BYTES), &key);
    ASSERT(st == ST_OK);
    st = record_decode(&key, value, &r, NULL);
    ASSERT(st == ST_OK || st == ST_CORRUPT || st == ST_INVALID);
    if (st != ST_OK)
        return;
    known = record_key_of(&r);
    ASSERT(known.kind == key.kind && known.id == key.id);
    st = record_encode(&r, &again);
    ASSERT(st == ST_OK && slice_equal(value, buf_slice(&again)));
    ASSERT(again.size <= RECORD_VALUE_BYTES_MAX);
    if (r.kind == RECORD_TABLET)
        check_tablet(&r.as.tablet);
    buf_release(&again);
}

/* ------------------------------------------------------------------ feeds */

static void
check_same(const struct book *a, const struct book *b)
{
    ASSERT(a->count == b->count && a->version == b->version);
    for (uint32_t i = 0; i < a->count; i++) {
        ASSERT(a->pages[i].key.kind == b->pages[i].key.kind);
        ASSERT(a->pages[i].key.id == b->pages[i].key.id);
        ASSERT(a->pages[i].version == b->pages[i].version);
        ASSERT(slice_equal(a->pages[i].value, b->pages[i].value));
    }
}

static void
check_taken(const struct book *b)
{
    struct buf own = buf_empty(4 * BYTES_MAX);
    struct atlas *a = atlas_create(b);
    struct book copy = { 0 };
    enum status st = book_feed(b, 0, &own);

    ASSERT(a != NULL && a->version == b->version && st == ST_OK);
    st = book_take(&copy, buf_slice(&own), NULL);
    ASSERT(st == ST_OK);
    check_same(b, &copy);
    atlas_unref(a);
    book_release(&copy);
    buf_release(&own);
}

/* It knows a cluster without a name, at version 5. */
static void
try_feed(struct slice bytes)
{
    static const uint8_t value[] = { 1, 0, 1, 1 };
    struct record_key key = { RECORD_CLUSTER, 0 };
    struct book b = { 0 };
    enum status st = book_put(&b, &key, 5, slice_of(value, sizeof(value)), NULL);

    ASSERT(st == ST_OK);
    st = book_take(&b, bytes, NULL);
    if (st == ST_OK)
        check_taken(&b);
    else
        ASSERT(b.count == 1 && b.version == 5 && st != ST_NO_MEMORY);
    book_release(&b);
}

/* ------------------------------------------------------------------ parcels */

/* What was encoded, without what makes it a parcel. */
static void
check_body(struct slice body, const struct buf *parcel)
{
    struct slice again = { 0 };
    size_t size = 0;
    enum status st = parcel_open(buf_slice(parcel), BYTES_MAX, &size, &again, NULL);

    ASSERT(st == ST_OK && size == parcel->size && slice_equal(body, again));
}

static void
try_petition(struct slice bytes)
{
    struct buf again = buf_empty(2 * BYTES_MAX);
    struct petition p;
    enum status st;

    if (petition_decode(bytes, &p, NULL) != ST_OK)
        return;
    st = petition_encode(&p, &again);
    ASSERT(st == ST_OK && p.node.id != 0);
    check_body(bytes, &again);
    buf_release(&again);
}

static void
try_verdict(struct slice bytes)
{
    struct buf again = buf_empty(2 * BYTES_MAX);
    struct verdict v;
    enum status st;

    if (verdict_decode(bytes, &v, NULL) != ST_OK)
        return;
    st = verdict_encode(&v, &again);
    ASSERT(st == ST_OK && v.text.size <= VERDICT_TEXT_MAX);
    check_body(bytes, &again);
    buf_release(&again);
}

static void
try_parcel(struct slice bytes)
{
    struct slice body;
    size_t size = 0, whole = 0;
    enum status all = parcel_open(bytes, PETITION_BYTES_MAX, &whole, &body, NULL);

    ASSERT(whole <= bytes.size && (all == ST_OK || whole == 0));
    for (size_t got = 0; got < bytes.size && got < 2 * PARCEL_HEAD_BYTES; got++) {
        enum status st =
            parcel_open(slice_of(bytes.data, got), PETITION_BYTES_MAX, &size, &body, NULL);

        ASSERT(st == ST_OK || all == ST_CORRUPT);
        ASSERT(size == 0 || size == whole);
    }
}

/* ------------------------------------------------------------------ reports */

static void
try_report(struct slice bytes)
{
    struct buf again = buf_empty(BYTES_MAX);
    struct reader from = reader_of(bytes), back;
    struct tablet_report r, known;
    enum status st = report_decode(&from, &r);

    if (st != ST_OK) {
        ASSERT(st == ST_CORRUPT);
        return;
    }
    ASSERT(r.member_count <= RAFT_MEMBERS_MAX && r.leader != 0);
    st = report_encode(&r, &again);
    ASSERT(st == ST_OK && again.size <= REPORT_BYTES_MAX);
    ASSERT(again.size == bytes.size - reader_left(&from));
    back = reader_of(buf_slice(&again));
    st = report_decode(&back, &known);
    ASSERT(st == ST_OK && reader_left(&back) == 0);
    ASSERT(report_is_newer(&r, &known) && report_is_newer(&known, &r));
    buf_release(&again);
}

static void
try_fitness(struct slice bytes)
{
    struct buf again = buf_empty(BYTES_MAX);
    struct fitness f, known;
    enum status st = fitness_decode(bytes, &f);

    if (st != ST_OK) {
        ASSERT(st == ST_CORRUPT);
        return;
    }
    st = fitness_encode(&f, &again);
    ASSERT(st == ST_OK && again.size <= bytes.size);
    st = fitness_decode(buf_slice(&again), &known);
    ASSERT(st == ST_OK && known.ails == f.ails && known.missed_count == f.missed_count);
    buf_release(&again);
}

/* ------------------------------------------------------------------ remnants */

static void
try_remnant(struct slice bytes)
{
    struct buf again = buf_empty(BYTES_MAX);
    struct reader from = reader_of(bytes), back;
    struct remnant m, known;
    enum status st = remnant_decode(&from, &m);

    if (st != ST_OK) {
        ASSERT(st == ST_CORRUPT);
        return;
    }
    ASSERT(m.node != 0 && m.commit <= m.last && remnant_last_term(&m) <= m.term);
    ASSERT(remnant_term_at(&m, m.last) == remnant_last_term(&m));
    st = remnant_encode(&m, &again);
    ASSERT(st == ST_OK && again.size <= REMNANT_BYTES_MAX);
    back = reader_of(buf_slice(&again));
    st = remnant_decode(&back, &known);
    ASSERT(st == ST_OK && reader_left(&back) == 0 && recovery_given_up(&m, &known) == 0);
    buf_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ways[WAYS])(struct slice bytes) = { try_record,  try_feed,   try_petition,
                                                            try_verdict, try_report, try_parcel,
                                                            try_fitness, try_remnant };

    if (size == 0 || size > BYTES_MAX)
        return 0;
    ways[data[0] % WAYS](slice_of(data + 1, size - 1));
    return 0;
}
