/*
 * Snapshots, and the horizon that they set for flushes and compactions; T2 and
 * T6 at the head of lsm.c.
 *
 * A snapshot is a version in a list, no more: jobs that look at the list spare what it
 * needs.  It is entered under the lock together with the reading of `visible`,
 * so that a job, which copies the list under the same lock, either finds it or can be sure that
 * its version is at least `visible` of that moment.
 *
 * Only a clear or an import gives it a view: the one that these replace.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

enum { HORIZON_SLACK = 8 }; /* snapshots that may come while the copy is allocated */

struct lsm_snapshot *
lsm_snapshot_take(struct lsm *t)
{
    struct lsm_snapshot *s = mem_new(struct lsm_snapshot);

    if (s == NULL)
        return NULL;
    lock_take(&t->lock);
    s->version = atomic_load_explicit(&t->visible, memory_order_acquire);
    list_push_back(&t->snapshots, &s->link);
    t->snapshot_count++;
    lock_drop(&t->lock);
    return s;
}

version_t
lsm_snapshot_version(const struct lsm_snapshot *s)
{
    return s->version;
}

void
lsm_snapshot_release(struct lsm *t, struct lsm_snapshot *s)
{
    if (s == NULL)
        return;
    lock_take(&t->lock);
    list_remove(&s->link);
    t->snapshot_count--;
    if (s->view != NULL)
        atomic_fetch_sub_explicit(&t->kept_count, 1, memory_order_relaxed);
    lock_drop(&t->lock);
    lsm__view_unref(s->view);
    mem_free(s);
}

void
lsm__keep_for_snapshots(struct lsm *t, struct view *old)
{
    list_each (at, &t->snapshots) {
        struct lsm_snapshot *s = container_of(at, struct lsm_snapshot, link);

        if (s->view != NULL)
            continue; /* since an earlier one */
        atomic_fetch_add_explicit(&old->refs, 1, memory_order_relaxed);
        s->view = old;
        atomic_fetch_add_explicit(&t->kept_count, 1, memory_order_relaxed);
    }
}

/* The lock is held. */
static struct view *
find_kept(struct lsm *t, version_t snapshot)
{
    list_each (at, &t->snapshots) {
        struct lsm_snapshot *s = container_of(at, struct lsm_snapshot, link);

        if (s->version == snapshot && s->view != NULL)
            return s->view;
    }
    return NULL;
}

struct view *
lsm__view_kept(struct lsm *t, version_t snapshot)
{
    struct view *v;

    if (atomic_load_explicit(&t->kept_count, memory_order_relaxed) == 0)
        return NULL;
    lock_take(&t->lock);
    v = find_kept(t, snapshot);
    lock_drop(&t->lock);
    return v;
}

/* The lock is held; `kept` is NULL for the tree's own view. */
static void
take_moment(struct lsm *t, version_t snapshot, struct view *kept, struct moment *out)
{
    version_t visible = atomic_load_explicit(&t->visible, memory_order_acquire);

    out->view = kept != NULL ? kept : atomic_load_explicit(&t->view, memory_order_relaxed);
    out->present = kept == NULL;
    out->newest = out->present && snapshot >= visible;
    out->version = snapshot < visible ? snapshot : visible;
    atomic_fetch_add_explicit(&out->view->refs, 1, memory_order_relaxed);
}

void
lsm__moment_take(struct lsm *t, version_t snapshot, struct moment *out)
{
    lock_take(&t->lock);
    take_moment(t, snapshot, find_kept(t, snapshot), out);
    lock_drop(&t->lock);
}

void
lsm__moment_of(struct lsm *t, const struct lsm_snapshot *s, struct moment *out)
{
    lock_take(&t->lock);
    take_moment(t, s != NULL ? s->version : VERSION_MAX, s != NULL ? s->view : NULL, out);
    lock_drop(&t->lock);
}

/* ------------------------------------------------------------------ the horizon */

/* Copy the list; false when it has outgrown `capacity`.  The lock is held. */
static bool
copy_versions(const struct lsm *t, struct horizon *h, uint32_t capacity)
{
    if (t->snapshot_count > capacity)
        return false;
    list_each (at, &t->snapshots) {
        version_t version = container_of(at, struct lsm_snapshot, link)->version;

        ASSERT(h->count == 0 || h->snapshots[h->count - 1] <= version);
        h->snapshots[h->count++] = version;
    }
    h->visible = atomic_load_explicit(&t->visible, memory_order_acquire);
    h->durable = t->disk_mark.version;
    ASSERT(h->durable <= h->visible);
    return true;
}

enum status
lsm__horizon_take(struct lsm *t, struct horizon *out, struct err *err)
{
    struct horizon h = { 0 };
    uint32_t capacity;
    bool fits;

    do {
        lsm__horizon_release(&h);
        lock_take(&t->lock);
        capacity = t->snapshot_count + HORIZON_SLACK;
        lock_drop(&t->lock);
        h.snapshots = mem_new_array(version_t, capacity);
        if (h.snapshots == NULL)
            return err_raise(err, ST_NO_MEMORY, "tree %s: no memory for %u snapshots", t->dir,
                             capacity);
        lock_take(&t->lock);
        fits = copy_versions(t, &h, capacity);
        lock_drop(&t->lock);
    } while (!fits);
    *out = h;
    return ST_OK;
}

void
lsm__horizon_release(struct horizon *h)
{
    mem_free(h->snapshots);
    *h = (struct horizon){ 0 };
}

bool
lsm__horizon_between(const struct horizon *h, version_t from, version_t limit)
{
    uint32_t begin = 0;
    uint32_t end = h->count;

    while (begin < end) { /* the first snapshot at or above `from` */
        uint32_t middle = begin + (end - begin) / 2;

        if (h->snapshots[middle] < from)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin < h->count && h->snapshots[begin] < limit;
}

version_t
lsm__horizon_oldest(const struct horizon *h)
{
    return h->count > 0 ? h->snapshots[0] : h->visible;
}
