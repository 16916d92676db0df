/*
 * What groups cost that have nothing to do: three whole nodes on virtual time, each a member of every
 * group, and no traffic.
 *
 *      bench_idle_groups [seconds]       of virtual time that is measured; default 60
 *
 * Memory is what a node holds of its heap, beyond what it holds with one group.  Processor time is that of
 * the whole simulation, for one node; its frame, with one group, is what an idle node costs there.
 * Messages are frames of one node to one other: they are to be those of one heartbeat for each pair, however
 * many groups there are.  The program fails when they are not, or a group takes more than GROUP_BYTES_MAX.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/log.h"

#include "kv/kv_internal.h"
#include "peer/peer_internal.h"
#include "simenv/simenv.h"

enum {
    NODES = 3,
    LOOPS = 2,
    PEER_PORT = 7000,
    ROW_COUNT = 3,
    SETTLE_MS = 60000, /* elections, flushes, the files of idle trees */
    GROUP_BYTES_MAX = 8 << 10,
    NS_PER_SECOND = 1000000000,
};

static const uint32_t groups[ROW_COUNT] = { 1, 100, 1000 };

struct world {
    struct sim *sim;
    uint32_t groups;
    struct kv *kv[NODES + 1]; /* by id */
};

struct row {
    double bytes;             /* of a node's heap */
    double blocks;            /* that it has */
    double cpu_us_per_second; /* of a node, for a second of virtual time */
    double messages_per_second;
    uint32_t asleep; /* groups of all nodes that are quiescent in the end */
};

static double
cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may share the machine */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ------------------------------------------------------------------ the nodes */

struct booting {
    struct world *world;
    uint32_t node;
    enum status status;
    struct err err;
};

static void
boot_body(void *ctx)
{
    static const struct kv_node nodes[NODES] = { { 1, "10.0.0.1", PEER_PORT },
                                                 { 2, "10.0.0.2", PEER_PORT },
                                                 { 3, "10.0.0.3", PEER_PORT } };
    static const uint64_t founders[NODES] = { 1, 2, 3 };
    struct booting *b = ctx;
    struct kv_cluster cluster = { .nodes = nodes,
                                  .node_count = NODES,
                                  .founders = founders,
                                  .founder_count = NODES,
                                  .keyspace_count = b->world->groups };
    struct engine_options options;
    struct loop *loops[LOOPS];
    struct kv_options kv_options = {
        .loops = loops, .loop_count = LOOPS, .node_name = "idle", .cluster = &cluster
    };
    struct engine *engine = NULL;

    for (uint32_t i = 0; i < LOOPS; i++)
        loops[i] = sim_loop(b->world->sim, b->node, i);
    engine_options_default(&options);
    options.dir = "data";
    options.segment_bytes = 1 << 20; /* the simulator's disk lies in memory */
    options.loops = loops;
    options.loop_count = LOOPS;
    options.create = true;
    options.node = b->node;
    memset(options.cluster, 1, sizeof(options.cluster));
    b->status = engine_open(&engine, loop_env(loops[0]), &options, &b->err);
    if (b->status == ST_OK)
        b->status = kv_open(&b->world->kv[b->node], engine, &kv_options, &b->err);
}

static void
boot(struct world *w, uint32_t node)
{
    struct booting b = { .world = w, .node = node };

    (void)sim_boot(w->sim, node, LOOPS);
    if (!sim_call(w->sim, node, boot_body, &b) || b.status != ST_OK) {
        fprintf(stderr, "bench_idle_groups: node %" PRIu32 " does not start: %s\n", node,
                b.err.text);
        exit(EXIT_FAILURE);
    }
}

/* ------------------------------------------------------------------ looking */

/* Frames that the node's loops have sent to the other. */
static uint64_t
sent(const struct world *w, uint32_t node, uint32_t other)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < LOOPS; i++) {
        const struct peer *p = w->kv[node]->doors[i].reactor.peer;

        count += peer__find(p, other)->outbox.number;
    }
    return count;
}

static uint64_t
sent_by_all(const struct world *w)
{
    uint64_t count = 0;

    for (uint32_t from = 1; from <= NODES; from++) {
        for (uint32_t to = 1; to <= NODES; to++)
            count += from == to ? 0 : sent(w, from, to);
    }
    return count;
}

static uint32_t
asleep(const struct world *w)
{
    uint32_t count = 0;

    for (uint32_t node = 1; node <= NODES; node++) {
        for (uint32_t i = 0; i < w->groups; i++)
            count += raft_is_quiesced(tablet_raft(kv_tablet(w->kv[node], i)));
    }
    return count;
}

static struct row
measure(uint32_t group_count, uint32_t seconds)
{
    struct world w = { .sim = sim_create(1), .groups = group_count };
    struct row row = { 0 };
    uint64_t sent_before;
    double begun_us;

    ASSERT(w.sim != NULL);
    for (uint32_t node = 1; node <= NODES; node++)
        boot(&w, node);
    sim_run_ms(w.sim, SETTLE_MS);

    sent_before = sent_by_all(&w);
    begun_us = cpu_us();
    sim_run_ms(w.sim, (uint64_t)seconds * 1000);
    row.cpu_us_per_second = (cpu_us() - begun_us) / NODES / seconds;
    row.messages_per_second =
        (double)(sent_by_all(&w) - sent_before) / (NODES * (NODES - 1)) / seconds;
    for (uint32_t node = 1; node <= NODES; node++) {
        row.bytes += (double)sim_heap(w.sim, node)->byte_count / NODES;
        row.blocks += (double)sim_heap(w.sim, node)->block_count / NODES;
    }
    row.asleep = asleep(&w);
    sim_destroy(w.sim);
    return row;
}

int
main(int argc, char **argv)
{
    uint32_t seconds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 60;
    static const struct log_sink errors = { .level =
                                                LOG_ERROR }; /* they call whom is not yet there */
    struct row first = { 0 };
    bool good = true;

    log_set_sink(&errors);
    printf("  %-7s %10s %14s %16s %16s %18s\n", "groups", "asleep", "bytes of each",
           "blocks of each", "cpu us a second", "messages a second");
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        struct row row = measure(groups[i], seconds);
        double more = groups[i] > groups[0] ? groups[i] - groups[0] : 1;
        double bytes;

        if (i == 0)
            first = row;
        bytes = (row.bytes - first.bytes) / more;
        printf("  %-7" PRIu32 " %10" PRIu32 " %14.0f %16.1f %16.1f %18.1f\n", groups[i],
               row.asleep / NODES, bytes, (row.blocks - first.blocks) / more, row.cpu_us_per_second,
               row.messages_per_second);
        good &= bytes <= GROUP_BYTES_MAX && row.messages_per_second < 1.1 * 1000 / TABLET_TICK_MS;
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
