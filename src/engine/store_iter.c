#include "base/mem.h"

#include "engine/store_internal.h"

/* An iterator without a snapshot of the caller's takes one of its own. */
struct dkv_iter {
    struct dkv *db;
    struct dkv_snapshot *own;
    struct lsm_iter *lsm; /* NULL: the family is younger than the snapshot, and so empty */
    enum status status;   /* ST_OK: valid; ST_NOT_FOUND: past an end; else a failure */
    struct err err;
    struct entry entry;
};

static enum status
open_iter(struct dkv_iter *it, struct dkv_family *f, const struct dkv_snapshot *snapshot)
{
    struct lsm_iter_options options = { .fill_cache = true };

    if (snapshot == NULL) {
        it->own = dkv_snapshot_take(it->db);
        snapshot = it->own;
    }
    if (snapshot == NULL)
        return err_raise(&it->err, ST_NO_MEMORY, "out of memory for an iterator");
    options.snapshot = store__pin_of(snapshot, f);
    return options.snapshot == NULL ? ST_OK : lsm_iter_create(f->lsm, &options, &it->lsm, &it->err);
}

enum dkv_status
dkv_iter_create(struct dkv *db, struct dkv_family *family, const struct dkv_snapshot *snapshot,
                struct dkv_iter **out, struct dkv_error *error)
{
    struct dkv_iter *it = mem_new(struct dkv_iter);
    enum dkv_status status;
    enum status st;

    if (it == NULL)
        return store__report(ST_NO_MEMORY, NULL, error);
    it->db = db;
    st = open_iter(it, store__family(db, family), snapshot);
    if (st != ST_OK) {
        status = store__report(st, &it->err, error);
        dkv_iter_destroy(it);
        return status;
    }
    it->status = ST_NOT_FOUND;
    *out = it;
    return DKV_OK;
}

void
dkv_iter_destroy(struct dkv_iter *it)
{
    if (it == NULL)
        return;
    lsm_iter_destroy(it->lsm);
    dkv_snapshot_release(it->db, it->own);
    mem_free(it);
}

static void
arrive(struct dkv_iter *it, enum status st)
{
    it->status = st;
    if (st == ST_OK)
        lsm_iter_entry(it->lsm, &it->entry);
}

void
dkv_iter_first(struct dkv_iter *it)
{
    arrive(it, it->lsm == NULL ? ST_NOT_FOUND : lsm_iter_first(it->lsm, &it->err));
}

void
dkv_iter_last(struct dkv_iter *it)
{
    arrive(it, it->lsm == NULL ? ST_NOT_FOUND : lsm_iter_last(it->lsm, &it->err));
}

void
dkv_iter_seek(struct dkv_iter *it, const void *key, size_t key_size)
{
    arrive(it, it->lsm == NULL ? ST_NOT_FOUND
                               : lsm_iter_seek(it->lsm, slice_of(key, key_size), &it->err));
}

void
dkv_iter_seek_before(struct dkv_iter *it, const void *key, size_t key_size)
{
    arrive(it, it->lsm == NULL ? ST_NOT_FOUND
                               : lsm_iter_seek_before(it->lsm, slice_of(key, key_size), &it->err));
}

void
dkv_iter_next(struct dkv_iter *it)
{
    if (it->status == ST_OK)
        arrive(it, lsm_iter_next(it->lsm, &it->err));
}

void
dkv_iter_prev(struct dkv_iter *it)
{
    if (it->status == ST_OK)
        arrive(it, lsm_iter_prev(it->lsm, &it->err));
}

bool
dkv_iter_valid(const struct dkv_iter *it)
{
    return it->status == ST_OK;
}

const void *
dkv_iter_key(const struct dkv_iter *it, size_t *size)
{
    *size = it->entry.key.size;
    return it->entry.key.data;
}

const void *
dkv_iter_value(const struct dkv_iter *it, size_t *size)
{
    *size = it->entry.value.size;
    return it->entry.value.data;
}

enum dkv_status
dkv_iter_status(const struct dkv_iter *it, struct dkv_error *error)
{
    if (it->status == ST_OK || it->status == ST_NOT_FOUND)
        return DKV_OK;
    return store__report(it->status, &it->err, error);
}
