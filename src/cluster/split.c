#include "cluster/split.h"

#include <stdlib.h>

#include "cluster/atlas.h"

bool
split_middle(const struct tablet_record *t, uint8_t room[2], struct slice *at)
{
    uint32_t begin, limit;

    atlas_slots_of(t, &begin, &limit);
    if (limit - begin < 2)
        return false;
    *at = slot_bound(begin + (limit - begin) / 2, room);
    return true;
}

static bool
is_at_rest(const struct tablet_record *t)
{
    for (uint32_t i = 0; i < t->member_count; i++) {
        if (t->members[i].role != MEMBER_VOTER && t->members[i].role != MEMBER_LEARNER)
            return false;
    }
    return t->heir == 0;
}

bool
split_may_begin(const struct tablet_record *t, struct slice at)
{
    return is_at_rest(t) && at.size > 0 && at.size <= SCOPE_BOUND_BYTES &&
           slice_compare(at, t->from) > 0 &&
           (t->limit.size == 0 || slice_compare(at, t->limit) < 0);
}

struct tablet_record
split_begun(const struct tablet_record *t, uint64_t heir, struct slice at)
{
    struct tablet_record next = *t;

    next.heir = heir;
    next.at = at;
    return next;
}

bool
split_is_done(const struct tablet_record *t, const struct tablet_report *report)
{
    return t->heir != 0 && report != NULL && report->edition > t->edition;
}

/* The heir's group is born with those that vote. */
static void
found(struct tablet_record *heir)
{
    heir->founder_count = 0;
    for (uint32_t i = 0; i < heir->member_count; i++) {
        if (heir->members[i].role == MEMBER_VOTER)
            heir->founders[heir->founder_count++] = heir->members[i].node;
    }
    qsort(heir->founders, heir->founder_count, sizeof(heir->founders[0]), record_compare_ids);
}

void
split_ended(const struct tablet_record *t, struct tablet_record *lower, struct tablet_record *heir)
{
    *lower = *heir = *t;
    lower->heir = heir->heir = 0;
    lower->at = heir->at = (struct slice){ 0 };
    lower->edition = heir->edition = t->edition + 1;
    lower->limit = heir->from = t->at;
    heir->id = t->heir;
    heir->parent = t->id;
    heir->version = 0;
    found(heir);
}
