/*
 * cluster/cluster.h — a node's part in its cluster: who is in it, what is where, and who sees to it.
 *
 *      metadata tablet      nodes, keyspaces, tablets and their members (record.h): the truth
 *      book, atlas          each node's copy of it; whoever is behind is fed by whoever is ahead
 *      holdings             this node makes and drops replicas as the atlas says
 *      groups               the leaders among them change their groups as the atlas says, and report
 *      watch                who answers, and who does not (swim/)
 *      steward              on the node that leads the metadata: what comes next
 *      scrub, damages       tables that do not check out are found, said, and their copies replaced
 *      recover, survey      by order: to go on when a majority is gone for good
 *
 *      a node enters   ── petition ──>  any member  ── change ──>  metadata  ── feed ──>  all
 *
 * A change of the metadata is a request like any other, to the keyspace ATLAS_META_KEYSPACE: it can be made
 * from every node, and holds only if the metadata is still what it was decided on.
 *
 * OPENING.  cluster_open() reads what this node knew of its cluster when it ended; then there can be
 * tablets, and the log be replayed; cluster_begin() reads the metadata tablet, if it is here, or makes
 * a new cluster.  Then the loops run, and cluster_tick() is called.
 *
 * THREADS.  Everything here belongs to loop 0, unless it says otherwise.  Each loop has an atlas of
 * its own, which is the newest that it was told of.
 *
 * Depends on: base, env, ring, swim, peer, engine, tablet.
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "cluster/atlas.h"
#include "cluster/report.h"
#include "peer/peer.h"
#include "tablet/reactor.h"
#include "tablet/request.h"

struct cluster;

/* Messages between the cluster's parts of two nodes: types of peer messages from here on. */
enum { CLUSTER_MESSAGE_MIN = 48, CLUSTER_MESSAGE_LIMIT = 64 };

/* When a node that is silent is what, in ms; 2 * gossip <= suspicion < down (swim/swim.h). */
struct cluster_pace {
    uint64_t gossip_ms;
    uint64_t suspicion_ms;
    uint64_t down_ms;
    uint64_t failure_ms; /* since it is down */
};

struct cluster_options {
    struct engine *engine;
    struct tablet_node *node;
    struct tablet_reactor **reactors; /* borrowed array, by loop */
    uint32_t reactor_count;

    /* who we are to others */
    const char *cluster_name; /* of a cluster that is born here */
    const char *name;
    const char *zone;
    uint32_t weight;
    struct node_address listen; /* where others may call; port 0: any */
    struct node_address peer;   /* what they are told to call */
    struct node_address client;
    struct cluster_pace pace; /* zeros: those of the design */
    struct node_address join; /* of any member; no host: none, and a new store is a new cluster */

    /* A feed (book.h) that says once and for all what the cluster is; nobody sees to anything then.
     * For tests and the simulator; NULL: none. */
    const struct slice *fixed;

    /* Answer the request wherever its tablet's leader is; on loop 0. */
    void (*submit)(void *ctx, struct request *r);
    /* A loop has another atlas; on that loop.  `old` (NULL at first) dies when it returns. */
    void (*redrawn)(void *ctx, uint32_t loop_index, const struct atlas *now,
                    const struct atlas *old);
    /* This node will never be let in, or is a member no more; on loop 0. */
    void (*refused)(void *ctx, const struct err *err);
    void *ctx;
};

/* Start-up code.  The engine is open, and not recovered.  ST_CORRUPT: what this node knew is damaged.
 * ST_NO_MEMORY, ST_IO. */
MUST_USE enum status cluster_open(struct cluster **out, const struct cluster_options *options,
                                  struct err *err);

/* The founders of a tablet for which there is a tree; so that it can be made before the log is replayed. */
void cluster_founders(const struct cluster *c, uint64_t tablet, struct raft_config *out);

/* The loop that owns a tablet here. */
uint32_t cluster_loop_of(const struct cluster *c, uint64_t tablet);

/* Is it known that this node is no member of the tablet's group any more?  Then its replica takes no part, and is
 * dropped when the loops run. */
bool cluster_is_surplus(const struct cluster *c, uint64_t tablet);

/* Is it known that the tablet is nowhere any more? */
bool cluster_is_gone(const struct cluster *c, uint64_t tablet);

/* Will the replica of this tablet, which is not here, come out of that of another, which is? */
bool cluster_awaits_split(const struct cluster *c, const struct tablet_record *record);

/* May a replica be made: does the file ATLAS say of each with whom it was born, as the next start has to know? */
bool cluster_may_make(const struct cluster *c);

/* Neither the metadata nor a node to ask: nothing can be done here. */
bool cluster_knows_nobody(const struct cluster *c);

/* Is it a store that never was of a cluster of others, has no metadata, and is to join nobody? */
bool cluster_begins_here(const struct cluster *c);
bool cluster_is_fixed(const struct cluster *c);

/* Start-up code.  `meta` (NULL: it is not here) is started, and its tree says what the metadata is.  A new store
 * that is to join nobody becomes a cluster of one, in `meta`. */
MUST_USE enum status cluster_begin(struct cluster *c, struct tablet *meta, struct err *err);

/* Start-up code, the last of it: call the other nodes, and listen to them; if there can be any. */
MUST_USE enum status cluster_connect(struct cluster *c, struct err *err);

/* Of this process, as other nodes know it. */
uint64_t cluster_incarnation(const struct cluster *c);

/* The newest atlas; before the loops run, or on loop 0.  Borrowed until the next one. */
const struct atlas *cluster_atlas(const struct cluster *c);

/* That loop's; on that loop. */
const struct atlas *cluster_atlas_of(const struct cluster *c, uint32_t loop_index);

/* Other thresholds, from the next tick on; what does not go together is refused then, and said.  Any thread. */
void cluster_set_pace(struct cluster *c, const struct cluster_pace *pace);

/* Every TABLET_TICK_MS, on each loop. */
void cluster_tick(struct cluster *c, uint32_t loop_index);

/* A message of a type from CLUSTER_MESSAGE_MIN to CLUSTER_MESSAGE_LIMIT - 1 has come, on that loop. */
void cluster_receive(struct cluster *c, uint32_t loop_index, const struct peer_sender *from,
                     uint8_t type, struct slice payload);

/* A connection to the peer port that speaks no frames, on that loop; it is taken. */
void cluster_stranger(struct cluster *c, uint32_t loop_index, struct stream *stream,
                      struct slice begin);

/* This node is about to stop: others are told, and give it no leadership until it is another process. */
void cluster_depart(struct cluster *c);

/* From now on nothing is begun; what is under way ends soon, and then cluster_idle(). */
void cluster_drain(struct cluster *c);
bool cluster_idle(const struct cluster *c);

/* The loops have stopped.  NULL is allowed. */
void cluster_close(struct cluster *c);

#endif
