/* Tests of base/arena.h. */
#include "base/arena.h"
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"

enum { PIECES = 400 };

struct piece {
    uint8_t *bytes;
    size_t size;
};

/* Every byte of every piece is still the piece's own. */
static void
check_pieces(const struct piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < pieces[i].size; k++)
            assert_true(pieces[i].bytes[k] == (uint8_t)i);
    }
}

/* One life of an arena: pieces of all sizes, none of which may overlap. */
static void
fill(struct arena *a, struct prng *prng)
{
    struct piece pieces[PIECES];

    for (size_t i = 0; i < PIECES; i++) {
        bool aligned = prng_chance(prng, 1, 2);
        size_t size = (size_t)prng_below(prng, prng_chance(prng, 1, 20) ? 3000 : 60);

        pieces[i].size = size;
        pieces[i].bytes = aligned ? arena_alloc(a, size) : arena_alloc_bytes(a, size);
        EXPECT(pieces[i].bytes != NULL);
        EXPECT(!aligned || (uintptr_t)pieces[i].bytes % 8 == 0);
        memset(pieces[i].bytes, (int)i, size);
    }
    check_pieces(pieces, PIECES);
}

TEST(arena_gives_pieces_that_do_not_overlap)
{
    struct mem_heap heap = { 0 };
    struct prng prng;

    prng_init(&prng, test_seed(11));
    mem_heap_enter(&heap);
    for (size_t chunk_bytes = 1; chunk_bytes < 5000; chunk_bytes = chunk_bytes * 3 + 1) {
        struct arena a;

        arena_init(&a, chunk_bytes);
        for (int life = 0; life < 5; life++) {
            fill(&a, &prng);
            EXPECT_U64(a.total_bytes, heap.byte_count);
            arena_reset(&a);
            EXPECT_U64(a.total_bytes, heap.byte_count);
            EXPECT(heap.block_count <= 1);
        }
        arena_release(&a);
        EXPECT_U64(heap.block_count, 0);
        EXPECT_U64(a.total_bytes, 0);
    }
    mem_heap_enter(NULL);
}

TEST(arena_keeps_one_chunk_when_it_is_reset)
{
    struct mem_heap heap = { 0 };
    struct arena a;
    uint64_t allocation;

    mem_heap_enter(&heap);
    arena_init(&a, 1000);
    for (int i = 0; i < 50; i++)
        assert_non_null(arena_alloc(&a, 100));
    EXPECT(heap.block_count > 1);
    arena_reset(&a);
    EXPECT_U64(heap.block_count, 1);
    allocation = heap.allocation;
    for (int i = 0; i < 9; i++)
        assert_non_null(arena_alloc(&a, 100));
    EXPECT_U64(heap.allocation, allocation); /* served from what was kept */
    arena_release(&a);
    mem_heap_enter(NULL);
}

/* A large piece gets a chunk of its own and does not waste the rest of the open one. */
TEST(arena_goes_on_in_its_chunk_after_a_large_piece)
{
    struct mem_heap heap = { 0 };
    struct arena a;

    mem_heap_enter(&heap);
    arena_init(&a, 1000);
    assert_non_null(arena_alloc(&a, 100));
    assert_non_null(arena_alloc(&a, 5000));
    EXPECT_U64(heap.block_count, 2);
    for (int i = 0; i < 8; i++)
        assert_non_null(arena_alloc(&a, 100));
    EXPECT_U64(heap.block_count, 2);
    arena_release(&a);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(NULL);
}

/* Rounding such a size up to the alignment must not make it small. */
TEST(arena_refuses_impossible_sizes)
{
    struct arena a;

    arena_init(&a, 1000);
    assert_non_null(arena_alloc(&a, 1));
    for (size_t less = 0; less < 40; less++) {
        EXPECT(arena_alloc(&a, SIZE_MAX - less) == NULL);
        EXPECT(arena_alloc_bytes(&a, SIZE_MAX - less) == NULL);
    }
    assert_non_null(arena_alloc(&a, 1));
    arena_release(&a);
    arena_release(&a); /* twice is harmless */
}

TEST(arena_is_usable_after_memory_ran_out)
{
    struct mem_heap heap = { 0 };
    struct arena a;
    int failures = 0;

    mem_heap_enter(&heap);
    arena_init(&a, 200);
    for (int i = 0; i < 200; i++) {
        uint8_t *piece;

        heap.fail_at = i % 2 == 0 ? heap.allocation + 1 : 0;
        piece = arena_alloc(&a, (size_t)i);
        failures += piece == NULL;
        if (piece != NULL)
            memset(piece, 1, (size_t)i);
        EXPECT_U64(a.total_bytes, heap.byte_count);
    }
    EXPECT(failures > 0);
    arena_release(&a);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(NULL);
}

TEST_MAIN(RUN(arena_gives_pieces_that_do_not_overlap), RUN(arena_keeps_one_chunk_when_it_is_reset),
          RUN(arena_goes_on_in_its_chunk_after_a_large_piece), RUN(arena_refuses_impossible_sizes),
          RUN(arena_is_usable_after_memory_ran_out))
