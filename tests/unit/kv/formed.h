/*
 * unit/kv/formed.h — a cluster that forms itself in a simulated world: one node begins it, others join.
 *
 * Machines are numbered from 1, and what runs on one is a node for as long as its disk remembers it; its
 * identity is drawn, as a real one's.  Requests go through `n` (nodes.h), to any node: each answers
 * all.  Whatever cannot be is a failure of the test.
 */
#ifndef UNIT_KV_FORMED_H
#define UNIT_KV_FORMED_H

#include "cluster/atlas.h"
#include "cluster/orders.h"
#include "sim/survey.h"
#include "unit/kv/nodes.h"

enum { FORMED_PORT = 7000, FORMED_PATIENCE_MS = 120000, FORMED_ANSWER_BYTES = 16 << 10 };

/* What a machine is told when it starts; a test may change it before. */
struct formed_node {
    char name[16];
    uint32_t weight;
    uint16_t port; /* of its peers */
    uint32_t join; /* a machine; 0: it begins a cluster */
    struct peer_faults messages;

    uint64_t id;  /* as of its last start */
    bool refused; /* the cluster will not have it ... */
    struct err refusal;
};

struct formed {
    struct nodes n;
    struct formed_node nodes[NODES_MAX + 1];
    char answer[FORMED_ANSWER_BYTES]; /* of the last order; or why it was refused */
    char trouble[SURVEY_TEXT_MAX];    /* what formed_is_placed() has found amiss */
};

/* So many machines, of which none runs: the first will begin a cluster, the others will join it. */
void formed_prepare(struct formed *f, uint64_t seed, uint32_t count);

/* The same, and all of them have started, one after the other, and every tablet is placed. */
void formed_create(struct formed *f, uint64_t seed, uint32_t count);
void formed_destroy(struct formed *f);

/* One more machine, that is not started. */
uint32_t formed_add(struct formed *f);

void formed_boot(struct formed *f, uint32_t node);
/* ST_UNKNOWN: its machine went down meanwhile; else what kept it from starting is in nodes[].refusal. */
enum status formed_try_boot(struct formed *f, uint32_t node);
void formed_boot_all(struct formed *f);
void formed_stop(struct formed *f, uint32_t node); /* in order */

/* The node's, the newest that it has. */
const struct atlas *formed_atlas(struct formed *f, uint32_t node);
/* Of all those that run. */
const struct atlas *formed_newest(struct formed *f);
/* As the newest atlas has it; NULL: it is not known. */
const struct node_record *formed_record(struct formed *f, uint32_t node);
bool formed_is_member(struct formed *f, uint32_t node); /* and knows it */
uint32_t formed_copies(struct formed *f,
                       uint32_t node); /* tablets of the newest atlas that name it */
uint32_t formed_replicas(struct formed *f,
                         uint32_t node); /* that it has, whatever the atlas says */

/* Has every tablet those members that its keyspace wants, and no others; are its leader's group and what the
 * nodes have on their disks the same; and do all that run agree on the newest atlas? */
bool formed_is_placed(struct formed *f);
void formed_await_placed(struct formed *f);
void formed_await_member(struct formed *f, uint32_t node);
void formed_await_refused(struct formed *f, uint32_t node, const char *reason); /* a part of it */
void formed_await_state(struct formed *f, uint32_t node, enum node_state state);

/* "drain n2": to that node; the answer is in f->answer. */
enum status formed_try_order(struct formed *f, uint32_t node, const char *words);
/* As often as it takes. */
void formed_order(struct formed *f, uint32_t node, const char *words);

/* The node is given the order, and crashes after so long, whether it is done by then or not. */
void formed_order_and_crash(struct formed *f, uint32_t node, const char *words, uint32_t ms);

/* The requests that follow are about this keyspace. */
void formed_use(struct formed *f, const char *keyspace);
const struct atlas_keyspace *formed_keyspace(struct formed *f, const char *name); /* NULL: none */

/* As often as it takes; to be read at any node. */
void formed_put(struct formed *f, uint32_t node, const char *key, const char *value);
void formed_expect(struct formed *f, uint32_t node, const char *key, const char *value);
/* "k0" .. each at another node in turn, with its own name as its value. */
void formed_put_keys(struct formed *f, uint32_t count);
void formed_expect_keys(struct formed *f, uint32_t count);

/* All messages between nodes are lost, repeated and late now and then. */
void formed_spoil_messages(struct formed *f, bool bad);

/* The node that leads a tablet; 0: nobody that runs. */
uint32_t formed_leader_of(struct formed *f, uint64_t tablet);

#endif
