/*
 * Orders: read, carried out here or handed on, answered.
 *
 *      at a member of the metadata's group     chart.c says what is; a change says what is to be
 *      elsewhere                               MESSAGE_ORDER to one member after the other, until one
 *                                              answers; what changes something goes to one only
 *
 *      ORDER   id:varint count:varint { word:string }*
 *      DONE    id:varint status:u8 text:string answer:string
 */
#include "cluster/orders.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "cluster/chart.h"
#include "cluster/cluster_internal.h"

enum { AGAIN_MS = 1000, ORDER_BYTES_MAX = 2 * ORDER_WORDS_MAX * ORDER_WORD_BYTES_MAX };

/* ------------------------------------------------------------------ the ends of an order */

static void
finish(struct order *o, enum status st)
{
    o->status = st;
    o->done(o);
}

static void PRINTF_LIKE(3, 4) refuse(struct order *o, enum status st, const char *fmt, ...)
{
    va_list args;

    o->err = (struct err){ .code = st };
    va_start(args, fmt);
    vsnprintf(o->err.text, sizeof(o->err.text), fmt, args);
    va_end(args);
    finish(o, st);
}

static void
is_written(void *ctx, enum status st, const struct err *err)
{
    struct order *o = ctx;

    (void)err;
    if (st == ST_CONFLICT)
        refuse(o, ST_CONFLICT, "the cluster's metadata has just changed; ask again");
    else if (st != ST_OK)
        refuse(o, st, "the cluster's metadata could not be changed (%s)", status_name(st));
    else
        finish(o, chart_done(o->cluster, &o->answer));
}

/* Takes the change. */
static void
write_down(struct order *o, struct change *change, enum status st)
{
    if (change != NULL && st == ST_OK) {
        change_commit(change, is_written, o);
        return;
    }
    change_drop(change);
    refuse(o, ST_NO_MEMORY, "out of memory");
}

/* ------------------------------------------------------------------ nodes */

static const struct node_record *
find_node(const struct cluster *c, struct slice word)
{
    const struct node_record *n = atlas_node_named(c->atlas, word);
    char text[24] = { 0 };
    char *end;

    if (n != NULL || word.size == 0 || word.size >= sizeof(text))
        return n;
    memcpy(text, word.data, word.size);
    n = atlas_node(c->atlas, strtoull(text, &end, 16));
    return *end == '\0' ? n : NULL;
}

/* The node that the order names, in this state; or the order is refused. */
static const struct node_record *
node_of(struct order *o)
{
    const struct node_record *n = find_node(o->cluster, o->words[1]);

    if (n == NULL)
        refuse(o, ST_NOT_FOUND, "no node of this cluster is called %.*s", (int)o->words[1].size,
               (const char *)o->words[1].data);
    return n;
}

static void
set_state(struct order *o, const struct node_record *n, enum node_state state)
{
    struct record r = { .kind = RECORD_NODE, .as.node = *n };
    struct change *change = change_begin(o->cluster, o->cluster->atlas);

    r.as.node.state = state;
    write_down(o, change, change == NULL ? ST_NO_MEMORY : change_put(change, &r));
}

/* Would there be members enough for every tablet without it? */
static uint32_t
count_keepers(const struct cluster *c, uint64_t but)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        const struct node_record *n = &c->atlas->nodes[i];

        count += n->id != but && n->state == NODE_MEMBER && n->weight > 0;
    }
    return count;
}

static void
drain(struct order *o)
{
    const struct node_record *n = node_of(o);

    if (n == NULL)
        return;
    if (n->state == NODE_REMOVED)
        refuse(o, ST_INVALID, "node %s was removed", n->name);
    else if (count_keepers(o->cluster, n->id) == 0)
        refuse(o, ST_INVALID, "nobody is left to take over what node %s has", n->name);
    else
        set_state(o, n, NODE_DRAINING);
}

static void
undrain(struct order *o)
{
    const struct node_record *n = node_of(o);

    if (n == NULL)
        return;
    if (n->state != NODE_DRAINING)
        refuse(o, ST_INVALID, "node %s is not draining; it is %s", n->name,
               node_state_name(n->state));
    else
        set_state(o, n, NODE_MEMBER);
}

/* A tablet that still has a copy there; NULL: none has. */
static const struct tablet_record *
tablet_on(const struct cluster *c, uint64_t node, uint32_t *count)
{
    const struct tablet_record *first = NULL;

    *count = 0;
    for (uint32_t i = 0; i < c->atlas->tablet_count; i++) {
        if (tablet_record_member(c->atlas->tablets[i], node) == NULL)
            continue;
        first = first == NULL ? c->atlas->tablets[i] : first;
        (*count)++;
    }
    return first;
}

static void
remove_node(struct order *o)
{
    const struct node_record *n = node_of(o);
    const struct tablet_record *left;
    uint32_t count;

    if (n == NULL)
        return;
    left = tablet_on(o->cluster, n->id, &count);
    if (n->state == NODE_REMOVED)
        refuse(o, ST_INVALID, "node %s was removed already", n->name);
    else if (left != NULL)
        refuse(o, ST_INVALID,
               "node %s still has copies of %u tablets, %016llx among them; drain it first, and "
               "wait until it has none",
               n->name, count, (unsigned long long)left->id);
    else
        set_state(o, n, NODE_REMOVED);
}

/* ------------------------------------------------------------------ keyspaces */

static const struct atlas_keyspace *
keyspace_of(struct order *o, uint32_t word)
{
    const struct atlas_keyspace *k = atlas_keyspace_named(o->cluster->atlas, o->words[word]);

    if (k == NULL)
        refuse(o, ST_NOT_FOUND, "there is no keyspace %.*s", (int)o->words[word].size,
               (const char *)o->words[word].data);
    return k;
}

static bool
parse_count(struct slice word, uint32_t least, uint32_t most, uint32_t *out)
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

static bool
is_word(struct slice word, const char *text)
{
    return slice_equal_nocase(word, text);
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
        refuse(o, ST_INVALID, "a keyspace's name has 1 to %d bytes", LIMIT_NAME_BYTES);
        return false;
    }
    memcpy(k->name, name.data, name.size);
    if (atlas_keyspace_named(o->cluster->atlas, name) != NULL)
        refuse(o, ST_INVALID, "there is a keyspace %s already", k->name);
    else if (!parse_count(o->words[2], 1, CLUSTER_REPLICAS_MAX, &k->replicas))
        refuse(o, ST_INVALID, "replicas: 1 to %d", CLUSTER_REPLICAS_MAX);
    else if (!parse_count(o->words[3], 1, CHANGE_RECORDS_MAX - 1, tablets))
        refuse(o, ST_INVALID, "tablets: 1 to %d at the beginning", CHANGE_RECORDS_MAX - 1);
    else if (is_word(o->words[4], "range") && *tablets == 1)
        k->partition = PARTITION_RANGE;
    else if (is_word(o->words[4], "range"))
        refuse(o, ST_INVALID,
               "a range keyspace begins with one tablet: where to split is not "
               "known before there are keys");
    else if (!is_word(o->words[4], "hash"))
        refuse(o, ST_INVALID, "partition: hash or range");
    else
        return true;
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

static uint64_t
new_tablet_id(struct cluster *c)
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

    *out =
        (struct tablet_record){ .id = new_tablet_id(c), .keyspace = k->id, .state = TABLET_LIVE };
    if (at > 0)
        out->from = atlas_slot_bound(at * ATLAS_SLOTS / of, rooms[0]);
    if (at + 1 < of)
        out->limit = atlas_slot_bound((at + 1) * ATLAS_SLOTS / of, rooms[1]);
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

static void
keyspace_create(struct order *o)
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
        refuse(o, ST_TOO_BIG, "there are %d keyspaces, and there can be no more",
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
    write_down(o, change, st);
}

static void
keyspace_alter(struct order *o)
{
    struct cluster *c = o->cluster;
    const struct atlas_keyspace *k = keyspace_of(o, 1);
    struct record r = { .kind = RECORD_KEYSPACE };
    struct change *change;

    if (k == NULL)
        return;
    r.as.keyspace = k->record;
    if (k->record.id == ATLAS_META_KEYSPACE ||
        !parse_count(o->words[2], 1, CLUSTER_REPLICAS_MAX, &r.as.keyspace.replicas)) {
        refuse(o, ST_INVALID, "replicas: 1 to %d, of any keyspace but the metadata's",
               CLUSTER_REPLICAS_MAX);
        return;
    }
    change = change_begin(c, c->atlas);
    write_down(o, change, change == NULL ? ST_NO_MEMORY : change_put(change, &r));
}

static void
keyspace_drop(struct order *o)
{
    struct cluster *c = o->cluster;
    const struct atlas_keyspace *k = keyspace_of(o, 1);
    struct record r = { .kind = RECORD_KEYSPACE };
    struct change *change;
    enum status st;

    if (k == NULL)
        return;
    if (k->record.id < LIMIT_DATABASES || k->record.id == ATLAS_META_KEYSPACE) {
        refuse(o, ST_INVALID, "keyspace %s cannot be dropped; FLUSHDB empties a database",
               k->record.name);
        return;
    }
    if (k->tablet_count >= CHANGE_RECORDS_MAX) {
        refuse(o, ST_TOO_BIG, "keyspace %s has %u tablets, too many to be dropped at once",
               k->record.name, k->tablet_count);
        return;
    }
    r.as.keyspace = k->record;
    r.as.keyspace.state = KEYSPACE_DROPPED;
    change = change_begin(c, c->atlas);
    st = change == NULL ? ST_NO_MEMORY : change_put(change, &r);
    for (uint32_t i = 0; i < k->tablet_count && st == ST_OK; i++) {
        struct record t = { .kind = RECORD_TABLET, .as.tablet = *k->tablets[i] };

        t.as.tablet.state = TABLET_GONE;
        t.as.tablet.member_count = 0;
        st = change_put(change, &t);
    }
    write_down(o, change, st);
}

/* ------------------------------------------------------------------ what is */

static void
tell(struct order *o, enum status st)
{
    if (st == ST_OK)
        finish(o, ST_OK);
    else
        refuse(o, st, "out of memory for the answer");
}

static void
order_status(struct order *o)
{
    tell(o, chart_status(o->cluster, &o->answer));
}

static void
order_nodes(struct order *o)
{
    tell(o, chart_nodes(o->cluster, &o->answer));
}

static void
order_keyspaces(struct order *o)
{
    tell(o, chart_keyspaces(o->cluster, &o->answer));
}

static void
order_tablets(struct order *o)
{
    const struct atlas_keyspace *k = NULL;

    if (o->word_count > 1) {
        k = keyspace_of(o, 1);
        if (k == NULL)
            return;
    }
    tell(o, chart_tablets(o->cluster, k, &o->answer));
}

static void
order_ring(struct order *o)
{
    const struct atlas_keyspace *k = keyspace_of(o, 1);

    if (k != NULL)
        tell(o, chart_ring(o->cluster, k, o->word_count > 2 ? &o->words[2] : NULL, &o->answer));
}

static void
order_rebalance(struct order *o)
{
    tell(o, chart_moves(o->cluster, &o->answer));
}

static const struct verb {
    const char *name;
    uint32_t words_min;
    uint32_t words_max;
    bool changes;
    void (*run)(struct order *o);
} verbs[] = {
    { "status", 1, 1, false, order_status },
    { "nodes", 1, 1, false, order_nodes },
    { "keyspaces", 1, 1, false, order_keyspaces },
    { "tablets", 1, 2, false, order_tablets },
    { "ring", 2, 3, false, order_ring },
    { "rebalance", 1, 1, false, order_rebalance },
    { "drain", 2, 2, true, drain },
    { "undrain", 2, 2, true, undrain },
    { "remove", 2, 2, true, remove_node },
    { "keyspace-create", 5, 5, true, keyspace_create },
    { "keyspace-alter", 3, 3, true, keyspace_alter },
    { "keyspace-drop", 2, 2, true, keyspace_drop },
};

static const struct verb *
verb_of(const struct order *o)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (o->word_count > 0 && is_word(o->words[0], verbs[i].name) &&
            o->word_count >= verbs[i].words_min && o->word_count <= verbs[i].words_max)
            return &verbs[i];
    }
    return NULL;
}

/* ------------------------------------------------------------------ handing on */

static uint64_t
next_member(struct order *o)
{
    struct cluster *c = o->cluster;
    const struct tablet_record *meta = atlas_tablet(c->atlas, ATLAS_META_TABLET);

    for (uint32_t i = 0; meta != NULL && i < meta->member_count; i++) {
        uint64_t node = meta->members[o->turn++ % meta->member_count].node;

        if (node != c->self && watch_health(c, node) == HEALTH_UP)
            return node;
    }
    return 0;
}

static enum status
encode_order(const struct order *o, struct buf *out)
{
    enum status st = append_varint(out, o->id);

    if (st == ST_OK)
        st = append_varint(out, o->word_count);
    for (uint32_t i = 0; i < o->word_count && st == ST_OK; i++)
        st = append_string(out, o->words[i]);
    return st;
}

static void
hand_on(struct order *o, uint64_t now_ns)
{
    struct cluster *c = o->cluster;
    struct buf bytes = buf_empty(ORDER_BYTES_MAX);
    bool again = !verb_of(o)->changes;

    if (o->id == 0)
        o->id = ++c->order_id;
    o->again_ns = again ? now_ns + (uint64_t)AGAIN_MS * NS_PER_MS : UINT64_MAX;
    if (encode_order(o, &bytes) == ST_OK)
        wires_send(&c->seats[0], next_member(o), MESSAGE_ORDER, buf_slice(&bytes));
    buf_release(&bytes);
}

static bool
carries_out(const struct cluster *c)
{
    const struct tablet_record *meta = atlas_tablet(c->atlas, ATLAS_META_TABLET);

    return c->meta != NULL && meta != NULL && tablet_record_member(meta, c->self) != NULL;
}

void
cluster_order(struct cluster *c, struct order *o)
{
    const struct verb *verb = verb_of(o);

    o->cluster = c;
    o->answer = buf_empty(ORDER_ANSWER_BYTES_MAX);
    o->id = 0;
    o->turn = 0;
    list_init(&o->link);
    if (verb == NULL)
        refuse(o, ST_INVALID, "no such order, or not so many words; see distkv cluster --help");
    else if (c->draining)
        refuse(o, ST_CLOSED, "this node is shutting down");
    else if (c->is_fixed)
        refuse(o, ST_INVALID, "this cluster is fixed, and takes no orders");
    else if (carries_out(c))
        verb->run(o);
    else {
        list_push_back(&c->orders, &o->link);
        hand_on(o, loop_now_ns(c->loop));
    }
}

/* ------------------------------------------------------------------ orders of other nodes */

/* With a copy of the words behind it. */
struct foreign_order {
    struct order order;
    uint64_t from;
    uint64_t id;
};

static enum status
encode_done(const struct foreign_order *f, struct buf *out)
{
    const struct order *o = &f->order;
    enum status st = append_varint(out, f->id);

    if (st == ST_OK)
        st = append_u8(out, (uint8_t)o->status);
    if (st == ST_OK)
        st = append_string(out, slice_str(o->status == ST_OK ? "" : o->err.text));
    return st == ST_OK ? append_string(out, buf_slice(&o->answer)) : st;
}

static void
foreign_done(struct order *o)
{
    struct foreign_order *f = container_of(o, struct foreign_order, order);
    struct buf bytes = buf_empty(ORDER_ANSWER_BYTES_MAX + ORDER_BYTES_MAX);

    if (encode_done(f, &bytes) == ST_OK)
        wires_send(&o->cluster->seats[0], f->from, MESSAGE_DONE, buf_slice(&bytes));
    buf_release(&bytes);
    buf_release(&o->answer);
    mem_free(f);
}

static bool
read_words(struct reader *r, struct order *o)
{
    uint64_t count = read_varint(r);

    if (r->bad || count > ORDER_WORDS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        o->words[i] = read_string(r);
    o->word_count = (uint32_t)count;
    return !r->bad;
}

void
orders_asked(struct cluster *c, uint64_t from, struct slice payload)
{
    struct foreign_order *f = mem_alloc(sizeof(*f) + payload.size);
    struct reader r;

    if (f == NULL)
        return;
    *f = (struct foreign_order){ .from = from };
    memcpy(f + 1, payload.data, payload.size);
    r = reader_of(slice_of(f + 1, payload.size));
    f->id = read_varint(&r);
    f->order.done = foreign_done;
    if (!read_words(&r, &f->order) || !carries_out(c)) {
        mem_free(f); /* another member is asked in a moment */
        return;
    }
    cluster_order(c, &f->order);
}

static struct order *
find_order(const struct cluster *c, uint64_t id)
{
    list_each (at, &c->orders) {
        struct order *o = container_of(at, struct order, link);

        if (o->id == id)
            return o;
    }
    return NULL;
}

void
orders_answered(struct cluster *c, struct slice payload)
{
    struct reader r = reader_of(payload);
    struct order *o = find_order(c, read_varint(&r));
    uint8_t st = read_u8(&r);
    struct slice text = read_string(&r);
    struct slice answer = read_string(&r);

    if (o == NULL || r.bad || st >= ST_STATUS_COUNT)
        return;
    list_remove(&o->link);
    if (st != ST_OK)
        refuse(o, (enum status)st, "%.*s", (int)text.size, (const char *)text.data);
    else if (buf_append(&o->answer, answer) != ST_OK)
        refuse(o, ST_NO_MEMORY, "out of memory for the answer");
    else
        finish(o, ST_OK);
}

/* Those whose time is over, and those that another member is asked for. */
void
orders_tick(struct cluster *c, uint64_t now_ns, bool all)
{
    struct list *at = c->orders.next;

    while (at != &c->orders) {
        struct order *o = container_of(at, struct order, link);

        at = at->next;
        if (all || now_ns >= o->deadline_ns) {
            list_remove(&o->link);
            refuse(o, all ? ST_CLOSED : ST_TIMEOUT,
                   "no member of the metadata's group has answered in time");
        } else if (now_ns >= o->again_ns) {
            hand_on(o, now_ns);
        }
    }
}
