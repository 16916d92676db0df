#include "sim/survey.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cluster/cluster.h"
#include "cluster/step.h"
#include "raft/raft.h"
#include "sim/node.h"
#include "tablet/roster.h"
#include "tablet/tablet.h"

/* Those who look, and what they write down. */
struct survey {
    const struct survey_node *nodes;
    uint32_t count;
    const struct atlas *atlas; /* the newest */
    char *trouble;
};

static bool PRINTF_LIKE(2, 3) amiss(const struct survey *s, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(s->trouble, SURVEY_TEXT_MAX, fmt, args);
    va_end(args);
    return false;
}

static const struct atlas *
atlas_of(const struct survey_node *n)
{
    return cluster_atlas(kv_cluster_of(n->kv));
}

const struct atlas *
survey_newest(const struct survey_node *nodes, uint32_t count)
{
    const struct atlas *newest = NULL;

    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i].kv != NULL &&
            (newest == NULL || atlas_of(&nodes[i])->version > newest->version))
            newest = atlas_of(&nodes[i]);
    }
    return newest;
}

/* NULL: it has none. */
static const struct raft *
member_on(const struct survey_node *n, uint64_t tablet)
{
    struct tablet *t = n->kv == NULL ? NULL : kv_tablet_with(n->kv, tablet);

    return t == NULL ? NULL : tablet_raft(t);
}

uint32_t
survey_leader(const struct survey_node *nodes, uint32_t count, uint64_t tablet)
{
    uint32_t leader = count;
    raft_term term = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct raft *r = member_on(&nodes[i], tablet);

        if (r == NULL || raft_role(r) != RAFT_LEADER || raft_hard(r).term < term)
            continue;
        leader = i;
        term = raft_hard(r).term;
    }
    return leader;
}

/* ------------------------------------------------------------------ a tablet */

static bool
keeps_data(const struct node_record *n)
{
    return n != NULL && n->state == NODE_MEMBER && n->weight > 0;
}

static uint32_t
wanted_members(const struct atlas *a, const struct tablet_record *t)
{
    uint32_t replicas = atlas_keyspace(a, t->keyspace)->record.replicas;
    uint32_t keepers = 0;

    for (uint32_t i = 0; i < a->node_count; i++)
        keepers += keeps_data(&a->nodes[i]);
    return replicas < keepers ? replicas : keepers;
}

static bool
record_is_right(const struct survey *s, const struct tablet_record *t)
{
    uint32_t wanted = wanted_members(s->atlas, t);
    uint32_t voters = 0;

    if (t->heir != 0)
        return amiss(s, "tablet %" PRIx64 " is being split", t->id);
    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct tablet_member *m = &t->members[i];

        if (!keeps_data(atlas_node(s->atlas, m->node)))
            return amiss(s, "tablet %" PRIx64 " has a member that keeps no data", t->id);
        if (m->role != MEMBER_VOTER && m->role != MEMBER_LEARNER)
            return amiss(s, "tablet %" PRIx64 " is moving", t->id);
        voters += m->role == MEMBER_VOTER;
    }
    if (t->member_count != wanted || voters != step_voters(wanted))
        return amiss(s, "tablet %" PRIx64 " has %u members, %u of them voters, and wants %u", t->id,
                     t->member_count, voters, wanted);
    return true;
}

static bool
group_is_right(const struct survey *s, const struct tablet_record *t)
{
    uint32_t leader = survey_leader(s->nodes, s->count, t->id);
    struct raft_config target;
    const struct raft *r;

    if (leader == s->count)
        return amiss(s, "nobody leads tablet %" PRIx64, t->id);
    r = member_on(&s->nodes[leader], t->id);
    tablet_record_config(t, &target);
    if (!raft_config_equal(raft_config(r), &target) || raft_config_index(r) > raft_commit(r))
        return amiss(s, "the group of tablet %" PRIx64 " is not yet as its record", t->id);
    return true;
}

static bool
replicas_are_right(const struct survey *s, const struct tablet_record *t)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct survey_node *n = &s->nodes[i];
        bool has = n->kv != NULL && kv_tablet_with(n->kv, t->id) != NULL;
        bool should = tablet_record_member(t, n->identity) != NULL;

        if (n->kv != NULL && has != should)
            return amiss(s, "node %" PRIx64 " %s tablet %" PRIx64, n->identity,
                         has ? "still has" : "has not", t->id);
    }
    return true;
}

static bool
tablet_is_right(const struct survey *s, const struct tablet_record *t)
{
    return record_is_right(s, t) && group_is_right(s, t) && replicas_are_right(s, t);
}

bool
survey_tablet_is_placed(const struct survey_node *nodes, uint32_t count,
                        const struct tablet_record *t, char trouble[SURVEY_TEXT_MAX])
{
    struct survey s = { .nodes = nodes, .count = count, .atlas = survey_newest(nodes, count) };

    s.trouble = trouble;
    return tablet_is_right(&s, t);
}

/* ------------------------------------------------------------------ all of it */

/* What is not of the atlas is nobody's. */
static bool
has_no_strays(const struct survey *s, const struct survey_node *n)
{
    const struct tablet_roster *all = kv_tablets(n->kv);

    for (uint32_t i = 0; i < all->count; i++) {
        if (atlas_tablet(s->atlas, tablet_id(all->at[i])) == NULL)
            return amiss(s, "node %" PRIx64 " has tablet %" PRIx64 ", which there is not",
                         n->identity, tablet_id(all->at[i]));
    }
    return true;
}

bool
survey_all_is_placed(const struct survey_node *nodes, uint32_t count, char trouble[SURVEY_TEXT_MAX])
{
    struct survey s = { .nodes = nodes, .count = count, .atlas = survey_newest(nodes, count) };

    s.trouble = trouble;
    if (s.atlas == NULL)
        return amiss(&s, "nobody runs");
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i].kv == NULL)
            continue;
        if (atlas_of(&nodes[i])->version != s.atlas->version)
            return amiss(&s, "node %" PRIx64 " has an older atlas", nodes[i].identity);
        if (atlas_node(s.atlas, nodes[i].identity) == NULL)
            return amiss(&s, "node %" PRIx64 " is no member", nodes[i].identity);
        if (!has_no_strays(&s, &nodes[i]))
            return false;
    }
    for (uint32_t i = 0; i < s.atlas->tablet_count; i++) {
        if (!tablet_is_right(&s, s.atlas->tablets[i]))
            return false;
    }
    return true;
}

static void
see(const struct node *nodes, uint32_t count, struct survey_node out[NODE_CLUSTER_MAX])
{
    for (uint32_t i = 0; i < count; i++) {
        bool is_up = nodes[i].state == NODE_UP && sim_running(nodes[i].world, nodes[i].id);

        out[i] = (struct survey_node){ is_up ? nodes[i].kv : NULL, node_identity(&nodes[i]) };
    }
}

const struct atlas *
survey_atlas(const struct node *nodes, uint32_t count)
{
    struct survey_node seen[NODE_CLUSTER_MAX];

    see(nodes, count, seen);
    return survey_newest(seen, count);
}

bool
survey_is_placed(const struct node *nodes, uint32_t count, char trouble[SURVEY_TEXT_MAX])
{
    struct survey_node seen[NODE_CLUSTER_MAX];

    see(nodes, count, seen);
    return survey_all_is_placed(seen, count, trouble);
}
