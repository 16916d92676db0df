/* Writing blocks; the format is in block.h. */
#include "base/assert.h"
#include "base/coding.h"

#include "sst/block.h"
#include "sst/block_bits.h"

enum { ENTRY_HEADER_MAX = 1 + 3 * 5 + 7 + 8, RESTART_BYTES = 8, TAIL_BYTES = 16 };

void
sst__block_builder_init(struct sst_block_builder *b, uint32_t restart_interval, size_t bytes_max)
{
    ASSERT(restart_interval > 0);
    *b = (struct sst_block_builder){ .restart_interval = restart_interval };
    b->values = buf_empty(bytes_max);
    b->entries = buf_empty(bytes_max);
    b->restarts = buf_empty(bytes_max);
    b->key = buf_empty(SIZE_MAX);
}

void
sst__block_builder_release(struct sst_block_builder *b)
{
    buf_release(&b->values);
    buf_release(&b->entries);
    buf_release(&b->restarts);
    buf_release(&b->key);
}

/* The entry's header at `at`; one past it. */
static uint8_t *
put_header(const struct sst_block_builder *b, const struct entry *e, size_t shared, uint8_t *at)
{
    uint64_t version = zigzag(e->version, b->base);
    uint32_t version_bytes = bytes_needed(version);

    *at++ = tag_of(e->type, e->expiry_ms != 0, version_bytes);
    at = put_varint(at, shared);
    at = put_varint(at, e->key.size - shared);
    at = put_varint(at, e->value.size);
    for (uint32_t i = 0; i < version_bytes; i++)
        *at++ = (uint8_t)(version >> (8 * i));
    if (e->expiry_ms != 0) {
        put_u64le(at, e->expiry_ms);
        at += 8;
    }
    return at;
}

/* Room for one more entry of every kind, so that nothing fails half-way. */
static enum status
reserve(struct sst_block_builder *b, const struct entry *e, size_t unshared)
{
    size_t key_room = e->key.size > b->key.size ? e->key.size - b->key.size : 0;
    enum status st = buf_reserve(&b->values, e->value.size);

    if (st == ST_OK)
        st = buf_reserve(&b->entries, ENTRY_HEADER_MAX + unshared);
    if (st == ST_OK)
        st = buf_reserve(&b->restarts, RESTART_BYTES);
    if (st == ST_OK)
        st = buf_reserve(&b->key, key_room);
    return st;
}

/* Append where there is room. */
static void
append(struct buf *b, struct slice bytes)
{
    ASSERT(bytes.size <= b->capacity - b->size);
    if (bytes.size > 0)
        memcpy(b->data + b->size, bytes.data, bytes.size);
    b->size += bytes.size;
}

static void
add_restart(struct sst_block_builder *b)
{
    uint8_t restart[RESTART_BYTES];

    put_u32le(restart, (uint32_t)b->entries.size);
    put_u32le(restart + 4, (uint32_t)b->values.size);
    append(&b->restarts, slice_of(restart, sizeof(restart)));
    b->run_count = 0;
}

enum status
sst__block_add(struct sst_block_builder *b, const struct entry *e)
{
    bool restart = b->entry_count == 0 || b->run_count == b->restart_interval;
    size_t shared = restart ? 0 : common_prefix(buf_slice(&b->key), e->key);
    enum status st = reserve(b, e, e->key.size - shared);
    uint8_t *at;

    ASSERT(b->entry_count == 0 ||
           entry_compare(buf_slice(&b->key), b->version, e->key, e->version) < 0);
    if (st != ST_OK)
        return st;
    if (b->entry_count == 0)
        b->base = e->version;
    if (restart)
        add_restart(b);
    at = put_header(b, e, shared, b->entries.data + b->entries.size);
    b->entries.size = (size_t)(at - b->entries.data);
    append(&b->entries, slice_of(e->key.data + shared, e->key.size - shared));
    append(&b->values, e->value);
    b->key.size = 0;
    append(&b->key, e->key);
    b->version = e->version;
    b->run_count++;
    b->entry_count++;
    return ST_OK;
}

size_t
sst__block_bytes(const struct sst_block_builder *b)
{
    return b->values.size + b->entries.size + b->restarts.size + TAIL_BYTES;
}

enum status
sst__block_finish(struct sst_block_builder *b, struct slice *out)
{
    uint32_t entries_offset = (uint32_t)b->values.size;
    enum status st = buf_reserve(&b->values, b->entries.size + b->restarts.size + TAIL_BYTES);
    uint8_t tail[TAIL_BYTES];

    ASSERT(b->entry_count > 0);
    if (st != ST_OK)
        return st;
    put_u64le(tail, b->base);
    put_u32le(tail + 8, entries_offset);
    put_u32le(tail + 12, (uint32_t)(b->restarts.size / RESTART_BYTES));
    append(&b->values, buf_slice(&b->entries));
    append(&b->values, buf_slice(&b->restarts));
    append(&b->values, slice_of(tail, sizeof(tail)));
    *out = buf_slice(&b->values);
    return ST_OK;
}

void
sst__block_reset(struct sst_block_builder *b)
{
    b->values.size = 0;
    b->entries.size = 0;
    b->restarts.size = 0;
    b->key.size = 0;
    b->run_count = 0;
    b->entry_count = 0;
}
