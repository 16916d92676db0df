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

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "cluster/chart.h"
#include "cluster/orders_internal.h"

enum { AGAIN_MS = 1000, ORDER_BYTES_MAX = 2 * ORDER_WORDS_MAX * ORDER_WORD_BYTES_MAX };

/* ------------------------------------------------------------------ the ends of an order */

bool
orders__is_word(struct slice word, const char *text)
{
    return slice_equal_nocase(word, text);
}

void
orders__finish(struct order *o, enum status st)
{
    o->status = st;
    o->done(o);
}

void
orders__refuse(struct order *o, enum status st, const char *fmt, ...)
{
    va_list args;

    o->err = (struct err){ .code = st };
    va_start(args, fmt);
    vsnprintf(o->err.text, sizeof(o->err.text), fmt, args);
    va_end(args);
    orders__finish(o, st);
}

static void
is_written(void *ctx, enum status st, const struct err *err)
{
    struct order *o = ctx;

    (void)err;
    if (st == ST_CONFLICT) {
        orders__refuse(o, ST_CONFLICT, "the cluster's metadata has just changed; ask again");
    } else if (st == ST_UNKNOWN) {
        orders__refuse(o, st,
                       "it is not known whether the order was carried out; look before you "
                       "repeat it");
    } else if (st != ST_OK) {
        orders__refuse(o, st, "the cluster's metadata could not be changed (%s)", status_name(st));
    } else {
        orders__finish(o, chart_done(o->cluster, &o->answer));
    }
}

void
orders__write_down(struct order *o, struct change *change, enum status st)
{
    if (change != NULL && st == ST_OK) {
        change_commit(change, is_written, o);
        return;
    }
    change_drop(change);
    orders__refuse(o, ST_NO_MEMORY, "out of memory");
}

/* ------------------------------------------------------------------ what is */

static void
tell(struct order *o, enum status st)
{
    if (st == ST_OK)
        orders__finish(o, ST_OK);
    else
        orders__refuse(o, st, "out of memory for the answer");
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
        k = orders__keyspace_of(o, 1);
        if (k == NULL)
            return;
    }
    tell(o, chart_tablets(o->cluster, k, &o->answer));
}

static void
order_ring(struct order *o)
{
    const struct atlas_keyspace *k = orders__keyspace_of(o, 1);

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
    bool here; /* by whoever is asked: there may be no metadata to be had */
    void (*run)(struct order *o);
} verbs[] = {
    { "status", 1, 1, false, false, order_status },
    { "nodes", 1, 1, false, false, order_nodes },
    { "keyspaces", 1, 1, false, false, order_keyspaces },
    { "tablets", 1, 2, false, false, order_tablets },
    { "ring", 2, 3, false, false, order_ring },
    { "rebalance", 1, 1, false, false, order_rebalance },
    { "drain", 2, ORDER_WORDS_MAX, true, false, orders__drain },
    { "undrain", 2, 2, true, false, orders__undrain },
    { "remove", 2, ORDER_WORDS_MAX, true, false, orders__remove },
    { "replace", 3, 3, true, false, orders__replace },
    { "keyspace-create", 5, 5, true, false, orders__keyspace_create },
    { "keyspace-alter", 3, 3, true, false, orders__keyspace_alter },
    { "keyspace-drop", 2, 2, true, false, orders__keyspace_drop },
    { "recover", 1, 3, true, true, orders__recover },
    { "keyspace-split", 3, 4, true, false, orders__keyspace_split },
};

static const struct verb *
verb_of(const struct order *o)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (o->word_count > 0 && orders__is_word(o->words[0], verbs[i].name) &&
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
    if (verb == NULL) {
        orders__refuse(o, ST_INVALID,
                       "no such order, or not so many words; see distkv cluster --help");
    } else if (c->draining) {
        orders__refuse(o, ST_CLOSED, "this node is shutting down");
    } else if (c->is_fixed) {
        orders__refuse(o, ST_INVALID, "this cluster is fixed, and takes no orders");
    } else if (verb->here || carries_out(c)) {
        verb->run(o);
    } else {
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
        orders__refuse(o, (enum status)st, "%.*s", (int)text.size, (const char *)text.data);
    else if (buf_append(&o->answer, answer) != ST_OK)
        orders__refuse(o, ST_NO_MEMORY, "out of memory for the answer");
    else
        orders__finish(o, ST_OK);
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
            orders__refuse(o, all ? ST_CLOSED : ST_TIMEOUT,
                           "no member of the metadata's group has answered in time");
        } else if (now_ns >= o->again_ns) {
            hand_on(o, now_ns);
        }
    }
}
