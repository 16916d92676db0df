/*
 * Walking a table: an iterator over the index, and one over the data block that the
 * index's entry leads to.
 *
 * After any status but ST_OK the iterator stands on nothing, and only a seek, first
 * or last leads back.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "sst/bulk.h"

struct table_iter {
    struct table *t;
    struct table_iter_options options;
    struct sst_block_iter index;
    struct sst_block_iter data;
    struct cache_handle *pin; /* of the data block; NULL when it is the bulk reader's, or none */
    struct sst_bulk bulk;
};

/* Where a step into a neighbouring block lands. */
enum side { FIRST, LAST };

enum status
table_iter_create(struct table *t, const struct table_iter_options *options,
                  struct table_iter **out)
{
    struct table_iter *it = mem_new(struct table_iter);

    if (it == NULL)
        return ST_NO_MEMORY;
    it->t = t;
    it->options = *options;
    sst__block_iter_init(&it->index);
    sst__block_iter_init(&it->data);
    sst__block_iter_set(&it->index, &t->index.block);
    sst__bulk_init(&it->bulk, t);
    *out = it;
    return ST_OK;
}

static void
drop_pin(struct table_iter *it)
{
    if (it->pin != NULL)
        cache_release(it->pin);
    it->pin = NULL;
}

void
table_iter_destroy(struct table_iter *it)
{
    if (it == NULL)
        return;
    drop_pin(it);
    sst__bulk_release(&it->bulk);
    sst__block_iter_release(&it->index);
    sst__block_iter_release(&it->data);
    mem_free(it);
}

/* A failure of the index's iterator; its bytes were checked at open. */
static enum status
index_failed(struct table_iter *it, enum status st, struct err *err)
{
    it->data.at = NULL;
    if (st == ST_NOT_FOUND)
        return st;
    return sst__bad_block(it->t, sst__index_offset(&it->t->footer), st, err);
}

static enum status
data_failed(struct table_iter *it, enum status st, struct err *err)
{
    struct sst_handle handle = { 0 };
    enum status parsed = sst__index_handle(it->index.item.value, &handle);

    ASSERT(parsed == ST_OK);
    it->data.at = NULL;
    return sst__bad_block(it->t, handle.offset, st, err);
}

/* The block's bytes; those of the block before are given up. */
static enum status
get_block(struct table_iter *it, const struct sst_handle *handle, struct slice *bytes,
          struct err *err)
{
    enum status st;

    drop_pin(it);
    if (it->options.fill_cache) {
        st = sst__cached_block(it->t, handle, it->options.mode, &it->pin, err);
    } else {
        it->pin = cache_find(it->t->cache, it->t->info->number, handle->offset);
        if (it->pin == NULL)
            return sst__bulk_block(&it->bulk, handle, it->options.mode, bytes, err);
        st = ST_OK;
    }
    if (st == ST_OK)
        *bytes = cache_block(it->pin);
    return st;
}

/* Open the data block that the index's iterator stands on. */
static enum status
load_block(struct table_iter *it, struct err *err)
{
    struct sst_handle handle;
    struct sst_block block;
    struct slice bytes;
    enum status st = sst__index_handle(it->index.item.value, &handle);

    it->data.at = NULL;
    if (st != ST_OK)
        return index_failed(it, st, err);
    st = get_block(it, &handle, &bytes, err);
    if (st != ST_OK)
        return st;
    st = sst__block_parse(bytes, &block);
    if (st != ST_OK)
        return data_failed(it, st, err);
    sst__block_iter_set(&it->data, &block);
    return ST_OK;
}

/* Stand on the first or last entry of the block that the index's iterator has moved to
 * with `moved`. */
static enum status
enter_block(struct table_iter *it, enum status moved, enum side side, struct err *err)
{
    enum status st = moved;

    if (st != ST_OK)
        return index_failed(it, st, err);
    st = load_block(it, err);
    if (st != ST_OK)
        return st;
    st = side == FIRST ? sst__block_iter_first(&it->data) : sst__block_iter_last(&it->data);
    return st == ST_OK ? ST_OK : data_failed(it, st, err);
}

enum status
table_iter_first(struct table_iter *it, struct err *err)
{
    return enter_block(it, sst__block_iter_first(&it->index), FIRST, err);
}

enum status
table_iter_last(struct table_iter *it, struct err *err)
{
    return enter_block(it, sst__block_iter_last(&it->index), LAST, err);
}

enum status
table_iter_next(struct table_iter *it, struct err *err)
{
    enum status st = sst__block_iter_next(&it->data);

    if (st == ST_OK)
        return ST_OK;
    if (st != ST_NOT_FOUND)
        return data_failed(it, st, err);
    return enter_block(it, sst__block_iter_next(&it->index), FIRST, err);
}

enum status
table_iter_prev(struct table_iter *it, struct err *err)
{
    enum status st = sst__block_iter_prev(&it->data);

    if (st == ST_OK)
        return ST_OK;
    if (st != ST_NOT_FOUND)
        return data_failed(it, st, err);
    return enter_block(it, sst__block_iter_prev(&it->index), LAST, err);
}

enum status
table_iter_seek(struct table_iter *it, struct slice key, version_t version, struct err *err)
{
    enum status st = sst__index_seek(&it->t->index, &it->index, key, version);

    if (st != ST_OK)
        return index_failed(it, st, err);
    st = load_block(it, err);
    if (st != ST_OK)
        return st;
    st = sst__block_iter_seek(&it->data, key, version);
    if (st == ST_OK)
        return ST_OK;
    if (st != ST_NOT_FOUND)
        return data_failed(it, st, err);
    return enter_block(it, sst__block_iter_next(&it->index), FIRST, err);
}

enum status
table_iter_seek_before(struct table_iter *it, struct slice key, version_t version, struct err *err)
{
    enum status st = sst__index_seek(&it->t->index, &it->index, key, version);

    if (st == ST_NOT_FOUND)
        return table_iter_last(it, err);
    if (st != ST_OK)
        return index_failed(it, st, err);
    st = load_block(it, err);
    if (st != ST_OK)
        return st;
    st = sst__block_iter_seek_before(&it->data, key, version);
    if (st == ST_OK)
        return ST_OK;
    if (st != ST_NOT_FOUND)
        return data_failed(it, st, err);
    return enter_block(it, sst__block_iter_prev(&it->index), LAST, err);
}

void
table_iter_entry(const struct table_iter *it, struct entry *out)
{
    sst__block_iter_entry(&it->data, out);
}
