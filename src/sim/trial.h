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

/* A line of the log of a node (0: of the world), written `ns` after the beginning of the world. */
typedef void trial_trace_fn(void *ctx, uint64_t ns, uint32_t node, struct slice line);

/* ST_NO_MEMORY; ST_IO: a file could not be written.  A violation is ST_OK.  The process's log goes to
 * `trace`, or, when that is NULL, nowhere. */
MUST_USE enum status trial_run(const struct trial_options *options, trial_trace_fn *trace,
                               void *ctx, struct trial_report *report, struct err *err);

#endif
