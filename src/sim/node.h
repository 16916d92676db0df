/*
 * sim/node.h — one node of the cluster under test: its process, from engine to coordinator, on a
 * machine of the simulated world.
 *
 *      down ──node_boot──> up ──node_begin_stop──> stopping ──node_finish_stop──> down
 *        ^                  └── a crash: node_notice_death() ──────────────────────┘
 *
 * This is the one place that knows how a node is made.  The structure is the world's memory: it
 * outlives every process.
 */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "cluster/orders.h"
#include "kv/kv.h"
#include "sim/setup.h"
#include "simenv/simenv.h"

/* How many nodes one cluster can have at a time; and the identity of what runs on machine `id` after its disk was
 * emptied n times is id + n * NODE_STRIDE. */
enum { NODE_CLUSTER_MAX = 9, NODE_STRIDE = 16, NODE_NAME_MAX = 16 };

enum node_phase { NODE_DOWN, NODE_STARTING, NODE_UP, NODE_STOPPING };

struct node {
    struct sim *world;
    const struct setup *setup;
    uint32_t id;
    enum node_phase state;
    uint32_t life;           /* counts its processes, from 1 */
    uint64_t alive_since_ns; /* when it could last have begun to answer: since its start or pause */
    uint32_t full_life;      /* the process that last said that its disk is full */
    bool cuts;               /* its power is to be cut while it starts */
    bool started;            /* its start has come to its end: n->status */
    bool drained;
    bool rotten;       /* bits of its disk have gone bad: it may refuse, and must not be wrong */
    uint32_t emptied;  /* how often its disk was; it is a new node each time */
    int64_t jumped_ms; /* its wall clock is so far ahead of the world's */
    uint32_t join;     /* whom it is told to join at its next start, from 1 */
    bool leaves;       /* it is to be removed, or was, by an order that may yet be carried out */
    bool removed;      /* from the cluster, for good: its disk is due to be emptied */
    bool refused;      /* the cluster will not have this process; n->err says why */
    struct peer_faults messages; /* what becomes of those that it sends */
    struct env *env;             /* of the process, as the next */
    struct kv *kv;               /* NULL: there is none */
    enum status status;          /* of the last start or stop */
    struct err err;
};

void node_init(struct node *n, struct sim *world, const struct setup *setup, uint32_t id);

/* As others know it. */
uint64_t node_identity(const struct node *n);
/* Of what runs on that machine after its disk was emptied so often. */
void node_name(uint32_t machine, uint32_t emptied, char out[NODE_NAME_MAX]);
/* The machine, from 1, of what has this identity. */
uint32_t node_machine(uint64_t identity);

/* It is up, and a member of its cluster, as far as it knows. */
bool node_is_member(const struct node *n);

/* Its machine is off: it has never run on it. */
void node_empty_disk(struct node *n);

/* Its wall clock is the world's again. */
void node_set_clock(struct node *n);

/* Its replica of the first tablet that clients use; NULL: none. */
struct tablet *node_tablet(const struct node *n);

/* The node is down: start it, beside all else.  With `cut_at` its power is cut at that call to its disk
 * while it starts.  Then `n->started`, unless it dies. */
void node_begin_start(struct node *n, uint64_t cut_at);

/* It has started, and is not paused.  ST_OK: it is up.  Else it has refused, which n->err explains, and
 * its process has ended. */
enum status node_finish_start(struct node *n);

/* Whoever crashed it, or had it crash at a call: it is gone.  True: it was so. */
bool node_notice_death(struct node *n);

/* It is up, and not paused: drain, then `n->drained`; then close and end the process. */
void node_begin_stop(struct node *n);

/* It has drained, and is not paused.  False: it died in the attempt.  n->status: how it closed. */
bool node_finish_stop(struct node *n);

/* It is up and not paused: as code of its loop. */
void node_submit(struct node *n, uint32_t loop_index, struct request *r);
void node_take(struct node *n, uint32_t loop_index,
               struct request *r);                               /* by that loop's own code */
uint64_t node_now_ms(const struct node *n, uint32_t loop_index); /* as values expire */
void node_administer(struct node *n, struct kv_admin *a);
void node_stats(struct node *n, struct kv_stats *out);
void node_order(struct node *n, struct order *o); /* of a formed cluster */

/* It is up and not paused: what an operator would have its group's leader do (tablet.h).  Members are a bit
 * (1 << id) each. */
enum status node_change_members(struct node *n, unsigned voters, unsigned learners);
enum status node_transfer(struct node *n, uint64_t to);

/* Can code of this node run now? */
bool node_responds(const struct node *n);

#endif
