/*
 * A tree's files, looked at from outside: nothing is opened for writing, created or deleted.
 */
#include "lsm/lsm.h"
#include "lsm/manifest.h"

static enum status
visit_tables(const struct version *v, const char *dir, lsm_file_fn *fn, void *ctx, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st = ST_OK;

    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; st == ST_OK && i < v->levels[level].count; i++) {
            const struct table_info *info = &v->levels[level].files[i]->info;

            table_file_path(dir, info->number, path);
            st = fn(ctx, level, info, path, err);
        }
    }
    return st;
}

enum status
lsm_inspect(struct env *env, const char *dir, lsm_file_fn *fn, void *ctx, struct lsm_mark *mark,
            struct err *err)
{
    struct file_sweep sweep;
    struct version *v = NULL;
    struct lsm_mark found;
    enum status st;

    file_sweep_init(&sweep);
    st = manifest_read(env, dir, &sweep, &v, &found, err);
    if (st == ST_OK) {
        st = visit_tables(v, dir, fn, ctx, err);
        version_unref(v);
    }
    file_sweep_release(&sweep);
    if (st == ST_OK && mark != NULL)
        *mark = found;
    return st;
}
