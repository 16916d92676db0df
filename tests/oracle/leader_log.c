#include "oracle/leader_log.h"

#include <string.h>

enum { ENTRIES_OF_OTHERS_MAX = 5, ENTRIES_OWN_MAX = 4, LOG_ROOM = 16 };

static raft_index
draw_shared(struct prng *prng, const struct member *m, raft_term term)
{
    raft_index commit = raft_commit(m->raft);
    raft_index last = raft_last(m->raft);

    if (member_term_at(m, last) == term || prng_chance(prng, 1, 2))
        return last; /* whatever is of its own term came from this leader */
    return commit + prng_below(prng, last - commit + 1);
}

static void
add(struct leader_log *l, const struct member *m, raft_term term)
{
    if (l->last - m->base < VIEW_LOG_MAX - LOG_ROOM)
        l->log[l->last++ - m->base] = (struct oracle_entry){ .term = term };
}

/* A term from `low` on, and not the one that the member has there. */
static raft_term
draw_term(struct prng *prng, const struct member *m, raft_index index, raft_term low,
          raft_term high)
{
    raft_term term = low + prng_below(prng, high - low + 1);

    if (index <= raft_last(m->raft) && term == member_term_at(m, index))
        term++;
    return term;
}

static bool
has_change(const struct leader_log *l, const struct member *m)
{
    for (raft_index i = raft_commit(m->raft) + 1; i <= l->last; i++) {
        if (l->log[i - m->base - 1].change[0] != '\0')
            return true;
    }
    return false;
}

static const char *const changes[] = { "v1", "v3", "v5", "v7", "l2", "l4",
                                       "l6", "r1", "r2", "r3", "r4" };

/* The entry at `index` becomes a membership, if it can be one. */
static void
put_change(struct leader_log *l, struct prng *prng, const struct member *m, raft_index index)
{
    const struct raft_config *now = raft_config(m->raft);
    const char *change = changes[prng_below(prng, sizeof(changes) / sizeof(changes[0]))];
    struct raft_config target;

    if (now->outgoing_count > 0 || index > l->last || has_change(l, m) ||
        raft_config_index(m->raft) > raft_commit(m->raft) || !member_target(now, change, &target))
        return;
    snprintf(l->log[index - m->base - 1].change, CHANGE_TEXT_MAX, "%s", change);
}

void
leader_log_draw(struct leader_log *l, struct prng *prng, const struct member *m, raft_term term,
                raft_id id)
{
    raft_index shared = draw_shared(prng, m, term);
    uint64_t others = prng_below(prng, ENTRIES_OF_OTHERS_MAX + 1);
    raft_term low = shared > 0 ? member_term_at(m, shared) : 1;

    l->term = term;
    l->id = id;
    l->is_heard = false;
    l->last = shared;
    memcpy(l->log, m->log, (shared - m->base) * sizeof(l->log[0]));
    for (uint64_t i = 0; i < others; i++) {
        low = draw_term(prng, m, l->last + 1, low, term);
        add(l, m, low);
    }
    for (uint64_t own = 1 + prng_below(prng, ENTRIES_OWN_MAX); own > 0; own--)
        add(l, m, term);
    if (prng_chance(prng, 1, 3))
        put_change(l, prng, m, shared + 1 + prng_below(prng, 4));
}

void
leader_log_grow(struct leader_log *l, struct prng *prng, const struct member *m)
{
    add(l, m, l->term);
    if (prng_chance(prng, 1, 6))
        put_change(l, prng, m, l->last);
}
