/*
 * sst/format.h — the constants of a table's file (docs/formats/table.md).
 *
 *      table  :=  data-block*  filter-block?  index-block  properties-block  footer
 *      block  :=  payload  compression:u8  checksum:u64le
 *
 * The checksum covers payload and compression byte, and is seeded with the
 * table's seed and the block's offset: a block that was written elsewhere, or by
 * an older file of the same name, does not pass.
 */
#ifndef SST_FORMAT_H
#define SST_FORMAT_H

#include "base/hash.h"
#include "base/limits.h"

enum {
    TABLE_FORMAT = 1, /* written by this code, and the newest that it reads */

    TRAILER_BYTES = 9, /* compression and checksum */
    FOOTER_BYTES = 128,

    BLOCK_BYTES_MIN = 64,
    BLOCK_BYTES_MAX = 1 << 20,
    RESTART_INTERVAL_MAX = 1 << 10,
    INDEX_RESTART_INTERVAL = 8,

    /* What the floors above may wrap around a user's value. */
    STORED_VALUE_BYTES_MAX = LIMIT_VALUE_BYTES + (1 << 20),

    /* A data block before compression: one entry of the largest size after a block of ordinary
     * ones that is just short of full, and headers.  Nothing larger is ever allocated for one. */
    BLOCK_RAW_MAX = STORED_VALUE_BYTES_MAX + LIMIT_STORED_KEY_BYTES + BLOCK_BYTES_MAX + (64 << 10),

    /* The index block, and the filter block: they are read whole at open. */
    INDEX_BYTES_MAX = 1 << 30,
};

static inline uint64_t
sst__seed(uint64_t seed, uint64_t offset)
{
    return hash_u64(hash_u64(seed) ^ offset);
}

#endif
