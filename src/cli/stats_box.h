/*
 * cli/stats_box.h — STATS for people.
 */
#ifndef CLI_STATS_BOX_H
#define CLI_STATS_BOX_H

#include <stdio.h>

#include "base/slice.h"

/* `json` is the line of DISTKV STATS.  False: it is not such a line. */
bool stats_box(struct slice json, FILE *out);

#endif
