/*
 * sim/havoc.h — carries a plan out on the world: what begins, what is undone, which node runs.
 */
#ifndef SIM_HAVOC_H
#define SIM_HAVOC_H

#include "sim/clerk.h"
#include "sim/machine.h"
#include "sim/observer.h"

struct havoc;

struct havoc_options {
    struct sim *world;
    struct node *nodes; /* borrowed array */
    const struct setup *setup;
    const struct plan *plan;
    const struct picks *only;
    struct crowd *crowd;
    const struct observer *observer; /* knows who leads */
    struct clerk *clerk;             /* of a formed cluster; else NULL */
};

/* ST_NO_MEMORY. */
MUST_USE enum status havoc_create(struct havoc **out, const struct havoc_options *options);
void havoc_destroy(struct havoc *h); /* NULL is allowed */

/* Begin and undo what is due, start nodes, finish stops.  Else than ST_OK: what a node did was wrong,
 * which `err` explains. */
MUST_USE enum status havoc_tend(struct havoc *h, struct err *err);

/* World time of the next action, or of the next node to start. */
uint64_t havoc_next_ns(const struct havoc *h);

/* No more actions; everything is whole again, and every node is to run that is not rotten. */
void havoc_end(struct havoc *h);

/* All nodes are to stop in order, for good. */
void havoc_stop_all(struct havoc *h);

bool havoc_all_up(const struct havoc *h);
bool havoc_all_down(const struct havoc *h);
void havoc_count(const struct havoc *h, struct machine_counts *out);

#endif
