/*
 * The disk of a simulated node: a tree of folders, each name of which stands
 * for one inode now and perhaps for another on the medium.
 *
 *      folder     name        now    durable
 *                 CURRENT     I7     I4          renamed over, not synced
 *                 000012.sst  I6     -           created, not synced
 *                 000009.sst  -      I3          removed, not synced
 *
 * Files are inodes too, with their own two versions of each sector
 * (sim_page.c).  Between the two versions of a name stand the changes
 * (sim_change.c).
 *
 * A power cut draws how friendly it is, in per cent: nothing unsynced survives
 * in one case of four, everything in another.  Then the survivors among the
 * name changes are drawn, then those among the sectors of each file.
 *
 * INVARIANTS
 *
 *   D1  Bytes of the page cache beyond a file's size are zeros.
 *   D2  After a failed sync, what it should have made durable is visible but
 *       will never be durable, unless it is written again.
 *   D3  A change of names is durable whole or not at all, a rename included.
 *   D4  Changes of one name become durable in their order.
 *   D5  An inode lives while a name, a change, or an open file refers to it;
 *       the tree of now has every folder once.
 *   D6  block_count is the sum over all inodes with a visible name or an open
 *       file.  Names take no space, but none can be made on a full disk.
 */
#include "simenv/sim_disk.h"

#include <errno.h>

#include "base/assert.h"

#define DEFAULT_CAPACITY_BYTES (UINT64_C(1) << 40)

/* ------------------------------------------------------------------ names */

int
sim__disk_find(struct sim_disk *d, const char *path, struct sim_inode **out)
{
    struct sim_place p;
    int sys = sim__locate(d, path, &p);

    if (sys != 0)
        return sys;
    *out = p.name.size == 0 ? d->root : sim__inode_at(p);
    return *out == NULL ? ENOENT : 0;
}

static void
change_one(struct sim_disk *d, struct sim_place p, struct sim_inode *to)
{
    struct sim_half halves[2] = { { sim__entry_make(p), to }, { NULL, NULL } };

    sim__change_add(d, halves);
    sim__bury_dead(d);
}

uint64_t
sim__disk_free_blocks(const struct sim_disk *d)
{
    return d->block_count < d->block_limit ? d->block_limit - d->block_count : 0;
}

int
sim__disk_open(struct sim_disk *d, const char *path, unsigned flags, struct sim_inode **out)
{
    struct sim_inode *inode;
    struct sim_place p;
    int sys = sim__locate(d, path, &p);

    if (sys != 0)
        return sys;
    inode = p.name.size == 0 ? d->root : sim__inode_at(p);
    if (inode != NULL && (flags & ENV_OPEN_EXCLUSIVE) != 0)
        return EEXIST;
    if (inode != NULL && inode->is_dir)
        return EISDIR;
    if (inode == NULL) {
        if ((flags & ENV_OPEN_CREATE) == 0)
            return ENOENT;
        if (sim__disk_free_blocks(d) == 0)
            return ENOSPC;
        inode = sim__inode_create(d, false);
        change_one(d, p, inode);
    }
    *out = inode;
    return 0;
}

int
sim__disk_remove(struct sim_disk *d, const char *path)
{
    struct sim_place p;
    struct sim_inode *inode;
    int sys = sim__locate(d, path, &p);

    if (sys != 0)
        return sys;
    inode = p.name.size == 0 ? d->root : sim__inode_at(p);
    if (inode == NULL)
        return ENOENT;
    if (inode->is_dir)
        return EISDIR;
    change_one(d, p, NULL);
    return 0;
}

/* May `what` take the place of `old`? */
static int
may_replace(const struct sim_inode *what, const struct sim_inode *old)
{
    if (old == NULL)
        return 0;
    if (what->is_dir != old->is_dir)
        return old->is_dir ? EISDIR : ENOTDIR;
    return old->is_dir && !sim__is_empty_dir(old) ? ENOTEMPTY : 0;
}

int
sim__disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    struct sim_place source, target;
    struct sim_half halves[2];
    struct sim_inode *inode, *old;
    int sys = sim__locate(d, from, &source);

    if (sys == 0)
        sys = sim__locate(d, to, &target);
    if (sys != 0)
        return sys;
    if (source.name.size == 0 || target.name.size == 0)
        return EBUSY; /* the root */
    inode = sim__inode_at(source);
    old = sim__inode_at(target);
    if (inode == NULL)
        return ENOENT;
    if (inode == old)
        return 0; /* as POSIX has it, two names of one file stay */
    if (inode->is_dir && sim__is_inside(target.dir, inode))
        return EINVAL;
    sys = may_replace(inode, old);
    if (sys != 0)
        return sys;
    halves[0] = (struct sim_half){ sim__entry_make(source), NULL };
    halves[1] = (struct sim_half){ sim__entry_make(target), inode };
    sim__change_add(d, halves);
    sim__bury_dead(d);
    return 0;
}

int
sim__disk_link(struct sim_disk *d, const char *from, const char *to)
{
    struct sim_inode *inode;
    struct sim_place p;
    int sys = sim__disk_find(d, from, &inode);

    if (sys == 0)
        sys = sim__locate(d, to, &p);
    if (sys != 0)
        return sys;
    if (p.name.size == 0 || sim__inode_at(p) != NULL)
        return EEXIST;
    if (inode->is_dir)
        return EPERM;
    change_one(d, p, inode);
    return 0;
}

int
sim__disk_make_dir(struct sim_disk *d, const char *path)
{
    struct sim_place p;
    int sys = sim__locate(d, path, &p);

    if (sys != 0)
        return sys;
    if (p.name.size == 0 || sim__inode_at(p) != NULL)
        return EEXIST;
    if (sim__disk_free_blocks(d) == 0)
        return ENOSPC;
    change_one(d, p, sim__inode_create(d, true));
    return 0;
}

int
sim__disk_remove_dir(struct sim_disk *d, const char *path)
{
    struct sim_inode *dir;
    struct sim_place p;
    int sys = sim__locate(d, path, &p);

    if (sys != 0)
        return sys;
    if (p.name.size == 0)
        return EBUSY; /* the root */
    dir = sim__inode_at(p);
    if (dir == NULL)
        return ENOENT;
    if (!dir->is_dir)
        return ENOTDIR;
    if (!sim__is_empty_dir(dir))
        return ENOTEMPTY;
    change_one(d, p, NULL);
    return 0;
}

int
sim__disk_sync_dir(struct sim_disk *d, const char *path, bool fails)
{
    struct sim_inode *dir;
    int sys = sim__disk_find(d, path, &dir);

    if (sys != 0)
        return sys;
    if (!dir->is_dir)
        return ENOTDIR;
    if (fails)
        sim__change_fail_sync(d, dir);
    else
        sim__change_sync(d, dir);
    sim__bury_dead(d);
    return 0;
}

/* ------------------------------------------------------------------ open files */

void
sim__disk_hold(struct sim_inode *inode)
{
    sim__inode_enliven(inode);
}

void
sim__disk_let_go(struct sim_inode *inode)
{
    struct sim_disk *d = inode->disk;

    sim__inode_fade(inode);
    sim__bury_dead(d);
}

/* ------------------------------------------------------------------ power cuts */

/* All that is left is what is on the medium. */
static void
show_durable(struct sim_disk *d)
{
    list_each (link, &d->inodes) {
        struct sim_inode *dir = container_of(link, struct sim_inode, link);

        for (size_t i = dir->entry_count; i-- > 0;) { /* backwards: entries may go */
            sim__entry_set_now(dir->entries[i], dir->entries[i]->durable);
            sim__entry_drop_if_empty(dir->entries[i]);
        }
    }
    sim__bury_dead(d);
}

static void
set_parents(struct sim_disk *d)
{
    list_each (link, &d->inodes) {
        struct sim_inode *dir = container_of(link, struct sim_inode, link);

        for (size_t i = 0; i < dir->entry_count; i++) {
            if (dir->entries[i]->now->is_dir)
                dir->entries[i]->now->parent = dir;
        }
    }
}

static uint32_t
friendliness(struct prng *prng)
{
    switch (prng_below(prng, 4)) {
    case 0:
        return 0;
    case 1:
        return 100;
    default:
        return 10 + (uint32_t)prng_below(prng, 81);
    }
}

void
sim__disk_power_cut(struct sim_disk *d, struct prng *prng)
{
    uint32_t percent = friendliness(prng);

    sim__change_power_cut(d, percent, prng);
    show_durable(d);
    set_parents(d);
    list_each (link, &d->inodes)
        sim__inode_crash(container_of(link, struct sim_inode, link), percent, prng);
}

/* ------------------------------------------------------------------ the whole disk */

struct sim_disk *
sim__disk_create(void)
{
    struct sim_disk *d = sim__alloc(sizeof(*d));

    list_init(&d->inodes);
    list_init(&d->dead);
    list_init(&d->changes);
    d->block_limit = DEFAULT_CAPACITY_BYTES / SIM_BLOCK;
    d->root = sim__inode_create(d, true);
    sim__inode_enliven(d->root);
    return d;
}

void
sim__disk_destroy(struct sim_disk *d)
{
    if (d == NULL)
        return;
    sim__change_forget_all(d);
    sim__inode_fade(d->root);
    sim__bury_dead(d);
    ASSERT(list_empty(&d->inodes)); /* D5 */
    ASSERT(d->block_count == 0);    /* D6 */
    mem_free(d);
}
