/* What the files of kv/ share. */
#ifndef KV_INTERNAL_H
#define KV_INTERNAL_H

#include "base/limits.h"
#include "base/lock.h"

#include "kv/kv.h"
#include "raft/raft.h"
#include "tablet/tablet.h"

enum {
    KV_META_TREE = 1, /* the metadata tablet; random ids are never below KV_TREE_ID_MIN */
    KV_TREE_ID_MIN = 1 << 16,
    KV_TABLETS_PER_KEYSPACE = 1,
};

/* A named collection of keys; for now each has one tablet (DESIGN, "Keyspaces start with one"). */
struct keyspace {
    uint32_t id;
    char name[LIMIT_NAME_BYTES + 1];
    uint64_t tablet_id;
    struct tablet *tablet; /* the node's */
};

struct kv_counters {
    _Atomic uint64_t puts;
    _Atomic uint64_t gets;
    _Atomic uint64_t deletes;
};

struct kv_door {
    struct kv *kv;
    struct loop *loop;
    struct tablet_reactor reactor; /* the tablets of this loop */
    struct timer *tick;
    struct request_way way;  /* of requests that take no route */
    struct forward *forward; /* NULL: what this node does not lead is refused */
    uint64_t under_way;      /* pieces of scans and administrative jobs, not yet done */
    struct kv_counters counters;
    struct task drain_task;
    bool draining;
    bool drained;
};

/* Administrative jobs that wait for one another; one runs at a time. */
struct admin_queue {
    struct list waiting; /* struct kv_admin */
    bool running;
};

/* What was heard last of a door of another node (kv/serve.c). */
struct kv_fence {
    _Atomic uint64_t word;        /* process and stream, for request.fence */
    _Atomic uint64_t incarnation; /* of the process */
    _Atomic uint64_t former;      /* of the one before, which is heard no more; 0: there was none */
};

struct kv {
    struct engine *engine;
    struct node_clock clock;
    struct tablet_node node;  /* owns the tablets */
    struct listener *peers;   /* where other nodes call; NULL: alone */
    uint64_t incarnation;     /* of this process, as other nodes know it */
    struct peer **peer_of;    /* owned array, by loop; for the listener */
    struct kv_fence *fences;  /* owned; by neighbour and its door (kv/forward.h) */
    _Atomic uint32_t *losses; /* owned; by neighbour: how often it said that answers may be lost */
    char node_name[LIMIT_NAME_BYTES + 1];

    struct tablet *meta;        /* the node's */
    struct keyspace *keyspaces; /* owned; sorted by id */
    uint32_t keyspace_count;
    struct raft_config founders; /* of a new keyspace's tablets */
    uint32_t databases;          /* how many a new store gets */

    struct kv_door *doors; /* owned; one per loop */
    uint32_t door_count;
    uint64_t slewed_ns;

    struct lock lock;         /* guards the queues */
    struct admin_queue heavy; /* compactions and flushes */
    struct admin_queue light; /* counts, hashes */

    _Atomic bool closing;
    _Atomic uint32_t drains_left;
    void (*drained)(void *ctx);
    void *drained_ctx;
    struct task drained_task;
};

struct keyspace *kv__keyspace(struct kv *kv, uint32_t id); /* NULL: there is none */

/* submit.c */

/* The limits on keys, values and units: ST_OK, ST_TOO_BIG. */
MUST_USE enum status kv__check_request(const struct request *r);
/* The door's requests take routes from now on. */
void kv__forward_from(struct kv_door *door);

/* keyspace.c */
MUST_USE enum status kv__load_keyspaces(struct kv *kv, struct err *err);
MUST_USE enum status kv__create_databases(struct kv *kv, struct err *err);

/* cluster.c */

/* With whom tablets are born.  ST_INVALID: a senseless cluster. */
MUST_USE enum status kv__found(struct kv *kv, const struct kv_cluster *cluster, struct err *err);
/* Listen to the other nodes, and call them; nothing when `cluster` is NULL. */
MUST_USE enum status kv__connect(struct kv *kv, const struct kv_cluster *cluster, struct err *err);
/* The tablet of a new keyspace: the same on every node that is born with this cluster. */
uint64_t kv__founding_tablet(const struct kv *kv, uint32_t keyspace);

#endif
