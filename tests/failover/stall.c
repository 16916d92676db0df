/*
 * A disk that stops: loaded into a process (LD_PRELOAD), it holds every write to a file, and every sync, for
 * as long as the file exists that the environment calls STALL_CONTROL.
 *
 * As a stalled device does, it says nothing, and ends as if nothing had been: the call that waited is carried
 * out then.  Reads go on: what they want is in the system's cache.  Standard output and error are no part
 * of the disk, nor is anything but a regular file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 5, FIRST_FILE = 3 };

static void
wait_for_the_disk(int fd)
{
    const struct timespec poll = { .tv_nsec = POLL_MS * 1000000L };
    const char *control = getenv("STALL_CONTROL"); /* which nobody changes in a server */
    struct stat info;

    if (control == NULL || fd < FIRST_FILE || access(control, F_OK) != 0)
        return;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return;
    while (access(control, F_OK) == 0)
        nanosleep(&poll, NULL);
}

/* The same call, of the library behind this one. */
#define BEHIND(name)                           \
 static __typeof__(name) *behind;              \
 if (behind == NULL)                           \
  *(void **)&behind = dlsym(RTLD_NEXT, #name); \
 wait_for_the_disk(fd)

int
fsync(int fd)
{
    BEHIND(fsync);
    return behind(fd);
}

int
fdatasync(int fd)
{
    BEHIND(fdatasync);
    return behind(fd);
}

ssize_t
write(int fd, const void *data, size_t size)
{
    BEHIND(write);
    return behind(fd, data, size);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    BEHIND(pwritev);
    return behind(fd, parts, count, offset);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    BEHIND(pwritev64);
    return behind(fd, parts, count, offset);
}

int
fallocate(int fd, int mode, off_t offset, off_t size)
{
    BEHIND(fallocate);
    return behind(fd, mode, offset, size);
}

int
fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
    BEHIND(fallocate64);
    return behind(fd, mode, offset, size);
}
