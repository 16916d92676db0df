#include "cluster/dialog.h"

#include "base/assert.h"
#include "base/mem.h"

enum { READ_BYTES = 16 << 10, NS_PER_MS = 1000000 };

static void on_event(void *ctx, unsigned events);

static struct dialog *
create(struct loop *loop, dialog_fn *fn, void *ctx, bool asks)
{
    struct dialog *d = mem_new(struct dialog);

    if (d == NULL)
        return NULL;
    d->loop = loop;
    d->fn = fn;
    d->ctx = ctx;
    d->asks = asks;
    d->in_body_max = asks ? VERDICT_BYTES_MAX : PETITION_BYTES_MAX;
    d->in = buf_empty(d->in_body_max + PARCEL_HEAD_BYTES + PARCEL_TAIL_BYTES);
    d->deadline_ns = loop_now_ns(loop) + (uint64_t)DIALOG_MS * NS_PER_MS;
    list_init(&d->link);
    return d;
}

void
dialog_end(struct dialog *d)
{
    if (d == NULL)
        return;
    list_remove(&d->link);
    connector_cancel(d->connector);
    if (d->stream != NULL)
        stream_close(d->stream);
    buf_release(&d->in);
    buf_release(&d->out);
    mem_free(d);
}

/* Last: the callee may end it. */
static void
conclude(struct dialog *d, enum status st, struct slice body, const struct err *err)
{
    ASSERT(!d->over);
    d->over = st != ST_OK || d->asks || d->heard;
    connector_cancel(d->connector); /* who is late is not heard of any more */
    d->connector = NULL;
    if (d->stream != NULL)
        stream_watch(d->stream, 0, NULL, NULL);
    d->heard = true;
    d->fn(d, st, body, err);
}

static void
fail(struct dialog *d, enum status st, const char *why)
{
    struct err err;

    conclude(d, err_raise(&err, st, "%s", why), (struct slice){ 0 }, &err);
}

/* ------------------------------------------------------------------ bytes */

static void
write_out(struct dialog *d)
{
    while (d->written < d->out.size) {
        struct slice rest = slice_of(d->out.data + d->written, d->out.size - d->written);
        size_t written = 0;
        enum status st = stream_write(d->stream, &rest, 1, &written);

        if (st == ST_WOULD_BLOCK) {
            stream_watch(d->stream, STREAM_WRITABLE, on_event, d);
            return;
        }
        if (st != ST_OK) {
            fail(d, st, carrier_why(d->stream, "it hung up"));
            return;
        }
        d->written += written;
    }
    if (d->asks)
        stream_watch(d->stream, STREAM_READABLE, on_event, d);
    else
        conclude(d, ST_OK, (struct slice){ 0 }, NULL);
}

/* ST_OK: some came. */
static enum status
read_some(struct dialog *d)
{
    size_t left = d->in.max - d->in.size;
    size_t got = 0;
    enum status st =
        left == 0 ? ST_TOO_BIG : buf_reserve(&d->in, left < READ_BYTES ? left : READ_BYTES);

    if (st == ST_OK)
        st = stream_read(d->stream, d->in.data + d->in.size, d->in.capacity - d->in.size, &got);
    d->in.size += got;
    return st;
}

/* True: it is over, or waits for us. */
static bool
look(struct dialog *d)
{
    struct slice body = { 0 };
    struct err err = { 0 };
    size_t size = 0;
    enum status st = carrier_expect_none(buf_slice(&d->in), &err);

    if (st == ST_OK)
        st = parcel_open(buf_slice(&d->in), d->in_body_max, &size, &body, &err);
    if (st == ST_OK && size == 0)
        return false;
    conclude(d, st, body, &err);
    return true;
}

static void
read_in(struct dialog *d)
{
    while (!look(d)) {
        enum status st = read_some(d);

        if (st == ST_WOULD_BLOCK) {
            stream_watch(d->stream, STREAM_READABLE, on_event, d);
            return;
        }
        if (st != ST_OK) {
            fail(d, st,
                 st == ST_NO_MEMORY ? "out of memory" : carrier_why(d->stream, "it hung up"));
            return;
        }
    }
}

static void
on_event(void *ctx, unsigned events)
{
    struct dialog *d = ctx;

    (void)events;
    if (d->written < d->out.size)
        write_out(d);
    else
        read_in(d);
}

/* ------------------------------------------------------------------ both ends */

static void
connected(void *ctx, struct stream *stream, enum status st, const struct err *err)
{
    struct dialog *d = ctx;

    d->connector = NULL;
    if (st != ST_OK) {
        conclude(d, st, (struct slice){ 0 }, err);
        return;
    }
    d->stream = carrier_wrap(d->carrier, d->loop, stream, true, NULL);
    if (d->stream != NULL) {
        write_out(d);
    } else {
        stream_close(stream);
        fail(d, ST_NO_MEMORY, "out of memory");
    }
}

struct dialog *
dialog_call(struct loop *loop, struct carrier *carrier, const struct node_address *to,
            struct buf *parcel, dialog_fn *fn, void *ctx)
{
    struct dialog *d = create(loop, fn, ctx, true);
    struct connect_options options = {
        .address = to->host,
        .port = to->port,
        .timeout_ms = DIALOG_MS,
        .done = connected,
        .ctx = d,
    };

    if (d == NULL)
        return NULL;
    if (env_connect(loop, &options, &d->connector, NULL) != ST_OK) {
        dialog_end(d);
        return NULL;
    }
    d->carrier = carrier;
    d->out = *parcel;
    *parcel = (struct buf){ 0 };
    return d;
}

struct dialog *
dialog_answer(struct loop *loop, struct stream *stream, struct slice begin, dialog_fn *fn,
              void *ctx)
{
    struct dialog *d = create(loop, fn, ctx, false);

    if (d == NULL) {
        stream_close(stream);
        return NULL;
    }
    d->stream = stream;
    if (buf_append(&d->in, begin) != ST_OK) {
        dialog_end(d);
        return NULL;
    }
    /* What it has said so far may be all: then there is nothing to read. */
    stream_watch(stream, STREAM_READABLE | STREAM_WRITABLE, on_event, d);
    return d;
}

void
dialog_reply(struct dialog *d, struct buf *parcel)
{
    ASSERT(!d->asks && d->heard && !d->over);
    d->out = *parcel;
    *parcel = (struct buf){ 0 };
    d->deadline_ns = loop_now_ns(d->loop) + (uint64_t)DIALOG_MS * NS_PER_MS;
    stream_watch(d->stream, STREAM_WRITABLE, on_event, d);
}

void
dialog_due(struct dialog *d, uint64_t now_ns)
{
    if (!d->over && now_ns >= d->deadline_ns)
        fail(d, ST_TIMEOUT, "it does not answer");
}
