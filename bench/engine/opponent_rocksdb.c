/*
 * RocksDB, through its C API.
 *
 * Stock is what rocksdb_options_create() gives (Snappy, no filter), but for the
 * size of the block cache, which is the same for all.  Tuned: a filter of 10
 * bits for each key, no compression or LZ4, the same memtables as DistKV.  Reads
 * use the pinned form, which copies nothing.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#include "opponent.h"

#define BITS_PER_KEY 10.0

struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_writeoptions_t *write_synced;
    rocksdb_flushoptions_t *flush;
};

const char *
rocksdb_version(void)
{
    return BENCH_ROCKSDB_VERSION;
}

static void
must(const char *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_engine: RocksDB: %s\n", error);
    exit(1);
}

/* The table options and the filter belong to the options from here on. */
static void
set_options(struct rocks *r, const struct opponent_options *o)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

    rocksdb_options_set_create_if_missing(r->options, 1);
    rocksdb_block_based_options_set_block_cache(table, r->cache);
    if (o->filter)
        rocksdb_block_based_options_set_filter_policy(
            table, rocksdb_filterpolicy_create_bloom_full(BITS_PER_KEY));
    if (!o->stock) {
        rocksdb_options_set_compression(r->options,
                                        o->lz4 ? rocksdb_lz4_compression : rocksdb_no_compression);
        rocksdb_options_set_write_buffer_size(r->options, MEMTABLE_BYTES);
        rocksdb_options_set_max_write_buffer_number(r->options, 3);
    }
    rocksdb_options_set_manual_wal_flush(r->options, 0);
    rocksdb_options_set_block_based_table_factory(r->options, table);
    rocksdb_block_based_options_destroy(table);
}

static void *
open_rocks(const struct opponent_options *o)
{
    struct rocks *r = mem_new(struct rocks);
    char *error = NULL;

    if (r == NULL)
        must("out of memory");
    r->cache = rocksdb_cache_create_lru(o->cache_bytes);
    r->options = rocksdb_options_create();
    set_options(r, o);
    r->read = rocksdb_readoptions_create();
    r->write = rocksdb_writeoptions_create();
    r->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_synced, 1);
    r->flush = rocksdb_flushoptions_create();
    r->db = rocksdb_open(r->options, o->dir, &error);
    must(error);
    return r;
}

static void
close_rocks(void *store)
{
    struct rocks *r = store;

    rocksdb_close(r->db);
    rocksdb_flushoptions_destroy(r->flush);
    rocksdb_writeoptions_destroy(r->write_synced);
    rocksdb_writeoptions_destroy(r->write);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_options_destroy(r->options);
    rocksdb_cache_destroy(r->cache);
    mem_free(r);
}

static void
put_rocks(void *store, struct slice key, struct slice value, bool sync)
{
    struct rocks *r = store;
    char *error = NULL;

    rocksdb_put(r->db, sync ? r->write_synced : r->write, (const char *)key.data, key.size,
                (const char *)value.data, value.size, &error);
    must(error);
}

static bool
get_rocks(void *store, struct slice key)
{
    struct rocks *r = store;
    char *error = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned(r->db, r->read, (const char *)key.data, key.size, &error);
    size_t size = 0;

    must(error);
    if (found == NULL)
        return false;
    (void)rocksdb_pinnableslice_value(found, &size);
    rocksdb_pinnableslice_destroy(found);
    return size > 0;
}

static void
flush_rocks(void *store)
{
    struct rocks *r = store;
    char *error = NULL;

    rocksdb_flush(r->db, r->flush, &error);
    must(error);
}

static bool
is_busy_rocks(void *store)
{
    static const char *const work[] = {
        "rocksdb.mem-table-flush-pending",
        "rocksdb.num-running-flushes",
        "rocksdb.compaction-pending",
        "rocksdb.num-running-compactions",
    };
    struct rocks *r = store;

    for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++) {
        uint64_t n = 0;

        if (rocksdb_property_int(r->db, work[i], &n) == 0 && n > 0)
            return true;
    }
    return false;
}

const struct opponent opponent_rocksdb = {
    .name = "RocksDB",
    .open = open_rocks,
    .close = close_rocks,
    .put = put_rocks,
    .get = get_rocks,
    .flush = flush_rocks,
    .is_busy = is_busy_rocks,
};
