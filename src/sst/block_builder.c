/* Writing blocks; the format is in block.h. */
#include "base/assert.h"
#include "base/coding.h"

#include "sst/block.h"
#include "sst/block_bits.h"

enum { ENTRY_HEADER_MAX = 1 + 3 * 5 + 7 + 8, TAIL_BYTES = 12 };

void
sst__block_builder_init(struct sst_block_builder *b, uint32_t restart_interval, size_t bytes_max)
{
    ASSERT(restart_interval > 0);
    *b = (struct sst_block_builder){ .restart_interval = restart_interval };
    b->bytes = buf_empty(bytes_max);
    b->restarts = buf_empty(bytes_max);
    b->key = buf_empty(SIZE_MAX);
}

void
sst__block_builder_release(struct sst_block_builder *b)
{
    buf_release(&b->bytes);
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

static uint8_t *
put_bytes(uint8_t *at, const uint8_t *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

enum status
sst__block_add(struct sst_block_builder *b, const struct entry *e)
{
    bool restart = b->entry_count == 0 || b->run_count == b->restart_interval;
    size_t shared = restart ? 0 : common_prefix(buf_slice(&b->key), e->key);
    size_t key_room = e->key.size > b->key.size ? e->key.size - b->key.size : 0;
    enum status st;
    uint8_t *at;

    ASSERT(b->entry_count == 0 ||
           entry_compare(buf_slice(&b->key), b->version, e->key, e->version) < 0);
    st = buf_reserve(&b->bytes, ENTRY_HEADER_MAX + e->key.size - shared + e->value.size);
    if (st == ST_OK)
        st = buf_reserve(&b->key, key_room);
    if (st == ST_OK && restart)
        st = append_u32(&b->restarts, (uint32_t)b->bytes.size);
    if (st != ST_OK)
        return st;

    if (b->entry_count == 0)
        b->base = e->version;
    at = put_header(b, e, shared, b->bytes.data + b->bytes.size);
    at = put_bytes(at, e->key.data + shared, e->key.size - shared);
    at = put_bytes(at, e->value.data, e->value.size);
    b->bytes.size = (size_t)(at - b->bytes.data);

    b->key.size = (size_t)(put_bytes(b->key.data, e->key.data, e->key.size) - b->key.data);
    b->version = e->version;
    b->run_count = restart ? 1 : b->run_count + 1;
    b->entry_count++;
    return ST_OK;
}

size_t
sst__block_bytes(const struct sst_block_builder *b)
{
    return b->bytes.size + b->restarts.size + TAIL_BYTES;
}

enum status
sst__block_finish(struct sst_block_builder *b, struct slice *out)
{
    size_t entries_end = b->bytes.size;
    enum status st = buf_reserve(&b->bytes, b->restarts.size + TAIL_BYTES);

    ASSERT(b->entry_count > 0);
    if (st == ST_OK)
        st = buf_append(&b->bytes, buf_slice(&b->restarts));
    if (st == ST_OK)
        st = append_u64(&b->bytes, b->base);
    if (st == ST_OK)
        st = append_u32(&b->bytes, (uint32_t)(b->restarts.size / 4));
    if (st != ST_OK) {
        b->bytes.size = entries_end;
        return st;
    }
    *out = buf_slice(&b->bytes);
    return ST_OK;
}

void
sst__block_reset(struct sst_block_builder *b)
{
    b->bytes.size = 0;
    b->restarts.size = 0;
    b->key.size = 0;
    b->run_count = 0;
    b->entry_count = 0;
}
