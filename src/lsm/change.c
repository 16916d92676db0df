/*
 * From one version to the next: the manifest first, then the view.  T4, T5, T7 and T8 at the
 * head of lsm.c.
 *
 *      gate_enter
 *        generation still ours?             no: ST_CONFLICT, nothing was written
 *        after = disk_version + edit
 *        manifest_record(edit, after)       durable, or not, or unknown
 *        lock   disk_version = after; if the generation is still ours: a new view with it
 *      gate_leave
 *
 * A clear may come while the manifest is written, for the owner does not enter the gate.
 * Then the manifest has the change and the view has not; the flush of the clear will drop from
 * the one what the other does not have.
 *
 * WHAT BECOMES OF NEW TABLES
 *
 *      recorded             they are in the version
 *      not written          obsolete at once: the next sweep deletes them
 *      outcome unknown      in limbo until a later edit is recorded, for the manifest that a
 *                           power cut leaves may name them (T7)
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

void
lsm__change_init(struct change *c, const struct lsm *t, uint64_t generation)
{
    *c = (struct change){
        .generation = generation,
        .names_lost = atomic_load_explicit(&t->names_lost, memory_order_relaxed),
    };
    version_edit_init(&c->edit);
}

void
lsm__change_release(struct change *c)
{
    version_edit_release(&c->edit);
}

/* Is the added file one that the same edit takes from another level? */
static bool
is_move(const struct version_edit *e, const struct table_file *file)
{
    for (uint32_t i = 0; i < e->removed_count; i++) {
        if (e->removed[i].number == file->info.number)
            return true;
    }
    return false;
}

void
lsm__change_abandon(struct change *c)
{
    for (uint32_t i = 0; i < c->edit.added_count; i++) {
        struct table_file *file = c->edit.added[i].file;

        if (!is_move(&c->edit, file))
            atomic_store_explicit(&file->obsolete, true, memory_order_relaxed);
    }
    lsm__change_release(c);
}

/* To the callers ST_NOT_FOUND means "no more entries", or "nothing is due". */
static enum status
no_end(const struct lsm *t, enum status st, struct err *err)
{
    if (st == ST_NOT_FOUND)
        return err_raise(err, ST_IO, "tree %s: the folder has vanished", t->dir);
    return st;
}

uint64_t
lsm__next_number(struct lsm *t)
{
    return atomic_fetch_add_explicit(t->shared->next_number, 1, memory_order_relaxed);
}

enum status
lsm__table_begin(struct lsm *t, const struct table_options *options, struct table_builder **out,
                 struct err *err)
{
    struct table_id id = { .number = lsm__next_number(t) };
    struct table_options charged = *options;
    char path[LIMIT_PATH_BYTES];
    enum status st;

    charged.budget = t->shared->budget;
    id.seed = hash_u64(hash_u64(t->shared->store_id) ^ id.number);
    table_file_path(t->dir, id.number, path);
    st = table_builder_create(t->shared->env, path, &id, &charged, out, err);
    return no_end(t, st, err);
}

enum status
lsm__change_add(struct change *c, struct lsm *t, uint32_t level, struct table_info *info,
                struct err *err)
{
    uint64_t number = info->number;
    struct table_file *file = table_file_create(info, &t->sweep);
    enum status st;

    if (file == NULL) {
        char path[LIMIT_PATH_BYTES];

        table_info_release(info);
        table_file_path(t->dir, number, path);
        st = env_remove(t->shared->env, path, NULL);
        (void)st; /* what stays is deleted by the next open */
        return err_raise(err, ST_NO_MEMORY, "tree %s: no memory for a table", t->dir);
    }
    st = version_edit_add(&c->edit, level, file);
    if (st != ST_OK) {
        atomic_store_explicit(&file->obsolete, true, memory_order_relaxed);
        st = err_raise(err, st, "tree %s: no memory for a table", t->dir);
    }
    table_file_unref(file);
    return st;
}

/* ------------------------------------------------------------------ limbo */

static void
enter_limbo(struct lsm *t, const struct version_edit *e)
{
    for (uint32_t i = 0; i < e->added_count; i++) {
        struct table_file *file = e->added[i].file;

        if (is_move(e, file))
            continue;
        table_file_ref(file);
        list_push_back(&t->limbo, &file->link);
    }
}

/* A later edit is durable: what the unknown one named is not in it. */
static void
leave_limbo(struct lsm *t)
{
    struct list *at;

    while ((at = list_pop_front(&t->limbo)) != NULL) {
        struct table_file *file = container_of(at, struct table_file, link);

        atomic_store_explicit(&file->obsolete, true, memory_order_relaxed);
        table_file_unref(file);
    }
}

/* ------------------------------------------------------------------ the commit */

/* The file that the edit removes; the version has it, or version_apply() would have refused. */
static struct table_file *
find_file(const struct version *v, uint32_t level, uint64_t number)
{
    const struct level *l = &v->levels[level];

    for (uint32_t i = 0; i < l->count; i++) {
        if (l->files[i]->info.number == number)
            return l->files[i];
    }
    return NULL;
}

static bool
is_added(const struct version_edit *e, uint64_t number)
{
    for (uint32_t i = 0; i < e->added_count; i++) {
        if (e->added[i].file->info.number == number)
            return true;
    }
    return false;
}

static void
mark_all_obsolete(const struct version *v)
{
    for (int level = 0; level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; i < v->levels[level].count; i++)
            atomic_store_explicit(&v->levels[level].files[i]->obsolete, true, memory_order_relaxed);
    }
}

/* The edit is durable: the files it removed may go when nobody refers to them (T7). */
static void
mark_obsolete(const struct version *before, const struct version_edit *e)
{
    if (e->clear)
        mark_all_obsolete(before);
    for (uint32_t i = 0; i < e->removed_count; i++) {
        struct table_file *file = find_file(before, e->removed[i].level, e->removed[i].number);

        ASSERT(file != NULL);
        if (!is_added(e, file->info.number))
            atomic_store_explicit(&file->obsolete, true, memory_order_relaxed);
    }
}

/* The view that the change leads to, from the one of now.  The lock is held. */
static struct view *
publish_change(struct lsm *t, const struct change *c, struct view *fresh, struct version *after,
               double score)
{
    if (c->replaces) {
        lsm__view_set_version(fresh, after, score);
        atomic_store_explicit(&t->clear_pending, false, memory_order_relaxed);
        return lsm__start_over(t, fresh, &c->edit.mark);
    }
    lsm__view_copy(fresh, atomic_load_explicit(&t->view, memory_order_relaxed));
    lsm__view_set_version(fresh, after, score);
    if (c->flushed != NULL)
        lsm__view_drop_oldest(fresh, c->flushed);
    if (c->edit.clear)
        atomic_store_explicit(&t->clear_pending, false, memory_order_relaxed);
    return lsm__view_publish(t, fresh);
}

/* The manifest has the edit.  `fresh` is published, unless a clear has come; `after` is
 * taken over. */
static void
take_effect(struct lsm *t, const struct change *c, struct view *fresh, struct version *after,
            const struct lsm_mark *mark)
{
    double score = picker_score(after, &t->options);
    struct version *before = t->disk_version;
    struct view *old = NULL;

    mark_obsolete(before, &c->edit);
    leave_limbo(t);
    lock_take(&t->lock);
    t->disk_version = after;
    t->disk_mark = *mark;
    if (atomic_load_explicit(&t->generation, memory_order_relaxed) == c->generation)
        old = publish_change(t, c, fresh, after, score);
    lock_drop(&t->lock);
    if (old == NULL)
        lsm__view_unref(fresh); /* T8 */
    else if (c->replaces)
        lsm__left_all(t, old);
    else
        lsm__view_retire(t, old);
    version_unref(before);
}

/* A failed sync of the folder may have made the system forget names that were not durable yet,
 * those of another job's outputs among them; a later sync would then report a success that
 * is none.  Such outputs need new names. */
static enum status
check_names(const struct lsm *t, const struct change *c, struct err *err)
{
    if (c->names_lost == atomic_load_explicit(&t->names_lost, memory_order_relaxed))
        return ST_OK;
    for (uint32_t i = 0; i < c->edit.added_count; i++) {
        if (!is_move(&c->edit, c->edit.added[i].file))
            return err_raise(err, ST_IO, "tree %s: the name of a new table may be lost", t->dir);
    }
    return ST_OK;
}

/* Nothing of the edit reached the manifest, and that is certain. */
static bool
was_not_written(enum status st)
{
    return st == ST_NO_MEMORY || st == ST_TOO_BIG;
}

/* Inside the gate. */
static enum status
record(struct lsm *t, struct change *c, struct err *err)
{
    const struct lsm_mark *mark = c->edit.mark_set ? &c->edit.mark : &t->disk_mark;
    struct version *after = NULL;
    struct view *fresh = NULL;
    enum status st;

    st = lsm__job_check(t, c->generation, err);
    if (st == ST_OK)
        st = check_names(t, c, err);
    if (st == ST_OK)
        st = version_apply(t->disk_version, &c->edit, &after, err);
    if (st != ST_OK)
        goto fail;
    fresh = lsm__view_create(t);
    if (fresh == NULL) {
        st = err_raise(err, ST_NO_MEMORY, "tree %s: no memory for the view", t->dir);
        goto fail;
    }
    ASSERT(mark->index >= t->disk_mark.index); /* T4 */
    st = no_end(t, manifest_record(t->manifest, &c->edit, after, mark, err), err);
    lsm__manifest_tend(t);
    if (st == ST_OK) {
        take_effect(t, c, fresh, after, mark);
        lsm__change_release(c);
        return ST_OK;
    }
    if (!was_not_written(st)) {
        lsm__add(&t->names_lost, 1);
        enter_limbo(t, &c->edit);
        lsm__view_unref(fresh);
        version_unref(after);
        lsm__change_release(c);
        return st;
    }

fail:
    lsm__view_unref(fresh);
    if (after != NULL)
        version_unref(after);
    lsm__change_abandon(c);
    return st;
}

enum status
lsm__change_commit(struct change *c, struct lsm *t, struct err *err)
{
    enum status st;

    gate_enter(t->gate);
    st = record(t, c, err);
    gate_leave(t->gate);
    return st;
}
