/*
 * unit/wal/track.h — what was written to a stream, and whether what comes back
 * is a prefix of it.
 *
 * Every record has a serial number, from 1; the index of an entry or a cut is its serial,
 * a hard state begins with it.  After a crash the replay must give serials in
 * order without a gap, from wherever the log was released to, up to at least
 * what was acknowledged; and at its end every tablet's newest hard state.
 * Hard states may be repeated, but only the newest so far.
 *
 * It lives outside of the node, and survives it.
 */
#ifndef UNIT_WAL_TRACK_H
#define UNIT_WAL_TRACK_H

#include "base/prng.h"

#include "wal/wal.h"

enum { TRACK_TABLETS = 4, TRACK_EVENTS_MAX = 1 << 14, TRACK_BODY_MAX = 300000 };

struct event {
    enum wal_record_type type;
    uint8_t tablet;
    uint32_t size;      /* 0 for a cut */
    wal_position begin; /* not beyond the record */
    wal_position end;   /* in this process */
};

struct track {
    struct event events[TRACK_EVENTS_MAX + 1];
    uint32_t appended;
    uint32_t acknowledged; /* known to be durable */
    uint32_t released;     /* no longer needed */

    /* A replay in progress. */
    bool started; /* an entry has been seen */
    uint32_t seen;
    uint32_t heads[TRACK_TABLETS];

    char failure[300]; /* the first thing that was wrong; empty = nothing */
};

/* Append one record. */
enum status track_append(struct track *t, struct wal *w, enum wal_record_type type, uint8_t tablet,
                         uint32_t size, struct err *err);

/* Count what has become durable. */
void track_acknowledge(struct track *t, const struct wal *w);

/* Release everything up to a serial, which is acknowledged. */
void track_release(struct track *t, struct wal *w, uint32_t serial);

/* Around wal_open(); the first is also its replay function.  The second says whether what came
 * is right, and if so, takes it for the truth from now on. */
void track_begin(struct track *t);
enum status track_replay(void *ctx, const struct wal_record *record, wal_position at,
                         struct err *err);
bool track_end(struct track *t);

#endif
