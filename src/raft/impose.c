/*
 * A membership by order of an operator (raft.h, IMPOSED MEMBERSHIPS).
 *
 *      log      .. 7^3 8^3                    voters A B C, and B and C are gone
 *      impose        term 4099, {A}
 *      hard     4099, vote for A              durable before anything is said in that term (R1, R2)
 *      log      .. 7^3 8^3 | 9^4099 {A}       A leads; 9 is durable, so it is committed (R8), and all before it
 *
 * From there on everything is as ever: nobody reads from an entry that it was imposed, and no rule
 * knows of it.  What it breaks is what the rules rest on, that two majorities meet: this one meets none.
 *
 * Dropped without a trace when the member hears of another term, or stands, before the first line is durable.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

static bool
makes_sense(const struct raft *r, raft_term term, const struct raft_config *config)
{
    return raft_config_is_valid(config) && config->outgoing_count == 0 &&
           config->voter_count == 1 && config->voters[0] == r->options.self &&
           term > r->hard.term && !r->disk_failed;
}

enum status
raft__impose(struct raft *r, raft_term term, const struct raft_config *config)
{
    if (!makes_sense(r, term, config))
        return ST_INVALID;
    if (r->role == RAFT_LEADER || r->installing || !raft__terms_room(&r->terms, term, r->applied))
        return ST_BUSY;
    raft__wake(r);
    raft__begin_candidacy(r, RAFT_CANDIDATE);
    r->verified = r->acked = 0;
    r->votes_owed = false;
    r->imposes = true;
    r->imposed_config = *config;
    raft__set_hard(r, term, r->options.self);
    return ST_OK;
}

void
raft__impose_durable(struct raft *r)
{
    raft_index before = raft__configs_newest(&r->configs)->index;

    if (!r->imposes)
        return;
    ASSERT(r->role == RAFT_CANDIDATE && r->hard.vote == r->options.self);
    raft__set_commit(r, before); /* only the newest may be uncommitted (R6) */
    raft__become_leader(r);
}
