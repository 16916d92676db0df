/*
 * tablet/neighbours.h — the other nodes, as all loops of this one hear of them.
 *
 * A slot for each, which all loops find without a lock.  A loop that wants to speak with a node joins its slot,
 * and parts from it when it does not any more; the last one to part leaves it for another node.
 */
#ifndef TABLET_NEIGHBOURS_H
#define TABLET_NEIGHBOURS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/lock.h"
#include "base/status.h"

enum { TABLET_NODES_MAX = 128 /* other nodes that a node speaks with */ };

struct tablet_neighbour {
    _Atomic uint64_t node;        /* 0: the slot is free */
    _Atomic uint64_t heard_ns;    /* env_boot_ns() when anything of it arrived last */
    _Atomic uint64_t incarnation; /* of what arrived last; 0: nothing yet */
    _Atomic bool beats;           /* it is sent heartbeats, and its silence means something */
    uint32_t loops;               /* that have joined; under the lock */
};

struct neighbours {
    struct lock lock; /* against others who join or part */
    struct tablet_neighbour slots[TABLET_NODES_MAX];
    _Atomic uint32_t limit; /* no slot from here on was ever used */
};

void neighbours_init(struct neighbours *n);
void neighbours_release(struct neighbours *n);

/* The slot of a node; NULL: there is none.  Any thread; of use as long as the loop has joined it. */
struct tablet_neighbour *neighbours_find(struct neighbours *n, uint64_t node);

/* Once for each loop that does not have it.  It was heard of just now.  ST_TOO_BIG: TABLET_NODES_MAX are there. */
MUST_USE enum status neighbours_join(struct neighbours *n, uint64_t node, uint64_t now_ns,
                                     struct tablet_neighbour **out);
void neighbours_part(struct neighbours *n, struct tablet_neighbour *slot);

#endif
