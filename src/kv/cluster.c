/*
 * The cluster that a node is started with: who its nodes are, and with which members its keyspaces
 * are born.
 *
 * All nodes are told the same, so each can make the same tablets by itself: the id of a keyspace's
 * first tablet follows from the cluster's.  What a group's members are later is in its own log.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "tablet/exchange.h"

uint64_t
kv__founding_tablet(const struct kv *kv, uint32_t keyspace)
{
    const struct engine_identity *id = engine_identity(kv->engine);
    uint64_t tablet = hash64_seeded(slice_of(id->cluster, sizeof(id->cluster)), keyspace);

    return tablet < KV_TREE_ID_MIN ? tablet + KV_TREE_ID_MIN : tablet;
}

static bool
names(const struct kv_cluster *cluster, uint64_t node)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i].id == node)
            return true;
    }
    return false;
}

static enum status
check(const struct kv *kv, const struct kv_cluster *cluster, struct err *err)
{
    if (cluster->node_count > TABLET_NODES_MAX || !names(cluster, kv->node.id)) {
        return err_raise(
            err, ST_INVALID,
            "a cluster of %u nodes, of at most %d, that does not name this one, %016llx",
            cluster->node_count, TABLET_NODES_MAX, (unsigned long long)kv->node.id);
    }
    if (cluster->keyspace_count == 0 || cluster->keyspace_count > KV_KEYSPACES_MAX)
        return err_raise(err, ST_INVALID, "%u keyspaces, instead of 1 to %d",
                         cluster->keyspace_count, KV_KEYSPACES_MAX);
    if (cluster->founder_count > RAFT_VOTERS_MAX || !raft_config_is_valid(&kv->founders))
        return err_raise(err, ST_INVALID, "%u founders cannot be the voters of a keyspace",
                         cluster->founder_count);
    return ST_OK;
}

enum status
kv__found(struct kv *kv, const struct kv_cluster *cluster, struct err *err)
{
    kv->databases = LIMIT_DATABASES;
    kv->founders = (struct raft_config){ .voter_count = 1, .voters = { kv->node.id } };
    if (cluster == NULL)
        return ST_OK;
    kv->databases = cluster->keyspace_count;
    kv->founders.voter_count = cluster->founder_count;
    for (uint32_t i = 0; i < cluster->founder_count && i < RAFT_VOTERS_MAX; i++)
        kv->founders.voters[i] = cluster->founders[i];
    kv->node.lease_percent = cluster->lease_percent;
    kv->node.faults = cluster->faults;
    return check(kv, cluster, err);
}

static const struct kv_node *
ourselves(const struct kv *kv, const struct kv_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i].id == kv->node.id)
            return &cluster->nodes[i];
    }
    ASSERT(false);
    return NULL;
}

static enum status
begin_to_forward(struct kv *kv, struct err *err)
{
    uint32_t neighbours = kv->node.neighbour_count;
    enum status st = ST_OK;

    kv->fences = mem_new_array(struct kv_fence, neighbours * (size_t)LIMIT_REACTORS);
    kv->losses = mem_new_array(_Atomic uint32_t, neighbours);
    if (kv->fences == NULL || kv->losses == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for requests of other nodes");
    for (uint32_t i = 0; i < kv->door_count && st == ST_OK; i++) {
        st = forward_create(&kv->doors[i].forward, &kv->doors[i], err);
        if (st == ST_OK)
            kv__forward_from(&kv->doors[i]);
    }
    return st;
}

enum status
kv__connect(struct kv *kv, const struct kv_cluster *cluster, struct err *err)
{
    struct env *env = engine_env(kv->engine);
    struct exchange_address addresses[TABLET_NODES_MAX];
    enum status st = ST_OK;

    if (cluster == NULL)
        return ST_OK;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        addresses[i] = (struct exchange_address){ .node = cluster->nodes[i].id,
                                                  .host = cluster->nodes[i].host,
                                                  .port = cluster->nodes[i].port };
    }
    while (kv->incarnation == 0)
        env_random(env, &kv->incarnation, sizeof(kv->incarnation));
    kv->peer_of = mem_new_array(struct peer *, kv->door_count);
    if (kv->peer_of == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the connections between nodes");
    for (uint32_t i = 0; i < kv->door_count && st == ST_OK; i++) {
        st = exchange_connect(&kv->doors[i].reactor, kv->incarnation, addresses,
                              cluster->node_count, err);
        kv->peer_of[i] = kv->doors[i].reactor.peer;
    }
    if (st == ST_OK && cluster->forward)
        st = begin_to_forward(kv, err);
    if (st == ST_OK)
        st = env_listen(env, ourselves(kv, cluster)->host, ourselves(kv, cluster)->port,
                        peer_accepted, kv->peer_of, &kv->peers, err);
    return st;
}
