/* Tests of base/mem.h. */
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"

static bool
is_filled(const uint8_t *bytes, size_t size, uint8_t with)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != with)
            return false;
    }
    return true;
}

/* The contract of every allocation, on whichever heap is current. */
static void
check_allocations(void)
{
    for (size_t size = 0; size < 300; size++) {
        uint8_t *a = mem_alloc(size);
        uint8_t *zero = mem_alloc_zero(size);
        uint8_t *array = mem_alloc_array(3, size);

        EXPECT(a != NULL && zero != NULL && array != NULL);
        EXPECT(a != zero && zero != array && a != array);
        EXPECT(((uintptr_t)a | (uintptr_t)zero | (uintptr_t)array) % 16 == 0);
        EXPECT(is_filled(zero, size, 0) && is_filled(array, 3 * size, 0));
        memset(a, 0xa5, size);
        a = mem_resize(a, 2 * size);
        EXPECT(is_filled(a, size, 0xa5));
        memset(a, 0xa5, 2 * size);
        a = mem_resize(a, size / 2);
        EXPECT(is_filled(a, size / 2, 0xa5));
        mem_free(array);
        mem_free(zero);
        mem_free(a);
    }
}

TEST(mem_gives_aligned_distinct_blocks_from_malloc)
{
    EXPECT(mem_heap_enter(NULL) == NULL);
    check_allocations();
    mem_free(NULL);
}

TEST(mem_gives_aligned_distinct_blocks_from_a_heap)
{
    struct mem_heap heap = { 0 };

    EXPECT(mem_heap_enter(&heap) == NULL);
    check_allocations();
    EXPECT_U64(heap.block_count, 0);
    EXPECT_U64(heap.byte_count, 0);
    EXPECT(heap.blocks == NULL);
    EXPECT(mem_heap_enter(NULL) == &heap);
}

static void
check_impossible_sizes(void)
{
    uint8_t *block = mem_alloc(8);

    memset(block, 7, 8);
    EXPECT(mem_alloc(SIZE_MAX) == NULL);
    EXPECT(mem_alloc_zero(SIZE_MAX - 15) == NULL);
    EXPECT(mem_alloc_array(SIZE_MAX / 2, 3) == NULL); /* the product overflows */
    EXPECT(mem_alloc_array(3, SIZE_MAX / 2) == NULL);
    EXPECT(mem_alloc_array(SIZE_MAX / 2 + 2, 2) == NULL); /* to a small number */
    EXPECT(mem_resize(block, SIZE_MAX) == NULL);
    EXPECT(mem_resize(block, SIZE_MAX - 15) == NULL);
    EXPECT(is_filled(block, 8, 7)); /* a failed resize leaves the block */
    mem_free(block);
}

TEST(mem_refuses_impossible_sizes)
{
    struct mem_heap heap = { 0 };

    check_impossible_sizes();
    mem_heap_enter(&heap);
    check_impossible_sizes();
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(NULL);
}

TEST(mem_copies_a_string)
{
    char *copy = mem_strdup("alpha");
    char *empty = mem_strdup("");

    EXPECT_STR(copy, "alpha");
    EXPECT_STR(empty, "");
    mem_free(copy);
    mem_free(empty);
}

/* Random life and death, against an array of what should live. */
TEST(heap_counts_what_lives)
{
    enum { SLOTS = 64 };
    struct {
        uint8_t *block;
        size_t size;
    } live[SLOTS] = { 0 };
    struct mem_heap heap = { 0 };
    struct prng prng;

    prng_init(&prng, test_seed(3));
    mem_heap_enter(&heap);
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)prng_below(&prng, SLOTS);
        size_t size = (size_t)prng_below(&prng, 500);
        size_t blocks = 0;
        size_t bytes = 0;

        if (prng_chance(&prng, 1, 3)) {
            mem_free(live[i].block);
            live[i].block = NULL;
        } else {
            live[i].block = mem_resize(live[i].block, size);
            live[i].size = size;
            memset(live[i].block, (int)i, size);
        }
        for (size_t k = 0; k < SLOTS; k++) {
            blocks += live[k].block != NULL;
            bytes += live[k].block != NULL ? live[k].size : 0;
        }
        EXPECT_U64(heap.block_count, blocks);
        EXPECT_U64(heap.byte_count, bytes);
    }
    mem_heap_enter(NULL);
    for (size_t k = 0; k < SLOTS; k++) {
        if (live[k].block != NULL)
            EXPECT(is_filled(live[k].block, live[k].size, (uint8_t)k));
    }
    mem_heap_drop(&heap); /* the leak checker sees what this forgets */
    EXPECT_U64(heap.block_count, 0);
    EXPECT_U64(heap.byte_count, 0);
}

TEST(heap_drop_takes_all_of_one_heap_and_none_of_another)
{
    struct mem_heap doomed = { 0 };
    struct mem_heap other = { 0 };
    char *kept;
    char *plain = mem_strdup("plain");

    mem_heap_enter(&other);
    kept = mem_strdup("kept");
    EXPECT(mem_heap_enter(&doomed) == &other);
    for (int i = 0; i < 100; i++)
        assert_non_null(mem_alloc(1000));
    mem_heap_enter(NULL);
    mem_heap_drop(&doomed);
    EXPECT_STR(kept, "kept");
    EXPECT_STR(plain, "plain");

    mem_heap_enter(&doomed); /* a node that boots again may use the same heap */
    mem_free(mem_alloc(10));
    EXPECT_U64(doomed.block_count, 0);
    mem_heap_enter(NULL);
    mem_free(kept); /* freed while its heap is not the current one */
    mem_free(plain);
    EXPECT_U64(other.block_count, 0);
}

TEST(heap_in_use_is_not_dropped)
{
    struct mem_heap heap = { 0 };

    mem_heap_enter(&heap);
    EXPECT_ABORT(mem_heap_drop(&heap));
    mem_heap_enter(NULL);
}

TEST(block_goes_to_the_current_heap_when_it_is_resized)
{
    struct mem_heap heap = { 0 };
    uint8_t *block = mem_resize(mem_alloc(5), 10); /* grown before it moves, too */

    memset(block, 7, 10);
    mem_heap_enter(&heap);
    block = mem_resize(block, 20);
    EXPECT_U64(heap.block_count, 1);
    EXPECT_U64(heap.byte_count, 20);
    EXPECT(is_filled(block, 10, 7));
    mem_heap_enter(NULL);
    block = mem_resize(block, 5);
    EXPECT_U64(heap.block_count, 0);
    EXPECT(is_filled(block, 5, 7));
    mem_free(block);
}

TEST(heap_fails_the_allocation_it_was_told_to_and_no_other)
{
    for (uint64_t fail_at = 1; fail_at <= 6; fail_at++) {
        struct mem_heap heap = { .fail_at = fail_at };
        void *blocks[5];

        mem_heap_enter(&heap);
        for (uint64_t i = 0; i < 5; i++) {
            blocks[i] = i % 2 == 0 ? mem_alloc(8) : mem_alloc_array(8, 1);
            EXPECT((blocks[i] == NULL) == (i + 1 == fail_at));
        }
        EXPECT_U64(heap.allocation, 5);
        for (int i = 0; i < 5; i++)
            mem_free(blocks[i]);
        EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(NULL);
    }
}

TEST(heap_fails_all_from_then_on_when_told_so)
{
    struct mem_heap heap = { .fail_at = 3, .fail_for_good = true };
    char *block;

    mem_heap_enter(&heap);
    block = mem_strdup("alpha");
    mem_free(mem_alloc(1));
    for (int i = 0; i < 10; i++) {
        EXPECT(mem_alloc(1) == NULL);
        EXPECT(mem_strdup("x") == NULL);
        EXPECT(mem_resize(block, 100) == NULL);
        EXPECT(mem_new(struct mem_heap) == NULL);
    }
    EXPECT_STR(block, "alpha");
    mem_free(block);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(NULL);
}

TEST_MAIN(RUN(mem_gives_aligned_distinct_blocks_from_malloc),
          RUN(mem_gives_aligned_distinct_blocks_from_a_heap), RUN(mem_refuses_impossible_sizes),
          RUN(mem_copies_a_string), RUN(heap_counts_what_lives),
          RUN(heap_drop_takes_all_of_one_heap_and_none_of_another), RUN(heap_in_use_is_not_dropped),
          RUN(block_goes_to_the_current_heap_when_it_is_resized),
          RUN(heap_fails_the_allocation_it_was_told_to_and_no_other),
          RUN(heap_fails_all_from_then_on_when_told_so))
