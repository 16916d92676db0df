/*
 * lsm/manifest.h — the durable history of a tree's versions.
 *
 * A file of checksummed records, one per edit, begun by a whole snapshot.
 * The `MANIFEST-<n>` with the highest n is the current one; when it is full or
 * was closed (by another process, by a rest, after a failure), the next edit goes
 * into a new file, which is written and synced under another name, is then
 * renamed, and takes over.
 *
 * A failed write or sync leaves it unknown whether the edit is durable: the
 * manifest is then closed, and the next edit begins a new file.  Tables that
 * the unknown edit names are not deleted, and their numbers not used again.
 * Format, recovery rule and the invariants M1..: manifest.c; docs/formats/manifest.md.
 */
#ifndef LSM_MANIFEST_H
#define LSM_MANIFEST_H

#include "lsm/version.h"

struct manifest;

/* Of a record, and of the edit in it.  Values are for ever. */
enum manifest_format {
    MANIFEST_FORMAT_OLDEST = 1,
    MANIFEST_FORMAT_SEEDS = 2, /* an added table has a seed; before, it was its number */
    MANIFEST_FORMAT =
        MANIFEST_FORMAT_SEEDS, /* written by this code, and the newest that it reads */
};

/* Read the current manifest of `dir` and rebuild version and mark; a torn last
 * record of a crash is dropped, and said.  What is returned is durable.  Unknown files (tables
 * that no version names, older manifests, *.tmp) are deleted, after the manifest is
 * known to be durable.  `*number_max` is the highest table number ever seen here.
 * With `create`, a missing folder is made, and its name in its parent is durable, too.
 *
 * ST_NOT_FOUND: no manifest, and `create` is false.  ST_CORRUPT: damage, with file and offset;
 * a table that the manifest names is missing, with its key range; or there are tables but no
 * manifest; nothing has been deleted.  ST_INVALID: a newer format, or another tree's manifest.
 * ST_TOO_BIG: the path is longer than LIMIT_PATH_BYTES.  ST_IO, ST_NO_SPACE, ST_NO_MEMORY.
 * On failure outputs are untouched.  Job code. */
MUST_USE enum status manifest_open(struct manifest **out, struct env *env, const char *dir,
                                   uint64_t tree_id, bool create, struct file_sweep *sweep,
                                   struct version **version, struct lsm_mark *mark,
                                   uint64_t *number_max, struct err *err);

/* Every edit that was recorded is durable already; here the last SYNCED is made so, too, unless the
 * manifest rests.  NULL is allowed. */
void manifest_close(struct manifest *m);

/* Hold no open file; the next edit begins a new one.  Nothing is synced: only the last SYNCED may
 * not be durable (P5).  Not beside manifest_record(), as manifest_is_open().  Job code. */
void manifest_rest(struct manifest *m);
bool manifest_is_open(const struct manifest *m);

/* Append the edit and sync; `after` and `mark_after` are the state that it leads to (for
 * a new file's snapshot).  Blocks; one at a time.  The names of the tables it adds are
 * durable before (the folder is synced here).
 *
 * ST_IO, ST_NO_SPACE: it is unknown whether the edit is durable; a later edit may be recorded,
 * and with it this one is undone or confirmed, as its `after` says.  A table that was not in the
 * last recorded version needs a new number then: its name may have been forgotten.
 * ST_NO_MEMORY, ST_TOO_BIG: nothing was written. */
MUST_USE enum status manifest_record(struct manifest *m, const struct version_edit *edit,
                                     const struct version *after, const struct lsm_mark *mark_after,
                                     struct err *err);

/* Read-only, for checks: the state that manifest_open() would find, whatever the tree.  Whether
 * the tables exist is not looked at.  Statuses as manifest_open(). */
MUST_USE enum status manifest_read(struct env *env, const char *dir, struct file_sweep *sweep,
                                   struct version **version, struct lsm_mark *mark,
                                   struct err *err);

/* Pure codec, for the above, for checkpoints, and for fuzzing.  Encoding appends, in the newest
 * format: ST_TOO_BIG, ST_NO_MEMORY.  Decoding gives ST_CORRUPT for anything but one whole edit in its
 * only form, or ST_NO_MEMORY; `*out` is then untouched, else owned by the caller. */
MUST_USE enum status version_edit_encode(const struct version_edit *e, struct buf *out);
MUST_USE enum status version_edit_decode(struct slice bytes, enum manifest_format format,
                                         struct file_sweep *sweep, struct version_edit *out);

#endif
