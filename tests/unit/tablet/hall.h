/*
 * unit/tablet/hall.h — nodes that have tablets and nothing above them, in a simulated world.
 *
 * Nodes are numbered from 1, and have two loops.  After a start a node has a tablet for each of its trees, with
 * the founders of hall.founders.  Whatever cannot be is a failure of the test.
 */
#ifndef UNIT_TABLET_HALL_H
#define UNIT_TABLET_HALL_H

#include "simenv/simenv.h"
#include "tablet/exchange.h"
#include "tablet/lifetime.h"
#include "tablet/tablet.h"

enum { HALL_NODES_MAX = 4, HALL_LOOPS = 2, HALL_VALUE_MAX = 64, HALL_PATIENCE_MS = 30000 };

/* One process; its memory is the test's, its contents are the process's. */
struct hall_site {
    struct hall *hall;
    uint32_t id;
    struct engine *engine;
    struct node_clock clock;
    struct tablet_node node;
    struct hall_loop {
        struct hall_site *site;
        struct loop *loop;
        struct tablet_reactor reactor;
        struct timer *tick;
        struct request_way way; /* of requests */
        bool draining;
        bool drained;
    } loops[HALL_LOOPS];
    struct peer *peers[HALL_LOOPS];
    struct listener *listener;
    _Atomic uint32_t drained_count;
    bool closed;
    void (*on_closed)(
        struct hall_site *s); /* on the loop that is drained last; NULL: nobody wants to know */
    enum status status;
    struct err err;
};

struct hall {
    struct sim *w;
    uint32_t count;
    uint32_t lease_percent;
    bool strangers; /* nodes do not know one another at first */
    bool waits;     /* a start leaves the tablets that it finds as they are: they take no part */
    struct raft_config founders;
    struct hall_site sites[HALL_NODES_MAX + 1];
    char value[HALL_VALUE_MAX];
};

/* What a node is made of, on loops of any kind: for tests without a hall's world.  hall_site: hall, id.  Job code. */
void hall_site_open(struct hall_site *s, struct loop **loops, const char *dir);
void hall_site_drain(struct hall_loop *l); /* on each loop, that of loop 0 first */
void hall_site_close(struct hall_site *s); /* the loops have stopped */

/* So many nodes, which know one another and run; without tablets.  The founders are all of them. */
void hall_create(struct hall *h, uint64_t seed, uint32_t count);
/* As hall_create(), with count, lease_percent and strangers as there. */
void hall_create_like(struct hall *h, uint64_t seed, const struct hall *like);
void hall_destroy(struct hall *h);

extern const char *const hall_hosts[HALL_NODES_MAX]; /* where nodes 1 .. are */
enum { HALL_PORT = 7000 };

struct raft_config hall_config(uint32_t voters); /* nodes 1 .. voters */

void hall_boot(struct hall *h, uint32_t node);
void hall_crash(struct hall *h, uint32_t node);
void hall_reboot(struct hall *h, uint32_t node); /* power cut, and a new process */

/* Drains, and closes; leaks fail. */
void hall_close(struct hall *h, uint32_t node);

/* ------------------------------------------------------------------ changes */

struct hall_change {
    struct hall *hall;
    uint32_t node;
    uint64_t id;
    uint32_t loop;
    struct raft_config founders;
    bool begun;
    bool done;
    enum status status;
};

void hall_begin_add(struct hall *h,
                    struct hall_change *c); /* hall_change: node, id, loop, founders */
void hall_begin_drop(struct hall *h, struct hall_change *c);
enum status hall_wait(struct hall_change *c); /* ST_CLOSED: the node does not run any more */

/* Both, with the hall's founders. */
enum status hall_add(struct hall *h, uint32_t node, uint64_t id);
enum status hall_drop(struct hall *h, uint32_t node, uint64_t id);

/* ------------------------------------------------------------------ requests */

struct hall_call {
    struct request request;
    struct op op;
    struct op_result result;
    struct hall *hall;
    uint32_t node;
    uint32_t loop;
    uint64_t id;
    char key[HALL_VALUE_MAX];
    char bytes[HALL_VALUE_MAX];
    char value[HALL_VALUE_MAX]; /* that was read; "nil" */
    bool clear;
    uint64_t edition;
    bool done;
};

/* hall_call: node, loop, id, edition, and `clear` or key; `bytes` empty: a read.  ST_NOT_FOUND when the loop has no such tablet. */
void hall_send(struct hall *h, struct hall_call *c);

enum status hall_put(struct hall *h, uint32_t node, uint64_t id, const char *key,
                     const char *value);
/* Into h->value. */
enum status hall_get(struct hall *h, uint32_t node, uint32_t loop, uint64_t id, const char *key);

/* On the loop of the tablet's owner, which is there. */
void hall_on_owner(struct hall *h, uint32_t node, uint64_t id, void (*fn)(void *ctx), void *ctx);
struct tablet *hall_tablet(struct hall *h, uint32_t node, uint64_t id); /* NULL: there is none */

/* Who leads, of those that run; waits for one. */
uint32_t hall_leader(struct hall *h, uint64_t id);

/* The members are to be these; waits until they are. */
void hall_change_members(struct hall *h, uint64_t id, const struct raft_config *config);

#endif
