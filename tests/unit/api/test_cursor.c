/* Tests of api/cursor.h. */
#include "base/limits.h"
#include "base/mem.h"

#include "api/cursor.h"
#include "simenv/simenv.h"
#include "unit/test.h"

struct world {
    struct sim *w;
    struct cursor_table table;
    struct buf key;
};

static void
begin(struct world *x, uint64_t seed)
{
    x->w = sim_create(seed);
    cursor_table_init(&x->table, sim_boot(x->w, 1, 0));
    x->key = buf_empty(LIMIT_KEY_BYTES);
}

static void
end(struct world *x)
{
    buf_release(&x->key);
    cursor_table_release(&x->table);
    sim_destroy(x->w);
}

static uint64_t
add(struct world *x, uint64_t previous, const char *key)
{
    uint64_t number = 0;

    EXPECT_OK(cursor_add(&x->table, previous, 0, slice_str(key), &number));
    EXPECT(number != 0 && number >> 48 == 0);
    return number;
}

static enum status
find(struct world *x, uint64_t number)
{
    return cursor_find(&x->table, number, 0, &x->key);
}

TEST(a_cursor_is_found_as_often_as_wanted)
{
    struct world x;
    uint64_t a;

    begin(&x, 1);
    a = add(&x, 0, "key");
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(find(&x, a));
        EXPECT_SLICE(buf_slice(&x.key), "key");
    }
    EXPECT_ST(find(&x, a + 1), ST_NOT_FOUND);
    EXPECT_ST(cursor_find(&x.table, a, 1, &x.key), ST_NOT_FOUND); /* of another database */
    a = add(&x, 0, "");
    EXPECT_OK(find(&x, a));
    EXPECT_U64(x.key.size, 0);
    end(&x);
}

TEST(a_cursor_goes_when_its_successor_is_used)
{
    struct world x;
    uint64_t a, b, c;

    begin(&x, 2);
    a = add(&x, 0, "a");
    b = add(&x, a, "b");
    EXPECT_OK(find(&x, a)); /* the reply that named b was lost */
    c = add(&x, a, "b");
    EXPECT_OK(find(&x, c));
    EXPECT_ST(find(&x, a), ST_NOT_FOUND);
    EXPECT_OK(find(&x, b));
    end(&x);
}

TEST(the_table_is_bounded_and_the_oldest_make_room)
{
    struct world x;
    uint64_t first, second, last = 0;

    begin(&x, 3);
    first = add(&x, 0, "first");
    second = add(&x, 0, "second");
    for (int i = 0; i < LIMIT_CURSORS - 2; i++)
        last = add(&x, 0, "another");
    EXPECT_OK(find(&x, first)); /* and is the most recent now */
    add(&x, 0, "one more");
    EXPECT_OK(find(&x, first));
    EXPECT_ST(find(&x, second), ST_NOT_FOUND);
    EXPECT_OK(find(&x, last));
    EXPECT_U64(x.table.count, LIMIT_CURSORS);
    end(&x);
}

TEST(long_keys_cannot_fill_the_memory)
{
    struct world x;
    uint8_t *key = mem_alloc(LIMIT_KEY_BYTES);
    uint64_t number = 0;

    begin(&x, 4);
    memset(key, 'k', LIMIT_KEY_BYTES);
    for (int i = 0; i < 1000; i++)
        EXPECT_OK(cursor_add(&x.table, 0, 0, slice_of(key, LIMIT_KEY_BYTES), &number));
    EXPECT(x.table.bytes <= CURSOR_BYTES_MAX);
    EXPECT_OK(find(&x, number));
    end(&x);
    mem_free(key);
}

TEST(running_out_of_memory_changes_nothing)
{
    struct mem_heap heap = { .fail_at = 1 };
    struct mem_heap *before;
    struct world x;
    uint64_t number = 77;

    begin(&x, 5);
    before = mem_heap_enter(&heap);
    EXPECT_ST(cursor_add(&x.table, 0, 0, slice_str("k"), &number), ST_NO_MEMORY);
    mem_heap_enter(before);
    EXPECT_U64(number, 77);
    EXPECT_U64(x.table.count, 0);
    end(&x);
}

TEST_MAIN(RUN(a_cursor_is_found_as_often_as_wanted), RUN(a_cursor_goes_when_its_successor_is_used),
          RUN(the_table_is_bounded_and_the_oldest_make_room), RUN(long_keys_cannot_fill_the_memory),
          RUN(running_out_of_memory_changes_nothing))
