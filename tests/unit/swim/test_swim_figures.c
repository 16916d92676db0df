/*
 * What failure detection costs and how good it is, measured on virtual time with the thresholds of the
 * design, links of 1 to 5 ms, and payloads of 16 bytes that change every ten seconds; printed as a table, and
 * held to bounds.
 *
 *      test_swim_figures                        in seconds
 *      TEST_MINUTES=60 test_swim_figures        an hour for each row
 */
#include "unit/swim/net.h"
#include "unit/test.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
    WARM_MS = 60000,
    MINUTES = 10,
    DEATHS = 12,         /* for each row of detection */
    DEATH_MS = 60000,    /* until the next one */
    ANNOUNCE_MS = 10000, /* each node, its payload */
    SAMPLES_MAX = DEATHS * NET_NODES_MAX,
    ROW_COUNT = 5,
    LOSS_COUNT = 4,
};

static const uint32_t counts[ROW_COUNT] = { 3, 5, 10, 30, 100 };
static const uint32_t losses[LOSS_COUNT] = { 0, 10, 50, 100 };

static uint32_t
minutes(void)
{
    const char *text = getenv("TEST_MINUTES");

    return text != NULL ? (uint32_t)strtoul(text, NULL, 0) : MINUTES;
}

/* Live for so long, with payloads that change. */
static void
work(struct net *n, uint64_t ms)
{
    static const uint8_t load[16];
    struct swim_event e = { .kind = SWIM_ANNOUNCE, .payload = slice_of(load, sizeof(load)) };
    uint64_t end_ms = net_ms(n) + ms;

    while (net_ms(n) < end_ms) {
        swim_id id = 1 + prng_below(&n->prng, n->node_count);

        if (n->nodes[id].swim != NULL)
            EXPECT_OK(net_event(n, id, e));
        net_run_ms(n, ANNOUNCE_MS / n->node_count);
    }
}

static struct net *
warm(uint64_t seed, uint32_t node_count)
{
    struct net *n = net_create(seed, node_count);

    work(n, WARM_MS);
    for (swim_id id = 1; id <= node_count; id++) {
        n->nodes[id].sent_messages = n->nodes[id].sent_bytes = 0;
        n->nodes[id].most_in_second = 0;
    }
    return n;
}

/* ------------------------------------------------------------------ nobody dies */

struct cost {
    double messages; /* by node and second */
    double bytes;
    uint32_t most_in_second;
};

static struct cost
cost_of(const struct net *n, uint64_t ms)
{
    double scale = 1000.0 / (double)ms / n->node_count;
    struct cost c = { 0 };

    for (swim_id id = 1; id <= n->node_count; id++) {
        c.messages += scale * (double)n->nodes[id].sent_messages;
        c.bytes += scale * (double)n->nodes[id].sent_bytes;
        if (n->nodes[id].most_in_second > c.most_in_second)
            c.most_in_second = n->nodes[id].most_in_second;
    }
    return c;
}

/* Suspicions by node and hour; nobody is ever down. */
static void
measure_peace(uint32_t node_count, uint32_t loss_permille)
{
    struct net *n = warm(node_count + loss_permille, node_count);
    uint64_t ms = minutes() * UINT64_C(60000);
    double suspicions;
    uint32_t down;
    struct cost c;

    n->loss_permille = loss_permille;
    work(n, ms);
    c = cost_of(n, ms);
    down = net_count(n, SWIM_DOWN);
    suspicions = net_count(n, SWIM_SUSPICIOUS) * 3600000.0 / (double)ms / node_count;
    print_message("| %3u | %2u %% | %5.2f | %4u | %5.0f | %.3f | %u |\n", node_count,
                  loss_permille / 10, c.messages, c.most_in_second, c.bytes, suspicions, down);
    EXPECT_U64(down, 0);
    EXPECT(loss_permille > 0 || suspicions == 0);
    EXPECT(suspicions <= 1);
    EXPECT(c.messages <= (loss_permille == 0 ? 2.02 : 5));
    EXPECT(c.most_in_second <= 50);
    EXPECT(c.bytes <= c.messages * SWIM_MESSAGE_BYTES_MAX);
    net_destroy(n);
}

TEST(nobody_who_lives_is_down_and_what_it_costs_does_not_depend_on_how_many_there_are)
{
    print_message(
        "| nodes | loss | messages/node/s | most in 1 s | bytes/node/s | false suspicions/node/h "
        "| false down |\n");
    for (int loss = 0; loss < LOSS_COUNT; loss++) {
        for (int row = 0; row < ROW_COUNT; row++)
            measure_peace(counts[row], losses[loss]);
    }
}

/* ------------------------------------------------------------------ one dies */

struct samples {
    uint32_t count;
    double s[SAMPLES_MAX];
};

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
percentile(struct samples *x, double p)
{
    qsort(x->s, x->count, sizeof(x->s[0]), compare);
    return x->s[(uint32_t)(p * (x->count - 1))];
}

/* When each observer came to think so of the dead one. */
static void
collect(struct net *n, swim_id dead, uint64_t dead_ns, enum swim_state to, struct samples *all,
        struct samples *first)
{
    double least = 1e9;

    for (swim_id id = 1; id <= n->node_count; id++) {
        struct net_opinion *o = net_opinion(n, id, dead);
        double s = (double)(o->since_ns[to] - dead_ns) / 1e9;

        if (id == dead)
            continue;
        EXPECT(o->times[to] > 0 && o->since_ns[to] > dead_ns);
        all->s[all->count++] = s;
        least = s < least ? s : least;
    }
    first->s[first->count++] = least;
}

static void
measure_deaths(uint32_t node_count)
{
    static struct samples suspicious, first_suspicious, down, first_down;
    struct net *n = warm(node_count, node_count);
    struct cost c;

    suspicious.count = first_suspicious.count = down.count = first_down.count = 0;
    for (int i = 0; i < DEATHS; i++) {
        swim_id dead = 1 + prng_below(&n->prng, node_count);
        uint64_t dead_ns;

        work(n, prng_below(&n->prng, 2000));
        dead_ns = n->now_ns;
        net_crash(n, dead);
        work(n, DEATH_MS);
        collect(n, dead, dead_ns, SWIM_SUSPICIOUS, &suspicious, &first_suspicious);
        collect(n, dead, dead_ns, SWIM_DOWN, &down, &first_down);
        net_start(n, dead);
        work(n, DEATH_MS);
        EXPECT(net_all_healthy(n));
    }
    c = cost_of(n, net_ms(n));
    print_message("| %3u | %4.1f | %4.1f | %4.1f | %4.1f | %4.1f | %4.1f | %4.1f | %4.1f | %3u |\n",
                  node_count, percentile(&first_suspicious, 0.5), percentile(&suspicious, 0.5),
                  percentile(&suspicious, 0.99), percentile(&suspicious, 1),
                  percentile(&first_down, 0.5), percentile(&down, 0.5), percentile(&down, 0.99),
                  percentile(&down, 1), c.most_in_second);
    /* The first probe that was not answered may have been sent just before the death. */
    EXPECT(percentile(&first_suspicious, 0) >= 3.99);
    EXPECT(percentile(&suspicious, 1) <= 15);
    EXPECT(percentile(&first_down, 0) >= 28.99);
    EXPECT(percentile(&down, 1) <= 40);
    net_destroy(n);
}

TEST(a_dead_node_is_seen_in_time_by_everybody)
{
    print_message(
        "| nodes | suspicious: first, median | median | p99 | last | down: first, median | median "
        "| p99 | last | most messages in 1 s |\n");
    for (int row = 0; row < ROW_COUNT; row++)
        measure_deaths(counts[row]);
}

TEST_MAIN(RUN(nobody_who_lives_is_down_and_what_it_costs_does_not_depend_on_how_many_there_are),
          RUN(a_dead_node_is_seen_in_time_by_everybody))
