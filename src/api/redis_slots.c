/*
 * CLUSTER: the cluster in the words of Redis Cluster, for clients that ask the leaders of slots themselves.  It is
 * about the slots of the keyspace that is selected, as this node knows it (slots.h).
 *
 * A node is called by its id in hexadecimal, and zeros up to the length that Redis gives it.  What it is:
 *
 *      master   it leads some slots, or has none of them
 *      slave    it has copies only; its master leads the first slots of which it has one
 *
 * A node may lead some slots and have copies of others: so it can be in several shards.
 */
#include <inttypes.h>
#include <stdio.h>

#include "api/api_internal.h"
#include "api/redis.h"
#include "api/slots.h"

enum { NODE_NAME_BYTES = 40, NODE_LINE_BYTES = 256 };

struct node_name {
    char text[NODE_NAME_BYTES + 1];
};

static struct node_name
name_of(uint64_t node)
{
    struct node_name name;

    snprintf(name.text, sizeof(name.text), "%016" PRIx64 "%024d", node, 0);
    return name;
}

static bool
is_self(const struct session *s, const struct node_record *n)
{
    return n->id == kv_node_id(s->reactor->api->kv);
}

/* Of a node that nobody can join it is not told: the host is then, as in Redis, the one that was called. */
static uint16_t
port_of(const struct session *s, const struct node_record *n)
{
    return n->client.port == 0 && is_self(s, n) ? api_door_port(s->reactor->api, API_DOOR_AUTO)
                                                : n->client.port;
}

static bool
is_heard(const struct session *s, const struct node_record *n)
{
    return n->state != NODE_FAILED && leaders_hears(s->reactor->door, n->id);
}

/* False: the error was written. */
static bool
draw(struct session *s, struct slots *out, struct resp_writer *w)
{
    enum status st = slots_draw(out, s->reactor->door, s->keyspace);

    if (st != ST_OK)
        put_status(w, st, NULL, false);
    return st == ST_OK;
}

static void
put_word(struct resp_writer *w, const char *text)
{
    resp_put_bulk(w, slice_str(text));
}

/* ------------------------------------------------------------------ SLOTS */

static void
put_place(struct session *s, const struct node_record *n, struct resp_writer *w)
{
    resp_put_array(w, 4);
    put_word(w, n->client.host);
    resp_put_i64(w, port_of(s, n));
    put_word(w, name_of(n->id).text);
    resp_put_map(w, 0); /* other names of the host */
}

/* NULL: it is not one that can be asked now. */
static const struct node_record *
copy_to_show(const struct session *s, const struct slots *slots, uint64_t node)
{
    const struct node_record *n = atlas_node(slots->atlas, node);

    return n != NULL && is_heard(s, n) ? n : NULL;
}

static void
put_slots(struct session *s, const struct slots *slots, const struct slot_range *r,
          struct resp_writer *w)
{
    uint32_t copies = 0;

    for (uint32_t i = 0; i < r->copy_count; i++)
        copies += copy_to_show(s, slots, r->copies[i]) != NULL;
    resp_put_array(w, 3 + copies);
    resp_put_i64(w, r->begin);
    resp_put_i64(w, r->limit - 1);
    put_place(s, atlas_node(slots->atlas, r->leader), w);
    for (uint32_t i = 0; i < r->copy_count; i++) {
        const struct node_record *n = copy_to_show(s, slots, r->copies[i]);

        if (n != NULL)
            put_place(s, n, w);
    }
}

/* Slots of which it is not known who has them are left out, as Redis does. */
void
local_cluster_slots(struct session *s, const struct slice *args, uint32_t count,
                    struct resp_writer *w)
{
    struct slots slots;
    uint32_t known = 0;

    (void)args;
    (void)count;
    if (!draw(s, &slots, w))
        return;
    for (uint32_t i = 0; i < slots.count; i++)
        known += atlas_node(slots.atlas, slots.ranges[i].leader) != NULL;
    resp_put_array(w, known);
    for (uint32_t i = 0; i < slots.count; i++) {
        if (atlas_node(slots.atlas, slots.ranges[i].leader) != NULL)
            put_slots(s, &slots, &slots.ranges[i], w);
    }
    slots_release(&slots);
}

/* ------------------------------------------------------------------ SHARDS */

static void
put_shard_node(struct session *s, const struct node_record *n, const char *role,
               struct resp_writer *w)
{
    resp_put_map(w, 7);
    put_word(w, "id");
    put_word(w, name_of(n->id).text);
    put_word(w, "port");
    resp_put_i64(w, port_of(s, n));
    put_word(w, "ip");
    put_word(w, n->client.host);
    put_word(w, "endpoint");
    put_word(w, n->client.host);
    put_word(w, "role");
    put_word(w, role);
    put_word(w, "replication-offset");
    resp_put_i64(w, 0);
    put_word(w, "health");
    put_word(w, is_heard(s, n) ? "online" : "fail");
}

/* The ranges [first, limit), which have the same leader and the same copies. */
static void
put_shard(struct session *s, const struct slots *slots, uint32_t first, uint32_t limit,
          struct resp_writer *w)
{
    const struct slot_range *r = &slots->ranges[first];
    const struct node_record *leader = atlas_node(slots->atlas, r->leader);
    uint32_t known = leader != NULL;

    resp_put_map(w, 2);
    put_word(w, "slots");
    resp_put_array(w, (uint64_t)(limit - first) * 2);
    for (uint32_t i = first; i < limit; i++) {
        resp_put_i64(w, slots->ranges[i].begin);
        resp_put_i64(w, slots->ranges[i].limit - 1);
    }
    for (uint32_t i = 0; i < r->copy_count; i++)
        known += atlas_node(slots->atlas, r->copies[i]) != NULL;
    put_word(w, "nodes");
    resp_put_array(w, known);
    if (leader != NULL)
        put_shard_node(s, leader, "master", w);
    for (uint32_t i = 0; i < r->copy_count; i++) {
        const struct node_record *n = atlas_node(slots->atlas, r->copies[i]);

        if (n != NULL)
            put_shard_node(s, n, "replica", w);
    }
}

/* Neither leads nor has copies, and is there. */
static bool
is_idle(const struct slots *slots, const struct node_record *n)
{
    for (uint32_t i = 0; i < slots->count; i++) {
        if (slots->ranges[i].leader == n->id || slots_has_copy(&slots->ranges[i], n->id))
            return false;
    }
    return n->state != NODE_REMOVED;
}

static void
put_idle_shard(struct session *s, const struct node_record *n, struct resp_writer *w)
{
    resp_put_map(w, 2);
    put_word(w, "slots");
    resp_put_array(w, 0);
    put_word(w, "nodes");
    resp_put_array(w, 1);
    put_shard_node(s, n, "master", w);
}

/* Just past the shard that begins there. */
static uint32_t
shard_limit(const struct slots *slots, uint32_t first)
{
    uint32_t limit = first + 1;

    while (limit < slots->count && slots_are_grouped(&slots->ranges[first], &slots->ranges[limit]))
        limit++;
    return limit;
}

void
local_cluster_shards(struct session *s, const struct slice *args, uint32_t count,
                     struct resp_writer *w)
{
    struct slots slots;
    uint64_t shards = 0;

    (void)args;
    (void)count;
    if (!draw(s, &slots, w))
        return;
    slots_group(&slots);
    for (uint32_t i = 0; i < slots.count; i = shard_limit(&slots, i))
        shards++;
    for (uint32_t i = 0; i < slots.atlas->node_count; i++)
        shards += is_idle(&slots, &slots.atlas->nodes[i]);
    resp_put_array(w, shards);
    for (uint32_t i = 0; i < slots.count; i = shard_limit(&slots, i))
        put_shard(s, &slots, i, shard_limit(&slots, i), w);
    for (uint32_t i = 0; i < slots.atlas->node_count; i++) {
        if (is_idle(&slots, &slots.atlas->nodes[i]))
            put_idle_shard(s, &slots.atlas->nodes[i], w);
    }
    slots_release(&slots);
}

/* ------------------------------------------------------------------ NODES */

/* Whose copies the node has, if it has no more than copies; 0: it leads something, or has nothing. */
static uint64_t
master_of(const struct slots *slots, uint64_t node)
{
    uint64_t master = 0;

    for (uint32_t i = 0; i < slots->count; i++) {
        const struct slot_range *r = &slots->ranges[i];

        if (r->leader == node)
            return 0;
        if (master == 0 && slots_has_copy(r, node))
            master = r->leader;
    }
    return master;
}

/* " 0-100 200": copies may differ where the leader does not. */
static enum status
add_led(struct buf *out, const struct slots *slots, uint64_t node)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < slots->count && st == ST_OK; i++) {
        uint32_t begin = slots->ranges[i].begin;

        if (slots->ranges[i].leader != node)
            continue;
        while (i + 1 < slots->count && slots->ranges[i + 1].leader == node)
            i++;
        st = buf_printf(out, " %" PRIu32, begin);
        if (st == ST_OK && slots->ranges[i].limit - begin > 1)
            st = buf_printf(out, "-%" PRIu32, slots->ranges[i].limit - 1);
    }
    return st;
}

static const char *
trouble_of(const struct session *s, const struct node_record *n)
{
    if (n->state == NODE_FAILED)
        return ",fail";
    return is_heard(s, n) ? "" : ",fail?";
}

static enum status
add_node(struct session *s, const struct slots *slots, const struct node_record *n, struct buf *out)
{
    uint64_t master = master_of(slots, n->id);
    enum status st =
        buf_printf(out, "%s %s:%u@%u %s%s%s %s 0 0 %" PRIu64 " %s", name_of(n->id).text,
                   n->client.host, port_of(s, n), n->peer.port, is_self(s, n) ? "myself," : "",
                   master == 0 ? "master" : "slave", trouble_of(s, n),
                   master == 0 ? "-" : name_of(master).text, slots->atlas->cluster.change,
                   is_heard(s, n) ? "connected" : "disconnected");

    if (st == ST_OK)
        st = add_led(out, slots, n->id);
    return st == ST_OK ? buf_append(out, slice_str("\n")) : st;
}

void
local_cluster_nodes(struct session *s, const struct slice *args, uint32_t count,
                    struct resp_writer *w)
{
    struct buf text = buf_empty(REPLY_BYTES_MAX);
    struct slots slots;
    enum status st = ST_OK;

    (void)args;
    (void)count;
    if (!draw(s, &slots, w))
        return;
    for (uint32_t i = 0; i < slots.atlas->node_count && st == ST_OK; i++) {
        if (slots.atlas->nodes[i].state != NODE_REMOVED)
            st = add_node(s, &slots, &slots.atlas->nodes[i], &text);
    }
    if (st == ST_OK)
        resp_put_text(w, buf_slice(&text));
    else
        put_status(w, st, NULL, false);
    buf_release(&text);
    slots_release(&slots);
}

/* ------------------------------------------------------------------ INFO */

struct slot_figures {
    uint32_t ok;
    uint32_t silent; /* who leads them is not heard */
    uint32_t failed; /* and was given up by the cluster */
    uint32_t leaders;
    uint32_t nodes;
};

static void
count_slots(const struct session *s, const struct slots *slots, struct slot_figures *out)
{
    *out = (struct slot_figures){ 0 };
    for (uint32_t i = 0; i < slots->count; i++) {
        const struct slot_range *r = &slots->ranges[i];
        const struct node_record *leader = atlas_node(slots->atlas, r->leader);
        uint32_t size = r->limit - r->begin;

        if (leader == NULL || leader->state == NODE_FAILED)
            out->failed += size;
        else if (is_heard(s, leader))
            out->ok += size;
        else
            out->silent += size;
        out->leaders += i == 0 || slots->ranges[i - 1].leader != r->leader;
    }
    for (uint32_t i = 0; i < slots->atlas->node_count; i++)
        out->nodes += slots->atlas->nodes[i].state != NODE_REMOVED;
}

/* Messages are not counted by their kinds here: those lines of Redis's are left out. */
void
local_cluster_info(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    struct buf text = buf_empty(REPLY_BYTES_MAX);
    struct slot_figures f;
    struct slots slots;
    enum status st;

    (void)args;
    (void)count;
    if (!draw(s, &slots, w))
        return;
    slots_group(&slots); /* so that each leader is counted once */
    count_slots(s, &slots, &f);
    st = buf_printf(&text,
                    "cluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%" PRIu32
                    "\r\ncluster_slots_pfail:%" PRIu32 "\r\ncluster_slots_fail:%" PRIu32
                    "\r\ncluster_known_nodes:%" PRIu32 "\r\ncluster_size:%" PRIu32
                    "\r\ncluster_current_epoch:%" PRIu64 "\r\ncluster_my_epoch:%" PRIu64 "\r\n",
                    f.ok == SLOT_COUNT ? "ok" : "fail", SLOT_COUNT, f.ok, f.silent, f.failed,
                    f.nodes, f.leaders, slots.atlas->cluster.change, slots.atlas->cluster.change);
    if (st == ST_OK)
        resp_put_text(w, buf_slice(&text));
    else
        put_status(w, st, NULL, false);
    buf_release(&text);
    slots_release(&slots);
}

/* ------------------------------------------------------------------ MYID, KEYSLOT, HELP */

void
local_cluster_myid(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    (void)args;
    (void)count;
    put_word(w, name_of(kv_node_id(s->reactor->api->kv)).text);
}

void
local_cluster_keyslot(struct session *s, const struct slice *args, uint32_t count,
                      struct resp_writer *w)
{
    (void)s;
    (void)count;
    resp_put_i64(w, slot_of(args[2]));
}

void
local_cluster_help(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    static const char *const lines[] = {
        "COUNTKEYSINSLOT <slot>",
        "    How many keys of this database are in the slot; all keys of its tablet are looked at.",
        "GETKEYSINSLOT <slot> <count>",
        "    Up to so many of them.",
        "INFO",
        "    Whether all slots are served, as far as this node knows.",
        "KEYSLOT <key>",
        "    The slot of a key.",
        "MYID",
        "    The id of this node.",
        "NODES",
        "    All nodes, one in each line, with the slots that they lead.",
        "SHARDS",
        "    The slots by who leads them and who has copies.",
        "SLOTS",
        "    Ranges of slots, each with who leads them and who has copies.",
    };

    (void)s;
    (void)args;
    (void)count;
    put_help(w, "CLUSTER", lines, sizeof(lines) / sizeof(lines[0]));
}
