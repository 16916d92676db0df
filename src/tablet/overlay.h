/*
 * tablet/overlay.h — results that are in the log but not yet committed, by key.
 *
 * A hash table of nodes that live in the pending entries; only the newest
 * uncommitted result of a key is in it.
 */
#ifndef TABLET_OVERLAY_H
#define TABLET_OVERLAY_H

#include "base/entry.h"
#include "base/status.h"

struct overlay_node {
    struct overlay_node *next;
    const struct entry *entry; /* borrowed from the pending entry */
    uint64_t hash;             /* hash64(key) */
    bool linked;
};

struct overlay {
    struct overlay_node **buckets; /* owned */
    size_t bucket_count;           /* a power of two, or 0 */
    size_t count;
};

void overlay_init(struct overlay *o);
void overlay_release(struct overlay *o);

/* Room for `more` nodes, so that linking cannot fail. */
MUST_USE enum status overlay_reserve(struct overlay *o, size_t more);

/* The node becomes the newest of its key; the one before is unlinked.  Room was reserved. */
void overlay_put(struct overlay *o, struct overlay_node *node);

/* Unlink, if it is still the newest of its key. */
void overlay_remove(struct overlay *o, struct overlay_node *node);

/* Unlink all. */
void overlay_clear(struct overlay *o);

const struct entry *overlay_find(const struct overlay *o, struct slice key, uint64_t hash);

#endif
