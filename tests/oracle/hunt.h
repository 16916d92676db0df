/*
 * oracle/hunt.h — cases of consecutive seeds, for a while.
 */
#ifndef ORACLE_HUNT_H
#define ORACLE_HUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "oracle/groups.h"

enum hunt_ground { HUNT_HANDLERS, HUNT_GROUPS, HUNT_GROUND_COUNT };

struct hunt {
    const char *program; /* etcd's side */
    uint64_t seed;       /* the first one */
    uint32_t seconds;
    bool only[HUNT_GROUND_COUNT];
    FILE *report; /* NULL: nowhere */

    /* what came of it */
    uint64_t cases[HUNT_GROUND_COUNT];
    uint64_t steps[HUNT_GROUND_COUNT];
    struct groups_marks marks;
    enum hunt_ground where;
    uint64_t failed_seed;
    const char *why; /* NULL: the two agree */
};

void hunt_run(struct hunt *h);
const char *hunt_ground_name(enum hunt_ground ground);

#endif
