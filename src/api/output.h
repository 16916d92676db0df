/*
 * api/output.h — replies on their way to one client, in order.
 *
 *      parts    [ 16 KiB of small replies ][ one large value ][ small ... ]
 *                    ^ sent up to here                             ^ tail: written to
 *
 * Small replies share parts from a pool; a reply that does not fit gets a part
 * of its own size, so that large values are copied once.  What parts take is
 * charged to ROOM_REPLY.
 */
#ifndef API_OUTPUT_H
#define API_OUTPUT_H

#include "api/room.h"
#include "env/env.h"

enum {
    PART_BYTES = 16 << 10,
    PART_POOL_MAX = 256,

    /* A reply may grow to this; larger ones are streamed. */
    REPLY_BYTES_MAX = 256 << 20,
};

struct part {
    struct list link;
    struct buf bytes;
    size_t sent;
    size_t charged;
};

struct part_pool {
    struct room *room;
    struct list free;
    uint32_t free_count;
};

struct output {
    struct part_pool *pool;
    struct list parts;
    size_t pending; /* bytes not yet taken by the socket */
};

void part_pool_init(struct part_pool *pool, struct room *room);
void part_pool_release(struct part_pool *pool);

void output_init(struct output *o, struct part_pool *pool);
void output_release(struct output *o);

/* Where to write a reply of about `size` bytes; NULL when out of memory.  `granted` bytes were
 * charged for it already: the output takes the charge over, on success. */
struct buf *output_begin(struct output *o, size_t size, size_t granted);

/* The reply was written to the end of output_begin()'s buffer, which had `before` bytes. */
void output_end(struct output *o, size_t before);

/* Append a reply that was written elsewhere.  Moves the bytes out of `reply` when they are many,
 * with the `charged` bytes that they were charged; copies them otherwise, and returns the
 * charge.  ST_NO_MEMORY: nothing happened. */
MUST_USE enum status output_add(struct output *o, struct buf *reply, size_t charged);

/* Give the socket what it takes; ST_OK: all of it; ST_WOULD_BLOCK: some or none; ST_CLOSED. */
MUST_USE enum status output_send(struct output *o, struct stream *stream, uint64_t *sent);

#endif
