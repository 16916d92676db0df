/* raft/codec.h: what decodes must encode to the same bytes. */
/* LINKS: raft */
#include "base/assert.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "raft/codec.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t count = raft_message_entry_count(slice_of(data, size));
    struct raft_entry *entries = mem_alloc_array(sizeof(*entries), count + (size_t)1);
    struct raft_message m;
    uint8_t *again;

    if (entries != NULL && raft_message_decode(slice_of(data, size), &m, entries, count) == ST_OK) {
        ASSERT(m.entry_count == count && raft_message_bytes(&m) == size);
        again = mem_alloc(size);
        if (again != NULL) {
            raft_message_encode(&m, again);
            ASSERT(memcmp(again, data, size) == 0);
        }
        mem_free(again);
    }
    mem_free(entries);
    return 0;
}
