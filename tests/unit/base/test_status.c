/* Tests of base/status.h. */
#include <errno.h>

#include "unit/test.h"

TEST(status_has_a_name_of_its_own_for_every_value)
{
    for (int a = ST_OK; a < ST_STATUS_COUNT; a++) {
        assert_non_null(status_name((enum status)a));
        for (int b = ST_OK; b < a; b++)
            assert_string_not_equal(status_name((enum status)a), status_name((enum status)b));
    }
    EXPECT_STR(status_name(ST_NOT_FOUND), "not-found");
    EXPECT_ABORT(status_name(ST_STATUS_COUNT));
}

TEST(err_records_code_origin_and_text)
{
    struct err err;
    uint32_t line = __LINE__ + 1;
    enum status st = err_raise(&err, ST_CORRUPT, "block %d of %s", 7, "t.sst");

    EXPECT_ST(st, ST_CORRUPT);
    EXPECT_ST(err.code, ST_CORRUPT);
    EXPECT_U64(err.sys, 0);
    EXPECT_U64(err.line, line);
    EXPECT_STR(err.file, "tests/unit/base/test_status.c");
    EXPECT_STR(err.text, "block 7 of t.sst");
}

TEST(err_appends_what_the_system_said)
{
    struct err err;

    EXPECT_ST(err_raise_sys(&err, ST_IO, ENOENT, "open %s", "x"), ST_IO);
    EXPECT_U64(err.sys, ENOENT);
    EXPECT_STR(err.text, "open x: No such file or directory");
}

TEST(err_may_be_null)
{
    EXPECT_ST(err_raise(NULL, ST_BUSY, "nobody reads this"), ST_BUSY);
    EXPECT_ST(err_raise_sys(NULL, ST_IO, EIO, "nor this"), ST_IO);
}

/* Whatever the length, the text is terminated, and is a prefix of what was to be said. */
TEST(err_cuts_a_long_text)
{
    char noise[2 * ERR_TEXT_MAX];
    struct err err;

    for (size_t size = 0; size < sizeof(noise) - 1; size++) {
        size_t kept = size < ERR_TEXT_MAX - 1 ? size : ERR_TEXT_MAX - 1;

        memset(noise, 'x', size);
        noise[size] = '\0';
        memset(&err, 0x5a, sizeof(err));
        EXPECT_ST(err_raise_sys(&err, ST_IO, EIO, "%s", noise), ST_IO);
        EXPECT(strlen(err.text) < ERR_TEXT_MAX);
        EXPECT(strlen(err.text) >= kept);
        assert_memory_equal(err.text, noise, kept);
    }
}

/* Context is added on the way up by raising again with the old text as an argument. */
TEST(err_may_be_raised_from_its_own_text)
{
    struct err err;

    EXPECT_ST(err_raise(&err, ST_CORRUPT, "bad checksum"), ST_CORRUPT);
    EXPECT_ST(err_raise(&err, ST_CORRUPT, "table 7: %s", err.text), ST_CORRUPT);
    EXPECT_STR(err.text, "table 7: bad checksum");
}

TEST(err_is_never_a_success)
{
    struct err err;

    EXPECT_ABORT((void)!err_raise(&err, ST_OK, "all is well"));
    EXPECT_ABORT((void)!err_raise(&err, ST_STATUS_COUNT, "what is this"));
}

TEST_MAIN(RUN(status_has_a_name_of_its_own_for_every_value), RUN(err_records_code_origin_and_text),
          RUN(err_appends_what_the_system_said), RUN(err_may_be_null), RUN(err_cuts_a_long_text),
          RUN(err_may_be_raised_from_its_own_text), RUN(err_is_never_a_success))
