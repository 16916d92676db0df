/*
 * base/hash.h — one hash for filters, blocks, log, tables and the ring: XXH3, 64 or 128 bits.
 *
 * It finds damage; it does not stop an adversary.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

uint64_t hash64(struct slice s);

/* As hash64, with a seed: two files with different seeds never pass for each other. */
uint64_t hash64_seeded(struct slice s, uint64_t seed);

/* 128 bits, for what is compared between nodes and must not collide by chance. */
struct hash128 {
    uint64_t high;
    uint64_t low;
};

struct hash128 hash128(struct slice s);

/* A running hash over pieces: the same value as hash64_seeded over their concatenation. */
struct hash_stream;

struct hash_stream *hash_stream_create(uint64_t seed); /* NULL when out of memory */
void hash_stream_add(struct hash_stream *h, struct slice s);
uint64_t hash_stream_value(const struct hash_stream *h);
void hash_stream_destroy(struct hash_stream *h);

/* A good mixer of one word. */
static inline uint64_t
hash_u64(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9fb21c651e98df25ULL;
    x ^= x >> 35;
    x *= 0x9fb21c651e98df25ULL;
    x ^= x >> 28;
    return x;
}

#endif
