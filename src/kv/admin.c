/*
 * Administrative jobs.  Two queues, each with one job at a time: flushes and
 * compactions wait for one another, and so do counts and hashes; neither can fill the
 * READ lane, on which the reads of clients wait.
 *
 *      KV_COMPACT, KV_SAVE   first every owner seals its memtables, loop by loop,
 *                            then a job flushes and merges
 *      KV_HASH               first the owner takes index and snapshot in one moment, then a job
 *                            walks what the snapshot sees
 */
#include "base/coding.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"

enum {
    COUNT_PAUSE_EVERY = 1 << 15,
    NS_PER_SECOND = 1000000000,
    FAR_SECONDS_MAX = 60, /* so long another node may take */
};

static struct admin_queue *
queue_of(struct kv *kv, enum kv_admin_kind kind)
{
    return kind == KV_COMPACT || kind == KV_SAVE ? &kv->heavy : &kv->light;
}

/* ------------------------------------------------------------------ what the jobs do */

static bool
is_closing(const struct kv_admin *a)
{
    return atomic_load_explicit(&a->door->kv->closing, memory_order_relaxed);
}

/* Long walks are paced: others use the same disk and cores. */
static void
rest(const struct kv_admin *a)
{
    env_sleep_ms(engine_env(a->door->kv->engine), 1);
}

static enum status
count_keys(struct kv_admin *a, struct lsm_iter *it)
{
    static const uint8_t from = KEY_USER;
    enum status st = lsm_iter_seek(it, slice_of(&from, 1), &a->err);

    while (st == ST_OK) {
        struct entry e;

        lsm_iter_entry(it, &e);
        if (e.key.data[0] != KEY_USER)
            break;
        if (is_closing(a))
            return ST_CLOSED;
        if (++a->count % COUNT_PAUSE_EVERY == 0)
            rest(a);
        st = lsm_iter_next(it, &a->err);
    }
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* A key at or after a random point between the first key and the last. */
static enum status
random_key(struct kv_admin *a, struct lsm_iter *it)
{
    static const uint8_t from = KEY_USER;
    uint8_t point[9] = { KEY_USER };
    struct entry first, last, e;
    uint64_t low, high, at;
    enum status st = lsm_iter_seek(it, slice_of(&from, 1), &a->err);

    if (st != ST_OK)
        return st;
    lsm_iter_entry(it, &first);
    low = get_prefix_be(slice_of(first.key.data + 1, first.key.size - 1));
    st = lsm_iter_last(it, &a->err);
    if (st != ST_OK)
        return st;
    lsm_iter_entry(it, &last);
    high = get_prefix_be(slice_of(last.key.data + 1, last.key.size - 1));
    env_random(engine_env(a->door->kv->engine), &at, sizeof(at));
    at = high > low ? low + at % (high - low + (high - low != UINT64_MAX)) : low;
    at = __builtin_bswap64(at);
    memcpy(point + 1, &at, sizeof(at));
    st = lsm_iter_seek(it, slice_of(point, sizeof(point)), &a->err);
    if (st == ST_NOT_FOUND)
        st = lsm_iter_last(it, &a->err);
    if (st != ST_OK)
        return st;
    lsm_iter_entry(it, &e);
    return buf_append(&a->key, slice_of(e.key.data + 1, e.key.size - 1));
}

typedef enum status iterate_fn(struct kv_admin *a, struct lsm_iter *it);

static enum status
iterate(struct kv_admin *a, iterate_fn *fn)
{
    const struct tablet *t = a->held[0];
    struct lsm *lsm = tablet_lsm(t);
    struct lsm_snapshot *snapshot = lsm_snapshot_take(lsm);
    struct lsm_iter_options options = { .snapshot = snapshot };
    struct lsm_iter *it = NULL;
    enum status st;

    if (snapshot == NULL)
        return ST_NO_MEMORY;
    options.now_ms = tablet_now_ms(t, env_boot_ns(engine_env(a->door->kv->engine)));
    st = lsm_iter_create(lsm, &options, &it, &a->err);
    if (st == ST_OK)
        st = fn(a, it);
    lsm_iter_destroy(it);
    lsm_snapshot_release(lsm, snapshot);
    return st;
}

static enum status
pause_hash(void *ctx)
{
    struct kv_admin *a = ctx;

    if (is_closing(a))
        return ST_CLOSED;
    rest(a);
    return ST_OK;
}

static enum status
hash_state(struct kv_admin *a)
{
    struct lsm *lsm = tablet_lsm(a->held[0]);
    enum status st = lsm_state_hash(lsm, a->snapshot, pause_hash, a, &a->state.records, &a->err);

    lsm_snapshot_release(lsm, a->snapshot);
    a->snapshot = NULL;
    return st;
}

static void
flush_tree(void *ctx, struct engine_tree *tree)
{
    struct kv_admin *a = ctx;

    if (a->status == ST_OK)
        a->status = engine_tree_flush(tree, &a->err);
}

static enum status
save(struct kv_admin *a)
{
    struct kv *kv = a->door->kv;

    a->status = engine_sync(kv->engine, &a->err);
    engine_each_tree(kv->engine, flush_tree, a);
    return a->status;
}

static enum status
compact(struct kv_admin *a)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < a->held_count && st == ST_OK; i++) {
        struct engine_tree *tree = engine_find_tree(a->door->kv->engine, tablet_id(a->held[i]));
        struct lsm_compact_report one = { 0 };

        st = engine_tree_flush(tree, &a->err);
        if (st == ST_OK)
            st = engine_tree_compact_all(tree, &one, &a->err);
        a->compact.tables_in += one.tables_in;
        a->compact.tables_out += one.tables_out;
        a->compact.keys_removed += one.keys_removed;
        a->compact.bytes_reclaimed += one.bytes_reclaimed;
    }
    return st;
}

static void
admin_run(struct job *job)
{
    struct kv_admin *a = container_of(job, struct kv_admin, job);
    struct env *env = engine_env(a->door->kv->engine);

    if (a->status != ST_OK)
        return; /* a memtable could not be sealed, or no moment be taken */
    switch (a->kind) {
    case KV_COUNT:
        a->status = iterate(a, count_keys);
        break;
    case KV_RANDOM:
        a->status = iterate(a, random_key);
        break;
    case KV_HASH:
        a->status = hash_state(a);
        break;
    case KV_SAVE:
        a->status = save(a);
        break;
    case KV_COMPACT:
        a->status = compact(a);
        break;
    }
    a->seconds = (double)(env_boot_ns(env) - a->begun_ns) / NS_PER_SECOND;
}

/* ------------------------------------------------------------------ queues */

static void begin(struct kv_admin *a);

static void
finish(struct kv_admin *a)
{
    for (uint32_t i = 0; i < a->held_count; i++)
        tablet_let_go(a->held[i]);
    mem_free(a->held);
    a->held = NULL;
    a->held_count = 0;
    a->door->under_way--;
    a->done(a);
}

static void
admin_done(struct job *job)
{
    struct kv_admin *a = container_of(job, struct kv_admin, job);
    struct kv *kv = a->door->kv;
    struct admin_queue *q = queue_of(kv, a->kind);
    struct kv_admin *next = NULL;

    lock_take(&kv->lock);
    if (list_empty(&q->waiting))
        q->running = false;
    else
        next = container_of(list_pop_front(&q->waiting), struct kv_admin, link);
    lock_drop(&kv->lock);
    finish(a);
    if (next != NULL)
        begin(next);
}

static void
submit_job(struct kv_admin *a)
{
    a->job = (struct job){ .run = admin_run, .done = admin_done, .loop = a->door->loop };
    env_submit(engine_env(a->door->kv->engine), ENV_LANE_READ, &a->job);
}

static bool
concerns(const struct kv_admin *a, const struct tablet *t)
{
    for (uint32_t i = 0; i < a->held_count; i++) {
        if (a->held[i] == t)
            return true;
    }
    return a->kind == KV_SAVE;
}

static void
seal(void *ctx, struct tablet *t)
{
    struct kv_admin *a = ctx;

    if (concerns(a, t) &&
        engine_tree_seal(engine_find_tree(a->door->kv->engine, tablet_id(t))) != ST_OK)
        a->status = ST_NO_MEMORY;
}

/* On each loop in turn: its tablets' memtables are sealed. */
static void
seal_task(struct task *task)
{
    struct kv_admin *a = container_of(task, struct kv_admin, task);
    struct kv *kv = a->door->kv;

    tablet_each(&kv->doors[a->step].reactor, seal, a);
    if (++a->step < kv->door_count)
        loop_post(kv->doors[a->step].loop, &a->task);
    else
        submit_job(a);
}

/* On the loop of the tablet: nothing is applied between the index and the snapshot. */
static void
moment_task(struct task *task)
{
    struct kv_admin *a = container_of(task, struct kv_admin, task);
    const struct tablet *t = a->held[0];
    struct tablet_moment now = { 0 };

    a->status = tablet_take_moment(t, &now);
    a->state = (struct kv_state){ .index = now.index, .term = now.term };
    a->snapshot = now.snapshot;
    submit_job(a);
}

static void
begin(struct kv_admin *a)
{
    struct kv *kv = a->door->kv;

    a->begun_ns = env_boot_ns(engine_env(kv->engine));
    switch (a->kind) {
    case KV_COUNT:
    case KV_RANDOM:
        submit_job(a);
        return;
    case KV_HASH:
        a->task.run = moment_task;
        loop_post(tablet_loop(a->held[0]), &a->task);
        return;
    case KV_SAVE:
    case KV_COMPACT:
        a->step = 0;
        a->task.run = seal_task;
        loop_post(kv->doors[0].loop, &a->task);
        return;
    }
}

static void
finish_task(struct task *task)
{
    finish(container_of(task, struct kv_admin, task));
}

/* ------------------------------------------------------------------ another node's */

static enum status
take_answer(struct kv_admin *a, const struct request *r)
{
    const struct op_result *result = &a->far_result;

    if (r->status == ST_UNKNOWN || r->status == ST_NOT_LEADER)
        return ST_BUSY; /* it is gone, or about to be */
    if (r->status != ST_OK)
        return r->status;
    if (a->kind == KV_COUNT) {
        a->count = (uint64_t)result->integer;
        return ST_OK;
    }
    return result->code == OP_NIL ? ST_NOT_FOUND : buf_append(&a->key, result->value);
}

static void
far_done(struct request *r)
{
    struct kv_admin *a = container_of(r, struct kv_admin, far);

    a->status = take_answer(a, r);
    a->err = r->err;
    a->task.run = finish_task; /* never before kv_admin_submit() returns */
    loop_post(a->door->loop, &a->task);
}

static void
ask_node(struct kv_admin *a, struct site *site)
{
    a->far_op = (struct op){ .kind = OP_GET };
    a->far = (struct request){
        .kind = a->kind == KV_COUNT ? REQUEST_COUNT : REQUEST_RANDOM,
        .ops = &a->far_op,
        .op_count = 1,
        .results = &a->far_result,
        .deadline_ns = loop_now_ns(a->door->loop) + FAR_SECONDS_MAX * (uint64_t)NS_PER_SECOND,
        .done = far_done,
    };
    forward_ask(a->door->forward, site, &a->far, a->node);
}

/* ------------------------------------------------------------------ asking */

static bool
is_far(const struct kv_admin *a)
{
    return (a->kind == KV_COUNT || a->kind == KV_RANDOM) && a->node != 0 &&
           a->node != a->door->kv->node.id && a->door->forward != NULL;
}

static enum status
hold(struct kv_admin *a, const struct site *site)
{
    struct tablet *t = map_tablet(&a->door->map, site);

    if (t != NULL)
        a->held[a->held_count++] = tablet_hold(t);
    return t == NULL && a->kind != KV_COMPACT ? ST_NOT_LEADER : ST_OK;
}

/* The tablets that it is about, so that they stay. */
static enum status
hold_tablets(struct kv_admin *a, const struct space *s, const struct site *only)
{
    enum status st = ST_OK;

    if (a->kind == KV_SAVE)
        return ST_OK; /* about all there are */
    a->held = mem_new_array(struct tablet *, s->keyspace->tablet_count + (size_t)1);
    if (a->held == NULL)
        return ST_NO_MEMORY;
    if (a->kind != KV_COMPACT)
        return hold(a, only);
    for (uint32_t i = 0; i < s->keyspace->tablet_count && st == ST_OK; i++)
        st = hold(a, s->sites[i]);
    return st;
}

static void
enqueue(struct kv_admin *a)
{
    struct kv *kv = a->door->kv;
    struct admin_queue *q = queue_of(kv, a->kind);
    bool start;

    lock_take(&kv->lock);
    start = !q->running;
    if (start)
        q->running = true;
    else
        list_push_back(&q->waiting, &a->link);
    lock_drop(&kv->lock);
    if (start)
        begin(a);
}

void
kv_admin_submit(struct kv_door *door, struct kv_admin *a)
{
    const struct space *s = map_space(&door->map, a->keyspace);
    struct site *site = NULL;

    a->door = door;
    door->under_way++;
    a->status = ST_OK;
    a->count = 0;
    a->compact = (struct lsm_compact_report){ 0 };
    a->held = NULL;
    a->held_count = 0;
    a->key = buf_empty(LIMIT_KEY_BYTES);
    if (a->tablet != 0)
        site = map_find(&door->map, a->tablet);
    else if (s != NULL && s->keyspace->tablet_count > 0)
        site = s->sites[0];
    if (s == NULL || site == NULL)
        a->status = ST_NOT_FOUND;
    else if (atomic_load(&door->kv->closing))
        a->status = ST_CLOSED;
    else if (is_far(a)) {
        ask_node(a, site);
        return;
    } else {
        a->status = hold_tablets(a, s, site);
    }
    if (a->status == ST_OK) {
        enqueue(a);
        return;
    }
    a->task.run = finish_task;
    loop_post(door->loop, &a->task);
}

uint32_t
kv_compact_permille(struct kv_door *door, uint32_t keyspace)
{
    const struct tablet *t = kv__first_tablet(door, keyspace);

    return t == NULL ? 0 : lsm_compact_permille(tablet_lsm(t));
}
