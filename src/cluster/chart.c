/*
 * Ids are text, sixteen hexadecimal digits: as numbers they would not be exact everywhere.  Bounds of a range keyspace
 * that are not UTF-8 are hexadecimal.
 */
#include "cluster/chart.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "cluster/cluster_internal.h"

enum {
    ID_TEXT_BYTES = 17,
    WORST_MAX = 20,
};

/* ------------------------------------------------------------------ words */

static json_t *
id_json(uint64_t id)
{
    char text[ID_TEXT_BYTES];

    snprintf(text, sizeof(text), "%016" PRIx64, id);
    return json_string(text);
}

static json_t *
address_json(const struct node_address *a)
{
    char text[CLUSTER_HOST_BYTES + 16];

    snprintf(text, sizeof(text), strchr(a->host, ':') == NULL ? "%s:%u" : "[%s]:%u", a->host,
             a->port);
    return json_string(text);
}

static json_t *
bytes_json(struct slice s)
{
    json_t *text = s.size == 0 ? json_string("") : json_stringn((const char *)s.data, s.size);
    char hex[2 * CLUSTER_BOUND_BYTES + 3] = "0x";

    if (text != NULL || s.size > CLUSTER_BOUND_BYTES)
        return text;
    for (size_t i = 0; i < s.size; i++)
        snprintf(hex + 2 + 2 * i, 3, "%02x", s.data[i]);
    return json_string(hex);
}

static const char *
health_name(const struct cluster *c, uint64_t node)
{
    static const char *const names[] = { "healthy", "suspicious", "down", "lost" };

    return names[watch_health(c, node)];
}

static const char *
node_name(const struct cluster *c, uint64_t node)
{
    const struct node_record *n = atlas_node(c->atlas, node);

    return n == NULL ? "?" : n->name;
}

static json_t *
name_json(const struct cluster *c, uint64_t node)
{
    return node == 0 ? json_null() : json_string(node_name(c, node));
}

static const char *
keyspace_name(const struct cluster *c, uint32_t id)
{
    const struct atlas_keyspace *k = atlas_keyspace(c->atlas, id);

    return k == NULL ? "?" : k->record.name;
}

/* Takes the value; out of memory it is NULL, and so is what is dumped. */
static enum status
dump(json_t *value, struct buf *out)
{
    char *text = value == NULL ? NULL : json_dumps(value, JSON_COMPACT);
    enum status st = text == NULL ? ST_NO_MEMORY : buf_append(out, slice_str(text));

    free(text);
    json_decref(value);
    return st;
}

enum status
chart_done(struct cluster *c, struct buf *out)
{
    return dump(json_pack("{s:I}", "change", (json_int_t)c->atlas->cluster.change), out);
}

/* ------------------------------------------------------------------ status */

static json_t *
cluster_json(const struct cluster *c)
{
    const uint8_t *id = engine_identity(c->engine)->cluster;
    char text[2 * CLUSTER_ID_BYTES + 1];

    for (size_t i = 0; i < CLUSTER_ID_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    return json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", c->atlas->cluster.name, "id", text,
                     "change", (json_int_t)c->atlas->cluster.change, "version",
                     (json_int_t)c->atlas->version, "created_ms",
                     (json_int_t)c->atlas->cluster.created_ms);
}

static json_t *
node_counts_json(const struct cluster *c)
{
    uint32_t total = 0;
    uint32_t by_health[4] = { 0 };

    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        if (c->atlas->nodes[i].state == NODE_REMOVED)
            continue;
        total++;
        by_health[watch_health(c, c->atlas->nodes[i].id)]++;
    }
    return json_pack("{s:i, s:i, s:i, s:i}", "total", total, "healthy", by_health[HEALTH_UP],
                     "suspicious", by_health[HEALTH_SUSPICIOUS], "down",
                     by_health[HEALTH_DOWN] + by_health[HEALTH_LOST]);
}

static json_t *
metadata_json(struct cluster *c, const struct steward_view *v)
{
    const struct tablet_record *meta = atlas_tablet(c->atlas, ATLAS_META_TABLET);
    const struct tablet_report *r = steward_report_of(v, ATLAS_META_TABLET);
    json_t *members = json_array();

    for (uint32_t i = 0; meta != NULL && i < meta->member_count; i++)
        json_array_append_new(members, json_string(node_name(c, meta->members[i].node)));
    return json_pack("{s:o, s:o}", "leader", name_json(c, r == NULL ? 0 : r->leader), "members",
                     members);
}

/* Those with fewest copies, at most WORST_MAX. */
static json_t *
worst_json(struct cluster *c, const struct steward_view *v)
{
    struct steward_need worst[WORST_MAX];
    uint32_t count = steward_worst(v, worst, WORST_MAX);
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++) {
        json_array_append_new(list, json_pack("{s:o, s:s, s:i, s:i}", "tablet",
                                              id_json(worst[i].tablet->id), "keyspace",
                                              keyspace_name(c, worst[i].tablet->keyspace), "copies",
                                              worst[i].copies, "wanted", worst[i].wanted));
    }
    return list;
}

/* At what this node may send; the others are taken to be allowed as much. */
static double
seconds_for(const struct cluster *c, uint64_t bytes)
{
    return (double)bytes / (double)tablet_node_streaming(c->options.node);
}

static json_t *
tablet_counts_json(struct cluster *c, const struct steward_view *v)
{
    struct steward_outlook o;

    steward_look_out(v, &o);
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:f}", "damaged", o.damaged, "total",
                     o.tablets, "under_replicated", o.under_replicated, "leaderless", o.leaderless,
                     "moving", o.moving, "copies_min", o.copies_min, "bytes_left",
                     (json_int_t)o.bytes_left, "seconds_left", seconds_for(c, o.bytes_left));
}

enum status
chart_status(struct cluster *c, struct buf *out)
{
    struct steward_view v;

    office_view(c, &v);
    return dump(json_pack("{s:o, s:o, s:o, s:o, s:o}", "cluster", cluster_json(c), "nodes",
                          node_counts_json(c), "tablets", tablet_counts_json(c, &v), "metadata",
                          metadata_json(c, &v), "worst", worst_json(c, &v)),
                out);
}

/* ------------------------------------------------------------------ nodes */

/* What a node has. */
struct share {
    uint32_t tablets;
    uint32_t leads;
    uint64_t bytes;
};

static struct share
share_of(const struct steward_view *v, uint64_t node)
{
    struct share s = { 0 };

    for (uint32_t i = 0; i < v->atlas->tablet_count; i++) {
        const struct tablet_record *t = v->atlas->tablets[i];
        const struct tablet_report *r = steward_report_of(v, t->id);

        if (tablet_record_member(t, node) == NULL)
            continue;
        s.tablets++;
        s.leads += r != NULL && r->leader == node;
        s.bytes += r == NULL ? 0 : r->bytes;
    }
    return s;
}

static json_t *
node_json(struct cluster *c, const struct steward_view *v, const struct node_record *n)
{
    const struct steward_room *room = steward_room_of(v, n->id);
    struct share has = share_of(v, n->id);

    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:i, s:i, s:I, s:I, s:I, s:I}", "id",
                     id_json(n->id), "name", n->name, "zone", n->zone, "state",
                     node_state_name(n->state), "health", health_name(c, n->id), "weight",
                     (int)n->weight, "peer", address_json(&n->peer), "client",
                     address_json(&n->client), "tablets", (int)has.tablets, "leads", (int)has.leads,
                     "bytes", (json_int_t)has.bytes, "joined_ms", (json_int_t)n->joined_ms,
                     "disk_free_bytes", (json_int_t)(room == NULL ? 0 : room->free_bytes),
                     "disk_bytes", (json_int_t)(room == NULL ? 0 : room->total_bytes));
}

enum status
chart_nodes(struct cluster *c, struct buf *out)
{
    json_t *list = json_array();
    struct steward_view v;

    office_view(c, &v);
    for (uint32_t i = 0; i < c->atlas->node_count; i++)
        json_array_append_new(list, node_json(c, &v, &c->atlas->nodes[i]));
    return dump(list, out);
}

/* ------------------------------------------------------------------ keyspaces and tablets */

enum status
chart_keyspaces(struct cluster *c, struct buf *out)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < c->atlas->keyspace_count; i++) {
        const struct atlas_keyspace *k = &c->atlas->keyspaces[i];

        json_array_append_new(
            list, json_pack("{s:I, s:s, s:s, s:s, s:i, s:i}", "id", (json_int_t)k->record.id,
                            "name", k->record.name, "mode", "strong", "partition",
                            k->record.partition == PARTITION_HASH ? "hash" : "range", "replicas",
                            (int)k->record.replicas, "tablets", (int)k->tablet_count));
    }
    return dump(list, out);
}

static json_t *
members_json(struct cluster *c, const struct tablet_record *t, const struct tablet_report *r)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct report_member *said = r == NULL ? NULL : report_member(r, t->members[i].node);

        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b}", "node",
                                              node_name(c, t->members[i].node), "role",
                                              member_role_name(t->members[i].role), "votes",
                                              said != NULL && said->votes, "caught_up",
                                              said != NULL && said->caught_up));
    }
    return list;
}

static json_t *
wanted_json(struct cluster *c, const struct steward_view *v, const struct tablet_record *t)
{
    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    uint32_t count = v->placement == NULL ? 0 : placement_of(v->placement, t, wanted);
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(node_name(c, wanted[i])));
    return list;
}

static void
add_bounds(json_t *j, const struct atlas_keyspace *k, const struct tablet_record *t)
{
    uint32_t begin, limit;

    if (k != NULL && k->record.partition == PARTITION_RANGE) {
        json_object_set_new(j, "from", bytes_json(t->from));
        json_object_set_new(j, "limit", bytes_json(t->limit));
        return;
    }
    atlas_slots_of(t, &begin, &limit);
    json_object_set_new(j, "slots", json_pack("[i, i]", (int)begin, (int)limit - 1));
}

static json_t *
tablet_json(struct cluster *c, const struct steward_view *v, const struct tablet_record *t)
{
    const struct tablet_report *r = steward_report_of(v, t->id);
    json_t *j =
        json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "id", id_json(t->id), "keyspace",
                  keyspace_name(c, t->keyspace), "leader", name_json(c, r == NULL ? 0 : r->leader),
                  "should_lead", name_json(c, t->leader), "members", members_json(c, t, r),
                  "wanted", wanted_json(c, v, t));

    if (j == NULL)
        return NULL;
    add_bounds(j, atlas_keyspace(c->atlas, t->keyspace), t);
    if (r != NULL) {
        json_object_set_new(j, "term", json_integer((json_int_t)r->term));
        json_object_set_new(j, "entries", json_integer((json_int_t)r->commit));
        json_object_set_new(j, "bytes", json_integer((json_int_t)r->bytes));
        json_object_set_new(j, "settled", json_boolean(r->settled));
    }
    if (t->heir != 0)
        json_object_set_new(j, "splits_into", id_json(t->heir));
    return j;
}

enum status
chart_tablets(struct cluster *c, const struct atlas_keyspace *k, struct buf *out)
{
    json_t *list = json_array();
    struct steward_view v;

    office_view(c, &v);
    for (uint32_t i = 0; i < c->atlas->tablet_count; i++) {
        if (k == NULL || c->atlas->tablets[i]->keyspace == k->record.id)
            json_array_append_new(list, tablet_json(c, &v, c->atlas->tablets[i]));
    }
    return dump(list, out);
}

/* ------------------------------------------------------------------ the ring */

/* All that could have it, as the ring has them; the first of these should. */
static json_t *
preference_json(struct cluster *c, const struct tablet_record *t)
{
    uint64_t nodes[CLUSTER_REPLICAS_MAX];
    uint32_t count = office_wanted(c, t, CLUSTER_REPLICAS_MAX, nodes);
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(node_name(c, nodes[i])));
    return list;
}

static json_t *
place_json(struct cluster *c, const struct steward_view *v, const struct tablet_record *t)
{
    json_t *j = tablet_json(c, v, t);
    char position[PLACEMENT_POSITION_BYTES];

    if (j == NULL)
        return NULL;
    json_object_set_new(j, "position", json_string(placement_position(t, position)));
    json_object_set_new(j, "preference", preference_json(c, t));
    return j;
}

enum status
chart_ring(struct cluster *c, const struct atlas_keyspace *k, const struct slice *key,
           struct buf *out)
{
    struct steward_view v;
    json_t *j;

    office_view(c, &v);
    if (key != NULL && k->tablet_count > 0) {
        j = json_pack("{s:o, s:i, s:i, s:o}", "key", bytes_json(*key), "hash", (int)slot_hash(*key),
                      "slot", (int)slot_of(*key), "place",
                      place_json(c, &v, atlas_tablet_of(k, *key)));
        return dump(j, out);
    }
    j = json_array();
    for (uint32_t i = 0; i < k->tablet_count; i++)
        json_array_append_new(j, place_json(c, &v, k->tablets[i]));
    return dump(j, out);
}

/* ------------------------------------------------------------------ moves */

/* Those of `wanted` who have it not, or those who have it and are not wanted. */
static json_t *
others_json(struct cluster *c, const struct steward_view *v, const struct tablet_record *t,
            bool lacking)
{
    const struct tablet_report *r = steward_report_of(v, t->id);
    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    uint32_t count = placement_of(v->placement, t, wanted);
    json_t *list = json_array();

    for (uint32_t i = 0; lacking && i < count; i++) {
        const struct report_member *m = r == NULL ? NULL : report_member(r, wanted[i]);

        if (m == NULL || !m->caught_up)
            json_array_append_new(list, json_string(node_name(c, wanted[i])));
    }
    for (uint32_t i = 0; !lacking && i < t->member_count; i++) {
        bool is_wanted = false;

        for (uint32_t j = 0; j < count && !is_wanted; j++)
            is_wanted = wanted[j] == t->members[i].node;
        if (!is_wanted)
            json_array_append_new(list, json_string(node_name(c, t->members[i].node)));
    }
    return list;
}

static json_t *
move_json(struct cluster *c, const struct steward_view *v, const struct tablet_record *t)
{
    const struct tablet_report *r = steward_report_of(v, t->id);

    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:i}", "tablet", id_json(t->id),
                     "keyspace", keyspace_name(c, t->keyspace), "to", others_json(c, v, t, true),
                     "from", others_json(c, v, t, false), "members", members_json(c, t, r),
                     "wanted", wanted_json(c, v, t), "bytes",
                     (json_int_t)steward_bytes_to_move(v, t), "copies", (int)steward_copies(v, t));
}

/* A copy is dropped only when the one in its place has caught up: nowhere on the way are there fewer than
 * now. */
enum status
chart_moves(struct cluster *c, struct buf *out)
{
    json_t *list = json_array();
    struct steward_outlook now;
    uint64_t bytes = 0;
    struct steward_view v;

    office_view(c, &v);
    steward_look_out(&v, &now);
    for (uint32_t i = 0; v.placement != NULL && i < c->atlas->tablet_count; i++) {
        const struct tablet_record *t = c->atlas->tablets[i];

        if (steward_is_placed(&v, t))
            continue;
        bytes += steward_bytes_to_move(&v, t);
        json_array_append_new(list, move_json(c, &v, t));
    }
    return dump(json_pack("{s:o, s:I, s:f, s:i}", "moves", list, "bytes", (json_int_t)bytes,
                          "seconds", seconds_for(c, bytes), "copies_min", (int)now.copies_min),
                out);
}
