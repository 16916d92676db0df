/*
 * api/session.h — one connection.
 *
 *      readable ─> input ─> command ─> call ─> ... ─> reply ─> output ─> writable
 *
 * All of it happens on the session's reactor.  What a round of events has
 * produced is written once, when the round ends (reactor.c).
 */
#ifndef API_SESSION_H
#define API_SESSION_H

#include "base/limits.h"

#include "api/call.h"
#include "api/input.h"
#include "api/output.h"
#include "api/reactor.h"

enum {
    /* Replies that a client has not read, beyond which it is read from no more. */
    SESSION_OUTPUT_BYTES_MAX = 1 << 20,

    /* A stream adds to the output while less than this is pending. */
    SESSION_STREAM_BYTES = 256 << 10,

    /* Commands of one connection under way. */
    SESSION_CALLS_MAX = 1024,

    /* Bytes of their arguments. */
    SESSION_CALL_BYTES_MAX = 4 << 20,

    /* A client that takes no byte of its replies for this long is gone. */
    SESSION_STUCK_MS_MAX = 60 * 1000,

    SESSION_NAME_BYTES = LIMIT_NAME_BYTES + 1,
};

struct transaction;

struct session {
    struct reactor *reactor;
    struct stream *stream; /* NULL: closed */
    uint64_t id;           /* also the origin of its requests */
    struct list link;      /* in reactor->sessions, least recently active first */
    struct list dirty;     /* in reactor->dirty, when there is something to send */
    struct list ready;     /* in reactor->ready, when parsing may go on */
    enum wire_kind kind;
    enum api_door door;

    struct input input;
    struct output output;
    struct list calls; /* struct call, oldest first */
    uint32_t call_count;
    size_t call_bytes;
    size_t reply_bytes; /* charged for replies that are not in the output yet */
    uint32_t writes_unfinished;
    uint32_t rereads; /* reads that may be repeated later: writes must not overtake them */
    struct call *held;
    struct call *alone;    /* nothing else begins before it has ended */
    struct room_wait room; /* for input */

    bool advancing; /* inside session_advance() */
    bool parting;   /* it ends with what comes next */
    bool paused;    /* something came that could not be parsed yet: not watched for more */
    bool ended;     /* nothing more will be read */
    bool leaving;   /* nothing more will be parsed; closes when all is answered and sent */
    bool broken;    /* a reply could not be written: closes at the end of the round */
    unsigned watching;

    uint32_t database;
    uint32_t keyspace;
    uint32_t version; /* of the Redis protocol: 2 or 3 */
    bool authenticated;
    bool reads_here;        /* READONLY: they are never MOVED, and may be stale */
    bool asking;            /* ASKING: nor is the next command */
    bool durability_chosen; /* by DISTKV DURABILITY; otherwise as the node's setting */
    enum durability durability;
    struct transaction *transaction; /* NULL: no MULTI, no WATCH */

    uint64_t created_ns;
    uint64_t active_ns;
    uint64_t sent_ns; /* when the socket last took something */
    const struct command *last_command;
    char name[SESSION_NAME_BYTES];
    char library[SESSION_NAME_BYTES];
    char library_version[SESSION_NAME_BYTES];
};

/* A new connection; takes the stream over in any case. */
void session_open(struct reactor *r, struct stream *stream, enum api_door door);

/* At once: the stream is closed, what waits is cancelled.  The session is freed when its last
 * call has come back. */
void session_close(struct session *s);

/* Parse and begin what can be begun. */
void session_advance(struct session *s);

/* Parsing may be able to go on: look again before the round ends. */
void session_wake(struct session *s);

/* There is something to send, or to watch for. */
void session_mark_dirty(struct session *s);

/* Why parsing cannot go on: see session.c. */
bool session_blocked(const struct session *s);

/* Watch the socket for what can be used now. */
void session_watch(struct session *s);

/* The wait of the input for room is over. */
void session_room_over(struct room_wait *wait, bool granted);

/* Send; adjust what is watched; close when that was all. */
void session_flush(struct session *s);

/* Answer what was received, and close; who was active just now may ask once more. */
void session_drain(struct session *s);

/* The same, and at once: read what is there, and no more. */
void session_part(struct session *s);

/* Commands that were parsed and wait may begin (called when a call has left the queue). */
void session_call_ended(struct session *s);

/* Free what is left; no call is. */
void session_destroy(struct session *s);

/* Bytes of an unfinished command, and of a MULTI's queue. */
size_t session_held_bytes(const struct session *s);

/* When a request that begins now must have ended. */
uint64_t session_deadline_ns(const struct session *s);
enum durability session_durability(const struct session *s);
uint32_t session_stale_ms(const struct session *s); /* request.stale_ms */

static inline bool
session_closed(const struct session *s)
{
    return s->stream == NULL;
}

/* True: this first word of a line is one of HTTP, and the connection will be closed (session.c). */
bool session_refuse_http(struct session *s, struct slice word);

void session_set_authenticated(struct session *s, bool authenticated);

/* Printable, no spaces, at most LIMIT_NAME_BYTES; empty takes the name away.  NULL, or the error. */
const char *session_set_name(struct session *s, struct slice name);
bool session_name_is_plain(struct slice name);

/* ------------------------------------------------------------------ what the two protocols add */

/* A command of the Redis protocol stands in s->input: answer it, or make it s->held (redis.c). */
void redis_command(struct session *s);

/* A command that was held begins. */
void redis_begin(struct call *c);

/* Does this held command write? */
bool redis_writes(const struct call *c);

/* One line of the line protocol (line_session.c). */
void line_command(struct session *s, struct slice line);
void line_refuse(struct session *s, const char *text);

#endif
