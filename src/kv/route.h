/*
 * kv/route.h — where the requests of one door to one tablet go, and in which order.
 *
 * A route names a node that leads the tablet, and the term in which it does: this node, or another.  Who is
 * asked evaluates a request only in that term (request.term).  When it refuses, the route is blocked until
 * all that is under way on it has come back; then a leader of a higher term is sought, and what was
 * refused goes there, in its old order, before all that came later.
 *
 * The argument is at the head of route.c.  Everything here is called on the door's loop.
 */
#ifndef KV_ROUTE_H
#define KV_ROUTE_H

#include "base/list.h"

#include "kv/queue.h"
#include "kv/seek.h"

struct forward;
struct site;

enum route_state {
    ROUTE_BLOCKED, /* it was refused, or lost: nothing is sent until all has come back */
    ROUTE_SEEKING, /* nothing is under way: who leads? */
    ROUTE_HERE,
    ROUTE_THERE,
};

struct route {
    struct request_way way; /* of all its requests: here, there, and waiting */
    struct forward *forward;
    struct site *site;
    struct list on_forward; /* in forward->routes */
    struct list on_busy;    /* while anything waits, or is elsewhere */

    enum route_state state;
    struct leadership to; /* of HERE and THERE */
    uint64_t spent_term;  /* who led in it has refused */
    struct seeker seeker;

    struct queue queue; /* those that are here */
    struct route *
        elder; /* of the tablet that ours came out of: what is there goes before; NULL: nothing is */

    struct task task;
    bool posted;
};

/* NULL: out of memory. */
struct route *route_create(struct forward *f, struct site *site);
void route_destroy(struct route *route); /* nothing is under way; NULL is allowed */

/* Takes the request until `done`; its `way` is set here. */
void route_submit(struct route *route, struct request *r);

/* To the replica of this node; where it has none, the request is refused. */
void route_send_to_ours(const struct route *route, struct request *r);

/* Go on, soon: something has come back, or somebody leads. */
void route_stir(struct route *route);

/* The node that it leads to cannot be reached, or does not answer. */
void route_block(struct route *route);

/* What was sent there is not answered for long: has the replica here heard of another leader? */
void route_doubt(struct route *route);

/* Somebody was told to go there himself: does that node still lead?  Asked of whoever knows best, now and then. */
void route_confirm(struct route *route);

/* Deadlines of what waits, and pauses that are over.  False: it is idle. */
bool route_tick(struct route *route, uint64_t now_ns);

/* Nothing is under way on it. */
bool route_is_idle(const struct route *route);

/* The map says otherwise now where its keys belong: what waits, or has come back as moved, is looked for anew, in its
 * order.  Nothing more is sent until what is elsewhere has come back. */
void route_redrawn(struct route *route);

/* Nothing is sent until what is under way on the other has come back; its tablet was split, and ours came out. */
void route_follow(struct route *route, struct route *elder);

/* The node drains: what waits is refused. */
void route_drain(struct route *route);

#endif
