/*
 * An edit gathers what changes; it owns its two lists, and a reference on each
 * file that it adds.  The lists grow by doubling.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "lsm/version.h"

enum { EDIT_CAPACITY_MIN = 4 };

void
version_edit_init(struct version_edit *e)
{
    *e = (struct version_edit){ 0 };
}

void
version_edit_release(struct version_edit *e)
{
    for (uint32_t i = 0; i < e->added_count; i++)
        table_file_unref(e->added[i].file);
    mem_free(e->added);
    mem_free(e->removed);
    version_edit_init(e);
}

/* Is a list of `count` items full, when it only ever grows to powers of two? */
static bool
is_full(uint32_t count)
{
    return count == 0 || (count >= EDIT_CAPACITY_MIN && (count & (count - 1)) == 0);
}

static size_t
next_capacity(uint32_t count)
{
    return count == 0 ? (size_t)EDIT_CAPACITY_MIN : (size_t)count * 2;
}

enum status
version_edit_add(struct version_edit *e, uint32_t level, struct table_file *file)
{
    ASSERT(level < LIMIT_LEVELS);
    if (is_full(e->added_count)) {
        struct edit_added *grown =
            mem_resize(e->added, next_capacity(e->added_count) * sizeof(*grown));

        if (grown == NULL)
            return ST_NO_MEMORY;
        e->added = grown;
    }
    table_file_ref(file);
    e->added[e->added_count++] = (struct edit_added){ level, file };
    return ST_OK;
}

enum status
version_edit_whole(struct version_edit *e, const struct version *v, const struct lsm_mark *mark)
{
    enum status st = ST_OK;

    version_edit_init(e);
    e->mark = *mark;
    e->mark_set = true;
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; st == ST_OK && i < v->levels[level].count; i++)
            st = version_edit_add(e, level, v->levels[level].files[i]);
    }
    return st;
}

enum status
version_edit_remove(struct version_edit *e, uint32_t level, uint64_t number)
{
    ASSERT(level < LIMIT_LEVELS);
    if (is_full(e->removed_count)) {
        struct edit_removed *grown =
            mem_resize(e->removed, next_capacity(e->removed_count) * sizeof(*grown));

        if (grown == NULL)
            return ST_NO_MEMORY;
        e->removed = grown;
    }
    e->removed[e->removed_count++] = (struct edit_removed){ level, number };
    return ST_OK;
}
