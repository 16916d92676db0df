/* Tests of ring/position.h. */
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "ring/position.h"
#include "unit/test.h"

static bool
same(struct ring_position a, struct ring_position b)
{
    return ring_position_compare(a, b) == 0;
}

static struct ring_position
tablet(uint64_t keyspace, const char *begin, const char *limit)
{
    return ring_position_of_tablet(keyspace, slice_str(begin), slice_str(limit));
}

/* Two releases that disagree about positions would carry tablets to and fro. */
TEST(positions_are_the_same_for_ever)
{
    char text[RING_POSITION_TEXT_BYTES];

    EXPECT_STR(ring_position_text(tablet(0, "", ""), text), "4ed2dea9b7ff3fdbf234057e4929a17b");
    EXPECT_STR(ring_position_text(tablet(7, "a", "b"), text), "9f7b64af28835d27f514865ca167364b");
    EXPECT_STR(ring_position_text(ring_position_of_node(1, 0), text),
               "7f3819ac296fd6f64da6edf1673d13a6");
    EXPECT_STR(ring_position_text(ring_position_of_node(UINT64_MAX, 255), text),
               "940b8e3db007ed72bc1e4f034e81d136");
}

TEST(a_tablet_s_position_depends_on_its_keyspace_and_both_bounds)
{
    struct ring_position p = tablet(1, "b", "d");

    EXPECT(same(p, tablet(1, "b", "d")));
    EXPECT(!same(p, tablet(2, "b", "d")));
    EXPECT(!same(p, tablet(1, "a", "d")));
    EXPECT(!same(p, tablet(1, "b", "e")));
    EXPECT(!same(p, tablet(1, "b", "")));
    EXPECT(!same(p, tablet(1, "", "d")));
}

/* The same bytes, cut in different places. */
TEST(bounds_do_not_run_together)
{
    EXPECT(!same(tablet(1, "ab", "c"), tablet(1, "a", "bc")));
    EXPECT(!same(tablet(1, "abc", ""), tablet(1, "", "abc")));
}

TEST(bounds_may_be_as_long_as_keys)
{
    uint8_t *key = mem_alloc_zero(LIMIT_KEY_BYTES);
    struct ring_position p;

    assert_non_null(key);
    p = ring_position_of_tablet(1, slice_of(key, LIMIT_KEY_BYTES), slice_of(NULL, 0));
    key[LIMIT_KEY_BYTES - 1] = 1;
    EXPECT(!same(p, ring_position_of_tablet(1, slice_of(key, LIMIT_KEY_BYTES), slice_of(NULL, 0))));
    mem_free(key);
}

TEST(every_virtual_node_has_a_place_of_its_own)
{
    enum { NODES = 8, NUMBERS = 256 };
    static struct ring_position seen[NODES * NUMBERS];
    size_t count = 0;

    for (uint64_t node = 0; node < NODES; node++) {
        for (uint32_t number = 0; number < NUMBERS; number++) {
            struct ring_position p = ring_position_of_node(UINT64_C(1) << 8 * node, number);

            for (size_t i = 0; i < count; i++)
                EXPECT(!same(seen[i], p));
            seen[count++] = p;
        }
    }
}

TEST(positions_are_ordered_by_the_high_word_first)
{
    struct ring_position a = { .high = 1, .low = UINT64_MAX };
    struct ring_position b = { .high = 2, .low = 0 };
    struct ring_position c = { .high = 2, .low = 1 };

    EXPECT(ring_position_compare(a, b) < 0);
    EXPECT(ring_position_compare(b, a) > 0);
    EXPECT(ring_position_compare(b, c) < 0);
    EXPECT(ring_position_compare(c, b) > 0);
    EXPECT(ring_position_compare(c, c) == 0);
}

TEST(a_position_s_text_keeps_its_zeros)
{
    char text[RING_POSITION_TEXT_BYTES];
    struct ring_position p = { .high = 0xa, .low = 0xfedcba9876543210 };

    EXPECT_STR(ring_position_text(p, text), "000000000000000afedcba9876543210");
}

TEST_MAIN(RUN(positions_are_the_same_for_ever),
          RUN(a_tablet_s_position_depends_on_its_keyspace_and_both_bounds),
          RUN(bounds_do_not_run_together), RUN(bounds_may_be_as_long_as_keys),
          RUN(every_virtual_node_has_a_place_of_its_own),
          RUN(positions_are_ordered_by_the_high_word_first), RUN(a_position_s_text_keeps_its_zeros))
