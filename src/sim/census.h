/*
 * sim/census.h — asks every member for its state hash, and compares those that are of one index: of one tablet of the
 * clients' keyspace after the other.
 *
 * A member that answers for an index for which another one has answered before must say the same
 * (kv.h: KV_HASH).  Asking is work for a node as for an operator's real cluster, and takes time.
 */
#ifndef SIM_CENSUS_H
#define SIM_CENSUS_H

#include "sim/observer.h"

struct census;

struct census_options {
    struct sim *world;
    struct node *nodes; /* borrowed */
    const struct setup *setup;
    const struct observer *observer;
};

/* ST_NO_MEMORY. */
MUST_USE enum status census_create(struct census **out, const struct census_options *options);
void census_destroy(struct census *c); /* NULL is allowed */

/* Hear answers, and ask whom it is time to ask.  ST_CORRUPT: two members differ, or one cannot read its
 * own state, which `err` explains.  ST_NO_MEMORY. */
MUST_USE enum status census_tend(struct census *c, struct err *err);

/* Ask often, until every member of each group has answered for one and the same index of that. */
void census_begin_finale(struct census *c);
bool census_is_done(const struct census *c);

/* Nobody is asked any more. */
void census_end(struct census *c);
bool census_is_quiet(const struct census *c); /* and no answer is awaited */

#endif
