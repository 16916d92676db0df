/*
 * tablet/reactor.h — what the tablets of a node share, and what those of one reactor share.
 *
 *      struct tablet_node       one process: engine, clock, other nodes
 *        struct tablet_reactor  one loop: its tablets, and the connections on which they speak
 *          struct tablet        one replica
 *
 * A tablet that has something to send, or records that the log's thread was not told of, is
 * marked; at the end of the round all of that goes out at once: one call to the log,
 * one write for each other node.
 *
 * HEARTBEATS are per pair of nodes, and never sleep, while idle groups do.  Reactor 0 sends one every TABLET_TICK_MS to
 * each other node that we share a group with, or have asked something; whatever a node sends counts as one, on
 * whichever loop it arrives.
 * An election timeout of silence is said to each tablet (RAFT_SILENT).
 *
 * Depends on: base, env, peer, engine.
 */
#ifndef TABLET_REACTOR_H
#define TABLET_REACTOR_H

#include "engine/engine.h"
#include "peer/peer.h"
#include "raft/raft.h"
#include "tablet/clock.h"
#include "tablet/neighbours.h"
#include "tablet/request.h"
#include "tablet/roster.h"

struct tablet;

enum {
    TABLET_TICK_MS = 50,
};

/* An election timeout. */
#define TABLET_SILENCE_NS (300 * UINT64_C(1000000))

/* What a reactor reads with: its slot of the epoch, and its reads that wait for a disk. */
struct tablet_reader {
    struct epoch *epoch;
    struct epoch_slot slot;
    struct loop *loop;
    struct list cold;
};

void tablet_reader_init(struct tablet_reader *reader, struct epoch *epoch, struct loop *loop);
void tablet_reader_release(struct tablet_reader *reader); /* no read is under way */

/* Every TABLET_TICK_MS: deadlines of the reads that wait for a disk. */
void tablet_reader_tick(struct tablet_reader *reader);

/* ------------------------------------------------------------------ a node */

/* The fields are the caller's to fill in, before the first reactor is begun; they do not change while
 * the loops run. */
struct tablet_node {
    struct engine *engine;
    struct node_clock *clock;
    uint64_t id;            /* ours */
    uint32_t lease_percent; /* raft_options.lease_percent: members keep what it promises */
    const struct peer_faults *faults; /* for the simulator; NULL: none */
    struct carrier *carrier;          /* of the streams between nodes; NULL: as they are */

    /* private */
    struct tablet_reactor *first; /* that of loop 0; all of them, by `next` */
    struct neighbours neighbours;
    struct list changes; /* of tablets, under way (lifetime.h); on loop 0 */
    struct list remains; /* of changes that failed: trees that were not dropped */
    _Atomic uint32_t change_count;
    _Atomic uint64_t
        streaming; /* bytes that snapshots for others may take in TABLET_TICK_MS, together */
    _Atomic uint32_t shipments; /* under way */
    _Atomic bool uses_leases;   /* tablet_node_set_leases() */
};

void tablet_node_init(struct tablet_node *n);
/* Bytes a second for all snapshots that are sent; 50 MB at first.  Any thread. */
void tablet_node_set_streaming(struct tablet_node *n, uint64_t bytes_per_second);
uint64_t tablet_node_streaming(const struct tablet_node *n);
/* Do reads that we lead rest on leases, where there are any?  They do at first.  Any thread. */
void tablet_node_set_leases(struct tablet_node *n, bool used);
void tablet_node_release(struct tablet_node *n); /* its reactors are released */

/* ------------------------------------------------------------------ a reactor */

/* Who speaks on the same connections, about something else: in messages of types from EXCHANGE_FOREIGN on, of
 * whichever node of the cluster.  On the loop; not when it rests. */
struct exchange_guest {
    void (*receive)(struct exchange_guest *guest, const struct peer_sender *from, uint8_t type,
                    uint64_t id, struct slice payload);
    void (*state)(struct exchange_guest *guest, uint64_t node, uint64_t incarnation);
    void (*stranger)(struct exchange_guest *guest, struct stream *stream, struct slice begin);
};

struct tablet_reactor {
    struct tablet_node *node;
    struct tablet_reactor *next; /* of the node's; NULL: the last one */
    struct loop *loop;
    struct tablet_roster roster; /* of all tablets of the node */
    struct tablet_reader reader; /* of tablet_read() */
    struct tablet_reader owner;  /* of what its tablets evaluate */
    struct engine_listener listener;
    struct raft_effects effects;  /* of its tablets, one step at a time */
    struct peer *peer;            /* NULL: alone */
    struct exchange_guest *guest; /* NULL: none */
    struct buf message;           /* that is being encoded */
    struct list tablets;
    struct list leaving;  /* changes of tablets that end when they are free (lifetime.c) */
    struct list marked;   /* those with something to send or to flush */
    struct list awaiting; /* those with something in the log that is not yet durable */
    uint64_t ticks;
    uint64_t beats;       /* exchange_beat() */
    uint64_t seals_asked; /* engine_seals_asked() at the last tick */
    struct task round;
    bool round_posted;
    bool draining;
    bool resting;
    struct tablet_watch {
        struct tablet_neighbour *neighbour; /* joined; NULL: none */
        uint64_t incarnation;               /* as our tablets know it */
        bool silent;                        /* they know that it is */
    } watches[TABLET_NODES_MAX];
    uint32_t watch_limit;
    _Atomic uint32_t arriving; /* messages that are on their way to this loop from another */
};

/* The tablet, on this loop or in start-up code; NULL: there is none. */
struct tablet *tablet_reactor_find(const struct tablet_reactor *r, uint64_t tablet);

/* In order of the loops, that of loop 0 first. */
void tablet_reactor_init(struct tablet_reactor *r, struct tablet_node *node, struct loop *loop);
void tablet_reactor_release(struct tablet_reactor *r);

/* The engine's listener is called from now on. */
void tablet_reactor_listen(struct tablet_reactor *r);

/* Every TABLET_TICK_MS, on its loop: the time of its tablets and readers, and heartbeats. */
void tablet_reactor_tick(struct tablet_reactor *r);

/* From now on its tablets send and take no snapshots, those under way are given up, and followers are
 * sent what is in memory only: so it is idle as soon as the requests are, and not when a transfer has
 * ended. */
void tablet_reactor_drain(struct tablet_reactor *r);

/* tablet_idle() for all its tablets, no read is under way, nothing is on its way to it, and no tablet of the node
 * comes or goes. */
bool tablet_reactor_idle(const struct tablet_reactor *r);

/* No tablet of this loop is told anything any more: the process is about to end. */
void tablet_reactor_rest(struct tablet_reactor *r);

#endif
