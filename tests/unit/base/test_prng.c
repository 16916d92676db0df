/* Tests of base/prng.h. */
#include "base/prng.h"

#include "unit/test.h"

/* Known answers: of xoshiro256** from the state 1, 2, 3, 4, and of splitmix64 from 0.  Seeds that
 * were printed by old runs must replay for ever. */
TEST(prng_is_xoshiro256_starstar_seeded_by_splitmix64)
{
    static const uint64_t outputs[] = {
        11520, 0, 1509978240, 1215971899390074240, 1216172134540287360, 607988272756665600,
    };
    static const uint64_t seeded[] = {
        0xe220a8397b1dcdaf,
        0x6e789e6aa1b965f4,
        0x06c45d188009454f,
        0xf88bb8a8724c81ec,
    };
    struct prng prng = { { 1, 2, 3, 4 } };

    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++)
        EXPECT_U64(prng_next(&prng), outputs[i]);
    prng_init(&prng, 0);
    for (size_t i = 0; i < 4; i++)
        EXPECT_U64(prng.s[i], seeded[i]);
}

TEST(prng_replays_from_its_seed_and_differs_from_another)
{
    struct prng a, b, c;
    int same = 0;

    prng_init(&a, 42);
    prng_init(&b, 42);
    prng_init(&c, 43);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = prng_next(&a);

        EXPECT_U64(x, prng_next(&b));
        same += x == prng_next(&c);
    }
    EXPECT_U64(same, 0);
}

/* Every residue about equally often: chi-square with `limit` - 1 degrees of freedom, at about five
 * standard deviations. */
TEST(prng_below_is_even_and_stays_below)
{
    enum { LIMIT_MAX = 50, DRAWS = 100000 };
    struct prng prng;

    prng_init(&prng, test_seed(8));
    for (uint64_t limit = 1; limit <= LIMIT_MAX; limit++) {
        uint32_t count[LIMIT_MAX] = { 0 };
        double expected = (double)DRAWS / (double)limit;
        double chi = 0;

        for (int i = 0; i < DRAWS; i++) {
            uint64_t x = prng_below(&prng, limit);

            assert_true(x < limit);
            count[x]++;
        }
        for (uint64_t x = 0; x < limit; x++)
            chi += (count[x] - expected) * (count[x] - expected) / expected;
        EXPECT(chi < (double)limit + 60);
    }
    for (int i = 0; i < 1000; i++)
        EXPECT(prng_below(&prng, UINT64_MAX) < UINT64_MAX);
    EXPECT_ABORT(prng_below(&prng, 0));
}

TEST(prng_chance_is_never_at_0_always_at_1_and_fair_between)
{
    struct prng prng;
    int hits = 0;

    prng_init(&prng, test_seed(9));
    for (int i = 0; i < 10000; i++) {
        EXPECT(!prng_chance(&prng, 0, 7));
        EXPECT(prng_chance(&prng, 7, 7));
        hits += prng_chance(&prng, 1, 4);
    }
    EXPECT(hits > 2200 && hits < 2800);
    EXPECT_ABORT(prng_chance(&prng, 1, 0));
}

TEST_MAIN(RUN(prng_is_xoshiro256_starstar_seeded_by_splitmix64),
          RUN(prng_replays_from_its_seed_and_differs_from_another),
          RUN(prng_below_is_even_and_stays_below),
          RUN(prng_chance_is_never_at_0_always_at_1_and_fair_between))
