/*
 * tablet/request.h — what every session asks for, and what it gets (DESIGN, decision 5).
 *
 * A request is an ordered list of operations on the keys of one keyspace,
 * evaluated as one unit by the owner of the tablet, with optional version
 * preconditions.  Requests and results are self-contained: nothing in them
 * points into a session, so that they can be forwarded.
 *
 * LIFE.  The caller owns the request and everything that it points to, from
 * kv_submit() until `done` is called, exactly once, on the caller's loop
 * (possibly before kv_submit() returns).  During `done`, and only then,
 * `results` may be read: the values in them are borrowed.
 *
 * WITHOUT OPERATIONS it is a read that returns nothing.  ST_OK says what it says of every read: that
 * whatever was committed when the request came can be read on this node now.
 */
#ifndef TABLET_REQUEST_H
#define TABLET_REQUEST_H

#include <stdatomic.h>

#include "base/entry.h"
#include "base/list.h"
#include "base/status.h"

#include "env/env.h"

struct request_way;

/* The first byte of every stored key; values are for ever. */
enum key_kind {
    KEY_DEDUP = 'd', /* a client's last write (tablet/dedup.h) */
    KEY_META = 'm',
    KEY_USER = 'u',
};

enum durability {
    DURABILITY_ALWAYS,   /* fsync before the reply */
    DURABILITY_INTERVAL, /* written to the operating system; fsync every interval */
    DURABILITY_NEVER,    /* written to the operating system */
    DURABILITY_COUNT
};

enum op_kind {
    /* reading */
    OP_GET,  /* result: value, version, expiry; OP_NIL */
    OP_META, /* as OP_GET without the value; `integer` = its length (EXISTS, TTL, STRLEN, TYPE) */
    OP_GETRANGE, /* number = first, number2 = last byte, negative from the end, as GETRANGE */

    /* writing */
    OP_PUT,    /* value, expiry_ms; flags: NX XX KEEP_EXPIRY RETURN_OLD */
    OP_DELETE, /* result: integer = 1 when it existed; flags: RETURN_OLD */
    OP_EXPIRE, /* expiry_ms (0 = persist); flags: NX XX GT LT; integer = 1 when changed;
                      a time not after now deletes */
    OP_GETEX,  /* as OP_GET, then as OP_EXPIRE when HAS_EXPIRY is given */
    OP_INCR,   /* number = delta; result: integer = the sum; OP_NOT_INTEGER, OP_OVERFLOW */
    OP_INCR_FLOAT, /* value = delta as text; result: value = the sum as text; OP_NOT_FLOAT, OP_NOT_FINITE */
    OP_APPEND,   /* value; result: integer = new length */
    OP_SETRANGE, /* number = offset, value; result: integer = new length */
    OP_COPY,     /* key -> key2; flags: NX (key2 must be absent), MOVE (rename);
                      result: integer = 1 when done, 0 when NX refused; OP_NIL: no such key */
    OP_CLEAR,    /* the whole keyspace; alone in its request */
    OP_KIND_COUNT
};

enum op_flags {
    OPF_NX = 1 << 0,
    OPF_XX = 1 << 1,
    OPF_GT = 1 << 2,
    OPF_LT = 1 << 3,
    OPF_KEEP_EXPIRY = 1 << 4,
    OPF_RETURN_OLD = 1 << 5, /* result: value = what was there before, or OP_NIL in `old_missing` */
    OPF_MOVE = 1 << 6,
    OPF_HAS_EXPIRY = 1 << 7,
};

struct op {
    enum op_kind kind;
    unsigned flags;
    struct slice key;   /* the user's key, without kind byte; at most LIMIT_KEY_BYTES */
    struct slice key2;  /* OP_COPY */
    struct slice value; /* at most LIMIT_VALUE_BYTES */
    int64_t number;
    int64_t number2;
    uint64_t expiry_ms; /* Unix ms; 0 = none */
};

/* How one operation ended.  A failed operation changes nothing; the others of
 * the unit are carried out all the same (as in Redis's EXEC).  Stored (tablet/dedup.h); values are
 * for ever. */
enum op_code {
    OP_DONE,
    OP_NIL,         /* no such key; or NX, XX, GT, LT refused */
    OP_NOT_INTEGER, /* the value is not a 64-bit integer */
    OP_NOT_FLOAT,
    OP_NOT_FINITE, /* the sum would be infinite or not a number */
    OP_OVERFLOW,   /* the sum is beyond 64 bits */
    OP_TOO_LONG,   /* the value would pass LIMIT_VALUE_BYTES */
    OP_CODE_COUNT
};

struct op_result {
    enum op_code code;
    bool old_missing;   /* OPF_RETURN_OLD: there was nothing before */
    bool was_tombstone; /* OP_GET, OP_META with OP_NIL: a deletion is still remembered */
    struct slice value; /* borrowed during `done` */
    int64_t integer;
    version_t version;  /* of the value read, or of the write */
    uint64_t expiry_ms; /* of the value read, or after the write */
};

/* A tablet sees operations only.  The others are kv's own, between two nodes (kv/host.h). */
enum request_kind {
    REQUEST_OPERATIONS,
    REQUEST_SCAN,
    REQUEST_COUNT,
    REQUEST_RANDOM,
    REQUEST_KINDS
};

/* The unit is carried out only if the key has this version now; 0: is absent. */
struct precondition {
    struct slice key;
    version_t version;
};

struct request {
    /* what the caller fills in */
    uint32_t keyspace;
    uint64_t
        only; /* the tablet that is asked, of those of the keyspace; 0: which follows from the keys */
    uint64_t edition; /* of the tablet's scope, by which it was chosen (engine/scope.h) */
    enum durability durability;
    uint64_t origin; /* the connection: its requests are evaluated in the order of submission */
    bool ordered;    /* must see the effects of the caller's unfinished writes */
    bool admin;      /* administrative: no deadline */
    uint64_t deadline_ns; /* env_boot_ns(); ignored for admin */
    /* Writes only: a client's writes are numbered from 1 upwards, one under way at a time; a retry
     * repeats the number, and is applied once (tablet/dedup.h). */
    uint64_t client_id; /* 0: no request identity */
    uint64_t sequence;
    const struct kv_snapshot *snapshot; /* pure reads only; NULL: what is committed now */
    /* Pure reads only, that are not `ordered`: a replica here may answer them that has all that was committed so
     * long ago, as far as the clocks of the nodes agree.  0: only one that has all of it. */
    uint32_t stale_ms;
    const struct precondition *preconditions;
    uint32_t precondition_count;
    const struct op *ops;
    uint32_t op_count;         /* 0: see above */
    struct op_result *results; /* op_count of them */
    size_t result_bytes_max;   /* values returned in all; beyond: ST_TOO_BIG for a pure read */
    void (*done)(struct request *self);

    /* what the caller reads in `done`:
     * ST_OK         results are filled in
     * ST_CONFLICT   a precondition does not hold; nothing was applied
     * ST_BUSY       back-pressure; nothing was applied
     * ST_NO_SPACE   read-only: the disk is full; nothing was applied
     * ST_IO         read-only: the log has failed, or a read failed; nothing was applied
     * ST_CORRUPT    a read met damage
     * ST_TOO_BIG    beyond a limit; nothing was applied
     * ST_TIMEOUT    the deadline passed; nothing was applied
     * ST_UNKNOWN    the outcome is unknown
     * ST_NOT_LEADER another node is to be asked; nothing was applied
     * ST_SCATTERED  its keys lie in several tablets; nothing was applied
     * ST_MOVED      its keys, or some of all there are, are another tablet's by now; nothing was applied
     * ST_CLOSED     shutting down; nothing was applied
     * ST_INVALID    no such request can be; or, of a client with an identity, one that a later
     *               write took the place of: nothing was applied by this attempt
     * ST_EXISTS     a retry: it was applied before, and the results were not kept
     * What is said of a retry is said of this attempt: another may have been applied, unless the
     * status is ST_OK, ST_CONFLICT or ST_EXISTS. */
    enum status status;
    uint64_t leader;      /* ST_NOT_LEADER: the node that is to be asked; 0: nobody knows */
    uint64_t leader_term; /* in which it leads */
    uint64_t elsewhere;   /* the node that has answered, when it is not this one */
    struct err err;       /* when status is not ST_OK, and more is known */

    /* private to kv and tablet */

    enum request_kind kind;

    /* Only who leads in this term evaluates it, or 0: in any.  Whoever refuses it for this refuses it, and
     * whatever is to be evaluated in the same term, for ever. */
    uint64_t term;
    const _Atomic uint64_t *fence; /* and only while the gate says `pass`; NULL: there is none */
    uint64_t pass;

    struct task task;
    struct loop *home; /* where `done` is called */
    struct tablet *tablet;
    enum status answer; /* of its evaluation, told when all that it rests on is committed */
    struct list link;
    struct cold_read *cold; /* what a job has read for it, or is reading */
    struct buf scratch;     /* values of the results, when they are not borrowed */
    struct request_way *way;
    uint64_t turn;  /* its place among those of its route (kv/route.h) */
    bool uncertain; /* an earlier attempt, of the same number, may have been applied */
};

/* The way on which requests came, and on which they go back; on their `home`. */
struct request_way {
    uint64_t under_way; /* that are not done */
    /* Before `done` says anything but ST_OK.  True: the request is taken back, to be asked again.  NULL:
     * none is. */
    bool (*back)(struct request *r);
};

/* What was committed at one moment, kept readable (kv_snapshot_take). */
struct kv_snapshot {
    struct tablet *tablet;
    struct lsm_snapshot *pin;
    version_t version;
};

/* Does any operation write? */
bool request_writes(const struct request *r);

/* Call `done`, then free what its results may have borrowed; the request itself may be gone. For
 * kv and tablet. */
void request_done(struct request *r);

/* As request_done(), on r->home; called on the loop `here`, to which tablet_send() has carried it if that is another. */
void request_done_at_home(struct request *r, struct loop *here);

static inline bool
op_writes(enum op_kind kind)
{
    return kind >= OP_PUT;
}

#endif
