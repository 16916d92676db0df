/*
 * The disk from outside: what a test sees and does without asking the node.
 *
 * What is done here is done to the page cache and to the medium at once, and
 * whatever name changes were pending for the name are overruled.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#include "simenv/sim_internal.h"

enum { FOUND_CAPACITY_MIN = 16 };

/* ------------------------------------------------------------------ names */

/* An entry that nothing keeps may be gone afterwards. */
static void
set_outright(struct sim_disk *d, struct sim_entry *e, struct sim_inode *to)
{
    sim__entry_set_now(e, to);
    sim__entry_set_durable(e, to);
    e->pending++; /* stay, while the changes go */
    sim__change_void(d, e);
    e->pending--;
    sim__entry_drop_if_empty(e);
    sim__bury_dead(d);
}

/* The file of this path, made if missing with all folders above it; NULL when it cannot be. */
static struct sim_inode *
plant(struct sim_disk *d, const char *path)
{
    struct sim_inode *at = d->root;
    struct slice part = sim__path_part(&path);

    while (part.size > 0) {
        struct slice next = sim__path_part(&path);
        struct sim_place p = { at, part };
        struct sim_inode *below;

        if (!at->is_dir)
            return NULL;
        below = sim__inode_at(p);
        if (below == NULL)
            below = sim__inode_create(d, next.size > 0);
        set_outright(d, sim__entry_make(p), below);
        at = below;
        part = next;
    }
    return at->is_dir ? NULL : at;
}

static struct sim_inode *
find_file(struct sim *w, uint32_t id, const char *path)
{
    struct sim_inode *inode;

    if (sim__disk_find(sim__node(w, id)->disk, path, &inode) != 0 || inode->is_dir)
        return NULL;
    return inode;
}

bool
sim_disk_remove(struct sim *w, uint32_t id, const char *path)
{
    struct sim_disk *d = sim__node(w, id)->disk;
    struct sim_place p;

    if (find_file(w, id, path) == NULL || sim__locate(d, path, &p) != 0)
        return false;
    set_outright(d, sim__entry_make(p), NULL);
    return true;
}

/* ------------------------------------------------------------------ bytes */

bool
sim_disk_read(struct sim *w, uint32_t id, const char *path, struct buf *out)
{
    struct sim_inode *inode = find_file(w, id, path);
    size_t size;

    if (inode == NULL)
        return false;
    size = (size_t)inode->size;
    out->size = 0;
    if (buf_reserve(out, size) != ST_OK) /* the test's memory, from the test's heap */
        return false;
    if (size > 0)
        out->size = sim__inode_read(inode, 0, out->data, size);
    ASSERT(out->size == size);
    return true;
}

bool
sim_disk_write(struct sim *w, uint32_t id, const char *path, struct slice bytes)
{
    struct sim_inode *inode = plant(sim__node(w, id)->disk, path);
    struct sim_write write = { .parts = &bytes, .part_count = 1, .limit = bytes.size };

    if (inode == NULL)
        return false;
    sim__inode_truncate(inode, 0, &w->prng);
    sim__inode_write(inode, &write, &w->prng);
    sim__inode_sync(inode);
    return true;
}

bool
sim_disk_truncate(struct sim *w, uint32_t id, const char *path, uint64_t size)
{
    struct sim_inode *inode = find_file(w, id, path);

    if (inode == NULL)
        return false;
    sim__inode_truncate_outright(inode, size);
    return true;
}

bool
sim_disk_flip(struct sim *w, uint32_t id, const char *path, uint64_t offset, unsigned bit)
{
    struct sim_inode *inode = find_file(w, id, path);

    ASSERT(bit < 8);
    return inode != NULL && sim__inode_flip(inode, offset, bit);
}

/* ------------------------------------------------------------------ all files */

struct found {
    struct {
        char *path;
        struct sim_inode *inode;
    } * items; /* owned, and so are the paths */
    size_t count;
    size_t capacity;
};

static char *
join(const char *folder, const char *name)
{
    size_t room = strlen(folder) + 1 + strlen(name) + 1;
    char *path = sim__alloc(room);

    snprintf(path, room, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name);
    return path;
}

static void
note(struct found *f, char *path, struct sim_inode *inode)
{
    if (f->count == f->capacity) {
        f->capacity = f->capacity == 0 ? FOUND_CAPACITY_MIN : f->capacity * 2;
        f->items = sim__resize(f->items, f->capacity * sizeof(*f->items));
    }
    f->items[f->count].path = path;
    f->items[f->count].inode = inode;
    f->count++;
}

static void
note_entries(struct found *f, const char *folder, const struct sim_inode *dir)
{
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (dir->entries[i]->now != NULL)
            note(f, join(folder, dir->entries[i]->name), dir->entries[i]->now);
    }
}

static int
by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b); /* the path is the first member */
}

void
sim_disk_each(struct sim *w, uint32_t id, void (*fn)(void *ctx, const char *path, uint64_t size),
              void *ctx)
{
    struct sim_disk *d = sim__node(w, id)->disk;
    struct found f = { NULL, 0, 0 };

    note_entries(&f, "", d->root);
    for (size_t i = 0; i < f.count; i++) { /* it grows while we go: breadth first */
        if (f.items[i].inode->is_dir)
            note_entries(&f, f.items[i].path, f.items[i].inode);
    }
    if (f.count > 1)
        qsort(f.items, f.count, sizeof(*f.items), by_path);
    for (size_t i = 0; i < f.count; i++)
        sim__inode_ref(f.items[i].inode); /* `fn` may remove what it is told of */
    for (size_t i = 0; i < f.count; i++) {
        if (!f.items[i].inode->is_dir)
            fn(ctx, f.items[i].path, f.items[i].inode->size);
        sim__inode_unref(f.items[i].inode);
        mem_free(f.items[i].path);
    }
    mem_free(f.items);
    sim__bury_dead(d);
}

/* ------------------------------------------------------------------ what a power cut may take */

struct look {
    struct sim *world;
    uint32_t id;
    const char *part;
    bool found;
};

static void
look_at_file(void *ctx, const char *path, uint64_t size)
{
    struct look *l = ctx;
    const struct sim_inode *inode;

    (void)size;
    if (l->found || strstr(path, l->part) == NULL)
        return;
    inode = find_file(l->world, l->id, path);
    l->found = inode != NULL && (inode->size_dirty || !list_empty(&inode->unsynced));
}

bool
sim_disk_unsynced(struct sim *w, uint32_t id, const char *part)
{
    struct look look = { w, id, part, false };

    sim_disk_each(w, id, look_at_file, &look);
    return look.found;
}

uint64_t
sim_disk_used(struct sim *w, uint32_t id)
{
    return sim__node(w, id)->disk->block_count * SIM_BLOCK;
}
