/*
 * Receiving a checkpoint, and installing it.
 *
 *      edit.added:   [ t0 ][ t1 ][ t2 ][ t3 ]
 *                     done  done  ^ at: `received` bytes are in `file`, and in `checksum`
 *
 * INVARIANTS
 *
 *   R1  A table before `at` has a number of this data directory; its file is complete, its
 *       checksum is right, and it was synced.  Later ones have no file.
 *   R2  A file that failed a sync, or turned out wrong, is removed, and its table begins again under a
 *       new number: a second sync would not tell what the first has lost.
 *   R3  The names are synced inside the gate, where all syncs of the folder are counted that have
 *       failed: after one, a name that was not durable may be lost, whatever later syncs say.
 *   R4  Files are removed here only as long as no edit has named them; from the install on,
 *       they are the tree's.
 */
#include "lsm/import.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"
#include "lsm/record_cache.h"

struct lsm_import {
    struct lsm *tree;
    struct version_edit edit; /* adds the tables; sets the mark */
    uint64_t file_bytes;      /* of all */
    uint64_t done_bytes;      /* of those before `at` */
    uint64_t names_lost;      /* of the tree, before the first file was made (R3) */
    uint32_t at;
    uint64_t received;
    struct file *file;            /* owned; NULL: not yet made */
    struct hash_stream *checksum; /* owned; there with `file` */
    bool finished;
};

enum status
lsm_import_begin(struct lsm *t, struct slice encoded, struct lsm_import **out, struct err *err)
{
    struct lsm_import *i = mem_new(struct lsm_import);
    enum status st;

    if (i == NULL)
        return err_raise(err, ST_NO_MEMORY, "tree %s: no memory for an import", t->dir);
    i->tree = t;
    i->names_lost = atomic_load_explicit(&t->names_lost, memory_order_relaxed);
    st = lsm__checkpoint_decode(encoded, &t->sweep, &i->edit, &i->file_bytes, err);
    if (st != ST_OK) {
        mem_free(i);
        return st;
    }
    atomic_fetch_add_explicit(&t->transfer_count, 1, memory_order_relaxed);
    *out = i;
    return ST_OK;
}

static void
end(struct lsm_import *i)
{
    ASSERT(i->file == NULL && i->checksum == NULL);
    version_edit_release(&i->edit);
    atomic_fetch_sub_explicit(&i->tree->transfer_count, 1, memory_order_release);
    mem_free(i);
}

struct lsm_mark
lsm_import_mark(const struct lsm_import *i)
{
    return i->edit.mark;
}

uint64_t
lsm_import_file_bytes(const struct lsm_import *i)
{
    return i->file_bytes;
}

uint64_t
lsm_import_received_bytes(const struct lsm_import *i)
{
    return i->done_bytes + i->received;
}

/* ------------------------------------------------------------------ receiving */

static struct table_info *
current(const struct lsm_import *i)
{
    ASSERT(i->at < i->edit.added_count);
    return &i->edit.added[i->at].file->info;
}

bool
lsm_import_wanted(const struct lsm_import *i, uint32_t size_max, struct lsm_piece *out)
{
    uint64_t left;

    ASSERT(size_max > 0);
    if (i->at == i->edit.added_count)
        return false;
    left = current(i)->file_bytes - i->received;
    ASSERT(left > 0);
    *out = (struct lsm_piece){ i->at, left < size_max ? (uint32_t)left : size_max, i->received };
    return true;
}

/* What cannot be removed is deleted by the next open. */
static void
remove_file(const struct lsm_import *i, uint64_t number)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    table_file_path(i->tree->dir, number, path);
    st = env_remove(i->tree->shared->env, path, NULL);
    (void)st;
}

static void
close_file(struct lsm_import *i)
{
    file_close(i->file);
    i->file = NULL;
    hash_stream_destroy(i->checksum);
    i->checksum = NULL;
    i->received = 0;
}

static enum status
begin_table(struct lsm_import *i, struct err *err)
{
    struct table_info *info = current(i);
    struct hash_stream *checksum = hash_stream_create(info->seed);
    uint64_t number = lsm__next_number(i->tree);
    char path[LIMIT_PATH_BYTES];
    enum status st;

    if (checksum == NULL)
        return err_raise(err, ST_NO_MEMORY, "tree %s: no memory for a checksum", i->tree->dir);
    table_file_path(i->tree->dir, number, path);
    st = env_open(i->tree->shared->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE,
                  &i->file, err);
    if (st != ST_OK) {
        hash_stream_destroy(checksum);
        return st;
    }
    i->checksum = checksum;
    info->number = number;
    return ST_OK;
}

static enum status
check_table(const struct lsm_import *i, struct err *err)
{
    uint64_t checksum = hash_stream_value(i->checksum);

    if (checksum == current(i)->checksum)
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "table %s: what was received as table %" PRIu32
                     " of a checkpoint has the checksum %016" PRIx64 ", should have %016" PRIx64,
                     file_path(i->file), i->at, checksum, current(i)->checksum);
}

/* R1, R2. */
static enum status
end_table(struct lsm_import *i, struct err *err)
{
    enum status st = check_table(i, err);

    if (st == ST_OK)
        st = file_sync(i->file, err);
    close_file(i);
    if (st != ST_OK) {
        remove_file(i, current(i)->number);
        return st;
    }
    i->done_bytes += current(i)->file_bytes;
    i->at++;
    return ST_OK;
}

static bool
is_next(const struct lsm_import *i, uint32_t table, uint64_t offset, size_t size)
{
    return i->at < i->edit.added_count && table == i->at && offset == i->received && size > 0 &&
           size <= current(i)->file_bytes - i->received;
}

enum status
lsm_import_write(struct lsm_import *i, uint32_t table, uint64_t offset, struct slice bytes,
                 struct err *err)
{
    enum status st = ST_OK;

    if (!is_next(i, table, offset, bytes.size)) {
        return err_raise(err, ST_INVALID,
                         "tree %s: %zu bytes at %" PRIu64 " of table %" PRIu32
                         " are not what comes next",
                         i->tree->dir, bytes.size, offset, table);
    }
    if (i->file == NULL)
        st = begin_table(i, err);
    if (st == ST_OK)
        st = file_write(i->file, offset, &bytes, 1, err);
    if (st != ST_OK)
        return st;
    hash_stream_add(i->checksum, bytes);
    i->received += bytes.size;
    return i->received == current(i)->file_bytes ? end_table(i, err) : ST_OK;
}

/* R1: it was synced, under its first name. */
static enum status
link_table(struct lsm_import *i, const struct lsm_checkpoint *c, struct err *err)
{
    uint64_t number = lsm__next_number(i->tree);
    char from[LIMIT_PATH_BYTES];
    char to[LIMIT_PATH_BYTES];
    uint32_t level;
    enum status st;

    lsm__checkpoint_path(c, lsm_checkpoint_table(c, i->at, &level), from);
    table_file_path(i->tree->dir, number, to);
    st = env_link(i->tree->shared->env, from, to, err);
    if (st != ST_OK)
        return st;
    current(i)->number = number;
    i->done_bytes += current(i)->file_bytes;
    i->at++;
    return ST_OK;
}

enum status
lsm_import_link(struct lsm_import *i, const struct lsm_checkpoint *c, const struct lsm_mark *mark,
                struct err *err)
{
    enum status st = ST_OK;

    ASSERT(i->at == 0 && i->file == NULL && i->edit.added_count == lsm_checkpoint_table_count(c));
    ASSERT(mark->index >= i->edit.mark.index && mark->version >= i->edit.mark.version);
    while (i->at < i->edit.added_count && st == ST_OK)
        st = link_table(i, c, err);
    i->edit.mark = *mark;
    return st;
}

void
lsm_import_abort(struct lsm_import *i)
{
    if (i == NULL)
        return;
    if (i->file != NULL) {
        close_file(i);
        remove_file(i, current(i)->number);
    }
    for (uint32_t k = 0; k < i->at; k++)
        remove_file(i, i->edit.added[k].file->info.number); /* R4 */
    end(i);
}

/* ------------------------------------------------------------------ the end */

/* Inside the gate: R3. */
static enum status
sync_names(struct lsm *t, uint64_t names_lost, struct err *err)
{
    enum status st;

    if (names_lost != atomic_load_explicit(&t->names_lost, memory_order_relaxed))
        return err_raise(err, ST_IO, "tree %s: the name of a received table may be lost", t->dir);
    st = env_sync_dir(t->shared->env, t->dir, err);
    if (st != ST_OK)
        lsm__add(&t->names_lost, 1);
    return st;
}

enum status
lsm_import_finish(struct lsm_import *i, struct err *err)
{
    struct lsm *t = i->tree;
    enum status st;

    if (i->at < i->edit.added_count)
        return err_raise(err, ST_INVALID, "tree %s: table %" PRIu32 " is not complete", t->dir,
                         i->at);
    gate_enter(t->gate);
    st = sync_names(t, i->names_lost, err);
    gate_leave(t->gate);
    i->finished = st == ST_OK;
    return st;
}

/* T9: nobody can add to the record cache any more what the tree was before; so it may be asked about
 * all versions again.  Without memory it is not, for the older ones, until the tree is opened anew: that
 * costs time only. */
static void
trust_records(struct lsm *t)
{
    struct view *fresh = lsm__view_create(t);
    struct view *old;

    if (t->shared->records != NULL)
        record_cache_drop_tree(t->shared->records, t->id);
    if (fresh == NULL)
        return;
    lock_take(&t->lock);
    lsm__view_copy(fresh, atomic_load_explicit(&t->view, memory_order_relaxed));
    fresh->records_floor = 0;
    old = lsm__view_publish(t, fresh);
    lock_drop(&t->lock);
    lsm__view_retire(t, old);
}

static enum status
install(struct lsm_import *i, struct err *err)
{
    struct lsm *t = i->tree;
    struct change c;
    enum status st;

    lsm__change_init(&c, t, atomic_load_explicit(&t->generation, memory_order_relaxed));
    c.replaces = true;
    c.edit = i->edit; /* moves: the files are the change's now (R4) */
    c.edit.clear = true;
    version_edit_init(&i->edit);
    st = lsm__change_commit(&c, t, err);
    if (st == ST_OK)
        trust_records(t);
    return st;
}

enum status
lsm_import_install(struct lsm_import *i, struct err *err)
{
    struct lsm *t = i->tree;
    const struct lsm_mark *mark = &i->edit.mark;
    enum status st;

    ASSERT(i->finished);
    if (mark->index < t->mark.index || mark->version < lsm_visible(t)) {
        st = err_raise(err, ST_INVALID,
                       "tree %s: at entry %" PRIu64 ", beyond the checkpoint's %" PRIu64, t->dir,
                       t->mark.index, mark->index);
        lsm_import_abort(i);
        return st;
    }
    st = install(i, err);
    end(i);
    return st;
}
