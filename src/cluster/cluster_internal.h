/* What the files of cluster/ share. */
#ifndef CLUSTER_INTERNAL_H
#define CLUSTER_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/refrain.h"

#include "cluster/cluster.h"
#include "cluster/dialog.h"
#include "cluster/fitness.h"
#include "cluster/recovery.h"
#include "cluster/steward.h"
#include "engine/engine.h"
#include "tablet/exchange.h"
#include "tablet/tablet.h"

enum {
    CHANGE_RECORDS_MAX = 128, /* of one change */
    CHANGE_BYTES_MAX = 1 << 20,
    CHANGE_MS = 5000, /* its deadline */
    NS_PER_MS = 1000000,
};

enum message_type {
    MESSAGE_HUNGRY = CLUSTER_MESSAGE_MIN, /* since:varint: feed me */
    MESSAGE_FEED,                         /* book.h */
    MESSAGE_RUMOUR,                       /* version:varint: there is as much to be had of me */
    MESSAGE_DEPART,                       /* empty: I am about to stop */
    MESSAGE_REPORTS,                      /* report.h, one after the other */
    MESSAGE_SWIM,                         /* swim/ */
    MESSAGE_ORDER,                        /* orders.c */
    MESSAGE_DONE,
    MESSAGE_ASK_FITNESS, /* empty: how are you? (consult.c) */
    MESSAGE_FITNESS,     /* fitness.h */
    MESSAGE_SURVEY,      /* survey.c */
    MESSAGE_SURVEYED,
    MESSAGE_IMPOSE,
    MESSAGE_DAMAGES, /* damages.c */
    MESSAGE_ROOM,    /* rooms.c */
    MESSAGE_TYPE_LIMIT
};

/* One loop's part. */
struct seat {
    struct cluster *cluster;
    struct tablet_reactor *reactor;
    uint32_t index;
    const struct atlas *atlas;                /* a reference of its own */
    _Atomic(const struct atlas *) next_atlas; /* a reference, on its way; NULL */
    _Atomic bool atlas_posted;
    struct task atlas_task;
    struct list guests;     /* dialogs with strangers (admission.c) */
    uint64_t groups_at_ns;  /* when its groups are looked at next (groups.c) */
    uint64_t reports_at_ns; /* when they are all reported again */
    uint64_t log_durable;   /* what the log had of its groups when it was looked at (consult.c) */
    _Atomic uint64_t
        log_moved_ns; /* when it took anything last, or had nothing to take; 0: never seen */
    struct task task; /* of wires_open_running() */
    struct task back_task;
    enum status connect_status;
    struct err connect_err;
};

/* What a read of the metadata has found to be its version, and when it was begun (confirm.c). */
struct confirm {
    _Atomic uint64_t begun_ns;
    _Atomic version_t version;
    _Atomic bool wanted;
    bool busy;
    uint64_t asked_ns;
    struct request request;
    struct op op;
    struct op_result result;
    uint8_t key[RECORD_KEY_BYTES];
};

/* What another node has said of itself (consult.c). */
struct opinion {
    uint64_t node;
    uint64_t asked_ns;
    uint64_t said_ns; /* 0: never */
    struct fitness fitness;
};

struct cluster {
    struct cluster_options options;
    struct engine *engine;
    struct env *env;
    struct loop *loop; /* 0 */
    uint64_t self;
    struct seat *seats; /* owned; one per loop */

    struct book book;
    const struct atlas *atlas; /* a reference; of the book as of atlas->version */
    bool redraw_due;           /* there was no memory for the next one */
    bool is_fixed;             /* by options.fixed, which is gone */
    bool draining;
    uint32_t under_way; /* changes, jobs, tasks that will come back here */

    struct tablet *meta; /* the metadata tablet, when it is here; NULL */

    /* the file (shelf.c) */
    struct job save_job;
    bool saving;
    struct buf save_bytes;
    version_t save_version; /* of these */
    enum status save_status;
    version_t saved; /* the file has the metadata up to here */
    uint64_t save_at_ns;

    /* feeding (feed.c) */
    uint64_t hungry_at_ns;
    version_t rumour;     /* the highest version that others are said to have */
    uint64_t rumour_node; /* and who; 0: nobody in particular */
    uint32_t feed_turn;
    bool unread; /* the metadata's tree has what the book may lack */
    bool reading;
    struct job read_job;
    struct tablet *read_from; /* held meanwhile; it may be dropped as `meta` */
    struct buf read_bytes;
    enum status read_status;

    /* entering (entry.c) */
    struct dialog *petition; /* ours, under way */
    uint64_t petition_at_ns;
    uint32_t petition_turn;
    struct refrain petition_failures;
    struct job adopt_job;
    uint8_t adopted[CLUSTER_ID_BYTES];
    enum status adopt_status;
    bool adopting;
    bool is_refused;

    struct confirm confirm;

    /* nodes about to stop (departure.c) */
    _Atomic bool departs;  /* this one */
    struct office *office; /* the steward's (office.c) */
    struct watch *watch;   /* who answers (watch.c) */
    struct pace {
        _Atomic uint64_t gossip_ms;
        _Atomic uint64_t suspicion_ms;
        _Atomic uint64_t down_ms;
        _Atomic uint64_t failure_ms;
        _Atomic bool changed; /* the watch has not seen these yet */
    } pace;

    struct slowness {
        uint64_t looked_ns;
        uint64_t syncs; /* of the log, until then */
        uint64_t sync_ns;
        _Atomic uint64_t until_ns; /* we count as slow */
    } slowness;                    /* our own (consult.c) */
    struct lock opinions_lock;
    struct opinion
        opinions[TABLET_NODES_MAX]; /* by the neighbours' slots; all loops look at them */

    /* what operators ask (orders.c) */
    struct list orders;      /* those that were handed on */
    uint64_t order_id;       /* of the last one; an earlier process of this node had others */
    struct recover *recover; /* under way (recover.c); NULL: none is */

    struct damages *damages; /* what others have told (damages.c) */
    struct scrub *scrub;     /* scrub.c */

    struct rooms {
        struct steward_room at[TABLET_NODES_MAX + 1];
        uint64_t heard_ns[TABLET_NODES_MAX + 1];
        uint32_t count;
    } rooms; /* as others have told, and we ourselves (rooms.c) */

    /* replicas (holdings.c) */
    struct list moves; /* struct move */
    uint32_t move_count;
    uint64_t
        held_edits; /* the book's, when it was last looked at; 0: it is to be looked at again */
    uint64_t heard_edits; /* and whatever else there was to do */
    uint64_t heard_ns;    /* when they were seen first */
    uint64_t holdings_at_ns;

    /* connections (wires.c) */
    uint64_t incarnation;
    struct peer **peers; /* owned array, by loop; for the listener */
    struct listener *listener;
    uint32_t seats_to_connect;
};

/* Our own record; NULL: we were never let in. */
const struct node_record *cluster__ourselves(const struct cluster *c);

/* The record of ourselves, as we would have it. */
struct node_record cluster__as_we_are(const struct cluster *c);

/* With whom the group begins, for a replica on `self` that has nothing of it yet. */
void cluster__founders_of(const struct tablet_record *record, uint64_t self,
                          struct raft_config *out);

/* The store has taken on the cluster's id: from now on others can be called. */
void cluster__adopted(struct cluster *c);

/* The book has changed: a new atlas for everybody. */
void cluster__redraw(struct cluster *c);

/* ------------------------------------------------------------------ shelf.c: the file ATLAS */

/* Into the book.  ST_OK: there may be no file. */
MUST_USE enum status shelf_load(struct cluster *c, struct err *err);
/* Start-up code: what the log has brought beyond the file is in it, too, when this returns; unless it could not be
 * written, which is said, and tried again by the ticks. */
void shelf_settle(struct cluster *c);
void shelf_tick(struct cluster *c, uint64_t now_ns);

/* ------------------------------------------------------------------ incarnation.c: the file of that name */

/* Start-up code: c->incarnation is higher than that of any process before that had this data directory. */
void incarnation_begin(struct cluster *c);

/* ------------------------------------------------------------------ feed.c */

void feed_tick(struct cluster *c, uint64_t now_ns);
void feed_asked(struct cluster *c, uint64_t from, struct slice payload);
void feed_came(struct cluster *c, struct slice payload);
/* Tell all nodes that the book has changed, and here. */
void feed_announce(struct cluster *c);
void feed_heard(struct cluster *c, uint64_t from, struct slice payload);

/* Somebody has a book of this version. */
void feed_rumour(struct cluster *c, uint64_t node, version_t version);

/* All records of the metadata's tree.  Start-up and job code. */
MUST_USE enum status feed_from_tree(struct tablet *meta, struct book *b, struct err *err);

/* The metadata tablet has applied this, or (no entries) was replaced. */
void feed_applied(void *ctx, const struct entry *entries, uint32_t count);

/* ------------------------------------------------------------------ change.c */

struct change;
typedef void change_fn(void *ctx, enum status st, const struct err *err);

/* Records that are to be written together, on the condition that the metadata is as in the atlas `on`. */
struct change *change_begin(struct cluster *c, const struct atlas *on); /* NULL: out of memory */
MUST_USE enum status change_put(struct change *g, const struct record *r);
/* The metadata is as of `on`, and the book is of later: all records of the book that are newer than `since` and not newer
 * than `limit`, as many as one change can have, as they are.  NULL: out of memory. */
struct change *change_restore(struct cluster *c, version_t on, version_t since, version_t limit);
uint32_t change_count(const struct change *g);
void change_drop(struct change *g); /* nothing was written */

/* Takes it.  `fn` is called once: ST_OK, and the book has it; ST_CONFLICT: the metadata was another;
 * the statuses of a request otherwise. */
void change_commit(struct change *g, change_fn *fn, void *ctx);

/* ------------------------------------------------------------------ departure.c */

void departure_heard(struct cluster *c, const struct peer_sender *from);
bool departure_of(const struct cluster *c, uint64_t node); /* any loop */

/* ------------------------------------------------------------------ entry.c */

void entry_tick(struct cluster *c, uint64_t now_ns);
void entry_end(struct cluster *c);

/* ------------------------------------------------------------------ admission.c */

void admission_seat_tick(struct seat *s, uint64_t now_ns);
void admission_stranger(struct seat *s, struct stream *stream, struct slice begin);
void admission_close(struct cluster *c);

/* ------------------------------------------------------------------ holdings.c */

void holdings_tick(struct cluster *c, uint64_t now_ns);

/* ------------------------------------------------------------------ confirm.c */

/* Any loop: was the seat's atlas the newest at some moment after that?  If not, it is to be found out. */
bool confirm_is_since(const struct seat *s, uint64_t since_ns);
void confirm_want(struct seat *s);
void confirm_tick(struct cluster *c, uint64_t now_ns);

/* ------------------------------------------------------------------ groups.c */

void groups_tick(struct seat *s, uint64_t now_ns);

/* ------------------------------------------------------------------ consult.c */

/* On each loop, again and again: do its groups have anything that the log has not made durable, and how much
 * has it? */
void consult_see_log(struct seat *s, bool awaits, uint64_t durable, uint64_t now_ns);

void consult_tick(struct cluster *c, uint64_t now_ns);

/* How we are to lead; on any loop. */
void consult_ourselves(const struct cluster *c, uint64_t now_ns, struct fitness *out);

/* How another node is.  False: it has not said so lately, and is asked. */
bool consult_about(struct seat *s, uint64_t node, uint64_t now_ns, struct fitness *out);

void consult_asked(struct cluster *c, uint64_t from);
void consult_answered(struct cluster *c, uint64_t from, struct slice payload);

/* ------------------------------------------------------------------ office.c */

MUST_USE enum status office_create(struct cluster *c);
void office_destroy(struct cluster *c);
void office_reported(struct cluster *c, uint64_t from, struct slice payload);
void office_view(struct cluster *c, struct steward_view *out);
/* Where a new tablet should be; how many nodes. */
uint32_t office_wanted(struct cluster *c, const struct tablet_record *t, uint32_t replicas,
                       uint64_t out[CLUSTER_REPLICAS_MAX]);
void office_tick(struct cluster *c, uint64_t now_ns);

/* ------------------------------------------------------------------ orders.c */

void orders_asked(struct cluster *c, uint64_t from, struct slice payload);
void orders_answered(struct cluster *c, struct slice payload);
void orders_tick(struct cluster *c, uint64_t now_ns, bool all);

/* ------------------------------------------------------------------ survey.c */

/* Who was silent for so long may be lost for good. */
enum { SURVEY_SILENCE_MS = 5000, SURVEY_BYTES_MAX = 16 << 20 };

/* UINT64_MAX: it was never heard of. */
uint64_t survey_silent_ms(const struct cluster *c, uint64_t node);

void survey_asked(struct cluster *c, uint64_t from, struct slice payload);
void survey_imposed(struct cluster *c, struct slice payload);

/* An order for the node of `chosen`.  ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status survey_encode_imposition(const struct remnant *chosen, raft_term term,
                                              const struct left *left, const struct left *learners,
                                              struct buf *out);

/* ------------------------------------------------------------------ recover.c */

void recover_told(struct cluster *c, uint64_t from, struct slice payload);
void recover_tick(struct cluster *c, uint64_t now_ns);
void recover_drain(struct cluster *c);

/* ------------------------------------------------------------------ damages.c, scrub.c */

MUST_USE enum status damages_create(struct cluster *c);
void damages_destroy(struct cluster *c);
void damages_heard(struct cluster *c, uint64_t from, struct slice payload);
void damages_view(struct cluster *c, struct steward_view *out);

/* On the tablet's loop: what is to be told of it, if its copy here is damaged.  Room for a message of these. */
struct buf damages_room(void);
void damages_add(const struct tablet *t, const struct tablet_record *record, uint64_t self,
                 struct buf *out);

MUST_USE enum status scrub_create(struct cluster *c);
void scrub_destroy(struct cluster *c);
void scrub_tick(struct cluster *c, uint64_t now_ns);

/* ------------------------------------------------------------------ rooms.c */

/* What there is to be said of our disk; a message of its own. */
MUST_USE struct buf rooms_say(const struct cluster *c);
void rooms_heard(struct cluster *c, uint64_t from, struct slice payload);
void rooms_view(struct cluster *c, struct steward_view *out);

/* ------------------------------------------------------------------ watch.c */

/* With memory of its own, which cluster_close() gives back.  ST_NO_MEMORY. */
MUST_USE enum status watch_create(struct cluster *c);
void watch_destroy(struct cluster *c);
enum node_health watch_health(const struct cluster *c, uint64_t node);
void watch_heard(struct cluster *c, uint64_t from, struct slice payload);
void watch_tick(struct cluster *c, uint64_t now_ns);

/* ------------------------------------------------------------------ wires.c */

/* Call the other nodes and listen to them; start-up code, or while the loops run. */
MUST_USE enum status wires_open(struct cluster *c, struct err *err);
void wires_open_running(struct cluster *c);
void wires_close(struct cluster *c);

void wires_redraw(struct seat *s, const struct atlas *now, const struct atlas *old);

/* To another node, on this loop's connection; lost when there is none.  Node 0 is nobody. */
void wires_send(struct seat *s, uint64_t node, enum message_type type, struct slice payload);

/* To our own loop 0, as if it had come from there. */
void wires_carry(struct seat *s, const struct peer_sender *from, enum message_type type,
                 struct slice payload);

/* ------------------------------------------------------------------ found.c */

/* The first records, into the metadata tablet; start-up code. */
MUST_USE enum status found_cluster(struct cluster *c, struct err *err);

#endif
