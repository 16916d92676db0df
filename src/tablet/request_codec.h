/*
 * tablet/request_codec.h — a request and its answer as bytes, for another node.  Pure.
 *
 * Format: docs/formats/request.md.  What another node says is never trusted: bytes that no program of ours
 * writes are ST_CORRUPT, those of a newer one ST_INVALID.
 *
 * A deadline travels as the time that is left, for clocks differ.  A request with a snapshot does not
 * travel: what it reads is pinned here.
 */
#ifndef TABLET_REQUEST_CODEC_H
#define TABLET_REQUEST_CODEC_H

#include "tablet/request.h"

enum { REQUEST_CODEC_FORMAT = 1, REQUEST_OP_BYTES_MIN = 4 };

/* Time left beyond this is not said: nobody waits for so long. */
#define REQUEST_LEFT_US_MAX (UINT64_C(86400) * 1000000)

/* What goes with a request. */
struct request_envelope {
    uint64_t tablet;
    uint64_t left_us; /* to the deadline; without one: not used */
};

/* Bytes that it takes; `at`, unless NULL, has room for them. */
size_t request_encode(uint8_t *at, const struct request *r, const struct request_envelope *e);

/* How much memory it takes to decode. */
struct request_sizes {
    uint32_t ops;
    uint32_t preconditions;
};
MUST_USE enum status request_measure(struct slice bytes, struct request_sizes *out);

/* All that a caller fills in, but for `results`, `done` and the deadline.  Keys and values borrow from
 * `bytes`; `ops` and `preconditions` have the room that was measured. */
MUST_USE enum status request_decode(struct slice bytes, struct request *r, struct op *ops,
                                    struct precondition *preconditions, struct request_envelope *e);

/* What the caller reads in `done`: status, leader, err, and with ST_OK the results. */
size_t answer_encode(uint8_t *at, const struct request *r);

/* Into the request that was sent; values borrow from `bytes`.  ST_CORRUPT, ST_INVALID: its status is what
 * it was, and its results are not to be read. */
MUST_USE enum status answer_decode(struct slice bytes, struct request *r);

#endif
