/*
 * sim/shrink.h — looks for less that still goes wrong in the same way.
 *
 * Whoever calls says how a candidate ends.  A search returns only what was seen to go wrong, or what
 * it was given; so a candidate that goes wrong against all expectation, or for once does not, costs
 * time and nothing else.
 *
 * Pure.  The searches, and what they promise, are in shrink.c.
 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "sim/plan.h"

enum shrink_answer {
    SHRINK_SAME,  /* it goes wrong in the same way */
    SHRINK_OTHER, /* it does not: well, or wrong in another way */
    SHRINK_STOP,  /* no more candidates, please */
};

typedef enum shrink_answer shrink_picks_fn(void *ctx, const struct picks *candidate);
typedef enum shrink_answer shrink_number_fn(void *ctx, uint64_t candidate);

/* Make `*picks`, a selection that goes wrong (`some` is set), smaller.  False: it was stopped. */
bool shrink_picks(struct picks *picks, shrink_picks_fn *answer, void *ctx);

/* Make `*number`, which goes wrong, smaller, but not smaller than `low`; a difference of `fine` is
 * none.  False: it was stopped. */
bool shrink_number(uint64_t *number, uint64_t low, uint64_t fine, shrink_number_fn *answer,
                   void *ctx);

/* Do two texts of violations speak of the same kind?  Their first lines are the same, but for words
 * with a digit in them and for what stands in double quotes: which node it was, which key, how long
 * it took. */
bool shrink_same_kind(const char *left, const char *right);

#endif
