/*
 * The user's iterator: of each key the newest version that the snapshot sees,
 * unless that one is a tombstone or expired.
 *
 * It walks a merge of all that a view has.  Forward, versions of a key come newest first, and
 * the entry is read where the merge stands.  Backward they come oldest first, and
 * which one is the newest visible is known only once the merge has left them: so each candidate is
 * copied, and the merge stands before the key.
 *
 *      forward     ... [k v7][k v5][k v2] [m v3] ...        the merge stands on k v5 (snapshot 6)
 *      backward    ... [g v1] [k v7][k v5][k v2] ...        it stands on g v1; `value` is of k v5
 *
 * A key may have millions of versions in a memtable (a hot counter).  After a few
 * steps within one key we seek past the rest.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

enum { STEPS_BEFORE_SEEK = 8 };

struct lsm_iter {
    struct lsm *tree;
    struct view *view; /* a reference */
    struct merge merge;
    version_t snapshot;
    const struct narrowing *narrowing; /* NULL: all keys are the tree's */
    uint64_t now_ms;
    enum { IS_INVALID, IS_FORWARD, IS_BACKWARD } state;
    struct buf key;      /* forward: the key to get past; backward: the current one */
    struct buf value;    /* backward: of the current entry */
    struct entry stored; /* backward: the current entry, borrowing from the two */
};

/* ------------------------------------------------------------------ create and destroy */

/* The orders of a view's memtables, the newest first. */
struct orders {
    struct memtable_order *list[1 + SEALED_LIMIT];
    uint32_t count;
    uint32_t run_count; /* of all */
};

static enum status
add_order(struct orders *o, const struct layer *l)
{
    enum status st;

    if (l == NULL || l->memtable == NULL)
        return ST_OK;
    st = memtable_order(l->memtable, false, &o->list[o->count]);
    if (st == ST_OK)
        o->run_count += memtable_order_run_count(o->list[o->count++]);
    return st;
}

static void
release_orders(struct orders *o)
{
    while (o->count > 0)
        memtable_order_unref(o->list[--o->count]);
}

static enum status
take_orders(struct orders *o, const struct view *v)
{
    enum status st = add_order(o, v->active);

    for (uint32_t i = 0; i < v->sealed_count && st == ST_OK; i++)
        st = add_order(o, v->sealed[i]);
    if (st != ST_OK)
        release_orders(o);
    return st;
}

static uint32_t
count_sources(const struct orders *o, const struct view *v)
{
    return o->run_count + v->version->levels[0].count + LIMIT_LEVELS - 1;
}

static void
add_sources(struct merge *m, const struct orders *o, const struct view *v)
{
    const struct level *levels = v->version->levels;

    for (uint32_t i = 0; i < o->count; i++)
        lsm__merge_add_memtable(m, o->list[i]);
    for (uint32_t i = 0; i < levels[0].count; i++)
        lsm__merge_add_run(m, &levels[0].files[i], 1);
    for (int level = 1; level < LIMIT_LEVELS; level++) {
        if (levels[level].count > 0)
            lsm__merge_add_run(m, levels[level].files, levels[level].count);
    }
}

static enum status
init_merge(struct lsm_iter *it, bool fill_cache, struct err *err)
{
    struct orders orders = { 0 };
    enum status st = take_orders(&orders, it->view);

    if (st != ST_OK)
        return err_raise(err, st, "tree %s: no memory to order a memtable", it->tree->dir);
    st = lsm__merge_init(&it->merge, it->tree, count_sources(&orders, it->view), fill_cache, err);
    if (st == ST_OK)
        add_sources(&it->merge, &orders, it->view);
    release_orders(&orders);
    return st;
}

enum status
lsm_iter_create(struct lsm *t, const struct lsm_iter_options *options, struct lsm_iter **out,
                struct err *err)
{
    struct lsm_iter *it = mem_new(struct lsm_iter);
    struct moment now;
    enum status st;

    if (it == NULL)
        return err_raise(err, ST_NO_MEMORY, "tree %s: no memory for an iterator", t->dir);
    lsm__moment_of(t, options->snapshot, &now);
    it->tree = t;
    it->view = now.view;
    it->snapshot = now.version;
    it->narrowing = lsm__narrowing_at(t, now.version);
    it->now_ms = options->now_ms;
    it->key = buf_empty(LIMIT_STORED_KEY_BYTES);
    it->value = buf_empty(UINT32_MAX);
    st = init_merge(it, options->fill_cache, err);
    if (st != ST_OK) {
        lsm__view_unref(it->view);
        mem_free(it);
        return st;
    }
    atomic_fetch_add_explicit(&t->iter_count, 1, memory_order_relaxed);
    lsm__add(&t->iterations, 1);
    *out = it;
    return ST_OK;
}

void
lsm_iter_destroy(struct lsm_iter *it)
{
    if (it == NULL)
        return;
    lsm__merge_release(&it->merge);
    buf_release(&it->key);
    buf_release(&it->value);
    lsm__view_unref(it->view);
    atomic_fetch_sub_explicit(&it->tree->iter_count, 1, memory_order_relaxed);
    mem_free(it);
}

/* ------------------------------------------------------------------ helpers */

static bool
is_alive(const struct lsm_iter *it, const struct entry *e)
{
    return e->type == ENTRY_VALUE && (e->expiry_ms == 0 || e->expiry_ms > it->now_ms) &&
           !lsm__is_foreign(it->narrowing, e->key);
}

static enum status
remember(struct lsm_iter *it, struct buf *to, struct slice bytes, struct err *err)
{
    enum status st;

    to->size = 0;
    st = buf_append(to, bytes);
    if (st != ST_OK)
        return err_raise(err, st, "tree %s: no memory for an iterator", it->tree->dir);
    return ST_OK;
}

static enum status
place(struct lsm_iter *it, enum place_kind kind, struct slice key, version_t version,
      struct err *err)
{
    struct place to = { kind, key, version };

    return lsm__merge_place(&it->merge, &to, err);
}

/* ------------------------------------------------------------------ forward */

/* Past the rest of the versions of `it->key`, on one of which the merge stands or has stood. */
static enum status
pass_key(struct lsm_iter *it, struct err *err)
{
    enum status st = ST_OK;

    for (int steps = 0; steps < STEPS_BEFORE_SEEK; steps++) {
        if (!slice_equal(lsm__merge_entry(&it->merge)->key, buf_slice(&it->key)))
            return ST_OK;
        st = lsm__merge_step(&it->merge, err);
        if (st != ST_OK)
            return st;
    }
    return place(it, PLACE_AT, buf_slice(&it->key), 0, err); /* no version is 0 */
}

/* From a version that the snapshot does not see to the key's first that it does, or to the
 * next key. */
static enum status
pass_unseen(struct lsm_iter *it, struct err *err)
{
    enum status st;

    st = remember(it, &it->key, lsm__merge_entry(&it->merge)->key, err);
    for (int steps = 0; st == ST_OK && steps < STEPS_BEFORE_SEEK; steps++) {
        const struct entry *e = lsm__merge_entry(&it->merge);

        if (e->version <= it->snapshot || !slice_equal(e->key, buf_slice(&it->key)))
            return ST_OK;
        st = lsm__merge_step(&it->merge, err);
    }
    return st == ST_OK ? place(it, PLACE_AT, buf_slice(&it->key), it->snapshot, err) : st;
}

/* `st` says how the merge, at the newest version of some key, got there. */
static enum status
find_forward(struct lsm_iter *it, enum status st, struct err *err)
{
    it->state = IS_INVALID;
    while (st == ST_OK) {
        const struct entry *e = lsm__merge_entry(&it->merge);

        if (e->version > it->snapshot) {
            st = pass_unseen(it, err);
            continue;
        }
        if (is_alive(it, e)) {
            it->state = IS_FORWARD;
            return ST_OK;
        }
        st = remember(it, &it->key, e->key, err);
        if (st == ST_OK)
            st = pass_key(it, err);
    }
    return st;
}

/* ------------------------------------------------------------------ backward */

/* The merge stands on an older version of `it->key`: copy it as the best so far. */
static enum status
store(struct lsm_iter *it, const struct entry *e, struct err *err)
{
    enum status st = remember(it, &it->value, e->value, err);

    if (st != ST_OK)
        return st;
    it->stored = *e;
    it->stored.key = buf_slice(&it->key);
    it->stored.value = buf_slice(&it->value);
    return ST_OK;
}

/* Too many versions to walk: find the newest visible one from the other side. */
static enum status
store_by_seek(struct lsm_iter *it, struct err *err)
{
    enum status st;

    st = place(it, PLACE_AT, buf_slice(&it->key), it->snapshot, err);
    if (st == ST_OK)
        st = store(it, lsm__merge_entry(&it->merge), err);
    if (st == ST_OK)
        st = place(it, PLACE_BEFORE, buf_slice(&it->key), VERSION_MAX, err);
    return st;
}

/* The merge stands on the oldest version of a key.  Store the newest one that the snapshot
 * sees, if any (`*seen`), and leave the key.  The status is that of the merge. */
static enum status
store_newest(struct lsm_iter *it, bool *seen, struct err *err)
{
    enum status st = remember(it, &it->key, lsm__merge_entry(&it->merge)->key, err);

    *seen = false;
    for (int steps = 0; st == ST_OK; steps++) {
        const struct entry *e = lsm__merge_entry(&it->merge);

        if (!slice_equal(e->key, buf_slice(&it->key)))
            return ST_OK;
        if (e->version > it->snapshot)
            return place(it, PLACE_BEFORE, buf_slice(&it->key), VERSION_MAX, err);
        if (steps == STEPS_BEFORE_SEEK)
            return store_by_seek(it, err);
        st = store(it, e, err);
        *seen = true;
        if (st == ST_OK)
            st = lsm__merge_step(&it->merge, err);
    }
    return st;
}

/* `st` says how the merge, at the oldest version of some key, got there. */
static enum status
find_backward(struct lsm_iter *it, enum status st, struct err *err)
{
    it->state = IS_INVALID;
    while (st == ST_OK) {
        bool seen;

        st = store_newest(it, &seen, err);
        if (st != ST_OK && st != ST_NOT_FOUND)
            return st;
        if (seen && is_alive(it, &it->stored)) {
            it->state = IS_BACKWARD;
            return ST_OK;
        }
    }
    return st;
}

/* ------------------------------------------------------------------ moves */

enum status
lsm_iter_seek(struct lsm_iter *it, struct slice key, struct err *err)
{
    return find_forward(it, place(it, PLACE_AT, key, VERSION_MAX, err), err);
}

enum status
lsm_iter_seek_before(struct lsm_iter *it, struct slice key, struct err *err)
{
    return find_backward(it, place(it, PLACE_BEFORE, key, VERSION_MAX, err), err);
}

enum status
lsm_iter_first(struct lsm_iter *it, struct err *err)
{
    return find_forward(it, place(it, PLACE_FIRST, slice_of(NULL, 0), 0, err), err);
}

enum status
lsm_iter_last(struct lsm_iter *it, struct err *err)
{
    return find_backward(it, place(it, PLACE_LAST, slice_of(NULL, 0), 0, err), err);
}

enum status
lsm_iter_next(struct lsm_iter *it, struct err *err)
{
    enum status st;

    ASSERT(it->state != IS_INVALID);
    if (it->state == IS_BACKWARD)
        return find_forward(it, place(it, PLACE_AT, buf_slice(&it->key), 0, err), err);
    st = remember(it, &it->key, lsm__merge_entry(&it->merge)->key, err);
    if (st == ST_OK)
        st = pass_key(it, err);
    return find_forward(it, st, err);
}

enum status
lsm_iter_prev(struct lsm_iter *it, struct err *err)
{
    enum status st;

    ASSERT(it->state != IS_INVALID);
    if (it->state == IS_FORWARD) {
        st = remember(it, &it->key, lsm__merge_entry(&it->merge)->key, err);
        if (st == ST_OK)
            st = place(it, PLACE_BEFORE, buf_slice(&it->key), VERSION_MAX, err);
        return find_backward(it, st, err);
    }
    if (it->merge.heap_count == 0) { /* the current entry was the first */
        it->state = IS_INVALID;
        return ST_NOT_FOUND;
    }
    return find_backward(it, ST_OK, err);
}

void
lsm_iter_entry(const struct lsm_iter *it, struct entry *out)
{
    ASSERT(it->state != IS_INVALID);
    *out = it->state == IS_FORWARD ? *lsm__merge_entry(&it->merge) : it->stored;
}
