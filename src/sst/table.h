/*
 * sst/table.h — sorted tables: immutable files of entries in entry order.
 *
 * A table is written once by a builder, in order, and then only read.  The
 * file is made of checksummed blocks: data (prefix-compressed, with restart
 * points), filter, index, properties, footer.  Every byte of the file is under
 * some checksum that is tied to its offset and to the table's seed, so that a flipped bit, a
 * truncated file, a misdirected or stale block is ST_CORRUPT with file and
 * offset, and never data (P3).  Formats: docs/formats/table.md.
 *
 * The file does not hold its number, by which one data directory calls it.  So it may be copied, byte
 * for byte, into another data directory, and have another number there.
 *
 * Depends on: base, env.
 */
#ifndef SST_TABLE_H
#define SST_TABLE_H

#include "base/entry.h"
#include "base/status.h"

#include "env/env.h"
#include "sst/cache.h"

enum table_compression { TABLE_PLAIN = 0, TABLE_LZ4 = 1, TABLE_ZSTD = 2 };

struct table_options {
    uint32_t block_bytes;               /* aimed size of a data block; 4096 */
    uint32_t restart_interval;          /* entries between restart points; 16 */
    uint32_t filter_bits_per_key;       /* 10; 0 = no filter */
    enum table_compression compression; /* a block that does not shrink by 1/8 is stored plain */
    struct budget *budget; /* charged with what the builder holds of large blocks; or NULL */
};

/* Which table it is. */
struct table_id {
    uint64_t number; /* unique in the data directory for ever: the file's name, the cache's key */
    uint64_t seed;   /* of all its checksums; different for tables of different data directories */
};

/* What the manifest keeps of a table. */
struct table_info {
    uint64_t number; /* these two: struct table_id */
    uint64_t seed;
    uint64_t file_bytes;
    uint64_t checksum; /* of the whole file */
    uint64_t entry_count;
    uint64_t tombstone_count;
    uint64_t expiring_count; /* entries with an expiry */
    uint64_t raw_bytes;      /* keys and values, uncompressed */
    version_t version_min;
    version_t version_max;
    struct buf smallest; /* key of the first entry; owned */
    struct buf largest;  /* key of the last entry; owned */
};

void table_info_release(struct table_info *info);

/* ------------------------------------------------------------------ writing (job code) */

struct table_builder;

/* Creates `path` (ST_EXISTS if it is there).  On failure nothing stays open. */
MUST_USE enum status table_builder_create(struct env *env, const char *path,
                                          const struct table_id *id,
                                          const struct table_options *options,
                                          struct table_builder **out, struct err *err);

/* Entries in strict entry order (a bug otherwise).  Any failure is final for this builder. */
MUST_USE enum status table_builder_add(struct table_builder *b, const struct entry *e,
                                       struct err *err);

uint64_t table_builder_entry_count(const struct table_builder *b);
uint64_t table_builder_file_bytes(const struct table_builder *b); /* so far, approximately */

/* Write the rest and sync the file (its name is durable after env_sync_dir()).
 * At least one entry was added.  `*info` is owned by the caller on success.
 * The builder is gone in any case; on failure the file is removed if possible. */
MUST_USE enum status table_builder_finish(struct table_builder *b, struct table_info *info,
                                          struct err *err);

/* Give up: remove the file.  NULL is allowed. */
void table_builder_abandon(struct table_builder *b);

/* ------------------------------------------------------------------ reading */

struct table;

/* Open for reading: footer, properties, index and filter are read, checked, kept in memory, and
 * charged to the cache's budget.  `info` is what the manifest says, and the file must
 * agree (ST_CORRUPT otherwise); it must outlive the table.  Job code. */
MUST_USE enum status table_open(struct env *env, const char *path, const struct table_info *info,
                                struct cache *cache, struct budget *budget, struct table **out,
                                struct err *err);
void table_close(struct table *t); /* no handle or iterator is out; NULL is allowed */

size_t table_memory_bytes(const struct table *t);

/* How to read: TABLE_TRY never blocks and says ST_WOULD_BLOCK instead. */
enum table_mode { TABLE_TRY, TABLE_BLOCK };

/* `entry.value` borrows from the pinned block; `entry.key` is the key that was asked for. */
struct table_found {
    struct entry entry;
    struct cache_handle *pin; /* release with cache_release() */
};

/* False: the key is not in the table, for certain.  `hash` is hash64(key).  True also when
 * there is no filter. */
bool table_may_contain(const struct table *t, uint64_t hash);

/* The newest version not above `snapshot`, without asking the filter.
 * ST_OK, ST_NOT_FOUND, ST_WOULD_BLOCK, ST_CORRUPT, ST_IO, ST_NO_MEMORY.
 * Thread-safe. */
MUST_USE enum status table_get(struct table *t, struct slice key, version_t snapshot,
                               enum table_mode mode, struct table_found *found, struct err *err);

/* All versions of all keys in entry order.  An iterator pins one data block;
 * it may be moved only by one thread at a time.  `fill_cache` false for bulk
 * reads: blocks come from the cache when they are there, and are read ahead in
 * large pieces past it when they are not. */
struct table_iter;

struct table_iter_options {
    enum table_mode mode;
    bool fill_cache;
};

MUST_USE enum status table_iter_create(struct table *t, const struct table_iter_options *options,
                                       struct table_iter **out);
void table_iter_destroy(struct table_iter *it); /* NULL is allowed */

/* Each move gives ST_OK (valid), ST_NOT_FOUND (past the end), or a failure; after anything but
 * ST_OK the iterator stands on nothing, and only a seek, first or last leads back.  After
 * ST_WOULD_BLOCK the same seek may be repeated.  `key` is not borrowed from the iterator itself. */
MUST_USE enum status table_iter_seek(struct table_iter *it, struct slice key, version_t version,
                                     struct err *err); /* first at or after */
MUST_USE enum status table_iter_seek_before(struct table_iter *it, struct slice key,
                                            version_t version, struct err *err);
MUST_USE enum status table_iter_first(struct table_iter *it, struct err *err);
MUST_USE enum status table_iter_last(struct table_iter *it, struct err *err);
MUST_USE enum status table_iter_next(struct table_iter *it, struct err *err);
MUST_USE enum status table_iter_prev(struct table_iter *it, struct err *err);

/* Borrowed until the next move. */
void table_iter_entry(const struct table_iter *it, struct entry *out);

/* Read every block and the whole-file checksum; ST_CORRUPT names the first
 * damage.  `*damaged_from`, `*damaged_to` (may be NULL; owned by the caller) get the key range
 * that the damaged block covered, where the index still tells it, else they stay empty. */
MUST_USE enum status table_verify(struct env *env, const char *path, const struct table_info *info,
                                  struct buf *damaged_from, struct buf *damaged_to,
                                  struct err *err);

#endif
