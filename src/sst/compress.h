/*
 * sst/compress.h — blocks made smaller, and back.
 *
 *      packed :=  raw_size:u32le  what the library made of it
 *
 * lz4 and zstd, through their libraries.  A raw size read from a file is checked
 * against BLOCK_RAW_MAX before anything is allocated.
 */
#ifndef SST_COMPRESS_H
#define SST_COMPRESS_H

#include "base/budget.h"
#include "base/slice.h"
#include "base/status.h"

#include "sst/table.h"

/* The state of one writer. */
struct sst_compressor;

/* NULL when out of memory. */
struct sst_compressor *sst__compressor_create(enum table_compression kind);
void sst__compressor_destroy(struct sst_compressor *c); /* NULL is allowed */

/* Append `raw` to `out`, packed, or as it is when packing does not save 1/8 of
 * it; `*kind` says which. */
MUST_USE enum status sst__pack(struct sst_compressor *c, struct slice raw, struct buf *out,
                               enum table_compression *kind);

/* Contexts of zstd for readers: a hundred kilobytes each, and dear to make, so the
 * few that a node needs at a time are kept.  Thread-safe. */
struct sst_zstd_pool;

struct sst_zstd_pool *sst__zstd_pool_create(struct budget *budget); /* NULL: out of memory */
void sst__zstd_pool_destroy(struct sst_zstd_pool *p);               /* NULL is allowed */

/* The raw size of packed bytes; for TABLE_PLAIN, their own.  ST_CORRUPT when it
 * is out of bounds, or `kind` is unknown. */
MUST_USE enum status sst__unpacked_size(uint8_t kind, struct slice packed, size_t *size);

/* Unpack into `out`, which holds the `size` that sst__unpacked_size() gave.
 * ST_CORRUPT, ST_NO_MEMORY. */
MUST_USE enum status sst__unpack(struct sst_zstd_pool *p, uint8_t kind, struct slice packed,
                                 uint8_t *out, size_t size);

/* The same into memory of its own, which the caller owns on success. */
MUST_USE enum status sst__unpack_new(struct sst_zstd_pool *p, uint8_t kind, struct slice packed,
                                     void **out, size_t *size);

#endif
