/*
 * base/histogram.h — counts of durations, with percentiles to within 1/32.
 *
 * Log-linear buckets: 32 for each power of two, fixed size, no allocation.
 * One writer; a concurrent reader may see a count that is about to grow.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

/* Values below HISTOGRAM_SUB have a bucket each; above, 59 powers of two have 32 each. */
enum { HISTOGRAM_SUB = 32, HISTOGRAM_BUCKETS = HISTOGRAM_SUB * 60 };

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The smallest value that `percent` (0..100) of all values do not exceed, rounded up to its
 * bucket's upper end, but never above `max`; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

#endif
