#include "unit/cluster/samples.h"

const enum record_kind kinds[KINDS] = { RECORD_CLUSTER, RECORD_KEYSPACE, RECORD_NODE,
                                        RECORD_TABLET };

/* ------------------------------------------------------------------ fixed ones */

struct record
sample_cluster(uint64_t change)
{
    return (struct record){
        .kind = RECORD_CLUSTER,
        .as.cluster = { .name = "shop", .created_ms = UINT64_C(1767225600000), .change = change }
    };
}

struct record
sample_node(uint64_t id)
{
    struct record r = { .kind = RECORD_NODE };

    r.as.node = (struct node_record){ .id = id,
                                      .state = NODE_MEMBER,
                                      .name = "n1",
                                      .zone = "east",
                                      .weight = 128,
                                      .peer = { "10.0.0.1", 7100 },
                                      .client = { "10.0.0.1", 6379 },
                                      .joined_ms = UINT64_C(1767225600000) };
    return r;
}

struct record
sample_keyspace(uint32_t id)
{
    return (struct record){ .kind = RECORD_KEYSPACE,
                            .as.keyspace = { .id = id,
                                             .state = KEYSPACE_LIVE,
                                             .name = "users",
                                             .mode = KEYSPACE_STRONG,
                                             .partition = PARTITION_HASH,
                                             .replicas = 3 } };
}

struct record
sample_tablet(uint64_t id)
{
    static const uint8_t bounds[] = { 0x10, 0x00, 0x20, 0x00 };
    struct record r = { .kind = RECORD_TABLET };

    r.as.tablet = (struct tablet_record){
        .id = id,
        .keyspace = 5,
        .state = TABLET_LIVE,
        .from = slice_of(bounds, 2),
        .limit = slice_of(bounds + 2, 2),
        .leader = 1,
        .founder_count = 1,
        .founders = { 1 },
        .member_count = 3,
        .members = { { 1, MEMBER_VOTER }, { 2, MEMBER_JOINING }, { 3, MEMBER_LEAVING } }
    };
    return r;
}

static void
fill_text(char *out, size_t size)
{
    memset(out, 'x', size);
    out[size] = '\0';
}

static void
largest_tablet(struct tablet_record *t)
{
    static uint8_t bounds[2][CLUSTER_BOUND_BYTES];

    memset(bounds[0], 0xfe, CLUSTER_BOUND_BYTES);
    memset(bounds[1], 0xff, CLUSTER_BOUND_BYTES);
    *t = (struct tablet_record){ .id = UINT64_MAX,
                                 .keyspace = UINT32_MAX,
                                 .state = TABLET_GONE,
                                 .from = slice_of(bounds[0], CLUSTER_BOUND_BYTES),
                                 .limit = slice_of(bounds[1], CLUSTER_BOUND_BYTES),
                                 .leader = UINT64_MAX,
                                 .founder_count = RAFT_VOTERS_MAX,
                                 .member_count = RAFT_MEMBERS_MAX };
    for (uint32_t i = 0; i < RAFT_VOTERS_MAX; i++)
        t->founders[i] = UINT64_MAX - i;
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        t->members[i] =
            (struct tablet_member){ UINT64_MAX - i,
                                    i < RAFT_VOTERS_MAX ? MEMBER_VOTER : MEMBER_LEAVING };
}

struct record
sample_largest(enum record_kind kind)
{
    struct record r = { .kind = kind };

    switch (kind) {
    case RECORD_CLUSTER:
        r.as.cluster = (struct cluster_record){ .created_ms = UINT64_MAX, .change = UINT64_MAX };
        fill_text(r.as.cluster.name, LIMIT_NAME_BYTES);
        break;
    case RECORD_NODE:
        r = sample_node(UINT64_MAX);
        r.as.node.state = NODE_REMOVED;
        r.as.node.weight = UINT32_MAX;
        r.as.node.joined_ms = UINT64_MAX;
        r.as.node.peer.port = r.as.node.client.port = UINT16_MAX;
        fill_text(r.as.node.name, LIMIT_NAME_BYTES);
        fill_text(r.as.node.zone, LIMIT_NAME_BYTES);
        fill_text(r.as.node.peer.host, CLUSTER_HOST_BYTES);
        fill_text(r.as.node.client.host, CLUSTER_HOST_BYTES);
        break;
    case RECORD_KEYSPACE:
        r = sample_keyspace(UINT32_MAX - 1);
        r.as.keyspace.state = KEYSPACE_DROPPED;
        r.as.keyspace.partition = PARTITION_RANGE;
        r.as.keyspace.replicas = CLUSTER_REPLICAS_MAX;
        fill_text(r.as.keyspace.name, LIMIT_NAME_BYTES);
        break;
    case RECORD_TABLET:
        largest_tablet(&r.as.tablet);
        break;
    }
    return r;
}

/* ------------------------------------------------------------------ random ones */

static void
random_text(struct prng *p, char *out, size_t size_max)
{
    size_t size = prng_chance(p, 1, 8) ? size_max : prng_below(p, 12);

    for (size_t i = 0; i < size; i++)
        out[i] = (char)(1 + prng_below(p, 255));
    out[size] = '\0';
}

static uint64_t
random_number(struct prng *p)
{
    return prng_next(p) >> prng_below(p, 64);
}

/* Two bounds that differ in their first byte. */
static void
random_bounds(struct prng *p, struct tablet_record *t)
{
    static uint8_t pool[2][CLUSTER_BOUND_BYTES];
    uint8_t first = (uint8_t)prng_below(p, 255);

    for (int i = 0; i < 2; i++) {
        for (int at = 1; at < CLUSTER_BOUND_BYTES; at++)
            pool[i][at] = (uint8_t)prng_next(p);
        pool[i][0] = i == 0 ? first : (uint8_t)(first + 1);
    }
    if (prng_chance(p, 3, 4))
        t->from = slice_of(pool[0], 1 + prng_below(p, CLUSTER_BOUND_BYTES));
    if (prng_chance(p, 3, 4))
        t->limit = slice_of(pool[1], 1 + prng_below(p, CLUSTER_BOUND_BYTES));
}

static enum member_role
random_role(struct prng *p, bool may_vote)
{
    return may_vote && prng_chance(p, 1, 4) ? MEMBER_VOTER
                                            : (enum member_role)(MEMBER_LEARNER + prng_below(p, 3));
}

static void
random_tablet(struct prng *p, struct tablet_record *t)
{
    t->keyspace = (uint32_t)random_number(p);
    t->state = prng_chance(p, 1, 4) ? TABLET_GONE : TABLET_LIVE;
    random_bounds(p, t);
    t->leader = random_number(p);
    t->founder_count = 1 + (uint32_t)prng_below(p, RAFT_VOTERS_MAX);
    for (uint32_t i = 0; i < t->founder_count; i++)
        t->founders[i] = (random_number(p) & ~UINT64_C(31)) + i + 1;
    t->member_count = 1 + (uint32_t)prng_below(p, RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < t->member_count; i++) {
        t->members[i].node = (random_number(p) & ~UINT64_C(31)) + i + 1;
        t->members[i].role = i == 0 ? MEMBER_VOTER : random_role(p, i < RAFT_VOTERS_MAX);
    }
}

static void
random_node(struct prng *p, struct node_record *n)
{
    n->state = (enum node_state)(1 + prng_below(p, 4));
    random_text(p, n->name, LIMIT_NAME_BYTES);
    random_text(p, n->zone, LIMIT_NAME_BYTES);
    n->weight = (uint32_t)random_number(p);
    random_text(p, n->peer.host, CLUSTER_HOST_BYTES);
    n->peer.port = (uint16_t)random_number(p);
    random_text(p, n->client.host, CLUSTER_HOST_BYTES);
    n->client.port = (uint16_t)random_number(p);
    n->joined_ms = random_number(p);
}

struct record
random_record(struct prng *p, enum record_kind kind, uint64_t id)
{
    struct record r = { .kind = kind };

    switch (kind) {
    case RECORD_CLUSTER:
        random_text(p, r.as.cluster.name, LIMIT_NAME_BYTES);
        r.as.cluster.created_ms = random_number(p);
        r.as.cluster.change = random_number(p);
        break;
    case RECORD_NODE:
        r.as.node.id = id;
        random_node(p, &r.as.node);
        break;
    case RECORD_KEYSPACE:
        r = sample_keyspace((uint32_t)id);
        r.as.keyspace.state = prng_chance(p, 1, 4) ? KEYSPACE_DROPPED : KEYSPACE_LIVE;
        random_text(p, r.as.keyspace.name, LIMIT_NAME_BYTES);
        r.as.keyspace.partition = prng_chance(p, 1, 2) ? PARTITION_RANGE : PARTITION_HASH;
        r.as.keyspace.replicas = 1 + (uint32_t)prng_below(p, CLUSTER_REPLICAS_MAX);
        break;
    case RECORD_TABLET:
        r.as.tablet.id = id;
        random_tablet(p, &r.as.tablet);
        break;
    }
    return r;
}

/* ------------------------------------------------------------------ comparing */

static bool
addresses_equal(const struct node_address *a, const struct node_address *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

static bool
nodes_equal(const struct node_record *a, const struct node_record *b)
{
    return a->id == b->id && a->state == b->state && strcmp(a->name, b->name) == 0 &&
           strcmp(a->zone, b->zone) == 0 && a->weight == b->weight &&
           addresses_equal(&a->peer, &b->peer) && addresses_equal(&a->client, &b->client) &&
           a->joined_ms == b->joined_ms;
}

static bool
keyspaces_equal(const struct keyspace_record *a, const struct keyspace_record *b)
{
    return a->id == b->id && a->state == b->state && strcmp(a->name, b->name) == 0 &&
           a->mode == b->mode && a->partition == b->partition && a->replicas == b->replicas;
}

static bool
members_equal(const struct tablet_record *a, const struct tablet_record *b)
{
    if (a->founder_count != b->founder_count || a->member_count != b->member_count)
        return false;
    for (uint32_t i = 0; i < a->member_count; i++) {
        if (a->members[i].node != b->members[i].node || a->members[i].role != b->members[i].role)
            return false;
    }
    return memcmp(a->founders, b->founders, a->founder_count * sizeof(a->founders[0])) == 0;
}

static bool
tablets_equal(const struct tablet_record *a, const struct tablet_record *b)
{
    return a->id == b->id && a->keyspace == b->keyspace && a->state == b->state &&
           slice_equal(a->from, b->from) && slice_equal(a->limit, b->limit) &&
           a->leader == b->leader && members_equal(a, b);
}

bool
records_equal(const struct record *a, const struct record *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case RECORD_NODE:
        return nodes_equal(&a->as.node, &b->as.node);
    case RECORD_KEYSPACE:
        return keyspaces_equal(&a->as.keyspace, &b->as.keyspace);
    case RECORD_TABLET:
        return tablets_equal(&a->as.tablet, &b->as.tablet);
    case RECORD_CLUSTER:
        break;
    }
    return strcmp(a->as.cluster.name, b->as.cluster.name) == 0 &&
           a->as.cluster.created_ms == b->as.cluster.created_ms &&
           a->as.cluster.change == b->as.cluster.change;
}

/* ------------------------------------------------------------------ ranges */

static bool
is_within(uint64_t v, uint64_t min, uint64_t max)
{
    return v >= min && v <= max;
}

static bool
tablet_is_in_range(const struct tablet_record *t)
{
    struct raft_config config;
    uint32_t voters = 0;

    if (!is_within(t->state, TABLET_LIVE, TABLET_GONE) || t->id == 0 ||
        t->from.size > CLUSTER_BOUND_BYTES || t->limit.size > CLUSTER_BOUND_BYTES ||
        (t->limit.size > 0 && slice_compare(t->from, t->limit) >= 0) ||
        !is_within(t->founder_count, 1, RAFT_VOTERS_MAX) || t->member_count > RAFT_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < t->member_count; i++) {
        if (t->members[i].node == 0 ||
            !is_within(t->members[i].role, MEMBER_VOTER, MEMBER_LEAVING) ||
            tablet_record_member(t, t->members[i].node) != &t->members[i])
            return false;
        voters += t->members[i].role == MEMBER_VOTER;
    }
    tablet_record_config(t, &config);
    return config.voter_count == voters && (t->state == TABLET_GONE || voters > 0);
}

bool
record_is_in_range(const struct record *r)
{
    switch (r->kind) {
    case RECORD_NODE:
        return r->as.node.id != 0 && is_within(r->as.node.state, NODE_MEMBER, NODE_REMOVED) &&
               strlen(r->as.node.name) <= LIMIT_NAME_BYTES &&
               strlen(r->as.node.zone) <= LIMIT_NAME_BYTES &&
               strlen(r->as.node.peer.host) <= CLUSTER_HOST_BYTES &&
               strlen(r->as.node.client.host) <= CLUSTER_HOST_BYTES;
    case RECORD_KEYSPACE:
        return is_within(r->as.keyspace.state, KEYSPACE_LIVE, KEYSPACE_DROPPED) &&
               r->as.keyspace.mode == KEYSPACE_STRONG &&
               is_within(r->as.keyspace.partition, PARTITION_HASH, PARTITION_RANGE) &&
               is_within(r->as.keyspace.replicas, 1, CLUSTER_REPLICAS_MAX) &&
               strlen(r->as.keyspace.name) <= LIMIT_NAME_BYTES;
    case RECORD_TABLET:
        return tablet_is_in_range(&r->as.tablet);
    case RECORD_CLUSTER:
        break;
    }
    return strlen(r->as.cluster.name) <= LIMIT_NAME_BYTES;
}

void
encode(const struct record *r, struct buf *out)
{
    *out = buf_empty(RECORD_VALUE_BYTES_MAX);
    EXPECT_OK(record_encode(r, out));
}
