/*
 * ring/share.h — what a node would carry if placement were perfect.
 *
 * In proportion to its weight, as far as the rules of the lists (N1, N3) allow: a node carries no
 * tablet twice, and a zone that is one node of many cannot be spared a replica of each tablet when
 * there are as many replicas as zones.
 */
#ifndef RING_SHARE_H
#define RING_SHARE_H

#include "ring/ring_internal.h"

enum {
    RING_SHARE_ONE = 1 << 20 /* a replica of each tablet */
};

/* The share of each member of `replicas` replicas of everything, at most as many as there are
 * members.  Rounded up: together they are that or a little more.  ST_NO_MEMORY. */
MUST_USE enum status ring__shares(const struct ring *ring, uint32_t replicas, uint64_t *out);

#endif
