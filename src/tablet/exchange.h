/*
 * tablet/exchange.h — what replicas of different nodes say to each other.
 *
 *      type      id      payload                                                         urgent
 *      BEAT      kind    empty: the sender's node lives; does yours?  (kind is 0 to 3)    yes
 *      RAFT      tablet  raft/codec.h; an entry's data is the body of its log record      all but APPEND
 *      OFFER     tablet  shipment:u64  term  index  log_term, varints
 *                        head:string  checkpoint:string                                   no
 *      WANT      tablet  shipment:u64  table  offset  size, varints                        yes
 *      PIECE     tablet  shipment:u64  table  offset, varints  bytes                       no
 *      RECEIVED  tablet  shipment:u64  outcome:u8  table:varint (when it is DAMAGED)       yes
 *      32 ..             for those above (struct tablet_reactor)
 *
 * Everything here is called on the reactor's loop.  What arrives on another loop than the tablet's is
 * carried there as a copy; without memory for that it is lost, as messages may be.
 */
#ifndef TABLET_EXCHANGE_H
#define TABLET_EXCHANGE_H

#include "tablet/reactor.h"

/* Begin to speak with other nodes, as this process's incarnation; on the loop, or before the loops run.
 * ST_NO_MEMORY. */
MUST_USE enum status exchange_connect(struct tablet_reactor *r, uint64_t incarnation,
                                      struct err *err);

/* The other nodes come and go while the loops run: to be called on each loop, for its own connections; again with
 * another address.  ST_INVALID: an address, or the node is ourselves; ST_TOO_BIG: TABLET_NODES_MAX are there;
 * ST_NO_MEMORY. */
MUST_USE enum status exchange_set_neighbour(struct tablet_reactor *r, uint64_t node,
                                            const char *host, uint16_t port, struct err *err);
void exchange_forget_neighbour(struct tablet_reactor *r, uint64_t node); /* it may be unknown */

/* To every other node that is wanted: we live. */
void exchange_beat(struct tablet_reactor *r);

/* Queue a message about the tablet; it goes out with the end of the round.  ST_OK; ST_CLOSED,
 * ST_BUSY and the like: it is lost. */
MUST_USE enum status exchange_send(struct tablet *t, const struct raft_message *m);

enum exchange_type {
    EXCHANGE_BEAT = 1,
    EXCHANGE_RAFT = 2,
    EXCHANGE_OFFER = 3,    /* a leader has a snapshot */
    EXCHANGE_WANT = 4,     /* a part of it is asked for */
    EXCHANGE_PIECE = 5,    /* and comes */
    EXCHANGE_RECEIVED = 6, /* what has become of it */
    EXCHANGE_TYPE_COUNT
};

/* Types from here on are the guest's (tablet/reactor.h). */
enum { EXCHANGE_FOREIGN = 32 };

/* What RECEIVED says; anything else counts as FAILED. */
enum exchange_outcome {
    EXCHANGE_FAILED = 0,  /* it cannot be installed here, now */
    EXCHANGE_DONE = 1,    /* it is installed, or is not needed */
    EXCHANGE_DAMAGED = 2, /* a table came twice with a wrong checksum */
};

/* Queue any other message about the tablet, in at most two parts; as exchange_send(). */
MUST_USE enum status exchange_post(struct tablet *t, uint64_t node, enum exchange_type type,
                                   struct slice head, struct slice rest);

/* The messages of the step under way; what cannot be sent is lost. */
void exchange_send_all(struct tablet *t);

#endif
