#include "unit/swim/net.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* Not cmocka's: bench/swim runs nets, too. */
#define MUST(x)                 \
 do {                           \
  enum status must_be_ok = (x); \
                                \
  ASSERT(must_be_ok == ST_OK);  \
 } while (0)

struct net_parcel {
    uint64_t due_ns;
    uint64_t number; /* of two that are due at once, the one that was sent first */
    swim_id from;
    swim_id to;
    uint32_t size;
    uint8_t bytes[SWIM_MESSAGE_BYTES_MAX];
};

/* ------------------------------------------------------------------ parcels on their way */

static bool
is_before(const struct net_parcel *a, const struct net_parcel *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void
swap(struct net *n, uint32_t a, uint32_t b)
{
    struct net_parcel moved = n->parcels[a];

    n->parcels[a] = n->parcels[b];
    n->parcels[b] = moved;
}

static void
put_parcel(struct net *n, const struct net_parcel *p)
{
    uint32_t at = n->parcel_count;

    if (n->parcel_count == n->parcel_max) {
        n->parcel_max = 2 * n->parcel_max + 64;
        n->parcels = mem_resize(n->parcels, n->parcel_max * sizeof(*n->parcels));
        ASSERT(n->parcels != NULL);
    }
    n->parcels[n->parcel_count++] = *p;
    for (; at > 0 && is_before(&n->parcels[at], &n->parcels[(at - 1) / 2]); at = (at - 1) / 2)
        swap(n, at, (at - 1) / 2);
}

static struct net_parcel
take_parcel(struct net *n)
{
    struct net_parcel first = n->parcels[0];
    uint32_t at = 0;

    n->parcels[0] = n->parcels[--n->parcel_count];
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < n->parcel_count && is_before(&n->parcels[child + 1], &n->parcels[child]))
            child++;
        if (child >= n->parcel_count || !is_before(&n->parcels[child], &n->parcels[at]))
            return first;
        swap(n, at, child);
        at = child;
    }
}

static void
send_message(struct net *n, struct net_node *from, const struct swim_message *m)
{
    struct net_parcel p = { .number = n->parcels_sent++, .from = m->from, .to = m->to };
    uint64_t spread = n->delay_ms_max - n->delay_ms_min + 1;

    p.size = (uint32_t)swim_message_encode(m, p.bytes);
    if (n->now_ns / NS_PER_S != from->second) {
        from->second = n->now_ns / NS_PER_S;
        from->in_second = 0;
    }
    from->in_second++;
    if (from->in_second > from->most_in_second)
        from->most_in_second = from->in_second;
    from->sent_messages++;
    from->sent_bytes += p.size;
    if (prng_below(&n->prng, 1000) < n->loss_permille || n->cut[m->from][m->to])
        return;
    p.due_ns = n->now_ns + (n->delay_ms_min * NS_PER_MS + prng_below(&n->prng, spread * NS_PER_MS));
    put_parcel(n, &p);
}

/* ------------------------------------------------------------------ steps, and what is demanded of them */

/* S2 and S3. */
static void
check_change(struct net *n, struct net_node *node, const struct swim_change *c)
{
    struct net_opinion *o = &node->of[c->node];
    struct swim_view view;

    ASSERT(o->state == c->from);
    ASSERT(c->to == SWIM_HEALTHY || c->to == c->from + 1);
    ASSERT(c->to != c->from);
    MUST(swim_view(node->swim, c->node, &view));
    ASSERT(view.state == c->to);
    ASSERT(c->to != SWIM_SUSPICIOUS ||
           view.silent_ns >= swim_timing(node->swim)->suspicion_threshold_ns);
    ASSERT(c->to != SWIM_DOWN || view.silent_ns >= swim_timing(node->swim)->down_threshold_ns);
    o->state = c->to;
    o->times[c->to]++;
    o->since_ns[c->to] = n->now_ns;
}

/* S1 and S4. */
static void
check_members(struct net *n, struct net_node *node)
{
    for (uint32_t i = 0; i < swim_member_count(node->swim); i++) {
        struct net_opinion *o = &node->of[swim_member_id(node->swim, i)];
        const struct net_node *subject = &n->nodes[swim_member_id(node->swim, i)];
        struct swim_view view, own;

        MUST(swim_view(node->swim, subject->id, &view));
        ASSERT(view.state == o->state);
        ASSERT(view.state == SWIM_HEALTHY || view.accused);
        ASSERT(view.incarnation >= o->incarnation);
        o->incarnation = view.incarnation;
        if (subject->swim == NULL || subject->lives > 1)
            continue;
        MUST(swim_view(subject->swim, subject->id, &own));
        ASSERT(view.incarnation <= own.incarnation); /* only it raises it */
        ASSERT(view.payload.sequence <= own.payload.sequence);
    }
}

static enum status
step(struct net *n, struct net_node *node, struct swim_event event)
{
    enum status st;

    event.now_ns = n->now_ns;
    event.dice = (uint32_t)prng_next(&n->prng);
    st = swim_step(node->swim, &event, &n->fx);
    for (uint32_t i = 0; i < n->fx.change_count; i++)
        check_change(n, node, &n->fx.changes[i]);
    for (uint32_t i = 0; i < n->fx.message_count; i++)
        send_message(n, node, &n->fx.messages[i]);
    if (n->node_count <= 16)
        check_members(n, node);
    node->wake_ns = swim_wake_ns(node->swim);
    return st;
}

static void
deliver(struct net *n, struct net_parcel p)
{
    struct net_node *to = &n->nodes[p.to];
    struct swim_message m;

    if (to->swim == NULL)
        return;
    if (to->paused_until_ns > n->now_ns) {
        p.due_ns = to->paused_until_ns;
        put_parcel(n, &p);
        return;
    }
    MUST(swim_message_decode(slice_of(p.bytes, p.size), &m));
    m.from = p.from;
    m.to = p.to;
    MUST(step(n, to, (struct swim_event){ .kind = SWIM_RECEIVE, .message = &m }));
}

/* ------------------------------------------------------------------ time */

static struct net_node *
next_to_wake(struct net *n, uint64_t *at_ns)
{
    struct net_node *next = NULL;

    *at_ns = UINT64_MAX;
    for (swim_id id = 1; id <= n->node_count; id++) {
        struct net_node *node = &n->nodes[id];
        uint64_t wake =
            node->wake_ns > node->paused_until_ns ? node->wake_ns : node->paused_until_ns;

        if (node->swim != NULL && wake < *at_ns) {
            *at_ns = wake;
            next = node;
        }
    }
    return next;
}

void
net_run_ms(struct net *n, uint64_t ms)
{
    uint64_t limit_ns = n->now_ns + ms * NS_PER_MS;

    for (;;) {
        uint64_t at_ns;
        struct net_node *node = next_to_wake(n, &at_ns);
        bool parcel = n->parcel_count > 0 && n->parcels[0].due_ns <= at_ns;

        if (parcel)
            at_ns = n->parcels[0].due_ns;
        if (at_ns > limit_ns)
            break;
        if (at_ns > n->now_ns)
            n->now_ns = at_ns;
        if (parcel)
            deliver(n, take_parcel(n));
        else
            MUST(step(n, node, (struct swim_event){ .kind = SWIM_TICK }));
    }
    n->now_ns = limit_ns;
}

uint64_t
net_ms(const struct net *n)
{
    return n->now_ns / NS_PER_MS;
}

/* ------------------------------------------------------------------ nodes */

struct net *
net_create(uint64_t seed, uint32_t node_count)
{
    struct net *n = mem_new(struct net);
    struct swim_options options;

    ASSERT(n != NULL);
    ASSERT(node_count <= NET_NODES_MAX);
    prng_init(&n->prng, seed);
    swim_options_default(&options);
    n->timing = options.timing;
    n->now_ns = 1000 * NS_PER_S;
    n->delay_ms_min = 1;
    n->delay_ms_max = 5;
    n->node_count = node_count;
    for (swim_id id = 1; id <= node_count; id++)
        n->nodes[id].id = id;
    for (swim_id id = 1; id <= node_count; id++)
        net_start(n, id);
    return n;
}

void
net_destroy(struct net *n)
{
    for (swim_id id = 1; id <= n->node_count; id++)
        swim_destroy(n->nodes[id].swim);
    mem_free(n->parcels);
    mem_free(n);
}

enum status
net_event(struct net *n, swim_id id, struct swim_event event)
{
    enum status st = step(n, &n->nodes[id], event);

    if (st == ST_OK && event.kind == SWIM_FORGET)
        n->nodes[id].of[event.node] = (struct net_opinion){ 0 };
    return st;
}

void
net_crash(struct net *n, swim_id id)
{
    swim_destroy(n->nodes[id].swim);
    n->nodes[id].swim = NULL;
}

void
net_start(struct net *n, swim_id id)
{
    struct net_node *node = &n->nodes[id];
    struct swim_options options;

    swim_options_default(&options);
    options.self = id;
    options.now_ns = n->now_ns;
    options.dice = (uint32_t)prng_next(&n->prng);
    options.timing = n->timing;
    MUST(swim_create(&node->swim, &options));
    memset(node->of, 0, sizeof(node->of));
    node->paused_until_ns = 0;
    node->lives++;
    for (swim_id other = 1; other <= n->node_count; other++) {
        if (other != id)
            MUST(step(n, node, (struct swim_event){ .kind = SWIM_LEARN, .node = other }));
    }
}

void
net_pause_ms(struct net *n, swim_id id, uint64_t ms)
{
    n->nodes[id].paused_until_ns = n->now_ns + ms * NS_PER_MS;
}

void
net_cut(struct net *n, swim_id from, swim_id to)
{
    n->cut[from][to] = true;
}

void
net_heal(struct net *n)
{
    memset(n->cut, 0, sizeof(n->cut));
}

/* ------------------------------------------------------------------ opinions */

struct net_opinion *
net_opinion(struct net *n, swim_id observer, swim_id subject)
{
    return &n->nodes[observer].of[subject];
}

enum swim_state
net_state(struct net *n, swim_id observer, swim_id subject)
{
    return net_opinion(n, observer, subject)->state;
}

bool
net_all_healthy(struct net *n)
{
    for (swim_id observer = 1; observer <= n->node_count; observer++) {
        for (swim_id subject = 1; subject <= n->node_count; subject++) {
            if (n->nodes[observer].swim != NULL && n->nodes[subject].swim != NULL &&
                net_state(n, observer, subject) != SWIM_HEALTHY)
                return false;
        }
    }
    return true;
}

uint32_t
net_count(struct net *n, enum swim_state state)
{
    uint32_t count = 0;

    for (swim_id observer = 1; observer <= n->node_count; observer++) {
        for (swim_id subject = 1; subject <= n->node_count; subject++) {
            count += n->nodes[observer].of[subject].times[state];
            n->nodes[observer].of[subject].times[state] = 0;
        }
    }
    return count;
}
