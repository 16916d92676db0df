/*
 * INVARIANTS
 *
 *   I1  at <= block->filled <= block->capacity.
 *   I2  Bytes before `at` are never written again while anybody holds the
 *       block: a block is rewound only when the input alone refers to it and
 *       no argument of an unfinished command lies in it.
 *   I3  A refused command keeps no argument and no earlier block.
 */
#include "api/input.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    READ_BYTES_MIN = 512, /* less room than this at a block's end is not worth a read */
    ARG_BYTES = sizeof(struct slice) + 8, /* what an argument costs beside its bytes */
    LINE_BLOCK_BYTES_MAX = LIMIT_LINE_BYTES + BLOCK_BYTES,
};

void
input_init(struct input *in, struct block_pool *pool)
{
    *in = (struct input){ .pool = pool };
    in->args = in->in_place;
    in->arg_capacity = INPUT_ARGS_IN_PLACE;
}

static void
drop_block(struct input *in)
{
    if (in->block != NULL)
        block_unref(in->pool, in->block);
    in->block = NULL;
    in->at = 0;
}

static void
free_args(struct input *in)
{
    if (in->args != in->in_place) {
        room_give(in->pool->room, ROOM_REQUEST, in->arg_capacity * sizeof(struct slice));
        mem_free(in->args);
        in->args = in->in_place;
        in->arg_capacity = INPUT_ARGS_IN_PLACE;
    }
    in->arg_count = 0;
}

void
input_release(struct input *in)
{
    free_args(in);
    block_refs_release(&in->blocks, in->pool);
    drop_block(in);
}

bool
input_inside_command(const struct input *in)
{
    return in->arg_count > 0 || in->parser.args_left > 0 || in->refused != INPUT_KEPT;
}

size_t
input_held_bytes(const struct input *in)
{
    size_t bytes = in->block != NULL ? in->block->charged : 0;

    if (in->blocks.first != NULL)
        bytes += in->blocks.first->charged;
    for (uint32_t i = 0; i < in->blocks.more_count; i++)
        bytes += in->blocks.more[i]->charged;
    return bytes;
}

/* ------------------------------------------------------------------ room to read */

/* Go on in `next`: the unfinished token moves there, and the arguments stay where they are. */
static enum status
switch_block(struct input *in, struct block *next)
{
    struct slice rest = input_rest(in);
    enum status st = ST_OK;

    ASSERT(rest.size <= next->capacity);
    if (in->block != NULL && in->arg_count > 0)
        st = block_refs_add(&in->blocks, in->block);
    if (st != ST_OK) {
        block_unref(in->pool, next);
        return st;
    }
    if (rest.size > 0)
        memcpy(next->bytes, rest.data, rest.size);
    next->filled = rest.size;
    drop_block(in);
    in->block = next;
    return ST_OK;
}

/* How large must a block be in which the unfinished token can end?  0: the current one will do. */
static size_t
capacity_wanted(const struct input *in)
{
    const struct block *b = in->block;
    size_t part = b->filled - in->at;
    size_t room = b->capacity - b->filled;
    bool in_bulk = in->parser.in_bulk && in->skip == 0;
    size_t need = in_bulk ? in->parser.bulk_size + 2 : 0;

    if (in_bulk && need > b->capacity - in->at)
        return need > BLOCK_BYTES ? need : BLOCK_BYTES;
    if (room >= READ_BYTES_MIN || (in_bulk && room > 0))
        return 0;
    if (part * 2 <= BLOCK_BYTES)
        return BLOCK_BYTES;
    return part * 2 < LINE_BLOCK_BYTES_MAX ? part * 2 : LINE_BLOCK_BYTES_MAX; /* a long line */
}

/* Nobody else has bytes here, and all is parsed. */
static bool
can_rewind(const struct input *in)
{
    return in->at == in->block->filled && in->block->refs == 1 && in->arg_count == 0;
}

static bool
holds_much(const struct input *in)
{
    return in->blocks.first != NULL || (in->block != NULL && in->block->refs > 1);
}

static enum status
next_ordinary(struct input *in, size_t *wanted)
{
    bool modest = holds_much(in);
    struct block *b = block_take(in->pool, modest);

    if (b != NULL)
        return switch_block(in, b);
    *wanted = BLOCK_BYTES;
    return modest ? ST_BUSY : ST_NO_MEMORY;
}

enum status
input_prepare(struct input *in, uint8_t **to, size_t *size, size_t *wanted)
{
    enum status st = ST_OK;

    if (in->block == NULL) {
        st = next_ordinary(in, wanted);
    } else if (can_rewind(in) && in->block->capacity == BLOCK_BYTES) {
        in->at = 0;
        in->block->filled = 0;
    }
    if (st == ST_OK) {
        size_t capacity = capacity_wanted(in);

        if (capacity > BLOCK_BYTES) {
            *wanted = capacity;
            if (!room_try(in->pool->room, ROOM_REQUEST, capacity))
                return ST_BUSY;
            st = input_grow(in, capacity);
        } else if (capacity > 0) {
            st = next_ordinary(in, wanted);
        }
    }
    if (st != ST_OK)
        return st;
    *to = in->block->bytes + in->block->filled;
    *size = in->block->capacity - in->block->filled;
    ASSERT(*size > 0);
    return ST_OK;
}

enum status
input_grow(struct input *in, size_t granted)
{
    struct block *b = block_create(granted);

    if (b == NULL) {
        room_give(in->pool->room, ROOM_REQUEST, granted);
        return ST_NO_MEMORY;
    }
    return switch_block(in, b);
}

static void
drop_skipped(struct input *in)
{
    size_t left = in->block->filled - in->at;
    size_t drop = in->skip < left ? in->skip : left;

    in->at += drop;
    in->skip -= drop;
    if (in->skip == 0)
        resp_skip_bulk(&in->parser);
}

void
input_filled(struct input *in, size_t size)
{
    ASSERT(size <= in->block->capacity - in->block->filled); /* I1 */
    in->block->filled += size;
}

void
input_rest_idle(struct input *in)
{
    if (in->block != NULL && can_rewind(in) && in->parser.args_left == 0)
        drop_block(in);
}

/* ------------------------------------------------------------------ arguments */

static enum status
grow_args(struct input *in)
{
    uint32_t capacity = in->arg_capacity * 2;
    size_t bytes = capacity * sizeof(struct slice);
    struct slice *grown;

    if (!room_try(in->pool->room, ROOM_REQUEST, bytes))
        return ST_BUSY;
    grown = mem_alloc(bytes);
    if (grown == NULL) {
        room_give(in->pool->room, ROOM_REQUEST, bytes);
        return ST_NO_MEMORY;
    }
    memcpy(grown, in->args, in->arg_count * sizeof(struct slice));
    if (in->args != in->in_place) {
        room_give(in->pool->room, ROOM_REQUEST, in->arg_capacity * sizeof(struct slice));
        mem_free(in->args);
    }
    in->args = grown;
    in->arg_capacity = capacity;
    return ST_OK;
}

void
input_refuse(struct input *in, enum input_refusal why)
{
    in->refused = why;
    free_args(in);
    block_refs_release(&in->blocks, in->pool);
    if (in->parser.in_bulk) {
        in->skip = in->parser.bulk_size + 2;
        drop_skipped(in);
    }
}

static enum status
keep(struct input *in, struct slice arg)
{
    enum status st = ST_OK;

    if (in->refused != INPUT_KEPT)
        return ST_OK;
    in->command_bytes += arg.size + ARG_BYTES;
    if (in->command_bytes > LIMIT_REQUEST_BYTES) {
        input_refuse(in, INPUT_TOO_LARGE);
        return ST_OK;
    }
    if (in->arg_count == in->arg_capacity)
        st = grow_args(in);
    if (st == ST_BUSY) {
        input_refuse(in, INPUT_NO_ROOM);
        return ST_OK;
    }
    if (st == ST_OK)
        in->args[in->arg_count++] = arg;
    return st;
}

static enum input_event
split_line(struct input *in, struct slice line)
{
    uint8_t *begin = in->block->bytes + (line.data - in->block->bytes);
    struct resp_inline words = { begin, begin + line.size };
    enum resp_event event;
    struct slice word;

    while ((event = resp_inline_next(&words, &word)) == RESP_ARG) {
        if (keep(in, word) != ST_OK)
            return INPUT_NO_MEMORY;
    }
    if (event == RESP_ERROR) {
        memcpy(in->parser.error, resp_unbalanced_quotes, strlen(resp_unbalanced_quotes) + 1);
        return INPUT_ERROR;
    }
    return input_inside_command(in) ? INPUT_COMMAND : INPUT_MORE;
}

/* A bulk string that has been announced and is not here: may it come at all? */
static bool
refuse_announced(struct input *in)
{
    if (!in->parser.in_bulk)
        return false;
    if (in->refused == INPUT_KEPT &&
        (in->parser.bulk_size > LIMIT_VALUE_BYTES ||
         in->command_bytes + in->parser.bulk_size > LIMIT_REQUEST_BYTES))
        in->refused = INPUT_TOO_LARGE;
    if (in->refused == INPUT_KEPT)
        return false;
    input_refuse(in, in->refused);
    return true;
}

/* A token is not whole.  True: parsing can go on all the same. */
static bool
go_on(struct input *in)
{
    return refuse_announced(in) && in->skip == 0;
}

enum input_event
input_next(struct input *in)
{
    for (;;) {
        struct slice arg, all;
        enum resp_event event;

        if (in->block == NULL)
            return INPUT_MORE;
        if (in->skip > 0)
            drop_skipped(in);
        if (in->skip > 0)
            return INPUT_MORE;
        if (in->refused != INPUT_KEPT && in->parser.args_left == 0)
            return INPUT_COMMAND;
        all = slice_of(in->block->bytes, in->block->filled);
        event = resp_next(&in->parser, all, &in->at, &arg);
        if (event == RESP_ARG) {
            if (keep(in, arg) != ST_OK)
                return INPUT_NO_MEMORY;
            if (in->parser.args_left == 0)
                return INPUT_COMMAND;
        } else if (event == RESP_INLINE) {
            enum input_event split = split_line(in, arg);

            if (split != INPUT_MORE)
                return split;
        } else if (event == RESP_ERROR) {
            return INPUT_ERROR;
        } else if (!go_on(in)) {
            return INPUT_MORE;
        }
    }
}

enum status
input_lend(const struct input *in, struct block_refs *to)
{
    enum status st = ST_OK;

    if (in->blocks.first != NULL)
        st = block_refs_add(to, in->blocks.first);
    for (uint32_t i = 0; i < in->blocks.more_count && st == ST_OK; i++)
        st = block_refs_add(to, in->blocks.more[i]);
    return st == ST_OK ? block_refs_add(to, in->block) : st;
}

void
input_done(struct input *in)
{
    if (in->arg_capacity > INPUT_ARGS_IN_PLACE)
        free_args(in);
    in->arg_count = 0;
    in->command_bytes = 0;
    in->refused = INPUT_KEPT;
    block_refs_release(&in->blocks, in->pool);
}
