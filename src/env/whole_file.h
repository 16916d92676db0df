/*
 * env/whole_file.h — small files that are read whole and replaced whole.
 */
#ifndef ENV_WHOLE_FILE_H
#define ENV_WHOLE_FILE_H

#include "env/env.h"

/* Read all of `path` into `out` (its max is the limit: ST_TOO_BIG).  ST_NOT_FOUND, ST_IO.  Blocks. */
MUST_USE enum status whole_file_read(struct env *env, const char *path, struct buf *out,
                                     struct err *err);

/* Replace `<dir>/<name>` so that after a crash it holds the old bytes or the new ones, and once
 * this returns, the new ones: written beside it as `<name>.tmp`, synced, renamed, folder synced.
 * A failure leaves it unknown which of the two survives.  Blocks. */
MUST_USE enum status whole_file_replace(struct env *env, const char *dir, const char *name,
                                        struct slice bytes, struct err *err);

#endif
