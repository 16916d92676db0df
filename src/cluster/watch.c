/*
 * Who answers: swim/ driven on loop 0, for the nodes of the atlas.
 *
 *      a node enters, or is removed     LEARN, FORGET
 *      anything arrives from a node     HEARD, at the next tick: heartbeats of groups, requests, all count
 *      MESSAGE_SWIM                     RECEIVE
 *
 * Elections do not wait for it: TABLET_SILENCE_NS of silence is said to the groups, not to it (tablet/reactor.h).
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/prng.h"

#include "cluster/cluster_internal.h"
#include "swim/codec.h"

/* A process may refute so often before it is of an incarnation that its successor would begin with. */
enum { REFUTATION_BITS = 20 };

struct watch {
    struct swim *swim;
    struct prng dice;
    struct swim_effects effects;
    version_t learnt; /* the atlas that its members are of */
    struct pulse {
        uint64_t node;
        uint64_t heard_ns; /* as it was when it was told last */
    } pulses[TABLET_NODES_MAX];
};

/* ------------------------------------------------------------------ effects */

static void
tell_change(const struct cluster *c, const struct swim_change *change)
{
    const struct node_record *n = atlas_node(c->atlas, change->node);

    log_event(change->to == SWIM_HEALTHY ? LOG_INFO : LOG_WARN, "cluster.health",
              log_u64("node", change->node), log_str("name", n == NULL ? "?" : n->name),
              log_str("was", swim_state_name(change->from)),
              log_str("is", swim_state_name(change->to)));
}

static void
carry_out(struct cluster *c)
{
    const struct swim_effects *fx = &c->watch->effects;

    for (uint32_t i = 0; i < fx->change_count; i++)
        tell_change(c, &fx->changes[i]);
    for (uint32_t i = 0; i < fx->message_count; i++) {
        uint8_t bytes[SWIM_MESSAGE_BYTES_MAX];
        size_t size = swim_message_encode(&fx->messages[i], bytes);

        wires_send(&c->seats[0], fx->messages[i].to, MESSAGE_SWIM, slice_of(bytes, size));
    }
}

static enum status
step(struct cluster *c, struct swim_event event)
{
    enum status st;

    event.now_ns = loop_now_ns(c->loop);
    st = swim_step(c->watch->swim, &event, &c->watch->effects);
    carry_out(c);
    return st;
}

/* ------------------------------------------------------------------ life */

static struct swim_timing
timing_of(const struct cluster *c)
{
    return (struct swim_timing){
        .gossip_interval_ns = atomic_load(&c->pace.gossip_ms) * NS_PER_MS,
        .suspicion_threshold_ns = atomic_load(&c->pace.suspicion_ms) * NS_PER_MS,
        .down_threshold_ns = atomic_load(&c->pace.down_ms) * NS_PER_MS,
        .permanent_failure_threshold_ns = atomic_load(&c->pace.failure_ms) * NS_PER_MS,
    };
}

enum status
watch_create(struct cluster *c)
{
    struct watch *w = mem_new(struct watch);
    struct swim_options options;
    uint64_t seed;
    enum status st;

    if (w == NULL)
        return ST_NO_MEMORY;
    c->watch = w;
    env_random(c->env, &seed, sizeof(seed));
    prng_init(&w->dice, seed);
    swim_options_default(&options);
    options.self = c->self;
    options.incarnation = c->incarnation << REFUTATION_BITS;
    options.now_ns = env_boot_ns(c->env);
    options.dice = (uint32_t)prng_next(&w->dice);
    options.timing = timing_of(c);
    st = swim_create(&w->swim, &options);
    ASSERT(st == ST_OK || st == ST_NO_MEMORY);
    return st;
}

void
watch_destroy(struct cluster *c)
{
    if (c->watch == NULL)
        return;
    swim_destroy(c->watch->swim);
    mem_free(c->watch);
    c->watch = NULL;
}

/* ------------------------------------------------------------------ members */

static bool
is_watched(const struct cluster *c, uint64_t node)
{
    const struct node_record *n = atlas_node(c->atlas, node);

    return n != NULL && n->id != c->self && n->state != NODE_REMOVED;
}

static void
forget_strangers(struct cluster *c)
{
    struct swim *s = c->watch->swim;

    for (uint32_t i = swim_member_count(s); i > 0; i--) {
        swim_id node = swim_member_id(s, i - 1);
        enum status st = is_watched(c, node)
                             ? ST_OK
                             : step(c, (struct swim_event){ .kind = SWIM_FORGET, .node = node });

        ASSERT(st == ST_OK);
    }
}

/* A cluster has no more nodes than a node can watch (admission.c). */
static void
learn_members(struct cluster *c)
{
    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        uint64_t node = c->atlas->nodes[i].id;
        enum status st = ST_EXISTS;

        if (is_watched(c, node))
            st = step(c, (struct swim_event){ .kind = SWIM_LEARN, .node = node });
        if (st != ST_OK && st != ST_EXISTS)
            log_event(LOG_ERROR, "cluster.node_not_watched", log_u64("node", node),
                      log_str("status", status_name(st)));
    }
}

static void
follow_atlas(struct cluster *c)
{
    if (c->watch->learnt == c->atlas->version)
        return;
    c->watch->learnt = c->atlas->version;
    forget_strangers(c);
    learn_members(c);
}

/* ------------------------------------------------------------------ signs of life */

static void
feel(struct cluster *c, const struct tablet_neighbour *n, struct pulse *p)
{
    uint64_t node = atomic_load(&n->node);
    uint64_t heard_ns = atomic_load(&n->heard_ns);
    bool is_new = node != p->node; /* its slot counts as heard when it is joined */
    enum status st = ST_OK;

    if (!is_new && heard_ns != p->heard_ns)
        st = step(c, (struct swim_event){ .kind = SWIM_HEARD, .node = node });
    if (st != ST_OK)
        log_event(LOG_DEBUG, "cluster.stranger_heard", log_u64("node", node));
    *p = (struct pulse){ node, heard_ns };
}

static void
feel_pulses(struct cluster *c)
{
    const struct neighbours *all = &c->options.node->neighbours;
    uint32_t limit = atomic_load(&all->limit);

    for (uint32_t i = 0; i < limit; i++) {
        if (atomic_load(&all->slots[i].node) != 0)
            feel(c, &all->slots[i], &c->watch->pulses[i]);
    }
}

void
watch_heard(struct cluster *c, uint64_t from, struct slice payload)
{
    struct swim_message m;
    enum status st = swim_message_decode(payload, &m);

    if (st == ST_OK) {
        m.from = from;
        m.to = c->self;
        st = step(c, (struct swim_event){ .kind = SWIM_RECEIVE, .message = &m });
    }
    if (st != ST_OK)
        log_event(LOG_DEBUG, "cluster.gossip_refused", log_u64("node", from),
                  log_str("status", status_name(st)));
}

/* ------------------------------------------------------------------ time */

static void
follow_pace(struct cluster *c)
{
    struct swim_timing timing = timing_of(c);
    enum status st;

    if (!atomic_exchange(&c->pace.changed, false))
        return;
    st = step(c, (struct swim_event){ .kind = SWIM_CONFIGURE, .timing = &timing });
    if (st != ST_OK)
        log_event(LOG_ERROR, "cluster.thresholds_refused",
                  log_str("effect", "those of before stay in force"));
}

void
watch_tick(struct cluster *c, uint64_t now_ns)
{
    struct swim_event tick = { .kind = SWIM_TICK };
    enum status st = ST_OK;

    follow_pace(c);
    follow_atlas(c);
    feel_pulses(c);
    if (now_ns < swim_wake_ns(c->watch->swim))
        return;
    tick.dice = (uint32_t)prng_next(&c->watch->dice);
    st = step(c, tick);
    ASSERT(st == ST_OK);
}

/* ------------------------------------------------------------------ looking */

enum node_health
watch_health(const struct cluster *c, uint64_t node)
{
    static const enum node_health of_state[SWIM_STATE_COUNT] = {
        [SWIM_HEALTHY] = HEALTH_UP,
        [SWIM_SUSPICIOUS] = HEALTH_SUSPICIOUS,
        [SWIM_DOWN] = HEALTH_DOWN,
        [SWIM_LOST] = HEALTH_LOST,
    };
    struct swim_view view;

    if (node == c->self || c->watch == NULL || swim_view(c->watch->swim, node, &view) != ST_OK)
        return HEALTH_UP;
    return of_state[view.state];
}
