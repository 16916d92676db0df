/* The bytes of docs/formats/table.md are the bytes that are written: formats do not change by
 * accident, and the document does not grow old.  When they differ, the test prints the dump. */
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"

#include "sst/format.h"
#include "unit/sst/fixture.h"

enum { LINE = 16, NUMBER = 7 };

/* The table of the document. */
static struct table_info
build_example(struct fix *f)
{
    const struct table_options options = { .block_bytes = 90,
                                           .restart_interval = 16,
                                           .filter_bits_per_key = 10,
                                           .compression = TABLE_PLAIN };
    const struct entry entries[] = {
        { slice_str("user:1"), slice_str("alpha"), 5000, 0, ENTRY_VALUE },
        { slice_str("user:1"), slice_of(NULL, 0), 4999, 0, ENTRY_TOMBSTONE },
        { slice_str("user:27"), slice_str("beta"), 300, 1767225600000, ENTRY_VALUE },
    };
    struct model m = { 0 };
    struct table_info info;

    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        model_put(&m, &entries[i]);
    info = build(f, "000007.sst", NUMBER, &options, &m);
    model_release(&m);
    return info;
}

/* "00000010  75 73 ...  |us...|", as hexdump -C has it. */
static void
dump(struct slice bytes, struct buf *out)
{
    for (size_t at = 0; at < bytes.size; at += LINE) {
        char text[LINE + 1];
        size_t i;

        EXPECT_OK(buf_printf(out, "%08zx ", at));
        for (i = 0; i < LINE && at + i < bytes.size; i++) {
            uint8_t c = bytes.data[at + i];

            EXPECT_OK(buf_printf(out, "%s%02x", i == 8 ? "  " : " ", c));
            text[i] = (char)(c >= 0x20 && c < 0x7f ? c : '.');
        }
        text[i] = '\0';
        EXPECT_OK(buf_printf(out, "  |%s|\n", text));
    }
}

static struct buf
read_document(void)
{
    struct buf text = buf_empty(1 << 20);
    FILE *file = fopen(TABLE_FORMAT_DOCUMENT, "rb");
    char piece[4096];
    size_t got;

    assert_non_null(file);
    while ((got = fread(piece, 1, sizeof(piece), file)) > 0)
        EXPECT_OK(buf_append(&text, slice_of(piece, got)));
    fclose(file);
    return text;
}

TEST(table_document_shows_the_bytes_that_are_written)
{
    struct fix f = setup();
    struct table_info info = build_example(&f);
    struct buf bytes = buf_empty(1 << 20);
    struct buf want = buf_empty(1 << 20);
    struct buf document = read_document();
    bool shown;

    EXPECT(sim_disk_read(f.sim, NODE, "000007.sst", &bytes));
    dump(buf_slice(&bytes), &want);
    shown = memmem(document.data, document.size, want.data, want.size) != NULL;
    if (!shown)
        fwrite(want.data, 1, want.size, stdout);
    EXPECT(shown);
    EXPECT_U64(info.checksum, hash64_seeded(buf_slice(&bytes), NUMBER));
    buf_release(&document);
    buf_release(&want);
    buf_release(&bytes);
    table_info_release(&info);
    teardown(&f);
}

TEST_MAIN(RUN(table_document_shows_the_bytes_that_are_written))
