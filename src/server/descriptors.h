/*
 * server/descriptors.h — how a node shares out its file descriptors.
 *
 *      limit  =  own + reactors  |  jobs and manifests  |  tables  |  connections
 *
 * When the limit of open files does not suffice, fewer connections are accepted and
 * fewer tables kept open, so that log, flushes and compactions find theirs.
 */
#ifndef SERVER_DESCRIPTORS_H
#define SERVER_DESCRIPTORS_H

#include <stdint.h>

#include "base/status.h"

struct descriptors {
    uint64_t connections;
    uint64_t tables;
};

/* The least limit that a node of so many reactors can live with: 128 for two. */
uint64_t descriptors_min(uint32_t reactor_count);

/* Of what is wanted, as much as fits into `limit`, which is the least or more. */
struct descriptors descriptors_share(uint64_t limit, uint32_t reactor_count,
                                     const struct descriptors *wanted);

/* Raise the process's limit as far as it may, and share it out; that it does not suffice is logged.
 * ST_INVALID: the limit is below the least.  ST_IO.  On failure `*share` is untouched. */
MUST_USE enum status descriptors_claim(uint32_t reactor_count, const struct descriptors *wanted,
                                       struct descriptors *share, struct err *err);

#endif
