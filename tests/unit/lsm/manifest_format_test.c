/* docs/formats/manifest.md shows a manifest byte for byte.  This test makes it again: a change of
 * the format must change the page, on purpose.  REGENERATE=1 writes the page. */
#include <inttypes.h>

#include "lsm/manifest_internal.h"
#include "manifest_fixture.h"
#include "unit/test.h"

enum { STEPS = 3, LINE = 16, DOCUMENT_BYTES_MAX = 1 << 20 };

#define FENCE_BEGIN "```hexdump\n"
#define FENCE_END   "```\n"

static void
put_line(struct buf *out, const uint8_t *bytes, uint64_t at)
{
    EXPECT_OK(buf_printf(out, "%08" PRIx64 " ", at));
    for (int i = 0; i < LINE; i++)
        EXPECT_OK(buf_printf(out, "%s%02x", i == LINE / 2 ? "  " : " ", bytes[i]));
    EXPECT_OK(buf_printf(out, "  |"));
    for (int i = 0; i < LINE; i++) {
        char c = (char)bytes[i];

        EXPECT_OK(buf_printf(out, "%c", c >= 0x20 && c < 0x7f ? c : '.'));
    }
    EXPECT_OK(buf_printf(out, "|\n"));
}

/* As `hexdump -C`: lines equal to the one before are a "*". */
static void
put_bytes(struct buf *out, struct slice bytes)
{
    bool starred = false;

    EXPECT(bytes.size % LINE == 0);
    for (uint64_t at = 0; at < bytes.size; at += LINE) {
        const uint8_t *line = bytes.data + at;
        bool same = at > 0 && memcmp(line, line - LINE, LINE) == 0;

        if (!same)
            put_line(out, line, at);
        else if (!starred)
            EXPECT_OK(buf_printf(out, "*\n"));
        starred = same;
    }
    EXPECT_OK(buf_printf(out, "%08zx\n", bytes.size));
}

static void
put_records(struct buf *out, struct slice image)
{
    static const char *const names[] = { "", "SNAPSHOT", "EDIT", "SYNCED" };
    uint64_t seed = manifest__seed(SCRIPT_TREE, 1);
    uint64_t at = MANIFEST_HEADER_BYTES;
    struct manifest_frame frame;

    while (manifest__record_get(image, at, seed, &frame)) {
        EXPECT(frame.type <= MANIFEST_SYNCED);
        EXPECT_OK(buf_printf(out, "%08" PRIx64 "  %-8s  payload %3zu  watermark %08" PRIx64 "\n",
                             at, names[frame.type], frame.payload.size, frame.watermark));
        at = frame.limit;
    }
    EXPECT_OK(buf_printf(out, "%08" PRIx64 "  end\n\n", at));
}

static void
make_example(struct buf *out)
{
    struct buf image = buf_empty(1 << 20);
    char path[LIMIT_PATH_BYTES];
    struct run r;

    run_build(&r, 1, STEPS);
    run_current_manifest(&r, path);
    EXPECT(sim_disk_read(r.w, SCRIPT_NODE, path, &image));
    put_records(out, buf_slice(&image));
    put_bytes(out, buf_slice(&image));
    buf_release(&image);
    run_destroy(&r);
}

static void
read_document(struct buf *out)
{
    FILE *f = fopen(MANIFEST_FORMAT_DOCUMENT, "rb");

    assert_non_null(f);
    EXPECT_OK(buf_reserve(out, DOCUMENT_BYTES_MAX));
    out->size = fread(out->data, 1, DOCUMENT_BYTES_MAX - 1, f);
    out->data[out->size] = '\0';
    fclose(f);
}

static void
write_document(struct slice before, struct slice example, struct slice after)
{
    FILE *f = fopen(MANIFEST_FORMAT_DOCUMENT, "wb");

    assert_non_null(f);
    EXPECT_U64(fwrite(before.data, 1, before.size, f), before.size);
    EXPECT_U64(fwrite(example.data, 1, example.size, f), example.size);
    EXPECT_U64(fwrite(after.data, 1, after.size, f), after.size);
    EXPECT(fclose(f) == 0);
}

TEST(the_page_shows_what_is_written)
{
    struct buf document = buf_empty(DOCUMENT_BYTES_MAX);
    struct buf example = buf_empty(DOCUMENT_BYTES_MAX);
    const char *text, *begin, *end;
    struct slice shown;

    make_example(&example);
    read_document(&document);
    text = (const char *)document.data;
    begin = strstr(text, FENCE_BEGIN);
    assert_non_null(begin);
    begin += strlen(FENCE_BEGIN);
    end = strstr(begin, FENCE_END);
    assert_non_null(end);
    shown = slice_of(begin, (size_t)(end - begin));
    if (getenv("REGENERATE") != NULL)
        write_document(slice_of(text, (size_t)(begin - text)), buf_slice(&example), slice_str(end));
    else if (!slice_equal(shown, buf_slice(&example)))
        fail_msg("%s shows something else than\n%.*s", MANIFEST_FORMAT_DOCUMENT, (int)example.size,
                 (const char *)example.data);
    buf_release(&document);
    buf_release(&example);
}

TEST_MAIN(RUN(the_page_shows_what_is_written))
