/*
 * Which term an entry is of, without the entries: a log is a few stretches of entries of one term
 * each, in ascending order (R3).
 *
 *      base 6^2     7^2 8^2 | 9^4 10^4 11^4 | 12^5         last 12
 *                   run 7,2   run 9,4         run 12,5
 *
 * When there is no room for one more run, the oldest is forgotten if all of it is applied: the
 * log then seems to begin later, and a member that would need more gets a snapshot.
 */
#include <string.h>

#include "base/assert.h"

#include "raft/raft_internal.h"

void
raft__terms_init(struct raft_terms *t, raft_index base_index, raft_term base_term, uint32_t run_max)
{
    t->base_index = base_index;
    t->base_term = base_term;
    t->last_index = base_index;
    t->run_count = 0;
    t->run_max = run_max;
}

raft_term
raft__terms_last(const struct raft_terms *t)
{
    return t->run_count == 0 ? t->base_term : t->runs[t->run_count - 1].term;
}

/* The run that holds the entry, which is in the log. */
static uint32_t
find_run(const struct raft_terms *t, raft_index index)
{
    uint32_t begin = 0;
    uint32_t limit = t->run_count;

    ASSERT(index > t->base_index && index <= t->last_index);
    if (t->runs[limit - 1].first <= index)
        return limit - 1; /* almost always */
    while (limit - begin > 1) {
        uint32_t middle = begin + (limit - begin) / 2;

        if (t->runs[middle].first <= index)
            begin = middle;
        else
            limit = middle;
    }
    return begin;
}

bool
raft__terms_at(const struct raft_terms *t, raft_index index, raft_term *out)
{
    if (index < t->base_index || index > t->last_index)
        return false;
    *out = index == t->base_index ? t->base_term : t->runs[find_run(t, index)].term;
    return true;
}

bool
raft__terms_room(const struct raft_terms *t, raft_term term, raft_index applied)
{
    if (t->run_count < t->run_max || term == raft__terms_last(t))
        return true;
    return t->run_count > 1 && t->runs[1].first <= applied + 1;
}

void
raft__terms_append(struct raft_terms *t, raft_term term, raft_index applied)
{
    ASSERT(term >= raft__terms_last(t) && raft__terms_room(t, term, applied));
    t->last_index++;
    if (t->run_count > 0 && t->runs[t->run_count - 1].term == term)
        return;
    if (t->run_count == t->run_max)
        raft__terms_compact(t, t->runs[1].first - 1);
    t->runs[t->run_count++] = (struct raft_run){ .first = t->last_index, .term = term };
}

void
raft__terms_truncate(struct raft_terms *t, raft_index from)
{
    ASSERT(from > t->base_index && from <= t->last_index);
    t->last_index = from - 1;
    while (t->run_count > 0 && t->runs[t->run_count - 1].first >= from)
        t->run_count--;
}

void
raft__terms_compact(struct raft_terms *t, raft_index base)
{
    uint32_t run;

    if (base <= t->base_index)
        return;
    run = find_run(t, base);
    t->base_index = base;
    t->base_term = t->runs[run].term;
    if (t->last_index == base) {
        t->run_count = 0;
        return;
    }
    if (run + 1 < t->run_count && t->runs[run + 1].first == base + 1)
        run++;
    t->run_count -= run;
    memmove(t->runs, t->runs + run, t->run_count * sizeof(t->runs[0]));
    if (t->runs[0].first <= base)
        t->runs[0].first = base + 1;
}

raft_index
raft__terms_find_below(const struct raft_terms *t, raft_index index, raft_term term,
                       raft_term *out_term)
{
    if (index > t->last_index)
        index = t->last_index;
    while (index > t->base_index) {
        const struct raft_run *run = &t->runs[find_run(t, index)];

        if (run->term <= term) {
            *out_term = run->term;
            return index;
        }
        index = run->first - 1;
    }
    *out_term = index == t->base_index ? t->base_term : 0;
    return index;
}
