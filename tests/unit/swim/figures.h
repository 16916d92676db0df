/*
 * unit/swim/figures.h — what failure detection costs, and how soon a death is known: measured on a net with the
 * thresholds of the design, links of 1 to 5 ms, and payloads of 16 bytes, of which each node announces a new one every ten
 * seconds.  For the tests and for bench/swim.
 */
#ifndef UNIT_SWIM_FIGURES_H
#define UNIT_SWIM_FIGURES_H

#include "unit/swim/net.h"

struct figures_setting {
    uint64_t seed;
    uint32_t node_count;
    uint32_t loss_permille;
};

/* ------------------------------------------------------------------ nobody dies */

struct figures_cost {
    double messages; /* that a node sends in a second */
    double bytes;
    uint32_t most_in_second; /* messages of one node */
    double suspicions;       /* all of them false; by suspected node and hour */
    uint32_t downs;          /* likewise false; all of them */
};

/* Of a minute to settle, and then of so many. */
struct figures_cost figures_peace(const struct figures_setting *s, uint32_t minutes);

/* ------------------------------------------------------------------ one after the other dies */

enum { FIGURES_DEATHS_MAX = 12, FIGURES_EDGES_MAX = FIGURES_DEATHS_MAX * NET_NODES_MAX };

/* Seconds from deaths until a state was known. */
struct figures_edges {
    uint32_t count;
    double s[FIGURES_EDGES_MAX]; /* of every observer and death, in ascending order */
    uint32_t death_count;
    double first_s[FIGURES_DEATHS_MAX]; /* of the first to know of each death, likewise */
    double last_s[FIGURES_DEATHS_MAX];  /* of the last one */
    uint32_t unseen;                    /* observers who did not know it after a minute */
};

struct figures_deaths {
    struct figures_edges suspicious;
    struct figures_edges down;
    uint32_t downs; /* of nodes that lived */
    uint32_t most_in_second;
};

/* A node drawn anew dies, is dead for a minute and back for another, so many times. */
void figures_deaths(const struct figures_setting *s, uint32_t deaths, struct figures_deaths *out);

/* Of `count` > 0 in ascending order; part 0 is the least, 1 the greatest. */
double figures_part(const double *values, uint32_t count, double part);

#endif
