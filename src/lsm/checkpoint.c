/*
 * A checkpoint is a reference to the version that the manifest has, and to nothing else: a version is
 * never changed, and a file goes only when no version refers to it (T7).
 *
 * Pieces are asked for one after the other, so the file of the last one stays open until its end
 * was read.
 */
#include "lsm/checkpoint.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

struct lsm_checkpoint {
    struct lsm *tree;
    struct version *version; /* a reference */
    struct lsm_mark mark;
    struct file *file; /* owned; of table `open`.  NULL: none */
    uint32_t open;
};

enum status
lsm_checkpoint_take(struct lsm *t, struct lsm_checkpoint **out)
{
    struct lsm_checkpoint *c = mem_new(struct lsm_checkpoint);
    bool pending;

    if (c == NULL)
        return ST_NO_MEMORY;
    c->tree = t;
    lock_take(&t->lock);
    pending = atomic_load_explicit(&t->clear_pending, memory_order_relaxed);
    if (!pending) {
        c->version = t->disk_version;
        version_ref(c->version);
        c->mark = t->disk_mark;
        atomic_fetch_add_explicit(&t->transfer_count, 1, memory_order_relaxed);
    }
    lock_drop(&t->lock);
    if (pending) {
        mem_free(c);
        return ST_BUSY;
    }
    *out = c;
    return ST_OK;
}

static void
close_file(struct lsm_checkpoint *c)
{
    file_close(c->file);
    c->file = NULL;
}

void
lsm_checkpoint_release(struct lsm_checkpoint *c)
{
    if (c == NULL)
        return;
    close_file(c);
    version_unref(c->version);
    atomic_fetch_sub_explicit(&c->tree->transfer_count, 1, memory_order_release);
    mem_free(c);
}

/* ------------------------------------------------------------------ looking */

struct lsm_mark
lsm_checkpoint_mark(const struct lsm_checkpoint *c)
{
    return c->mark;
}

uint32_t
lsm_checkpoint_table_count(const struct lsm_checkpoint *c)
{
    uint32_t count = 0;

    for (uint32_t level = 0; level < LIMIT_LEVELS; level++)
        count += c->version->levels[level].count;
    return count;
}

uint64_t
lsm_checkpoint_file_bytes(const struct lsm_checkpoint *c)
{
    uint64_t bytes = 0;

    for (uint32_t level = 0; level < LIMIT_LEVELS; level++)
        bytes += c->version->levels[level].bytes;
    return bytes;
}

const struct table_info *
lsm_checkpoint_table(const struct lsm_checkpoint *c, uint32_t i, uint32_t *level)
{
    const struct level *levels = c->version->levels;
    uint32_t at = 0;

    ASSERT(i < lsm_checkpoint_table_count(c));
    while (i >= levels[at].count)
        i -= levels[at++].count;
    *level = at;
    return &levels[at].files[i]->info;
}

enum status
lsm_checkpoint_encode(const struct lsm_checkpoint *c, struct buf *out, struct err *err)
{
    size_t before = out->size;
    struct version_edit e;
    enum status st = version_edit_whole(&e, c->version, &c->mark);

    if (st == ST_OK)
        st = lsm__checkpoint_encode(&e, out);
    version_edit_release(&e);
    if (st == ST_OK)
        return ST_OK;
    out->size = before;
    return err_raise(err, st, "tree %s: cannot encode a checkpoint of %" PRIu32 " tables",
                     c->tree->dir, lsm_checkpoint_table_count(c));
}

void
lsm__checkpoint_path(const struct lsm_checkpoint *c, const struct table_info *info,
                     char out[LIMIT_PATH_BYTES])
{
    table_file_path(c->tree->dir, info->number, out);
}

/* ------------------------------------------------------------------ reading */

/* P3 */
static enum status
missing(const char *path, struct err *err)
{
    return err_raise(err, ST_CORRUPT, "table %s is missing", path);
}

static enum status
open_file(struct lsm_checkpoint *c, uint32_t table, const struct table_info *info, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    if (c->file != NULL && c->open == table)
        return ST_OK;
    close_file(c);
    table_file_path(c->tree->dir, info->number, path);
    st = env_open(c->tree->shared->env, path, ENV_OPEN_READ, &c->file, err);
    if (st == ST_NOT_FOUND)
        return missing(path, err);
    c->open = table;
    return st;
}

enum status
lsm_checkpoint_read(struct lsm_checkpoint *c, const struct lsm_piece *piece, void *out,
                    struct err *err)
{
    const struct table_info *info;
    uint32_t level;
    size_t got;
    enum status st;

    if (piece->table >= lsm_checkpoint_table_count(c))
        return err_raise(err, ST_INVALID, "tree %s: the checkpoint has no table %" PRIu32,
                         c->tree->dir, piece->table);
    info = lsm_checkpoint_table(c, piece->table, &level);
    if (piece->size == 0 || piece->offset > info->file_bytes ||
        piece->size > info->file_bytes - piece->offset) {
        return err_raise(err, ST_INVALID,
                         "tree %s: table %" PRIu32 " of the checkpoint has no %" PRIu32
                         " bytes at %" PRIu64,
                         c->tree->dir, piece->table, piece->size, piece->offset);
    }
    st = open_file(c, piece->table, info, err);
    if (st == ST_OK)
        st = file_read(c->file, piece->offset, out, piece->size, &got, err);
    if (st == ST_OK && got < piece->size)
        st = err_raise(err, ST_CORRUPT, "table %s: ends at %" PRIu64 ", should have %" PRIu64,
                       file_path(c->file), piece->offset + got, info->file_bytes);
    if (st != ST_OK || piece->offset + piece->size == info->file_bytes)
        close_file(c);
    return st;
}

enum status
lsm_checkpoint_verify(const struct lsm_checkpoint *c, uint32_t table, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    uint32_t level;
    const struct table_info *info = lsm_checkpoint_table(c, table, &level);
    enum status st;

    table_file_path(c->tree->dir, info->number, path);
    st = table_verify(c->tree->shared->env, path, info, NULL, NULL, err);
    return st == ST_NOT_FOUND ? missing(path, err) : st;
}
