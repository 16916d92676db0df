/* Looking into all nodes at once, and waiting until what is seen is as it should be. */
#include <inttypes.h>

#include "cluster/cluster.h"
#include "raft/raft.h"
#include "sim/survey.h"
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

static void
survey(struct formed *f, struct survey_node out[NODES_MAX])
{
    for (uint32_t i = 1; i <= f->n.count; i++) {
        bool counts = runs(f, i) && !f->nodes[i].refused;

        out[i - 1] = (struct survey_node){ counts ? f->n.kv[i] : NULL, f->nodes[i].id };
    }
}

const struct atlas *
formed_newest(struct formed *f)
{
    struct survey_node nodes[NODES_MAX];
    const struct atlas *newest;

    survey(f, nodes);
    newest = survey_newest(nodes, f->n.count);
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
    struct survey_node nodes[NODES_MAX];
    uint32_t leader;

    survey(f, nodes);
    leader = survey_leader(nodes, f->n.count, tablet);
    return leader == f->n.count ? 0 : leader + 1;
}

bool
formed_is_placed(struct formed *f)
{
    struct survey_node nodes[NODES_MAX];

    survey(f, nodes);
    return survey_all_is_placed(nodes, f->n.count, f->trouble);
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
    struct survey_node nodes[NODES_MAX];
    char unused[SURVEY_TEXT_MAX];

    survey(f, nodes);
    for (uint32_t i = 1; i <= f->n.count; i++) {
        print_error("n%u: %016" PRIx64 "%s%s\n", i, f->nodes[i].id,
                    runs(f, i) ? "" : ", does not run",
                    f->nodes[i].refused ? f->nodes[i].refusal.text : "");
    }
    for (uint32_t i = 0; i < a->tablet_count; i++) {
        if (!survey_tablet_is_placed(nodes, f->n.count, a->tablets[i], unused))
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
