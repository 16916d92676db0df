/*
 * cluster/orders.h — what operators ask of a cluster, and what they are told, as JSON.
 *
 *      status                                 nodes                       keyspaces
 *      tablets [KEYSPACE]                     ring KEYSPACE [KEY]         rebalance
 *      drain NODE... [confirm CLUSTER]        undrain NODE
 *      remove NODE... [confirm CLUSTER]       replace OLD NEW
 *      keyspace-create NAME REPLICAS TABLETS hash|range                   keyspace-drop NAME
 *      keyspace-alter NAME REPLICAS           keyspace-split NAME TABLETS | NAME at KEY
 *      recover [confirm CLUSTER]
 *
 * NODE is a name or an id, KEYSPACE a name.  Several nodes at once, and what makes the others' disks rather full, go
 * only with the cluster's name, and none goes that would leave a tablet under its quorum.  `rebalance` says what moves and what it takes; the steward does it
 * without being asked.  An order is carried out by a member of the metadata's group, who knows what
 * all leaders have reported; a node that is none hands it on.
 *
 * `recover` is carried out by whoever is asked, for there may be no metadata to be had: it says which tablets have lost
 * their quorum for good and who could go on with them, and does so when it is confirmed (recover.c).
 *
 * On loop 0.
 */
#ifndef CLUSTER_ORDERS_H
#define CLUSTER_ORDERS_H

#include "cluster/cluster.h"

enum { ORDER_WORDS_MAX = 16, ORDER_WORD_BYTES_MAX = 1024, ORDER_ANSWER_BYTES_MAX = 16 << 20 };

/* The caller's, from cluster_order() until `done`, which is called once, perhaps at once. */
struct order {
    struct slice words[ORDER_WORDS_MAX]; /* borrowed until then */
    uint32_t word_count;
    uint64_t deadline_ns;
    void (*done)(struct order *o);

    /* ST_OK: `answer` is JSON.  ST_INVALID: it is none, or is refused; ST_NOT_FOUND: what it names is not there; ST_EXISTS: it is so already; ST_NO_SPACE: a disk would be too full;
     * ST_CONFLICT, ST_BUSY, ST_TIMEOUT, ST_UNKNOWN, ST_CLOSED: try again; ST_NO_MEMORY.  `err` says more. */
    enum status status;
    struct err err;
    struct buf answer; /* the caller's to release */

    /* private */
    struct cluster *cluster;
    struct list link;
    uint64_t id;       /* of the message that has handed it on; 0: it was not */
    uint64_t again_ns; /* when it is handed on to the next member */
    uint32_t turn;
};

void cluster_order(struct cluster *c, struct order *o);

#endif
