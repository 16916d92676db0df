#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"

struct hash_stream {
    XXH3_state_t *state;
    void *block; /* what `state` was aligned within */
};

uint64_t
hash64(struct slice s)
{
    return XXH3_64bits(s.data, s.size);
}

uint64_t
hash64_seeded(struct slice s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.data, s.size, seed);
}

struct hash128
hash128(struct slice s)
{
    XXH128_hash_t hash = XXH3_128bits(s.data, s.size);

    return (struct hash128){ .high = hash.high64, .low = hash.low64 };
}

struct hash_stream *
hash_stream_create(uint64_t seed)
{
    enum { STATE_ALIGNMENT = 64 };
    struct hash_stream *h = mem_new(struct hash_stream);
    size_t skew;

    if (h == NULL)
        return NULL;
    h->block = mem_alloc(sizeof(XXH3_state_t) + STATE_ALIGNMENT);
    if (h->block == NULL) {
        mem_free(h);
        return NULL;
    }
    skew = -(uintptr_t)h->block & (STATE_ALIGNMENT - 1);
    h->state = (void *)((uint8_t *)h->block + skew);
    XXH3_INITSTATE(h->state);
    XXH3_64bits_reset_withSeed(h->state, seed);
    return h;
}

void
hash_stream_add(struct hash_stream *h, struct slice s)
{
    XXH3_64bits_update(h->state, s.data, s.size);
}

uint64_t
hash_stream_value(const struct hash_stream *h)
{
    return XXH3_64bits_digest(h->state);
}

void
hash_stream_destroy(struct hash_stream *h)
{
    if (h == NULL)
        return;
    mem_free(h->block);
    mem_free(h);
}
