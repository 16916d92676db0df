/* sst/block.h: any bytes may be read as a block.  Whatever the entries say, they lie within the
 * bytes; a walk forwards ends, and one backwards meets the same entries.  The first byte chooses a
 * place to look for. */
/* LINKS: sst */
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "sst/block.h"

static void
check_entry(const struct sst_block_iter *it, struct slice bytes)
{
    struct entry e;

    sst__block_iter_entry(it, &e);
    ASSERT(e.key.size <= LIMIT_STORED_KEY_BYTES);
    ASSERT(e.version <= VERSION_MAX && e.type < ENTRY_TYPE_COUNT);
    ASSERT(e.value.data >= bytes.data && e.value.data + e.value.size <= bytes.data + bytes.size);
    (void)(hash64(e.key) ^ hash64(e.value)); /* touches every byte */
}

static size_t
walk(struct sst_block_iter *it, struct slice bytes, bool forwards)
{
    enum status st = forwards ? sst__block_iter_first(it) : sst__block_iter_last(it);
    size_t count = 0;

    while (st == ST_OK) {
        check_entry(it, bytes);
        ASSERT(++count <= bytes.size); /* an entry has at least a byte */
        st = forwards ? sst__block_iter_next(it) : sst__block_iter_prev(it);
    }
    return st == ST_NOT_FOUND ? count : SIZE_MAX;
}

static void
search(const struct sst_block *b, struct sst_block_iter *it, struct slice bytes, struct slice key)
{
    struct sst_hit hit;
    enum status st = sst__block_find(b, key, 1000, &hit);

    ASSERT(st == ST_OK || st == ST_NOT_FOUND || st == ST_CORRUPT);
    if (sst__block_iter_seek(it, key, 1000) == ST_OK)
        check_entry(it, bytes);
    if (sst__block_iter_seek_before(it, key, 1000) == ST_OK)
        check_entry(it, bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sst_block_iter it;
    struct sst_block b;
    struct slice bytes;
    uint8_t *copy;

    if (size == 0)
        return 0;
    copy = mem_alloc(size - 1);
    ASSERT(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    bytes = slice_of(copy, size - 1);
    if (sst__block_parse(bytes, &b) == ST_OK) {
        size_t forwards;
        size_t backwards;

        sst__block_iter_init(&it);
        sst__block_iter_set(&it, &b);
        forwards = walk(&it, bytes, true);
        backwards = walk(&it, bytes, false);
        ASSERT(forwards == SIZE_MAX || backwards == SIZE_MAX || forwards >= backwards);
        search(&b, &it, bytes, slice_of(data, 1));
        search(&b, &it, bytes, slice_of(copy, bytes.size < 8 ? bytes.size : 8));
        sst__block_iter_release(&it);
    }
    mem_free(copy);
    return 0;
}
