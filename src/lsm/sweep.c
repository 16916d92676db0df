/*
 * Files that no view and no manifest names any more; T7 at the head of lsm.c.
 *
 * Whoever drops the last reference may be a reactor, which must not touch the
 * disk; so it only puts the file on the list, and a job deletes it here.
 */
#include "base/assert.h"

#include "lsm/lsm_internal.h"

bool
lsm_sweep_due(const struct lsm *t)
{
    return !file_sweep_empty(&t->self->sweep);
}

/* Back on the list, for the next sweep. */
static void
put_back(struct lsm *t, struct table_file *f)
{
    lock_take(&t->sweep.lock);
    list_push_back(&t->sweep.files, &f->link);
    lock_drop(&t->sweep.lock);
}

static enum status
delete_file(struct lsm *t, struct table_file *f, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    ASSERT(atomic_load_explicit(&f->obsolete, memory_order_relaxed));
    table_file_path(t->dir, f->info.number, path);
    st = env_remove(t->shared->env, path, err);
    if (st == ST_NOT_FOUND)
        st = ST_OK; /* an earlier attempt failed after its effect */
    if (st != ST_OK)
        return st;
    cache_drop_table(t->shared->blocks, f->info.number);
    table_file_destroy(f);
    return ST_OK;
}

enum status
lsm_sweep(struct lsm *t, struct err *err)
{
    struct table_file *f;

    epoch_reclaim(t->shared->epoch); /* views that nobody looks at any more let go of their files */
    while ((f = file_sweep_pop(&t->sweep)) != NULL) {
        enum status st = delete_file(t, f, err);

        if (st != ST_OK) {
            put_back(t, f);
            return st;
        }
    }
    return ST_OK;
}
