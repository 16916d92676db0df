/*
 * sim/setup.h — what a run is made of, drawn from its seed: options of the engine, reactors, clients.
 *
 * Memtables, tables and segments are small, so that in a minute there are flushes, compactions and
 * recycled segments.
 */
#ifndef SIM_SETUP_H
#define SIM_SETUP_H

#include "base/broken.h"

#include "engine/engine.h"
#include "sim/plan.h"
#include "sim/workload.h"
#include "tablet/request.h"

/* Does the cluster form itself, by joining, or is each node told of all at its start? */
enum trial_formed { TRIAL_FORMED_DRAWN, TRIAL_FORMED, TRIAL_FIXED };

/* What the user asks for. */
struct trial_options {
    uint64_t seed;
    uint32_t nodes;
    uint64_t ms; /* of the part with faults */
    unsigned faults;
    const struct workload *workload; /* NULL: drawn */
    uint32_t rate;                   /* operations per second; 0: drawn, and it changes */
    uint32_t callers;                /* 0: drawn */
    uint64_t ops_max;                /* the part with faults ends after so many; 0: no limit */
    struct picks only;               /* of the plan's actions */
    const char *history_path;        /* NULL: not written; borrowed, as the two that follow */
    const char *trace_path;
    enum broken broken; /* a mistake that is put back, in a build that has them: likewise */
    enum trial_formed formed;
    const char *ignore_sync; /* fsyncs of such files do nothing: a test of the tests */
};

/* One node, two minutes, all faults; everything else drawn. */
void trial_options_default(struct trial_options *options);

/* The command that runs exactly this again. */
MUST_USE enum status trial_command(const struct trial_options *options, struct buf *out);

enum { SETUP_CALLERS_MAX = 32, SETUP_LOOPS_MAX = 2, SETUP_FORMED_NODES_MIN = 3 };

struct setup {
    uint64_t seed;
    uint32_t nodes;
    uint32_t lease_percent; /* of several nodes; 0: reads ask the others */
    bool forwards;          /* nodes answer what they do not lead, too; else clients follow hints */
    bool formed; /* one node begins the cluster, others join it within a while; nodes come and go */
    uint32_t keyspace; /* that clients use; of a formed cluster perhaps one of several tablets */
    bool ranges;       /* ... that are of keys, not of slots; then there is one at first */
    bool impatient;    /* who is silent is soon given up */
    unsigned founders; /* the group's first voters, a bit (1 << id) each */
    uint32_t
        readers;  /* so many only read: who writes is soon stuck with a leader that is cut off */
    bool sunders; /* in some phases clients reach a part of the nodes only (sim/season.h) */
    bool retries; /* clients have an identity, and repeat writes whose outcome they do not know */
    const struct workload *workload;
    uint32_t callers;
    uint32_t rate;  /* 0: it changes */
    uint32_t loops; /* of each node */
    enum durability durability;
    uint32_t latency_us; /* of the disks */
    uint32_t cold_percent;
    struct engine_options engine;
};

void setup_draw(struct setup *setup, const struct trial_options *options);

/* The faults that go with it.  ST_NO_MEMORY. */
MUST_USE enum status setup_plan(const struct setup *setup, const struct trial_options *options,
                                struct plan *out);

/* When it is first started, after the run has begun: those who join come one by one. */
uint64_t setup_arrival_ms(const struct setup *setup, uint32_t node);

/* Some power cuts lose writes of lesser classes that were acknowledged. */
static inline bool
setup_is_durable(const struct setup *setup)
{
    return setup->durability == DURABILITY_ALWAYS;
}

#endif
