/*
 * The newest hard state of every tablet, by tablet: open addressing with
 * linear probing, at most half full, and no tombstones: taking one out moves
 * the ones behind it forward.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

enum { SLOTS_MIN = 16 };

struct head *
wal__head_create(uint64_t tablet, uint64_t term, struct slice body)
{
    struct head *h = mem_alloc(sizeof(*h) + body.size);

    if (h == NULL)
        return NULL;
    h->tablet = tablet;
    h->term = term;
    h->size = body.size;
    if (body.size > 0)
        memcpy(h->body, body.data, body.size);
    return h;
}

struct raw_record
wal__head_record(const struct head *h)
{
    return (struct raw_record){
        .type = WAL_HEAD,
        .tablet = h->tablet,
        .term = h->term,
        .body = slice_of(h->body, h->size),
    };
}

static uint64_t
bytes_of(const struct head *h)
{
    struct raw_record r = wal__head_record(h);

    return wal__record_bytes(&r);
}

static size_t
home_of(const struct heads *hs, uint64_t tablet)
{
    return (size_t)hash_u64(tablet) & (hs->slot_count - 1);
}

/* The slot that holds this tablet, or the empty one where it would go. */
static size_t
find(const struct heads *hs, uint64_t tablet)
{
    size_t i = home_of(hs, tablet);

    while (hs->slots[i] != NULL && hs->slots[i]->tablet != tablet)
        i = (i + 1) & (hs->slot_count - 1);
    return i;
}

enum status
wal__heads_reserve(struct heads *hs)
{
    struct heads grown = *hs;

    if (hs->slot_count >= 2 * (hs->count + 1))
        return ST_OK;
    grown.slot_count = hs->slot_count == 0 ? SLOTS_MIN : 2 * hs->slot_count;
    grown.slots = mem_new_array(struct head *, grown.slot_count);
    if (grown.slots == NULL)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < hs->slot_count; i++) {
        if (hs->slots[i] != NULL)
            grown.slots[find(&grown, hs->slots[i]->tablet)] = hs->slots[i];
    }
    mem_free(hs->slots);
    *hs = grown;
    return ST_OK;
}

struct head *
wal__heads_put(struct heads *hs, struct head *h)
{
    size_t i;
    struct head *old;

    ASSERT(hs->slot_count >= 2 * (hs->count + 1)); /* reserved */
    i = find(hs, h->tablet);
    old = hs->slots[i];
    hs->slots[i] = h;
    hs->bytes += bytes_of(h);
    if (old == NULL)
        hs->count++;
    else
        hs->bytes -= bytes_of(old);
    return old;
}

/* The slot `hole` has become empty: move forward whatever would no longer be found behind it. */
static void
close_hole(struct heads *hs, size_t hole)
{
    size_t mask = hs->slot_count - 1;

    for (size_t i = (hole + 1) & mask; hs->slots[i] != NULL; i = (i + 1) & mask) {
        size_t home = home_of(hs, hs->slots[i]->tablet);

        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home lies after the hole */
        hs->slots[hole] = hs->slots[i];
        hs->slots[i] = NULL;
        hole = i;
    }
}

struct head *
wal__heads_take(struct heads *hs, uint64_t tablet)
{
    struct head *taken;
    size_t i;

    if (hs->count == 0)
        return NULL;
    i = find(hs, tablet);
    taken = hs->slots[i];
    if (taken == NULL)
        return NULL;
    hs->slots[i] = NULL;
    hs->count--;
    hs->bytes -= bytes_of(taken);
    close_hole(hs, i);
    return taken;
}

void
wal__heads_release(struct heads *hs)
{
    for (size_t i = 0; i < hs->slot_count; i++)
        mem_free(hs->slots[i]);
    mem_free(hs->slots);
    *hs = (struct heads){ 0 };
}
