/* Tests of base/list.h. */
#include "base/list.h"
#include "base/prng.h"

#include "unit/test.h"

enum { ITEMS = 20 };

struct item {
    int number;
    struct list link;
};

struct model {
    int numbers[ITEMS];
    size_t count;
};

static void
model_insert(struct model *m, size_t at, int number)
{
    memmove(&m->numbers[at + 1], &m->numbers[at], (m->count - at) * sizeof(int));
    m->numbers[at] = number;
    m->count++;
}

static void
model_remove(struct model *m, int number)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->numbers[i] == number) {
            m->count--;
            memmove(&m->numbers[i], &m->numbers[i + 1], (m->count - i) * sizeof(int));
            return;
        }
    }
}

/* The same numbers in the same order, forwards and backwards. */
static void
check(struct list *head, const struct model *m)
{
    size_t i = 0;

    list_each (at, head) {
        EXPECT(i < m->count);
        EXPECT_U64(container_of(at, struct item, link)->number, m->numbers[i]);
        EXPECT(at->next->prev == at && at->prev->next == at);
        i++;
    }
    EXPECT_U64(i, m->count);
    EXPECT(list_empty(head) == (m->count == 0));
}

static void
push(struct list *head, struct model *m, struct item *item, bool front)
{
    if (front) {
        list_push_front(head, &item->link);
        model_insert(m, 0, item->number);
    } else {
        list_push_back(head, &item->link);
        model_insert(m, m->count, item->number);
    }
}

static void
pop(struct list *head, struct model *m)
{
    struct list *first = list_pop_front(head);

    EXPECT((first == NULL) == (m->count == 0));
    if (first == NULL)
        return;
    EXPECT_U64(container_of(first, struct item, link)->number, m->numbers[0]);
    EXPECT(list_empty(first)); /* unlinked: a list of its own */
    model_remove(m, m->numbers[0]);
}

/* Two lists and their models, under random operations. */
TEST(list_equals_an_array)
{
    struct item items[ITEMS];
    struct list heads[2];
    struct model models[2] = { 0 };
    struct prng prng;

    prng_init(&prng, test_seed(10));
    list_init(&heads[0]);
    list_init(&heads[1]);
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        list_init(&items[i].link);
    }
    for (int round = 0; round < 50000; round++) {
        struct item *item = &items[prng_below(&prng, ITEMS)];
        size_t which = (size_t)prng_below(&prng, 2);

        if (prng_chance(&prng, 1, 30)) {
            list_splice_back(&heads[which], &heads[1 - which]);
            for (size_t i = 0; i < models[1 - which].count; i++)
                model_insert(&models[which], models[which].count, models[1 - which].numbers[i]);
            models[1 - which].count = 0;
        } else if (prng_chance(&prng, 1, 5)) {
            pop(&heads[which], &models[which]);
        } else if (list_empty(&item->link)) {
            push(&heads[which], &models[which], item, prng_chance(&prng, 1, 2));
        } else {
            list_remove(&item->link);
            list_remove(&item->link); /* twice is harmless */
            model_remove(&models[0], item->number);
            model_remove(&models[1], item->number);
        }
        check(&heads[0], &models[0]);
        check(&heads[1], &models[1]);
    }
}

TEST_MAIN(RUN(list_equals_an_array))
