/*
 * unit/wal/shim.h — an env that passes everything on to another one, knows
 * what each sync is for, and can swallow chosen ones: they succeed without
 * effect.  sim_ignore_sync() goes by the path alone; here the purpose counts.
 */
#ifndef UNIT_WAL_SHIM_H
#define UNIT_WAL_SHIM_H

#include "env/env.h"

/* Every reason for which the log syncs something. */
enum sync_purpose {
    SYNC_BATCH,        /* the end of wal_flush() */
    SYNC_ROTATION,     /* a segment, before the next one is written to */
    SYNC_HEADER,       /* of a prepared segment */
    SYNC_NAME_MADE,    /* of a segment that was filled */
    SYNC_NAME_RENAMED, /* of a segment that was recycled */
    SYNC_CHAIN,        /* the draft of CHAIN */
    SYNC_CHAIN_NAME,   /* its rename */
    SYNC_COPY,         /* what recovery copied into a fresh segment */
    SYNC_MARK,         /* what recovery wrote again in place */
    SYNC_PARENT,       /* the folder above a new stream's folder */
    SYNC_PURPOSE_COUNT,
    SYNC_NONE = SYNC_PURPOSE_COUNT
};

extern const char *const sync_purpose_names[SYNC_PURPOSE_COUNT];

struct shim {
    struct env base; /* first: what the code under test sees */
    struct env *inner;
    enum sync_purpose swallow; /* SYNC_NONE: all syncs are real */
    uint64_t swallowed;
    uint64_t counts[SYNC_PURPOSE_COUNT];

    bool plain; /* random bytes are all 0x11, the next time all 0x22, and so on */
    uint8_t last;

    /* Called before and after every call that changes something. */
    void (*point)(void *ctx);
    void *ctx;

    bool flushing;           /* the test says so: wal_flush() is running */
    const char *writing;     /* and this is the path of the segment where it will end */
    char prepared[300];      /* the segment that was last made or renamed */
    bool renamed;            /* it was renamed */
    unsigned prepared_syncs; /* of it so far */
    bool chain_renamed;      /* the last rename was that of CHAIN */
};

void shim_init(struct shim *s, struct env *inner);

#endif
