/*
 * A cluster of simulated nodes that know one another.  What each of them sends
 * carries a number that counts up for each (sender, receiver, type), and bytes
 * that follow from it, so whoever receives it can tell what is missing,
 * repeated, overtaken or wrong.
 */
#ifndef UNIT_PEER_FIXTURE_H
#define UNIT_PEER_FIXTURE_H

#include "peer/peer_internal.h"
#include "simenv/simenv.h"
#include "unit/test.h"

enum {
    NODES_MAX = 4,
    LOOPS_MAX = 3,
    PEER_PORT = 7100,
    BULK = 1, /* types */
    URGENT = 2,
    TYPES = 3,
    NUMBER_BYTES = 8,
    STATES_MAX = 64,
    BUDGET_BYTES = 256 << 20,
};

/* How many seeds to try: the thread sanitizer makes each of them ten times as long, and these run on
 * one thread. */
static inline uint64_t
seeds(uint64_t usual)
{
#if defined(__SANITIZE_THREAD__)
    return usual / 10 + 1;
#else
    return usual;
#endif
}

/* What one loop of a node has heard from one loop of another. */
struct heard {
    uint64_t count[TYPES];
    uint64_t next[TYPES]; /* the number that is expected */
    uint64_t overtaken;   /* numbers lower than expected */
    uint64_t skipped;
    uint64_t damaged;
    uint64_t stale; /* lives that ended before the one that was heard last */
    uint64_t incarnation;
};

struct member {
    struct cluster *c;
    uint32_t id;
    uint32_t loop_count;
    uint64_t lives;
    bool up;
    struct budget budget;
    struct listener *listener;
    struct peer *peers[LOOPS_MAX];
    struct seat {
        struct member *m;
        uint32_t loop;
        uint64_t next[NODES_MAX + 1][TYPES]; /* to be sent */
    } seats[LOOPS_MAX];
    struct heard heard[NODES_MAX + 1][LOOPS_MAX]; /* by sender */
    uint64_t states[STATES_MAX];                  /* what loop 0 was told, in order */
    uint32_t state_nodes[STATES_MAX];
    uint32_t state_count;
};

struct cluster {
    struct sim *w;
    uint32_t count;
    struct peer_options options; /* for those that start later */
    struct peer_faults faults;
    uint8_t id[PEER_CLUSTER_BYTES];
    struct member members[NODES_MAX + 1]; /* by id, from 1 */
};

/* Nodes 1..count, with so many loops each; started and, with settle, connected. */
struct cluster *cluster_create(uint64_t seed, uint32_t count, uint32_t loop_count);
void cluster_settle(struct cluster *c); /* everybody has heard of everybody: a second or two */
bool all_up(const struct cluster *c);

/* Every node that runs closes everything, and has leaked nothing. */
void cluster_destroy(struct cluster *c);

/* A process with a new incarnation; the machine may not be running one. */
void member_start(struct cluster *c, uint32_t id);
enum status member_try_start(struct cluster *c, uint32_t id);
void member_know(struct cluster *c, uint32_t id); /* tell it where the others are */
void member_close(struct cluster *c, uint32_t id);
void member_gone(struct cluster *c, uint32_t id); /* it was killed or crashed */

/* From a loop of a node: the next message of its kind, so many bytes long, at least NUMBER_BYTES. */
enum status send(struct cluster *c, uint32_t from, uint32_t loop, uint32_t to, size_t size,
                 bool urgent);
void send_ok(struct cluster *c, uint32_t from, uint32_t to, size_t size, bool urgent);

/* Sums over the loops of both. */
uint64_t count_heard(const struct cluster *c, uint32_t at, uint32_t from, uint8_t type);
void expect_order(const struct cluster *c, uint32_t at, uint32_t from);

/* One loop's. */
struct peer *peer_of(struct cluster *c, uint32_t id);

/* Run on a loop of the node. */
void on(struct cluster *c, uint32_t id, void (*fn)(void *ctx), void *ctx);

#endif
