/* Tests of base/entry.h. */
#include "base/entry.h"

#include "unit/test.h"

TEST(entries_are_ordered_by_key_and_then_the_newest_first)
{
    EXPECT(entry_compare(slice_str("a"), 1, slice_str("b"), 9) < 0);
    EXPECT(entry_compare(slice_str("b"), 9, slice_str("a"), 1) > 0);
    EXPECT(entry_compare(slice_str("a"), 9, slice_str("a"), 1) < 0);
    EXPECT(entry_compare(slice_str("a"), 1, slice_str("a"), 9) > 0);
    EXPECT(entry_compare(slice_str("a"), 5, slice_str("a"), 5) == 0);
    EXPECT(entry_compare(slice_str("a"), 0, slice_str("a"), VERSION_MAX) > 0);
    EXPECT(entry_compare(slice_str("a"), 0, slice_str("ab"), VERSION_MAX) < 0);
    EXPECT(entry_compare(slice_of(NULL, 0), 0, slice_str(""), 0) == 0);
}

TEST_MAIN(RUN(entries_are_ordered_by_key_and_then_the_newest_first))
