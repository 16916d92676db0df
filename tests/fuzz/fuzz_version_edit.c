/* LINKS: lsm */
/* lsm/manifest.h: the first byte says what the rest is.
 *
 *      0   one edit: what is accepted is encoded again to the same bytes, and may be applied; of an
 *          older format, what it means is encoded
 *      1   payloads, each after its type and a u16 of its size, which are put into a manifest with
 *          right checksums: whatever they say, replaying ends, with a version that is in order
 *      2   a manifest as it stands
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "lsm/manifest_internal.h"

enum { IMAGE_BYTES_MAX = 1 << 20, TREE = 7, NUMBER = 3 };

static void
try_edit(struct slice bytes, enum manifest_format format, struct file_sweep *sweep)
{
    struct buf again = buf_empty(IMAGE_BYTES_MAX);
    struct version *before = version_create();
    struct version *after = NULL;
    struct version_edit e;
    enum status st;

    ASSERT(before != NULL);
    if (version_edit_decode(bytes, format, sweep, &e) == ST_OK) {
        st = version_edit_encode(&e, &again);
        ASSERT(st == ST_OK);
        ASSERT(format < MANIFEST_FORMAT || slice_equal(bytes, buf_slice(&again)));
        if (version_apply(before, &e, &after, NULL) == ST_OK) {
            ASSERT(version_is_ordered(after));
            version_unref(after);
        }
        version_edit_release(&e);
    }
    version_unref(before);
    buf_release(&again);
}

static void
try_image(struct slice image, struct file_sweep *sweep)
{
    struct manifest_state state = { 0 };
    struct err err;
    enum status st = manifest__replay(image, "MANIFEST", NUMBER, sweep, &state, &err);

    if (st != ST_OK) {
        ASSERT(st == ST_CORRUPT || st == ST_INVALID);
        return;
    }
    ASSERT(state.end <= image.size);
    ASSERT(version_is_ordered(state.version));
    manifest__state_release(&state);
}

static void
append_record(struct buf *image, unsigned type, struct slice payload)
{
    size_t begin = image->size;
    enum status st = manifest__record_begin(image);

    if (st == ST_OK)
        st = buf_append(image, payload);
    ASSERT(st == ST_OK);
    manifest__record_seal(image, begin, manifest__seed(TREE, NUMBER), begin,
                          (enum manifest_record_type)(type % 5), type >= 128 ? begin : 0);
}

static void
try_payloads(struct slice bytes, struct file_sweep *sweep)
{
    struct buf image = buf_empty(IMAGE_BYTES_MAX);
    struct manifest_header header = { TREE, NUMBER, 0 };
    struct reader r = reader_of(bytes);
    uint8_t zeros[MANIFEST_HEADER_BYTES] = { 0 };
    enum status st = buf_append(&image, slice_of(zeros, sizeof(zeros)));

    ASSERT(st == ST_OK);
    while (reader_left(&r) > 3 && image.size < IMAGE_BYTES_MAX / 2) {
        unsigned type = read_u8(&r);
        uint16_t size = read_u16(&r);

        append_record(&image, type,
                      read_bytes(&r, size < reader_left(&r) ? size : reader_left(&r)));
    }
    header.file_bytes = image.size;
    manifest__header_put(&header, image.data);
    try_image(buf_slice(&image), sweep);
    buf_release(&image);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct file_sweep sweep;

    if (size == 0 || size > IMAGE_BYTES_MAX / 4)
        return 0;
    file_sweep_init(&sweep);
    if (data[0] % 3 == 0) {
        try_edit(slice_of(data + 1, size - 1), MANIFEST_FORMAT_OLDEST, &sweep);
        try_edit(slice_of(data + 1, size - 1), MANIFEST_FORMAT, &sweep);
    } else if (data[0] % 3 == 1) {
        try_payloads(slice_of(data + 1, size - 1), &sweep);
    } else {
        try_image(slice_of(data + 1, size - 1), &sweep);
    }
    file_sweep_release(&sweep);
    return 0;
}
