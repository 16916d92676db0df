#include "base/slice.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

enum { BUF_CAPACITY_MIN = 64 };

bool
slice_equal_nocase(struct slice s, const char *word)
{
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        uint8_t w = (uint8_t)word[i];

        if (w == '\0')
            return false;
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c + 32);
        if (w >= 'A' && w <= 'Z')
            w = (uint8_t)(w + 32);
        if (c != w)
            return false;
    }
    return word[s.size] == '\0';
}

enum status
buf_reserve(struct buf *b, size_t more)
{
    size_t capacity;
    uint8_t *grown;

    ASSERT(b->size <= b->capacity);
    if (more <= b->capacity - b->size)
        return ST_OK;
    if (b->size > b->max || more > b->max - b->size)
        return ST_TOO_BIG;

    capacity = b->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : b->capacity * 2;
    if (capacity < b->size + more)
        capacity = b->size + more;
    if (capacity > b->max)
        capacity = b->max;
    grown = mem_resize(b->data, capacity);
    if (grown == NULL)
        return ST_NO_MEMORY;
    b->data = grown;
    b->capacity = capacity;
    return ST_OK;
}

enum status
buf_append(struct buf *b, struct slice bytes)
{
    enum status st;

    /* Its own bytes may move while they are copied. */
    ASSERT(bytes.size == 0 || (uintptr_t)bytes.data - (uintptr_t)b->data >= b->capacity);
    st = buf_reserve(b, bytes.size);
    if (st != ST_OK)
        return st;
    if (bytes.size > 0)
        memcpy(b->data + b->size, bytes.data, bytes.size);
    b->size += bytes.size;
    return ST_OK;
}

/* For a text that fits, but whose terminator would not: by way of a block of its own. */
static enum status PRINTF_LIKE(3, 0)
    append_text_at_max(struct buf *b, size_t size, const char *fmt, va_list args)
{
    char *text = mem_alloc(size + 1);
    enum status st;

    if (text == NULL)
        return ST_NO_MEMORY;
    vsnprintf(text, size + 1, fmt, args);
    st = buf_append(b, slice_of(text, size));
    mem_free(text);
    return st;
}

enum status
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    enum status st;
    size_t size;
    int need;

    va_start(args, fmt);
    need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(need >= 0);
    size = (size_t)need;

    st = buf_reserve(b, size + 1);
    va_start(args, fmt);
    if (st == ST_OK) {
        vsnprintf((char *)b->data + b->size, size + 1, fmt, args);
        b->size += size;
    } else if (st == ST_TOO_BIG && b->size <= b->max && size == b->max - b->size) {
        st = append_text_at_max(b, size, fmt, args);
    }
    va_end(args);
    return st;
}

void
buf_consume(struct buf *b, size_t count)
{
    ASSERT(count <= b->size);
    if (count == 0)
        return;
    b->size -= count;
    memmove(b->data, b->data + count, b->size);
}

void
buf_release(struct buf *b)
{
    mem_free(b->data);
    b->data = NULL;
    b->size = 0;
    b->capacity = 0;
}

const char *
slice_printable(struct slice s, char *out, size_t room)
{
    size_t at = 0;

    ASSERT(room >= 8);
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '\\';

        if (at + (plain ? 1 : 4) + 4 > room) {
            memcpy(out + at, "...", 4);
            return out;
        }
        if (plain)
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, room - at, "\\x%02x", c);
    }
    out[at] = '\0';
    return out;
}
