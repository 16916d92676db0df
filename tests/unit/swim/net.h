/*
 * unit/swim/net.h — a cluster of nodes and a network, on virtual time.
 *
 * Messages go through the codec.  They may be lost, and take a time that is drawn; links may be cut, one
 * way too; nodes pause (what comes meanwhile waits) and die.  Nodes have the ids 1 .. node_count, and all
 * know each other from the start.  Every step is checked against S1 to S4, and a breach ends the process.
 * For the tests and for bench/swim.
 */
#ifndef UNIT_SWIM_NET_H
#define UNIT_SWIM_NET_H

#include "base/prng.h"

#include "swim/codec.h"
#include "swim/swim.h"

enum { NET_NODES_MAX = SWIM_NODES_MAX };

/* What one node has thought of another. */
struct net_opinion {
    enum swim_state state;
    uint64_t incarnation;
    uint64_t since_ns[SWIM_STATE_COUNT]; /* when it last became so */
    uint32_t times[SWIM_STATE_COUNT];
};

struct net_node {
    struct swim *swim; /* NULL: dead */
    swim_id id;
    uint32_t lives;
    uint64_t paused_until_ns;
    uint64_t wake_ns;
    uint64_t sent_messages;
    uint64_t sent_bytes;
    uint32_t most_in_second; /* messages */
    uint32_t in_second;
    uint64_t second;
    struct net_opinion of[NET_NODES_MAX + 1]; /* by id */
};

struct net_parcel;

struct net {
    uint64_t now_ns;
    struct prng prng;
    struct swim_timing timing; /* of nodes that are started */
    uint32_t loss_permille;
    uint32_t delay_ms_min;
    uint32_t delay_ms_max;
    bool cut[NET_NODES_MAX + 1][NET_NODES_MAX + 1]; /* [from][to] */
    uint32_t node_count;
    struct net_node nodes[NET_NODES_MAX + 1]; /* by id */
    struct net_parcel *parcels;               /* on their way: a heap, the next to arrive first */
    uint32_t parcel_count;
    uint32_t parcel_max;
    uint64_t parcels_sent;
    struct swim_effects fx;
};

struct net *net_create(uint64_t seed, uint32_t node_count);
void net_destroy(struct net *n);

void net_run_ms(struct net *n, uint64_t ms);
uint64_t net_ms(const struct net *n);

enum status net_event(struct net *n, swim_id id, struct swim_event event);
void net_crash(struct net *n, swim_id id);
void net_start(struct net *n,
               swim_id id); /* after a crash, with nothing but its id and who there is */
void net_pause_ms(struct net *n, swim_id id, uint64_t ms);
void net_cut(struct net *n, swim_id from, swim_id to); /* one way */
void net_heal(struct net *n);

struct net_opinion *net_opinion(struct net *n, swim_id observer, swim_id subject);
enum swim_state net_state(struct net *n, swim_id observer, swim_id subject);
bool net_all_healthy(struct net *n); /* in everybody's opinion, who lives */

/* How often anybody has thought so of anybody since the last call of this for this state. */
uint32_t net_count(struct net *n, enum swim_state state);

#endif
