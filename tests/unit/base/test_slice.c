/* Tests of base/slice.h. */
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"

TEST(slice_compares_in_byte_order_and_the_prefix_comes_first)
{
    EXPECT(slice_compare(slice_str("a"), slice_str("b")) < 0);
    EXPECT(slice_compare(slice_str("b"), slice_str("a")) > 0);
    EXPECT(slice_compare(slice_str("a"), slice_str("ab")) < 0);
    EXPECT(slice_compare(slice_str("ab"), slice_str("a")) > 0);
    EXPECT(slice_compare(slice_str("ab"), slice_str("ab")) == 0);
    EXPECT(slice_compare(slice_of("\x7f", 1), slice_of("\x80", 1)) < 0); /* bytes have no sign */
    EXPECT(slice_compare(slice_of("a\0b", 3), slice_of("a\0c", 3)) < 0);
}

TEST(slice_may_be_null_when_it_is_empty)
{
    struct slice none = { NULL, 0 };

    EXPECT(slice_equal(none, slice_str("")));
    EXPECT(slice_compare(none, slice_str("")) == 0);
    EXPECT(slice_compare(none, slice_str("a")) < 0);
    EXPECT(slice_starts_with(none, none));
    EXPECT(slice_starts_with(slice_str("a"), none));
    EXPECT(!slice_starts_with(none, slice_str("a")));
    EXPECT(slice_equal_nocase(none, ""));
    EXPECT(!slice_equal_nocase(none, "a"));
}

TEST(slice_starts_with_its_prefixes_only)
{
    EXPECT(slice_starts_with(slice_str("user:1"), slice_str("user:")));
    EXPECT(slice_starts_with(slice_str("user:1"), slice_str("user:1")));
    EXPECT(!slice_starts_with(slice_str("user:1"), slice_str("user:12")));
    EXPECT(!slice_starts_with(slice_str("user:1"), slice_str("ser")));
}

TEST(slice_ignores_the_case_of_ascii_letters_and_of_nothing_else)
{
    EXPECT(slice_equal_nocase(slice_str("Get"), "gEt"));
    EXPECT(!slice_equal_nocase(slice_str("get"), "getex"));
    EXPECT(!slice_equal_nocase(slice_str("getex"), "get"));
    EXPECT(!slice_equal_nocase(slice_of("get\0", 4), "get"));
    EXPECT(!slice_equal_nocase(slice_str("["), "{")); /* 32 apart, but not letters */
    EXPECT(!slice_equal_nocase(slice_str("@"), "`"));
}

TEST(slice_printable_escapes_what_is_not_ascii)
{
    char out[64];

    EXPECT_STR(slice_printable(slice_str("user:1"), out, sizeof(out)), "user:1");
    EXPECT_STR(slice_printable(slice_of("\0ab\n\xff", 5), out, sizeof(out)), "\\x00ab\\x0a\\xff");
    EXPECT_STR(slice_printable(slice_str("a\\b"), out, sizeof(out)), "a\\x5cb");
    EXPECT_STR(slice_printable(slice_of(NULL, 0), out, sizeof(out)), "");
}

/* In a block of exactly `room` bytes, so that the sanitizer sees one too many. */
TEST(slice_printable_stays_in_its_room_and_marks_the_cut)
{
    struct prng prng;
    uint8_t bytes[64];

    prng_init(&prng, test_seed(1));
    for (int round = 0; round < 5000; round++) {
        size_t room = 8 + (size_t)prng_below(&prng, 90);
        size_t size = (size_t)prng_below(&prng, sizeof(bytes) + 1);
        char *out = malloc(room);

        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(prng_chance(&prng, 1, 2) ? 'a' : prng_next(&prng));
        slice_printable(slice_of(bytes, size), out, room);
        EXPECT(strlen(out) < room);
        if (strlen(out) < size)
            EXPECT_STR(out + strlen(out) - 3, "...");
        free(out);
    }
}

/* Random appends, reservations and consumptions against a plain array. */
TEST(buf_equals_a_plain_array)
{
    enum { MODEL_MAX = 3000 };
    static uint8_t model[MODEL_MAX];
    struct buf b = buf_empty(MODEL_MAX);
    struct prng prng;
    size_t size = 0;

    prng_init(&prng, test_seed(2));
    for (int round = 0; round < 20000; round++) {
        uint8_t piece[200];
        size_t count = (size_t)prng_below(&prng, sizeof(piece));
        enum status want = count > MODEL_MAX - size ? ST_TOO_BIG : ST_OK;

        if (prng_chance(&prng, 1, 3)) {
            count = (size_t)prng_below(&prng, size + 1);
            buf_consume(&b, count);
            size -= count;
            memmove(model, model + count, size);
        } else if (prng_chance(&prng, 1, 4)) {
            EXPECT_ST(buf_reserve(&b, count), want);
        } else {
            memset(piece, (int)prng_below(&prng, 256), sizeof(piece));
            EXPECT_ST(buf_append(&b, slice_of(piece, count)), want);
            if (want == ST_OK) {
                memcpy(model + size, piece, count);
                size += count;
            }
        }
        EXPECT(slice_equal(buf_slice(&b), slice_of(model, size)));
        EXPECT(b.capacity <= MODEL_MAX);
    }
    buf_release(&b);
}

TEST(buf_reserves_so_that_appending_cannot_move_it)
{
    struct buf b = buf_empty(1000);
    uint8_t *data;

    EXPECT_OK(buf_reserve(&b, 1000));
    data = b.data;
    for (int i = 0; i < 1000; i++)
        EXPECT_OK(buf_append(&b, slice_str("x")));
    assert_ptr_equal(b.data, data);
    EXPECT_ST(buf_append(&b, slice_str("x")), ST_TOO_BIG);
    EXPECT_U64(b.size, 1000);
    EXPECT_ST(buf_reserve(&b, SIZE_MAX), ST_TOO_BIG); /* no wrap-around */
    buf_release(&b);
}

TEST(buf_of_no_maximum_takes_nothing)
{
    struct buf b = { 0 };

    EXPECT_OK(buf_append(&b, slice_of(NULL, 0)));
    EXPECT_OK(buf_printf(&b, "%s", ""));
    EXPECT_ST(buf_append(&b, slice_str("x")), ST_TOO_BIG);
    EXPECT_SLICE(buf_slice(&b), "");
    buf_consume(&b, 0);
    buf_release(&b);
}

TEST(buf_may_be_used_again_after_its_release)
{
    struct buf b = buf_empty(10);

    EXPECT_OK(buf_append(&b, slice_str("alpha")));
    buf_release(&b);
    EXPECT_SLICE(buf_slice(&b), "");
    EXPECT_OK(buf_append(&b, slice_str("betabetabe")));
    EXPECT_SLICE(buf_slice(&b), "betabetabe");
    buf_release(&b);
}

TEST(buf_prints_up_to_its_maximum_exactly)
{
    for (size_t max = 0; max <= 200; max++) {
        struct buf b = buf_empty(max);

        for (size_t size = 0; size < max; size++)
            EXPECT_OK(buf_printf(&b, "%c", 'a' + (int)(size % 26)));
        EXPECT_U64(b.size, max);
        EXPECT_ST(buf_printf(&b, "x"), ST_TOO_BIG);
        EXPECT_U64(b.size, max);
        for (size_t i = 0; i < max; i++)
            EXPECT_U64(b.data[i], 'a' + i % 26);
        buf_release(&b);
    }
}

TEST(buf_prints_behind_what_it_has)
{
    struct buf b = buf_empty(100);

    EXPECT_OK(buf_append(&b, slice_str("a")));
    EXPECT_OK(buf_printf(&b, "=%d,%s", 7, "b"));
    EXPECT_SLICE(buf_slice(&b), "a=7,b");
    buf_release(&b);
}

TEST(buf_is_unchanged_when_memory_runs_out)
{
    struct mem_heap heap = { 0 };
    struct buf b = buf_empty(1000);
    struct mem_heap *previous = mem_heap_enter(&heap);

    EXPECT_OK(buf_append(&b, slice_str("alpha")));
    heap.fail_at = heap.allocation + 1;
    heap.fail_for_good = true;
    EXPECT_ST(buf_reserve(&b, 500), ST_NO_MEMORY);
    EXPECT_ST(buf_printf(&b, "%500s", "x"), ST_NO_MEMORY);
    EXPECT_ST(buf_printf(&b, "%995s", "x"), ST_NO_MEMORY); /* to the maximum, exactly */
    EXPECT_SLICE(buf_slice(&b), "alpha");
    heap.fail_at = 0;
    EXPECT_OK(buf_printf(&b, "%995s", "x"));
    EXPECT_U64(b.size, 1000);
    buf_release(&b);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(previous);
}

TEST(buf_refuses_to_append_its_own_bytes)
{
    struct buf b = buf_empty(1000);

    EXPECT_OK(buf_append(&b, slice_str("alpha")));
    EXPECT_ABORT((void)!buf_append(&b, buf_slice(&b)));
    EXPECT_ABORT(buf_consume(&b, 6));
    buf_release(&b);
}

TEST_MAIN(RUN(slice_compares_in_byte_order_and_the_prefix_comes_first),
          RUN(slice_may_be_null_when_it_is_empty), RUN(slice_starts_with_its_prefixes_only),
          RUN(slice_ignores_the_case_of_ascii_letters_and_of_nothing_else),
          RUN(slice_printable_escapes_what_is_not_ascii),
          RUN(slice_printable_stays_in_its_room_and_marks_the_cut), RUN(buf_equals_a_plain_array),
          RUN(buf_reserves_so_that_appending_cannot_move_it), RUN(buf_of_no_maximum_takes_nothing),
          RUN(buf_may_be_used_again_after_its_release), RUN(buf_prints_up_to_its_maximum_exactly),
          RUN(buf_prints_behind_what_it_has), RUN(buf_is_unchanged_when_memory_runs_out),
          RUN(buf_refuses_to_append_its_own_bytes))
