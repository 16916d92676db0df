/*
 * engine/check.h — verify a data directory that no process uses.
 */
#ifndef ENGINE_CHECK_H
#define ENGINE_CHECK_H

#include "base/status.h"

#include "env/env.h"

enum check_finding {
    CHECK_NOTE,   /* what there is */
    CHECK_DAMAGE, /* what is wrong: file, offset, key range */
    CHECK_CUT,    /* what was moved aside, by truncation */
};

typedef void check_fn(void *ctx, enum check_finding kind, const char *text);

/* Read every file of the store in `dir`: identity, catalogue, log, manifests, tables.  Each
 * finding is told through `fn`.  With `truncate`, everything before damage in the log is kept
 * and the rest moved aside; otherwise nothing is changed.  Of what lies beyond the damage and can
 * still be read, it is told how many keys of which tree were written, and between which bounds;
 * for a server's data directory and for an embedded store alike.
 *
 * ST_OK: sound (or made so); ST_CORRUPT: damage was found; ST_EXISTS: a process uses the
 * directory; ST_NOT_FOUND: there is no store. */
MUST_USE enum status engine_check(struct env *env, const char *dir, bool truncate, check_fn *fn,
                                  void *ctx, struct err *err);

#endif
