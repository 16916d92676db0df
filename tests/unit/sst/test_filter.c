/* Tests of sst/filter.c: never a false "no", few false "yes", and no trust in bytes. */
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "sst/filter.h"
#include "unit/test.h"

static uint64_t
hash_of(uint64_t key)
{
    return hash64(slice_of(&key, sizeof(key)));
}

/* A filter of the keys [0, key_count). */
static struct buf
make_filter(uint32_t bits_per_key, uint64_t key_count)
{
    struct filter_builder *b = filter_builder_create(bits_per_key);
    struct buf bytes = buf_empty(SIZE_MAX);

    assert_non_null(b);
    for (uint64_t i = 0; i < key_count; i++)
        EXPECT_OK(filter_builder_add(b, hash_of(i)));
    EXPECT_OK(filter_builder_finish(b, &bytes));
    filter_builder_destroy(b);
    return bytes;
}

TEST(filter_never_denies_a_key_that_was_added)
{
    for (uint32_t bits = 1; bits <= 24; bits++) {
        for (uint64_t count = 0; count < 3000; count = count * 3 + 1) {
            struct buf bytes = make_filter(bits, count);
            struct filter f;

            EXPECT_OK(filter_parse(buf_slice(&bytes), &f));
            for (uint64_t i = 0; i < count; i++)
                EXPECT(filter_may_contain(&f, hash_of(i)));
            buf_release(&bytes);
        }
    }
}

TEST(filter_of_ten_bits_a_key_passes_at_most_twelve_absent_keys_in_a_thousand)
{
    enum { KEYS = 1000000, PASSED_MAX = 12000 };
    struct buf bytes = make_filter(10, KEYS);
    struct filter f;
    uint64_t passed = 0;

    EXPECT(bytes.size * 8 <= 11 * (uint64_t)KEYS);
    EXPECT_OK(filter_parse(buf_slice(&bytes), &f));
    for (uint64_t i = 0; i < KEYS; i++)
        passed += filter_may_contain(&f, hash_of(KEYS + i));
    print_message("false positives: %llu of %d\n", (unsigned long long)passed, KEYS);
    EXPECT(passed <= PASSED_MAX);
    buf_release(&bytes);
}

TEST(filter_of_nothing_denies_everything)
{
    struct buf bytes = make_filter(10, 0);
    struct filter f;

    EXPECT_OK(filter_parse(buf_slice(&bytes), &f));
    for (uint64_t i = 0; i < 1000; i++)
        EXPECT(!filter_may_contain(&f, hash_of(i)));
    buf_release(&bytes);
}

/* The versions of one key come one after the other, and must not cost space. */
TEST(filter_counts_a_key_with_many_versions_once)
{
    struct filter_builder *b = filter_builder_create(10);
    struct buf bytes = buf_empty(SIZE_MAX);

    for (int i = 0; i < 100000; i++)
        EXPECT_OK(filter_builder_add(b, 77));
    EXPECT_OK(filter_builder_finish(b, &bytes));
    EXPECT(bytes.size < 100);
    filter_builder_destroy(b);
    buf_release(&bytes);
}

TEST(filter_bytes_of_a_wrong_shape_are_refused)
{
    struct buf bytes = make_filter(10, 500);
    size_t tail = bytes.size - 16;
    struct filter f;

    for (size_t size = 0; size < bytes.size; size++)
        EXPECT_ST(filter_parse(slice_of(bytes.data, size), &f), ST_CORRUPT);
    for (size_t at = tail; at < bytes.size; at++) {
        bytes.data[at] ^= 0x10;
        EXPECT_ST(filter_parse(buf_slice(&bytes), &f), ST_CORRUPT);
        bytes.data[at] ^= 0x10;
    }
    put_u32le(bytes.data + tail + 8, 0); /* no probes: it would pass everything */
    EXPECT_ST(filter_parse(buf_slice(&bytes), &f), ST_CORRUPT);
    buf_release(&bytes);
}

TEST(filter_builder_survives_the_failure_of_every_allocation)
{
    uint64_t n = 0;
    bool done = false;

    while (!done) {
        struct mem_heap heap = { .fail_at = ++n };
        struct mem_heap *outer = mem_heap_enter(&heap);
        struct filter_builder *b = filter_builder_create(10);
        struct buf bytes = buf_empty(SIZE_MAX);
        enum status st = b == NULL ? ST_NO_MEMORY : ST_OK;

        for (uint64_t i = 0; i < 3000 && st == ST_OK; i++)
            st = filter_builder_add(b, hash_of(i));
        if (st == ST_OK)
            st = filter_builder_finish(b, &bytes);
        done = st == ST_OK;
        EXPECT(done || st == ST_NO_MEMORY);
        filter_builder_destroy(b);
        buf_release(&bytes);
        mem_heap_enter(outer);
        EXPECT_U64(heap.block_count, 0);
    }
    EXPECT(n > 4);
}

TEST_MAIN(RUN(filter_never_denies_a_key_that_was_added),
          RUN(filter_of_ten_bits_a_key_passes_at_most_twelve_absent_keys_in_a_thousand),
          RUN(filter_of_nothing_denies_everything),
          RUN(filter_counts_a_key_with_many_versions_once),
          RUN(filter_bytes_of_a_wrong_shape_are_refused),
          RUN(filter_builder_survives_the_failure_of_every_allocation))
