/*
 * Open files.
 *
 * INVARIANTS
 *
 *   F1  A call that the kernel cut short (a signal, a full page, a limit on one
 *       call) is continued, until all is done, the file ends, or it fails.
 *   F2  file_sync() calls the kernel once and says what it said.  After a failed
 *       sync Linux forgets that the pages were dirty, so that asking again would
 *       be answered with a false success (P4).
 *   F3  file_try_read() never waits for a disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#include "env/real_internal.h"

enum { ZERO_BYTES = 64 << 10 };

struct real_file {
    struct file base;
    int fd;      /* owned */
    char path[]; /* base.path */
};

static const uint8_t zeros[ZERO_BYTES];

static const struct file_ops file_ops;

static struct real_file *
real(struct file *f)
{
    ASSERT(f->ops == &file_ops);
    return container_of(f, struct real_file, base);
}

/* ------------------------------------------------------------------ opening */

static int
open_retrying(const char *path, int flags)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, REAL_FILE_MODE);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* The memory comes first, so that a file is never created and then not opened. */
static enum status
open_with(const char *path, int flags, struct real_file **out, struct err *err)
{
    size_t path_bytes = strlen(path) + 1;
    struct real_file *f = mem_alloc(sizeof(*f) + path_bytes);
    int sys;

    if (f == NULL)
        return err_raise(err, ST_NO_MEMORY, "open %s: out of memory", path);
    memcpy(f->path, path, path_bytes);
    f->base.ops = &file_ops;
    f->base.path = f->path;

    f->fd = open_retrying(path, flags);
    if (f->fd < 0) {
        sys = errno;
        mem_free(f);
        return err_raise_sys(err, real__status(sys), sys, "open %s", path);
    }
    *out = f;
    return ST_OK;
}

static int
posix_flags(unsigned flags)
{
    int posix = (flags & ENV_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;

    if ((flags & ENV_OPEN_CREATE) != 0)
        posix |= O_CREAT;
    if ((flags & ENV_OPEN_EXCLUSIVE) != 0)
        posix |= O_EXCL;
    if ((flags & ENV_OPEN_TRUNCATE) != 0)
        posix |= O_TRUNC;
    return posix;
}

enum status
real__open(struct env *env, const char *path, unsigned flags, struct file **out, struct err *err)
{
    struct real_file *f = NULL;
    enum status st;

    (void)env;
    st = open_with(path, posix_flags(flags), &f, err);
    if (st != ST_OK)
        return st;
    ASSERT(f != NULL);
    *out = &f->base;
    return ST_OK;
}

/* flock() ties the lock to this opening of the file, not to the process: a second opening is
 * refused even to ourselves, and closing any other descriptor of the file does not drop it. */
enum status
real__lock(struct env *env, const char *path, struct file **out, struct err *err)
{
    struct real_file *f = NULL;
    enum status st;
    int sys;

    (void)env;
    st = open_with(path, O_RDWR | O_CREAT, &f, err);
    if (st != ST_OK)
        return st;
    ASSERT(f != NULL);
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0) {
        sys = errno;
        file_close(&f->base);
        if (sys == EWOULDBLOCK)
            return err_raise(err, ST_EXISTS, "%s is locked by another process, or by this one",
                             path);
        return err_raise_sys(err, real__status(sys), sys, "lock %s", path);
    }
    *out = &f->base;
    return ST_OK;
}

/* ------------------------------------------------------------------ reading */

static enum status
read_file(struct file *base, uint64_t offset, void *out, size_t size, size_t *got, struct err *err)
{
    struct real_file *f = real(base);
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(f->fd, (char *)out + done, size - done, (off_t)(offset + done));

        if (n == 0)
            break; /* the end of the file */
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_raise_sys(err, ST_IO, errno, "read %s at %" PRIu64, f->path, offset + done);
        done += (size_t)n;
    }
    *got = done;
    return ST_OK;
}

/* EAGAIN: not in the page cache.  The others: this kernel or file system cannot say whether it
 * is, and we do not try it out (F3). */
static bool
needs_the_disk(int sys)
{
    return sys == EAGAIN || sys == EOPNOTSUPP || sys == ENOSYS;
}

static enum status
try_read_file(struct file *base, uint64_t offset, void *out, size_t size, size_t *got,
              struct err *err)
{
    struct real_file *f = real(base);
    size_t done = 0;

    while (done < size) {
        struct iovec iov = { (char *)out + done, size - done };
        ssize_t n = preadv2(f->fd, &iov, 1, (off_t)(offset + done), RWF_NOWAIT);

        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && needs_the_disk(errno))
            return ST_WOULD_BLOCK;
        if (n < 0)
            return err_raise_sys(err, ST_IO, errno, "read %s at %" PRIu64, f->path, offset + done);
        done += (size_t)n;
    }
    *got = done;
    return ST_OK;
}

/* ------------------------------------------------------------------ writing */

static enum status
write_file(struct file *base, uint64_t offset, const struct slice *parts, size_t part_count,
           struct err *err)
{
    struct real_file *f = real(base);
    struct parts left = { parts, part_count, 0 };
    struct iovec iov[REAL_PARTS_AT_ONCE];
    size_t size;

    for (;;) {
        int count = real__parts_gather(&left, iov, &size);
        ssize_t n;

        if (count == 0)
            return ST_OK;
        n = pwritev(f->fd, iov, count, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_raise_sys(err, real__status(errno), errno, "write %s at %" PRIu64, f->path,
                                 offset);
        if (n == 0)
            return err_raise(err, ST_IO, "write %s at %" PRIu64 ": nothing was taken", f->path,
                             offset);
        real__parts_advance(&left, (size_t)n);
        offset += (uint64_t)n;
    }
}

static enum status
sync_file(struct file *base, struct err *err)
{
    struct real_file *f = real(base);

    if (fdatasync(f->fd) != 0) /* F2: not even after EINTR */
        return err_raise_sys(err, real__status(errno), errno, "sync %s", f->path);
    return ST_OK;
}

static enum status
truncate_file(struct file *base, uint64_t size, struct err *err)
{
    struct real_file *f = real(base);
    int failed;

    do
        failed = ftruncate(f->fd, (off_t)size);
    while (failed != 0 && errno == EINTR);
    if (failed != 0)
        return err_raise_sys(err, real__status(errno), errno, "truncate %s to %" PRIu64, f->path,
                             size);
    return ST_OK;
}

static enum status
size_of_file(struct file *base, uint64_t *size, struct err *err)
{
    struct real_file *f = real(base);
    struct stat st;

    if (fstat(f->fd, &st) != 0)
        return err_raise_sys(err, ST_IO, errno, "stat %s", f->path);
    *size = (uint64_t)st.st_size;
    return ST_OK;
}

/* Ask for the space at once: where the file system can, a full disk is found before anything is
 * written.  Where it cannot, the zeros that follow do the allocating. */
static enum status
allocate(struct real_file *f, uint64_t size, struct err *err)
{
    int failed;

    do
        failed = fallocate(f->fd, 0, 0, (off_t)size);
    while (failed != 0 && errno == EINTR);
    if (failed == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
        return ST_OK;
    return err_raise_sys(err, real__status(errno), errno, "allocate %" PRIu64 " bytes for %s", size,
                         f->path);
}

/* Writing over allocated but unwritten space later would cost a change of the file's map at each
 * sync; real zeros have been through that already.  One small piece for each call: the size of a
 * write decides how large the pages of the system's cache become, and ext4 looks at every block of
 * the page on each later write, however short: with its share of an fsync, a log record of 150 bytes
 * takes 4.0 us of processor in pages of 1 MB, and 2.5 us in pages of 64 KB or less. */
static enum status
write_zeros(struct real_file *f, uint64_t size, struct err *err)
{
    enum status st = ST_OK;

    for (uint64_t at = 0; at < size && st == ST_OK; at += ZERO_BYTES) {
        size_t piece = size - at < ZERO_BYTES ? (size_t)(size - at) : ZERO_BYTES;
        struct slice part = slice_of(zeros, piece);

        st = write_file(&f->base, at, &part, 1, err);
    }
    return st;
}

static enum status
fill_file(struct file *base, uint64_t size, struct err *err)
{
    struct real_file *f = real(base);
    uint64_t before = 0;
    enum status st;

    st = size_of_file(base, &before, err);
    if (st == ST_OK && before > size)
        st = truncate_file(base, size, err);
    if (st == ST_OK && size > 0) /* fallocate refuses an empty range */
        st = allocate(f, size, err);
    if (st == ST_OK)
        st = write_zeros(f, size, err);
    return st;
}

static void
close_file(struct file *base)
{
    struct real_file *f = real(base);

    /* Errors of the data are reported by file_sync() or not at all; and on Linux the descriptor
     * is gone even when close() was interrupted, so it must not be called again. */
    close(f->fd);
    mem_free(f);
}

static const struct file_ops file_ops = {
    .read = read_file,
    .try_read = try_read_file,
    .write = write_file,
    .sync = sync_file,
    .truncate = truncate_file,
    .fill = fill_file,
    .size = size_of_file,
    .close = close_file,
};
