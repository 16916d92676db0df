/*
 * What need not be searched.
 *
 * Each rule leaves the verdict as it is; the tests hold the search to one that tries all orders.
 * "Makers" of a value are the WRITEs and SWAPs that leave it, and any ADD if it is a number.
 *
 *   D1  An optional step that makes what no other step could look for is dropped: nothing
 *       could stand between it and the next WRITE, so without it the rest is as it was.  Likewise
 *       an optional SWAP of a value for itself.
 *       Not where there is a DIFFER: to that one, any value is of use.
 *
 *   D2  A value that a step needs, that the register does not hold at the beginning, and that
 *       has one maker only: the maker comes before all who need it.  So it is not optional, and
 *       returns no later than the first of them.  Nearly every write of unknown outcome ends
 *       here or at D1, when the clients' values are unique.
 *
 *   D3  Of two steps with the same effect that could both come next, the one that returns later may
 *       stand where the other stands, and the other where it stands: so the earlier return comes
 *       first.  `twin` is the next earlier one; the search looks at no more than it.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "history/subhistory.h"

enum { PASSES_MAX = 16 }; /* each pass may allow more; what is left then is searched */

static void
count_all(struct subhistory *s)
{
    for (uint32_t i = 0; i < s->value_count; i++) {
        struct value *v = &s->values[i];

        v->needers = v->watchers = v->differs = v->makers = v->last_call = 0;
        v->swapped = false;
    }
    s->add_count = 0;
    for (uint32_t i = 0; i < s->step_count; i++) {
        const struct step *step = &s->steps[i];

        subhistory_count(s, step, true);
        if (step->kind == STEP_SWAP)
            s->values[step->needs].swapped = true;
        if (step->or_absent)
            s->values[VALUE_ABSENT].swapped = true;
    }
}

/* ------------------------------------------------------------------ D1 */

static bool
is_useless(const struct subhistory *s, const struct step *step)
{
    const struct value *v;

    if (!step->optional || step->kind == STEP_ADD)
        return false;
    if (step->needs == step->makes)
        return true;
    v = &s->values[step->makes];
    return s->differ_count == 0 && v->needers == 0 && v->watchers == 0 &&
           !subhistory_adds_see(s, step->makes);
}

static bool
drop_useless(struct subhistory *s)
{
    uint32_t kept = 0;
    bool dropped;

    for (uint32_t i = 0; i < s->step_count; i++) {
        if (!is_useless(s, &s->steps[i]))
            s->steps[kept++] = s->steps[i];
    }
    dropped = kept < s->step_count;
    s->step_count = kept;
    return dropped;
}

/* ------------------------------------------------------------------ D2 */

/* By value, the first return of those that need it. */
static void
find_first_returns(const struct subhistory *s, uint64_t *first)
{
    for (uint32_t i = 0; i < s->value_count; i++)
        first[i] = HISTORY_NEVER;
    for (uint32_t i = 0; i < s->step_count; i++) {
        const struct step *step = &s->steps[i];

        if ((step->kind == STEP_READ || step->kind == STEP_SWAP) && !step->optional &&
            !step->or_absent && step->return_ns < first[step->needs])
            first[step->needs] = step->return_ns;
    }
}

static bool
bind_sole_makers(struct subhistory *s, const uint64_t *first)
{
    bool changed = false;

    for (uint32_t i = 0; i < s->step_count; i++) {
        struct step *step = &s->steps[i];
        uint32_t value = step->makes;

        if (value == VALUE_NONE || value == VALUE_ABSENT || s->values[value].makers != 1 ||
            subhistory_adds_make(s, value) || first[value] >= step->return_ns)
            continue;
        step->return_ns = first[value];
        step->optional = false;
        changed = true;
    }
    return changed;
}

/* ------------------------------------------------------------------ ranks and twins */

struct event {
    uint64_t ns;
    uint32_t step;
    bool is_return;
};

/* H2 */
static int
compare_events(const void *left, const void *right)
{
    const struct event *a = left, *b = right;

    if (a->ns != b->ns)
        return a->ns < b->ns ? -1 : 1;
    if (a->is_return != b->is_return)
        return a->is_return ? 1 : -1;
    return (a->step > b->step) - (a->step < b->step);
}

static void
assign_ranks(struct subhistory *s, struct event *events)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->step_count; i++) {
        events[count++] = (struct event){ s->steps[i].call_ns, i, false };
        if (!s->steps[i].optional)
            events[count++] = (struct event){ s->steps[i].return_ns, i, true };
    }
    if (count > 0)
        qsort(events, count, sizeof(*events), compare_events);
    for (uint32_t i = 0; i < count; i++) {
        struct step *step = &s->steps[events[i].step];

        if (events[i].is_return)
            step->return_rank = i;
        else
            step->call_rank = i;
    }
}

static int
compare_effects(const struct step *a, const struct step *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->makes != b->makes)
        return a->makes < b->makes ? -1 : 1;
    if (a->needs != b->needs)
        return a->needs < b->needs ? -1 : 1;
    if (a->or_absent != b->or_absent)
        return a->or_absent ? 1 : -1;
    return a->kind != STEP_ADD ? 0 : (a->delta > b->delta) - (a->delta < b->delta);
}

static int
compare_twins(const void *left, const void *right)
{
    const struct step *a = *(const struct step *const *)left;
    const struct step *b = *(const struct step *const *)right;
    int order = compare_effects(a, b);

    if (order != 0)
        return order;
    if (a->return_rank != b->return_rank)
        return a->return_rank < b->return_rank ? -1 : 1;
    return (a->call_rank > b->call_rank) - (a->call_rank < b->call_rank);
}

static void
find_twins(struct subhistory *s, struct step **sorted)
{
    for (uint32_t i = 0; i < s->step_count; i++)
        sorted[i] = &s->steps[i];
    if (s->step_count > 0)
        qsort(sorted, s->step_count, sizeof(struct step *), compare_twins);
    for (uint32_t i = 1; i < s->step_count; i++) {
        if (compare_effects(sorted[i - 1], sorted[i]) == 0)
            sorted[i]->twin = (uint32_t)(sorted[i - 1] - s->steps);
    }
}

static bool
is_growth(const struct subhistory *s, const struct step *step)
{
    const struct value *values = s->values;

    if (step->kind == STEP_ADD)
        return step->delta > 0;
    if (step->kind == STEP_SWAP)
        return values[step->needs].is_number && values[step->makes].is_number &&
               values[step->needs].number < values[step->makes].number;
    return step->kind != STEP_WRITE;
}

static bool
grows(const struct subhistory *s)
{
    for (uint32_t i = 0; i < s->step_count; i++) {
        if (!is_growth(s, &s->steps[i]))
            return false;
    }
    return true;
}

static void
find_last_calls(struct subhistory *s)
{
    for (uint32_t i = 0; i < s->step_count; i++) {
        const struct step *step = &s->steps[i];

        if ((step->kind == STEP_READ || step->kind == STEP_SWAP) && !step->optional &&
            !step->or_absent)
            s->values[step->needs].last_call = step->call_rank; /* H1: the latest is the last */
    }
}

enum status
subhistory_reduce(struct subhistory *s)
{
    uint64_t *first = mem_new_array(uint64_t, s->value_count);
    struct event *events = mem_new_array(struct event, 2 * (size_t)s->step_count);
    struct step **sorted = mem_new_array(struct step *, s->step_count);
    bool have_room = first != NULL && events != NULL && sorted != NULL;
    bool changed = have_room;

    for (int pass = 0; changed && pass < PASSES_MAX; pass++) {
        count_all(s);
        find_first_returns(s, first);
        changed = bind_sole_makers(s, first);
        count_all(s);
        changed = drop_useless(s) || changed;
    }
    if (have_room) {
        count_all(s);
        assign_ranks(s, events);
        find_last_calls(s);
        s->grows = grows(s);
        find_twins(s, sorted);
    }
    mem_free(first);
    mem_free(events);
    mem_free(sorted);
    return have_room ? ST_OK : ST_NO_MEMORY;
}
