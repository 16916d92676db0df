/*
 * The connection to one node.
 *
 *                 due                 connected             greeted
 *      PAUSES -----------> CONNECTS -------------> GREETS ----------> UP
 *        ^                     |                     |                 |
 *        '---------------------+---------------------+-----------------'
 *                       it fails, or ends: log, drop the queue
 *
 * The first failure of a row is logged, and so is every end of a connection.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "peer/peer_internal.h"

static void on_event(void *ctx, unsigned events);

/* ------------------------------------------------------------------ ends */

/* Whatever it is doing. */
static void
stop(struct outgoing *o)
{
    connector_cancel(o->connector);
    o->connector = NULL;
    link__end(&o->line);
    if (o->state == OUTGOING_UP)
        outbox__release(&o->outbox);
    list_remove(&o->dirty);
    o->state = OUTGOING_PAUSES;
    o->incarnation = 0;
}

static void
call_at(struct outgoing *o, uint64_t at_ns)
{
    o->due_ns = at_ns;
    peer__wake_at(o->peer, at_ns);
}

/* Half of it by chance, so that those who failed together do not come again together. */
static void
pause(struct outgoing *o)
{
    uint64_t ms = RETRY_MS_MIN;

    for (uint32_t i = 0; i < o->failures && ms < RETRY_MS_MAX; i++)
        ms *= 2;
    if (ms > RETRY_MS_MAX)
        ms = RETRY_MS_MAX;
    o->failures++;
    ms = ms / 2 + prng_below(&o->peer->dice, ms / 2 + 1);
    call_at(o, loop_now_ns(o->peer->loop) + ms * NS_PER_MS);
}

/* Last (P8). */
static void
lose(struct outgoing *o, const struct err *err)
{
    struct peer *p = o->peer;
    peer_node node = o->node;
    bool was_up = o->state == OUTGOING_UP;

    if (was_up || o->failures == 0)
        log_event(LOG_WARN, was_up ? "peer.lost" : "peer.unreachable", log_u64("node", node),
                  log_str("address", o->address), log_u64("port", o->port), log_err(err));
    stop(o);
    pause(o);
    if (was_up)
        p->options.state(p->options.ctx, node, 0);
}

static void
lose_because(struct outgoing *o, enum status st, const char *why)
{
    struct err err;

    if (err_raise(&err, st, "%s", why) != ST_OK)
        lose(o, &err);
}

/* ------------------------------------------------------------------ up */

static void
watch(struct outgoing *o)
{
    unsigned events = STREAM_READABLE | (o->blocked ? STREAM_WRITABLE : 0u);

    link__watch(&o->line, events, on_event, o);
}

static enum status
write_out(struct outgoing *o)
{
    struct slice parts[BATCH_FRAMES];
    size_t count;

    while ((count = outbox__gather(&o->outbox, parts)) > 0) {
        size_t written = 0;
        enum status st = link__write(&o->line, parts, count, &written);

        if (st != ST_OK)
            return st;
        outbox__written(&o->outbox, written);
    }
    return ST_OK;
}

void
outgoing__flush(struct outgoing *o)
{
    bool was_blocked = o->blocked;
    enum status st;

    ASSERT(o->state == OUTGOING_UP);
    st = write_out(o);
    o->blocked = st == ST_WOULD_BLOCK;
    if (st != ST_OK && st != ST_WOULD_BLOCK)
        lose_because(o, st, carrier_why(o->line.stream, "it is gone"));
    else if (o->blocked != was_blocked)
        watch(o);
}

/* Nothing is expected but the end. */
static enum status
listen(struct outgoing *o, struct err *err)
{
    uint8_t byte;
    size_t got;
    enum status st = link__read(&o->line, &byte, 1, &got);

    if (st == ST_OK)
        return err_raise(err, ST_CORRUPT, "it speaks where it should listen");
    if (st != ST_WOULD_BLOCK)
        return err_raise(err, st, "%s", carrier_why(o->line.stream, "it hung up"));
    return ST_OK;
}

/* Last (P8). */
static void
go_up(struct outgoing *o)
{
    struct peer *p = o->peer;

    o->state = OUTGOING_UP;
    o->failures = 0;
    o->blocked = false;
    o->incarnation = o->line.theirs.self.incarnation;
    outbox__init(&o->outbox, &p->options, o->line.seed);
    watch(o);
    log_event(LOG_INFO, "peer.up", log_u64("node", o->node), log_str("address", o->address),
              log_u64("port", o->port));
    p->options.state(p->options.ctx, o->node, o->incarnation);
}

/* ------------------------------------------------------------------ greeting and connecting */

static void
greet(struct outgoing *o)
{
    struct err err;
    enum status st = link__greet(&o->line, &err);

    if (st == ST_WOULD_BLOCK)
        link__watch(&o->line, link__wants(&o->line), on_event, o);
    else if (st == ST_OK)
        go_up(o);
    else
        lose(o, &err);
}

static void
on_event(void *ctx, unsigned events)
{
    struct outgoing *o = ctx;
    enum status st = ST_OK;
    struct err err;

    if (o->state == OUTGOING_GREETS) {
        greet(o);
        return;
    }
    if ((events & STREAM_READABLE) != 0)
        st = listen(o, &err);
    if (st != ST_OK)
        lose(o, &err);
    else if ((events & STREAM_WRITABLE) != 0)
        outgoing__flush(o);
}

static void
connected(void *ctx, struct stream *stream, enum status st, const struct err *err)
{
    struct outgoing *o = ctx;

    o->connector = NULL;
    if (st != ST_OK) {
        lose(o, err);
        return;
    }
    if (link__begin(&o->line, o->peer, stream, o->node) != ST_OK) {
        stream_close(stream);
        lose_because(o, ST_NO_MEMORY, "out of memory");
        return;
    }
    o->state = OUTGOING_GREETS;
    greet(o);
}

static void
call(struct outgoing *o)
{
    struct connect_options options = {
        .address = o->address,
        .port = o->port,
        .timeout_ms = CONNECT_MS,
        .silence_ms = o->peer->options.silence_ms,
        .done = connected,
        .ctx = o,
    };
    struct err err;
    enum status st;

    o->state = OUTGOING_CONNECTS;
    st = env_connect(o->peer->loop, &options, &o->connector, &err);
    if (st != ST_OK)
        lose(o, &err);
}

uint64_t
outgoing__due(struct outgoing *o, uint64_t now_ns)
{
    uint64_t next_ns;

    if (o->state == OUTGOING_PAUSES && o->due_ns <= now_ns)
        call(o);
    else if (o->state == OUTGOING_GREETS && o->line.deadline_ns <= now_ns)
        lose_because(o, ST_TIMEOUT, "it does not answer our hello"); /* no callback: never up */
    switch (o->state) {
    case OUTGOING_PAUSES:
        return o->due_ns;
    case OUTGOING_GREETS:
        return o->line.deadline_ns;
    case OUTGOING_UP:
        next_ns = outbox__due(&o->outbox, now_ns);
        if (list_empty(&o->dirty))
            list_push_back(&o->peer->dirty, &o->dirty);
        return next_ns;
    case OUTGOING_CONNECTS:
    default:
        return 0; /* env comes by itself */
    }
}

void
outgoing__heard_of(struct outgoing *o, uint64_t incarnation)
{
    if (o->state == OUTGOING_PAUSES)
        call_at(o, loop_now_ns(o->peer->loop));
    else if (o->state == OUTGOING_UP && o->incarnation != incarnation)
        lose_because(o, ST_CLOSED, "it was started anew");
}

/* ------------------------------------------------------------------ life */

struct outgoing *
outgoing__create(struct peer *p, peer_node node)
{
    struct outgoing *o = mem_new(struct outgoing);

    if (o == NULL)
        return NULL;
    budget_charge(p->options.budget, sizeof(*o));
    o->peer = p;
    o->node = node;
    list_init(&o->dirty);
    list_push_back(&p->buckets[node % BUCKETS], &o->link);
    return o;
}

void
outgoing__destroy(struct outgoing *o)
{
    stop(o);
    list_remove(&o->link);
    budget_return(o->peer->options.budget, sizeof(*o));
    mem_free(o);
}

void
outgoing__move(struct outgoing *o, const char *address, uint16_t port)
{
    if (strcmp(o->address, address) == 0 && o->port == port)
        return;
    stop(o);
    snprintf(o->address, sizeof(o->address), "%s", address);
    o->port = port;
    o->failures = 0;
    call_at(o, loop_now_ns(o->peer->loop));
}
