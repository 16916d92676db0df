/*
 * oracle/cases.h — a random member in a random state, and what may happen to it.
 */
#ifndef ORACLE_CASES_H
#define ORACLE_CASES_H

#include "oracle/script.h"

/* Decided by the seed alone.  To be ended by script_end(). */
void cases_draw(struct script *s, uint64_t seed);

#endif
