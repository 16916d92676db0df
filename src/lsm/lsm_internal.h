/*
 * lsm_internal.h — what the files of this module share.
 *
 *      lsm.c       the tree: essay, open, close, statistics
 *      apply.c     the owner's side: apply, switch, clear
 *      view.c      layers and views: what a reader sees
 *      snapshot.c  snapshots, and the horizon that they set for jobs
 *      get.c       point reads
 *      source.c    a memtable or a run of tables as a cursor
 *      merge.c     many sources as one
 *      iter.c      the user's iterator
 *      narrow.c    keys that are another tree's from a version on
 *      sieve.c     which versions survive a flush or a compaction
 *      change.c    manifest write and publication, behind the gate
 *      flush.c     memtable to table
 *      compact.c   tables to tables
 *      checkpoint.c, checkpoint_codec.c    the tables of one moment, for another node
 *      import.c    such tables from another node, in place of all that was
 *      state_hash.c    what a snapshot sees, as one number
 *      sweep.c     files that nobody refers to
 *      rest.c      what an idle tree closes
 */
#ifndef LSM_LSM_INTERNAL_H
#define LSM_LSM_INTERNAL_H

#include <stdatomic.h>

#include "base/entry.h"
#include "base/epoch.h"
#include "base/list.h"
#include "base/lock.h"

#include "lsm/lsm.h"
#include "lsm/manifest.h"
#include "lsm/picker.h"
#include "lsm/readers.h"
#include "lsm/version.h"
#include "mem/memtable.h"
#include "sst/table.h"

enum {
    /* Sealed memtables of one tree.  sealed_max stalls writers long before; only an owner that
     * does not heed lsm_stall() gets here, and lsm_switch() then says ST_BUSY. */
    SEALED_LIMIT = 32,

    /* Read counters are kept this many times over, so that threads seldom share a line. */
    STRIPE_COUNT = 8,

    /* Entries that a job handles between two looks at whether it should stop. */
    JOB_CHECK_ENTRIES = 256,
};

/* ------------------------------------------------------------------ views */

/* A memtable of the tree, and how far it reaches. */
struct layer {
    _Atomic uint32_t refs;
    struct memtable *memtable; /* a reference; NULL: only the mark has moved */
    struct lsm_mark mark;      /* once sealed: every unit up to here is in this or an older layer */
    struct budget *budget;
    size_t charged; /* to the budget; written by the owner while the layer is active */
};

/* What a reader sees.  Never changed once it is published, save that the active
 * memtable grows. */
struct view {
    struct epoch_retired retired;
    _Atomic uint32_t refs; /* the publication, jobs, iterators, snapshots kept by a clear */
    struct lsm *tree;
    struct layer *active;               /* NULL: nothing was applied since the last switch */
    struct layer *sealed[SEALED_LIMIT]; /* newest first */
    uint32_t sealed_count;
    struct version *version;
    version_t floor; /* visible when the tree was last cleared or replaced: a snapshot up to it may
                      * have a view of its own */
    version_t records_floor; /* up to it, the record cache may have what is not in here (T9) */
    double score;            /* of the version: lsm_compact_score() */
};

/* One reference.  NULL when out of memory.  Without `with_memtable` it only carries a mark. */
struct layer *lsm__layer_create(struct lsm *t, bool with_memtable);
void lsm__layer_unref(struct layer *l); /* NULL is allowed */

/* Charge to the budget what the memtable has grown by.  Owner. */
void lsm__layer_charge(struct layer *l);

/* An empty view, not yet published; one reference.  NULL when out of memory. */
struct view *lsm__view_create(struct lsm *t);
void lsm__view_unref(struct view *v); /* NULL is allowed */

/* Filling a view before it is published: each takes its own references. */
void lsm__view_copy(struct view *v, const struct view *from);
void lsm__view_set_active(struct view *v, struct layer *active); /* NULL is allowed */
void lsm__view_push_sealed(struct view *v, struct layer *newest);
void lsm__view_drop_oldest(struct view *v, const struct layer *oldest);
void lsm__view_set_version(struct view *v, struct version *version, double score);

/* Swap `fresh` in; t->lock is held.  Returns the old view, to be retired without the lock. */
struct view *lsm__view_publish(struct lsm *t, struct view *fresh);
void lsm__view_retire(struct lsm *t, struct view *old);

/* The current view, referenced, and the generation that it belongs to (may be NULL).  Any
 * thread. */
struct view *lsm__view_take(struct lsm *t, uint64_t *generation);

/* ------------------------------------------------------------------ snapshots */

struct lsm_snapshot {
    struct list link; /* in t->snapshots, oldest first */
    version_t version;
    struct view *view; /* NULL; or a reference to the view that a clear or an import has replaced */
};

/* What a read at `snapshot` reads, as of one moment. */
struct moment {
    struct view *view; /* a reference */
    version_t version; /* at most this */
    bool present;      /* the view is the tree's, not one that a clear has left to a snapshot */
    bool newest;       /* nothing newer was visible */
};

void lsm__moment_take(struct lsm *t, version_t snapshot, struct moment *out);

/* The same for a snapshot itself; NULL: what is visible now. */
void lsm__moment_of(struct lsm *t, const struct lsm_snapshot *s, struct moment *out);

/* Snapshots keep what they saw: they get the view `old`, unless they have one.  The lock is held. */
void lsm__keep_for_snapshots(struct lsm *t, struct view *old);

/* The view that a clear has left to the snapshot of this version; NULL when there is none.
 * Lives as long as the snapshot. */
struct view *lsm__view_kept(struct lsm *t, version_t snapshot);

/* As of a job's start: what it must leave readable.  Snapshots taken later see `visible` or
 * more. */
struct horizon {
    version_t *snapshots; /* ascending; owned */
    uint32_t count;
    version_t visible;
    version_t durable; /* of the manifest's mark: at most `visible` */
};

MUST_USE enum status lsm__horizon_take(struct lsm *t, struct horizon *out, struct err *err);
void lsm__horizon_release(struct horizon *h);

/* Is there a snapshot in [from, limit)? */
bool lsm__horizon_between(const struct horizon *h, version_t from, version_t limit);

/* The oldest version that anybody reads at. */
version_t lsm__horizon_oldest(const struct horizon *h);

/* ------------------------------------------------------------------ merging */

/* A part of a memtable, or tables with ascending, disjoint ranges, as a cursor over entries. */
struct source {
    struct lsm *tree;
    bool is_run;
    bool fill_cache;
    struct entry entry;           /* where it stands */
    uint64_t prefix;              /* of entry.key: compared first */
    uint32_t rank;                /* lower is newer; among equal entries it comes first */
    struct memtable_iter mem;     /* not a run: */
    struct memtable_order *order; /* a reference, to what `mem` walks */
    struct level run;             /* a run: files borrowed, kept alive by who made it */
    uint32_t at;                  /* the file that `iter` walks */
    struct reader *reader;        /* a hold on the table of that file; NULL until needed */
    struct table_iter *iter;      /* owned; NULL until needed */
};

enum place_kind { PLACE_FIRST, PLACE_LAST, PLACE_AT, PLACE_BEFORE };

struct place {
    enum place_kind kind;
    struct slice key; /* PLACE_AT, PLACE_BEFORE: (key, version) in entry order */
    version_t version;
};

/* Each gives ST_OK (standing on `entry`), ST_NOT_FOUND (past the end), or a failure. */
MUST_USE enum status lsm__source_place(struct source *s, const struct place *place,
                                       struct err *err);
MUST_USE enum status lsm__source_next(struct source *s, struct err *err);
MUST_USE enum status lsm__source_prev(struct source *s, struct err *err);
void lsm__source_release(struct source *s);

/* All sources as one, in entry order; walked in one direction after each placing.  Equal
 * entries (same key and version) of several sources all appear. */
struct merge {
    struct lsm *tree;
    bool fill_cache;
    struct source *sources; /* owned */
    uint32_t source_count;
    uint32_t capacity;
    struct source **heap; /* owned; those with an entry, the next one first */
    uint32_t heap_count;
    bool backward;
};

/* `capacity`: how many sources will be added.  ST_NO_MEMORY: nothing to release. */
MUST_USE enum status lsm__merge_init(struct merge *m, struct lsm *t, uint32_t capacity,
                                     bool fill_cache, struct err *err);
void lsm__merge_release(struct merge *m);

/* Newest source first.  What is added stays alive at least as long as the merge. */
void lsm__merge_add_memtable(struct merge *m, struct memtable_order *order); /* all its runs */
void lsm__merge_add_run(struct merge *m, struct table_file **files, uint32_t count);

/* FIRST and AT begin a walk forward, LAST and BEFORE one backward.  Statuses as for a source;
 * after a failure it must be placed again. */
MUST_USE enum status lsm__merge_place(struct merge *m, const struct place *place, struct err *err);
MUST_USE enum status lsm__merge_step(struct merge *m, struct err *err);

/* Borrowed until the next move. */
const struct entry *lsm__merge_entry(const struct merge *m);

/* ------------------------------------------------------------------ narrowing */

struct narrowing;

/* Which keys are the tree's for whoever reads at this version; NULL: all.  Lives as long as the tree. */
const struct narrowing *lsm__narrowing_at(const struct lsm *t, version_t version);
bool lsm__is_foreign(const struct narrowing *n, struct slice stored_key);
void lsm__forget_narrowings(struct lsm *t);

/* ------------------------------------------------------------------ jobs */

/* Which versions survive.  Fed in entry order. */
struct sieve {
    const struct horizon *horizon;
    version_t ceiling;                 /* entries above it are not judged: they go (T3) */
    uint64_t expired_ms;               /* expired at this time (T11); 0: expiry is not judged */
    const struct narrowing *narrowing; /* T12; NULL: every key is the tree's */
    bool drop_tombstones;              /* false for a flush: anything may lie below */
    const struct version *below;       /* where older versions may lie; NULL: nowhere */
    uint32_t below_level;              /* from this level down */
    struct buf key;                    /* of the entry before; owned */
    version_t newer;                   /* its version; 0 at the start */
    bool new_key;                      /* the last entry began a key */
    bool foreign;                      /* and that is not the tree's any more */
};

void lsm__sieve_init(struct sieve *s, const struct horizon *horizon);
void lsm__sieve_release(struct sieve *s);

/* Shall `e` be kept?  It may be turned into a tombstone.  ST_NO_MEMORY. */
MUST_USE enum status lsm__sieve_judge(struct sieve *s, struct entry *e, bool *keep);

/* A step from one version to the next. */
struct change {
    struct version_edit edit;
    uint64_t generation;   /* of the tree when the job took its view */
    uint64_t names_lost;   /* of the tree before the first output was created */
    bool replaces;         /* an import: memtables go, too; the edit clears and has a mark.  The
                            * caller stands for the owner */
    struct layer *flushed; /* leaves the view with this change; NULL: none */
};

void lsm__change_init(struct change *c, const struct lsm *t, uint64_t generation);

/* Give up outputs that no manifest has heard of, and release. */
void lsm__change_abandon(struct change *c);
void lsm__change_release(struct change *c);

/* A finished table becomes an output at `level`.  `info` is taken over in any
 * case; on failure the file is removed as far as possible. */
MUST_USE enum status lsm__change_add(struct change *c, struct lsm *t, uint32_t level,
                                     struct table_info *info, struct err *err);

/* Record the change in the manifest, then publish it.  ST_CONFLICT: a clear came first, and
 * nothing was recorded.  On any failure the tree is as it was, and the outputs of `c` are cared
 * for; the change is released in any case. */
MUST_USE enum status lsm__change_commit(struct change *c, struct lsm *t, struct err *err);

/* The owner's part of a clear or an import: publish `fresh`, which has nothing of what was, as of
 * `mark`.  The lock is held; returns the old view.  Then, without the lock, lsm__left_all(). */
struct view *lsm__start_over(struct lsm *t, struct view *fresh, const struct lsm_mark *mark);
void lsm__left_all(struct lsm *t, struct view *old);

/* The edit that makes a whole version, with a mark, as an encoded checkpoint (lsm/checkpoint.h), and
 * back.  Encoding appends: ST_TOO_BIG, ST_NO_MEMORY.  Decoding: as lsm_import_begin(); the files have
 * the sender's numbers, `*file_bytes` is what they have together; `*out` is the caller's. */
struct lsm_checkpoint;

/* Where the table's file is. */
void lsm__checkpoint_path(const struct lsm_checkpoint *c, const struct table_info *info,
                          char out[LIMIT_PATH_BYTES]);
MUST_USE enum status lsm__checkpoint_encode(const struct version_edit *whole, struct buf *out);
MUST_USE enum status lsm__checkpoint_decode(struct slice bytes, struct file_sweep *sweep,
                                            struct version_edit *out, uint64_t *file_bytes,
                                            struct err *err);

/* ST_CLOSED: lsm_stop_jobs() was called.  ST_CONFLICT: a clear has made the job's work void. */
MUST_USE enum status lsm__job_check(const struct lsm *t, uint64_t generation, struct err *err);

/* For a new table's name.  Job code. */
uint64_t lsm__next_number(struct lsm *t);

/* The builder of a new table, under a number and a seed of its own. */
MUST_USE enum status lsm__table_begin(struct lsm *t, const struct table_options *options,
                                      struct table_builder **out, struct err *err);

/* readers_hold(); but a missing file is ST_CORRUPT, never ST_NOT_FOUND. */
MUST_USE enum status lsm__table_hold(struct lsm *t, struct table_file *f, struct reader **out,
                                     struct err *err);

/* Inside the gate, after whatever opens or closes the manifest's file: count it; and beyond the
 * number that may be open, close it. */
void lsm__manifest_tend(struct lsm *t);

/* ------------------------------------------------------------------ the tree */

/* Counters of readers, sloppy where threads share a stripe: added by load and store. */
struct stripe {
    _Atomic uint64_t gets;
    _Atomic uint64_t tables_read;
    _Atomic uint64_t filter_skips;
    _Atomic uint64_t filter_passes;
    _Atomic uint64_t filter_false;
    uint64_t padding[3]; /* to a cache line */
};

static inline void
lsm__count(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

/* A counter of jobs, exact. */
static inline void
lsm__add(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

struct lsm {
    /* read by everybody, seldom written */
    _Atomic(struct view *) view;
    const struct lsm_shared *shared;
    uint64_t id;
    char *dir;         /* owned */
    struct lsm *self;  /* for the const functions that must take the lock */
    struct gate *gate; /* around manifest writes and publications of versions (T5) */
    struct lsm_options options;
    _Atomic uint64_t records_tag; /* lsm/record_cache.h */
    _Atomic bool turning;         /* a clear or an import is being published; under the lock (T2) */
    _Atomic uint64_t generation;  /* grows with every clear and every import (T8) */
    _Atomic bool stopped;
    _Atomic uint32_t kept_count;          /* snapshots with a view of their own */
    _Atomic(struct narrowing *) narrowed; /* the newest; owned, with those before it */
    uint64_t padding_a[8];

    /* written by the owner at every unit */
    _Atomic version_t visible; /* T2 */
    _Atomic size_t active_bytes;
    _Atomic uint64_t bytes_applied;
    struct layer *active;  /* a reference, the same as the view's; NULL while empty */
    struct lsm_mark mark;  /* of the last unit */
    uint64_t sealed_index; /* mark.index at the last switch or clear */
    version_t torn;        /* version of the unit whose apply failed midway; 0 = none */
    uint64_t padding_b[8];

    struct lock lock; /* guards the publication of views, and what follows to the next blank line */
    struct list snapshots; /* struct lsm_snapshot, ascending */
    uint32_t snapshot_count;
    struct version
        *disk_version; /* a reference; as the manifest has it; written inside the gate too */
    struct lsm_mark disk_mark;
    struct lsm_mark clear_mark;
    _Atomic bool clear_pending; /* cleared in memory, not yet on disk */

    struct manifest *manifest;   /* inside the gate */
    _Atomic uint64_t names_lost; /* grows when a sync of the folder may have failed (T4) */
    struct list limbo; /* struct table_file: named by an edit of unknown outcome; in the gate */
    struct file_sweep sweep;
    struct buf cursor[LIMIT_LEVELS]; /* of the picker; compaction job only */
    uint64_t uses_seen;              /* these three: lsm_rest() */
    uint64_t idle_since_ns;
    uint64_t edits_seen;
    _Atomic bool manifest_open;  /* it holds a file, and is counted; written inside the gate */
    _Atomic uint64_t iterations; /* iterators that were created */
    _Atomic uint32_t sealed_count;
    _Atomic uint32_t l0_count;
    _Atomic uint32_t view_count; /* views that exist */
    _Atomic uint32_t iter_count;
    _Atomic uint32_t transfer_count; /* checkpoints and imports */
    _Atomic bool flushing;
    _Atomic bool compacting;
    _Atomic uint32_t compact_permille;
    _Atomic uint64_t flushes;
    _Atomic uint64_t compactions;
    _Atomic uint64_t keys_removed;
    _Atomic uint64_t bytes_reclaimed;
    _Atomic uint64_t last_compaction_ms;
    _Atomic uint64_t bytes_written;
    struct stripe stripes[STRIPE_COUNT];
};

#endif
