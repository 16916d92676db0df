#include "base/arena.h"

#include <stdbool.h>

#include "base/assert.h"
#include "base/mem.h"

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of the bytes that follow */
};

void
arena_init(struct arena *a, size_t chunk_bytes)
{
    ASSERT(chunk_bytes > 0);
    *a = (struct arena){ .chunk_bytes = chunk_bytes };
}

static void
open_chunk(struct arena *a, struct arena_chunk *c)
{
    a->at = (uint8_t *)(c + 1);
    a->limit = a->at + c->size;
}

/* A chunk of its own for a large request goes behind the open one, whose rest stays usable. */
static void *
alloc_slow(struct arena *a, size_t size)
{
    bool large = size > a->chunk_bytes / 4;
    size_t room = large ? size : a->chunk_bytes;
    struct arena_chunk *c;
    void *bytes;

    if (room > SIZE_MAX - sizeof(*c))
        return NULL;
    c = mem_alloc(sizeof(*c) + room);
    if (c == NULL)
        return NULL;
    c->size = room;
    a->total_bytes += sizeof(*c) + room;
    if (large && a->chunks != NULL) {
        c->next = a->chunks->next;
        a->chunks->next = c;
        return c + 1;
    }
    c->next = a->chunks;
    a->chunks = c;
    open_chunk(a, c);
    bytes = a->at;
    a->at += size;
    return bytes;
}

void *
arena_alloc_bytes(struct arena *a, size_t size)
{
    uint8_t *bytes = a->at;

    if (size > (size_t)(a->limit - a->at) || bytes == NULL)
        return alloc_slow(a, size);
    a->at += size;
    return bytes;
}

void *
arena_alloc(struct arena *a, size_t size)
{
    size_t skew = (size_t)(-(uintptr_t)a->at & 7);

    if (size > SIZE_MAX - 7)
        return NULL;
    size = (size + 7) & ~(size_t)7;
    if (a->at == NULL || size + skew > (size_t)(a->limit - a->at))
        return alloc_slow(a, size);
    a->at += skew;
    return arena_alloc_bytes(a, size);
}

void
arena_reset(struct arena *a)
{
    struct arena_chunk *keep = NULL;
    struct arena_chunk *c = a->chunks;

    while (c != NULL) {
        struct arena_chunk *next = c->next;

        if (keep == NULL && c->size == a->chunk_bytes)
            keep = c;
        else
            mem_free(c);
        c = next;
    }
    a->chunks = keep;
    a->at = NULL;
    a->limit = NULL;
    a->total_bytes = 0;
    if (keep != NULL) {
        keep->next = NULL;
        a->total_bytes = sizeof(*keep) + keep->size;
        open_chunk(a, keep);
    }
}

void
arena_release(struct arena *a)
{
    struct arena_chunk *c = a->chunks;

    while (c != NULL) {
        struct arena_chunk *next = c->next;

        mem_free(c);
        c = next;
    }
    arena_init(a, a->chunk_bytes);
}
