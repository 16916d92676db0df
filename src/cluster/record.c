#include "cluster/record.h"

#include <stdlib.h>

#include "base/assert.h"

enum { RECORD_FORMAT_WHOLE = 1, RECORD_FORMAT = 2 };

/* ------------------------------------------------------------------ keys */

void
record_key_encode(const struct record_key *key, uint8_t out[RECORD_KEY_BYTES])
{
    out[0] = (uint8_t)key->kind;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(key->id >> (56 - 8 * i));
}

enum status
record_key_decode(struct slice bytes, struct record_key *out)
{
    if (bytes.size != RECORD_KEY_BYTES)
        return ST_CORRUPT;
    out->kind = (enum record_kind)bytes.data[0];
    out->id = get_prefix_be(slice_of(bytes.data + 1, 8));
    return ST_OK;
}

struct record_key
record_key_of(const struct record *r)
{
    switch (r->kind) {
    case RECORD_KEYSPACE:
        return (struct record_key){ r->kind, r->as.keyspace.id };
    case RECORD_NODE:
        return (struct record_key){ r->kind, r->as.node.id };
    case RECORD_TABLET:
        return (struct record_key){ r->kind, r->as.tablet.id };
    case RECORD_CLUSTER:
        break;
    }
    return (struct record_key){ RECORD_CLUSTER, 0 };
}

/* ------------------------------------------------------------------ writing */

/* The first failure stays. */
struct writer {
    struct buf *out;
    enum status st;
};

static void
put_number(struct writer *w, uint64_t v)
{
    if (w->st == ST_OK)
        w->st = append_varint(w->out, v);
}

static void
put_text(struct writer *w, const char *text)
{
    if (w->st == ST_OK)
        w->st = append_string(w->out, slice_str(text));
}

static void
put_bytes(struct writer *w, struct slice bytes)
{
    if (w->st == ST_OK)
        w->st = append_string(w->out, bytes);
}

static void
put_address(struct writer *w, const struct node_address *a)
{
    put_text(w, a->host);
    put_number(w, a->port);
}

static void
put_cluster(struct writer *w, const struct cluster_record *c)
{
    put_text(w, c->name);
    put_number(w, c->created_ms);
    put_number(w, c->change);
}

static void
put_node(struct writer *w, const struct node_record *n)
{
    put_number(w, (uint64_t)n->state);
    put_text(w, n->name);
    put_text(w, n->zone);
    put_number(w, n->weight);
    put_address(w, &n->peer);
    put_address(w, &n->client);
    put_number(w, n->joined_ms);
}

static void
put_keyspace(struct writer *w, const struct keyspace_record *k)
{
    put_number(w, (uint64_t)k->state);
    put_text(w, k->name);
    put_number(w, (uint64_t)k->mode);
    put_number(w, (uint64_t)k->partition);
    put_number(w, k->replicas);
}

static void
put_tablet(struct writer *w, const struct tablet_record *t)
{
    put_number(w, t->keyspace);
    put_number(w, (uint64_t)t->state);
    put_bytes(w, t->from);
    put_bytes(w, t->limit);
    put_number(w, t->leader);
    put_number(w, t->founder_count);
    for (uint32_t i = 0; i < t->founder_count; i++)
        put_number(w, t->founders[i]);
    put_number(w, t->member_count);
    for (uint32_t i = 0; i < t->member_count; i++) {
        put_number(w, t->members[i].node);
        put_number(w, (uint64_t)t->members[i].role);
    }
}

static void
put_splits(struct writer *w, const struct tablet_record *t)
{
    put_number(w, t->edition);
    put_number(w, t->parent);
    put_number(w, t->heir);
    put_bytes(w, t->at);
}

/* What has nothing new in it is written as every program reads it. */
static uint8_t
format_of(const struct record *r)
{
    return r->kind == RECORD_TABLET && (r->as.tablet.edition != 0 || r->as.tablet.heir != 0)
               ? RECORD_FORMAT
               : RECORD_FORMAT_WHOLE;
}

enum status
record_encode(const struct record *r, struct buf *out)
{
    size_t begin = out->size;
    struct writer w = { out, append_u8(out, format_of(r)) };

    switch (r->kind) {
    case RECORD_CLUSTER:
        put_cluster(&w, &r->as.cluster);
        break;
    case RECORD_KEYSPACE:
        put_keyspace(&w, &r->as.keyspace);
        break;
    case RECORD_NODE:
        put_node(&w, &r->as.node);
        break;
    case RECORD_TABLET:
        put_tablet(&w, &r->as.tablet);
        if (format_of(r) == RECORD_FORMAT)
            put_splits(&w, &r->as.tablet);
        break;
    }
    if (w.st != ST_OK)
        out->size = begin; /* what was appended is whole, or nothing is */
    return w.st;
}

/* ------------------------------------------------------------------ reading */

static void
get_text(struct reader *r, char *out, size_t size_max)
{
    struct slice s = read_string(r);

    if (s.size > size_max || (s.size > 0 && memchr(s.data, 0, s.size) != NULL)) {
        r->bad = true;
        return;
    }
    if (s.size > 0)
        memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

/* A number from `min` to `max`. */
static uint64_t
get_within(struct reader *r, uint64_t min, uint64_t max)
{
    uint64_t v = read_varint(r);

    if (v < min || v > max)
        r->bad = true;
    return r->bad ? min : v;
}

static void
get_address(struct reader *r, struct node_address *a)
{
    get_text(r, a->host, CLUSTER_HOST_BYTES);
    a->port = (uint16_t)get_within(r, 0, UINT16_MAX);
}

static void
get_cluster(struct reader *r, struct cluster_record *c)
{
    get_text(r, c->name, LIMIT_NAME_BYTES);
    c->created_ms = read_varint(r);
    c->change = read_varint(r);
}

static void
get_node(struct reader *r, struct node_record *n)
{
    n->state = (enum node_state)get_within(r, NODE_MEMBER, NODE_REMOVED);
    get_text(r, n->name, LIMIT_NAME_BYTES);
    get_text(r, n->zone, LIMIT_NAME_BYTES);
    n->weight = (uint32_t)get_within(r, 0, UINT32_MAX);
    get_address(r, &n->peer);
    get_address(r, &n->client);
    n->joined_ms = read_varint(r);
}

static void
get_keyspace(struct reader *r, struct keyspace_record *k)
{
    k->state = (enum keyspace_state)get_within(r, KEYSPACE_LIVE, KEYSPACE_DROPPED);
    get_text(r, k->name, LIMIT_NAME_BYTES);
    k->mode = (enum keyspace_mode)get_within(r, KEYSPACE_STRONG, KEYSPACE_STRONG);
    k->partition = (enum keyspace_partition)get_within(r, PARTITION_HASH, PARTITION_RANGE);
    k->replicas = (uint32_t)get_within(r, 1, CLUSTER_REPLICAS_MAX);
}

static bool
is_repeated(const struct tablet_record *t, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (t->members[i].node == t->members[at].node)
            return true;
    }
    return false;
}

static void
get_bounds(struct reader *r, struct tablet_record *t)
{
    t->from = read_string(r);
    t->limit = read_string(r);
    if (t->from.size > CLUSTER_BOUND_BYTES || t->limit.size > CLUSTER_BOUND_BYTES ||
        (t->limit.size > 0 && slice_compare(t->from, t->limit) >= 0))
        r->bad = true;
}

static bool
has_founded(const struct tablet_record *t, uint32_t count, uint64_t node)
{
    for (uint32_t i = 0; i < count; i++) {
        if (t->founders[i] == node)
            return true;
    }
    return false;
}

static void
get_founders(struct reader *r, struct tablet_record *t)
{
    t->founder_count = (uint32_t)get_within(r, 1, RAFT_VOTERS_MAX);
    for (uint32_t i = 0; i < t->founder_count && !r->bad; i++) {
        t->founders[i] = get_within(r, 1, UINT64_MAX);
        if (has_founded(t, i, t->founders[i]))
            r->bad = true;
    }
}

/* A group has voters, and no more than raft takes: whom tablet_record_config() had no room for would
 * be out of it. */
static void
get_members(struct reader *r, struct tablet_record *t)
{
    uint32_t voters = 0;

    t->member_count = (uint32_t)get_within(r, 0, RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < t->member_count && !r->bad; i++) {
        t->members[i].node = get_within(r, 1, UINT64_MAX);
        t->members[i].role = (enum member_role)get_within(r, MEMBER_VOTER, MEMBER_LEAVING);
        voters += t->members[i].role == MEMBER_VOTER;
        if (is_repeated(t, i))
            r->bad = true;
    }
    if (voters > RAFT_VOTERS_MAX || (voters == 0 && t->state == TABLET_LIVE))
        r->bad = true;
}

static void
get_tablet(struct reader *r, struct tablet_record *t)
{
    t->keyspace = (uint32_t)get_within(r, 0, UINT32_MAX);
    t->state = (enum tablet_state)get_within(r, TABLET_LIVE, TABLET_GONE);
    get_bounds(r, t);
    t->leader = read_varint(r);
    get_founders(r, t);
    get_members(r, t);
}

/* It is split within its bounds, or not at all. */
static void
get_splits(struct reader *r, struct tablet_record *t)
{
    t->edition = read_varint(r);
    t->parent = read_varint(r);
    t->heir = read_varint(r);
    t->at = read_string(r);
    if ((t->edition == 0 && t->heir == 0) || (t->heir == 0) != (t->at.size == 0) ||
        t->at.size > SCOPE_BOUND_BYTES)
        r->bad = true;
    if (t->heir != 0 && (t->heir == t->id || slice_compare(t->at, t->from) <= 0 ||
                         (t->limit.size > 0 && slice_compare(t->at, t->limit) >= 0)))
        r->bad = true;
}

/* False: there is no such kind or id.  The metadata's own keyspace, the last, has no record. */
static bool
get_fields(struct reader *r, const struct record_key *key, uint8_t format, struct record *out)
{
    if (format == RECORD_FORMAT && key->kind != RECORD_TABLET)
        return false;
    switch (key->kind) {
    case RECORD_CLUSTER:
        get_cluster(r, &out->as.cluster);
        return key->id == 0;
    case RECORD_KEYSPACE:
        out->as.keyspace.id = (uint32_t)key->id;
        get_keyspace(r, &out->as.keyspace);
        return key->id < UINT32_MAX;
    case RECORD_NODE:
        out->as.node.id = key->id;
        get_node(r, &out->as.node);
        return key->id != 0;
    case RECORD_TABLET:
        out->as.tablet.id = key->id;
        get_tablet(r, &out->as.tablet);
        if (format == RECORD_FORMAT)
            get_splits(r, &out->as.tablet);
        return key->id != 0;
    }
    return false;
}

enum status
record_decode(const struct record_key *key, struct slice value, struct record *out, struct err *err)
{
    struct reader r = reader_of(value);
    uint8_t format = read_u8(&r);

    if (!r.bad && format > RECORD_FORMAT) {
        return err_raise(err, ST_INVALID,
                         "the metadata's record %c %016llx is of format %u, which is newer than "
                         "this program's %d",
                         (char)key->kind, (unsigned long long)key->id, format, RECORD_FORMAT);
    }
    *out = (struct record){ .kind = key->kind };
    if (!get_fields(&r, key, format, out) || r.bad || format == 0 || reader_left(&r) != 0)
        return err_raise(err, ST_CORRUPT, "the metadata's record %c %016llx cannot be read",
                         (char)key->kind, (unsigned long long)key->id);
    return ST_OK;
}

/* ------------------------------------------------------------------ looking */

bool
node_address_equal(const struct node_address *a, const struct node_address *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

bool
node_record_says_same(const struct node_record *a, const struct node_record *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->zone, b->zone) == 0 &&
           a->weight == b->weight && node_address_equal(&a->peer, &b->peer) &&
           node_address_equal(&a->client, &b->client);
}

const struct tablet_member *
tablet_record_member(const struct tablet_record *t, uint64_t node)
{
    for (uint32_t i = 0; i < t->member_count; i++) {
        if (t->members[i].node == node)
            return &t->members[i];
    }
    return NULL;
}

int
record_compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void
tablet_record_config(const struct tablet_record *t, struct raft_config *out)
{
    *out = (struct raft_config){ 0 };
    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct tablet_member *m = &t->members[i];

        if (m->role == MEMBER_VOTER && out->voter_count < RAFT_VOTERS_MAX)
            out->voters[out->voter_count++] = m->node;
        else if (m->role == MEMBER_LEARNER || m->role == MEMBER_JOINING)
            out->learners[out->learner_count++] = m->node;
    }
    qsort(out->voters, out->voter_count, sizeof(out->voters[0]), record_compare_ids);
    qsort(out->learners, out->learner_count, sizeof(out->learners[0]), record_compare_ids);
}

const char *
node_state_name(enum node_state state)
{
    static const char *const names[] = { "", "member", "draining", "failed", "removed" };

    ASSERT(state >= NODE_MEMBER && state <= NODE_REMOVED);
    return names[state];
}

const char *
member_role_name(enum member_role role)
{
    static const char *const names[] = { "", "voter", "learner", "joining", "leaving" };

    ASSERT(role >= MEMBER_VOTER && role <= MEMBER_LEAVING);
    return names[role];
}
