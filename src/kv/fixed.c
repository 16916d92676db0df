/*
 * A cluster that is told to every node at its start, and never changes: for tests and the simulator, which
 * change groups by themselves.
 *
 * All nodes are told the same, so each can make the same records by itself: the id of a keyspace's
 * first tablet follows from the cluster's.  What a group's members are later is in its own log.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"

#include "kv/kv_internal.h"

enum { FEED_BYTES_MAX = 64 << 20, TABLET_ID_MIN = 1 << 16 };

static uint64_t
founding_tablet(const struct kv *kv, uint32_t keyspace, uint32_t number)
{
    const struct engine_identity *id = engine_identity(kv->engine);
    uint64_t tablet = hash64_seeded(slice_of(id->cluster, sizeof(id->cluster)),
                                    (uint64_t)number << 32 | keyspace);

    return tablet < TABLET_ID_MIN ? tablet + TABLET_ID_MIN : tablet;
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
    struct raft_config founders = { .voter_count = cluster->founder_count };

    for (uint32_t i = 0; i < cluster->founder_count && i < RAFT_VOTERS_MAX; i++)
        founders.voters[i] = cluster->founders[i];
    if (cluster->node_count > TABLET_NODES_MAX || !names(cluster, kv->node.id)) {
        return err_raise(
            err, ST_INVALID,
            "a cluster of %u nodes, of at most %d, that does not name this one, %016llx",
            cluster->node_count, TABLET_NODES_MAX, (unsigned long long)kv->node.id);
    }
    if (cluster->keyspace_count == 0 || cluster->keyspace_count > CLUSTER_KEYSPACES_MAX)
        return err_raise(err, ST_INVALID, "%u keyspaces, instead of 1 to %d",
                         cluster->keyspace_count, CLUSTER_KEYSPACES_MAX);
    if (cluster->founder_count > RAFT_VOTERS_MAX || !raft_config_is_valid(&founders))
        return err_raise(err, ST_INVALID, "%u founders cannot be the voters of a keyspace",
                         cluster->founder_count);
    return ST_OK;
}

static enum status
put(struct book *b, const struct record *r, struct err *err)
{
    struct buf value = buf_empty(RECORD_VALUE_BYTES_MAX);
    struct record_key key = record_key_of(r);
    enum status st = record_encode(r, &value);

    if (st != ST_OK)
        st = err_raise(err, st, "out of memory for the cluster");
    else
        st = book_put(b, &key, 1, buf_slice(&value), err);
    buf_release(&value);
    return st;
}

static enum status
put_node(struct book *b, const struct kv_node *node, struct err *err)
{
    struct record r = {
        .kind = RECORD_NODE,
        .as.node = { .id = node->id, .state = NODE_MEMBER, .weight = 128, .peer.port = node->port }
    };

    snprintf(r.as.node.name, sizeof(r.as.node.name), "%llu", (unsigned long long)node->id);
    snprintf(r.as.node.peer.host, sizeof(r.as.node.peer.host), "%s", node->host);
    return put(b, &r, err);
}

static enum status
put_tablet(const struct kv *kv, struct book *b, const struct kv_cluster *cluster, uint32_t keyspace,
           uint32_t number, struct err *err)
{
    uint32_t of = cluster->tablets == 0 ? 1 : cluster->tablets;
    uint8_t from[2], limit[2];
    struct record t = { .kind = RECORD_TABLET,
                        .as.tablet = { .id = founding_tablet(kv, keyspace, number),
                                       .keyspace = keyspace,
                                       .state = TABLET_LIVE,
                                       .founder_count = cluster->founder_count,
                                       .member_count = cluster->founder_count } };

    if (number > 0)
        t.as.tablet.from = slot_bound(number * SLOT_COUNT / of, from);
    if (number + 1 < of)
        t.as.tablet.limit = slot_bound((number + 1) * SLOT_COUNT / of, limit);
    for (uint32_t i = 0; i < cluster->founder_count; i++) {
        t.as.tablet.founders[i] = cluster->founders[i];
        t.as.tablet.members[i] = (struct tablet_member){ cluster->founders[i], MEMBER_VOTER };
    }
    return put(b, &t, err);
}

static enum status
put_keyspace(const struct kv *kv, struct book *b, const struct kv_cluster *cluster, uint32_t id,
             struct err *err)
{
    struct record k = { .kind = RECORD_KEYSPACE,
                        .as.keyspace = { .id = id,
                                         .state = KEYSPACE_LIVE,
                                         .mode = KEYSPACE_STRONG,
                                         .partition = PARTITION_HASH,
                                         .replicas = 3 } };
    enum status st;

    snprintf(k.as.keyspace.name, sizeof(k.as.keyspace.name), "%u", id);
    st = put(b, &k, err);
    for (uint32_t i = 0; i == 0 || (i < cluster->tablets && st == ST_OK); i++)
        st = st == ST_OK ? put_tablet(kv, b, cluster, id, i, err) : st;
    return st;
}

enum status
kv__fixed_feed(const struct kv *kv, const struct kv_cluster *cluster, struct buf *out,
               struct err *err)
{
    struct book book = { 0 };
    enum status st = check(kv, cluster, err);

    *out = buf_empty(FEED_BYTES_MAX);
    for (uint32_t i = 0; i < cluster->node_count && st == ST_OK; i++)
        st = put_node(&book, &cluster->nodes[i], err);
    for (uint32_t i = 0; i < cluster->keyspace_count && st == ST_OK; i++)
        st = put_keyspace(kv, &book, cluster, i, err);
    if (st == ST_OK && book_feed(&book, 0, out) != ST_OK)
        st = err_raise(err, ST_NO_MEMORY, "out of memory for the cluster");
    book_release(&book);
    return st;
}

const struct kv_node *
kv__fixed_self(const struct kv *kv, const struct kv_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i].id == kv->node.id)
            return &cluster->nodes[i];
    }
    ASSERT(false);
    return NULL;
}
