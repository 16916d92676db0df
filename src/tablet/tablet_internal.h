/* What the files of tablet/ share.  The essay and the invariants are in tablet.c. */
#ifndef TABLET_INTERNAL_H
#define TABLET_INTERNAL_H

#include "base/arena.h"
#include "base/broken.h"
#include "base/mark.h"
#include "base/prng.h"

#include "tablet/exchange.h"
#include "tablet/overlay.h"
#include "tablet/places.h"
#include "tablet/tablet.h"
#include "tablet/tail.h"

enum {
    CEILING_AHEAD_MS = 1000,      /* how far ahead of the clock a ceiling is set */
    CEILING_RENEW_MS = 400,       /* renew it when it is nearer than this, while there is traffic */
    PENDING_BYTES_MAX = 32 << 20, /* uncommitted results; beyond, requests wait */
    PENDING_SHARE = 16,           /* and beyond this part of the budget */
    WAITING_MAX = 1 << 17,        /* requests that wait for room; beyond: ST_BUSY */
    TAIL_KEPT_BYTES = 8 << 20,    /* of applied entries that followers may yet want */
    TAIL_KEPT_SHARE = 64,         /* and at most this part of the budget */
    TAIL_IDLE_PART = 16,          /* of these, when nobody wants them just now */
    UNGIVEN_MAX = 1024,           /* entries of a leader's that the log had no room for */
    OUTGOING_MAX = 256,           /* entries of one message */
};

/* A reply that must wait until everything proposed before it is committed, and until it is certain
 * that we led when it was evaluated. */
struct barrier {
    struct list link;
    struct request *request;
    raft_index index;
    uint64_t round; /* of confirmation; 0: none is needed */
};

/* The entries of one message, borrowed from where they lie. */
struct outgoing {
    struct raft_entry entries[OUTGOING_MAX];
    uint32_t count;
    uint64_t bytes;
};

/* As struct tablet_stats has them. */
struct tablet_counters {
    _Atomic uint64_t snapshots;
    _Atomic uint64_t log_readings;
    _Atomic uint64_t log_entries;
    _Atomic uint64_t log_failures;
};

/* Of one of our tables (damage.c). */
struct damage {
    uint64_t table;      /* the number of its file; 0: none is known */
    raft_term term;      /* in which somebody else was last asked to lead for it; 0: nobody was */
    uint64_t shed_at_ns; /* when the office is shed next, and how long it is kept then */
    uint32_t shed_pause_ms;
};

/* A membership or a split of the log that the tables reach beyond already (replay.c). */
struct passed {
    struct list link;
    raft_index index;
    enum body_kind kind; /* BODY_CONFIG or BODY_SPLIT */
    version_t version;
    struct raft_config config;
    struct split split;
};

struct tablet {
    struct tablet_reactor *reactor; /* that owns it */
    struct engine *engine;
    struct engine_tree *tree;
    struct lsm *lsm;
    struct loop *loop;
    uint64_t id;
    struct list on_reactor;
    tablet_observer_fn *observer; /* NULL: none */
    void *observer_ctx;
    uint64_t note;         /* tablet_note() */
    uint64_t led_since_ns; /* tablet_led_since_ns() */
    bool sleeps; /* no tick has anything to do here; the reactor's, until something happens */
    bool serves; /* the loops run: the time of their rounds will do */
    bool aside;  /* tablet_set_aside(); loop 0's */
    struct list on_marked;
    struct list on_awaiting;

    /* consensus (drive.c) */
    struct raft *raft; /* NULL: not started */
    struct prng dice;  /* for the timeouts of elections */
    bool alone; /* the one member: what is durable here is committed, and nobody is sent anything */
    raft_index config_seen;
    struct tail tail;     /* the end of the log: what is not applied, or may yet be sent */
    struct places places; /* where in the log what is before that can be read; none when alone */
    struct list catchups; /* of those who are sent entries from there */
    struct tail_entry *own_room; /* for the next entry of raft's own */
    size_t kept_bytes;           /* of entries in it that are applied */
    uint64_t applied_bytes;      /* of entries, since raft was last told */
    raft_index given;            /* entries before this one are in the log's hands */
    raft_index unsynced;         /* entries before this one were reported to raft as durable */
    uint64_t ticket;             /* the last one reported */
    struct head head;            /* membership and ceiling: what is applied; hard state: raft's */
    bool log_failed;             /* raft knows */
    bool head_owed;              /* it has changed, and is to go into the log */
    bool gathered;         /* records were appended, and the log's thread was not told of them */
    bool sync_gathered;    /* and one of them is to be fsynced */
    uint64_t head_ticket;  /* raft's, for the hard state in it; 0: none */
    wal_position head_end; /* of its record */
    raft_index applied;
    raft_term applied_term;
    raft_index
        void_limit; /* in a replay: where the void entries that were met last would go on; 0: none */
    struct list passed;           /* in a replay: in order; owned */
    bool passed_lost;             /* there was no memory for one */
    uint64_t replayed_ceiling_ms; /* the highest in the log, committed or not */
    version_t version;            /* of the last entry in the tail, or evaluated */

    /* splits (split.c) */
    struct planting *planting;  /* of the next entry, which is a split; NULL: none is under way */
    bool split_prepared;        /* what was in memory is being flushed */
    raft_index split_proposed;  /* ours, not yet applied; 0: none */
    struct scope *split_leaves; /* what will be left then; owned; NULL: none is proposed */
    _Atomic uint64_t edition;   /* of the scope, as applied; read by tablet_read() anywhere */

    /* snapshots */
    struct shipment *shipment; /* that we send; NULL: none */
    struct staging *staging;   /* that we receive; NULL: none */
    struct damage damage;      /* of our own, found by one that we sent */
    _Atomic bool is_damaged;   /* tablet_is_damaged() */
    bool install_due;          /* raft has just said: install what is staged */
    bool installing;           /* the tree is another's: nothing is applied */
    bool leaves;               /* it is about to be dropped, and takes part in nothing (Z3) */
    uint32_t job_count;        /* of these, and of catch-ups, under way */
    struct tablet_counters stats;

    _Atomic uint64_t floor_ms;   /* the ceiling of the terms before: time is not earlier */
    _Atomic uint64_t ceiling_ms; /* committed; read by tablet_read() anywhere */
    bool ceiling_proposed;
    _Atomic bool ceiling_stuck; /* the log has no room for a higher one: reads stay at this one */
    _Atomic uint32_t holds;     /* tablet_hold() */

    /* Until when what is committed here may be told without asking the others; read by tablet_read()
     * anywhere. */
    _Atomic uint64_t reads_until_ns;

    struct overlay overlay;
    struct list barriers; /* struct barrier, by index and round */
    bool wants_round;     /* a barrier waits for one that has not begun */
    uint64_t
        undecided_since_ns; /* since when others decide on what we had proposed; 0: they do not */
    raft_index answered;    /* the highest write of a weaker class whose caller was told */
    size_t pending_bytes_max;
    uint64_t clears_pending; /* clears that are in the log and not applied */

    struct list waiting; /* requests that wait for room, a stall, or the ceiling; in order */
    struct list parked;  /* requests whose cold read is under way */
    struct list behind;  /* requests behind a parked one of the same origin; in order */
    uint32_t waiting_count;
    uint32_t request_count;  /* taken and not answered */
    enum engine_stall stall; /* what began the present stall of writes; NONE: there is none */
    uint64_t stall_since_ns;

    struct arena arena; /* values made by the evaluation under way */
};

/* ------------------------------------------------------------------ the reactor's part (reactor.c) */

/* The tablet, owned by the reactor and in no roster, or NULL; and its end: nothing is pending, nobody holds
 * it (birth.c). */
struct tablet *tablet__make(struct tablet_reactor *reactor, struct engine_tree *tree,
                            const struct raft_config *founders);
void tablet__destroy(struct tablet *t);

/* It takes part in nothing any more: whoever waits is answered, and jobs are to end. */
void tablet__leave(struct tablet *t);

/* Tablets that leave and are free by now, leave (lifetime.c); and what the node has of changes goes. */
void lifetime_tick(struct tablet_reactor *r);
void lifetime_release(struct tablet_node *n);

/* tablet__end_round() is to be called at the end of this round. */
void tablet__mark(struct tablet *t);

/* The same event for all tablets of the reactor. */
void tablet__tell_all(struct tablet_reactor *r, struct raft_event event);

/* tablet__moved() is to be called when the log moves next. */
static inline void
tablet__await_log(struct tablet *t)
{
    if (list_empty(&t->on_awaiting))
        list_push_back(&t->reactor->awaiting, &t->on_awaiting);
    engine_await_log(&t->reactor->listener);
}

/* The log has moved, or a stall has ended: commit, apply, answer, and go on with what waited. */
void tablet__moved(struct tablet *t);

/* ------------------------------------------------------------------ answers */

/* The owner has done with the request: `done` is called on the request's own loop. */
void tablet__finish(struct tablet *t, struct request *r, enum status st);

/* The parked request of this origin is gone: those behind it follow, until one parks again. */
void tablet__release_behind(struct tablet *t, uint64_t origin);

/* Answer those whose deadline has passed (deadline.c). */
void tablet__expire(struct tablet *t, uint64_t now_ns);

/* ------------------------------------------------------------------ evaluation (evaluate.c) */

/* What a key is now, to whoever looks. */
struct current {
    bool exists;
    bool tombstone; /* does not exist, and a deletion is remembered */
    struct slice value;
    version_t version;
    uint64_t expiry_ms;
};

void current_judge(struct current *c, const struct entry *e, uint64_t now_ms);

/* The result of a read operation on what the key is now.  The value borrows from `c`. */
void op_read(const struct op *op, const struct current *c, struct op_result *out);

/* One evaluation under way. */
struct unit {
    struct tablet *t;
    struct request *r;
    uint64_t now_ms;
    version_t version;    /* that its writes will have */
    struct entry *writes; /* results so far, one per key; in the arena */
    uint32_t write_count;
    uint32_t write_capacity;
    uint32_t *slots; /* hash of keys to writes (index + 1), once there are many; in the arena */
    uint32_t slot_count;
    bool clear;
    bool blocked;       /* a read needs the disk */
    enum status status; /* why the unit as a whole fails */
};

/* Evaluate the request.  ST_OK: its answer (ST_OK, ST_CONFLICT, or what a retry is told), results
 * and writes are ready.  ST_WOULD_BLOCK: nothing happened; read cold first.  ST_INVALID,
 * ST_TOO_BIG, ST_NO_MEMORY, ST_CORRUPT, ST_IO. */
MUST_USE enum status tablet__evaluate(struct unit *u);

/* Used by the operations (ops.c): what a key is, seen from inside the unit.  Without `bytes` the
 * value has its size, but its bytes may be missing.  ST_TOO_BIG: the unit holds too much. */
MUST_USE enum status unit_look(struct unit *u, struct slice key, bool bytes, struct current *out);
MUST_USE enum status unit_put(struct unit *u, struct slice key, struct slice value,
                              uint64_t expiry_ms);
MUST_USE enum status unit_delete(struct unit *u, struct slice key);
/* Bytes that live as long as the unit. */
void *unit_bytes(struct unit *u, size_t size);

MUST_USE enum status op_evaluate(struct unit *u, const struct op *op, struct op_result *out);

/* Stored key: kind byte and the user's key.  `room` has LIMIT_STORED_KEY_BYTES. */
struct slice stored_key(enum key_kind kind, struct slice key, uint8_t *room);

/* Copy a result's value into the request's scratch (until finish_results, as an offset). */
MUST_USE enum status results_keep(struct request *r);

/* ------------------------------------------------------------------ proposing (propose.c) */

/* Put the unit's writes, or a small body, into the log and the tail.
 * ST_BUSY, ST_NO_SPACE: no room now; nothing happened.  ST_IO, ST_NO_MEMORY. */
MUST_USE enum status tablet__propose_batch(struct unit *u, struct err *err);
MUST_USE enum status tablet__propose_small(struct tablet *t, enum body_kind kind,
                                           uint64_t ceiling_ms, struct request *r, struct err *err);
MUST_USE enum status tablet__propose_split(struct tablet *t, const struct split *split);
/* The request is answered when everything proposed so far is committed. */
MUST_USE enum status tablet__propose_barrier(struct tablet *t, struct request *r);

/* ------------------------------------------------------------------ consensus (drive.c, effects.c) */

/* One event for raft, and its effects carried out (effects.c); what the log has no room for is owed.  `in`: the
 * entries that came with it, or NULL.  As raft_step(); ST_NO_MEMORY: nothing has happened.  Requests may be answered before it returns. */
struct incoming;
MUST_USE enum status tablet__step(struct tablet *t, struct raft_event event, struct incoming *in);

/* The same for an event whose loss raft endures, and what follows from it. */
void tablet__hear(struct tablet *t, struct raft_event event);

/* Time has passed. */
void tablet__tick(struct tablet *t);

/* Term and vote: raft's, or without it what the log and the tree's oath say. */
struct raft_hard tablet__hard(const struct tablet *t);

/* What is to be remembered of this replica when its tree is dropped. */
struct engine_oath tablet__oath(const struct tablet *t);

/* Another membership is in force. */
void tablet__config_moved(struct tablet *t);

/* With this membership, is the group this replica, and nobody else? */
bool tablet__is_alone(const struct tablet *t, const struct raft_config *config);

/* Do we evaluate requests: leader, and everything committed in earlier terms is applied? */
bool tablet__leads(const struct tablet *t);

/* Say anew until when what is committed here may be told at once. */
void tablet__publish_reads(struct tablet *t);

/* Are we still the leader for certain, now?  To be asked after the value was read. */
/* replay.c: what was passed over counts now; or is of no use.  ST_NO_MEMORY. */
MUST_USE enum status tablet__take_passed(struct tablet *t);
void tablet__forget_passed(struct tablet *t);
raft_term tablet__last_term(const struct tablet *t); /* of the log */

/* A head as it is now, into the log (drive.c). */
MUST_USE enum status tablet__append_head(struct tablet *t, struct err *err);

/* Its members are to say that they live (tablet/neighbours.h). */
void tablet__want_members(const struct tablet *t);
bool tablet__holds_lease(const struct tablet *t);

/* Append the entry to the log, as the next one of the term that we lead in, and tell raft: then it
 * is in the tail.  Otherwise the entry stays the caller's.  ST_BUSY, ST_NO_SPACE, ST_IO. */
MUST_USE enum status tablet__append_proposed(struct tablet *t, struct tail_entry *e,
                                             struct err *err);

/* Give the log what it has not yet: entries of raft's own, the hard state.  ST_OK: all of it. */
enum status tablet__give(struct tablet *t, struct err *err);

/* Tell raft what has become durable. */
void tablet__note_durable(struct tablet *t);

uint64_t tablet__boot_ns(const struct tablet *t);

/* The tablet's time, which no ceiling holds back: never before what a leader before us may have used. */
uint64_t tablet__clock_ms(const struct tablet *t, uint64_t boot_ns);

/* tablet_now_ms(), by the clock read anew: what expires is judged by it, wherever.  A loop's own time is that
 * of the beginning of its round, and another loop's may be ahead of it.  Any thread. */
uint64_t tablet__now_anew_ms(const struct tablet *t);

/* Into the tail, for which there is room, and charged to the budget (P6); and the end of an entry that
 * was taken out of it. */
void tablet__keep(struct tablet *t, struct tail_entry *e);
void tablet__forget(struct tablet *t, struct tail_entry *e);

/* The first of the tail, which is applied. */
void tablet__forget_first(struct tablet *t);

/* ------------------------------------------------------------------ the others (receive.c, replicate.c) */

/* A message of another replica, as exchange.h has it. */
void tablet__receive(struct tablet *t, uint64_t from, enum exchange_type type, struct slice bytes);

/* The entry at the index, of those that came; it is the caller's from now on. */
struct tail_entry *incoming_take(struct incoming *in, raft_index index);

/* Send the followers what they lack, as far as their windows are open, and let go of what nobody will
 * want. */
void tablet__replicate(struct tablet *t);

/* False: the message has enough; one entry it takes in any case. */
bool outgoing_add(struct outgoing *out, const struct raft_entry *e, uint64_t bytes_max);

/* What happened in this round goes out. */
void tablet__end_round(struct tablet *t);

/* ------------------------------------------------------------------ the log behind the tail (catchup.c) */

/* Entries from append.first on, which is before the tail, and in the log for all that the places know; they
 * live until this is asked for the same member again.  ST_WOULD_BLOCK: they are being read, and raft_can_send() will be
 * said.  ST_BUSY, ST_NO_MEMORY: there is no room for them now. */
MUST_USE enum status catchup_gather(struct tablet *t, const struct raft_append *append,
                                    struct outgoing *out);

void catchup_tick(struct tablet *t, uint64_t now_ns);
void catchup_destroy(struct tablet *t); /* no job of theirs runs */

/* ------------------------------------------------------------------ snapshots (shipment.c, staging.c) */

/* Begin to send a snapshot to whoever needs one. */
void shipment_begin_if_due(struct tablet *t);
void shipment_wanted(struct tablet *t, uint64_t from, struct slice bytes);
void shipment_received(struct tablet *t, uint64_t from, struct slice bytes);
void shipment_tick(struct tablet *t, uint64_t now_ns);

void staging_offered(struct tablet *t, uint64_t from, struct slice bytes);
void staging_piece(struct tablet *t, uint64_t from, struct slice bytes);
void staging_tick(struct tablet *t, uint64_t now_ns);

/* The node drains: what is under way ends, and the other side is told. */
void shipment_give_up(struct tablet *t);
void staging_give_up(struct tablet *t);

/* The tablet's end; no job of theirs runs.  Job code. */
void shipment_destroy(struct tablet *t);
void staging_destroy(struct tablet *t);

/* ------------------------------------------------------------------ splits (split.c) */

/* The tablet comes out of another; nobody has it yet.  ST_NO_MEMORY. */
MUST_USE enum status tablet__bear(struct tablet *t, const struct head *head);

/* Is the request about what is ours?  ST_OK; ST_MOVED; ST_BUSY: it is while a split is not committed. */
enum status split_admits(const struct tablet *t, const struct request *r);

/* The entry is the next.  ST_OK: what it leaves to the other is there, and ours is narrower; ST_BUSY, ST_NO_MEMORY:
 * later. */
MUST_USE enum status split_apply(struct tablet *t, const struct tail_entry *e);

/* In a replay: it may have been carried out, and its tablet have been made before that could be told to the log. */
MUST_USE enum status split_met(struct tablet *t, const struct tail_entry *e);
/* The same of one that the tables reach beyond: our part of it.  ST_NO_MEMORY. */
MUST_USE enum status split_passed(struct tablet *t, const struct passed *p);

/* Our scope is that of the head, which comes out of the log or from another member.  ST_NO_MEMORY: nothing happened. */
MUST_USE enum status split_take_scope(struct tablet *t, const struct head *head);

/* What was proposed may never be committed. */
void split_abandon(struct tablet *t);
void split_destroy(struct tablet *t);

/* ------------------------------------------------------------------ damage of ours (damage.c) */

/* The table with this number is not what it was, as `err` says, and `waits`, who needs it, cannot be sent
 * it: said once, and another voter is asked to lead. */
void damage_found(struct tablet *t, uint64_t waits, uint64_t table, const struct err *err);

/* ------------------------------------------------------------------ applying (apply.c) */

/* Apply and answer what is committed by now; in order. */
void tablet__apply_committed(struct tablet *t);

/* Answer the reads that nothing is in the way of any more. */
void tablet__answer_barriers(struct tablet *t);

/* One entry into the tree.  ST_NO_MEMORY, ST_BUSY: later. */
MUST_USE enum status tablet__apply(struct tablet *t, const struct tail_entry *e);

/* We lead no more: what was proposed and is not committed leaves the overlay, and will not be answered by
 * its commitment.  Those who wait for it come into `orphans`, to be answered when everything else is
 * done: whoever is answered may submit again. */
void tablet__abandon_proposed(struct tablet *t, struct list *orphans);

/* We lead no more, but are a member: what was proposed leaves the overlay, and who waits for it is answered when
 * the next leader has committed it, or has cut it off (then it is refused: it was never applied); when neither comes
 * soon, its outcome is unknown.  `orphans` as above. */
void tablet__step_down(struct tablet *t, struct list *orphans);
void tablet__undecided_tick(struct tablet *t, uint64_t now_ns);
void tablet__give_up_undecided(struct tablet *t);
void tablet__answer_orphans(struct tablet *t, struct list *orphans);

/* ------------------------------------------------------------------ cold reads (cold.c) */

/* Keys that only the disk knows, read by a job.  It has copies of the keys, so the request may be
 * answered (at its deadline) before the job is done. */
struct cold_key {
    struct slice stored; /* in the arena */
    struct lsm_found found;
    bool present;
    bool size_only; /* nobody asks for the value: only its size is kept, without bytes */
};

struct cold_read {
    struct job job;
    struct list link; /* in the reader's list */
    struct tablet *tablet;
    struct request *request; /* NULL: abandoned */
    void (*ready)(struct request *r);
    struct lsm_snapshot *own;       /* released with the read; NULL: none */
    const struct lsm_snapshot *pin; /* NULL: the newest version is wanted */
    version_t version;              /* to read at */
    uint64_t flushed_index;         /* the tree's mark when it was begun */
    uint64_t now_ms;
    size_t bytes_max; /* of values; beyond: ST_TOO_BIG */
    size_t bytes;
    _Atomic bool abandoned; /* the job need not go on */
    bool finished;
    enum status status;
    struct err err;
    struct arena arena;
    bool every_key; /* not only those that only the disk knows */
    struct cold_key *keys;
    uint32_t key_count;
    uint32_t next; /* key to be asked for: mostly they are, one after the other */
};

/* Read with a job what the request looks at: at the request's snapshot, or at `own` (which is
 * taken over on success), every key; without either, the newest version of those keys that only
 * the disk knows, and of every key when the request was read for before.  `ready` is called on the
 * reader's loop, with r->cold filled in.  ST_NO_MEMORY: nothing happened. */
MUST_USE enum status cold_start(struct tablet *t, struct tablet_reader *reader, struct request *r,
                                struct lsm_snapshot *own, void (*ready)(struct request *r));

/* What was read of this key; NULL: it was not among the keys.  `*present` false: there is none. */
const struct cold_key *cold_find(struct cold_read *c, struct slice stored);

/* The request no longer needs it; a job under way is abandoned. */
void cold_release(struct request *r);

/* A finished read that belongs to no request any more.  NULL is allowed. */
void cold_destroy(struct cold_read *c);

#endif
