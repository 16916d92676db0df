/*
 * engine/engine.h — one data directory: the log streams, the trees on them,
 * and what they share: caches, budget, background jobs, disk space.
 *
 *      <dir>/LOCK        held while a process uses the directory
 *      <dir>/IDENTITY    who this store is; written once, and once more by who joins a cluster
 *      <dir>/CATALOGUE   which trees there are; replaced atomically
 *      <dir>/log-0/      a log stream (wal/)
 *      <dir>/tree-<id>/  a tree (lsm/)
 *      <dir>/RESERVE     space kept for a full disk: for flushes, deletes, compactions
 *      <dir>/START       the same, for a start alone
 *
 * The asynchronous core below is for reactors.  The thread-safe synchronous
 * front, which runs on its caller's threads, is include/distkv/distkv.h.
 *
 * OPENING is in two steps, so that whoever owns the trees can stand ready
 * before the log is replayed into them:
 *
 *      engine_open()      lock, identity, catalogue, trees
 *      engine_recover()   replay; then the log accepts records
 *      engine_serve()     the owner has written what a start writes
 *
 * Depends on: base, env, wal, lsm.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/arena.h"
#include "base/budget.h"
#include "base/epoch.h"
#include "base/status.h"

#include "env/env.h"
#include "lsm/lsm.h"
#include "wal/wal.h"

struct engine;

enum engine_kind { ENGINE_SERVER = 1, ENGINE_EMBEDDED = 2 };

struct engine_options {
    const char *dir;
    enum engine_kind kind;
    bool create;         /* make a new store when the folder is missing or empty */
    bool must_be_new;    /* ST_EXISTS when there is a store */
    uint8_t cluster[16]; /* of a new store; zeros: random */
    bool of_no_cluster;  /* a new store is to join one: its cluster is zeros (engine_adopt()) */
    uint64_t node;       /* of a new store; 0: random */
    size_t budget_bytes; /* 512 MB */
    size_t record_cache_bytes; /* of the budget; 0 = one quarter */
    size_t block_cache_bytes;  /* of the budget; 0 = what is left */
    struct lsm_options trees;
    uint64_t segment_bytes;     /* 64 MB; 64 KB .. 1 GB */
    uint64_t log_bytes_max;     /* retained log; beyond, the tree that holds it is flushed */
    uint64_t log_reserve_bytes; /* 64 MB; see engine_tree_follow() */
    uint32_t sync_interval_ms;  /* for writes of class `interval`; 1000; 10 or more */
    uint64_t min_free_bytes;    /* 100 MB */
    uint32_t open_tables_max;   /* 1000; 8 or more; those in use at the moment come on top,
                              * and one manifest for 8, up to 64 */
    uint32_t idle_close_ms;     /* a tree that is idle for so long closes its files; 30,000 */
    struct loop **loops;        /* NULL for an embedded store */
    uint32_t loop_count;
};

void engine_options_default(struct engine_options *options);

struct engine_identity {
    uint8_t cluster[16]; /* random; zeros: of none yet */
    uint64_t node;       /* random, never 0 */
    uint64_t store;      /* random; seeds checksums */
    uint64_t created_ms; /* Unix */
    bool joined;         /* the cluster is older than the store (engine_adopt()) */
    enum engine_kind kind;
};

/* ST_EXISTS: another process holds the directory, or must_be_new.  ST_INVALID: a store of the
 * other kind, a newer format, or an option out of range.  ST_CORRUPT, ST_IO, ST_NOT_FOUND. */
MUST_USE enum status engine_open(struct engine **out, struct env *env,
                                 const struct engine_options *options, struct err *err);

const struct engine_identity *engine_identity(const struct engine *e);
const char *engine_dir(const struct engine *e);

/* A store of no cluster becomes one of this; durable when it returns.  Nobody looks at its cluster meanwhile.
 * ST_EXISTS: it is of one already.  Job code. */
MUST_USE enum status engine_adopt(struct engine *e, const uint8_t cluster[16], struct err *err);

struct env *engine_env(const struct engine *e);
struct budget *engine_budget(struct engine *e);
struct epoch *engine_epoch(struct engine *e);

/* ------------------------------------------------------------------ trees */

/* One tree and its place in the engine's care. */
struct engine_tree;

/* NULL: there is none.  Any thread; whoever has the tree sees to it that it is not dropped. */
struct engine_tree *engine_find_tree(struct engine *e, uint64_t id);

/* In order of id; each stays while `fn` runs.  Any thread. */
typedef void engine_tree_fn(void *ctx, struct engine_tree *tree);
void engine_each_tree(struct engine *e, engine_tree_fn *fn, void *ctx);

/* Empty, and durable when it returns.  ST_EXISTS; ST_CLOSED: the engine closes; ST_TOO_BIG, ST_NO_SPACE,
 * ST_IO, ST_NO_MEMORY.  Job code, also beside loops and other jobs. */
MUST_USE enum status engine_create_tree(struct engine *e, uint64_t id, struct engine_tree **out,
                                        struct err *err);

/* A tree with all that `parent` has in files, by second names of these, and the mark `mark`, which is the next after
 * what the owner of `parent` has applied: he has sealed, and applies nothing meanwhile.  Durable when it returns, whole
 * or not at all.  ST_EXISTS: there is such a tree, or has been one that had promised something.  ST_BUSY: not all that was
 * applied is in files.  Otherwise as engine_create_tree(), and what lsm_import_install() says.  Job code. */
MUST_USE enum status engine_plant_tree(struct engine_tree *parent, uint64_t id,
                                       const struct lsm_mark *mark, struct engine_tree **out,
                                       struct err *err);

/* What a tablet has promised to others; term 0: nothing.  It outlives the tree: who comes back to a tablet
 * that it had left must not vote twice in a term. */
struct engine_oath {
    uint64_t term;
    uint64_t vote;
    uint64_t
        log_term; /* where its log ended: what it had acknowledged may have been committed by that */
    uint64_t log_index;
};

/* Away with the tree: whatever it has in files and in the log counts no more, durably, when it returns.
 * The tablet's promises are kept for the next tree of this id.  Nobody but the engine's own jobs uses the
 * tree.  ST_NO_SPACE, ST_IO, ST_NO_MEMORY, ST_TOO_BIG: it is there as before, and may be dropped again; it is
 * not to be used in between, for a start may find it gone.  ST_NOT_FOUND.  Job code. */
MUST_USE enum status engine_drop_tree(struct engine *e, uint64_t id, const struct engine_oath *oath,
                                      struct err *err);

/* What the tablet had promised before the tree was made, when an earlier one of this id was dropped. */
struct engine_oath engine_tree_oath(const struct engine_tree *tree);

/* Those of tablets that are nowhere any more, and will not be again.  Otherwise as engine_drop_tree().  Job code. */
MUST_USE enum status engine_forget_oaths(struct engine *e,
                                         bool (*is_over)(const void *ctx, uint64_t id),
                                         const void *ctx, struct err *err);

struct lsm *engine_tree_lsm(const struct engine_tree *tree);
uint64_t engine_tree_id(const struct engine_tree *tree);

/* A compaction has met damage in its tables; any thread. */
bool engine_tree_is_damaged(const struct engine_tree *tree);

/* In a replay, the owner says that it keeps this entry, and will say what became of it: the log is retained for
 * it from now on, as for one that was given to engine_append(). */
void engine_tree_expect(struct engine_tree *tree);

/* The owner says, after lsm_apply()/lsm_advance()/lsm_clear(): entry `index` came from the log at
 * `position` (just past it; in a replay, as it was given).  Switches a full memtable, starts the jobs that are due, and keeps
 * the log's release position.  Cheap when nothing is due. */
void engine_tree_applied(struct engine_tree *tree, uint64_t index, wal_position position);

/* The owner says: an entry was cut off by consensus, and will never be applied. */
void engine_tree_dropped(struct engine_tree *tree);

/* The owner seals the memtable if the engine has asked for it (retained log beyond its cap,
 * memtables beyond their share).  Cheap when it has not.  Called from the owner's listener. */
void engine_tree_tend(struct engine_tree *tree);

/* Grows whenever the engine asks: an owner that does not look at all of its trees all the time looks then.
 * Any thread. */
uint64_t engine_seals_asked(const struct engine *e);

/* From now on no memtable is sealed; while a snapshot is installed into the tree (lsm/import.h).  Then:
 * `installed` is its index, and the log is not needed for anything up to there; or 0, and everything is
 * as before.  The owner has said engine_tree_dropped() for each entry that it gave up. */
void engine_tree_hold(struct engine_tree *tree);
void engine_tree_resume(struct engine_tree *tree, uint64_t installed);

/* The owner says whether there are others who may want entries of this tree's tablet that its tables
 * have; at first there are not.  While one tree has some, the last `log_reserve_bytes` of the log are kept, flushed
 * or not; at most half of log_bytes_max, and none while disk space is short. */
void engine_tree_follow(struct engine_tree *tree, bool followed);

/* Should writes to this tree wait, and why: sealed memtables, L0, or the budget. */
enum engine_stall {
    ENGINE_STALL_NONE,
    ENGINE_STALL_MEMTABLES,
    ENGINE_STALL_L0,
    ENGINE_STALL_BUDGET,
    ENGINE_STALL_LOG,
    ENGINE_STALL_COUNT
};
enum engine_stall engine_tree_stall(const struct engine_tree *tree);
const char *engine_stall_name(enum engine_stall stall);

/* Whoever waited for a stall counts it: how long, in ns. */
void engine_count_stall(struct engine *e, enum engine_stall stall, uint64_t ns);

/* Seal and flush now, compact now: for SAVE and COMPACT.  ST_CLOSED: the engine closes.  Job code (not on the FLUSH or
 * COMPACT lane); the owner has called engine_tree_seal() before a flush that must cover all. */
MUST_USE enum status engine_tree_seal(struct engine_tree *tree); /* owner; also after a clear */
MUST_USE enum status engine_tree_flush(struct engine_tree *tree, struct err *err);
MUST_USE enum status engine_tree_compact_all(struct engine_tree *tree,
                                             struct lsm_compact_report *report, struct err *err);

/* ------------------------------------------------------------------ the log */

/* Called for every record that the trees may lack, oldest first, by engine_recover(): ENTRY
 * records above the tree's mark, and all HEAD records.  `tree` is NULL for a tablet that the
 * catalogue does not name; records of trees that were dropped are passed over in silence.  The owner applies and calls engine_tree_applied(); a full memtable is flushed by the
 * engine between two calls. */
typedef enum status engine_replay_fn(void *ctx, struct engine_tree *tree,
                                     const struct wal_record *record, wal_position at,
                                     struct err *err);

/* Called in between for each ENTRY record that its tree has already: it can be read at `at`. */
typedef void engine_passed_fn(void *ctx, const struct wal_record *record, wal_position at);

struct engine_replay {
    engine_replay_fn *replay;
    engine_passed_fn *passed; /* NULL: nobody wants to know */
    void *ctx;
};

MUST_USE enum status engine_recover(struct engine *e, const struct engine_replay *replay,
                                    struct wal_recovery *report, struct err *err);

/* The start is over: from here on the log keeps spare segments for the next one (wal_serve()). */
void engine_serve(struct engine *e);

/* From now on no memtable is flushed in the background, or again.  For who applies in the replay what only what it
 * writes after it makes good. */
void engine_hold_flushes(struct engine *e, bool held);

/* When an appended record is to be fsynced. */
enum engine_sync_class {
    ENGINE_SYNC_NOW,      /* by the next engine_flush() */
    ENGINE_SYNC_INTERVAL, /* within sync_interval_ms */
    ENGINE_SYNC_NEVER,    /* when something else is */
};

/* wal_append() for this tree's tablet: the record is gathered, and goes out with the next
 * engine_flush().  The log is retained from the first ENTRY that was not yet reported by
 * engine_tree_applied().  Any thread. */
MUST_USE enum status engine_append(struct engine_tree *tree, const struct wal_record *record,
                                   enum engine_sync_class sync, wal_position *end, struct err *err);

/* Have the log's thread write what is gathered, and with `sync` fsync it; returns at once.  Whoever
 * appends calls it when its batch is complete.  Any thread. */
void engine_flush(struct engine *e, bool sync);

/* What engine_append() appends from now on comes at this position or after it. */
wal_position engine_log_end(const struct engine *e);
wal_position engine_written(const struct engine *e);
wal_position engine_durable(const struct engine *e);

/* The oldest position that can be read; it grows while one looks. */
wal_position engine_log_begin(const struct engine *e);

/* Entries of a tablet that are wanted back. */
struct engine_span {
    uint64_t first; /* first < limit; all of one term, and written */
    uint64_t limit;
    uint64_t term;
    wal_position position; /* of the first, or before it */
    size_t bytes_max;      /* of bodies; one entry may exceed it */
};

struct engine_entries {
    struct slice *bodies; /* in the arena, as they were appended; that of span.first is the first */
    uint32_t count;       /* > 0 */
    size_t bytes;         /* of the bodies */
    struct arena arena;   /* owned */
};

/* As many of them as fit, at least one.  Job code, beside everything else.  ST_NOT_FOUND: the position has
 * been released.  ST_CORRUPT: damage; or they are not there.  ST_IO, ST_NO_MEMORY. */
MUST_USE enum status engine_read_log(struct engine_tree *tree, const struct engine_span *span,
                                     struct engine_entries *out, struct err *err);
void engine_entries_release(struct engine_entries *entries); /* zeroed is allowed */

/* Any thread; zeros before the log is open. */
void engine_log_count(const struct engine *e, struct wal_counters *out);

/* ST_OK, or why the log takes no more (P4). */
enum status engine_log_health(const struct engine *e);

/* A listener is called on its loop after room was made, something has failed or a stall has ended,
 * and, if it awaits it, after the log has moved (written, durable); one call may stand for many.
 * Registered at start. */
struct engine_listener {
    void (*moved)(void *ctx);
    void *ctx;
    struct loop *loop;

    struct task task; /* private */
    _Atomic bool awaits_log;
    _Atomic bool posted;
    struct engine_listener *next;
};
void engine_listen(struct engine *e, struct engine_listener *listener);

/* Be called when the log moves next; to be said before looking how far it is, and again after each
 * call. */
static inline void
engine_await_log(struct engine_listener *listener)
{
    /* An exchange: no look at a position may come before it. */
    (void)atomic_exchange(&listener->awaits_log, true);
}

/* After ST_BUSY from engine_append(): write out what is gathered, or wait for a fresh segment; for
 * a moment, then it is to be tried again.  The owner of the trees calls engine_tree_tend() for them
 * all before: they may be what holds the log.  Otherwise the failure that is in the way.
 * For start-up and job code; reactors wait for their listener instead. */
MUST_USE enum status engine_make_room(struct engine *e, struct err *err);

/* Write and sync everything appended so far.  Job code. */
MUST_USE enum status engine_sync(struct engine *e, struct err *err);

/* ------------------------------------------------------------------ disk space */

enum engine_space {
    ENGINE_SPACE_OK,
    ENGINE_SPACE_LOW, /* ordinary writes are refused; deletes are admitted */
};
enum engine_space engine_space(const struct engine *e);

/* The disk, as last seen; zeros: never.  Any thread. */
struct env_room engine_room(const struct engine *e);

/* ------------------------------------------------------------------ the end */

/* The process is about to end: flushes and compactions under way return soon, those that wait
 * return ST_CLOSED, no more are begun, and no write waits for them.  The log goes on.  Does not
 * wait; any thread. */
void engine_begin_close(struct engine *e);

/* Was that said?  Any thread. */
bool engine_is_closing(const struct engine *e);

/* End the background jobs, and start no more: no listener is posted afterwards.  Job code. */
void engine_quiesce(struct engine *e);

/* No request is under way and the loops have stopped.  Ends the jobs, closes the log clean (the
 * memtables stay in the log), the trees, the lock.  The first failure is reported, and all
 * is released in any case.  NULL is allowed. */
enum status engine_close(struct engine *e, struct err *err);

/* ------------------------------------------------------------------ figures */

struct engine_stats {
    struct lsm_stats trees; /* summed */
    struct cache_counters blocks;
    uint64_t record_cache_hits;
    size_t record_cache_bytes;
    struct wal_counters log;
    struct wal_recovery recovery;
    uint64_t log_retained_bytes;
    uint32_t open_tables; /* descriptors of tables */
    struct env_room room; /* engine_room() */
    enum engine_space space;
    size_t budget_used;
    size_t budget_limit;
    uint64_t stall_count[ENGINE_STALL_COUNT];
    uint64_t stall_ns[ENGINE_STALL_COUNT];
};
void engine_stats(struct engine *e, struct engine_stats *out);

#endif
