/*
 * Buckets
 *
 *      value          0 .. 31      32 .. 63     64 .. 127     ...
 *      bucket         0 .. 31      32 .. 63     64 .. 95      ...
 *      values in it   1            1            2             ...
 *
 * A value of 32 or more whose highest set bit is `e` is counted by that bit and
 * the five below it, so a bucket is at most 1/32 as wide as what it holds.
 *
 * The counters are plain integers in the structure, and are read and written
 * with relaxed atomics: one writer needs no more, and a reader on another
 * thread sees whole numbers.
 */
#include "base/histogram.h"

#include <stddef.h>

#include "base/assert.h"

enum { SUB_BITS = 5 };

_Static_assert(1 << SUB_BITS == HISTOGRAM_SUB, "the sub-buckets of one power of two");
_Static_assert(HISTOGRAM_BUCKETS == (64 - SUB_BITS + 1) * HISTOGRAM_SUB, "up to UINT64_MAX");

static uint64_t
load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Not a fetch-and-add: there is one writer, and this costs no bus lock. */
static void
add(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, load(counter) + by, __ATOMIC_RELAXED);
}

static size_t
bucket_of(uint64_t value)
{
    unsigned exponent;

    if (value < HISTOGRAM_SUB)
        return (size_t)value;
    exponent = 63 - (unsigned)__builtin_clzll(value);
    return (size_t)(exponent - SUB_BITS) * HISTOGRAM_SUB + (size_t)(value >> (exponent - SUB_BITS));
}

/* The greatest value that is counted in the bucket. */
static uint64_t
bucket_last(size_t bucket)
{
    unsigned shift;
    uint64_t first;

    if (bucket < HISTOGRAM_SUB)
        return bucket;
    shift = (unsigned)(bucket / HISTOGRAM_SUB) - 1;
    first = (uint64_t)(HISTOGRAM_SUB + bucket % HISTOGRAM_SUB) << shift;
    return first + ((UINT64_C(1) << shift) - 1);
}

void
histogram_add(struct histogram *h, uint64_t value)
{
    size_t bucket = bucket_of(value);

    ASSERT(bucket < HISTOGRAM_BUCKETS);
    if (value > load(&h->max))
        __atomic_store_n(&h->max, value, __ATOMIC_RELAXED);
    add(&h->buckets[bucket], 1);
    add(&h->count, 1);
    add(&h->sum, value);
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
    uint64_t max = load(&from->max);

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        add(&to->buckets[i], load(&from->buckets[i]));
    add(&to->count, load(&from->count));
    add(&to->sum, load(&from->sum));
    if (max > load(&to->max))
        __atomic_store_n(&to->max, max, __ATOMIC_RELAXED);
}

/* How many of `total` values `percent` of them are, rounded up: at least one, at most all.  99.9 is
 * not a number in binary: what is more than a whole by no more than that error is not rounded up. */
static uint64_t
rank_of(uint64_t total, double percent)
{
    const double error = 1e-12;
    double exact = (double)total * percent / 100.0;
    uint64_t rank;

    if (exact >= (double)total)
        return total;
    rank = (uint64_t)exact;
    if (exact - (double)rank > exact * error)
        rank++;
    return rank == 0 ? 1 : rank;
}

uint64_t
histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t total = 0;
    uint64_t seen = 0;
    uint64_t rank;
    uint64_t max;

    ASSERT(percent >= 0.0 && percent <= 100.0);

    /* Summed here, and not taken from `count`, which a writer may be about to raise. */
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += load(&h->buckets[i]);
    if (total == 0)
        return 0;

    rank = rank_of(total, percent);
    max = load(&h->max);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += load(&h->buckets[i]);
        if (seen >= rank)
            return bucket_last(i) < max ? bucket_last(i) : max;
    }
    return max;
}
