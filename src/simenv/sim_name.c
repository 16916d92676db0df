/*
 * Names of files of a simulated node; as sim_file.c.  The work is done by
 * sim_disk.c, which speaks errno.
 */
#include <errno.h>

#include "simenv/sim_internal.h"

/* The disk has answered; a fault comes before any effect. */
static enum status
finish(const struct sim_op_run *op, int sys, struct err *err, const char *what, const char *path)
{
    if (op->fail == ST_OK && sys == 0)
        return sim__op_end(op, ST_OK);
    return sim__op_end(op, sim__raise(op, sys, err, what, path));
}

enum status
sim__remove(struct env *env, const char *path, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_REMOVE);
    int sys = op.fail != ST_OK ? 0 : sim__disk_remove(op.node->disk, path);

    return finish(&op, sys, err, "remove", path);
}

enum status
sim__rename(struct env *env, const char *from, const char *to, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_RENAME);
    int sys = op.fail != ST_OK ? 0 : sim__disk_rename(op.node->disk, from, to);

    return finish(&op, sys, err, "rename", from);
}

enum status
sim__link(struct env *env, const char *from, const char *to, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_LINK);
    int sys = op.fail != ST_OK ? 0 : sim__disk_link(op.node->disk, from, to);

    return finish(&op, sys, err, "link", to);
}

enum status
sim__make_dir(struct env *env, const char *path, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_MAKE_DIR);
    int sys = op.fail != ST_OK ? 0 : sim__disk_make_dir(op.node->disk, path);

    return finish(&op, sys, err, "make folder", path);
}

enum status
sim__remove_dir(struct env *env, const char *path, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_REMOVE);
    int sys = op.fail != ST_OK ? 0 : sim__disk_remove_dir(op.node->disk, path);

    return finish(&op, sys, err, "remove folder", path);
}

enum status
sim__sync_dir(struct env *env, const char *path, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_SYNC_DIR);
    bool fails = op.fail != ST_OK;
    int sys = 0;

    if (fails || !sim__sync_is_ignored(op.node, path))
        sys = sim__disk_sync_dir(op.node->disk, path, fails);
    return finish(&op, sys, err, "sync folder", path);
}

enum status
sim__stat(struct env *env, const char *path, uint64_t *size, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_STAT);
    struct sim_inode *inode;
    int sys = op.fail != ST_OK ? 0 : sim__disk_find(op.node->disk, path, &inode);

    if (op.fail == ST_OK && sys == 0)
        *size = inode->size;
    return finish(&op, sys, err, "stat", path);
}

enum status
sim__room(struct env *env, const char *path, struct env_room *out, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_STAT);
    struct sim_inode *inode;
    int sys = op.fail != ST_OK ? 0 : sim__disk_find(op.node->disk, path, &inode);

    if (op.fail == ST_OK && sys == 0) {
        out->free_bytes = sim__disk_free_blocks(op.node->disk) * SIM_BLOCK;
        out->total_bytes = op.node->disk->block_limit * SIM_BLOCK;
    }
    return finish(&op, sys, err, "free space of", path);
}

/* ------------------------------------------------------------------ listing */

/* What the folder shows, copied: `fn` may change it.  In the node's memory, as the real one, so
 * that a crash inside `fn` leaves nothing behind. */
static enum status
gather(const struct sim_inode *dir, struct buf *names)
{
    for (size_t i = 0; i < dir->entry_count; i++) {
        const struct sim_entry *e = dir->entries[i];
        enum status st = ST_OK;

        if (e->now != NULL)
            st = buf_append(names, slice_of(e->name, strlen(e->name) + 1));
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status
list_dir(const struct sim_inode *dir, const char *path, env_list_fn *fn, void *ctx, struct err *err)
{
    struct buf names = buf_empty(SIZE_MAX);
    enum status st = gather(dir, &names);

    if (st != ST_OK)
        st = err_raise(err, st, "list %s: out of memory", path);
    for (size_t at = 0; st == ST_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;

        at += strlen(name) + 1;
        fn(ctx, name);
    }
    buf_release(&names);
    return st;
}

enum status
sim__list(struct env *env, const char *path, env_list_fn *fn, void *ctx, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_LIST);
    struct sim_inode *dir;
    int sys = op.fail != ST_OK ? 0 : sim__disk_find(op.node->disk, path, &dir);

    if (op.fail != ST_OK || sys != 0)
        return finish(&op, sys, err, "list", path);
    if (!dir->is_dir)
        return finish(&op, ENOTDIR, err, "list", path);
    return sim__op_end(&op, list_dir(dir, path, fn, ctx, err));
}
