#include "unit/swim/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define MS_PER_S UINT64_C(1000)

enum {
    WARM_MS = 60000,
    DEATH_MS = 60000,
    ANNOUNCE_MS = 10000,
    DRAWN_MS = 2000, /* a death comes at any moment of a round of probes */
};

static bool
lives(const struct net *n, swim_id id)
{
    return n->nodes[id].swim != NULL;
}

static void
work(struct net *n, uint64_t ms)
{
    static const uint8_t load[16];
    struct swim_event e = { .kind = SWIM_ANNOUNCE, .payload = slice_of(load, sizeof(load)) };
    uint64_t end_ms = net_ms(n) + ms;

    while (net_ms(n) < end_ms) {
        swim_id id = 1 + prng_below(&n->prng, n->node_count);
        enum status st = lives(n, id) ? net_event(n, id, e) : ST_OK;

        ASSERT(st == ST_OK);
        net_run_ms(n, ANNOUNCE_MS / n->node_count);
    }
}

static struct net *
warm(const struct figures_setting *s)
{
    struct net *n = net_create(s->seed, s->node_count);

    n->loss_permille = s->loss_permille;
    work(n, WARM_MS);
    for (swim_id id = 1; id <= n->node_count; id++) {
        n->nodes[id].sent_messages = n->nodes[id].sent_bytes = 0;
        n->nodes[id].most_in_second = 0;
    }
    (void)net_count(n, SWIM_SUSPICIOUS);
    (void)net_count(n, SWIM_DOWN);
    return n;
}

static uint32_t
most_in_second(const struct net *n)
{
    uint32_t most = 0;

    for (swim_id id = 1; id <= n->node_count; id++) {
        if (n->nodes[id].most_in_second > most)
            most = n->nodes[id].most_in_second;
    }
    return most;
}

/* ------------------------------------------------------------------ nobody dies */

struct figures_cost
figures_peace(const struct figures_setting *s, uint32_t minutes)
{
    struct net *n = warm(s);
    double seconds = 60.0 * minutes;
    struct figures_cost c = { 0 };

    work(n, minutes * 60 * MS_PER_S);
    for (swim_id id = 1; id <= n->node_count; id++) {
        c.messages += (double)n->nodes[id].sent_messages / seconds / n->node_count;
        c.bytes += (double)n->nodes[id].sent_bytes / seconds / n->node_count;
    }
    c.most_in_second = most_in_second(n);
    c.suspicions = net_count(n, SWIM_SUSPICIOUS) * 3600 / seconds / n->node_count;
    c.downs = net_count(n, SWIM_DOWN);
    net_destroy(n);
    return c;
}

/* ------------------------------------------------------------------ one after the other dies */

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
sort_edges(struct figures_edges *e)
{
    qsort(e->s, e->count, sizeof(e->s[0]), compare);
    qsort(e->first_s, e->death_count, sizeof(e->first_s[0]), compare);
    qsort(e->last_s, e->death_count, sizeof(e->last_s[0]), compare);
}

/* When each observer came to think so of the dead one, last. */
static void
collect(struct net *n, swim_id dead, uint64_t dead_ns, enum swim_state to, struct figures_edges *e)
{
    double first = INFINITY;
    double last = 0;

    for (swim_id id = 1; id <= n->node_count; id++) {
        const struct net_opinion *o = net_opinion(n, id, dead);
        double s = (double)(o->since_ns[to] - dead_ns) / 1e9;

        if (id == dead)
            continue;
        if (o->times[to] == 0 || o->since_ns[to] <= dead_ns) {
            e->unseen++;
            continue;
        }
        ASSERT(e->count < FIGURES_EDGES_MAX);
        e->s[e->count++] = s;
        first = fmin(first, s);
        last = fmax(last, s);
    }
    e->first_s[e->death_count] = first;
    e->last_s[e->death_count++] = last;
}

static void
one_death(struct net *n, struct figures_deaths *out)
{
    swim_id dead = 1 + prng_below(&n->prng, n->node_count);
    uint32_t rightly = out->down.count;
    uint64_t dead_ns;
    uint32_t downs;

    work(n, prng_below(&n->prng, DRAWN_MS));
    while (!net_all_healthy(n)) /* where messages are lost, somebody may be suspicious */
        work(n, MS_PER_S);
    out->downs += net_count(n, SWIM_DOWN);
    dead_ns = n->now_ns;
    net_crash(n, dead);
    work(n, DEATH_MS);
    collect(n, dead, dead_ns, SWIM_SUSPICIOUS, &out->suspicious);
    collect(n, dead, dead_ns, SWIM_DOWN, &out->down);
    rightly = out->down.count - rightly;
    downs = net_count(n, SWIM_DOWN);
    ASSERT(downs >= rightly);
    out->downs += downs - rightly;
    net_start(n, dead);
    work(n, DEATH_MS);
    ASSERT(n->loss_permille > 0 || net_all_healthy(n));
}

void
figures_deaths(const struct figures_setting *s, uint32_t deaths, struct figures_deaths *out)
{
    struct net *n = warm(s);

    ASSERT(deaths <= FIGURES_DEATHS_MAX);
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < deaths; i++)
        one_death(n, out);
    while (!net_all_healthy(n))
        work(n, MS_PER_S);
    out->downs += net_count(n, SWIM_DOWN);
    out->most_in_second = most_in_second(n);
    net_destroy(n);
    sort_edges(&out->suspicious);
    sort_edges(&out->down);
}

double
figures_part(const double *values, uint32_t count, double part)
{
    ASSERT(count > 0 && part >= 0 && part <= 1);
    return values[(uint32_t)(part * (count - 1))];
}
