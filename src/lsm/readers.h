/*
 * lsm/readers.h — the open tables of a data directory, few of many.
 *
 * A table is opened when it is first read.  It is closed again when its tree
 * has been idle for a while (lsm_rest), or when more are open than the data
 * directory may have: then the one goes that was not used for the longest time,
 * roughly (CLOCK).
 *
 * Two ways to use one:
 *
 *      inside the epoch    table_file_reader(): one load.  It stays open until the epoch is
 *                          left.  For reactors, which must not wait: NULL means that a job must
 *                          open it.
 *      readers_hold()      opened if need be, and open until readers_let_go().  Job code.
 *
 * Life, and the invariants O1..: readers.c.
 */
#ifndef LSM_READERS_H
#define LSM_READERS_H

#include "lsm/version.h"

struct readers;
struct reader; /* one open table */

/* At most `open_max` (at least 1) are open, save those that somebody holds or is looking at. */
struct readers *readers_create(struct epoch *epoch, uint32_t open_max); /* NULL: out of memory */

/* All files are destroyed, and nobody is inside the epoch.  NULL is allowed.  Job code. */
void readers_destroy(struct readers *all);

/* The file's reader, opened if need be; `dir` is the tree's folder.  The caller's reference to the
 * file outlives the hold.  When the system has no descriptor left, others are closed, and it is
 * tried once more.  ST_NOT_FOUND, ST_CORRUPT, ST_IO, ST_NO_MEMORY: as table_open(). */
MUST_USE enum status readers_hold(struct table_file *f, const struct lsm_shared *shared,
                                  const char *dir, struct reader **out, struct err *err);
struct table *reader_table(const struct reader *r);
void readers_let_go(struct reader *r); /* any thread */

/* Nobody shall find the reader any more; it is closed when the last user has left.  Nothing
 * happens when it is not open.  Job code. */
void readers_detach(struct readers *all, struct table_file *f);

/* Close those that nobody uses any more.  Job code; cheap when there are none. */
void readers_close(struct readers *all);

/* Is that what has failed for want of a descriptor? */
bool readers_is_out_of_descriptors(enum status st, const struct err *err);

/* Then: close half of those that nobody holds.  Waits for reactors that may be looking at them, for
 * 20 ms at most.  False: none was closed.  Job code. */
bool readers_free_descriptors(struct readers *all, struct env *env);

/* For table_file_destroy(): nobody can be using the file. */
void readers_forget(struct table_file *f);

/* How many are open now, those included that are about to be closed. */
uint32_t readers_open_count(struct readers *all);

#endif
