#include "unit/wal/shim.h"

#include <stdio.h>

#include "base/assert.h"

const char *const sync_purpose_names[SYNC_PURPOSE_COUNT] = {
    "batch", "rotation",   "header", "name-made", "name-renamed",
    "chain", "chain-name", "copy",   "mark",      "parent",
};

/* Files do not know their env; one shim is in use at a time. */
static struct shim *in_use;
static const struct file_ops *inner_ops;
static struct file_ops file_ops;

static struct env *
inner(struct env *env)
{
    return ((struct shim *)env)->inner;
}

static void
point(struct shim *s)
{
    if (s->point != NULL)
        s->point(s->ctx);
}

/* ------------------------------------------------------------------ what a sync is for */

static enum sync_purpose
purpose_of_file(struct shim *s, const char *path)
{
    if (strstr(path, "CHAIN") != NULL)
        return SYNC_CHAIN;
    if (s->flushing)
        return strcmp(path, s->writing) == 0 ? SYNC_BATCH : SYNC_ROTATION;
    if (strcmp(path, s->prepared) != 0)
        return SYNC_MARK;
    return s->prepared_syncs++ == 0 ? SYNC_HEADER : SYNC_COPY;
}

static enum sync_purpose
purpose_of_folder(const struct shim *s, const char *path)
{
    if (strcmp(path, "/") == 0)
        return SYNC_PARENT;
    if (s->chain_renamed)
        return SYNC_CHAIN_NAME;
    return s->renamed ? SYNC_NAME_RENAMED : SYNC_NAME_MADE;
}

static bool
swallows(struct shim *s, enum sync_purpose purpose)
{
    s->counts[purpose]++;
    s->swallowed += purpose == s->swallow;
    return purpose == s->swallow;
}

static void
prepared(struct shim *s, const char *path, bool renamed)
{
    snprintf(s->prepared, sizeof(s->prepared), "%s", path);
    s->renamed = renamed;
    s->prepared_syncs = 0;
    s->chain_renamed = false;
}

/* ------------------------------------------------------------------ files */

static enum status
shim_sync(struct file *f, struct err *err)
{
    struct shim *s = in_use;
    enum status st = ST_OK;

    point(s);
    if (!swallows(s, purpose_of_file(s, file_path(f))))
        st = inner_ops->sync(f, err);
    point(s);
    return st;
}

static enum status
shim_write(struct file *f, uint64_t offset, const struct slice *parts, size_t part_count,
           struct err *err)
{
    enum status st;

    point(in_use);
    st = inner_ops->write(f, offset, parts, part_count, err);
    point(in_use);
    return st;
}

static enum status
shim_open(struct env *env, const char *path, unsigned flags, struct file **out, struct err *err)
{
    struct shim *s = (struct shim *)env;
    enum status st;

    point(s);
    st = env_open(inner(env), path, flags, out, err);
    if (st != ST_OK)
        return st;
    if ((flags & ENV_OPEN_EXCLUSIVE) != 0)
        prepared(s, path, false);
    ASSERT(inner_ops == NULL || inner_ops == (*out)->ops);
    inner_ops = (*out)->ops;
    file_ops = *inner_ops;
    file_ops.sync = shim_sync;
    file_ops.write = shim_write;
    (*out)->ops = &file_ops;
    return ST_OK;
}

/* ------------------------------------------------------------------ names */

static enum status
shim_sync_dir(struct env *env, const char *path, struct err *err)
{
    struct shim *s = (struct shim *)env;
    enum status st = ST_OK;

    point(s);
    if (!swallows(s, purpose_of_folder(s, path)))
        st = env_sync_dir(inner(env), path, err);
    point(s);
    return st;
}

static enum status
shim_remove(struct env *env, const char *path, struct err *err)
{
    point((struct shim *)env);
    return env_remove(inner(env), path, err);
}

static enum status
shim_rename(struct env *env, const char *from, const char *to, struct err *err)
{
    struct shim *s = (struct shim *)env;

    point(s);
    if (strstr(to, ".log") != NULL)
        prepared(s, to, true);
    else
        s->chain_renamed = true;
    return env_rename(inner(env), from, to, err);
}

static enum status
shim_make_dir(struct env *env, const char *path, struct err *err)
{
    point((struct shim *)env);
    return env_make_dir(inner(env), path, err);
}

static enum status
shim_remove_dir(struct env *env, const char *path, struct err *err)
{
    point((struct shim *)env);
    return env_remove_dir(inner(env), path, err);
}

/* ------------------------------------------------------------------ the rest */

static void
shim_random(struct env *env, void *out, size_t size)
{
    struct shim *s = (struct shim *)env;

    env_random(inner(env), out, size);
    if (s->plain) {
        s->last = (uint8_t)(s->last + 0x11);
        memset(out, s->last, size);
    }
}

static enum status
shim_stat(struct env *env, const char *path, uint64_t *size, struct err *err)
{
    return env_stat(inner(env), path, size, err);
}

static enum status
shim_list(struct env *env, const char *path, env_list_fn *fn, void *ctx, struct err *err)
{
    return env_list(inner(env), path, fn, ctx, err);
}

/* Only what the log uses. */
static uint64_t
shim_boot_ns(struct env *env)
{
    return env_boot_ns(inner(env));
}

static const struct env_ops ops = {
    .boot_ns = shim_boot_ns,
    .random = shim_random,
    .open = shim_open,
    .remove = shim_remove,
    .rename = shim_rename,
    .make_dir = shim_make_dir,
    .remove_dir = shim_remove_dir,
    .sync_dir = shim_sync_dir,
    .stat = shim_stat,
    .list = shim_list,
};

void
shim_init(struct shim *s, struct env *inner_env)
{
    *s = (struct shim){ .base = { &ops }, .inner = inner_env, .swallow = SYNC_NONE };
    in_use = s;
    inner_ops = NULL;
}
