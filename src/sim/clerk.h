/*
 * sim/clerk.h — somebody who gives orders to a formed cluster, one after the other, and follows them up.
 *
 *      drain ──> undrain
 *        └─────> remove ──done──> the machine's disk is emptied, and a new node comes
 *                  └─refused──> undrain
 *
 * Each order goes to any node that is up, and to another one as long as none answers it for good.  The clerk's
 * memory is the world's.
 */
#ifndef SIM_CLERK_H
#define SIM_CLERK_H

#include "sim/node.h"

struct clerk;

enum clerk_verb {
    CLERK_DRAIN,
    CLERK_UNDRAIN,
    CLERK_REMOVE,
    CLERK_CREATE, /* a keyspace, which is called by a number */
    CLERK_DROP,
};

struct clerk_wish {
    enum clerk_verb verb;
    uint32_t node;    /* whom it is about, from 1: what runs on that machine when it is wished */
    uint64_t space;   /* CREATE, DROP: its number */
    uint32_t tablets; /* CREATE */
    uint32_t emptied; /* private: whose disk had been so often */
};

/* Who has at most so many wishes.  `nodes` is borrowed.  ST_NO_MEMORY. */
MUST_USE enum status clerk_create(struct clerk **out, struct node *nodes, const struct setup *setup,
                                  uint32_t wishes_max);
void clerk_destroy(struct clerk *p); /* the nodes are down; NULL is allowed */

/* After all that were wished before. */
void clerk_wish(struct clerk *p, const struct clerk_wish *wish);

/* Hear an answer, and give the next order.  A node that was removed, and is still there, is `removed` then. */
void clerk_tend(struct clerk *p);

/* Everything was answered. */
bool clerk_is_content(const struct clerk *p);

#endif
