/*
 * base/list.h — an intrusive doubly linked list; the links live in the items,
 * so linking cannot fail.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev;
    struct list *next;
};

/* The structure that contains the member that `pointer` points to. */
#define container_of(pointer, type, member) \
 ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* `at` walks the links; the item may not be removed meanwhile.
 * NOLINTNEXTLINE(bugprone-macro-parentheses): `at` is declared here, and cannot have them. */
#define list_each(at, head) for (struct list *at = (head)->next; at != (head); at = at->next)

static inline void
list_init(struct list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool
list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void
list_push_back(struct list *head, struct list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void
list_push_front(struct list *head, struct list *item)
{
    list_push_back(head->next, item);
}

/* Unlink; the item's links then form a list of their own, so removing twice is harmless. */
static inline void
list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* The first link, unlinked; NULL when empty. */
static inline struct list *
list_pop_front(struct list *head)
{
    struct list *first = head->next;

    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/* Move everything from `from` to the end of `to`. */
static inline void
list_splice_back(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
