/*
 * cli/sim_args.h — what `distkv sim` was asked for.
 */
#ifndef CLI_SIM_ARGS_H
#define CLI_SIM_ARGS_H

#include "base/status.h"

#include "sim/setup.h"

struct sim_range {
    uint64_t first;
    uint64_t last; /* included; not less */
};

struct sim_args {
    struct sim_range seeds;
    struct sim_range nodes;
    struct sim_range ms;
    struct trial_options options; /* of every seed, but for its seed, nodes and ms */
    uint64_t jobs;                /* processes at a time */
    uint64_t seconds_max;         /* of real time, for one seed */
    uint64_t shrink_seconds;      /* likewise, to look for a smaller run */
    bool shrink;
    bool json;
    bool marks_all; /* fail where one was never hit */
    bool marks_count;
};

extern const char sim_args_help[];

/* ST_INVALID: a word is no option, or its value is none; `err` says what it takes.
 * ST_NO_MEMORY. */
MUST_USE enum status sim_args_take(struct sim_args *a, int argc, char **argv, struct err *err);

/* One seed's options.  Nodes follow each other from seed to seed, minutes are drawn; so a seed's
 * options do not depend on which seeds it was asked for with. */
void sim_args_draw(const struct sim_args *a, uint64_t seed, struct trial_options *out);

#endif
