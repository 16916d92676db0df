/*
 * Two nodes that talk: node 1 listens, node 2 calls it.  Each keeps what it
 * reads, and writes what it is told to.
 */
#ifndef UNIT_SIMENV_NET_H
#define UNIT_SIMENV_NET_H

#include "unit/simenv/fixture.h"

enum { NET_PORT = 7000, NET_KEEP_BYTES = 4 << 20, NET_TIMEOUT_MS = 2000, NET_LONG_MS = 10000 };

/* One end of the connection. */
struct end {
    struct net *net;
    uint32_t id;
    struct stream *stream; /* NULL: there is none (any more) */
    struct buf in;
    struct slice out; /* what is still to be written */
    bool closed;      /* it was told so */
    bool paused;      /* reads nothing */
};

struct net {
    struct sim *w;
    struct listener *listener;
    struct end server; /* on node 1 */
    struct end caller; /* on node 2 */
    struct connect_options options;
    struct connector *connector;
    enum status st; /* of the call */
    enum status outcome;
    int answers;
};

/* Node 1 listens on all its addresses; the options are for calling it. */
void net_begin(struct net *n, uint64_t seed);
void net_listen(struct net *n);
void net_call(struct net *n); /* on node 2's loop: n->options */
void net_cancel(struct net *n);

/* Called, answered and accepted. */
void net_connect(struct net *n);

/* Write these, as far as there is room, and the rest when there is.  Borrowed until then. */
void net_send(struct end *e, struct slice bytes);
void net_resume(struct end *e); /* look again at what to watch for */
void net_hang_up(struct end *e);

/* What must be gone before sim_end(). */
void net_close_all(struct net *n);

/* The world, however its nodes are. */
void net_destroy(struct net *n);

/* The first bytes of a run in which no two places look alike. */
struct slice net_pattern(size_t size);

/* Are these the first bytes of the pattern? */
bool net_in_order(const struct end *e);

#endif
