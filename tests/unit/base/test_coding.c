/* Tests of base/coding.h.  Bytes under test lie in blocks of exactly their size, so that the
 * sanitizer sees a read of one too many. */
#include "base/coding.h"
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"

/* A number of 1 to 64 bits, every length equally often. */
static uint64_t
any_number(struct prng *prng)
{
    return prng_next(prng) >> prng_below(prng, 64);
}

TEST(fixed_integers_are_little_endian)
{
    uint8_t at[8];

    put_u16le(at, 0x0102);
    assert_memory_equal(at, "\x02\x01", 2);
    EXPECT_U64(get_u16le(at), 0x0102);
    put_u32le(at, 0x01020304);
    assert_memory_equal(at, "\x04\x03\x02\x01", 4);
    EXPECT_U64(get_u32le(at), 0x01020304);
    put_u64le(at, 0x0102030405060708);
    assert_memory_equal(at, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    EXPECT_U64(get_u64le(at), 0x0102030405060708);
}

/* If the prefixes differ, the keys differ in the same direction; never the other. */
TEST(prefix_orders_as_the_bytes_do)
{
    struct prng prng;

    prng_init(&prng, test_seed(4));
    EXPECT_U64(get_prefix_be(slice_of(NULL, 0)), 0);
    EXPECT_U64(get_prefix_be(slice_str("ab")), 0x6162000000000000);
    EXPECT_U64(get_prefix_be(slice_str("abcdefghi")), 0x6162636465666768);
    for (int round = 0; round < 20000; round++) {
        uint8_t a[12], b[12];
        struct slice sa = slice_of(a, (size_t)prng_below(&prng, sizeof(a)));
        struct slice sb = slice_of(b, (size_t)prng_below(&prng, sizeof(b)));
        int order;

        for (size_t i = 0; i < sizeof(a); i++) {
            a[i] = (uint8_t)(prng_below(&prng, 3) * 127);
            b[i] = (uint8_t)(prng_below(&prng, 3) * 127);
        }
        order = slice_compare(sa, sb);
        if (get_prefix_be(sa) < get_prefix_be(sb))
            EXPECT(order < 0);
        if (get_prefix_be(sa) > get_prefix_be(sb))
            EXPECT(order > 0);
    }
}

static void
check_varint(uint64_t v)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t size = (size_t)(put_varint(bytes, v) - bytes);
    uint8_t *exact = malloc(size);
    uint64_t got = ~v;

    EXPECT_U64(size, varint_size(v));
    EXPECT(size <= VARINT_BYTES_MAX);
    memcpy(exact, bytes, size);
    EXPECT(get_varint(exact, exact + size, &got) == exact + size);
    EXPECT_U64(got, v);
    for (size_t cut = 0; cut < size; cut++) {
        got = 7;
        EXPECT(get_varint(exact, exact + cut, &got) == NULL);
        EXPECT_U64(got, 7); /* untouched on failure */
    }
    free(exact);
}

TEST(varint_reads_back_and_a_cut_one_does_not)
{
    struct prng prng;

    prng_init(&prng, test_seed(5));
    for (unsigned shift = 0; shift < 64; shift++) {
        check_varint((UINT64_C(1) << shift) - 1);
        check_varint(UINT64_C(1) << shift);
    }
    check_varint(UINT64_MAX);
    for (int round = 0; round < 5000; round++)
        check_varint(any_number(&prng));
}

TEST(varint_of_a_longer_form_or_beyond_64_bits_is_refused)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        { "", 0 },
        { "\x80\x00", 2 },                                          /* 0 in two bytes */
        { "\xff\x00", 2 },                                          /* 127 in two bytes */
        { "\xff\xff\x80\x00", 4 },                                  /* and in four */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },         /* bit 64 */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10 },         /* bits 64 to 69 */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x00", 11 },     /* eleven bytes */
        { "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12 }, /* twelve */
        { "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10 },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const uint8_t *at = (const uint8_t *)bad[i].bytes;
        uint64_t v = 7;

        EXPECT(get_varint(at, at + bad[i].size, &v) == NULL);
        EXPECT_U64(v, 7);
    }
}

TEST(reader_reads_what_was_appended)
{
    struct buf b = buf_empty(1000);
    struct reader r;

    EXPECT_OK(append_u8(&b, 0xfe));
    EXPECT_OK(append_u32(&b, 0xfedcba98));
    EXPECT_OK(append_u64(&b, 0xfedcba9876543210));
    EXPECT_OK(append_varint(&b, 300));
    EXPECT_OK(append_string(&b, slice_str("alpha")));
    EXPECT_OK(append_string(&b, slice_of(NULL, 0)));
    EXPECT_OK(buf_append(&b, slice_str("\x34\x12xy")));

    r = reader_of(buf_slice(&b));
    EXPECT_U64(read_u8(&r), 0xfe);
    EXPECT_U64(read_u32(&r), 0xfedcba98);
    EXPECT_U64(read_u64(&r), 0xfedcba9876543210);
    EXPECT_U64(read_varint(&r), 300);
    EXPECT_SLICE(read_string(&r), "alpha");
    EXPECT_SLICE(read_string(&r), "");
    EXPECT_U64(read_u16(&r), 0x1234);
    EXPECT_U64(reader_left(&r), 2);
    EXPECT_SLICE(read_bytes(&r, 2), "xy");
    EXPECT(!r.bad);
    EXPECT_U64(reader_left(&r), 0);
    buf_release(&b);
}

static void
check_gives_nothing(struct reader *r)
{
    EXPECT(r->bad);
    EXPECT_U64(reader_left(r), 0);
    EXPECT_U64(read_u8(r), 0);
    EXPECT_U64(read_u16(r), 0);
    EXPECT_U64(read_u32(r), 0);
    EXPECT_U64(read_u64(r), 0);
    EXPECT_U64(read_varint(r), 0);
    EXPECT_U64(read_string(r).size, 0);
    EXPECT_U64(read_bytes(r, 1).size, 0);
    EXPECT_U64(read_bytes(r, 0).size, 0);
    EXPECT(r->bad);
}

TEST(reader_that_went_bad_gives_nothing_more)
{
    struct reader r = reader_of(slice_str("\x05"
                                          "abcd")); /* says five, has four */

    EXPECT_U64(read_string(&r).size, 0);
    check_gives_nothing(&r);
    r = reader_of(slice_str("abc"));
    EXPECT_U64(read_u32(&r), 0); /* not the three bytes that are there */
    check_gives_nothing(&r);
    r = reader_of(slice_str("\xff\xff"));
    EXPECT_U64(read_varint(&r), 0);
    check_gives_nothing(&r);
    r = reader_of(slice_str("abc"));
    EXPECT_U64(read_bytes(&r, UINT64_MAX).size, 0);
    check_gives_nothing(&r);
}

TEST(reader_of_nothing_is_at_its_end_and_not_bad)
{
    struct reader r = reader_of(slice_of(NULL, 0));

    EXPECT_U64(reader_left(&r), 0);
    EXPECT_U64(read_bytes(&r, 0).size, 0);
    EXPECT(!r.bad);
    EXPECT_U64(read_u8(&r), 0);
    check_gives_nothing(&r);
}

/* One read of a random kind.  Returns how many bytes the reader moved by. */
static size_t
read_something(struct reader *r, struct prng *prng, size_t size)
{
    size_t left = reader_left(r);
    struct slice s = { NULL, 0 };

    switch (prng_below(prng, 7)) {
    case 0:
        read_u8(r);
        break;
    case 1:
        read_u16(r);
        break;
    case 2:
        read_u32(r);
        break;
    case 3:
        read_u64(r);
        break;
    case 4:
        read_varint(r);
        break;
    case 5:
        s = read_string(r);
        break;
    default:
        s = read_bytes(r, prng_below(prng, size + 2));
        break;
    }
    for (size_t i = 0; i < s.size; i++)
        ((volatile const uint8_t *)s.data)[i]; /* touched, for the sanitizer */
    EXPECT(s.size <= left);
    EXPECT(reader_left(r) <= left);
    return left - reader_left(r);
}

TEST(reader_stays_inside_random_bytes_and_comes_to_an_end)
{
    struct prng prng;

    prng_init(&prng, test_seed(6));
    for (int round = 0; round < 20000; round++) {
        size_t size = (size_t)prng_below(&prng, 64);
        uint8_t *bytes = malloc(size == 0 ? 1 : size);
        struct reader r = reader_of(slice_of(bytes, size));
        uint64_t bound = prng_chance(&prng, 1, 2) ? 8 : 256; /* small lengths are often right */

        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)prng_below(&prng, bound);
        while (reader_left(&r) > 0) {
            size_t moved = read_something(&r, &prng, size);

            EXPECT(!r.bad || reader_left(&r) == 0);
            EXPECT(r.bad || moved <= size);
        }
        free(bytes);
    }
}

/* What fits exactly is taken; one byte less room, and nothing has changed. */
TEST(append_needs_no_more_room_than_it_writes)
{
    char text[300];

    memset(text, 'x', sizeof(text));
    for (size_t size = 0; size < sizeof(text); size++) {
        size_t need = varint_size(size) + size;
        struct buf b = buf_empty(need);

        EXPECT_OK(append_string(&b, slice_of(text, size)));
        EXPECT_U64(b.size, need);
        buf_release(&b);
        b = buf_empty(need - 1);
        EXPECT_ST(append_string(&b, slice_of(text, size)), ST_TOO_BIG);
        EXPECT_U64(b.size, 0);
        buf_release(&b);
    }
}

TEST(append_leaves_the_buf_unchanged_when_memory_runs_out)
{
    struct mem_heap heap = { .fail_at = 1, .fail_for_good = true };
    struct buf b = buf_empty(1000);

    mem_heap_enter(&heap);
    EXPECT_ST(append_u8(&b, 1), ST_NO_MEMORY);
    EXPECT_ST(append_u32(&b, 1), ST_NO_MEMORY);
    EXPECT_ST(append_u64(&b, 1), ST_NO_MEMORY);
    EXPECT_ST(append_varint(&b, 1), ST_NO_MEMORY);
    EXPECT_ST(append_string(&b, slice_str("alpha")), ST_NO_MEMORY);
    EXPECT_U64(b.size, 0);
    mem_heap_enter(NULL);
}

TEST_MAIN(RUN(fixed_integers_are_little_endian), RUN(prefix_orders_as_the_bytes_do),
          RUN(varint_reads_back_and_a_cut_one_does_not),
          RUN(varint_of_a_longer_form_or_beyond_64_bits_is_refused),
          RUN(reader_reads_what_was_appended), RUN(reader_that_went_bad_gives_nothing_more),
          RUN(reader_of_nothing_is_at_its_end_and_not_bad),
          RUN(reader_stays_inside_random_bytes_and_comes_to_an_end),
          RUN(append_needs_no_more_room_than_it_writes),
          RUN(append_leaves_the_buf_unchanged_when_memory_runs_out))
