/*
 * kv/kv.h — the coordinator: the one interface that every session calls.
 *
 * It knows keyspaces and their tablets, finds the owner of a request, carries
 * it there, to another node if need be, and brings the result back.  Reads of published state run on the
 * caller's reactor; everything else on the tablet's.
 *
 * Every reactor has a door of its own; a door is used on its loop only.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include "base/budget.h"
#include "base/status.h"

#include "cluster/cluster.h"
#include "engine/engine.h"
#include "lsm/state_hash.h"
#include "peer/peer.h"
#include "tablet/request.h"

struct kv;
struct cluster;
struct kv_door;
struct tablet;

/* The nodes that keep the data together.  The store's identity (engine_options) names the cluster and
 * this node. */
struct kv_node {
    uint64_t id;
    const char *host; /* numeric */
    uint16_t port;    /* of its peers */
};

struct kv_cluster {
    const struct kv_node *nodes; /* this one among them */
    uint32_t node_count;
    const uint64_t *founders; /* in ascending order: with whom new keyspaces are born */
    uint32_t founder_count;
    /* 1 .. 4096, the same on all nodes; the first LIMIT_DATABASES are Redis's databases. */
    uint32_t keyspace_count;
    uint32_t tablets;       /* of each keyspace; 0: one */
    uint32_t lease_percent; /* see raft.h; 0: none */
    /* Any node answers any request: what it does not lead, it asks the leader's.  Otherwise it refuses,
     * and says who leads. */
    bool forward;
    const struct peer_faults *faults; /* for the simulator; borrowed; NULL: none */
};

/* A node that others can join, or that joins others. */
struct kv_address {
    const char *host; /* numeric; NULL: none */
    uint16_t port;
};

struct kv_member {
    const char *cluster_name; /* of a cluster that begins here */
    const char *zone;         /* "": none */
    uint32_t weight;          /* on the ring: 100 .. 256; 0: it stores nothing */
    struct kv_address listen; /* for other nodes */
    struct kv_address peer;   /* what they are told to call */
    struct kv_address client; /* what clients are told to call */
    struct kv_address
        join; /* a member's peer port; port 0: none.  The engine's of_no_cluster goes with it */
    struct cluster_pace pace;         /* zeros: those of the design */
    uint32_t lease_percent;           /* see raft.h; 0: none */
    const struct peer_faults *faults; /* for the simulator; borrowed; NULL: none */
    struct carrier *carrier; /* of the streams between nodes; borrowed; NULL: as they are */

    /* The cluster will never let this node in; on loop 0. */
    void (*refused)(void *ctx, const struct err *err);
    void *ctx;
};

struct kv_options {
    struct loop **loops; /* borrowed array, in order of index */
    uint32_t loop_count;
    const char *node_name;
    const struct kv_cluster *cluster; /* copied; NULL: it is not told, but formed */
    const struct kv_member *member;   /* copied, its texts borrowed; NULL: nobody can join it */
};

/* Replay the log, open every tablet of the data directory (creating the 16 Redis
 * databases of a new cluster), and be ready.  Start-up code.  The engine was opened and not
 * recovered; it is taken over, also on failure. */
MUST_USE enum status kv_open(struct kv **out, struct engine *engine,
                             const struct kv_options *options, struct err *err);

/* When silent nodes are what; bytes a second that snapshots for others may take; whether reads that this node
 * leads may rest on leases (as they do at first).  Any thread. */
void kv_set_pace(struct kv *kv, const struct cluster_pace *pace);
void kv_set_streaming(struct kv *kv, uint64_t bytes_per_second);
void kv_set_leases(struct kv *kv, bool used);

/* This node is about to stop: have others lead what it leads, as far as they can, within a second or two; then
 * call `done` on loop 0.  Requests are served meanwhile.  On loop 0; kv_drain() comes after `done`. */
void kv_hand_over(struct kv *kv, void (*done)(void *ctx), void *ctx);

/* Refuse new requests (ST_CLOSED), finish those under way (a read that has to change reactors may be refused,
 * too), give up what is being sent to other members or
 * received from them, then call `drained` on loop 0.  On loop 0. */
void kv_drain(struct kv *kv, void (*drained)(void *ctx), void *ctx);

/* Flush what is worth it, close the log clean, release everything.  The loops
 * have stopped.  Job code. */
MUST_USE enum status kv_close(struct kv *kv, struct err *err);

struct kv_door *kv_door_of(struct kv *kv, uint32_t loop_index);
struct budget *kv_budget(struct kv *kv);

/* ------------------------------------------------------------------ requests */

/* See tablet/request.h.  Checks the limits on keys, values and units. */
void kv_submit(struct kv_door *door, struct request *r);

/* Redis database number to keyspace; ST_NOT_FOUND. */
MUST_USE enum status kv_database(struct kv_door *door, uint64_t number, uint32_t *keyspace);

/* A keyspace by its name; ST_NOT_FOUND. */
MUST_USE enum status kv_keyspace_named(struct kv_door *door, struct slice name, uint32_t *keyspace);

/* The keyspace's tablets, by number from 0; 0: there are not so many. */
uint64_t kv_tablet_number(struct kv_door *door, uint32_t keyspace, uint32_t number);

/* The time by which expiry is judged, Unix ms (DESIGN "Time"). */
uint64_t kv_now_ms(struct kv_door *door, uint32_t keyspace);

/* Keep what is committed in a keyspace readable through request.snapshot, until released; for what is
 * read piece by piece on this node.  `asked` is a request to the keyspace, perhaps without operations, that is
 * answered with ST_OK just now: in its `done`.  So whatever was committed when it came is in the
 * snapshot.  ST_NO_MEMORY; ST_NOT_LEADER: another node has answered (request.elsewhere). */
MUST_USE enum status kv_snapshot_take(struct kv_snapshot *out, const struct request *asked);
void kv_snapshot_release(struct kv_snapshot *s); /* no request uses it; zeroed: none was taken */

/* ------------------------------------------------------------------ scans */

/* Reads the keys of a keyspace in order, from one snapshot of each of its tablets, in pieces: each
 * kv_scan_next() is one job, or one for each tablet concerned.  One at a time per scan.
 *
 * The first piece asks as every read does: whatever was committed before is in the snapshot, which is taken where
 * that was answered, here or at another node. */
struct kv_scan;

struct kv_scan_options {
    uint32_t keyspace;
    uint64_t tablet;    /* of this one alone; 0: of all that are concerned */
    struct slice from;  /* copied; first key wanted */
    struct slice limit; /* copied; first key not wanted, when has_limit */
    bool has_limit;
    bool after_from; /* `from` itself is not wanted */
    bool reverse;    /* from the end of the range downwards */
    bool want_values;
    struct slice pattern; /* copied; Redis glob, empty = everything */
    uint64_t deadline_ns; /* env_boot_ns(): by then the first piece knows what it may read */
};

struct kv_scan_piece {
    /* ST_OK, ST_CORRUPT, ST_IO, ST_BUSY, ST_CLOSED, ST_NO_MEMORY; of the first: ST_NOT_LEADER,
     * ST_TIMEOUT.  ST_BUSY, too: it was read at another node, which is gone; a new scan may succeed. */
    enum status status;
    uint64_t leader;       /* as request.leader */
    const struct err *err; /* when it is not ST_OK, and more is known; borrowed as `entries` */
    const struct entry
        *entries; /* user keys (no kind byte); borrowed until the next call on the scan */
    uint32_t count;
    uint64_t examined;     /* keys looked at, matching or not */
    bool end;              /* nothing is left */
    struct slice last_key; /* the last key looked at; borrowed as above */
};

typedef void kv_scan_fn(void *ctx, const struct kv_scan_piece *piece);

MUST_USE enum status kv_scan_open(struct kv_door *door, const struct kv_scan_options *options,
                                  struct kv_scan **out, struct err *err);

/* Up to `keys_max` matching keys, `examined_max` keys looked at, and about `bytes_max` of keys and
 * values; at least one key, unless the end is reached.  `fn` is called on the door's loop,
 * never before kv_scan_next() returns. */
void kv_scan_next(struct kv_scan *s, uint32_t keys_max, uint64_t examined_max, size_t bytes_max,
                  kv_scan_fn *fn, void *ctx);

/* Begin anew, on the same snapshot; no piece is under way. */
void kv_scan_rewind(struct kv_scan *s);

/* A piece that is under way is given up: `fn` is not called any more.  NULL is allowed. */
void kv_scan_close(struct kv_scan *s);

/* Redis's glob match, for KEYS and SCAN. */
bool kv_glob(struct slice pattern, struct slice text);

/* ------------------------------------------------------------------ administration */

/* KV_COUNT and KV_RANDOM do not ask who leads.  Who wants all that is committed submits a request without
 * operations first, and has the node do it that answered. */
enum kv_admin_kind {
    KV_COUNT,   /* unexpired keys of what is committed there; a paced job */
    KV_COMPACT, /* lsm_compact_all on every tablet of the keyspace */
    KV_SAVE,    /* flush every memtable, sync the log */
    KV_RANDOM,  /* a random key of what is committed there */
    KV_HASH,    /* what this member has applied, as one number, leader or not; a paced job */
};

/* Members of one group that have the same index have the same state: lsm/state_hash.h. */
struct kv_state {
    uint64_t index; /* of the last entry that is applied */
    uint64_t term;  /* and its term */
    struct state_hash records;
};

struct kv_admin {
    enum kv_admin_kind kind;
    uint32_t keyspace;
    uint64_t tablet; /* KV_COUNT, KV_RANDOM, KV_HASH: of which; 0: of the keyspace's first */
    uint64_t node;   /* KV_COUNT, KV_RANDOM: which node does it (request.elsewhere); 0: this one */
    void (*done)(
        struct kv_admin *self); /* on the door's loop; never before kv_admin_submit returns */

    enum status status; /* ST_BUSY, of KV_HASH: another member's state is being installed */
    struct err err;
    uint64_t count;                    /* KV_COUNT */
    struct kv_state state;             /* KV_HASH; with ST_OK */
    struct lsm_compact_report compact; /* KV_COMPACT */
    double seconds;
    struct buf key; /* KV_RANDOM; owned by the caller afterwards; empty with
                                          ST_NOT_FOUND */

    /* private */
    struct kv_door *door;
    struct list link;
    struct job job;
    struct task task;
    uint32_t step;
    struct tablet **held; /* owned; so that they stay */
    uint32_t held_count;
    struct lsm_snapshot *snapshot; /* KV_HASH, from its moment to the end of the job */
    uint64_t begun_ns;
    struct request far; /* to the node, when that is another one */
    struct op far_op;
    struct op_result far_result;
};

/* The memory belongs to kv until `done`. */
void kv_admin_submit(struct kv_door *door, struct kv_admin *a);

/* 0..1000 of a running KV_COMPACT. */
uint32_t kv_compact_permille(struct kv_door *door, uint32_t keyspace);

/* The keyspace's first tablet on this node, for who changes its group or looks at it, on tablet_loop(); NULL:
 * there is none here. */
struct tablet *kv_tablet(struct kv *kv, uint32_t keyspace);

/* The same of any tablet, by its id. */
struct tablet *kv_tablet_with(struct kv *kv, uint64_t id);

/* All that there are on this node, on loop 0. */
const struct tablet_roster *kv_tablets(struct kv *kv);

/* ------------------------------------------------------------------ figures */

struct kv_stats {
    uint64_t puts; /* operations, since the start */
    uint64_t gets;
    uint64_t deletes;
    uint64_t keys_estimate;
    struct engine_stats engine;
};
void kv_stats(struct kv *kv, struct kv_stats *out);

/* As above for one keyspace: its keys, estimated. */
uint64_t kv_keys_estimate(struct kv_door *door, uint32_t keyspace);

/* Is the node read-only now, and why?  ST_OK, ST_NO_SPACE, ST_IO. */
enum status kv_writable(const struct kv *kv);

struct cluster *kv_cluster_of(struct kv *kv); /* on loop 0 */

const char *kv_node_name(const struct kv *kv);
uint64_t kv_node_id(const struct kv *kv);

#endif
