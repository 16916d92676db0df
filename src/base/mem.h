/*
 * base/mem.h — memory from the heap of whoever is running.
 *
 * A real process has one heap: malloc.  The simulator runs many nodes in one
 * process; while a node's code runs, its `struct mem_heap` is entered, every
 * block is linked to it, and when the node crashes the heap is dropped whole.
 * The same heap can be told to fail its n-th allocation: that is how tests
 * make every allocation fail in turn.
 *
 * A heap belongs to one thread.  Blocks from no heap may be freed anywhere.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mem_heap {
    void *blocks;        /* every live block, linked */
    size_t block_count;  /* live blocks */
    size_t byte_count;   /* live bytes, as asked for */
    uint64_t allocation; /* how many allocations were tried so far */
    uint64_t fail_at;    /* the allocation with this number fails; 0 = none */
    bool fail_for_good;  /* and so do all after it */
};

/* Make `heap` the current one of this thread; NULL = plain malloc.  Returns the previous. */
struct mem_heap *mem_heap_enter(struct mem_heap *heap);

/* Free every block of the heap: what a crash does to a process's memory. */
void mem_heap_drop(struct mem_heap *heap);

/* NULL when out of memory.  A size of 0 gives a valid, unique pointer.
 * Blocks are aligned to 16 bytes. */
void *mem_alloc(size_t size);
void *mem_alloc_zero(size_t size);

/* Grow or shrink; on failure NULL, and the old block stays valid.  NULL allocates. */
void *mem_resize(void *block, size_t size);

/* NULL is allowed. */
void mem_free(void *block);

/* What its owner hands around as const, and may change and free himself. */
static inline void *
mem_own(const void *block)
{
    void *own;

    memcpy(&own, &block, sizeof(own));
    return own;
}

/* A copy of a C string; NULL when out of memory. */
char *mem_strdup(const char *text);

#define mem_new(type)          ((type *)mem_alloc_zero(sizeof(type)))
#define mem_new_array(type, n) ((type *)mem_alloc_array(sizeof(type), (n)))

/* Zeroed; NULL when out of memory or when the product overflows. */
void *mem_alloc_array(size_t item_size, size_t count);

/* The largest allocation that the operating system's allocator serves by its
 * own mapping is fixed, so that freed megabytes return to the system (P6).
 * Called once, first thing in main(). */
void mem_tune_process(void);

/* Return to the system what small blocks have left free between those that live: after many were
 * freed at once.  Takes milliseconds, in which others who allocate may wait.  Any thread. */
void mem_trim(void);

#endif
