#include "engine/engine_internal.h"

static void
add_tree(void *ctx, struct engine_tree *tree)
{
    struct lsm_stats *sum = ctx;
    struct lsm_stats s = { 0 };

    lsm_stats(tree->lsm, &s);
    for (int i = 0; i < LIMIT_LEVELS; i++) {
        sum->tables[i] += s.tables[i];
        sum->bytes[i] += s.bytes[i];
    }
    sum->entries += s.entries;
    sum->tombstones += s.tombstones;
    sum->memtable_bytes += s.memtable_bytes;
    sum->sealed_count += s.sealed_count;
    sum->gets += s.gets;
    sum->tables_read += s.tables_read;
    sum->filter_skips += s.filter_skips;
    sum->filter_passes += s.filter_passes;
    sum->filter_false += s.filter_false;
    sum->flushes += s.flushes;
    sum->compactions += s.compactions;
    sum->keys_removed += s.keys_removed;
    sum->bytes_reclaimed += s.bytes_reclaimed;
    if (s.last_compaction_ms > sum->last_compaction_ms)
        sum->last_compaction_ms = s.last_compaction_ms;
    sum->bytes_applied += s.bytes_applied;
    sum->bytes_written += s.bytes_written;
    sum->bottom_bytes += s.bottom_bytes;
}

void
engine_stats(struct engine *e, struct engine_stats *out)
{
    *out = (struct engine_stats){ 0 };
    engine_each_tree(e, add_tree, &out->trees);
    cache_count(e->blocks, &out->blocks);
    out->record_cache_hits = record_cache_hits(e->records);
    out->record_cache_bytes = record_cache_bytes(e->records);
    engine_log_count(e, &out->log);
    out->recovery = e->recovery;
    out->open_tables = readers_open_count(e->readers);
    out->log_retained_bytes = wal_retained_bytes(e->log);
    out->room = engine_room(e);
    out->space = engine_space(e);
    out->budget_used = budget_used(&e->budget);
    out->budget_limit = e->options.budget_bytes;
    for (int i = 0; i < ENGINE_STALL_COUNT; i++) {
        out->stall_count[i] = atomic_load(&e->stall_count[i]);
        out->stall_ns[i] = atomic_load(&e->stall_ns[i]);
    }
}
