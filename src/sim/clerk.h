/*
 * sim/clerk.h — somebody who gives orders to a formed cluster, one after the other, and follows them up.
 *
 *      drain, replace ──> undrain
 *        └──────────────> remove ──done──> the machine's disk is emptied, and a new node comes
 *                           └─refused──> undrain
 *
 * Each order goes to any node that is up, and to another one as long as none answers it for good.  The clerk's
 * memory is the world's.
 */
#ifndef SIM_CLERK_H
#define SIM_CLERK_H

#include "sim/node.h"

struct clerk;

/* The number of the keyspace that clients use; and how many copies each has at first. */
enum { CLERK_SPACE_OF_CLIENTS = 0, CLERK_COPIES = 3 };

enum clerk_verb {
    CLERK_DRAIN,
    CLERK_REPLACE,
    CLERK_UNDRAIN,
    CLERK_REMOVE,
    CLERK_CREATE, /* a keyspace, which is called by a number */
    CLERK_SPLIT,
    CLERK_ALTER,
    CLERK_DROP,
    CLERK_LOOK, /* at anything that an operator can ask for */
};

struct clerk_wish {
    enum clerk_verb verb;
    uint32_t node;    /* whom it is about, from 1: what runs on that machine when it is wished */
    uint32_t other;   /* REPLACE: by whom; likewise */
    uint64_t space;   /* of keyspaces: its number */
    uint32_t count;   /* CREATE, SPLIT: of its tablets; ALTER: of their copies */
    uint64_t dice;    /* SPLIT: at which key, of a keyspace of ranges; LOOK: at what */
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
