/*
 * unit/mem/model.h — the naive truth: entries in an array, kept in order by
 * insertion.  What memtables and tables must agree with.
 */
#ifndef UNIT_MEM_MODEL_H
#define UNIT_MEM_MODEL_H

#include "base/entry.h"
#include "base/prng.h"

struct model {
    struct entry *entries; /* in entry order; keys and values are owned */
    size_t count;
    size_t capacity;
};

void model_release(struct model *m);

/* Copies the entry in, at its place. */
void model_put(struct model *m, const struct entry *e);

/* The index of the first entry at or after (key, version); `count` when there is none. */
size_t model_at(const struct model *m, struct slice key, version_t version);

/* The newest version not above `snapshot`; NULL when there is none. */
const struct entry *model_get(const struct model *m, struct slice key, version_t snapshot);

/* Fails the test unless the two are the same in every field. */
void model_expect_equal(const struct entry *got, const struct entry *want);

/* Keys that hurt: empty, short, with zeros, with long shared prefixes, and of up to `size_max`
 * bytes.  The same number gives the same key.  `out` holds `size_max` bytes. */
struct slice model_key(uint64_t number, uint8_t *out, size_t size_max);

/* A random value, tombstone or expiring value for the key, with bytes that depend on the version.
 * `value` holds `value_max` bytes, and the entry borrows it. */
struct entry model_entry(struct prng *p, struct slice key, version_t version, uint8_t *value,
                         size_t value_max);

#endif
