/* Who there is.  Rounds of probes go through all members, the DOWN ones too, in an order that is drawn
 * for each round, so that nobody waits longer than two of them (SWIM, 4.3). */
#include <string.h>

#include "base/assert.h"

#include "swim/swim_internal.h"

/* The place of the first member whose id is not below `id`. */
static uint32_t
place_of(const struct swim *s, swim_id id)
{
    uint32_t begin = 0;
    uint32_t limit = s->member_count;

    while (begin < limit) {
        uint32_t middle = (begin + limit) / 2;

        if (s->members[middle].id < id)
            begin = middle + 1;
        else
            limit = middle;
    }
    return begin;
}

struct swim_member *
swim__member(struct swim *s, swim_id id)
{
    uint32_t place = place_of(s, id);

    return place < s->member_count && s->members[place].id == id ? &s->members[place] : NULL;
}

enum status
swim__learn(struct swim *s, swim_id id)
{
    uint32_t place = place_of(s, id);
    uint32_t turn;

    if (id == 0 || id == s->self)
        return ST_INVALID;
    if (swim__member(s, id) != NULL)
        return ST_EXISTS;
    if (s->member_count == SWIM_MEMBERS_MAX)
        return ST_TOO_BIG;
    memmove(&s->members[place + 1], &s->members[place],
            (s->member_count - place) * sizeof(s->members[0]));
    s->members[place] =
        (struct swim_member){ .id = id, .heard_ns = s->now_ns, .changed_ns = s->now_ns };

    /* Somewhere in what is left of this round. */
    turn = s->turn + (uint32_t)swim__random(s, s->member_count - s->turn + 1);
    memmove(&s->turns[turn + 1], &s->turns[turn], (s->member_count - turn) * sizeof(s->turns[0]));
    s->turns[turn] = id;
    s->member_count++;
    return ST_OK;
}

enum status
swim__forget(struct swim *s, swim_id id)
{
    struct swim_member *m = swim__member(s, id);
    uint32_t turn = 0;
    uint32_t place;

    if (m == NULL)
        return ST_NOT_FOUND;
    if (s->probe.target == id)
        s->probe.target = 0;
    while (s->turns[turn] != id)
        turn++;
    s->member_count--;
    memmove(&s->turns[turn], &s->turns[turn + 1], (s->member_count - turn) * sizeof(s->turns[0]));
    if (s->turn > turn)
        s->turn--;
    place = (uint32_t)(m - s->members);
    memmove(m, m + 1, (s->member_count - place) * sizeof(*m));
    return ST_OK;
}

static void
draw_round(struct swim *s)
{
    for (uint32_t i = s->member_count; i > 1; i--) {
        uint32_t other = (uint32_t)swim__random(s, i);
        swim_id moved = s->turns[i - 1];

        s->turns[i - 1] = s->turns[other];
        s->turns[other] = moved;
    }
    s->turn = 0;
}

swim_id
swim__next_turn(struct swim *s)
{
    if (s->member_count == 0)
        return 0;
    if (s->turn == s->member_count)
        draw_round(s);
    return s->turns[s->turn++];
}
