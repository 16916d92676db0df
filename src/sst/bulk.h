/*
 * sst/bulk.h — data blocks for those who read many in a row, past the cache.
 *
 * Reads ahead in pieces that double, as long as blocks are asked for one after the
 * other, forwards or backwards.
 */
#ifndef SST_BULK_H
#define SST_BULK_H

#include "sst/table_internal.h"

struct sst_bulk {
    const struct table *t;
    uint8_t *piece; /* owned; a part of the file */
    size_t piece_room;
    uint64_t piece_offset;
    size_t piece_size;
    size_t ahead; /* size of the next piece */
    uint8_t *raw; /* owned; the last block unpacked */
    size_t raw_room;
};

void sst__bulk_init(struct sst_bulk *b, const struct table *t);
void sst__bulk_release(struct sst_bulk *b);

/* The block's bytes, unpacked; borrowed until the next call. */
MUST_USE enum status sst__bulk_block(struct sst_bulk *b, const struct sst_handle *handle,
                                     enum table_mode mode, struct slice *out, struct err *err);

#endif
