/*
 * api/input.h — bytes of one client, from the socket to the arguments of a command.
 *
 *      block    [ parsed ][ at: the unfinished token ][ free ]
 *
 * The parser takes whole tokens; when the block ends inside one, the token's
 * bytes move to the next block, and nothing else ever moves.  The arguments of
 * a command may therefore lie in several blocks, which are kept in `blocks`
 * until the command is complete and its call takes them over.
 *
 * A command that may not be kept (too large, or no room for it by its
 * deadline) is refused: the rest of it is read and dropped, and then it is
 * answered with the reason, so that the connection can go on.
 */
#ifndef API_INPUT_H
#define API_INPUT_H

#include "base/slice.h"

#include "api/block.h"
#include "wire/line.h"
#include "wire/resp.h"

enum { INPUT_ARGS_IN_PLACE = 8 };

enum input_refusal {
    INPUT_KEPT,
    INPUT_TOO_LARGE, /* beyond LIMIT_REQUEST_BYTES, or an argument beyond LIMIT_VALUE_BYTES */
    INPUT_NO_ROOM,   /* not within the deadline */
};

struct input {
    struct block_pool *pool;
    struct block *block; /* being filled; NULL when nothing is unparsed */
    size_t at;           /* parsed up to here */
    struct resp_parser parser;
    struct line_parser lines;

    struct slice in_place[INPUT_ARGS_IN_PLACE];
    struct slice *args;
    uint32_t arg_count;
    uint32_t arg_capacity;
    struct block_refs blocks; /* earlier ones of the unfinished command */
    size_t command_bytes;

    enum input_refusal refused;
    size_t skip; /* bytes of a bulk string, with its ending, that are still to be dropped */
};

void input_init(struct input *in, struct block_pool *pool);
void input_release(struct input *in);

/* Bytes that are not parsed. */
static inline struct slice
input_rest(const struct input *in)
{
    if (in->block == NULL)
        return slice_of(NULL, 0);
    return slice_of(in->block->bytes + in->at, in->block->filled - in->at);
}

/* Make room for reading.  ST_OK: `*to` and `*size` say where; report what was read with
 * input_filled().  ST_BUSY: `*wanted` bytes of ROOM_REQUEST must be granted first; then call
 * input_grow() with that.  ST_NO_MEMORY. */
MUST_USE enum status input_prepare(struct input *in, uint8_t **to, size_t *size, size_t *wanted);
MUST_USE enum status input_grow(struct input *in, size_t granted);
void input_filled(struct input *in, size_t size);

enum input_event {
    INPUT_MORE,    /* nothing whole is there */
    INPUT_COMMAND, /* args and arg_count hold a command, or `refused` says why not */
    INPUT_ERROR,   /* parser.error */
    INPUT_NO_MEMORY,
};

/* The next Redis command. */
enum input_event input_next(struct input *in);

/* Let whoever will borrow from the current command's arguments hold their blocks, too. */
MUST_USE enum status input_lend(const struct input *in, struct block_refs *to);

/* The command was dealt with. */
void input_done(struct input *in);

/* Give up the unfinished command: drop what is there, and what is still to come. */
void input_refuse(struct input *in, enum input_refusal why);

/* Is there a command that has begun and not ended? */
bool input_inside_command(const struct input *in);

/* Everything is parsed: let go of the block, if nobody else has bytes in it. */
void input_rest_idle(struct input *in);

/* Bytes of blocks that the unfinished command holds. */
size_t input_held_bytes(const struct input *in);

#endif
