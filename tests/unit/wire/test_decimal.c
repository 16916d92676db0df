/* Tests of wire/decimal.h. */
#include "base/prng.h"

#include "unit/test.h"
#include "wire/decimal.h"

static bool
parses(const char *text, int64_t want)
{
    int64_t value = 77;

    return decimal_parse_i64(slice_str(text), &value) && value == want;
}

static bool
refuses(const char *text)
{
    int64_t value;

    return !decimal_parse_i64(slice_str(text), &value);
}

TEST(decimal_parses_the_whole_range_of_64_bits)
{
    EXPECT(parses("0", 0));
    EXPECT(parses("-1", -1));
    EXPECT(parses("9223372036854775807", INT64_MAX));
    EXPECT(parses("-9223372036854775808", INT64_MIN));
    EXPECT(refuses("9223372036854775808"));
    EXPECT(refuses("-9223372036854775809"));
    EXPECT(refuses("99999999999999999999999"));
}

TEST(decimal_refuses_what_redis_refuses)
{
    EXPECT(refuses(""));
    EXPECT(refuses("-"));
    EXPECT(refuses("-0"));
    EXPECT(refuses("+1"));
    EXPECT(refuses("01"));
    EXPECT(refuses("-01"));
    EXPECT(refuses(" 1"));
    EXPECT(refuses("1 "));
    EXPECT(refuses("1.0"));
    EXPECT(refuses("0x10"));
    EXPECT(refuses("--1"));
}

TEST(decimal_without_a_sign_reaches_2_to_the_64)
{
    uint64_t value = 0;

    EXPECT(decimal_parse_u64(slice_str("18446744073709551615"), &value));
    EXPECT_U64(value, UINT64_MAX);
    EXPECT(!decimal_parse_u64(slice_str("18446744073709551616"), &value));
    EXPECT(!decimal_parse_u64(slice_str("-1"), &value));
}

TEST(decimal_formats_what_it_then_parses)
{
    struct prng prng;
    char text[DECIMAL_BYTES];

    prng_init(&prng, test_seed(1));
    for (int i = 0; i < 20000; i++) {
        int64_t value = (int64_t)(prng_next(&prng) >> prng_below(&prng, 64));
        int64_t back = 0;

        if (prng_chance(&prng, 1, 2))
            value = -value;
        if (i == 0)
            value = INT64_MIN;
        EXPECT(decimal_parse_i64(slice_of(text, decimal_format_i64(value, text)), &back));
        EXPECT_U64(back, value);
    }
}

TEST_MAIN(RUN(decimal_parses_the_whole_range_of_64_bits), RUN(decimal_refuses_what_redis_refuses),
          RUN(decimal_without_a_sign_reaches_2_to_the_64), RUN(decimal_formats_what_it_then_parses))
