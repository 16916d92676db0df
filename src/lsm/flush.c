/*
 * From memory to disk: the oldest sealed memtable becomes a table of L0, or a
 * clear drops the tables.  T3, T4, T6, T8 and T9 at the head of lsm.c.
 *
 * Tombstones stay, for anything may lie below.  Of the versions of a key only
 * those go that a newer one in the same memtable hides from everybody.
 */
#include "base/assert.h"
#include "base/hash.h"

#include "lsm/lsm_internal.h"
#include "lsm/record_cache.h"

struct flush {
    struct lsm *tree;
    const struct layer *layer;
    struct memtable_order *order; /* of the layer's memtable, in one run */
    uint64_t generation;
    struct horizon horizon;
    struct sieve sieve;
    struct table_builder *builder; /* NULL until the first entry that stays */
};

/* T9: what the tables will have is newer than what the record cache may have. */
static void
drop_record(struct lsm *t, struct slice key)
{
    if (t->shared->records != NULL)
        record_cache_drop(t->shared->records, t->id, key, hash64(key));
}

static enum status
flush_entry(struct flush *f, struct entry *e, struct err *err)
{
    enum status st;
    bool keep;

    st = lsm__sieve_judge(&f->sieve, e, &keep);
    if (st != ST_OK)
        return err_raise(err, st, "tree %s: no memory for a key", f->tree->dir);
    if (f->sieve.new_key)
        drop_record(f->tree, e->key);
    if (!keep)
        return ST_OK;
    if (f->builder == NULL) {
        st = lsm__table_begin(f->tree, &f->tree->options.tables, &f->builder, err);
        if (st != ST_OK)
            return st;
    }
    return table_builder_add(f->builder, e, err);
}

static enum status
flush_entries(struct flush *f, struct err *err)
{
    struct memtable_iter it;
    uint64_t seen = 0;

    if (memtable_order_run_count(f->order) == 0)
        return ST_OK;
    memtable_iter_init(&it, f->order, 0);
    for (memtable_iter_first(&it); memtable_iter_valid(&it); memtable_iter_next(&it)) {
        struct entry e;
        enum status st = ST_OK;

        if (++seen % JOB_CHECK_ENTRIES == 0)
            st = lsm__job_check(f->tree, f->generation, err);
        if (st != ST_OK)
            return st;
        memtable_iter_entry(&it, &e);
        st = flush_entry(f, &e, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* Write the layer's table, if anything stays of it, and add it to the change. */
static enum status
write_table(struct flush *f, struct change *c, struct err *err)
{
    struct table_info info;
    uint64_t bytes;
    enum status st;

    st = memtable_order(f->layer->memtable, true, &f->order);
    if (st != ST_OK)
        return err_raise(err, st, "tree %s: no memory to order a memtable", f->tree->dir);
    st = flush_entries(f, err);
    memtable_order_unref(f->order);
    if (st != ST_OK) {
        table_builder_abandon(f->builder);
        return st;
    }
    if (f->builder == NULL)
        return ST_OK;
    st = table_builder_finish(f->builder, &info, err);
    if (st != ST_OK)
        return st;
    bytes = info.file_bytes;
    st = lsm__change_add(c, f->tree, 0, &info, err);
    if (st == ST_OK)
        lsm__add(&f->tree->bytes_written, bytes);
    return st;
}

static enum status
flush_layer(struct lsm *t, struct layer *layer, uint64_t generation, struct err *err)
{
    struct flush f = { .tree = t, .layer = layer, .generation = generation };
    struct change c;
    enum status st;

    lsm__change_init(&c, t, generation);
    c.flushed = layer;
    c.edit.mark = layer->mark;
    c.edit.mark_set = true;
    if (layer->memtable != NULL) {
        st = lsm__horizon_take(t, &f.horizon, err);
        if (st != ST_OK) {
            lsm__change_release(&c);
            return st;
        }
        lsm__sieve_init(&f.sieve, &f.horizon);
        f.sieve.ceiling = layer->mark.version;
        atomic_fetch_add(&t->records_tag, 1); /* T9 */
        st = write_table(&f, &c, err);
        lsm__sieve_release(&f.sieve);
        lsm__horizon_release(&f.horizon);
        if (st != ST_OK) {
            lsm__change_abandon(&c);
            return st;
        }
    }
    return lsm__change_commit(&c, t, err);
}

static enum status
flush_clear(struct lsm *t, const struct lsm_mark *mark, uint64_t generation, struct err *err)
{
    struct change c;

    lsm__change_init(&c, t, generation);
    c.edit.clear = true;
    c.edit.mark = *mark;
    c.edit.mark_set = true;
    if (t->shared->records != NULL)
        record_cache_drop_tree(t->shared->records, t->id); /* T9: only to make room */
    return lsm__change_commit(&c, t, err);
}

static enum status
flush_next(struct lsm *t, struct err *err)
{
    struct lsm_mark clear_mark;
    uint64_t generation;
    struct layer *oldest;
    struct view *v;
    bool clear;
    enum status st;

    v = lsm__view_take(t, &generation);
    lock_take(&t->lock);
    clear = atomic_load_explicit(&t->clear_pending, memory_order_relaxed);
    clear_mark = t->clear_mark;
    lock_drop(&t->lock);
    oldest = v->sealed_count > 0 ? v->sealed[v->sealed_count - 1] : NULL;
    if (!clear && oldest == NULL) {
        lsm__view_unref(v);
        return ST_OK;
    }
    st = clear ? flush_clear(t, &clear_mark, generation, err)
               : flush_layer(t, oldest, generation, err);
    lsm__view_unref(v);
    if (st == ST_OK)
        lsm__add(&t->flushes, 1);
    return st == ST_CONFLICT ? ST_OK : st; /* T8: a clear came; it is due now */
}

enum status
lsm_flush(struct lsm *t, struct err *err)
{
    bool running = atomic_exchange(&t->flushing, true);
    enum status st;

    ASSERT(!running); /* one at a time */
    st = atomic_load_explicit(&t->stopped, memory_order_relaxed)
             ? err_raise(err, ST_CLOSED, "tree %s: its jobs were stopped", t->dir)
             : flush_next(t, err);
    atomic_store(&t->flushing, false);
    return st;
}
