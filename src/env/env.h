/*
 * env/env.h — the outside world of one node: files, clocks, randomness, jobs,
 * event loops, timers and sockets.
 *
 * Nothing above this floor calls the operating system.  The real world is
 * env/real.h (POSIX and libuv); the simulated one is simenv/simenv.h, where
 * time is virtual, disks forget what was not synced, and many nodes live in
 * one process.  The same code runs on both.
 *
 * THREE KINDS OF CODE
 *
 *      reactor code   runs on an event loop; must never block: of the file
 *                     calls it may use only file_try_read(), file_size() and
 *                     file_path().
 *      job code       runs on a lane's thread; may call everything that blocks.
 *      start-up code  runs before the loops, or on a thread of the embedder;
 *                     as job code.
 *
 * No lock (base/lock.h) is held across any call declared here.
 *
 * Objects are dispatched through a table of functions in their first member;
 * the tables are at the end of this file and concern only the two
 * implementations.
 */
#ifndef ENV_ENV_H
#define ENV_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"

struct env;
struct file;
struct loop;
struct timer;
struct stream;
struct listener;
struct connector;
struct gate;

/* ------------------------------------------------------------------ time */

/* Unix time in milliseconds.  May jump. */
uint64_t env_wall_ms(struct env *env);

/* Nanoseconds since some point in the past; goes on while the machine sleeps
 * (CLOCK_BOOTTIME); never jumps.  In the simulator, reading it may advance it. */
uint64_t env_boot_ns(struct env *env);

/* Unpredictable bytes, from the system; in the simulator, from the seed. */
void env_random(struct env *env, void *out, size_t size);

/* Block the calling job or start-up code. */
void env_sleep_ms(struct env *env, uint32_t ms);

/* ------------------------------------------------------------------ files */

enum env_open_flags {
    ENV_OPEN_READ = 0,
    ENV_OPEN_WRITE = 1,     /* and read */
    ENV_OPEN_CREATE = 2,    /* if it is missing */
    ENV_OPEN_EXCLUSIVE = 4, /* with CREATE: ST_EXISTS if it is there */
    ENV_OPEN_TRUNCATE = 8,
};

/* ST_NOT_FOUND, ST_EXISTS, ST_NO_SPACE, ST_IO (also: too many open files). */
MUST_USE enum status env_open(struct env *env, const char *path, unsigned flags, struct file **out,
                              struct err *err);

/* Read up to `size` bytes at `offset`; `*got` is less only at the end of the file. */
MUST_USE enum status file_read(struct file *f, uint64_t offset, void *out, size_t size, size_t *got,
                               struct err *err);

/* As file_read, for reactors: answered from the page cache (preadv2 with
 * RWF_NOWAIT), or ST_WOULD_BLOCK, in which case a job must do it. */
MUST_USE enum status file_try_read(struct file *f, uint64_t offset, void *out, size_t size,
                                   size_t *got, struct err *err);

/* Write all the parts, one after the other, at `offset`.  On failure any part
 * of them may have been written. */
MUST_USE enum status file_write(struct file *f, uint64_t offset, const struct slice *parts,
                                size_t part_count, struct err *err);

/* Make durable all that was written before the call: data, and the size that
 * finding it needs.  A failure is final: never retry (P4). */
MUST_USE enum status file_sync(struct file *f, struct err *err);

/* Set the size; grown bytes are zeros. */
MUST_USE enum status file_truncate(struct file *f, uint64_t size, struct err *err);

/* Allocate [0, size) and fill it with zeros, so that later writes inside it
 * cannot meet ST_NO_SPACE.  The file is then `size` bytes long. */
MUST_USE enum status file_fill(struct file *f, uint64_t size, struct err *err);

MUST_USE enum status file_size(struct file *f, uint64_t *size, struct err *err);

/* The path it was opened with; lives as long as the file object. */
const char *file_path(const struct file *f);

/* Does not sync.  NULL is allowed. */
void file_close(struct file *f);

/* Changes of names are durable only after env_sync_dir() of the folder. */
MUST_USE enum status env_remove(struct env *env, const char *path, struct err *err);
MUST_USE enum status env_rename(struct env *env, const char *from, const char *to,
                                struct err *err); /* replaces `to` */
MUST_USE enum status env_link(struct env *env, const char *from, const char *to, struct err *err);
MUST_USE enum status env_make_dir(struct env *env, const char *path,
                                  struct err *err); /* ST_EXISTS */
MUST_USE enum status env_remove_dir(struct env *env, const char *path,
                                    struct err *err); /* must be empty */
MUST_USE enum status env_sync_dir(struct env *env, const char *path, struct err *err);

/* Size of a file by name; ST_NOT_FOUND. */
MUST_USE enum status env_stat(struct env *env, const char *path, uint64_t *size, struct err *err);

/* Each name in the folder, in byte order, without "." and "..". */
typedef void env_list_fn(void *ctx, const char *name);
MUST_USE enum status env_list(struct env *env, const char *path, env_list_fn *fn, void *ctx,
                              struct err *err);

/* Hold the folder for this process by an advisory lock on `path` (created if
 * missing); ST_EXISTS when another holds it.  Released by file_close(). */
MUST_USE enum status env_lock(struct env *env, const char *path, struct file **out,
                              struct err *err);

/* The file system of `path`, for an ordinary writer. */
struct env_room {
    uint64_t free_bytes;  /* that may still be allocated */
    uint64_t total_bytes; /* of these, and what is allocated, by whomever */
};
MUST_USE enum status env_room(struct env *env, const char *path, struct env_room *out,
                              struct err *err);

/* ------------------------------------------------------------------ jobs */

/* A lane is one or more threads that take jobs in order. */
enum env_lane {
    ENV_LANE_LOG,     /* one thread: writes and syncs of the log */
    ENV_LANE_FLUSH,   /* memtables to tables, log segments to come: short, urgent */
    ENV_LANE_COMPACT, /* long */
    ENV_LANE_READ,    /* cache misses and scans of reactors */
    ENV_LANE_COUNT
};

/* Embedded in the caller's structure, so that submitting cannot fail.  The
 * memory belongs to env from the submission until `done` is called (or, without
 * `done`, until `run` returns). */
struct job {
    void (*run)(struct job *self);  /* on the lane; may block */
    void (*done)(struct job *self); /* then on `loop`; NULL: nothing more */
    struct loop *loop;
    struct list link; /* env's */
};

/* Any thread. */
void env_submit(struct env *env, enum env_lane lane, struct job *job);

/* A place where threads of a node wait for one another; a lock that may be
 * held, and a signal that may be awaited, across calls to env.  Not for reactors. */
MUST_USE enum status gate_create(struct env *env, struct gate **out);
void gate_destroy(struct gate *g); /* nobody is inside; NULL is allowed */
void gate_enter(struct gate *g);   /* one at a time */
void gate_leave(struct gate *g);
void gate_wait(struct gate *g); /* inside: leave, wait for a gate_wake, enter; may wake early */
void gate_wake(struct gate *g); /* inside or not: all who wait; any thread, reactors too */

/* ------------------------------------------------------------------ loops */

/* A task is a message to a loop: embedded, like a job. */
struct task {
    void (*run)(struct task *self);
    struct task *next; /* env's */
};

/* Run the task on the loop, in the order of posting.  Any thread. */
void loop_post(struct loop *loop, struct task *task);

/* Called on the loop after each round of events, before it waits for more:
 * the place to write out what the round produced.  One at a time; NULL takes it away,
 * when the loops have stopped, or on its loop. */
void loop_set_after(struct loop *loop, void (*after)(void *ctx), void *ctx);

/* Nanoseconds (env_boot_ns) and Unix milliseconds as of the start of the round. */
uint64_t loop_now_ns(struct loop *loop);
uint64_t loop_wall_ms(struct loop *loop);

struct env *loop_env(struct loop *loop);

/* Loops are numbered from 0. */
uint32_t loop_index(const struct loop *loop);

/* One-shot.  Created on its loop (or before the loops run); starting a running
 * timer moves it.  Few in number: a module keeps one and its own queue. */
MUST_USE enum status timer_create_on(struct loop *loop, void (*fire)(void *ctx), void *ctx,
                                     struct timer **out);
void timer_start(struct timer *t, uint32_t delay_ms);
void timer_stop(struct timer *t);
void timer_destroy(struct timer *t); /* on its loop; NULL is allowed */

/* ------------------------------------------------------------------ sockets */

enum stream_events { STREAM_READABLE = 1, STREAM_WRITABLE = 2 };

/* Called on the stream's loop; a stream that was closed by the peer, or failed,
 * is reported as readable and writable, and the next read or write says so. */
typedef void stream_fn(void *ctx, unsigned events);

/* Every connection of the listener is given to the loops in turn; `accepted`
 * runs on the loop that got it and owns the stream. */
typedef void listener_fn(void *ctx, struct loop *loop, struct stream *stream);

/* Listen on a numeric address, IPv4 or IPv6; port 0 chooses one.  When
 * descriptors run out, connections wait in the backlog and accepting goes on
 * when there are some again.  On loop 0, or when the loops do not run.
 * ST_INVALID (not an address), ST_EXISTS (in use), ST_IO. */
MUST_USE enum status env_listen(struct env *env, const char *address, uint16_t port,
                                listener_fn *accepted, void *ctx, struct listener **out,
                                struct err *err);
uint16_t listener_port(const struct listener *l);

/* Stop accepting.  On loop 0, or when the loops do not run.  NULL is allowed. */
void listener_close(struct listener *l);

/* An attempt to connect has come to its end: with ST_OK and a stream, which is the callee's and like
 * an accepted one; or with NULL and
 *      ST_CLOSED   nobody listens there
 *      ST_TIMEOUT  no answer came in time
 *      ST_IO       there is no way there; err->sys says more
 * Called once, on the loop, never from within env_connect().  The connector is gone by then; `err`
 * is borrowed. */
typedef void connect_fn(void *ctx, struct stream *stream, enum status st, const struct err *err);

struct connect_options {
    const char *address; /* numeric, IPv4 or IPv6; borrowed for the call */
    uint16_t port;
    uint32_t timeout_ms; /* for the attempt; not 0 */
    uint32_t silence_ms; /* later, the stream fails when what was sent is not acknowledged for this
                          * long (on Linux also when the peer has no room for it for so long);
                          * 0: when the system has had enough, after a quarter of an hour */
    connect_fn *done;
    void *ctx;
};

/* Begin to connect.  On the loop, or when the loops do not run.  ST_INVALID (not an address),
 * ST_NO_MEMORY, ST_IO (also: out of descriptors): `done` is not called. */
MUST_USE enum status env_connect(struct loop *loop, const struct connect_options *options,
                                 struct connector **out, struct err *err);

/* `done` will not be called.  Where env_connect() may be called; NULL is allowed. */
void connector_cancel(struct connector *c);

/* Say what to be called for.  `events` 0 means nothing; level-triggered. */
void stream_watch(struct stream *s, unsigned events, stream_fn *fn, void *ctx);

/* Neither blocks.  ST_WOULD_BLOCK: nothing to read, or no room; ST_CLOSED: the
 * peer is gone.  A write may take only some of the bytes. */
MUST_USE enum status stream_read(struct stream *s, void *out, size_t size, size_t *got);
MUST_USE enum status stream_write(struct stream *s, const struct slice *parts, size_t part_count,
                                  size_t *written);

/* "127.0.0.1:54321"; lives as long as the stream. */
const char *stream_peer(const struct stream *s);

/* No callback comes after this.  Unsent bytes that were accepted by
 * stream_write() are still delivered. */
void stream_close(struct stream *s);

/* ------------------------------------------------------------------ for implementations */

struct env_ops {
    uint64_t (*wall_ms)(struct env *env);
    uint64_t (*boot_ns)(struct env *env);
    void (*random)(struct env *env, void *out, size_t size);
    void (*sleep_ms)(struct env *env, uint32_t ms);

    enum status (*open)(struct env *env, const char *path, unsigned flags, struct file **out,
                        struct err *err);
    enum status (*remove)(struct env *env, const char *path, struct err *err);
    enum status (*rename)(struct env *env, const char *from, const char *to, struct err *err);
    enum status (*link)(struct env *env, const char *from, const char *to, struct err *err);
    enum status (*make_dir)(struct env *env, const char *path, struct err *err);
    enum status (*remove_dir)(struct env *env, const char *path, struct err *err);
    enum status (*sync_dir)(struct env *env, const char *path, struct err *err);
    enum status (*stat)(struct env *env, const char *path, uint64_t *size, struct err *err);
    enum status (*list)(struct env *env, const char *path, env_list_fn *fn, void *ctx,
                        struct err *err);
    enum status (*lock)(struct env *env, const char *path, struct file **out, struct err *err);
    enum status (*room)(struct env *env, const char *path, struct env_room *out, struct err *err);

    void (*submit)(struct env *env, enum env_lane lane, struct job *job);
    enum status (*gate_create)(struct env *env, struct gate **out);

    enum status (*listen)(struct env *env, const char *address, uint16_t port,
                          listener_fn *accepted, void *ctx, struct listener **out, struct err *err);
};

struct file_ops {
    enum status (*read)(struct file *f, uint64_t offset, void *out, size_t size, size_t *got,
                        struct err *err);
    enum status (*try_read)(struct file *f, uint64_t offset, void *out, size_t size, size_t *got,
                            struct err *err);
    enum status (*write)(struct file *f, uint64_t offset, const struct slice *parts,
                         size_t part_count, struct err *err);
    enum status (*sync)(struct file *f, struct err *err);
    enum status (*truncate)(struct file *f, uint64_t size, struct err *err);
    enum status (*fill)(struct file *f, uint64_t size, struct err *err);
    enum status (*size)(struct file *f, uint64_t *size, struct err *err);
    void (*close)(struct file *f);
};

struct gate_ops {
    void (*enter)(struct gate *g);
    void (*leave)(struct gate *g);
    void (*wait)(struct gate *g);
    void (*wake)(struct gate *g);
    void (*destroy)(struct gate *g);
};

struct loop_ops {
    void (*post)(struct loop *loop, struct task *task);
    uint64_t (*now_ns)(struct loop *loop);
    uint64_t (*wall_ms)(struct loop *loop);
    enum status (*timer_create_on)(struct loop *loop, void (*fire)(void *ctx), void *ctx,
                                   struct timer **out);
    enum status (*connect)(struct loop *loop, const struct connect_options *options,
                           struct connector **out, struct err *err);
};

struct timer_ops {
    void (*start)(struct timer *t, uint32_t delay_ms);
    void (*stop)(struct timer *t);
    void (*destroy)(struct timer *t);
};

struct stream_ops {
    void (*watch)(struct stream *s, unsigned events, stream_fn *fn, void *ctx);
    enum status (*read)(struct stream *s, void *out, size_t size, size_t *got);
    enum status (*write)(struct stream *s, const struct slice *parts, size_t part_count,
                         size_t *written);
    void (*close)(struct stream *s);
};

struct listener_ops {
    void (*close)(struct listener *l);
};

struct connector_ops {
    void (*cancel)(struct connector *c);
};

struct env {
    const struct env_ops *ops;
};

struct file {
    const struct file_ops *ops;
    char *path; /* owned by the implementation */
};

struct gate {
    const struct gate_ops *ops;
};

struct loop {
    const struct loop_ops *ops;
    struct env *env;
    uint32_t index;
    void (*after)(void *ctx);
    void *after_ctx;
};

struct timer {
    const struct timer_ops *ops;
};

struct stream {
    const struct stream_ops *ops;
    char peer[64];
};

struct listener {
    const struct listener_ops *ops;
    uint16_t port;
};

struct connector {
    const struct connector_ops *ops;
};

#endif
