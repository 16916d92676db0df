/*
 * Copies of disks: what a disk shows now, all of it durable.
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

struct sim_disk_image {
    struct sim_disk *disk; /* owned */
};

static struct sim_inode *
copy_inode(struct sim_disk *to, struct sim_inode *from, struct list *todo)
{
    if (from->copy != NULL)
        return from->copy; /* a second name of the same file */
    from->copy = sim__inode_create(to, from->is_dir);
    if (from->is_dir)
        list_push_back(todo, &from->work);
    else
        sim__inode_copy(from->copy, from);
    return from->copy;
}

static void
copy_entries(struct sim_disk *to, struct sim_inode *from, struct list *todo)
{
    for (size_t i = 0; i < from->entry_count; i++) {
        struct sim_entry *e = from->entries[i];
        struct sim_entry *copy;
        struct sim_inode *inode;

        if (e->now == NULL)
            continue;
        inode = copy_inode(to, e->now, todo);
        copy = sim__entry_make((struct sim_place){ from->copy, slice_str(e->name) });
        sim__entry_set_now(copy, inode);
        sim__entry_set_durable(copy, inode);
    }
}

struct sim_disk *
sim__disk_copy(struct sim_disk *d)
{
    struct sim_disk *to = sim__disk_create();
    struct list todo;
    struct list *link;

    to->block_limit = d->block_limit;
    list_each (at, &d->inodes)
        container_of(at, struct sim_inode, link)->copy = NULL;
    d->root->copy = to->root;
    list_init(&todo);
    list_push_back(&todo, &d->root->work);
    while ((link = list_pop_front(&todo)) != NULL)
        copy_entries(to, container_of(link, struct sim_inode, work), &todo);
    return to;
}

struct sim_disk_image *
sim_disk_save(struct sim *w, uint32_t id)
{
    struct sim_node *node = sim__node(w, id);
    struct sim_disk_image *image = sim__alloc(sizeof(*image));

    ASSERT(!node->running);
    image->disk = sim__disk_copy(node->disk);
    return image;
}

void
sim_disk_load(struct sim *w, uint32_t id, const struct sim_disk_image *image)
{
    struct sim_node *node = sim__node(w, id);
    struct sim_disk *copy = sim__disk_copy(image->disk);

    ASSERT(!node->running);
    copy->block_limit = node->disk->block_limit;
    sim__disk_destroy(node->disk);
    node->disk = copy;
}

void
sim_disk_image_free(struct sim_disk_image *image)
{
    if (image == NULL)
        return;
    sim__disk_destroy(image->disk);
    mem_free(image);
}
