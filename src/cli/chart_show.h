/*
 * cli/chart_show.h — what a cluster answers (cluster/chart.h), for people.
 *
 * What is missing in an answer of a newer or older node is shown as "?" or 0.
 */
#ifndef CLI_CHART_SHOW_H
#define CLI_CHART_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Every node answers, every tablet has a leader and all its copies, and somebody leads the metadata. */
bool chart_is_healthy(const json_t *status);

/* Healthy or not, and why not, in one line; then the rest.  `nodes` may be NULL: it is not known which. */
void chart_show_status(const json_t *status, const json_t *nodes, FILE *out);

/* `all`: also those that were removed. */
void chart_show_nodes(const json_t *nodes, bool all, FILE *out);
void chart_show_tablets(const json_t *tablets, FILE *out);
void chart_show_keyspaces(const json_t *keyspaces, FILE *out);

/* Where the tablets of a keyspace lie on the ring, in its order; or all of one key. */
void chart_show_ring(const json_t *places, FILE *out);
void chart_show_key(const json_t *answer, FILE *out);

void chart_show_moves(const json_t *answer, FILE *out);

#endif
