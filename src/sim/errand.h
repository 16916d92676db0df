/*
 * sim/errand.h — one request of a client, with all the memory that it needs.
 *
 * It belongs to the node from errand_send() until it is answered, or the node's process is gone.  Its
 * client may have given it up long before.
 */
#ifndef SIM_ERRAND_H
#define SIM_ERRAND_H

#include "base/list.h"

#include "history/history.h"
#include "sim/node.h"

struct errand_want {
    enum history_verb verb;
    bool counter; /* the key is a counter: its value is a number, not one of ours */
    uint32_t key;
    uint64_t number;   /* put, cas: the value's; incr: its delta */
    size_t value_size; /* put, cas */
    version_t version; /* cas: of what was seen; 0: nothing */
    uint64_t sequence; /* of a client with an identity; 0: it has none */
    uint32_t life_ms;  /* put: the value expires so long after it has arrived; 0: never */
    char expect[VALUE_NAME_MAX];
};

struct errand {
    struct list link; /* in the crowd's list of those that are under way */
    uint32_t client;
    struct errand_want want;
    struct node *node;
    uint32_t life; /* of the node, when it was sent */
    bool abandoned;
    bool sent;
    bool answered;
    bool *stirred;           /* set when it is answered */
    uint64_t call_ns;        /* moments of the history */
    uint64_t return_ns;      /* likewise */
    uint64_t sent_ns;        /* world time */
    enum status status;      /* what was answered */
    uint64_t leader;         /* with ST_NOT_LEADER: whom to ask; 0: nobody knows */
    struct op_result result; /* without its value, which is here: */
    char seen[VALUE_NAME_MAX];
    uint64_t *moment; /* the crowd's; one later for every event */
    struct task arrival;
    uint64_t deadline_ms;

    struct request request;
    struct op op;
    struct precondition precondition;
    char key[WORKLOAD_KEY_MAX];
    uint8_t value[]; /* what is written */
};

/* NULL: out of memory. */
struct errand *errand_create(const struct errand_want *want, uint32_t client);
void errand_free(struct errand *c);

/* The node is up.  While it stands still the request waits at its door, and is there when it goes on. */
void errand_send(struct errand *c, uint64_t deadline_ms);

/* It has come to its end for its client: count what that shows. */
void errand_mark(const struct errand *c, enum history_result result);

/* A node answers within its deadline (P8), with room for a clock that runs at half the speed, and counted from
 * the last time at which the node could not run; and says that a table is damaged only where one is: `rot`.
 * ST_TIMEOUT, ST_CORRUPT: it does not. */
MUST_USE enum status errand_check(const struct errand *c, uint64_t now_ns, bool rot,
                                  struct err *err);

/* What is certain of it now, as an operation of a history; borrows from the call.  `now`: the
 * moment at which its client gives it up, if it is not answered. */
struct history_op errand_story(const struct errand *c, uint64_t now);

/* Of a put whose value expires, and that may have been carried out: the deletion that it carries within it.
 * Nobody knows when that comes, for clocks jump; but once it was seen it has come. */
struct history_op errand_fading(const struct history_op *put);

/* The next moment: the world's time, and later than the one before. */
uint64_t errand_moment(uint64_t *moment, const struct sim *world);

#endif
