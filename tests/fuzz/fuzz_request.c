/* tablet/request_codec.h: a request that decodes must encode to the same bytes. */
/* LINKS: tablet */
#include "base/assert.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "tablet/request_codec.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct request_envelope e;
    struct request_sizes sizes;
    struct precondition *preconditions;
    struct request r;
    struct op *ops;
    uint8_t *again;

    if (request_measure(bytes, &sizes) != ST_OK)
        return 0;
    ops = mem_alloc_array(sizeof(*ops), sizes.ops + (size_t)1);
    preconditions = mem_alloc_array(sizeof(*preconditions), sizes.preconditions + (size_t)1);
    if (ops != NULL && preconditions != NULL &&
        request_decode(bytes, &r, ops, preconditions, &e) == ST_OK) {
        ASSERT(request_encode(NULL, &r, &e) == size);
        again = mem_alloc(size);
        if (again != NULL) {
            (void)request_encode(again, &r, &e);
            ASSERT(memcmp(again, data, size) == 0);
        }
        mem_free(again);
    }
    mem_free(ops);
    mem_free(preconditions);
    return 0;
}
