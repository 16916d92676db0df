/*
 * All connections of one loop.
 *
 * Format of what travels: docs/formats/peer.md.
 *
 * INVARIANTS
 *
 *   P1  There is one struct outgoing for each node with an address, and it has at most one
 *       connection.  Of the connections from one loop of a node, at most one is open.
 *   P2  `state` tells an incarnation when a connection is greeted, then 0 when it has ended, and so
 *       on in turn (but for what peer_set_address() and peer_forget() end).  A queue exists only
 *       between the two: what is sent to one life of a node never reaches the next.
 *   P3  What is in an outbox is counted there and charged to the budget, the frames that are being
 *       written included; an empty one counts 0.
 *   P4  Messages of the same urgency leave in the order of peer_send(), unless a fault delays them.
 *   P5  A batch has at most one frame of a message.  So when the next one is made, the bytes before
 *       it are written, and its header may take their place.
 *   P6  A batch has at most BATCH_BYTES, or one frame; an urgent message waits for one batch at most.
 *   P7  Of a connection, at most one message is being assembled; its size is known and charged from
 *       its first frame on, and never exceeded.
 *   P8  A callback is the last that a function does with an outgoing connection: it may be forgotten
 *       in there.
 *
 * NOT HERE, ON PURPOSE
 *
 *   No acknowledgements, no sending again: raft has both.  No heartbeats: the failure detector's
 *   urgent messages are.  No encryption: a carrier's streams have it (carrier.h).
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#include "peer/peer_internal.h"

enum {
    QUEUE_BYTES = 16 << 20,
    URGENT_BYTES = 256 << 10,
    SILENCE_MS = 10000,
};

/* ------------------------------------------------------------------ time */

void
peer__wake_at(struct peer *p, uint64_t at_ns)
{
    uint64_t now_ns = loop_now_ns(p->loop);
    uint64_t wait_ns = at_ns > now_ns ? at_ns - now_ns : 0;

    if (p->timer_ns != 0 && p->timer_ns <= at_ns)
        return;
    p->timer_ns = at_ns;
    timer_start(p->timer, (uint32_t)((wait_ns + NS_PER_MS - 1) / NS_PER_MS));
}

static uint64_t
sooner(uint64_t a_ns, uint64_t b_ns)
{
    if (a_ns == 0 || b_ns == 0)
        return a_ns + b_ns;
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t
outgoing_due(struct peer *p, uint64_t now_ns)
{
    uint64_t next_ns = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        list_each (link, &p->buckets[i])
            next_ns =
                sooner(next_ns, outgoing__due(container_of(link, struct outgoing, link), now_ns));
    }
    return next_ns;
}

static uint64_t
incoming_due(struct peer *p, uint64_t now_ns)
{
    uint64_t next_ns = 0;

    for (struct list *at = p->incoming.next, *next; at != &p->incoming; at = next) {
        next = at->next;
        next_ns = sooner(next_ns, incoming__due(container_of(at, struct incoming, link), now_ns));
    }
    return next_ns;
}

static void
time_has_come(void *ctx)
{
    struct peer *p = ctx;
    uint64_t now_ns = loop_now_ns(p->loop);
    uint64_t next_ns;

    p->timer_ns = 0;
    next_ns = outgoing_due(p, now_ns);
    next_ns = sooner(next_ns, incoming_due(p, now_ns));
    if (next_ns != 0)
        peer__wake_at(p, next_ns);
    peer_flush(p); /* last: its callbacks may do anything */
}

/* ------------------------------------------------------------------ life */

void
peer_options_default(struct peer_options *options)
{
    *options = (struct peer_options){
        .queue_bytes = QUEUE_BYTES,
        .urgent_bytes = URGENT_BYTES,
        .assembly_bytes = PEER_MESSAGE_BYTES_MAX,
        .silence_ms = SILENCE_MS,
    };
}

static void
init(struct peer *p, const struct peer_options *options)
{
    uint64_t seed;

    p->options = *options;
    p->loop = options->loop;
    p->shared.budget = options->budget;
    p->shared.assembly_max = options->assembly_bytes;
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&p->buckets[i]);
    list_init(&p->incoming);
    list_init(&p->dirty);
    env_random(loop_env(p->loop), &seed, sizeof(seed));
    prng_init(&p->dice, seed);
    prng_init(&p->fault_dice, options->faults == NULL ? 0 : options->faults->seed);
}

enum status
peer_create(struct peer **out, const struct peer_options *options, struct err *err)
{
    struct peer *p;

    ASSERT(options->receive != NULL && options->state != NULL && options->budget != NULL);
    ASSERT(options->self.node != 0 && options->self.incarnation != 0 &&
           options->self.incarnation <= PEER_INCARNATION_MAX);
    p = mem_new(struct peer);
    if (p == NULL)
        return err_raise(err, ST_NO_MEMORY, "peer connections: out of memory");
    init(p, options);
    p->scratch = mem_alloc(SCRATCH_BYTES);
    if (p->scratch == NULL || timer_create_on(p->loop, time_has_come, p, &p->timer) != ST_OK) {
        mem_free(p->scratch);
        mem_free(p);
        return err_raise(err, ST_NO_MEMORY, "peer connections: out of memory");
    }
    budget_charge(options->budget, SCRATCH_BYTES + sizeof(*p));
    *out = p;
    return ST_OK;
}

void
peer_destroy(struct peer *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (!list_empty(&p->buckets[i]))
            outgoing__destroy(container_of(p->buckets[i].next, struct outgoing, link));
    }
    while (!list_empty(&p->incoming))
        incoming__end(container_of(p->incoming.next, struct incoming, link));
    ASSERT(p->incoming_count == 0 && p->greeting_count == 0 && p->shared.assembly_bytes == 0);
    timer_destroy(p->timer);
    budget_return(p->options.budget, SCRATCH_BYTES + sizeof(*p));
    mem_free(p->scratch);
    mem_free(p);
}

void
peer_accepted(void *ctx, struct loop *loop, struct stream *stream)
{
    struct peer *const *peers = ctx;

    incoming__begin(peers[loop_index(loop)], stream);
}

/* ------------------------------------------------------------------ other nodes */

struct outgoing *
peer__find(const struct peer *p, peer_node node)
{
    list_each (link, &p->buckets[node % BUCKETS]) {
        struct outgoing *o = container_of(link, struct outgoing, link);

        if (o->node == node)
            return o;
    }
    return NULL;
}

enum status
peer_set_address(struct peer *p, peer_node node, const char *address, uint16_t port,
                 struct err *err)
{
    struct outgoing *o = peer__find(p, node);

    if (node == 0 || node == p->options.self.node)
        return err_raise(err, ST_INVALID, "node %llu is not another node",
                         (unsigned long long)node);
    if (strlen(address) >= ADDRESS_BYTES)
        return err_raise(err, ST_INVALID, "an address of %zu bytes", strlen(address));
    if (o == NULL)
        o = outgoing__create(p, node);
    if (o == NULL)
        return err_raise(err, ST_NO_MEMORY, "address of node %llu: out of memory",
                         (unsigned long long)node);
    outgoing__move(o, address, port);
    return ST_OK;
}

void
peer_forget(struct peer *p, peer_node node)
{
    struct outgoing *o = peer__find(p, node);

    if (o != NULL)
        outgoing__destroy(o);
}

uint64_t
peer_incarnation(const struct peer *p, peer_node node)
{
    const struct outgoing *o = peer__find(p, node);

    return o != NULL ? o->incarnation : 0;
}

/* ------------------------------------------------------------------ messages */

static size_t
size_of(const struct peer_message *m)
{
    size_t size = 0;

    for (size_t i = 0; i < m->part_count; i++)
        size += m->parts[i].size;
    return size;
}

static enum status
send_copies(struct outgoing *o, const struct peer_message *m, size_t size)
{
    struct peer *p = o->peer;
    unsigned copies = m->steady ? 1 : faults__copies(p);
    enum status st = ST_OK;

    for (unsigned i = 0; i < copies && st == ST_OK; i++) {
        uint64_t due_ns = m->steady ? 0 : faults__due_ns(p);

        st = outbox__add(&o->outbox, m, size, due_ns);
        if (st == ST_OK && due_ns > 0)
            peer__wake_at(p, due_ns);
        if (i > 0)
            st = ST_OK; /* the first is what counts */
    }
    return st;
}

enum status
peer_send(struct peer *p, peer_node node, const struct peer_message *message)
{
    struct outgoing *o = peer__find(p, node);
    size_t size = size_of(message);
    enum status st;

    if (size > (message->urgent ? PEER_URGENT_BYTES_MAX : PEER_MESSAGE_BYTES_MAX))
        return ST_TOO_BIG;
    if (o == NULL)
        return ST_NOT_FOUND;
    if (o->state != OUTGOING_UP)
        return ST_CLOSED;
    st = send_copies(o, message, size);
    if (st == ST_OK && list_empty(&o->dirty))
        list_push_back(&p->dirty, &o->dirty);
    return st;
}

/* Whoever waits for room is written to when there is some. */
void
peer_flush(struct peer *p)
{
    struct list *link;

    while ((link = list_pop_front(&p->dirty)) != NULL) {
        struct outgoing *o = container_of(link, struct outgoing, dirty);

        if (!o->blocked)
            outgoing__flush(o);
    }
}

size_t
peer_queued(const struct peer *p, peer_node node)
{
    const struct outgoing *o = peer__find(p, node);

    if (o == NULL || o->state != OUTGOING_UP)
        return 0;
    return o->outbox.bulk_bytes + o->outbox.urgent_bytes;
}

uint64_t
peer_dropped(const struct peer *p)
{
    return p->shared.dropped;
}
