/*
 * env/real_internal.h — what the files of the real environment share.
 *
 *      real.c            the environment as a whole: clocks, start, stop, signals
 *      real_file.c       open files                  real_jobs.c      lanes, gates
 *      real_dir.c        names of files              real_loop.c      loops, tasks, timers
 *      real_parts.c      gathered writes             real_socket.c    streams
 *      real_address.c    numeric addresses           real_listener.c  accepting them
 *                                                    real_connector.c making them
 *
 * Which thread may touch what is written at each structure.
 */
#ifndef ENV_REAL_INTERNAL_H
#define ENV_REAL_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

#include "base/lock.h"

#include "env/real.h"

struct real_listener;
struct real_signal;

enum {
    REAL_CACHE_LINE = 64,
    REAL_LANE_THREADS_MAX = 64, /* beyond it a disk only queues */
    REAL_PARTS_AT_ONCE = 64,    /* pieces handed to the kernel in one call */
    REAL_FILE_MODE = 0640,      /* data is the owner's; the group may read, for backups */
    REAL_DIR_MODE = 0750,
};

/* A queue of jobs, and the threads that take from it. */
struct lane {
    struct lanes *all;
    const char *name;  /* of its threads; a literal */
    struct list queue; /* struct job, oldest first */
    size_t queued;
    uint32_t thread_max;
    uint32_t thread_count; /* started so far; never shrinks */
    uint32_t idle;         /* of these, how many wait for work */
    pthread_cond_t work;   /* a job was queued, or the lanes are ending */
    pthread_t threads[REAL_LANE_THREADS_MAX];
};

/* Invariants J1..J3: real_jobs.c. */
struct lanes {
    pthread_mutex_t mutex; /* guards all of this and of the lanes */
    pthread_cond_t quiet;  /* `unfinished` came to 0 */
    size_t unfinished;     /* jobs queued or running, in all lanes */
    bool ending;
    struct lane lane[ENV_LANE_COUNT];
};

/* One event loop.  Its own thread's, but for the three atomics, `done_jobs` and
 * uv_async_send(&wake).  Invariants L1..L5: real_loop.c. */
struct real_loop {
    struct loop base;
    uv_loop_t uv;
    uv_prepare_t before_poll;
    uv_idle_t more_to_do; /* active: the next poll does not block */
    pthread_t thread;     /* of loops 1 and up */
    bool running;
    bool eventful;       /* something has come since the last look */
    bool had_tasks;      /* since it let others run */
    uint32_t looks_left; /* before it may sleep */
    bool now_known;      /* `now_ns` and `now_wall_ms` were read in this round */
    uint64_t now_ns;
    uint64_t now_wall_ms;

    /* Streams that were closed while the peer may still have been sending. */
    struct list lingering; /* struct real_stream, by deadline */
    size_t lingering_count;
    size_t lingering_max;
    uv_timer_t linger_timer;

    struct lock done_lock;
    struct list done_jobs;      /* struct job; guarded by done_lock */
    struct task done_jobs_task; /* posted when the list ceases to be empty */

    uv_async_t wake;
    char apart_from_the_rest[REAL_CACHE_LINE];
    _Atomic(struct task *) inbox; /* newest first */
    atomic_bool asleep;           /* or about to be: a post must wake the loop */
    atomic_bool stopping;
    char apart_from_the_next[REAL_CACHE_LINE];
};

struct real_stream {
    struct stream base;
    struct real_loop *loop;
    int fd;          /* owned */
    unsigned wanted; /* what stream_watch() asked for */
    unsigned armed;  /* what libuv watches for */
    bool wrote;      /* the peer was sent something */
    bool ended;      /* the peer is known to be gone */
    bool closing;
    stream_fn *fn;
    void *ctx;
    uv_poll_t poll;
    struct real_listener *listener; /* until it is handed over */
    struct task handover;
    struct list link; /* in loop->lingering */
    uint64_t linger_until_ms;
};

struct real_env {
    struct env base;
    struct lanes lanes;
    struct real_loop *loops; /* owned */
    uint32_t loop_count;
    struct real_signal *signals; /* owned; linked */
};

/* ------------------------------------------------------------------ real.c */

/* The status that stands for an errno. */
enum status real__status(int sys);

/* Start a thread that leaves the process's signals to the threads that were
 * there before.  `name` has at most 15 characters.  0, or an errno. */
MUST_USE int real__start_thread(pthread_t *thread, const char *name, void *(*fn)(void *ctx),
                                void *ctx);

uint64_t real__wall_ms(struct env *env);
uint64_t real__boot_ns(struct env *env);

/* ------------------------------------------------------------------ real_parts.c */

/* A place in a sequence of parts. */
struct parts {
    const struct slice *at;
    size_t count; /* parts from `at` on */
    size_t done;  /* bytes of the first of them that are behind us */
};

/* Describe what lies ahead to the kernel, as far as it fits; how many entries.
 * 0 means that nothing lies ahead. */
int real__parts_gather(struct parts *p, struct iovec iov[REAL_PARTS_AT_ONCE], size_t *size);

/* Go on by `size` bytes, which lie ahead. */
void real__parts_advance(struct parts *p, size_t size);

/* ------------------------------------------------------------------ real_address.c */

union real_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* False: `text` is not a numeric address. */
MUST_USE bool real__address_parse(const char *text, uint16_t port, union real_address *out);
socklen_t real__address_size(const union real_address *address);

/* ------------------------------------------------------------------ files and names */

enum status real__open(struct env *env, const char *path, unsigned flags, struct file **out,
                       struct err *err);
enum status real__lock(struct env *env, const char *path, struct file **out, struct err *err);

enum status real__remove(struct env *env, const char *path, struct err *err);
enum status real__rename(struct env *env, const char *from, const char *to, struct err *err);
enum status real__link(struct env *env, const char *from, const char *to, struct err *err);
enum status real__make_dir(struct env *env, const char *path, struct err *err);
enum status real__remove_dir(struct env *env, const char *path, struct err *err);
enum status real__sync_dir(struct env *env, const char *path, struct err *err);
enum status real__stat(struct env *env, const char *path, uint64_t *size, struct err *err);
enum status real__list(struct env *env, const char *path, env_list_fn *fn, void *ctx,
                       struct err *err);
enum status real__room(struct env *env, const char *path, struct env_room *out, struct err *err);

/* ------------------------------------------------------------------ real_jobs.c */

/* `thread_max` has one number for each lane. */
void lanes__init(struct lanes *lanes, const uint32_t thread_max[ENV_LANE_COUNT]);
void lanes__submit(struct lanes *lanes, enum env_lane which, struct job *job);

/* Wait for all jobs, those included that jobs submit; then end the threads. */
void lanes__release(struct lanes *lanes);

enum status real__gate_create(struct env *env, struct gate **out);

/* ------------------------------------------------------------------ real_loop.c */

/* In place, because libuv's handles may not move. */
MUST_USE enum status loop__init(struct real_loop *loop, struct real_env *env, uint32_t index,
                                struct err *err);

/* Run on the calling thread until it is stopped. */
void loop__run(struct real_loop *loop);

/* Any thread. */
void loop__stop(struct real_loop *loop);

/* Run what is in the inbox of a loop that has returned; false when it was empty. */
bool loop__sweep(struct real_loop *loop);

/* Nothing of its users is open any more.  Tasks that nobody will run are dropped. */
void loop__release(struct real_loop *loop);

/* Every callback from libuv begins with this: the loop is awake (L2). */
void loop__rouse(struct real_loop *loop);

/* What to tell libuv, so that a timer fires after `delay_ms` from now, and never early (L5). */
uint64_t loop__delay_ms(const struct real_loop *loop, uint32_t delay_ms);

/* Hand a job whose `run` is over to its loop.  Any thread. */
void loop__post_done(struct real_loop *loop, struct job *job);

/* ------------------------------------------------------------------ real_socket.c */

/* Wrap a connected, non-blocking socket for a loop.  NULL when out of memory:
 * then the socket is still the caller's. */
struct real_stream *stream__create(struct real_loop *loop, int fd, const struct sockaddr *peer);

/* On its loop.  False when libuv has no place for it. */
MUST_USE bool stream__attach(struct real_stream *s);

/* Undo stream__create(): it was never attached. */
void stream__discard(struct real_stream *s);

/* Close one that is attached at once, without lingering. */
void stream__abandon(struct real_stream *s);

/* No stream lingers yet. */
void stream__begin_lingering(struct real_loop *loop);

/* Close every lingering stream of a loop that has returned. */
void stream__end_lingering(struct real_loop *loop);

/* ------------------------------------------------------------------ real_listener.c */

enum status real__listen(struct env *env, const char *address, uint16_t port, listener_fn *accepted,
                         void *ctx, struct listener **out, struct err *err);

/* Give a connection to whom it is for; the `run` of a stream's `handover`. */
void listener__hand_over(struct task *task);

/* ------------------------------------------------------------------ real_connector.c */

enum status real__connect(struct loop *loop, const struct connect_options *options,
                          struct connector **out, struct err *err);

#endif
