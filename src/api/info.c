/*
 * INFO: the node's figures under the names that Redis gave them, for the tools
 * that look for them there.  What has no meaning here is left out.
 */
#include <inttypes.h>

#include "api/api_internal.h"
#include "api/redis.h"
#include "api/slots.h"

struct info {
    struct session *session;
    struct api *api;
    struct kv_stats stats;
    struct buf *out;
};

typedef enum status section_fn(const struct info *info);

struct section {
    const char *name;
    section_fn *put;
};

static uint64_t
uptime_seconds(const struct info *info)
{
    uint64_t now_ms = env_wall_ms(info->api->env);
    uint64_t start_ms = info->api->options.start_ms;

    return now_ms > start_ms ? (now_ms - start_ms) / 1000 : 0;
}

static bool
is_cluster(const struct info *info)
{
    return slots_in_cluster(info->session->reactor->door);
}

static enum status
put_server(const struct info *info)
{
    uint64_t up = uptime_seconds(info);
    uint64_t now_ms = env_wall_ms(info->api->env);

    return buf_printf(info->out,
                      "# Server\r\nredis_version:%s\r\nredis_mode:%s\r\n"
                      "distkv_version:%s\r\narch_bits:%zu\r\nrun_id:%016" PRIx64 "\r\n"
                      "tcp_port:%u\r\nserver_time_usec:%" PRIu64 "\r\nuptime_in_seconds:%" PRIu64
                      "\r\nuptime_in_days:%" PRIu64 "\r\nnode_name:%s\r\n",
                      API_REDIS_VERSION, is_cluster(info) ? "cluster" : "standalone",
                      info->api->version, sizeof(void *) * 8, kv_node_id(info->api->kv),
                      api_door_port(info->api, API_DOOR_AUTO), now_ms * 1000, up, up / 86400,
                      kv_node_name(info->api->kv));
}

static enum status
put_clients(const struct info *info)
{
    return buf_printf(info->out,
                      "# Clients\r\nconnected_clients:%" PRIu32 "\r\nmaxclients:%" PRIu32
                      "\r\nblocked_clients:0\r\n",
                      atomic_load(&info->api->connections), info->api->options.connections_max);
}

static enum status
put_memory(const struct info *info)
{
    const struct engine_stats *engine = &info->stats.engine;

    return buf_printf(info->out,
                      "# Memory\r\nused_memory:%zu\r\nmaxmemory:%zu\r\n"
                      "maxmemory_policy:noeviction\r\nmemtable_bytes:%zu\r\n"
                      "block_cache_bytes:%zu\r\nrecord_cache_bytes:%zu\r\n",
                      engine->budget_used, engine->budget_limit, engine->trees.memtable_bytes,
                      engine->blocks.bytes, engine->record_cache_bytes);
}

static enum status
put_persistence(const struct info *info)
{
    const struct api *a = info->api;

    return buf_printf(
        info->out,
        "# Persistence\r\nloading:0\r\nrdb_bgsave_in_progress:%d\r\n"
        "rdb_last_save_time:%" PRIu64 "\r\nrdb_last_bgsave_status:%s\r\naof_enabled:1\r\n"
        "aof_last_write_status:%s\r\nlog_retained_bytes:%" PRIu64 "\r\nlog_syncs:%" PRIu64 "\r\n",
        atomic_load(&a->saving), atomic_load(&a->last_save_ms) / 1000,
        atomic_load(&a->last_save_failed) ? "err" : "ok",
        kv_writable(a->kv) == ST_OK ? "ok" : "err", info->stats.engine.log_retained_bytes,
        info->stats.engine.log.syncs);
}

static enum status
put_stats(const struct info *info)
{
    struct api_figures figures;

    api_figures(info->api, &figures);
    return buf_printf(info->out,
                      "# Stats\r\ntotal_connections_received:%" PRIu64
                      "\r\ntotal_commands_processed:%" PRIu64 "\r\ntotal_net_input_bytes:%" PRIu64
                      "\r\ntotal_net_output_bytes:%" PRIu64 "\r\nrejected_connections:%" PRIu64
                      "\r\nkeyspace_hits:%" PRIu64 "\r\nkeyspace_misses:%" PRIu64
                      "\r\nexpired_keys:0\r\nevicted_keys:0\r\ntotal_error_replies:%" PRIu64
                      "\r\nputs:%" PRIu64 "\r\ngets:%" PRIu64 "\r\ndeletes:%" PRIu64 "\r\n",
                      figures.accepted, figures.commands, figures.bytes_in, figures.bytes_out,
                      figures.refused, figures.hits, figures.misses, figures.errors,
                      info->stats.puts, info->stats.gets, info->stats.deletes);
}

static enum status
put_replication(const struct info *info)
{
    return buf_printf(info->out, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n");
}

static enum status
put_cpu(const struct info *info)
{
    const struct api_host *host = &info->api->options.host;
    double user, system;

    if (host->cpu_seconds == NULL)
        return buf_append(info->out, slice_str("# CPU\r\n"));
    host->cpu_seconds(host->ctx, &user, &system);
    return buf_printf(info->out, "# CPU\r\nused_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\n", system,
                      user);
}

static enum status
put_cluster(const struct info *info)
{
    return buf_printf(info->out, "# Cluster\r\ncluster_enabled:%d\r\n", is_cluster(info));
}

static enum status
put_keyspace(const struct info *info)
{
    struct kv_door *door = info->session->reactor->door;
    enum status st = buf_printf(info->out, "# Keyspace\r\n");

    for (uint32_t i = 0; i < LIMIT_DATABASES && st == ST_OK; i++) {
        uint32_t keyspace;
        uint64_t keys = 0;

        if (kv_database(door, i, &keyspace) == ST_OK)
            keys = kv_keys_estimate(door, keyspace);
        if (keys > 0)
            st = buf_printf(info->out, "db%u:keys=%" PRIu64 ",expires=0,avg_ttl=0\r\n", i, keys);
    }
    return st;
}

static const struct section sections[] = {
    { "server", put_server },     { "clients", put_clients },
    { "memory", put_memory },     { "persistence", put_persistence },
    { "stats", put_stats },       { "replication", put_replication },
    { "cpu", put_cpu },           { "cluster", put_cluster },
    { "keyspace", put_keyspace },
};

static bool
is_wanted(const struct section *section, const struct slice *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (arg_is(names[i], section->name) || arg_is(names[i], "all") ||
            arg_is(names[i], "everything") || arg_is(names[i], "default"))
            return true;
    }
    return count == 0;
}

enum status
info_text(struct session *s, const struct slice *names, uint32_t count, struct buf *out)
{
    struct info info = { .session = s, .api = s->reactor->api, .out = out };
    enum status st = ST_OK;

    kv_stats(info.api->kv, &info.stats);
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]) && st == ST_OK; i++) {
        if (!is_wanted(&sections[i], names, count))
            continue;
        if (out->size > 0)
            st = buf_append(out, slice_str("\r\n"));
        if (st == ST_OK)
            st = sections[i].put(&info);
    }
    return st;
}
