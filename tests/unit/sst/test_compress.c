/* Tests of sst/compress.c: what is packed comes back, and packed bytes are not trusted. */
#include "base/coding.h"
#include "base/mem.h"
#include "base/prng.h"

#include "sst/compress.h"
#include "sst/format.h"
#include "unit/test.h"

/* Bytes of more or less variety, some with runs that repeat. */
static struct slice
make_raw(struct prng *p, uint8_t *room, size_t size)
{
    uint64_t shade = prng_below(p, 255) + 1;
    bool runs = prng_chance(p, 1, 2);

    for (size_t i = 0; i < size; i++)
        room[i] = runs && i % 64 >= 24 ? room[i - 24] : (uint8_t)prng_below(p, shade);
    return slice_of(room, size);
}

/* Pack, unpack, compare; the bytes it took. */
static size_t
round_trip(struct sst_compressor *c, struct sst_zstd_pool *pool, struct slice raw)
{
    struct buf out = buf_empty(SIZE_MAX);
    enum table_compression kind;
    size_t packed;
    void *back;
    size_t size;

    EXPECT_OK(buf_append(&out, slice_str("before")));
    EXPECT_OK(sst__pack(c, raw, &out, &kind));
    packed = out.size - 6;
    EXPECT(packed <= raw.size);
    EXPECT(kind == TABLE_PLAIN || packed <= raw.size - raw.size / 8);
    EXPECT_OK(sst__unpack_new(pool, (uint8_t)kind, slice_of(out.data + 6, packed), &back, &size));
    EXPECT(slice_equal(slice_of(back, size), raw));
    mem_free(back);
    buf_release(&out);
    return packed;
}

TEST(compressed_bytes_come_back_as_they_were)
{
    struct sst_zstd_pool *pool = sst__zstd_pool_create(NULL);
    uint8_t *room = mem_alloc(70000);
    struct prng p;

    prng_init(&p, test_seed(61));
    for (int kind = TABLE_PLAIN; kind <= TABLE_ZSTD; kind++) {
        struct sst_compressor *c = sst__compressor_create((enum table_compression)kind);
        uint64_t smaller = 0;

        for (int i = 0; i < 300; i++) {
            size_t size = i < 20 ? (size_t)i : prng_below(&p, i % 10 == 0 ? 70000 : 5000);

            smaller += round_trip(c, pool, make_raw(&p, room, size)) < size;
        }
        EXPECT(kind == TABLE_PLAIN ? smaller == 0 : smaller > 50);
        sst__compressor_destroy(c);
    }
    mem_free(room);
    sst__zstd_pool_destroy(pool);
}

TEST(unpacking_checks_the_size_before_anything_is_allocated)
{
    struct mem_heap heap = { 0 };
    struct mem_heap *outer;
    uint8_t bytes[64] = { 0 };
    struct slice packed = slice_of(bytes, sizeof(bytes));
    size_t size;
    void *out;

    put_u32le(bytes, BLOCK_RAW_MAX + 1);
    outer = mem_heap_enter(&heap);
    EXPECT_ST(sst__unpack_new(NULL, TABLE_LZ4, packed, &out, &size), ST_CORRUPT);
    EXPECT_ST(sst__unpack_new(NULL, TABLE_ZSTD, packed, &out, &size), ST_CORRUPT);
    EXPECT_ST(sst__unpack_new(NULL, TABLE_LZ4, slice_of(bytes, 3), &out, &size), ST_CORRUPT);
    EXPECT_ST(sst__unpack_new(NULL, 3, packed, &out, &size), ST_CORRUPT);
    EXPECT_ST(sst__unpack_new(NULL, 255, packed, &out, &size), ST_CORRUPT);
    EXPECT_U64(heap.allocation, 0);
    mem_heap_enter(outer);
}

/* What is packed must give exactly the size that it states. */
TEST(unpacking_refuses_a_size_that_is_not_the_true_one)
{
    struct sst_zstd_pool *pool = sst__zstd_pool_create(NULL);
    uint8_t raw[500] = { 0 };

    for (int i = TABLE_LZ4; i <= TABLE_ZSTD; i++) {
        enum table_compression kind = (enum table_compression)i;
        struct sst_compressor *c = sst__compressor_create(kind);
        struct buf out = buf_empty(SIZE_MAX);
        void *back;
        size_t size;

        EXPECT_OK(sst__pack(c, slice_of(raw, sizeof(raw)), &out, &kind));
        for (int wrong = -1; wrong <= 1; wrong += 2) {
            put_u32le(out.data, (uint32_t)((int)sizeof(raw) + wrong));
            EXPECT_ST(sst__unpack_new(pool, (uint8_t)kind, buf_slice(&out), &back, &size),
                      ST_CORRUPT);
        }
        buf_release(&out);
        sst__compressor_destroy(c);
    }
    sst__zstd_pool_destroy(pool);
}

/* Any change of packed bytes gives bytes of the stated size, or ST_CORRUPT; never more. */
TEST(unpacking_survives_any_bytes)
{
    struct sst_zstd_pool *pool = sst__zstd_pool_create(NULL);
    uint8_t room[2000];
    struct prng p;
    uint64_t refused = 0;

    prng_init(&p, test_seed(62));
    for (int i = 0; i < 6000; i++) {
        enum table_compression kind = i % 2 == 0 ? TABLE_LZ4 : TABLE_ZSTD;
        struct sst_compressor *c = sst__compressor_create(kind);
        struct buf out = buf_empty(SIZE_MAX);
        void *back;
        size_t size;

        memset(room, (int)prng_below(&p, 256), sizeof(room));
        EXPECT_OK(sst__pack(c, make_raw(&p, room, prng_below(&p, 300) + 1000), &out, &kind));
        for (uint64_t n = prng_below(&p, 4) + 1; n > 0; n--)
            out.data[prng_below(&p, out.size)] = (uint8_t)prng_next(&p);
        put_u32le(out.data, get_u32le(out.data) % 4096);
        if (sst__unpack_new(pool, (uint8_t)kind, buf_slice(&out), &back, &size) == ST_OK)
            mem_free(back);
        else
            refused++;
        buf_release(&out);
        sst__compressor_destroy(c);
    }
    EXPECT(refused > 100);
    sst__zstd_pool_destroy(pool);
}

TEST(decompression_contexts_are_charged_and_returned)
{
    struct budget budget;
    struct sst_zstd_pool *pool;
    struct sst_compressor *c = sst__compressor_create(TABLE_ZSTD);
    uint8_t raw[1000] = { 0 };

    budget_init(&budget, SIZE_MAX);
    pool = sst__zstd_pool_create(&budget);
    EXPECT_U64(budget_used(&budget), 0);
    EXPECT(round_trip(c, pool, slice_of(raw, sizeof(raw))) < 100);
    EXPECT(budget_used(&budget) > 50000);
    sst__zstd_pool_destroy(pool);
    EXPECT_U64(budget_used(&budget), 0);
    sst__compressor_destroy(c);
}

TEST_MAIN(RUN(compressed_bytes_come_back_as_they_were),
          RUN(unpacking_checks_the_size_before_anything_is_allocated),
          RUN(unpacking_refuses_a_size_that_is_not_the_true_one), RUN(unpacking_survives_any_bytes),
          RUN(decompression_contexts_are_charged_and_returned))
