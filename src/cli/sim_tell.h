/*
 * cli/sim_tell.h — what came of a seed, and of all of them: for people, and for programs.
 */
#ifndef CLI_SIM_TELL_H
#define CLI_SIM_TELL_H

#include "cli/sim_smaller.h"

/* One line; of a violation also its text, and the command that replays it. */
void sim_tell_seed(const struct sim_run *r);
void sim_tell_smaller(const struct sim_smaller *s);

/* One object, on a line.  `smaller` may be NULL.  ST_NO_MEMORY, ST_IO. */
MUST_USE enum status sim_tell_json(const struct sim_run *r, const struct sim_smaller *smaller,
                                   struct err *err);

/* All seeds together. */
struct sim_sums {
    double begun;
    uint64_t seeds;
    uint64_t violations;
    uint64_t undecided;
    uint64_t issued;
    uint64_t busy_ms;
    uint64_t node_ms; /* simulated, of each node */
    uint64_t faults;  /* planned */
    uint32_t nodes_max;
    uint64_t marks[MARK_COUNT];
};

void sim_sums_init(struct sim_sums *s);
void sim_sums_add(struct sim_sums *s, const struct sim_run *r);
void sim_sums_tell(const struct sim_sums *s);

/* A line for each place that so many nodes can come to: "mark KILLED 12". */
void sim_sums_tell_marks(const struct sim_sums *s, FILE *out);

/* Those that nobody has been to; how many. */
uint32_t sim_sums_tell_unseen(const struct sim_sums *s, FILE *out);

#endif
