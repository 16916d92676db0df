/* Tests of lsm/manifest_codec.c: an edit as bytes, from and to. */
#include "base/coding.h"
#include "base/mem.h"
#include "base/prng.h"

#include "lsm/manifest.h"
#include "store_fixture.h"
#include "unit/test.h"

enum { ROUNDS = 3000, BYTES_MAX = 1 << 20 };

static struct file_sweep sweep;

static int
begin(void **state)
{
    (void)state;
    file_sweep_init(&sweep);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    file_sweep_release(&sweep);
    return 0;
}

static uint64_t
random_size(struct prng *p)
{
    return prng_next(p) >> prng_below(p, 64);
}

static void
random_key(struct prng *p, struct buf *key)
{
    uint64_t size = prng_chance(p, 1, 100) ? LIMIT_STORED_KEY_BYTES : prng_below(p, 30);

    *key = buf_empty(LIMIT_STORED_KEY_BYTES);
    for (uint64_t i = 0; i < size; i++)
        EXPECT_OK(append_u8(key, (uint8_t)prng_next(p)));
}

static void
add_random_table(struct version_edit *e, struct prng *p)
{
    struct table_info info = { .number = random_size(p) | 1,
                               .seed = prng_next(p),
                               .file_bytes = random_size(p),
                               .checksum = prng_next(p),
                               .entry_count = random_size(p) | 1,
                               .raw_bytes = random_size(p),
                               .version_min = random_size(p) };
    struct table_file *f;

    info.tombstone_count = prng_below(p, info.entry_count);
    info.expiring_count = prng_below(p, info.entry_count);
    info.version_max = info.version_min | random_size(p);
    random_key(p, &info.smallest);
    random_key(p, &info.largest);
    if (slice_compare(buf_slice(&info.smallest), buf_slice(&info.largest)) > 0) {
        struct buf other = info.smallest;

        info.smallest = info.largest;
        info.largest = other;
    }
    f = table_file_create(&info, &sweep);
    assert_non_null(f);
    EXPECT_OK(version_edit_add(e, (uint32_t)prng_below(p, LIMIT_LEVELS), f));
    table_file_unref(f);
}

static void
random_edit(struct version_edit *e, struct prng *p)
{
    uint64_t added = prng_below(p, 4);
    uint64_t removed = prng_below(p, 4);

    version_edit_init(e);
    e->clear = prng_chance(p, 1, 4);
    e->mark_set = prng_chance(p, 1, 2);
    if (e->mark_set)
        e->mark = (struct lsm_mark){ random_size(p), random_size(p), random_size(p) };
    for (uint64_t i = 0; i < added; i++)
        add_random_table(e, p);
    for (uint64_t i = 0; i < removed; i++)
        EXPECT_OK(version_edit_remove(e, (uint32_t)prng_below(p, LIMIT_LEVELS), random_size(p)));
}

static void
expect_same_table(const struct edit_added *a, const struct edit_added *b)
{
    const struct table_info *x = &a->file->info;
    const struct table_info *y = &b->file->info;

    EXPECT_U64(a->level, b->level);
    EXPECT_U64(x->number, y->number);
    EXPECT_U64(x->seed, y->seed);
    EXPECT_U64(x->file_bytes, y->file_bytes);
    EXPECT_U64(x->checksum, y->checksum);
    EXPECT_U64(x->entry_count, y->entry_count);
    EXPECT_U64(x->tombstone_count, y->tombstone_count);
    EXPECT_U64(x->expiring_count, y->expiring_count);
    EXPECT_U64(x->raw_bytes, y->raw_bytes);
    EXPECT_U64(x->version_min, y->version_min);
    EXPECT_U64(x->version_max, y->version_max);
    EXPECT(slice_equal(buf_slice(&x->smallest), buf_slice(&y->smallest)));
    EXPECT(slice_equal(buf_slice(&x->largest), buf_slice(&y->largest)));
}

static void
expect_same_edit(const struct version_edit *a, const struct version_edit *b)
{
    EXPECT(a->clear == b->clear && a->mark_set == b->mark_set);
    EXPECT_U64(a->mark.index, b->mark.index);
    EXPECT_U64(a->mark.term, b->mark.term);
    EXPECT_U64(a->mark.version, b->mark.version);
    EXPECT_U64(a->added_count, b->added_count);
    EXPECT_U64(a->removed_count, b->removed_count);
    for (uint32_t i = 0; i < a->added_count; i++)
        expect_same_table(&a->added[i], &b->added[i]);
    for (uint32_t i = 0; i < a->removed_count; i++) {
        EXPECT_U64(a->removed[i].level, b->removed[i].level);
        EXPECT_U64(a->removed[i].number, b->removed[i].number);
    }
}

TEST(an_edit_comes_back_as_it_was)
{
    struct prng p;

    prng_init(&p, test_seed(0xed17));
    for (int round = 0; round < ROUNDS; round++) {
        struct version_edit e, back;
        struct buf bytes = buf_empty(BYTES_MAX);

        random_edit(&e, &p);
        EXPECT_OK(version_edit_encode(&e, &bytes));
        EXPECT_OK(version_edit_decode(buf_slice(&bytes), MANIFEST_FORMAT, &sweep, &back));
        expect_same_edit(&e, &back);
        version_edit_release(&e);
        version_edit_release(&back);
        buf_release(&bytes);
    }
}

/* As a release before seeds has written it: docs/formats/manifest.md had these bytes. */
TEST(an_edit_of_the_oldest_format_has_its_numbers_for_seeds)
{
    static const uint8_t flush[] = { 0x02, 0x01, 0x02, 0x0a, 0x01, 0x00, 0x01, 0xe8, 0x07, 0x15,
                                     0x7c, 0x4a, 0x7f, 0xb9, 0x79, 0x37, 0x9e, 0x64, 0x00, 0x00,
                                     0xd0, 0x0f, 0x01, 0x09, 0x01, 0x61, 0x01, 0x6d, 0x00 };
    struct slice bytes = slice_of(flush, sizeof(flush));
    struct buf again = buf_empty(BYTES_MAX);
    struct version_edit e, back;

    EXPECT_ST(version_edit_decode(bytes, MANIFEST_FORMAT, &sweep, &e), ST_CORRUPT);
    EXPECT_OK(version_edit_decode(bytes, MANIFEST_FORMAT_OLDEST, &sweep, &e));
    EXPECT_U64(e.mark.version, 10);
    EXPECT_U64(e.added[0].file->info.number, 1);
    EXPECT_U64(e.added[0].file->info.seed, 1);
    EXPECT_U64(e.added[0].file->info.file_bytes, 1000);
    EXPECT_OK(version_edit_encode(&e, &again));
    EXPECT_OK(version_edit_decode(buf_slice(&again), MANIFEST_FORMAT, &sweep, &back));
    expect_same_edit(&e, &back);
    version_edit_release(&e);
    version_edit_release(&back);
    buf_release(&again);
}

/* A copy of exactly that size, so that the sanitizer sees one byte too far. */
static enum status
decode_copy(struct slice bytes, struct version_edit *out)
{
    uint8_t *copy = mem_alloc(bytes.size);
    enum status st;

    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.size);
    st = version_edit_decode(slice_of(copy, bytes.size), MANIFEST_FORMAT, &sweep, out);
    mem_free(copy);
    return st;
}

TEST(an_edit_cut_short_or_followed_by_more_is_refused)
{
    struct prng p;

    prng_init(&p, test_seed(0xc07));
    for (int round = 0; round < 100; round++) {
        struct buf bytes = buf_empty(BYTES_MAX);
        struct version_edit e, back;

        random_edit(&e, &p);
        EXPECT_OK(version_edit_encode(&e, &bytes));
        version_edit_release(&e);
        for (size_t size = 0; size < bytes.size && bytes.size < 1000; size++)
            EXPECT_ST(decode_copy(slice_of(bytes.data, size), &back), ST_CORRUPT);
        EXPECT_OK(append_u8(&bytes, 0));
        EXPECT_ST(decode_copy(buf_slice(&bytes), &back), ST_CORRUPT);
        buf_release(&bytes);
    }
}

/* The checksum is the record's; here it matters only that nothing is read twice in two ways. */
TEST(what_is_accepted_is_the_only_form_of_what_it_says)
{
    uint64_t accepted = 0;
    struct prng p;

    prng_init(&p, test_seed(0xf11b));
    for (int round = 0; round < ROUNDS; round++) {
        struct buf bytes = buf_empty(BYTES_MAX);
        struct buf again = buf_empty(BYTES_MAX);
        struct version_edit e, back;

        random_edit(&e, &p);
        EXPECT_OK(version_edit_encode(&e, &bytes));
        version_edit_release(&e);
        bytes.data[prng_below(&p, bytes.size)] ^= (uint8_t)(1 << prng_below(&p, 8));
        if (decode_copy(buf_slice(&bytes), &back) == ST_OK) {
            EXPECT_OK(version_edit_encode(&back, &again));
            EXPECT(slice_equal(buf_slice(&bytes), buf_slice(&again)));
            version_edit_release(&back);
            accepted++;
        }
        buf_release(&bytes);
        buf_release(&again);
    }
    EXPECT(accepted > ROUNDS / 10);
}

/* P9: a length is believed only when the bytes are there. */
TEST(huge_counts_cost_nothing)
{
    static const uint8_t many_added[] = { 0, 0xff, 0xff, 0xff, 0xff, 0x0f };
    static const uint8_t many_removed[] = { 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f };
    struct mem_heap heap = { 0 };
    struct mem_heap *previous = mem_heap_enter(&heap);
    struct version_edit back;

    for (int format = MANIFEST_FORMAT_OLDEST; format <= MANIFEST_FORMAT; format++) {
        enum manifest_format f = (enum manifest_format)format;

        EXPECT_ST(version_edit_decode(slice_of(many_added, sizeof(many_added)), f, &sweep, &back),
                  ST_CORRUPT);
        EXPECT_ST(
            version_edit_decode(slice_of(many_removed, sizeof(many_removed)), f, &sweep, &back),
            ST_CORRUPT);
    }
    EXPECT_U64(heap.allocation, 0);
    mem_heap_enter(previous);
}

static struct buf
encode_spec(const struct table_spec *spec)
{
    struct buf bytes = buf_empty(BYTES_MAX);
    struct version_edit e;

    version_edit_init(&e);
    fixture_add(&e, &sweep, spec);
    EXPECT_OK(version_edit_encode(&e, &bytes));
    version_edit_release(&e);
    return bytes;
}

/* No builder makes such tables, so nothing may come to rely on them. */
TEST(a_table_that_cannot_be_is_refused)
{
    enum {
        AT_LEVEL = 2,
        AT_NUMBER = 3,
        AT_ENTRIES = 21,
        AT_TOMBSTONES = 22,
        AT_EXPIRING = 23,
        AT_VERSION_MIN = 25,
        AT_SMALLEST = 28
    };
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        { 0, 4 }, /* an unknown flag */
        { AT_LEVEL, LIMIT_LEVELS },
        { AT_NUMBER, 0 },
        { AT_ENTRIES, 0 },
        { AT_TOMBSTONES, 9 },
        { AT_EXPIRING, 9 },
        { AT_VERSION_MIN, 8 },
        { AT_SMALLEST, 'c' },
    };
    struct table_spec spec = { .level = 1,
                               .number = 1,
                               .from = "a",
                               .to = "b",
                               .oldest = 6,
                               .newest = 7,
                               .bytes = 5,
                               .entries = 8,
                               .tombstones = 3,
                               .expiring = 3 };
    struct buf bytes = encode_spec(&spec);
    struct version_edit back;

    EXPECT_OK(decode_copy(buf_slice(&bytes), &back));
    version_edit_release(&back);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        uint8_t before = bytes.data[changes[i].at];

        bytes.data[changes[i].at] = changes[i].value;
        EXPECT_ST(decode_copy(buf_slice(&bytes), &back), ST_CORRUPT);
        bytes.data[changes[i].at] = before;
    }
    EXPECT_OK(decode_copy(buf_slice(&bytes), &back));
    version_edit_release(&back);
    buf_release(&bytes);
}

TEST(decoding_without_memory_leaves_nothing_behind)
{
    struct table_spec spec = { .level = 1, .number = 1, .from = "a", .to = "b", .newest = 7 };
    struct buf bytes = encode_spec(&spec);
    struct version_edit back = { .added_count = 77 };
    uint64_t n = 0;
    enum status st;

    do {
        struct mem_heap heap = { .fail_at = ++n };
        struct mem_heap *previous = mem_heap_enter(&heap);

        st = version_edit_decode(buf_slice(&bytes), MANIFEST_FORMAT, &sweep, &back);
        if (st == ST_OK) {
            version_edit_release(&back);
        } else {
            EXPECT_ST(st, ST_NO_MEMORY);
            EXPECT_U64(back.added_count, 77);
        }
        EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(previous);
    } while (st != ST_OK);
    EXPECT(n > 3);
    buf_release(&bytes);
}

TEST(encoding_says_when_there_is_no_room)
{
    struct buf bytes = buf_empty(20);
    struct version_edit e;

    version_edit_init(&e);
    fixture_add(&e, &sweep, &(struct table_spec)TABLE(1, 1, "a", "b", 1, 1, 1));
    EXPECT_ST(version_edit_encode(&e, &bytes), ST_TOO_BIG);
    version_edit_release(&e);
    buf_release(&bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

TEST_MAIN(CASE(an_edit_comes_back_as_it_was),
          CASE(an_edit_of_the_oldest_format_has_its_numbers_for_seeds),
          CASE(an_edit_cut_short_or_followed_by_more_is_refused),
          CASE(what_is_accepted_is_the_only_form_of_what_it_says), CASE(huge_counts_cost_nothing),
          CASE(a_table_that_cannot_be_is_refused),
          CASE(decoding_without_memory_leaves_nothing_behind),
          CASE(encoding_says_when_there_is_no_room))
