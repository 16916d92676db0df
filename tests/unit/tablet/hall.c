#include "unit/tablet/hall.h"

#include "tablet/tablet_internal.h"
#include "unit/test.h"

enum { DEADLINE_MS = 3000, NS_PER_MS = 1000000 };

const char *const hall_hosts[HALL_NODES_MAX] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4" };

struct raft_config
hall_config(uint32_t voters)
{
    struct raft_config c = { .voter_count = voters };

    for (uint32_t i = 0; i < voters; i++)
        c.voters[i] = i + 1;
    return c;
}

void
hall_create_like(struct hall *h, uint64_t seed, const struct hall *like)
{
    *h = *like;
    h->w = sim_create(seed);
    assert_non_null(h->w);
    h->founders = hall_config(h->count);
    for (uint32_t node = 1; node <= h->count; node++)
        hall_boot(h, node);
}

void
hall_create(struct hall *h, uint64_t seed, uint32_t count)
{
    hall_create_like(h, seed, &(struct hall){ .count = count });
}

void
hall_destroy(struct hall *h)
{
    sim_destroy(h->w);
}

/* ------------------------------------------------------------------ starting */

static void
closed(struct hall_site *s)
{
    s->closed = true;
    if (s->on_closed != NULL)
        s->on_closed(s);
}

static void
on_tick(void *ctx)
{
    struct hall_loop *l = ctx;

    if (l->drained)
        return;
    tablet_reactor_tick(&l->reactor);
    if (l->draining && l->way.under_way == 0 && tablet_reactor_idle(&l->reactor)) {
        tablet_reactor_rest(&l->reactor);
        l->drained = true;
        if (atomic_fetch_add(&l->site->drained_count, 1) + 1 == HALL_LOOPS)
            closed(l->site);
        return;
    }
    timer_start(l->tick, TABLET_TICK_MS);
}

static enum status
replay(void *ctx, struct engine_tree *tree, const struct wal_record *record, wal_position at,
       struct err *err)
{
    struct hall_site *s = ctx;

    if (tree == NULL)
        return err_raise(err, ST_CORRUPT, "a record of nobody's");
    return tablet_replay(tablet_reactor_find(s->node.first, record->tablet), record, at, err);
}

static void
passed(void *ctx, const struct wal_record *record, wal_position at)
{
    struct hall_site *s = ctx;

    tablet_passed(tablet_reactor_find(s->node.first, record->tablet), record, at);
}

static void
make_tablet(void *ctx, struct engine_tree *tree)
{
    struct hall_site *s = ctx;
    struct hall_loop *l = &s->loops[engine_tree_id(tree) % HALL_LOOPS];

    assert_non_null(tablet_create(&l->reactor, tree, &s->hall->founders));
}

static void
connect_all(struct hall_site *s)
{
    uint32_t count = s->hall->strangers ? 0 : s->hall->count;
    uint64_t incarnation;

    env_random(engine_env(s->engine), &incarnation, sizeof(incarnation));
    for (uint32_t i = 0; i < HALL_LOOPS; i++) {
        struct tablet_reactor *r = &s->loops[i].reactor;

        EXPECT_OK(exchange_connect(r, (incarnation & PEER_INCARNATION_MAX) | 1, &s->err));
        for (uint32_t n = 1; n <= count; n++) {
            if (n != s->id)
                EXPECT_OK(exchange_set_neighbour(r, n, hall_hosts[n - 1], HALL_PORT, &s->err));
        }
        s->peers[i] = r->peer;
    }
    EXPECT_OK(env_listen(engine_env(s->engine), hall_hosts[s->id - 1], HALL_PORT, peer_accepted,
                         s->peers, &s->listener, &s->err));
}

static void
open_engine(struct hall_site *s, struct loop **loops, const char *dir)
{
    struct engine_options options;

    engine_options_default(&options);
    options.dir = dir;
    options.node = s->id;
    options.budget_bytes = 8 << 20;
    options.segment_bytes = 128 << 10;
    options.log_bytes_max = 1 << 20;
    options.min_free_bytes = 1 << 20;
    options.trees.memtable_bytes = 64 << 10;
    options.loops = loops;
    options.loop_count = HALL_LOOPS;
    memset(options.cluster, 7, sizeof(options.cluster));
    EXPECT_OK(engine_open(&s->engine, loop_env(loops[0]), &options, &s->err));
}

static void
start_tablets(struct hall_site *s)
{
    const struct tablet_roster *all = &s->node.first->roster;

    for (uint32_t i = 0; i < all->count; i++) {
        EXPECT_OK(tablet_stand(all->at[i], &s->err));
        EXPECT_OK(engine_sync(s->engine, &s->err));
        EXPECT_OK(tablet_lead(all->at[i], &s->err));
        EXPECT_OK(engine_sync(s->engine, &s->err));
        EXPECT_OK(tablet_started(all->at[i], &s->err));
    }
}

void
hall_site_open(struct hall_site *s, struct loop **loops, const char *dir)
{
    struct engine_replay to = { .replay = replay, .passed = passed, .ctx = s };
    struct wal_recovery report;
    struct env *env;

    open_engine(s, loops, dir);
    env = engine_env(s->engine);
    tablet_node_init(&s->node);
    s->node.engine = s->engine;
    s->node.clock = &s->clock;
    s->node.id = s->id;
    s->node.lease_percent = s->hall->lease_percent;
    for (uint32_t i = 0; i < HALL_LOOPS; i++) {
        struct hall_loop *l = &s->loops[i];

        l->site = s;
        l->loop = loops[i];
        tablet_reactor_init(&l->reactor, &s->node, loops[i]);
        EXPECT_OK(timer_create_on(loops[i], on_tick, l, &l->tick));
    }
    engine_each_tree(s->engine, make_tablet, s);
    EXPECT_OK(engine_recover(s->engine, &to, &report, &s->err));
    node_clock_init(&s->clock, env_wall_ms(env), 0, env_boot_ns(env));
    if (!s->hall->waits)
        start_tablets(s);
    if (s->hall->count > 0)
        connect_all(s);
    engine_serve(s->engine);
    for (uint32_t i = 0; i < HALL_LOOPS; i++) {
        tablet_reactor_listen(&s->loops[i].reactor);
        timer_start(s->loops[i].tick, TABLET_TICK_MS);
    }
}

static void
open_body(void *ctx)
{
    struct hall_site *s = ctx;
    struct loop *loops[HALL_LOOPS];

    for (uint32_t i = 0; i < HALL_LOOPS; i++)
        loops[i] = sim_loop(s->hall->w, s->id, i);
    hall_site_open(s, loops, "data");
}

void
hall_boot(struct hall *h, uint32_t node)
{
    struct hall_site *s = &h->sites[node];

    *s = (struct hall_site){ .hall = h, .id = node };
    (void)sim_boot(h->w, node, HALL_LOOPS);
    EXPECT(sim_call(h->w, node, open_body, s));
}

void
hall_crash(struct hall *h, uint32_t node)
{
    if (sim_running(h->w, node))
        sim_crash(h->w, node);
}

void
hall_reboot(struct hall *h, uint32_t node)
{
    hall_crash(h, node);
    hall_boot(h, node);
}

/* ------------------------------------------------------------------ ending */

void
hall_site_drain(struct hall_loop *l)
{
    if (l == &l->site->loops[0])
        engine_begin_close(l->site->engine);
    l->draining = true;
    tablet_reactor_drain(&l->reactor);
}

static void
drain_body(void *ctx)
{
    hall_site_drain(ctx);
}

void
hall_site_close(struct hall_site *s)
{
    engine_quiesce(s->engine);
    listener_close(s->listener);
    while (s->node.first->roster.count > 0)
        tablet_destroy(s->node.first->roster.at[0]);
    for (uint32_t i = 0; i < HALL_LOOPS; i++) {
        timer_destroy(s->loops[i].tick);
        tablet_reactor_release(&s->loops[i].reactor);
    }
    tablet_node_release(&s->node);
    EXPECT_OK(engine_close(s->engine, &s->err));
}

static void
close_body(void *ctx)
{
    hall_site_close(ctx);
}

void
hall_close(struct hall *h, uint32_t node)
{
    struct hall_site *s = &h->sites[node];

    for (uint32_t i = 0; i < HALL_LOOPS; i++)
        sim_on_loop(h->w, node, i, drain_body, &s->loops[i]);
    EXPECT(sim_run_until(h->w, &s->closed, HALL_PATIENCE_MS));
    sim_end_loops(h->w, node);
    EXPECT(sim_call(h->w, node, close_body, s));
    sim_end(h->w, node);
}

/* ------------------------------------------------------------------ changes */

static void
changed(void *ctx, enum status st, const struct err *err)
{
    struct hall_change *c = ctx;

    EXPECT(!c->done && c->begun);
    EXPECT(st == ST_OK || err->text[0] != '\0');
    c->done = true;
    c->status = st;
}

static void
note_begun(struct hall_change *c, enum status st)
{
    EXPECT(!c->done);
    c->begun = st == ST_OK;
    c->done = st != ST_OK;
    c->status = st;
}

static void
add_body(void *ctx)
{
    struct hall_change *c = ctx;
    struct tablet_spec spec = { .id = c->id, .loop = c->loop, .founders = &c->founders };

    note_begun(c, tablet_node_add(&c->hall->sites[c->node].node, &spec, changed, c));
}

static void
drop_body(void *ctx)
{
    struct hall_change *c = ctx;

    note_begun(c, tablet_node_drop(&c->hall->sites[c->node].node, c->id, changed, c));
}

void
hall_begin_add(struct hall *h, struct hall_change *c)
{
    c->hall = h;
    c->begun = c->done = false;
    sim_on_loop(h->w, c->node, 0, add_body, c);
}

void
hall_begin_drop(struct hall *h, struct hall_change *c)
{
    c->hall = h;
    c->begun = c->done = false;
    sim_on_loop(h->w, c->node, 0, drop_body, c);
}

enum status
hall_wait(struct hall_change *c)
{
    if (sim_run_until(c->hall->w, &c->done, HALL_PATIENCE_MS))
        return c->status;
    EXPECT(!sim_running(c->hall->w, c->node));
    return ST_CLOSED;
}

enum status
hall_add(struct hall *h, uint32_t node, uint64_t id)
{
    struct hall_change c = {
        .node = node, .id = id, .loop = (uint32_t)(id % HALL_LOOPS), .founders = h->founders
    };

    hall_begin_add(h, &c);
    return hall_wait(&c);
}

enum status
hall_drop(struct hall *h, uint32_t node, uint64_t id)
{
    struct hall_change c = { .node = node, .id = id };

    hall_begin_drop(h, &c);
    return hall_wait(&c);
}

/* ------------------------------------------------------------------ requests */

static void
call_done(struct request *r)
{
    struct hall_call *c = container_of(r, struct hall_call, request);

    EXPECT(!c->done);
    EXPECT_U64(tablet_id(r->tablet), c->id); /* it is there still, for who takes a snapshot now */
    c->done = true;
    if (r->status != ST_OK)
        return;
    if (c->result.code == OP_NIL)
        snprintf(c->value, sizeof(c->value), "nil");
    else
        snprintf(c->value, sizeof(c->value), "%.*s", (int)c->result.value.size,
                 c->result.value.size == 0 ? "" : (const char *)c->result.value.data);
}

static void
send_body(void *ctx)
{
    struct hall_call *c = ctx;
    struct hall_loop *l = &c->hall->sites[c->node].loops[c->loop];
    struct tablet *t = tablet_reactor_find(&l->reactor, c->id);
    struct request *r = &c->request;

    r->home = l->loop;
    r->way = &l->way;
    r->deadline_ns = loop_now_ns(l->loop) + (uint64_t)DEADLINE_MS * NS_PER_MS;
    if (t == NULL) {
        r->status = ST_NOT_FOUND;
        c->done = true;
        return;
    }
    l->way.under_way++;
    if (r->snapshot == NULL && !request_writes(r) && tablet_read(t, &l->reactor.reader, r))
        return;
    tablet_send(t, r);
}

void
hall_send(struct hall *h, struct hall_call *c)
{
    bool writes = c->bytes[0] != '\0';

    c->hall = h;
    c->done = false;
    c->op = (struct op){ .kind = writes ? OP_PUT : OP_GET,
                         .key = slice_str(c->key),
                         .value = slice_str(c->bytes) };
    if (c->clear)
        c->op = (struct op){ .kind = OP_CLEAR };
    c->request = (struct request){ .edition = c->edition,
                                   .ops = &c->op,
                                   .op_count = 1,
                                   .results = &c->result,
                                   .origin = (uint64_t)(uintptr_t)c,
                                   .result_bytes_max = 1 << 20,
                                   .done = call_done };
    sim_on_loop(h->w, c->node, c->loop, send_body, c);
}

static enum status
call_wait(struct hall_call *c)
{
    EXPECT(sim_run_until(c->hall->w, &c->done, HALL_PATIENCE_MS));
    return c->request.status;
}

enum status
hall_put(struct hall *h, uint32_t node, uint64_t id, const char *key, const char *value)
{
    struct hall_call c = { .node = node, .id = id };

    snprintf(c.key, sizeof(c.key), "%s", key);
    snprintf(c.bytes, sizeof(c.bytes), "%s", value);
    hall_send(h, &c);
    return call_wait(&c);
}

enum status
hall_get(struct hall *h, uint32_t node, uint32_t loop, uint64_t id, const char *key)
{
    struct hall_call c = { .node = node, .loop = loop, .id = id };
    enum status st;

    snprintf(c.key, sizeof(c.key), "%s", key);
    hall_send(h, &c);
    st = call_wait(&c);
    snprintf(h->value, sizeof(h->value), "%s", st == ST_OK ? c.value : status_name(st));
    return st;
}

/* ------------------------------------------------------------------ groups */

struct tablet *
hall_tablet(struct hall *h, uint32_t node, uint64_t id)
{
    return tablet_reactor_find(h->sites[node].node.first, id);
}

void
hall_on_owner(struct hall *h, uint32_t node, uint64_t id, void (*fn)(void *ctx), void *ctx)
{
    struct tablet *t = hall_tablet(h, node, id);

    assert_non_null(t);
    sim_on_loop(h->w, node, loop_index(tablet_loop(t)), fn, ctx);
}

static bool
leads(struct hall *h, uint32_t node, uint64_t id)
{
    const struct tablet *t = sim_running(h->w, node) ? hall_tablet(h, node, id) : NULL;

    return t != NULL && tablet__leads(t);
}

uint32_t
hall_leader(struct hall *h, uint64_t id)
{
    for (uint32_t ms = 0; ms < HALL_PATIENCE_MS; ms += 10) {
        for (uint32_t node = 1; node <= h->count; node++) {
            if (leads(h, node, id))
                return node;
        }
        sim_run_ms(h->w, 10);
    }
    fail_msg("nobody leads");
    return 0;
}

struct order {
    struct tablet *t;
    const struct raft_config *config;
    enum status status;
};

static void
change_body(void *ctx)
{
    struct order *o = ctx;

    o->status = tablet_change_members(o->t, o->config);
}

static bool
is_in_force(const struct raft *r, const struct raft_config *config)
{
    return raft_config_equal(raft_config(r), config) && raft_config_index(r) <= raft_commit(r);
}

void
hall_change_members(struct hall *h, uint64_t id, const struct raft_config *config)
{
    for (uint32_t tries = 0; tries < 500; tries++) {
        uint32_t leader = hall_leader(h, id);
        struct order o = { .t = hall_tablet(h, leader, id), .config = config };

        if (is_in_force(tablet_raft(o.t), config))
            return;
        hall_on_owner(h, leader, id, change_body, &o);
        sim_run_ms(h->w, 50);
    }
    fail_msg("the members are not what was asked for");
}
