/* Tests of base/version.h. */
#include "base/prng.h"
#include "base/version.h"

#include "unit/test.h"

TEST(version_counts_from_2025_and_is_none_before)
{
    EXPECT_U64(version_at(0), 0);
    EXPECT_U64(version_at(VERSION_EPOCH_UNIX_MS - 1), 0);
    EXPECT_U64(version_at(VERSION_EPOCH_UNIX_MS), 0);
    EXPECT_U64(version_at(VERSION_EPOCH_UNIX_MS + 1), 1 << VERSION_COUNTER_BITS);
    EXPECT_U64(version_unix_ms(version_at(UINT64_C(1795196515123))), UINT64_C(1795196515123));
}

TEST(version_next_grows_strictly_and_follows_the_clock)
{
    struct prng prng;
    uint64_t now = VERSION_EPOCH_UNIX_MS + 1000;
    version_t last = 0;

    prng_init(&prng, test_seed(13));
    for (int round = 0; round < 100000; round++) {
        version_t next;

        if (prng_chance(&prng, 1, 10))
            now += prng_below(&prng, 5);
        if (prng_chance(&prng, 1, 100))
            now -= prng_below(&prng, 10); /* the clock was set back */
        next = version_next(last, now);
        EXPECT(next > last);
        EXPECT(next >= version_at(now));
        EXPECT(next == version_at(now) || next == last + 1);
        last = next;
    }
}

/* A full counter borrows from the next millisecond. */
TEST(version_counter_overflows_into_the_time)
{
    uint64_t now = VERSION_EPOCH_UNIX_MS + 5;
    version_t v = version_at(now);

    for (int i = 0; i < 1 << VERSION_COUNTER_BITS; i++)
        v = version_next(v, now);
    EXPECT_U64(version_unix_ms(v), now + 1);
    EXPECT_U64(version_next(v, now + 1), v + 1);
}

/* JSON's numbers are exact up to there, whatever the clock says. */
TEST(version_stays_below_two_to_the_53)
{
    uint64_t last_ms = VERSION_EPOCH_UNIX_MS + (VERSION_MAX >> VERSION_COUNTER_BITS);

    EXPECT(version_at(last_ms) < VERSION_MAX);
    EXPECT_U64(version_unix_ms(version_at(last_ms)), last_ms);
    EXPECT_U64(version_at(last_ms + 1), version_at(last_ms));
    EXPECT_U64(version_at(UINT64_MAX), version_at(last_ms));
    EXPECT_U64(version_next(VERSION_MAX - 1, UINT64_MAX), VERSION_MAX);
    EXPECT_ABORT(version_next(VERSION_MAX, 0));
}

TEST_MAIN(RUN(version_counts_from_2025_and_is_none_before),
          RUN(version_next_grows_strictly_and_follows_the_clock),
          RUN(version_counter_overflows_into_the_time), RUN(version_stays_below_two_to_the_53))
