/*
 * A stream, and the greeting at its beginning.
 *
 *      who called                          who was called
 *         hello: for node 2   -------->
 *                             <--------   hello: for node 1
 *         frames              -------->
 *
 * Whoever was called answers even if it will not have the other, so that both
 * can say in their logs why.  Nobody says more than a hello before it has heard
 * one, so a hello is read exactly, and nothing behind it.
 */
#include "base/assert.h"
#include "base/hash.h"

#include "peer/peer_internal.h"

static void
compose_hello(struct link *l, peer_node to)
{
    l->ours.to = to;
    hello__put(l->ours_bytes, &l->ours);
    l->said = false;
}

enum status
link__begin(struct link *l, struct peer *p, struct stream *stream, peer_node to)
{
    *l = (struct link){ .peer = p, .calls = to != 0 };
    l->stream = carrier_wrap(p->options.carrier, p->loop, stream, l->calls, p->options.budget);
    if (l->stream == NULL)
        return ST_NO_MEMORY;
    l->deadline_ns = loop_now_ns(p->loop) + (uint64_t)GREETING_MS * NS_PER_MS;
    l->ours.format_min = PEER_FORMAT;
    l->ours.format_max = PEER_FORMAT;
    l->ours.lane = (uint16_t)loop_index(p->loop);
    l->ours.self = p->options.self;
    env_random(loop_env(p->loop), &l->ours.nonce, sizeof(l->ours.nonce));
    if (l->calls)
        compose_hello(l, to);
    peer__wake_at(p, l->deadline_ns);
    return ST_OK;
}

/* ------------------------------------------------------------------ the stream */

enum status
link__read(struct link *l, void *out, size_t size, size_t *got)
{
    return stream_read(l->stream, out, size, got);
}

enum status
link__write(struct link *l, const struct slice *parts, size_t count, size_t *written)
{
    return stream_write(l->stream, parts, count, written);
}

void
link__watch(struct link *l, unsigned events, stream_fn *fn, void *ctx)
{
    stream_watch(l->stream, events, fn, ctx);
}

void
link__end(struct link *l)
{
    if (l->stream != NULL)
        stream_close(l->stream);
    l->stream = NULL;
}

/* ------------------------------------------------------------------ the greeting */

static enum status
say(struct link *l, struct err *err)
{
    while (l->ours_sent < HELLO_BYTES) {
        struct slice rest = slice_of(l->ours_bytes + l->ours_sent, HELLO_BYTES - l->ours_sent);
        size_t written = 0;
        enum status st = link__write(l, &rest, 1, &written);

        if (st == ST_WOULD_BLOCK)
            return st;
        if (st != ST_OK)
            return err_raise(err, st, "%s", carrier_why(l->stream, "it hung up before our hello"));
        l->ours_sent += written;
    }
    l->said = true;
    return ST_OK;
}

/* As many bytes as are known to be missing. */
static enum status
hear_some(struct link *l, size_t whole, struct err *err)
{
    size_t want = whole > 0 ? whole : HELLO_BYTES;
    size_t got = 0;
    enum status st = link__read(l, l->theirs_bytes + l->theirs_got, want - l->theirs_got, &got);

    if (st == ST_OK)
        l->theirs_got += got;
    else if (st != ST_WOULD_BLOCK)
        return err_raise(err, st, "%s", carrier_why(l->stream, "it hung up before its hello"));
    return st;
}

static enum status
hear(struct link *l, struct err *err)
{
    enum status st = ST_OK;
    size_t whole = 0;

    while (st == ST_OK && !l->heard) {
        st = hello__size(slice_of(l->theirs_bytes, l->theirs_got), &whole, err);
        if (st == ST_OK && whole > 0 && l->theirs_got == whole)
            l->heard = true;
        else if (st == ST_OK)
            st = hear_some(l, whole, err);
    }
    if (st != ST_OK)
        return st;
    return hello__get(slice_of(l->theirs_bytes, l->theirs_got), &l->theirs, err);
}

/* Both ends make the same of the two hellos, so no frame passes for one of another connection. */
static uint64_t
seed_of(const struct link *l)
{
    uint8_t both[HELLO_BYTES + HELLO_BYTES_MAX];
    uint8_t *ours = l->calls ? both : both + l->theirs_got;
    uint8_t *theirs = l->calls ? both + HELLO_BYTES : both;

    memcpy(ours, l->ours_bytes, HELLO_BYTES);
    memcpy(theirs, l->theirs_bytes, l->theirs_got);
    return hash64(slice_of(both, HELLO_BYTES + l->theirs_got));
}

static enum status
exchange(struct link *l, struct err *err)
{
    enum status st = l->calls && !l->said ? say(l, err) : ST_OK;

    if (st == ST_OK && !l->heard) {
        st = hear(l, err);
        if (st == ST_OK && !l->calls)
            compose_hello(l, l->theirs.self.node);
    }
    if (st == ST_OK && !l->said)
        st = say(l, err);
    return st;
}

enum status
link__greet(struct link *l, struct err *err)
{
    enum status st = exchange(l, err);
    uint16_t format = 0;

    if (st == ST_OK)
        st = hello__agree(&l->ours, &l->theirs, &format, err);
    if (st != ST_OK)
        return st;
    ASSERT(format == PEER_FORMAT); /* there is no other yet */
    l->seed = seed_of(l);
    return ST_OK;
}

bool
link__is_strange(const struct link *l)
{
    return hello__is_none(slice_of(l->theirs_bytes, l->theirs_got));
}

unsigned
link__wants(const struct link *l)
{
    bool speaks = !l->said && (l->calls || l->heard);

    return speaks ? STREAM_WRITABLE : STREAM_READABLE;
}
