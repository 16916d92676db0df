/*
 * DistKV, through include/distkv/distkv.h.  Only is_busy() looks behind it: a
 * measurement must know when the background work is done.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/store_internal.h"
#include "opponent.h"

enum { VALUE_ROOM = 4096 };

static void
must(enum dkv_status status, const struct dkv_error *error)
{
    if (status == DKV_OK)
        return;
    fprintf(stderr, "bench_engine: DistKV: %s\n", error->text);
    exit(1);
}

/* The budget holds the caches, three memtables in its half of it, and filters and indexes. */
static void *
open_distkv(const struct opponent_options *o)
{
    enum dkv_compression compression = o->lz4 ? DKV_LZ4 : DKV_PLAIN;
    struct dkv_options options = {
        .memory_budget_bytes = o->cache_bytes + (size_t)6 * MEMTABLE_BYTES,
        .block_cache_bytes = o->cache_bytes / 3 * 2,
        .record_cache_bytes = o->cache_bytes / 3,
        .memtable_bytes = MEMTABLE_BYTES,
        .no_bloom = !o->filter,
        .compression = compression,
        .compression_last = compression,
    };
    struct dkv_error error;
    struct dkv *db = NULL;

    must(dkv_open(&db, o->dir, &options, &error), &error);
    return db;
}

static void
close_distkv(void *store)
{
    struct dkv_error error;

    must(dkv_close(store, &error), &error);
}

static void
put_distkv(void *store, struct slice key, struct slice value, bool sync)
{
    struct dkv_write_options options = { .sync = sync ? DKV_SYNC_ALWAYS : DKV_SYNC_NONE };
    struct dkv_error error;

    must(dkv_put(store, NULL, key.data, key.size, value.data, value.size, &options, &error),
         &error);
}

static bool
get_distkv(void *store, struct slice key)
{
    uint8_t room[VALUE_ROOM];
    struct dkv_error error;
    size_t size = 0;
    enum dkv_status status =
        dkv_get_into(store, NULL, NULL, key.data, key.size, room, sizeof(room), &size, &error);

    if (status == DKV_NOT_FOUND)
        return false;
    must(status, &error);
    return size > 0;
}

static void
flush_distkv(void *store)
{
    struct dkv_error error;

    must(dkv_flush(store, &error), &error);
}

static bool
is_busy_distkv(void *store)
{
    struct dkv *db = store;
    struct engine *e = db->engine;
    struct lsm *tree = store__family(db, NULL)->lsm;
    bool running;

    lock_take(&e->lock);
    running = e->flush_running || e->compact_running;
    lock_drop(&e->lock);
    return running || lsm_flush_due(tree) || lsm_compact_score(tree) > 0;
}

const struct opponent opponent_distkv = {
    .name = "DistKV",
    .open = open_distkv,
    .close = close_distkv,
    .put = put_distkv,
    .get = get_distkv,
    .flush = flush_distkv,
    .is_busy = is_busy_distkv,
};
