/* Orders about keyspaces: each is made, altered or dropped in one change of the metadata. */
#include <stdlib.h>

#include "cluster/orders_internal.h"

const struct atlas_keyspace *
orders__keyspace_of(struct order *o, uint32_t word)
{
    const struct atlas_keyspace *k = atlas_keyspace_named(o->cluster->atlas, o->words[word]);

    if (k == NULL)
        orders__refuse(o, ST_NOT_FOUND, "there is no keyspace %.*s", (int)o->words[word].size,
                       (const char *)o->words[word].data);
    return k;
}

bool
orders__parse_count(struct slice word, uint32_t least, uint32_t most, uint32_t *out)
{
    uint32_t n = 0;

    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9' || n > most)
            return false;
        n = n * 10 + (uint32_t)(word.data[i] - '0');
    }
    *out = n;
    return word.size > 0 && n >= least && n <= most;
}

/* What a new keyspace is to be; false: the order was refused. */
static bool
read_keyspace(struct order *o, struct keyspace_record *k, uint32_t *tablets)
{
    struct slice name = o->words[1];

    *k = (struct keyspace_record){ .state = KEYSPACE_LIVE,
                                   .mode = KEYSPACE_STRONG,
                                   .partition = PARTITION_HASH };
    if (name.size == 0 || name.size > LIMIT_NAME_BYTES ||
        memchr(name.data, '\0', name.size) != NULL) {
        orders__refuse(o, ST_INVALID, "a keyspace's name has 1 to %d bytes", LIMIT_NAME_BYTES);
        return false;
    }
    memcpy(k->name, name.data, name.size);
    if (atlas_keyspace_named(o->cluster->atlas, name) != NULL) {
        orders__refuse(o, ST_INVALID, "there is a keyspace %s already", k->name);
    } else if (!orders__parse_count(o->words[2], 1, CLUSTER_REPLICAS_MAX, &k->replicas)) {
        orders__refuse(o, ST_INVALID, "replicas: 1 to %d", CLUSTER_REPLICAS_MAX);
    } else if (!orders__parse_count(o->words[3], 1, CHANGE_RECORDS_MAX - 1, tablets)) {
        orders__refuse(o, ST_INVALID, "tablets: 1 to %d at the beginning", CHANGE_RECORDS_MAX - 1);
    } else if (orders__is_word(o->words[4], "range") && *tablets == 1) {
        k->partition = PARTITION_RANGE;
    } else if (orders__is_word(o->words[4], "range")) {
        orders__refuse(o, ST_INVALID,
                       "a range keyspace begins with one tablet: where to split is not "
                       "known before there are keys");
    } else if (!orders__is_word(o->words[4], "hash")) {
        orders__refuse(o, ST_INVALID, "partition: hash or range");
    } else {
        return true;
    }
    return k->partition == PARTITION_RANGE;
}

static uint32_t
free_keyspace_id(const struct atlas *a)
{
    uint32_t id = LIMIT_DATABASES;

    for (uint32_t i = 0; i < a->keyspace_count; i++) {
        if (a->keyspaces[i].record.id == id)
            id++;
    }
    return id;
}

uint64_t
orders__new_tablet_id(struct cluster *c)
{
    struct record_key key = { .kind = RECORD_TABLET };

    do {
        env_random(c->env, &key.id, sizeof(key.id));
    } while (key.id < 1 << 16 || book_find(&c->book, &key) != NULL);
    return key.id;
}

/* One of so many of a hash keyspace: born with as many members as there should be. */
static void
make_tablet(struct cluster *c, const struct keyspace_record *k, uint32_t at, uint32_t of,
            struct tablet_record *out, uint8_t rooms[2][2])
{
    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    uint32_t count;

    *out = (struct tablet_record){ .id = orders__new_tablet_id(c),
                                   .keyspace = k->id,
                                   .state = TABLET_LIVE };
    if (at > 0)
        out->from = slot_bound(at * SLOT_COUNT / of, rooms[0]);
    if (at + 1 < of)
        out->limit = slot_bound((at + 1) * SLOT_COUNT / of, rooms[1]);
    count = office_wanted(c, out, k->replicas, wanted);
    for (uint32_t i = 0; i < count; i++) {
        bool votes = i < step_voters(count);

        out->members[out->member_count++] =
            (struct tablet_member){ wanted[i], votes ? MEMBER_VOTER : MEMBER_LEARNER };
        if (votes)
            out->founders[out->founder_count++] = wanted[i];
    }
    out->leader = count == 0 ? 0 : wanted[0];
    qsort(out->founders, out->founder_count, sizeof(out->founders[0]), record_compare_ids);
}

void
orders__keyspace_create(struct order *o)
{
    struct cluster *c = o->cluster;
    struct record r = { .kind = RECORD_KEYSPACE };
    struct keyspace_record k;
    struct change *change;
    uint32_t tablets = 0;
    enum status st;

    if (!read_keyspace(o, &k, &tablets))
        return;
    k.id = free_keyspace_id(c->atlas);
    if (k.id >= CLUSTER_KEYSPACES_MAX) {
        orders__refuse(o, ST_TOO_BIG, "there are %d keyspaces, and there can be no more",
                       CLUSTER_KEYSPACES_MAX);
        return;
    }
    r.as.keyspace = k;
    change = change_begin(c, c->atlas);
    st = change == NULL ? ST_NO_MEMORY : change_put(change, &r);
    for (uint32_t i = 0; i < tablets && st == ST_OK; i++) {
        struct record t = { .kind = RECORD_TABLET };
        uint8_t rooms[2][2];

        make_tablet(c, &k, i, tablets, &t.as.tablet, rooms);
        st = t.as.tablet.member_count == 0 ? ST_BUSY : change_put(change, &t);
    }
    orders__write_down(o, change, st);
}

void
orders__keyspace_alter(struct order *o)
{
    struct cluster *c = o->cluster;
    const struct atlas_keyspace *k = orders__keyspace_of(o, 1);
    struct record r = { .kind = RECORD_KEYSPACE };
    struct change *change;

    if (k == NULL)
        return;
    r.as.keyspace = k->record;
    if (k->record.id == ATLAS_META_KEYSPACE ||
        !orders__parse_count(o->words[2], 1, CLUSTER_REPLICAS_MAX, &r.as.keyspace.replicas)) {
        orders__refuse(o, ST_INVALID, "replicas: 1 to %d, of any keyspace but the metadata's",
                       CLUSTER_REPLICAS_MAX);
        return;
    }
    change = change_begin(c, c->atlas);
    orders__write_down(o, change, change == NULL ? ST_NO_MEMORY : change_put(change, &r));
}

void
orders__keyspace_drop(struct order *o)
{
    struct cluster *c = o->cluster;
    const struct atlas_keyspace *k = orders__keyspace_of(o, 1);
    struct record r = { .kind = RECORD_KEYSPACE };
    struct change *change;
    enum status st;

    if (k == NULL)
        return;
    if (k->record.id < LIMIT_DATABASES || k->record.id == ATLAS_META_KEYSPACE) {
        orders__refuse(o, ST_INVALID, "keyspace %s cannot be dropped; FLUSHDB empties a database",
                       k->record.name);
        return;
    }
    for (uint32_t i = 0; i < k->tablet_count; i++) {
        if (k->tablets[i]->heir != 0) {
            orders__refuse(o, ST_BUSY, "keyspace %s is being split; try again in a moment",
                           k->record.name);
            return;
        }
    }
    r.as.keyspace = k->record;
    r.as.keyspace.state = KEYSPACE_DROPPED;
    change = change_begin(c, c->atlas);
    st = change == NULL ? ST_NO_MEMORY : change_put(change, &r);
    for (uint32_t i = 0; i < k->tablet_count && i + 1 < CHANGE_RECORDS_MAX && st == ST_OK; i++) {
        struct record t = { .kind = RECORD_TABLET, .as.tablet = *k->tablets[i] };

        t.as.tablet.state = TABLET_GONE;
        t.as.tablet.member_count = 0;
        st = change_put(change, &t);
    }
    orders__write_down(o, change, st); /* of more, the rest is the steward's */
}
