/* wire/resp.h, replies: the first byte chooses in what pieces the others arrive.  Whatever the
 * pieces, the same items come out, or the same error; what comes out stays inside what went in. */
/* LINKS: wire */
#include "base/assert.h"

#include "fuzz/fuzz.h"
#include "wire/resp.h"

enum { TRACE_BYTES_MAX = 64 << 20 };

static void
trace_item(struct buf *trace, const struct resp_item *item)
{
    enum status st = buf_printf(trace, "%d %d %lld %llu ", (int)item->depth, (int)item->type,
                                (long long)item->integer, (unsigned long long)item->count);

    ASSERT(st == ST_OK);
    st = buf_append(trace, item->text);
    ASSERT(st == ST_OK);
}

static void
check_item(const struct resp_reply_parser *p, const struct resp_item *item, struct slice input,
           size_t at)
{
    ASSERT(p->depth <= RESP_DEPTH_MAX && item->depth < RESP_DEPTH_MAX + 1);
    ASSERT((unsigned)item->type < RESP_TYPE_COUNT);
    ASSERT(item->text.size == 0 ||
           (item->text.data >= input.data && item->text.data + item->text.size <= input.data + at));
}

static void
parse(struct slice all, size_t piece, struct buf *trace)
{
    struct resp_reply_parser p = { 0 };
    size_t at = 0;

    for (size_t have = 0; have < all.size;) {
        enum resp_event event = RESP_ITEM;

        have = piece < all.size - have ? have + piece : all.size;
        while (event == RESP_ITEM) {
            struct slice input = slice_of(all.data, have);
            struct resp_item item;
            size_t before = at;

            event = resp_reply_next(&p, input, &at, &item);
            ASSERT(at >= before && at <= have);
            if (event != RESP_ITEM)
                break;
            ASSERT(at > before);
            check_item(&p, &item, input, at);
            trace_item(trace, &item);
        }
        if (event == RESP_ERROR)
            return;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = buf_empty(TRACE_BYTES_MAX);
    struct buf pieces = buf_empty(TRACE_BYTES_MAX);
    struct slice all;

    if (size < 2)
        return 0;
    all = slice_of(data + 1, size - 1);
    parse(all, all.size, &whole);
    parse(all, 1 + data[0] % 64, &pieces);
    ASSERT(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}
