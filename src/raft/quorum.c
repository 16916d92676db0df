/*
 * Majorities.  Of a joint membership both sets must agree (thesis, 4.3); a learner has no say.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

static const struct raft_progress *
find(const struct raft *r, raft_id id)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (r->members[i].id == id)
            return &r->members[i];
    }
    return NULL;
}

/* The highest value that a majority of these has reached. */
static uint64_t
majority_value(const struct raft *r, const raft_id *ids, uint32_t count, raft__value_fn *value)
{
    uint64_t sorted[RAFT_VOTERS_MAX];
    uint32_t filled = 0;

    ASSERT(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_progress *p = find(r, ids[i]);
        uint64_t v;
        uint32_t at = filled++;

        ASSERT(p != NULL);
        v = value(r, p);
        for (; at > 0 && sorted[at - 1] < v; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = v;
    }
    return sorted[count / 2]; /* descending: count / 2 + 1 of them are at least this */
}

uint64_t
raft__quorum_value(const struct raft *r, raft__value_fn *value)
{
    const struct raft_config *c = raft__config(r);
    uint64_t v = majority_value(r, c->voters, c->voter_count, value);
    uint64_t old;

    if (BROKEN(COUNT_LEARNERS) && c->learner_count > 0) {
        raft_id all[RAFT_VOTERS_MAX];
        uint32_t count = 0;

        for (uint32_t i = 0; i < c->voter_count && count < RAFT_VOTERS_MAX - 1; i++)
            all[count++] = c->voters[i];
        all[count++] = c->learners[0];
        return majority_value(r, all, count, value);
    }
    if (c->outgoing_count == 0 || BROKEN(JOINT_ONE_MAJORITY))
        return v;
    old = majority_value(r, c->outgoing, c->outgoing_count, value);
    return v < old ? v : old;
}

static uint64_t
has_granted(const struct raft *r, const struct raft_progress *p)
{
    (void)r;
    return p->granted;
}

static uint64_t
may_yet_grant(const struct raft *r, const struct raft_progress *p)
{
    (void)r;
    return !p->refused;
}

enum raft_verdict
raft__count_votes(const struct raft *r)
{
    if (raft__quorum_value(r, has_granted))
        return RAFT_WON;
    return raft__quorum_value(r, may_yet_grant) ? RAFT_UNDECIDED : RAFT_LOST;
}

static uint64_t
is_active(const struct raft *r, const struct raft_progress *p)
{
    return p->id == r->options.self || p->active;
}

bool
raft__quorum_active(const struct raft *r)
{
    return raft__quorum_value(r, is_active);
}
