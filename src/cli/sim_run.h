/*
 * cli/sim_run.h — one seed in a process of its own, and the patience to wait for it.
 *
 * A node's bug may end the process or never end, and either is a verdict: what the process wrote to
 * standard error, or how far it was, becomes the text of the violation.
 *
 *      idle ──start──> busy ──poll: its process is gone, or takes too long──> over ──start──> busy
 *                       └──── end ────> idle
 */
#ifndef CLI_SIM_RUN_H
#define CLI_SIM_RUN_H

#include <signal.h>
#include <stdio.h>
#include <sys/types.h>

#include "sim/trial.h"

struct sim_run {
    struct trial_options options; /* of the last start */
    struct trial_report *report;  /* shared with the process that fills it in */
    FILE *said;                   /* what the process writes to standard error; no name */
    pid_t child;                  /* 0: there is none */
    double begun;
    double seconds; /* that it took, in real time */
    bool over;
    bool failed; /* it is over without a verdict: no memory, a file that cannot be written */
};

/* ST_NO_MEMORY, ST_IO. */
MUST_USE enum status sim_run_init(struct sim_run *r, struct err *err);
void sim_run_release(struct sim_run *r); /* ends its process; {0} is allowed */

/* It is not busy.  ST_IO. */
MUST_USE enum status sim_run_start(struct sim_run *r, const struct trial_options *options,
                                   struct err *err);

/* It is busy.  True: it is over now, with its report, after at most `seconds_max`. */
bool sim_run_poll(struct sim_run *r, uint64_t seconds_max);

/* End its process, and forget it. */
void sim_run_end(struct sim_run *r);

/* What its process said on standard error, at most `room` bytes with the terminator. */
void sim_run_said(const struct sim_run *r, char *out, size_t room);

/* The plan of such a run.  ST_NO_MEMORY. */
MUST_USE enum status sim_run_plan(const struct trial_options *options, struct plan *plan);

/* While it is held, the death of a process ends a wait at once, and Ctrl-C and SIGTERM wait: the
 * processes are ended first.  One at a time. */
struct sim_watch {
    sigset_t before;
    struct sigaction child_before;
};

void sim_watch_begin(struct sim_watch *w);
void sim_watch_wait(void); /* a tenth of a second at most */
bool sim_watch_interrupted(void);
void sim_watch_end(struct sim_watch *w); /* what has waited comes now, and may end this process */

#endif
