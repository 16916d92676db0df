/*
 * lsm/state_hash.h — what a tree holds, as one number.
 *
 * Two trees that were given the same units, in whatever way, have the same state hash at the same
 * point; two that differ in a byte do not, but for one chance in 2^64.  It finds damage and
 * mistakes of ours; it does not stop an adversary.
 *
 * The rules H1.. that make it so are at the head of state_hash.c.
 */
#ifndef LSM_STATE_HASH_H
#define LSM_STATE_HASH_H

#include "lsm/lsm.h"

struct state_hash {
    version_t version; /* of the snapshot */
    uint64_t count;    /* records that were hashed */
    uint64_t hash;
};

/* Called after every megabyte or so, by the job: to sleep, or to give up, which any status but ST_OK
 * does. */
typedef enum status state_hash_pause_fn(void *ctx);

/* Walk what the snapshot sees.  Job code, beside everything else; holds a block of each table that it
 * stands in, and no record but the one that it reads.
 * ST_CORRUPT, ST_IO, ST_NO_MEMORY, or what `pause` said: `*out` is untouched. */
MUST_USE enum status lsm_state_hash(struct lsm *t, const struct lsm_snapshot *snapshot,
                                    state_hash_pause_fn *pause, void *ctx, struct state_hash *out,
                                    struct err *err);

#endif
