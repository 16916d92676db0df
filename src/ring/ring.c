/*
 * The ring.
 *
 *           0 = 2^128
 *              |
 *        b1 .--+--. a1          points in order of position:  a1 b2 a2 c1 b1
 *          /       \
 *      c1 |    .<---| <- tablet's position
 *          \       / b2
 *           '-----'
 *             a2                preferred, clockwise:  b, a, c
 *
 * THE LIST is made in rounds.  In each the ring is walked once, clockwise from the tablet, and each
 * zone gives the first of its nodes that was not taken before, if it has one left.  So the list
 * begins with one node of every zone, in the order in which they are met, goes on with a second of
 * every zone that has two, and so on.  Where every node is a zone of its own, one round is all, and
 * the list is simply that of the nodes met.
 *
 *   N1  A list has no node twice.
 *   N2  A list has as many nodes as were wanted, or all that store something.
 *   N3  In the list, and in each beginning of it, no zone has two nodes more than another that has
 *       some left.
 *   N4  When a node comes, each list of a length either stays, or has that node in the place of one
 *       other (not always in the same order), or has it besides, when there were too few.  When it
 *       goes, the reverse.  Nothing moves between others.
 *
 * N4 holds because what a zone gives are its first nodes clockwise, and which zones give one in a
 * round that is not completed is decided by the same order.
 *
 * A walk allocates nothing, so asking for a list cannot fail: what was taken is noted on the stack.
 */
#include <string.h>

#include "base/assert.h"

#include "ring/ring_internal.h"

enum { WORD_BITS = 64 };

/* ------------------------------------------------------------------ the walk */

struct walk {
    const struct ring *ring;
    uint32_t first;  /* point */
    uint32_t wanted; /* at most member_count */
    uint32_t count;
    uint32_t *out;
    uint64_t taken[RING_NODES_MAX / WORD_BITS]; /* members, a bit each; as many as there are */
    uint16_t zone_counts[RING_NODES_MAX];       /* taken of each zone; likewise */
};

/* The first point at or after the position; beyond the last comes the first. */
static uint32_t
first_point(const struct ring *ring, struct ring_position from)
{
    uint32_t begin = 0;
    uint32_t limit = ring->point_count;

    while (begin < limit) {
        uint32_t middle = begin + (limit - begin) / 2;

        if (ring_position_compare(ring->points[middle].position, from) < 0)
            begin = middle + 1;
        else
            limit = middle;
    }
    return begin == ring->point_count ? 0 : begin;
}

static void
walk_init(struct walk *w, const struct ring *ring, struct ring_position from, uint32_t wanted)
{
    uint32_t words = (ring->member_count + WORD_BITS - 1) / WORD_BITS;

    w->ring = ring;
    w->first = first_point(ring, from);
    w->wanted = wanted < ring->member_count ? wanted : ring->member_count;
    w->count = 0;
    memset(w->taken, 0, words * sizeof(w->taken[0]));
    memset(w->zone_counts, 0, ring->zone_count * sizeof(w->zone_counts[0]));
}

/* Take the member unless it was taken, or its zone has given its part of this round. */
static bool
try_take(struct walk *w, uint32_t point, uint32_t round)
{
    uint32_t index = w->ring->points[point].member;
    uint32_t zone = w->ring->members[index].zone;
    uint64_t bit = UINT64_C(1) << index % WORD_BITS;

    if (w->zone_counts[zone] > round || (w->taken[index / WORD_BITS] & bit) != 0)
        return false;
    w->taken[index / WORD_BITS] |= bit; /* N1 */
    w->zone_counts[zone]++;             /* N3 */
    w->out[w->count++] = point;
    return true;
}

/* Once around, or until the list is `limit` long. */
static void
go_around(struct walk *w, uint32_t round, uint32_t limit, const bool *allowed)
{
    uint32_t point = w->first;

    for (uint32_t i = 0; i < w->ring->point_count && w->count < limit; i++) {
        if (allowed == NULL || allowed[w->ring->points[point].member])
            (void)try_take(w, point, round);
        point = point + 1 == w->ring->point_count ? 0 : point + 1;
    }
}

uint32_t
ring__choose(const struct ring *ring, struct ring_position from, uint32_t wanted,
             const bool *has_room, uint32_t *out)
{
    struct walk w;

    walk_init(&w, ring, from, wanted);
    w.out = out;
    for (uint32_t round = 0; w.count < w.wanted; round++) {
        uint32_t limit = w.count + ring->round_sizes[round];

        ASSERT(ring->round_sizes[round] > 0); /* N2: a zone with a node left gives one */
        if (limit > w.wanted)
            limit = w.wanted;
        if (has_room != NULL)
            go_around(&w, round, limit, has_room);
        go_around(&w, round, limit, NULL);
        ASSERT(w.count == limit);
    }
    return w.count;
}

uint32_t
ring_prefer(const struct ring *ring, struct ring_position from, uint32_t wanted,
            struct ring_choice *out)
{
    uint32_t points[RING_NODES_MAX];
    uint32_t count = ring__choose(ring, from, wanted, NULL, points);

    for (uint32_t i = 0; i < count; i++) {
        const struct ring_point *point = &ring->points[points[i]];

        out[i] = (struct ring_choice){ .node = ring->members[point->member].id,
                                       .position = point->position };
    }
    return count;
}
