/* sst/block_bits.h — the small parts of block.h's format, for its writer and its reader. */
#ifndef SST_BLOCK_BITS_H
#define SST_BLOCK_BITS_H

#include "base/coding.h"
#include "base/entry.h"

enum {
    TAG_TYPE_MASK = 3,
    TAG_EXPIRY = 4,
    TAG_VERSION_SHIFT = 3,
    TAG_VERSION_MASK = 7,
    TAG_RESERVED = 0xc0,
};

static inline uint8_t
tag_of(enum entry_type type, bool expiry, uint32_t version_bytes)
{
    return (uint8_t)((uint32_t)type | (expiry ? TAG_EXPIRY : 0u) |
                     version_bytes << TAG_VERSION_SHIFT);
}

/* Small differences in either direction as small numbers: 0, -1, 1, -2 give 0, 1, 2, 3. */
static inline uint64_t
zigzag(version_t version, version_t base)
{
    uint64_t difference = version - base;

    return difference << 1 ^ (0 - (difference >> 63));
}

static inline version_t
unzigzag(uint64_t coded, version_t base)
{
    return base + (coded >> 1 ^ (0 - (coded & 1)));
}

static inline uint32_t
bytes_needed(uint64_t v)
{
    return v == 0 ? 0 : (uint32_t)(71 - __builtin_clzll(v)) / 8;
}

/* How many bytes two slices have in common at their start. */
static inline size_t
common_prefix(struct slice a, struct slice b)
{
    size_t limit = a.size < b.size ? a.size : b.size;
    size_t at = 0;

    while (limit - at >= 8) {
        uint64_t difference = get_u64le(a.data + at) ^ get_u64le(b.data + at);

        if (difference != 0)
            return at + (size_t)__builtin_ctzll(difference) / 8;
        at += 8;
    }
    while (at < limit && a.data[at] == b.data[at])
        at++;
    return at;
}

#endif
