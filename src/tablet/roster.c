#include "tablet/roster.h"

#include "base/assert.h"
#include "base/mem.h"

#include "tablet/tablet.h"

static uint32_t
place_of(const struct tablet_roster *r, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = r->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (tablet_id(r->at[middle]) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct tablet *
roster_find(const struct tablet_roster *r, uint64_t id)
{
    uint32_t at = place_of(r, id);

    return at < r->count && tablet_id(r->at[at]) == id ? r->at[at] : NULL;
}

enum status
roster_add(struct tablet_roster *r, struct tablet *t)
{
    uint32_t at = place_of(r, tablet_id(t));
    struct tablet **grown;

    ASSERT(roster_find(r, tablet_id(t)) == NULL);
    grown = mem_resize(r->at, (r->count + (size_t)1) * sizeof(struct tablet *));
    if (grown == NULL)
        return ST_NO_MEMORY;
    r->at = grown;
    memmove(&grown[at + 1], &grown[at], (r->count - at) * sizeof(struct tablet *));
    grown[at] = t;
    r->count++;
    return ST_OK;
}

void
roster_remove(struct tablet_roster *r, const struct tablet *t)
{
    uint32_t at = place_of(r, tablet_id(t));

    if (at == r->count || r->at[at] != t)
        return;
    r->count--;
    memmove(&r->at[at], &r->at[at + 1], (r->count - at) * sizeof(struct tablet *));
    if (r->count == 0)
        roster_release(r);
}

void
roster_release(struct tablet_roster *r)
{
    mem_free(r->at);
    *r = (struct tablet_roster){ 0 };
}
