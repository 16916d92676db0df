/*
 * api/transaction.h — WATCH, MULTI, EXEC.
 *
 * Queued commands keep their arguments where they were received; at EXEC they
 * are prepared as they would have been alone, and become one request, which is
 * evaluated as one unit.  WATCH remembers versions, which EXEC sends along as
 * preconditions.
 *
 * What can be in a unit: commands on keys of one database, and those that the
 * session answers by itself.
 */
#ifndef API_TRANSACTION_H
#define API_TRANSACTION_H

#include "base/arena.h"

#include "api/block.h"
#include "api/command.h"
#include "kv/kv.h"

struct reactor;
struct session;

struct queued {
    struct queued *next;
    const struct command *command;
    const struct slice *args;
    uint32_t count;
};

struct watch {
    struct watch *next;
    struct slice key;
    version_t version;
};

struct transaction {
    bool queuing; /* between MULTI and EXEC */
    bool spoiled; /* a command was refused: EXEC will be, too */
    bool writes;
    bool has_local;     /* a command that the session answers, and that may change it */
    struct arena arena; /* the queue */
    struct block_refs blocks;
    struct queued *first;
    struct queued **last;
    uint32_t queued_count;
    uint32_t op_count_max;
    size_t bytes;   /* of arguments */
    size_t charged; /* to ROOM_REQUEST, for both arenas */

    struct arena watch_arena;
    struct watch *watches;
    uint32_t watch_count;
    uint32_t keyspace; /* of the watched keys */
};

/* The session's; created when there is none.  NULL when out of memory. */
struct transaction *transaction_of(struct session *s);

/* Give up the session's transaction and its watches. */
void transaction_destroy(struct session *s);
void transaction_free(struct reactor *r, struct transaction *t); /* NULL is allowed */

bool transaction_queuing(const struct session *s);

/* Queue the command that stands in the session's input.  NULL, or why it was refused. */
const char *transaction_queue(struct session *s, const struct command *command);

/* Charge what the arenas have grown by.  False: no room. */
MUST_USE bool transaction_charge(struct session *s);

/* A command inside a MULTI was refused: EXEC will refuse, too.  The queue is of no use any more. */
void transaction_spoil(struct session *s);

#endif
