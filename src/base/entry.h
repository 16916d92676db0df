/*
 * base/entry.h — one version of one key, as memtables, tables and trees see it.
 *
 * Order everywhere: key ascending in byte order, then version descending, so
 * that the newest version of a key comes first.
 */
#ifndef BASE_ENTRY_H
#define BASE_ENTRY_H

#include "base/slice.h"
#include "base/version.h"

/* Stored as one byte; values are for ever. */
enum entry_type { ENTRY_TOMBSTONE = 0, ENTRY_VALUE = 1, ENTRY_TYPE_COUNT };

struct entry {
    struct slice key;   /* borrowed; says its owner when it dies */
    struct slice value; /* empty for a tombstone */
    version_t version;
    uint64_t expiry_ms; /* Unix time at which it ceases to exist; 0 = never */
    enum entry_type type;
};

/* <0, 0, >0: the order above. */
static inline int
entry_compare(struct slice a_key, version_t a_version, struct slice b_key, version_t b_version)
{
    int order = slice_compare(a_key, b_key);

    if (order != 0)
        return order;
    return (a_version < b_version) - (a_version > b_version);
}

#endif
