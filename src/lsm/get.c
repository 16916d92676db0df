/*
 * Point reads: T1, T2 and T9 at the head of lsm.c.
 *
 * The order of looking: active memtable, sealed ones, record cache, L0 newest
 * first, then one table of each level.  The record cache stands after the
 * memtables, because it knows only what tables hold, and is asked only by reads of the
 * present view.
 *
 * lsm_try_get() is the hottest function of the engine: one load finds everything, and nothing is
 * written that other threads read, but for the caches on a miss.
 */
#include "base/hash.h"

#include "lsm/lsm_internal.h"
#include "lsm/record_cache.h"

/* A place to count that other threads seldom use: by where the stack lies. */
static struct stripe *
my_stripe(struct lsm *t)
{
    char here;

    return &t->stripes[hash_u64((uint64_t)(uintptr_t)&here >> 16) % STRIPE_COUNT];
}

struct search {
    struct lsm *tree;
    const struct view *view;
    struct slice key;
    uint64_t hash;
    version_t version; /* at most this */
    enum table_mode mode;
    bool present; /* the view is the tree's, not one that a clear has left */
    struct stripe *stripe;
};

/* ------------------------------------------------------------------ memory */

static bool
search_layer(const struct search *s, const struct layer *l, struct entry *out)
{
    return l != NULL && l->memtable != NULL &&
           memtable_get(l->memtable, s->key, s->hash, s->version, out);
}

static bool
search_memory(const struct search *s, struct entry *out)
{
    if (search_layer(s, s->view->active, out))
        return true;
    for (uint32_t i = 0; i < s->view->sealed_count; i++) {
        if (search_layer(s, s->view->sealed[i], out))
            return true;
    }
    return false;
}

/* Take a copy of the value.  False when out of memory: nothing changed. */
static bool
own_value(struct lsm_found *found, const struct entry *e)
{
    struct buf copy = buf_empty(e->value.size);

    if (buf_append(&copy, e->value) != ST_OK)
        return false;
    found->entry = *e;
    found->entry.value = buf_slice(&copy);
    found->copy = copy;
    return true;
}

static bool
search_records(const struct search *s, struct lsm_found *found)
{
    struct record_cache *records = s->tree->shared->records;
    uint8_t room[RECORD_CACHE_VALUE_MAX];
    struct entry e;

    if (records == NULL || !s->present)
        return false;
    if (!record_cache_get(records, s->tree->id, s->key, s->hash, room, &e))
        return false;
    if (e.version > s->version || e.version <= s->view->records_floor)
        return false; /* newer than the snapshot, or from before a clear (T9) */
    return own_value(found, &e);
}

/* ------------------------------------------------------------------ tables */

enum status
lsm__table_hold(struct lsm *t, struct table_file *f, struct reader **out, struct err *err)
{
    enum status st = readers_hold(f, t->shared, t->dir, out, err);

    if (st == ST_NOT_FOUND)
        return err_raise(err, ST_CORRUPT, "table %s/%016llx.sst is missing", t->dir,
                         (unsigned long long)f->info.number); /* P3 */
    return st;
}

static inline enum status
search_open_table(const struct search *s, struct table *table, struct table_found *found,
                  struct err *err)
{
    enum status st;

    if (!table_may_contain(table, s->hash)) {
        lsm__count(&s->stripe->filter_skips, 1);
        return ST_NOT_FOUND;
    }
    st = table_get(table, s->key, s->version, s->mode, found, err);
    if (st == ST_WOULD_BLOCK)
        return st;
    lsm__count(&s->stripe->filter_passes, 1);
    lsm__count(&s->stripe->tables_read, 1);
    if (st == ST_NOT_FOUND)
        lsm__count(&s->stripe->filter_false, 1);
    return st;
}

/* Inside the epoch. */
static enum status
try_table(const struct search *s, struct table_file *f, struct table_found *found, struct err *err)
{
    struct table *table = table_file_reader(f);

    return table == NULL ? ST_WOULD_BLOCK : search_open_table(s, table, found, err);
}

static enum status
hold_table(const struct search *s, struct table_file *f, struct table_found *found, struct err *err)
{
    struct reader *reader;
    enum status st = lsm__table_hold(s->tree, f, &reader, err);

    if (st != ST_OK)
        return st;
    st = search_open_table(s, reader_table(reader), found, err);
    readers_let_go(reader); /* what was found is pinned apart from it */
    return st;
}

static enum status
search_table(const struct search *s, struct table_file *f, struct table_found *found,
             struct err *err)
{
    if (f->info.version_min > s->version)
        return ST_NOT_FOUND;
    table_file_touch(f);
    return s->mode == TABLE_TRY ? try_table(s, f, found, err) : hold_table(s, f, found, err);
}

static bool
is_before(struct slice key, const struct table_file *f)
{
    return slice_compare(key, buf_slice(&f->info.smallest)) < 0;
}

static bool
is_after(struct slice key, const struct table_file *f)
{
    return slice_compare(key, buf_slice(&f->info.largest)) > 0;
}

/* T1: the first table that has a version of the key, has the one we want. */
static enum status
search_tables(const struct search *s, struct table_found *found, struct err *err)
{
    const struct level *levels = s->view->version->levels;

    for (uint32_t i = 0; i < levels[0].count; i++) {
        struct table_file *f = levels[0].files[i];
        enum status st;

        if (is_before(s->key, f) || is_after(s->key, f))
            continue;
        st = search_table(s, f, found, err);
        if (st != ST_NOT_FOUND)
            return st;
    }
    for (int level = 1; level < LIMIT_LEVELS; level++) {
        uint32_t i = levels[level].count == 0 ? 0 : version_find(&levels[level], s->key);
        enum status st;

        if (i == levels[level].count || is_before(s->key, levels[level].files[i]))
            continue;
        st = search_table(s, levels[level].files[i], found, err);
        if (st != ST_NOT_FOUND)
            return st;
    }
    return ST_NOT_FOUND;
}

/* What the memtables do not have.  `tag` is from before the view was taken. */
static enum status
search_disk(const struct search *s, bool newest, uint64_t tag, struct lsm_found *found,
            struct err *err)
{
    struct record_cache *records = s->tree->shared->records;
    struct table_found in_table;
    enum status st;

    if (search_records(s, found))
        return ST_OK;
    st = search_tables(s, &in_table, err);
    if (st != ST_OK)
        return st;
    found->entry = in_table.entry;
    found->pin = in_table.pin;
    if (newest && records != NULL && found->entry.value.size <= RECORD_CACHE_VALUE_MAX)
        record_cache_add(records, s->tree->id, s->hash, &found->entry, &s->tree->records_tag, tag);
    return ST_OK;
}

/* ------------------------------------------------------------------ the two reads */

enum status
lsm_try_get(struct lsm *t, struct slice key, version_t snapshot, struct lsm_found *found,
            struct err *err)
{
    uint64_t tag = atomic_load_explicit(&t->records_tag, memory_order_acquire);
    const struct view *view = atomic_load(&t->view);
    version_t visible = atomic_load_explicit(&t->visible, memory_order_acquire); /* T2: after */
    struct search s = {
        .tree = t,
        .view = view,
        .key = key,
        .hash = hash64(key),
        .version = snapshot < visible ? snapshot : visible,
        .mode = TABLE_TRY,
        .present = true,
        .stripe = my_stripe(t),
    };

    *found = (struct lsm_found){ 0 };
    if (snapshot <= view->floor) {
        const struct view *kept = lsm__view_kept(t, snapshot);

        if (kept != NULL) {
            s.view = kept;
            s.present = false;
        }
    }
    lsm__count(&s.stripe->gets, 1);
    if (!search_memory(&s, &found->entry))
        return search_disk(&s, s.present && snapshot >= visible, tag, found, err);
    found->entry.key = key;
    return ST_OK;
}

enum status
lsm_get(struct lsm *t, struct slice key, version_t snapshot, struct lsm_found *found,
        struct err *err)
{
    uint64_t tag = atomic_load_explicit(&t->records_tag, memory_order_acquire);
    struct search s = {
        .tree = t,
        .key = key,
        .hash = hash64(key),
        .mode = TABLE_BLOCK,
        .stripe = my_stripe(t),
    };
    struct moment now;
    struct entry e;
    enum status st = ST_OK;

    *found = (struct lsm_found){ 0 };
    lsm__moment_take(t, snapshot, &now);
    s.view = now.view;
    s.version = now.version;
    s.present = now.present;
    lsm__count(&s.stripe->gets, 1);
    if (!search_memory(&s, &e))
        st = search_disk(&s, now.newest, tag, found, err);
    else if (!own_value(found, &e))
        st = err_raise(err, ST_NO_MEMORY, "tree %s: no memory for a value", t->dir);
    if (st == ST_OK)
        found->entry.key = key;
    lsm__view_unref(now.view);
    return st;
}

void
lsm_found_release(struct lsm_found *found)
{
    if (found->pin != NULL)
        cache_release(found->pin);
    buf_release(&found->copy);
    *found = (struct lsm_found){ 0 };
}
