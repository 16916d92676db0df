/*
 * base/slice.h — a borrowed run of bytes, and an owned one that grows.
 *
 * A slice never owns what it points to; whoever hands one out says when it
 * dies.  A buf always owns its bytes, and has a maximum from the start.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

struct slice {
    const uint8_t *data; /* borrowed; may be NULL when size is 0 */
    size_t size;
};

static inline struct slice
slice_of(const void *data, size_t size)
{
    return (struct slice){ data, size };
}

/* The bytes of a C string, without its terminator. */
static inline struct slice
slice_str(const char *text)
{
    return (struct slice){ (const uint8_t *)text, strlen(text) };
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, shorter first among equals: <0, 0, >0. */
static inline int
slice_compare(struct slice a, struct slice b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);

    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool
slice_starts_with(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size &&
           (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/* Equal without regard to ASCII case; `word` is a C string. */
bool slice_equal_nocase(struct slice s, const char *word);

/* An owned, growing run of bytes.  {0} with a `max` is a valid empty one. */
struct buf {
    uint8_t *data; /* owned */
    size_t size;
    size_t capacity;
    size_t max; /* growth beyond this is ST_TOO_BIG */
};

static inline struct buf
buf_empty(size_t max)
{
    return (struct buf){ .max = max };
}

static inline struct slice
buf_slice(const struct buf *b)
{
    return (struct slice){ b->data, b->size };
}

/* Room for `more` bytes past the end.  ST_TOO_BIG, ST_NO_MEMORY: nothing changed. */
MUST_USE enum status buf_reserve(struct buf *b, size_t more);

MUST_USE enum status buf_append(struct buf *b, struct slice bytes);

/* Append formatted text (no terminator is kept). */
MUST_USE enum status buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Drop the first `count` bytes; the rest moves to the front. */
void buf_consume(struct buf *b, size_t count);

/* Free the bytes; the maximum stays, and the buf may be used again. */
void buf_release(struct buf *b);

/* A printable form of arbitrary bytes for messages: "user:1", "\x00ab", with
 * "..." where it was cut.  Writes at most `room` bytes with the terminator and
 * returns `out`. */
const char *slice_printable(struct slice s, char *out, size_t room);

#endif
