/*
 * What placement costs and what it gives: the ring, the ring with a bound, and modulo hashing.
 *
 *      bench_ring [tablets]      a line for each scheme and some numbers of nodes, and what a list takes
 *      bench_ring --csv          the same schemes for every number of nodes; scripts/plot placement draws it
 *
 * Tablets, by default 4096, are of one size and have three replicas; nodes have ordinary weights and no
 * zones.  Each line is the mean of CLUSTERS clusters, `most` and `least` of the worst of them.  Join
 * and leave are the part of all replicas that is carried to another node when one comes to n, or goes
 * of n.  Peers are the other nodes with which a node shares a tablet.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

#include "unit/ring/schemes.h"

enum {
    NODES_MIN = 3,
    NODES_MAX = 100,
    TABLETS = 4096,
    TABLETS_MAX = 1 << 16,
    REPLICAS = 3,
    CLUSTERS = 5,
    LOOKUPS = 1 << 20,
    NS_PER_SECOND = 1000000000,
};

static const struct contender {
    const char *name;
    enum scheme scheme;
    uint32_t slack_permille;
} contenders[] = {
    { "modulo", SCHEME_MODULO, 0 },          { "ring", SCHEME_RING, 0 },
    { "bounded 25 %", SCHEME_BOUNDED, 250 }, { "bounded 10 %", SCHEME_BOUNDED, 100 },
    { "bounded 5 %", SCHEME_BOUNDED, 50 },   { "bounded 0 %", SCHEME_BOUNDED, 0 },
};

enum { CONTENDERS = sizeof(contenders) / sizeof(contenders[0]) };

static struct ring_tablet tablets[TABLETS_MAX];
static uint32_t tablet_count = TABLETS;
static uint64_t before[TABLETS_MAX * REPLICAS];
static uint64_t after[TABLETS_MAX * REPLICAS];

struct row {
    struct balance replicas;
    struct balance leaders;
    double join;
    double leave;
    double leaders_join;
    struct company company;
};

static uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may share the machine */
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------ placement */

static void
add_balance(struct balance *sum, struct balance one)
{
    sum->most = fmax(sum->most, one.most);
    sum->least = fmin(sum->least, one.least);
    sum->deviation += one.deviation / CLUSTERS;
}

static void
add_company(struct company *sum, struct company one)
{
    sum->mean += one.mean / CLUSTERS;
    sum->most = one.most > sum->most ? one.most : sum->most;
}

static void
add_cluster(struct row *row, const struct contender *who, uint32_t nodes, uint64_t seed)
{
    struct ring_bound bound = { .replicas_max = REPLICAS, .slack_permille = who->slack_permille };
    struct cluster large = cluster_of(nodes + 1, 0, seed);
    struct cluster c = large;

    cluster_remove(&c, nodes);
    scheme_place(who->scheme, &c, tablets, tablet_count, &bound, before);
    add_balance(&row->replicas, balance_of_replicas(&c, tablets, tablet_count, REPLICAS, before));
    add_balance(&row->leaders, balance_of_leaders(&c, tablet_count, REPLICAS, before));
    add_company(&row->company, company_of(&c, tablet_count, REPLICAS, before));
    scheme_place(who->scheme, &large, tablets, tablet_count, &bound, after);
    row->join += moved_replicas(before, after, tablet_count, REPLICAS) / CLUSTERS;
    row->leaders_join += moved_leaders(before, after, tablet_count, REPLICAS) / CLUSTERS;
    cluster_remove(&c, 0);
    scheme_place(who->scheme, &c, tablets, tablet_count, &bound, after);
    row->leave += moved_replicas(before, after, tablet_count, REPLICAS) / CLUSTERS;
}

static struct row
measure(const struct contender *who, uint32_t nodes)
{
    struct row row = { .replicas.least = INFINITY, .leaders.least = INFINITY };

    for (uint64_t seed = 1; seed <= CLUSTERS; seed++)
        add_cluster(&row, who, nodes, seed);
    return row;
}

static void
print_csv(void)
{
    printf(
        "nodes,scheme,most,least,deviation,join,leave,leaders_most,leaders_join,peers,peers_most\n");
    for (uint32_t nodes = NODES_MIN; nodes <= NODES_MAX; nodes++) {
        for (uint32_t i = 0; i < CONTENDERS; i++) {
            struct row row = measure(&contenders[i], nodes);

            printf("%" PRIu32 ",%s,%.4f,%.4f,%.4f,%.5f,%.5f,%.4f,%.5f,%.2f,%" PRIu32 "\n", nodes,
                   contenders[i].name, row.replicas.most, row.replicas.least,
                   row.replicas.deviation, row.join, row.leave, row.leaders.most, row.leaders_join,
                   row.company.mean, row.company.most);
        }
    }
}

static void
print_table(void)
{
    static const uint32_t sizes[] = { 3, 5, 10, 20, 50, 100 };

    printf("  %5s  %-13s %6s %6s %9s %8s %8s %13s %14s %6s\n", "nodes", "scheme", "most", "least",
           "deviation", "join", "leave", "leaders most", "leaders moved", "peers");
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint32_t j = 0; j < CONTENDERS; j++) {
            struct row row = measure(&contenders[j], sizes[i]);

            printf("  %5" PRIu32
                   "  %-13s %6.3f %6.3f %9.3f %7.2f%% %7.2f%% %13.3f %13.2f%% %6.1f\n",
                   sizes[i], contenders[j].name, row.replicas.most, row.replicas.least,
                   row.replicas.deviation, 100 * row.join, 100 * row.leave, row.leaders.most,
                   100 * row.leaders_join, row.company.mean);
        }
    }
}

/* ------------------------------------------------------------------ time */

static void
time_ring(uint32_t nodes, uint32_t weight, uint32_t zones)
{
    struct cluster c = cluster_of(nodes, zones, 1);
    struct ring_bound bound = { .replicas_max = REPLICAS, .slack_permille = RING_SLACK_PERMILLE };
    struct ring *ring = NULL;
    uint64_t begun_ns, made_ns, asked_ns, placed_ns;
    uint64_t found = 0;
    enum status st;

    for (uint32_t i = 0; i < nodes; i++)
        c.nodes[i].weight = weight;
    begun_ns = cpu_ns();
    st = ring_create(&ring, c.nodes, c.count, NULL);
    ASSERT(st == ST_OK);
    made_ns = cpu_ns();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        struct ring_choice list[REPLICAS];

        found += ring_prefer(ring, tablets[i % tablet_count].position, REPLICAS, list);
    }
    ASSERT(found == (uint64_t)LOOKUPS * REPLICAS);
    asked_ns = cpu_ns();
    st = ring_place(ring, tablets, tablet_count, &bound, before);
    ASSERT(st == ST_OK);
    placed_ns = cpu_ns();
    printf(
        "  %5" PRIu32 " nodes of %" PRIu32 ", %" PRIu32 " zones: made in %.1f ms, a list of %d in "
        "%.0f ns, %" PRIu32 " tablets placed in %.1f ms\n",
        nodes, weight, zones, (double)(made_ns - begun_ns) / 1e6, REPLICAS,
        (double)(asked_ns - made_ns) / LOOKUPS, tablet_count, (double)(placed_ns - asked_ns) / 1e6);
    ring_destroy(ring);
}

int
main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;

    if (argc > 1 && !csv)
        tablet_count = (uint32_t)strtoul(argv[1], NULL, 10);
    if (tablet_count == 0 || tablet_count > TABLETS_MAX) {
        fprintf(stderr, "bench_ring: from 1 to %d tablets\n", TABLETS_MAX);
        return EXIT_FAILURE;
    }
    tablets_of(tablets, tablet_count, REPLICAS, 1);
    if (csv) {
        print_csv();
        return EXIT_SUCCESS;
    }
    print_table();
    time_ring(3, RING_WEIGHT_DEFAULT, 0);
    time_ring(100, RING_WEIGHT_DEFAULT, 0);
    time_ring(100, RING_WEIGHT_MAX, 0);
    time_ring(100, RING_WEIGHT_MAX, 3);
    return EXIT_SUCCESS;
}
