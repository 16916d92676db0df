/*
 * lsm/record_cache.h — single records that were read from tables and are read again.
 *
 * Holds the newest version of a key as the tables have it.  A memtable always
 * comes first, so an entry here can be stale only once a newer version has
 * been flushed; therefore the flush drops the keys that it moves.  Each tree has a tag, a
 * number that grows with every flush:
 *
 *      flush:    tag + 1, then record_cache_drop() for each key that moves, and only then
 *                is the new view published
 *      reader:   loads the tag before it takes the view, and finds no memtable that has the key;
 *                what it reads from the tables is added only if the tag is still the same
 *
 * A reader adds only what is the newest version in all tables, and trusts what it gets only up to
 * its own snapshot.  A clear has no keys to drop: the tree looks at no version that is older
 * than its last clear.  Why nothing stale can stay: record_cache.c.
 *
 * Sharded, a lock per shard, CLOCK.  Thread-safe.
 */
#ifndef LSM_RECORD_CACHE_H
#define LSM_RECORD_CACHE_H

#include "base/budget.h"
#include "base/entry.h"

struct record_cache;

enum { RECORD_CACHE_VALUE_MAX = 4096 }; /* larger values stay in the block cache */

/* At most `capacity_bytes`, its index included, charged to `budget` (may be NULL); it
 * stays below that when the budget has no room.  NULL when out of memory. */
struct record_cache *record_cache_create(size_t capacity_bytes, struct budget *budget);
void record_cache_destroy(struct record_cache *c); /* NULL is allowed */

/* Copy the value to `room` (of RECORD_CACHE_VALUE_MAX bytes) and describe it;
 * `out->value` borrows from `room`, `out->key` is `key`. */
bool record_cache_get(struct record_cache *c, uint64_t tree, struct slice key, uint64_t hash,
                      uint8_t *room, struct entry *out);

/* Add (or replace), if `*tag_now` still equals `tag` (compared under the shard's lock).  What
 * does not fit is left out. */
void record_cache_add(struct record_cache *c, uint64_t tree, uint64_t hash, const struct entry *e,
                      const _Atomic uint64_t *tag_now, uint64_t tag);

void record_cache_drop(struct record_cache *c, uint64_t tree, struct slice key, uint64_t hash);
void record_cache_drop_tree(struct record_cache *c, uint64_t tree);

/* All that is charged now, the index included. */
size_t record_cache_bytes(const struct record_cache *c);
uint64_t record_cache_hits(const struct record_cache *c);

#endif
