/*
 * sim/observer.h — looks at every member of the group whenever its code has run, and remembers who leads.
 *
 * What it sees goes to a witness (raft/witness.h).  It asks nothing of the nodes and takes no time, so a
 * run is the same with it and without.
 */
#ifndef SIM_OBSERVER_H
#define SIM_OBSERVER_H

#include "raft/raft.h"
#include "sim/node.h"

struct observer;

/* The first keyspace's group.  `nodes` is borrowed.  ST_NO_MEMORY. */
MUST_USE enum status observer_create(struct observer **out, struct sim *world, struct node *nodes,
                                     uint32_t count);
void observer_destroy(struct observer *o); /* before the world; NULL is allowed */

/* ST_OK, or what the members have contradicted each other in. */
enum status observer_verdict(const struct observer *o, struct err *err);

/* The node that leads in the highest term of those that lead; NULL: none that runs. */
struct node *observer_leader(const struct observer *o);

/* Its term; 0: nobody leads. */
raft_term observer_term(const struct observer *o);

/* By whoever leads; NULL: nobody does.  Until something runs. */
const struct raft_config *observer_members(const struct observer *o);

/* The same, when it is committed in the leader's own term; else NULL. */
const struct raft_config *observer_settled(const struct observer *o);

/* A line for each node: where its member is, and, of one that leads, how far it thinks the others are. */
MUST_USE enum status observer_describe(const struct observer *o, struct buf *out);

/* The first node that installs a snapshot now; 0: none. */
uint32_t observer_installs(const struct observer *o);

/* `*flag` is set whenever somebody becomes leader, or begins to install; borrowed.  NULL: nothing is. */
void observer_stir(struct observer *o, bool *flag);

uint64_t observer_elections(const struct observer *o);

#endif
