#include "kv_fixture.h"

#include "unit/test.h"

static uint64_t answers;

void
kvfix_create(struct kvfix *f, uint64_t seed)
{
    *f = (struct kvfix){ 0 };
    f->w = sim_create(seed);
    assert_non_null(f->w);
    engine_options_default(&f->options);
    f->options.dir = "data";
    f->options.budget_bytes = 4 << 20;
    f->options.segment_bytes = 128 << 10;
    f->options.log_bytes_max = 1 << 20;
    f->options.min_free_bytes = 1 << 20;
    f->options.trees.memtable_bytes = 64 << 10;
    f->options.trees.table_bytes = 64 << 10;
    f->options.trees.level_base_bytes = 256 << 10;
    f->options.trees.compact_wait_ms = 100;
}

void
kvfix_destroy(struct kvfix *f)
{
    sim_destroy(f->w);
}

static void
open_body(void *ctx)
{
    struct kvfix *f = ctx;
    struct loop *loops[FIX_LOOPS];
    struct kv_options options = { .loops = loops, .loop_count = FIX_LOOPS, .node_name = "t" };
    struct engine *engine = NULL;

    for (uint32_t i = 0; i < FIX_LOOPS; i++)
        loops[i] = sim_loop(f->w, FIX_NODE, i);
    f->options.loops = loops;
    f->options.loop_count = FIX_LOOPS;
    f->kv = NULL;
    f->open_status = engine_open(&engine, f->env, &f->options, &f->open_err);
    if (f->open_status == ST_OK)
        f->open_status = kv_open(&f->kv, engine, &options, &f->open_err);
}

enum status
kvfix_open_cut(struct kvfix *f, uint64_t nth)
{
    f->env = sim_boot(f->w, FIX_NODE, FIX_LOOPS);
    if (nth > 0)
        sim_crash_at(f->w, FIX_NODE, SIM_OP_ALL, nth, prng_chance(sim_prng(f->w), 1, 2));
    f->closed = false;
    f->open_status = ST_UNKNOWN;
    if (f->booted != NULL)
        f->booted(f);
    if (!sim_call(f->w, FIX_NODE, open_body, f))
        return ST_CLOSED; /* it crashed while opening */
    sim_crash_at(f->w, FIX_NODE, SIM_OP_ALL, 0, false);
    return f->open_status;
}

enum status
kvfix_open(struct kvfix *f)
{
    return kvfix_open_cut(f, 0);
}

void
kvfix_crash(struct kvfix *f)
{
    if (sim_running(f->w, FIX_NODE))
        sim_crash(f->w, FIX_NODE);
}

static void
drained(void *ctx)
{
    struct kvfix *f = ctx;

    f->closed = true;
}

static void
drain_body(void *ctx)
{
    struct kvfix *f = ctx;

    kv_drain(f->kv, drained, f);
}

static void
close_body(void *ctx)
{
    struct kvfix *f = ctx;

    f->open_status = kv_close(f->kv, &f->open_err);
}

enum status
kvfix_try_close(struct kvfix *f)
{
    sim_on_loop(f->w, FIX_NODE, 0, drain_body, f);
    EXPECT(sim_run_until(f->w, &f->closed, FIX_PATIENCE_MS));
    sim_end_loops(f->w, FIX_NODE);
    EXPECT(sim_call(f->w, FIX_NODE, close_body, f));
    sim_end(f->w, FIX_NODE);
    return f->open_status;
}

void
kvfix_close(struct kvfix *f)
{
    EXPECT_OK(kvfix_try_close(f));
}

/* ------------------------------------------------------------------ administration */

struct admin_call {
    struct kv_admin admin;
    struct kvfix *fix;
    bool done;
};

static void
admin_done(struct kv_admin *a)
{
    container_of(a, struct admin_call, admin)->done = true;
}

static void
admin_body(void *ctx)
{
    struct admin_call *c = ctx;

    kv_admin_submit(kv_door_of(c->fix->kv, 0), &c->admin);
}

enum status
fix_admin(struct kvfix *f, enum kv_admin_kind kind, uint64_t *count)
{
    struct admin_call c = { .admin = { .kind = kind, .done = admin_done }, .fix = f };

    sim_on_loop(f->w, FIX_NODE, 0, admin_body, &c);
    EXPECT(sim_run_until(f->w, &c.done, FIX_PATIENCE_MS));
    if (count != NULL)
        *count = c.admin.count;
    buf_release(&c.admin.key);
    return c.admin.status;
}

/* ------------------------------------------------------------------ calls */

static void
on_done(struct request *r)
{
    struct call *c = container_of(r, struct call, request);

    c->done = true;
    c->done_at = ++answers;
    for (uint32_t i = 0; i < r->op_count && r->status == ST_OK; i++) {
        struct slice value = r->results[i].value;
        size_t size = value.size < sizeof(c->values[i]) ? value.size : sizeof(c->values[i]) - 1;

        if (size > 0)
            memcpy(c->values[i], value.data, size);
        c->values[i][size] = '\0';
    }
}

struct call *
call_new(struct kvfix *f, uint32_t loop)
{
    struct call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    c->fix = f;
    c->loop = loop;
    c->request.ops = c->ops;
    c->request.results = c->results;
    c->request.preconditions = c->preconditions;
    c->request.done = on_done;
    c->request.origin = (uint64_t)(uintptr_t)c;
    c->request.result_bytes_max = 1 << 20;
    return c;
}

static struct slice
copy_text(struct call *c, const char *text)
{
    size_t size = strlen(text);
    char *at = c->bytes + c->used;

    assert_true(c->used + size <= sizeof(c->bytes));
    memcpy(at, text, size);
    c->used += size;
    return slice_of(at, size);
}

struct op *
call_op(struct call *c, enum op_kind kind, const char *key)
{
    struct op *op = &c->ops[c->request.op_count++];

    assert_true(c->request.op_count <= CALL_OPS_MAX);
    op->kind = kind;
    op->key = copy_text(c, key);
    return op;
}

void
call_value(struct call *c, struct op *op, const char *value)
{
    op->value = copy_text(c, value);
}

uint64_t
fix_deadline_ns(struct kvfix *f, uint32_t loop)
{
    return loop_now_ns(sim_loop(f->w, FIX_NODE, loop)) + FIX_DEADLINE_MS * UINT64_C(1000000);
}

static void
submit_body(void *ctx)
{
    struct call *c = ctx;

    c->request.deadline_ns = fix_deadline_ns(c->fix, c->loop);
    kv_submit(kv_door_of(c->fix->kv, c->loop), &c->request);
}

void
call_send(struct call *c)
{
    sim_on_loop(c->fix->w, FIX_NODE, c->loop, submit_body, c);
}

enum status
call_wait(struct call *c)
{
    if (!sim_run_until(c->fix->w, &c->done, FIX_PATIENCE_MS)) {
        EXPECT(!sim_running(c->fix->w, FIX_NODE)); /* P8: every request ends */
        return ST_CLOSED;
    }
    return c->request.status;
}

enum status
fix_put(struct kvfix *f, const char *key, const char *value)
{
    struct call *c = call_new(f, 0);
    enum status st;

    call_value(c, call_op(c, OP_PUT, key), value);
    call_send(c);
    st = call_wait(c);
    free(c);
    return st;
}

const char *
fix_get_on(struct kvfix *f, uint32_t loop, const char *key)
{
    static char text[256];
    struct call *c = call_new(f, loop);
    enum status st;

    call_op(c, OP_GET, key);
    call_send(c);
    st = call_wait(c);
    if (st != ST_OK)
        snprintf(text, sizeof(text), "!%s", status_name(st));
    else if (c->results[0].code == OP_NIL)
        snprintf(text, sizeof(text), "nil");
    else
        snprintf(text, sizeof(text), "%s", c->values[0]);
    free(c);
    return text;
}

const char *
fix_get(struct kvfix *f, const char *key)
{
    return fix_get_on(f, 0, key);
}

enum status
fix_delete(struct kvfix *f, const char *key, bool *existed)
{
    struct call *c = call_new(f, 0);
    enum status st;

    call_op(c, OP_DELETE, key);
    call_send(c);
    st = call_wait(c);
    *existed = st == ST_OK && c->results[0].integer == 1;
    free(c);
    return st;
}
