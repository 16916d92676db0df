#include "base/coding.h"

const uint8_t *
get_varint(const uint8_t *at, const uint8_t *limit, uint64_t *v)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70 && at < limit; shift += 7) {
        uint8_t byte = *at++;

        if (shift == 63 && byte > 1)
            return NULL; /* beyond 64 bits */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                return NULL; /* a shorter form exists */
            *v = value;
            return at;
        }
    }
    return NULL;
}

/* Nothing is left of a bad reader, so that `while (reader_left(&r) > 0)` ends. */
static void
give_up(struct reader *r)
{
    r->bad = true;
    r->at = r->limit;
}

struct slice
read_bytes(struct reader *r, uint64_t size)
{
    struct slice s;

    if (size > reader_left(r))
        give_up(r);
    if (r->bad || size == 0)
        return (struct slice){ NULL, 0 };
    s = slice_of(r->at, (size_t)size);
    r->at += size;
    return s;
}

uint8_t
read_u8(struct reader *r)
{
    struct slice s = read_bytes(r, 1);

    return s.size == 0 ? 0 : s.data[0];
}

uint16_t
read_u16(struct reader *r)
{
    struct slice s = read_bytes(r, 2);

    return s.size == 0 ? 0 : get_u16le(s.data);
}

uint32_t
read_u32(struct reader *r)
{
    struct slice s = read_bytes(r, 4);

    return s.size == 0 ? 0 : get_u32le(s.data);
}

uint64_t
read_u64(struct reader *r)
{
    struct slice s = read_bytes(r, 8);

    return s.size == 0 ? 0 : get_u64le(s.data);
}

uint64_t
read_varint(struct reader *r)
{
    const uint8_t *next;
    uint64_t v = 0;

    if (r->bad)
        return 0;
    next = get_varint(r->at, r->limit, &v);
    if (next == NULL) {
        give_up(r);
        return 0;
    }
    r->at = next;
    return v;
}

struct slice
read_string(struct reader *r)
{
    return read_bytes(r, read_varint(r));
}

enum status
append_u8(struct buf *b, uint8_t v)
{
    return buf_append(b, slice_of(&v, sizeof(v)));
}

enum status
append_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4];

    put_u32le(bytes, v);
    return buf_append(b, slice_of(bytes, sizeof(bytes)));
}

enum status
append_u64(struct buf *b, uint64_t v)
{
    uint8_t bytes[8];

    put_u64le(bytes, v);
    return buf_append(b, slice_of(bytes, sizeof(bytes)));
}

enum status
append_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    uint8_t *end = put_varint(bytes, v);

    return buf_append(b, slice_of(bytes, (size_t)(end - bytes)));
}

enum status
append_string(struct buf *b, struct slice s)
{
    enum status st;

    if (s.size > SIZE_MAX - VARINT_BYTES_MAX)
        return ST_TOO_BIG;
    st = buf_reserve(b, varint_size(s.size) + s.size);
    if (st != ST_OK)
        return st;
    b->size = (size_t)(put_varint(b->data + b->size, s.size) - b->data);
    return buf_append(b, s);
}
