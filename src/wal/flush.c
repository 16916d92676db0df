/*
 * The flusher: from the gather to the disk.
 *
 * A batch is a range of positions, [written, end) as it was when the gathers
 * were swapped.  It is written piece by piece, a piece being what falls into
 * one segment; in the common case there is one.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

/* What of [from, to) goes into one segment. */
struct piece {
    struct segment *segment;
    uint64_t offset;
    uint64_t size;
    bool last; /* it completes the segment, seal included */
};

static struct piece
next_piece(struct wal *w, wal_position from, wal_position to)
{
    struct piece p = { .segment = w->writing };
    wal_position limit = to;

    lock_take(w->lock);
    if (p.segment->limit != 0 && wal__segment_end(p.segment) <= to) {
        limit = wal__segment_end(p.segment);
        p.last = true;
    }
    p.offset = SEGMENT_HEADER_BYTES + (from - p.segment->base);
    lock_drop(w->lock);
    ASSERT(from >= p.segment->base && limit > from);
    p.size = limit - from;
    return p;
}

/* Make the segment durable; everything in it before `to` has been written. */
static enum status
sync_segment(struct wal *w, struct segment *s, wal_position to, struct err *err)
{
    uint64_t begun_ns = env_boot_ns(w->place.env);
    enum status st = file_sync(s->file, err);

    if (st != ST_OK)
        return st;
    ASSERT(to >= wal_durable(w) && to <= wal_written(w)); /* W1 */
    atomic_store_explicit(&w->durable, to, memory_order_release);
    atomic_fetch_add_explicit(&w->sync_ns, env_boot_ns(w->place.env) - begun_ns,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&w->sync_count, 1, memory_order_relaxed);
    return ST_OK;
}

/* The segment is written to its end: nothing goes into the next one before it is durable (W4). */
static enum status
leave_segment(struct wal *w, struct segment *s, struct err *err)
{
    struct file *file = s->file;
    enum status st = sync_segment(w, s, wal_written(w), err);

    if (st != ST_OK)
        return st;
    lock_take(w->lock);
    ASSERT(s != w->current);
    w->writing = container_of(s->link.next, struct segment, link);
    s->file = NULL;
    s->settled = true;
    lock_drop(w->lock);
    file_close(file);
    return ST_OK;
}

static enum status
write_batch(struct wal *w, const struct gather *batch, wal_position to, struct err *err)
{
    wal_position from = wal_written(w);
    const uint8_t *bytes = batch->bytes;

    ASSERT(batch->used == to - from);
    while (from < to) {
        struct piece p = next_piece(w, from, to);
        struct slice part = slice_of(bytes, (size_t)p.size);
        enum status st = file_write(p.segment->file, p.offset, &part, 1, err);

        if (st != ST_OK)
            return st;
        bytes += p.size;
        from += p.size;
        atomic_store_explicit(&w->written, from, memory_order_release);
        atomic_fetch_add_explicit(&w->write_count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&w->byte_count, p.size, memory_order_relaxed);
        if (p.last) {
            st = leave_segment(w, p.segment, err);
            if (st != ST_OK)
                return st;
        }
    }
    return ST_OK;
}

/* W5: from now on every append and flush fails. */
static void
fail(struct wal *w, const struct err *reason)
{
    lock_take(w->lock);
    w->failure = *reason;
    atomic_store_explicit(&w->health, (int)reason->code, memory_order_release);
    lock_drop(w->lock);
}

static enum status
take_batch(struct wal *w, struct gather **batch, wal_position *to, struct err *err)
{
    enum status st = ST_OK;

    lock_take(w->lock);
    if (wal_health(w) != ST_OK) {
        st = wal__failed(w, err);
    } else {
        *batch = &w->gathers[w->active];
        *to = wal_end(w);
        w->active ^= 1;
        ASSERT(w->gathers[w->active].used == 0);
    }
    lock_drop(w->lock);
    return st;
}

enum status
wal_flush(struct wal *w, bool sync, struct err *err)
{
    struct gather *batch = NULL;
    struct err reason = { 0 };
    wal_position to = 0;
    enum status st;

    st = take_batch(w, &batch, &to, err);
    if (st != ST_OK)
        return st;
    ASSERT(batch != NULL);
    st = write_batch(w, batch, to, &reason);
    wal__gather_reset(batch);
    if (st == ST_OK && sync && wal_durable(w) < to)
        st = sync_segment(w, w->writing, to, &reason);
    if (st != ST_OK) {
        reason.code = st;
        fail(w, &reason);
        if (err != NULL)
            *err = reason;
    }
    return st;
}

void
wal_abandon(struct wal *w)
{
    if (w == NULL)
        return;
    wal__segments_destroy(&w->chain);
    wal__segments_destroy(&w->ready);
    wal__segments_destroy(&w->freed);
    wal__gather_release(&w->gathers[0]);
    wal__gather_release(&w->gathers[1]);
    wal__heads_release(&w->heads);
    lock_release(&w->own_lock);
    mem_free(w->dir);
    mem_free(w);
}

enum status
wal_close(struct wal *w, struct err *err)
{
    enum status st;

    if (w == NULL)
        return ST_OK;
    st = wal_flush(w, true, err);
    if (st == ST_OK)
        st = wal_mark(w, err);
    if (st == ST_OK)
        st = wal_flush(w, true, err);
    wal_abandon(w);
    return st;
}
