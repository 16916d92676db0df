/*
 * base/refrain.h — an event that others can bring about as often as they like, and the lines about it.
 *
 *      if (refrain_tells(&r, now_ns, slice_str(what)))
 *          log_event(..., log_u64("untold", refrain_untold(&r)));
 *
 * At most one line a second; and of the same twice in a row, one a minute.  Whatever is not told is counted, and the next line
 * says how much that was.  Zeroed: nothing was told yet.
 */
#ifndef BASE_REFRAIN_H
#define BASE_REFRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct refrain {
    uint64_t told_ns; /* 0: never */
    uint64_t told;    /* a hash of what was */
    uint64_t untold;  /* since then */
    uint64_t missed;  /* before then */
};

/* `now_ns` is not 0 and never goes back. */
bool refrain_tells(struct refrain *r, uint64_t now_ns, struct slice what);

/* How many were not told before the line that is told now. */
uint64_t refrain_untold(const struct refrain *r);

#endif
