/*
 * Calls to env, watched: the tables of functions of the simulated one are replaced by copies, some
 * of whose functions make a note first.
 */
#include "manifest_fixture.h"
#include "unit/test.h"

enum { TRACE_BYTES = 4096, SYNCS_MAX = 200, SYNC_PATH_BYTES = 100 };

static struct {
    const struct env_ops *env_inner;
    struct env_ops env_ops;
    const struct file_ops *file_inner;
    struct file_ops file_ops;
    char trace[TRACE_BYTES];
    struct sim *w;
    char syncs[SYNCS_MAX][SYNC_PATH_BYTES];
    uint64_t calls[SYNCS_MAX];
    int sync_count;
    int skip;
} watch;

static void
note(const char *word)
{
    size_t used = strlen(watch.trace);

    snprintf(watch.trace + used, TRACE_BYTES - used, "%s%s", used > 0 ? " " : "", word);
}

/* Shall this sync be skipped? */
static bool
note_sync(const char *path)
{
    watch.sync_count++;
    if (watch.sync_count <= SYNCS_MAX) {
        snprintf(watch.syncs[watch.sync_count - 1], SYNC_PATH_BYTES, "%s", path);
        watch.calls[watch.sync_count - 1] = sim_op_count(watch.w, SCRIPT_NODE, SIM_OP_ALL) + 1;
    }
    return watch.sync_count == watch.skip;
}

static enum status
watched_write(struct file *f, uint64_t offset, const struct slice *parts, size_t count,
              struct err *err)
{
    note("write");
    return watch.file_inner->write(f, offset, parts, count, err);
}

static enum status
watched_fill(struct file *f, uint64_t size, struct err *err)
{
    note("fill");
    return watch.file_inner->fill(f, size, err);
}

static enum status
watched_sync(struct file *f, struct err *err)
{
    note("sync");
    return note_sync(file_path(f)) ? ST_OK : watch.file_inner->sync(f, err);
}

static enum status
watched_open(struct env *env, const char *path, unsigned flags, struct file **out, struct err *err)
{
    enum status st = watch.env_inner->open(env, path, flags, out, err);

    note((flags & ENV_OPEN_CREATE) != 0 ? "create" : "open");
    if (st != ST_OK)
        return st;
    if (watch.file_inner == NULL) {
        watch.file_inner = (*out)->ops;
        watch.file_ops = *(*out)->ops;
        watch.file_ops.write = watched_write;
        watch.file_ops.fill = watched_fill;
        watch.file_ops.sync = watched_sync;
    }
    (*out)->ops = &watch.file_ops;
    return ST_OK;
}

static enum status
watched_sync_dir(struct env *env, const char *path, struct err *err)
{
    note("sync-folder");
    return note_sync(path) ? ST_OK : watch.env_inner->sync_dir(env, path, err);
}

static enum status
watched_rename(struct env *env, const char *from, const char *to, struct err *err)
{
    note("rename");
    return watch.env_inner->rename(env, from, to, err);
}

static enum status
watched_remove(struct env *env, const char *path, struct err *err)
{
    note("remove");
    return watch.env_inner->remove(env, path, err);
}

void
watch_begin(struct run *r, int skip)
{
    struct env *env = r->env;

    memset(&watch, 0, sizeof(watch));
    watch.w = r->w;
    watch.skip = skip;
    watch.env_inner = env->ops;
    watch.env_ops = *env->ops;
    watch.env_ops.open = watched_open;
    watch.env_ops.sync_dir = watched_sync_dir;
    watch.env_ops.rename = watched_rename;
    watch.env_ops.remove = watched_remove;
    env->ops = &watch.env_ops;
}

const char *
watch_trace(void)
{
    return watch.trace;
}

void
watch_forget(void)
{
    watch.trace[0] = '\0';
}

int
watch_sync_count(void)
{
    return watch.sync_count;
}

const char *
watch_sync_path(int n)
{
    EXPECT(n >= 1 && n <= watch.sync_count && n <= SYNCS_MAX);
    return watch.syncs[n - 1];
}

uint64_t
watch_sync_call(int n)
{
    EXPECT(n >= 1 && n <= watch.sync_count && n <= SYNCS_MAX);
    return watch.calls[n - 1];
}
