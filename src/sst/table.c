/*
 * Reading a table.
 *
 *      footer --> index, filter, properties      at open, and kept (but for the last)
 *      key    --> index --> handle --> cache --> data block --> entry
 *                                        '--> file
 *
 * INVARIANTS
 *
 *   T1  No byte of a block is looked at before its checksum was found right, and no
 *       length taken from a file sizes an allocation before it was found within a
 *       bound.
 *   T2  A block enters the cache only intact, under the table's number and its own
 *       offset; so what comes from the cache needs no check.
 *   T3  An open table is never changed; any number of threads may read it.
 */
#include "sst/table.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/mem.h"

#include "sst/cache_internal.h"
#include "sst/table_internal.h"

enum {
    LINE_ALIGNMENT = 64,
    TRY_BYTES_MAX = 1 << 20, /* a reactor neither reads nor unpacks more than this at once */
};

/* ------------------------------------------------------------------ bytes and blocks */

enum status
sst__read_exactly(struct file *file, enum table_mode mode, uint64_t offset, void *out, size_t size,
                  struct err *err)
{
    size_t got = 0;
    enum status st = ST_WOULD_BLOCK;

    if (mode == TABLE_BLOCK)
        st = file_read(file, offset, out, size, &got, err);
    else if (size <= TRY_BYTES_MAX)
        st = file_try_read(file, offset, out, size, &got, err);
    if (st != ST_OK)
        return st;
    if (got == size)
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "table %s: ends at %" PRIu64 ", %zu bytes short of what it should hold",
                     file_path(file), offset + got, size - got);
}

enum status
sst__open_block(const struct table *t, uint64_t offset, struct slice bytes, struct slice *payload,
                uint8_t *kind, struct err *err)
{
    size_t covered = bytes.size - 8;

    ASSERT(bytes.size > TRAILER_BYTES);
    if (get_u64le(bytes.data + covered) !=
        hash64_seeded(slice_of(bytes.data, covered), sst__seed(t->info->seed, offset))) {
        return err_raise(err, ST_CORRUPT,
                         "table %s: the block of %zu bytes at %" PRIu64 " is damaged",
                         file_path(t->file), bytes.size, offset);
    }
    *payload = slice_of(bytes.data, bytes.size - TRAILER_BYTES);
    *kind = bytes.data[covered - 1];
    return ST_OK;
}

enum status
sst__bad_block(const struct table *t, uint64_t offset, enum status st, struct err *err)
{
    return err_raise(err, st, "table %s: the block at %" PRIu64 " cannot be read: %s",
                     file_path(t->file), offset, status_name(st));
}

/* ------------------------------------------------------------------ opening */

static void
part_release(struct sst_part *p)
{
    mem_free(p->memory);
    *p = (struct sst_part){ 0 };
}

/* Read one of the blocks after the data. */
static enum status
part_read(const struct table *t, uint64_t offset, uint64_t size, struct sst_part *out,
          struct err *err)
{
    struct sst_part p = { .memory_bytes = (size_t)size + LINE_ALIGNMENT };
    uint8_t *bytes;
    enum status st;
    uint8_t kind = TABLE_PLAIN;

    p.memory = mem_alloc(p.memory_bytes);
    if (p.memory == NULL)
        return err_raise(err, ST_NO_MEMORY, "table %s: out of memory", file_path(t->file));
    bytes = (uint8_t *)p.memory + (-(uintptr_t)p.memory & (LINE_ALIGNMENT - 1));
    st = sst__read_exactly(t->file, TABLE_BLOCK, offset, bytes, (size_t)size, err);
    if (st == ST_OK)
        st = sst__open_block(t, offset, slice_of(bytes, (size_t)size), &p.payload, &kind, err);
    if (st == ST_OK && kind != TABLE_PLAIN)
        st = sst__bad_block(t, offset, ST_CORRUPT, err);
    if (st != ST_OK) {
        part_release(&p);
        return st;
    }
    *out = p;
    return ST_OK;
}

enum status
sst__load_footer(struct table *t, struct err *err)
{
    uint8_t footer[FOOTER_BYTES];
    uint64_t size;
    enum status st = file_size(t->file, &size, err);

    if (st != ST_OK)
        return st;
    if (size != t->info->file_bytes || size < FOOTER_BYTES)
        return err_raise(err, ST_CORRUPT, "table %s: has %" PRIu64 " bytes, should have %" PRIu64,
                         file_path(t->file), size, t->info->file_bytes);
    st = sst__read_exactly(t->file, TABLE_BLOCK, size - FOOTER_BYTES, footer, sizeof(footer), err);
    if (st != ST_OK)
        return st;
    return sst__footer_decode(footer, t->info->seed, size - FOOTER_BYTES, file_path(t->file),
                              &t->footer, err);
}

enum status
sst__load_index(struct table *t, struct err *err)
{
    uint64_t offset = sst__index_offset(&t->footer);
    enum status st = part_read(t, offset, t->footer.index_bytes, &t->index_part, err);

    if (st != ST_OK)
        return st;
    st = sst__index_open(t->index_part.payload, t->footer.block_count, t->footer.data_bytes,
                         &t->index);
    return st == ST_OK ? ST_OK : sst__bad_block(t, offset, st, err);
}

enum status
sst__load_filter(struct table *t, struct err *err)
{
    uint64_t offset = sst__filter_offset(&t->footer);
    enum status st;

    if (t->footer.filter_bytes == 0)
        return ST_OK;
    st = part_read(t, offset, t->footer.filter_bytes, &t->filter_part, err);
    if (st != ST_OK)
        return st;
    st = filter_parse(t->filter_part.payload, &t->filter);
    if (st == ST_OK)
        return ST_OK;
    part_release(&t->filter_part);
    return sst__bad_block(t, offset, st, err);
}

enum status
sst__check_properties(const struct table *t, struct err *err)
{
    uint64_t offset = sst__properties_offset(&t->footer);
    struct sst_part part = { 0 };
    const char *what;
    enum status st = part_read(t, offset, t->footer.properties_bytes, &part, err);

    if (st != ST_OK)
        return st;
    if (!sst__properties_match(part.payload, t->info, &what)) {
        st = err_raise(err, ST_CORRUPT,
                       "table %s: the properties at %" PRIu64 " and the manifest disagree about "
                       "the %s",
                       file_path(t->file), offset, what);
    }
    part_release(&part);
    return st;
}

void
sst__unload(struct table *t)
{
    sst__index_release(&t->index);
    part_release(&t->index_part);
    part_release(&t->filter_part);
}

/* NOLINTBEGIN(readability-function-size): what to open, what to check it against, whom to charge */
enum status
table_open(struct env *env, const char *path, const struct table_info *info, struct cache *cache,
           struct budget *budget, struct table **out, struct err *err)
{
    struct table *t = mem_new(struct table);
    enum status st;

    ASSERT(cache != NULL);
    if (t == NULL)
        return err_raise(err, ST_NO_MEMORY, "table %s: out of memory", path);
    t->info = info;
    t->cache = cache;
    t->zstd = sst__cache_zstd(cache);
    st = env_open(env, path, ENV_OPEN_READ, &t->file, err);
    if (st == ST_OK)
        st = sst__load_footer(t, err);
    if (st == ST_OK)
        st = sst__load_index(t, err);
    if (st == ST_OK)
        st = sst__load_filter(t, err);
    if (st == ST_OK)
        st = sst__check_properties(t, err);
    if (st != ST_OK) {
        table_close(t);
        return st;
    }
    t->memory_bytes = sizeof(*t) + t->index_part.memory_bytes + sst__index_memory(&t->index) +
                      t->filter_part.memory_bytes;
    t->budget = budget;
    if (budget != NULL)
        budget_charge(budget, t->memory_bytes);
    *out = t;
    return ST_OK;
}
/* NOLINTEND(readability-function-size) */

void
table_close(struct table *t)
{
    if (t == NULL)
        return;
    if (t->budget != NULL)
        budget_return(t->budget, t->memory_bytes);
    sst__unload(t);
    file_close(t->file);
    mem_free(t);
}

size_t
table_memory_bytes(const struct table *t)
{
    return t->memory_bytes;
}

/* ------------------------------------------------------------------ reading */

/* Read and unpack a data block into memory of its own. */
static enum status
fetch(const struct table *t, const struct sst_handle *handle, enum table_mode mode, void **block,
      size_t *size, struct err *err)
{
    uint8_t *bytes = mem_alloc(handle->size);
    struct slice payload = { 0 };
    void *unpacked;
    enum status st;
    uint8_t kind = TABLE_PLAIN;

    if (bytes == NULL)
        return sst__bad_block(t, handle->offset, ST_NO_MEMORY, err);
    st = sst__read_exactly(t->file, mode, handle->offset, bytes, handle->size, err);
    if (st == ST_OK)
        st =
            sst__open_block(t, handle->offset, slice_of(bytes, handle->size), &payload, &kind, err);
    if (st != ST_OK)
        goto fail;
    if (kind == TABLE_PLAIN) {
        *block = bytes;
        *size = payload.size;
        return ST_OK;
    }
    st = sst__unpack_new(t->zstd, kind, payload, &unpacked, size);
    if (st != ST_OK) {
        st = sst__bad_block(t, handle->offset, st, err);
        goto fail;
    }
    mem_free(bytes);
    *block = unpacked;
    return ST_OK;

fail:
    mem_free(bytes);
    return st;
}

enum status
sst__cached_block(struct table *t, const struct sst_handle *handle, enum table_mode mode,
                  struct cache_handle **pin, struct err *err)
{
    struct cache_handle *found = cache_find(t->cache, t->info->number, handle->offset);
    void *block = NULL;
    size_t size = 0;
    enum status st;

    if (found == NULL) {
        st = fetch(t, handle, mode, &block, &size, err);
        if (st != ST_OK)
            return st;
        found = cache_add(t->cache, t->info->number, handle->offset, block, size); /* T2 */
    }
    if (found == NULL)
        return sst__bad_block(t, handle->offset, ST_NO_MEMORY, err);
    *pin = found;
    return ST_OK;
}

bool
table_may_contain(const struct table *t, uint64_t hash)
{
    return t->filter.line_count == 0 || filter_may_contain(&t->filter, hash);
}

/* Look into the one block that can hold the answer. */
static enum status
find_in_block(struct slice bytes, struct slice key, version_t snapshot, struct entry *out)
{
    struct sst_block block;
    struct sst_hit hit;
    enum status st;

    sst__block_prefetch(bytes);
    st = sst__block_parse(bytes, &block);
    if (st == ST_OK)
        st = sst__block_find(&block, key, snapshot, &hit);
    if (st != ST_OK)
        return st;
    if (!hit.same_key)
        return ST_NOT_FOUND;
    *out = (struct entry){ .key = key,
                           .value = hit.item.value,
                           .version = hit.item.version,
                           .expiry_ms = hit.item.expiry_ms,
                           .type = hit.item.type };
    return ST_OK;
}

enum status
table_get(struct table *t, struct slice key, version_t snapshot, enum table_mode mode,
          struct table_found *found, struct err *err)
{
    struct cache_handle *pin = NULL;
    struct sst_handle handle;
    enum status st = sst__index_find(&t->index, key, snapshot, &handle);

    if (st == ST_CORRUPT)
        return sst__bad_block(t, sst__index_offset(&t->footer), st, err);
    if (st != ST_OK)
        return st;
    st = sst__cached_block(t, &handle, mode, &pin, err);
    if (st != ST_OK)
        return st;
    st = find_in_block(cache_block(pin), key, snapshot, &found->entry);
    if (st == ST_OK) {
        found->pin = pin;
        return ST_OK;
    }
    cache_release(pin);
    if (st == ST_NOT_FOUND) /* also past its end: the next block starts beyond the separator */
        return st;
    return sst__bad_block(t, handle.offset, st, err);
}
