/*
 * Names of files: folders and what is in them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"

#include "env/real_internal.h"

enum { NAMES_BYTES_MAX = 256 << 20 }; /* of one folder; far beyond what a node keeps there */

enum status
real__remove(struct env *env, const char *path, struct err *err)
{
    (void)env;
    if (unlink(path) != 0)
        return err_raise_sys(err, real__status(errno), errno, "remove %s", path);
    return ST_OK;
}

enum status
real__rename(struct env *env, const char *from, const char *to, struct err *err)
{
    (void)env;
    if (rename(from, to) != 0)
        return err_raise_sys(err, real__status(errno), errno, "rename %s to %s", from, to);
    return ST_OK;
}

enum status
real__link(struct env *env, const char *from, const char *to, struct err *err)
{
    (void)env;
    if (link(from, to) != 0)
        return err_raise_sys(err, real__status(errno), errno, "link %s to %s", from, to);
    return ST_OK;
}

enum status
real__make_dir(struct env *env, const char *path, struct err *err)
{
    (void)env;
    if (mkdir(path, REAL_DIR_MODE) != 0)
        return err_raise_sys(err, real__status(errno), errno, "make folder %s", path);
    return ST_OK;
}

enum status
real__remove_dir(struct env *env, const char *path, struct err *err)
{
    (void)env;
    if (rmdir(path) != 0)
        return err_raise_sys(err, real__status(errno), errno, "remove folder %s", path);
    return ST_OK;
}

/* As file_sync(): asked once. */
enum status
real__sync_dir(struct env *env, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int sys = 0;

    (void)env;
    if (fd < 0)
        return err_raise_sys(err, real__status(errno), errno, "open folder %s", path);
    if (fsync(fd) != 0)
        sys = errno;
    close(fd);
    if (sys != 0)
        return err_raise_sys(err, real__status(sys), sys, "sync folder %s", path);
    return ST_OK;
}

enum status
real__stat(struct env *env, const char *path, uint64_t *size, struct err *err)
{
    struct stat st;

    (void)env;
    if (stat(path, &st) != 0)
        return err_raise_sys(err, real__status(errno), errno, "stat %s", path);
    *size = (uint64_t)st.st_size;
    return ST_OK;
}

enum status
real__room(struct env *env, const char *path, struct env_room *out, struct err *err)
{
    struct statvfs st;

    (void)env;
    if (statvfs(path, &st) != 0)
        return err_raise_sys(err, real__status(errno), errno, "free space of %s", path);
    out->free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    out->total_bytes = (uint64_t)(st.f_blocks - st.f_bfree + st.f_bavail) * st.f_frsize;
    return ST_OK;
}

/* ------------------------------------------------------------------ listing */

/* All names of a folder, each with its terminator, one after the other. */
struct names {
    struct buf text;
    size_t count;
};

static enum status
gather_names(DIR *dir, const char *path, struct names *names, struct err *err)
{
    for (;;) {
        struct dirent *entry;
        enum status st;

        errno = 0;            /* how readdir() tells the end from a failure */
        entry = readdir(dir); /* NOLINT(concurrency-mt-unsafe): nobody else has this `dir` */
        if (entry == NULL && errno != 0)
            return err_raise_sys(err, ST_IO, errno, "list %s", path);
        if (entry == NULL)
            return ST_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        st = buf_append(&names->text, slice_of(entry->d_name, strlen(entry->d_name) + 1));
        if (st != ST_OK)
            return err_raise(err, st, "list %s: too many names", path);
        names->count++;
    }
}

static int
by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status
report_sorted(const struct names *names, const char *path, env_list_fn *fn, void *ctx,
              struct err *err)
{
    const char **sorted = mem_new_array(const char *, names->count);
    const char *at = (const char *)names->text.data;

    if (sorted == NULL)
        return err_raise(err, ST_NO_MEMORY, "list %s: out of memory", path);
    for (size_t i = 0; i < names->count; i++) {
        sorted[i] = at;
        at += strlen(at) + 1;
    }
    if (names->count > 1)
        qsort(sorted, names->count, sizeof(*sorted), by_bytes);
    for (size_t i = 0; i < names->count; i++)
        fn(ctx, sorted[i]);
    mem_free(sorted);
    return ST_OK;
}

/* The folder is read to its end and closed before `fn` hears of the first name, so `fn` may
 * remove what it is told of. */
enum status
real__list(struct env *env, const char *path, env_list_fn *fn, void *ctx, struct err *err)
{
    struct names names = { buf_empty(NAMES_BYTES_MAX), 0 };
    DIR *dir = opendir(path); /* sets close-on-exec */
    enum status st;

    (void)env;
    if (dir == NULL)
        return err_raise_sys(err, real__status(errno), errno, "list %s", path);
    st = gather_names(dir, path, &names, err);
    closedir(dir);
    if (st == ST_OK)
        st = report_sorted(&names, path, fn, ctx, err);
    buf_release(&names.text);
    return st;
}
