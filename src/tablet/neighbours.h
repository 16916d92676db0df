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

#include "base/limits.h"
#include "base/lock.h"
#include "base/status.h"

enum { TABLET_NODES_MAX = 128 /* other nodes that a node speaks with */ };

/* What it has said to the guest (kv/forward.h, kv/parting.h), whichever loop has heard it. */
struct neighbour_guest {
    _Atomic uint64_t
        streams[LIMIT_REACTORS]; /* process and stream of each of its loops, the latest */
    _Atomic uint32_t losses;     /* how often, that answers may be lost */
    _Atomic uint64_t parting;    /* its process that stops and wants no more requests; 0: none */
    _Atomic uint64_t parted;     /* its loops that send us no more, as we stop: a bit for each */
    _Atomic uint64_t doors;      /* all of them; 0: none has said so yet */
};

struct tablet_neighbour {
    _Atomic uint64_t node;        /* 0: the slot is free */
    _Atomic uint64_t heard_ns;    /* env_boot_ns() when anything of it arrived last */
    _Atomic uint64_t incarnation; /* of what arrived last; 0: nothing yet */
    _Atomic uint64_t wanted_ns;   /* when somebody wanted to know last whether it lives */
    _Atomic uint64_t
        asked_ns; /* when it was asked to answer at once, and has not yet; 0: it was not */
    _Atomic uint64_t trip_ns;  /* to there and back, the last time; 0: not known */
    _Atomic uint64_t departed; /* its process that is given nothing to lead; 0: none */
    struct neighbour_guest guest;
    uint32_t loops; /* that have joined; under the lock */
};

/* Wanted are those with whom we share a group, and those who have requests of ours.  They are sent
 * heartbeats, and answer them, for so long; then their silence means something. */
#define NEIGHBOUR_WANTED_NS (5 * UINT64_C(1000000000))

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

/* Any thread.  What was not heard while nobody listened is no silence: that begins now. */
void neighbour_want(struct tablet_neighbour *slot, uint64_t now_ns);
bool neighbour_is_wanted(const struct tablet_neighbour *slot, uint64_t now_ns);

#endif
