/*
 * api/call.h — one command of one session, from its arguments to its reply.
 *
 *      HELD      parsed, and not yet begun: an earlier command must end first
 *      RUNNING   a request, a task or a job is under way
 *      PARKED    its reply needs room: waiting, then it is read again
 *      QUEUED    its reply is too large for one piece: to be streamed when it is the head
 *      DONE      the reply is written
 *
 * The calls of a session form a queue; replies leave in its order.  The head
 * writes straight into the session's output, the others into a buffer of
 * their own.
 *
 * A call belongs to its session's reactor, and outlives a closed session until
 * whatever it waits for has come back.
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "base/arena.h"
#include "base/list.h"

#include "api/block.h"
#include "api/command.h"
#include "api/room.h"
#include "kv/kv.h"

enum {
    /* Values of one reply that need not ask for room. */
    REPLY_FREE_BYTES = 4 << 10,

    /* What one read may return before it is streamed, or at least asked for. */
    REPLY_PIECE_BYTES = 256 << 10,

    /* What a unit that writes may return in all (MULTI with large reads, GETSET). */
    REPLY_UNIT_BYTES = 32 << 20,
};

/* ------------------------------------------------------------------ units */

/* One command's share of a unit. */
struct piece {
    /* Write the reply from the results of the piece's operations; with `is_list`, called for
     * one operation at a time, behind the header of an array. */
    void (*encode)(const struct piece *p, const struct op_result *results, struct resp_writer *w);
    bool is_list;
    uint32_t op_first;
    uint32_t op_count;
    const char *error;           /* instead of all else: begins with its code */
    const struct command *local; /* instead of operations: answered by the session */
    const struct slice *args;    /* of `local` */
    uint32_t arg_count;
    uint64_t now_ms; /* for encoders that need the time of preparation */
};

/* Operations being put together. */
struct unit {
    struct call *call;
    struct op *ops;
    uint32_t op_count;
    uint32_t op_capacity;
    struct op_result *results;
    struct precondition *preconditions;
    uint32_t precondition_count;
    bool no_memory;
};

/* `count` more operations, zeroed, which belong to the piece; NULL when out of memory or room,
 * and then the unit fails as a whole. */
struct op *unit_add(struct unit *u, struct piece *p, uint32_t count);

/* Bytes that live as long as the call; NULL as above. */
void *unit_alloc(struct unit *u, size_t size);

/* The time by which expiry is judged. */
uint64_t unit_now_ms(const struct unit *u);

/* The command is malformed: this is its reply.  `text` is a literal. */
void piece_fail(struct unit *u, struct piece *p, const char *text);
void piece_failf(struct unit *u, struct piece *p, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ------------------------------------------------------------------ calls */

enum call_state { CALL_HELD, CALL_RUNNING, CALL_PARKED, CALL_QUEUED, CALL_DONE };

struct call {
    struct session *session;
    struct list link; /* in session->calls */
    const struct command *command;
    enum call_state state;
    bool is_write;     /* its request has an operation that writes */
    bool writes;       /* counted in session->writes_unfinished */
    bool rereads;      /* counted in session->rereads: later writes wait */
    bool is_exec;      /* replies with an array of its pieces */
    uint32_t version;  /* of the protocol, when it was parsed */
    uint32_t keyspace; /* that was selected, when it was parsed */
    size_t bytes;      /* of its arguments */

    struct request request;
    void (*finish)(struct call *c); /* the request has come back, and the session is open */
    struct unit unit;
    struct piece piece;
    struct piece *pieces; /* &piece, or in the arena */
    uint32_t piece_count;
    struct op op;
    struct op_result result;

    struct arena arena;
    size_t arena_charged;     /* to ROOM_REQUEST */
    struct block_refs blocks; /* what its arguments lie in */

    struct buf reply;     /* when it was not the head */
    size_t reply_charged; /* to ROOM_REPLY */
    size_t granted;       /* charged to ROOM_REPLY for a reply that is not written yet */
    struct room_wait room;
    void (*again)(struct call *c); /* what was waiting for room */

    struct transaction *transaction; /* EXEC: what was queued; owned */

    /* A task's own state.  While `busy`, something is under way that will come back and must find
     * the call; without it, a closing session ends the call at once.  `wake` is called at the end
     * of a round in which the output has room.  `release` frees `task`, when the call ends. */
    bool busy;
    void (*wake)(struct call *c);
    void (*release)(struct call *c);
    void *task;
};

/* A new call at the end of the session's queue.  NULL when out of memory. */
struct call *call_create(struct session *s, const struct command *command);

/* The call has its reply, or never will: leaves the queue when it is its turn. */
void call_finish(struct call *c);

/* Free a call that has left the queue.  For session.c and call.c. */
void call_destroy(struct call *c);

bool call_is_head(const struct call *c);

/* Write a reply: w = call_reply(c, size, &mark); ...; call_replied(c, &w, mark).  `size` is
 * about how many bytes there will be.  A reply that cannot be written closes the session. */
struct resp_writer call_reply(struct call *c, size_t size, size_t *mark);
void call_replied(struct call *c, struct resp_writer *w, size_t mark);

/* Reply and finish. */
void call_reply_error(struct call *c, const char *text);
void call_reply_status(struct call *c, enum status st, const struct err *err);
void call_reply_simple(struct call *c, const char *text);

/* Bytes that live as long as the call; NULL when out of memory or room. */
void *call_alloc(struct call *c, size_t size);

/* Fill in what all requests have in common, and submit: c->finish will be called, perhaps at
 * once.  The operations, preconditions and the limit on results are the caller's. */
void call_submit(struct call *c, const struct op *ops, struct op_result *results, uint32_t count,
                 size_t result_bytes_max);

/* For call_create(): the end of call_await_room(). */
void call_room_over(struct room_wait *wait, bool granted);

/* Later writes of the session wait until this call has ended, or no longer (C3). */
void call_set_rereads(struct call *c, bool on);

/* Carry out a unit of pieces: submit, and write the replies. */
void call_run_unit(struct call *c);

/* Have room for values of `size` bytes in all before they are copied into the reply.  False: then
 * call_await_room(), which lets `again` submit the request once more, or ends it with ST_BUSY
 * (c->finish is called with that) at the deadline, or when a later write has been begun. */
MUST_USE bool call_hold_room(struct call *c, size_t size);
void call_await_room(struct call *c, size_t size, void (*again)(struct call *c));

/* A condition did not hold: nil for EXEC, 0 for MSETNX. */
void call_reply_conflict(struct call *c);

/* A copy of the arguments' places, that lives as long as the call, as their bytes do; NULL when out
 * of memory or room. */
const struct slice *call_keep_args(struct call *c, const struct slice *args, uint32_t count);

/* What a failed request is called in the Redis protocol. */
void put_status(struct resp_writer *w, enum status st, const struct err *err, bool writes);

/* The text of what a failed request is called: "BUSY ...". */
enum { STATUS_TEXT_MAX = 320 };
const char *status_text(enum status st, const struct err *err, bool writes,
                        char out[STATUS_TEXT_MAX]);

/* ------------------------------------------------------------------ pieces of a reply */

/* Write one piece's reply from its results. */
void piece_encode(struct session *s, const struct piece *p, const struct op_result *results,
                  struct resp_writer *w);

/* Encoders that many commands share. */
void encode_ok(const struct piece *p, const struct op_result *results, struct resp_writer *w);
void encode_integer(const struct piece *p, const struct op_result *results, struct resp_writer *w);
void encode_value(const struct piece *p, const struct op_result *results, struct resp_writer *w);
void encode_count(const struct piece *p, const struct op_result *results, struct resp_writer *w);

/* False when the result is an error, which was written. */
bool encode_check(const struct op_result *result, struct resp_writer *w);

/* ------------------------------------------------------------------ streams */

/* The replies of a unit of reads, one operation at a time, at the pace of the socket
 * (stream.c).  The call is the head. */
void stream_unit(struct call *c);

#endif
