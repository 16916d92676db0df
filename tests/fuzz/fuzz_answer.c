/* tablet/request_codec.h: an answer that decodes must encode to the same bytes.  The first byte says to how
 * many operations it answers. */
/* LINKS: tablet */
#include "base/assert.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "tablet/request_codec.h"

enum { OPS_MAX = 8 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct op_result results[OPS_MAX] = { 0 };
    struct request r = { .results = results };
    struct slice bytes;
    uint8_t *again;

    if (size == 0)
        return 0;
    r.op_count = data[0] % (OPS_MAX + 1);
    bytes = slice_of(data + 1, size - 1);
    if (answer_decode(bytes, &r) != ST_OK)
        return 0;
    ASSERT(answer_encode(NULL, &r) == bytes.size);
    again = mem_alloc(bytes.size);
    if (again != NULL) {
        (void)answer_encode(again, &r);
        ASSERT(memcmp(again, bytes.data, bytes.size) == 0);
    }
    mem_free(again);
    return 0;
}
