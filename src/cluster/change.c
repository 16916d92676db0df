/*
 * A change is one request to the metadata tablet: all its records and the cluster's, which has one more change
 * then, on the condition that the cluster's record has the version that it was decided on.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"

struct change {
    struct cluster *cluster;
    version_t on;
    struct request request;
    struct precondition precondition;
    struct op ops[CHANGE_RECORDS_MAX + 1]; /* that of the cluster's record is the last */
    struct op_result results[CHANGE_RECORDS_MAX + 1];
    uint8_t keys[CHANGE_RECORDS_MAX + 1][RECORD_KEY_BYTES];
    size_t value_begin[CHANGE_RECORDS_MAX + 2];
    uint32_t count;
    struct buf values;
    struct cluster_record record;
    change_fn *fn;
    void *ctx;
};

struct change *
change_begin(struct cluster *c, const struct atlas *on)
{
    struct change *g = mem_new(struct change);
    struct record_key key = { .kind = RECORD_CLUSTER };
    const struct page *page = book_find(&c->book, &key);

    if (g == NULL)
        return NULL;
    g->cluster = c;
    g->on = page == NULL || on->version < page->version ? on->version : page->version;
    g->record = on->cluster;
    g->values = buf_empty(CHANGE_BYTES_MAX);
    return g;
}

void
change_drop(struct change *g)
{
    if (g == NULL)
        return;
    buf_release(&g->values);
    mem_free(g);
}

uint32_t
change_count(const struct change *g)
{
    return g->count;
}

static enum status
add(struct change *g, const struct record *r)
{
    struct record_key key = record_key_of(r);
    enum status st;

    g->value_begin[g->count] = g->values.size;
    st = record_encode(r, &g->values);
    if (st != ST_OK) {
        g->values.size = g->value_begin[g->count];
        return st;
    }
    record_key_encode(&key, g->keys[g->count]);
    g->value_begin[++g->count] = g->values.size;
    return ST_OK;
}

static enum status
add_page(struct change *g, const struct page *p)
{
    enum status st = buf_append(&g->values, p->value);

    if (st != ST_OK)
        return st;
    record_key_encode(&p->key, g->keys[g->count]);
    g->value_begin[++g->count] = g->values.size;
    return ST_OK;
}

struct change *
change_restore(struct cluster *c, version_t on, version_t since, version_t limit)
{
    struct change *g = change_begin(c, c->atlas);
    enum status st = ST_OK;

    if (g == NULL)
        return NULL;
    g->on = on;
    for (uint32_t i = 0; i < c->book.count && st == ST_OK; i++) {
        const struct page *p = &c->book.pages[i];

        if (g->count < CHANGE_RECORDS_MAX && p->key.kind != RECORD_CLUSTER && p->version > since &&
            p->version <= limit)
            st = add_page(g, p);
    }
    if (st == ST_OK || (st == ST_TOO_BIG && g->count > 0))
        return g;
    change_drop(g);
    return NULL;
}

enum status
change_put(struct change *g, const struct record *r)
{
    return g->count < CHANGE_RECORDS_MAX ? add(g, r) : ST_TOO_BIG;
}

static struct slice
value_at(const struct change *g, uint32_t i)
{
    return slice_of(g->values.data + g->value_begin[i], g->value_begin[i + 1] - g->value_begin[i]);
}

/* What was written is news here, too, unless it has come the other way already. */
static enum status
enter_into_book(struct change *g, version_t version, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < g->count && st == ST_OK; i++) {
        struct record_key key;

        st = record_key_decode(slice_of(g->keys[i], RECORD_KEY_BYTES), &key);
        if (st == ST_OK)
            st = book_put(&g->cluster->book, &key, version, value_at(g, i), err);
    }
    return st;
}

/* The tablet, if it is here, has told the book already.  A book to which others have made a change in the
 * meantime lacks that one, too: then it is fed. */
static void
learn(struct change *g)
{
    struct cluster *c = g->cluster;
    version_t version = g->results[g->count - 1].version;
    struct err err = { 0 };

    if (c->book.version == g->on && enter_into_book(g, version, &err) == ST_OK)
        cluster__redraw(c);
    if (c->book.version >= version)
        feed_announce(c);
    else
        feed_rumour(c, 0, version);
}

static void
on_done(struct request *r)
{
    struct change *g = container_of(r, struct change, request);
    struct cluster *c = g->cluster;

    if (r->status == ST_OK)
        learn(g);
    c->under_way--;
    g->fn(g->ctx, r->status, &r->err);
    change_drop(g);
}

static void
compose(struct change *g)
{
    struct request *r = &g->request;

    for (uint32_t i = 0; i < g->count; i++) {
        g->ops[i] = (struct op){ .kind = OP_PUT,
                                 .key = slice_of(g->keys[i], RECORD_KEY_BYTES),
                                 .value = value_at(g, i) };
    }
    g->precondition = (struct precondition){ g->ops[g->count - 1].key, g->on };
    *r = (struct request){
        .keyspace = ATLAS_META_KEYSPACE,
        .deadline_ns = loop_now_ns(g->cluster->loop) + (uint64_t)CHANGE_MS * NS_PER_MS,
        .preconditions = &g->precondition,
        .precondition_count = 1,
        .ops = g->ops,
        .op_count = g->count,
        .results = g->results,
        .result_bytes_max = CHANGE_BYTES_MAX,
        .done = on_done,
    };
}

void
change_commit(struct change *g, change_fn *fn, void *ctx)
{
    struct cluster *c = g->cluster;
    struct record r = { .kind = RECORD_CLUSTER, .as.cluster = g->record };
    enum status st;

    r.as.cluster.change++;
    st = c->draining ? ST_CLOSED : add(g, &r);
    if (st != ST_OK) {
        fn(ctx, st, NULL);
        change_drop(g);
        return;
    }
    g->fn = fn;
    g->ctx = ctx;
    compose(g);
    c->under_way++;
    c->options.submit(c->options.ctx, &g->request);
}
