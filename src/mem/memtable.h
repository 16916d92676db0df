/*
 * mem/memtable.h — the newest writes, in memory: hashed at once, ordered on demand.
 *
 * A put goes into a hash index, which gives point reads in about two cache misses.  Order is made
 * when somebody asks for it: a flush, or a scan.  One writer at a time; any number of concurrent
 * readers, without locks: an entry becomes visible whole or not at all.  Entries are never
 * changed or removed; all memory is returned when the last reference goes.
 *
 * Pure: no clock, no I/O, no threads, no random numbers.
 */
#ifndef MEM_MEMTABLE_H
#define MEM_MEMTABLE_H

#include "base/budget.h"
#include "base/entry.h"
#include "base/status.h"

struct memtable;

/* `bytes_expected` sizes the arena's chunks.  Holds one reference.  NULL when out of memory. */
struct memtable *memtable_create(size_t bytes_expected);

/* Thread-safe. */
void memtable_ref(struct memtable *m);
void memtable_unref(struct memtable *m);

/* Copy the entry in.  Its version must be greater than every version of that
 * key in here (the writer's duty).  ST_NO_MEMORY: nothing changed. */
MUST_USE enum status memtable_put(struct memtable *m, const struct entry *e);

/* As memtable_put() when the hash64() of the key is known. */
MUST_USE enum status memtable_put_hashed(struct memtable *m, const struct entry *e, uint64_t hash);

/* Entries whose keys have these hash64() are about to be put or read: load what finding them
 * touches, all at once instead of one after the other.  Any thread. */
void memtable_prefetch(const struct memtable *m, const uint64_t *hashes, uint32_t count);

/* The newest version of the key that is not above `snapshot` (VERSION_MAX for
 * the newest of all).  `*out` borrows from the memtable.  `hash` is hash64(key). */
bool memtable_get(const struct memtable *m, struct slice key, uint64_t hash, version_t snapshot,
                  struct entry *out);

/* Memory taken by the entries and the hash index; thread-safe. */
size_t memtable_bytes(const struct memtable *m);

uint64_t memtable_entry_count(const struct memtable *m);
uint64_t memtable_tombstone_count(const struct memtable *m);

/* ------------------------------------------------------------------ order */

/* All entries that there were at some moment, as sorted runs, the smaller ones newer: every
 * version of every key, each in one run.  Immutable, counted, and dead before its memtable is. */
struct memtable_order;

enum {
    MEMTABLE_RUNS_MAX = 40 /* each has more than twice as many entries as the next */
};

/* The order of everything that was put before the call, which costs sorting what came since the
 * last such call, 24 bytes an entry, and merging runs now and then.  `whole`: as one run, which is
 * worth it for a memtable that does not grow any more.  ST_NO_MEMORY.  Any thread; the caller
 * refers to the memtable. */
MUST_USE enum status memtable_order(struct memtable *m, bool whole, struct memtable_order **out);
void memtable_order_ref(struct memtable_order *o);

/* Charge what orders take, and their sorting for as long as it lasts, to this budget (whatever its
 * limit).  Before the first one is asked for; the budget outlives the memtable. */
void memtable_set_budget(struct memtable *m, struct budget *budget);

/* Memory that orders of this memtable take now; thread-safe. */
size_t memtable_order_bytes(const struct memtable *m);
void memtable_order_unref(struct memtable_order *o); /* NULL is allowed */

uint32_t memtable_order_run_count(const struct memtable_order *o);

/* One run as a cursor. */
struct memtable_iter {
    const struct memtable_run *run; /* the caller refers to its order */
    size_t at;                      /* beyond the last: not valid; "before the first" is, too */
};

void memtable_iter_init(struct memtable_iter *it, const struct memtable_order *o, uint32_t run);
bool memtable_iter_valid(const struct memtable_iter *it);

/* To the first entry at or after (key, version) in entry order (base/entry.h). */
void memtable_iter_seek(struct memtable_iter *it, struct slice key, version_t version);

/* To the last entry before (key, version) in entry order. */
void memtable_iter_seek_before(struct memtable_iter *it, struct slice key, version_t version);
void memtable_iter_first(struct memtable_iter *it);
void memtable_iter_last(struct memtable_iter *it);
void memtable_iter_next(struct memtable_iter *it);
void memtable_iter_prev(struct memtable_iter *it);
void memtable_iter_entry(const struct memtable_iter *it, struct entry *out); /* borrows */

#endif
