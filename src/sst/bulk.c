#include "sst/bulk.h"

#include "base/assert.h"
#include "base/mem.h"

enum { AHEAD_BYTES_MIN = 16 << 10, AHEAD_BYTES_MAX = 512 << 10 };

void
sst__bulk_init(struct sst_bulk *b, const struct table *t)
{
    *b = (struct sst_bulk){ .t = t, .ahead = AHEAD_BYTES_MIN };
}

static void
charge(const struct sst_bulk *b, size_t more, size_t less)
{
    if (b->t->budget == NULL)
        return;
    budget_charge(b->t->budget, more);
    budget_return(b->t->budget, less);
}

void
sst__bulk_release(struct sst_bulk *b)
{
    charge(b, 0, b->piece_room + b->raw_room);
    mem_free(b->piece);
    mem_free(b->raw);
}

/* Let `*room` hold `size` bytes; what was in it is lost.  ST_NO_MEMORY. */
static enum status
make_room(const struct sst_bulk *b, uint8_t **room, size_t *room_size, size_t size)
{
    uint8_t *grown;

    if (size <= *room_size)
        return ST_OK;
    grown = mem_alloc(size);
    if (grown == NULL)
        return ST_NO_MEMORY;
    charge(b, size, *room_size);
    mem_free(*room);
    *room = grown;
    *room_size = size;
    return ST_OK;
}

/* Which part of the file to read for a block that is not wholly in the piece: the block, and what
 * will be asked for next if the reader goes on in its direction. */
static void
choose_piece(struct sst_bulk *b, const struct sst_handle *handle, uint64_t *begin, uint64_t *limit)
{
    uint64_t end = b->piece_offset + b->piece_size;
    bool forwards = *begin > b->piece_offset && *begin <= end;
    bool backwards = *limit >= b->piece_offset && *limit < end;

    if (!forwards && !backwards)
        b->ahead = AHEAD_BYTES_MIN; /* a jump, or the start */
    if (backwards && b->ahead > handle->size)
        *begin = *limit > b->ahead ? *limit - b->ahead : 0;
    else if (!backwards && b->ahead > handle->size)
        *limit = *begin + b->ahead;
    if (*limit > b->t->footer.data_bytes)
        *limit = b->t->footer.data_bytes;
    b->ahead = b->ahead * 2 < AHEAD_BYTES_MAX ? b->ahead * 2 : AHEAD_BYTES_MAX;
}

static enum status
read_piece(struct sst_bulk *b, const struct sst_handle *handle, enum table_mode mode,
           struct err *err)
{
    uint64_t begin = handle->offset;
    uint64_t limit = handle->offset + handle->size;
    enum status st;

    if (mode == TABLE_BLOCK)
        choose_piece(b, handle, &begin, &limit);
    b->piece_size = 0;
    st = make_room(b, &b->piece, &b->piece_room, (size_t)(limit - begin));
    if (st != ST_OK)
        return sst__bad_block(b->t, handle->offset, st, err);
    st = sst__read_exactly(b->t->file, mode, begin, b->piece, (size_t)(limit - begin), err);
    if (st != ST_OK)
        return st;
    b->piece_offset = begin;
    b->piece_size = (size_t)(limit - begin);
    return ST_OK;
}

static bool
in_piece(const struct sst_bulk *b, const struct sst_handle *handle)
{
    return handle->offset >= b->piece_offset &&
           handle->offset + handle->size <= b->piece_offset + b->piece_size;
}

static enum status
unpack(struct sst_bulk *b, uint8_t kind, struct slice payload, struct slice *out)
{
    size_t size;
    enum status st = sst__unpacked_size(kind, payload, &size);

    if (st == ST_OK)
        st = make_room(b, &b->raw, &b->raw_room, size);
    if (st == ST_OK)
        st = sst__unpack(b->t->zstd, kind, payload, b->raw, size);
    *out = slice_of(b->raw, size);
    return st;
}

enum status
sst__bulk_block(struct sst_bulk *b, const struct sst_handle *handle, enum table_mode mode,
                struct slice *out, struct err *err)
{
    struct slice payload;
    struct slice bytes;
    uint8_t kind;
    enum status st = in_piece(b, handle) ? ST_OK : read_piece(b, handle, mode, err);

    if (st != ST_OK)
        return st;
    bytes = slice_of(b->piece + (handle->offset - b->piece_offset), handle->size);
    st = sst__open_block(b->t, handle->offset, bytes, &payload, &kind, err);
    if (st != ST_OK)
        return st;
    if (kind == TABLE_PLAIN) {
        *out = payload;
        return ST_OK;
    }
    st = unpack(b, kind, payload, out);
    return st == ST_OK ? ST_OK : sst__bad_block(b->t, handle->offset, st, err);
}
