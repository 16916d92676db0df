#include "sim/node.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#include "tablet/tablet.h"

enum { PEER_PORT = 7000, CLUSTER_BYTE = 7 };

void
node_init(struct node *n, struct sim *world, const struct setup *setup, uint32_t id)
{
    *n = (struct node){ .world = world, .setup = setup, .id = id };
    n->messages.seed = hash_u64(setup->seed + id);
    sim_set_disk_latency_us(world, id, setup->latency_us);
    sim_set_cold_percent(world, id, setup->cold_percent);
}

bool
node_responds(const struct node *n)
{
    return n->state != NODE_DOWN && sim_running(n->world, n->id) && !sim_paused(n->world, n->id);
}

/* ------------------------------------------------------------------ starting */

/* All nodes, some of which are the founders of the one keyspace. */
struct membership {
    struct kv_cluster cluster;
    struct kv_node nodes[NODE_CLUSTER_MAX];
    uint64_t founders[NODE_CLUSTER_MAX];
};

static void
list_members(const struct node *n, struct membership *out)
{
    static const char *const hosts[NODE_CLUSTER_MAX] = { "10.0.0.1", "10.0.0.2", "10.0.0.3",
                                                         "10.0.0.4", "10.0.0.5", "10.0.0.6",
                                                         "10.0.0.7", "10.0.0.8", "10.0.0.9" };
    uint32_t founders = 0;

    for (uint32_t i = 0; i < n->setup->nodes; i++) {
        out->nodes[i] = (struct kv_node){ .id = i + 1, .host = hosts[i], .port = PEER_PORT };
        if ((n->setup->founders & 1u << (i + 1)) != 0)
            out->founders[founders++] = i + 1;
    }
    out->cluster = (struct kv_cluster){
        .nodes = out->nodes,
        .node_count = n->setup->nodes,
        .founders = out->founders,
        .founder_count = founders,
        .keyspace_count = 1,
        .lease_percent = n->setup->lease_percent,
        .forward = n->setup->forwards,
        .faults = &n->messages,
    };
}

static void
open_node(void *ctx)
{
    struct node *n = ctx;
    struct engine_options engine_options = n->setup->engine;
    struct loop *loops[SETUP_LOOPS_MAX];
    struct kv_options options = { .loops = loops,
                                  .loop_count = n->setup->loops,
                                  .node_name = "sim" };
    struct membership all;
    struct engine *engine = NULL;

    for (uint32_t i = 0; i < options.loop_count; i++)
        loops[i] = sim_loop(n->world, n->id, i);
    engine_options.loops = loops;
    engine_options.loop_count = options.loop_count;
    if (n->setup->nodes > 1) {
        list_members(n, &all);
        options.cluster = &all.cluster;
        engine_options.node = n->id;
        memset(engine_options.cluster, (int)CLUSTER_BYTE, sizeof(engine_options.cluster));
    }
    n->status = engine_open(&engine, n->env, &engine_options, &n->err);
    if (n->status == ST_OK)
        n->status = kv_open(&n->kv, engine, &options, &n->err);
}

void
node_begin_start(struct node *n, uint64_t cut_at)
{
    ASSERT(n->state == NODE_DOWN && n->kv == NULL);
    n->env = sim_boot(n->world, n->id, n->setup->loops);
    n->life++;
    n->state = NODE_STARTING;
    n->cuts = cut_at > 0;
    sim_hold_loops(n->world, n->id, true);
    if (n->cuts)
        sim_crash_at(n->world, n->id, SIM_OP_ALL, cut_at, n->life % 2 == 0);
    sim_begin_call(n->world, n->id, open_node, n, &n->started);
}

enum status
node_finish_start(struct node *n)
{
    ASSERT(n->state == NODE_STARTING && n->started);
    if (n->cuts)
        sim_crash_at(n->world, n->id, 0, 0, false);
    if (n->status != ST_OK) {
        n->kv = NULL;
        n->state = NODE_DOWN;
        sim_end(n->world, n->id);
        return n->status;
    }
    sim_hold_loops(n->world, n->id, false);
    n->state = NODE_UP;
    n->alive_since_ns = sim_now_ns(n->world);
    return ST_OK;
}

bool
node_notice_death(struct node *n)
{
    if (n->state == NODE_DOWN || sim_running(n->world, n->id))
        return false;
    n->state = NODE_DOWN;
    n->kv = NULL;
    return true;
}

/* ------------------------------------------------------------------ stopping */

static void
drained(void *ctx)
{
    struct node *n = ctx;

    n->drained = true;
}

static void
drain_node(void *ctx)
{
    struct node *n = ctx;

    kv_drain(n->kv, drained, n);
}

void
node_begin_stop(struct node *n)
{
    ASSERT(n->state == NODE_UP);
    n->state = NODE_STOPPING;
    n->drained = false;
    sim_on_loop(n->world, n->id, 0, drain_node, n);
}

static void
close_node(void *ctx)
{
    struct node *n = ctx;

    n->status = kv_close(n->kv, &n->err);
}

bool
node_finish_stop(struct node *n)
{
    ASSERT(n->state == NODE_STOPPING && n->drained);
    sim_end_loops(n->world, n->id);
    if (!sim_running(n->world, n->id) || !sim_call(n->world, n->id, close_node, n))
        return false; /* node_notice_death() says the rest */
    sim_end(n->world, n->id);
    n->state = NODE_DOWN;
    n->kv = NULL;
    return true;
}

/* ------------------------------------------------------------------ while it is up */

struct visit {
    struct node *node;
    struct request *request;
    struct kv_admin *admin;
    struct kv_stats *stats;
    uint32_t loop;
};

void
node_take(struct node *n, uint32_t loop_index, struct request *r)
{
    kv_submit(kv_door_of(n->kv, loop_index), r);
}

static void
submit(void *ctx)
{
    struct visit *v = ctx;

    node_take(v->node, v->loop, v->request);
}

void
node_submit(struct node *n, uint32_t loop_index, struct request *r)
{
    struct visit visit = { .node = n, .request = r, .loop = loop_index };

    ASSERT(n->state == NODE_UP);
    sim_on_loop(n->world, n->id, loop_index, submit, &visit);
}

uint64_t
node_now_ms(const struct node *n, uint32_t loop_index)
{
    return kv_now_ms(kv_door_of(n->kv, loop_index), 0);
}

static void
administer(void *ctx)
{
    struct visit *v = ctx;

    kv_admin_submit(kv_door_of(v->node->kv, 0), v->admin);
}

void
node_administer(struct node *n, struct kv_admin *a)
{
    struct visit visit = { .node = n, .admin = a };

    ASSERT(n->state == NODE_UP);
    sim_on_loop(n->world, n->id, 0, administer, &visit);
}

static void
look(void *ctx)
{
    struct visit *v = ctx;

    kv_stats(v->node->kv, v->stats);
}

void
node_stats(struct node *n, struct kv_stats *out)
{
    struct visit visit = { .node = n, .stats = out };

    ASSERT(n->state == NODE_UP);
    sim_on_loop(n->world, n->id, 0, look, &visit);
}

/* ------------------------------------------------------------------ its group */

struct order {
    struct tablet *tablet;
    struct raft_config members;
    uint64_t to; /* hand over; 0: change the members */
    enum status status;
};

static void
carry_out(void *ctx)
{
    struct order *o = ctx;

    o->status = o->to != 0 ? tablet_transfer(o->tablet, o->to)
                           : tablet_change_members(o->tablet, &o->members);
}

static enum status
give_order(struct node *n, struct order *o)
{
    uint32_t index = 0;

    ASSERT(n->state != NODE_DOWN);
    o->tablet = kv_tablet(n->kv, 0);
    o->status = ST_CLOSED;
    while (sim_loop(n->world, n->id, index) != tablet_loop(o->tablet))
        index++;
    sim_on_loop(n->world, n->id, index, carry_out, o);
    return o->status;
}

enum status
node_change_members(struct node *n, unsigned voters, unsigned learners)
{
    struct order order = { 0 };

    for (uint32_t id = 1; id <= n->setup->nodes; id++) {
        if ((voters & 1u << id) != 0)
            order.members.voters[order.members.voter_count++] = id;
        else if ((learners & 1u << id) != 0)
            order.members.learners[order.members.learner_count++] = id;
    }
    return give_order(n, &order);
}

enum status
node_transfer(struct node *n, uint32_t to)
{
    struct order order = { .to = to };

    return give_order(n, &order);
}
