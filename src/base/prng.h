/*
 * base/prng.h — a small, fast generator that replays from its seed:
 * xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number
 * Generators", 2018), seeded by splitmix64.  Not for secrets.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);

uint64_t prng_next(struct prng *p);

/* Uniform in [0, limit); limit > 0.  Lemire's multiplication, without its
 * rejection step: the bias is below 2^-32 for limits below 2^32. */
uint64_t prng_below(struct prng *p, uint64_t limit);

/* True with probability `numerator` in `denominator`. */
bool prng_chance(struct prng *p, uint32_t numerator, uint32_t denominator);

#endif
