/*
 * What lies between two nodes: delays, a rate, cuts.
 *
 * Only directions that a test has set have a struct sim_path; all others, and
 * what goes to and from clients, are as sim_link_default() says.
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

enum {
    DELAY_US_MIN = 20,
    DELAY_US_MAX = 320,
    BREAK_MS = 15 * 60 * 1000, /* about what Linux takes to give up */
    NS_PER_S = 1000 * SIM_NS_PER_MS,
};

struct sim_link
sim_link_default(void)
{
    return (struct sim_link){ .delay_us_min = DELAY_US_MIN,
                              .delay_us_max = DELAY_US_MAX,
                              .break_ms = BREAK_MS };
}

static struct sim_path *
path_if_set(const struct sim *w, uint32_t from, uint32_t to)
{
    struct sim_node *node = w->nodes[from];

    if (from == 0 || to == 0 || node == NULL || node->paths == NULL)
        return NULL;
    return &node->paths[to];
}

static struct sim_path *
path_to_set(struct sim *w, uint32_t from, uint32_t to)
{
    struct sim_node *node = sim__node(w, from);

    ASSERT(to >= 1 && to <= SIM_NODES_MAX);
    if (node->paths == NULL) {
        node->paths = sim__alloc((SIM_NODES_MAX + 1) * sizeof(struct sim_path));
        for (uint32_t id = 1; id <= SIM_NODES_MAX; id++)
            node->paths[id].link = sim_link_default();
    }
    return &node->paths[to];
}

struct sim_link
sim__link_between(const struct sim *w, uint32_t from, uint32_t to)
{
    const struct sim_path *path = path_if_set(w, from, to);

    return path != NULL ? path->link : sim_link_default();
}

bool
sim__link_passes(const struct sim *w, uint32_t from, uint32_t to)
{
    if (from == 0 || to == 0)
        return true;
    if (w->nodes[to] == NULL || w->nodes[to]->off)
        return false;
    return !sim__link_between(w, from, to).cut;
}

/* When the last of them leaves: behind what was sent before. */
static uint64_t
departure(struct sim *w, struct sim_path *path, size_t bytes)
{
    uint64_t rate = path != NULL ? path->link.bytes_per_s : 0;

    if (rate == 0)
        return w->now_ns;
    if (path->free_at_ns < w->now_ns)
        path->free_at_ns = w->now_ns;
    path->free_at_ns += bytes * NS_PER_S / rate;
    return path->free_at_ns;
}

uint64_t
sim__link_arrival(struct sim *w, uint32_t from, uint32_t to, size_t bytes)
{
    struct sim_link link = sim__link_between(w, from, to);
    uint64_t queued_ns = departure(w, path_if_set(w, from, to), bytes) - w->now_ns;
    uint64_t spread_ns = (uint64_t)(link.delay_us_max - link.delay_us_min) * SIM_NS_PER_US;

    return queued_ns + (uint64_t)link.delay_us_min * SIM_NS_PER_US + sim__soon(w, spread_ns);
}

/* TCP doubles its intervals: the longer it has waited, the longer it may still. */
uint64_t
sim__link_retry(struct sim *w, uint64_t since_ns)
{
    uint64_t waited_ns = w->now_ns - since_ns;
    uint64_t most_ns = (uint64_t)SIM_RETRY_MS_MAX * SIM_NS_PER_MS;

    return sim__soon(w, waited_ns < most_ns ? waited_ns : most_ns);
}

void
sim__links_changed(struct sim *w)
{
    list_each (link, &w->connections)
        sim__connection_retry(container_of(link, struct sim_connection, link));
    for (uint32_t id = 1; id <= SIM_NODES_MAX; id++) {
        if (w->nodes[id] != NULL)
            sim__connectors_retry(w->nodes[id]);
    }
}

/* ------------------------------------------------------------------ for tests */

void
sim_net_set(struct sim *w, uint32_t from, uint32_t to, const struct sim_link *link)
{
    ASSERT(link->delay_us_min <= link->delay_us_max);
    path_to_set(w, from, to)->link = *link;
    sim__links_changed(w);
}

struct sim_link
sim_net_get(struct sim *w, uint32_t from, uint32_t to)
{
    return path_to_set(w, from, to)->link;
}

static void
set_cut(struct sim *w, uint32_t from, uint32_t to, bool cut)
{
    path_to_set(w, from, to)->link.cut = cut;
    sim__links_changed(w);
}

void
sim_net_cut(struct sim *w, uint32_t from, uint32_t to)
{
    set_cut(w, from, to, true);
}

void
sim_net_heal(struct sim *w, uint32_t from, uint32_t to)
{
    set_cut(w, from, to, false);
}
