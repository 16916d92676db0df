/*
 * The tree.
 *
 *                     the view: what a reader finds through one pointer
 *      .---------------------------------------------------------------------.
 *      |  active    sealed (newest first)       the version                  |
 *      |  memtable  [ m5 ][ m4 ]                L0  [t9][t8]   newest first  |
 *      |     ^        mark    mark              L1  [a..f][g..p][q..z]       |
 *      |     |                  |               L2  [a..c][d..k] ...         |
 *      '-----|------------------|--------------------------------------------'
 *         lsm_apply         lsm_flush: t10, with the mark of m4
 *
 * A view is immutable once published, save that its active memtable grows.  Every
 * change of structure (a switch, a flush, a compaction, a clear) builds a new view
 * beside the old one and swaps the pointer.  Readers inside the epoch follow the pointer and hold
 * nothing; jobs and iterators, which live longer, hold references.
 *
 * The tree has no log.  It is told (index, term, version) with every unit, seals memtables at such
 * marks, and records a mark in the manifest together with the table that reaches it.  After a
 * crash, whoever has the log applies again all that is later than lsm_flushed().
 *
 * INVARIANTS
 *
 *   T1  Of two places in a view that hold a key, the earlier in the order active, sealed
 *       newest first, L0 newest first, L1, L2, .. has the newer versions.  So a point read
 *       ends at the first place that has a version not above its own.
 *   T2  `visible` is stored after all entries of its unit were inserted.  A reader loads the
 *       view first and `visible` second, and reads at no higher version: it sees a unit whole
 *       or not at all, and whatever the view's tables have dropped was shadowed for it, too.
 *       Several keys are read at one moment by taking both under the lock, or by asking for
 *       lsm_generation() before and after.
 *   T3  A sealed layer holds exactly the entries up to its mark that older layers and tables
 *       do not hold.  What it holds beyond is the torn part of a unit whose apply failed; the
 *       unit was repeated into a later layer, and a flush leaves the torn part behind.
 *   T4  A mark enters the manifest with the edit that adds the table of its layer, and layers
 *       are flushed oldest first.  So all up to the mark is in durable tables.  Durable is also
 *       the table's name, or the edit is not recorded: see check_names() in change.c.
 *   T5  Manifest writes happen inside the gate, one at a time, each followed by the
 *       publication of the version that it has made durable.  Unless a clear is pending, the
 *       view has the version that the manifest has; a checkpoint is that version, with its mark.
 *   T6  A version of a key is dropped only if the next newer one is visible to everybody who
 *       could read it: no snapshot lies between the two.  A tombstone is dropped only if,
 *       besides, no older version lies below, and no snapshot is older than the tombstone.  An
 *       expired value is a tombstone (T11).
 *   T7  A table is deleted only after an edit that removes it has become durable, and when no
 *       view refers to it.  A table that an edit of unknown outcome adds is kept until a later edit
 *       has become durable, or the tree is opened again.
 *   T8  A clear publishes an empty view at once and moves `generation` on.  A job publishes
 *       only what it made of a view of the present generation.  The files go with the
 *       next flush, before any later layer.  An import moves it on inside the gate, when the
 *       manifest has the import's edit: what a job began before cannot be recorded after it.
 *   T9  The record cache holds versions above the view's `records_floor` only if they are the newest
 *       in the view's tables: `records_tag` moves before a flush drops what it writes, and before and
 *       after a clear or an import is published.  What is at or below the floor is not looked at.
 *   T10 A job that meets damage gives up and changes nothing: what it could not read stays
 *       in the version, and goes on being reported (P3).
 *   T11 Time is what versions say: a value has expired for whoever reads at a version whose time is
 *       not before its expiry.  A compaction forgets it only if it has expired so for every snapshot
 *       that could read it, and at the mark that the manifest had when the compaction began.  So
 *       a tree that is opened again, or a checkpoint, has all that had not expired at its mark, and
 *       lacks nothing that another tree with the same units may still show at that point.
 *   T12 A key that a narrowing takes away is gone for whoever reads at its version or later, and not for
 *       others.  So a compaction drops it, with all its versions, when nobody reads at an earlier one;
 *       what of it lies elsewhere stays unseen.
 *
 * LOCKS
 *
 *   `lock`   for a few instructions: swapping views, the list of snapshots, marks
 *   `gate`   across one manifest write; only jobs enter it
 *
 * NOT HERE, ON PURPOSE
 *
 *   No log, no scheduling, no back-pressure: lsm_stall() and the *_due functions tell
 *   the engine, which has many trees and one disk.
 */
#include "lsm/lsm.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"
#include "lsm/record_cache.h"

void
lsm_options_default(struct lsm_options *options)
{
    *options = (struct lsm_options){
        .memtable_bytes = 64 << 20,
        .l0_trigger = 4,
        .l0_stall = 20,
        .sealed_max = 2,
        .level_base_bytes = 100 << 20,
        .level_multiplier = 10,
        .table_bytes = 16 << 20,
        .compact_wait_ms = 30000,
        .tables = {
            .block_bytes = 4096,
            .restart_interval = 16,
            .filter_bits_per_key = 10,
            .compression = TABLE_LZ4,
        },
        .last_level_compression = TABLE_ZSTD,
    };
}

/* ------------------------------------------------------------------ open and close */

static struct lsm *
new_tree(const struct lsm_shared *shared, uint64_t tree_id, const char *dir,
         const struct lsm_options *options)
{
    struct lsm *t = mem_new(struct lsm);

    if (t == NULL)
        return NULL;
    t->self = t;
    t->shared = shared;
    t->id = tree_id;
    t->options = *options;
    lock_init(&t->lock);
    list_init(&t->snapshots);
    list_init(&t->limbo);
    file_sweep_init(&t->sweep);
    for (int level = 0; level < LIMIT_LEVELS; level++)
        t->cursor[level] = buf_empty(LIMIT_STORED_KEY_BYTES);
    t->dir = mem_strdup(dir);
    if (t->dir == NULL) {
        lsm_close(t);
        return NULL;
    }
    return t;
}

/* Table numbers of this tree are behind us, whoever gave them out. */
static void
pass_numbers(const struct lsm_shared *shared, uint64_t number_max)
{
    uint64_t next = atomic_load_explicit(shared->next_number, memory_order_relaxed);

    while (next <= number_max &&
           !atomic_compare_exchange_weak_explicit(shared->next_number, &next, number_max + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

/* The first view: the tables, and no memtable. */
static enum status
publish_first(struct lsm *t, struct err *err)
{
    struct view *v = lsm__view_create(t);

    if (v == NULL)
        return err_raise(err, ST_NO_MEMORY, "tree %s: no memory for the view", t->dir);
    lsm__view_set_version(v, t->disk_version, picker_score(t->disk_version, &t->options));
    lock_take(&t->lock);
    lsm__view_publish(t, v);
    lock_drop(&t->lock);
    return ST_OK;
}

static enum status
check_options(const struct lsm_options *o, const char *dir, struct err *err)
{
    if (o->sealed_max == 0 || o->sealed_max > SEALED_LIMIT)
        return err_raise(err, ST_INVALID, "tree %s: sealed_max %u is not in 1..%d", dir,
                         o->sealed_max, SEALED_LIMIT);
    if (o->memtable_bytes == 0 || o->l0_trigger == 0 || o->l0_stall == 0 ||
        o->level_base_bytes == 0 || o->level_multiplier == 0 || o->table_bytes == 0)
        return err_raise(err, ST_INVALID, "tree %s: an option that must not be 0 is 0", dir);
    return ST_OK;
}

/* NOLINTBEGIN(readability-function-size): the parameters are the contract's */
enum status
lsm_open(struct lsm **out, const struct lsm_shared *shared, uint64_t tree_id, const char *dir,
         const struct lsm_options *options, bool create, struct err *err)
{
    uint64_t number_max = 0;
    struct lsm *t;
    enum status st;

    st = check_options(options, dir, err);
    if (st != ST_OK)
        return st;
    t = new_tree(shared, tree_id, dir, options);
    if (t == NULL)
        return err_raise(err, ST_NO_MEMORY, "tree %s: no memory to open it", dir);
    st = gate_create(shared->env, &t->gate);
    if (st != ST_OK) {
        st = err_raise(err, st, "tree %s: no gate", dir);
        goto fail;
    }
    st = manifest_open(&t->manifest, shared->env, dir, tree_id, create, &t->sweep, &t->disk_version,
                       &t->disk_mark, &number_max, err);
    if (st != ST_OK)
        goto fail;

    lsm__manifest_tend(t); /* nobody else has the tree yet */
    pass_numbers(shared, number_max);
    t->mark = t->disk_mark;
    t->sealed_index = t->disk_mark.index;
    atomic_store_explicit(&t->visible, t->disk_mark.version, memory_order_release);
    st = publish_first(t, err);
    if (st != ST_OK)
        goto fail;
    *out = t;
    return ST_OK;

fail:
    lsm_close(t); /* copes with a half-opened tree */
    return st;
}
/* NOLINTEND(readability-function-size) */

/* Readers of the epoch may still look at retired views, and these refer to us.
 * They leave soon: nobody may wait inside. */
static void
await_readers(struct lsm *t)
{
    struct view *last;

    lock_take(&t->lock);
    last = lsm__view_publish(t, NULL);
    lock_drop(&t->lock);
    if (last != NULL)
        lsm__view_retire(t, last);
    while (atomic_load_explicit(&t->view_count, memory_order_acquire) > 0) {
        env_sleep_ms(t->shared->env, 1);
        epoch_reclaim(t->shared->epoch);
    }
}

void
lsm_close(struct lsm *t)
{
    struct list *at;

    ASSERT(!atomic_load(&t->flushing) && !atomic_load(&t->compacting));
    ASSERT(atomic_load(&t->iter_count) == 0);
    ASSERT(list_empty(&t->snapshots));
    ASSERT(atomic_load_explicit(&t->transfer_count, memory_order_acquire) == 0);

    await_readers(t);
    lsm__layer_unref(t->active);
    while ((at = list_pop_front(&t->limbo)) != NULL)
        table_file_unref(container_of(at, struct table_file, link)); /* T7: the file stays */
    if (t->disk_version != NULL)
        version_unref(t->disk_version);
    file_sweep_release(&t->sweep);
    if (t->shared->records != NULL)
        record_cache_drop_tree(t->shared->records, t->id);
    manifest_close(t->manifest);
    t->manifest = NULL;
    lsm__manifest_tend(t);
    gate_destroy(t->gate);
    for (int level = 0; level < LIMIT_LEVELS; level++)
        buf_release(&t->cursor[level]);
    lock_release(&t->lock);
    lsm__forget_narrowings(t);
    mem_free(t->dir);
    mem_free(t);
}

/* ------------------------------------------------------------------ looking */

uint64_t
lsm_id(const struct lsm *t)
{
    return t->id;
}

struct lsm_mark
lsm_flushed(const struct lsm *t)
{
    struct lsm_mark mark;

    lock_take(&t->self->lock);
    mark = t->disk_mark;
    lock_drop(&t->self->lock);
    return mark;
}

uint64_t
lsm_generation(const struct lsm *t)
{
    uint64_t tag = atomic_load(&t->records_tag);

    if (!atomic_load(&t->turning)) /* after the tag: see lsm__start_over() */
        return tag;
    lock_take(&t->self->lock);
    tag = atomic_load(&t->records_tag);
    lock_drop(&t->self->lock);
    return tag;
}

version_t
lsm_visible(const struct lsm *t)
{
    return atomic_load_explicit(&t->visible, memory_order_acquire);
}

double
lsm_compact_score(const struct lsm *t)
{
    double score;

    lock_take(&t->self->lock);
    score = atomic_load_explicit(&t->view, memory_order_relaxed)->score;
    lock_drop(&t->self->lock);
    return score;
}

bool
lsm_flush_due(const struct lsm *t)
{
    return atomic_load_explicit(&t->clear_pending, memory_order_relaxed) ||
           atomic_load_explicit(&t->sealed_count, memory_order_relaxed) > 0;
}

uint32_t
lsm_sealed_count(const struct lsm *t)
{
    return atomic_load_explicit(&t->sealed_count, memory_order_relaxed);
}

uint32_t
lsm_compact_permille(const struct lsm *t)
{
    return atomic_load_explicit(&t->compact_permille, memory_order_relaxed);
}

void
lsm_stop_jobs(struct lsm *t)
{
    atomic_store_explicit(&t->stopped, true, memory_order_relaxed);
}

enum status
lsm__job_check(const struct lsm *t, uint64_t generation, struct err *err)
{
    if (atomic_load_explicit(&t->stopped, memory_order_relaxed))
        return err_raise(err, ST_CLOSED, "tree %s: its jobs were stopped", t->dir);
    if (atomic_load_explicit(&t->generation, memory_order_relaxed) != generation)
        return err_raise(err, ST_CONFLICT, "tree %s: cleared meanwhile", t->dir);
    return ST_OK;
}

static void
count_layer(const struct layer *l, struct lsm_stats *out)
{
    if (l == NULL || l->memtable == NULL)
        return;
    out->entries += memtable_entry_count(l->memtable);
    out->tombstones += memtable_tombstone_count(l->memtable);
    out->memtable_bytes += memtable_bytes(l->memtable);
}

static void
count_tables(const struct version *v, struct lsm_stats *out)
{
    for (int level = 0; level < LIMIT_LEVELS; level++) {
        const struct level *l = &v->levels[level];

        out->tables[level] = l->count;
        out->bytes[level] = l->bytes;
        if (l->bytes > 0)
            out->bottom_bytes = l->bytes;
        for (uint32_t i = 0; i < l->count; i++) {
            out->entries += l->files[i]->info.entry_count;
            out->tombstones += l->files[i]->info.tombstone_count;
        }
    }
}

static uint64_t
load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void
lsm_stats(const struct lsm *t, struct lsm_stats *out)
{
    struct view *v = lsm__view_take(t->self, NULL);

    *out = (struct lsm_stats){ 0 };
    count_layer(v->active, out);
    for (uint32_t i = 0; i < v->sealed_count; i++)
        count_layer(v->sealed[i], out);
    count_tables(v->version, out);
    out->sealed_count = v->sealed_count;
    lsm__view_unref(v);

    for (int i = 0; i < STRIPE_COUNT; i++) {
        out->gets += load(&t->stripes[i].gets);
        out->tables_read += load(&t->stripes[i].tables_read);
        out->filter_skips += load(&t->stripes[i].filter_skips);
        out->filter_passes += load(&t->stripes[i].filter_passes);
        out->filter_false += load(&t->stripes[i].filter_false);
    }
    out->flushes = load(&t->flushes);
    out->compactions = load(&t->compactions);
    out->keys_removed = load(&t->keys_removed);
    out->bytes_reclaimed = load(&t->bytes_reclaimed);
    out->last_compaction_ms = load(&t->last_compaction_ms);
    out->bytes_applied = load(&t->bytes_applied);
    out->bytes_written = load(&t->bytes_written);
}
