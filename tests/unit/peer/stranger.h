/*
 * unit/peer/stranger.h — a client of a node's peer port, which is not trusted.
 */
#ifndef UNIT_PEER_STRANGER_H
#define UNIT_PEER_STRANGER_H

#include "unit/peer/fixture.h"

/* A client that speaks as a node would, up to where it goes wrong. */
struct stranger {
    struct cluster *c;
    struct sim_client *client;
    struct hello hello;
    uint64_t seed;
    uint64_t number;
};

/* A cluster of two, of which only node 1 runs; and somebody who says to be node 2. */
struct cluster *alone(uint64_t seed);
struct stranger stranger_to(struct cluster *c);

void say(struct stranger *s, const void *bytes, size_t size);
bool is_cut_off(const struct stranger *s);

/* The client ends, and has left nothing behind. */
void part(struct stranger *s);

/* Say hello; with theirs, the frames' seed is known. */
void greet(struct stranger *s);

/* A message of BULK from loop 0, with its number. */
size_t make_frame(struct stranger *s, uint8_t out[100], const struct frame *f);
void say_frame(struct stranger *s, const struct frame *f);

extern const struct frame whole;

#endif
