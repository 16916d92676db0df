/*
 * kv/host.h — what other nodes read here that is more than a request: scans, counts, random keys.
 *
 * The snapshot of a scan is kept between its pieces, under the number that its sender gave it, until it is
 * over, or was not asked for for HOST_SCAN_NS; HOST_SCANS_MAX of them for each door, beyond: ST_BUSY.
 * A count or a random key is a job of administration (kv.h).
 *
 * None of them asks whether this node leads: whoever sends it was told so just before, and what was committed
 * by then is here.
 */
#ifndef KV_HOST_H
#define KV_HOST_H

#include "kv/forward.h"

enum { HOST_SCANS_MAX = 256 };

#define HOST_SCAN_NS (60 * UINT64_C(1000000000))

/* A door of another node's process. */
struct host_guest {
    struct peer_sender from;
    uint32_t door;
};

/* Takes the request, which is of another kind than operations, until it is done. */
void host_take(struct forward *f, struct request *r, uint64_t tablet,
               const struct host_guest *guest);

/* Forget what nobody asks for any more. */
void host_tick(struct forward *f, uint64_t now_ns);

/* The node drains: scans of which no piece is being read are over; the others, when it is. */
void host_close_idle(struct forward *f);
bool host_is_busy(const struct forward *f);

#endif
