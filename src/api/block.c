#include "api/block.h"

#include "base/assert.h"
#include "base/mem.h"

void
block_pool_init(struct block_pool *pool, struct room *room)
{
    *pool = (struct block_pool){ .room = room };
}

struct block *
block_create(size_t capacity)
{
    struct block *b = mem_alloc(sizeof(*b) + capacity);

    if (b != NULL)
        *b = (struct block){ .refs = 1, .capacity = capacity, .charged = capacity };
    return b;
}

struct block *
block_take(struct block_pool *pool, bool modest)
{
    struct block *b = pool->free;

    if (b != NULL) {
        pool->free = b->next;
        pool->free_count--;
        b->refs = 1;
        b->filled = 0;
        return b;
    }
    if (modest && !room_try(pool->room, ROOM_REQUEST, BLOCK_BYTES))
        return NULL;
    if (!modest)
        room_take(pool->room, ROOM_REQUEST, BLOCK_BYTES);
    b = block_create(BLOCK_BYTES);
    if (b == NULL)
        room_give(pool->room, ROOM_REQUEST, BLOCK_BYTES);
    else
        b->pooled = true;
    return b;
}

static void
destroy(struct block_pool *pool, struct block *b)
{
    room_give(pool->room, ROOM_REQUEST, b->charged);
    mem_free(b);
}

void
block_unref(struct block_pool *pool, struct block *b)
{
    ASSERT(b->refs > 0);
    if (--b->refs > 0)
        return;
    if (!b->pooled || pool->free_count == BLOCK_POOL_MAX ||
        room_is_wanted(pool->room, ROOM_REQUEST)) {
        destroy(pool, b);
        return;
    }
    b->next = pool->free;
    pool->free = b;
    pool->free_count++;
}

void
block_pool_release(struct block_pool *pool)
{
    while (pool->free != NULL) {
        struct block *b = pool->free;

        pool->free = b->next;
        destroy(pool, b);
    }
    pool->free_count = 0;
}

static bool
grow(struct block_refs *refs)
{
    uint32_t capacity = refs->more_capacity == 0 ? 8 : refs->more_capacity * 2;
    struct block **grown = mem_resize(refs->more, capacity * sizeof(struct block *));

    if (grown == NULL)
        return false;
    refs->more = grown;
    refs->more_capacity = capacity;
    return true;
}

enum status
block_refs_add(struct block_refs *refs, struct block *b)
{
    struct block *last = refs->more_count > 0 ? refs->more[refs->more_count - 1] : refs->first;

    if (last == b)
        return ST_OK;
    if (refs->first == NULL) {
        refs->first = block_ref(b);
        return ST_OK;
    }
    if (refs->more_count == refs->more_capacity && !grow(refs))
        return ST_NO_MEMORY;
    refs->more[refs->more_count++] = block_ref(b);
    return ST_OK;
}

void
block_refs_release(struct block_refs *refs, struct block_pool *pool)
{
    if (refs->first != NULL)
        block_unref(pool, refs->first);
    for (uint32_t i = 0; i < refs->more_count; i++)
        block_unref(pool, refs->more[i]);
    mem_free(refs->more);
    *refs = (struct block_refs){ 0 };
}
