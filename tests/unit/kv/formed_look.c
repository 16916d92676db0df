/* Looking into all nodes at once, and waiting until what is seen is as it should be. */
#include <inttypes.h>

#include "cluster/cluster.h"
#include "cluster/step.h"
#include "raft/raft.h"
#include "unit/kv/formed.h"
#include "unit/test.h"

enum { STEP_MS = 100 };

static bool
runs(struct formed *f, uint32_t node)
{
    return sim_running(f->n.w, node);
}

/* ------------------------------------------------------------------ looking */

const struct atlas *
formed_atlas(struct formed *f, uint32_t node)
{
    return cluster_atlas(kv_cluster_of(f->n.kv[node]));
}

const struct atlas *
formed_newest(struct formed *f)
{
    const struct atlas *newest = NULL;

    for (uint32_t i = 1; i <= f->n.count; i++) {
        if (runs(f, i) && (newest == NULL || formed_atlas(f, i)->version > newest->version))
            newest = formed_atlas(f, i);
    }
    assert_non_null(newest);
    return newest;
}

const struct node_record *
formed_record(struct formed *f, uint32_t node)
{
    return atlas_node(formed_newest(f), f->nodes[node].id);
}

bool
formed_is_member(struct formed *f, uint32_t node)
{
    return runs(f, node) && atlas_node(formed_atlas(f, node), f->nodes[node].id) != NULL;
}

uint32_t
formed_copies(struct formed *f, uint32_t node)
{
    const struct atlas *a = formed_newest(f);
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->tablet_count; i++)
        count += tablet_record_member(a->tablets[i], f->nodes[node].id) != NULL;
    return count;
}

uint32_t
formed_replicas(struct formed *f, uint32_t node)
{
    const struct atlas *a = formed_newest(f);
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->tablet_count; i++)
        count += kv_tablet_with(f->n.kv[node], a->tablets[i]->id) != NULL;
    return count;
}

const struct atlas_keyspace *
formed_keyspace(struct formed *f, const char *name)
{
    return atlas_keyspace_named(formed_newest(f), slice_str(name));
}

uint32_t
formed_leader_of(struct formed *f, uint64_t tablet)
{
    uint32_t leader = 0;
    raft_term term = 0;

    for (uint32_t i = 1; i <= f->n.count; i++) {
        struct tablet *t = runs(f, i) ? kv_tablet_with(f->n.kv[i], tablet) : NULL;
        const struct raft *r = t == NULL ? NULL : tablet_raft(t);

        if (r == NULL || raft_role(r) != RAFT_LEADER || raft_hard(r).term < term)
            continue;
        leader = i;
        term = raft_hard(r).term;
    }
    return leader;
}

/* ------------------------------------------------------------------ is it as it should be? */

static bool PRINTF_LIKE(2, 3) amiss(struct formed *f, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(f->trouble, sizeof(f->trouble), fmt, args);
    va_end(args);
    return false;
}

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
record_is_right(struct formed *f, const struct atlas *a, const struct tablet_record *t)
{
    uint32_t wanted = wanted_members(a, t);
    uint32_t voters = 0;

    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct tablet_member *m = &t->members[i];

        if (!keeps_data(atlas_node(a, m->node)))
            return amiss(f, "tablet %" PRIx64 " has a member that keeps no data", t->id);
        if (m->role != MEMBER_VOTER && m->role != MEMBER_LEARNER)
            return amiss(f, "tablet %" PRIx64 " is moving", t->id);
        voters += m->role == MEMBER_VOTER;
    }
    if (t->member_count != wanted || voters != step_voters(wanted))
        return amiss(f, "tablet %" PRIx64 " has %u members, %u of them voters, and wants %u", t->id,
                     t->member_count, voters, wanted);
    return true;
}

static bool
group_is_right(struct formed *f, const struct tablet_record *t)
{
    uint32_t leader = formed_leader_of(f, t->id);
    struct raft_config target;
    const struct raft *r;

    if (leader == 0)
        return amiss(f, "nobody leads tablet %" PRIx64, t->id);
    r = tablet_raft(kv_tablet_with(f->n.kv[leader], t->id));
    tablet_record_config(t, &target);
    if (!raft_config_equal(raft_config(r), &target) || raft_config_index(r) > raft_commit(r))
        return amiss(f, "the group of tablet %" PRIx64 " is not yet as its record", t->id);
    for (uint32_t i = 1; i <= f->n.count; i++) {
        bool has = runs(f, i) && kv_tablet_with(f->n.kv[i], t->id) != NULL;
        bool should = tablet_record_member(t, f->nodes[i].id) != NULL;

        if (runs(f, i) && !f->nodes[i].refused && has != should)
            return amiss(f, "node %u %s tablet %" PRIx64, i, has ? "still has" : "has not", t->id);
    }
    return true;
}

bool
formed_is_placed(struct formed *f)
{
    const struct atlas *a = formed_newest(f);

    for (uint32_t i = 1; i <= f->n.count; i++) {
        if (runs(f, i) && !f->nodes[i].refused && formed_atlas(f, i)->version != a->version)
            return amiss(f, "node %u has an older atlas", i);
    }
    for (uint32_t i = 0; i < a->tablet_count; i++) {
        if (!record_is_right(f, a, a->tablets[i]) || !group_is_right(f, a->tablets[i]))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ waiting */

static uint32_t
machine_of(const struct formed *f, uint64_t id)
{
    for (uint32_t i = 1; i <= f->n.count; i++) {
        if (f->nodes[i].id == id)
            return i;
    }
    return 0; /* the identity of a disk that is gone */
}

static void
describe_tablet(struct formed *f, const struct tablet_record *t)
{
    print_error("tablet %" PRIx64 ":", t->id);
    for (uint32_t i = 0; i < t->member_count; i++)
        print_error(" n%u %s;", machine_of(f, t->members[i].node),
                    member_role_name(t->members[i].role));
    print_error(" n%u is to lead\n", machine_of(f, t->leader));
    for (uint32_t i = 1; i <= f->n.count; i++) {
        struct tablet *replica = runs(f, i) ? kv_tablet_with(f->n.kv[i], t->id) : NULL;
        const struct raft *r = replica == NULL ? NULL : tablet_raft(replica);

        if (r == NULL)
            continue;
        print_error("  n%u: %s of term %" PRIu64 ", last %" PRIu64 ", commit %" PRIu64
                    ", %u voters and %u learners as of %" PRIu64 "\n",
                    i, raft_role_name(raft_role(r)), raft_hard(r).term, raft_last(r),
                    raft_commit(r), raft_config(r)->voter_count, raft_config(r)->learner_count,
                    raft_config_index(r));
    }
}

/* For whoever reads of a failure. */
static void
describe(struct formed *f)
{
    const struct atlas *a = formed_newest(f);

    for (uint32_t i = 1; i <= f->n.count; i++)
        print_error("n%u: %016" PRIx64 "%s%s\n", i, f->nodes[i].id,
                    runs(f, i) ? "" : ", does not run",
                    f->nodes[i].refused ? f->nodes[i].refusal.text : "");
    for (uint32_t i = 0; i < a->tablet_count; i++) {
        if (!record_is_right(f, a, a->tablets[i]) || !group_is_right(f, a->tablets[i]))
            describe_tablet(f, a->tablets[i]);
    }
}

void
formed_await_placed(struct formed *f)
{
    for (uint32_t ms = 0; ms < FORMED_PATIENCE_MS; ms += STEP_MS) {
        if (formed_is_placed(f))
            return;
        sim_run_ms(f->n.w, STEP_MS);
    }
    describe(f);
    fail_msg("not placed: %s", f->trouble);
}

void
formed_await_member(struct formed *f, uint32_t node)
{
    for (uint32_t ms = 0; ms < FORMED_PATIENCE_MS; ms += STEP_MS) {
        if (formed_is_member(f, node))
            return;
        sim_run_ms(f->n.w, STEP_MS);
    }
    fail_msg("node %u is not let in", node);
}

void
formed_await_refused(struct formed *f, uint32_t node, const char *reason)
{
    EXPECT(sim_run_until(f->n.w, &f->nodes[node].refused, FORMED_PATIENCE_MS));
    if (strstr(f->nodes[node].refusal.text, reason) == NULL)
        fail_msg("node %u was refused otherwise: %s", node, f->nodes[node].refusal.text);
}

void
formed_await_state(struct formed *f, uint32_t node, enum node_state state)
{
    enum { LONG_MS = 1000000 }; /* more than a node may be silent before it is given up */

    for (uint32_t ms = 0; ms < LONG_MS; ms += STEP_MS) {
        const struct node_record *r = formed_record(f, node);

        if (r != NULL && r->state == state)
            return;
        sim_run_ms(f->n.w, STEP_MS);
    }
    fail_msg("node %u does not become %s", node, node_state_name(state));
}
