/* Tests of sst/index.h: separators separate, and the index finds the block. */
#include "base/hash.h"
#include "base/mem.h"

#include "sst/format.h"
#include "sst/index.h"
#include "unit/mem/model.h"
#include "unit/test.h"

enum { KEY_MAX = 64, BLOCK_SIZE = 100 };

static int
order(const struct entry *e, struct slice key, version_t version)
{
    return entry_compare(e->key, e->version, key, version);
}

static void
check_separator(const struct entry *last, const struct entry *next)
{
    uint8_t room[KEY_MAX];
    struct slice key;
    version_t version;

    sst__index_separator(last, next, room, &key, &version);
    EXPECT(order(last, key, version) <= 0);
    EXPECT(order(next, key, version) > 0);
    EXPECT(key.size <= last->key.size || key.size <= next->key.size);
}

static struct entry
text_entry(const char *key, version_t version)
{
    return (struct entry){ .key = slice_str(key), .version = version, .type = ENTRY_VALUE };
}

TEST(index_separators_are_short)
{
    const struct {
        const char *last, *next, *want;
    } cases[] = {
        { "apple pie", "banana split", "b" },
        { "user:1", "user:2", "user:1" },
        { "user:17", "user:2", "user:17" },
        { "user:1", "user:3", "user:2" },
        { "abc", "abcd", "abc" },
        { "abczzz", "abd", "abczzz" },
        { "abczzz", "abdd", "abd" },
        { "", "a", "" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct entry last = text_entry(cases[i].last, 5);
        struct entry next = text_entry(cases[i].next, 7);
        uint8_t room[KEY_MAX];
        struct slice key;
        version_t version;

        sst__index_separator(&last, &next, room, &key, &version);
        EXPECT_SLICE(key, cases[i].want);
        EXPECT_U64(version, 0);
        check_separator(&last, &next);
    }
}

TEST(index_separators_lie_between_any_two_neighbours)
{
    struct prng p;

    prng_init(&p, test_seed(81));
    for (int i = 0; i < 200000; i++) {
        uint8_t a_bytes[KEY_MAX];
        uint8_t b_bytes[KEY_MAX];
        struct entry a = { .key = model_key(prng_below(&p, 3000), a_bytes, KEY_MAX),
                           .version = prng_below(&p, 4) };
        struct entry b = { .key = model_key(prng_below(&p, 3000), b_bytes, KEY_MAX),
                           .version = prng_below(&p, 4) };
        int o = order(&a, b.key, b.version);

        if (o < 0)
            check_separator(&a, &b);
        if (o > 0)
            check_separator(&b, &a);
    }
}

/* An index whose separators are the entries of the model. */
static struct buf
make_index(const struct model *m, uint64_t *data_bytes)
{
    struct buf out = buf_empty(SIZE_MAX);
    struct sst_block_builder b;
    struct slice bytes;

    *data_bytes = 0;
    sst__block_builder_init(&b, INDEX_RESTART_INTERVAL, 1 << 24);
    for (size_t i = 0; i < m->count; i++) {
        struct sst_handle handle = { *data_bytes, BLOCK_SIZE + (uint32_t)i % 7 };

        EXPECT_OK(sst__index_add(&b, m->entries[i].key, m->entries[i].version, &handle));
        *data_bytes += handle.size;
    }
    EXPECT_OK(sst__block_finish(&b, &bytes));
    EXPECT_OK(buf_append(&out, bytes));
    sst__block_builder_release(&b);
    return out;
}

static void
check_find(const struct sst_index *x, const struct model *m, const uint64_t *offsets,
           struct slice key, version_t version)
{
    size_t want = model_at(m, key, version);
    struct sst_handle handle;
    struct sst_block_iter it;
    enum status st = sst__index_find(x, key, version, &handle);

    EXPECT_ST(st, want < m->count ? ST_OK : ST_NOT_FOUND);
    if (st == ST_OK)
        EXPECT_U64(handle.offset, offsets[want]);
    sst__block_iter_init(&it);
    sst__block_iter_set(&it, &x->block);
    EXPECT_ST(sst__index_seek(x, &it, key, version), st);
    if (st == ST_OK)
        EXPECT(slice_equal(it.key, m->entries[want].key));
    sst__block_iter_release(&it);
}

/* Separators that share nothing, something, and so much that they differ only beyond the eight
 * bytes after what all share. */
static struct model
make_separators(struct prng *p, int kind, uint64_t count)
{
    struct model m = { 0 };

    for (uint64_t i = 0; i < count; i++) {
        uint8_t key[KEY_MAX] = "a shared beginning ";
        size_t head = kind == 0 ? 0 : 19;
        struct slice tail = model_key(prng_next(p) % 5000, key + head, KEY_MAX - head);
        struct entry e = { .key = slice_of(key, head + tail.size), .version = i + 1 };

        if (kind == 2) {
            uint64_t far = __builtin_bswap64(i / 4);

            memset(key + head, 0xff, 11);
            memcpy(key + 30, &far, 8);
            key[head] = i < 8 ? 'a' : 0xff;
            e.key.size = 38;
        }
        model_put(&m, &e);
    }
    return m;
}

static void
check_around(const struct sst_index *x, const struct model *m, struct prng *p)
{
    uint64_t offsets[512] = { 0 };

    for (size_t i = 1; i < m->count; i++)
        offsets[i] = offsets[i - 1] + BLOCK_SIZE + (i - 1) % 7;
    for (size_t i = 0; i < m->count; i++) {
        const struct entry *e = &m->entries[i];
        uint8_t other[KEY_MAX];

        for (int d = -1; d <= 1; d++)
            check_find(x, m, offsets, e->key, e->version + (version_t)d);
        check_find(x, m, offsets, model_key(prng_next(p), other, KEY_MAX), 3);
        check_find(x, m, offsets, slice_of(e->key.data, prng_below(p, e->key.size + 1)),
                   VERSION_MAX);
    }
}

TEST(index_finds_the_first_block_whose_separator_is_not_before)
{
    struct prng p;

    prng_init(&p, test_seed(82));
    for (int round = 0; round < 40; round++) {
        struct model m = make_separators(&p, round % 3, 1 + (uint64_t)round * 10);
        struct sst_index x;
        uint64_t data_bytes;
        struct buf bytes = make_index(&m, &data_bytes);

        EXPECT_OK(sst__index_open(buf_slice(&bytes), m.count, data_bytes, &x));
        check_around(&x, &m, &p);
        sst__index_release(&x);
        buf_release(&bytes);
        model_release(&m);
    }
}

static enum status
try_index(const struct sst_handle *handles, size_t count, uint64_t block_count, uint64_t data_bytes)
{
    struct sst_block_builder b;
    struct sst_index x;
    struct slice bytes;
    enum status st;

    sst__block_builder_init(&b, INDEX_RESTART_INTERVAL, 1 << 24);
    for (size_t i = 0; i < count; i++) {
        uint8_t key = (uint8_t)('a' + i);

        EXPECT_OK(sst__index_add(&b, slice_of(&key, 1), 0, &handles[i]));
    }
    EXPECT_OK(sst__block_finish(&b, &bytes));
    st = sst__index_open(bytes, block_count, data_bytes, &x);
    if (st == ST_OK)
        sst__index_release(&x);
    sst__block_builder_release(&b);
    return st;
}

TEST(index_refuses_blocks_that_leave_a_gap_or_overlap)
{
    const struct sst_handle good[] = { { 0, 100 }, { 100, 50 }, { 150, 70 } };
    const struct sst_handle gap[] = { { 0, 100 }, { 101, 50 }, { 150, 70 } };
    const struct sst_handle overlap[] = { { 0, 100 }, { 99, 50 }, { 150, 70 } };
    const struct sst_handle late[] = { { 1, 100 }, { 100, 50 }, { 150, 70 } };
    const struct sst_handle tiny[] = { { 0, 100 }, { 100, TRAILER_BYTES }, { 109, 70 } };
    const struct sst_handle huge[] = { { 0, BLOCK_RAW_MAX + TRAILER_BYTES + 1 } };

    EXPECT_OK(try_index(good, 3, 3, 220));
    EXPECT_ST(try_index(good, 3, 2, 220), ST_CORRUPT);
    EXPECT_ST(try_index(good, 3, 3, 221), ST_CORRUPT);
    EXPECT_ST(try_index(gap, 3, 3, 220), ST_CORRUPT);
    EXPECT_ST(try_index(overlap, 3, 3, 220), ST_CORRUPT);
    EXPECT_ST(try_index(late, 3, 3, 220), ST_CORRUPT);
    EXPECT_ST(try_index(tiny, 3, 3, 179), ST_CORRUPT);
    EXPECT_ST(try_index(huge, 1, 1, huge[0].size), ST_CORRUPT);
}

TEST_MAIN(RUN(index_separators_are_short), RUN(index_separators_lie_between_any_two_neighbours),
          RUN(index_finds_the_first_block_whose_separator_is_not_before),
          RUN(index_refuses_blocks_that_leave_a_gap_or_overlap))
