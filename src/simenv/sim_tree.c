/*
 * The tree of a simulated disk: inodes and who refers to them, folders and
 * their entries, paths.
 *
 * An entry is there while its name stands for something, now or on the medium,
 * or while a change that concerns it is pending.  The invariants D1..D6 are at
 * the head of sim_disk.c.
 */
#include <errno.h>

#include "base/assert.h"

#include "simenv/sim_disk.h"

enum { ENTRIES_CAPACITY_MIN = 4 };

/* ------------------------------------------------------------------ inodes */

struct sim_inode *
sim__inode_create(struct sim_disk *d, bool is_dir)
{
    struct sim_inode *inode = sim__alloc(sizeof(*inode));

    sim__inode_init(inode, d, is_dir);
    return inode;
}

void
sim__inode_ref(struct sim_inode *inode)
{
    inode->refs++;
}

/* The dead stay in disk->inodes until they are buried, so that lists may be walked meanwhile. */
void
sim__inode_unref(struct sim_inode *inode)
{
    ASSERT(inode->refs > 0);
    if (--inode->refs == 0)
        list_push_back(&inode->disk->dead, &inode->work);
}

void
sim__inode_enliven(struct sim_inode *inode)
{
    sim__inode_ref(inode);
    if (inode->live++ == 0)
        inode->disk->block_count += inode->block_count;
}

void
sim__inode_fade(struct sim_inode *inode)
{
    ASSERT(inode->live > 0);
    if (--inode->live == 0)
        inode->disk->block_count -= inode->block_count;
    sim__inode_unref(inode);
}

static void
free_entry(struct sim_entry *e)
{
    mem_free(e->name);
    mem_free(e);
}

static void
bury(struct sim_inode *inode)
{
    ASSERT(inode->refs == 0 && inode->live == 0);
    for (size_t i = 0; i < inode->entry_count; i++) {
        struct sim_entry *e = inode->entries[i];

        ASSERT(e->pending == 0); /* a change would have kept the folder */
        sim__entry_set_now(e, NULL);
        sim__entry_set_durable(e, NULL);
        free_entry(e);
    }
    mem_free(inode->entries);
    sim__inode_release(inode);
    list_remove(&inode->link);
    mem_free(inode);
}

void
sim__bury_dead(struct sim_disk *d)
{
    struct list *link;

    while ((link = list_pop_front(&d->dead)) != NULL)
        bury(container_of(link, struct sim_inode, work));
}

/* ------------------------------------------------------------------ entries */

/* The index of the name, or of where it would be. */
static size_t
search(const struct sim_inode *dir, struct slice name, bool *found)
{
    size_t low = 0;
    size_t high = dir->entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slice_compare(slice_str(dir->entries[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < dir->entry_count && slice_equal(slice_str(dir->entries[low]->name), name);
    return low;
}

struct sim_inode *
sim__inode_at(struct sim_place p)
{
    bool found;
    size_t index = search(p.dir, p.name, &found);

    return found ? p.dir->entries[index]->now : NULL;
}

struct sim_entry *
sim__entry_make(struct sim_place p)
{
    struct sim_inode *dir = p.dir;
    bool found;
    size_t index = search(dir, p.name, &found);
    struct sim_entry *e;

    if (found)
        return dir->entries[index];
    if (dir->entry_count == dir->entry_capacity) {
        dir->entry_capacity =
            dir->entry_capacity == 0 ? ENTRIES_CAPACITY_MIN : dir->entry_capacity * 2;
        dir->entries = sim__resize(dir->entries, dir->entry_capacity * sizeof(struct sim_entry *));
    }
    e = sim__alloc(sizeof(*e));
    e->dir = dir;
    e->name = sim__alloc(p.name.size + 1);
    memcpy(e->name, p.name.data, p.name.size);
    memmove(dir->entries + index + 1, dir->entries + index,
            (dir->entry_count - index) * sizeof(struct sim_entry *));
    dir->entries[index] = e;
    dir->entry_count++;
    return e;
}

void
sim__entry_drop_if_empty(struct sim_entry *e)
{
    struct sim_inode *dir = e->dir;
    bool found;
    size_t index;

    if (e->now != NULL || e->durable != NULL || e->pending > 0)
        return;
    index = search(dir, slice_str(e->name), &found);
    ASSERT(found && dir->entries[index] == e);
    dir->entry_count--;
    memmove(dir->entries + index, dir->entries + index + 1,
            (dir->entry_count - index) * sizeof(struct sim_entry *));
    free_entry(e);
}

void
sim__entry_set_now(struct sim_entry *e, struct sim_inode *to)
{
    struct sim_inode *old = e->now;

    e->now = to;
    if (to != NULL)
        sim__inode_enliven(to); /* first: it may be the same */
    if (old != NULL) {
        old->parent = NULL;
        sim__inode_fade(old);
    }
    if (to != NULL)
        to->parent = e->dir; /* means something for folders only */
}

void
sim__entry_set_durable(struct sim_entry *e, struct sim_inode *to)
{
    struct sim_inode *old = e->durable;

    e->durable = to;
    if (to != NULL)
        sim__inode_ref(to);
    if (old != NULL)
        sim__inode_unref(old);
}

bool
sim__is_empty_dir(const struct sim_inode *dir)
{
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (dir->entries[i]->now != NULL)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ paths */

/* The next part of a path that is not "."; empty at the end. */
struct slice
sim__path_part(const char **path)
{
    struct slice part;

    do {
        const char *at = *path + strspn(*path, "/");

        part = slice_of(at, strcspn(at, "/"));
        *path = at + part.size;
    } while (slice_equal(part, slice_str(".")));
    return part;
}

/* Where the path's last part is or would be.  The root has no such place: then `name` is empty. */
int
sim__locate(struct sim_disk *d, const char *path, struct sim_place *out)
{
    struct sim_place p = { d->root, { NULL, 0 } };
    struct slice part = sim__path_part(&path);

    while (part.size > 0) {
        struct slice next = sim__path_part(&path);
        struct sim_inode *below;

        if (slice_equal(part, slice_str("..")))
            return EINVAL; /* nothing in DistKV climbs */
        p.name = part;
        part = next;
        if (next.size == 0)
            break;
        below = sim__inode_at(p);
        if (below == NULL)
            return ENOENT;
        if (!below->is_dir)
            return ENOTDIR;
        p.dir = below;
    }
    *out = p;
    return 0;
}

bool
sim__is_inside(const struct sim_inode *dir, const struct sim_inode *of)
{
    for (; dir != NULL; dir = dir->parent) {
        if (dir == of)
            return true;
    }
    return false;
}
