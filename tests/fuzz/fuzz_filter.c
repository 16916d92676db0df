/* sst/filter.h: any bytes are a filter or are refused; a filter answers every question, twice the
 * same, and looks at nothing beyond its bytes.  The first byte chooses whether the tail is repaired,
 * so that the lines are reached. */
/* LINKS: sst */
#include <string.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "sst/filter.h"

enum { LINE_BYTES = 64, TAIL_BYTES = 16, QUESTIONS = 64 };

static void
repair(uint8_t *bytes, size_t size)
{
    if (size < TAIL_BYTES)
        return;
    put_u64le(bytes + size - TAIL_BYTES, (size - TAIL_BYTES) / LINE_BYTES);
    put_u32le(bytes + size - 4, 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter f;
    uint8_t *bytes;

    if (size == 0)
        return 0;
    bytes = mem_alloc(size - 1); /* of its own: a read beyond it is noticed */
    ASSERT(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] % 4 != 0)
        repair(bytes, size - 1);
    if (filter_parse(slice_of(bytes, size - 1), &f) == ST_OK) {
        for (uint64_t i = 0; i < QUESTIONS; i++) {
            uint64_t hash = hash_u64(i * 0x0101010101010101 + data[0]);

            ASSERT(filter_may_contain(&f, hash) == filter_may_contain(&f, hash));
        }
    }
    mem_free(bytes);
    return 0;
}
