/*
 * One record as bytes; docs/formats/log.md draws it.
 *
 * The checksum says that the record is whole, belongs to this incarnation of
 * this segment, and stands where it was meant to stand.  The tag says nearly
 * the same of the header alone, in two bytes.  It is there for one reason: a
 * client's values lie in old segments and torn records, and may be full of
 * what looks like headers of huge records.  Searching through them would cost
 * a checksum of megabytes at every byte.  Incarnations are secret, so but one
 * in 65,536 of them passes.
 *
 * The place and meaning of checksum, size, type, format and tag are the same
 * in all future formats, so that an older program can say "newer" and mean it.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"

#include "wal/wal_internal.h"

enum {
    AT_CHECKSUM = 0,
    AT_SIZE = 8,
    AT_TYPE = 12,
    AT_FORMAT = 13,
    AT_TAG = 14,
    AT_WATERMARK = 16,
    AT_TABLET = 24,
};

uint64_t
wal__record_seed(uint64_t store_id, uint64_t incarnation)
{
    return hash_u64(store_id ^ hash_u64(incarnation));
}

/* Two records at different offsets never pass for each other. */
static uint64_t
seed_at(uint64_t seed, uint64_t offset)
{
    return hash_u64(seed + offset);
}

static uint16_t
tag_of(const uint8_t *header, uint64_t here)
{
    uint64_t size_type_format = get_u64le(header + AT_SIZE) << 16 >> 16;
    uint64_t watermark = get_u64le(header + AT_WATERMARK);
    uint64_t tablet = get_u64le(header + AT_TABLET);

    return (uint16_t)hash_u64(here ^ size_type_format ^ (watermark << 21 | watermark >> 43) ^
                              (tablet << 43 | tablet >> 21));
}

size_t
wal__record_bytes(const struct raw_record *r)
{
    return RECORD_HEADER_BYTES + varint_size(r->term) + varint_size(r->index) + r->body.size;
}

void
wal__record_put(uint8_t *out, uint64_t seed, uint64_t offset, const struct raw_record *r)
{
    uint64_t here = seed_at(seed, offset);
    uint8_t *at = out + RECORD_HEADER_BYTES;

    at = put_varint(at, r->term);
    at = put_varint(at, r->index);
    if (r->body.size > 0)
        memcpy(at, r->body.data, r->body.size);
    at += r->body.size;

    put_u32le(out + AT_SIZE, (uint32_t)(at - out - RECORD_HEADER_BYTES));
    out[AT_TYPE] = r->type;
    out[AT_FORMAT] = LOG_FORMAT;
    put_u64le(out + AT_WATERMARK, r->watermark);
    put_u64le(out + AT_TABLET, r->tablet);
    put_u16le(out + AT_TAG, tag_of(out, here));
    put_u64le(out + AT_CHECKSUM,
              hash64_seeded(slice_of(out + AT_SIZE, (size_t)(at - out) - AT_SIZE), here));
}

uint64_t
wal__record_peek(const uint8_t *header, uint64_t seed, uint64_t offset, uint64_t room)
{
    uint64_t size = RECORD_HEADER_BYTES + (uint64_t)get_u32le(header + AT_SIZE);
    uint64_t watermark = get_u64le(header + AT_WATERMARK);

    if (header[AT_TYPE] == 0 || header[AT_FORMAT] == 0)
        return 0; /* so zeros never parse */
    if (size < RECORD_BYTES_MIN || size > room)
        return 0;
    if (watermark < SEGMENT_HEADER_BYTES || watermark > offset) /* W2 */
        return 0;
    if (get_u16le(header + AT_TAG) != tag_of(header, seed_at(seed, offset)))
        return 0;
    return size;
}

static bool
is_link(uint8_t type)
{
    return type == RECORD_SEAL || type == RECORD_FOLLOW;
}

enum parse
wal__record_get(struct slice bytes, uint64_t seed, uint64_t offset, struct raw_record *out)
{
    const uint8_t *limit = bytes.data + bytes.size;
    const uint8_t *at;

    if (bytes.size < RECORD_BYTES_MIN ||
        wal__record_peek(bytes.data, seed, offset, bytes.size) != bytes.size)
        return PARSE_NONE;
    if (get_u64le(bytes.data + AT_CHECKSUM) !=
        hash64_seeded(slice_of(bytes.data + AT_SIZE, bytes.size - AT_SIZE), seed_at(seed, offset)))
        return PARSE_NONE;
    if (bytes.data[AT_FORMAT] > LOG_FORMAT || bytes.data[AT_TYPE] > RECORD_TYPE_MAX)
        return PARSE_NEWER;

    out->type = bytes.data[AT_TYPE];
    out->watermark = get_u64le(bytes.data + AT_WATERMARK);
    out->tablet = get_u64le(bytes.data + AT_TABLET);
    at = get_varint(bytes.data + RECORD_HEADER_BYTES, limit, &out->term);
    if (at == NULL)
        return PARSE_NONE;
    at = get_varint(at, limit, &out->index);
    if (at == NULL)
        return PARSE_NONE;
    out->body = slice_of(at, (size_t)(limit - at));
    if (is_link(out->type) && out->body.size != LINK_BODY_BYTES)
        return PARSE_NONE;
    if (out->type == WAL_CUT && out->body.size != 0)
        return PARSE_NONE;
    return PARSE_OK;
}

uint64_t
wal__record_link(const struct raw_record *r)
{
    return is_link(r->type) ? get_u64le(r->body.data) : 0;
}

bool
wal__record_is_outer(const struct raw_record *r)
{
    return r->type == WAL_ENTRY || r->type == WAL_HEAD || r->type == WAL_CUT;
}

struct wal_record
wal__record_outer(const struct raw_record *r)
{
    ASSERT(wal__record_is_outer(r));
    return (struct wal_record){
        .type = (enum wal_record_type)r->type,
        .tablet = r->tablet,
        .term = r->term,
        .index = r->index,
        .body = r->body,
    };
}
