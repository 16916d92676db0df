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

enum { RESTART_BYTES = 8, TAIL_BYTES = 16, PREFETCH_BYTES = 512, LINE_BYTES = 64 };

/* Entries, restarts and tail of an ordinary block are its last half kilobyte. */
void
sst__block_prefetch(struct slice bytes)
{
    const uint8_t *limit = bytes.data + bytes.size;
    const uint8_t *at = bytes.size < PREFETCH_BYTES ? bytes.data : limit - PREFETCH_BYTES;

    for (; at < limit; at += LINE_BYTES)
        __builtin_prefetch(at);
}

enum status
sst__block_parse(struct slice bytes, struct sst_block *out)
{
    uint32_t entries_offset;
    const uint8_t *tail;
    struct sst_block b;

    if (bytes.size < TAIL_BYTES || bytes.size > UINT32_MAX)
        return ST_CORRUPT;
    tail = bytes.data + bytes.size - TAIL_BYTES;
    b.data = bytes.data;
    b.base = get_u64le(tail);
    entries_offset = get_u32le(tail + 8);
    b.restart_count = get_u32le(tail + 12);
    if (b.restart_count == 0 || b.restart_count > (bytes.size - TAIL_BYTES) / RESTART_BYTES)
        return ST_CORRUPT;
    b.restarts = tail - (size_t)b.restart_count * RESTART_BYTES;
    if (entries_offset > b.restarts - b.data || get_u64le(b.restarts) != 0)
        return ST_CORRUPT;
    b.entries = b.data + entries_offset;
    *out = b;
    return ST_OK;
}

/* What stands before an entry's key, checked to lie within the block with all that it announces. */
struct header {
    uint32_t version_bytes;
    bool expires;
    enum entry_type type;
    uint32_t shared;
    uint32_t unshared;
    uint32_t value_size;
    const uint8_t *version;
    const uint8_t *key;
};

/* Tag and lengths when each takes one byte; one past them, or NULL when they do not. */
static inline const uint8_t *
read_short(const uint8_t *at, const uint8_t *limit, uint8_t *tag, struct header *h)
{
    uint32_t word;

    if (limit - at < 4)
        return NULL;
    word = get_u32le(at);
    if ((word & 0x80808000) != 0)
        return NULL;
    *tag = (uint8_t)word;
    h->shared = word >> 8 & 0xff;
    h->unshared = word >> 16 & 0xff;
    h->value_size = word >> 24;
    return at + 4;
}

/* The same at any length; NULL when it is malformed. */
static const uint8_t *
read_long(const uint8_t *at, const uint8_t *limit, uint8_t *tag, struct header *h)
{
    uint64_t lengths[3];

    if (at >= limit)
        return NULL;
    *tag = *at++;
    for (int i = 0; i < 3; i++) {
        at = get_varint(at, limit, &lengths[i]);
        if (at == NULL || lengths[i] > UINT32_MAX)
            return NULL;
    }
    h->shared = (uint32_t)lengths[0];
    h->unshared = (uint32_t)lengths[1];
    h->value_size = (uint32_t)lengths[2];
    return at;
}

static inline bool
read_header(const struct sst_block *b, const struct sst_cursor *c, struct header *h)
{
    uint8_t tag = 0;
    const uint8_t *at = read_short(c->entry, b->restarts, &tag, h);

    if (at == NULL)
        at = read_long(c->entry, b->restarts, &tag, h);
    if (at == NULL || (tag & TAG_RESERVED) != 0 || (tag & TAG_TYPE_MASK) >= ENTRY_TYPE_COUNT)
        return false;
    h->type = (enum entry_type)(tag & TAG_TYPE_MASK);
    h->expires = (tag & TAG_EXPIRY) != 0;
    h->version_bytes = tag >> TAG_VERSION_SHIFT & TAG_VERSION_MASK;
    h->version = at;
    h->key = at + h->version_bytes + (h->expires ? 8 : 0);
    if ((uint64_t)h->unshared + (uint64_t)(h->key - at) > (uint64_t)(b->restarts - at) ||
        h->value_size > b->entries - c->value)
        return false;
    return (uint64_t)h->shared + h->unshared <= LIMIT_STORED_KEY_BYTES &&
           (h->type != ENTRY_TOMBSTONE || h->value_size == 0);
}

/* The version, which the header says lies there. */
static inline version_t
read_version(const struct sst_block *b, const struct header *h)
{
    uint64_t v = 0;

    for (uint32_t i = 0; i < h->version_bytes; i++)
        v |= (uint64_t)h->version[i] << (8 * i);
    return unzigzag(v, b->base);
}

/* The whole entry, whose header was read at the cursor. */
static bool
read_item(const struct sst_block *b, const struct sst_cursor *c, const struct header *h,
          struct sst_item *out)
{
    out->version = read_version(b, h);
    out->type = h->type;
    out->expiry_ms = h->expires ? get_u64le(h->version + h->version_bytes) : 0;
    out->shared = h->shared;
    out->suffix = slice_of(h->key, h->unshared);
    out->value = slice_of(c->value, h->value_size);
    return out->version <= VERSION_MAX;
}

static inline void
advance(struct sst_cursor *c, const struct header *h)
{
    c->entry = h->key + h->unshared;
    c->value += h->value_size;
}

bool
sst__block_decode(const struct sst_block *b, struct sst_cursor *c, struct sst_item *out)
{
    struct header h;

    if (!read_header(b, c, &h) || !read_item(b, c, &h, out))
        return false;
    advance(c, &h);
    return true;
}

bool
sst__block_restart(const struct sst_block *b, uint32_t restart, struct sst_cursor *c)
{
    const uint8_t *at = b->restarts + (size_t)restart * RESTART_BYTES;
    uint32_t entry_offset = get_u32le(at);
    uint32_t value_offset = get_u32le(at + 4);

    ASSERT(restart < b->restart_count);
    if (entry_offset >= b->restarts - b->entries || value_offset > b->entries - b->data)
        return false;
    c->entry = b->entries + entry_offset;
    c->value = b->data + value_offset;
    return true;
}

bool
sst__block_restart_item(const struct sst_block *b, uint32_t restart, struct sst_item *out)
{
    struct sst_cursor c;

    return sst__block_restart(b, restart, &c) && sst__block_decode(b, &c, out) && out->shared == 0;
}

enum status
sst__block_search(const struct sst_block *b, uint32_t begin, uint32_t limit, struct slice key,
                  version_t version, uint32_t *first)
{
    while (begin < limit) {
        uint32_t middle = begin + (limit - begin) / 2;
        struct sst_item item;

        if (!sst__block_restart_item(b, middle, &item))
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
place(const struct header *h, struct slice key, size_t *matched)
{
    if (h->shared > *matched)
        return BEFORE;
    if (h->shared < *matched)
        return AFTER;
    return compare_rest(slice_of(h->key, h->unshared), key, matched);
}

/* Where the entries of a run end; NULL when that is malformed. */
static const uint8_t *
run_limit(const struct sst_block *b, uint32_t run)
{
    struct sst_cursor next;

    if (run + 1 == b->restart_count)
        return b->restarts;
    return sst__block_restart(b, run + 1, &next) ? next.entry : NULL;
}

/* The entry at a restart point, which is not before what is looked for. */
static enum status
hit_restart(const struct sst_block *b, uint32_t run, struct slice key, struct sst_hit *out)
{
    out->run = run;
    if (!sst__block_restart(b, run, &out->at))
        return ST_CORRUPT;
    out->next = out->at;
    if (!sst__block_decode(b, &out->next, &out->item) || out->item.shared != 0)
        return ST_CORRUPT;
    out->same_key = slice_equal(out->item.suffix, key);
    return ST_OK;
}

enum status
sst__block_find_in_run(const struct sst_block *b, uint32_t run, struct slice key, version_t version,
                       struct sst_hit *out)
{
    const uint8_t *limit = run_limit(b, run);
    size_t matched = 0;
    struct sst_cursor c;

    if (limit == NULL || !sst__block_restart(b, run, &c))
        return ST_CORRUPT;
    while (c.entry < limit) {
        struct header h;
        enum order order;

        if (!read_header(b, &c, &h))
            return ST_CORRUPT;
        order = place(&h, key, &matched);
        if (order == AFTER || (order == SAME_KEY && read_version(b, &h) <= version)) {
            out->run = run;
            out->same_key = order == SAME_KEY;
            out->at = c;
            out->next = c;
            advance(&out->next, &h);
            return read_item(b, &c, &h, &out->item) ? ST_OK : ST_CORRUPT;
        }
        advance(&c, &h);
    }
    if (run + 1 == b->restart_count)
        return ST_NOT_FOUND;
    return hit_restart(b, run + 1, key, out); /* not before, or the search had led there */
}

enum status
sst__block_find(const struct sst_block *b, struct slice key, version_t version, struct sst_hit *out)
{
    uint32_t first;
    enum status st = sst__block_search(b, 0, b->restart_count, key, version, &first);

    if (st != ST_OK)
        return st;
    return sst__block_find_in_run(b, first == 0 ? 0 : first - 1, key, version, out);
}
