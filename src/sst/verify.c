/*
 * Verifying a table: everything that reading relies on, for every byte of the file.
 *
 *      each data block   its checksum; entries in strict order, between the
 *                        separators of the index; every key passes the filter
 *      all together      the counts and bounds that the manifest states
 *      the file          filter and properties; the checksum of the whole
 *
 * The file is read once, front to back; only footer, index and filter are read
 * before, and again in their turn.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "sst/table_internal.h"

enum { PIECE_BYTES = 1 << 20 };

struct verifier {
    struct table table;
    struct hash_stream *checksum; /* owned; of the file up to the window's end */
    struct buf window;            /* a part of the file ... */
    uint64_t window_offset;       /* ... that starts here */

    struct sst_block_iter index;
    struct sst_block_iter data;
    struct table_info seen; /* counted so far; `largest` is the last entry's key */
    version_t last_version;
    struct buf separator; /* of the block before */
    version_t separator_version;
    bool has_separator;
    bool has_filter;
};

/* ------------------------------------------------------------------ reading once */

static uint64_t
window_end(const struct verifier *v)
{
    return v->window_offset + v->window.size;
}

/* Make [begin, limit) part of the window; what is before `begin` may go. */
static enum status
slide(struct verifier *v, uint64_t begin, uint64_t limit, struct err *err)
{
    ASSERT(begin >= v->window_offset && begin <= window_end(v));
    if (limit <= window_end(v))
        return ST_OK;
    buf_consume(&v->window, (size_t)(begin - v->window_offset));
    v->window_offset = begin;
    while (window_end(v) < limit) {
        uint64_t at = window_end(v);
        uint64_t left = v->table.info->file_bytes - at;
        size_t piece = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        enum status st = buf_reserve(&v->window, piece);
        uint8_t *bytes;

        if (st != ST_OK)
            return sst__bad_block(&v->table, at, st, err);
        bytes = v->window.data + v->window.size;
        st = sst__read_exactly(v->table.file, TABLE_BLOCK, at, bytes, piece, err);
        if (st != ST_OK)
            return st;
        hash_stream_add(v->checksum, slice_of(bytes, piece));
        v->window.size += piece;
    }
    return ST_OK;
}

/* ------------------------------------------------------------------ one block */

static enum status
disagree(const struct verifier *v, uint64_t offset, const char *what, struct err *err)
{
    return err_raise(err, ST_CORRUPT, "table %s: the block at %" PRIu64 " %s",
                     file_path(v->table.file), offset, what);
}

/* Replace the bytes of a buf. */
static enum status
keep(struct buf *b, struct slice bytes)
{
    b->size = 0;
    return buf_append(b, bytes);
}

static enum status
check_entry(struct verifier *v, uint64_t offset, const struct entry *e, struct err *err)
{
    const struct entry separator = { .key = v->index.key, .version = v->index.item.version };
    struct table_info *seen = &v->seen;
    enum status st;

    if (seen->entry_count > 0 &&
        entry_compare(buf_slice(&seen->largest), v->last_version, e->key, e->version) >= 0)
        return disagree(v, offset, "has entries that are not in order", err);
    if (v->separator.data != NULL &&
        entry_compare(e->key, e->version, buf_slice(&v->separator), v->separator_version) <= 0)
        return disagree(v, offset, "has an entry that belongs before it", err);
    if (entry_compare(e->key, e->version, separator.key, separator.version) > 0)
        return disagree(v, offset, "has an entry that belongs after it", err);
    if (v->has_filter && !table_may_contain(&v->table, hash64(e->key)))
        return disagree(v, offset, "has a key that the filter denies", err);

    st = seen->entry_count == 0 ? keep(&seen->smallest, e->key) : ST_OK;
    if (st == ST_OK)
        st = keep(&seen->largest, e->key);
    if (st != ST_OK)
        return sst__bad_block(&v->table, offset, st, err);
    seen->entry_count++;
    seen->tombstone_count += e->type == ENTRY_TOMBSTONE;
    seen->expiring_count += e->expiry_ms != 0;
    seen->raw_bytes += e->key.size + e->value.size;
    seen->version_min = e->version < seen->version_min ? e->version : seen->version_min;
    seen->version_max = e->version > seen->version_max ? e->version : seen->version_max;
    v->last_version = e->version;
    return ST_OK;
}

static enum status
check_entries(struct verifier *v, uint64_t offset, struct slice raw, struct err *err)
{
    struct sst_block block;
    enum status st = sst__block_parse(raw, &block);

    if (st != ST_OK)
        return sst__bad_block(&v->table, offset, st, err);
    sst__block_iter_set(&v->data, &block);
    st = sst__block_iter_first(&v->data);
    while (st == ST_OK) {
        struct entry e;

        sst__block_iter_entry(&v->data, &e);
        st = check_entry(v, offset, &e, err);
        if (st != ST_OK)
            return st;
        st = sst__block_iter_next(&v->data);
    }
    return st == ST_NOT_FOUND ? ST_OK : sst__bad_block(&v->table, offset, st, err);
}

/* The block that the index's iterator stands on. */
static enum status
check_block(struct verifier *v, struct err *err)
{
    struct sst_handle handle;
    struct slice payload;
    struct slice bytes;
    void *raw;
    size_t size;
    uint8_t kind;
    enum status st = sst__index_handle(v->index.item.value, &handle);

    ASSERT(st == ST_OK); /* sst__index_open() has read it */
    st = slide(v, handle.offset, handle.offset + handle.size, err);
    if (st != ST_OK)
        return st;
    bytes = slice_of(v->window.data + (handle.offset - v->window_offset), handle.size);
    st = sst__open_block(&v->table, handle.offset, bytes, &payload, &kind, err);
    if (st != ST_OK)
        return st;
    st = sst__unpack_new(v->table.zstd, kind, payload, &raw, &size);
    if (st != ST_OK)
        return sst__bad_block(&v->table, handle.offset, st, err);
    st = check_entries(v, handle.offset, slice_of(raw, size), err);
    mem_free(raw);
    if (st != ST_OK)
        return st;
    v->has_separator = true;
    v->separator_version = v->index.item.version;
    st = keep(&v->separator, v->index.key);
    return st == ST_OK ? ST_OK : sst__bad_block(&v->table, handle.offset, st, err);
}

/* ------------------------------------------------------------------ the whole */

/* The key range of the block that the index's iterator stands on. */
static void
tell_range(const struct verifier *v, struct buf *from, struct buf *to)
{
    struct slice begin =
        buf_slice(v->separator.data == NULL ? &v->table.info->smallest : &v->separator);
    struct buf a = buf_empty(LIMIT_STORED_KEY_BYTES);
    struct buf b = buf_empty(LIMIT_STORED_KEY_BYTES);

    if (from == NULL || to == NULL)
        return;
    if (buf_append(&a, begin) != ST_OK || buf_append(&b, v->index.key) != ST_OK) {
        buf_release(&a); /* the range is a courtesy: without memory, the damage alone is told */
        buf_release(&b);
        return;
    }
    *from = a;
    *to = b;
}

static enum status
check_blocks(struct verifier *v, struct buf *from, struct buf *to, struct err *err)
{
    enum status st = sst__block_iter_first(&v->index);

    while (st == ST_OK) {
        st = check_block(v, err);
        if (st == ST_CORRUPT)
            tell_range(v, from, to);
        if (st != ST_OK)
            return st;
        st = sst__block_iter_next(&v->index);
    }
    return st == ST_NOT_FOUND
               ? ST_OK
               : sst__bad_block(&v->table, sst__index_offset(&v->table.footer), st, err);
}

/* What was counted is what the manifest states. */
static enum status
check_counts(const struct verifier *v, struct err *err)
{
    const struct table_info *want = v->table.info;
    const struct table_info *seen = &v->seen;

    if (seen->entry_count == want->entry_count && seen->tombstone_count == want->tombstone_count &&
        seen->expiring_count == want->expiring_count && seen->raw_bytes == want->raw_bytes &&
        seen->version_min == want->version_min && seen->version_max == want->version_max &&
        slice_equal(buf_slice(&seen->smallest), buf_slice(&want->smallest)) &&
        slice_equal(buf_slice(&seen->largest), buf_slice(&want->largest)))
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "table %s: its entries are not those that its manifest counts",
                     file_path(v->table.file));
}

static enum status
check_file(struct verifier *v, struct err *err)
{
    uint64_t end = v->table.info->file_bytes;
    enum status st = ST_OK;

    while (st == ST_OK && window_end(v) < end)
        st = slide(v, window_end(v), window_end(v) + 1, err);
    if (st != ST_OK)
        return st;
    if (hash_stream_value(v->checksum) == v->table.info->checksum)
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "table %s: every block is intact, but the file is not the one that its "
                     "manifest names",
                     file_path(v->table.file));
}

static enum status
verify(struct verifier *v, struct buf *from, struct buf *to, struct err *err)
{
    struct err filter_err;
    enum status filter;
    enum status st = sst__load_footer(&v->table, err);

    if (st == ST_OK)
        st = sst__load_index(&v->table, err);
    if (st != ST_OK)
        return st;
    filter = sst__load_filter(&v->table, &filter_err);
    v->has_filter = filter == ST_OK;
    sst__block_iter_set(&v->index, &v->table.index.block);
    st = check_blocks(v, from, to, err);
    if (st == ST_OK && filter != ST_OK) {
        if (err != NULL)
            *err = filter_err; /* it lies after the data, and is told after it */
        return filter;
    }
    if (st == ST_OK)
        st = sst__check_properties(&v->table, err);
    if (st == ST_OK)
        st = check_counts(v, err);
    return st == ST_OK ? check_file(v, err) : st;
}

static void
verifier_init(struct verifier *v, const struct table_info *info)
{
    *v = (struct verifier){ .table.info = info };
    v->window = buf_empty(BLOCK_RAW_MAX + 2 * PIECE_BYTES);
    v->separator = buf_empty(LIMIT_STORED_KEY_BYTES);
    v->seen.version_min = VERSION_MAX;
    v->seen.smallest = buf_empty(LIMIT_STORED_KEY_BYTES);
    v->seen.largest = buf_empty(LIMIT_STORED_KEY_BYTES);
    sst__block_iter_init(&v->index);
    sst__block_iter_init(&v->data);
}

static void
verifier_release(struct verifier *v)
{
    hash_stream_destroy(v->checksum);
    buf_release(&v->window);
    buf_release(&v->separator);
    table_info_release(&v->seen);
    sst__block_iter_release(&v->index);
    sst__block_iter_release(&v->data);
    sst__zstd_pool_destroy(v->table.zstd);
    sst__unload(&v->table);
    file_close(v->table.file);
}

enum status
table_verify(struct env *env, const char *path, const struct table_info *info,
             struct buf *damaged_from, struct buf *damaged_to, struct err *err)
{
    struct verifier v;
    enum status st;

    verifier_init(&v, info);
    v.checksum = hash_stream_create(info->seed);
    v.table.zstd = sst__zstd_pool_create(NULL);
    if (v.checksum == NULL || v.table.zstd == NULL)
        st = err_raise(err, ST_NO_MEMORY, "table %s: out of memory", path);
    else
        st = env_open(env, path, ENV_OPEN_READ, &v.table.file, err);
    if (st == ST_OK)
        st = verify(&v, damaged_from, damaged_to, err);
    verifier_release(&v);
    return st;
}
