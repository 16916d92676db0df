/* Tests of base/hash.h. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"

/* The bytes that the published test values of XXH3 are computed over. */
static void
fill_reference(uint8_t *bytes, size_t size)
{
    uint64_t state = 2654435761U;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(state >> 56);
        state *= UINT64_C(11400714785074694797);
    }
}

/* What is on disk was hashed by these.  A library that gives other values must not be used. */
TEST(hash_is_xxh3_as_published)
{
    static const struct {
        size_t size;
        uint64_t hash;
    } known[] = {
        { 0, 0x2d06800538d394c2 },    { 1, 0xc44bdff4074eecdb },    { 6, 0x27b56a84cd2d7325 },
        { 12, 0xa713daf0dfbb77e7 },   { 24, 0xa3fe70bf9d3510eb },   { 48, 0x397da259ecba1f11 },
        { 80, 0xbcdefbbb2c47c90a },   { 195, 0xcd94217ee362ec3a },  { 403, 0xcdeb804d65c6dea4 },
        { 512, 0x617e49599013cb6b },  { 2048, 0xdd59e2c3a5f038e0 }, { 2240, 0x6e73a90539cf2948 },
        { 2367, 0xcb37aeb9e5d361ed },
    };
    uint8_t bytes[2367];

    fill_reference(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        EXPECT_U64(hash64(slice_of(bytes, known[i].size)), known[i].hash);
    EXPECT_U64(hash64(slice_of(NULL, 0)), known[0].hash);
}

/* And where tablets should live was said by these. */
TEST(hash128_is_xxh3_as_published)
{
    static const struct {
        size_t size;
        struct hash128 hash;
    } known[] = {
        { 0, { 0x99aa06d3014798d8, 0x6001c324468d497f } },
        { 1, { 0xa6cd5e9392000f6a, 0xc44bdff4074eecdb } },
        { 6, { 0x082afe0b8162d12a, 0x3e7039bdda43cfc6 } },
        { 12, { 0x6e3efd8fc7802b18, 0x061a192713f69ad9 } },
        { 24, { 0x0ce966e4678d3761, 0x1e7044d28b1b901d } },
        { 48, { 0xa002ac4e5478227e, 0xf942219aed80f67b } },
        { 403, { 0x1b6de21e332dd73d, 0xcdeb804d65c6dea4 } },
        { 512, { 0x18d2d110dcc9bca1, 0x617e49599013cb6b } },
        { 2048, { 0xf736557fd47073a5, 0xdd59e2c3a5f038e0 } },
        { 2240, { 0xccb134fbfa7ce49d, 0x6e73a90539cf2948 } },
        { 2367, { 0xe89c0f6ff369b427, 0xcb37aeb9e5d361ed } },
    };
    uint8_t bytes[2367];

    fill_reference(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct hash128 got = hash128(slice_of(bytes, known[i].size));

        EXPECT_U64(got.high, known[i].hash.high);
        EXPECT_U64(got.low, known[i].hash.low);
    }
}

TEST(hash_of_seed_0_is_the_hash_without_a_seed)
{
    uint8_t bytes[1000];

    fill_reference(bytes, sizeof(bytes));
    for (size_t size = 0; size <= sizeof(bytes); size++)
        EXPECT_U64(hash64_seeded(slice_of(bytes, size), 0), hash64(slice_of(bytes, size)));
}

TEST(hash_differs_with_the_seed)
{
    uint8_t bytes[1000];

    fill_reference(bytes, sizeof(bytes));
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        struct slice s = slice_of(bytes, size);

        EXPECT(hash64_seeded(s, 1) != hash64_seeded(s, 2));
        EXPECT(hash64_seeded(s, 1) != hash64_seeded(s, UINT64_C(1) << 63 | 1));
        EXPECT(hash64_seeded(s, 1) != hash64(s));
    }
}

/* Any single flipped bit is seen (P3). */
TEST(hash_differs_with_every_bit)
{
    uint8_t bytes[300];

    fill_reference(bytes, sizeof(bytes));
    for (size_t size = 1; size <= sizeof(bytes); size += 13) {
        uint64_t whole = hash64(slice_of(bytes, size));

        for (size_t bit = 0; bit < 8 * size; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            EXPECT(hash64(slice_of(bytes, size)) != whole);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

TEST(hash_of_the_pieces_is_the_hash_of_the_whole)
{
    static uint8_t bytes[5000];
    struct prng prng;

    prng_init(&prng, test_seed(7));
    fill_reference(bytes, sizeof(bytes));
    for (int round = 0; round < 500; round++) {
        size_t size = (size_t)(prng_next(&prng) >> prng_below(&prng, 64)) % (sizeof(bytes) + 1);
        uint64_t seed = round % 3 == 0 ? 0 : prng_next(&prng);
        struct hash_stream *h = hash_stream_create(seed);

        for (size_t at = 0; at < size;) {
            size_t piece = 1 + (size_t)prng_below(&prng, size - at);

            if (prng_chance(&prng, 1, 2))
                piece = piece < 20 ? piece : 20;
            hash_stream_add(h, slice_of(bytes + at, piece));
            hash_stream_add(h, slice_of(NULL, 0));
            at += piece;
            EXPECT_U64(hash_stream_value(h), hash64_seeded(slice_of(bytes, at), seed));
        }
        EXPECT_U64(hash_stream_value(h), hash64_seeded(slice_of(bytes, size), seed));
        hash_stream_destroy(h);
    }
    hash_stream_destroy(NULL);
}

TEST(hash_stream_survives_the_failure_of_every_allocation)
{
    struct mem_heap heap = { 0 };
    struct hash_stream *h = NULL;

    mem_heap_enter(&heap);
    for (uint64_t fail_at = 1; h == NULL; fail_at++) {
        EXPECT_U64(heap.block_count, 0);
        heap.allocation = 0;
        heap.fail_at = fail_at;
        h = hash_stream_create(1);
    }
    EXPECT_U64(heap.fail_at, 3); /* two allocations, and both failed once */
    hash_stream_destroy(h);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(NULL);
}

/* A mixer is a bijection with avalanche: no collisions among near numbers, and each input bit
 * turns about half of the output. */
TEST(hash_u64_spreads_near_numbers)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t turned = 0;

        for (uint64_t x = 1; x <= 1000; x++)
            turned +=
                (uint64_t)__builtin_popcountll(hash_u64(x) ^ hash_u64(x ^ UINT64_C(1) << bit));
        EXPECT(turned > 26 * 1000 && turned < 38 * 1000);
    }
    EXPECT(hash_u64(1) != hash_u64(2));
}

TEST_MAIN(RUN(hash_is_xxh3_as_published), RUN(hash128_is_xxh3_as_published),
          RUN(hash_of_seed_0_is_the_hash_without_a_seed), RUN(hash_differs_with_the_seed),
          RUN(hash_differs_with_every_bit), RUN(hash_of_the_pieces_is_the_hash_of_the_whole),
          RUN(hash_stream_survives_the_failure_of_every_allocation),
          RUN(hash_u64_spreads_near_numbers))
