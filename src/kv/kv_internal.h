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
    struct tablet *tablet; /* owned */
};

struct kv_counters {
    _Atomic uint64_t puts;
    _Atomic uint64_t gets;
    _Atomic uint64_t deletes;
};

struct kv_door {
    struct kv *kv;
    struct loop *loop;
    struct tablet_reader reader;
    struct engine_listener listener;
    struct raft_effects effects; /* of the tablets of this loop, one step at a time */
    struct timer *tick;
    uint64_t under_way; /* requests, pieces of scans and administrative jobs, not yet done */
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

struct kv {
    struct engine *engine;
    struct node_clock clock;
    char node_name[LIMIT_NAME_BYTES + 1];

    struct tablet *meta;        /* owned */
    struct keyspace *keyspaces; /* owned; sorted by id */
    uint32_t keyspace_count;
    struct tablet **replaying; /* tablets while the log is replayed; owned */
    uint32_t replaying_count;

    struct kv_door *doors; /* owned; one per loop */
    uint32_t door_count;
    uint64_t slewed_ns;

    struct lock lock;         /* guards the queues */
    struct admin_queue heavy; /* compactions and flushes */
    struct admin_queue light; /* counts */

    _Atomic bool closing;
    _Atomic uint32_t drains_left;
    void (*drained)(void *ctx);
    void *drained_ctx;
    struct task drained_task;
};

struct keyspace *kv__keyspace(struct kv *kv, uint32_t id); /* NULL: there is none */

/* keyspace.c */
MUST_USE enum status kv__load_keyspaces(struct kv *kv, struct err *err);
MUST_USE enum status kv__create_databases(struct kv *kv, struct err *err);
/* The tablet of a tree, created on its loop. */
MUST_USE enum status kv__create_tablet(struct kv *kv, struct engine_tree *tree,
                                       struct kv_door *door, struct tablet **out, struct err *err);

#endif
