/*
 * tablet/tablet.h — one replica of one tablet: a log and a tree.
 *
 * A write is evaluated once, here, against committed state plus an overlay of
 * results that are in the log but not yet committed; the log holds the
 * resulting puts and deletes, never commands.
 *
 *      tablet_submit ─> evaluate ─> propose ─> [log] ─> committed ─> tree ─> done
 *                          ^                                │
 *                          └────────── overlay <────────────┘ leaves it when applied
 *
 * What is committed is raft's to say (drive.c); a lone node's tablets are groups of one.
 *
 * THREADS.  Owned by one loop: everything runs there, except tablet_read() and
 * the figures, which any thread may call, and recovery, which is start-up code.
 *
 * Depends on: base, env, engine.
 */
#ifndef TABLET_TABLET_H
#define TABLET_TABLET_H

#include "engine/engine.h"
#include "tablet/clock.h"
#include "tablet/request.h"

struct tablet;

struct tablet_options {
    struct engine *engine;
    struct engine_tree *tree;
    struct loop *loop;                /* the owner; NULL for start-up code only (offline tools) */
    struct node_clock *clock;         /* borrowed; outlives the tablet */
    struct engine_listener *listener; /* calls tablet_moved(); borrowed; NULL without loop */
    struct raft_effects
        *effects;  /* borrowed; for one step at a time, so one for each loop will do */
    uint64_t node; /* our id: of a new tablet, the one member */
};

/* NULL when out of memory. */
struct tablet *tablet_create(const struct tablet_options *options);
void tablet_destroy(struct tablet *t); /* nothing is pending; NULL is allowed */

uint64_t tablet_id(const struct tablet *t);
struct loop *tablet_loop(const struct tablet *t);
struct lsm *tablet_lsm(const struct tablet *t);

/* ------------------------------------------------------------------ start-up */

/* One record of this tablet from the log, in order (engine_replay_fn). */
MUST_USE enum status tablet_replay(struct tablet *t, const struct wal_record *record,
                                   wal_position at, struct err *err);

/* The highest time that this tablet may have used, Unix ms; after the replay. */
uint64_t tablet_ceiling_ms(const struct tablet *t);

/* After the replay, for a group of one, in three steps with an engine_sync() after the first two: stand for
 * election, begin the term, and apply what the log held.  Nothing may be submitted before. */
MUST_USE enum status tablet_stand(struct tablet *t, struct err *err);
MUST_USE enum status tablet_lead(struct tablet *t, struct err *err);
MUST_USE enum status tablet_started(struct tablet *t, struct err *err);

/* Write entries (stored keys, with their kind byte) synchronously: log, sync, tree.  For what a
 * store is born with. */
MUST_USE enum status tablet_write_now(struct tablet *t, struct entry *entries, size_t count,
                                      struct err *err);

/* ------------------------------------------------------------------ requests (owner) */

/* Takes the request until `done`, which may be called at once. */
void tablet_submit(struct tablet *t, struct request *r);

/* The log has moved, or a stall has ended (engine_listener): commit, apply,
 * answer, and go on with what waited. */
void tablet_moved(struct tablet *t);

/* Every TABLET_TICK_MS: deadlines, and the time ceiling. */
enum { TABLET_TICK_MS = 50 };
void tablet_tick(struct tablet *t);

/* Every request that was taken is answered, no job reads for one that was given up, and no task of
 * ours waits on the loop. */
bool tablet_idle(const struct tablet *t);

/* ------------------------------------------------------------------ reading anywhere */

/* What a reactor reads with: its slot of the epoch, and its reads that wait for a disk. */
struct tablet_reader {
    struct epoch *epoch;
    struct epoch_slot slot;
    struct loop *loop;
    struct list cold;
};

void tablet_reader_init(struct tablet_reader *reader, struct epoch *epoch, struct loop *loop);
void tablet_reader_release(struct tablet_reader *reader); /* no read is under way */

/* Answer a pure read from committed state, on the reader's loop, which is r->home.
 * True: `done` was called, or will be.  False: only the owner can answer (the
 * clock is beyond the ceiling). */
bool tablet_read(struct tablet *t, struct tablet_reader *reader, struct request *r);

/* Every TABLET_TICK_MS: deadlines of the reads that wait for a disk. */
void tablet_reader_tick(struct tablet_reader *reader);

/* The time by which this tablet judges expiry, now. */
uint64_t tablet_now_ms(const struct tablet *t, uint64_t boot_ns);

/* A version between the ceiling and what was committed; the highest applied. */
version_t tablet_version(const struct tablet *t);

#endif
