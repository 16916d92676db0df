#include "sst/index.h"

#include "base/coding.h"
#include "base/mem.h"

#include "sst/block_bits.h"
#include "sst/format.h"

void
sst__index_separator(const struct entry *last, const struct entry *next, uint8_t *room,
                     struct slice *key, version_t *version)
{
    size_t shared = common_prefix(last->key, next->key);

    *key = last->key;
    *version = 0; /* after all versions of the key */
    if (slice_equal(last->key, next->key)) {
        *version = last->version;
        return;
    }
    if (shared == last->key.size)
        return;
    if (shared + 1 < next->key.size) {
        *key = slice_of(next->key.data, shared + 1); /* greater than `last`, a prefix of `next` */
        return;
    }
    if (last->key.data[shared] + 1 < next->key.data[shared]) {
        memcpy(room, last->key.data, shared + 1);
        room[shared]++;
        *key = slice_of(room, shared + 1);
    }
}

enum status
sst__index_add(struct sst_block_builder *b, struct slice key, version_t version,
               const struct sst_handle *handle)
{
    uint8_t value[2 * VARINT_BYTES_MAX];
    uint8_t *at = put_varint(put_varint(value, handle->offset), handle->size);
    struct entry e = { .key = key,
                       .value = slice_of(value, (size_t)(at - value)),
                       .version = version,
                       .type = ENTRY_VALUE };

    return sst__block_add(b, &e);
}

enum status
sst__index_handle(struct slice value, struct sst_handle *out)
{
    struct reader r = reader_of(value);
    uint64_t offset = read_varint(&r);
    uint64_t size = read_varint(&r);

    if (r.bad || reader_left(&r) != 0 || size <= TRAILER_BYTES ||
        size > BLOCK_RAW_MAX + TRAILER_BYTES)
        return ST_CORRUPT;
    *out = (struct sst_handle){ offset, (uint32_t)size };
    return ST_OK;
}

/* ------------------------------------------------------------------ checking */

/* What has been seen of an index so far. */
struct walk {
    struct sst_block_iter at;
    struct buf key; /* of the entry before */
    version_t version;
    uint64_t count;
    uint64_t data_bytes;
};

static enum status
check_entry(struct walk *w)
{
    struct sst_handle handle;
    enum status st;
    struct entry e;

    sst__block_iter_entry(&w->at, &e);
    if (w->count > 0 && entry_compare(buf_slice(&w->key), w->version, e.key, e.version) >= 0)
        return ST_CORRUPT;
    st = sst__index_handle(e.value, &handle);
    if (st != ST_OK)
        return st;
    if (handle.offset != w->data_bytes)
        return ST_CORRUPT;
    w->data_bytes += handle.size;
    w->version = e.version;
    w->count++;
    w->key.size = 0;
    return buf_append(&w->key, e.key);
}

static enum status
check_all(const struct sst_block *b, uint64_t block_count, uint64_t data_bytes)
{
    struct walk w = { .key = buf_empty(LIMIT_STORED_KEY_BYTES) };
    enum status st;

    sst__block_iter_init(&w.at);
    sst__block_iter_set(&w.at, b);
    st = sst__block_iter_first(&w.at);
    while (st == ST_OK) {
        st = check_entry(&w);
        if (st == ST_OK)
            st = sst__block_iter_next(&w.at);
    }
    if (st == ST_NOT_FOUND)
        st = w.count == block_count && w.data_bytes == data_bytes ? ST_OK : ST_CORRUPT;
    sst__block_iter_release(&w.at);
    buf_release(&w.key);
    return st;
}

/* ------------------------------------------------------------------ searching */

/* The eight bytes after the common ones. */
static uint64_t
prefix_after(struct slice key, size_t common)
{
    return get_prefix_be(slice_of(key.data + common, key.size - common));
}

/* Restarts are whole keys in ascending order, so what the first and the last have in common, all
 * have. */
static enum status
load_prefixes(struct sst_index *x)
{
    uint32_t count = x->block.restart_count;
    struct sst_item first;
    struct sst_item item;

    if (!sst__block_restart_item(&x->block, 0, &first) ||
        !sst__block_restart_item(&x->block, count - 1, &item))
        return ST_CORRUPT;
    x->common = slice_of(first.suffix.data, common_prefix(first.suffix, item.suffix));
    x->prefixes = mem_new_array(uint64_t, count);
    if (x->prefixes == NULL)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        if (!sst__block_restart_item(&x->block, i, &item) ||
            !slice_starts_with(item.suffix, x->common))
            return ST_CORRUPT;
        x->prefixes[i] = prefix_after(item.suffix, x->common.size);
    }
    return ST_OK;
}

enum status
sst__index_open(struct slice bytes, uint64_t block_count, uint64_t data_bytes,
                struct sst_index *out)
{
    struct sst_index x = { 0 };
    enum status st = sst__block_parse(bytes, &x.block);

    if (st == ST_OK)
        st = check_all(&x.block, block_count, data_bytes);
    if (st == ST_OK)
        st = load_prefixes(&x);
    if (st != ST_OK) {
        sst__index_release(&x);
        return st;
    }
    *out = x;
    return ST_OK;
}

void
sst__index_release(struct sst_index *x)
{
    mem_free(x->prefixes);
    x->prefixes = NULL;
}

size_t
sst__index_memory(const struct sst_index *x)
{
    return x->block.restart_count * sizeof(x->prefixes[0]);
}

/* How many of the prefixes are below `prefix`; no branch that could be mispredicted. */
static uint32_t
count_below(const uint64_t *prefixes, uint32_t count, uint64_t prefix)
{
    const uint64_t *at = prefixes;

    while (count > 1) {
        uint32_t half = count / 2;

        at += at[half - 1] < prefix ? half : 0;
        count -= half;
    }
    return (uint32_t)(at - prefixes) + (count == 1 && *at < prefix);
}

/* The run of the index block to scan for (key, version). */
static enum status
choose_run(const struct sst_index *x, struct slice key, version_t version, uint32_t *run)
{
    uint32_t count = x->block.restart_count;
    struct slice head = slice_of(key.data, key.size < x->common.size ? key.size : x->common.size);
    int order = slice_compare(head, x->common);
    uint32_t first = order < 0 ? 0 : count;
    enum status st = ST_OK;

    if (order == 0) {
        uint64_t prefix = prefix_after(key, x->common.size);
        uint32_t begin = count_below(x->prefixes, count, prefix);
        uint32_t limit = prefix == UINT64_MAX ? count : count_below(x->prefixes, count, prefix + 1);

        st = sst__block_search(&x->block, begin, limit, key, version, &first);
    }
    *run = first == 0 ? 0 : first - 1;
    return st;
}

enum status
sst__index_find(const struct sst_index *x, struct slice key, version_t version,
                struct sst_handle *out)
{
    struct sst_hit hit;
    uint32_t run;
    enum status st = choose_run(x, key, version, &run);

    if (st == ST_OK)
        st = sst__block_find_in_run(&x->block, run, key, version, &hit);
    return st == ST_OK ? sst__index_handle(hit.item.value, out) : st;
}

enum status
sst__index_seek(const struct sst_index *x, struct sst_block_iter *it, struct slice key,
                version_t version)
{
    uint32_t run;
    enum status st = choose_run(x, key, version, &run);

    if (st != ST_OK)
        return st;
    return sst__block_iter_seek_run(it, run, key, version);
}
