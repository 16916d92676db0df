/* Tests of cluster/fitness.h. */
#include "cluster/fitness.h"
#include "unit/test.h"

enum { BYTES_MAX = 1024 };

static const struct raft_config group = { .voter_count = 3, .voters = { 1, 2, 3 } };

static struct fitness
missing(uint32_t count, uint64_t first)
{
    struct fitness f = { 0 };

    for (uint32_t i = 0; i < count; i++)
        fitness_miss(&f, first + i);
    return f;
}

TEST(whoever_is_well_and_hears_all_is_no_burden)
{
    struct fitness f = { 0 };

    EXPECT_U64(fitness_burden(&f, &group), 0);
}

TEST(each_voter_that_is_not_heard_counts_and_nobody_else_does)
{
    struct fitness f = missing(2, 3); /* 3 and 4 */

    EXPECT_U64(fitness_burden(&f, &group), 1);
    f = missing(1, 4);
    EXPECT_U64(fitness_burden(&f, &group), 0);
}

TEST(to_ail_is_worse_than_to_hear_nobody)
{
    struct fitness ailing = { .ails = true };
    struct fitness deaf = missing(3, 1);

    EXPECT(fitness_burden(&ailing, &group) > fitness_burden(&deaf, &group));
}

TEST(slowness_is_as_bad_as_to_miss_one)
{
    struct fitness slow = { .slow = true };
    struct fitness deaf = missing(1, 1);

    EXPECT_U64(fitness_burden(&slow, &group), fitness_burden(&deaf, &group));
    deaf.slow = true;
    EXPECT(fitness_burden(&slow, &group) < fitness_burden(&deaf, &group));
}

TEST(whoever_misses_more_than_can_be_said_ails)
{
    struct fitness f = missing(FITNESS_MISSED_MAX, 100);

    EXPECT(!f.ails);
    fitness_miss(&f, 99);
    EXPECT(f.ails);
    EXPECT_U64(f.missed_count, FITNESS_MISSED_MAX);
}

TEST(what_is_said_is_understood)
{
    struct buf said = buf_empty(BYTES_MAX);
    struct fitness f = missing(FITNESS_MISSED_MAX, UINT64_MAX - FITNESS_MISSED_MAX);
    struct fitness got;

    f.ails = true;
    f.slow = true;
    EXPECT_OK(fitness_encode(&f, &said));
    EXPECT_OK(fitness_decode(buf_slice(&said), &got));
    EXPECT(got.ails && got.slow);
    EXPECT_U64(got.missed_count, FITNESS_MISSED_MAX);
    for (uint32_t i = 0; i < FITNESS_MISSED_MAX; i++)
        EXPECT_U64(got.missed[i], f.missed[i]);
    buf_release(&said);
}

static enum status
decode(const char *bytes, size_t size)
{
    struct fitness untouched = { .missed_count = 7 };
    enum status st = fitness_decode(slice_of(bytes, size), &untouched);

    EXPECT(st == ST_OK || untouched.missed_count == 7);
    return st;
}

TEST(what_is_no_fitness_is_refused)
{
    char crowd[2 + FITNESS_MISSED_MAX + 1] = { 0, FITNESS_MISSED_MAX + 1 };

    EXPECT_ST(decode("\0\0", 2), ST_OK);
    EXPECT_ST(decode("", 0), ST_CORRUPT);
    EXPECT_ST(decode("\4\0", 2), ST_CORRUPT);     /* it ails, or is slow, or not */
    EXPECT_ST(decode("\0\1", 2), ST_CORRUPT);     /* it ends too soon */
    EXPECT_ST(decode("\0\1\5\5", 4), ST_CORRUPT); /* or too late */
    EXPECT_ST(decode(crowd, sizeof(crowd)), ST_CORRUPT);
}

TEST_MAIN(RUN(whoever_is_well_and_hears_all_is_no_burden),
          RUN(each_voter_that_is_not_heard_counts_and_nobody_else_does),
          RUN(to_ail_is_worse_than_to_hear_nobody), RUN(slowness_is_as_bad_as_to_miss_one),
          RUN(whoever_misses_more_than_can_be_said_ails), RUN(what_is_said_is_understood),
          RUN(what_is_no_fitness_is_refused))
