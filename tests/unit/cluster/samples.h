/*
 * unit/cluster/samples.h — records of every kind, fixed and at random, and whether two say the same.
 *
 * Bounds of a random tablet lie in memory that stays.
 */
#ifndef UNIT_CLUSTER_SAMPLES_H
#define UNIT_CLUSTER_SAMPLES_H

#include "base/prng.h"

#include "cluster/record.h"
#include "unit/test.h"

enum { KINDS = 4 };

extern const enum record_kind kinds[KINDS];

struct record sample_cluster(uint64_t change);
struct record sample_node(uint64_t id);
struct record sample_keyspace(uint32_t id);
struct record sample_tablet(uint64_t id);

/* The largest values that each field may have. */
struct record sample_largest(enum record_kind kind);

/* Valid, and up to its limits. */
struct record random_record(struct prng *p, enum record_kind kind, uint64_t id);

bool records_equal(const struct record *a, const struct record *b);

/* Is every field within what the header says? */
bool record_is_in_range(const struct record *r);

/* The value, in a buf of the caller's. */
void encode(const struct record *r, struct buf *out);

#endif
