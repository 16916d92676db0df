/* wire/line.h: the first byte chooses in what pieces the others arrive, and which endings count.
 * Whatever the pieces, the same lines come out; a command's parts lie inside its line, and the
 * protocol is decided once. */
/* LINKS: wire */
#include "base/assert.h"

#include "fuzz/fuzz.h"
#include "wire/line.h"

enum { TRACE_BYTES_MAX = 64 << 20 };

static void
append(struct buf *trace, struct slice bytes)
{
    enum status st = buf_append(trace, bytes);

    ASSERT(st == ST_OK);
}

static void
check_part(struct slice part, struct slice line)
{
    ASSERT(part.size == 0 ||
           (part.data >= line.data && part.data + part.size <= line.data + line.size));
}

static void
trace_line(struct buf *trace, struct slice line)
{
    struct line_command c;
    enum status st;

    line_parse(line, &c);
    check_part(c.key, line);
    check_part(c.value, line);
    st = buf_printf(trace, "%d ", (int)c.verb);
    ASSERT(st == ST_OK);
    append(trace, line);
    append(trace, slice_str("\n"));
    if (c.verb == LINE_PUT || c.verb == LINE_GET || c.verb == LINE_DEL) {
        ASSERT(c.key.size > 0 && memchr(c.key.data, ' ', c.key.size) == NULL);
        ASSERT((c.verb == LINE_PUT) == (c.key.data + c.key.size < line.data + line.size));
    }
}

static void
parse(struct slice all, size_t piece, bool either, struct buf *trace)
{
    struct line_parser p = { .either_ending = either };
    enum wire_kind kind = WIRE_UNDECIDED;
    struct slice line;
    size_t at = 0;

    for (size_t have = 0; have < all.size;) {
        enum wire_kind now;

        have = piece < all.size - have ? have + piece : all.size;
        now = wire_detect(slice_of(all.data, have));
        ASSERT(kind == WIRE_UNDECIDED || now == kind);
        kind = now;
        while (line_next(&p, slice_of(all.data, have), &at, &line) == LINE_TAKEN) {
            ASSERT(at <= have);
            trace_line(trace, line);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = buf_empty(TRACE_BYTES_MAX);
    struct buf pieces = buf_empty(TRACE_BYTES_MAX);
    bool either;
    struct slice all;

    if (size < 2)
        return 0;
    either = (data[0] & 64) != 0;
    all = slice_of(data + 1, size - 1);
    parse(all, all.size, either, &whole);
    parse(all, 1 + data[0] % 64, either, &pieces);
    ASSERT(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}
