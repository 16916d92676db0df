/*
 * The first records of a cluster: of one node, with the databases of Redis, each one tablet.
 *
 * A store of before there were clusters has records of another kind, under keys 'm' "keyspace/" id:u32
 * big-endian, each with its one tablet.  What they say is taken over.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"
#include "tablet/tablet.h"

enum {
    TABLET_ID_MIN = 1 << 16, /* below are those that are not random */
    REPLICAS_WANTED = 3,     /* of Redis's databases, when there are so many nodes */
    OLD_FORMAT = 1,
};

/* Records on their way into the metadata tablet. */
struct draft {
    struct entry entries[2 * CLUSTER_KEYSPACES_MAX + 4];
    uint8_t keys[2 * CLUSTER_KEYSPACES_MAX + 4][RECORD_KEY_BYTES + 1];
    size_t begins[2 * CLUSTER_KEYSPACES_MAX + 5];
    uint32_t count;
    struct buf values;
};

static enum status
write_down(struct draft *d, const struct record *r)
{
    struct record_key key = record_key_of(r);
    enum status st;

    ASSERT(d->count < sizeof(d->entries) / sizeof(d->entries[0]));
    d->begins[d->count] = d->values.size;
    st = record_encode(r, &d->values);
    if (st != ST_OK)
        return st;
    d->keys[d->count][0] = KEY_USER;
    record_key_encode(&key, d->keys[d->count] + 1);
    d->begins[++d->count] = d->values.size;
    return ST_OK;
}

static enum status
write_tablet(struct cluster *c, struct draft *d, uint32_t keyspace, uint64_t tablet)
{
    struct record r = { .kind = RECORD_TABLET,
                        .as.tablet = { .id = tablet,
                                       .keyspace = keyspace,
                                       .state = TABLET_LIVE,
                                       .leader = c->self,
                                       .founder_count = 1,
                                       .founders = { c->self },
                                       .member_count = 1,
                                       .members = { { c->self, MEMBER_VOTER } } } };

    return write_down(d, &r);
}

static enum status
write_keyspace(struct cluster *c, struct draft *d, uint32_t id, const char *name, uint64_t tablet)
{
    struct record r = { .kind = RECORD_KEYSPACE,
                        .as.keyspace = { .id = id,
                                         .state = KEYSPACE_LIVE,
                                         .mode = KEYSPACE_STRONG,
                                         .partition = PARTITION_HASH,
                                         .replicas = REPLICAS_WANTED } };
    enum status st;

    snprintf(r.as.keyspace.name, sizeof(r.as.keyspace.name), "%s", name);
    st = write_down(d, &r);
    return st == ST_OK ? write_tablet(c, d, id, tablet) : st;
}

static enum status
write_cluster(struct cluster *c, struct draft *d)
{
    struct record r = { .kind = RECORD_CLUSTER,
                        .as.cluster = { .created_ms = env_wall_ms(c->env), .change = 1 } };
    struct record n = { .kind = RECORD_NODE, .as.node = cluster__as_we_are(c) };
    enum status st;

    snprintf(r.as.cluster.name, sizeof(r.as.cluster.name), "%s", c->options.cluster_name);
    n.as.node.joined_ms = r.as.cluster.created_ms;
    st = write_down(d, &r);
    if (st == ST_OK)
        st = write_down(d, &n);
    return st == ST_OK ? write_tablet(c, d, ATLAS_META_KEYSPACE, ATLAS_META_TABLET) : st;
}

static uint64_t
first_tablet(const struct cluster *c, uint32_t keyspace)
{
    const struct engine_identity *id = engine_identity(c->engine);
    uint64_t tablet = hash64_seeded(slice_of(id->cluster, sizeof(id->cluster)), keyspace);

    return tablet < TABLET_ID_MIN ? tablet + TABLET_ID_MIN : tablet;
}

static enum status
write_databases(struct cluster *c, struct draft *d)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < LIMIT_DATABASES && st == ST_OK; i++) {
        char name[16];

        snprintf(name, sizeof(name), "%u", i);
        st = write_keyspace(c, d, i, name, first_tablet(c, i));
    }
    return st;
}

/* ------------------------------------------------------------------ an old store */

static enum status
take_over(struct cluster *c, struct draft *d, struct slice value, struct err *err)
{
    struct reader r = reader_of(value);
    uint8_t format = read_u8(&r);
    uint64_t id = read_varint(&r);
    struct slice name = read_string(&r);
    char text[LIMIT_NAME_BYTES + 1] = { 0 };
    uint64_t tablets, tablet;

    (void)read_u8(&r); /* mode and partition: there was one of each */
    (void)read_u8(&r);
    (void)read_varint(&r); /* replicas, likewise */
    tablets = read_varint(&r);
    tablet = read_u64(&r);
    if (r.bad || format != OLD_FORMAT || tablets != 1 || id >= CLUSTER_KEYSPACES_MAX ||
        name.size > LIMIT_NAME_BYTES || tablet < TABLET_ID_MIN)
        return err_raise(err, ST_CORRUPT,
                         "the metadata tablet holds a keyspace that cannot be read");
    memcpy(text, name.data, name.size);
    return write_keyspace(c, d, (uint32_t)id, text, tablet);
}

/* ST_NOT_FOUND: it is none. */
static enum status
take_over_all(struct cluster *c, struct draft *d, struct err *err)
{
    const struct slice prefix = slice_str("mkeyspace/");
    struct lsm_iter_options options = { 0 };
    struct lsm_iter *it = NULL;
    uint32_t before = d->count;
    enum status st = lsm_iter_create(tablet_lsm(c->meta), &options, &it, err);

    if (st == ST_OK)
        st = lsm_iter_seek(it, prefix, err);
    while (st == ST_OK) {
        struct entry e;

        lsm_iter_entry(it, &e);
        if (!slice_starts_with(e.key, prefix))
            break;
        st = take_over(c, d, e.value, err);
        if (st == ST_OK)
            st = lsm_iter_next(it, err);
    }
    lsm_iter_destroy(it);
    if (st != ST_OK && st != ST_NOT_FOUND)
        return st;
    return d->count == before ? ST_NOT_FOUND : ST_OK;
}

/* ------------------------------------------------------------------ founding */

static enum status
store(struct cluster *c, struct draft *d, struct err *err)
{
    for (uint32_t i = 0; i < d->count; i++) {
        d->entries[i] = (struct entry){ .key = slice_of(d->keys[i], RECORD_KEY_BYTES + 1),
                                        .value = slice_of(d->values.data + d->begins[i],
                                                          d->begins[i + 1] - d->begins[i]),
                                        .type = ENTRY_VALUE };
    }
    return tablet_write_now(c->meta, d->entries, d->count, err);
}

enum status
found_cluster(struct cluster *c, struct err *err)
{
    struct draft *d = mem_new(struct draft);
    enum status st;

    if (d == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for a new cluster");
    d->values = buf_empty(sizeof(d->keys) * 64);
    st = take_over_all(c, d, err);
    if (st == ST_NOT_FOUND)
        st = write_databases(c, d);
    if (st == ST_OK)
        st = write_cluster(c, d);
    if (st == ST_NO_MEMORY || st == ST_TOO_BIG)
        st = err_raise(err, st, "out of memory for a new cluster");
    if (st == ST_OK)
        st = store(c, d, err);
    buf_release(&d->values);
    mem_free(d);
    return st;
}
