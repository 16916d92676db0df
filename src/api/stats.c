/* The node's figures as one line of JSON. */
#include <inttypes.h>

#include "base/log.h"

#include "api/api_internal.h"

/* A ratio, or 0 where there is nothing to divide by. */
static double
ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* A JSON string.  Names are short; what is no plain ASCII is escaped byte by byte. */
static enum status
put_string(struct buf *out, const char *text)
{
    enum status st = buf_append(out, slice_str("\""));

    for (const char *at = text; *at != '\0' && st == ST_OK; at++) {
        unsigned char c = (unsigned char)*at;

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            st = buf_printf(out, "\\u%04x", c);
        else
            st = buf_append(out, slice_of(at, 1));
    }
    return st == ST_OK ? buf_append(out, slice_str("\"")) : st;
}

static enum status
put_identity(struct api *a, const struct kv_stats *stats, struct buf *out)
{
    uint64_t now_ms = env_wall_ms(a->env);
    uint64_t start_ms = a->options.start_ms;
    char start[LOG_TIME_BYTES];
    enum status st =
        buf_printf(out,
                   "{\"puts\":%" PRIu64 ",\"gets\":%" PRIu64 ",\"deletes\":%" PRIu64
                   ",\"wal_replays\":%" PRIu64 ",\"start_time\":\"%s\",\"uptime_seconds\":%" PRIu64
                   ",\"node_id\":\"%016" PRIx64 "\",\"node_name\":",
                   stats->puts, stats->gets, stats->deletes, stats->engine.recovery.record_count,
                   log_time(start_ms, start), now_ms > start_ms ? (now_ms - start_ms) / 1000 : 0,
                   kv_node_id(a->kv));

    if (st == ST_OK)
        st = put_string(out, kv_node_name(a->kv));
    if (st == ST_OK)
        st = buf_printf(out, ",\"version\":");
    return st == ST_OK ? put_string(out, a->version) : st;
}

static enum status
put_tables(const struct lsm_stats *trees, struct buf *out)
{
    enum status st = buf_printf(out, ",\"tables_per_level\":[");

    for (int i = 0; i < LIMIT_LEVELS && st == ST_OK; i++)
        st = buf_printf(out, "%s%" PRIu32, i > 0 ? "," : "", trees->tables[i]);
    return st == ST_OK ? buf_printf(out, "]") : st;
}

static enum status
put_compactions(const struct lsm_stats *trees, struct buf *out)
{
    char last[LOG_TIME_BYTES];
    enum status st = buf_printf(out,
                                ",\"compactions\":%" PRIu64 ",\"keys_removed\":%" PRIu64
                                ",\"bytes_reclaimed\":%" PRIu64 ",\"last_compaction\":",
                                trees->compactions, trees->keys_removed, trees->bytes_reclaimed);

    if (st != ST_OK)
        return st;
    if (trees->last_compaction_ms == 0)
        return buf_printf(out, "null");
    return buf_printf(out, "\"%s\"", log_time(trees->last_compaction_ms, last));
}

/* What the tables take on disk, by what the lowest level of each tree does: no key is twice in that. */
static double
space_amplification(const struct kv_stats *stats)
{
    const struct lsm_stats *trees = &stats->engine.trees;
    double bytes = 0;

    for (int i = 0; i < LIMIT_LEVELS; i++)
        bytes += (double)trees->bytes[i];
    return ratio(bytes, (double)trees->bottom_bytes);
}

static enum status
put_ratios(const struct kv_stats *stats, struct buf *out)
{
    const struct lsm_stats *trees = &stats->engine.trees;
    double hits = (double)trees->filter_skips;
    double misses = (double)trees->filter_passes;
    double written = (double)stats->engine.log.bytes + (double)trees->bytes_written;

    return buf_printf(out,
                      ",\"bloom_hits\":%" PRIu64 ",\"bloom_misses\":%" PRIu64
                      ",\"bloom_hit_rate\":%.6f,\"read_amplification\":%.6f"
                      ",\"write_amplification\":%.6f,\"space_amplification\":%.6f",
                      trees->filter_skips, trees->filter_passes, ratio(hits, hits + misses),
                      ratio((double)trees->tables_read, (double)trees->gets),
                      ratio(written, (double)trees->bytes_applied), space_amplification(stats));
}

static enum status
put_sizes(const struct kv_stats *stats, struct buf *out)
{
    return buf_printf(out,
                      ",\"num_keys\":%" PRIu64 ",\"num_keys_is_estimate\":true"
                      ",\"memtable_size_bytes\":%zu",
                      stats->keys_estimate, stats->engine.trees.memtable_bytes);
}

static enum status
put_node(struct api *a, const struct engine_stats *engine, struct buf *out)
{
    return buf_printf(out,
                      ",\"connections\":%" PRIu32 ",\"budget_used_bytes\":%zu"
                      ",\"budget_limit_bytes\":%zu,\"free_disk_bytes\":%" PRIu64 "}",
                      atomic_load(&a->connections), engine->budget_used, engine->budget_limit,
                      engine->room.free_bytes);
}

enum status
api_stats_json(struct api *a, struct buf *out)
{
    struct kv_stats stats;
    enum status st;

    kv_stats(a->kv, &stats);
    st = put_identity(a, &stats, out);
    if (st == ST_OK)
        st = put_sizes(&stats, out);
    if (st == ST_OK)
        st = put_tables(&stats.engine.trees, out);
    if (st == ST_OK)
        st = put_ratios(&stats, out);
    if (st == ST_OK)
        st = put_compactions(&stats.engine.trees, out);
    return st == ST_OK ? put_node(a, &stats.engine, out) : st;
}
