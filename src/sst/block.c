/*
 * Searching blocks; the format is in block.h.
 *
 * THE SCAN OF A RUN puts no key together.  It keeps only `matched`: how many bytes
 * of the key that is looked for the last entry's key began with; that entry is
 * before it.  The next entry shares `shared` bytes with the last one:
 *
 *      shared > matched    it differs from the key where the last one did: before
 *      shared < matched    it is greater than the last one within what that one had
 *                          in common with the key: after
 *      shared = matched    what follows decides
 *
 * which holds because `shared` is as long as it can be, and keys ascend.
 */
#include "sst/block.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/limits.h"

#include "sst/block_bits.h"

enum { TAIL_BYTES = 12, RESTART_BYTES = 4 };

enum status
sst__block_parse(struct slice bytes, struct sst_block *out)
{
    const uint8_t *tail;
    struct sst_block b;

    if (bytes.size < TAIL_BYTES || bytes.size > UINT32_MAX)
        return ST_CORRUPT;
    tail = bytes.data + bytes.size - TAIL_BYTES;
    b.data = bytes.data;
    b.base = get_u64le(tail);
    b.restart_count = get_u32le(tail + 8);
    if (b.restart_count == 0 || b.base > VERSION_MAX)
        return ST_CORRUPT;
    if (b.restart_count > (bytes.size - TAIL_BYTES) / RESTART_BYTES)
        return ST_CORRUPT;
    b.restarts = tail - (size_t)b.restart_count * RESTART_BYTES;
    if (get_u32le(b.restarts) != 0)
        return ST_CORRUPT;
    *out = b;
    return ST_OK;
}

/* The three lengths of an entry's header; one past them, or NULL. */
static inline const uint8_t *
decode_lengths(const uint8_t *at, const uint8_t *limit, uint64_t lengths[3])
{
    if (limit - at >= 3 && ((at[0] | at[1] | at[2]) & 0x80) == 0) {
        lengths[0] = at[0];
        lengths[1] = at[1];
        lengths[2] = at[2];
        return at + 3;
    }
    for (int i = 0; i < 3; i++) {
        at = get_varint(at, limit, &lengths[i]);
        if (at == NULL || lengths[i] > UINT32_MAX)
            return NULL;
    }
    return at;
}

/* `size` bytes, at most 7, least significant first. */
static inline uint64_t
load_bytes(const uint8_t *at, const uint8_t *limit, uint32_t size)
{
    uint64_t v = 0;

    if (limit - at >= 8)
        return get_u64le(at) & ((UINT64_C(1) << (8 * size)) - 1);
    for (uint32_t i = 0; i < size; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

const uint8_t *
sst__block_decode(const struct sst_block *b, const uint8_t *at, struct sst_item *out)
{
    const uint8_t *limit = b->restarts;
    uint32_t version_bytes;
    uint64_t lengths[3];
    uint8_t tag;

    if (at >= limit)
        return NULL;
    tag = *at++;
    at = decode_lengths(at, limit, lengths);
    if (at == NULL || (tag & TAG_RESERVED) != 0 || (tag & TAG_TYPE_MASK) >= ENTRY_TYPE_COUNT)
        return NULL;
    version_bytes = tag >> TAG_VERSION_SHIFT & TAG_VERSION_MASK;
    out->type = (enum entry_type)(tag & TAG_TYPE_MASK);
    out->has_expiry = (tag & TAG_EXPIRY) != 0;
    if (lengths[1] + lengths[2] + version_bytes + (out->has_expiry ? 8u : 0u) >
        (uint64_t)(limit - at))
        return NULL;
    if (lengths[0] + lengths[1] > LIMIT_STORED_KEY_BYTES ||
        (out->type == ENTRY_TOMBSTONE && lengths[2] > 0))
        return NULL;

    out->version = unzigzag(load_bytes(at, limit, version_bytes), b->base);
    at += version_bytes;
    out->expiry_ms = out->has_expiry ? get_u64le(at) : 0;
    at += out->has_expiry ? 8 : 0;
    out->shared = (uint32_t)lengths[0];
    out->suffix = slice_of(at, lengths[1]);
    out->value = slice_of(at + lengths[1], lengths[2]);
    return out->version > VERSION_MAX ? NULL : at + lengths[1] + lengths[2];
}

/* Where a run begins; one past its entries for `restart_count`.  NULL when it lies outside. */
static const uint8_t *
run_begin(const struct sst_block *b, uint32_t run)
{
    uint32_t offset;

    if (run == b->restart_count)
        return b->restarts;
    offset = get_u32le(b->restarts + (size_t)run * RESTART_BYTES);
    return offset < b->restarts - b->data ? b->data + offset : NULL;
}

const uint8_t *
sst__block_restart(const struct sst_block *b, uint32_t restart, struct sst_item *out)
{
    const uint8_t *at = run_begin(b, restart);

    ASSERT(restart < b->restart_count);
    if (at == NULL || sst__block_decode(b, at, out) == NULL || out->shared != 0)
        return NULL;
    return at;
}

enum status
sst__block_search(const struct sst_block *b, uint32_t begin, uint32_t limit, struct slice key,
                  version_t version, uint32_t *first)
{
    while (begin < limit) {
        uint32_t middle = begin + (limit - begin) / 2;
        struct sst_item item;

        if (sst__block_restart(b, middle, &item) == NULL)
            return ST_CORRUPT;
        if (entry_compare(item.suffix, item.version, key, version) < 0)
            begin = middle + 1;
        else
            limit = middle;
    }
    *first = begin;
    return ST_OK;
}

enum order { BEFORE, AFTER, SAME_KEY };

/* What is decided by what follows the first `*matched` bytes, which are equal. */
static inline enum order
compare_rest(struct slice suffix, struct slice key, size_t *matched)
{
    struct slice rest = slice_of(key.data + *matched, key.size - *matched);
    size_t common = common_prefix(suffix, rest);

    *matched += common;
    if (common < suffix.size && common < rest.size)
        return suffix.data[common] < rest.data[common] ? BEFORE : AFTER;
    if (common < suffix.size)
        return AFTER;
    return common < rest.size ? BEFORE : SAME_KEY;
}

static inline enum order
place_item(const struct sst_item *item, struct slice key, size_t *matched)
{
    if (item->shared > *matched)
        return BEFORE;
    if (item->shared < *matched)
        return AFTER;
    return compare_rest(item->suffix, key, matched);
}

enum status
sst__block_find_in_run(const struct sst_block *b, uint32_t run, struct slice key, version_t version,
                       struct sst_item *out, bool *same_key)
{
    const uint8_t *at = sst__block_restart(b, run, out);
    const uint8_t *limit = run_begin(b, run + 1);
    size_t matched = 0;

    if (at == NULL || limit == NULL)
        return ST_CORRUPT;
    while (at < limit) {
        enum order order;

        at = sst__block_decode(b, at, out);
        if (at == NULL)
            return ST_CORRUPT;
        order = place_item(out, key, &matched);
        *same_key = order == SAME_KEY;
        if (order == AFTER || (order == SAME_KEY && out->version <= version))
            return ST_OK;
    }
    if (run + 1 == b->restart_count)
        return ST_NOT_FOUND;
    if (sst__block_restart(b, run + 1, out) == NULL) /* not before, or the search had led there */
        return ST_CORRUPT;
    *same_key = slice_equal(out->suffix, key);
    return ST_OK;
}

enum status
sst__block_find(const struct sst_block *b, struct slice key, version_t version,
                struct sst_item *out, bool *same_key)
{
    uint32_t first;
    enum status st = sst__block_search(b, 0, b->restart_count, key, version, &first);

    if (st != ST_OK)
        return st;
    return sst__block_find_in_run(b, first == 0 ? 0 : first - 1, key, version, out, same_key);
}
