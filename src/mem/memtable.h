/*
 * mem/memtable.h — the newest writes, in memory: ordered, and hashed.
 *
 * A skip list gives order, a hash index gives point reads in about two cache
 * misses.  One writer at a time; any number of concurrent readers, without
 * locks: an entry becomes visible whole or not at all.  Entries are never
 * changed or removed; all memory is returned when the last reference goes.
 *
 * Pure: no clock, no I/O, no threads; what randomness a skip list needs comes from the hash of
 * key and version, so the same writes make the same list.
 */
#ifndef MEM_MEMTABLE_H
#define MEM_MEMTABLE_H

#include "base/entry.h"
#include "base/status.h"

struct memtable;

/* `bytes_expected` sizes the hash index and the arena's chunks.  Holds one
 * reference.  NULL when out of memory. */
struct memtable *memtable_create(size_t bytes_expected);

/* Thread-safe. */
void memtable_ref(struct memtable *m);
void memtable_unref(struct memtable *m);

/* Copy the entry in.  Its version must be greater than every version of that
 * key in here (the writer's duty).  ST_NO_MEMORY: nothing changed. */
MUST_USE enum status memtable_put(struct memtable *m, const struct entry *e);

/* As memtable_put() when the hash64() of the key is known. */
MUST_USE enum status memtable_put_hashed(struct memtable *m, const struct entry *e, uint64_t hash);

/* The newest version of the key that is not above `snapshot` (VERSION_MAX for
 * the newest of all).  `*out` borrows from the memtable.  `hash` is hash64(key). */
bool memtable_get(const struct memtable *m, struct slice key, uint64_t hash, version_t snapshot,
                  struct entry *out);

/* Memory taken, including the hash index; thread-safe. */
size_t memtable_bytes(const struct memtable *m);

uint64_t memtable_entry_count(const struct memtable *m);
uint64_t memtable_tombstone_count(const struct memtable *m);

/* All versions of all keys, in entry order (base/entry.h).  Readers may walk
 * while the writer adds; whether they see what is added meanwhile is open. */
struct memtable_iter {
    const struct memtable *table; /* the caller holds a reference */
    const struct memtable_node *node;
};

void memtable_iter_init(struct memtable_iter *it, const struct memtable *m);
bool memtable_iter_valid(const struct memtable_iter *it);

/* To the first entry at or after (key, version) in entry order. */
void memtable_iter_seek(struct memtable_iter *it, struct slice key, version_t version);

/* To the last entry before (key, version) in entry order. */
void memtable_iter_seek_before(struct memtable_iter *it, struct slice key, version_t version);
void memtable_iter_first(struct memtable_iter *it);
void memtable_iter_last(struct memtable_iter *it);
void memtable_iter_next(struct memtable_iter *it);
void memtable_iter_prev(struct memtable_iter *it);                           /* costs a search */
void memtable_iter_entry(const struct memtable_iter *it, struct entry *out); /* borrows */

#endif
