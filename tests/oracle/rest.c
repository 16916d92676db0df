#include "oracle/rest.h"

#include "base/assert.h"
#include "base/hash.h"

enum { ROUNDS_MAX = 64 };

static void
settle(struct group *g, struct node *n)
{
    uint64_t before;

    do {
        before = g->step;
        group_sync(g, n);
        group_install(g, n);
        group_apply(g, n);
        group_send_appends(g, n);
    } while (g->step != before);
}

static bool
goes_first(const struct packet *a, const struct packet *b)
{
    if (a->due_ns != b->due_ns)
        return a->due_ns < b->due_ns;
    return a->message.to < b->message.to;
}

static uint32_t
oldest_packet(const struct group *g)
{
    uint32_t oldest = 0;

    for (uint32_t i = 1; i < g->packet_count; i++) {
        if (goes_first(&g->packets[i], &g->packets[oldest]))
            oldest = i;
    }
    return oldest;
}

static void
deliver(struct group *g)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        if (g->nodes[i].up)
            settle(g, &g->nodes[i]);
    }
    while (g->packet_count > 0) {
        uint32_t packet = oldest_packet(g);
        struct node *n = group_node(g, g->packets[packet].message.to);

        g->now_ns++; /* so that what is sent now is younger */
        group_deliver(g, packet);
        if (n->up)
            settle(g, n);
    }
}

/* Whatever the two sides are compared by. */
static uint64_t
fingerprint(struct group *g)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct raft *r = g->nodes[i].raft;
        uint64_t words[7] = { sum };

        if (g->nodes[i].up) {
            words[1] = raft_role(r);
            words[2] = raft_hard(r).term;
            words[3] = raft_hard(r).vote;
            words[4] = raft_leader(r);
            words[5] = raft_commit(r);
            words[6] = raft_last(r);
        }
        sum = hash64(slice_of(words, sizeof(words)));
        for (raft_id id = 1; g->nodes[i].up && id <= g->node_count; id++) {
            struct raft_progress_view p;

            if (raft_progress_of(r, id, &p) == ST_OK)
                sum = sum * 31 + p.match;
        }
    }
    return sum;
}

/* At rest, a snapshot under way has been lost. */
static void
give_up_snapshots(struct group *g, struct node *n)
{
    for (raft_id id = 1; id <= g->node_count; id++) {
        struct raft_progress_view p;

        if (raft_progress_of(n->raft, id, &p) == ST_OK && p.state == RAFT_SNAPSHOT)
            (void)group_step(g, n, (struct raft_event){ .kind = RAFT_SNAPSHOT_SENT, .node = id });
    }
}

/* A round of reads is a round of heartbeats for which no time has to pass. */
static void
beat(struct group *g)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        struct node *n = &g->nodes[i];

        if (!n->up || raft_role(n->raft) != RAFT_LEADER)
            continue;
        give_up_snapshots(g, n);
        (void)group_step(g, n, (struct raft_event){ .kind = RAFT_READ });
    }
}

void
rest_reach(struct group *g)
{
    uint64_t before = 0;

    deliver(g);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        uint64_t now = fingerprint(g);

        if (now == before)
            return;
        before = now;
        beat(g);
        deliver(g);
    }
    ASSERT(false); /* it never does */
}
