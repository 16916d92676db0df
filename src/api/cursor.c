#include "api/cursor.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

enum { NUMBER_BITS = 48 };

struct cursor {
    struct list link;     /* in recent */
    struct cursor *chain; /* in its bucket */
    uint64_t number;
    uint64_t previous;
    uint32_t keyspace;
    size_t key_size;
    uint8_t key[];
};

void
cursor_table_init(struct cursor_table *t, struct env *env)
{
    *t = (struct cursor_table){ 0 };
    lock_init(&t->lock);
    list_init(&t->recent);
    env_random(env, &t->next, sizeof(t->next));
    t->next = t->next >> (64 - NUMBER_BITS + 1) | 1; /* in the lower half, and not 0 */
}

static struct cursor **
slot_of(struct cursor_table *t, uint64_t number)
{
    struct cursor **slot = &t->buckets[number % CURSOR_BUCKETS];

    while (*slot != NULL && (*slot)->number != number)
        slot = &(*slot)->chain;
    return slot;
}

/* Unhooked; the caller frees it outside the lock. */
static struct cursor *
unhook(struct cursor_table *t, uint64_t number)
{
    struct cursor **slot = slot_of(t, number);
    struct cursor *c = *slot;

    if (c == NULL)
        return NULL;
    *slot = c->chain;
    list_remove(&c->link);
    t->count--;
    t->bytes -= c->key_size;
    return c;
}

static struct cursor *
unhook_oldest(struct cursor_table *t)
{
    ASSERT(!list_empty(&t->recent));
    return unhook(t, container_of(t->recent.next, struct cursor, link)->number);
}

void
cursor_table_release(struct cursor_table *t)
{
    while (t->count > 0)
        mem_free(unhook_oldest(t));
    lock_release(&t->lock);
}

static void
hook(struct cursor_table *t, struct cursor *c)
{
    struct cursor **slot;

    c->number = t->next++ & ((UINT64_C(1) << NUMBER_BITS) - 1);
    if (c->number == 0)
        c->number = t->next++;
    slot = slot_of(t, c->number);
    ASSERT(*slot == NULL); /* 2^48 numbers ago, and only LIMIT_CURSORS live */
    *slot = c;
    c->chain = NULL;
    list_push_back(&t->recent, &c->link);
    t->count++;
    t->bytes += c->key_size;
}

enum status
cursor_add(struct cursor_table *t, uint64_t previous, uint32_t keyspace, struct slice last_key,
           uint64_t *number)
{
    struct cursor *c = mem_alloc(sizeof(*c) + last_key.size);
    bool full;

    ASSERT(last_key.size <= LIMIT_KEY_BYTES);
    if (c == NULL)
        return ST_NO_MEMORY;
    *c = (struct cursor){ .previous = previous, .keyspace = keyspace, .key_size = last_key.size };
    if (last_key.size > 0)
        memcpy(c->key, last_key.data, last_key.size);

    lock_take(&t->lock);
    hook(t, c);
    *number = c->number;
    lock_drop(&t->lock);

    do {
        struct cursor *oldest = NULL;

        lock_take(&t->lock);
        full = t->count > LIMIT_CURSORS || t->bytes > CURSOR_BYTES_MAX;
        if (full)
            oldest = unhook_oldest(t);
        lock_drop(&t->lock);
        mem_free(oldest);
    } while (full);
    return ST_OK;
}

enum status
cursor_find(struct cursor_table *t, uint64_t number, uint32_t keyspace, struct buf *last_key)
{
    struct cursor *before = NULL;
    struct cursor *c;
    enum status st;

    last_key->size = 0;
    st = buf_reserve(last_key, LIMIT_KEY_BYTES); /* not while the lock is held */
    if (st != ST_OK)
        return st;
    lock_take(&t->lock);
    c = *slot_of(t, number);
    if (c == NULL || c->keyspace != keyspace) {
        st = ST_NOT_FOUND;
    } else {
        list_remove(&c->link);
        list_push_back(&t->recent, &c->link);
        if (c->previous != 0)
            before = unhook(t, c->previous);
        memcpy(last_key->data, c->key, c->key_size);
        last_key->size = c->key_size;
    }
    lock_drop(&t->lock);
    mem_free(before);
    return st;
}
