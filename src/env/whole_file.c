#include "env/whole_file.h"

#include <stdio.h>

#include "base/limits.h"

enum status
whole_file_read(struct env *env, const char *path, struct buf *out, struct err *err)
{
    struct file *f = NULL;
    uint64_t size = 0;
    size_t got = 0;
    enum status st = env_open(env, path, ENV_OPEN_READ, &f, err);

    if (st != ST_OK)
        return st;
    st = file_size(f, &size, err);
    if (st == ST_OK && size > out->max)
        st = err_raise(err, ST_TOO_BIG, "%s: %llu bytes, expected at most %zu", path,
                       (unsigned long long)size, out->max);
    if (st == ST_OK && buf_reserve(out, (size_t)size) != ST_OK)
        st = err_raise(err, ST_NO_MEMORY, "%s: out of memory", path);
    if (st == ST_OK)
        st = file_read(f, 0, out->data, (size_t)size, &got, err);
    if (st == ST_OK)
        out->size = got;
    file_close(f);
    return st;
}

static enum status
write_whole(struct env *env, const char *path, struct slice bytes, struct err *err)
{
    struct file *f = NULL;
    enum status st =
        env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &f, err);

    if (st != ST_OK)
        return st;
    st = file_write(f, 0, &bytes, 1, err);
    if (st == ST_OK)
        st = file_sync(f, err);
    file_close(f);
    return st;
}

enum status
whole_file_replace(struct env *env, const char *dir, const char *name, struct slice bytes,
                   struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    char tmp[LIMIT_PATH_BYTES];
    enum status st;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(tmp, sizeof(tmp), "%s/%s.tmp", dir, name);
    st = write_whole(env, tmp, bytes, err);
    if (st == ST_OK)
        st = env_rename(env, tmp, path, err);
    if (st == ST_OK)
        st = env_sync_dir(env, dir, err);
    return st;
}
