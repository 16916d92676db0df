#include "base/refrain.h"

#include "unit/test.h"

#define MS UINT64_C(1000000)

static const char *const words[] = { "one", "another" };

TEST(the_first_is_told)
{
    struct refrain r = { 0 };

    EXPECT(refrain_tells(&r, 1, slice_str("one")));
    EXPECT_U64(refrain_untold(&r), 0);
}

TEST(of_the_same_one_a_minute_is_told)
{
    struct refrain r = { 0 };
    unsigned told = 0;

    for (uint64_t ms = 1; ms <= 120000; ms += 100)
        told += refrain_tells(&r, ms * MS, slice_str("one"));
    EXPECT_U64(told, 2);
    EXPECT_U64(refrain_untold(&r), 599);
    EXPECT(refrain_tells(&r, 120001 * MS, slice_str("one")));
    EXPECT_U64(refrain_untold(&r), 599);
}

TEST(of_others_one_a_second_is_told)
{
    struct refrain r = { 0 };
    unsigned told = 0;

    for (uint64_t i = 0; i < 100; i++)
        told += refrain_tells(&r, (1 + i * 300) * MS, slice_str(words[i % 2]));
    EXPECT(told >= 15 && told <= 30);
    EXPECT_U64(refrain_untold(&r), 4); /* the fourth of them is the same as what was told */
}

TEST(what_is_new_after_a_second_is_told_at_once)
{
    struct refrain r = { 0 };

    EXPECT(refrain_tells(&r, 1, slice_str("one")));
    EXPECT(!refrain_tells(&r, 500 * MS, slice_str("another")));
    EXPECT(!refrain_tells(&r, 1500 * MS, slice_str("one")));
    EXPECT(refrain_tells(&r, 1501 * MS, slice_str("another")));
    EXPECT_U64(refrain_untold(&r), 2);
}

TEST_MAIN(RUN(the_first_is_told), RUN(of_the_same_one_a_minute_is_told),
          RUN(of_others_one_a_second_is_told), RUN(what_is_new_after_a_second_is_told_at_once))
