/*
 * distkv/distkv.h — libdistkv: the storage engine, embedded.
 *
 * A durable, ordered key-value store in a folder: log-structured merge trees
 * over a write-ahead log.  A store has families (other engines say column
 * families): each is a tree of its own, and one batch may write to several of
 * them atomically.
 *
 *      struct dkv *db;
 *      struct dkv_error error;
 *
 *      if (dkv_open(&db, "/var/lib/app/store", NULL, &error) != DKV_OK)
 *          die(error.text);
 *      dkv_put(db, NULL, "user:1", 6, "Alice", 5, NULL, &error);
 *      dkv_close(db, &error);
 *
 * DURABILITY.  By default a write returns when it has been fsynced.  With
 * DKV_SYNC_NONE it returns when the operating system has it: a killed process
 * loses nothing, a power cut may lose the newest writes, and what survives is
 * a prefix of the writes in their order.
 *
 * THREADS.  Every function may be called from any thread at any time, except
 * that an iterator and a batch belong to one thread at a time.  Concurrent
 * synced writes share fsyncs.
 *
 * AFTER A FAILED FSYNC every later write fails with DKV_IO; reads go on.  Close
 * and open again: what was acknowledged is there.
 *
 * Keys are 1 to 65,536 bytes, values up to 16 MiB.
 */
#ifndef DISTKV_DISTKV_H
#define DISTKV_DISTKV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dkv_status {
    DKV_OK = 0,
    DKV_NOT_FOUND,
    DKV_EXISTS,  /* the store is open elsewhere, or is there already */
    DKV_INVALID, /* a bad argument, or a folder that is not such a store */
    DKV_TOO_BIG, /* a key, value or batch beyond its limit */
    DKV_CORRUPT, /* damaged files; the text names file and offset */
    DKV_IO,
    DKV_NO_SPACE, /* the disk is full: deletes are admitted, and it resumes by itself */
    DKV_NO_MEMORY,
};

struct dkv_error {
    enum dkv_status status;
    char text[240]; /* what happened, to what */
};

enum dkv_sync { DKV_SYNC_ALWAYS = 0, DKV_SYNC_NONE = 1 };
enum dkv_compression { DKV_PLAIN = 0, DKV_LZ4 = 1, DKV_ZSTD = 2 };

/* Zeros mean the defaults in brackets. */
struct dkv_options {
    bool must_exist; /* do not create */
    bool must_be_new;
    size_t memory_budget_bytes; /* memtables, caches, indexes and filters together [512 MB] */
    size_t block_cache_bytes;   /* of the budget [a quarter] */
    size_t record_cache_bytes;  /* of the budget [an eighth] */
    size_t memtable_bytes;      /* [64 MB] */
    uint64_t log_segment_bytes; /* [64 MB] */
    uint64_t level_base_bytes;  /* [100 MB] */
    uint32_t bloom_bits;        /* per key [10] */
    bool no_bloom;
    enum dkv_compression compression;      /* upper levels [plain] */
    enum dkv_compression compression_last; /* last level [plain] */
    uint64_t min_free_bytes;               /* of the disk [100 MB] */
    /* Files of tables that are open at once.  The process needs descriptors beside them: for one
     * manifest per eight tables, up to 64; a few for the log; and for tables that iterators and
     * compactions read.  [1000; or a quarter of RLIMIT_NOFILE's soft limit when the store is
     * opened, if that is less: with the usual 1024, 256] */
    uint32_t open_tables_max;
};

struct dkv;
struct dkv_family;
struct dkv_batch;
struct dkv_snapshot;
struct dkv_iter;

/* ------------------------------------------------------------------ opening */

/* `options` NULL: all defaults.  `error` may be NULL, here and everywhere. */
enum dkv_status dkv_open(struct dkv **out, const char *path, const struct dkv_options *options,
                         struct dkv_error *error);

/* No iterator, snapshot or call is left.  NULL is allowed.  The store is
 * released in any case; a failure means that the newest unsynced writes may not be durable. */
enum dkv_status dkv_close(struct dkv *db, struct dkv_error *error);

/* A family by name (1 to 64 bytes); created if it is missing and `create` is given.  Lives as
 * long as the store.  NULL stands for the default family everywhere. */
enum dkv_status dkv_family_open(struct dkv *db, const char *name, bool create,
                                struct dkv_family **out, struct dkv_error *error);

/* ------------------------------------------------------------------ writing */

struct dkv_write_options {
    enum dkv_sync sync;
};

enum dkv_status dkv_put(struct dkv *db, struct dkv_family *family, const void *key, size_t key_size,
                        const void *value, size_t value_size,
                        const struct dkv_write_options *options, struct dkv_error *error);

/* Not an error when the key does not exist. */
enum dkv_status dkv_delete(struct dkv *db, struct dkv_family *family, const void *key,
                           size_t key_size, const struct dkv_write_options *options,
                           struct dkv_error *error);

/* Several writes that happen together or not at all; up to 64 MiB.  Keys and values are copied. */
struct dkv_batch *dkv_batch_create(void); /* NULL when out of memory */
void dkv_batch_destroy(struct dkv_batch *b);
void dkv_batch_clear(struct dkv_batch *b);
enum dkv_status dkv_batch_put(struct dkv_batch *b, struct dkv_family *family, const void *key,
                              size_t key_size, const void *value, size_t value_size,
                              struct dkv_error *error);
enum dkv_status dkv_batch_delete(struct dkv_batch *b, struct dkv_family *family, const void *key,
                                 size_t key_size, struct dkv_error *error);
enum dkv_status dkv_write(struct dkv *db, const struct dkv_batch *b,
                          const struct dkv_write_options *options, struct dkv_error *error);

/* ------------------------------------------------------------------ reading */

/* `*value` is allocated and owned by the caller: dkv_free(). */
enum dkv_status dkv_get(struct dkv *db, struct dkv_family *family,
                        const struct dkv_snapshot *snapshot, const void *key, size_t key_size,
                        void **value, size_t *value_size, struct dkv_error *error);

/* Without allocation: copies at most `room` bytes to `out`; `*value_size` is the whole size. */
enum dkv_status dkv_get_into(struct dkv *db, struct dkv_family *family,
                             const struct dkv_snapshot *snapshot, const void *key, size_t key_size,
                             void *out, size_t room, size_t *value_size, struct dkv_error *error);

void dkv_free(void *value);

/* All families as of one moment.  NULL when out of memory. */
struct dkv_snapshot *dkv_snapshot_take(struct dkv *db);
void dkv_snapshot_release(struct dkv *db, struct dkv_snapshot *s);

/* Keys in byte order.  After each move ask dkv_iter_valid(); when it is false, dkv_iter_status()
 * tells the end (DKV_OK) from a failure. */
enum dkv_status dkv_iter_create(struct dkv *db, struct dkv_family *family,
                                const struct dkv_snapshot *snapshot, struct dkv_iter **out,
                                struct dkv_error *error);
void dkv_iter_destroy(struct dkv_iter *it);
void dkv_iter_first(struct dkv_iter *it);
void dkv_iter_last(struct dkv_iter *it);
void dkv_iter_seek(struct dkv_iter *it, const void *key, size_t key_size); /* first key >= key */
void dkv_iter_seek_before(struct dkv_iter *it, const void *key, size_t key_size); /* last < key */
void dkv_iter_next(struct dkv_iter *it);
void dkv_iter_prev(struct dkv_iter *it);
bool dkv_iter_valid(const struct dkv_iter *it);
const void *dkv_iter_key(const struct dkv_iter *it, size_t *size);   /* until the next move */
const void *dkv_iter_value(const struct dkv_iter *it, size_t *size); /* until the next move */
enum dkv_status dkv_iter_status(const struct dkv_iter *it, struct dkv_error *error);

/* ------------------------------------------------------------------ care */

/* Make everything that was written so far durable. */
enum dkv_status dkv_sync(struct dkv *db, struct dkv_error *error);

/* Write the memtables of all families to tables. */
enum dkv_status dkv_flush(struct dkv *db, struct dkv_error *error);

/* Merge all tables of the family into one run; drops deleted and overwritten versions. */
enum dkv_status dkv_compact(struct dkv *db, struct dkv_family *family, struct dkv_error *error);

#ifdef __cplusplus
}
#endif

#endif
