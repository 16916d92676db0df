/*
 * lsm/version.h — which tables make up a tree: immutable, shared, reference-counted.
 *
 *      L0    newest first; ranges may overlap; each is one flushed memtable
 *      L1+   ascending by key; ranges do not overlap
 *
 * A version is never changed: an edit applied to it makes a new one.  Files
 * live as long as some version refers to them; the last one to let go of a
 * file that is obsolete hands it to the tree's sweep list.
 *
 * INVARIANTS
 *
 *   V1  In L1 and below: smallest <= largest, and largest of one table < smallest of the next.
 *   V2  In L0: by version_max, newest first, and no two version ranges overlap.
 *   V3  Of two tables that hold a key, the one at the upper level (in L0: the
 *       newer one) has the newer versions of it.
 */
#ifndef LSM_VERSION_H
#define LSM_VERSION_H

#include <stdatomic.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/lock.h"

#include "env/env.h"
#include "lsm/lsm.h"
#include "sst/table.h"

struct reader;

/* A table of the tree: what the manifest knows, and the reader while it is open. */
struct table_file {
    _Atomic uint32_t refs;
    struct table_info info;         /* owned */
    _Atomic(struct table *) reader; /* NULL: not open (lsm/readers.h) */
    _Atomic bool used;              /* since the hand of the readers came by */
    struct readers *readers;        /* NULL: it was never open */
    struct reader *open;            /* of `reader`; under the lock of the readers */
    struct file_sweep *sweep;       /* where it goes when it is obsolete and unreferenced */
    _Atomic bool obsolete;          /* no manifest names it any more */
    struct list link;               /* in the sweep list */
};

/* Files to delete: filled by whoever drops the last reference, emptied by lsm_sweep(). */
struct file_sweep {
    struct lock lock;
    struct list files; /* struct table_file without references */
};

void file_sweep_init(struct file_sweep *s);

/* The next file to delete, unlinked and owned by the caller, who ends it with
 * table_file_destroy(); NULL when there is none.  Any thread. */
struct table_file *file_sweep_pop(struct file_sweep *s);
bool file_sweep_empty(struct file_sweep *s);

/* Forget what was not deleted; the next lsm_open() finds it.  Job code. */
void file_sweep_release(struct file_sweep *s);

/* Takes over the buffers of `info`.  One reference.  NULL when out of memory (info untouched). */
struct table_file *table_file_create(struct table_info *info, struct file_sweep *sweep);
void table_file_ref(struct table_file *f);

/* The last one: an obsolete file goes to its sweep list (any thread); any
 * other is closed and freed, and stays on the disk (job code). */
void table_file_unref(struct table_file *f);

/* Close the reader and free the memory of a file without references, which the caller has
 * taken from a sweep list.  Job code. */
void table_file_destroy(struct table_file *f);

/* The reader if it is open, else NULL.  Inside the epoch, and good until it is left. */
static inline struct table *
table_file_reader(const struct table_file *f)
{
    return atomic_load(&f->reader); /* the epoch wants this order (base/epoch.h) */
}

/* Say that it is used.  Most often one load, of a line that whoever reads the table has read. */
static inline void
table_file_touch(struct table_file *f)
{
    if (!atomic_load_explicit(&f->used, memory_order_relaxed))
        atomic_store_explicit(&f->used, true, memory_order_relaxed);
}

/* "<dir>/<number as 16 hex digits>.sst"; `out` has LIMIT_PATH_BYTES. */
void table_file_path(const char *dir, uint64_t number, char *out);

struct level {
    struct table_file **files; /* owned array of references */
    uint32_t count;
    uint64_t bytes; /* of the files */
};

struct version {
    _Atomic uint32_t refs;
    struct level levels[LIMIT_LEVELS];
};

/* An empty version; one reference.  NULL when out of memory. */
struct version *version_create(void);
void version_ref(struct version *v);
void version_unref(struct version *v);

/* What changes from one version to the next, and what the manifest records. */
struct version_edit {
    bool clear;           /* first drop every table */
    struct lsm_mark mark; /* new mark, when mark_set */
    bool mark_set;
    struct edit_added {
        uint32_t level;
        struct table_file *file; /* a reference is held */
    } * added;                   /* owned */
    uint32_t added_count;
    struct edit_removed {
        uint32_t level;
        uint64_t number;
    } * removed; /* owned */
    uint32_t removed_count;
};

void version_edit_init(struct version_edit *e);
void version_edit_release(struct version_edit *e);
MUST_USE enum status version_edit_add(struct version_edit *e, uint32_t level,
                                      struct table_file *file); /* takes a new reference */

/* The edit that makes `v`, with `mark`, out of an empty version: level by level, in the version's
 * order.  ST_NO_MEMORY; the caller releases it in any case. */
MUST_USE enum status version_edit_whole(struct version_edit *e, const struct version *v,
                                        const struct lsm_mark *mark);
MUST_USE enum status version_edit_remove(struct version_edit *e, uint32_t level, uint64_t number);

/* The version after the edit.  ST_CORRUPT when it removes what is not there,
 * adds what is, or breaks V1; ST_NO_MEMORY.  Files that the edit removes are not marked here. */
MUST_USE enum status version_apply(const struct version *v, const struct version_edit *e,
                                   struct version **out, struct err *err);

/* Do V1 and V2 hold, and the levels' bytes?  For checks that may be slow. */
bool version_is_ordered(const struct version *v);

/* Index of the first file of a level >= 1 whose largest key is >= key; count if none. */
uint32_t version_find(const struct level *l, struct slice key);

/* Do the keys [from, to] touch any file of the level? */
bool version_overlaps(const struct level *l, uint32_t level, struct slice from, struct slice to);

#endif
