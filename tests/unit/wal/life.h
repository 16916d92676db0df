/*
 * unit/wal/life.h — one process that uses a stream, from wal_open() to its
 * end, whatever that is.  What it does is drawn from a generator, or is the
 * same every time.
 */
#ifndef UNIT_WAL_LIFE_H
#define UNIT_WAL_LIFE_H

#include "simenv/simenv.h"
#include "unit/wal/shim.h"
#include "unit/wal/track.h"

enum { LIFE_NODE = 1 };

struct life {
    struct sim *sim;
    struct shim shim;
    struct track *track;
    struct prng prng;
    struct wal_options options;
    struct wal_recovery report;
    struct err err;

    bool drawn;       /* what to do is drawn from `prng`; else the fixed programme */
    unsigned steps;   /* how many, when drawn */
    bool forgiving;   /* calls may fail */
    bool concurrent;  /* flushing and tending are jobs beside the appends */
    uint64_t kill_at; /* kill the process at this change of the disk; 0 = never */
    enum sync_purpose swallow;

    struct job flush_job, tend_job;
    bool flush_busy, tend_busy, flush_sync;
    struct wal *wal; /* in the node's heap: dead after a crash */
    enum status opened;
};

/* With a track of its own, on an empty disk. */
struct life *life_create(uint64_t seed);
void life_destroy(struct life *l);

/* How often to do something: the usual number, times TEST_EFFORT from the environment.  Under the
 * thread sanitizer, which has nothing to find in one thread, a tenth. */
uint64_t life_effort(uint64_t usual);

enum life_end {
    LIFE_CLOSED,  /* nothing happened to it */
    LIFE_CRASHED, /* sim_crash_at(), or kill_at */
};

/* Boot, open, live, close.  `prepare` (may be NULL) is called after the boot, to arm faults. */
enum life_end life_run(struct life *l, void (*prepare)(struct life *l));

/* Boot, open, check, and end cleanly.  False: l->track->failure says why. */
bool life_check(struct life *l);

#endif
