#include "base/coding.h"
#include "base/hash.h"

#include "peer/peer_internal.h"

enum { CHECKED_FROM = 8 };

_Static_assert(PEER_FRAME_BYTES_MAX < 1 << 24, "a frame's size has three bytes");

static const uint32_t urgent_bit = UINT32_C(1) << 31; /* of the word that holds `rest` */

/* Of the header and then, with that as its seed, of the payload: so the two need not lie together. */
static uint64_t
checksum(const uint8_t header[FRAME_HEADER_BYTES], struct slice payload, uint64_t seed,
         uint64_t number)
{
    struct slice checked = slice_of(header + CHECKED_FROM, FRAME_HEADER_BYTES - CHECKED_FROM);
    uint64_t sum = hash64_seeded(checked, hash_u64(seed + number));

    return payload.size == 0 ? sum : hash64_seeded(payload, sum);
}

void
frame__seal(uint8_t *header, const struct frame *f, uint64_t seed, uint64_t number)
{
    struct slice payload = slice_of(header + FRAME_HEADER_BYTES, f->size);

    put_u32le(header + 8, f->size | (uint32_t)f->type << 24);
    put_u32le(header + 12, f->rest | (f->urgent ? urgent_bit : 0));
    put_u64le(header + 16, f->id);
    put_u64le(header, checksum(header, payload, seed, number));
}

enum status
frame__get(const uint8_t header[FRAME_HEADER_BYTES], struct frame *out, struct err *err)
{
    uint32_t first = get_u32le(header + 8);
    uint32_t second = get_u32le(header + 12);
    struct frame f = {
        .size = first & 0xffffff,
        .rest = second & ~urgent_bit,
        .id = get_u64le(header + 16),
        .type = (uint8_t)(first >> 24),
        .urgent = (second & urgent_bit) != 0,
    };

    if (f.size > PEER_FRAME_BYTES_MAX)
        return err_raise(err, ST_CORRUPT, "a frame of %u bytes, limit %d", f.size,
                         PEER_FRAME_BYTES_MAX);
    if (f.rest > PEER_MESSAGE_BYTES_MAX - f.size)
        return err_raise(err, ST_CORRUPT, "a message of %u bytes and more, limit %d", f.rest,
                         PEER_MESSAGE_BYTES_MAX);
    if (f.rest > 0 && (f.urgent || f.size == 0))
        return err_raise(err, ST_CORRUPT, "a frame that cannot be a part of a message");
    *out = f;
    return ST_OK;
}

bool
frame__checks_out(const uint8_t header[FRAME_HEADER_BYTES], struct slice payload, uint64_t seed,
                  uint64_t number)
{
    return get_u64le(header) == checksum(header, payload, seed, number);
}
