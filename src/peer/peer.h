/*
 * peer/peer.h — framed, bounded connections between the nodes of a cluster.
 *
 *      a loop of node 1                                a loop of node 2
 *      struct peer                                     struct peer
 *        peer_send ---> queue ====== one connection =====> receive
 *        receive  <===== one connection ====== queue <--- peer_send
 *
 * A node listens on one peer port.  Each of its loops has a struct peer of its
 * own, with at most one outgoing connection to each other node, which carries
 * only what this loop sends; what the other has to say comes on a connection of
 * its own, to whichever loop accepts it.  So no lock is needed, a loop's messages
 * to a node keep their order, and those of different loops have none.
 *
 *      peer_create(&p, &options, err)       on each loop
 *      env_listen(..., peer_accepted, peers, ...)
 *      peer_set_address(p, 7, "10.0.0.7", 7000, err)
 *          ... state(ctx, 7, incarnation) says that node 7 is there
 *      peer_send(p, 7, &message)            copies; nothing is written yet
 *      peer_flush(p)                        in the loop's `after`: writes what there is
 *
 * WHAT IS PROMISED.  A message that peer_send() has taken arrives once, whole and
 * in order, or the connection ends, which `state` tells (and what was queued is
 * gone); or the receiver has no memory for a large one, and drops it.  Nothing is
 * sent again: raft and the rest above it expect losses.  Urgent messages go before
 * all others, and wait for at most one frame of them, beyond what the kernel holds.
 * A node that was started anew has a new incarnation.
 *
 * WHAT IS BOUNDED.  The queue of each node by options.queue_bytes, and by
 * options.urgent_bytes for urgent messages: beyond it ST_BUSY.  Connections
 * from others by PEER_INCOMING_MAX and PEER_GREETING_MAX; what each of them may make us hold, by one
 * frame, and by options.assembly_bytes for all messages of several frames
 * together.  Everything is charged to the budget.
 *
 * Whoever is at the other end is not trusted: anything wrong ends the connection,
 * with one line in the log; those who are refused at the door have one now and
 * then (base/refrain.h).  Format: docs/formats/peer.md.  Everything here is
 * called on the loop, or while the loops do not run.
 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "base/budget.h"
#include "base/limits.h"

#include "env/env.h"
#include "peer/carrier.h"

struct peer;

typedef uint64_t peer_node; /* a node's id; 0 is nobody */

enum {
    PEER_CLUSTER_BYTES = 16,

    /* The payload of one frame: a snapshot's chunk of 1 MB, and what says where it belongs.  Longer
     * messages travel in several frames. */
    PEER_FRAME_BYTES_MAX = (1 << 20) + 4096,

    /* A message: a log record's body, and what goes with it.  Beyond: ST_TOO_BIG. */
    PEER_MESSAGE_BYTES_MAX = LIMIT_RECORD_BYTES + (1 << 20),

    /* An urgent message.  Beyond: ST_TOO_BIG. */
    PEER_URGENT_BYTES_MAX = 16 << 10,

    /* Connections from others, of one loop; more than nodes times loops in any cluster that we know.
     * Beyond, those that have not said who they are make room, or the new one is closed. */
    PEER_INCOMING_MAX = 1024,

    /* Of those, how many have not said yet who they are; beyond, the oldest makes room.  With TLS each of them
     * costs CARRIER_HANDSHAKE_BYTES. */
    PEER_GREETING_MAX = 128,
};

/* ------------------------------------------------------------------ life */

#define PEER_INCARNATION_MAX UINT32_MAX

struct peer_identity {
    uint8_t cluster[PEER_CLUSTER_BYTES];
    peer_node node;
    uint64_t
        incarnation; /* of the process, from 1; higher than that of all former ones of the node */
};

/* A message has arrived.  `payload` is borrowed: it dies when the call returns.  Not called from
 * within a function of this module.  peer_destroy() may not be called from here. */
struct peer_sender {
    peer_node node;
    uint64_t incarnation;
};
typedef void peer_receive_fn(void *ctx, const struct peer_sender *from, uint8_t type, uint64_t id,
                             struct slice payload);

/* Our connection to the node stands, and it is of this incarnation; or, with 0, it is gone, and with
 * it everything that was queued.  A connection whose end did not reach us (the machine lost power) is
 * gone when something that was sent stays unacknowledged, or when the node calls this loop with another
 * incarnation.  May be called by peer_flush(), never by peer_send(),
 * peer_set_address() or peer_destroy().  peer_destroy() may not be called from here. */
typedef void peer_state_fn(void *ctx, peer_node node, uint64_t incarnation);

/* Somebody called who does not speak our protocol.  The stream, which nobody watches, is the callee's from now
 * on, and does not count as a connection here any more: how many there are is the callee's matter, too.  `begin`, what
 * was read of it, is borrowed. */
typedef void peer_stranger_fn(void *ctx, struct stream *stream, struct slice begin);

/* For tests only, and the simulator: what a network of datagrams would do to messages.  A stream
 * does none of it, and the server never asks for it.  Each is drawn for each message that is not steady;
 * those that are delayed are overtaken by later ones. */
struct peer_faults {
    uint64_t seed; /* of the dice; read once */
    uint32_t drop_permille;
    uint32_t repeat_permille;
    uint32_t delay_permille;
    uint32_t delay_ms_max;
};

struct peer_options {
    struct loop *loop;
    struct budget *budget;
    struct peer_identity self;
    size_t queue_bytes;    /* for each other node; one message is taken whatever its size */
    size_t urgent_bytes;   /* a reserve besides */
    size_t assembly_bytes; /* messages of several frames that are arriving */
    uint32_t silence_ms;   /* a connection that acknowledges nothing for this long is given up */
    peer_receive_fn *receive;
    peer_state_fn *state;
    peer_stranger_fn *stranger; /* NULL: they are refused */
    void *ctx;
    const struct peer_faults *faults; /* borrowed, and may change meanwhile; NULL: none */
    struct carrier *carrier;          /* borrowed; NULL: streams as they are (carrier.h) */
};

/* All but loop, budget, self and the callbacks: 16 MB, 256 KB, PEER_MESSAGE_BYTES_MAX, 10 s. */
void peer_options_default(struct peer_options *options);

/* ST_NO_MEMORY. */
MUST_USE enum status peer_create(struct peer **out, const struct peer_options *options,
                                 struct err *err);

/* Closes all its connections, without a callback.  NULL is allowed. */
void peer_destroy(struct peer *p);

/* A listener_fn for the peer port; `ctx` points to an array of struct peer *, one for each loop. */
void peer_accepted(void *ctx, struct loop *loop, struct stream *stream);

/* ------------------------------------------------------------------ other nodes */

/* Where the node is; from now on there is a connection to it, or one is being tried, with pauses of
 * 50 ms to 1 s.  Another address ends the old connection, without a callback.  `address` is numeric; one
 * that is not is found out, and logged, when it is called.  ST_INVALID: the node is ourselves or
 * nobody; ST_NO_MEMORY. */
MUST_USE enum status peer_set_address(struct peer *p, peer_node node, const char *address,
                                      uint16_t port, struct err *err);

/* Forget the node, its connection and its queue, without a callback; unknown ones are allowed. */
void peer_forget(struct peer *p, peer_node node);

/* The incarnation that `state` told last, or 0. */
uint64_t peer_incarnation(const struct peer *p, peer_node node);

/* ------------------------------------------------------------------ messages */

struct peer_message {
    uint8_t type; /* type and id mean nothing here */
    uint64_t id;
    bool urgent;
    const struct slice *parts; /* the payload is all of them, one after the other; copied */
    size_t part_count;
    bool steady; /* no fault is drawn for it: its sender counts on what a stream promises */
};

/* Queue a message.  ST_OK; or nothing has changed:
 *      ST_NOT_FOUND  the node has no address
 *      ST_CLOSED     there is no connection to it now
 *      ST_BUSY       its queue or the budget is full
 *      ST_TOO_BIG, ST_NO_MEMORY */
MUST_USE enum status peer_send(struct peer *p, peer_node node, const struct peer_message *message);

/* Write what is queued, as far as there is room; the rest goes when there is. */
void peer_flush(struct peer *p);

/* Bytes queued for the node, with what it costs to keep them. */
size_t peer_queued(const struct peer *p, peer_node node);

/* Messages that were dropped for lack of memory when they arrived. */
uint64_t peer_dropped(const struct peer *p);

#endif
