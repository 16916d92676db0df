/*
 * env/real.h — the real world: POSIX files, pthreads, libuv loops.
 *
 * An embedder needs no loop: files, clocks, jobs and gates work without one.
 * A server creates N loops, then runs each on a thread of its own.
 */
#ifndef ENV_REAL_H
#define ENV_REAL_H

#include "env/env.h"

struct real_env_options {
    uint32_t loop_count;                   /* 0 for an embedded store */
    uint32_t lane_threads[ENV_LANE_COUNT]; /* 0 = the default of the lane: 1, 1, 1, 4 */
};

/* Lane threads start with their first job.  ST_NO_MEMORY, ST_IO. */
MUST_USE enum status real_env_create(const struct real_env_options *options, struct env **out,
                                     struct err *err);

/* The loops have returned, and whoever opened timers, streams and listeners has closed them.
 * Waits for the jobs that were submitted, then ends the threads.  A job that ends after its loop
 * has returned is not handed to it any more: its `done` is not called. */
void real_env_destroy(struct env *env);

struct loop *real_env_loop(struct env *env, uint32_t index);

/* Run all loops: loop 0 on the calling thread, the others on threads of their
 * own.  Returns when every loop was stopped. */
MUST_USE enum status real_env_run(struct env *env, struct err *err);

/* Ask every loop to return once its queue of posted tasks is empty.  Any thread.  What loops post
 * to one another while they return is still run, by real_env_run(), before it returns itself. */
void real_env_stop(struct env *env);

/* Call `fn` on loop 0 whenever the process receives `signal` (SIGTERM, SIGINT,
 * SIGHUP).  Before real_env_run(). */
MUST_USE enum status real_env_on_signal(struct env *env, int signal,
                                        void (*fn)(void *ctx, int signal), void *ctx,
                                        struct err *err);

#endif
