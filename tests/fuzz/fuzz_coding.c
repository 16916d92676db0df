/* base/coding.h: the bytes are a program and its data.  Each first byte chooses a kind of read; no
 * read may leave the bytes, give what is not there, or fail to end.  What is read as a varint is
 * written again, and must be the same bytes. */
/* LINKS: base */
#include <string.h>

#include "base/assert.h"
#include "base/coding.h"

#include "fuzz/fuzz.h"

static void
check_borrowed(struct slice s, const uint8_t *data, size_t size)
{
    ASSERT(s.size <= size);
    ASSERT(s.size == 0 || (s.data >= data && s.data + s.size <= data + size));
}

static void
check_varint(struct reader *r)
{
    const uint8_t *begin = r->at;
    uint64_t v = read_varint(r);
    uint8_t again[VARINT_BYTES_MAX];
    size_t used = (size_t)(put_varint(again, v) - again);

    if (r->bad)
        return;
    ASSERT(used == (size_t)(r->at - begin));
    ASSERT(used == varint_size(v));
    ASSERT(memcmp(again, begin, used) == 0); /* one number, one form */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(slice_of(data, size));

    while (reader_left(&r) > 0) {
        size_t left = reader_left(&r);

        switch (read_u8(&r) % 6) {
        case 0:
            read_u16(&r);
            break;
        case 1:
            read_u32(&r);
            break;
        case 2:
            read_u64(&r);
            break;
        case 3:
            check_varint(&r);
            break;
        case 4:
            check_borrowed(read_string(&r), data, size);
            break;
        default:
            check_borrowed(read_bytes(&r, read_u8(&r)), data, size);
            break;
        }
        ASSERT(reader_left(&r) < left); /* progress, and so an end */
        ASSERT(!r.bad || reader_left(&r) == 0);
    }
    return 0;
}
