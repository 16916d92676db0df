/*
 * kv/seek.h — who leads a tablet?  Asked for a route (kv/route.h), of one node after the other.
 *
 * A probe is a request without operations for a term in which nobody leads.  So it is refused; and who
 * refuses says who leads.  Everything here is called on the door's loop.
 */
#ifndef KV_SEEK_H
#define KV_SEEK_H

#include "tablet/request.h"

struct route;

struct leadership {
    uint64_t node; /* 0: nobody is known */
    uint64_t term;
};

struct seeker {
    struct leadership heard; /* the latest that anybody told of */
    struct request probe;
    bool probing;
    uint32_t candidate; /* whom it asks next */
    uint32_t pause_ms;  /* after the last of them */
    uint64_t due_ns;
};

void seek_init(struct seeker *s);

/* Whatever was refused may say who leads. */
void seek_hear(struct seeker *s, const struct request *r);

/* Ask the next one, unless somebody is being asked, or all were just now.  The route is stirred by the answer. */
void seek_go_on(struct route *route);

/* Ask this node; now and then, however often it is called. */
void seek_question(struct route *route, uint64_t node);

/* What was heard is followed: the next time all are asked from the first on. */
void seek_end(struct seeker *s);

#endif
