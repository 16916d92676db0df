/*
 * The folders of trees.  One without a name in the catalogue is what a crash has left, or a failure: it is
 * nobody's, and goes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum { TREE_NAME_BYTES = 21 /* "tree-" and 16 digits */ };

void
engine__tree_path(const struct engine *e, uint64_t id, char path[LIMIT_PATH_BYTES])
{
    snprintf(path, LIMIT_PATH_BYTES, "%s/tree-%016llx", e->dir, (unsigned long long)id);
}

struct removing {
    struct env *env;
    const char *dir;
    enum status status;
    struct err *err;
};

static void
remove_file(void *ctx, const char *name)
{
    struct removing *r = ctx;
    char path[LIMIT_PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    if (r->status == ST_OK)
        r->status = env_remove(r->env, path, r->err);
}

enum status
engine__remove_folder(struct engine *e, uint64_t id, struct err *err)
{
    char dir[LIMIT_PATH_BYTES];
    struct removing r = { .env = e->env, .dir = dir, .err = err };
    enum status st;

    engine__tree_path(e, id, dir);
    st = env_list(e->env, dir, remove_file, &r, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    if (st == ST_OK)
        st = r.status;
    if (st == ST_OK)
        st = env_remove_dir(e->env, dir, err);
    return st == ST_OK ? env_sync_dir(e->env, e->dir, err) : st;
}

void
engine__remove_nameless(struct engine *e, uint64_t id)
{
    struct err err;

    if (engine__remove_folder(e, id, &err) != ST_OK)
        log_event(LOG_WARN, "tree.folder_left", log_u64("tree", id), log_err(&err),
                  log_str("effect", "it takes space until the next start"));
}

struct folders {
    struct engine *e;
    uint64_t *ids; /* owned */
    uint32_t count;
};

static void
note_folder(void *ctx, const char *name)
{
    struct folders *f = ctx;
    unsigned long long id = 0;
    uint64_t *grown;
    char *end;

    if (strncmp(name, "tree-", 5) != 0 || strlen(name) != TREE_NAME_BYTES)
        return;
    id = strtoull(name + 5, &end, 16);
    if (*end != '\0' || catalogue_find(&f->e->catalogue, CATALOGUE_TREE, id) != NULL)
        return;
    grown = mem_resize(f->ids, (f->count + (size_t)1) * sizeof(*grown));
    if (grown == NULL)
        return; /* the next start finds it, too */
    f->ids = grown;
    grown[f->count++] = id;
}

void
engine__remove_leftovers(struct engine *e)
{
    struct folders f = { .e = e };
    struct err err;

    if (env_list(e->env, e->dir, note_folder, &f, &err) != ST_OK)
        log_event(LOG_WARN, "tree.folders_unknown", log_str("dir", e->dir), log_err(&err));
    for (uint32_t i = 0; i < f.count; i++)
        engine__remove_nameless(e, f.ids[i]);
    mem_free(f.ids);
}
