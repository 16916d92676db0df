/*
 * The real environment as a whole.
 *
 * Threads: the caller's, one for each loop from 1 up while real_env_run() runs,
 * and those of the lanes.  Only the caller's threads receive signals: ours
 * block them all, but for those that report a fault of the thread itself.
 *
 * The end: the owner of everything closes it, stops the loops, and destroys the
 * environment, which first waits for the jobs (they may still hand themselves
 * to loops), then closes the loops and insists that nothing was left open.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "env/real_internal.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000, THREAD_NAME_BYTES = 16 };

static const uint32_t lane_threads_default[ENV_LANE_COUNT] = {
    [ENV_LANE_LOG] = 1,
    [ENV_LANE_FLUSH] = 1,
    [ENV_LANE_COMPACT] = 1,
    [ENV_LANE_READ] = 4,
};

struct real_signal {
    uv_signal_t uv;
    void (*fn)(void *ctx, int signal);
    void *ctx;
    struct real_loop *loop;
    struct real_signal *next;
};

static const struct env_ops env_ops;

static struct real_env *
real(struct env *env)
{
    ASSERT(env->ops == &env_ops);
    return container_of(env, struct real_env, base);
}

/* EFBIG: the limit of the file system, or of the process (ulimit -f; there the signal SIGXFSZ
 * comes first, and a program that wants to live must ignore it). */
enum status
real__status(int sys)
{
    switch (sys) {
    case ENOENT:
        return ST_NOT_FOUND;
    case EEXIST:
        return ST_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ST_NO_SPACE;
    default:
        return ST_IO;
    }
}

/* ------------------------------------------------------------------ time and chance */

static struct timespec
read_clock(clockid_t clock)
{
    struct timespec ts;
    int failed = clock_gettime(clock, &ts);

    ASSERT(failed == 0); /* every Linux that we run on has both clocks */
    return ts;
}

uint64_t
real__wall_ms(struct env *env)
{
    struct timespec ts = read_clock(CLOCK_REALTIME);

    (void)env;
    return (uint64_t)ts.tv_sec * MS_PER_S + (uint64_t)ts.tv_nsec / NS_PER_MS;
}

uint64_t
real__boot_ns(struct env *env)
{
    struct timespec ts = read_clock(CLOCK_BOOTTIME);

    (void)env;
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void
random_bytes(struct env *env, void *out, size_t size)
{
    size_t done = 0;

    (void)env;
    while (done < size) {
        ssize_t n = getrandom((char *)out + done, size - done, 0);

        ASSERT(n > 0 || errno == EINTR); /* it fails in no other way on Linux since 3.17 */
        if (n > 0)
            done += (size_t)n;
    }
}

static void
sleep_ms(struct env *env, uint32_t ms)
{
    struct timespec left = { ms / MS_PER_S, (long)(ms % MS_PER_S) * NS_PER_MS };

    (void)env;
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

static void
submit(struct env *env, enum env_lane lane, struct job *job)
{
    lanes__submit(&real(env)->lanes, lane, job);
}

static const struct env_ops env_ops = {
    .wall_ms = real__wall_ms,
    .boot_ns = real__boot_ns,
    .random = random_bytes,
    .sleep_ms = sleep_ms,
    .open = real__open,
    .remove = real__remove,
    .rename = real__rename,
    .link = real__link,
    .make_dir = real__make_dir,
    .remove_dir = real__remove_dir,
    .sync_dir = real__sync_dir,
    .stat = real__stat,
    .list = real__list,
    .lock = real__lock,
    .room = real__room,
    .submit = submit,
    .gate_create = real__gate_create,
    .listen = real__listen,
};

/* ------------------------------------------------------------------ threads */

int
real__start_thread(pthread_t *thread, const char *name, void *(*fn)(void *ctx), void *ctx)
{
    static const int of_the_thread[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    sigset_t blocked, before;
    int failed;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(of_the_thread) / sizeof(of_the_thread[0]); i++)
        sigdelset(&blocked, of_the_thread[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before); /* a new thread inherits the mask */
    failed = pthread_create(thread, NULL, fn, ctx);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        pthread_setname_np(*thread, name); /* for people; it may fail */
    return failed;
}

static void *
loop_main(void *ctx)
{
    loop__run(ctx);
    return NULL;
}

static int
start_loop(struct real_loop *loop)
{
    char name[THREAD_NAME_BYTES];

    snprintf(name, sizeof(name), "distkv-loop-%u", loop->base.index);
    return real__start_thread(&loop->thread, name, loop_main, loop);
}

/* Loops return one by one, and one that still ran may have posted to one that had returned.  Those
 * tasks are owed a run; nobody else is left to give it. */
static void
sweep_loops(struct real_env *env)
{
    bool any = true;

    while (any) {
        any = false;
        for (uint32_t i = 0; i < env->loop_count; i++)
            any |= loop__sweep(&env->loops[i]);
    }
}

enum status
real_env_run(struct env *env, struct err *err)
{
    struct real_env *e = real(env);
    uint32_t started = 1;
    int sys = 0;

    ASSERT(e->loop_count > 0);
    while (started < e->loop_count && (sys = start_loop(&e->loops[started])) == 0)
        started++;
    if (sys == 0)
        loop__run(&e->loops[0]);
    else
        real_env_stop(env);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(e->loops[i].thread, NULL);
    sweep_loops(e);
    for (uint32_t i = 0; i < e->loop_count; i++)
        atomic_store(&e->loops[i].stopping, false);
    if (sys != 0)
        return err_raise_sys(err, ST_IO, sys, "start the thread of event loop %u", started);
    return ST_OK;
}

void
real_env_stop(struct env *env)
{
    struct real_env *e = real(env);

    for (uint32_t i = 0; i < e->loop_count; i++)
        loop__stop(&e->loops[i]);
}

struct loop *
real_env_loop(struct env *env, uint32_t index)
{
    struct real_env *e = real(env);

    ASSERT(index < e->loop_count);
    return &e->loops[index].base;
}

/* ------------------------------------------------------------------ signals */

static void
signal_came(uv_signal_t *uv, int signal)
{
    struct real_signal *s = uv->data;

    loop__rouse(s->loop);
    s->fn(s->ctx, signal);
}

static void
signal_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

enum status
real_env_on_signal(struct env *env, int signal, void (*fn)(void *ctx, int signal), void *ctx,
                   struct err *err)
{
    struct real_env *e = real(env);
    struct real_signal *s = mem_new(struct real_signal);
    int failed;

    ASSERT(e->loop_count > 0 && fn != NULL);
    if (s == NULL)
        return err_raise(err, ST_NO_MEMORY, "signal %d: out of memory", signal);
    s->fn = fn;
    s->ctx = ctx;
    s->loop = &e->loops[0];
    s->uv.data = s;
    failed = uv_signal_init(&s->loop->uv, &s->uv);
    if (failed != 0) {
        mem_free(s);
        return err_raise_sys(err, ST_IO, -failed, "signal %d", signal);
    }
    failed = uv_signal_start(&s->uv, signal_came, signal);
    if (failed != 0) {
        uv_close((uv_handle_t *)&s->uv, signal_closed);
        return err_raise_sys(err, ST_IO, -failed, "signal %d", signal);
    }
    s->next = e->signals;
    e->signals = s;
    return ST_OK;
}

/* ------------------------------------------------------------------ life */

static void
release_loops(struct real_env *env, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        loop__release(&env->loops[i]);
    mem_free(env->loops);
}

static enum status
create_loops(struct real_env *env, uint32_t count, struct err *err)
{
    enum status st = ST_OK;
    uint32_t made = 0;

    env->loops = mem_new_array(struct real_loop, count);
    if (env->loops == NULL)
        return err_raise(err, ST_NO_MEMORY, "%u event loops: out of memory", count);
    while (st == ST_OK && made < count) {
        st = loop__init(&env->loops[made], env, made, err);
        if (st == ST_OK)
            made++;
    }
    if (st != ST_OK)
        release_loops(env, made);
    else
        env->loop_count = count;
    return st;
}

/* The options come from a configuration, so they are checked, not asserted. */
static enum status
check_options(const struct real_env_options *options, struct err *err)
{
    if (options->loop_count > LIMIT_REACTORS)
        return err_raise(err, ST_INVALID, "%u event loops, limit %d", options->loop_count,
                         LIMIT_REACTORS);
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++) {
        if (options->lane_threads[i] > REAL_LANE_THREADS_MAX)
            return err_raise(err, ST_INVALID, "%u threads for one lane, limit %d",
                             options->lane_threads[i], REAL_LANE_THREADS_MAX);
    }
    return ST_OK;
}

enum status
real_env_create(const struct real_env_options *options, struct env **out, struct err *err)
{
    uint32_t thread_max[ENV_LANE_COUNT];
    enum status st = check_options(options, err);
    struct real_env *env;

    if (st != ST_OK)
        return st;
    env = mem_new(struct real_env);
    if (env == NULL)
        return err_raise(err, ST_NO_MEMORY, "environment: out of memory");
    env->base.ops = &env_ops;
    st = create_loops(env, options->loop_count, err);
    if (st != ST_OK) {
        mem_free(env);
        return st;
    }
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++)
        thread_max[i] =
            options->lane_threads[i] > 0 ? options->lane_threads[i] : lane_threads_default[i];
    lanes__init(&env->lanes, thread_max);
    *out = &env->base;
    return ST_OK;
}

void
real_env_destroy(struct env *env)
{
    struct real_env *e = real(env);

    lanes__release(&e->lanes);
    while (e->signals != NULL) {
        struct real_signal *s = e->signals;

        e->signals = s->next;
        uv_close((uv_handle_t *)&s->uv, signal_closed);
    }
    release_loops(e, e->loop_count);
    mem_free(e);
}
