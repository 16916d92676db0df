/*
 * sim/crowd.h — the clients of a run, and the history of what they asked and were told.
 *
 * They are no code of a node: their memory is the world's, and they act between two events.  Each
 * has one operation at a time.  It asks a node that it believes to lead, waits, gives up after a
 * while, and writes down what it knows: `ok`, `fail` (certainly not applied), or `unknown`.  What
 * each does is drawn from a generator of its own, so that fewer clients or fewer faults do not
 * change what the others ask for.
 *
 * Two ages: in the first they follow the workload; in the second (crowd_begin_finale) all is well
 * again, each writes once and then reads its share of the keys, and everything must be answered.
 */
#ifndef SIM_CROWD_H
#define SIM_CROWD_H

#include "history/history.h"
#include "sim/node.h"

struct crowd;

struct crowd_options {
    struct sim *world;
    struct node *nodes; /* borrowed array */
    const struct setup *setup;
    uint64_t ops_max; /* 0: no limit */
    bool *stirred;    /* set whenever something was answered: for sim_run_until() */
};

struct crowd_counts {
    uint64_t issued;
    uint64_t ok;
    uint64_t failed;
    uint64_t unknown;
    uint64_t busy_ms; /* of seconds in which something was answered */
};

/* ST_NO_MEMORY. */
MUST_USE enum status crowd_create(struct crowd **out, const struct crowd_options *options);
void crowd_destroy(struct crowd *c); /* the nodes are down; NULL is allowed */

/* Take in what was answered, give up what takes too long, ask what is due.  ST_OK; ST_TIMEOUT: a
 * request did not end (P8), which `err` explains; ST_NO_MEMORY, ST_TOO_BIG: of the history. */
MUST_USE enum status crowd_tend(struct crowd *c, struct err *err);

/* A process of the node has ended: what it was asked is of unknown outcome. */
void crowd_node_died(struct crowd *c, const struct node *n);

/* When there is something to do, if nothing is answered before; world time. */
uint64_t crowd_next_ns(const struct crowd *c);

/* Requests that a node has now. */
uint32_t crowd_waiting(const struct crowd *c, const struct node *n);

bool crowd_is_waiting(const struct crowd *c); /* for any of them */

/* All that was to be asked in this age is asked and answered. */
bool crowd_is_done(const struct crowd *c);

void crowd_begin_finale(struct crowd *c);

/* What is under way becomes operations whose outcome nobody knows; nothing runs any more.  ST_NO_MEMORY. */
MUST_USE enum status crowd_give_up(struct crowd *c, struct err *err);

const struct history *crowd_history(const struct crowd *c);
void crowd_count(const struct crowd *c, struct crowd_counts *out);

#endif
