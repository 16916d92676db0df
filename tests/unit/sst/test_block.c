/* Tests of sst/block.h: a block equals a sorted array, and any bytes at all are safe to read. */
#include "base/coding.h"
#include "base/limits.h"
#include "base/mem.h"

#include "sst/block.h"
#include "unit/mem/model.h"
#include "unit/test.h"

static struct model
random_entries(struct prng *p, size_t count, uint64_t key_space, size_t key_max)
{
    uint8_t *key = mem_alloc(key_max);
    struct model m = { 0 };
    uint8_t value[64];

    for (size_t i = 0; i < count; i++) {
        struct slice k = model_key(prng_below(p, key_space), key, key_max);
        version_t version = i % 9 == 0 ? VERSION_MAX - i : 1 + (i << prng_below(p, 40));
        struct entry e = model_entry(p, k, version, value, sizeof(value));
        size_t at = model_at(&m, k, version);

        if (at == m.count ||
            entry_compare(m.entries[at].key, m.entries[at].version, k, version) != 0)
            model_put(&m, &e);
    }
    mem_free(key);
    return m;
}

/* A block of the model's entries, in memory of its own: reads beyond it are noticed. */
static struct slice
make_block(const struct model *m, uint32_t restart_interval)
{
    struct sst_block_builder b;
    struct slice bytes;
    uint8_t *copy;

    sst__block_builder_init(&b, restart_interval, 64 << 20);
    for (size_t i = 0; i < m->count; i++)
        EXPECT_OK(sst__block_add(&b, &m->entries[i]));
    EXPECT_U64(b.entry_count, m->count);
    EXPECT_OK(sst__block_finish(&b, &bytes));
    copy = mem_alloc(bytes.size);
    memcpy(copy, bytes.data, bytes.size);
    sst__block_builder_release(&b);
    return slice_of(copy, bytes.size);
}

static void
expect_at(const struct model *m, const struct sst_block_iter *it, enum status st, size_t want)
{
    struct entry e;

    EXPECT_ST(st, want < m->count ? ST_OK : ST_NOT_FOUND);
    EXPECT(sst__block_iter_valid(it) == (st == ST_OK));
    if (st != ST_OK)
        return;
    sst__block_iter_entry(it, &e);
    model_expect_equal(&e, &m->entries[want]);
}

static void
check_place(const struct model *m, const struct sst_block *b, struct sst_block_iter *it,
            struct slice key, version_t version)
{
    size_t at = model_at(m, key, version);
    struct sst_hit hit;
    enum status st = sst__block_find(b, key, version, &hit);

    EXPECT_ST(st, at < m->count ? ST_OK : ST_NOT_FOUND);
    if (st == ST_OK) {
        EXPECT(hit.same_key == slice_equal(m->entries[at].key, key));
        EXPECT_U64(hit.item.version, m->entries[at].version);
        EXPECT(slice_equal(hit.item.value, m->entries[at].value));
        EXPECT_U64(hit.item.expiry_ms, m->entries[at].expiry_ms);
    }
    st = sst__block_iter_seek(it, key, version);
    expect_at(m, it, st, at);
    if (st == ST_OK)
        expect_at(m, it, sst__block_iter_prev(it), at - 1);
    st = sst__block_iter_seek_before(it, key, version);
    expect_at(m, it, st, at - 1);
    if (st == ST_OK)
        expect_at(m, it, sst__block_iter_next(it), at);
}

static void
check_block(const struct model *m, struct slice bytes)
{
    struct sst_block_iter it;
    struct sst_block b;
    uint8_t longer[80];
    enum status st;
    size_t i = 0;

    EXPECT_OK(sst__block_parse(bytes, &b));
    sst__block_iter_init(&it);
    sst__block_iter_set(&it, &b);
    EXPECT(!sst__block_iter_valid(&it));
    for (st = sst__block_iter_first(&it); st == ST_OK; st = sst__block_iter_next(&it))
        expect_at(m, &it, st, i++);
    EXPECT_U64(i, m->count);
    for (st = sst__block_iter_last(&it); st == ST_OK; st = sst__block_iter_prev(&it))
        expect_at(m, &it, st, --i);
    EXPECT_U64(i, 0);

    for (i = 0; i < m->count; i++) {
        const struct entry *e = &m->entries[i];

        for (int d = -1; d <= 1; d++)
            check_place(m, &b, &it, e->key, e->version + (version_t)d);
        check_place(m, &b, &it, e->key, 0);
        if (e->key.size + 1 > sizeof(longer))
            continue;
        if (e->key.size > 0) {
            memcpy(longer, e->key.data, e->key.size);
            longer[e->key.size - 1]++; /* the end of the key, moved up */
            check_place(m, &b, &it, slice_of(longer, e->key.size), 7);
            check_place(m, &b, &it, slice_of(longer, e->key.size - 1), 7); /* and cut off */
            longer[e->key.size - 1]--;
        }
        longer[e->key.size] = 0;
        check_place(m, &b, &it, slice_of(longer, e->key.size + 1), VERSION_MAX);
    }
    sst__block_iter_release(&it);
}

/* The bytes of make_block() are the caller's. */
static uint8_t *
owned(struct slice s)
{
    union {
        const uint8_t *borrowed;
        uint8_t *owned;
    } data = { s.data };

    return data.owned;
}

TEST(block_equals_a_sorted_array)
{
    struct prng p;

    prng_init(&p, test_seed(71));
    for (int round = 0; round < 60; round++) {
        size_t key_max = round % 10 == 9 ? LIMIT_STORED_KEY_BYTES : 60;
        struct model m =
            random_entries(&p, 1 + prng_below(&p, 120), UINT64_C(1) << (1 + round % 10), key_max);
        struct slice bytes = make_block(&m, (uint32_t)prng_below(&p, 20) + 1);

        check_block(&m, bytes);
        mem_free(owned(bytes));
        model_release(&m);
    }
}

TEST(block_builder_states_the_size_that_it_will_have)
{
    struct sst_block_builder b;
    struct slice bytes;

    sst__block_builder_init(&b, 2, 1 << 20);
    for (version_t i = 9; i > 0; i--) {
        struct entry e = { slice_str("same key"), slice_str("v"), i, i % 2, ENTRY_VALUE };
        size_t states;

        EXPECT_OK(sst__block_add(&b, &e));
        states = sst__block_bytes(&b);
        if (i == 1) {
            EXPECT_OK(sst__block_finish(&b, &bytes));
            EXPECT_U64(bytes.size, states);
        }
    }
    sst__block_reset(&b);
    EXPECT_U64(b.entry_count, 0);
    sst__block_builder_release(&b);
}

TEST(block_entry_that_does_not_fit_changes_nothing)
{
    struct sst_block_builder b;
    uint8_t value[4000] = { 0 };
    struct entry e = { slice_str("a"), slice_of(value, 10), 1, 0, ENTRY_VALUE };
    struct sst_block block;
    struct sst_hit hit;
    struct slice bytes;

    sst__block_builder_init(&b, 4, 1000);
    EXPECT_OK(sst__block_add(&b, &e));
    e.key = slice_str("ab");
    e.value = slice_of(value, sizeof(value));
    EXPECT_ST(sst__block_add(&b, &e), ST_TOO_BIG);
    EXPECT_U64(b.entry_count, 1);
    e.value = slice_of(value, 20);
    EXPECT_OK(sst__block_add(&b, &e));
    EXPECT_OK(sst__block_finish(&b, &bytes));
    EXPECT_OK(sst__block_parse(bytes, &block));
    EXPECT_OK(sst__block_find(&block, slice_str("ab"), 1, &hit));
    EXPECT(hit.same_key);
    EXPECT_U64(hit.item.value.size, 20);
    sst__block_builder_release(&b);
}

/* Everything that reading offers, on bytes that are not a block, or no longer. */
static void
read_nonsense(struct slice bytes)
{
    struct sst_block_iter it;
    struct sst_block b;
    struct sst_hit hit;

    if (sst__block_parse(bytes, &b) != ST_OK)
        return;
    (void)!sst__block_find(&b, slice_str("aaaa"), 100, &hit);
    sst__block_iter_init(&it);
    sst__block_iter_set(&it, &b);
    for (enum status st = sst__block_iter_first(&it); st == ST_OK;)
        st = sst__block_iter_next(&it);
    for (enum status st = sst__block_iter_last(&it); st == ST_OK;)
        st = sst__block_iter_prev(&it);
    (void)!sst__block_iter_seek(&it, slice_str("a\x7f"), 100);
    (void)!sst__block_iter_seek_before(&it, slice_str("\x7f"), 100);
    sst__block_iter_release(&it);
}

TEST(block_of_any_bytes_is_safe_to_read)
{
    struct prng p;

    prng_init(&p, test_seed(72));
    for (int round = 0; round < 30; round++) {
        struct model m = random_entries(&p, 30, 40, 60);
        struct slice good = make_block(&m, 4);

        for (int i = 0; i < 400; i++) {
            size_t size = prng_chance(&p, 1, 4) ? prng_below(&p, good.size + 1) : good.size;
            uint8_t *bad = mem_alloc(size);

            memcpy(bad, good.data, size);
            for (uint64_t n = prng_below(&p, 4); n > 0 && size > 0; n--)
                bad[prng_below(&p, size)] = (uint8_t)prng_next(&p);
            read_nonsense(slice_of(bad, size));
            mem_free(bad);
        }
        mem_free(owned(good));
        model_release(&m);
    }
}

/* Can the first entry of these bytes be read?  If so, it is all that the block holds. */
static bool
reads(struct slice bytes)
{
    struct sst_cursor c;
    struct sst_item item;
    struct sst_block b;

    if (sst__block_parse(bytes, &b) != ST_OK || !sst__block_restart_item(&b, 0, &item))
        return false;
    EXPECT(sst__block_restart(&b, 0, &c));
    EXPECT(sst__block_decode(&b, &c, &item));
    EXPECT(c.entry == b.restarts && c.value == b.entries);
    return true;
}

/* Each rule of the format, broken alone.  The bytes: "value", the entry (tag, 0, 3, 5, "key"),
 * a restart (0, 0), base, 5, 1. */
TEST(block_entries_that_break_the_format_are_refused)
{
    struct model m = { 0 };
    struct entry e = { slice_str("key"), slice_str("value"), 9, 0, ENTRY_VALUE };
    struct slice bytes;
    uint8_t *at;

    model_put(&m, &e);
    bytes = make_block(&m, 4);
    at = owned(bytes);
    EXPECT_U64(bytes.size, 5 + 4 + 3 + 8 + 16);
    EXPECT(reads(bytes));
    for (unsigned bit = 1; bit < 8; bit++) { /* type 3, an expiry, a version, reserved bits */
        at[5] ^= (uint8_t)(1u << bit);
        EXPECT(!reads(bytes));
        at[5] ^= (uint8_t)(1u << bit);
    }
    at[5] = ENTRY_TOMBSTONE; /* with a value */
    EXPECT(!reads(bytes));
    at[5] = ENTRY_VALUE;
    for (int i = 6; i < 9; i++) { /* shares with nothing; more key, more value than there is */
        at[i]++;
        EXPECT(!reads(bytes));
        at[i]--;
    }
    for (int i = 12; i < 20; i++) { /* a restart elsewhere */
        at[i] ^= 1;
        EXPECT(!reads(bytes));
        at[i] ^= 1;
    }
    for (int i = 26; i < 36; i++) { /* base beyond VERSION_MAX, another offset, another count */
        at[i] ^= 0x40;
        EXPECT(!reads(bytes));
        at[i] ^= 0x40;
    }
    EXPECT(reads(bytes));
    mem_free(owned(bytes));
    model_release(&m);
}

TEST_MAIN(RUN(block_equals_a_sorted_array), RUN(block_builder_states_the_size_that_it_will_have),
          RUN(block_entry_that_does_not_fit_changes_nothing),
          RUN(block_of_any_bytes_is_safe_to_read),
          RUN(block_entries_that_break_the_format_are_refused))
