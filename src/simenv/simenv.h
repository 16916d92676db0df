/*
 * simenv/simenv.h — a world in one process: virtual time, disks that forget,
 * networks in memory, and nodes that can die at any instant.
 *
 *      w = sim_create(seed);
 *      env = sim_boot(w, 1, 2);               node 1, a fresh process with 2 loops
 *      ... open stores, start servers on env ...
 *      sim_run_ms(w, 1000);                   a second passes
 *      sim_crash(w, 1);                       power cut: heap, sockets, jobs and
 *                                             whatever was not synced are gone
 *      env = sim_boot(w, 1, 2);               the same disk, a new process
 *
 * Everything runs on the calling thread.  A job is a fiber (ucontext, announced
 * to the sanitizers); every call to env inside a job is a point where the
 * scheduler may run something else, let time pass, or crash the node.  Which,
 * is drawn from the seed: the same seed gives the same run, event by event.
 *
 * Reactors may be overtaken in their calls to env, too, by jobs and by other
 * loops; but when a call of the test returns, no round of a loop is half-way.
 * Code that breaks a rule of env/env.h (a reactor that blocks, a stream used on
 * another loop) fails an ASSERT.
 *
 * A test may also call env itself, as start-up code outside of any fiber: such
 * a call has its faults and its effect at once, takes no time, and nothing else
 * happens meanwhile; it cannot wait (gate_wait), and cannot be crashed in its
 * middle.  Everything else goes through sim_call() and sim_on_loop().
 *
 * While a node's code runs, its heap (base/mem.h) is the current one; a crash
 * drops it whole.  Whatever a test holds of that node's memory is then dead.
 * Handles (files, gates, timers ...) are the world's, but making one counts as
 * an allocation of the node, and fails with it.
 *
 * THE DISK keeps, per file, the bytes that were synced and the bytes that were
 * not, in sectors of SIM_SECTOR bytes; and per folder the names that were
 * synced and those that were not.  A crash keeps, by the seed, any subset of
 * the unsynced sectors and name changes, in any order, and may tear nothing
 * smaller than a sector.  A size change is kept or lost with its sectors.  Of a
 * sector that was written several times since the last sync, any version may be
 * the one that is kept.  A rename is one change of two names; changes of the
 * same name keep their order, so what survives has a past that makes sense.
 *
 * Paths are taken from the root, with or without a leading slash; ".." is
 * refused.  The root is there from the start.
 */
#ifndef SIMENV_SIMENV_H
#define SIMENV_SIMENV_H

#include "base/mem.h"
#include "base/prng.h"

#include "env/env.h"

enum { SIM_SECTOR = 512, SIM_NODES_MAX = 128, SIM_DRIFT_PPM_MAX = 500000 };

struct sim;

/* Start: time 2026-01-01T00:00:00Z, empty disks.  NULL when out of memory. */
struct sim *sim_create(uint64_t seed);
void sim_destroy(struct sim *w); /* crashes every node first */

/* The generator that everything is drawn from; tests may draw too. */
struct prng *sim_prng(struct sim *w);

/* A hash over every event so far: equal for equal seeds and calls. */
uint64_t sim_trace_hash(const struct sim *w);

/* ------------------------------------------------------------------ nodes */

/* A new process on node `id` (1..SIM_NODES_MAX) with `loop_count` loops (0 is
 * allowed), an empty heap and nothing counted.  The node may not be running. */
struct env *sim_boot(struct sim *w, uint32_t id, uint32_t loop_count);
struct loop *sim_loop(struct sim *w, uint32_t id, uint32_t index);
struct mem_heap *sim_heap(struct sim *w, uint32_t id);
bool sim_running(const struct sim *w, uint32_t id);

/* Power cut: see above.  Of a machine on which nothing runs, too: what the last process left in
 * the page cache is at stake. */
void sim_crash(struct sim *w, uint32_t id);

/* SIGKILL: as a crash, but what was written stays in the page cache unharmed, synced or not; a
 * later power cut may still take what was not. */
void sim_kill(struct sim *w, uint32_t id);

/* While they are held no round of the node's loops begins, as before a real server lets them run: a start
 * that fails takes everything back, and nothing on a loop may be half-way then.  Just after sim_boot(). */
void sim_hold_loops(struct sim *w, uint32_t id, bool held);

/* The loops of the node end, as real ones do when they are told to stop: what was posted is run,
 * then nothing is run any more, neither tasks nor timers nor streams.  Job code goes on. */
void sim_end_loops(struct sim *w, uint32_t id);

/* A clean end: the process has closed everything.  Fails the test (ASSERT) when
 * jobs are pending, files, gates, timers, listeners, connectors or streams are open, or
 * heap blocks remain: leaks are bugs.  Unsynced data stays in the page cache. */
void sim_end(struct sim *w, uint32_t id);

/* Run `fn(ctx)` as job code of the node, and the world beside it, until it
 * returns.  False when the node crashed inside it (then `fn` never finishes).
 * Fails the test (ASSERT) when it waits for something that can no longer come. */
MUST_USE bool sim_call(struct sim *w, uint32_t id, void (*fn)(void *ctx), void *ctx);

/* The same, but the world goes on when it is next run: `*finished`, which is the world's, is true once
 * `fn` has returned; when the node crashes first, it never is. */
void sim_begin_call(struct sim *w, uint32_t id, void (*fn)(void *ctx), void *ctx, bool *finished);

/* Run `fn(ctx)` as reactor code on a loop, now: a round of its own, with `after`. */
void sim_on_loop(struct sim *w, uint32_t id, uint32_t loop_index, void (*fn)(void *ctx), void *ctx);

/* ------------------------------------------------------------------ time */

/* Let virtual time pass; events happen in order. */
void sim_run_ms(struct sim *w, uint64_t ms);

/* Run until nothing is due except timers that are more than `limit_ms` away;
 * true when that came to pass, false when it had not after `limit_ms`. */
bool sim_settle(struct sim *w, uint64_t limit_ms);

/* Run until `*flag` is true; false after `limit_ms`. */
MUST_USE bool sim_run_until(struct sim *w, const bool *flag, uint64_t limit_ms);

uint64_t sim_now_ns(const struct sim *w);

/* The node whose code runs now; 0: none. */
uint32_t sim_current(const struct sim *w);

/* Called whenever code of a node has run, on a loop or in sim_call(), and before anything else
 * does.  It may look, and must not touch.  NULL: nobody looks any more. */
typedef void sim_watch_fn(void *ctx, uint32_t id);
void sim_watch(struct sim *w, sim_watch_fn *fn, void *ctx);

/* Move a node's wall clock by this much from now on; its boot clock goes on. */
void sim_jump_clock(struct sim *w, uint32_t id, int64_t ms);

/* From now on the node's boot clock, and with it its timers and sleeps, runs fast (or, when
 * negative, slow) by this many millionths; at most SIM_DRIFT_PPM_MAX.  It belongs to the machine:
 * a reboot does not end it. */
void sim_drift_clock(struct sim *w, uint32_t id, int32_t ppm);

/* For so long from now none of the node's code runs: no round, no job.  Time goes on, its kernel
 * takes connections and bytes, and what came meanwhile is found afterwards.  No sim_call() and no
 * sim_on_loop() until then.  It ends with the process. */
void sim_pause(struct sim *w, uint32_t id, uint64_t ms);
bool sim_paused(struct sim *w, uint32_t id);

/* ------------------------------------------------------------------ faults */

enum sim_op {
    SIM_OPEN = 1 << 0,
    SIM_READ = 1 << 1,
    SIM_WRITE = 1 << 2,
    SIM_SYNC = 1 << 3,
    SIM_TRUNCATE = 1 << 4,
    SIM_FILL = 1 << 5,
    SIM_REMOVE = 1 << 6,
    SIM_RENAME = 1 << 7,
    SIM_LINK = 1 << 8,
    SIM_MAKE_DIR = 1 << 9,
    SIM_SYNC_DIR = 1 << 10,
    SIM_LIST = 1 << 11,
    SIM_STAT = 1 << 12,
    SIM_OP_ALL = (1 << 13) - 1,
};

/* The `nth` matching call from now on (1 = the next) fails with `st` (ST_IO or
 * ST_NO_SPACE); with `for_good`, so do all later ones.  A failing write may
 * have written any part; a failed sync leaves its bytes in the page cache but
 * forgets that they are dirty, so that only a rewrite can make them durable, as
 * Linux does; a failed sync of a folder does the same to its changes of names.
 * It belongs to the machine: a reboot does not end it.  nth 0 switches it off. */
void sim_fail(struct sim *w, uint32_t id, unsigned ops, uint64_t nth, bool for_good,
              enum status st);

/* Crash the node at the `nth` env call that matches, before (false) or after
 * (true) its effect; once.  The call must be made in a fiber.  nth 0 switches it off. */
void sim_crash_at(struct sim *w, uint32_t id, unsigned ops, uint64_t nth, bool after);

/* Files that the node holds open: its descriptors. */
uint32_t sim_open_files(struct sim *w, uint32_t id);

/* Matching calls that the node has made since it was booted. */
uint64_t sim_op_count(const struct sim *w, uint32_t id, unsigned ops);

/* Pretend to sync: file_sync (or env_sync_dir) of paths that contain `part` succeed
 * without effect.  NULL switches it off.  For tests of the tests. */
void sim_ignore_sync(struct sim *w, uint32_t id, const char *part);

/* Bytes that the node's disk can hold, in blocks of 4096 that holes do not take; the default is
 * 1 TB.  A disk without a free block refuses new files and folders, too. */
void sim_set_capacity(struct sim *w, uint32_t id, uint64_t bytes);

/* Every read, write and sync takes this long, plus up to as much again; default 50 us, 0 for
 * calls from outside a job. */
void sim_set_disk_latency_us(struct sim *w, uint32_t id, uint32_t us);

/* file_try_read gives ST_WOULD_BLOCK with this chance in 100; default 50. */
void sim_set_cold_percent(struct sim *w, uint32_t id, uint32_t percent);

/* ------------------------------------------------------------------ the disk from outside */

/* Work on what the node would see now; for running or stopped nodes.  Changes are durable at once,
 * and sim_disk_write() makes the folders that are missing.  False: there is no such file, or it
 * cannot be. */
MUST_USE bool sim_disk_read(struct sim *w, uint32_t id, const char *path, struct buf *out);
MUST_USE bool sim_disk_write(struct sim *w, uint32_t id, const char *path, struct slice bytes);
MUST_USE bool sim_disk_remove(struct sim *w, uint32_t id, const char *path);
MUST_USE bool sim_disk_truncate(struct sim *w, uint32_t id, const char *path, uint64_t size);

/* Flip one bit; false when there is no such byte. */
MUST_USE bool sim_disk_flip(struct sim *w, uint32_t id, const char *path, uint64_t offset,
                            unsigned bit);

/* Every regular file, in byte order of paths ("d/a", without a leading slash); `fn` may change
 * the disk. */
void sim_disk_each(struct sim *w, uint32_t id,
                   void (*fn)(void *ctx, const char *path, uint64_t size), void *ctx);

/* Has a file whose path contains `part` bytes, or a size, that a power cut may take? */
bool sim_disk_unsynced(struct sim *w, uint32_t id, const char *part);

/* Bytes that the node's files take, in blocks. */
uint64_t sim_disk_used(struct sim *w, uint32_t id);

/* A copy of what a stopped node's disk shows, to be put back as often as wanted; put back, all of
 * it is durable. */
struct sim_disk_image;
struct sim_disk_image *sim_disk_save(struct sim *w, uint32_t id);
void sim_disk_load(struct sim *w, uint32_t id, const struct sim_disk_image *image);
void sim_disk_image_free(struct sim_disk_image *image);

/* ------------------------------------------------------------------ the network between nodes */

/* Node `id` has the address 10.0.0.<id>; 127.0.0.1 is for each node itself.  A listener on an
 * address is reached by that address, one on 0.0.0.0 by both.  A machine that was never booted, or
 * whose power was cut and that was not booted since, does not answer; one on which nobody listens
 * refuses.  Other addresses are nowhere: ST_IO.
 *
 * When a process is killed, its peers see an end after the usual delays.  When its machine loses
 * power, they see an end or, by the seed, nothing: the connection is half open.  What they then
 * write is not acknowledged while the machine is off, and reset when it is on again.
 *
 * One direction between two nodes.  Delays are drawn for each piece; pieces of a connection stay
 * in order.  While it is cut nothing passes: what is sent waits, like what TCP sends again, and
 * arrives some time after healing, at most SIM_RETRY_MS_MAX.  Acknowledgements of what goes the other
 * way do not pass either, so that windows fill up and are not emptied.  A connection of which
 * something is unacknowledged for `break_ms` breaks for its sender (connect_options.silence_ms may say
 * so earlier); the other side does not hear of it until it sends something itself. */
enum { SIM_RETRY_MS_MAX = 1000 };

struct sim_link {
    uint32_t delay_us_min;
    uint32_t delay_us_max;
    uint64_t bytes_per_s; /* shared by all connections; 0: no limit */
    uint64_t break_ms;    /* 0: never */
    bool refuse;          /* attempts to connect */
    bool cut;
};

/* 20 to 320 us, no limit, 15 minutes. */
struct sim_link sim_link_default(void);

/* For existing connections, too. */
void sim_net_set(struct sim *w, uint32_t from, uint32_t to, const struct sim_link *link);
struct sim_link sim_net_get(struct sim *w, uint32_t from, uint32_t to);

/* One direction. */
void sim_net_cut(struct sim *w, uint32_t from, uint32_t to);
void sim_net_heal(struct sim *w, uint32_t from, uint32_t to);

/* ------------------------------------------------------------------ the network from outside */

/* A client that is not a node: connect to a node's listener.  NULL when nobody
 * listens there.  Bytes arrive after a seeded delay, in seeded pieces.  When
 * the node crashes, some of what it had sent may still arrive, then an end. */
struct sim_client;
struct sim_client *sim_connect(struct sim *w, uint32_t id, uint16_t port);
void sim_client_send(struct sim_client *c, struct slice bytes);

/* What has arrived and was not consumed; borrowed until the next call. */
struct slice sim_client_received(const struct sim_client *c);
void sim_client_consume(struct sim_client *c, size_t size);
bool sim_client_closed(const struct sim_client *c); /* by the other side */

/* How many bytes the client's side will buffer before the node's writes would block; the
 * default is 64 KiB.  Received bytes count until they are consumed: a slow reader. */
void sim_client_set_window(struct sim_client *c, size_t bytes);

/* What was sent before is still delivered.  Ends the client's life; NULL is allowed. */
void sim_client_close(struct sim_client *c);

#endif
