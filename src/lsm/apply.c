/*
 * The owner's side of the tree: units in, memtables sealed, trees cleared.  T2, T3, T4 and T8
 * at the head of lsm.c.
 *
 * Only the owner replaces the active layer, so it may use `t->active` without
 * asking the epoch.  The memtable comes with the first entry: an idle tree has none.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

/* The position moves to `mark`; its version is the highest that we know of. */
static void
reach(struct lsm *t, const struct lsm_mark *mark, version_t version)
{
    version_t visible = atomic_load_explicit(&t->visible, memory_order_relaxed);

    if (version < mark->version)
        version = mark->version;
    if (version < visible)
        version = visible;
    t->mark = (struct lsm_mark){ mark->index, mark->term, version };
    atomic_store_explicit(&t->visible, version, memory_order_release); /* T2 */
}

/* The active memtable has grown. */
static void
account(struct lsm *t)
{
    lsm__layer_charge(t->active);
    atomic_store_explicit(&t->active_bytes, memtable_bytes(t->active->memtable),
                          memory_order_relaxed);
}

/* A view like the current one, with a fresh memtable. */
static enum status
begin_memtable(struct lsm *t)
{
    struct layer *l = lsm__layer_create(t, true);
    struct view *v = lsm__view_create(t);
    struct view *old;

    if (l == NULL || v == NULL) {
        lsm__layer_unref(l);
        lsm__view_unref(v);
        return ST_NO_MEMORY;
    }
    lock_take(&t->lock);
    lsm__view_copy(v, atomic_load_explicit(&t->view, memory_order_relaxed));
    lsm__view_set_active(v, l);
    old = lsm__view_publish(t, v);
    lock_drop(&t->lock);
    t->active = l;
    lsm__view_retire(t, old);
    return ST_OK;
}

/* Is the entry here from an attempt that failed midway?  Only asked after one.  It is not if
 * the memtable was switched since: then the whole unit goes into the new one (T3). */
static bool
is_there(const struct memtable *m, const struct entry *e, uint64_t hash)
{
    struct entry newest;

    return memtable_get(m, e->key, hash, VERSION_MAX, &newest) && newest.version == e->version;
}

static enum status
insert(struct lsm *t, const struct entry *entries, size_t count, size_t *bytes)
{
    struct memtable *m = t->active->memtable;

    for (size_t i = 0; i < count; i++) {
        const struct entry *e = &entries[i];
        uint64_t hash = hash64(e->key);

        ASSERT(e->version == entries[0].version);
        *bytes += e->key.size + e->value.size;
        if (t->torn == 0 || !is_there(m, e, hash)) {
            enum status st = memtable_put_hashed(m, e, hash);

            if (st != ST_OK)
                return st;
        }
    }
    return ST_OK;
}

enum status
lsm_apply(struct lsm *t, const struct entry *entries, size_t count, const struct lsm_mark *mark)
{
    version_t version = count > 0 ? entries[0].version : 0;
    size_t bytes = 0;
    enum status st;

    ASSERT(mark->index > t->mark.index);
    ASSERT(t->torn == 0 || t->torn == version); /* a failed unit is repeated before anything else */
    ASSERT(count == 0 || version > atomic_load_explicit(&t->visible, memory_order_relaxed));

    if (count > 0 && t->active == NULL) {
        st = begin_memtable(t);
        if (st != ST_OK)
            return st;
    }
    if (count > 0) {
        st = insert(t, entries, count, &bytes);
        account(t);
        t->torn = st == ST_OK ? 0 : version;
        if (st != ST_OK)
            return st;
    }
    lsm__count(&t->bytes_applied, bytes);
    reach(t, mark, version);
    return ST_OK;
}

void
lsm_prefetch(const struct lsm *t, const uint64_t *hashes, uint32_t count)
{
    if (t->active != NULL)
        memtable_prefetch(t->active->memtable, hashes, count);
}

void
lsm_advance(struct lsm *t, const struct lsm_mark *mark)
{
    ASSERT(mark->index >= t->mark.index);
    ASSERT(t->torn == 0);
    reach(t, mark, 0);
}

/* ------------------------------------------------------------------ switch and clear */

bool
lsm_switch_due(const struct lsm *t)
{
    return atomic_load_explicit(&t->active_bytes, memory_order_relaxed) >=
           t->options.memtable_bytes;
}

/* Forget the active layer, which `t->view` has no longer. */
static void
leave_active(struct lsm *t)
{
    lsm__layer_unref(t->active);
    t->active = NULL;
    t->sealed_index = t->mark.index;
    atomic_store_explicit(&t->active_bytes, 0, memory_order_relaxed);
}

static bool
nothing_to_seal(const struct lsm *t)
{
    return (t->active == NULL || memtable_entry_count(t->active->memtable) == 0) &&
           t->mark.index == t->sealed_index;
}

enum status
lsm_switch(struct lsm *t)
{
    struct layer *sealed;
    struct view *v;
    struct view *old;

    if (nothing_to_seal(t))
        return ST_OK;
    if (atomic_load_explicit(&t->sealed_count, memory_order_relaxed) == SEALED_LIMIT)
        return ST_BUSY;
    sealed = t->active != NULL ? t->active : lsm__layer_create(t, false);
    v = lsm__view_create(t);
    if (sealed == NULL || v == NULL) {
        if (sealed != t->active)
            lsm__layer_unref(sealed);
        lsm__view_unref(v);
        return ST_NO_MEMORY;
    }
    sealed->mark = t->mark; /* T4 */
    lock_take(&t->lock);
    lsm__view_copy(v, atomic_load_explicit(&t->view, memory_order_relaxed));
    lsm__view_set_active(v, NULL);
    lsm__view_push_sealed(v, sealed);
    old = lsm__view_publish(t, v);
    lock_drop(&t->lock);
    t->active = sealed;
    leave_active(t);
    lsm__view_retire(t, old);
    return ST_OK;
}

/* T2, T8, T9.  The number that lsm_generation() gives moves before anything can be seen of what is
 * new, and after nothing can be seen of what is old; between the two it is not given out. */
struct view *
lsm__start_over(struct lsm *t, struct view *fresh, const struct lsm_mark *mark)
{
    struct view *old;

    fresh->floor = atomic_load_explicit(&t->visible, memory_order_relaxed);
    fresh->records_floor = fresh->floor;
    lsm__keep_for_snapshots(t, atomic_load_explicit(&t->view, memory_order_relaxed));
    atomic_fetch_add_explicit(&t->generation, 1, memory_order_relaxed);
    atomic_store(&t->turning, true);
    atomic_fetch_add(&t->records_tag, 1);
    reach(t, mark, 0);
    old = lsm__view_publish(t, fresh);
    atomic_fetch_add(&t->records_tag, 1);
    atomic_store(&t->turning, false);
    return old;
}

void
lsm__left_all(struct lsm *t, struct view *old)
{
    leave_active(t);
    t->torn = 0; /* its part went with the rest */
    lsm__view_retire(t, old);
}

enum status
lsm_clear(struct lsm *t, const struct lsm_mark *mark)
{
    struct version *empty = version_create();
    struct view *v = lsm__view_create(t);
    struct view *old;

    ASSERT(mark->index > t->mark.index);
    if (empty == NULL || v == NULL) {
        if (empty != NULL)
            version_unref(empty);
        lsm__view_unref(v);
        return ST_NO_MEMORY;
    }
    lsm__view_set_version(v, empty, 0);
    version_unref(empty);

    lock_take(&t->lock);
    old = lsm__start_over(t, v, mark);
    t->clear_mark = t->mark;
    atomic_store_explicit(&t->clear_pending, true, memory_order_relaxed);
    lock_drop(&t->lock);
    lsm__left_all(t, old);
    return ST_OK;
}

/* ------------------------------------------------------------------ stalls */

enum lsm_stall
lsm_stall(const struct lsm *t)
{
    if (lsm_switch_due(t) &&
        atomic_load_explicit(&t->sealed_count, memory_order_relaxed) >= t->options.sealed_max)
        return LSM_STALL_MEMTABLES;
    if (atomic_load_explicit(&t->l0_count, memory_order_relaxed) >= t->options.l0_stall)
        return LSM_STALL_L0;
    return LSM_STALL_NONE;
}

const char *
lsm_stall_name(enum lsm_stall stall)
{
    static const char *const names[LSM_STALL_COUNT] = {
        [LSM_STALL_NONE] = "none",
        [LSM_STALL_MEMTABLES] = "memtables",
        [LSM_STALL_L0] = "l0",
    };

    ASSERT(stall < LSM_STALL_COUNT);
    return names[stall];
}
