/* sst/table.h: any bytes may lie where a table should.  The first byte chooses how far checksums
 * and extents are repaired, so that what stands behind them is reached too.  A table that opens is
 * read in every way; nothing is asserted about what it says, only that each reader ends. */
/* LINKS: sst simenv */
#include <string.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "fuzz/fuzz.h"
#include "simenv/simenv.h"
#include "sst/footer.h"
#include "sst/index.h"
#include "sst/table.h"

enum { NODE = 1, NUMBER = 7, MOVES_MAX = 10000, SIZE_LIMIT = 1 << 16 };

struct bench {
    struct sim *sim;
    struct env *env;
    struct cache *cache;
    uint8_t *file; /* owned */
    size_t size;
    struct table_info info;
};

static void
reseal(struct bench *b, uint64_t offset, uint64_t size)
{
    uint8_t *at = b->file + offset;

    put_u64le(at + size - 8,
              hash64_seeded(slice_of(at, (size_t)size - 8), sst__seed(NUMBER, offset)));
}

/* Seal each data block that the index tells of. */
static void
reseal_data(struct bench *b, const struct sst_footer *f)
{
    struct slice payload =
        slice_of(b->file + sst__index_offset(f), (size_t)f->index_bytes - TRAILER_BYTES);
    struct sst_block_iter it;
    struct sst_block block;

    if (sst__block_parse(payload, &block) != ST_OK)
        return;
    sst__block_iter_init(&it);
    sst__block_iter_set(&it, &block);
    for (enum status st = sst__block_iter_first(&it); st == ST_OK;) {
        struct sst_handle h;

        if (sst__index_handle(it.item.value, &h) == ST_OK && h.size <= f->data_bytes &&
            h.offset <= f->data_bytes - h.size)
            reseal(b, h.offset, h.size);
        st = sst__block_iter_next(&it);
    }
    sst__block_iter_release(&it);
}

/* Let the manifest say what the properties say. */
static void
believe_properties(struct bench *b, const struct sst_footer *f)
{
    struct reader r = reader_of(
        slice_of(b->file + sst__properties_offset(f), (size_t)f->properties_bytes - TRAILER_BYTES));
    struct table_info *info = &b->info;
    struct slice smallest;
    struct slice largest;

    (void)read_u64(&r);
    info->entry_count = read_u64(&r);
    info->tombstone_count = read_u64(&r);
    info->expiring_count = read_u64(&r);
    info->raw_bytes = read_u64(&r);
    info->version_min = read_u64(&r);
    info->version_max = read_u64(&r);
    (void)read_u64(&r);
    smallest = read_string(&r);
    largest = read_string(&r);
    if (buf_append(&info->smallest, smallest) != ST_OK ||
        buf_append(&info->largest, largest) != ST_OK)
        return;
    put_u64le(b->file + sst__properties_offset(f), NUMBER);
}

static void
repair(struct bench *b, uint8_t choice)
{
    uint64_t footer = b->size - FOOTER_BYTES;
    struct sst_footer f;

    put_u64le(b->file + footer + 16, NUMBER);
    reseal(b, footer, FOOTER_BYTES);
    if (choice < 2 || sst__footer_decode(b->file + footer, NUMBER, footer, "", &f, NULL) != ST_OK)
        return;
    if (f.properties_bytes > TRAILER_BYTES + 8)
        believe_properties(b, &f);
    if (f.filter_bytes > 0)
        reseal(b, sst__filter_offset(&f), f.filter_bytes);
    reseal(b, sst__index_offset(&f), f.index_bytes);
    reseal(b, sst__properties_offset(&f), f.properties_bytes);
    if (choice > 2)
        reseal_data(b, &f);
}

static void
walk(struct table *t, bool fill_cache)
{
    const struct table_iter_options options = { TABLE_BLOCK, fill_cache };
    struct table_iter *it;
    enum status st = table_iter_create(t, &options, &it);
    int moves = 0;

    ASSERT(st == ST_OK);
    st = table_iter_first(it, NULL);
    while (st == ST_OK && moves++ < MOVES_MAX)
        st = table_iter_next(it, NULL);
    ASSERT(st != ST_WOULD_BLOCK);
    st = table_iter_last(it, NULL);
    while (st == ST_OK && moves++ < MOVES_MAX)
        st = table_iter_prev(it, NULL);
    if (table_iter_seek(it, slice_str("user:2"), 1, NULL) == ST_OK)
        st = table_iter_prev(it, NULL);
    st = table_iter_seek_before(it, slice_str("user:27"), VERSION_MAX, NULL);
    table_iter_destroy(it);
}

static void
read_table(struct bench *b)
{
    struct table_found found;
    struct table *t;

    if (table_open(b->env, "t.sst", &b->info, b->cache, NULL, &t, NULL) != ST_OK)
        return;
    if (table_get(t, slice_str("user:1"), VERSION_MAX, TABLE_BLOCK, &found, NULL) == ST_OK)
        cache_release(found.pin);
    walk(t, true);
    cache_drop_table(b->cache, NUMBER);
    walk(t, false);
    table_close(t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bench b = { .info = { .number = NUMBER, .seed = NUMBER } };
    enum status st;

    if (size < 1 + FOOTER_BYTES || size > SIZE_LIMIT)
        return 0;
    b.size = size - 1;
    b.file = mem_alloc(b.size);
    b.sim = sim_create(1);
    b.cache = cache_create(1 << 20, NULL);
    ASSERT(b.file != NULL && b.sim != NULL && b.cache != NULL);
    memcpy(b.file, data + 1, b.size);
    b.info.file_bytes = b.size;
    b.info.smallest = buf_empty(LIMIT_STORED_KEY_BYTES);
    b.info.largest = buf_empty(LIMIT_STORED_KEY_BYTES);
    if (data[0] % 4 > 0)
        repair(&b, data[0] % 4);
    b.info.checksum = hash64_seeded(slice_of(b.file, b.size), NUMBER);
    b.env = sim_boot(b.sim, NODE, 0);
    ASSERT(sim_disk_write(b.sim, NODE, "t.sst", slice_of(b.file, b.size)));
    read_table(&b);
    st = table_verify(b.env, "t.sst", &b.info, NULL, NULL, NULL);
    ASSERT(st == ST_OK || st == ST_CORRUPT || st == ST_INVALID);
    cache_destroy(b.cache);
    sim_end(b.sim, NODE);
    sim_destroy(b.sim);
    table_info_release(&b.info);
    mem_free(b.file);
    return 0;
}
