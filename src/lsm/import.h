/*
 * lsm/import.h — another node's checkpoint (lsm/checkpoint.h) takes the place of a tree.
 *
 *      st = lsm_import_begin(t, encoded, &i, err);
 *      while (lsm_import_wanted(i, size_max, &piece))
 *          st = lsm_import_write(i, piece.table, piece.offset, bytes, err);
 *      st = lsm_import_finish(i, err);         all files are as they should be, and durable
 *      st = lsm_import_install(i, err);        the tree is the checkpoint, or what it was
 *   or lsm_import_abort(i);
 *
 * A tree of the same data directory is copied without a transfer: lsm_import_link() stands for all writes.
 *
 * Until the install the tree goes on as if nothing was there.  The received files have names of
 * tables that no manifest knows: after a crash the next lsm_open() deletes them, and the transfer
 * begins again.  A lost connection costs nothing: the import knows what it wants next.
 *
 * All but lsm_import_wanted(), which is for any thread, is job code; one import is used by one
 * thread at a time.  Beside it, until the install: everything.  One import at a time per tree may be
 * installed; all have ended before lsm_close().
 */
#ifndef LSM_IMPORT_H
#define LSM_IMPORT_H

#include "lsm/checkpoint.h"

struct lsm_import;

/* Nothing is written yet.  ST_CORRUPT: no checkpoint, or a damaged one.  ST_INVALID: of a newer
 * release.  ST_NO_MEMORY.  `encoded` is not kept. */
MUST_USE enum status lsm_import_begin(struct lsm *t, struct slice encoded, struct lsm_import **out,
                                      struct err *err);

struct lsm_mark lsm_import_mark(const struct lsm_import *i);
uint64_t lsm_import_file_bytes(const struct lsm_import *i);     /* of all files together */
uint64_t lsm_import_received_bytes(const struct lsm_import *i); /* of these, durable or not */

/* What should come next, of at most `size_max` bytes (not 0).  False: all is there. */
bool lsm_import_wanted(const struct lsm_import *i, uint32_t size_max, struct lsm_piece *out);

/* Pieces come in order, table by table; they may be smaller or larger than what was said to be wanted, but
 * not go beyond their table.  With the last piece of a table its checksum is compared, and the
 * file synced.
 *
 * ST_INVALID: not what comes next; nothing has changed.  ST_CORRUPT: the table that is now complete
 * is not the one of the checkpoint; the text names it.  It is wanted again from its beginning, as it
 * is after a failed sync (ST_IO).  After any other failure (ST_IO, ST_NO_SPACE, ST_NO_MEMORY) the
 * piece is wanted as before. */
MUST_USE enum status lsm_import_write(struct lsm_import *i, uint32_t table, uint64_t offset,
                                      struct slice bytes, struct err *err);

/* All files at once: they are those of `c`, by second names.  `i` was begun with what `c` says, and nothing was
 * written; its mark becomes `mark`, which is not before that of `c`.  After a failure (ST_IO, ST_NO_SPACE) only
 * lsm_import_abort() is left. */
MUST_USE enum status lsm_import_link(struct lsm_import *i, const struct lsm_checkpoint *c,
                                     const struct lsm_mark *mark, struct err *err);

/* Make the names durable.  ST_INVALID: something is wanted yet.  ST_IO: the names may be lost, for
 * good; only lsm_import_abort() is left. */
MUST_USE enum status lsm_import_finish(struct lsm_import *i, struct err *err);

/* After lsm_import_finish(): one edit of the manifest makes the tree what the checkpoint says, with
 * its mark, and nothing else.  What was in memory is dropped.  Live snapshots and iterators
 * keep what they saw; lsm_generation() grows.  The owner goes on with lsm_apply() at a later mark.
 *
 * It stands for the owner (lsm.h): from the call until its return nobody else calls what is the
 * owner's.  Reads go on.  A flush or a compaction that is under way goes on, too: if its edit comes
 * first, the install replaces that as well; if it comes later, it is dropped.
 *
 * ST_INVALID: the tree is already beyond the mark.  ST_CLOSED: lsm_stop_jobs() was called.
 * ST_IO, ST_NO_SPACE, ST_NO_MEMORY, ST_TOO_BIG.  After a failure the tree is as it was; after ST_IO or
 * ST_NO_SPACE and a crash before its next edit, it may be the checkpoint.  The import is gone in any
 * case. */
MUST_USE enum status lsm_import_install(struct lsm_import *i, struct err *err);

/* Give up: remove what was received.  NULL is allowed. */
void lsm_import_abort(struct lsm_import *i);

#endif
