/*
 * A whole node against one client that may say anything: the first byte
 * chooses the door and in what pieces the others arrive.  The node must neither
 * crash nor forget anything, and another client must be served all the while.
 */
/* LINKS: api simenv */
#include "base/assert.h"

#include "api/api.h"
#include "engine/engine.h"
#include "fuzz/fuzz.h"
#include "simenv/simenv.h"

enum { NODE = 1, LOOPS = 2, PATIENCE_MS = 60000, INPUT_BYTES_MAX = 1 << 16, MB = 1 << 20 };

struct world {
    struct sim *w;
    struct env *env;
    struct kv *kv;
    struct api *api;
    enum status status;
    bool flag;
};

static void
open_body(void *ctx)
{
    struct world *x = ctx;
    struct loop *loops[LOOPS] = { sim_loop(x->w, NODE, 0), sim_loop(x->w, NODE, 1) };
    struct kv_options kv = { .loops = loops, .loop_count = LOOPS, .node_name = "fuzz" };
    struct api_options api = { .loops = loops,
                               .loop_count = LOOPS,
                               .deadline_ms = 1000,
                               .connections_max = 100,
                               .version = "fuzz" };
    struct engine_options options;
    struct engine *engine;

    engine_options_default(&options);
    options.dir = "data";
    options.budget_bytes = 16 * MB;
    options.segment_bytes = MB;
    options.trees.memtable_bytes = 64 << 10;
    options.loops = loops;
    options.loop_count = LOOPS;
    x->status = engine_open(&engine, x->env, &options, NULL);
    if (x->status == ST_OK)
        x->status = kv_open(&x->kv, engine, &kv, NULL);
    if (x->status == ST_OK)
        x->status = api_create(&x->api, x->kv, x->env, &api, NULL);
    if (x->status == ST_OK)
        x->status = api_open_door(x->api, API_DOOR_AUTO, "127.0.0.1", 0, NULL);
    if (x->status == ST_OK)
        x->status = api_open_door(x->api, API_DOOR_LINE, "127.0.0.1", 0, NULL);
}

static void
raise_flag(void *ctx)
{
    ((struct world *)ctx)->flag = true;
}

static void
drain_api(void *ctx)
{
    struct world *x = ctx;

    api_drain(x->api, 1000, raise_flag, x);
}

static void
drain_kv(void *ctx)
{
    struct world *x = ctx;

    kv_drain(x->kv, raise_flag, x);
}

static void
close_body(void *ctx)
{
    struct world *x = ctx;
    struct err err;

    api_destroy(x->api);
    x->status = kv_close(x->kv, &err);
}

static void
close_world(struct world *x)
{
    bool done;

    x->flag = false;
    sim_on_loop(x->w, NODE, 0, drain_api, x);
    done = sim_run_until(x->w, &x->flag, PATIENCE_MS);
    ASSERT(done);
    x->flag = false;
    sim_on_loop(x->w, NODE, 0, drain_kv, x);
    done = sim_run_until(x->w, &x->flag, PATIENCE_MS);
    ASSERT(done);
    sim_end_loops(x->w, NODE);
    done = sim_call(x->w, NODE, close_body, x);
    ASSERT(done && x->status == ST_OK);
    sim_end(x->w, NODE); /* nothing may be left */
    sim_destroy(x->w);
}

static void
expect_served(struct world *x, struct sim_client *c)
{
    sim_client_send(c, slice_str("PING\r\n"));
    for (int ms = 0; ms < PATIENCE_MS && sim_client_received(c).size < 7; ms++)
        sim_run_ms(x->w, 1);
    ASSERT(slice_equal(sim_client_received(c), slice_str("+PONG\r\n")));
    sim_client_consume(c, 7);
}

static void
say(struct world *x, struct sim_client *c, struct slice all, size_t piece)
{
    for (size_t at = 0; at < all.size; at += piece) {
        size_t size = piece < all.size - at ? piece : all.size - at;

        sim_client_send(c, slice_of(all.data + at, size));
        if (at % 8 == 0)
            sim_run_ms(x->w, 1);
        sim_client_consume(c, sim_client_received(c).size);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world x = { .w = sim_create(1) };
    struct sim_client *bad, *good;
    bool done;

    ASSERT(x.w != NULL);
    if (size < 2 || size > INPUT_BYTES_MAX) {
        sim_destroy(x.w);
        return 0;
    }
    x.env = sim_boot(x.w, NODE, LOOPS);
    done = sim_call(x.w, NODE, open_body, &x);
    ASSERT(done && x.status == ST_OK);
    bad = sim_connect(x.w, NODE,
                      api_door_port(x.api, data[0] >= 192 ? API_DOOR_LINE : API_DOOR_AUTO));
    good = sim_connect(x.w, NODE, api_door_port(x.api, API_DOOR_AUTO));
    expect_served(&x, good);
    say(&x, bad, slice_of(data + 1, size - 1), 1 + (data[0] % 64) * 4u);
    expect_served(&x, good);
    sim_client_close(bad);
    expect_served(&x, good);
    sim_client_close(good);
    close_world(&x);
    return 0;
}
