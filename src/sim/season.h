/*
 * sim/season.h — phases of a few seconds, in which clients ask much or little, and reach all nodes or some.
 *
 * In some phases the clients are cut in two, as their nodes may be: those who are left behind reach only the
 * node that led when it began, and only read there; the others reach all but that one.  A leader that has
 * been left behind and does not know it is told from the true one by them: who writes to it has it wait
 * for that.
 *
 * Pure.
 */
#ifndef SIM_SEASON_H
#define SIM_SEASON_H

#include "sim/setup.h"

struct season {
    const struct setup *setup;
    uint64_t phase;
    uint32_t sundered; /* the node that some clients cannot leave in this phase; 0: none */
    uint32_t led;      /* the node that was last seen to lead; 0: none */
    bool over;         /* everybody asks, and reaches everything */
};

void season_init(struct season *s, const struct setup *setup);

/* So long after the beginning. */
void season_turn(struct season *s, uint64_t since_ms);

uint32_t season_rate(const struct season *s); /* operations a second, of all clients */
bool season_leaves_behind(const struct season *s, uint32_t client);
bool season_reaches(const struct season *s, uint32_t client, uint32_t node_id);

#endif
