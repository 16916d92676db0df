/*
 * The node's coordinator: doors, routing, start and end.
 *
 *      session ──> kv_submit ──┬─ pure read ────────────> tablet_read, on this reactor
 *                              ├─ the tablet is ours ───> tablet_submit
 *                              └─ another reactor's ────> a task on its loop ──> tablet_submit
 *
 * The result comes back through request.done on the reactor that asked.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "kv/kv_internal.h"

enum { SLEW_EVERY_NS = 1000000000 };

/* In ascending order of id, mostly without a gap: then the first guess is right. */
struct keyspace *
kv__keyspace(struct kv *kv, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = kv->keyspace_count;
    uint32_t guess = high == 0 ? 0 : id - kv->keyspaces[0].id;

    if (guess < high && kv->keyspaces[guess].id == id)
        return &kv->keyspaces[guess];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (kv->keyspaces[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < kv->keyspace_count && kv->keyspaces[low].id == id ? &kv->keyspaces[low] : NULL;
}

/* ------------------------------------------------------------------ the doors' heartbeats */

static void
slew_if_due(struct kv *kv, uint64_t now_ns)
{
    if (now_ns - kv->slewed_ns < SLEW_EVERY_NS)
        return;
    kv->slewed_ns = now_ns;
    node_clock_slew(&kv->clock, env_wall_ms(engine_env(kv->engine)), now_ns);
}

static void check_drained(struct kv_door *door);

static void
on_tick(void *ctx)
{
    struct kv_door *door = ctx;

    if (door->drained)
        return; /* it was due already */
    tablet_reactor_tick(&door->reactor);
    if (loop_index(door->loop) == 0)
        slew_if_due(door->kv, env_boot_ns(engine_env(door->kv->engine)));
    check_drained(door);
    if (!door->drained)
        timer_start(door->tick, TABLET_TICK_MS);
}

/* ------------------------------------------------------------------ opening */

static enum status
open_doors(struct kv *kv, const struct kv_options *options, struct err *err)
{
    kv->doors = mem_new_array(struct kv_door, options->loop_count);
    if (kv->doors == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the reactors' doors");
    for (uint32_t i = 0; i < options->loop_count; i++) {
        struct kv_door *door = &kv->doors[i];

        door->kv = kv;
        door->loop = options->loops[i];
        tablet_reactor_init(&door->reactor, &kv->node, door->loop);
        kv->door_count++;
        if (timer_create_on(door->loop, on_tick, door, &door->tick) != ST_OK)
            return err_raise(err, ST_NO_MEMORY, "out of memory for the reactors' timers");
    }
    return ST_OK;
}

/* The metadata tablet is each node's own. */
static enum status
create_tablet(struct kv *kv, struct engine_tree *tree, struct kv_door *door, struct tablet **out,
              struct err *err)
{
    const struct raft_config ourselves = { .voter_count = 1, .voters = { kv->node.id } };
    uint64_t id = engine_tree_id(tree);

    *out = tablet_create(&door->reactor, tree, id == KV_META_TREE ? &ourselves : &kv->founders);
    if (*out == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for tablet %016llx",
                         (unsigned long long)id);
    return ST_OK;
}

/* A tablet for every tree that there is, so that the log finds them. */
struct making {
    struct kv *kv;
    struct err *err;
    enum status status;
};

static void
make_replaying(void *ctx, struct engine_tree *tree)
{
    struct making *m = ctx;
    struct kv *kv = m->kv;
    struct kv_door *door = &kv->doors[kv->doors[0].reactor.roster.count % kv->door_count];
    struct tablet *made;

    if (m->status == ST_OK)
        m->status = create_tablet(kv, tree, door, &made, m->err);
}

static enum status
replay(void *ctx, struct engine_tree *tree, const struct wal_record *record, wal_position at,
       struct err *err)
{
    struct kv *kv = ctx;
    struct tablet *t = tablet_reactor_find(&kv->doors[0].reactor, record->tablet);

    if (tree == NULL || t == NULL) {
        return err_raise(err, ST_CORRUPT,
                         "the log holds entry %llu of tablet %016llx, which the "
                         "catalogue does not name",
                         (unsigned long long)record->index, (unsigned long long)record->tablet);
    }
    return tablet_replay(t, record, at, err);
}

static void
passed(void *ctx, const struct wal_record *record, wal_position at)
{
    struct kv *kv = ctx;
    struct tablet *t = tablet_reactor_find(&kv->doors[0].reactor, record->tablet);

    if (t != NULL)
        tablet_passed(t, record, at);
}

static void
log_recovery(const struct kv *kv, const struct wal_recovery *report)
{
    log_event(LOG_INFO, "recovery.done", log_u64("records", report->record_count),
              log_u64("bytes", report->byte_count), log_u64("segments", report->segment_count),
              log_str("end", report->clean ? "clean" : "crash"),
              log_u64("rewritten", report->rewritten_count),
              log_u64("keyspaces", kv->keyspace_count));
    if (report->torn_bytes > 0) {
        log_event(LOG_WARN, "recovery.torn_tail", log_str("file", report->torn_file),
                  log_u64("offset", report->torn_offset), log_u64("bytes_cut", report->torn_bytes),
                  log_str("meaning", "an unfinished write that nobody was told of"));
    }
}

/* Take the tablet that the replay made, or make one now. */
static enum status
claim_tablet(struct kv *kv, uint64_t id, struct kv_door *door, struct tablet **out, struct err *err)
{
    struct engine_tree *tree;
    enum status st = ST_OK;

    *out = tablet_reactor_find(&kv->doors[0].reactor, id);
    if (*out != NULL)
        return ST_OK;
    tree = engine_find_tree(kv->engine, id);
    if (tree == NULL)
        st = engine_create_tree(kv->engine, id, &tree, err);
    return st == ST_OK ? create_tablet(kv, tree, door, out, err) : st;
}

/* The node's time begins no earlier than the highest ceiling of its tablets. */
static void
begin_clock(struct kv *kv)
{
    const struct tablet_roster *all = &kv->doors[0].reactor.roster;
    struct env *env = engine_env(kv->engine);
    uint64_t floor_ms = 0;

    for (uint32_t i = 0; i < all->count; i++) {
        uint64_t ceiling_ms = tablet_ceiling_ms(all->at[i]);

        if (ceiling_ms > floor_ms)
            floor_ms = ceiling_ms;
    }
    node_clock_init(&kv->clock, env_wall_ms(env), floor_ms, env_boot_ns(env));
    kv->slewed_ns = env_boot_ns(env);
}

static enum status
start_one(struct tablet *t, struct engine *engine, struct err *err)
{
    enum status st = tablet_stand(t, err);

    if (st == ST_OK)
        st = engine_sync(engine, err);
    if (st == ST_OK)
        st = tablet_lead(t, err);
    if (st == ST_OK)
        st = engine_sync(engine, err);
    return st == ST_OK ? tablet_started(t, err) : st;
}

/* The keyspaces stand in a table from the first: whoever has to cut the log at its beginning
 * loses what was written, but not the way to the tables. */
static enum status
flush_meta(struct kv *kv, struct err *err)
{
    struct engine_tree *tree = engine_find_tree(kv->engine, KV_META_TREE);

    if (engine_tree_seal(tree) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the metadata tablet");
    return engine_tree_flush(tree, err);
}

static enum status
start_meta(struct kv *kv, struct err *err)
{
    enum status st = claim_tablet(kv, KV_META_TREE, &kv->doors[0], &kv->meta, err);

    if (st == ST_OK)
        st = start_one(kv->meta, kv->engine, err);
    if (st == ST_OK)
        st = kv__load_keyspaces(kv, err);
    if (st == ST_OK && kv->keyspace_count == 0)
        st = kv__create_databases(kv, err);
    if (st == ST_OK && lsm_flushed(tablet_lsm(kv->meta)).index == 0)
        st = flush_meta(kv, err);
    return st;
}

static enum status
start_keyspaces(struct kv *kv, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < kv->keyspace_count && st == ST_OK; i++) {
        struct keyspace *k = &kv->keyspaces[i];

        st = claim_tablet(kv, k->tablet_id, &kv->doors[i % kv->door_count], &k->tablet, err);
        if (st == ST_OK)
            st = tablet_stand(k->tablet, err);
    }
    if (st == ST_OK)
        st = engine_sync(kv->engine, err); /* one fsync for all their votes */
    for (uint32_t i = 0; i < kv->keyspace_count && st == ST_OK; i++)
        st = tablet_lead(kv->keyspaces[i].tablet, err);
    if (st == ST_OK)
        st = engine_sync(kv->engine, err); /* and one for their terms */
    for (uint32_t i = 0; i < kv->keyspace_count && st == ST_OK; i++)
        st = tablet_started(kv->keyspaces[i].tablet, err);
    return st;
}

static void
start_doors(struct kv *kv)
{
    for (uint32_t i = 0; i < kv->door_count; i++) {
        struct kv_door *door = &kv->doors[i];

        tablet_reactor_listen(&door->reactor);
        timer_start(door->tick, TABLET_TICK_MS);
    }
}

static enum status
recover(struct kv *kv, struct wal_recovery *report, struct err *err)
{
    struct engine_replay to = { .replay = replay, .passed = passed, .ctx = kv };
    struct making making = { kv, err, ST_OK };

    engine_each_tree(kv->engine, make_replaying, &making);
    if (making.status != ST_OK)
        return making.status;
    return engine_recover(kv->engine, &to, report, err);
}

static void
destroy(struct kv *kv)
{
    listener_close(kv->peers);
    while (kv->door_count > 0 && kv->doors[0].reactor.roster.count > 0)
        tablet_destroy(kv->doors[0].reactor.roster.at[0]);
    mem_free(kv->keyspaces);
    for (uint32_t i = 0; i < kv->door_count; i++) {
        timer_destroy(kv->doors[i].tick);
        tablet_reactor_release(&kv->doors[i].reactor);
    }
    tablet_node_release(&kv->node);
    mem_free(kv->doors);
    mem_free(kv->peer_of);
    lock_release(&kv->lock);
    mem_free(kv);
}

enum status
kv_open(struct kv **out, struct engine *engine, const struct kv_options *options, struct err *err)
{
    struct kv *kv = mem_new(struct kv);
    struct wal_recovery report = { 0 };
    enum status st;

    ASSERT(options->loop_count > 0);
    if (kv == NULL) {
        (void)engine_close(engine, NULL);
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    }
    kv->engine = engine;
    lock_init(&kv->lock);
    list_init(&kv->heavy.waiting);
    list_init(&kv->light.waiting);
    snprintf(kv->node_name, sizeof(kv->node_name), "%s", options->node_name);
    tablet_node_init(&kv->node);
    kv->node.engine = engine;
    kv->node.clock = &kv->clock;
    kv->node.id = engine_identity(engine)->node;

    st = kv__found(kv, options->cluster, err);
    if (st == ST_OK)
        st = open_doors(kv, options, err);
    if (st == ST_OK)
        st = recover(kv, &report, err);
    if (st == ST_OK) {
        begin_clock(kv);
        st = start_meta(kv, err);
    }
    if (st == ST_OK)
        st = start_keyspaces(kv, err);
    if (st == ST_OK)
        st = kv__connect(kv, options->cluster, err);
    if (st != ST_OK) {
        struct err ignored;

        engine_quiesce(engine);
        destroy(kv);
        (void)engine_close(engine, &ignored);
        return st;
    }
    engine_serve(engine);
    start_doors(kv);
    log_recovery(kv, &report);
    *out = kv;
    return ST_OK;
}

/* ------------------------------------------------------------------ closing */

static void
call_drained(struct task *task)
{
    struct kv *kv = container_of(task, struct kv, drained_task);

    kv->drained(kv->drained_ctx);
}

/* Nothing that came through this door is unfinished, and no job reads for a tablet of its loop.
 * What other doors sent here is counted there. */
static bool
is_drained(const struct kv_door *door)
{
    return door->under_way == 0 && tablet_reactor_idle(&door->reactor);
}

static void
check_drained(struct kv_door *door)
{
    struct kv *kv = door->kv;

    if (!door->draining || door->drained || !is_drained(door))
        return;
    door->drained = true;
    tablet_reactor_rest(&door->reactor);
    if (atomic_fetch_sub(&kv->drains_left, 1) == 1) {
        kv->drained_task.run = call_drained;
        loop_post(kv->doors[0].loop, &kv->drained_task);
    }
}

static void
begin_drain(struct task *task)
{
    struct kv_door *door = container_of(task, struct kv_door, drain_task);

    door->draining = true;
    tablet_reactor_drain(&door->reactor);
    check_drained(door);
}

void
kv_drain(struct kv *kv, void (*drained)(void *ctx), void *ctx)
{
    ASSERT(!atomic_load(&kv->closing));
    atomic_store(&kv->closing, true);
    engine_begin_close(kv->engine); /* a compaction of minutes must not hold up the end */
    kv->drained = drained;
    kv->drained_ctx = ctx;
    atomic_store(&kv->drains_left, kv->door_count);
    for (uint32_t i = 0; i < kv->door_count; i++) {
        kv->doors[i].drain_task.run = begin_drain;
        loop_post(kv->doors[i].loop, &kv->doors[i].drain_task);
    }
}

enum status
kv_close(struct kv *kv, struct err *err)
{
    struct engine *engine = kv->engine;

    engine_quiesce(engine);
    destroy(kv);
    return engine_close(engine, err);
}

/* ------------------------------------------------------------------ requests */

static enum status
check_op(const struct op *op, size_t *bytes)
{
    if (op->key.size > LIMIT_KEY_BYTES || op->key2.size > LIMIT_KEY_BYTES ||
        op->value.size > LIMIT_VALUE_BYTES)
        return ST_TOO_BIG;
    *bytes += op->key.size + op->key2.size + op->value.size + sizeof(*op);
    return *bytes > LIMIT_REQUEST_BYTES + (size_t)LIMIT_REQUEST_OPS * sizeof(*op) ? ST_TOO_BIG
                                                                                  : ST_OK;
}

static enum status
check_request(const struct request *r)
{
    size_t bytes = 0;
    enum status st = r->op_count <= LIMIT_REQUEST_OPS ? ST_OK : ST_TOO_BIG;

    for (uint32_t i = 0; i < r->op_count && st == ST_OK; i++)
        st = check_op(&r->ops[i], &bytes);
    for (uint32_t i = 0; i < r->precondition_count && st == ST_OK; i++) {
        if (r->preconditions[i].key.size > LIMIT_KEY_BYTES)
            st = ST_TOO_BIG;
    }
    return st;
}

/* Only the door's own loop writes its counters. */
static void
bump(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static void
count_ops(struct kv_door *door, const struct request *r)
{
    uint64_t gets = 0;
    uint64_t deletes = 0;

    for (uint32_t i = 0; i < r->op_count; i++) {
        gets += !op_writes(r->ops[i].kind);
        deletes += r->ops[i].kind == OP_DELETE;
    }
    bump(&door->counters.gets, gets);
    bump(&door->counters.deletes, deletes);
    bump(&door->counters.puts, r->op_count - gets - deletes);
}

static void
refuse(struct request *r, enum status st)
{
    r->status = st;
    request_done(r);
}

void
kv_submit(struct kv_door *door, struct request *r)
{
    struct kv *kv = door->kv;
    struct keyspace *k = kv__keyspace(kv, r->keyspace);
    enum status st = k == NULL ? ST_NOT_FOUND : check_request(r);

    r->home = door->loop;
    r->under_way = &door->under_way;
    door->under_way++;
    r->cold = NULL;
    r->scratch = (struct buf){ 0 };
    r->err.text[0] = '\0';
    if (st == ST_OK && atomic_load_explicit(&kv->closing, memory_order_relaxed))
        st = ST_CLOSED;
    if (st != ST_OK) {
        refuse(r, st);
        return;
    }
    count_ops(door, r);
    if (!r->ordered && r->precondition_count == 0 && !request_writes(r) &&
        tablet_read(k->tablet, &door->reactor.reader, r))
        return;
    tablet_send(k->tablet, r);
}

enum status
kv_database(struct kv_door *door, uint64_t number, uint32_t *keyspace)
{
    if (number >= LIMIT_DATABASES || kv__keyspace(door->kv, (uint32_t)number) == NULL)
        return ST_NOT_FOUND;
    *keyspace = (uint32_t)number;
    return ST_OK;
}

uint64_t
kv_now_ms(struct kv_door *door, uint32_t keyspace)
{
    (void)keyspace;
    return node_clock_ms(&door->kv->clock, loop_now_ns(door->loop));
}

struct tablet *
kv_tablet(struct kv *kv, uint32_t keyspace)
{
    struct keyspace *k = kv__keyspace(kv, keyspace);

    return k == NULL ? NULL : k->tablet;
}

/* ------------------------------------------------------------------ snapshots */

enum status
kv_snapshot_take(struct kv_snapshot *out, const struct request *asked)
{
    struct lsm_snapshot *pin;

    ASSERT(asked->status == ST_OK && asked->snapshot == NULL);
    pin = lsm_snapshot_take(tablet_lsm(asked->tablet));
    if (pin == NULL)
        return ST_NO_MEMORY;
    *out = (struct kv_snapshot){ tablet_hold(asked->tablet), pin, lsm_snapshot_version(pin) };
    return ST_OK;
}

void
kv_snapshot_release(struct kv_snapshot *s)
{
    if (s->pin == NULL)
        return;
    lsm_snapshot_release(tablet_lsm(s->tablet), s->pin);
    tablet_let_go(s->tablet);
    s->pin = NULL;
}

/* ------------------------------------------------------------------ figures */

struct kv_door *
kv_door_of(struct kv *kv, uint32_t loop_index)
{
    ASSERT(loop_index < kv->door_count);
    return &kv->doors[loop_index];
}

struct budget *
kv_budget(struct kv *kv)
{
    return engine_budget(kv->engine);
}

static uint64_t
keys_estimate(const struct tablet *t)
{
    struct lsm_stats s = { 0 };

    lsm_stats(tablet_lsm(t), &s);
    return s.entries > 2 * s.tombstones ? s.entries - 2 * s.tombstones : 0;
}

uint64_t
kv_keys_estimate(struct kv_door *door, uint32_t keyspace)
{
    struct keyspace *k = kv__keyspace(door->kv, keyspace);

    return k == NULL ? 0 : keys_estimate(k->tablet);
}

void
kv_stats(struct kv *kv, struct kv_stats *out)
{
    *out = (struct kv_stats){ 0 };
    for (uint32_t i = 0; i < kv->door_count; i++) {
        out->puts += atomic_load(&kv->doors[i].counters.puts);
        out->gets += atomic_load(&kv->doors[i].counters.gets);
        out->deletes += atomic_load(&kv->doors[i].counters.deletes);
    }
    for (uint32_t i = 0; i < kv->keyspace_count; i++)
        out->keys_estimate += keys_estimate(kv->keyspaces[i].tablet);
    engine_stats(kv->engine, &out->engine);
}

enum status
kv_writable(const struct kv *kv)
{
    if (engine_log_health(kv->engine) != ST_OK)
        return ST_IO;
    return engine_space(kv->engine) == ENGINE_SPACE_LOW ? ST_NO_SPACE : ST_OK;
}

const char *
kv_node_name(const struct kv *kv)
{
    return kv->node_name;
}

uint64_t
kv_node_id(const struct kv *kv)
{
    return engine_identity(kv->engine)->node;
}
