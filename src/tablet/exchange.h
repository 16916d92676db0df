/*
 * tablet/exchange.h — what replicas of different nodes say to each other.
 *
 *      type      id      payload                                                         urgent
 *      BEAT      0       empty: the sender's node lives                                   yes
 *      RAFT      tablet  raft/codec.h; an entry's data is the body of its log record      all but APPEND
 *
 * Everything here is called on the reactor's loop.  What arrives on another loop than the tablet's is
 * carried there as a copy; without memory for that it is lost, as messages may be.
 */
#ifndef TABLET_EXCHANGE_H
#define TABLET_EXCHANGE_H

#include "tablet/reactor.h"

/* Call the other nodes; before the loops run.  ST_INVALID: an address; ST_NO_MEMORY. */
struct exchange_address {
    uint64_t node;
    const char *host; /* numeric */
    uint16_t port;
};
MUST_USE enum status exchange_connect(struct tablet_reactor *r, uint64_t incarnation,
                                      const struct exchange_address *addresses, uint32_t count,
                                      struct err *err);

/* To every other node: we live. */
void exchange_beat(struct tablet_reactor *r);

/* Queue a message about the tablet; it goes out with the end of the round.  ST_OK; ST_CLOSED,
 * ST_BUSY and the like: it is lost. */
MUST_USE enum status exchange_send(struct tablet *t, const struct raft_message *m);

/* The messages of the step under way; what cannot be sent is lost. */
void exchange_send_all(struct tablet *t);

#endif
