/*
 * sst/block.h — sorted entries in a run of bytes, each key without what it shares
 * with the one before.  Pure.
 *
 *      block    :=  value*  entry*  restart[restart_count]
 *                   base:u64le  entries_offset:u32le  restart_count:u32le
 *      entry    :=  tag:u8  shared:varint  unshared:varint  value_size:varint
 *                   version:byte[0..7]  expiry:u64le?  key:byte[unshared]
 *      restart  :=  entry_offset:u32le  value_offset:u32le
 *
 * `shared` bytes of the key are those of the previous entry's.  Every so many
 * entries `shared` is 0: there a search may start, and a restart says where its
 * entry and its value lie.  Values lie in the order of the entries, apart from them,
 * so that a search stays within the few cache lines that hold the keys.  A version is
 * its difference from `base`, in zigzag form, in as many bytes as needed.
 *
 *      tag    bits 0-1 type, bit 2 an expiry follows, bits 3-5 bytes of the version,
 *             bits 6-7 zero
 *
 * Data blocks and the index block are both of this form.  Parsing checks whatever
 * memory safety needs, but not the order: that bytes are those that were written is
 * the checksum's claim.
 */
#ifndef SST_BLOCK_H
#define SST_BLOCK_H

#include "base/entry.h"
#include "base/slice.h"
#include "base/status.h"

/* ------------------------------------------------------------------ writing */

struct sst_block_builder {
    struct buf values; /* and, when it is finished, all the rest */
    struct buf entries;
    struct buf restarts;
    struct buf key; /* of the last entry */
    uint32_t restart_interval;
    uint32_t run_count; /* entries since the last restart */
    uint32_t entry_count;
    version_t base;
    version_t version; /* of the last entry */
};

void sst__block_builder_init(struct sst_block_builder *b, uint32_t restart_interval,
                             size_t bytes_max);
void sst__block_builder_release(struct sst_block_builder *b);

/* In strict entry order.  ST_NO_MEMORY, ST_TOO_BIG: nothing changed. */
MUST_USE enum status sst__block_add(struct sst_block_builder *b, const struct entry *e);

/* What sst__block_finish() would give now, in bytes. */
size_t sst__block_bytes(const struct sst_block_builder *b);

/* The block; borrowed until the next call.  At least one entry was added. */
MUST_USE enum status sst__block_finish(struct sst_block_builder *b, struct slice *out);
void sst__block_reset(struct sst_block_builder *b);

/* ------------------------------------------------------------------ reading */

/* A view of a block's bytes; borrows them. */
struct sst_block {
    const uint8_t *data;     /* the values */
    const uint8_t *entries;  /* also where the values end */
    const uint8_t *restarts; /* also where the entries end */
    uint32_t restart_count;
    version_t base;
};

/* Start loading what a search will touch. */
void sst__block_prefetch(struct slice bytes);

/* ST_CORRUPT when the bytes are not a block. */
MUST_USE enum status sst__block_parse(struct slice bytes, struct sst_block *out);

/* Where an entry and its value lie. */
struct sst_cursor {
    const uint8_t *entry;
    const uint8_t *value;
};

/* One entry, without the part of its key that it shares. */
struct sst_item {
    uint32_t shared;
    enum entry_type type;
    struct slice suffix;
    struct slice value;
    version_t version;
    uint64_t expiry_ms;
};

/* Decode the entry at the cursor, and move the cursor to the next one.  False when it is
 * malformed, or there is none. */
MUST_USE bool sst__block_decode(const struct sst_block *b, struct sst_cursor *c,
                                struct sst_item *out);

/* Set the cursor to a restart point.  False when that is malformed. */
MUST_USE bool sst__block_restart(const struct sst_block *b, uint32_t restart, struct sst_cursor *c);

/* The entry of a restart point; false when it is malformed. */
MUST_USE bool sst__block_restart_item(const struct sst_block *b, uint32_t restart,
                                      struct sst_item *out);

/* The first of the restarts [begin, limit) whose entry is not before (key, version), or `limit`.
 * The run before it is the one to scan.  ST_CORRUPT. */
MUST_USE enum status sst__block_search(const struct sst_block *b, uint32_t begin, uint32_t limit,
                                       struct slice key, version_t version, uint32_t *first);

/* What a search found. */
struct sst_hit {
    struct sst_item item;
    bool same_key;          /* its key is the one that was looked for */
    uint32_t run;           /* the run that it belongs to */
    struct sst_cursor at;   /* where it lies */
    struct sst_cursor next; /* where the entry after it lies */
};

/* The first entry at or after (key, version).  Its key is not put together, but begins with the
 * first `item.shared` bytes of `key`.  ST_OK, ST_NOT_FOUND (all are before), ST_CORRUPT. */
MUST_USE enum status sst__block_find(const struct sst_block *b, struct slice key, version_t version,
                                     struct sst_hit *out);

/* As sst__block_find(), in a run that sst__block_search() has led to. */
MUST_USE enum status sst__block_find_in_run(const struct sst_block *b, uint32_t run,
                                            struct slice key, version_t version,
                                            struct sst_hit *out);

/* ------------------------------------------------------------------ walking */

/* Stands on an entry, or on none.  The block and its bytes outlive it. */
struct sst_block_iter {
    struct sst_block block;
    const uint8_t *at;      /* the entry; NULL = none */
    struct sst_cursor next; /* the one after it */
    uint32_t run;           /* the restart it belongs to */
    struct slice key;       /* into the block when nothing is shared, else into `room` */
    struct buf room;        /* owned */
    struct sst_item item;
};

void sst__block_iter_init(struct sst_block_iter *it);
void sst__block_iter_release(struct sst_block_iter *it);

/* Leave the old block, stand on nothing in a new one. */
void sst__block_iter_set(struct sst_block_iter *it, const struct sst_block *b);

/* Each: ST_OK; ST_NOT_FOUND (it stands on nothing); ST_CORRUPT, ST_NO_MEMORY (likewise). */
MUST_USE enum status sst__block_iter_first(struct sst_block_iter *it);
MUST_USE enum status sst__block_iter_last(struct sst_block_iter *it);
MUST_USE enum status sst__block_iter_next(struct sst_block_iter *it);
MUST_USE enum status sst__block_iter_prev(struct sst_block_iter *it);

/* To the first entry at or after (key, version), in a run that sst__block_search() has led to.
 * For this and the next two: `key` is not borrowed from the iterator. */
MUST_USE enum status sst__block_iter_seek_run(struct sst_block_iter *it, uint32_t run,
                                              struct slice key, version_t version);
MUST_USE enum status sst__block_iter_seek(struct sst_block_iter *it, struct slice key,
                                          version_t version);

/* To the last entry before (key, version). */
MUST_USE enum status sst__block_iter_seek_before(struct sst_block_iter *it, struct slice key,
                                                 version_t version);

static inline bool
sst__block_iter_valid(const struct sst_block_iter *it)
{
    return it->at != NULL;
}

/* Borrows from the block and the iterator, until the next move. */
void sst__block_iter_entry(const struct sst_block_iter *it, struct entry *out);

#endif
