/*
 * The dispatcher: every call of env/env.h checks what its contract demands of
 * the caller, and goes through the table of whichever implementation made the
 * object.  Nothing is decided here.
 */
#include "env/env.h"

#include "base/assert.h"

enum {
    OPEN_FLAGS = ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE | ENV_OPEN_TRUNCATE,
    STREAM_EVENTS = STREAM_READABLE | STREAM_WRITABLE,
};

/* ------------------------------------------------------------------ time */

uint64_t
env_wall_ms(struct env *env)
{
    return env->ops->wall_ms(env);
}

uint64_t
env_boot_ns(struct env *env)
{
    return env->ops->boot_ns(env);
}

void
env_random(struct env *env, void *out, size_t size)
{
    ASSERT(out != NULL || size == 0);
    env->ops->random(env, out, size);
}

void
env_sleep_ms(struct env *env, uint32_t ms)
{
    env->ops->sleep_ms(env, ms);
}

/* ------------------------------------------------------------------ files */

/* Creating or cutting is writing, and only what is created can be required to be new. */
static bool
open_flags_make_sense(unsigned flags)
{
    bool writes = (flags & ENV_OPEN_WRITE) != 0;

    if ((flags & ~(unsigned)OPEN_FLAGS) != 0)
        return false;
    if ((flags & (ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE)) != 0 && !writes)
        return false;
    return (flags & ENV_OPEN_EXCLUSIVE) == 0 || (flags & ENV_OPEN_CREATE) != 0;
}

enum status
env_open(struct env *env, const char *path, unsigned flags, struct file **out, struct err *err)
{
    ASSERT(path != NULL && out != NULL);
    ASSERT(open_flags_make_sense(flags));
    return env->ops->open(env, path, flags, out, err);
}

enum status
file_read(struct file *f, uint64_t offset, void *out, size_t size, size_t *got, struct err *err)
{
    ASSERT((out != NULL || size == 0) && got != NULL);
    return f->ops->read(f, offset, out, size, got, err);
}

enum status
file_try_read(struct file *f, uint64_t offset, void *out, size_t size, size_t *got, struct err *err)
{
    ASSERT((out != NULL || size == 0) && got != NULL);
    return f->ops->try_read(f, offset, out, size, got, err);
}

enum status
file_write(struct file *f, uint64_t offset, const struct slice *parts, size_t part_count,
           struct err *err)
{
    ASSERT(parts != NULL || part_count == 0);
    return f->ops->write(f, offset, parts, part_count, err);
}

enum status
file_sync(struct file *f, struct err *err)
{
    return f->ops->sync(f, err);
}

enum status
file_truncate(struct file *f, uint64_t size, struct err *err)
{
    return f->ops->truncate(f, size, err);
}

enum status
file_fill(struct file *f, uint64_t size, struct err *err)
{
    return f->ops->fill(f, size, err);
}

enum status
file_size(struct file *f, uint64_t *size, struct err *err)
{
    ASSERT(size != NULL);
    return f->ops->size(f, size, err);
}

const char *
file_path(const struct file *f)
{
    ASSERT(f->path != NULL);
    return f->path;
}

void
file_close(struct file *f)
{
    if (f != NULL)
        f->ops->close(f);
}

/* ------------------------------------------------------------------ names */

enum status
env_remove(struct env *env, const char *path, struct err *err)
{
    ASSERT(path != NULL);
    return env->ops->remove(env, path, err);
}

enum status
env_rename(struct env *env, const char *from, const char *to, struct err *err)
{
    ASSERT(from != NULL && to != NULL);
    return env->ops->rename(env, from, to, err);
}

enum status
env_link(struct env *env, const char *from, const char *to, struct err *err)
{
    ASSERT(from != NULL && to != NULL);
    return env->ops->link(env, from, to, err);
}

enum status
env_make_dir(struct env *env, const char *path, struct err *err)
{
    ASSERT(path != NULL);
    return env->ops->make_dir(env, path, err);
}

enum status
env_remove_dir(struct env *env, const char *path, struct err *err)
{
    ASSERT(path != NULL);
    return env->ops->remove_dir(env, path, err);
}

enum status
env_sync_dir(struct env *env, const char *path, struct err *err)
{
    ASSERT(path != NULL);
    return env->ops->sync_dir(env, path, err);
}

enum status
env_stat(struct env *env, const char *path, uint64_t *size, struct err *err)
{
    ASSERT(path != NULL && size != NULL);
    return env->ops->stat(env, path, size, err);
}

enum status
env_list(struct env *env, const char *path, env_list_fn *fn, void *ctx, struct err *err)
{
    ASSERT(path != NULL && fn != NULL);
    return env->ops->list(env, path, fn, ctx, err);
}

enum status
env_lock(struct env *env, const char *path, struct file **out, struct err *err)
{
    ASSERT(path != NULL && out != NULL);
    return env->ops->lock(env, path, out, err);
}

enum status
env_room(struct env *env, const char *path, struct env_room *out, struct err *err)
{
    ASSERT(path != NULL && out != NULL);
    return env->ops->room(env, path, out, err);
}

/* ------------------------------------------------------------------ jobs */

void
env_submit(struct env *env, enum env_lane lane, struct job *job)
{
    ASSERT(lane < ENV_LANE_COUNT);
    ASSERT(job->run != NULL);
    ASSERT(job->done == NULL || job->loop != NULL);
    env->ops->submit(env, lane, job);
}

enum status
gate_create(struct env *env, struct gate **out)
{
    ASSERT(out != NULL);
    return env->ops->gate_create(env, out);
}

void
gate_destroy(struct gate *g)
{
    if (g != NULL)
        g->ops->destroy(g);
}

void
gate_enter(struct gate *g)
{
    g->ops->enter(g);
}

void
gate_leave(struct gate *g)
{
    g->ops->leave(g);
}

void
gate_wait(struct gate *g)
{
    g->ops->wait(g);
}

void
gate_wake(struct gate *g)
{
    g->ops->wake(g);
}

/* ------------------------------------------------------------------ loops */

void
loop_post(struct loop *loop, struct task *task)
{
    ASSERT(task->run != NULL);
    loop->ops->post(loop, task);
}

void
loop_set_after(struct loop *loop, void (*after)(void *ctx), void *ctx)
{
    ASSERT(after == NULL || loop->after == NULL); /* one at a time */
    loop->after_ctx = ctx;
    loop->after = after;
}

uint64_t
loop_now_ns(struct loop *loop)
{
    return loop->ops->now_ns(loop);
}

uint64_t
loop_wall_ms(struct loop *loop)
{
    return loop->ops->wall_ms(loop);
}

struct env *
loop_env(struct loop *loop)
{
    return loop->env;
}

uint32_t
loop_index(const struct loop *loop)
{
    return loop->index;
}

enum status
timer_create_on(struct loop *loop, void (*fire)(void *ctx), void *ctx, struct timer **out)
{
    ASSERT(fire != NULL && out != NULL);
    return loop->ops->timer_create_on(loop, fire, ctx, out);
}

void
timer_start(struct timer *t, uint32_t delay_ms)
{
    t->ops->start(t, delay_ms);
}

void
timer_stop(struct timer *t)
{
    t->ops->stop(t);
}

void
timer_destroy(struct timer *t)
{
    if (t != NULL)
        t->ops->destroy(t);
}

/* ------------------------------------------------------------------ sockets */

/* NOLINTBEGIN(readability-function-size): an address, whom to tell, and what came of it are seven */
enum status
env_listen(struct env *env, const char *address, uint16_t port, listener_fn *accepted, void *ctx,
           struct listener **out, struct err *err)
{
    ASSERT(address != NULL && accepted != NULL && out != NULL);
    return env->ops->listen(env, address, port, accepted, ctx, out, err);
}
/* NOLINTEND(readability-function-size) */

uint16_t
listener_port(const struct listener *l)
{
    return l->port;
}

void
listener_close(struct listener *l)
{
    if (l != NULL)
        l->ops->close(l);
}

enum status
env_connect(struct loop *loop, const struct connect_options *options, struct connector **out,
            struct err *err)
{
    ASSERT(options->address != NULL && options->done != NULL && out != NULL);
    ASSERT(options->timeout_ms > 0);
    return loop->ops->connect(loop, options, out, err);
}

void
connector_cancel(struct connector *c)
{
    if (c != NULL)
        c->ops->cancel(c);
}

void
stream_watch(struct stream *s, unsigned events, stream_fn *fn, void *ctx)
{
    ASSERT((events & ~(unsigned)STREAM_EVENTS) == 0);
    ASSERT(events == 0 || fn != NULL);
    s->ops->watch(s, events, fn, ctx);
}

/* A read of no bytes could not tell "nothing" from "closed". */
enum status
stream_read(struct stream *s, void *out, size_t size, size_t *got)
{
    ASSERT(out != NULL && size > 0 && got != NULL);
    return s->ops->read(s, out, size, got);
}

enum status
stream_write(struct stream *s, const struct slice *parts, size_t part_count, size_t *written)
{
    ASSERT((parts != NULL || part_count == 0) && written != NULL);
    return s->ops->write(s, parts, part_count, written);
}

const char *
stream_peer(const struct stream *s)
{
    return s->peer;
}

void
stream_close(struct stream *s)
{
    s->ops->close(s);
}
