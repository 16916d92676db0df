/*
 * sim/picks.h — some of a plan's actions, by their numbers.
 *
 * Pure.
 */
#ifndef SIM_PICKS_H
#define SIM_PICKS_H

#include "base/slice.h"

enum { PLAN_ACTIONS_MAX = 4096 };

struct picks {
    bool some; /* false: all of them */
    uint64_t words[PLAN_ACTIONS_MAX / 64];
};

bool picks_has(const struct picks *p, uint32_t index);
void picks_set(struct picks *p, uint32_t index, bool wanted);

/* "3,7-9", or "none"; false: it is something else. */
bool picks_parse(const char *text, struct picks *p);
MUST_USE enum status picks_print(const struct picks *p, struct buf *out);

#endif
