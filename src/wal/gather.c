/*
 * Bytes on their way to the disk.  Grown by doubling and kept, so that the
 * steady state allocates nothing; given back in part after a burst (P6).
 */
#include "base/mem.h"

#include "wal/wal_internal.h"

enum {
    GATHER_BYTES_MIN = 16 << 10,
    GATHER_BYTES_KEPT = 1 << 20, /* never shrunk below this */
};

bool
wal__gather_reserve(struct gather *g, size_t more)
{
    size_t capacity = g->capacity < GATHER_BYTES_MIN ? GATHER_BYTES_MIN : g->capacity;
    uint8_t *grown;

    if (more <= g->capacity - g->used)
        return true;
    while (capacity - g->used < more)
        capacity *= 2;
    grown = mem_resize(g->bytes, capacity);
    if (grown == NULL)
        return false;
    g->bytes = grown;
    g->capacity = capacity;
    return true;
}

void
wal__gather_reset(struct gather *g)
{
    size_t capacity = g->capacity / 2;

    if (g->capacity > GATHER_BYTES_KEPT && g->used < g->capacity / 4) {
        uint8_t *shrunk = mem_resize(g->bytes, capacity);

        if (shrunk != NULL) {
            g->bytes = shrunk;
            g->capacity = capacity;
        }
    }
    g->used = 0;
}

void
wal__gather_release(struct gather *g)
{
    mem_free(g->bytes);
    *g = (struct gather){ 0 };
}
