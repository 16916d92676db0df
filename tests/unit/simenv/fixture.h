/*
 * What the tests of the simulated world share: a world with one node, small
 * verbs on its files, and a way to see an ASSERT fail.
 *
 * Calls are made from outside of fibers unless a test says in_job(): they take
 * no time and nothing else happens meanwhile.
 */
#ifndef UNIT_SIMENV_FIXTURE_H
#define UNIT_SIMENV_FIXTURE_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "simenv/simenv.h"
#include "unit/test.h"

struct fix {
    struct sim *w;
    struct env *env;
    uint32_t loop_count;
};

static inline struct fix
setup_loops(uint64_t seed, uint32_t loop_count)
{
    struct fix f = { sim_create(seed), NULL, loop_count };

    EXPECT(f.w != NULL);
    f.env = sim_boot(f.w, 1, loop_count);
    return f;
}

static inline struct fix
setup(uint64_t seed)
{
    return setup_loops(seed, 0);
}

static inline void
teardown(struct fix *f)
{
    sim_destroy(f->w);
}

/* ------------------------------------------------------------------ files */

static inline struct file *
open_file(struct fix *f, const char *path, unsigned flags)
{
    struct file *file = NULL;
    struct err err;

    EXPECT_OK(env_open(f->env, path, flags, &file, &err));
    return file;
}

static inline struct file *
create_file(struct fix *f, const char *path)
{
    return open_file(f, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE);
}

static inline enum status
try_write(struct file *file, uint64_t offset, const char *text)
{
    struct slice part = slice_str(text);

    return file_write(file, offset, &part, 1, NULL);
}

static inline void
write_at(struct file *file, uint64_t offset, const char *text)
{
    EXPECT_OK(try_write(file, offset, text));
}

/* A file with this text, its data synced or not; its name is not. */
static inline void
put_file(struct fix *f, const char *path, const char *text, bool synced)
{
    struct file *file = open_file(f, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE);

    write_at(file, 0, text);
    if (synced)
        EXPECT_OK(file_sync(file, NULL));
    file_close(file);
}

static inline void
sync_dir(struct fix *f, const char *path)
{
    EXPECT_OK(env_sync_dir(f->env, path, NULL));
}

/* A file that survives. */
static inline void
put_durable(struct fix *f, const char *path, const char *text)
{
    put_file(f, path, text, true);
    sync_dir(f, "/");
}

static inline void
expect_file(struct fix *f, const char *path, const char *text)
{
    struct buf got = buf_empty(1 << 20);

    EXPECT(sim_disk_read(f->w, 1, path, &got));
    EXPECT_SLICE(buf_slice(&got), text);
    buf_release(&got);
}

static inline uint64_t
free_bytes(struct fix *f)
{
    struct env_room room;

    EXPECT_OK(env_room(f->env, "/", &room, NULL));
    EXPECT(room.free_bytes <= room.total_bytes);
    return room.free_bytes;
}

static inline bool
exists(struct fix *f, const char *path)
{
    struct buf got = buf_empty(64 << 20);
    bool found = sim_disk_read(f->w, 1, path, &got);

    buf_release(&got);
    return found;
}

static inline bool
file_is(struct fix *f, const char *path, const char *text)
{
    struct buf got = buf_empty(1 << 20);
    bool same = sim_disk_read(f->w, 1, path, &got) && slice_equal(buf_slice(&got), slice_str(text));

    buf_release(&got);
    return same;
}

/* A power cut, and the machine is on again. */
static inline void
crash_and_boot(struct fix *f)
{
    sim_crash(f->w, 1);
    f->env = sim_boot(f->w, 1, f->loop_count);
}

/* The names of a folder as "a,b,c". */
static inline void
add_name(void *ctx, const char *name)
{
    char *text = ctx;
    size_t used = strlen(text);

    snprintf(text + used, 256 - used, "%s%s", used > 0 ? "," : "", name);
}

static inline void
expect_names(struct fix *f, const char *path, const char *want)
{
    char text[256] = "";

    EXPECT_OK(env_list(f->env, path, add_name, text, NULL));
    EXPECT_STR(text, want);
}

/* ------------------------------------------------------------------ bugs */

/* Does it fail an ASSERT?  Tried in a child, whose complaint nobody needs to read. */
static inline bool
asserts(void (*fn)(struct fix *f), struct fix *f)
{
    int outcome = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* a sanitizer or cmocka may have taken it */
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        fn(f);
        _exit(0);
    }
    EXPECT(waitpid(child, &outcome, 0) == child);
    return WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGABRT;
}

#endif
