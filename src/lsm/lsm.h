/*
 * lsm/lsm.h — one log-structured merge tree: memtables over sorted tables.
 *
 * A tree has no log of its own.  It is told what to apply, and says up to
 * which (index, term) its files are durable: everything later must be applied
 * again after a crash.
 *
 *      apply ──> memtable ──switch──> sealed memtables ──flush──> L0 ──compact──> L1..L6
 *                    \_________________ view ______________________________/
 *
 * WHO MAY CALL WHAT
 *
 *      the owner   (one thread at a time: the tablet's reactor, or whoever holds
 *                  the embedded store's write turn): lsm_apply, lsm_switch, lsm_clear, lsm_narrow;
 *                  a job stands for it in lsm_import_install()
 *      job code    lsm_open, lsm_close, lsm_flush, lsm_compact*, lsm_get, iterators
 *      anybody     lsm_try_get, lsm_snapshot_*, lsm_stats, lsm_*_due
 *
 * Reads never lock: the current view is found through an epoch (base/epoch.h).
 * From one node's tree to another's: lsm/checkpoint.h, lsm/import.h; as one number: lsm/state_hash.h.
 * The invariants T1.. are at the head of lsm.c.
 * Depends on: base, env, mem, sst.
 */
#ifndef LSM_LSM_H
#define LSM_LSM_H

#include "base/budget.h"
#include "base/entry.h"
#include "base/epoch.h"
#include "base/limits.h"
#include "base/status.h"

#include "env/env.h"
#include "sst/cache.h"
#include "sst/table.h"

struct lsm;
struct record_cache;
struct readers;

/* What the trees of a data directory share.  Outlives them all. */
struct lsm_shared {
    struct env *env;
    uint64_t
        store_id; /* random: no two data directories have the same; before a table is written */
    struct epoch *epoch;
    struct cache *blocks;
    struct record_cache *records; /* NULL: none */
    struct readers *readers;      /* the open tables */
    struct budget *budget;
    _Atomic uint64_t *next_number; /* table numbers, unique in the data directory */
    _Atomic uint32_t *manifests_open;
    uint32_t manifests_open_max; /* a manifest beyond it is closed when its edit is recorded */
};

struct lsm_options {
    size_t memtable_bytes;       /* 64 MB; down to 64 KB */
    uint32_t l0_trigger;         /* tables in L0 that make a compaction due; 4 */
    uint32_t l0_stall;           /* tables in L0 at which writes must wait; 20 */
    uint32_t sealed_max;         /* sealed memtables at which writes must wait; 2 */
    uint64_t level_base_bytes;   /* aimed size of L1; 100 MB */
    uint32_t level_multiplier;   /* 10 */
    uint64_t table_bytes;        /* aimed size of a table; 16 MB .. */
    uint32_t compact_wait_ms;    /* the longest wait of a due compaction; 30,000 */
    struct table_options tables; /* of the upper levels */
    enum table_compression last_level_compression;
};

void lsm_options_default(struct lsm_options *options);

/* How far the files reach: entries up to this one need not be applied again. */
struct lsm_mark {
    uint64_t index;
    uint64_t term;
    version_t version; /* highest version ever applied up to there */
};

/* Open or create the tree in folder `dir`.  ST_CORRUPT names file and offset
 * (or key range).  ST_NOT_FOUND without `create`.  ST_INVALID: an option is 0, or sealed_max above
 * 32.  Tables are opened when first used, and closed by lsm_rest(): an idle tree holds no open
 * file. */
MUST_USE enum status lsm_open(struct lsm **out, const struct lsm_shared *shared, uint64_t tree_id,
                              const char *dir, const struct lsm_options *options, bool create,
                              struct err *err);

/* No job, iterator, snapshot, checkpoint or import is left.  Unflushed entries are the log's business. */
void lsm_close(struct lsm *t);

uint64_t lsm_id(const struct lsm *t);

/* As of the last manifest write. */
struct lsm_mark lsm_flushed(const struct lsm *t);

/* ------------------------------------------------------------------ writing (owner) */

/* Apply the entries of one committed log entry, as a unit: a concurrent reader sees all or
 * none.  All carry `version`, at least as great as all before (the owner's duty; equal only for
 * different keys of one unit).  ST_NO_MEMORY: nothing became visible; the
 * same call may be repeated.  `mark` is the log entry's (index, term), above all before. */
MUST_USE enum status lsm_apply(struct lsm *t, const struct entry *entries, size_t count,
                               const struct lsm_mark *mark);

/* Entries whose keys have these hash64() are about to be applied, by one call or by several: load
 * what that touches. */
void lsm_prefetch(const struct lsm *t, const uint64_t *hashes, uint32_t count);

/* Nothing to write (a no-op or configuration entry), but the position advances. */
void lsm_advance(struct lsm *t, const struct lsm_mark *mark);

/* Is the memtable full? */
bool lsm_switch_due(const struct lsm *t);

/* Seal the memtable and begin a new one.  Nothing happens when it is empty and the mark has not
 * moved.  ST_NO_MEMORY; ST_BUSY: 32 wait to be flushed, lsm_stall() was not heeded.  In both
 * cases nothing changed. */
MUST_USE enum status lsm_switch(struct lsm *t);

/* Swap in an empty tree, as of `mark` (FLUSHALL, FLUSHDB).  Memory at once; files go
 * with the next lsm_flush(), which is then due.  Live snapshots keep what they saw.  A clear
 * is a write: mark->version is above all before, so that a version number says on which side
 * of it a snapshot lies.  ST_NO_MEMORY: nothing changed. */
MUST_USE enum status lsm_clear(struct lsm *t, const struct lsm_mark *mark);

/* From the version `since` on, which is visible already, or will be with the owner's next call, keys of which
 * `has` says no are gone: iterators pass over them, and compactions drop them.  They are not
 * written any more, nor asked for by lsm_get().  To be said again after each lsm_open(), with all narrowings
 * in their order; a key that is gone stays so.  `scope` is copied; `has` is called on any thread.  ST_NO_MEMORY. */
typedef bool lsm_has_fn(const void *scope, struct slice stored_key);
MUST_USE enum status lsm_narrow(struct lsm *t, lsm_has_fn *has, const void *scope, size_t size,
                                version_t since);

/* Why writes should wait, if they should; the name is for logs and STATS. */
enum lsm_stall { LSM_STALL_NONE, LSM_STALL_MEMTABLES, LSM_STALL_L0, LSM_STALL_COUNT };
enum lsm_stall lsm_stall(const struct lsm *t);
const char *lsm_stall_name(enum lsm_stall stall);

/* ------------------------------------------------------------------ reading */

/* A version found; tombstones and expired versions are found too: the caller
 * judges.  `entry.value` borrows; see who keeps it alive.  What is read: the newest version
 * not above `snapshot`, which is VERSION_MAX or the version of a live snapshot. */
struct lsm_found {
    struct entry entry;
    struct cache_handle *pin; /* a block of a table, or NULL */
    struct buf copy;          /* an owned copy, or empty */
};

/* Never blocks.  The caller is inside shared->epoch and stays there until it
 * has called lsm_found_release().  `key` must live as long.
 * ST_OK; ST_NOT_FOUND: nothing is remembered of this key;
 * ST_WOULD_BLOCK: ask a job (lsm_get); ST_CORRUPT, ST_IO. */
MUST_USE enum status lsm_try_get(struct lsm *t, struct slice key, version_t snapshot,
                                 struct lsm_found *found, struct err *err);

/* May block; the caller is not inside the epoch.  The value is pinned or
 * copied until lsm_found_release().  Fills the caches. */
MUST_USE enum status lsm_get(struct lsm *t, struct slice key, version_t snapshot,
                             struct lsm_found *found, struct err *err);

void lsm_found_release(struct lsm_found *found);

/* Grows when versions are dropped that lsm_visible() once covered: with every flush, every
 * lsm_clear() and every import.  Reads at a version that no snapshot holds are right only if it is the same before
 * the version was asked for and after the last of them. */
uint64_t lsm_generation(const struct lsm *t);

/* The version up to which everything is visible: the version of the last lsm_apply(). */
version_t lsm_visible(const struct lsm *t);

/* Keep what is visible now readable, until released.  NULL when out of memory. */
struct lsm_snapshot;
struct lsm_snapshot *lsm_snapshot_take(struct lsm *t);
version_t lsm_snapshot_version(const struct lsm_snapshot *s);
void lsm_snapshot_release(struct lsm *t, struct lsm_snapshot *s); /* NULL is allowed */

/* The newest visible version of each key, tombstones and expired ones left out
 * (expiry judged at `now_ms`), in key order.  Job code; one thread at a time. */
struct lsm_iter;

struct lsm_iter_options {
    const struct lsm_snapshot *snapshot; /* NULL: what is visible at creation */
    uint64_t now_ms;
    bool fill_cache;
};

MUST_USE enum status lsm_iter_create(struct lsm *t, const struct lsm_iter_options *options,
                                     struct lsm_iter **out, struct err *err);
void lsm_iter_destroy(struct lsm_iter *it); /* NULL is allowed */

/* ST_OK: valid; ST_NOT_FOUND: past the end; or a failure. */
MUST_USE enum status lsm_iter_seek(struct lsm_iter *it, struct slice key, struct err *err);
MUST_USE enum status lsm_iter_seek_before(struct lsm_iter *it, struct slice key,
                                          struct err *err); /* last key < key */
MUST_USE enum status lsm_iter_first(struct lsm_iter *it, struct err *err);
MUST_USE enum status lsm_iter_last(struct lsm_iter *it, struct err *err);
MUST_USE enum status lsm_iter_next(struct lsm_iter *it, struct err *err);
MUST_USE enum status lsm_iter_prev(struct lsm_iter *it, struct err *err);
void lsm_iter_entry(const struct lsm_iter *it, struct entry *out); /* until the next move */

/* ------------------------------------------------------------------ background work (jobs) */

/* Anything for lsm_flush()?  */
bool lsm_flush_due(const struct lsm *t);

/* Memtables that wait for lsm_flush(). */
uint32_t lsm_sealed_count(const struct lsm *t);

/* Write the oldest sealed memtable (or carry out a clear) and record it in the
 * manifest.  One at a time per tree; beside lsm_compact().  A failure leaves the tree readable
 * and the memtable in memory; the call may be repeated (new file names are used). */
MUST_USE enum status lsm_flush(struct lsm *t, struct err *err);

/* 0 = nothing due; above 1 = urgent; between: due, may wait compact_wait_ms. */
double lsm_compact_score(const struct lsm *t);

/* One compaction, as picked from the current version; ST_NOT_FOUND when none is due.
 * One at a time per tree, beside lsm_flush().  ST_CLOSED when lsm_stop_jobs() was called. */
MUST_USE enum status lsm_compact(struct lsm *t, struct err *err);

/* Merge all tables into one run at the last level; drops every tombstone,
 * duplicate and expired version that no snapshot needs; expired is what is so at the time of the
 * version in lsm_flushed().  One at a time with lsm_compact().
 * Without tables, ST_OK and zeros.  `report` may be NULL; on failure it is untouched. */
struct lsm_compact_report {
    uint64_t tables_in;
    uint64_t tables_out;
    uint64_t keys_removed;    /* entries in minus entries out */
    uint64_t bytes_reclaimed; /* file bytes in minus out; 0 when it grew */
};
MUST_USE enum status lsm_compact_all(struct lsm *t, struct lsm_compact_report *report,
                                     struct err *err);

/* 0..1000 of a running lsm_compact_all(), for progress displays; 0 when none runs. */
uint32_t lsm_compact_permille(const struct lsm *t);

/* Make running jobs of this tree return ST_CLOSED soon. */
void lsm_stop_jobs(struct lsm *t);

/* Delete files that nobody refers to any more.  Blocks. */
MUST_USE enum status lsm_sweep(struct lsm *t, struct err *err);
bool lsm_sweep_due(const struct lsm *t);

/* Called now and then, with env_boot_ns().  A tree that was not read, flushed or compacted for
 * `idle_ns` closes its tables (0: at once, whatever it does); one that was not flushed or compacted
 * between two calls, its manifest, if `*manifests` is not 0, which is then one less.  Whoever needs
 * them opens them again.  Blocks; one at a time. */
void lsm_rest(struct lsm *t, uint64_t now_ns, uint64_t idle_ns, uint32_t *manifests);

/* ------------------------------------------------------------------ looking */

struct lsm_stats {
    uint32_t tables[LIMIT_LEVELS];
    uint64_t bytes[LIMIT_LEVELS];
    uint64_t entries; /* in tables and memtables, all versions */
    uint64_t tombstones;
    size_t memtable_bytes; /* active and sealed */
    uint32_t sealed_count;
    uint64_t gets;
    uint64_t tables_read;   /* tables whose blocks were searched */
    uint64_t filter_skips;  /* table reads that a filter spared */
    uint64_t filter_passes; /* table reads that a filter allowed */
    uint64_t filter_false;  /* and that found nothing */
    uint64_t flushes;
    uint64_t compactions;
    uint64_t keys_removed;
    uint64_t bytes_reclaimed;
    uint64_t last_compaction_ms; /* Unix time; 0 = never */
    uint64_t bytes_applied;      /* keys and values given to lsm_apply */
    uint64_t bytes_written;      /* to tables, by flush and compaction */
    uint64_t bottom_bytes; /* of the lowest level that has tables: about what exists, but for L0 */
};
void lsm_stats(const struct lsm *t, struct lsm_stats *out);

/* Names of all tables and the manifest, for checks, snapshots and backups. */
typedef enum status lsm_file_fn(void *ctx, uint32_t level, const struct table_info *info,
                                const char *path, struct err *err);

/* Offline: read the manifest in `dir` without changing anything, and call `fn` for each table.
 * ST_CORRUPT names file and offset. */
MUST_USE enum status lsm_inspect(struct env *env, const char *dir, lsm_file_fn *fn, void *ctx,
                                 struct lsm_mark *mark, struct err *err);

#endif
