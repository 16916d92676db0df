/*
 * base/arena.h — memory that is given out piece by piece and taken back at once.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; owned */
    uint8_t *at;
    uint8_t *limit;
    size_t chunk_bytes; /* of an ordinary chunk; larger requests get their own */
    size_t total_bytes; /* taken from the heap so far */
};

/* `chunk_bytes` is how much to take from the heap at a time. */
void arena_init(struct arena *a, size_t chunk_bytes);

/* Aligned to 8 bytes; NULL when out of memory.  Lives until reset or release. */
void *arena_alloc(struct arena *a, size_t size);

/* As arena_alloc, without alignment: for bytes. */
void *arena_alloc_bytes(struct arena *a, size_t size);

/* Forget everything, but keep one ordinary chunk for the next use. */
void arena_reset(struct arena *a);

void arena_release(struct arena *a);

#endif
