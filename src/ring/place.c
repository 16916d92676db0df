/*
 * Bounded placement.
 *
 * Tablets are taken in the order of their positions, each goes to the first nodes of its list that
 * have room, and leaves less of it to those after it.  A node has room while its load is below its
 * cap: its fair share (share.h) of the sum of all sizes, and the slack.  What is fair depends on how
 * many replicas there are, so the tablets with each number of them have a part of the cap.
 *
 * Caps are rounded to whole tablets, down or up by a hash of the node, so that those of many nodes
 * add up to what they would unrounded (so does the paper).  Were all rounded up, they would cross
 * a whole number together, and one node more would take a tablet from each: of 64 tablets on 100
 * nodes, with a slack of 5 %, three replicas in ten moved.
 *
 *   B1  A row has no node twice, and as many as were wanted, or all that store something.
 *   B2  A row keeps to the rule of the zones (N3).
 *   B3  No node gets a tablet that has reached its cap, but where B1 and B2 leave nobody else; then
 *       it is the first of the list.  So a load is below its cap and a tablet more, and near the
 *       end, when few nodes have room, it may pass that by a little.
 *   B4  The same set of tablets and nodes gives the same rows, whatever the order they come in; but for
 *       two tablets in one of the 2^128 positions.
 *
 * Leaders are bounded the same way: each tablet is led by the first of its row that leads less than
 * its share and the slack, else by the one that leads least for its share.
 *
 * NOT HERE, ON PURPOSE
 *
 *   No memory of where tablets are.  The caller moves them towards what is said here.
 */
#include "ring/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "ring/share.h"

__extension__ typedef unsigned __int128 wide; /* not in ISO C; gcc and clang both have it */

enum { PERMILLE = 1000 };

/* What is being placed: replicas, or leaders.  Loads and caps are counted in RING_SHARE_ONE to one of
 * the unit of the sizes, as shares are: what is rounded off is nothing. */
struct placing {
    const struct ring *ring;
    uint32_t count;
    const struct ring_tablet **order; /* owned; by position */
    uint64_t *shares;                 /* owned, as all below; by member */
    wide *caps;
    wide *loads;
    bool *has_room;
};

static int
by_position(const void *a, const void *b)
{
    const struct ring_tablet *x = *(const struct ring_tablet *const *)a;
    const struct ring_tablet *y = *(const struct ring_tablet *const *)b;

    return ring_position_compare(x->position, y->position); /* B4 */
}

static void
placing_release(struct placing *p)
{
    mem_free(p->order);
    mem_free(p->shares);
    mem_free(p->caps);
    mem_free(p->loads);
    mem_free(p->has_room);
}

static enum status
placing_init(struct placing *p, const struct ring *ring, const struct ring_tablet *tablets,
             uint32_t count)
{
    *p = (struct placing){ .ring = ring, .count = count };
    p->order = mem_new_array(const struct ring_tablet *, count);
    p->shares = mem_new_array(uint64_t, ring->member_count);
    p->caps = mem_new_array(wide, ring->member_count);
    p->loads = mem_new_array(wide, ring->member_count);
    p->has_room = mem_new_array(bool, ring->member_count);
    if (p->order == NULL || p->shares == NULL || p->caps == NULL || p->loads == NULL ||
        p->has_room == NULL) {
        placing_release(p);
        return ST_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++)
        p->order[i] = &tablets[i];
    qsort(p->order, count, sizeof(const struct ring_tablet *), by_position);
    return ST_OK;
}

/* Members may have their share of `total` more, and the slack. */
static void
raise_caps(struct placing *p, uint64_t total, uint32_t slack_permille)
{
    for (uint32_t i = 0; i < p->ring->member_count; i++)
        p->caps[i] += (wide)p->shares[i] * ((uint64_t)PERMILLE + slack_permille) * total / PERMILLE;
}

/* Take a part of the mean of so many tablets from each cap: a load below what is left is rounded up to
 * the next whole tablet. */
static void
round_caps(struct placing *p, uint64_t total)
{
    wide mean = p->count == 0 ? 0 : (wide)total * RING_SHARE_ONE / p->count;

    for (uint32_t i = 0; i < p->ring->member_count; i++) {
        wide dice = hash_u64(p->ring->members[i].id) >> 32;
        wide cut = (mean * dice) >> 32;

        p->caps[i] -= p->caps[i] > cut ? cut : p->caps[i];
        p->has_room[i] = p->caps[i] > 0;
    }
}

static void
add_load(struct placing *p, uint32_t member, uint64_t size)
{
    p->loads[member] += (wide)size * RING_SHARE_ONE;
    p->has_room[member] = p->loads[member] < p->caps[member]; /* B3 */
}

/* The sizes of the tablets with so many replicas. */
static uint64_t
total_size(const struct placing *p, uint32_t replicas)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < p->count; i++)
        total += p->order[i]->replicas == replicas ? p->order[i]->size : 0;
    return total;
}

static enum status
set_caps(struct placing *p, const struct ring_bound *bound)
{
    uint64_t total = 0;

    for (uint32_t replicas = 1; replicas <= bound->replicas_max; replicas++) {
        uint32_t all = p->ring->member_count;
        uint64_t size = total_size(p, replicas);
        enum status st;

        if (size == 0)
            continue;
        st = ring__shares(p->ring, replicas < all ? replicas : all, p->shares);
        if (st != ST_OK)
            return st;
        raise_caps(p, size, bound->slack_permille);
        total += size;
    }
    round_caps(p, total);
    return ST_OK;
}

static void
place_one(struct placing *p, const struct ring_tablet *tablet, uint32_t row_size, uint64_t *row)
{
    uint32_t points[RING_NODES_MAX];
    uint32_t count = ring__choose(p->ring, tablet->position, tablet->replicas, p->has_room, points);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t member = p->ring->points[points[i]].member;

        row[i] = p->ring->members[member].id;
        add_load(p, member, tablet->size);
    }
    memset(row + count, 0, (row_size - count) * sizeof(*row));
}

enum status
ring_place(const struct ring *ring, const struct ring_tablet *tablets, uint32_t count,
           const struct ring_bound *bound, uint64_t *holders)
{
    uint64_t total = 0;
    struct placing p;
    enum status st;

    ASSERT(bound->replicas_max > 0 && bound->replicas_max <= RING_NODES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(tablets[i].replicas <= bound->replicas_max);
        if (__builtin_add_overflow(total, tablets[i].size, &total))
            return ST_TOO_BIG;
    }
    st = placing_init(&p, ring, tablets, count);
    if (st != ST_OK)
        return st;
    st = set_caps(&p, bound);
    if (st != ST_OK)
        goto out;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *row = holders + (size_t)(p.order[i] - tablets) * bound->replicas_max;

        place_one(&p, p.order[i], bound->replicas_max, row);
    }

out:
    placing_release(&p);
    return st;
}

/* ------------------------------------------------------------------ leaders */

/* In proportion to weights.  No rule is in the way: with N1 and N3 a node carries at least that. */
static void
set_leader_shares(struct placing *p)
{
    const struct ring *ring = p->ring;

    for (uint32_t i = 0; i < ring->member_count; i++) /* as many points as there is weight */
        p->shares[i] = (uint64_t)RING_SHARE_ONE * ring->members[i].weight / ring->point_count + 1;
}

/* Does `a` lead less than `b`, for its share? */
static bool
leads_less(const struct placing *p, uint32_t a, uint32_t b)
{
    return p->loads[a] * p->shares[b] < p->loads[b] * p->shares[a];
}

/* Which of the row should lead; `replicas` when the ring has none of them. */
static uint32_t
pick_leader(const struct placing *p, const uint64_t *row, uint32_t replicas)
{
    uint32_t best = replicas;
    uint32_t best_member = 0;

    for (uint32_t i = 0; i < replicas; i++) {
        uint32_t member = ring__find(p->ring, row[i]);

        if (member == p->ring->member_count)
            continue;
        if (p->has_room[member])
            return i;
        if (best == replicas || leads_less(p, member, best_member)) {
            best = i;
            best_member = member;
        }
    }
    return best;
}

static void
lead_one(struct placing *p, uint64_t *row, uint32_t replicas)
{
    uint32_t at = pick_leader(p, row, replicas);
    uint64_t leader;

    if (at == replicas)
        return;
    leader = row[at];
    memmove(row + 1, row, at * sizeof(*row));
    row[0] = leader;
    add_load(p, ring__find(p->ring, leader), 1);
}

enum status
ring_lead(const struct ring *ring, const struct ring_tablet *tablets, uint32_t count,
          const struct ring_bound *bound, uint64_t *holders)
{
    struct placing p;
    enum status st = placing_init(&p, ring, tablets, count);

    if (st != ST_OK)
        return st;
    set_leader_shares(&p);
    raise_caps(&p, count, bound->slack_permille);
    round_caps(&p, count);
    for (uint32_t i = 0; i < count; i++)
        lead_one(&p, holders + (size_t)(p.order[i] - tablets) * bound->replicas_max,
                 bound->replicas_max);
    placing_release(&p);
    return ST_OK;
}
