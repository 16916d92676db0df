/*
 * The node: its clock, its health, and which rule hears of which event.
 *
 *      members.c   who there is, and whose turn it is to be probed     SWIM, 4.3
 *      probe.c     pings, answers, helpers                             SWIM, 3.1
 *      gossip.c    what is told with them, and what is believed        SWIM, 4.1
 *      opinion.c   accusations, windows, states                        SWIM, 4.2; Lifeguard, 4.2
 *      codec.c     messages as bytes
 *
 *                 accused, and silence and window are over        silence is over
 *      HEALTHY ─────────────────────────────────────> SUSPICIOUS ─────────────────> DOWN
 *       ^ ^ ^                                              │                        │ │
 *       │ │ └────────────────── a sign of life ────────────┘                        │ │ it lasts
 *       │ └──────────────────── a sign of life ─────────────────────────────────────┘ v
 *       └────────────────────── a sign of life ───────────────────────────────────── LOST
 *
 * INVARIANTS
 *
 *   S1  Whoever is not HEALTHY is accused; whoever is accused has at least one accuser.  A sign of life
 *       ends both.
 *   S2  No state begins before its edge: whoever is SUSPICIOUS was silent for suspicion_threshold and in
 *       doubt for the shortest window; whoever is DOWN was SUSPICIOUS before, and silent for
 *       down_threshold.
 *   S3  States are left one at a time, along the drawing.
 *   S4  The incarnation known of a member never goes back while it is one.  Our own goes up only here,
 *       and is higher than any that we were told of.
 *   S5  An accusation of an earlier incarnation, or of a probe that was sent before the last sign of
 *       life, changes nothing.  So what is late does no harm, however late it is.
 *   S6  Time in which no event came is no silence: the clock of these rules goes on by one gossip_interval
 *       at most from event to event.
 *   S7  One probe at a time is under way, and no two begin within one gossip_interval.  News is told a
 *       number of times that is proportional to the logarithm of the number of nodes; what room is left
 *       in a message is for accusations that stand.  So the number of messages and their size do not
 *       depend on how many nodes there are.
 *
 * Ages, not times, are told: no two clocks need to agree, and what travels long seems younger, which only
 * delays.  An age that was told is never told on with an own sign of life in it; otherwise two nodes
 * could keep a dead one alive between them.
 *
 * What Lifeguard has and we do not: its dynamic timeout has a maximum of six times the minimum; ours has
 * two, so that the thresholds keep the meaning that operators give them.  Its helpers say later that they
 * had no answer; ours say at once that they were asked, which tells the same about us, and needs
 * no memory in them.
 *
 * Not here, on purpose: connections, timers, who is a member, and what follows from being LOST.
 */
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "swim/swim_internal.h"

#define NS_PER_MS UINT64_C(1000000)
#define YEAR_NS   (UINT64_C(366) * 24 * 3600 * 1000 * NS_PER_MS)

/* ------------------------------------------------------------------ life */

bool
swim_timing_is_valid(const struct swim_timing *t)
{
    return t->gossip_interval_ns >= NS_PER_MS && t->down_threshold_ns <= YEAR_NS &&
           t->gossip_interval_ns <= t->suspicion_threshold_ns / 2 &&
           t->suspicion_threshold_ns < t->down_threshold_ns &&
           t->permanent_failure_threshold_ns > 0 && t->permanent_failure_threshold_ns <= YEAR_NS;
}

void
swim_options_default(struct swim_options *options)
{
    *options = (struct swim_options){
        .incarnation = 1,
        .timing = { .gossip_interval_ns = 1000 * NS_PER_MS,
                    .suspicion_threshold_ns = 5000 * NS_PER_MS,
                    .down_threshold_ns = 30000 * NS_PER_MS,
                    .permanent_failure_threshold_ns = 600000 * NS_PER_MS },
    };
}

enum status
swim_create(struct swim **out, const struct swim_options *options)
{
    struct swim *s;

    if (options->self == 0 || options->incarnation == 0 ||
        options->incarnation > SWIM_INCARNATION_MAX || !swim_timing_is_valid(&options->timing))
        return ST_INVALID;
    s = mem_new(struct swim);
    if (s == NULL)
        return ST_NO_MEMORY;
    s->self = options->self;
    s->incarnation = options->incarnation;
    s->timing = options->timing;
    s->seen_ns = options->now_ns;
    s->now_ns = 1; /* 0 is before our time: an accusation older than us is void */
    s->chance = options->dice;
    /* Nodes that are started together do not all probe at the same moment. */
    s->probe.end_ns = s->now_ns + swim__random(s, s->timing.gossip_interval_ns);
    *out = s;
    return ST_OK;
}

void
swim_destroy(struct swim *s)
{
    mem_free(s);
}

/* ------------------------------------------------------------------ what the rules share */

uint64_t
swim__random(struct swim *s, uint64_t limit)
{
    s->chance = hash_u64(s->chance + UINT64_C(0x9e3779b97f4a7c15));
    return s->chance % limit;
}

void
swim__health_worse(struct swim *s)
{
    if (s->health < SWIM_HEALTH_MAX)
        s->health++;
}

void
swim__health_better(struct swim *s)
{
    if (s->health > 0)
        s->health--;
}

/* ------------------------------------------------------------------ events */

/* S6.  What was on its way to us when we fell asleep may not have been read yet, so a probe of before is
 * nobody's failure. */
static void
pass_time(struct swim *s, uint64_t now_ns)
{
    uint64_t gap = now_ns > s->seen_ns ? now_ns - s->seen_ns : 0;

    s->seen_ns += gap;
    if (gap > s->timing.gossip_interval_ns) {
        gap = s->timing.gossip_interval_ns;
        swim__health_worse(s);
        swim__probe_drop(s);
    }
    s->now_ns += gap;
}

static enum status
heard(struct swim *s, swim_id id)
{
    struct swim_member *m = swim__member(s, id);

    if (m == NULL)
        return ST_NOT_FOUND;
    swim__heard(s, m);
    return ST_OK;
}

static enum status
announce(struct swim *s, struct slice payload)
{
    if (payload.size > SWIM_PAYLOAD_BYTES)
        return ST_TOO_BIG;
    s->payload.sequence++;
    s->payload.size = (uint32_t)payload.size;
    if (payload.size > 0)
        memcpy(s->payload.bytes, payload.data, payload.size);
    return ST_OK;
}

static enum status
configure(struct swim *s, const struct swim_timing *timing)
{
    uint64_t due_ns;

    if (!swim_timing_is_valid(timing))
        return ST_INVALID;
    s->timing = *timing;
    due_ns = s->now_ns + timing->gossip_interval_ns;
    if (s->probe.end_ns > due_ns)
        s->probe.end_ns = due_ns;
    return ST_OK;
}

/* Is it for us, and are its lengths within their bounds?  The codec has seen to it; a driver in one
 * process has none. */
static bool
is_well_formed(const struct swim *s, const struct swim_message *m)
{
    if (m->to != s->self || m->from == s->self || m->from == 0 ||
        m->kind >= SWIM_MESSAGE_KIND_COUNT || m->update_count > SWIM_UPDATES_MAX)
        return false;
    for (uint32_t i = 0; i < m->update_count; i++) {
        const struct swim_update *u = &m->updates[i];

        if (u->payload.size > SWIM_PAYLOAD_BYTES || u->accuser_count > SWIM_ACCUSERS_MAX ||
            u->incarnation > SWIM_INCARNATION_MAX || (u->accused && u->accuser_count == 0))
            return false;
    }
    return true;
}

static enum status
dispatch(struct swim *s, const struct swim_event *e)
{
    switch (e->kind) {
    case SWIM_TICK:
        s->chance ^= e->dice;
        swim__probe_tick(s);
        break;
    case SWIM_RECEIVE:
        if (!is_well_formed(s, e->message))
            return ST_INVALID;
        swim__receive(s, e->message);
        break;
    case SWIM_HEARD:
        return heard(s, e->node);
    case SWIM_LEARN:
        return swim__learn(s, e->node);
    case SWIM_FORGET:
        return swim__forget(s, e->node);
    case SWIM_ANNOUNCE:
        return announce(s, e->payload);
    case SWIM_CONFIGURE:
        return configure(s, e->timing);
    case SWIM_EVENT_KIND_COUNT:
        ASSERT(false);
    }
    return ST_OK;
}

enum status
swim_step(struct swim *s, const struct swim_event *event, struct swim_effects *effects)
{
    enum status st;

    effects->change_count = 0;
    effects->message_count = 0;
    s->fx = effects;
    pass_time(s, event->now_ns);
    st = dispatch(s, event);
    swim__settle(s);
    s->fx = NULL;
    ASSERT(s->turn <= s->member_count && s->health <= SWIM_HEALTH_MAX);
    return st;
}

/* ------------------------------------------------------------------ looking */

/* Twice in an interval at least: whoever sleeps longer than one is late (S6). */
uint64_t
swim_wake_ns(const struct swim *s)
{
    uint64_t wake = s->now_ns + s->timing.gossip_interval_ns / 2;
    uint64_t probe = swim__probe_wake(s);
    uint64_t edge = swim__next_edge(s);

    if (probe < wake)
        wake = probe;
    if (edge < wake)
        wake = edge;
    return wake <= s->now_ns ? s->seen_ns : s->seen_ns + (wake - s->now_ns);
}

enum status
swim_view(const struct swim *s, swim_id id, struct swim_view *out)
{
    for (uint32_t i = 0; i < s->member_count; i++) {
        const struct swim_member *m = &s->members[i];

        if (m->id != id)
            continue;
        *out = (struct swim_view){ .id = id,
                                   .state = m->state,
                                   .accused = m->accused,
                                   .incarnation = m->incarnation,
                                   .silent_ns = s->now_ns - m->heard_ns,
                                   .payload = m->payload };
        return ST_OK;
    }
    if (id != s->self)
        return ST_NOT_FOUND;
    *out = (struct swim_view){ .id = id, .incarnation = s->incarnation, .payload = s->payload };
    return ST_OK;
}

uint32_t
swim_member_count(const struct swim *s)
{
    return s->member_count;
}

swim_id
swim_member_id(const struct swim *s, uint32_t index)
{
    ASSERT(index < s->member_count);
    return s->members[index].id;
}

uint32_t
swim_health(const struct swim *s)
{
    return s->health;
}

const struct swim_timing *
swim_timing(const struct swim *s)
{
    return &s->timing;
}

const char *
swim_state_name(enum swim_state state)
{
    static const char *const names[SWIM_STATE_COUNT] = { "healthy", "suspicious", "down", "lost" };

    return names[state];
}
