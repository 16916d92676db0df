/*
 * api/reactor.h — what the sessions of one loop share.
 */
#ifndef API_REACTOR_H
#define API_REACTOR_H

#include <stdatomic.h>

#include "api/api.h"
#include "api/block.h"
#include "api/output.h"
#include "api/room.h"

struct call;
struct session;

enum {
    /* Free calls that a reactor keeps. */
    CALL_POOL_MAX = 4096,

    /* Less than this is not worth a connection's end. */
    HOLDER_BYTES_MIN = 64 << 10,

    REACTOR_TICK_MS = 250,
    REACTOR_TICK_BUSY_MS = 5, /* while somebody waits for room */
};

/* Written by the reactor, read by anybody. */
struct reactor_counters {
    _Atomic uint64_t commands;
    _Atomic uint64_t accepted;
    _Atomic uint64_t refused;
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t hits;
    _Atomic uint64_t misses;
    _Atomic uint64_t errors;
    _Atomic uint64_t sessions;
};

enum reactor_tick { TICK_NONE, TICK_SLOW, TICK_FAST };

struct reactor {
    struct api *api;
    struct loop *loop;
    struct env *env;
    struct kv_door *door;
    uint32_t index;
    struct list sessions; /* struct session, least recently active first */
    struct list dirty;    /* to be sent before the round ends */
    struct list ready;    /* to be parsed further before the round ends */
    struct room room;
    struct block_pool blocks;
    struct part_pool parts;
    struct list free_calls;
    uint32_t free_call_count;
    uint32_t call_count; /* in use, those of closed sessions included */
    struct timer *timer;
    enum reactor_tick tick; /* what the timer is set to */
    bool draining;
    bool drain_reported;
    uint64_t drain_deadline_ns;
    uint64_t part_ns; /* when sessions that were active are closed, too */
    struct task drain_task;
    struct reactor_counters counters;
};

static inline void
counter_add(_Atomic uint64_t *counter, uint64_t by)
{
    /* One writer: no read-modify-write is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

MUST_USE enum status reactor_init(struct reactor *r, struct api *a, struct loop *loop);
void reactor_release(struct reactor *r);

/* See to it that the timer runs while there is something to look after. */
void reactor_tend(struct reactor *r);

void reactor_accept(struct reactor *r, struct stream *stream, enum api_door door);

/* Close every session when it has been answered, at the latest at `deadline_ns`; then report to
 * the api (api_reactor_drained). */
void reactor_drain(struct reactor *r, uint64_t deadline_ns);

#endif
