#include "unit/kv/nodes.h"

#include "unit/test.h"

enum { LEASE_PERCENT = 60, PEER_PORT = 7000, DEADLINE_MS = 2000, PATIENCE_MS = 60000, LOOPS = 2 };

struct ask {
    struct list link; /* of those that nobody awaits */
    struct nodes *n;
    uint32_t node;
    struct request request;
    struct op op;
    struct op_result result;
    bool done;
};

struct booting {
    struct nodes *n;
    uint32_t node;
    enum status status;
    struct err err;
};

static void
small_options(const struct nodes *n, struct engine_options *o)
{
    engine_options_default(o);
    o->dir = "data";
    o->budget_bytes = n->budget_bytes;
    o->segment_bytes = 128 << 10;
    o->log_bytes_max = 1 << 20;
    o->log_reserve_bytes = n->log_reserve_bytes;
    o->min_free_bytes = 1 << 20;
    o->trees.memtable_bytes = 64 << 10;
    o->trees.table_bytes = 64 << 10;
    o->trees.level_base_bytes = 256 << 10;
}

static void
boot_body(void *ctx)
{
    struct booting *b = ctx;
    struct nodes *n = b->n;
    struct kv_cluster cluster = {
        .nodes = n->at,
        .node_count = n->count,
        .founders = n->founders,
        .founder_count = n->count < NODES_FOUNDERS ? n->count : NODES_FOUNDERS,
        .keyspace_count = n->keyspace_count,
        .tablets = n->tablets,
        .lease_percent = n->lease_percent,
        .forward = n->forward,
    };
    struct engine_options engine_options;
    struct loop *loops[LOOPS];
    struct kv_options options = {
        .loops = loops, .loop_count = LOOPS, .node_name = "t", .cluster = &cluster
    };
    struct engine *engine = NULL;

    small_options(n, &engine_options);
    for (uint32_t i = 0; i < LOOPS; i++)
        loops[i] = sim_loop(n->w, b->node, i);
    engine_options.loops = loops;
    engine_options.loop_count = LOOPS;
    engine_options.create = true;
    engine_options.node = b->node;
    memset(engine_options.cluster, 7, sizeof(engine_options.cluster));
    b->status = engine_open(&engine, loop_env(loops[0]), &engine_options, &b->err);
    if (b->status == ST_OK)
        b->status = kv_open(&n->kv[b->node], engine, &options, &b->err);
}

void
nodes_boot(struct nodes *n, uint32_t node)
{
    struct booting b = { .n = n, .node = node };

    (void)sim_boot(n->w, node, LOOPS);
    EXPECT(sim_call(n->w, node, boot_body, &b));
    if (b.status != ST_OK)
        fail_msg("node %u does not start: %s", node, b.err.text);
}

static void
create(struct nodes *n, uint64_t seed, const struct nodes *like)
{
    static const char *const hosts[NODES_MAX] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4",
                                                  "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8" };

    *n = *like;
    if (n->keyspace_count == 0)
        n->keyspace_count = 1;
    n->budget_bytes = 4 << 20;
    list_init(&n->unawaited);
    n->w = sim_create(seed);
    assert_non_null(n->w);
    for (uint32_t i = 0; i < n->count; i++) {
        n->at[i] = (struct kv_node){ .id = i + 1, .host = hosts[i], .port = PEER_PORT };
        n->founders[i] = i + 1;
    }
    nodes_boot_all(n);
}

void
nodes_create(struct nodes *n, uint64_t seed, uint32_t count)
{
    create(n, seed, &(struct nodes){ .count = count });
}

void
nodes_create_with_keyspaces(struct nodes *n, uint64_t seed, uint32_t count, uint32_t keyspaces)
{
    create(n, seed, &(struct nodes){ .count = count, .keyspace_count = keyspaces });
}

void
nodes_create_forwarding(struct nodes *n, uint64_t seed, uint32_t count)
{
    create(n, seed, &(struct nodes){ .count = count, .forward = true });
}

void
nodes_create_with_tablets(struct nodes *n, uint64_t seed, uint32_t count, uint32_t tablets)
{
    create(n, seed, &(struct nodes){ .count = count, .forward = true, .tablets = tablets });
}

void
nodes_create_with_leases(struct nodes *n, uint64_t seed, uint32_t count)
{
    create(n, seed, &(struct nodes){ .count = count, .lease_percent = LEASE_PERCENT });
}

void
nodes_create_with_log(struct nodes *n, uint64_t seed, uint32_t count, uint64_t reserve_bytes)
{
    create(n, seed, &(struct nodes){ .count = count, .log_reserve_bytes = reserve_bytes });
}

void
nodes_destroy(struct nodes *n)
{
    struct list *at;

    sim_destroy(n->w);
    while ((at = list_pop_front(&n->unawaited)) != NULL)
        free(container_of(at, struct ask, link));
}

void
nodes_crash(struct nodes *n, uint32_t node)
{
    sim_crash(n->w, node);
    n->kv[node] = NULL;
}

void
nodes_boot_all(struct nodes *n)
{
    for (uint32_t i = 1; i <= n->count; i++) {
        if (!sim_running(n->w, i))
            nodes_boot(n, i);
    }
}

void
nodes_cut(struct nodes *n, uint32_t node, bool cut)
{
    void (*change)(struct sim * w, uint32_t from, uint32_t to) = cut ? sim_net_cut : sim_net_heal;

    for (uint32_t i = 1; i <= n->count; i++) {
        if (i == node)
            continue;
        change(n->w, node, i);
        change(n->w, i, node);
    }
}

/* ------------------------------------------------------------------ requests */

static void
on_done(struct request *r)
{
    struct ask *a = container_of(r, struct ask, request);
    struct slice value = a->result.value;

    a->done = true;
    if (r->status == ST_NOT_LEADER)
        a->n->hint = r->leader;
    if (r->status != ST_OK || r->op_count == 0 || a->op.kind != OP_GET)
        return;
    if (a->result.code == OP_NIL)
        value = slice_str("nil");
    EXPECT(value.size < NODES_VALUE_MAX);
    memcpy(a->n->value, value.data, value.size);
    a->n->value[value.size] = '\0';
}

static uint64_t
deadline_ns(struct nodes *n, uint32_t node)
{
    return loop_now_ns(sim_loop(n->w, node, 0)) + DEADLINE_MS * UINT64_C(1000000);
}

static void
submit(void *ctx)
{
    struct ask *a = ctx;
    struct kv *kv = a->n->kv[a->node];

    a->request.deadline_ns = deadline_ns(a->n, a->node);
    kv_submit(kv_door_of(kv, 0), &a->request);
}

static struct ask *
ask_node(struct nodes *n, uint32_t node, const struct op *op, enum durability durability)
{
    struct ask *a = calloc(1, sizeof(*a));

    assert_non_null(a);
    a->n = n;
    a->node = node;
    if (op != NULL)
        a->op = *op;
    a->request = (struct request){ .keyspace = n->keyspace,
                                   .ops = &a->op,
                                   .op_count = op != NULL,
                                   .results = &a->result,
                                   .result_bytes_max = 1 << 20,
                                   .durability = durability,
                                   .stale_ms = n->stale_ms,
                                   .client_id = n->client_id,
                                   .sequence = n->client_id == 0 ? 0 : ++n->sequence,
                                   .done = on_done,
                                   .origin = 1 };
    sim_on_loop(n->w, node, 0, submit, a);
    return a;
}

static enum status
await_result(struct ask *a, struct op_result *out)
{
    enum status st;

    EXPECT(sim_run_until(a->n->w, &a->done, PATIENCE_MS));
    *out = a->result;
    out->value = (struct slice){ 0 };
    st = a->request.status;
    free(a);
    return st;
}

static enum status
await(struct ask *a)
{
    struct op_result unused;

    return await_result(a, &unused);
}

enum status
nodes_do(struct nodes *n, uint32_t node, const struct op *op, struct op_result *out)
{
    return await_result(ask_node(n, node, op, DURABILITY_ALWAYS), out);
}

static struct op
put(const char *key, const char *value)
{
    return (struct op){ .kind = OP_PUT, .key = slice_str(key), .value = slice_str(value) };
}

enum status
nodes_put(struct nodes *n, uint32_t node, const char *key, const char *value)
{
    struct op op = put(key, value);

    return await(ask_node(n, node, &op, DURABILITY_ALWAYS));
}

enum status
nodes_put_until(struct nodes *n, uint32_t node, const char *key, uint64_t expiry_ms)
{
    struct op op = put(key, "x");

    op.expiry_ms = expiry_ms;
    return await(ask_node(n, node, &op, DURABILITY_ALWAYS));
}

enum status
nodes_put_hastily(struct nodes *n, uint32_t node, const char *key, const char *value)
{
    struct op op = put(key, value);

    return await(ask_node(n, node, &op, DURABILITY_NEVER));
}

void
nodes_send_put(struct nodes *n, uint32_t node, const char *key, const char *value)
{
    struct op op = put(key, value);

    list_push_back(&n->unawaited, &ask_node(n, node, &op, DURABILITY_ALWAYS)->link);
}

enum status
nodes_try_get(struct nodes *n, uint32_t node, const char *key)
{
    struct op op = { .kind = OP_GET, .key = slice_str(key) };

    return await(ask_node(n, node, &op, DURABILITY_ALWAYS));
}

enum status
nodes_ask(struct nodes *n, uint32_t node)
{
    return await(ask_node(n, node, NULL, DURABILITY_ALWAYS));
}

const char *
nodes_get(struct nodes *n, uint32_t node, const char *key)
{
    EXPECT_OK(nodes_try_get(n, node, key));
    return n->value;
}

struct listing {
    struct nodes *n;
    uint32_t node;
    struct kv_scan *scan;
    enum status status;
    bool done;
};

static void
on_piece(void *ctx, const struct kv_scan_piece *piece)
{
    struct listing *l = ctx;
    struct nodes *n = l->n;
    size_t used = 0;

    if (piece->status == ST_NOT_LEADER)
        n->hint = piece->leader;
    n->value[0] = '\0';
    for (uint32_t i = 0; i < piece->count; i++) {
        struct slice key = piece->entries[i].key;

        used += (size_t)snprintf(n->value + used, NODES_VALUE_MAX - used, "%.*s,", (int)key.size,
                                 (const char *)key.data);
        EXPECT(used < NODES_VALUE_MAX);
    }
    l->status = piece->status;
    kv_scan_close(l->scan);
    l->done = true;
}

static void
scan_body(void *ctx)
{
    struct listing *l = ctx;
    struct kv_scan_options options = { .keyspace = l->n->keyspace,
                                       .deadline_ns = deadline_ns(l->n, l->node) };

    EXPECT_OK(kv_scan_open(kv_door_of(l->n->kv[l->node], 0), &options, &l->scan, NULL));
    kv_scan_next(l->scan, 1000, 1000, 1 << 20, on_piece, l);
}

enum status
nodes_try_scan(struct nodes *n, uint32_t node)
{
    struct listing l = { .n = n, .node = node };

    sim_on_loop(n->w, node, 0, scan_body, &l);
    EXPECT(sim_run_until(n->w, &l.done, PATIENCE_MS));
    return l.status;
}

void
nodes_leave_uncommitted(struct nodes *n, uint32_t leader, uint32_t count)
{
    nodes_cut(n, leader, true);
    for (uint32_t i = 0; i < count; i++)
        nodes_send_put(n, leader, "lost", "x");
}

void
nodes_put_many(struct nodes *n, uint32_t node, uint32_t count, char letter)
{
    char key[16];
    char value[NODES_LARGE_BYTES + 1] = { 0 };

    memset(value, letter, NODES_LARGE_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(nodes_put(n, node, key, value));
    }
}

void
nodes_check_many(struct nodes *n, uint32_t node, uint32_t count, char letter)
{
    char key[16];

    for (uint32_t i = 0; i < count; i++) {
        const char *value;

        snprintf(key, sizeof(key), "k%u", i);
        value = nodes_get(n, node, key);
        EXPECT(strlen(value) == NODES_LARGE_BYTES && value[0] == letter);
    }
}

/* Where any node answers, an answer does not say who leads. */
static bool
leads(struct nodes *n, uint32_t node)
{
    const struct raft *r;

    if (!n->forward)
        return nodes_try_get(n, node, "any") == ST_OK;
    r = tablet_raft(kv_tablet(n->kv[node], n->keyspace));
    return raft_role(r) == RAFT_LEADER && raft_commit(r) >= raft_term_first(r);
}

uint32_t
nodes_leader_but(struct nodes *n, uint32_t not_this)
{
    for (uint32_t passed_ms = 0; passed_ms < PATIENCE_MS; passed_ms += 100) {
        for (uint32_t i = 1; i <= n->count; i++) {
            if (i != not_this && sim_running(n->w, i) && leads(n, i))
                return i;
        }
        sim_run_ms(n->w, 100);
    }
    fail_msg("nobody leads");
    return 0;
}

uint32_t
nodes_leader(struct nodes *n)
{
    return nodes_leader_but(n, 0);
}

void
nodes_make_lead(struct nodes *n, uint32_t node)
{
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t leader = nodes_leader(n);

        if (leader == node)
            return;
        nodes_crash(n, leader);
        (void)nodes_leader(n);
        nodes_boot_all(n);
        sim_run_ms(n->w, 2000);
    }
    fail_msg("node %u never leads", node);
}

/* ------------------------------------------------------------------ the group */

struct order {
    struct tablet *t;
    const struct raft_config *config;
    uint64_t to;
    enum status status;
};

static void
change_body(void *ctx)
{
    struct order *o = ctx;

    o->status = tablet_change_members(o->t, o->config);
}

static void
transfer_body(void *ctx)
{
    struct order *o = ctx;

    o->status = tablet_transfer(o->t, o->to);
}

static enum status
give_order(struct nodes *n, uint32_t node, struct order *o, void (*body)(void *ctx))
{
    o->t = kv_tablet(n->kv[node], n->keyspace);
    sim_on_loop(n->w, node, loop_index(tablet_loop(o->t)), body, o);
    return o->status;
}

static void
on_errand_done(struct kv_admin *a)
{
    container_of(a, struct errand, admin)->done = true;
}

static void
errand_body(void *ctx)
{
    struct errand *e = ctx;

    kv_admin_submit(e->door, &e->admin);
}

void
nodes_begin_at(struct nodes *n, uint32_t node, uint32_t at, enum kv_admin_kind kind,
               struct errand *e)
{
    *e = (struct errand){ .admin = { .kind = kind, .node = at, .done = on_errand_done },
                          .door = kv_door_of(n->kv[node], 0) };
    sim_on_loop(n->w, node, 0, errand_body, e);
}

void
nodes_begin(struct nodes *n, uint32_t node, enum kv_admin_kind kind, struct errand *e)
{
    nodes_begin_at(n, node, 0, kind, e);
}

enum status
nodes_finish(struct nodes *n, struct errand *e)
{
    EXPECT(sim_run_until(n->w, &e->done, PATIENCE_MS));
    buf_release(&e->admin.key);
    return e->admin.status;
}

void
nodes_admin(struct nodes *n, uint32_t node, enum kv_admin_kind kind)
{
    struct errand e;

    nodes_begin(n, node, kind, &e);
    EXPECT_OK(nodes_finish(n, &e));
}

void
nodes_flush(struct nodes *n, uint32_t node)
{
    nodes_admin(n, node, KV_SAVE);
}

struct tablet_stats
nodes_stats(struct nodes *n, uint32_t node)
{
    struct tablet_stats stats;

    tablet_stats(kv_tablet(n->kv[node], 0), &stats);
    return stats;
}

/* Committed, and not joint. */
static bool
is_in_force(struct nodes *n, uint32_t node, const struct raft_config *config)
{
    const struct raft *r = tablet_raft(kv_tablet(n->kv[node], n->keyspace));

    return raft_config_equal(raft_config(r), config) && raft_config_index(r) <= raft_commit(r);
}

void
nodes_change(struct nodes *n, const uint64_t *voters, uint32_t count)
{
    struct raft_config config = { .voter_count = count };

    memcpy(config.voters, voters, count * sizeof(voters[0]));
    nodes_change_to(n, &config);
}

void
nodes_change_to(struct nodes *n, const struct raft_config *config)
{
    struct order o = { .config = config };

    for (uint32_t passed_ms = 0; passed_ms < PATIENCE_MS; passed_ms += 100) {
        uint32_t leader = nodes_leader(n);
        enum status st = give_order(n, leader, &o, change_body);

        EXPECT(st == ST_OK || st == ST_BUSY || st == ST_NOT_LEADER || st == ST_INVALID);
        sim_run_ms(n->w, 100);
        if (sim_running(n->w, leader) && is_in_force(n, leader, config))
            return;
    }
    fail_msg("the members do not become those that were asked for");
}

bool
nodes_begin_transfer(struct nodes *n, uint32_t to)
{
    struct order o = { .to = to };

    return give_order(n, nodes_leader(n), &o, transfer_body) == ST_OK;
}

bool
nodes_transfer(struct nodes *n, uint32_t to)
{
    if (!nodes_begin_transfer(n, to))
        return false;
    sim_run_ms(n->w, 1000);
    return nodes_leader(n) == to;
}
