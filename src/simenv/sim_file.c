/*
 * Open files of a simulated node.  Every call counts, may fail or be the
 * node's last (sim_fault.c), then takes time, then has its effect.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/log.h"

#include "simenv/sim_internal.h"

#define FILE_BYTES_MAX (UINT64_C(1) << 40) /* what the page tables can stand */

struct sim_file {
    struct file base;
    struct list link; /* in node->files */
    struct sim_node *node;
    struct sim_inode *inode; /* held */
    bool writable;
};

static struct sim_file *
file_of(struct file *f)
{
    return (struct sim_file *)f;
}

static struct prng *
prng_of(const struct sim_file *f)
{
    return &f->node->world->prng;
}

/* ------------------------------------------------------------------ failures */

static enum status
status_of(int sys)
{
    switch (sys) {
    case ENOENT:
        return ST_NOT_FOUND;
    case EEXIST:
        return ST_EXISTS;
    case ENOSPC:
    case EFBIG:
        return ST_NO_SPACE;
    default:
        return ST_IO;
    }
}

enum status
sim__raise(const struct sim_op_run *op, int sys, struct err *err, const char *what,
           const char *path)
{
    if (op->fail == ST_OK)
        return err_raise_sys(err, status_of(sys), sys, "%s %s", what, path);
    return err_raise_sys(err, op->fail, op->fail == ST_NO_SPACE ? ENOSPC : EIO, "%s %s", what,
                         path);
}

static enum status
raise_file(const struct sim_op_run *op, int sys, const struct sim_file *f, const char *what,
           struct err *err)
{
    return sim__raise(op, sys, err, what, f->base.path);
}

/* ------------------------------------------------------------------ reading */

struct reading {
    uint64_t offset;
    void *out;
    size_t size;
    size_t got;
};

static enum status
read_effect(const struct sim_op_run *op, struct sim_file *f, struct reading *r, struct err *err)
{
    if (op->fail != ST_OK)
        return raise_file(op, 0, f, "read", err);
    r->got = sim__inode_read(f->inode, r->offset, r->out, r->size);
    return ST_OK;
}

static enum status
read_file(struct file *base, uint64_t offset, void *out, size_t size, size_t *got, struct err *err)
{
    struct sim_file *f = file_of(base);
    struct reading r = { offset, out, size, 0 };
    struct sim_op_run op = sim__op_begin(f->node, SIM_READ);
    enum status st = sim__op_end(&op, read_effect(&op, f, &r, err));

    if (st == ST_OK)
        *got = r.got;
    return st;
}

static enum status
try_read_effect(const struct sim_op_run *op, struct sim_file *f, struct reading *r, struct err *err)
{
    if (op->fail == ST_OK && prng_chance(prng_of(f), f->node->cold_percent, 100))
        return err_raise(err, ST_WOULD_BLOCK, "read %s: not in the page cache", f->base.path);
    return read_effect(op, f, r, err);
}

static enum status
try_read_file(struct file *base, uint64_t offset, void *out, size_t size, size_t *got,
              struct err *err)
{
    struct sim_file *f = file_of(base);
    struct reading r = { offset, out, size, 0 };
    struct sim_op_run op = sim__op_begin_try(f->node, SIM_READ);
    enum status st = sim__op_end(&op, try_read_effect(&op, f, &r, err));

    if (st == ST_OK)
        *got = r.got;
    return st;
}

static enum status
size_effect(const struct sim_op_run *op, struct sim_file *f, uint64_t *size, struct err *err)
{
    if (op->fail != ST_OK)
        return raise_file(op, 0, f, "stat", err);
    *size = f->inode->size;
    return ST_OK;
}

static enum status
size_of_file(struct file *base, uint64_t *size, struct err *err)
{
    struct sim_file *f = file_of(base);
    struct sim_op_run op = sim__op_begin_try(f->node, SIM_STAT);

    return sim__op_end(&op, size_effect(&op, f, size, err));
}

/* ------------------------------------------------------------------ writing */

static size_t
total_of(const struct slice *parts, size_t part_count)
{
    size_t total = 0;

    for (size_t i = 0; i < part_count; i++)
        total += parts[i].size;
    return total;
}

/* A failing write leaves a short one, or, half the time, any run of its bytes. */
static void
shrink_at_random(struct sim_write *w, struct prng *prng)
{
    w->limit = (size_t)prng_below(prng, (uint64_t)w->limit + 1);
    if (prng_chance(prng, 1, 2))
        w->begin = (size_t)prng_below(prng, (uint64_t)w->limit + 1);
}

static enum status
write_effect(const struct sim_op_run *op, struct sim_file *f, struct sim_write w, struct err *err)
{
    size_t total = total_of(w.parts, w.part_count);

    sim__trace(f->node->world, w.offset, total, w.part_count);
    if (w.offset > FILE_BYTES_MAX || total > FILE_BYTES_MAX - w.offset)
        return raise_file(op, EFBIG, f, "write", err);
    w.limit = sim__inode_fit(f->inode, w.offset, total, sim__disk_free_blocks(f->node->disk));
    if (op->fail != ST_OK)
        shrink_at_random(&w, prng_of(f));
    sim__inode_write(f->inode, &w, prng_of(f));
    if (op->fail == ST_OK && w.limit == total)
        return ST_OK;
    return raise_file(op, ENOSPC, f, "write", err);
}

static enum status
write_file(struct file *base, uint64_t offset, const struct slice *parts, size_t part_count,
           struct err *err)
{
    struct sim_file *f = file_of(base);
    struct sim_write w = { .offset = offset, .parts = parts, .part_count = part_count };
    struct sim_op_run op = sim__op_begin(f->node, SIM_WRITE);

    ASSERT(f->writable);
    return sim__op_end(&op, write_effect(&op, f, w, err));
}

static enum status
truncate_effect(const struct sim_op_run *op, struct sim_file *f, uint64_t size, struct err *err)
{
    if (op->fail != ST_OK)
        return raise_file(op, 0, f, "truncate", err);
    if (size > FILE_BYTES_MAX)
        return raise_file(op, EFBIG, f, "truncate", err);
    sim__inode_truncate(f->inode, size, prng_of(f));
    return ST_OK;
}

static enum status
truncate_file(struct file *base, uint64_t size, struct err *err)
{
    struct sim_file *f = file_of(base);
    struct sim_op_run op = sim__op_begin(f->node, SIM_TRUNCATE);

    ASSERT(f->writable);
    return sim__op_end(&op, truncate_effect(&op, f, size, err));
}

/* How far filling gets when it fails, or when no more than `blocks` may be taken. */
static uint64_t
partial_fill(struct sim_file *f, uint64_t size, uint64_t blocks)
{
    uint64_t limit = size < blocks * SIM_BLOCK ? size : blocks * SIM_BLOCK;

    return prng_below(prng_of(f), limit + 1);
}

static enum status
fill_effect(const struct sim_op_run *op, struct sim_file *f, uint64_t size, struct err *err)
{
    uint64_t blocks = sim__disk_free_blocks(f->node->disk);
    bool fits;

    if (size > FILE_BYTES_MAX)
        return raise_file(op, EFBIG, f, "fill", err);
    fits = sim__inode_fill_blocks(f->inode, size) <= blocks;
    if (op->fail == ST_OK && fits) {
        sim__inode_fill(f->inode, size, prng_of(f));
        return ST_OK;
    }
    size = partial_fill(f, size, blocks);
    if (size > f->inode->size)
        sim__inode_fill(f->inode, size, prng_of(f));
    return raise_file(op, ENOSPC, f, "fill", err);
}

static enum status
fill_file(struct file *base, uint64_t size, struct err *err)
{
    struct sim_file *f = file_of(base);
    struct sim_op_run op = sim__op_begin(f->node, SIM_FILL);

    ASSERT(f->writable);
    return sim__op_end(&op, fill_effect(&op, f, size, err));
}

static enum status
sync_effect(const struct sim_op_run *op, struct sim_file *f, struct err *err)
{
    if (op->fail != ST_OK) {
        sim__inode_fail_sync(f->inode);
        return raise_file(op, 0, f, "sync", err);
    }
    if (!sim__sync_is_ignored(f->node, f->base.path))
        sim__inode_sync(f->inode);
    return ST_OK;
}

static enum status
sync_file(struct file *base, struct err *err)
{
    struct sim_file *f = file_of(base);
    struct sim_op_run op = sim__op_begin(f->node, SIM_SYNC);

    return sim__op_end(&op, sync_effect(&op, f, err));
}

/* ------------------------------------------------------------------ opening and closing */

static void
drop_file(struct sim_file *f)
{
    list_remove(&f->link);
    if (f->inode->lock == &f->base)
        f->inode->lock = NULL;
    sim__disk_let_go(f->inode);
    mem_free(f->base.path);
    mem_free(f);
}

static void
close_file(struct file *base)
{
    struct sim_file *f = file_of(base);
    struct sim *w = f->node->world;

    ASSERT(!sim__in_reactor(w)); /* closing may block */
    drop_file(f);
    sim__fiber_give_way(w);
}

void
sim__files_drop(struct sim_node *node)
{
    while (!list_empty(&node->files))
        drop_file(container_of(node->files.next, struct sim_file, link));
}

void
sim__files_report(const struct sim_node *node)
{
    list_each (link, &node->files)
        log_event(LOG_ERROR, "sim.open_file", log_u64("node", node->id),
                  log_str("path", container_of(link, struct sim_file, link)->base.path));
}

uint32_t
sim_open_files(struct sim *w, uint32_t id)
{
    uint32_t count = 0;

    list_each (link, &sim__node(w, id)->files)
        count++;
    return count;
}

static const struct file_ops file_ops = {
    .read = read_file,
    .try_read = try_read_file,
    .write = write_file,
    .sync = sync_file,
    .truncate = truncate_file,
    .fill = fill_file,
    .size = size_of_file,
    .close = close_file,
};

static struct sim_file *
new_file(struct sim_node *node, struct sim_inode *inode, const char *path, bool writable)
{
    struct sim_file *f = sim__alloc(sizeof(*f));

    f->base.ops = &file_ops;
    f->base.path = sim__strdup(path);
    f->node = node;
    f->inode = inode;
    f->writable = writable;
    sim__disk_hold(inode);
    list_push_back(&node->files, &f->link);
    return f;
}

static enum status
open_effect(const struct sim_op_run *op, const char *path, unsigned flags, struct file **out,
            struct err *err)
{
    struct sim_node *node = op->node;
    struct sim_inode *inode;
    int sys;

    if (op->fail != ST_OK)
        return sim__raise(op, 0, err, "open", path);
    if (sim__memory_refused())
        return err_raise(err, ST_NO_MEMORY, "open %s: out of memory", path);
    sys = sim__disk_open(node->disk, path, flags, &inode);
    if (sys != 0)
        return sim__raise(op, sys, err, "open", path);
    if ((flags & ENV_OPEN_TRUNCATE) != 0)
        sim__inode_truncate(inode, 0, &node->world->prng);
    *out = &new_file(node, inode, path, (flags & ENV_OPEN_WRITE) != 0)->base;
    return ST_OK;
}

enum status
sim__open(struct env *env, const char *path, unsigned flags, struct file **out, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_OPEN);

    return sim__op_end(&op, open_effect(&op, path, flags, out, err));
}

static enum status
lock_effect(const struct sim_op_run *op, const char *path, struct file **out, struct err *err)
{
    struct sim_node *node = op->node;
    struct sim_inode *inode;
    int sys;

    if (op->fail != ST_OK)
        return sim__raise(op, 0, err, "lock", path);
    if (sim__memory_refused())
        return err_raise(err, ST_NO_MEMORY, "lock %s: out of memory", path);
    sys = sim__disk_open(node->disk, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &inode);
    if (sys != 0)
        return sim__raise(op, sys, err, "lock", path);
    if (inode->lock != NULL)
        return err_raise(err, ST_EXISTS, "lock %s: held by another", path);
    *out = &new_file(node, inode, path, true)->base;
    inode->lock = *out;
    return ST_OK;
}

enum status
sim__lock(struct env *env, const char *path, struct file **out, struct err *err)
{
    struct sim_op_run op = sim__op_begin(sim__node_of(env), SIM_OPEN);

    return sim__op_end(&op, lock_effect(&op, path, out, err));
}
