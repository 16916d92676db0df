/*
 * kv/forward.h — requests that are carried out by another node.
 *
 *      door ── route ──> forward_send ── REQUEST ──> the leader's node: serve.c ──> its tablet
 *                                                                                      │
 *      door <── done <── the answer, by its id <──── REPLY ────────────────────────────┘
 *
 * One for each door.  Messages travel on the connections of the door's reactor; an answer may come on
 * any loop, and is carried to the door that its id names.
 *
 *      type     id            payload
 *      REQUEST  the sender's  stream:varint, then a request (docs/formats/request.md)
 *      REPLY    the same      u64, the incarnation of whom it is for, then an answer
 *      LOST     0             empty: a connection on which we answered you was lost
 *      PART     0             empty: we stop, send us nothing more (parting.h)
 *      PARTED   a door        how many doors we have, varint: nothing will come of this one, and nothing is away
 *
 * FENCES.  When the connection to a node is lost, or the node is silent, all that is under way there is
 * lost with it, and what is sent later is of the next stream.  Its receiver evaluates nothing of an earlier
 * stream, or process, of the same door from then on (request.fence), wherever it has got to: on several connections,
 * and on several loops, messages have no order.
 *
 * BOUNDS.  FORWARD_AWAY_MAX requests under way for each door, and a part of the budget for each other node;
 * what waits is bounded by the route, and what is served by a part of the budget.  All is charged.
 */
#ifndef KV_FORWARD_H
#define KV_FORWARD_H

#include "peer/peer.h"
#include "tablet/reactor.h"
#include "tablet/request.h"

struct kv;
struct kv_door;
struct site;
struct route;

enum { FORWARD_AWAY_MAX = 2048 };

/* A request at another node. */
struct away {
    struct list link; /* of the neighbour's, as they were sent; or of the free ones */
    struct request *request;
    struct route *route;
    struct forward_link *to;
    size_t bytes;
    uint64_t sent_ns;
    uint64_t generation; /* how often the place was used */
};

/* What one door has at one other node. */
struct forward_link {
    struct tablet_neighbour *neighbour;
    uint64_t node; /* that it was when it was last used */
    struct list away;
    size_t bytes;
    uint32_t stream;
    uint32_t losses_seen;
    uint64_t
        parted_from; /* the process that has heard that we send it nothing more; 0: none (kv/parting.h) */
    bool has_answered; /* the node, since it was last told that answers may be lost */
};

struct forward {
    struct kv_door *door;
    struct exchange_guest guest;
    struct list routes; /* of the door's places */
    struct list busy;   /* routes on which something waits, or is elsewhere */
    struct timer *pause;
    struct away *places; /* owned; FORWARD_AWAY_MAX */
    struct list free;
    struct forward_link *links; /* owned; TABLET_NODES_MAX, as tablet_node.neighbours */
    struct buf message;         /* that is being encoded */
    struct request_way probes;
    struct request_way direct; /* requests that take no route: forward_ask() */
    struct request_way served; /* requests of other nodes */
    struct list scans;         /* that they read here (host.h) */
    uint32_t scan_count;
    uint64_t turns;       /* of all routes: as requests came, also those that change their route */
    uint64_t scan_number; /* of the last that we began elsewhere */
    size_t served_bytes;
    size_t away_bytes_max;
    size_t waiting_bytes_max;
    size_t served_bytes_max;
    uint64_t part_until_ns; /* as we stop: whoever has not parted by then is not waited for */
    struct task flush;
    bool flush_posted;
};

/* Before the loops run.  ST_NO_MEMORY. */
MUST_USE enum status forward_create(struct forward **out, struct kv_door *door, struct err *err);
void forward_destroy(struct forward *f); /* nothing is under way; NULL is allowed */

/* The route to the site; NULL: out of memory. */
struct route *forward_route(struct forward *f, struct site *site);

void forward_tick(struct forward *f, uint64_t now_ns);
void forward_drain(struct forward *f);
bool forward_idle(const struct forward *f);

/* ------------------------------------------------------------------ for routes */

/* Send the request to the node: it is away, until it is done.  ST_OK; or nothing has happened: ST_BUSY,
 * ST_CLOSED (no connection), ST_TOO_BIG, ST_NO_MEMORY. */
MUST_USE enum status forward_send(struct forward *f, struct route *route, struct request *r,
                                  uint64_t node);

/* Send the request to the node, in no order and only once; `done` may be called at once.  What is lost on the
 * way is ST_UNKNOWN; a node that drains, or has another placement, ST_NOT_LEADER. */
void forward_ask(struct forward *f, struct site *site, struct request *r, uint64_t node);

/* All that is away on the route counts as lost. */
void forward_lose_route(struct forward *f, struct route *route);

/* Is it this node, or is there a connection, and was anything heard of it within TABLET_SILENCE_NS? */
bool forward_can_reach(const struct forward *f, uint64_t node);

uint64_t forward_self(const struct forward *f);
uint64_t forward_neighbour(const struct forward *f, uint32_t at); /* 0: there are not so many */

/* Routes that pause are looked at after so long. */
void forward_wake_in(struct forward *f, uint32_t ms);

/* ------------------------------------------------------------------ forward.c and away.c */

struct forward_link *forward__link(struct forward *f, uint64_t node); /* NULL: there is none */

/* An answer has come to the door that the id names. */
void forward__answered(struct forward *f, const struct peer_sender *from, uint64_t id,
                       struct slice payload);

/* Everything on the link is lost, or all of one of its routes; the route, unless NULL, borrowed.  All of it comes
 * back to its route before any of it is answered. */
void forward__lose(struct forward *f, struct forward_link *l, const struct route *only);

/* Answer those whose deadline has passed. */
void forward__end_late(struct forward *f, struct forward_link *l, uint64_t now_ns);

/* ------------------------------------------------------------------ for serve.c */

enum forward_type {
    FORWARD_REQUEST = 32, /* EXCHANGE_FOREIGN and up */
    FORWARD_REPLY = 33,
    FORWARD_LOST = 34,
    FORWARD_PART = 35,
    FORWARD_PARTED = 36,
};

enum { FORWARD_REPLY_HEAD_BYTES = 8 };

/* A request has come from another node; on the door's loop. */
void serve_request(struct forward *f, const struct peer_sender *from, uint64_t id,
                   struct slice payload);

/* Queue a message; it leaves with the end of the round.  As peer_send(). */
MUST_USE enum status forward_post(struct forward *f, uint64_t node,
                                  const struct peer_message *message);

/* An answer to the node is on its way, as far as we know. */
void forward_note_answer(struct forward *f, uint64_t node);

/* The number of the neighbour; false: there is none. */
bool forward_find(const struct forward *f, uint64_t node, uint32_t *at);

/* The door that the id names. */
uint32_t forward_door_of(uint64_t id);

/* Room for a message of so many bytes; NULL: out of memory.  Valid until the next. */
uint8_t *forward_room(struct forward *f, size_t size);

#endif
