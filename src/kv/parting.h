/*
 * kv/parting.h — a node that stops, and those who send it requests.
 *
 *      who stops            each door of the others
 *
 *      drains  ── PART ──>  sends it nothing more; when nothing of its own is away there any longer
 *      waits  <── PARTED ──
 *      ends                 has nothing that could be lost with the connection
 *
 * Without it a request that was sent in the belief that the node still leads would find nobody: it would be lost
 * with the connection, and a write's outcome unknown, though nothing ever was evaluated.  Who is asked meanwhile
 * refuses, so that whoever sent is free to ask another.
 *
 * BOUNDS.  Who stops waits for those to whom it has a connection, and for PART_MS at most.
 */
#ifndef KV_PARTING_H
#define KV_PARTING_H

#include "kv/forward.h"

enum { PART_MS = 1000 };

/* The node of this number (forward_find()) has said PART, or PARTED. */
void parting_heard(struct forward *f, uint32_t at, const struct peer_sender *from);
void parted_heard(struct forward *f, uint32_t at, uint64_t id, struct slice payload);

/* Is the process to which the door has a connection about to end? */
bool parting_of(const struct forward *f, uint32_t at);

/* Say PARTED when it is due; on the door's ticks and whenever PART comes. */
void parting_tend(struct forward *f, uint32_t at);

/* For who stops: ask all who have not parted, at once and by the door's ticks until part_until_ns. */
void parting_ask(struct forward *f);
/* Has everybody parted for whom we wait? */
bool parting_is_done(const struct forward *f, uint64_t now_ns);

#endif
