/*
 * Lists in loops that a compiler would like to shorten.  This file is optimised in every kind of build
 * (docs/decisions/0008): without -fno-strict-aliasing, gcc 12 makes a loop without end of it.
 */
#include "base/list.h"

#include "unit/test.h"

enum { ITEMS = 4, EMPTY = 10, FULL = 9999, LIMIT = 4096 };

struct item {
    struct list link;
    unsigned long limit;
    unsigned long mark;
};

struct owner {
    long before;
    struct list items;
};

struct other {
    struct list items;
};

/* All of `k` to the end of `w`; then back, from the end of `w` to the front of `k`, what is empty. */
__attribute__((noinline)) static void
move(struct owner *w, struct other *k)
{
    struct list *link;

    while ((link = list_pop_front(&k->items)) != NULL)
        list_push_back(&w->items, link);
    while (!list_empty(&w->items)) {
        struct item *s = container_of(w->items.prev, struct item, link);

        if (s->mark != 0 && s->mark < s->limit)
            s->limit = s->mark;
        s->mark = 0;
        if (s->limit > LIMIT)
            return;
        list_remove(&s->link);
        list_push_front(&k->items, &s->link);
    }
}

static uint32_t
count(struct list *head)
{
    uint32_t n = 0;

    list_each (at, head)
        n++;
    return n;
}

TEST(several_items_move_from_the_end_of_one_list_to_the_front_of_another)
{
    struct item items[ITEMS] = { 0 };
    struct owner w = { 0 };
    struct other k;

    list_init(&w.items);
    list_init(&k.items);
    for (int i = 0; i < ITEMS; i++) {
        items[i].limit = i == 0 ? FULL : EMPTY;
        list_push_back(&k.items, &items[i].link);
    }
    move(&w, &k);
    EXPECT_U64(count(&w.items), 1);
    EXPECT_U64(count(&k.items), ITEMS - 1);
    EXPECT(k.items.next == &items[1].link && k.items.prev == &items[ITEMS - 1].link);
}

TEST_MAIN(RUN(several_items_move_from_the_end_of_one_list_to_the_front_of_another))
