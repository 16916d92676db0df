/* What we think of a member: from signs of life and accusations to states (S1 to S3). */
#include "base/assert.h"

#include "swim/swim_internal.h"

/* ------------------------------------------------------------------ states */

/* At most once for a member in one step: whoever is acquitted in it has its next edge ahead. */
static void
change(struct swim *s, struct swim_member *m, enum swim_state to)
{
    ASSERT(to == SWIM_HEALTHY || to == m->state + 1); /* S3 */
    ASSERT(s->fx->change_count < SWIM_MEMBERS_MAX);
    s->fx->changes[s->fx->change_count++] =
        (struct swim_change){ .node = m->id, .from = m->state, .to = to };
    m->state = to;
    m->changed_ns = s->now_ns;
}

/* ------------------------------------------------------------------ signs of life */

static void
acquit(struct swim *s, struct swim_member *m)
{
    m->accused = false;
    m->accuser_count = 0;
    m->failed_us = false;
    m->unsure = false;
    if (m->state != SWIM_HEALTHY)
        change(s, m, SWIM_HEALTHY);
}

void
swim__heard(struct swim *s, struct swim_member *m)
{
    m->heard_ns = s->now_ns;
    if (!m->accused)
        return;
    acquit(s, m);
    m->tells = 0; /* that it lives convinces nobody else but with a higher incarnation */
}

void
swim__rose(struct swim *s, struct swim_member *m, uint64_t incarnation, uint64_t at_ns)
{
    bool known = m->incarnation != 0;

    ASSERT(incarnation > m->incarnation); /* S4 */
    m->incarnation = incarnation;
    m->must_rise = false;
    if (at_ns > m->heard_ns)
        m->heard_ns = at_ns;
    acquit(s, m);
    swim__news(s, m, known);
}

/* ------------------------------------------------------------------ accusations */

uint64_t
swim__shortest_window(const struct swim *s)
{
    return s->timing.suspicion_threshold_ns - s->timing.gossip_interval_ns;
}

bool
swim__accuse(struct swim *s, struct swim_member *m, uint64_t unanswered_ns, bool by_gossip)
{
    uint64_t old_at_most = swim__shortest_window(s) / 2;

    if (m->accused)
        return true;
    if (unanswered_ns < m->heard_ns) { /* S5.  It may have died right after that: we ask it */
        m->unsure |= by_gossip && m->probed_ns < m->heard_ns;
        return false;
    }
    m->accused = true;
    m->must_rise = true;
    m->unanswered_ns = unanswered_ns;
    m->doubted_ns = unanswered_ns;
    if (by_gossip && s->now_ns - unanswered_ns > old_at_most)
        m->doubted_ns = s->now_ns - old_at_most;
    return true;
}

void
swim__add_accuser(struct swim *s, struct swim_member *m, swim_id accuser)
{
    ASSERT(m->accused);
    for (uint32_t i = 0; i < m->accuser_count; i++) {
        if (m->accusers[i] == accuser)
            return;
    }
    if (m->accuser_count == SWIM_ACCUSERS_MAX)
        return;
    m->accusers[m->accuser_count++] = accuser;
    swim__news(s, m, true);
}

/* ------------------------------------------------------------------ edges */

/* Which part of the longest window's second half is left, in 1/1000: Lifeguard's
 * 1 - log(confirmed + 1) / log(wanted + 1). */
static uint64_t
doubt_left(uint32_t confirmed, uint32_t wanted)
{
    static const uint16_t left[SWIM_HELPERS + 1][SWIM_HELPERS] = {
        { 0 },
        { 1000 },
        { 1000, 369 },
        { 1000, 500, 208 },
    };

    ASSERT(wanted <= SWIM_HELPERS);
    return confirmed >= wanted ? 0 : left[wanted][confirmed];
}

/* `others`: members whom nobody accuses, who could confirm. */
static uint64_t
window_of(const struct swim *s, const struct swim_member *m, uint32_t others)
{
    uint64_t shortest = swim__shortest_window(s);
    uint64_t longest = s->timing.down_threshold_ns / 2;
    uint32_t confirmed = m->accuser_count - 1;
    uint32_t wanted = confirmed + others;
    uint64_t window;

    if (wanted > SWIM_HELPERS)
        wanted = SWIM_HELPERS;
    window = shortest + shortest / 1000 * doubt_left(confirmed, wanted);
    window *= 1 + s->health;
    if (window > longest)
        window = longest;
    return window > shortest ? window : shortest;
}

/* The beginning of its silence. */
static uint64_t
silent_since(const struct swim *s, const struct swim_member *m)
{
    uint64_t interval = s->timing.gossip_interval_ns;
    uint64_t since = m->doubted_ns > interval ? m->doubted_ns - interval : 0;

    return since > m->heard_ns ? since : m->heard_ns;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* When its next state begins; SWIM_NEVER: not by silence. */
static uint64_t
edge_of(const struct swim *s, const struct swim_member *m, uint32_t others)
{
    if (!m->accused)
        return SWIM_NEVER;
    switch (m->state) {
    case SWIM_HEALTHY:
        return later(silent_since(s, m) + s->timing.suspicion_threshold_ns,
                     m->doubted_ns + window_of(s, m, others));
    case SWIM_SUSPICIOUS:
        return later(silent_since(s, m) + s->timing.down_threshold_ns,
                     m->changed_ns + swim__shortest_window(s));
    case SWIM_DOWN:
        return m->changed_ns + s->timing.permanent_failure_threshold_ns;
    case SWIM_LOST:
    case SWIM_STATE_COUNT:
        break;
    }
    return SWIM_NEVER;
}

static uint32_t
not_accused(const struct swim *s)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->member_count; i++)
        count += !s->members[i].accused;
    return count;
}

void
swim__settle(struct swim *s)
{
    uint32_t others = not_accused(s);

    for (uint32_t i = 0; i < s->member_count; i++) {
        struct swim_member *m = &s->members[i];

        ASSERT(m->accused ? m->accuser_count > 0 : m->state == SWIM_HEALTHY); /* S1 */
        if (edge_of(s, m, others) <= s->now_ns)
            change(s, m, m->state + 1); /* S3 */
    }
}

uint64_t
swim__next_edge(const struct swim *s)
{
    uint32_t others = not_accused(s);
    uint64_t next = SWIM_NEVER;

    for (uint32_t i = 0; i < s->member_count; i++) {
        uint64_t edge = edge_of(s, &s->members[i], others);

        if (edge < next)
            next = edge;
    }
    return next;
}
