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

#include "engine/body.h"
#include "engine/engine.h"
#include "tablet/reactor.h"

struct tablet;

/* The replica that `tree` is, owned by the reactor's loop; in the rosters of all loops until it is destroyed.
 * `founders`: the members with which the group was born, or any that it had; one that does not have this node
 * waits to be told of others.  NULL when out of memory.  Start-up code; while the loops run: lifetime.h. */
struct tablet *tablet_create(struct tablet_reactor *reactor, struct engine_tree *tree,
                             const struct raft_config *founders);
void
tablet_destroy(struct tablet *t); /* nothing is pending; the loops have stopped; NULL is allowed */

/* Whoever keeps a tablet across rounds of a loop, where it could be dropped meanwhile, holds it: it stays until
 * it is let go, though it may be of no use.  To be called where it is known: on a loop that has it in its
 * roster, or by who holds it.  Any thread may let go. */
struct tablet *tablet_hold(struct tablet *t);
void tablet_let_go(struct tablet *t);

uint64_t tablet_id(const struct tablet *t);
struct loop *tablet_loop(const struct tablet *t);
struct lsm *tablet_lsm(const struct tablet *t);

/* ------------------------------------------------------------------ start-up */

/* One record of this tablet from the log, in order (engine_replay_fn). */
MUST_USE enum status tablet_replay(struct tablet *t, const struct wal_record *record,
                                   wal_position at, struct err *err);

/* In between, one of its entries that its tree has already (engine_passed_fn). */
void tablet_passed(struct tablet *t, const struct wal_record *record, wal_position at);

/* The highest time that this tablet may have used, Unix ms; after the replay. */
uint64_t tablet_ceiling_ms(const struct tablet *t);

/* After the replay, in three steps with an engine_sync() after the first two.  A group of one stands for
 * election, begins the term, and applies what the log held; others begin to take part.  Nothing may be
 * submitted before. */
MUST_USE enum status tablet_stand(struct tablet *t, struct err *err);
MUST_USE enum status tablet_lead(struct tablet *t, struct err *err);
MUST_USE enum status tablet_started(struct tablet *t, struct err *err);

/* Start-up code: instead of all of these, for a replica that is to be dropped, as far as is known.  It takes no part
 * in its group, until tablet_node_resume() (tablet/lifetime.h). */
MUST_USE enum status tablet_set_aside(struct tablet *t, struct err *err);
bool tablet_is_aside(const struct tablet *t); /* on loop 0 */

/* The three in one, for a tablet that is made, or taken up, while the loops run; on its loop, and without waiting: it leads,
 * if it is to, when its log is durable.  Until then requests are refused (ST_NOT_LEADER). */
MUST_USE enum status tablet_begin(struct tablet *t, struct err *err);

/* Write entries (stored keys, with their kind byte) synchronously: log, sync, tree.  For what a
 * store is born with. */
MUST_USE enum status tablet_write_now(struct tablet *t, struct entry *entries, size_t count,
                                      struct err *err);

/* ------------------------------------------------------------------ requests (owner) */

/* Takes the request until `done`, which may be called at once. */
void tablet_submit(struct tablet *t, struct request *r);

/* The same, on r->home: at once, or soon. */
void tablet_send(struct tablet *t, struct request *r);

/* Every TABLET_TICK_MS: deadlines, elections, and the time ceiling. */
void tablet_tick(struct tablet *t);

/* Every request that was taken is answered, and no job works for this tablet. */
bool tablet_idle(const struct tablet *t);

/* ------------------------------------------------------------------ the group (owner) */

/* Have the group's members be `target`, which is never joint.  ST_OK: begun; it is done when it is the one in
 * force and its entry is committed.  ST_NOT_LEADER; ST_BUSY: another change is under way, or it is too
 * early; ST_INVALID: no membership, or the one in force; ST_NO_MEMORY. */
MUST_USE enum status tablet_change_members(struct tablet *t, const struct raft_config *target);

/* Lead by order, with this membership, in this term: raft.h, IMPOSED MEMBERSHIPS, which says what the caller answers
 * for.  ST_OK: begun, and done when it leads by it.  ST_INVALID, ST_BUSY, ST_NO_MEMORY. */
MUST_USE enum status tablet_impose(struct tablet *t, raft_term term,
                                   const struct raft_config *config);

/* Hand over leadership to the node; 0: to whom is nearest.  ST_OK: begun.  ST_NOT_LEADER, ST_INVALID:
 * not a voter; ST_NO_MEMORY. */
MUST_USE enum status tablet_transfer(struct tablet *t, uint64_t node);

/* Leave what lies at the bound and beyond to a new tablet, which every member makes of its own files when it
 * applies the entry; its first members are ours, and we follow scope.h.  Requests that it concerns wait here until
 * then, and are refused after it (ST_MOVED).  ST_OK: begun; done when tablet_scope() has grown by an edition.
 * ST_NOT_LEADER; ST_BUSY: one is under way, a change of members is, or there is no room; and the first time, when it
 * only begins to flush what is in memory; ST_INVALID: a half would be
 * empty; ST_IO, ST_NO_SPACE, ST_NO_MEMORY. */
MUST_USE enum status tablet_split(struct tablet *t, const struct split *split);

/* What is its own, as applied. */
const struct scope *tablet_scope(const struct tablet *t);

/* The node may have come to what it lacked: a leader whose group fell asleep without it asks it again. */
void tablet_ask_again(struct tablet *t, uint64_t node);

/* For those who look: operators, checkers. */
const struct raft *tablet_raft(const struct tablet *t);

/* Is what the core counts as durable so in the log?  Where it is not, an acknowledged write can get lost. */
bool tablet_keeps_its_word(const struct tablet *t);

/* Of tablet_scope().  Anywhere. */
uint64_t tablet_edition(const struct tablet *t);

/* What is applied, and a snapshot of exactly that: the caller's, to be released.  ST_BUSY: the tree is
 * being replaced by another member's; ST_NO_MEMORY. */
struct tablet_moment {
    raft_index index;
    raft_term term;
    struct lsm_snapshot *snapshot;
};
MUST_USE enum status tablet_take_moment(const struct tablet *t, struct tablet_moment *out);

/* Be told, on the tablet's loop, of all records that are applied from now on, in order, those of one entry at once;
 * or, with NULL, that another member's snapshot took the place of all there was.  NULL: no more. */
typedef void tablet_observer_fn(void *ctx, const struct entry *writes, uint32_t count);
void tablet_observe(struct tablet *t, tablet_observer_fn *observer, void *ctx);

/* When this member began to lead, if it does; env_boot_ns(). */
uint64_t tablet_led_since_ns(const struct tablet *t);

/* A read of its tables has met damage: said once (P3), and remembered until another member's snapshot, or another
 * replica, takes their place.  Any thread that has it in its roster or holds it. */
void tablet_tell_damage(struct tablet *t, const struct err *err);
bool tablet_is_damaged(const struct tablet *t);

/* On its loop: if it leads and is damaged, somebody else is asked to, now and then; true: somebody just was. */
bool tablet_shed_office(struct tablet *t);

/* A number that whoever looks after the group may leave here; 0 at first. */
uint64_t tablet_note(const struct tablet *t);
void tablet_set_note(struct tablet *t, uint64_t note);

/* Each tablet that the reactor owns, which may not be destroyed meanwhile; on its loop. */
typedef void tablet_each_fn(void *ctx, struct tablet *t);
void tablet_each(struct tablet_reactor *r, tablet_each_fn *fn, void *ctx);

/* What was done for those who are behind, since the start.  Any thread. */
struct tablet_stats {
    uint64_t snapshots;    /* begun */
    uint64_t log_readings; /* of the log, for entries that memory has no more */
    uint64_t log_entries;  /* of these, sent */
    uint64_t log_failures; /* readings that met damage */
};
void tablet_stats(const struct tablet *t, struct tablet_stats *out);

/* ------------------------------------------------------------------ reading anywhere */

/* Answer a pure read from committed state, on the reader's loop, which is r->home.
 * True: `done` was called, or will be.  False: only the owner can answer (it leads and others have to be
 * asked, it does not lead, or the clock is beyond the ceiling). */
bool tablet_read(struct tablet *t, struct tablet_reader *reader, struct request *r);

/* The time by which this tablet judges expiry, now. */
uint64_t tablet_now_ms(const struct tablet *t, uint64_t boot_ns);

/* A version between the ceiling and what was committed; the highest applied. */
version_t tablet_version(const struct tablet *t);

#endif
