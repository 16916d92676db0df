/*
 * cli/follow.h — watch work that a cluster does by itself, until it is done.
 *
 * A bar on a terminal, a line now and then elsewhere, on standard error.  Ctrl-C ends the watching, with exit code
 * 130, and says that the work goes on.  While nobody answers it is tried again for FOLLOW_PATIENCE_S.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/desk.h"

enum { FOLLOW_PATIENCE_S = 30 };

/* How far it is. */
struct follow_left {
    uint64_t count; /* 0: it is done */
    uint64_t bytes;
};

struct follow {
    struct desk *desk;
    const char *words[2]; /* the order that is asked again and again */
    uint32_t word_count;
    const char *unit; /* "tablet": what is counted */
    uint32_t wait_s;  /* 0: as long as it takes */
    /* Reads the answer. */
    struct follow_left (*look)(const void *ctx, const json_t *answer);
    const void *ctx;
};

/* ST_OK: it is done.  ST_TIMEOUT: not within wait_s.  Otherwise the cluster cannot be asked any more, which has
 * been said.  */
MUST_USE enum status follow(struct follow *f);

#endif
