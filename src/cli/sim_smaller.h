/*
 * cli/sim_smaller.h — from a run that went wrong to the smallest that can be found in a while.
 */
#ifndef CLI_SIM_SMALLER_H
#define CLI_SIM_SMALLER_H

#include "cli/sim_args.h"
#include "cli/sim_run.h"

struct sim_size {
    uint64_t nodes;
    uint64_t ms;
    uint64_t faults; /* planned */
    uint64_t clients;
    uint64_t ops; /* 0: nobody knows; its process ended before it could say */
};

struct sim_smaller {
    struct trial_options options; /* of the smallest run that goes wrong in the same way */
    struct sim_size before;
    struct sim_size after;
    uint32_t attempts;
    double seconds;
    bool hurried; /* the search was stopped: by time, the number of attempts, or an interrupt */
};

/* `wrong` is over, with a violation.  Within a sim_watch.  ST_NO_MEMORY, ST_IO. */
MUST_USE enum status sim_smaller_find(struct sim_smaller *out, const struct sim_run *wrong,
                                      const struct sim_args *args, struct err *err);

/* Is anything smaller than it was? */
bool sim_smaller_helped(const struct sim_smaller *s);

#endif
