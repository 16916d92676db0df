/*
 * What time it is on a machine, and whether it has any for its code.
 *
 *      boot clock = boot_zero + world time + drift since drift_from
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

enum { MILLION = 1000 * 1000 };

#define BOOT_CLOCK_MAX_NS (UINT64_C(3600) * 1000 * SIM_NS_PER_MS)
#define START_WALL_MS     UINT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

/* A machine's boot clock starts anew with the machine, and no two agree. */
void
sim__boot_clock_restart(struct sim_node *node)
{
    struct sim *w = node->world;

    node->boot_zero_ns = prng_below(&w->prng, BOOT_CLOCK_MAX_NS) + SIM_NS_PER_MS - w->now_ns;
    node->drift_from_ns = w->now_ns;
}

/* Modulo 2^64: a slow clock has a negative one. */
static uint64_t
drift_ns(const struct sim_node *node)
{
    int64_t passed = (int64_t)(node->world->now_ns - node->drift_from_ns);

    return (uint64_t)(passed / MILLION * node->drift_ppm +
                      passed % MILLION * node->drift_ppm / MILLION);
}

uint64_t
sim__boot_ns(const struct sim_node *node)
{
    return node->boot_zero_ns + node->world->now_ns + drift_ns(node);
}

uint64_t
sim__wall_ms(const struct sim_node *node)
{
    uint64_t passed_ms = (node->world->now_ns - SIM_START_NS) / SIM_NS_PER_MS;

    return START_WALL_MS + passed_ms + (uint64_t)node->wall_offset_ms;
}

uint64_t
sim__world_ns(const struct sim_node *node, uint64_t own_ns)
{
    uint32_t rate = (uint32_t)(MILLION + node->drift_ppm);

    if (node->drift_ppm == 0)
        return own_ns;
    return own_ns / rate * MILLION + (own_ns % rate * MILLION + rate - 1) / rate + 1;
}

void
sim_jump_clock(struct sim *w, uint32_t id, int64_t ms)
{
    sim__node(w, id)->wall_offset_ms += ms;
}

void
sim_drift_clock(struct sim *w, uint32_t id, int32_t ppm)
{
    struct sim_node *node = sim__node(w, id);

    ASSERT(ppm >= -SIM_DRIFT_PPM_MAX && ppm <= SIM_DRIFT_PPM_MAX);
    node->boot_zero_ns += drift_ns(node);
    node->drift_from_ns = w->now_ns;
    node->drift_ppm = ppm;
}

void
sim_pause(struct sim *w, uint32_t id, uint64_t ms)
{
    struct sim_node *node = sim__node(w, id);
    uint64_t until = w->now_ns + ms * SIM_NS_PER_MS;

    ASSERT(w->current == NULL && node->running);
    if (until > node->paused_until_ns)
        node->paused_until_ns = until;
}

bool
sim_paused(struct sim *w, uint32_t id)
{
    return sim__node(w, id)->paused_until_ns > w->now_ns;
}

bool
sim__postpone(struct sim_node *node, struct sim_event *e)
{
    if (node->paused_until_ns <= node->world->now_ns)
        return false;
    sim__schedule(node->world, e, node->paused_until_ns);
    return true;
}
