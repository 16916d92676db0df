/*
 * wal/wal.h — a log stream: the one place where writes become durable.
 *
 * Records of many tablets go into one stream; one fsync makes all of them
 * durable.  A stream is a chain of segment files of fixed size, preallocated
 * and recycled, in a folder of its own.
 *
 *      st = wal_open(&w, env, &options, &report, err);   replays what is there
 *      st = wal_append(w, &record, &end, err);   any thread; into memory only
 *      st = wal_flush(w, true, err);             one thread at a time; write, fsync
 *      if (end <= wal_durable(w))
 *          ... only now may anyone be told ...
 *
 * GROUP COMMIT needs no timer: while one flush runs, appends gather for the next.
 *
 * A POSITION counts the bytes of all records ever appended to this stream; it
 * grows for ever and is meaningful only in this process.
 *
 * ROOM.  wal_append() accepts a record only where it already has allocated
 * room for it on disk, so a full disk is met by wal_tend(), where it can be
 * resumed, and never by wal_flush().
 *
 * FAILURE IS FINAL (P4).  Once a write or a sync of wal_flush() has failed, every later
 * append and flush fails with that status, and wal_durable() stays where it is.
 *
 * The format, the recovery rule and the invariants W1.. are at the head of
 * wal.c.  Depends on: base, env.
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#include "env/env.h"

struct wal;

typedef uint64_t wal_position;

enum wal_record_type {
    WAL_ENTRY = 1, /* one entry of a tablet's log */
    WAL_HEAD = 2,  /* a tablet's hard state: the newest one counts; opaque here */

    /* The tablet's entries after `index` that stand before this record are void.  Who takes over
     * another history appends it: replay gives it in its place among the entries, once, and it is
     * for whoever replays to drop them.  Durable like an entry, and not before; nothing is known
     * of it in later segments, as what it speaks of is gone from the log before it is. */
    WAL_CUT = 6,
};

struct wal_record {
    enum wal_record_type type;
    uint64_t tablet;
    uint64_t term;
    uint64_t index;    /* 0 for WAL_HEAD */
    struct slice body; /* at most LIMIT_RECORD_BYTES; empty for WAL_CUT */
};

/* Called for each intact record, oldest first.  `record` is borrowed: it dies when the call
 * returns.  `at` is a position not beyond the record's own, good for wal_release(); where it is
 * higher than that of the record before, everything replayed so far is known to be durable.  A hard
 * state may come several times; the last one counts.  Anything but ST_OK ends the replay, and wal_open()
 * fails with that status. */
typedef enum status wal_replay_fn(void *ctx, const struct wal_record *record, wal_position at,
                                  struct err *err);

struct wal_options {
    const char *dir;         /* created if it does not exist */
    uint64_t store_id;       /* random, fixed for this stream; seeds every checksum */
    uint64_t segment_bytes;  /* of a segment file; 64 KB .. 1 GB */
    size_t gather_bytes_max; /* appended and not yet written; beyond: ST_BUSY */
    uint32_t spare_count;    /* prepared segments to keep beyond the current one, > kept_count */
    uint32_t kept_count;     /* of these, for starts alone: see wal_serve() */
    bool create;             /* the folder may be missing or empty: a new stream */
    wal_replay_fn *replay;   /* required */
    void (*before_writing)(void *replay_ctx); /* wal_open() is about to: make room; or NULL */
    void *replay_ctx;
};

/* What recovery found; for the operator and STATS. */
struct wal_recovery {
    uint64_t record_count; /* replayed */
    uint64_t byte_count;
    uint64_t segment_count;
    bool clean;          /* the stream ended with wal_close() or idle */
    uint64_t torn_bytes; /* of an unfinished record after the end; 0 = none seen */
    char torn_file[256]; /* where the log ended, as "name"; its offset */
    uint64_t torn_offset;
    uint64_t rewritten_count; /* records that no watermark proved durable, copied and synced */
};

/* Open a stream, replay it, and make durable whatever was replayed: when this
 * returns, everything that `replay` has seen survives a power cut.  On success
 * `*out` is owned by the caller, and wants tending: no spare segment is ready
 * yet.  On failure `*out` is untouched and nothing stays open, but `replay` may
 * have seen a prefix.
 *
 * ST_CORRUPT: damage that no crash can explain (P5), or a segment is missing;
 * the text names file and offset; the files are left as they were.
 * ST_NOT_FOUND: there is no stream, and `create` was not asked for.
 * ST_INVALID: a format newer than ours, another stream's folder, or senseless options.
 * ST_NO_SPACE: there is no room for a fresh segment, nor a spare one.
 * ST_IO, ST_NO_MEMORY: it may be tried again. */
MUST_USE enum status wal_open(struct wal **out, struct env *env, const struct wal_options *options,
                              struct wal_recovery *report, struct err *err);

/* The start is over: from now on `kept_count` spares are kept for the next one (W11), and where there
 * are fewer and no room for more, wal_append() gives ST_NO_SPACE.  Before, a start may take all of
 * them.  Thread-safe. */
void wal_serve(struct wal *w);

/* Add one record.  `*end` is the position just past it.  Thread-safe; never
 * blocks on the disk.  A WAL_HEAD record is also remembered, and repeated at
 * the start of each later segment.
 *
 * ST_BUSY: the gathered bytes are at their maximum (which one record alone may
 * exceed), or the next segment is not ready: again after a wal_flush() or a
 * wal_tend().  ST_NO_SPACE: the next segment cannot be allocated; again after a
 * successful wal_tend().  ST_TOO_BIG.  ST_NO_MEMORY.  ST_IO, ST_NO_SPACE after a
 * failure that was final (see wal_health()).  In all cases nothing has changed. */
MUST_USE enum status wal_append(struct wal *w, const struct wal_record *record, wal_position *end,
                                struct err *err);

/* Forget a tablet's hard state: it will not be repeated in later segments.  Thread-safe. */
void wal_forget(struct wal *w, uint64_t tablet);

/* Write everything that was appended before the call, and with `sync` make it
 * durable.  Blocks; the caller sees to it that no two run at once. */
MUST_USE enum status wal_flush(struct wal *w, bool sync, struct err *err);

/* Appended, written to the operating system, durable: end >= written >= durable.
 * Thread-safe. */
wal_position wal_end(const struct wal *w);
wal_position wal_written(const struct wal *w);
wal_position wal_durable(const struct wal *w);

/* ST_OK, or the failure that ended this stream. Thread-safe. */
enum status wal_health(const struct wal *w);

/* Has the stream become durable to its end without a watermark record that
 * says so?  Then wal_mark() appends one (flush with sync afterwards); otherwise
 * it does nothing.  To be called when the stream goes idle. */
bool wal_wants_mark(const struct wal *w);
MUST_USE enum status wal_mark(struct wal *w, struct err *err);

/* Everything before `position` is no longer needed by any tablet; whole
 * segments below it may be recycled by the next wal_tend().  Thread-safe. */
void wal_release(struct wal *w, wal_position position);

/* Called for each entry that is read back, oldest first.  `record` is borrowed: it dies when the
 * call returns.  `end` is the position just past it, as wal_append() gave it, from where a later
 * reading goes on.  Anything but ST_OK ends the reading. */
typedef enum status wal_read_fn(void *ctx, const struct wal_record *record, wal_position end,
                                struct err *err);

/* Read the entries between two positions, none of them beyond wal_written(), beside appends,
 * flushes and tending.  Blocks, on the page cache mostly.  A position to begin or to end at is one
 * that wal_append(), `fn` or wal_begin() gave in this process, or that the replay gave: such a one
 * may lie before the record that came with it, so the reading may begin with older ones.
 *
 * Every entry is read as it was appended, of all tablets, and those too that a later entry or a cut
 * has made void: its term tells whether it is the one that is wanted.
 *
 * What is being read stays: nothing from its segment on is recycled meanwhile, so `fn` is not to wait
 * for anything slow.
 *
 * ST_OK: all of them.  ST_NOT_FOUND: `from` lies before wal_begin(), nothing was read.
 * ST_CORRUPT: damage; the text names file and offset.  ST_IO, ST_NO_MEMORY.  Otherwise what `fn`
 * ended it with: ST_CLOSED is never ours, and good for "enough". */
MUST_USE enum status wal_read(struct wal *w, wal_position from, wal_position limit, wal_read_fn *fn,
                              void *ctx, struct err *err);

/* Is there housekeeping to do: spares to prepare, segments to recycle?  Thread-safe. */
bool wal_wants_tending(const struct wal *w);

/* Prepare spare segments, recycle or delete released ones.  Blocks; one at a
 * time, beside wal_flush() and wal_append().  ST_NO_SPACE: nothing is lost,
 * call again later.  ST_IO. */
MUST_USE enum status wal_tend(struct wal *w, struct err *err);

/* The oldest position that can be read: where the oldest retained segment begins, unless that is
 * about to go; and bytes of all retained segments. */
wal_position wal_begin(const struct wal *w);
uint64_t wal_retained_bytes(const struct wal *w);

/* fsyncs and writes done so far, for STATS. */
struct wal_counters {
    uint64_t syncs;
    uint64_t sync_ns; /* that they took, together */
    uint64_t writes;
    uint64_t bytes;
    uint64_t records;
};
void wal_count(const struct wal *w, struct wal_counters *out);

/* Flush with sync, mark, flush with sync, and release; a failure is in `err`
 * and everything is released all the same.  NULL is allowed. */
enum status wal_close(struct wal *w, struct err *err);

/* Release without writing anything: the process gives up.  NULL is allowed. */
void wal_abandon(struct wal *w);

/* ------------------------------------------------------------------ offline */

/* One piece of damage, as `distkv check` reports it. */
struct wal_damage {
    char file[256]; /* name inside the folder */
    uint64_t offset;
    char text[ERR_TEXT_MAX];
};

/* Read a stream without changing it.  `replay` sees every intact record before
 * the damage; `beyond` (may be NULL) sees those that can still be read after it.
 * ST_OK; ST_CORRUPT with `*damage` filled in. */
MUST_USE enum status wal_verify(struct env *env, const struct wal_options *options,
                                wal_replay_fn *beyond, struct wal_recovery *report,
                                struct wal_damage *damage, struct err *err);

/* Keep everything before the damage that wal_verify() found, and move the rest aside, into
 * "<dir>/aside-<n>/".  The operator's decision (P5).  ST_OK: the stream opens.
 *
 * CHAIN has two copies of everything: as long as one is intact, nothing is lost, and it is mended.
 * ST_CORRUPT then says that there is more damage, to be cut in turn.  ST_INVALID: there is no such
 * place. */
MUST_USE enum status wal_cut(struct env *env, const struct wal_options *options,
                             const struct wal_damage *damage, struct err *err);

#endif
