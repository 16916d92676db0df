/* kv/scan_codec.h: an order that decodes must encode to the same bytes, and so must a piece. */
/* LINKS: kv */
#include "base/assert.h"

#include "fuzz/fuzz.h"
#include "kv/scan_codec.h"

enum { ENTRIES_MAX = 64 };

static void
try_order(struct slice bytes)
{
    struct scan_order o;
    struct buf again = buf_empty(bytes.size);

    if (scan_order_decode(bytes, &o) == ST_OK) {
        ASSERT(scan_order_encode(&again, &o) == ST_OK);
        ASSERT(slice_equal(buf_slice(&again), bytes));
    }
    buf_release(&again);
}

static void
try_harvest(struct slice bytes)
{
    struct entry entries[ENTRIES_MAX];
    struct buf again = buf_empty(bytes.size);
    struct scan_harvest h;
    struct slice rest;
    enum status st = scan_harvest_decode(bytes, &h, &rest);

    for (uint32_t i = 0; st == ST_OK && i < h.count && h.count <= ENTRIES_MAX; i++)
        st = scan_entry_decode(&rest, &entries[i]);
    if (st == ST_OK && h.count <= ENTRIES_MAX && rest.size == 0) {
        ASSERT(scan_harvest_encode(&again, &h, entries) == ST_OK);
        ASSERT(slice_equal(buf_slice(&again), bytes));
    }
    buf_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    try_order(slice_of(data, size));
    try_harvest(slice_of(data, size));
    return 0;
}
