/*
 * Housekeeping: what was released leaves the chain, spares are made ready.
 *
 * Beside it records are appended and flushed.  Appending takes segments out of
 * `ready`, and adds at the end of `chain`; flushing settles segments; reading
 * holds some.  Nobody but us takes from the front of `chain`, or touches `freed`.
 *
 * Recycling comes before removing, and removing before making, so that on a
 * full disk what was released is used.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

/* ------------------------------------------------------------------ releasing */

void
wal_release(struct wal *w, wal_position position)
{
    lock_take(w->lock);
    if (position > w->released)
        w->released = position;
    lock_drop(w->lock);
}

/* How many of the oldest segments nobody needs any more; under the lock. */
static uint32_t
releasable(const struct wal *w)
{
    wal_position durable = wal_durable(w);
    uint32_t count = 0;

    list_each (at, &w->chain) {
        const struct segment *s = container_of(at, struct segment, link);

        if (s == w->current || !s->settled || wal__segment_end(s) > w->released || s->readers > 0)
            break;
        if (container_of(at->next, struct segment, link)->heads_end > durable) /* W7 */
            break;
        count++;
    }
    return count;
}

/* The segments that stay, as CHAIN is to list them.  Those that come to be meanwhile are found
 * through the seals. */
static void
list_kept(const struct wal *w, uint32_t skip, uint32_t kept_max, struct chain *c)
{
    list_each (at, &w->chain) {
        const struct segment *s = container_of(at, struct segment, link);
        struct chain_entry e = { s->sequence, s->incarnation, s->settled ? s->limit : 0 };

        if (skip > 0) {
            skip--;
            continue;
        }
        if (c->count == kept_max)
            break;
        c->entries[c->count++] = e;
        if (!s->settled)
            break;
    }
    c->entries[c->count - 1].limit = 0;
}

/* Who begins to read from now on finds the oldest ones gone already (W12).  Under the lock. */
static void
bar_oldest(struct wal *w, uint32_t count)
{
    struct list *at = w->chain.next;

    while (count-- > 0)
        at = at->next;
    ASSERT(container_of(at, struct segment, link)->begin >= w->begin);
    w->begin = container_of(at, struct segment, link)->begin;
}

static void
drop_oldest(struct wal *w, uint32_t count)
{
    lock_take(w->lock);
    while (count-- > 0) {
        struct segment *s = container_of(list_pop_front(&w->chain), struct segment, link);

        ASSERT(s->settled && s->file == NULL && s->readers == 0); /* W12 */
        w->chain_count--;
        w->retained_bytes -= s->bytes;
        list_push_back(&w->freed, &s->link);
    }
    lock_drop(w->lock);
}

static enum status
release_segments(struct wal *w, struct err *err)
{
    struct chain c = { .store_id = w->place.store_id };
    uint32_t skip, kept_max;
    enum status st;

    lock_take(w->lock);
    skip = releasable(w);
    bar_oldest(w, skip);
    kept_max = w->chain_count - skip;
    lock_drop(w->lock);
    if (skip == 0)
        return ST_OK;
    c.entries = mem_new_array(struct chain_entry, kept_max);
    if (c.entries == NULL)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", w->dir);
    lock_take(w->lock);
    list_kept(w, skip, kept_max, &c);
    lock_drop(w->lock);

    st = wal__chain_replace(&w->place, &c, err);
    wal__chain_release(&c);
    if (st == ST_OK)
        drop_oldest(w, skip); /* W6 */
    return st;
}

/* ------------------------------------------------------------------ spares */

/* The size of the next segment to prepare; 0 when there are enough.  One of a special size comes
 * last: on a full disk, one large record shall not keep the small ones waiting. */
static uint64_t
wanted(struct wal *w)
{
    uint64_t bytes = 0;

    lock_take(w->lock);
    if (w->ready_count < w->spare_count)
        bytes = w->segment_bytes;
    else if (w->wanted_bytes > 0)
        bytes =
            (w->wanted_bytes + SEGMENT_HEADER_BYTES - 1) & ~(uint64_t)(SEGMENT_HEADER_BYTES - 1);
    lock_drop(w->lock);
    return bytes;
}

static void
add_ready(struct wal *w, struct segment *s)
{
    lock_take(w->lock);
    list_push_back(&w->ready, &s->link);
    w->ready_count++;
    if (s->bytes >= w->wanted_bytes)
        w->wanted_bytes = 0;
    lock_drop(w->lock);
}

static struct segment *
take_freed(struct wal *w, uint64_t bytes)
{
    struct segment *taken = NULL;

    lock_take(w->lock);
    list_each (at, &w->freed) {
        struct segment *s = container_of(at, struct segment, link);

        if (s->bytes == bytes && !s->doomed) {
            taken = s;
            list_remove(at);
            break;
        }
    }
    lock_drop(w->lock);
    return taken;
}

static enum status
recycle_freed(struct wal *w, struct err *err)
{
    uint64_t bytes;
    struct segment *s;

    while ((bytes = wanted(w)) != 0 && (s = take_freed(w, bytes)) != NULL) {
        enum status st = wal__segment_recycle(&w->place, s, w->next_sequence++, err);

        if (st != ST_OK) {
            lock_take(w->lock);
            list_push_back(&w->freed, &s->link);
            lock_drop(w->lock);
            return st;
        }
        add_ready(w, s);
    }
    return ST_OK;
}

static enum status
remove_freed(struct wal *w, struct err *err)
{
    while (true) {
        char path[LIMIT_PATH_BYTES];
        struct list *link;
        struct segment *s;
        enum status st;

        lock_take(w->lock);
        link = list_pop_front(&w->freed);
        lock_drop(w->lock);
        if (link == NULL)
            return ST_OK;
        s = container_of(link, struct segment, link);
        wal__segment_path(&w->place, s->sequence, path);
        st = env_remove(w->place.env, path, err);
        if (st != ST_OK && st != ST_NOT_FOUND) {
            lock_take(w->lock);
            list_push_back(&w->freed, &s->link);
            lock_drop(w->lock);
            return st;
        }
        wal__segment_destroy(s);
    }
}

/* Whoever wanted a special size will say so again. */
static void
forget_wanted(struct wal *w)
{
    lock_take(w->lock);
    w->wanted_bytes = 0;
    lock_drop(w->lock);
}

static enum status
make_spares(struct wal *w, struct err *err)
{
    uint64_t bytes;

    while ((bytes = wanted(w)) != 0) {
        struct segment *s;
        enum status st = wal__segment_make(&w->place, w->next_sequence++, bytes, &s, err);

        if (st != ST_OK) {
            forget_wanted(w);
            return st;
        }
        add_ready(w, s);
    }
    return ST_OK;
}

enum status
wal_tend(struct wal *w, struct err *err)
{
    enum status st = release_segments(w, err);

    if (st == ST_OK)
        st = recycle_freed(w, err);
    if (st == ST_OK)
        st = remove_freed(w, err);
    if (st == ST_OK)
        st = make_spares(w, err);
    lock_take(w->lock);
    w->no_space = st == ST_NO_SPACE;
    lock_drop(w->lock);
    return st;
}

bool
wal_wants_tending(const struct wal *w)
{
    bool wants;

    lock_take(w->lock);
    wants = w->wanted_bytes > 0 || w->ready_count < w->spare_count || !list_empty(&w->freed) ||
            releasable(w) > 0;
    lock_drop(w->lock);
    return wants;
}
