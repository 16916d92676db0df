/*
 * lsm/checkpoint.h — the tables of a tree as of one moment, to be copied to another node.
 *
 *      st = lsm_checkpoint_take(t, &c);               pins the tables; ST_BUSY: flush first
 *      st = lsm_checkpoint_encode(c, &bytes, err);    what the receiver has to know
 *      st = lsm_checkpoint_read(c, &piece, room, err)  ... and the files, piece by piece
 *      st = lsm_checkpoint_verify(c, table, err);      is a file still what it was?
 *      lsm_checkpoint_release(c);
 *
 * It is what the tree's manifest says: tables that are durable, and the mark up to which they hold
 * everything.  What is only in memory is not in it; the log has that.  The files are neither
 * changed nor deleted while it lives, whatever flushes, compactions and clears do meanwhile; so it
 * holds disk space that they would have freed.  Any number may live beside each other.
 *
 * The other side is lsm/import.h; the bytes are described in docs/formats/checkpoint.md.
 *
 * take, release, encode and looking: any thread; one checkpoint is used by one thread at a time.
 * read and verify: job code.  All are released before lsm_close().
 */
#ifndef LSM_CHECKPOINT_H
#define LSM_CHECKPOINT_H

#include "base/slice.h"

#include "lsm/lsm.h"

enum {
    /* Of an encoded checkpoint.  It travels as one message, and is held in memory.  A table takes
     * some 80 bytes and two keys: half a million tables with short keys, or 500 whose keys are all of
     * the greatest length.  Beyond: ST_TOO_BIG, and the tree cannot be sent. */
    CHECKPOINT_BYTES_MAX = LIMIT_REQUEST_BYTES,
};

struct lsm_checkpoint;

/* A part of one of its files.  Tables are counted from 0, in the same order on both sides. */
struct lsm_piece {
    uint32_t table;
    uint32_t size;
    uint64_t offset;
};

/* ST_BUSY: a clear is pending; lsm_flush() carries it out.  ST_NO_MEMORY. */
MUST_USE enum status lsm_checkpoint_take(struct lsm *t, struct lsm_checkpoint **out);
void lsm_checkpoint_release(struct lsm_checkpoint *c); /* NULL is allowed */

struct lsm_mark lsm_checkpoint_mark(const struct lsm_checkpoint *c);
uint32_t lsm_checkpoint_table_count(const struct lsm_checkpoint *c);
uint64_t lsm_checkpoint_file_bytes(const struct lsm_checkpoint *c); /* of all files together */

/* What the manifest knows of table `i`, which is there; its file has info->file_bytes.  Borrowed
 * until the release. */
const struct table_info *lsm_checkpoint_table(const struct lsm_checkpoint *c, uint32_t i,
                                              uint32_t *level);

/* Append it to `out`.  ST_TOO_BIG: beyond CHECKPOINT_BYTES_MAX, or beyond what `out` may hold.
 * ST_NO_MEMORY.  On failure, `out` is as it was. */
MUST_USE enum status lsm_checkpoint_encode(const struct lsm_checkpoint *c, struct buf *out,
                                           struct err *err);

/* Read exactly this piece; nothing of it is interpreted, so that damage is found by the receiver.
 * ST_INVALID: there is no such piece.  ST_CORRUPT: the file is missing or too short.  ST_IO. */
MUST_USE enum status lsm_checkpoint_read(struct lsm_checkpoint *c, const struct lsm_piece *piece,
                                         void *out, struct err *err);

/* Read table `table`, which is there, whole, when a receiver says that it came damaged.  ST_OK: the file is
 * what the manifest says, to the last bit.  ST_CORRUPT: it is not, or is missing; the text names it, and the
 * first place that is damaged.  ST_IO.  ST_NO_MEMORY. */
MUST_USE enum status lsm_checkpoint_verify(const struct lsm_checkpoint *c, uint32_t table,
                                           struct err *err);

#endif
