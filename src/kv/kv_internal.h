/* What the files of kv/ share. */
#ifndef KV_INTERNAL_H
#define KV_INTERNAL_H

#include "base/limits.h"
#include "base/lock.h"

#include "cluster/cluster.h"
#include "kv/kv.h"
#include "kv/map.h"
#include "raft/raft.h"
#include "tablet/tablet.h"

enum { KV_WEIGHT = 128 /* on the ring, of who says nothing of it */ };

struct kv_counters {
    _Atomic uint64_t puts;
    _Atomic uint64_t gets;
    _Atomic uint64_t deletes;
};

struct kv_door {
    struct kv *kv;
    struct loop *loop;
    struct tablet_reactor reactor; /* the tablets of this loop */
    struct map map;                /* where keys belong */
    struct timer *tick;
    struct request_way way;  /* of requests that take no route */
    struct forward *forward; /* NULL: what this node does not lead is refused */
    uint64_t under_way;      /* pieces of scans and administrative jobs, not yet done */
    struct kv_counters counters;
    struct task drain_task;
    struct timer *handover; /* while leaderships are handed over; NULL */
    uint64_t handover_until_ns;
    bool draining;
    bool drained;
};

/* Administrative jobs that wait for one another; one runs at a time. */
struct admin_queue {
    struct list waiting; /* struct kv_admin */
    bool running;
};

struct kv {
    struct engine *engine;
    struct node_clock clock;
    struct tablet_node node; /* owns the tablets */
    struct cluster *cluster;
    struct kv_member member; /* zeroed: it is of no cluster that others can join */
    bool forwards;
    char node_name[LIMIT_NAME_BYTES + 1];

    struct kv_door *doors;            /* owned; one per loop */
    struct tablet_reactor **reactors; /* owned array; theirs */
    uint32_t door_count;
    uint64_t slewed_ns;

    struct lock lock;         /* guards the queues */
    struct admin_queue heavy; /* compactions and flushes */
    struct admin_queue light; /* counts, hashes */

    _Atomic bool closing;
    _Atomic uint32_t drains_left;
    void (*handed_over)(void *ctx);
    void (*drained)(void *ctx);
    void *drained_ctx;
    struct task drained_task;
};

/* This node's replica of the keyspace's first tablet; NULL: none. */
struct tablet *kv__first_tablet(const struct kv_door *door, uint32_t keyspace);

/* Every TABLET_TICK_MS; `ctx` is the door. */
void kv__on_tick(void *ctx);

/* replicas.c: start-up code, one after the other */

/* The log is in the tablets, and the node's clock has begun.  ST_CORRUPT, ST_IO, ST_NO_MEMORY. */
MUST_USE enum status kv__recover(struct kv *kv, struct wal_recovery *report, struct err *err);

/* All tablets that the node should have stand.  ST_INVALID: it is of a cluster, and knows nobody of it. */
MUST_USE enum status kv__start_replicas(struct kv *kv, struct err *err);

void kv__log_recovery(const struct kv *kv, const struct wal_recovery *report);

/* stop.c */

/* Is the door's part of a drain done? */
void kv__check_drained(struct kv_door *door);
void kv__destroy(struct kv *kv);

/* fixed.c */

/* The cluster as a feed (cluster/book.h), to be released by the caller in any case.  ST_INVALID: a senseless one. */
MUST_USE enum status kv__fixed_feed(const struct kv *kv, const struct kv_cluster *cluster,
                                    struct buf *out, struct err *err);
const struct kv_node *kv__fixed_self(const struct kv *kv, const struct kv_cluster *cluster);

/* submit.c */

/* The limits on keys, values and units: ST_OK, ST_TOO_BIG. */
MUST_USE enum status kv__check_request(const struct request *r);
/* The door's requests take routes from now on. */
void kv__forward_from(struct kv_door *door);

/* The request is the door's from now on. */
void kv__enter(struct kv_door *door, struct request *r);

/* From its route, which has it no more: its keys may be another tablet's by now. */
void kv__again(struct kv_door *door, struct request *r);

/* To whoever leads the tablet.  It may be done, and gone, when this returns. */
void kv__ask(struct kv_door *door, struct site *site, struct request *r);

#endif
