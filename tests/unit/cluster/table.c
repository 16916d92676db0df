#include "unit/cluster/table.h"

enum { DUE_MS = 50 };

static uint8_t feed[FEED_MAX];

/* ------------------------------------------------------------------ both ends */

static void
reply(void *ctx)
{
    struct end *e = ctx;
    struct verdict v = { .kind = VERDICT_WELCOME, .feed = slice_of(feed, e->t->feed_bytes) };
    struct buf out = buf_empty(VERDICT_BYTES_MAX);

    if (verdict_encode(&v, &out) == ST_OK)
        dialog_reply(e->d, &out);
    buf_release(&out);
}

static void
told(void *ctx, enum status st, struct slice body)
{
    struct end *e = ctx;
    struct verdict v;

    e->parcels += st == ST_OK;
    e->failures += st != ST_OK;
    e->failure = st != ST_OK ? st : e->failure;
    if (body.size > 0)
        e->body_bytes = body.size;
    if (e == &e->t->asks && st == ST_OK && verdict_decode(body, &v, NULL) == ST_OK)
        e->kind = (uint8_t)v.kind;
}

bool
end_is_over(const struct end *e)
{
    return e->failures > 0 || e->parcels > (e == &e->t->asked);
}

static void
on_parcel(struct dialog *d, enum status st, struct slice body, const struct err *err)
{
    struct end *e = d->ctx;
    bool begins = e == &e->t->asked && e->parcels == 0 && st == ST_OK;

    EXPECT(st == ST_OK || err->code == st);
    told(e, st, body);
    if (begins && e->t->manner == ANSWERS)
        reply(e);
    if (end_is_over(e) && e->ends_inside) {
        dialog_end(d);
        e->d = NULL;
    }
}

static void
accepted(void *ctx, struct loop *loop, struct stream *stream)
{
    struct table *t = ctx;
    size_t written;

    if (t->manner == ANSWERS || t->manner == SAYS_NOTHING) {
        t->asked.d = dialog_answer(loop, stream, t->begin, on_parcel, &t->asked);
    } else if (t->manner == HANGS_UP) {
        stream_close(stream);
    } else {
        EXPECT_OK(stream_write(stream, &t->words, 1, &written));
        t->raw = stream;
    }
}

static void
listen(void *ctx)
{
    struct table *t = ctx;

    EXPECT_OK(env_listen(loop_env(sim_loop(t->w, ASKED, 0)), "0.0.0.0", PORT, accepted, t,
                         &t->listener, NULL));
}

static struct petition
sample(void)
{
    struct petition p = { .wall_ms = 5, .node = sample_node(77).as.node };

    return p;
}

struct calling {
    struct table *t;
    const char *host;
};

static void
call(void *ctx)
{
    struct calling *c = ctx;
    struct node_address to = { .port = PORT };
    struct petition p = sample();
    struct buf out = buf_empty(PETITION_BYTES_MAX);

    snprintf(to.host, sizeof(to.host), "%s", c->host);
    if (petition_encode(&p, &out) == ST_OK)
        c->t->asks.d =
            dialog_call(sim_loop(c->t->w, ASKS, 0), NULL, &to, &out, on_parcel, &c->t->asks);
    EXPECT(c->t->asks.d == NULL || out.data == NULL);
    buf_release(&out);
}

void
table_call(struct table *t, const char *host)
{
    struct calling c = { t, host };

    sim_on_loop(t->w, ASKS, 0, call, &c);
}

void
table_reply(struct table *t)
{
    sim_on_loop(t->w, ASKED, 0, reply, &t->asked);
}

struct table
table_lay(uint64_t seed, enum manner manner)
{
    struct table t = { .w = sim_create(seed), .manner = manner };

    EXPECT(t.w != NULL);
    sim_boot(t.w, ASKED, 1);
    sim_boot(t.w, ASKS, 1);
    return t;
}

void
table_open(struct table *t)
{
    t->asked.t = t->asks.t = t;
    sim_on_loop(t->w, ASKED, 0, listen, t);
}

static void
due(void *ctx)
{
    struct end *e = ctx;

    if (e->d != NULL)
        dialog_due(e->d, loop_now_ns(e->d->loop));
}

void
table_run(struct table *t, uint64_t ms)
{
    for (uint64_t at = 0; at < ms; at += DUE_MS) {
        sim_run_ms(t->w, DUE_MS);
        sim_on_loop(t->w, ASKED, 0, due, &t->asked);
        sim_on_loop(t->w, ASKS, 0, due, &t->asks);
    }
}

static void
end(void *ctx)
{
    struct end *e = ctx;

    dialog_end(e->d);
    e->d = NULL;
}

static void
close_door(void *ctx)
{
    struct table *t = ctx;

    listener_close(t->listener);
    if (t->raw != NULL)
        stream_close(t->raw);
    t->listener = NULL;
    t->raw = NULL;
}

void
table_close_door(struct table *t)
{
    sim_on_loop(t->w, ASKED, 0, close_door, t);
}

void
table_end(struct table *t, struct end *e)
{
    sim_on_loop(t->w, e == &t->asked ? ASKED : ASKS, 0, end, e);
}

void
table_clear(struct table *t)
{
    EXPECT(t->asks.parcels + t->asks.failures <= 1);
    EXPECT(t->asked.failures <= 1 && t->asked.parcels + t->asked.failures <= 2);
    table_end(t, &t->asked);
    table_end(t, &t->asks);
    table_close_door(t);
    sim_run_ms(t->w, 2000);
    sim_end(t->w, ASKED);
    sim_end(t->w, ASKS);
    sim_destroy(t->w);
}

void
end_expect_failed(const struct end *e, enum status st)
{
    EXPECT_U64(e->failures, 1);
    EXPECT_ST(e->failure, st);
}

size_t
make_petition(uint8_t out[1000])
{
    struct petition p = sample();
    struct buf b = buf_empty(1000);
    size_t size;

    EXPECT_OK(petition_encode(&p, &b));
    size = b.size;
    memcpy(out, b.data, size);
    buf_release(&b);
    return size;
}
