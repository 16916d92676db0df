/*
 * api/slots.h — the slots of a keyspace, as clients of Redis Cluster are told them: who leads which, and who
 * has copies.
 *
 * Every slot is in exactly one range; neighbouring ones with the same leader and the same copies are one.  A range
 * keyspace has no slots: all are shown as its first tablet's, and are answered by any node, as all is.
 */
#ifndef API_SLOTS_H
#define API_SLOTS_H

#include "kv/leaders.h"

struct slot_range {
    uint32_t begin;
    uint32_t limit;
    uint64_t leader; /* 0: it has no members */
    uint32_t copy_count;
    uint64_t copies
        [RAFT_MEMBERS_MAX]; /* of the others that vote or learn for good; in ascending order */
};

struct slots {
    const struct atlas *atlas; /* borrowed, of the door, until the round ends */
    struct slot_range *ranges; /* owned; in order */
    uint32_t count;
};

/* As the door sees it now.  ST_NOT_FOUND: there is no such keyspace; ST_NO_MEMORY. */
MUST_USE enum status slots_draw(struct slots *out, struct kv_door *door, uint32_t keyspace);
void slots_release(struct slots *s);

/* Have those with the same leader and the same copies stand together, in order among themselves. */
void slots_group(struct slots *s);
bool slots_are_grouped(const struct slot_range *a, const struct slot_range *b);

bool slots_has_copy(const struct slot_range *r, uint64_t node);

/* The tablet that has the slot; NULL: the keyspace has none, or no slots. */
const struct tablet_record *slots_tablet(const struct atlas_keyspace *k, uint32_t slot);

/* Is there more than one node? */
bool slots_in_cluster(const struct kv_door *door);

#endif
