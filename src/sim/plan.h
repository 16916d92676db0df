/*
 * sim/plan.h — what will go wrong in a run, and when, decided before it begins.
 *
 * A plan is a list of actions in the order of time, drawn from the seed alone.  What the run does
 * has no influence on it, so an action can be left out without moving the others: that is how a
 * failing run is made small (sim/shrink.h).  Each kind of fault has a rate of its own, drawn per
 * seed, and often none (swarm testing: Groce et al., "Swarm Testing", 2012): a fault that is always
 * there hides what only happens without it.  Each run has a few favourites, and others by chance.
 *
 * Pure.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "sim/picks.h"

/* In words; the least number of nodes; does it take what was written and not synced? */
#define FAULT_LIST(X)                                                                 \
 X(POWER, "power", "power cuts", 1, true)                                             \
 X(DEATH, "death", "power cuts in the middle of a call to the disk", 1, true)         \
 X(RECOVERY, "recovery", "power cuts, and more of them while recovering", 1, true)    \
 X(KILL, "kill", "SIGKILL: the page cache stays", 1, false)                           \
 X(RESTART, "restart", "orderly restarts", 1, false)                                  \
 X(PAUSE, "pause", "processes that stand still", 1, false)                            \
 X(JUMP, "jump", "wall clocks that jump", 1, false)                                   \
 X(DRIFT, "drift", "clocks that run fast or slow", 1, false)                          \
 X(IO, "io", "calls to the disk that fail, once or for a while", 1, true)             \
 X(FULL, "full", "disks without a free block", 1, false)                              \
 X(SLOW, "slow", "disks that take long, up to a standstill", 1, false)                \
 X(PARTITION, "partition", "cut links, one way too", 2, false)                        \
 X(LINK, "link", "links that are slow, narrow, or refuse", 2, false)                  \
 X(MESSAGES, "messages", "messages that are lost, repeated, or overtaken", 2, false)  \
 X(MEMBERS, "members", "other voters and learners", 2, false)                         \
 X(TRANSFER, "transfer", "leaders that hand over", 2, false)                          \
 X(ROT, "rot", "bits of tables that go bad, on a minority", 3, false)                 \
 X(ECHO, "echo", "leaders that are left, and hear on what was said before", 2, false) \
 X(DRAIN, "drain", "nodes that are drained, and perhaps removed", 3, false)           \
 X(SPACE, "space", "keyspaces of several tablets that come and go", 3, false)         \
 X(SPLIT, "split", "tablets of the clients' keyspace that are split", 3, false)       \
 X(COPIES, "copies", "other numbers of copies for the clients' keyspace", 3, false)

/* From DRAIN on they are of clusters that form themselves; MEMBERS and ROT of others.  An ECHO is made of actions of
 * other kinds: LINK, then PARTITION or TRANSFER. */
enum fault {
#define FAULT_ENUM(name, word, text, nodes, takes) FAULT_##name,
    FAULT_LIST(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_COUNT
};

#define FAULTS_ALL ((1u << FAULT_COUNT) - 1)

const char *fault_name(enum fault f);
const char *fault_text(enum fault f);
bool fault_is_of_network(enum fault f);
bool fault_is_of_cluster(enum fault f);

/* "all", "none", or names with commas; false: there is no such fault. */
bool faults_parse(const char *text, unsigned *mask);

enum plan_message { PLAN_LOSE = 1, PLAN_REPEAT = 2, PLAN_DELAY = 4, PLAN_MESSAGE_ALL = 7 };

/* Which way a link is bad. */
enum plan_way { PLAN_FROM = 1, PLAN_TO = 2, PLAN_WAY_ALL = 3 };

/* What an action may wait for: that somebody becomes leader, or has a snapshot to install. */
enum plan_event { PLAN_NO_EVENT, PLAN_ELECTION, PLAN_INSTALL };

struct action {
    uint64_t at_ms;  /* since the run began */
    uint64_t for_ms; /* until it is undone: a machine runs again, a link is whole ... */
    enum fault kind;
    enum plan_event awaits; /* not at once: when this next happens ... */
    uint32_t after_us;      /* ... and so long after that */
    uint32_t node; /* which, from 1; 0: who leads then, or installs a snapshot; TRANSFER: to whom */
    uint64_t nth;  /* DEATH, RECOVERY, IO: of the calls that match, this one; MESSAGES: of 1,000;
                      * ROT, SPLIT: the dice */
    unsigned ops;  /* DEATH, IO: which calls (enum sim_op); MESSAGES: what (enum plan_message);
                     * PARTITION, LINK: which way (enum plan_way) */
    unsigned nodes;    /* a bit (1 << id) each: PARTITION, LINK: with which others; MEMBERS: voters;
                     * DRAIN: who is to replace it, if any */
    unsigned learners; /* MEMBERS */
    int64_t amount;    /* JUMP, MESSAGES: ms; DRIFT: ppm; FULL: bytes left; SLOW, LINK: us; SPACE,
                        * SPLIT: tablets; COPIES: so many */
    bool flag; /* DEATH: after the call; IO: for good; LINK: refuse; DRAIN: to be removed; SPACE:
                * to be split, too */
};

enum { ACTION_TEXT_MAX = 160 };

struct plan_options {
    uint64_t seed;
    uint32_t nodes;
    uint64_t ms;
    unsigned faults;
    bool keeps_unsynced; /* what is not synced must not get lost: no fault that takes it */
    bool formed;         /* the cluster forms itself */
    bool trusts_clocks;  /* leases: clocks run at nearly one rate */
};

struct plan {
    struct action
        *actions; /* owned; sorted by time; PLAN_ACTIONS_MAX at most, later ones are left out */
    uint32_t count;
};

/* ST_NO_MEMORY. */
MUST_USE enum status plan_draw(struct plan *plan, const struct plan_options *options);
void plan_release(struct plan *plan);

/* "12.345 s: power of node 1, for 1.200 s" */
const char *action_text(const struct action *a, char out[ACTION_TEXT_MAX]);

#endif
