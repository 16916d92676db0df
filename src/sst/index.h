/*
 * sst/index.h — which data block holds a key.
 *
 * The index is a block (sst/block.h) with one entry for each data block.  Its key
 * and version are a separator: not before the block's last entry, and before the
 * next block's first.  Its value says where the block lies:
 *
 *      value  :=  offset:varint  size:varint          size with the trailer
 *
 * In memory, beside the bytes: the eight bytes of each restart's key that follow
 * what all keys have in common, so that the binary search stays in a small array
 * of integers.
 */
#ifndef SST_INDEX_H
#define SST_INDEX_H

#include "sst/block.h"

/* Where a block lies in the file. */
struct sst_handle {
    uint64_t offset;
    uint32_t size; /* with the trailer */
};

/* The shortest separator between two neighbours.  Borrows from `last` and `next`, or
 * from `room`, which holds as many bytes as `last`. */
void sst__index_separator(const struct entry *last, const struct entry *next, uint8_t *room,
                          struct slice *key, version_t *version);

MUST_USE enum status sst__index_add(struct sst_block_builder *b, struct slice key,
                                    version_t version, const struct sst_handle *handle);

struct sst_index {
    struct sst_block block;
    struct slice common; /* what all keys begin with; into the block */
    uint64_t *prefixes;  /* one for each restart; owned */
};

/* Read an index from its bytes, which must outlive it.  ST_CORRUPT unless it is in order, and its
 * `block_count` handles cover [0, data_bytes) without gap or overlap.  ST_NO_MEMORY. */
MUST_USE enum status sst__index_open(struct slice bytes, uint64_t block_count, uint64_t data_bytes,
                                     struct sst_index *out);
void sst__index_release(struct sst_index *x);

size_t sst__index_memory(const struct sst_index *x); /* beside the bytes */

/* The first block whose separator is at or after (key, version).  ST_NOT_FOUND when that is past
 * the last block, ST_CORRUPT. */
MUST_USE enum status sst__index_find(const struct sst_index *x, struct slice key, version_t version,
                                     struct sst_handle *out);

/* The same for an iterator that was set to the index's block. */
MUST_USE enum status sst__index_seek(const struct sst_index *x, struct sst_block_iter *it,
                                     struct slice key, version_t version);

/* What an entry of the index says; ST_CORRUPT. */
MUST_USE enum status sst__index_handle(struct slice value, struct sst_handle *out);

#endif
