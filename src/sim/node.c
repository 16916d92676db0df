#include "sim/node.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#include "tablet/tablet.h"

enum { PEER_PORT = 7000, CLIENT_PORT = 6379, CLUSTER_BYTE = 7, WEIGHT = 128 };

/* Who is given up after a moment is replaced in a run of a minute, and mostly comes back. */
static const struct cluster_pace impatient = {
    .gossip_ms = 50, .suspicion_ms = 200, .down_ms = 500, .failure_ms = 500
};

static const char *const hosts[NODE_CLUSTER_MAX] = { "10.0.0.1", "10.0.0.2", "10.0.0.3",
                                                     "10.0.0.4", "10.0.0.5", "10.0.0.6",
                                                     "10.0.0.7", "10.0.0.8", "10.0.0.9" };

void
node_init(struct node *n, struct sim *world, const struct setup *setup, uint32_t id)
{
    *n = (struct node){ .world = world, .setup = setup, .id = id, .join = id == 1 ? 2 : 1 };
    n->messages.seed = hash_u64(setup->seed + id);
    sim_set_disk_latency_us(world, id, setup->latency_us);
    sim_set_cold_percent(world, id, setup->cold_percent);
}

bool
node_responds(const struct node *n)
{
    return n->state != NODE_DOWN && sim_running(n->world, n->id) && !sim_paused(n->world, n->id);
}

/* ------------------------------------------------------------------ who it is */

uint64_t
node_identity(const struct node *n)
{
    return n->id + (uint64_t)n->emptied * NODE_STRIDE;
}

uint32_t
node_machine(uint64_t identity)
{
    return (uint32_t)(identity % NODE_STRIDE);
}

void
node_name(uint32_t machine, uint32_t emptied, char out[NODE_NAME_MAX])
{
    snprintf(out, NODE_NAME_MAX, "n%u.%u", machine, emptied);
}

bool
node_is_member(const struct node *n)
{
    const struct node_record *r;

    if (n->state != NODE_UP || !sim_running(n->world, n->id))
        return false;
    r = atlas_node(cluster_atlas(kv_cluster_of(n->kv)), node_identity(n));
    return r != NULL && r->state != NODE_REMOVED && !n->refused;
}

void
node_empty_disk(struct node *n)
{
    struct sim_disk_image *blank = sim_disk_save(n->world, SIM_NODES_MAX);

    ASSERT(n->state == NODE_DOWN);
    sim_disk_load(n->world, n->id, blank);
    sim_disk_image_free(blank);
    n->emptied++;
    n->removed = n->leaves = false;
}

void
node_set_clock(struct node *n)
{
    sim_jump_clock(n->world, n->id, -n->jumped_ms);
    n->jumped_ms = 0;
}

struct tablet *
node_tablet(const struct node *n)
{
    return kv_tablet(n->kv, n->setup->keyspace);
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
on_refused(void *ctx, const struct err *err)
{
    struct node *n = ctx;

    n->refused = true;
    n->err = *err;
}

/* The first begins the cluster; when it comes back as a new one, it joins as all others do. */
static void
join_others(struct node *n, struct kv_member *out)
{
    *out = (struct kv_member){
        .cluster_name = "sim",
        .zone = "",
        .weight = WEIGHT,
        .listen = { hosts[n->id - 1], PEER_PORT },
        .peer = { hosts[n->id - 1], PEER_PORT },
        .client = { hosts[n->id - 1], CLIENT_PORT },
        .pace = n->setup->impatient ? impatient : (struct cluster_pace){ 0 },
        .lease_percent = n->setup->lease_percent,
        .faults = &n->messages,
        .refused = on_refused,
        .ctx = n,
    };
    if (node_identity(n) != 1)
        out->join = (struct kv_address){ hosts[n->join - 1], PEER_PORT };
}

static void
open_node(void *ctx)
{
    struct node *n = ctx;
    struct engine_options engine_options = n->setup->engine;
    struct loop *loops[SETUP_LOOPS_MAX];
    char name[NODE_NAME_MAX];
    struct kv_options options = { .loops = loops,
                                  .loop_count = n->setup->loops,
                                  .node_name = name };
    struct membership all;
    struct kv_member member;
    struct engine *engine = NULL;

    node_name(n->id, n->emptied, name);

    for (uint32_t i = 0; i < options.loop_count; i++)
        loops[i] = sim_loop(n->world, n->id, i);
    engine_options.loops = loops;
    engine_options.loop_count = options.loop_count;
    if (n->setup->formed) {
        join_others(n, &member);
        options.member = &member;
        engine_options.node = node_identity(n);
        engine_options.of_no_cluster = member.join.port != 0;
    } else if (n->setup->nodes > 1) {
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
    n->refused = false;
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
    struct order *order;
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

static void
order(void *ctx)
{
    struct visit *v = ctx;

    cluster_order(kv_cluster_of(v->node->kv), v->order);
}

void
node_order(struct node *n, struct order *o)
{
    struct visit visit = { .node = n, .order = o };

    ASSERT(n->state == NODE_UP && n->setup->formed);
    sim_on_loop(n->world, n->id, 0, order, &visit);
}

/* ------------------------------------------------------------------ its group */

struct group_order {
    struct tablet *tablet;
    struct raft_config members;
    uint64_t to; /* hand over; 0: change the members */
    enum status status;
};

static void
carry_out(void *ctx)
{
    struct group_order *o = ctx;

    o->status = o->to != 0 ? tablet_transfer(o->tablet, o->to)
                           : tablet_change_members(o->tablet, &o->members);
}

static enum status
give_order(struct node *n, struct group_order *o)
{
    uint32_t index = 0;

    ASSERT(n->state != NODE_DOWN);
    o->tablet = node_tablet(n);
    o->status = ST_CLOSED;
    if (o->tablet == NULL)
        return ST_NOT_LEADER;
    while (sim_loop(n->world, n->id, index) != tablet_loop(o->tablet))
        index++;
    sim_on_loop(n->world, n->id, index, carry_out, o);
    return o->status;
}

enum status
node_change_members(struct node *n, unsigned voters, unsigned learners)
{
    struct group_order order = { 0 };

    for (uint32_t id = 1; id <= n->setup->nodes; id++) {
        if ((voters & 1u << id) != 0)
            order.members.voters[order.members.voter_count++] = id;
        else if ((learners & 1u << id) != 0)
            order.members.learners[order.members.learner_count++] = id;
    }
    return give_order(n, &order);
}

enum status
node_transfer(struct node *n, uint64_t to)
{
    struct group_order order = { .to = to };

    return give_order(n, &order);
}
