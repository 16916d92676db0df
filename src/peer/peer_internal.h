/*
 * peer/peer_internal.h — what the files of peer/ share.
 *
 *      hello.c     who is there, as bytes       frame.c    a frame's header, as bytes
 *      outbox.c    messages to be sent          inbox.c    bytes that arrive, to messages
 *      link.c      a stream, and the greeting   faults.c   what a worse network would do
 *      outgoing.c  the connection to a node     incoming.c a connection from one
 *      peer.c      all of them on one loop      carrier.h  what streams are made of
 *
 * Invariants P1..P8: peer.c.
 */
#ifndef PEER_PEER_INTERNAL_H
#define PEER_PEER_INTERNAL_H

#include "base/list.h"
#include "base/prng.h"
#include "base/refrain.h"

#include "peer/peer.h"

enum {
    PEER_FORMAT = 1, /* the only one yet */
    HELLO_BYTES = 72,
    HELLO_BYTES_MAX = 256, /* later formats may say more */
    FRAME_HEADER_BYTES = 24,
    SCRATCH_BYTES = 64 << 10, /* what is read at a time */
    BATCH_BYTES = 64 << 10,   /* what is written at a time, unless one frame is longer */
    BATCH_FRAMES = 64,
    BUCKETS = 64,
    ADDRESS_BYTES = 64,
    GREETING_MS = 5000, /* for the hellos of a connection */
    CONNECT_MS = 2000,
    STALL_MS = 30000, /* between two bytes of one message */
    RETRY_MS_MIN = 50,
    RETRY_MS_MAX = 1000,
    NS_PER_MS = 1000000,
};

/* ------------------------------------------------------------------ hello.c */

struct hello {
    uint16_t format_min;
    uint16_t format_max;
    uint16_t lane; /* which loop of the node speaks */
    struct peer_identity self;
    peer_node to; /* whom it is meant for */
    uint64_t nonce;
};

void hello__put(uint8_t out[HELLO_BYTES], const struct hello *h);

/* How long the hello is that begins with these bytes; 0: it takes more of them to know.
 * ST_CORRUPT: it is none. */
MUST_USE enum status hello__size(struct slice begin, size_t *size, struct err *err);

/* Can no hello begin with these bytes? */
bool hello__is_none(struct slice begin);

/* ST_CORRUPT. */
MUST_USE enum status hello__get(struct slice whole, struct hello *out, struct err *err);

/* May these two talk?  `format` is what both understand.  ST_INVALID says why not. */
MUST_USE enum status hello__agree(const struct hello *ours, const struct hello *theirs,
                                  uint16_t *format, struct err *err);

/* ------------------------------------------------------------------ frame.c */

struct frame {
    uint32_t size; /* of the payload */
    uint32_t rest; /* bytes of the message that follow in later frames */
    uint64_t id;
    uint8_t type;
    bool urgent; /* a message of its own, even among the frames of another */
};

/* The header of a frame, whose payload stands behind it. */
void frame__seal(uint8_t *header, const struct frame *f, uint64_t seed, uint64_t number);

/* ST_CORRUPT: no frame is like that.  Says nothing about the checksum. */
MUST_USE enum status frame__get(const uint8_t header[FRAME_HEADER_BYTES], struct frame *out,
                                struct err *err);

bool frame__checks_out(const uint8_t header[FRAME_HEADER_BYTES], struct slice payload,
                       uint64_t seed, uint64_t number);

/* ------------------------------------------------------------------ outbox.c */

struct outbox {
    struct budget *budget;
    size_t bulk_max;
    size_t urgent_max;
    struct list urgent; /* struct item, oldest first */
    struct list bulk;   /* likewise; the first may be sent in part */
    struct list late;   /* delayed by a fault, in no order */
    struct list batch;  /* whose frame is being written; in order */
    size_t bulk_bytes;  /* of all that are in memory, the batch's and the late ones' included */
    size_t urgent_bytes;
    size_t written; /* of the frame of the batch's first */
    uint64_t seed;
    uint64_t number; /* of the next frame */
};

void outbox__init(struct outbox *o, const struct peer_options *options, uint64_t seed);
void outbox__release(struct outbox *o); /* what is in it is dropped */

/* `due_ns` 0: at once.  ST_BUSY, ST_NO_MEMORY. */
MUST_USE enum status outbox__add(struct outbox *o, const struct peer_message *m, size_t size,
                                 uint64_t due_ns);

/* What is to be written next; returns how many parts, 0 when there is nothing. */
size_t outbox__gather(struct outbox *o, struct slice parts[BATCH_FRAMES]);

/* So many bytes of what was gathered are written. */
void outbox__written(struct outbox *o, size_t size);

/* Queue what was delayed until now; when the next one is due, or 0. */
uint64_t outbox__due(struct outbox *o, uint64_t now_ns);

/* ------------------------------------------------------------------ inbox.c */

/* Of all inboxes of a loop. */
struct inbox_shared {
    struct budget *budget;
    size_t assembly_max;
    size_t assembly_bytes; /* charged for messages that are arriving in frames */
    uint64_t dropped;      /* messages, for lack of it */
};

typedef void inbox_deliver_fn(void *ctx, uint8_t type, uint64_t id, struct slice payload);

struct inbox {
    struct inbox_shared *shared;
    inbox_deliver_fn *deliver;
    void *ctx;
    uint64_t seed;
    uint64_t number; /* of the next frame */
    uint8_t header[FRAME_HEADER_BYTES];
    size_t header_got;
    struct frame frame; /* once header_got is all */
    uint8_t *into; /* where its payload goes: `block`, or a place in `whole`; NULL: not yet known */
    size_t into_got;
    uint8_t *block; /* owned; charged */
    uint8_t *whole; /* owned; charged; the message whose frames are arriving */
    size_t whole_bytes;
    size_t whole_got;
    struct frame last; /* of its frames; last.rest > 0: one is arriving */
};

void inbox__init(struct inbox *in, struct inbox_shared *shared, uint64_t seed,
                 inbox_deliver_fn *deliver, void *ctx);
void inbox__release(struct inbox *in);

/* Where the next bytes are best read to, and how many; 0: nowhere in particular. */
size_t inbox__room(struct inbox *in, uint8_t **at);

/* So many bytes were read to there.  Statuses as inbox__put(). */
MUST_USE enum status inbox__filled(struct inbox *in, size_t size, struct err *err);

/* These bytes have arrived.  ST_CORRUPT, ST_TOO_BIG, ST_NO_MEMORY: the end of the connection. */
MUST_USE enum status inbox__put(struct inbox *in, struct slice bytes, struct err *err);

/* Is a message half here? */
bool inbox__is_waiting(const struct inbox *in);

/* ------------------------------------------------------------------ link.c */

/* A stream with someone at its other end who says who he is. */
struct link {
    struct peer *peer;
    struct stream *stream; /* owned; NULL: none */
    bool calls;            /* it was we who called */
    bool said;             /* our hello is whole */
    bool heard;            /* so is theirs */
    struct hello ours;
    struct hello theirs;
    uint8_t ours_bytes[HELLO_BYTES];
    size_t ours_sent;
    uint8_t theirs_bytes[HELLO_BYTES_MAX];
    size_t theirs_got;
    uint64_t deadline_ns; /* of the greeting */
    uint64_t seed;        /* of the frames' checksums */
};

/* Takes the stream, and wraps it.  `to` is whom we called, or 0.  ST_NO_MEMORY: it stays the caller's. */
MUST_USE enum status link__begin(struct link *l, struct peer *p, struct stream *stream,
                                 peer_node to);

/* Go on with the greeting.  ST_OK: both know each other.  ST_WOULD_BLOCK: watch for link__wants().
 * ST_CLOSED, ST_CORRUPT, ST_INVALID: it has failed. */
MUST_USE enum status link__greet(struct link *l, struct err *err);
unsigned link__wants(const struct link *l);

/* Is it another protocol that is spoken there?  After ST_CORRUPT. */
bool link__is_strange(const struct link *l);

/* As stream_read() and stream_write(). */
MUST_USE enum status link__read(struct link *l, void *out, size_t size, size_t *got);
MUST_USE enum status link__write(struct link *l, const struct slice *parts, size_t count,
                                 size_t *written);
void link__watch(struct link *l, unsigned events, stream_fn *fn, void *ctx);
void link__end(struct link *l); /* harmless when there is none */

/* ------------------------------------------------------------------ outgoing.c */

enum outgoing_state { OUTGOING_PAUSES, OUTGOING_CONNECTS, OUTGOING_GREETS, OUTGOING_UP };

struct outgoing {
    struct list link;  /* in a bucket */
    struct list dirty; /* in peer->dirty */
    struct peer *peer;
    peer_node node;
    char address[ADDRESS_BYTES];
    uint16_t port;
    enum outgoing_state state;
    uint32_t failures; /* since it was up */
    uint64_t due_ns;   /* of OUTGOING_PAUSES */
    struct connector *connector;
    struct link line;
    struct outbox outbox; /* of OUTGOING_UP */
    uint64_t incarnation; /* likewise */
    bool blocked;         /* it waits for room */
};

/* NULL when out of memory. */
struct outgoing *outgoing__create(struct peer *p, peer_node node);
void outgoing__destroy(struct outgoing *o);
void outgoing__move(struct outgoing *o, const char *address, uint16_t port);

/* Do what is due; when to come again, or 0. */
uint64_t outgoing__due(struct outgoing *o, uint64_t now_ns);

/* The node has called us, so it is there: do not wait any longer.  If it is of another incarnation, our
 * connection leads to a process that is no more, though its end did not reach us.  Last (P8). */
void outgoing__heard_of(struct outgoing *o, uint64_t incarnation);

/* Last: the callback may have forgotten it. */
void outgoing__flush(struct outgoing *o);

/* ------------------------------------------------------------------ incoming.c */

struct incoming {
    struct list link; /* in peer->incoming, oldest first */
    struct peer *peer;
    struct link line;
    struct inbox inbox;
    struct peer_sender from;
    bool open; /* the greeting is over */
    uint64_t progress_ns;
};

void incoming__begin(struct peer *p, struct stream *stream);
void incoming__end(struct incoming *in);
uint64_t incoming__due(struct incoming *in, uint64_t now_ns); /* likewise; may end it */

/* ------------------------------------------------------------------ faults.c */

/* How often the message is to be sent: 0, 1 or 2 times. */
unsigned faults__copies(struct peer *p);

/* When: 0 is at once. */
uint64_t faults__due_ns(struct peer *p);

/* ------------------------------------------------------------------ peer.c */

struct peer {
    struct peer_options options;
    struct loop *loop;
    struct timer *timer;
    uint64_t timer_ns; /* when it fires; 0: it does not run */
    struct list buckets[BUCKETS];
    struct list incoming;
    size_t incoming_count;
    size_t greeting_count; /* of them, those that are not open */
    struct refrain refusals;
    struct list dirty;
    struct inbox_shared shared;
    uint8_t *scratch; /* SCRATCH_BYTES; owned */
    struct prng dice;
    struct prng fault_dice;
};

struct outgoing *peer__find(const struct peer *p, peer_node node);

/* Look at what is due, then. */
void peer__wake_at(struct peer *p, uint64_t at_ns);

#endif
