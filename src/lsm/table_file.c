/*
 * A table of the tree, from the edit that adds it until its file is deleted.
 *
 *      create ──> refs > 0 ──last unref──> freed                 not obsolete: the file stays
 *                    │
 *                    └──── obsolete, ──> on the sweep list ──pop──> destroyed by lsm_sweep()
 *                          last unref        refs == 0
 *
 * INVARIANTS
 *
 *   F1  Who holds a reference may use the file; nobody gains one from a file without any.
 *   F2  A file is marked obsolete only while it is referenced, and after the edit that
 *       removes it has become durable.  So what is on the sweep list is named by no
 *       manifest that could still be read.
 *   F3  A file whose memory goes has no reader any more: lsm/readers.h has taken it back.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#include "lsm/readers.h"

struct table_file *
table_file_create(struct table_info *info, struct file_sweep *sweep)
{
    struct table_file *f = mem_new(struct table_file);

    if (f == NULL)
        return NULL;
    atomic_init(&f->refs, 1);
    atomic_init(&f->reader, NULL);
    atomic_init(&f->obsolete, false);
    list_init(&f->link);
    f->sweep = sweep;
    f->info = *info;
    *info = (struct table_info){ 0 };
    return f;
}

void
table_file_ref(struct table_file *f)
{
    uint32_t before = atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);

    ASSERT(before > 0); /* F1 */
}

void
table_file_unref(struct table_file *f)
{
    uint32_t before = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);

    ASSERT(before > 0); /* F1 */
    if (before > 1)
        return;
    if (!atomic_load_explicit(&f->obsolete, memory_order_relaxed)) {
        table_file_destroy(f);
        return;
    }
    lock_take(&f->sweep->lock);
    list_push_back(&f->sweep->files, &f->link);
    lock_drop(&f->sweep->lock);
}

void
table_file_destroy(struct table_file *f)
{
    ASSERT(atomic_load_explicit(&f->refs, memory_order_relaxed) == 0);
    ASSERT(list_empty(&f->link));
    readers_forget(f); /* F3 */
    table_info_release(&f->info);
    mem_free(f);
}

void
table_file_path(const char *dir, uint64_t number, char *out)
{
    int size = snprintf(out, LIMIT_PATH_BYTES, "%s/%016" PRIx64 ".sst", dir, number);

    ASSERT(size > 0 &&
           size < LIMIT_PATH_BYTES); /* manifest_open() has measured the folder's path */
}

void
file_sweep_init(struct file_sweep *s)
{
    lock_init(&s->lock);
    list_init(&s->files);
}

struct table_file *
file_sweep_pop(struct file_sweep *s)
{
    struct list *first;

    lock_take(&s->lock);
    first = list_pop_front(&s->files);
    lock_drop(&s->lock);
    return first == NULL ? NULL : container_of(first, struct table_file, link);
}

bool
file_sweep_empty(struct file_sweep *s)
{
    bool empty;

    lock_take(&s->lock);
    empty = list_empty(&s->files);
    lock_drop(&s->lock);
    return empty;
}

void
file_sweep_release(struct file_sweep *s)
{
    struct table_file *f;

    while ((f = file_sweep_pop(s)) != NULL)
        table_file_destroy(f);
    lock_release(&s->lock);
}
