/*
 * kv/leaders.h — who leads what, as one door knows it: for clients that want to ask leaders themselves.
 *
 * It is knowledge, and no promise: when somebody acts on it, another may lead.  Whoever is asked for what it
 * does not lead forwards it, so nothing but a detour comes of that.
 *
 * On the door's loop.
 */
#ifndef KV_LEADERS_H
#define KV_LEADERS_H

#include "cluster/atlas.h"
#include "kv/kv.h"

/* The cluster as the door sees it; borrowed until the loop's round ends. */
const struct atlas *leaders_atlas(const struct kv_door *door);

/* Is it this node, or one that was heard just now? */
bool leaders_hears(const struct kv_door *door, uint64_t node);

/* Who leads the tablet, if the door has asked lately; else who should lead, or the first member that votes, of
 * those that are heard; and if none is, whoever should.  0: it has no members. */
uint64_t leaders_of(const struct kv_door *door, const struct tablet_record *t);

/* Another node that is heard, and leads the tablet for all that is known; 0: there is none.  Who is sent there
 * brings nothing back, so the door asks now and then whether it is still so. */
uint64_t leaders_elsewhere(struct kv_door *door, const struct tablet_record *t);

#endif
