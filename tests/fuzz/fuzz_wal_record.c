/* wal/: the decoders of records, segment headers and CHAIN, and the search through a damaged
 * segment.  The first byte chooses; its high bit says that checksums are to be made right first, so
 * that what lies behind them is reached, too.  What decodes must encode to the same bytes. */
/* LINKS: wal */
#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "wal/wal_internal.h"

enum { OFFSET = 5000 };

static const uint64_t seed = 0x5eed;

/* ------------------------------------------------------------------ records */

static void
sign_record(uint8_t *bytes, size_t size)
{
    uint64_t here = hash_u64(seed + OFFSET);
    uint64_t watermark, tablet, tag;

    put_u32le(bytes + 8, (uint32_t)(size - RECORD_HEADER_BYTES));
    watermark = get_u64le(bytes + 16);
    tablet = get_u64le(bytes + 24);
    tag = hash_u64(here ^ (get_u64le(bytes + 8) << 16 >> 16) ^ (watermark << 21 | watermark >> 43) ^
                   (tablet << 43 | tablet >> 21));
    put_u16le(bytes + 14, (uint16_t)tag);
    put_u64le(bytes, hash64_seeded(slice_of(bytes + 8, size - 8), here));
}

static void
try_record(uint8_t *bytes, size_t size, bool sign)
{
    struct raw_record r;
    uint8_t *again;

    if (sign && size >= RECORD_HEADER_BYTES)
        sign_record(bytes, size);
    if (size >= RECORD_HEADER_BYTES)
        ASSERT(wal__record_peek(bytes, seed, OFFSET, size) <= size);
    if (wal__record_get(slice_of(bytes, size), seed, OFFSET, &r) != PARSE_OK)
        return;
    ASSERT(r.body.data >= bytes && r.body.data + r.body.size == bytes + size);
    ASSERT(r.type > 0 && r.type <= RECORD_TYPE_MAX && r.watermark <= OFFSET);
    wal__record_link(&r);
    ASSERT(wal__record_bytes(&r) == size);
    again = mem_alloc(size);
    ASSERT(again != NULL);
    wal__record_put(again, seed, OFFSET, &r);
    ASSERT(memcmp(again, bytes, size) == 0);
    mem_free(again);
}

/* ------------------------------------------------------------------ headers */

static void
try_header(const uint8_t *bytes, size_t size, bool sign)
{
    uint8_t header[SEGMENT_HEADER_BYTES] = { 0 };
    struct segment_header h, again;

    memcpy(header, bytes, size < sizeof(header) ? size : sizeof(header));
    if (sign)
        put_u64le(header + sizeof(header) - 8, hash64(slice_of(header, sizeof(header) - 8)));
    if (wal__header_get(header, &h) != PARSE_OK)
        return;
    wal__header_put(header, &h);
    ASSERT(wal__header_get(header, &again) == PARSE_OK);
    ASSERT(memcmp(&h, &again, sizeof(h)) == 0);
}

/* ------------------------------------------------------------------ CHAIN */

static void
try_chain(uint8_t *bytes, size_t size, bool sign)
{
    struct chain_found found;
    struct chain c = { 0 };
    size_t half = size / 2;
    uint8_t *again;

    if (sign && half >= 8) {
        put_u64le(bytes + half - 8, hash64(slice_of(bytes, half - 8)));
        memcpy(bytes + half, bytes, half);
    }
    if (wal__chain_get(slice_of(bytes, size), &c, &found) != ST_OK || found.parse != PARSE_OK)
        return;
    ASSERT(c.count > 0 && c.entries[c.count - 1].limit == 0);
    if (!found.damaged) {
        ASSERT(size == wal__chain_bytes(c.count));
        again = mem_alloc(size);
        ASSERT(again != NULL);
        wal__chain_put(again, &c);
        ASSERT(get_u32le(bytes + 8) != LOG_FORMAT || memcmp(again, bytes, size) == 0);
        mem_free(again);
    }
    wal__chain_release(&c);
}

/* ------------------------------------------------------------------ a search */

struct memory_file {
    struct file base;
    struct slice bytes;
};

static enum status
read_memory(struct file *f, uint64_t offset, void *out, size_t size, size_t *got, struct err *err)
{
    const struct memory_file *m = (const struct memory_file *)f;
    size_t left = offset < m->bytes.size ? m->bytes.size - (size_t)offset : 0;

    (void)err;
    *got = size < left ? size : left;
    if (*got > 0)
        memcpy(out, m->bytes.data + offset, *got);
    return ST_OK;
}

static enum status
see(void *ctx, const struct found *found, struct err *err)
{
    uint64_t *last = ctx;

    (void)err;
    ASSERT(found->offset >= *last && found->size >= RECORD_BYTES_MIN);
    *last = found->offset + found->size;
    return ST_OK;
}

static void
try_search(const uint8_t *bytes, size_t size)
{
    static const struct file_ops ops = { .read = read_memory };
    struct memory_file f = { { &ops, NULL }, slice_of(bytes, size) };
    uint64_t last = 0;
    struct scan s;
    enum status st;

    wal__scan_init(&s, &f.base, size, seed);
    st = wal__scan_ahead(&s, 0, see, &last, NULL);
    ASSERT(st == ST_OK && last <= size);
    wal__scan_release(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes;
    bool sign;

    if (size == 0)
        return 0;
    sign = (data[0] & 0x80) != 0;
    bytes = mem_alloc(size - 1); /* exactly, so that the sanitizer sees a read of one too many */
    ASSERT(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        try_record(bytes, size - 1, sign);
        break;
    case 1:
        try_header(bytes, size - 1, sign);
        break;
    case 2:
        try_chain(bytes, size - 1, sign);
        break;
    default:
        try_search(bytes, size - 1);
        break;
    }
    mem_free(bytes);
    return 0;
}
