/*
 * store_fixture.h — tables that exist only by name, for tests of what keeps track of them.
 */
#ifndef UNIT_LSM_STORE_FIXTURE_H
#define UNIT_LSM_STORE_FIXTURE_H

#include "lsm/version.h"

/* A table in a few words; what is 0 gets a harmless value. */
struct table_spec {
    uint32_t level;
    uint64_t number;
    const char *from; /* smallest key */
    const char *to;   /* largest key */
    uint64_t oldest;  /* version */
    uint64_t newest;  /* version */
    uint64_t bytes;
    uint64_t entries;
    uint64_t tombstones;
    uint64_t expiring;
};

#define TABLE(l, n, f, t, o, w, b)                                                                \
 {                                                                                                \
  .level = (l), .number = (n), .from = (f), .to = (t), .oldest = (o), .newest = (w), .bytes = (b) \
 }

/* One reference.  The test fails when out of memory. */
struct table_file *fixture_file(struct file_sweep *sweep, const struct table_spec *spec);

/* Without failing: NULL when out of memory. */
struct table_file *fixture_try_file(struct file_sweep *sweep, const struct table_spec *spec);

/* Add to an edit; the edit holds the only reference. */
void fixture_add(struct version_edit *e, struct file_sweep *sweep, const struct table_spec *spec);

/* A version of these tables. */
struct version *fixture_version(struct file_sweep *sweep, const struct table_spec *specs,
                                size_t count);

/* "L0: 7[a..c]@5-9 3[b..d]@1-4 | L1: 2[a..b]@1-1": what a version holds; released by the caller. */
struct buf fixture_describe(const struct version *v);

/* Are the two the same, table for table, field for field? */
bool fixture_same_version(const struct version *a, const struct version *b);

#endif
