/*
 * Memberships, and the two that may be in force: the newest in the log, and the one before, for
 * when the newest is cut off (R6).  Two are enough: a leader adds one only when the one before is
 * committed, so in any log all but the newest are.
 */
#include <string.h>

#include "base/assert.h"

#include "raft/raft_internal.h"

static bool
is_ascending(const raft_id *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == 0 || (i > 0 && ids[i - 1] >= ids[i]))
            return false;
    }
    return true;
}

static bool
contains(const raft_id *ids, uint32_t count, raft_id id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

bool
raft_config_votes(const struct raft_config *c, raft_id id)
{
    return contains(c->voters, c->voter_count, id) || contains(c->outgoing, c->outgoing_count, id);
}

bool
raft_config_has(const struct raft_config *c, raft_id id)
{
    return raft_config_votes(c, id) || contains(c->learners, c->learner_count, id);
}

static uint32_t
count_members(const struct raft_config *c)
{
    uint32_t count = c->voter_count + c->learner_count;

    for (uint32_t i = 0; i < c->outgoing_count; i++)
        count += !contains(c->voters, c->voter_count, c->outgoing[i]) &&
                 !contains(c->learners, c->learner_count, c->outgoing[i]);
    return count;
}

bool
raft_config_is_valid(const struct raft_config *c)
{
    if (c->voter_count == 0 || c->voter_count > RAFT_VOTERS_MAX ||
        c->outgoing_count > RAFT_VOTERS_MAX || c->learner_count > RAFT_MEMBERS_MAX)
        return false;
    if (!is_ascending(c->voters, c->voter_count) || !is_ascending(c->outgoing, c->outgoing_count) ||
        !is_ascending(c->learners, c->learner_count))
        return false;
    for (uint32_t i = 0; i < c->learner_count; i++) {
        if (contains(c->voters, c->voter_count, c->learners[i]))
            return false;
    }
    return count_members(c) <= RAFT_MEMBERS_MAX;
}

static bool
same_ids(const raft_id *a, uint32_t a_count, const raft_id *b, uint32_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof(*a)) == 0;
}

bool
raft_config_equal(const struct raft_config *a, const struct raft_config *b)
{
    return same_ids(a->voters, a->voter_count, b->voters, b->voter_count) &&
           same_ids(a->outgoing, a->outgoing_count, b->outgoing, b->outgoing_count) &&
           same_ids(a->learners, a->learner_count, b->learners, b->learner_count);
}

uint32_t
raft__config_members(const struct raft_config *c, raft_id out[RAFT_MEMBERS_MAX])
{
    const raft_id *lists[] = { c->voters, c->outgoing, c->learners };
    const uint32_t counts[] = { c->voter_count, c->outgoing_count, c->learner_count };
    uint32_t count = 0;

    for (int list = 0; list < 3; list++) {
        for (uint32_t i = 0; i < counts[list]; i++) {
            if (contains(out, count, lists[list][i]))
                continue;
            ASSERT(count < RAFT_MEMBERS_MAX);
            out[count++] = lists[list][i];
        }
    }
    return count;
}

/* In one of the sets and not in the other. */
static uint32_t
count_difference(const struct raft_config *a, const struct raft_config *b)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->voter_count; i++)
        count += !contains(b->voters, b->voter_count, a->voters[i]);
    for (uint32_t i = 0; i < b->voter_count; i++)
        count += !contains(a->voters, a->voter_count, b->voters[i]);
    return count;
}

bool
raft__config_between(const struct raft_config *now, const struct raft_config *target,
                     struct raft_config *out)
{
    *out = *target;
    out->outgoing_count = 0;
    if (count_difference(now, target) <= 1)
        return raft_config_is_valid(out); /* thesis, 4.1: any two majorities of these meet */

    memcpy(out->outgoing, now->voters, now->voter_count * sizeof(now->voters[0]));
    out->outgoing_count = now->voter_count;
    return raft_config_is_valid(out);
}

/* ------------------------------------------------------------------ the history */

void
raft__configs_init(struct raft_configs *h, raft_index index, const struct raft_config *c)
{
    h->count = 1;
    h->at[0] = (struct raft_config_at){ .index = index, .config = *c };
}

const struct raft_config_at *
raft__configs_newest(const struct raft_configs *h)
{
    return &h->at[h->count - 1];
}

void
raft__configs_push(struct raft_configs *h, raft_index index, const struct raft_config *c)
{
    ASSERT(index > raft__configs_newest(h)->index);
    if (h->count == RAFT_CONFIGS_MAX)
        h->at[0] = h->at[--h->count];
    h->at[h->count++] = (struct raft_config_at){ .index = index, .config = *c };
}

bool
raft__configs_truncate(struct raft_configs *h, raft_index from)
{
    if (raft__configs_newest(h)->index < from || BROKEN(CONFIG_NOT_ROLLED_BACK))
        return false;
    ASSERT(h->count > 1 && h->at[0].index < from); /* R4: it is committed */
    h->count--;
    return true;
}
