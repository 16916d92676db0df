/*
 * cluster/petition.h — what a node says that wants to be of a cluster, and what it is told.
 *
 * Both travel once over a connection to a member's peer port:
 *
 *      magic "DKVENTER"  size:u32 of the body  body  XXH3 of all before:u64
 *
 *      petition  format:u8 = 1  cluster:16  node:u64  wall_ms:u64  record:string   (record.h)
 *      verdict   format:u8 = 1  kind:u8  cluster:16  text:string  feed:string      (book.h)
 *
 * Pure, but for memory.
 */
#ifndef CLUSTER_PETITION_H
#define CLUSTER_PETITION_H

#include "cluster/record.h"

enum {
    CLUSTER_ID_BYTES = 16,
    PARCEL_HEAD_BYTES = 12,
    PARCEL_TAIL_BYTES = 8,
    PETITION_BYTES_MAX = 16 << 10,
    VERDICT_BYTES_MAX = 64 << 20,
    VERDICT_TEXT_MAX = 240,
};

struct petition {
    uint8_t cluster[CLUSTER_ID_BYTES]; /* zeros: of none yet; it only wants to know */
    uint64_t wall_ms;
    struct node_record node;
};

enum verdict_kind {
    VERDICT_TOLD = 1,    /* so this is our cluster; come again as one of it */
    VERDICT_WELCOME = 2, /* it is a member, and knows what we know */
    VERDICT_LATER = 3,   /* nobody can say now: try again */
    VERDICT_REFUSED = 4, /* for good; `text` says why */
};

struct verdict {
    enum verdict_kind kind;
    uint8_t cluster[CLUSTER_ID_BYTES];
    struct slice text; /* borrowed */
    struct slice feed; /* borrowed; WELCOME */
};

bool cluster_id_is_none(const uint8_t id[CLUSTER_ID_BYTES]);

/* Append a whole parcel.  ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status petition_encode(const struct petition *p, struct buf *out);
MUST_USE enum status verdict_encode(const struct verdict *v, struct buf *out);

/* Is a parcel of at most `body_max` whole in these bytes?  `*size`: of the parcel; 0: more is needed to
 * know, or to have it.  ST_CORRUPT: it is none, or damaged. */
MUST_USE enum status parcel_open(struct slice bytes, size_t body_max, size_t *size,
                                 struct slice *body, struct err *err);

/* The bodies.  ST_CORRUPT; ST_INVALID: a newer format. */
MUST_USE enum status petition_decode(struct slice body, struct petition *out, struct err *err);
MUST_USE enum status verdict_decode(struct slice body, struct verdict *out, struct err *err);

#endif
