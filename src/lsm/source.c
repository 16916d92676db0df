/*
 * A part of a memtable, or a run of tables, as a cursor.
 *
 * A run opens its tables one at a time, when the cursor gets there: a seek
 * opens one table of each level, however many there are.
 */
#include "base/assert.h"
#include "base/coding.h"

#include "lsm/lsm_internal.h"

/* The cursor stands: fetch what it stands on. */
static void
look(struct source *s)
{
    if (s->is_run)
        table_iter_entry(s->iter, &s->entry);
    else
        memtable_iter_entry(&s->mem, &s->entry);
    s->prefix = get_prefix_be(s->entry.key);
}

/* ------------------------------------------------------------------ a memtable */

static enum status
memory_status(const struct source *s)
{
    return memtable_iter_valid(&s->mem) ? ST_OK : ST_NOT_FOUND;
}

static void
memory_place(struct source *s, const struct place *place)
{
    switch (place->kind) {
    case PLACE_FIRST:
        memtable_iter_first(&s->mem);
        break;
    case PLACE_LAST:
        memtable_iter_last(&s->mem);
        break;
    case PLACE_AT:
        memtable_iter_seek(&s->mem, place->key, place->version);
        break;
    case PLACE_BEFORE:
        memtable_iter_seek_before(&s->mem, place->key, place->version);
        break;
    }
}

/* ------------------------------------------------------------------ a run */

static void
run_close(struct source *s)
{
    table_iter_destroy(s->iter);
    s->iter = NULL;
    if (s->reader != NULL)
        readers_let_go(s->reader);
    s->reader = NULL;
}

/* Let `iter` walk the file with this index. */
static enum status
run_open(struct source *s, uint32_t at, struct err *err)
{
    struct table_iter_options options = { TABLE_BLOCK, s->fill_cache };
    enum status st;

    ASSERT(at < s->run.count);
    if (s->iter != NULL && s->at == at)
        return ST_OK;
    run_close(s);
    s->at = at;
    st = lsm__table_hold(s->tree, s->run.files[at], &s->reader, err);
    if (st != ST_OK)
        return st;
    table_file_touch(s->run.files[at]);
    st = table_iter_create(reader_table(s->reader), &options, &s->iter);
    if (st != ST_OK)
        return err_raise(err, st, "tree %s: no memory for an iterator", s->tree->dir);
    return ST_OK;
}

static enum status
run_begin(struct source *s, uint32_t at, struct err *err)
{
    enum status st;

    if (at >= s->run.count)
        return ST_NOT_FOUND;
    st = run_open(s, at, err);
    return st == ST_OK ? table_iter_first(s->iter, err) : st;
}

/* The last entry of the file before the one with index `limit`. */
static enum status
run_end(struct source *s, uint32_t limit, struct err *err)
{
    enum status st;

    if (limit == 0)
        return ST_NOT_FOUND;
    st = run_open(s, limit - 1, err);
    return st == ST_OK ? table_iter_last(s->iter, err) : st;
}

static enum status
run_seek(struct source *s, const struct place *place, struct err *err)
{
    uint32_t at = version_find(&s->run, place->key);
    enum status st;

    if (at == s->run.count)
        return ST_NOT_FOUND;
    st = run_open(s, at, err);
    if (st == ST_OK)
        st = table_iter_seek(s->iter, place->key, place->version, err);
    return st == ST_NOT_FOUND ? run_begin(s, at + 1, err) : st;
}

static enum status
run_seek_before(struct source *s, const struct place *place, struct err *err)
{
    uint32_t at = version_find(&s->run, place->key);
    enum status st;

    if (at == s->run.count)
        return run_end(s, at, err);
    st = run_open(s, at, err);
    if (st == ST_OK)
        st = table_iter_seek_before(s->iter, place->key, place->version, err);
    return st == ST_NOT_FOUND ? run_end(s, at, err) : st;
}

static enum status
run_place(struct source *s, const struct place *place, struct err *err)
{
    switch (place->kind) {
    case PLACE_FIRST:
        return run_begin(s, 0, err);
    case PLACE_LAST:
        return run_end(s, s->run.count, err);
    case PLACE_AT:
        return run_seek(s, place, err);
    case PLACE_BEFORE:
        break;
    }
    return run_seek_before(s, place, err);
}

/* ------------------------------------------------------------------ either */

enum status
lsm__source_place(struct source *s, const struct place *place, struct err *err)
{
    enum status st;

    if (s->is_run) {
        st = run_place(s, place, err);
    } else {
        memory_place(s, place);
        st = memory_status(s);
    }
    if (st == ST_OK)
        look(s);
    return st;
}

enum status
lsm__source_next(struct source *s, struct err *err)
{
    enum status st;

    if (s->is_run) {
        st = table_iter_next(s->iter, err);
        if (st == ST_NOT_FOUND)
            st = run_begin(s, s->at + 1, err);
    } else {
        memtable_iter_next(&s->mem);
        st = memory_status(s);
    }
    if (st == ST_OK)
        look(s);
    return st;
}

enum status
lsm__source_prev(struct source *s, struct err *err)
{
    enum status st;

    if (s->is_run) {
        st = table_iter_prev(s->iter, err);
        if (st == ST_NOT_FOUND)
            st = run_end(s, s->at, err);
    } else {
        memtable_iter_prev(&s->mem);
        st = memory_status(s);
    }
    if (st == ST_OK)
        look(s);
    return st;
}

void
lsm__source_release(struct source *s)
{
    run_close(s);
    memtable_order_unref(s->order);
    s->order = NULL;
}
