/* wire/resp.h, requests: the first byte chooses in what pieces the others arrive.  Whatever the
 * pieces, the same commands come out, or the same error; what comes out stays inside what went in;
 * and commands that are encoded again are parsed to the same. */
/* LINKS: wire */
#include "base/assert.h"
#include "base/limits.h"

#include "fuzz/fuzz.h"
#include "wire/resp.h"

enum { TRACE_BYTES_MAX = 64 << 20 };

static void
append(struct buf *trace, struct slice bytes)
{
    enum status st = buf_append(trace, bytes);

    ASSERT(st == ST_OK);
}

static void
append_text(struct buf *trace, const char *text)
{
    append(trace, slice_str(text));
}

static void
trace_inline(struct buf *trace, struct slice line)
{
    struct buf copy = buf_empty(TRACE_BYTES_MAX);
    struct resp_inline it;
    enum resp_event event;
    struct slice word;

    append(&copy, line);
    append_text(&copy, "\n"); /* so that there is something to point to */
    it = (struct resp_inline){ copy.data, copy.data + line.size };
    while ((event = resp_inline_next(&it, &word)) == RESP_ARG) {
        ASSERT(word.data >= copy.data && word.data + word.size <= copy.data + copy.size);
        append(trace, word);
        append_text(trace, "|");
    }
    append_text(trace, event == RESP_ERROR ? "unbalanced;" : ";");
    buf_release(&copy);
}

/* False: the connection cannot go on. */
static bool
step(struct resp_parser *p, struct slice input, size_t *at, struct buf *trace, bool *more)
{
    size_t before = *at;
    struct slice arg = { NULL, 0 };
    enum resp_event event = resp_next(p, input, at, &arg);

    ASSERT(*at >= before && *at <= input.size);
    *more = event == RESP_MORE;
    if (event == RESP_ERROR) {
        append_text(trace, p->error);
        return false;
    }
    if (event == RESP_MORE)
        return true;
    ASSERT(*at > before);
    ASSERT(arg.size == 0 || (arg.data >= input.data && arg.data + arg.size <= input.data + *at));
    if (event == RESP_INLINE) {
        trace_inline(trace, arg);
        return true;
    }
    append(trace, arg);
    append_text(trace, p->args_left > 0 ? "|" : ";");
    return true;
}

static void
parse(struct slice all, size_t piece, struct buf *trace)
{
    struct resp_parser p = { .args_max = LIMIT_COMMAND_ARGS, .bulk_max = RESP_BULK_BYTES_MAX };
    size_t at = 0;

    for (size_t have = 0; have < all.size;) {
        bool more = false;

        have = piece < all.size - have ? have + piece : all.size;
        while (!more) {
            if (!step(&p, slice_of(all.data, have), &at, trace, &more))
                return;
        }
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
