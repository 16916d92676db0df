/*
 * A connection from a node: a greeting, then frames, until it ends.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "peer/peer_internal.h"

enum {
    READS_AT_ONCE = 8,                   /* then the other streams have their turn */
    DIRECT_BYTES_MIN = SCRATCH_BYTES / 2 /* less is better read with what follows it */
};

static void on_event(void *ctx, unsigned events);

/* ------------------------------------------------------------------ life */

void
incoming__end(struct incoming *in)
{
    struct peer *p = in->peer;

    ASSERT(p->incoming_count > 0);
    p->incoming_count--;
    p->greeting_count -= !in->open;
    link__end(&in->line);
    if (in->open)
        inbox__release(&in->inbox);
    list_remove(&in->link);
    budget_return(p->options.budget, sizeof(*in));
    mem_free(in);
}

/* Whoever is refused comes again, from the same address for the same reason. */
static void
tell_refusal(struct peer *p, enum log_level level, const struct stream *stream, const char *why)
{
    const char *from = stream_peer(stream);
    char what[ADDRESS_BYTES + ERR_TEXT_MAX];
    size_t host = strcspn(from, ":"); /* of IPv6 a part, which does for telling them apart */

    snprintf(what, sizeof(what), "%.*s %s", (int)host, from, why);
    if (refrain_tells(&p->refusals, loop_now_ns(p->loop), slice_str(what)))
        log_event(level, "peer.refused", log_str("peer", from), log_str("reason", why),
                  log_u64("untold", refrain_untold(&p->refusals)));
}

/* The one line of it. */
static void
end_with(struct incoming *in, const struct err *err)
{
    enum log_level level = err->code == ST_CLOSED ? LOG_INFO : LOG_WARN;

    if (in->open) {
        log_event(level, "peer.ended", log_str("peer", stream_peer(in->line.stream)),
                  log_u64("node", in->from.node), log_err(err));
    } else {
        tell_refusal(in->peer, level, in->line.stream, err->text);
    }
    incoming__end(in);
}

/* False: all of them are known nodes. */
static bool
make_room(struct peer *p)
{
    list_each (link, &p->incoming) {
        struct incoming *in = container_of(link, struct incoming, link);

        if (!in->open) {
            incoming__end(in);
            return true;
        }
    }
    return false;
}

static void
refuse(struct peer *p, struct stream *stream, const char *reason)
{
    tell_refusal(p, LOG_WARN, stream, reason);
    stream_close(stream);
}

static bool
is_crowded(const struct peer *p)
{
    return p->incoming_count >= PEER_INCOMING_MAX || p->greeting_count >= PEER_GREETING_MAX;
}

void
incoming__begin(struct peer *p, struct stream *stream)
{
    struct incoming *in;

    if (is_crowded(p) && !make_room(p)) {
        refuse(p, stream, "too many connections");
        return;
    }
    in = mem_new(struct incoming);
    if (in == NULL || link__begin(&in->line, p, stream, 0) != ST_OK) {
        mem_free(in);
        refuse(p, stream, "out of memory");
        return;
    }
    budget_charge(p->options.budget, sizeof(*in));
    in->peer = p;
    p->incoming_count++;
    p->greeting_count++;
    list_push_back(&p->incoming, &in->link);
    link__watch(&in->line, link__wants(&in->line), on_event, in);
}

/* ------------------------------------------------------------------ the greeting */

/* A node's loop has one connection to us: an older one is a relic, whose end we did not see. */
static void
end_older(struct incoming *in)
{
    struct peer *p = in->peer;

    for (struct list *at = p->incoming.next, *next; at != &p->incoming; at = next) {
        struct incoming *other = container_of(at, struct incoming, link);

        next = at->next;
        if (other != in && other->open && other->from.node == in->from.node &&
            other->line.theirs.lane == in->line.theirs.lane)
            incoming__end(other);
    }
}

static void
deliver(void *ctx, uint8_t type, uint64_t id, struct slice payload)
{
    struct incoming *in = ctx;
    struct peer *p = in->peer;

    p->options.receive(p->options.ctx, &in->from, type, id, payload);
}

static enum status
greet(struct incoming *in, struct err *err)
{
    struct peer *p = in->peer;
    enum status st = link__greet(&in->line, err);
    struct outgoing *back;

    if (st != ST_OK)
        return st;
    in->from.node = in->line.theirs.self.node;
    in->from.incarnation = in->line.theirs.self.incarnation;
    in->open = true;
    p->greeting_count--;
    in->progress_ns = loop_now_ns(p->loop);
    inbox__init(&in->inbox, &p->shared, in->line.seed, deliver, in);
    end_older(in);
    back = peer__find(p, in->from.node);
    if (back != NULL)
        outgoing__heard_of(back, in->from.incarnation);
    return ST_OK;
}

/* ------------------------------------------------------------------ frames */

/* Large frames are read to where they belong, all else through the loop's scratch. */
static enum status
receive_some(struct incoming *in, struct err *err)
{
    uint8_t *at = NULL;
    size_t size = inbox__room(&in->inbox, &at);
    bool direct = size >= DIRECT_BYTES_MIN;
    uint8_t *to = direct ? at : in->peer->scratch;
    size_t got = 0;
    enum status st = link__read(&in->line, to, direct ? size : SCRATCH_BYTES, &got);

    if (st == ST_WOULD_BLOCK)
        return st;
    if (st != ST_OK)
        return err_raise(err, st, "%s", carrier_why(in->line.stream, "it hung up"));
    in->progress_ns = loop_now_ns(in->peer->loop);
    if (direct)
        return inbox__filled(&in->inbox, got, err);
    return inbox__put(&in->inbox, slice_of(to, got), err);
}

static enum status
receive(struct incoming *in, struct err *err)
{
    enum status st = ST_OK;

    for (unsigned i = 0; i < READS_AT_ONCE && st == ST_OK; i++)
        st = receive_some(in, err);
    if (inbox__is_waiting(&in->inbox))
        peer__wake_at(in->peer, in->progress_ns + (uint64_t)STALL_MS * NS_PER_MS);
    return st;
}

/* What they say is somebody else's matter. */
static void
hand_over(struct incoming *in)
{
    struct peer *p = in->peer;
    struct stream *stream = in->line.stream;
    uint8_t begin[HELLO_BYTES_MAX];
    size_t size = in->line.theirs_got;

    memcpy(begin, in->line.theirs_bytes, size);
    stream_watch(stream, 0, NULL, NULL); /* not on our behalf any more, whenever the callee does */
    in->line.stream = NULL;
    incoming__end(in);
    p->options.stranger(p->options.ctx, stream, slice_of(begin, size));
}

static void
on_event(void *ctx, unsigned events)
{
    struct incoming *in = ctx;
    struct err err;
    enum status st = in->open ? receive(in, &err) : greet(in, &err);

    (void)events;
    if (st == ST_CORRUPT && !in->open && in->peer->options.stranger != NULL &&
        link__is_strange(&in->line)) {
        hand_over(in);
        return;
    }
    if (st != ST_OK && st != ST_WOULD_BLOCK)
        end_with(in, &err);
    else
        link__watch(&in->line, in->open ? STREAM_READABLE : link__wants(&in->line), on_event, in);
}

uint64_t
incoming__due(struct incoming *in, uint64_t now_ns)
{
    uint64_t limit_ns = in->line.deadline_ns;
    const char *why = in->open ? "it stopped in a message" : "it does not greet us";
    struct err err;

    if (in->open && !inbox__is_waiting(&in->inbox))
        return 0;
    if (in->open)
        limit_ns = in->progress_ns + (uint64_t)STALL_MS * NS_PER_MS;
    if (now_ns < limit_ns)
        return limit_ns;
    if (err_raise(&err, ST_TIMEOUT, "%s", why) != ST_OK)
        end_with(in, &err);
    return 0;
}
