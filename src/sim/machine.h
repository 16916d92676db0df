/*
 * sim/machine.h — the machine of a node: when it runs and when not, and what befalls it.
 *
 *   M1  A node that does not start, or does not close, without a fault of its disk is a violation, unless
 *       bits of it are rotten.
 */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "sim/crowd.h"

struct machine_counts {
    uint64_t power_cuts; /* those at a call included */
    uint64_t kills;
    uint64_t stops;
};

struct machine {
    struct node *node;
    struct crowd *crowd; /* is told when a process has ended */
    uint64_t up_at_ns;   /* it is to run from then on; UINT64_MAX: not any more */
    uint64_t stop_by_ns;
    uint64_t down_ms; /* how long it stays down, should it die in a call */
    uint64_t cut_at;  /* of the next start */
    uint64_t disk_fails_until_ns;
    uint32_t failing_life; /* the last process that has seen it fail */
    bool killed;           /* and nothing ran since */
    bool renews;           /* a process whose log has failed is started anew at once */
    struct machine_counts counts;
};

void machine_init(struct machine *m, struct node *node, struct crowd *crowd);

/* What an action of one of these kinds does: POWER, DEATH, RECOVERY, KILL, RESTART, PAUSE, JUMP, DRIFT, IO,
 * FULL, SLOW; of others nothing. */
void machine_suffer(struct machine *m, const struct action *a);
void machine_recover(struct machine *m, const struct action *a);

/* Whoever died in a call to its disk, while others ran, started or ended: before anybody judges what it owes. */
void machine_notice_death(struct machine *m);

/* Start what is to run, finish starts and stops.  Else than ST_OK: what the node did was wrong (M1). */
MUST_USE enum status machine_tend(struct machine *m, struct err *err);

/* All is well with it from now on; a rotten one is taken out. */
void machine_heal(struct machine *m);

#endif
