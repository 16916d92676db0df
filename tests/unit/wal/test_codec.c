/* The bytes of records, segment headers and CHAIN; the tables of hard states. */
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "unit/test.h"
#include "wal/wal_internal.h"

enum { ROOM = 512 };

static const uint64_t seed = 0x5eed;

static struct raw_record
sample(void)
{
    return (struct raw_record){
        .type = WAL_ENTRY,
        .watermark = 5000,
        .tablet = 7,
        .term = 300,
        .index = 70000,
        .body = slice_str("a body"),
    };
}

static size_t
put_sample(uint8_t *out, uint64_t offset)
{
    struct raw_record r = sample();

    wal__record_put(out, seed, offset, &r);
    return wal__record_bytes(&r);
}

/* ------------------------------------------------------------------ records */

TEST(a_record_reads_as_it_was_written)
{
    uint8_t bytes[ROOM] = { 0 };
    size_t size = put_sample(bytes, 6000);
    struct raw_record got;

    EXPECT_U64(wal__record_peek(bytes, seed, 6000, sizeof(bytes)), size);
    EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_OK);
    EXPECT_U64(got.type, WAL_ENTRY);
    EXPECT_U64(got.watermark, 5000);
    EXPECT_U64(got.tablet, 7);
    EXPECT_U64(got.term, 300);
    EXPECT_U64(got.index, 70000);
    EXPECT_SLICE(got.body, "a body");
}

TEST(every_flipped_bit_of_a_record_is_noticed)
{
    uint8_t bytes[ROOM] = { 0 };
    size_t size = put_sample(bytes, 6000);
    struct raw_record got;

    for (size_t i = 0; i < size * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_NONE);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_OK);
}

TEST(a_record_counts_only_where_it_was_written)
{
    uint8_t bytes[ROOM] = { 0 };
    size_t size = put_sample(bytes, 6000);
    struct raw_record got;

    for (uint64_t offset = 5000; offset < 7000; offset++) {
        enum parse want = offset == 6000 ? PARSE_OK : PARSE_NONE;

        EXPECT(wal__record_get(slice_of(bytes, size), seed, offset, &got) == want);
    }
    for (uint64_t other = 0; other < 1000; other++)
        EXPECT(wal__record_get(slice_of(bytes, size), other, 6000, &got) == PARSE_NONE);
    for (size_t less = 0; less < size; less++)
        EXPECT(wal__record_get(slice_of(bytes, less), seed, 6000, &got) == PARSE_NONE);
    EXPECT(wal__record_get(slice_of(bytes, size + 1), seed, 6000, &got) == PARSE_NONE);
}

TEST(zeros_are_no_record)
{
    uint8_t bytes[ROOM] = { 0 };
    struct raw_record got;

    for (size_t size = RECORD_BYTES_MIN; size < sizeof(bytes); size++)
        EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_NONE);
    for (uint64_t offset = 4096; offset < 5000; offset++)
        EXPECT_U64(wal__record_peek(bytes, seed, offset, sizeof(bytes)), 0);
}

/* W2: whoever would claim to know the future is no record, whatever its checksum. */
TEST(a_watermark_beyond_the_record_itself_is_no_watermark)
{
    uint8_t bytes[ROOM] = { 0 };
    struct raw_record r = sample();
    struct raw_record got;

    r.watermark = 6001;
    wal__record_put(bytes, seed, 6000, &r);
    EXPECT(wal__record_get(slice_of(bytes, wal__record_bytes(&r)), seed, 6000, &got) == PARSE_NONE);
    r.watermark = SEGMENT_HEADER_BYTES - 1;
    wal__record_put(bytes, seed, 6000, &r);
    EXPECT(wal__record_get(slice_of(bytes, wal__record_bytes(&r)), seed, 6000, &got) == PARSE_NONE);
}

/* Rewrites tag and checksum of a record whose header a test has changed by hand. */
static void
sign(uint8_t *bytes, size_t size, uint64_t offset)
{
    uint64_t here = hash_u64(seed + offset);
    uint64_t watermark = get_u64le(bytes + 16), tablet = get_u64le(bytes + 24);
    uint64_t tag = hash_u64(here ^ (get_u64le(bytes + 8) << 16 >> 16) ^
                            (watermark << 21 | watermark >> 43) ^ (tablet << 43 | tablet >> 21));

    put_u16le(bytes + 14, (uint16_t)tag);
    put_u64le(bytes, hash64_seeded(slice_of(bytes + 8, size - 8), here));
}

TEST(an_intact_record_of_a_later_release_is_called_newer)
{
    uint8_t bytes[ROOM] = { 0 };
    size_t size = put_sample(bytes, 6000);
    struct raw_record got;

    sign(bytes, size, 6000);
    EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_OK);
    bytes[13] = LOG_FORMAT + 1;
    EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_NONE); /* damage */
    sign(bytes, size, 6000);
    EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_NEWER);
    bytes[13] = LOG_FORMAT;
    bytes[12] = RECORD_TYPE_MAX + 1;
    sign(bytes, size, 6000);
    EXPECT(wal__record_get(slice_of(bytes, size), seed, 6000, &got) == PARSE_NEWER);
}

TEST(a_seal_without_the_name_of_its_successor_is_no_record)
{
    uint8_t bytes[ROOM] = { 0 };
    struct raw_record r = sample();
    struct raw_record got;
    enum parse parse;

    for (size_t size = 0; size < 20; size++) {
        r.type = size % 2 == 0 ? RECORD_SEAL : RECORD_FOLLOW;
        r.body = slice_of("01234567890123456789", size);
        wal__record_put(bytes, seed, 6000, &r);
        parse = wal__record_get(slice_of(bytes, wal__record_bytes(&r)), seed, 6000, &got);
        EXPECT(parse == (size == LINK_BODY_BYTES ? PARSE_OK : PARSE_NONE));
        EXPECT(parse == PARSE_NONE || wal__record_link(&got) == get_u64le(r.body.data));
    }
}

/* Searching through a client's bytes must not cost a checksum for each of them. */
TEST(a_cut_with_a_body_is_no_record)
{
    uint8_t bytes[ROOM] = { 0 };
    struct raw_record r = sample();
    struct raw_record got;

    r.type = WAL_CUT;
    for (size_t size = 0; size < 3; size++) {
        r.body = slice_of("ab", size);
        wal__record_put(bytes, seed, 6000, &r);
        EXPECT(wal__record_get(slice_of(bytes, wal__record_bytes(&r)), seed, 6000, &got) ==
               (size == 0 ? PARSE_OK : PARSE_NONE));
    }
}

TEST(forged_headers_seldom_pass_the_tag)
{
    enum { TRIES = 1 << 20 };
    uint8_t header[RECORD_HEADER_BYTES] = { 0 };
    struct prng prng;
    uint32_t passed = 0;

    prng_init(&prng, 1);
    for (uint32_t i = 0; i < TRIES; i++) {
        put_u32le(header + 8, 1000);
        header[12] = WAL_ENTRY;
        header[13] = LOG_FORMAT;
        put_u16le(header + 14, (uint16_t)prng_next(&prng));
        put_u64le(header + 16, SEGMENT_HEADER_BYTES);
        put_u64le(header + 24, prng_below(&prng, 1000));
        passed += wal__record_peek(header, seed, 5000 + i, 1 << 20) != 0;
    }
    EXPECT(passed < 4 * (TRIES >> 16));
}

/* ------------------------------------------------------------------ segment headers */

TEST(a_segment_header_reads_as_it_was_written_and_every_bit_of_it_counts)
{
    struct segment_header h = { 1, 2, 3, 4 }, got = { 0 };
    uint8_t bytes[SEGMENT_HEADER_BYTES];

    wal__header_put(bytes, &h);
    EXPECT(wal__header_get(bytes, &got) == PARSE_OK);
    EXPECT(memcmp(&h, &got, sizeof(h)) == 0);
    for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        EXPECT(wal__header_get(bytes, &got) == PARSE_NONE);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    put_u32le(bytes + 8, LOG_FORMAT + 1);
    put_u64le(bytes + sizeof(bytes) - 8, hash64(slice_of(bytes, sizeof(bytes) - 8)));
    EXPECT(wal__header_get(bytes, &got) == PARSE_NEWER);
}

TEST(only_names_that_we_would_give_are_segments)
{
    char name[SEGMENT_NAME_BYTES];
    uint64_t sequence = 0;

    wal__segment_name(0x123abc, name);
    EXPECT_STR(name, "0000000000123abc.log");
    EXPECT(wal__segment_parse_name(name, &sequence));
    EXPECT_U64(sequence, 0x123abc);
    EXPECT(!wal__segment_parse_name("0000000000123ABC.log", &sequence));
    EXPECT(!wal__segment_parse_name("0000000000123abc.lo", &sequence));
    EXPECT(!wal__segment_parse_name("0000000000123abc.logs", &sequence));
    EXPECT(!wal__segment_parse_name("000000000123abc.log", &sequence));
    EXPECT(!wal__segment_parse_name("0000000000000000.log", &sequence));
    EXPECT(!wal__segment_parse_name("ffffffffffffffff.log", &sequence));
    EXPECT(!wal__segment_parse_name("CHAIN", &sequence));
}

/* ------------------------------------------------------------------ CHAIN */

static struct chain_entry entries[] = { { 3, 33, 5000 }, { 4, 44, 6000 }, { 9, 99, 0 } };
static const struct chain three = { 77, entries, 3 };

static struct chain_found
decode(struct slice file, struct chain *out)
{
    struct chain_found found;

    *out = (struct chain){ 0 };
    EXPECT_OK(wal__chain_get(file, out, &found));
    return found;
}

TEST(a_chain_reads_as_it_was_written)
{
    uint8_t bytes[ROOM];
    struct chain got;
    struct chain_found found;

    wal__chain_put(bytes, &three);
    found = decode(slice_of(bytes, wal__chain_bytes(3)), &got);
    EXPECT(found.parse == PARSE_OK && !found.damaged);
    EXPECT_U64(got.store_id, 77);
    EXPECT_U64(got.count, 3);
    EXPECT(memcmp(got.entries, entries, sizeof(entries)) == 0);
    wal__chain_release(&got);
}

TEST(every_flipped_bit_of_a_chain_is_noticed_and_mended_by_the_other_copy)
{
    uint8_t bytes[ROOM];
    size_t size = wal__chain_bytes(3);

    wal__chain_put(bytes, &three);
    for (size_t i = 0; i < size * 8; i++) {
        struct chain_found found;
        struct chain got;

        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        found = decode(slice_of(bytes, size), &got);
        EXPECT(found.parse == PARSE_OK && found.damaged);
        EXPECT_U64(found.damaged_at, i / 8 < size / 2 ? 0 : size / 2);
        EXPECT(memcmp(got.entries, entries, sizeof(entries)) == 0);
        wal__chain_release(&got);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

TEST(a_chain_of_the_wrong_length_does_not_check_out)
{
    uint8_t bytes[ROOM] = { 0 };
    size_t size = wal__chain_bytes(3);

    wal__chain_put(bytes, &three);
    for (size_t other = 0; other < sizeof(bytes); other++) {
        struct chain_found found;
        struct chain got;

        if (other == size)
            continue;
        found = decode(slice_of(bytes, other), &got);
        EXPECT(found.damaged);
        wal__chain_release(&got);
    }
}

/* Checksums that are right do not make sense of what is senseless. */
TEST(a_senseless_chain_does_not_check_out)
{
    struct chain_entry bad[][2] = {
        { { 3, 33, 0 }, { 4, 44, 0 } },       /* open in the middle */
        { { 3, 33, 5000 }, { 4, 44, 5000 } }, /* not open at the end */
        { { 0, 33, 5000 }, { 4, 44, 0 } },    /* no segment has this number */
        { { 3, 33, 100 }, { 4, 44, 0 } },     /* a limit inside the header */
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct chain c = { 77, bad[i], 2 }, got;
        uint8_t bytes[ROOM];

        wal__chain_put(bytes, &c);
        EXPECT(decode(slice_of(bytes, wal__chain_bytes(2)), &got).parse == PARSE_NONE);
        wal__chain_release(&got);
    }
}

TEST(a_chain_of_a_later_release_is_called_newer)
{
    uint8_t bytes[ROOM];
    size_t half = wal__chain_bytes(3) / 2;
    struct chain got;

    wal__chain_put(bytes, &three);
    put_u32le(bytes + 8, LOG_FORMAT + 1);
    put_u64le(bytes + half - 8, hash64(slice_of(bytes, half - 8)));
    memcpy(bytes + half, bytes, half);
    EXPECT(decode(slice_of(bytes, 2 * half), &got).parse == PARSE_NEWER);
}

TEST(a_chain_that_finds_no_memory_says_so)
{
    struct mem_heap heap = { .fail_at = 1 };
    struct chain_found found;
    struct chain got = { 0 };
    uint8_t bytes[ROOM];

    wal__chain_put(bytes, &three);
    mem_heap_enter(&heap);
    EXPECT_ST(wal__chain_get(slice_of(bytes, wal__chain_bytes(3)), &got, &found), ST_NO_MEMORY);
    mem_heap_enter(NULL);
    EXPECT(got.entries == NULL);
}

/* ------------------------------------------------------------------ hard states */

enum { MODEL_TABLETS = 200 };

static void
check_heads(const struct heads *hs, const uint64_t *model)
{
    size_t count = 0;
    uint64_t bytes = 0;

    for (size_t i = 0; i < hs->slot_count; i++) {
        const struct head *h = hs->slots[i];
        struct raw_record r;

        if (h == NULL)
            continue;
        EXPECT_U64(h->term, model[h->tablet]);
        r = wal__head_record(h);
        bytes += wal__record_bytes(&r);
        count++;
    }
    for (size_t i = 0; i < MODEL_TABLETS; i++)
        count -= model[i] != 0;
    EXPECT_U64(count, 0);
    EXPECT_U64(bytes, hs->bytes);
}

TEST(the_table_of_hard_states_equals_an_array)
{
    uint64_t model[MODEL_TABLETS] = { 0 };
    struct heads hs = { 0 };
    struct prng prng;

    prng_init(&prng, test_seed(1));
    for (uint64_t step = 1; step <= 20000; step++) {
        uint64_t tablet = prng_below(&prng, MODEL_TABLETS);

        if (prng_chance(&prng, 1, 2)) {
            struct head *h =
                wal__head_create(tablet, step, slice_of("0123456789", prng_below(&prng, 10)));

            EXPECT_OK(wal__heads_reserve(&hs));
            mem_free(wal__heads_put(&hs, h));
            model[tablet] = step;
        } else {
            struct head *taken = wal__heads_take(&hs, tablet);

            EXPECT_U64(taken == NULL ? 0 : taken->term, model[tablet]);
            mem_free(taken);
            model[tablet] = 0;
        }
        if (step % 100 == 0)
            check_heads(&hs, model);
    }
    wal__heads_release(&hs);
    EXPECT_U64(hs.count, 0);
}

TEST_MAIN(RUN(a_record_reads_as_it_was_written), RUN(every_flipped_bit_of_a_record_is_noticed),
          RUN(a_record_counts_only_where_it_was_written), RUN(zeros_are_no_record),
          RUN(a_watermark_beyond_the_record_itself_is_no_watermark),
          RUN(an_intact_record_of_a_later_release_is_called_newer),
          RUN(a_seal_without_the_name_of_its_successor_is_no_record),
          RUN(a_cut_with_a_body_is_no_record), RUN(forged_headers_seldom_pass_the_tag),
          RUN(a_segment_header_reads_as_it_was_written_and_every_bit_of_it_counts),
          RUN(only_names_that_we_would_give_are_segments), RUN(a_chain_reads_as_it_was_written),
          RUN(every_flipped_bit_of_a_chain_is_noticed_and_mended_by_the_other_copy),
          RUN(a_chain_of_the_wrong_length_does_not_check_out),
          RUN(a_senseless_chain_does_not_check_out),
          RUN(a_chain_of_a_later_release_is_called_newer),
          RUN(a_chain_that_finds_no_memory_says_so), RUN(the_table_of_hard_states_equals_an_array))
