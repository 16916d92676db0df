/*
 * tablet/dedup.h — what is kept of a client's last write, so that a retry is applied once (DESIGN,
 * decision 9; P8).  Pure codec.
 *
 * A client with an identity has one request under way at a time and numbers its writes upwards; a
 * retry repeats the number.  Each write that is evaluated leaves a record with its answer, in the
 * same log entry and the same tree: they are durable, replicated and lost together.  The record
 * replaces the one of the client's write before.
 *
 *      key     KEY_DEDUP  client_id:u64 big-endian
 *      value   format:u8 = 1  sequence:varint  outcome:u8  count:varint  result*
 *              outcome   0 done: `count` results follow
 *                        1 a precondition did not hold
 *                        2 done, and the results were larger than LIMIT_DEDUP_BYTES
 *              result    code:u8  parts:u8  [version:varint] [integer:varint] [expiry_ms:varint]
 *                        [value:string]
 *              parts     1 nothing was there before; 2 a deletion is remembered;
 *                        4 the version is that of the record; 8 a version follows;
 *                        16 an integer, 32 an expiry, 64 a value follows
 *
 * WHAT A WRITE WITH AN IDENTITY IS TOLD
 *
 *      sequence above the record's    it is evaluated
 *      the same                       what the first one was told: ST_OK with its results, or
 *                                     ST_CONFLICT; ST_EXISTS when they were too large to keep
 *      below                          ST_INVALID: a later write of the client took its place
 *
 * A unit that changed nothing leaves a record, too.  Its client was told so and relies on it; without a
 * record a copy of the request that is still on its way would be evaluated once more, and might
 * succeed after its client was told that it did not (a lock, taken for nobody).
 *
 * NOT PROMISED.  A request that ends otherwise (ST_BUSY, ST_TOO_BIG, ST_TIMEOUT ..) leaves no record: "nothing
 * was applied" is said of that attempt alone, and another one of the same number may have
 * been applied, or yet be.  A record is gone LIMIT_DEDUP_MS after the write, and when somebody clears the
 * keyspace: a retry that comes later than that is a new write.
 */
#ifndef TABLET_DEDUP_H
#define TABLET_DEDUP_H

#include "tablet/request.h"

/* Does this request look for a record, and leave one?  Writes of a client with an identity. */
bool dedup_concerns(const struct request *r);

/* ST_INVALID: no such request may have an identity (sequence 0; OP_CLEAR, which would wipe the
 * record with the rest). */
MUST_USE enum status dedup_check(const struct request *r, struct err *err);

/* The key of the client's record, without kind byte, in `room`. */
enum { DEDUP_KEY_BYTES = 8 };
struct slice dedup_key(const struct request *r, uint8_t room[DEDUP_KEY_BYTES]);

/* Bytes that dedup_encode() will write. */
size_t dedup_record_size(const struct request *r, version_t version);

/* The record of an evaluated request, whose answer is ST_OK or ST_CONFLICT, in an entry of this
 * version.  `at` has dedup_record_size() bytes. */
void dedup_encode(uint8_t *at, const struct request *r, version_t version);

/* What the client's record, in an entry of this version, means for this request.  `*repeated`: it is
 * to be answered by r->answer, r->err and r->results, whose values borrow from the record; else it
 * is to be evaluated.  ST_CORRUPT: not a record; ST_INVALID: newer than this program. */
MUST_USE enum status dedup_recall(struct slice record, version_t version, struct request *r,
                                  bool *repeated);

#endif
