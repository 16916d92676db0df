/*
 * base/version.h — the one notion of version (DESIGN, decision 6).
 *
 * A hybrid logical clock value below 2^53, so that it is exact in JSON:
 * 41 bits of milliseconds since 2025-01-01 UTC, then 12 bits of counter.  A
 * full counter borrows from the next millisecond.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#include <stdint.h>

#include "base/assert.h"

typedef uint64_t version_t; /* 0 is "none" */

enum { VERSION_COUNTER_BITS = 12 };

#define VERSION_EPOCH_UNIX_MS UINT64_C(1735689600000) /* 2025-01-01T00:00:00Z */
#define VERSION_MAX           ((UINT64_C(1) << 53) - 1)

/* The first version of a millisecond; 0 for a time before the epoch.  Versions
 * end in the year 2094: a clock that is beyond counts as that last moment. */
static inline version_t
version_at(uint64_t unix_ms)
{
    uint64_t ms_max = VERSION_MAX >> VERSION_COUNTER_BITS;
    uint64_t ms;

    if (unix_ms < VERSION_EPOCH_UNIX_MS)
        return 0;
    ms = unix_ms - VERSION_EPOCH_UNIX_MS;
    return (ms < ms_max ? ms : ms_max) << VERSION_COUNTER_BITS;
}

static inline uint64_t
version_unix_ms(version_t version)
{
    return (version >> VERSION_COUNTER_BITS) + VERSION_EPOCH_UNIX_MS;
}

/* The version of a write at `unix_ms` after `last`: strictly greater than `last`. */
static inline version_t
version_next(version_t last, uint64_t unix_ms)
{
    version_t now = version_at(unix_ms);

    ASSERT(last < VERSION_MAX);
    return now > last ? now : last + 1;
}

#endif
