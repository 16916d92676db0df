/* Tests of sst/cache.c: contract, a model, and the budget. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "sst/cache.h"
#include "unit/test.h"

/* A block that says whose it is. */
static void *
make_block(uint64_t table, uint64_t offset, size_t size)
{
    uint8_t *block = mem_alloc(size);

    assert_non_null(block);
    memset(block, (int)((table * 31 + offset) & 0xff), size);
    return block;
}

static bool
is_block(struct slice s, uint64_t table, uint64_t offset)
{
    return s.size > 0 && s.data[0] == ((table * 31 + offset) & 0xff) &&
           s.data[s.size - 1] == s.data[0];
}

static struct cache_handle *
add(struct cache *c, uint64_t table, uint64_t offset, size_t size)
{
    struct cache_handle *h = cache_add(c, table, offset, make_block(table, offset, size), size);

    assert_non_null(h);
    EXPECT(is_block(cache_block(h), table, offset));
    return h;
}

static bool
has(struct cache *c, uint64_t table, uint64_t offset)
{
    struct cache_handle *h = cache_find(c, table, offset);

    if (h == NULL)
        return false;
    EXPECT(is_block(cache_block(h), table, offset));
    cache_release(h);
    return true;
}

static size_t
bytes_of(const struct cache *c)
{
    struct cache_counters n;

    cache_count(c, &n);
    return n.bytes;
}

TEST(cache_gives_back_what_was_added)
{
    struct cache *c = cache_create(1 << 20, NULL);
    struct cache_counters n;

    EXPECT(cache_find(c, 1, 0) == NULL);
    cache_release(add(c, 1, 0, 100));
    cache_release(add(c, 1, 4096, 100));
    cache_release(add(c, 2, 0, 100));
    EXPECT(has(c, 1, 0) && has(c, 1, 4096) && has(c, 2, 0));
    EXPECT(!has(c, 2, 4096));
    cache_count(c, &n);
    EXPECT_U64(n.hits, 3);
    EXPECT_U64(n.misses, 2);
    EXPECT_U64(n.evictions, 0);
    EXPECT_U64(n.capacity, 1 << 20);
    EXPECT(n.bytes >= 300);
    cache_destroy(c);
    cache_destroy(NULL);
}

TEST(cache_keeps_the_first_of_two_equal_blocks)
{
    struct cache *c = cache_create(1 << 20, NULL);
    struct cache_handle *first = add(c, 1, 0, 100);
    struct cache_handle *second = add(c, 1, 0, 100);

    EXPECT(first == second);
    cache_release(first);
    cache_release(second);
    cache_destroy(c);
}

TEST(cache_holds_a_pinned_block_whatever_happens)
{
    struct cache *c = cache_create(64 << 10, NULL);
    struct cache_handle *pinned = add(c, 1, 0, 1000);

    cache_pin(pinned);
    for (uint64_t i = 1; i < 1000; i++)
        cache_release(add(c, 1, i, 1000));
    cache_drop_table(c, 1);
    EXPECT(!has(c, 1, 0));
    EXPECT(is_block(cache_block(pinned), 1, 0));
    cache_release(pinned);
    EXPECT(is_block(cache_block(pinned), 1, 0));
    cache_release(pinned);
    EXPECT_U64(bytes_of(c), 0);
    cache_destroy(c);
}

TEST(cache_never_keeps_more_than_its_capacity)
{
    enum { CAPACITY = 300 << 10 };
    struct cache *c = cache_create(CAPACITY, NULL);
    struct cache_counters n;
    struct prng p;

    prng_init(&p, test_seed(91));
    for (uint64_t i = 0; i < 20000; i++) {
        cache_release(add(c, prng_below(&p, 9), prng_below(&p, 3000), prng_below(&p, 9000) + 1));
        EXPECT(bytes_of(c) <= CAPACITY);
    }
    cache_count(c, &n);
    EXPECT(n.bytes > CAPACITY / 2);
    EXPECT(n.evictions > 1000);
    cache_destroy(c);
}

/* A block that cannot be kept is still handed out, and charged while it is. */
TEST(cache_hands_out_what_it_cannot_keep)
{
    struct cache *c = cache_create(10000, NULL);
    struct cache_handle *big = add(c, 1, 0, 20000);

    EXPECT(bytes_of(c) > 20000);
    EXPECT(!has(c, 1, 0));
    cache_release(big);
    EXPECT_U64(bytes_of(c), 0);
    cache_destroy(c);
}

/* A large block may take the room of many shards. */
TEST(cache_makes_room_in_other_shards)
{
    enum { CAPACITY = 64 << 20, LARGE = 16 << 20 };
    struct cache *c = cache_create(CAPACITY, NULL);

    for (uint64_t i = 0; i < 20000; i++)
        cache_release(add(c, 1, i, 4096));
    cache_release(add(c, 2, 0, LARGE));
    EXPECT(has(c, 2, 0));
    EXPECT(bytes_of(c) <= CAPACITY);
    cache_destroy(c);
}

/* CLOCK: a scan of blocks that are read once passes through; what is used again stays. */
TEST(cache_scans_do_not_drive_out_what_is_used)
{
    enum { USED = 50, LOADED_MAX = 99, SCANNED = 180, ROUNDS = 100 };
    struct cache *c = cache_create(1 << 20, NULL);
    uint64_t loaded = 0;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < USED; i++) {
            if (has(c, 1, i))
                continue;
            cache_release(add(c, 1, i, 4096));
            loaded++;
        }
        for (uint64_t i = 0; i < SCANNED; i++)
            cache_release(add(c, 2, round * SCANNED + i, 4096));
    }
    EXPECT(loaded <= LOADED_MAX); /* in order of arrival, each would be loaded every other round */
    cache_destroy(c);
}

TEST(cache_replaces_what_was_used_when_it_is_used_no_more)
{
    struct cache *c = cache_create(256 << 10, NULL);

    for (uint64_t i = 0; i < 100; i++)
        cache_release(add(c, 1, i, 4096));
    for (uint64_t i = 0; i < 100; i++)
        (void)has(c, 1, i); /* all that is there is marked */
    for (uint64_t i = 0; i < 30; i++) {
        cache_release(add(c, 2, i, 4096));
        EXPECT(has(c, 2, i));
    }
    cache_destroy(c);
}

TEST(cache_drops_a_table_and_nothing_else)
{
    struct cache *c = cache_create(64 << 20, NULL);

    for (uint64_t i = 0; i < 3000; i++)
        cache_release(add(c, i % 3, i, 100));
    cache_drop_table(c, 1);
    for (uint64_t i = 0; i < 3000; i++)
        EXPECT(has(c, i % 3, i) == (i % 3 != 1));
    cache_destroy(c);
}

/* ------------------------------------------------------------------ budget */

TEST(cache_charges_what_it_holds_and_returns_it)
{
    struct budget budget;
    struct cache *c;
    size_t fixed;

    budget_init(&budget, 1 << 20);
    c = cache_create(512 << 10, &budget);
    fixed = budget_used(&budget);
    for (uint64_t i = 0; i < 1000; i++) {
        cache_release(add(c, 1, i, 4000));
        EXPECT_U64(budget_used(&budget), fixed + bytes_of(c));
    }
    cache_destroy(c);
    EXPECT_U64(budget_used(&budget), 0);
}

TEST(cache_gives_way_when_the_budget_is_spent_elsewhere)
{
    struct budget budget;
    struct cache *c;

    budget_init(&budget, 1 << 20);
    c = cache_create(1 << 20, &budget);
    for (uint64_t i = 0; i < 300; i++)
        cache_release(add(c, 1, i, 4000));
    EXPECT(bytes_of(c) > 800 << 10);
    budget_charge(&budget, 700 << 10); /* memtables */
    for (uint64_t i = 300; i < 600; i++)
        cache_release(add(c, 1, i, 4000));
    EXPECT(budget_used(&budget) <= 1 << 20);
    EXPECT(bytes_of(c) < 330 << 10);
    budget_charge(&budget, 1 << 20); /* nothing is left: blocks are handed out, and not kept */
    cache_release(add(c, 1, 600, 4000));
    EXPECT_U64(bytes_of(c), 0);
    budget_return(&budget, (1 << 20) + (700 << 10));
    cache_destroy(c);
    EXPECT_U64(budget_used(&budget), 0);
}

TEST(cache_shrinks_on_request)
{
    struct cache *c = cache_create(8 << 20, NULL);
    struct cache_handle *pinned = add(c, 2, 0, 4000);
    size_t before;
    size_t got;

    for (uint64_t i = 0; i < 1000; i++)
        cache_release(add(c, 1, i, 4000));
    before = bytes_of(c);
    got = cache_shrink(c, 100000);
    EXPECT(got >= 100000 && got < 110000);
    EXPECT_U64(bytes_of(c), before - got);
    EXPECT(cache_shrink(c, SIZE_MAX) == before - got - bytes_of(c));
    EXPECT(has(c, 2, 0));
    EXPECT(bytes_of(c) < 5000);
    cache_release(pinned);
    cache_destroy(c);
}

/* ------------------------------------------------------------------ model */

enum { NAMES = 400, PINS = 64 };

struct pin {
    struct cache_handle *handle;
    uint64_t table;
    uint64_t offset;
};

static void
pin_one(struct cache *c, struct pin *pin, struct prng *p)
{
    pin->table = prng_below(p, 4);
    pin->offset = prng_below(p, NAMES);
    pin->handle = cache_find(c, pin->table, pin->offset);
    if (pin->handle == NULL)
        pin->handle = add(c, pin->table, pin->offset, 1 + pin->offset * 10);
    EXPECT_U64(cache_block(pin->handle).size, 1 + pin->offset * 10);
}

/* Whatever is found is the right block, however pins, drops and evictions interleave. */
TEST(cache_is_right_under_random_use)
{
    struct budget budget;
    struct cache *c;
    struct pin pins[PINS] = { 0 };
    struct prng p;

    prng_init(&p, test_seed(92));
    budget_init(&budget, 400 << 10);
    c = cache_create(200 << 10, &budget);
    for (int i = 0; i < 100000; i++) {
        struct pin *pin = &pins[prng_below(&p, PINS)];

        if (prng_chance(&p, 1, 2000))
            cache_drop_table(c, prng_below(&p, 4));
        if (prng_chance(&p, 1, 1000))
            cache_shrink(c, prng_below(&p, 100000));
        if (pin->handle == NULL) {
            pin_one(c, pin, &p);
            continue;
        }
        EXPECT(is_block(cache_block(pin->handle), pin->table, pin->offset));
        cache_release(pin->handle);
        pin->handle = NULL;
    }
    for (int i = 0; i < PINS; i++) {
        if (pins[i].handle != NULL)
            cache_release(pins[i].handle);
    }
    cache_destroy(c);
    EXPECT_U64(budget_used(&budget), 0);
}

TEST(cache_survives_the_failure_of_every_allocation)
{
    struct mem_heap heap = { 0 };
    struct mem_heap *outer = mem_heap_enter(&heap);
    struct cache *c = NULL;
    uint64_t n = 0;

    while (c == NULL) {
        heap = (struct mem_heap){ .fail_at = ++n };
        c = cache_create(4 << 20, NULL);
        if (c == NULL)
            EXPECT_U64(heap.block_count, 0);
    }
    EXPECT(n > 4);
    heap.fail_at = heap.allocation + 2; /* the block is allocated, the handle is not */
    EXPECT(cache_add(c, 1, 0, make_block(1, 0, 10), 10) == NULL);
    EXPECT(!has(c, 1, 0));
    cache_destroy(c);
    EXPECT_U64(heap.block_count, 0);
    mem_heap_enter(outer);
}

TEST_MAIN(RUN(cache_gives_back_what_was_added), RUN(cache_keeps_the_first_of_two_equal_blocks),
          RUN(cache_holds_a_pinned_block_whatever_happens),
          RUN(cache_never_keeps_more_than_its_capacity), RUN(cache_hands_out_what_it_cannot_keep),
          RUN(cache_makes_room_in_other_shards), RUN(cache_scans_do_not_drive_out_what_is_used),
          RUN(cache_replaces_what_was_used_when_it_is_used_no_more),
          RUN(cache_drops_a_table_and_nothing_else),
          RUN(cache_charges_what_it_holds_and_returns_it),
          RUN(cache_gives_way_when_the_budget_is_spent_elsewhere), RUN(cache_shrinks_on_request),
          RUN(cache_is_right_under_random_use), RUN(cache_survives_the_failure_of_every_allocation))
