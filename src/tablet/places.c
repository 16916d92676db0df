#include "tablet/places.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { CAPACITY_MIN = 8 };

void
places_release(struct places *p)
{
    mem_free(p->at);
    *p = (struct places){ 0 };
}

static void
drop_first(struct places *p, uint32_t count)
{
    ASSERT(count <= p->count);
    if (count == p->count) {
        places_release(p);
        return;
    }
    p->count -= count;
    memmove(p->at, p->at + count, p->count * sizeof(*p->at));
}

static enum status
reserve_one(struct places *p)
{
    uint32_t capacity = p->capacity == 0 ? CAPACITY_MIN : 2 * p->capacity;
    struct place *grown;

    if (p->count == PLACES_MAX)
        drop_first(p, PLACES_MAX / 2);
    if (p->count < p->capacity)
        return ST_OK;
    grown = mem_resize(p->at, capacity * sizeof(*grown));
    if (grown == NULL)
        return ST_NO_MEMORY;
    p->at = grown;
    p->capacity = capacity;
    return ST_OK;
}

static bool
follows(const struct places *p, raft_index index, raft_term term, wal_position position)
{
    const struct place *last = &p->at[p->count - 1];

    return index == p->limit && term >= last->term && position >= last->position;
}

static bool
is_due(const struct places *p, raft_term term, wal_position position)
{
    const struct place *last = &p->at[p->count - 1];
    uint64_t share = (last->position - p->at[0].position) / PLACE_SHARE;

    return term != last->term ||
           position - last->position >= (share > PLACE_BYTES_MIN ? share : PLACE_BYTES_MIN);
}

void
places_note(struct places *p, raft_index index, raft_term term, wal_position position)
{
    places_cut(p, index);
    if (p->count > 0 && !follows(p, index, term, position))
        places_release(p);
    if (p->count == 0 || is_due(p, term, position)) {
        if (reserve_one(p) != ST_OK) {
            places_release(p);
            return;
        }
        p->at[p->count++] = (struct place){ .index = index, .term = term, .position = position };
    }
    p->limit = index + 1;
}

void
places_cut(struct places *p, raft_index index)
{
    if (index >= p->limit)
        return;
    while (p->count > 0 && p->at[p->count - 1].index >= index)
        p->count--;
    if (p->count == 0)
        places_release(p);
    else
        p->limit = index;
}

void
places_forget(struct places *p, wal_position position)
{
    uint32_t gone = 0;

    while (gone < p->count && p->at[gone].position < position)
        gone++;
    if (gone > 0)
        drop_first(p, gone);
}

const struct place *
places_find(const struct places *p, raft_index index)
{
    uint32_t begin = 0;
    uint32_t limit = p->count;

    if (p->count == 0 || index < p->at[0].index || index >= p->limit)
        return NULL;
    while (limit - begin > 1) {
        uint32_t middle = begin + (limit - begin) / 2;

        if (p->at[middle].index <= index)
            begin = middle;
        else
            limit = middle;
    }
    return &p->at[begin];
}

raft_index
places_term_limit(const struct places *p, const struct place *place)
{
    const struct place *end = p->at + p->count;
    raft_term term = place->term;

    ASSERT(place >= p->at && place < end);
    while (place < end && place->term == term)
        place++;
    return place < end ? place->index : p->limit;
}
