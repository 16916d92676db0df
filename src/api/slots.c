#include "api/slots.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

/* ------------------------------------------------------------------ one range */

static void
add_copies(struct slot_range *r, const struct tablet_record *t)
{
    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct tablet_member *m = &t->members[i];

        if (m->node != r->leader && (m->role == MEMBER_VOTER || m->role == MEMBER_LEARNER))
            r->copies[r->copy_count++] = m->node;
    }
    qsort(r->copies, r->copy_count, sizeof(r->copies[0]), record_compare_ids);
}

bool
slots_has_copy(const struct slot_range *r, uint64_t node)
{
    for (uint32_t i = 0; i < r->copy_count; i++) {
        if (r->copies[i] == node)
            return true;
    }
    return false;
}

static int
compare_groups(const struct slot_range *a, const struct slot_range *b)
{
    if (a->leader != b->leader)
        return a->leader < b->leader ? -1 : 1;
    if (a->copy_count != b->copy_count)
        return a->copy_count < b->copy_count ? -1 : 1;
    for (uint32_t i = 0; i < a->copy_count; i++) {
        if (a->copies[i] != b->copies[i])
            return a->copies[i] < b->copies[i] ? -1 : 1;
    }
    return 0;
}

static int
compare_ranges(const void *a, const void *b)
{
    const struct slot_range *x = a;
    const struct slot_range *y = b;
    int groups = compare_groups(x, y);

    return groups != 0 ? groups : (x->begin > y->begin) - (x->begin < y->begin);
}

bool
slots_are_grouped(const struct slot_range *a, const struct slot_range *b)
{
    return compare_groups(a, b) == 0;
}

/* ------------------------------------------------------------------ all of them */

/* Where a tablet's slots begin for who looks one up: a hole is the one's before it, or the first's. */
static uint32_t
begin_of(const struct atlas_keyspace *k, uint32_t number)
{
    uint32_t begin, limit;

    if (number == 0)
        return 0;
    if (number == k->tablet_count)
        return SLOT_COUNT;
    atlas_slots_of(k->tablets[number], &begin, &limit);
    return begin;
}

static void
add_range(struct slots *s, const struct slot_range *r)
{
    struct slot_range *last = s->count == 0 ? NULL : &s->ranges[s->count - 1];

    ASSERT(r->begin == (last == NULL ? 0 : last->limit) && r->limit <= SLOT_COUNT);
    if (r->begin == r->limit)
        return;
    if (last != NULL && slots_are_grouped(last, r))
        last->limit = r->limit;
    else
        s->ranges[s->count++] = *r;
}

enum status
slots_draw(struct slots *out, struct kv_door *door, uint32_t keyspace)
{
    struct slots s = { .atlas = leaders_atlas(door) };
    const struct atlas_keyspace *k = atlas_keyspace(s.atlas, keyspace);
    uint32_t count;

    if (k == NULL || k->tablet_count == 0)
        return ST_NOT_FOUND;
    count = k->record.partition == PARTITION_HASH ? k->tablet_count : 1;
    s.ranges = mem_new_array(struct slot_range, count);
    if (s.ranges == NULL)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        struct slot_range r = { .leader = leaders_of(door, k->tablets[i]) };

        r.begin = count == 1 ? 0 : begin_of(k, i);
        r.limit = count == 1 ? SLOT_COUNT : begin_of(k, i + 1);
        add_copies(&r, k->tablets[i]);
        add_range(&s, &r);
    }
    *out = s;
    return ST_OK;
}

void
slots_release(struct slots *s)
{
    mem_free(s->ranges);
    *s = (struct slots){ 0 };
}

void
slots_group(struct slots *s)
{
    qsort(s->ranges, s->count, sizeof(s->ranges[0]), compare_ranges);
}

/* ------------------------------------------------------------------ looking */

const struct tablet_record *
slots_tablet(const struct atlas_keyspace *k, uint32_t slot)
{
    uint32_t at = 0;

    if (k == NULL || k->tablet_count == 0 || k->record.partition != PARTITION_HASH)
        return NULL;
    while (at + 1 < k->tablet_count && begin_of(k, at + 1) <= slot)
        at++;
    return k->tablets[at];
}

bool
slots_in_cluster(const struct kv_door *door)
{
    const struct atlas *a = leaders_atlas(door);
    uint32_t members = 0;

    for (uint32_t i = 0; i < a->node_count; i++)
        members += a->nodes[i].state != NODE_REMOVED;
    return members > 1;
}
