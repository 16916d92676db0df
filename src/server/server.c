/*
 * A node's process, from the bottom up and down again.
 *
 *      env ── certificates ── engine ── kv ── api        opened in this order, closed in the other
 *
 *      stop    kv_hand_over ──> api_drain ──> kv_drain ──> the loops end ──> api, kv (engine) closed ──> exit 0
 *
 * A stop that is asked for twice does not wait any longer for slow clients.
 */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

#include "api/api.h"
#include "env/real.h"
#include "kv/kv.h"
#include "server/certificates.h"
#include "server/descriptors.h"
#include "server/membership.h"
#include "server/tuning.h"

enum {
    DRAIN_MS = 10000,
    HELP_BYTES_MAX = 64 << 10,
};

struct server {
    struct config *config;
    struct tuning tuning;
    struct env *env;
    struct loop *loops[LIMIT_REACTORS];
    uint32_t loop_count;
    struct descriptors share; /* of what `config` wants, which stays as it was given */
    struct certificates certificates;
    struct kv *kv;
    struct api *api;
    struct membership membership;
    bool stopping;
    bool handed_over;
    bool hurries; /* it was asked to stop twice */
    bool refused; /* by the cluster that it was to join */
    struct err refusal;
    struct task stop_task;
};

const char *
distkv_version(void)
{
    return "0.1.0";
}

/* ------------------------------------------------------------------ stopping and reloading */

static void
kv_is_drained(void *ctx)
{
    struct server *s = ctx;

    real_env_stop(s->env);
}

static void
api_is_drained(void *ctx)
{
    struct server *s = ctx;

    kv_drain(s->kv, kv_is_drained, s);
}

static void
is_handed_over(void *ctx)
{
    struct server *s = ctx;

    s->handed_over = true;
    api_drain(s->api, s->hurries ? 0 : DRAIN_MS, api_is_drained, s);
}

static void
begin_stop(struct server *s, const char *cause)
{
    if (s->stopping) {
        s->hurries = true;
        if (s->handed_over)
            api_drain_now(s->api);
        return;
    }
    s->stopping = true;
    log_event(LOG_INFO, "server.stopping", log_str("cause", cause));
    kv_hand_over(s->kv, is_handed_over, s);
}

static void
on_signal(void *ctx, int signal)
{
    struct server *s = ctx;

    if (signal == SIGHUP) {
        tuning_reload(&s->tuning);
        certificates_reload(&s->certificates, s->loops[0]);
    } else {
        begin_stop(s, signal == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

/* ------------------------------------------------------------------ what the sessions ask of us */

static void
host_config_get(void *ctx, struct slice pattern,
                void (*fn)(void *fn_ctx, const char *name, const char *value), void *fn_ctx)
{
    const struct server *s = ctx;

    tuning_each(&s->tuning, pattern, fn, fn_ctx);
}

static enum status
host_config_set(void *ctx, struct slice name, struct slice value, struct err *err)
{
    struct server *s = ctx;

    return tuning_set(&s->tuning, name, value, err);
}

static double
seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void
host_cpu_seconds(void *ctx, double *user, double *system)
{
    struct rusage usage = { 0 };

    (void)ctx;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        usage = (struct rusage){ 0 };
    *user = seconds_of(usage.ru_utime);
    *system = seconds_of(usage.ru_stime);
}

static void
host_shutdown(void *ctx)
{
    begin_stop(ctx, "SHUTDOWN");
}

static void
stop_task(struct task *task)
{
    begin_stop(container_of(task, struct server, stop_task), "asked for");
}

void
server_stop(struct server *s)
{
    s->stop_task.run = stop_task;
    loop_post(s->loops[0], &s->stop_task);
}

/* ------------------------------------------------------------------ opening */

static void
engine_options_of(struct server *s, struct engine_options *o)
{
    const struct config *c = s->config;

    engine_options_default(o);
    o->dir = c->data_dir;
    o->kind = ENGINE_SERVER;
    o->of_no_cluster = c->join != NULL;
    o->budget_bytes = c->memory_budget;
    o->record_cache_bytes = c->record_cache;
    o->block_cache_bytes = c->block_cache;
    o->segment_bytes = c->log_segment;
    o->log_bytes_max = c->log_retained_max;
    o->sync_interval_ms = (uint32_t)c->sync_interval_ms;
    o->min_free_bytes = c->min_free_bytes;
    o->open_tables_max = (uint32_t)s->share.tables;
    o->trees.memtable_bytes = c->memtable;
    o->trees.l0_trigger = (uint32_t)c->l0_trigger;
    o->trees.level_base_bytes = c->level_base;
    o->trees.level_multiplier = (uint32_t)c->level_multiplier;
    o->trees.table_bytes = c->table_bytes;
    o->trees.compact_wait_ms = (uint32_t)c->compaction_wait_ms;
    o->trees.tables.filter_bits_per_key = (uint32_t)c->bloom_bits;
    o->trees.tables.compression = (enum table_compression)c->compression;
    o->trees.last_level_compression = (enum table_compression)c->compression_last;
    o->loops = s->loops;
    o->loop_count = s->loop_count;
}

static uint32_t
count_loops(const struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t count = c->threads;

    if (count == 0)
        count = cores < 1 ? 1 : (uint64_t)cores;
    return count < LIMIT_REACTORS ? (uint32_t)count : LIMIT_REACTORS;
}

static enum status
claim_descriptors(struct server *s, struct err *err)
{
    struct descriptors wanted = { .connections = s->config->connections_max,
                                  .tables = s->config->open_tables };

    return descriptors_claim(s->loop_count, &wanted, &s->share, err);
}

static enum status
open_env(struct server *s, struct err *err)
{
    struct real_env_options options = { .loop_count = s->loop_count };
    enum status st = real_env_create(&options, &s->env, err);

    for (uint32_t i = 0; i < s->loop_count && st == ST_OK; i++)
        s->loops[i] = real_env_loop(s->env, i);
    return st;
}

/* The cluster will not have us: there is nothing to be done here. */
static void
on_refused(void *ctx, const struct err *err)
{
    struct server *s = ctx;

    s->refused = true;
    s->refusal = *err;
    begin_stop(s, "the cluster's refusal");
}

static enum status
open_kv(struct server *s, struct err *err)
{
    struct kv_options options = { .loops = s->loops, .loop_count = s->loop_count };
    struct engine_options engine_options;
    struct engine *engine = NULL;
    struct kv_member member;
    enum status st;

    membership_of(s->config, &s->membership, &member);
    member.carrier = s->certificates.carrier;
    member.refused = on_refused;
    member.ctx = s;
    options.node_name = s->membership.name;
    options.member = &member;
    engine_options_of(s, &engine_options);
    st = engine_open(&engine, s->env, &engine_options, err);
    return st == ST_OK ? kv_open(&s->kv, engine, &options, err) : st;
}

/* The most common way for a start to fail says what to do about it. */
static enum status
open_door(struct server *s, enum api_door kind, uint64_t port, struct err *err)
{
    enum status st = api_open_door(s->api, kind, s->config->bind, (uint16_t)port, err);

    if (st != ST_OK && err->sys == EADDRINUSE) {
        return err_raise(err, st, "port %llu of %s is in use; choose another one with --%sport",
                         (unsigned long long)port, s->config->bind,
                         kind == API_DOOR_LINE ? "line-" : "");
    }
    return st;
}

static enum status
open_api(struct server *s, struct err *err)
{
    const struct config *c = s->config;
    struct api_options options = {
        .loops = s->loops,
        .loop_count = s->loop_count,
        .password = c->password,
        .durability = (enum durability)c->sync,
        .deadline_ms = (uint32_t)c->deadline_ms,
        .moved = c->redis_moved != 0,
        .connections_max = (uint32_t)s->share.connections,
        .idle_ms_max = (uint32_t)c->idle_timeout_ms,
        .start_ms = env_wall_ms(s->env),
        .version = distkv_version(),
        .host = { .ctx = s,
                  .config_get = host_config_get,
                  .config_set = host_config_set,
                  .shutdown = host_shutdown,
                  .cpu_seconds = host_cpu_seconds },
    };
    enum status st = api_create(&s->api, s->kv, s->env, &options, err);

    if (st == ST_OK)
        st = open_door(s, API_DOOR_AUTO, c->port, err);
    if (st == ST_OK && c->line_port != 0)
        st = open_door(s, API_DOOR_LINE, c->line_port, err);
    return st;
}

static enum status
watch_signals(struct server *s, struct err *err)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    enum status st = ST_OK;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && st == ST_OK; i++)
        st = real_env_on_signal(s->env, signals[i], on_signal, s, err);
    return st;
}

enum status
server_close(struct server *s, struct err *err)
{
    enum status st = ST_OK;

    api_destroy(s->api);
    if (s->kv != NULL)
        st = kv_close(s->kv, err);
    if (s->env != NULL)
        real_env_destroy(s->env);
    certificates_close(&s->certificates);
    mem_free(s);
    return st;
}

enum status
server_open(struct server **out, struct config *config, int argc, char **argv, bool signals,
            struct err *err)
{
    struct server *s = mem_new(struct server);
    struct err ignored;
    enum status st;

    if (s == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    s->config = config;
    s->tuning = (struct tuning){ .config = config, .argc = argc, .argv = argv };
    tuning_apply(&s->tuning);
    s->loop_count = count_loops(config);
    st = claim_descriptors(s, err);
    if (st == ST_OK)
        st = open_env(s, err);
    if (st == ST_OK && signals)
        st = watch_signals(s, err);
    if (st == ST_OK)
        st = certificates_open(&s->certificates, s->env, config, err);
    if (st == ST_OK)
        st = open_kv(s, err);
    if (st == ST_OK)
        st = open_api(s, err);
    if (st != ST_OK) {
        (void)server_close(s, &ignored);
        return st;
    }
    s->tuning.kv = s->kv;
    s->tuning.api = s->api;
    tuning_apply(&s->tuning);
    *out = s;
    return ST_OK;
}

uint16_t
server_port(const struct server *s)
{
    return api_door_port(s->api, API_DOOR_AUTO);
}

enum status
server_serve(struct server *s, struct err *err)
{
    return real_env_run(s->env, err);
}

static void
say_ready(const struct server *s)
{
    const struct config *c = s->config;

    log_event(LOG_INFO, "server.ready", log_str("version", distkv_version()),
              log_str("address", c->bind), log_u64("port", server_port(s)),
              log_str("data_dir", c->data_dir), log_u64("threads", s->loop_count),
              log_u64("node", kv_node_id(s->kv)), log_u64("pid", (uint64_t)getpid()));
}

/* Plainly, and at any log level: somebody waits for it to start.  Of damage, what can be done about it, too. */
static void
say_why_not(const struct config *c, enum status st, const struct err *err)
{
    fprintf(stderr, "distkv server: %s", err->text);
    if (st == ST_CORRUPT) {
        fprintf(
            stderr,
            "; damage, of which `distkv check %s` says all.  If other nodes of its cluster have the data, put "
            "the directory aside and start with an empty one, --join and another --node-name",
            c->data_dir);
    }
    fputc('\n', stderr);
}

/* 0 after a graceful stop, 1 after a failure, which is told on standard error. */
static int
run(struct config *config, int argc, char **argv)
{
    struct server *s = NULL;
    struct err err = { 0 };
    struct err close_err = { 0 };
    enum status st;

    st = server_open(&s, config, argc, argv, true, &err);
    if (st != ST_OK) {
        say_why_not(config, st, &err);
        return 1;
    }
    ASSERT(s != NULL);
    say_ready(s);
    st = server_serve(s, &err);
    if (st != ST_OK)
        log_event(LOG_ERROR, "server.failed", log_err(&err));
    if (s->refused) {
        fprintf(stderr, "distkv server: %s\n", s->refusal.text);
        st = s->refusal.code;
    }
    if (server_close(s, &close_err) != ST_OK) {
        log_event(LOG_ERROR, "server.close_failed", log_err(&close_err));
        st = close_err.code;
    }
    if (st == ST_OK)
        log_event(LOG_INFO, "server.stopped", log_str("data_dir", config->data_dir));
    return st == ST_OK ? 0 : 1;
}

static int
print_help(void)
{
    struct buf text = buf_empty(HELP_BYTES_MAX);

    printf("usage: distkv server [--config FILE] [--NAME VALUE]...\n\n"
           "Runs a node until SIGTERM or SIGINT; SIGHUP reloads what is marked (reloadable).\n"
           "Each setting is also a key of the INI file, and a variable DISTKV_NAME.\n\n");
    if (config_help(&text) == ST_OK)
        fwrite(text.data, 1, text.size, stdout);
    buf_release(&text);
    return 0;
}

int
server_main(int argc, char **argv)
{
    struct config config;
    struct err err = { 0 };
    enum status st;
    int code;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return print_help();
    }
    mem_tune_process();
    st = config_init(&config, &err);
    if (st == ST_OK)
        st = config_load(&config, argc, argv, &err);
    if (st == ST_OK)
        st = config_check(&config, &err);
    if (st != ST_OK) {
        fprintf(stderr, "distkv server: %s\n", err.text);
        config_release(&config);
        return 2;
    }
    code = run(&config, argc, argv);
    config_release(&config);
    return code;
}
