/*
 * Bytes from one node, to messages.
 *
 *      a frame that lies whole in what was read    delivered where it lies
 *      a frame that does not                       gathered in `block`
 *      a frame of a longer message                 put behind the others in `whole`
 *
 * Nothing is allocated while nothing is half here.  A message for which there
 * is no memory is read all the same, frame by frame, and dropped: its sender
 * cannot know, and shall not stop.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "peer/peer_internal.h"

void
inbox__init(struct inbox *in, struct inbox_shared *shared, uint64_t seed, inbox_deliver_fn *deliver,
            void *ctx)
{
    *in = (struct inbox){ .shared = shared, .deliver = deliver, .ctx = ctx, .seed = seed };
}

bool
inbox__is_waiting(const struct inbox *in)
{
    return in->header_got > 0 || in->last.rest > 0;
}

static bool
has_header(const struct inbox *in)
{
    return in->header_got == FRAME_HEADER_BYTES;
}

/* ------------------------------------------------------------------ memory */

static void
drop_block(struct inbox *in)
{
    if (in->block == NULL)
        return;
    budget_return(in->shared->budget, in->frame.size);
    mem_free(in->block);
    in->block = NULL;
}

static void
drop_whole(struct inbox *in)
{
    if (in->whole == NULL)
        return;
    ASSERT(in->shared->assembly_bytes >= in->whole_bytes);
    in->shared->assembly_bytes -= in->whole_bytes;
    budget_return(in->shared->budget, in->whole_bytes);
    mem_free(in->whole);
    in->whole = NULL;
}

/* NULL: there is no room for a message of so many bytes now. */
static uint8_t *
take_whole(struct inbox *in, size_t bytes)
{
    struct inbox_shared *shared = in->shared;
    uint8_t *whole;

    if (bytes > shared->assembly_max || shared->assembly_bytes > shared->assembly_max - bytes)
        return NULL;
    if (!budget_try_charge(shared->budget, bytes))
        return NULL;
    whole = mem_alloc(bytes);
    if (whole == NULL) {
        budget_return(shared->budget, bytes);
        return NULL;
    }
    shared->assembly_bytes += bytes;
    return whole;
}

void
inbox__release(struct inbox *in)
{
    drop_block(in);
    drop_whole(in);
}

/* ------------------------------------------------------------------ messages of several frames */

static bool
is_part(const struct inbox *in)
{
    return !in->frame.urgent && (in->frame.rest > 0 || in->last.rest > 0);
}

static void
begin_message(struct inbox *in)
{
    in->whole_bytes = (size_t)in->frame.size + in->frame.rest;
    in->whole_got = 0;
    in->whole = take_whole(in, in->whole_bytes);
    if (in->whole != NULL)
        return;
    in->shared->dropped++;
    log_event(LOG_WARN, "peer.message_dropped", log_str("reason", "no memory"),
              log_u64("bytes", in->whole_bytes), log_u64("type", in->frame.type));
}

/* The frames of a message follow one another, with nothing but urgent messages between them. */
static enum status
check_part(struct inbox *in, struct err *err)
{
    const struct frame *f = &in->frame, *last = &in->last;

    if (last->rest == 0) {
        begin_message(in);
        return ST_OK;
    }
    if (f->type != last->type || f->id != last->id || f->size + f->rest != last->rest)
        return err_raise(err, ST_CORRUPT, "a frame that does not continue its message");
    return ST_OK;
}

/* ------------------------------------------------------------------ frames */

/* Where its payload goes, when it cannot be delivered from where it lies. */
static enum status
make_room(struct inbox *in, struct err *err)
{
    in->into_got = 0;
    if (is_part(in) && in->whole != NULL) {
        ASSERT(in->frame.size <= in->whole_bytes - in->whole_got);
        in->into = in->whole + in->whole_got;
        return ST_OK;
    }
    in->block = mem_alloc(in->frame.size);
    if (in->block == NULL)
        return err_raise(err, ST_NO_MEMORY, "a frame of %u bytes: out of memory", in->frame.size);
    budget_charge(in->shared->budget, in->frame.size); /* bounded by the number of connections */
    in->into = in->block;
    return ST_OK;
}

static void
finish_part(struct inbox *in)
{
    in->last = in->frame;
    in->whole_got += in->frame.size;
    if (in->last.rest > 0)
        return;
    if (in->whole != NULL) {
        ASSERT(in->whole_got == in->whole_bytes); /* P7 */
        in->deliver(in->ctx, in->frame.type, in->frame.id, slice_of(in->whole, in->whole_bytes));
    }
    drop_whole(in);
}

/* The frame is whole. */
static enum status
finish_frame(struct inbox *in, struct slice payload, struct err *err)
{
    if (!frame__checks_out(in->header, payload, in->seed, in->number))
        return err_raise(err, ST_CORRUPT, "frame %llu is damaged", (unsigned long long)in->number);
    in->number++;
    if (is_part(in))
        finish_part(in);
    else
        in->deliver(in->ctx, in->frame.type, in->frame.id, payload);
    drop_block(in);
    in->into = NULL;
    in->header_got = 0;
    return ST_OK;
}

static enum status
take_header(struct inbox *in, struct slice *bytes, struct err *err)
{
    size_t missing = FRAME_HEADER_BYTES - in->header_got;
    size_t size = bytes->size < missing ? bytes->size : missing;
    enum status st;

    memcpy(in->header + in->header_got, bytes->data, size);
    in->header_got += size;
    *bytes = slice_of(bytes->data + size, bytes->size - size);
    if (!has_header(in))
        return ST_OK;
    st = frame__get(in->header, &in->frame, err);
    if (st == ST_OK && is_part(in))
        st = check_part(in, err);
    return st;
}

static bool
lies_whole(const struct inbox *in, struct slice bytes)
{
    return in->into == NULL && bytes.size >= in->frame.size && !is_part(in);
}

/* The header is here. */
static enum status
take_payload(struct inbox *in, struct slice *bytes, struct err *err)
{
    struct slice piece = *bytes;
    enum status st = ST_OK;

    if (lies_whole(in, piece)) {
        *bytes = slice_of(piece.data + in->frame.size, piece.size - in->frame.size);
        return finish_frame(in, slice_of(piece.data, in->frame.size), err);
    }
    if (in->into == NULL)
        st = make_room(in, err);
    if (st != ST_OK)
        return st;
    if (piece.size > in->frame.size - in->into_got)
        piece.size = in->frame.size - in->into_got;
    memcpy(in->into + in->into_got, piece.data, piece.size);
    *bytes = slice_of(bytes->data + piece.size, bytes->size - piece.size);
    return inbox__filled(in, piece.size, err);
}

/* ------------------------------------------------------------------ what was read */

size_t
inbox__room(struct inbox *in, uint8_t **at)
{
    if (in->into == NULL)
        return 0;
    *at = in->into + in->into_got;
    return in->frame.size - in->into_got;
}

enum status
inbox__filled(struct inbox *in, size_t size, struct err *err)
{
    in->into_got += size;
    ASSERT(in->into != NULL && in->into_got <= in->frame.size);
    if (in->into_got < in->frame.size)
        return ST_OK;
    return finish_frame(in, slice_of(in->into, in->frame.size), err);
}

/* A frame may end with its header. */
enum status
inbox__put(struct inbox *in, struct slice bytes, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && (bytes.size > 0 || (has_header(in) && in->frame.size == 0))) {
        if (!has_header(in))
            st = take_header(in, &bytes, err);
        else
            st = take_payload(in, &bytes, err);
    }
    return st;
}
