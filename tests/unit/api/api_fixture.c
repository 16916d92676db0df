#include "api_fixture.h"

#include "unit/test.h"

static const uint64_t start_ms = 1767225600000; /* where the simulated clock begins */

void
inn_init(struct inn *n, uint64_t seed)
{
    *n = (struct inn){ 0 };
    n->w = sim_create(seed);
    assert_non_null(n->w);
    engine_options_default(&n->engine);
    n->engine.dir = "data";
    n->engine.budget_bytes = 256 << 20;
    n->engine.segment_bytes = 64 << 20;
    n->engine.min_free_bytes = 1 << 20;
    n->engine.trees.memtable_bytes = 1 << 20;
    n->options = (struct api_options){
        .durability = DURABILITY_ALWAYS,
        .deadline_ms = 5000,
        .connections_max = 10000,
        .start_ms = start_ms,
        .version = "0.1.0-test",
    };
}

/* ------------------------------------------------------------------ the host */

static void
config_get(void *ctx, struct slice pattern,
           void (*fn)(void *fn_ctx, const char *name, const char *value), void *fn_ctx)
{
    struct inn *n = ctx;

    if (kv_glob(pattern, slice_str("test-setting")))
        fn(fn_ctx, "test-setting", n->setting);
    if (kv_glob(pattern, slice_str("port")))
        fn(fn_ctx, "port", "7379");
}

static enum status
config_set(void *ctx, struct slice name, struct slice value, struct err *err)
{
    struct inn *n = ctx;

    if (slice_equal(name, slice_str("port")))
        return ST_CONFLICT;
    if (slice_equal(name, slice_str("requirepass"))) {
        char text[64];

        snprintf(text, sizeof(text), "%.*s", (int)value.size, (const char *)value.data);
        api_set_password(n->api, text);
        return ST_OK;
    }
    if (!slice_equal(name, slice_str("test-setting")))
        return ST_NOT_FOUND;
    if (value.size >= sizeof(n->setting))
        return err_raise(err, ST_INVALID, "it is too long");
    memcpy(n->setting, value.data, value.size);
    n->setting[value.size] = '\0';
    return ST_OK;
}

static void
shut_down(void *ctx)
{
    struct inn *n = ctx;

    n->shutdown_asked = true;
}

/* ------------------------------------------------------------------ life */

static void
open_body(void *ctx)
{
    struct inn *n = ctx;
    struct loop *loops[NODE_LOOPS];
    struct kv_options options = {
        .loops = loops, .loop_count = NODE_LOOPS, .node_name = "test", .cluster = n->cluster
    };
    struct engine *engine = NULL;

    for (uint32_t i = 0; i < NODE_LOOPS; i++)
        loops[i] = sim_loop(n->w, NODE_ID, i);
    n->engine.loops = loops;
    n->engine.loop_count = NODE_LOOPS;
    n->options.loops = loops;
    n->options.loop_count = NODE_LOOPS;
    n->options.host = (struct api_host){
        .ctx = n, .config_get = config_get, .config_set = config_set, .shutdown = shut_down
    };
    n->status = engine_open(&engine, n->env, &n->engine, &n->err);
    if (n->status == ST_OK)
        n->status = kv_open(&n->kv, engine, &options, &n->err);
    if (n->status == ST_OK)
        n->status = api_create(&n->api, n->kv, n->env, &n->options, &n->err);
    if (n->status == ST_OK)
        n->status = api_open_door(n->api, API_DOOR_AUTO, "127.0.0.1", 0, &n->err);
    if (n->status == ST_OK)
        n->status = api_open_door(n->api, API_DOOR_LINE, "127.0.0.1", 0, &n->err);
}

void
inn_open(struct inn *n)
{
    n->env = sim_boot(n->w, NODE_ID, NODE_LOOPS);
    EXPECT(sim_call(n->w, NODE_ID, open_body, n));
    if (n->status != ST_OK)
        print_error("%s\n", n->err.text);
    EXPECT_OK(n->status);
    n->port = api_door_port(n->api, API_DOOR_AUTO);
    n->line_port = api_door_port(n->api, API_DOOR_LINE);
}

static void
raise_flag(void *ctx)
{
    struct inn *n = ctx;

    n->flag = true;
}

static void
drain_api(void *ctx)
{
    struct inn *n = ctx;

    n->flag = false;
    api_drain(n->api, 10000, raise_flag, n);
}

static void
drain_kv(void *ctx)
{
    struct inn *n = ctx;

    n->flag = false;
    kv_drain(n->kv, raise_flag, n);
}

static void
close_body(void *ctx)
{
    struct inn *n = ctx;

    api_destroy(n->api);
    n->status = kv_close(n->kv, &n->err);
}

void
inn_close(struct inn *n)
{
    sim_on_loop(n->w, NODE_ID, 0, drain_api, n);
    EXPECT(sim_run_until(n->w, &n->flag, NODE_PATIENCE_MS));
    sim_on_loop(n->w, NODE_ID, 0, drain_kv, n);
    EXPECT(sim_run_until(n->w, &n->flag, NODE_PATIENCE_MS));
    sim_end_loops(n->w, NODE_ID);
    EXPECT(sim_call(n->w, NODE_ID, close_body, n));
    EXPECT_OK(n->status);
    sim_end(n->w, NODE_ID);
}

void
inn_crash(struct inn *n)
{
    sim_crash(n->w, NODE_ID);
}

void
inn_release(struct inn *n)
{
    sim_destroy(n->w);
}

/* ------------------------------------------------------------------ clients */

struct client
client_connect(struct inn *n)
{
    struct client c = { n->w, sim_connect(n->w, NODE_ID, n->port) };

    assert_non_null(c.c);
    return c;
}

struct client
client_connect_line(struct inn *n)
{
    struct client c = { n->w, sim_connect(n->w, NODE_ID, n->line_port) };

    assert_non_null(c.c);
    return c;
}
