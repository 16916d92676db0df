#include "disk.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

enum { OPEN_FOLDERS_MAX = 16, PROBE_BYTES = 16 << 20 };

/* ------------------------------------------------------------------ folders */

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void
disk_remove(const char *dir)
{
    if (access(dir, F_OK) == 0 &&
        nftw(dir, remove_one, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS) != 0)
        perror(dir);
}

/* nftw() has no context; the program measures on one thread. */
static _Thread_local struct {
    const char *suffix;
    uint64_t bytes;
} walk;

static int
add_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    size_t size = strlen(path);
    size_t suffix = strlen(walk.suffix);

    (void)at;
    if (kind == FTW_F && size >= suffix && strcmp(path + size - suffix, walk.suffix) == 0)
        walk.bytes += (uint64_t)st->st_size;
    return 0;
}

uint64_t
disk_bytes(const char *dir, const char *suffix)
{
    walk.suffix = suffix;
    walk.bytes = 0;
    (void)nftw(dir, add_one, OPEN_FOLDERS_MAX, FTW_PHYS);
    return walk.bytes;
}

/* ------------------------------------------------------------------ the bare disk */

static int
make_probe(const char *path)
{
    static const char zeros[1 << 16];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    for (size_t done = 0; fd >= 0 && done < PROBE_BYTES; done += sizeof(zeros)) {
        if (write(fd, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        fdatasync(fd);
    return fd;
}

uint64_t
disk_sync_rate(const char *dir, size_t bytes, double seconds, struct histogram *times_ns)
{
    uint8_t record[1024] = { 1 };
    uint64_t count = 0;
    uint64_t begin_ns;
    uint64_t last_ns;
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/disk-probe", dir);
    fd = make_probe(path);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    begin_ns = last_ns = now_ns();
    while ((double)(last_ns - begin_ns) < seconds * 1e9) {
        uint64_t ns;

        if (pwrite(fd, record, bytes, (off_t)(count * bytes % (PROBE_BYTES - bytes))) < 0 ||
            fdatasync(fd) != 0)
            break;
        ns = now_ns();
        histogram_add(times_ns, ns - last_ns);
        last_ns = ns;
        count++;
    }
    close(fd);
    remove(path);
    return count;
}
