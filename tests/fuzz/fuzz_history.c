/* history/codec.h: whatever the bytes say and in whatever pieces they arrive, they are refused
 * with a line, or are a history that is written and read again as it was; a small one is judged,
 * and explained. */
/* LINKS: history */
#include <string.h>

#include "base/assert.h"

#include "fuzz/fuzz.h"
#include "history/check.h"
#include "history/codec.h"

enum { TEXT_BYTES_MAX = 64 << 20, MEMORY_BYTES = 1 << 20, JUDGED_OPS_MAX = 200 };

static enum status
read_text(struct slice text, size_t piece, struct history **out)
{
    struct history_reader *r = NULL;
    struct err err = { 0 };
    enum status st = history_create(out);

    ASSERT(st == ST_OK);
    st = history_reader_create(&r, *out, "fuzz");
    ASSERT(st == ST_OK);
    for (size_t at = 0; at < text.size && st == ST_OK; at += piece) {
        size_t size = text.size - at < piece ? text.size - at : piece;

        st = history_reader_feed(r, slice_of(text.data + at, size), &err);
    }
    if (st == ST_OK)
        st = history_reader_finish(r, &err);
    ASSERT(st == ST_OK || (st == ST_INVALID && strncmp(err.text, "fuzz:", 5) == 0));
    history_reader_destroy(r);
    return st;
}

static void
write_all(const struct history *h, struct buf *out)
{
    for (uint32_t i = 0; i < history_op_count(h); i++) {
        struct history_op op = history_op_at(h, i);
        enum status st = history_write(out, &op, NULL);

        ASSERT(st == ST_OK);
    }
}

static void
judge(const struct history *h)
{
    struct history_check_options options = { .memory_bytes_max = MEMORY_BYTES };
    struct buf text = buf_empty(TEXT_BYTES_MAX);
    struct history_report report;
    enum status st = history_check(h, &options, &report, NULL);

    ASSERT(st == ST_OK);
    if (report.verdict == HISTORY_VIOLATION) {
        st = history_explain(h, &report, &text);
        ASSERT(st == ST_OK && text.size > 0);
    }
    buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = buf_empty(TEXT_BYTES_MAX), again = buf_empty(TEXT_BYTES_MAX);
    struct history *h = NULL, *same = NULL;
    size_t piece = size > 0 ? 1 + data[0] % 64 : 1;

    if (read_text(slice_of(data, size), piece, &h) == ST_OK) {
        enum status st;

        write_all(h, &text);
        st = read_text(buf_slice(&text), text.size + 1, &same);
        ASSERT(st == ST_OK);
        write_all(same, &again);
        ASSERT(slice_equal(buf_slice(&text), buf_slice(&again)));
        if (history_op_count(h) <= JUDGED_OPS_MAX)
            judge(h);
    }
    buf_release(&text);
    buf_release(&again);
    history_destroy(h);
    history_destroy(same);
    return 0;
}
