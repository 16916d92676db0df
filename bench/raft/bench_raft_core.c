/*
 * What the core of consensus costs: three members in one process, messages carried by hand, and
 * everything durable as soon as it is in the log.
 *
 *      bench_raft_core [seconds]         for each repetition of each row; default 0.5
 *
 * A round is a batch of proposals of 100 bytes, one message with all of them to each follower, their
 * acknowledgements, the commitment, and that it is applied.  Time is the processor's.  No step may
 * allocate: the program fails when one does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/mem.h"

#include "raft/raft.h"

enum {
    MEMBERS = 3,
    ENTRY_BYTES = 100,
    BATCH_MAX = 128,
    MESSAGES_MAX = 256,
    ROW_COUNT = 3,
    REPETITIONS = 5,
    ROUND_NS = 100000, /* of the group's time */
    TICK_NS = 10000000,
    CLOCK_EVERY = 64, /* rounds */
    NS_PER_SECOND = 1000000000,
};

static const uint32_t batches[ROW_COUNT] = { 1, 16, BATCH_MAX };

struct member {
    struct raft *raft;
    uint64_t ticket; /* the last that its log was given; durable as soon as it is reported */
    uint64_t reported;
    raft_index applied;
};

struct core {
    struct member members[MEMBERS];
    struct raft_effects fx;
    struct raft_message mail[MESSAGES_MAX]; /* a ring: on their way */
    uint32_t mail_first;
    uint32_t mail_count;
    uint64_t now_ns;
    uint64_t ticked_ns;
    uint64_t steps;
};

static uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may share the machine */
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------ the group */

static void
step(struct core *c, struct member *m, struct raft_event event)
{
    enum status st;

    event.now_ns = c->now_ns;
    st = raft_step(m->raft, &event, &c->fx);
    ASSERT(st == ST_OK);
    c->steps++;
    if (c->fx.ticket != 0)
        m->ticket = c->fx.ticket;
    for (uint32_t i = 0; i < c->fx.message_count; i++) {
        ASSERT(c->mail_count < MESSAGES_MAX);
        c->mail[(c->mail_first + c->mail_count++) % MESSAGES_MAX] = c->fx.messages[i];
    }
}

static void
report_durable(struct core *c, struct member *m)
{
    while (m->reported != m->ticket) {
        m->reported = m->ticket;
        step(c, m, (struct raft_event){ .kind = RAFT_PERSISTED, .ticket = m->ticket });
    }
}

static void
apply(struct core *c, struct member *m)
{
    raft_index limit = raft_applicable(m->raft);
    uint64_t bytes = (limit - m->applied) * ENTRY_BYTES;

    if (limit == m->applied)
        return;
    m->applied = limit;
    step(c, m, (struct raft_event){ .kind = RAFT_APPLIED, .index = limit, .bytes = bytes });
    step(c, m, (struct raft_event){ .kind = RAFT_COMPACTED, .index = limit });
}

static void
deliver(struct core *c)
{
    while (c->mail_count > 0) {
        struct raft_message message = c->mail[c->mail_first];
        struct member *to = &c->members[message.to - 1];

        c->mail_first = (c->mail_first + 1) % MESSAGES_MAX;
        c->mail_count--;
        step(c, to, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &message });
        report_durable(c, to);
    }
}

/* What the followers lack, as a driver sends it: with the entries. */
static void
replicate(struct core *c, struct member *leader)
{
    struct raft_append append;

    while (raft_next_append(leader->raft, &append)) {
        struct raft_entry entries[2 * BATCH_MAX];
        struct raft_message message = append.message;
        struct member *to = &c->members[message.to - 1];

        message.entries = entries;
        for (raft_index i = append.first; i <= append.last; i++) {
            struct raft_entry *e = &entries[message.entry_count++];

            ASSERT(message.entry_count <= 2 * BATCH_MAX);
            *e = (struct raft_entry){ .term = message.term };
            e->kind = i == raft_term_first(leader->raft) ? RAFT_NOOP : RAFT_DATA;
        }
        message.flow.bytes += message.entry_count * (uint64_t)ENTRY_BYTES;
        raft_sent(leader->raft, &append, append.last, message.entry_count * (uint64_t)ENTRY_BYTES);
        step(c, to, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &message });
        report_durable(c, to);
    }
}

static void
let_time_pass(struct core *c)
{
    c->now_ns += ROUND_NS;
    if (c->now_ns - c->ticked_ns < TICK_NS)
        return;
    c->ticked_ns = c->now_ns;
    for (uint32_t i = 0; i < MEMBERS; i++)
        step(c, &c->members[i], (struct raft_event){ .kind = RAFT_TICK, .dice = i });
    deliver(c);
}

static void
propose(struct core *c, uint32_t batch)
{
    struct member *leader = &c->members[0];
    raft_index last;

    let_time_pass(c);
    for (uint32_t i = 0; i < batch; i++)
        step(c, leader, (struct raft_event){ .kind = RAFT_PROPOSE, .bytes = ENTRY_BYTES });
    last = raft_last(leader->raft);
    replicate(c, leader);
    report_durable(c, leader);
    deliver(c);
    for (uint32_t i = 0; i < MEMBERS; i++)
        apply(c, &c->members[i]);
    ASSERT(leader->applied == last);
}

static void
start(struct core *c)
{
    struct raft_options options;

    raft_options_default(&options);
    options.config.voter_count = MEMBERS;
    for (uint32_t i = 0; i < MEMBERS; i++)
        options.config.voters[i] = i + 1;
    options.now_ns = c->now_ns;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        options.self = i + 1;
        if (raft_create(&c->members[i].raft, &options) != ST_OK)
            abort();
    }
    step(c, &c->members[0], (struct raft_event){ .kind = RAFT_CAMPAIGN });
    deliver(c);
    ASSERT(raft_role(c->members[0].raft) == RAFT_LEADER);
}

/* ------------------------------------------------------------------ rows */

struct sample {
    double ns_per_proposal;
    double steps_per_proposal;
};

static struct sample
measure(struct core *c, uint32_t batch, double seconds)
{
    uint64_t first_step = c->steps;
    uint64_t begun_ns = cpu_ns();
    uint64_t passed_ns = 0;
    uint64_t rounds = 0;

    while ((double)passed_ns < seconds * NS_PER_SECOND) {
        for (uint32_t i = 0; i < CLOCK_EVERY; i++)
            propose(c, batch);
        rounds += CLOCK_EVERY;
        passed_ns = cpu_ns() - begun_ns;
    }
    return (struct sample){
        .ns_per_proposal = (double)passed_ns / (double)(rounds * batch),
        .steps_per_proposal = (double)(c->steps - first_step) / (double)(rounds * batch),
    };
}

static int
by_time(const void *a, const void *b)
{
    double x = ((const struct sample *)a)->ns_per_proposal;
    double y = ((const struct sample *)b)->ns_per_proposal;

    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    static struct core core = { .now_ns = NS_PER_SECOND };
    static struct sample samples[ROW_COUNT][REPETITIONS];
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    struct mem_heap heap = { 0 };
    uint64_t created;
    uint64_t steps;

    (void)mem_heap_enter(&heap);
    start(&core);
    created = heap.allocation;
    steps = core.steps;
    for (uint32_t i = 0; i < REPETITIONS * ROW_COUNT; i++)
        samples[i % ROW_COUNT][i / ROW_COUNT] = measure(&core, batches[i % ROW_COUNT], seconds);
    steps = core.steps - steps;

    printf("  %-10s %14s %16s %16s\n", "batch", "proposals/s", "ns a proposal", "steps for each");
    for (uint32_t row = 0; row < ROW_COUNT; row++) {
        const struct sample *median = &samples[row][REPETITIONS / 2];

        qsort(samples[row], REPETITIONS, sizeof(samples[row][0]), by_time);
        printf("  %-10" PRIu32 " %14.0f %16.0f %16.2f\n", batches[row],
               NS_PER_SECOND / median->ns_per_proposal, median->ns_per_proposal,
               median->steps_per_proposal);
    }
    printf("  %" PRIu64 " allocations in %" PRIu64 " steps\n", heap.allocation - created, steps);
    for (uint32_t i = 0; i < MEMBERS; i++)
        raft_destroy(core.members[i].raft);
    (void)mem_heap_enter(NULL);
    return heap.allocation == created ? EXIT_SUCCESS : EXIT_FAILURE;
}
