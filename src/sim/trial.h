/*
 * sim/trial.h — one run of one seed, from an empty disk to a verdict.
 *
 *      faults and clients ──> all is healed ──> everything answers ──> orderly stop ──> judged
 *        options.ms            LIVENESS_MS: nodes up, every client writes
 *                              once, and every key is read
 *
 * The same options give the same run, and the same trace hash.
 */
#ifndef SIM_TRIAL_H
#define SIM_TRIAL_H

#include "base/mark.h"

#include "sim/setup.h"

enum { TRIAL_TEXT_MAX = 8192 };

/* Plain data: it may be passed between processes. */
struct trial_report {
    bool violated;
    bool undecided;            /* the history was too hard to judge */
    char text[TRIAL_TEXT_MAX]; /* of a violation */
    uint64_t trace_hash;
    uint64_t issued;
    uint64_t ok;
    uint64_t failed;
    uint64_t unknown;
    uint64_t busy_ms;
    uint64_t simulated_ms; /* until now, also while it runs: whoever ends it sees how far it was */
    uint64_t elections;    /* that were won */
    uint64_t power_cuts;
    uint64_t kills;
    uint64_t stops;
    uint32_t actions; /* of the plan */
    char workload[16];
    uint64_t marks[MARK_COUNT];
};

/* ST_NO_MEMORY; ST_IO: a file could not be written.  A violation is ST_OK.  Whoever calls has told
 * the log where to go. */
MUST_USE enum status trial_run(const struct trial_options *options, struct trial_report *report,
                               struct err *err);

#endif
