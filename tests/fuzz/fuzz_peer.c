/* peer/: what a stranger may send.  The first byte chooses.
 *
 *      even   the bytes are a hello: what decodes must encode to the same bytes, if it is of our size
 *      odd    the bytes are frames, in pieces whose size the first byte says as well: whatever the
 *             pieces, the same messages come out, or the same failure; what is held stays in bounds
 *
 * With the high bit the checksums are made right first, so that what lies behind them is reached. */
/* LINKS: peer */
#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "peer/peer_internal.h"

enum { SEED = 5, ASSEMBLY_BYTES = 1 << 20, BUDGET_BYTES = 8 << 20, PIECES = 32 };

/* ------------------------------------------------------------------ hellos */

static void
try_hello(uint8_t *bytes, size_t size, bool sign)
{
    struct hello h, ours = { .format_min = 1, .format_max = 1 };
    uint8_t again[HELLO_BYTES];
    uint16_t format;
    size_t whole = 0;

    if (hello__size(slice_of(bytes, size), &whole, NULL) != ST_OK || whole == 0 || whole > size)
        return;
    if (sign)
        put_u64le(bytes + whole - 8, hash64(slice_of(bytes, whole - 8)));
    if (hello__get(slice_of(bytes, whole), &h, NULL) != ST_OK)
        return;
    hello__put(again, &h);
    ASSERT(whole != HELLO_BYTES || memcmp(again, bytes, whole) == 0);
    ours.self.node = h.to;
    memcpy(ours.self.cluster, h.self.cluster, PEER_CLUSTER_BYTES);
    if (hello__agree(&ours, &h, &format, NULL) == ST_OK)
        ASSERT(format == 1 && h.self.node != h.to);
}

/* ------------------------------------------------------------------ frames */

/* Make right what stands where a checksum should, as far as whole frames follow one another. */
static void
sign_frames(uint8_t *bytes, size_t size)
{
    size_t at = 0;
    struct frame f;

    for (uint64_t n = 0; size - at >= FRAME_HEADER_BYTES; n++) {
        if (frame__get(bytes + at, &f, NULL) != ST_OK || f.size > size - at - FRAME_HEADER_BYTES)
            return;
        frame__seal(bytes + at, &f, SEED, n);
        at += FRAME_HEADER_BYTES + f.size;
    }
}

struct outcome {
    uint64_t trace;
    enum status st;
    uint64_t dropped;
};

static void
note(void *ctx, uint8_t type, uint64_t id, struct slice payload)
{
    struct outcome *o = ctx;

    ASSERT(payload.size <= ASSEMBLY_BYTES || payload.size <= PEER_FRAME_BYTES_MAX);
    o->trace = hash_u64(o->trace ^ type ^ hash_u64(id) ^ hash64(payload));
}

/* As a connection reads: to where it belongs, or from a scratch. */
static enum status
read_piece(struct inbox *in, struct slice piece)
{
    enum status st = ST_OK;

    while (st == ST_OK && piece.size > 0) {
        uint8_t *at = NULL;
        size_t room = inbox__room(in, &at);
        size_t size = room < piece.size ? room : piece.size;

        if (size == 0)
            return inbox__put(in, piece, NULL);
        memcpy(at, piece.data, size);
        st = inbox__filled(in, size, NULL);
        piece = slice_of(piece.data + size, piece.size - size);
    }
    return st;
}

static struct outcome
read_all(struct slice all, size_t piece)
{
    struct outcome o = { 0, ST_OK, 0 };
    struct inbox_shared shared = { .assembly_max = ASSEMBLY_BYTES };
    struct budget budget;
    struct inbox in;

    budget_init(&budget, BUDGET_BYTES);
    shared.budget = &budget;
    inbox__init(&in, &shared, SEED, note, &o);
    while (o.st == ST_OK && all.size > 0) {
        size_t size = piece < all.size ? piece : all.size;

        o.st = read_piece(&in, slice_of(all.data, size));
        all = slice_of(all.data + size, all.size - size);
        ASSERT(budget_used(&budget) <= ASSEMBLY_BYTES + PEER_FRAME_BYTES_MAX);
    }
    o.dropped = shared.dropped;
    inbox__release(&in);
    ASSERT(budget_used(&budget) == 0 && shared.assembly_bytes == 0);
    return o;
}

static void
try_frames(uint8_t *bytes, size_t size, size_t piece, bool sign)
{
    struct outcome whole, pieces;

    if (sign)
        sign_frames(bytes, size);
    whole = read_all(slice_of(bytes, size), size);
    pieces = read_all(slice_of(bytes, size), piece);
    ASSERT(whole.st == pieces.st && whole.trace == pieces.trace);
    ASSERT(whole.dropped == pieces.dropped);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct log_sink nowhere = { .level = LOG_OFF };
    uint8_t *bytes;
    bool sign;

    if (size == 0)
        return 0;
    log_set_sink(&nowhere);
    sign = (data[0] & 0x80) != 0;
    bytes = mem_alloc(size - 1); /* exactly, so that the sanitizer sees a read of one too many */
    ASSERT(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] % 2 == 0)
        try_hello(bytes, size - 1, sign);
    else
        try_frames(bytes, size - 1, 1 + data[0] / 2 % PIECES, sign);
    mem_free(bytes);
    return 0;
}
