/*
 * base/coding.h — integers as bytes: fixed little-endian, varints, and a
 * reader that cannot run past the end of what it was given.
 */
#ifndef BASE_CODING_H
#define BASE_CODING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

enum { VARINT_BYTES_MAX = 10 };

static inline void
put_u16le(uint8_t *at, uint16_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void
put_u32le(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void
put_u64le(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline uint16_t
get_u16le(const uint8_t *at)
{
    uint16_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint32_t
get_u32le(const uint8_t *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint64_t
get_u64le(const uint8_t *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian, and so are we");

/* The first eight bytes as a number that orders as the bytes do; short keys are padded with 0. */
static inline uint64_t
get_prefix_be(struct slice s)
{
    uint64_t v = 0;

    if (s.size > 0)
        memcpy(&v, s.data, s.size < sizeof(v) ? s.size : sizeof(v));
    return __builtin_bswap64(v);
}

/* LEB128, at most VARINT_BYTES_MAX bytes.  Returns one past the last byte written. */
static inline uint8_t *
put_varint(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}

static inline size_t
varint_size(uint64_t v)
{
    size_t size = 1;

    while (v >= 0x80) {
        v >>= 7;
        size++;
    }
    return size;
}

/* Decode one varint from [at, limit).  NULL when it is truncated, longer than
 * VARINT_BYTES_MAX, beyond 64 bits, or not in its shortest form. */
const uint8_t *get_varint(const uint8_t *at, const uint8_t *limit, uint64_t *v);

/* A cursor over untrusted bytes.  Any read past the end, or a malformed varint,
 * sets `bad`, and from then on nothing is left and every read gives zeros and
 * empty slices: check once, at the end. */
struct reader {
    const uint8_t *at;
    const uint8_t *limit;
    bool bad;
};

static inline struct reader
reader_of(struct slice s)
{
    return (struct reader){ s.data, s.data == NULL ? NULL : s.data + s.size, false };
}

static inline size_t
reader_left(const struct reader *r)
{
    return (size_t)(r->limit - r->at);
}

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint64_t read_varint(struct reader *r);

/* `size` bytes, borrowed from what the reader was made of. */
struct slice read_bytes(struct reader *r, uint64_t size);

/* A varint length, then that many bytes. */
struct slice read_string(struct reader *r);

/* Appending to a buf; the statuses are those of buf_append. */
MUST_USE enum status append_u8(struct buf *b, uint8_t v);
MUST_USE enum status append_u32(struct buf *b, uint32_t v);
MUST_USE enum status append_u64(struct buf *b, uint64_t v);
MUST_USE enum status append_varint(struct buf *b, uint64_t v);
MUST_USE enum status append_string(struct buf *b, struct slice s);

#endif
