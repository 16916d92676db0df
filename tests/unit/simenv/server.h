/*
 * A server for tests of the simulated network: it accepts, keeps what it reads,
 * and writes what it is told to.
 */
#ifndef UNIT_SIMENV_SERVER_H
#define UNIT_SIMENV_SERVER_H

#include "unit/simenv/fixture.h"

enum { PORT = 7000, CONNECTIONS_MAX = 16, KEEP_BYTES = 1 << 20, PATTERN_BYTES_MAX = 400000 };

struct server {
    struct fix *f;
    struct listener *listener;
    struct peer {
        struct server *server;
        struct stream *stream;
        uint32_t loop_index;
        char address[64];
        struct buf in;
        struct buf out; /* what is still to be written */
        bool closed;    /* by the other side */
        bool paused;    /* reads nothing */
        int calls;
    } peers[CONNECTIONS_MAX];
    int count;
};

/* On 127.0.0.1, PORT. */
void serve(struct server *s, struct fix *f);
void end_server(struct server *s);

/* The callbacks, for listeners and watches that a test makes itself. */
void accepted(void *ctx, struct loop *loop, struct stream *stream);
void on_events(void *ctx, unsigned events);

/* Write these bytes, as far as there is room at once, and the rest when there is. */
void tell(struct peer *p, struct slice bytes);

/* For sim_on_loop(), with a peer: look again at what to watch for; close. */
void reply(void *ctx);
void hang_up(void *ctx);

/* The first bytes of a run in which no two places look alike. */
struct slice pattern(size_t size);

#endif
