/*
 * sst/filter.h — a blocked bloom filter: one cache line per key.
 *
 * Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters"
 * (2007).  All probes of a key fall into one line of 64 bytes.  The number of
 * lines and probes is chosen from the number of keys and the bits per key;
 * with 10 bits a key, at most 1.2 % of absent keys pass.
 */
#ifndef SST_FILTER_H
#define SST_FILTER_H

#include "base/slice.h"
#include "base/status.h"

/* Collects the hash64() of keys, then lays out the bits. */
struct filter_builder;

struct filter_builder *filter_builder_create(uint32_t bits_per_key); /* NULL: out of memory */
MUST_USE enum status filter_builder_add(struct filter_builder *b, uint64_t hash);

/* Append the filter's bytes to `out`. */
MUST_USE enum status filter_builder_finish(const struct filter_builder *b, struct buf *out);
void filter_builder_destroy(struct filter_builder *b); /* NULL is allowed */

/* A view of the bytes of a filter; borrows them. */
struct filter {
    const uint8_t *lines;
    uint64_t line_count;
    uint32_t probe_count;
};

/* ST_CORRUPT when the bytes are not a filter. */
MUST_USE enum status filter_parse(struct slice bytes, struct filter *out);

bool filter_may_contain(const struct filter *f, uint64_t hash);

#endif
