/*
 * sim/agenda.h — actions, and when each is to be begun or undone.
 */
#ifndef SIM_AGENDA_H
#define SIM_AGENDA_H

#include "sim/plan.h"

#define AGENDA_SOME_DAY UINT64_MAX

struct appointment {
    uint64_t at_ns; /* world time; AGENDA_SOME_DAY: not known yet */
    struct action action;
};

struct agenda {
    struct appointment *all; /* owned; in the order in which they came */
    uint32_t count;
    uint32_t capacity;
};

/* Room for so many.  ST_NO_MEMORY. */
MUST_USE enum status agenda_init(struct agenda *a, uint32_t capacity);
void agenda_release(struct agenda *a);

void agenda_add(struct agenda *a, uint64_t at_ns, const struct action *action);

/* Of those that are due the one that came first; false: none is. */
bool agenda_take(struct agenda *a, uint64_t now_ns, struct action *out);

/* It happens now, to this node: what awaits it is for so long after as its action says, and for the node if it
 * names none. */
void agenda_date(struct agenda *a, enum plan_event event, uint32_t node, uint64_t now_ns);

/* AGENDA_SOME_DAY: nothing that has a date. */
uint64_t agenda_next_ns(const struct agenda *a);

#endif
