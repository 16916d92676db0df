#include "base/prng.h"

#include "base/assert.h"

__extension__ typedef unsigned __int128 wide; /* not in ISO C; gcc and clang both have it */

static uint64_t
splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t
rotate_left(uint64_t x, unsigned by)
{
    return (x << by) | (x >> (64 - by));
}

void
prng_init(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        p->s[i] = splitmix64(&seed);
}

uint64_t
prng_next(struct prng *p)
{
    uint64_t *s = p->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t
prng_below(struct prng *p, uint64_t limit)
{
    ASSERT(limit > 0);
    return (uint64_t)(((wide)prng_next(p) * limit) >> 64);
}

bool
prng_chance(struct prng *p, uint32_t numerator, uint32_t denominator)
{
    ASSERT(denominator > 0);
    return prng_below(p, denominator) < numerator;
}
