/* The contexts of zstd are made by its static-only entry points, because only these take an
 * allocator: their memory must belong to the node (base/mem.h), and be able to run out. */
#define ZSTD_STATIC_LINKING_ONLY
#include "sst/compress.h"

#include <lz4.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/lock.h"
#include "base/mem.h"

#include "sst/format.h"

enum { RAW_SIZE_BYTES = 4, ZSTD_LEVEL = 3, LZ4_ACCELERATION = 1, SPARE_MAX = 4 };

struct sst_compressor {
    enum table_compression kind;
    void *lz4;       /* owned; for TABLE_LZ4 */
    ZSTD_CCtx *zstd; /* owned; for TABLE_ZSTD */
};

struct sst_zstd_pool {
    struct lock lock;
    struct budget *budget;
    ZSTD_DCtx *spare[SPARE_MAX]; /* owned */
    uint32_t spare_count;
};

static void *
zstd_alloc(void *opaque, size_t size)
{
    (void)opaque;
    return mem_alloc(size);
}

static void
zstd_free(void *opaque, void *block)
{
    (void)opaque;
    mem_free(block);
}

static ZSTD_customMem
zstd_memory(void)
{
    return (ZSTD_customMem){ .customAlloc = zstd_alloc, .customFree = zstd_free };
}

/* ------------------------------------------------------------------ packing */

struct sst_compressor *
sst__compressor_create(enum table_compression kind)
{
    struct sst_compressor *c = mem_new(struct sst_compressor);

    if (c == NULL)
        return NULL;
    c->kind = kind;
    if (kind == TABLE_LZ4)
        c->lz4 = mem_alloc((size_t)LZ4_sizeofState());
    if (kind == TABLE_ZSTD)
        c->zstd = ZSTD_createCCtx_advanced(zstd_memory());
    if ((kind == TABLE_LZ4 && c->lz4 == NULL) || (kind == TABLE_ZSTD && c->zstd == NULL)) {
        sst__compressor_destroy(c);
        return NULL;
    }
    return c;
}

void
sst__compressor_destroy(struct sst_compressor *c)
{
    if (c == NULL)
        return;
    mem_free(c->lz4);
    ZSTD_freeCCtx(c->zstd);
    mem_free(c);
}

/* `room` is less than the raw size on purpose: what does not fit is not worth it.  0 in `*size`
 * says so. */
static enum status
pack_zstd(struct sst_compressor *c, struct slice raw, uint8_t *out, size_t room, size_t *size)
{
    size_t made = ZSTD_compressCCtx(c->zstd, out, room, raw.data, raw.size, ZSTD_LEVEL);

    *size = ZSTD_isError(made) ? 0 : made;
    if (ZSTD_getErrorCode(made) == ZSTD_error_memory_allocation)
        return ST_NO_MEMORY;
    return ST_OK;
}

static size_t
pack_lz4(struct sst_compressor *c, struct slice raw, uint8_t *out, size_t room)
{
    int made = LZ4_compress_fast_extState(c->lz4, (const char *)raw.data, (char *)out,
                                          (int)raw.size, (int)room, LZ4_ACCELERATION);

    return made <= 0 ? 0 : (size_t)made;
}

enum status
sst__pack(struct sst_compressor *c, struct slice raw, struct buf *out, enum table_compression *kind)
{
    size_t most = raw.size - raw.size / 8;
    size_t size = 0;
    enum status st = buf_reserve(out, raw.size + RAW_SIZE_BYTES);
    uint8_t *at;

    ASSERT(raw.size <= BLOCK_RAW_MAX);
    if (st != ST_OK)
        return st;
    at = out->data + out->size;
    if (c->kind == TABLE_LZ4 && most > RAW_SIZE_BYTES)
        size = pack_lz4(c, raw, at + RAW_SIZE_BYTES, most - RAW_SIZE_BYTES);
    if (c->kind == TABLE_ZSTD && most > RAW_SIZE_BYTES)
        st = pack_zstd(c, raw, at + RAW_SIZE_BYTES, most - RAW_SIZE_BYTES, &size);
    if (st != ST_OK)
        return st;
    if (size == 0) {
        *kind = TABLE_PLAIN;
        return buf_append(out, raw);
    }
    put_u32le(at, (uint32_t)raw.size);
    out->size += RAW_SIZE_BYTES + size;
    *kind = c->kind;
    return ST_OK;
}

/* ------------------------------------------------------------------ unpacking */

struct sst_zstd_pool *
sst__zstd_pool_create(struct budget *budget)
{
    struct sst_zstd_pool *p = mem_new(struct sst_zstd_pool);

    if (p == NULL)
        return NULL;
    p->budget = budget;
    lock_init(&p->lock);
    return p;
}

static void
context_free(struct sst_zstd_pool *p, ZSTD_DCtx *context)
{
    if (p->budget != NULL)
        budget_return(p->budget, ZSTD_sizeof_DCtx(context));
    ZSTD_freeDCtx(context);
}

void
sst__zstd_pool_destroy(struct sst_zstd_pool *p)
{
    if (p == NULL)
        return;
    while (p->spare_count > 0)
        context_free(p, p->spare[--p->spare_count]);
    lock_release(&p->lock);
    mem_free(p);
}

/* A spare one, or a new one; NULL when out of memory. */
static ZSTD_DCtx *
context_take(struct sst_zstd_pool *p)
{
    ZSTD_DCtx *context = NULL;

    lock_take(&p->lock);
    if (p->spare_count > 0)
        context = p->spare[--p->spare_count];
    lock_drop(&p->lock);
    if (context != NULL)
        return context;
    context = ZSTD_createDCtx_advanced(zstd_memory());
    if (context != NULL && p->budget != NULL)
        budget_charge(p->budget, ZSTD_sizeof_DCtx(context));
    return context;
}

static void
context_give(struct sst_zstd_pool *p, ZSTD_DCtx *context)
{
    lock_take(&p->lock);
    if (p->spare_count < SPARE_MAX) {
        p->spare[p->spare_count++] = context;
        context = NULL;
    }
    lock_drop(&p->lock);
    if (context != NULL)
        context_free(p, context);
}

enum status
sst__unpacked_size(uint8_t kind, struct slice packed, size_t *size)
{
    uint32_t raw_size;

    if (kind == TABLE_PLAIN) {
        *size = packed.size;
        return packed.size > BLOCK_RAW_MAX ? ST_CORRUPT : ST_OK;
    }
    if ((kind != TABLE_LZ4 && kind != TABLE_ZSTD) || packed.size < RAW_SIZE_BYTES)
        return ST_CORRUPT;
    raw_size = get_u32le(packed.data);
    if (raw_size > BLOCK_RAW_MAX || packed.size > BLOCK_RAW_MAX)
        return ST_CORRUPT;
    *size = raw_size;
    return ST_OK;
}

static enum status
unpack_zstd(struct sst_zstd_pool *p, struct slice body, uint8_t *out, size_t size)
{
    ZSTD_DCtx *context = context_take(p);
    size_t made;

    if (context == NULL)
        return ST_NO_MEMORY;
    made = ZSTD_decompressDCtx(context, out, size, body.data, body.size);
    context_give(p, context);
    if (ZSTD_getErrorCode(made) == ZSTD_error_memory_allocation)
        return ST_NO_MEMORY;
    return made == size ? ST_OK : ST_CORRUPT;
}

enum status
sst__unpack(struct sst_zstd_pool *p, uint8_t kind, struct slice packed, uint8_t *out, size_t size)
{
    struct slice body;

    if (kind == TABLE_PLAIN) {
        ASSERT(size == packed.size);
        memcpy(out, packed.data, size);
        return ST_OK;
    }
    ASSERT(packed.size >= RAW_SIZE_BYTES && size <= BLOCK_RAW_MAX);
    body = slice_of(packed.data + RAW_SIZE_BYTES, packed.size - RAW_SIZE_BYTES);
    if (kind == TABLE_ZSTD)
        return unpack_zstd(p, body, out, size);
    if (LZ4_decompress_safe((const char *)body.data, (char *)out, (int)body.size, (int)size) !=
        (int)size)
        return ST_CORRUPT;
    return ST_OK;
}

enum status
sst__unpack_new(struct sst_zstd_pool *p, uint8_t kind, struct slice packed, void **out,
                size_t *size)
{
    size_t raw_size;
    enum status st = sst__unpacked_size(kind, packed, &raw_size);
    uint8_t *raw;

    if (st != ST_OK)
        return st;
    raw = mem_alloc(raw_size);
    if (raw == NULL)
        return ST_NO_MEMORY;
    st = sst__unpack(p, kind, packed, raw, raw_size);
    if (st != ST_OK) {
        mem_free(raw);
        return st;
    }
    *out = raw;
    *size = raw_size;
    return ST_OK;
}
