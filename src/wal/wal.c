/*
 * A log stream.  Bytes on disk: docs/formats/log.md.
 *
 *      append (any thread)          flush (one)              tend (one)
 *      -------------------          -----------              ----------
 *      lays records out:            writes bytes at          prepares spares,
 *      segment, offset, seal        (segment, offset),       drops what was
 *           |                       syncs                    released
 *           v                          ^                        |
 *      [ gather A ] <--- swap --> [ gather B ]                  v
 *           \                          |                   ready segments
 *            `-- rotation takes one ---+------------------------'
 *
 *      positions   ......durable.........written..........end
 *                       told   |  at the OS   |  in memory
 *
 * The layout is decided when a record is appended, under the lock; the bytes in
 * a gather are contiguous in positions, and a segment is a range of positions.
 * So a flush is a matter of subtraction: one write and one sync, unless the
 * batch crosses into another segment.
 *
 * A segment ends with a SEAL that names the next one, which was prepared long
 * before.  The next one begins with a FOLLOW that names the one before, and
 * the hard state of every tablet.  CHAIN names the first segment, and need not
 * be written at a rotation.
 *
 * RECOVERY: walk.c reads, judge.c tells a torn tail from damage, recover.c goes
 * on from there, in a fresh segment (fresh.c) unless the end is clean.
 *
 * INVARIANTS
 *
 *   W1   durable <= written <= end, and none of them ever goes back.
 *   W2   A record's watermark is an offset of its own segment, not beyond the
 *        record itself, before which every byte had been synced with success
 *        when the record was laid out.
 *   W3   What a seal or CHAIN names exists: its blocks were allocated, and its
 *        header and its name were durable, before.
 *   W4   Nothing is written into a segment before the one before it is durable
 *        with its seal.
 *   W5   A failed write or sync is the end (P4): never retried, nothing after
 *        it accepted.  The kernel may forget dirty pages after a failed fsync
 *        and call the next one a success.
 *   W6   A file that was part of the log is renamed, overwritten or removed only
 *        after a CHAIN that does not name it, or cuts it, has become durable.
 *   W7   When the oldest segment goes, the one behind it begins with the hard
 *        state of every tablet, durable.
 *   W8   Records are only laid out where no intact record of the same
 *        incarnation lies ahead: none can come back to life.
 *   W9   Whatever `replay` has seen is durable when wal_open() returns.
 *   W10  After every append the current segment has room for a mark and a seal.
 *   W11  Once wal_serve() was called, no append takes one of the last `kept_count` spares; and where
 *        there are fewer, and the disk has no room for another, nothing is appended.  So whoever
 *        dies on a full disk leaves them, and wal_open() finds a fresh segment where none could be
 *        allocated.
 *   W12  A segment that is being read, and all behind it, stay in the chain; one that is on its way
 *        out of it is not read any more.
 *
 * THE DISK is assumed to write sectors of 512 bytes whole, in any order.
 *
 * NOT HERE, ON PURPOSE
 *
 *   No compression: entries are small, and what stays is compressed in sst/.
 *   No index from (tablet, index) to position: who needs old entries keeps them.
 *   No timers: the caller knows when a batch ends and when the stream is idle.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

enum status
wal__failed(const struct wal *w, struct err *err)
{
    return err_raise(err, wal_health(w), "log %s has failed: %s", w->dir, w->failure.text);
}

/* ------------------------------------------------------------------ laying out */

/* Put one record behind the last one.  There is room on disk and in the gather. */
static void
lay(struct wal *w, struct raw_record *r)
{
    struct gather *g = &w->gathers[w->active];
    struct segment *s = w->current;
    wal_position end = atomic_load_explicit(&w->end, memory_order_relaxed);
    wal_position durable = atomic_load_explicit(&w->durable, memory_order_relaxed);
    size_t size = wal__record_bytes(r);

    ASSERT(end == s->base + (w->at - SEGMENT_HEADER_BYTES));
    ASSERT(durable <= end); /* W1 */
    ASSERT(size <= g->capacity - g->used && w->at + size <= s->bytes);
    r->watermark = SEGMENT_HEADER_BYTES + (durable > s->base ? durable - s->base : 0); /* W2 */
    wal__record_put(g->bytes + g->used, s->seed, w->at, r);
    g->used += size;
    w->at += size;
    w->marked = r->type == RECORD_MARK;
    atomic_store_explicit(&w->end, end + size, memory_order_release);
}

static void
lay_link(struct wal *w, uint8_t type, const struct segment *to)
{
    uint8_t incarnation[LINK_BODY_BYTES];
    struct raw_record r = {
        .type = type,
        .tablet = to->sequence,
        .body = slice_of(incarnation, sizeof(incarnation)),
    };

    memcpy(incarnation, &to->incarnation, sizeof(incarnation));
    lay(w, &r);
}

/* Seal the current segment and go on in `next`. */
static void
rotate(struct wal *w, struct segment *next)
{
    struct segment *old = w->current;

    ASSERT(!w->serving || w->ready_count > w->kept_count); /* W11 */
    old->seal_at = w->at;
    lay_link(w, RECORD_SEAL, next);
    old->limit = w->at;

    list_remove(&next->link);
    w->ready_count--;
    list_push_back(&w->chain, &next->link);
    w->chain_count++;
    w->retained_bytes += next->bytes;
    w->current = next;
    w->at = SEGMENT_HEADER_BYTES;
    next->begin = next->base = wal__segment_end(old);

    lay_link(w, RECORD_FOLLOW, old);
    for (size_t i = 0; i < w->heads.slot_count; i++) {
        if (w->heads.slots[i] != NULL) {
            struct raw_record r = wal__head_record(w->heads.slots[i]);

            lay(w, &r);
        }
    }
    next->heads_end = atomic_load_explicit(&w->end, memory_order_relaxed);
}

/* ------------------------------------------------------------------ room */

/* The smallest prepared segment of at least this size, the oldest among equals. */
static struct segment *
pick_ready(const struct wal *w, uint64_t bytes)
{
    struct segment *best = NULL;

    list_each (at, &w->ready) {
        struct segment *s = container_of(at, struct segment, link);

        if (s->bytes >= bytes && (best == NULL || s->bytes < best->bytes))
            best = s;
    }
    return best;
}

static enum status
wait_for_spare(const struct wal *w, struct err *err)
{
    if (w->no_space)
        return err_raise(err, ST_NO_SPACE, "log %s: no room for another segment", w->dir);
    return err_raise(err, ST_BUSY, "log %s: the next segment is not ready", w->dir);
}

/* How many of the prepared segments an append may take. */
static uint32_t
spares_to_take(const struct wal *w)
{
    uint32_t kept = w->serving ? w->kept_count : 0;

    return w->ready_count > kept ? w->ready_count - kept : 0;
}

/* The segment to go on in, when a record of `size` bytes does not fit into the current one. */
static enum status
find_next(struct wal *w, size_t size, struct segment **out, struct err *err)
{
    uint64_t need = SEGMENT_HEADER_BYTES + FOLLOW_BYTES + w->heads.bytes + size + TAIL_BYTES;

    if (w->chain_count >= RETAINED_SEGMENTS_MAX)
        return err_raise(err, ST_BUSY, "log %s: %u segments are retained", w->dir, w->chain_count);
    *out = spares_to_take(w) > 0 ? pick_ready(w, need) : NULL;
    if (*out != NULL)
        return ST_OK;
    if (need > w->segment_bytes && need > w->wanted_bytes)
        w->wanted_bytes = need;
    return wait_for_spare(w, err);
}

/* Room for a record of `size` bytes, on disk and in the gather; rotates if need be.  On failure
 * nothing has changed. */
static enum status
make_room(struct wal *w, size_t size, struct err *err)
{
    struct gather *g = &w->gathers[w->active];
    uint64_t waiting = wal_end(w) - wal_written(w);
    struct segment *next = NULL;
    uint64_t need = size;
    enum status st;

    if (wal_health(w) != ST_OK)
        return wal__failed(w, err);
    if (w->serving && w->no_space && w->ready_count < w->kept_count)
        return wait_for_spare(w, err); /* W11 */
    if (w->at + size + TAIL_BYTES > w->current->bytes) {
        st = find_next(w, size, &next, err);
        if (st != ST_OK)
            return st;
        need += SEAL_BYTES + FOLLOW_BYTES + w->heads.bytes;
    }
    /* One record alone may be larger than the maximum, or it could never be written. */
    if (waiting > 0 && waiting + need > w->gather_bytes_max)
        return err_raise(err, ST_BUSY, "log %s: %llu bytes wait to be written", w->dir,
                         (unsigned long long)waiting);
    if (!wal__gather_reserve(g, need))
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", w->dir);
    if (next != NULL)
        rotate(w, next);
    return ST_OK;
}

/* ------------------------------------------------------------------ appending */

/* Under the lock.  On success a head is taken over, and `*head` is what it replaced. */
static enum status
append(struct wal *w, struct raw_record *r, struct head **head, struct err *err)
{
    enum status st;

    if (*head != NULL && wal__heads_reserve(&w->heads) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", w->dir);
    st = make_room(w, wal__record_bytes(r), err);
    if (st != ST_OK)
        return st;
    lay(w, r);
    if (*head != NULL)
        *head = wal__heads_put(&w->heads, *head);
    ASSERT(w->at + TAIL_BYTES <= w->current->bytes); /* W10 */
    return ST_OK;
}

void
wal_serve(struct wal *w)
{
    lock_take(w->lock);
    w->serving = true;
    lock_drop(w->lock);
}

enum status
wal_append(struct wal *w, const struct wal_record *record, wal_position *end, struct err *err)
{
    struct raw_record r = {
        .type = (uint8_t)record->type,
        .tablet = record->tablet,
        .term = record->term,
        .index = record->index,
        .body = record->body,
    };
    struct head *head = NULL;
    enum status st;

    ASSERT(wal__record_is_outer(&r));
    ASSERT(record->type != WAL_HEAD || record->index == 0);
    ASSERT(record->type != WAL_CUT || record->body.size == 0);
    if (record->body.size > LIMIT_RECORD_BYTES)
        return err_raise(err, ST_TOO_BIG, "log %s: a record of %zu bytes", w->dir,
                         record->body.size);
    if (record->type == WAL_HEAD) {
        head = wal__head_create(r.tablet, r.term, r.body);
        if (head == NULL)
            return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", w->dir);
    }

    lock_take(w->lock);
    st = append(w, &r, &head, err);
    if (st == ST_OK)
        *end = atomic_load_explicit(&w->end, memory_order_relaxed);
    lock_drop(w->lock);

    mem_free(head); /* refused, or replaced */
    if (st == ST_OK)
        atomic_fetch_add_explicit(&w->record_count, 1, memory_order_relaxed);
    return st;
}

void
wal_forget(struct wal *w, uint64_t tablet)
{
    struct head *head;

    lock_take(w->lock);
    head = wal__heads_take(&w->heads, tablet);
    lock_drop(w->lock);
    mem_free(head);
}

/* ------------------------------------------------------------------ marks */

/* Under the lock: is everything durable, and the last record not yet one that says so? */
static bool
wants_mark(const struct wal *w)
{
    return wal_health(w) == ST_OK && wal_durable(w) == wal_end(w) && !w->marked &&
           w->at > SEGMENT_HEADER_BYTES;
}

bool
wal_wants_mark(const struct wal *w)
{
    bool wants;

    lock_take(w->lock);
    wants = wants_mark(w);
    lock_drop(w->lock);
    return wants;
}

enum status
wal_mark(struct wal *w, struct err *err)
{
    struct raw_record mark = { .type = RECORD_MARK };
    enum status st = ST_OK;

    lock_take(w->lock);
    if (wal_health(w) != ST_OK) {
        st = wal__failed(w, err);
    } else if (wants_mark(w)) {
        /* W10 kept room on disk; and a gather that holds nothing has room for a mark. */
        ASSERT(w->gathers[w->active].used == 0);
        lay(w, &mark);
        ASSERT(w->at + SEAL_BYTES <= w->current->bytes);
    }
    lock_drop(w->lock);
    return st;
}

/* ------------------------------------------------------------------ asking */

wal_position
wal_end(const struct wal *w)
{
    return atomic_load_explicit(&w->end, memory_order_acquire);
}

wal_position
wal_written(const struct wal *w)
{
    return atomic_load_explicit(&w->written, memory_order_acquire);
}

wal_position
wal_durable(const struct wal *w)
{
    return atomic_load_explicit(&w->durable, memory_order_acquire);
}

enum status
wal_health(const struct wal *w)
{
    return (enum status)atomic_load_explicit(&w->health, memory_order_acquire);
}

wal_position
wal_begin(const struct wal *w)
{
    wal_position begin;

    lock_take(w->lock);
    begin = w->begin;
    lock_drop(w->lock);
    return begin;
}

uint64_t
wal_retained_bytes(const struct wal *w)
{
    uint64_t bytes;

    lock_take(w->lock);
    bytes = w->retained_bytes;
    lock_drop(w->lock);
    return bytes;
}

void
wal_count(const struct wal *w, struct wal_counters *out)
{
    out->syncs = atomic_load_explicit(&w->sync_count, memory_order_relaxed);
    out->sync_ns = atomic_load_explicit(&w->sync_ns, memory_order_relaxed);
    out->writes = atomic_load_explicit(&w->write_count, memory_order_relaxed);
    out->bytes = atomic_load_explicit(&w->byte_count, memory_order_relaxed);
    out->records = atomic_load_explicit(&w->record_count, memory_order_relaxed);
}
