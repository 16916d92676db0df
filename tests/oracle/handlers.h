/*
 * oracle/handlers.h — members one at a time, message by message.
 */
#ifndef ORACLE_HANDLERS_H
#define ORACLE_HANDLERS_H

#include <stdint.h>

#include "oracle/peer.h"

/* The case of this seed.  NULL: the two agree; else in what they do not: a literal, and `report` (NULL:
 * nowhere) has the whole story.  `*steps` grows by how many were compared. */
const char *handlers_run(struct peer *p, uint64_t seed, uint64_t *steps, FILE *report);

#endif
