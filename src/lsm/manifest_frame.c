/*
 * Header and records as bytes; the picture is at the head of manifest.c.
 *
 *      header  :=  magic:u64  format:u32  0:u32  tree:u64  number:u64  file_bytes:u64
 *                  checksum:u64                                        over what is before it
 *      record  :=  checksum:u64                                        over what is after it
 *                  size:u32  type:u8  format:u8  0:u16  watermark:u64  payload:byte[size]
 *
 * A record's checksum is seeded with tree, file number and offset: a record that was moved,
 * or belongs to another file, does not check out.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"

#include "lsm/manifest_internal.h"

#define MAGIC UINT64_C(0x46494e414d564b44) /* reads "DKVMANIF" */

enum {
    /* Of a header. */
    AT_FORMAT = 8,
    AT_TREE = 16,
    AT_NUMBER = 24,
    AT_FILE_BYTES = 32,
    AT_CHECKSUM = 40,

    /* Of a record. */
    AT_SIZE = 8,
    AT_TYPE = 12,
    AT_RECORD_FORMAT = 13,
    AT_WATERMARK = 16,
};

_Static_assert(AT_CHECKSUM + 8 == MANIFEST_HEADER_BYTES, "the checksum ends the header");
_Static_assert(AT_WATERMARK + 8 == MANIFEST_RECORD_HEADER_BYTES, "the payload follows");

uint64_t
manifest__seed(uint64_t tree_id, uint64_t number)
{
    return hash_u64(tree_id ^ hash_u64(number));
}

void
manifest__header_put(const struct manifest_header *h, uint8_t out[MANIFEST_HEADER_BYTES])
{
    memset(out, 0, MANIFEST_HEADER_BYTES);
    put_u64le(out, MAGIC);
    put_u32le(out + AT_FORMAT, MANIFEST_HEADER_FORMAT);
    put_u64le(out + AT_TREE, h->tree_id);
    put_u64le(out + AT_NUMBER, h->number);
    put_u64le(out + AT_FILE_BYTES, h->file_bytes);
    put_u64le(out + AT_CHECKSUM, hash64(slice_of(out, AT_CHECKSUM)));
}

enum status
manifest__header_get(struct slice image, const char *path, struct manifest_header *out,
                     struct err *err)
{
    const uint8_t *p = image.data;

    if (image.size < MANIFEST_HEADER_BYTES)
        return err_raise(err, ST_CORRUPT, "%s: truncated at %zu, inside its header", path,
                         image.size);
    if (get_u64le(p) != MAGIC || get_u64le(p + AT_CHECKSUM) != hash64(slice_of(p, AT_CHECKSUM)))
        return err_raise(err, ST_CORRUPT, "%s: the header at 0 is damaged", path);
    if (get_u32le(p + AT_FORMAT) != MANIFEST_HEADER_FORMAT)
        return err_raise(err, ST_INVALID, "%s: format %" PRIu32 ", which this program cannot read",
                         path, get_u32le(p + AT_FORMAT));
    out->tree_id = get_u64le(p + AT_TREE);
    out->number = get_u64le(p + AT_NUMBER);
    out->file_bytes = get_u64le(p + AT_FILE_BYTES);
    return ST_OK;
}

enum status
manifest__record_begin(struct buf *out)
{
    static const uint8_t nothing[MANIFEST_RECORD_HEADER_BYTES];

    return buf_append(out, slice_of(nothing, sizeof(nothing)));
}

static uint64_t
record_checksum(const uint8_t *record, size_t payload_size, uint64_t seed, uint64_t at)
{
    struct slice covered =
        slice_of(record + AT_SIZE, MANIFEST_RECORD_HEADER_BYTES - AT_SIZE + payload_size);

    return hash64_seeded(covered, hash_u64(seed ^ at));
}

void
manifest__record_seal(struct buf *out, size_t begin, uint64_t seed, uint64_t at,
                      enum manifest_record_type type, uint64_t watermark)
{
    uint8_t *p = out->data + begin;
    size_t payload_size = out->size - begin - MANIFEST_RECORD_HEADER_BYTES;

    ASSERT(out->size >= begin + MANIFEST_RECORD_HEADER_BYTES);
    ASSERT(payload_size <= UINT32_MAX);
    ASSERT(watermark <= at); /* M3 */
    put_u32le(p + AT_SIZE, (uint32_t)payload_size);
    p[AT_TYPE] = (uint8_t)type;
    p[AT_RECORD_FORMAT] = MANIFEST_FORMAT;
    put_u64le(p + AT_WATERMARK, watermark);
    put_u64le(p, record_checksum(p, payload_size, seed, at));
}

bool
manifest__record_get(struct slice image, uint64_t at, uint64_t seed, struct manifest_frame *out)
{
    uint64_t room = at < image.size ? image.size - at : 0;
    const uint8_t *p = image.data + at;
    uint32_t size;

    if (room < MANIFEST_RECORD_HEADER_BYTES)
        return false;
    size = get_u32le(p + AT_SIZE);
    if (size > room - MANIFEST_RECORD_HEADER_BYTES || p[AT_TYPE] == 0 ||
        get_u64le(p + AT_WATERMARK) > at)
        return false; /* M3; and it spares the checksum at almost every offset of a search */
    if (get_u64le(p) != record_checksum(p, size, seed, at))
        return false;

    *out = (struct manifest_frame){
        .type = p[AT_TYPE],
        .format = p[AT_RECORD_FORMAT],
        .watermark = get_u64le(p + AT_WATERMARK),
        .begin = at,
        .limit = at + MANIFEST_RECORD_HEADER_BYTES + size,
        .payload = slice_of(p + MANIFEST_RECORD_HEADER_BYTES, size),
    };
    return true;
}
