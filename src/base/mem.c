/*
 * Block layout
 *
 *      heap block    [ links: prev, next ][ heap, size ][ the caller's bytes ]
 *      plain block                        [ NULL, size ][ the caller's bytes ]
 *                                         '-- 16 bytes -'
 *
 * The pointer before the caller's bytes says which of the two it is, so a
 * block may be freed whatever heap is current.
 */
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { MMAP_THRESHOLD_BYTES = 256 << 10, TRIM_THRESHOLD_BYTES = 4 << 20, ARENA_COUNT_MAX = 4 };

/* No object is larger: pointers into it could not be subtracted. */
#define BYTES_MAX ((size_t)PTRDIFF_MAX)

struct header {
    struct mem_heap *heap;
    size_t size;
};

struct links {
    struct links *prev;
    struct links *next;
};

static _Thread_local struct mem_heap *current;

_Static_assert(sizeof(struct header) == 16, "the caller's bytes are aligned to 16");
_Static_assert(sizeof(struct links) == 16, "the header is aligned to 16");

struct mem_heap *
mem_heap_enter(struct mem_heap *heap)
{
    struct mem_heap *previous = current;

    current = heap;
    return previous;
}

static struct header *
header_of(void *block)
{
    return (struct header *)block - 1;
}

static struct links *
links_of(struct header *h)
{
    return (struct links *)h - 1;
}

static void
heap_link(struct mem_heap *heap, struct header *h)
{
    struct links *l = links_of(h);

    l->prev = NULL;
    l->next = heap->blocks;
    if (l->next != NULL)
        l->next->prev = l;
    heap->blocks = l;
    heap->block_count++;
    heap->byte_count += h->size;
}

static void
heap_unlink(struct mem_heap *heap, struct header *h)
{
    struct links *l = links_of(h);

    if (l->prev != NULL)
        l->prev->next = l->next;
    else
        heap->blocks = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    heap->block_count--;
    heap->byte_count -= h->size;
}

static bool
heap_refuses(struct mem_heap *heap)
{
    heap->allocation++;
    if (heap->fail_at == 0)
        return false;
    return heap->allocation == heap->fail_at ||
           (heap->fail_for_good && heap->allocation > heap->fail_at);
}

static void *
allocate(size_t size, bool zero)
{
    size_t overhead = sizeof(struct header) + (current != NULL ? sizeof(struct links) : 0);
    struct header *h;
    uint8_t *raw;

    if (size > BYTES_MAX - overhead)
        return NULL;
    if (current != NULL && heap_refuses(current))
        return NULL;
    raw = zero ? calloc(1, size + overhead) : malloc(size + overhead);
    if (raw == NULL)
        return NULL;
    h = header_of(raw + overhead);
    h->heap = current;
    h->size = size;
    if (current != NULL)
        heap_link(current, h);
    return h + 1;
}

void *
mem_alloc(size_t size)
{
    return allocate(size, false);
}

void *
mem_alloc_zero(size_t size)
{
    return allocate(size, true);
}

void *
mem_alloc_array(size_t item_size, size_t count)
{
    size_t total;

    if (__builtin_mul_overflow(item_size, count, &total))
        return NULL;
    return allocate(total, true);
}

void *
mem_resize(void *block, size_t size)
{
    struct header *h;
    void *moved;

    if (block == NULL)
        return mem_alloc(size);

    h = header_of(block);
    if (h->heap == NULL && current == NULL) {
        if (size > BYTES_MAX - sizeof(*h))
            return NULL;
        h = realloc(h, size + sizeof(*h));
        if (h == NULL)
            return NULL;
        h->size = size;
        return h + 1;
    }
    moved = mem_alloc(size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, block, h->size < size ? h->size : size);
    mem_free(block);
    return moved;
}

void
mem_free(void *block)
{
    struct header *h;

    if (block == NULL)
        return;
    h = header_of(block);
    if (h->heap == NULL) {
        free(h);
        return;
    }
    heap_unlink(h->heap, h);
    free(links_of(h));
}

char *
mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mem_alloc(size);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

void
mem_heap_drop(struct mem_heap *heap)
{
    struct links *l = heap->blocks;

    ASSERT(current != heap);
    while (l != NULL) {
        struct links *next = l->next;

        free(l);
        l = next;
    }
    heap->blocks = NULL;
    heap->block_count = 0;
    heap->byte_count = 0;
}

void
mem_tune_process(void)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet. */
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
    mallopt(M_ARENA_MAX, ARENA_COUNT_MAX);
    /* NOLINTEND(concurrency-mt-unsafe) */
}

void
mem_trim(void)
{
    malloc_trim(0);
}
