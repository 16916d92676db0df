/*
 * api/hop.h — a call that has something done on another loop, and comes back.
 */
#ifndef API_HOP_H
#define API_HOP_H

#include "api/call.h"

struct hop {
    struct task task;
    struct call *call;
    void (*there)(struct hop *h); /* on the other loop; touches neither session nor call */
    void (*back)(struct hop *h);  /* on the call's loop, when its session is still open */
};

/* The memory belongs to the hop until `back`; the call's `release` frees it. */
void hop_go(struct hop *h, struct loop *loop);

/* The same, but that it comes back only when hop_back() is said, on any loop, once. */
void hop_send(struct hop *h, struct loop *loop);
void hop_back(struct hop *h);

#endif
