/*
 * What the tests of the real environment share: a folder of their own, an
 * environment whose loops run on a thread beside the test, and waiting with an end.
 *
 * Only the test's own thread may use EXPECT: cmocka leaves a failed test by a
 * jump.  Code on other threads uses MUST, which ends the program.
 */
#ifndef UNIT_ENV_FIXTURE_H
#define UNIT_ENV_FIXTURE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

#include "env/real.h"
#include "unit/test.h"

#define MUST(x) ((x) ? (void)0 : must_failed(#x, __FILE__, __LINE__))

enum { WAIT_MS_MAX = 20000, PATH_ROOM = 256 };

static inline void
must_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
    abort();
}

static inline void
pause_ms(long ms)
{
    struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };

    nanosleep(&ts, NULL);
}

/* Wait for another thread to make it true. */
#define WAIT_FOR(x)                              \
 do {                                            \
  for (int waited_ms_ = 0; !(x); waited_ms_++) { \
   assert_true(waited_ms_ < WAIT_MS_MAX);        \
   pause_ms(1);                                  \
  }                                              \
 } while (0)

/* ------------------------------------------------------------------ an environment alone */

static inline struct env *
bare_env(uint32_t loop_count)
{
    struct real_env_options options = { .loop_count = loop_count };
    struct env *env = NULL;
    struct err err;

    EXPECT_OK(real_env_create(&options, &env, &err));
    return env;
}

/* ------------------------------------------------------------------ with running loops */

struct world {
    struct env *env;
    pthread_t thread;
};

static inline void *
world_main(void *ctx)
{
    struct err err;

    MUST(real_env_run(ctx, &err) == ST_OK);
    return NULL;
}

/* What must be set up before the loops run goes between these two. */
static inline void
world_create(struct world *w, uint32_t loop_count)
{
    w->env = bare_env(loop_count);
}

static inline void
world_start(struct world *w)
{
    EXPECT(pthread_create(&w->thread, NULL, world_main, w->env) == 0);
}

/* Afterwards the loops do not run, and what is open may be closed. */
static inline void
world_stop(struct world *w)
{
    real_env_stop(w->env);
    EXPECT(pthread_join(w->thread, NULL) == 0);
}

static inline void
world_end(struct world *w)
{
    world_stop(w);
    real_env_destroy(w->env);
}

/* Run `fn(ctx)` on a running loop, and wait for it. */
struct visit {
    struct task task;
    void (*fn)(void *ctx);
    void *ctx;
    sem_t over;
};

static inline void
visit_run(struct task *task)
{
    struct visit *v = container_of(task, struct visit, task);

    v->fn(v->ctx);
    sem_post(&v->over);
}

static inline void
on_loop(struct env *env, uint32_t index, void (*fn)(void *ctx), void *ctx)
{
    struct visit v = { .task = { .run = visit_run }, .fn = fn, .ctx = ctx };

    sem_init(&v.over, 0, 0);
    loop_post(real_env_loop(env, index), &v.task);
    while (sem_wait(&v.over) != 0) {
    }
    sem_destroy(&v.over);
}

/* ------------------------------------------------------------------ a folder */

struct folder {
    struct env *env;
    char path[PATH_ROOM];
};

static inline void
folder_create(struct folder *d)
{
    const char *tmp = getenv("TMPDIR");

    d->env = bare_env(0);
    snprintf(d->path, sizeof(d->path), "%s/dkv-env-XXXXXX", tmp != NULL ? tmp : "/tmp");
    EXPECT(mkdtemp(d->path) != NULL);
}

/* A path inside; overwritten by the fourth call after it. */
static inline const char *
in(struct folder *d, const char *name)
{
    static char paths[4][2 * PATH_ROOM];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", d->path, name);
    return path;
}

static inline void
folder_remove_one(void *ctx, const char *name)
{
    struct folder *d = ctx;
    const char *path = in(d, name);

    if (env_remove(d->env, path, NULL) != ST_OK)
        EXPECT_OK(env_remove_dir(d->env, path, NULL));
}

static inline void
folder_destroy(struct folder *d)
{
    EXPECT_OK(env_list(d->env, d->path, folder_remove_one, d, NULL));
    EXPECT_OK(env_remove_dir(d->env, d->path, NULL));
    real_env_destroy(d->env);
}

#endif
