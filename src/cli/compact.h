/*
 * cli/compact.h — COMPACT for people: that it has begun, how far it is, what came of it.
 */
#ifndef CLI_COMPACT_H
#define CLI_COMPACT_H

#include "cli/run.h"

/* On a terminal a bar is redrawn in place; otherwise each tenth is a line.  How far it is, a second
 * connection asks; without one, only the time is shown. */
enum run_outcome compact_run(struct target *t, const struct words *w, FILE *out, FILE *err_out);

#endif
