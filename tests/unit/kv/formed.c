#include "unit/kv/formed.h"

#include "cluster/cluster.h"
#include "unit/test.h"
enum { LOOPS = 2, ORDER_MS = 8000, STEP_MS = 100, WEIGHT = 128, CLIENT_PORT = 6379 };

/* ------------------------------------------------------------------ machines */

static const char *
host_of(uint32_t node)
{
    static const char *const hosts[NODES_MAX + 1] = { NULL,       "10.0.0.1", "10.0.0.2",
                                                      "10.0.0.3", "10.0.0.4", "10.0.0.5",
                                                      "10.0.0.6", "10.0.0.7", "10.0.0.8" };

    return hosts[node];
}

uint32_t
formed_add(struct formed *f)
{
    uint32_t node = ++f->n.count;
    struct formed_node *m = &f->nodes[node];

    EXPECT(node <= NODES_MAX);
    *m = (struct formed_node){ .weight = WEIGHT, .port = FORMED_PORT, .join = node > 1 };
    m->messages.seed = node;
    snprintf(m->name, sizeof(m->name), "n%u", node);
    return node;
}

void
formed_prepare(struct formed *f, uint64_t seed, uint32_t count)
{
    *f = (struct formed){ .n.forward = true };
    list_init(&f->n.unawaited);
    f->n.w = sim_create(seed);
    assert_non_null(f->n.w);
    for (uint32_t i = 0; i < count; i++)
        (void)formed_add(f);
}

void
formed_create(struct formed *f, uint64_t seed, uint32_t count)
{
    formed_prepare(f, seed, count);
    for (uint32_t i = 1; i <= count; i++) {
        formed_boot(f, i);
        formed_await_member(f, i);
    }
    formed_await_placed(f);
}

void
formed_destroy(struct formed *f)
{
    nodes_destroy(&f->n);
}

/* ------------------------------------------------------------------ starts and stops */

struct booting {
    struct formed *f;
    uint32_t node;
    enum status status;
};

static void
small_options(struct formed *f, uint32_t node, struct loop **loops, struct engine_options *o)
{
    engine_options_default(o);
    o->dir = "data";
    o->create = true;
    o->of_no_cluster = f->nodes[node].join != 0;
    o->budget_bytes = 4 << 20;
    o->segment_bytes = 128 << 10;
    o->log_bytes_max = 1 << 20;
    o->min_free_bytes = 1 << 20;
    o->trees.memtable_bytes = 64 << 10;
    o->trees.table_bytes = 64 << 10;
    o->trees.level_base_bytes = 256 << 10;
    for (uint32_t i = 0; i < LOOPS; i++)
        loops[i] = sim_loop(f->n.w, node, i);
    o->loops = loops;
    o->loop_count = LOOPS;
}

static void
on_refused(void *ctx, const struct err *err)
{
    struct formed_node *m = ctx;

    m->refused = true;
    m->refusal = *err;
}

static struct kv_member
member_of(struct formed *f, uint32_t node)
{
    struct formed_node *m = &f->nodes[node];
    struct kv_member out = { .cluster_name = "test",
                             .zone = "",
                             .weight = m->weight,
                             .listen = { host_of(node), m->port },
                             .peer = { host_of(node), m->port },
                             .client = { host_of(node), CLIENT_PORT },
                             .faults = &m->messages,
                             .refused = on_refused,
                             .ctx = m };

    if (m->join != 0)
        out.join = (struct kv_address){ host_of(m->join), f->nodes[m->join].port };
    return out;
}

static void
boot_body(void *ctx)
{
    struct booting *b = ctx;
    struct formed *f = b->f;
    struct formed_node *m = &f->nodes[b->node];
    struct kv_member member = member_of(f, b->node);
    struct engine_options engine_options;
    struct loop *loops[LOOPS];
    struct kv_options options = {
        .loops = loops, .loop_count = LOOPS, .node_name = m->name, .member = &member
    };
    struct engine *engine = NULL;

    small_options(f, b->node, loops, &engine_options);
    b->status = engine_open(&engine, loop_env(loops[0]), &engine_options, &m->refusal);
    if (b->status == ST_OK)
        b->status = kv_open(&f->n.kv[b->node], engine, &options, &m->refusal);
    if (b->status == ST_OK)
        m->id = kv_node_id(f->n.kv[b->node]);
}

enum status
formed_try_boot(struct formed *f, uint32_t node)
{
    struct booting b = { .f = f, .node = node };

    f->nodes[node].refused = false;
    (void)sim_boot(f->n.w, node, LOOPS);
    sim_hold_loops(f->n.w, node, true);
    if (!sim_call(f->n.w, node, boot_body, &b)) {
        f->n.kv[node] = NULL;
        return ST_UNKNOWN;
    }
    if (b.status == ST_OK) {
        sim_hold_loops(f->n.w, node, false);
    } else {
        f->n.kv[node] = NULL;
        sim_end(f->n.w, node);
    }
    return b.status;
}

void
formed_boot(struct formed *f, uint32_t node)
{
    enum status st = formed_try_boot(f, node);

    if (st != ST_OK)
        fail_msg("node %u does not start: %s", node,
                 st == ST_UNKNOWN ? "its machine went down" : f->nodes[node].refusal.text);
}

static bool
runs(struct formed *f, uint32_t node)
{
    return sim_running(f->n.w, node);
}

void
formed_boot_all(struct formed *f)
{
    for (uint32_t i = 1; i <= f->n.count; i++) {
        if (!runs(f, i))
            formed_boot(f, i);
    }
}

struct stopping {
    struct kv *kv;
    bool drained;
    enum status status;
};

static void
on_drained(void *ctx)
{
    ((struct stopping *)ctx)->drained = true;
}

static void
drain_body(void *ctx)
{
    struct stopping *s = ctx;

    kv_drain(s->kv, on_drained, s);
}

static void
close_body(void *ctx)
{
    struct stopping *s = ctx;
    struct err err;

    s->status = kv_close(s->kv, &err);
}

void
formed_stop(struct formed *f, uint32_t node)
{
    struct stopping s = { .kv = f->n.kv[node] };

    sim_on_loop(f->n.w, node, 0, drain_body, &s);
    EXPECT(sim_run_until(f->n.w, &s.drained, FORMED_PATIENCE_MS));
    sim_end_loops(f->n.w, node);
    EXPECT(sim_call(f->n.w, node, close_body, &s));
    EXPECT_OK(s.status);
    sim_end(f->n.w, node);
    f->n.kv[node] = NULL;
}

/* ------------------------------------------------------------------ orders */

/* The world's, until it is answered or the node is gone. */
struct command {
    struct order order;
    struct cluster *cluster;
    struct formed *f;
    uint32_t node;
    char text[ORDER_WORD_BYTES_MAX];
    bool done;
};

static void
on_ordered(struct order *o)
{
    struct command *c = container_of(o, struct command, order);
    struct slice said = o->status == ST_OK ? buf_slice(&o->answer) : slice_str(o->err.text);

    snprintf(c->f->answer, sizeof(c->f->answer), "%.*s", (int)said.size, (const char *)said.data);
    buf_release(&o->answer);
    c->done = true;
}

static void
order_body(void *ctx)
{
    struct command *c = ctx;

    c->order.deadline_ns =
        loop_now_ns(sim_loop(c->f->n.w, c->node, 0)) + ORDER_MS * UINT64_C(1000000);
    cluster_order(c->cluster, &c->order);
}

static void
split(struct command *c, const char *words)
{
    const char *at;

    snprintf(c->text, sizeof(c->text), "%s", words);
    at = c->text;
    while (*at != '\0' && c->order.word_count < ORDER_WORDS_MAX) {
        size_t size = strcspn(at, " ");

        c->order.words[c->order.word_count++] = slice_of(at, size);
        at += size + (at[size] == ' ');
    }
}

enum status
formed_try_order(struct formed *f, uint32_t node, const char *words)
{
    struct command c = {
        .order.done = on_ordered, .cluster = kv_cluster_of(f->n.kv[node]), .f = f, .node = node
    };

    split(&c, words);
    sim_on_loop(f->n.w, node, 0, order_body, &c);
    EXPECT(sim_run_until(f->n.w, &c.done, FORMED_PATIENCE_MS));
    return c.order.status;
}

void
formed_order_and_crash(struct formed *f, uint32_t node, const char *words, uint32_t ms)
{
    struct command c = {
        .order.done = on_ordered, .cluster = kv_cluster_of(f->n.kv[node]), .f = f, .node = node
    };

    split(&c, words);
    sim_on_loop(f->n.w, node, 0, order_body, &c);
    sim_run_ms(f->n.w, ms);
    nodes_crash(&f->n, node);
}

void
formed_order(struct formed *f, uint32_t node, const char *words)
{
    for (uint32_t ms = 0; ms < FORMED_PATIENCE_MS; ms += STEP_MS) {
        enum status st = formed_try_order(f, node, words);

        if (st == ST_OK)
            return;
        /* Who has caught up is known when its leader has said so. */
        if ((st == ST_INVALID && strstr(f->answer, "quorum") == NULL) || st == ST_NOT_FOUND)
            fail_msg("%s: %s", words, f->answer);
        sim_run_ms(f->n.w, STEP_MS);
    }
    fail_msg("%s: %s, again and again", words, f->answer);
}

/* ------------------------------------------------------------------ requests */

void
formed_use(struct formed *f, const char *keyspace)
{
    const struct atlas_keyspace *k = formed_keyspace(f, keyspace);

    assert_non_null(k);
    f->n.keyspace = k->record.id;
}

void
formed_put(struct formed *f, uint32_t node, const char *key, const char *value)
{
    for (uint32_t ms = 0; ms < FORMED_PATIENCE_MS; ms += STEP_MS) {
        if (nodes_put(&f->n, node, key, value) == ST_OK)
            return;
        sim_run_ms(f->n.w, STEP_MS);
    }
    fail_msg("%s cannot be written", key);
}

void
formed_expect(struct formed *f, uint32_t node, const char *key, const char *value)
{
    for (uint32_t ms = 0; ms < FORMED_PATIENCE_MS; ms += STEP_MS) {
        if (nodes_try_get(&f->n, node, key) == ST_OK) {
            EXPECT_STR(f->n.value, value);
            return;
        }
        sim_run_ms(f->n.w, STEP_MS);
    }
    fail_msg("%s cannot be read", key);
}

static uint32_t
any_running(struct formed *f, uint32_t turn)
{
    uint32_t node;

    do
        node = 1 + turn++ % f->n.count;
    while (!formed_is_member(f, node) || f->nodes[node].refused);
    return node;
}

void
formed_put_keys(struct formed *f, uint32_t count)
{
    char key[16];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        formed_put(f, any_running(f, i), key, key);
    }
}

void
formed_expect_keys(struct formed *f, uint32_t count)
{
    char key[16];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        formed_expect(f, any_running(f, i + 1), key, key);
    }
}

void
formed_spoil_messages(struct formed *f, bool bad)
{
    enum { LOST = 50, REPEATED = 100, LATE = 100, LATE_MS = 300 }; /* of a thousand */

    for (uint32_t i = 1; i <= f->n.count; i++) {
        struct peer_faults *m = &f->nodes[i].messages;

        m->drop_permille = bad ? LOST : 0;
        m->repeat_permille = bad ? REPEATED : 0;
        m->delay_permille = bad ? LATE : 0;
        m->delay_ms_max = bad ? LATE_MS : 0;
    }
}
