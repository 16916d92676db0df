/*
 * unit/kv/nodes.h — a cluster of whole nodes in a simulated world.
 *
 * Nodes are numbered from 1.  Whatever cannot be is a failure of the test.
 */
#ifndef UNIT_KV_NODES_H
#define UNIT_KV_NODES_H

#include "kv/kv.h"
#include "simenv/simenv.h"
#include "tablet/tablet.h"

enum { NODES_MAX = 8, NODES_FOUNDERS = 3, NODES_VALUE_MAX = 4096, NODES_LARGE_BYTES = 1000 };

struct nodes {
    struct sim *w;
    uint32_t count;
    uint32_t lease_percent;
    bool forward;
    uint32_t keyspace_count;
    uint32_t tablets;    /* of each keyspace; 0: one */
    uint32_t keyspace;   /* that requests and orders are about */
    size_t budget_bytes; /* so small that the leader keeps few entries for its followers */
    uint64_t log_reserve_bytes;
    struct kv *kv[NODES_MAX + 1];
    struct kv_node at[NODES_MAX];
    uint64_t founders[NODES_MAX];
    uint64_t client_id; /* of the requests that follow, as their writes are numbered; 0: none */
    uint64_t sequence;
    uint32_t stale_ms;     /* of the requests that follow */
    struct list unawaited; /* requests whose answer nobody awaits */
    uint64_t hint;         /* who leads, as the last refusal said */
    char value[NODES_VALUE_MAX];
};

/* As nodes_create(), and any of them answers any request. */
void nodes_create_forwarding(struct nodes *n, uint64_t seed, uint32_t count);

/* The same, and each keyspace has so many tablets. */
void nodes_create_with_tablets(struct nodes *n, uint64_t seed, uint32_t count, uint32_t tablets);

/* As nodes_create(), with leases. */
void nodes_create_with_leases(struct nodes *n, uint64_t seed, uint32_t count);

/* As nodes_create(), with so many keyspaces, each a group. */
void nodes_create_with_keyspaces(struct nodes *n, uint64_t seed, uint32_t count,
                                 uint32_t keyspaces);

/* As nodes_create(), but that flushed log is kept for followers: engine_options.log_reserve_bytes. */
void nodes_create_with_log(struct nodes *n, uint64_t seed, uint32_t count, uint64_t reserve_bytes);

/* So many nodes, all of them running; the first NODES_FOUNDERS are the members. */
void nodes_create(struct nodes *n, uint64_t seed, uint32_t count);
void nodes_destroy(struct nodes *n);

void nodes_crash(struct nodes *n, uint32_t node);
void nodes_boot(struct nodes *n, uint32_t node);
void nodes_boot_all(struct nodes *n); /* those that do not run */

/* The node takes part in no conversation any more, or again. */
void nodes_cut(struct nodes *n, uint32_t node, bool cut);

/* A job of administration for the node's keyspace: begun, and waited for. */
struct errand {
    struct kv_admin admin;
    struct kv_door *door;
    bool done;
};
void nodes_begin(struct nodes *n, uint32_t node, enum kv_admin_kind kind, struct errand *e);
void nodes_begin_at(struct nodes *n, uint32_t node, uint32_t at, enum kv_admin_kind kind,
                    struct errand *e); /* asked of `node`, and done at the other */
enum status nodes_finish(struct nodes *n, struct errand *e);

/* Both; it succeeds. */
void nodes_admin(struct nodes *n, uint32_t node, enum kv_admin_kind kind);

/* The node is cut off, and alone has so many writes of "lost" in its log; nobody is told of them. */
void nodes_leave_uncommitted(struct nodes *n, uint32_t leader, uint32_t count);

/* Every memtable of the node becomes a table. */
void nodes_flush(struct nodes *n, uint32_t node);

/* Have the voters be these, in ascending order; waits until it is so, whoever leads. */
void nodes_change(struct nodes *n, const uint64_t *voters, uint32_t count);
void nodes_change_to(struct nodes *n, const struct raft_config *config); /* likewise */

/* The node that leads hands over; true: to `to`, within a second. */
bool nodes_transfer(struct nodes *n, uint32_t to);
bool nodes_begin_transfer(struct nodes *n, uint32_t to); /* true: it is asked to */

/* Crashes whoever leads until that one does. */
void nodes_make_lead(struct nodes *n, uint32_t node);

/* Waits until some node leads; but for that one. */
uint32_t nodes_leader(struct nodes *n);
uint32_t nodes_leader_but(struct nodes *n, uint32_t not_this);

/* What the node has done for those who are behind, since it was started. */
struct tablet_stats nodes_stats(struct nodes *n, uint32_t node);

enum status nodes_put(struct nodes *n, uint32_t node, const char *key, const char *value);
/* With an expiry, Unix ms. */
enum status nodes_put_until(struct nodes *n, uint32_t node, const char *key, uint64_t expiry_ms);
/* Of the class `never`. */
enum status nodes_put_hastily(struct nodes *n, uint32_t node, const char *key, const char *value);
/* Values of NODES_LARGE_BYTES of the letter, under the same keys each time. */
void nodes_put_many(struct nodes *n, uint32_t node, uint32_t count, char letter);
void nodes_check_many(struct nodes *n, uint32_t node, uint32_t count, char letter);
/* Nobody waits for the answer. */
void nodes_send_put(struct nodes *n, uint32_t node, const char *key, const char *value);
/* Any operation; but for the result's value. */
enum status nodes_do(struct nodes *n, uint32_t node, const struct op *op, struct op_result *out);
enum status nodes_try_get(struct nodes *n, uint32_t node, const char *key); /* into n->value */
const char *nodes_get(struct nodes *n, uint32_t node, const char *key); /* "nil": there is none */

enum status nodes_ask(struct nodes *n, uint32_t node); /* without operations */
/* All keys, each with a comma behind it, into n->value; they are few and small. */
enum status nodes_try_scan(struct nodes *n, uint32_t node);

#endif
