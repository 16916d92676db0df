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

static bool
concerns(const struct kv_admin *a, const struct keyspace *k)
{
    return a->kind == KV_SAVE || k->id == a->keyspace;
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
    struct keyspace *k = kv__keyspace(a->door->kv, a->keyspace);
    struct lsm *lsm = tablet_lsm(k->tablet);
    struct lsm_snapshot *snapshot = lsm_snapshot_take(lsm);
    struct lsm_iter_options options = { .snapshot = snapshot };
    struct lsm_iter *it = NULL;
    enum status st;

    if (snapshot == NULL)
        return ST_NO_MEMORY;
    options.now_ms = tablet_now_ms(k->tablet, env_boot_ns(engine_env(a->door->kv->engine)));
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
    struct lsm *lsm = tablet_lsm(kv__keyspace(a->door->kv, a->keyspace)->tablet);
    enum status st = lsm_state_hash(lsm, a->snapshot, pause_hash, a, &a->state.records, &a->err);

    lsm_snapshot_release(lsm, a->snapshot);
    a->snapshot = NULL;
    return st;
}

static enum status
save(struct kv_admin *a)
{
    struct kv *kv = a->door->kv;
    enum status st = engine_sync(kv->engine, &a->err);

    for (uint32_t i = 0; i < kv->keyspace_count && st == ST_OK; i++)
        st = engine_tree_flush(engine_find_tree(kv->engine, kv->keyspaces[i].tablet_id), &a->err);
    return st;
}

static enum status
compact(struct kv_admin *a)
{
    struct kv *kv = a->door->kv;
    struct keyspace *k = kv__keyspace(kv, a->keyspace);
    struct engine_tree *tree = engine_find_tree(kv->engine, k->tablet_id);
    enum status st = engine_tree_flush(tree, &a->err);

    return st == ST_OK ? engine_tree_compact_all(tree, &a->compact, &a->err) : st;
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

/* On each loop in turn: its tablets' memtables are sealed. */
static void
seal_task(struct task *task)
{
    struct kv_admin *a = container_of(task, struct kv_admin, task);
    struct kv *kv = a->door->kv;
    struct loop *here = kv->doors[a->step].loop;

    for (uint32_t i = 0; i < kv->keyspace_count; i++) {
        struct keyspace *k = &kv->keyspaces[i];

        if (concerns(a, k) && tablet_loop(k->tablet) == here &&
            engine_tree_seal(engine_find_tree(kv->engine, k->tablet_id)) != ST_OK)
            a->status = ST_NO_MEMORY;
    }
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
    struct tablet *t = kv__keyspace(a->door->kv, a->keyspace)->tablet;
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
        loop_post(tablet_loop(kv__keyspace(kv, a->keyspace)->tablet), &a->task);
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
ask_node(struct kv_admin *a, struct keyspace *k)
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
    forward_ask(a->door->forward, k, &a->far, a->node);
}

/* ------------------------------------------------------------------ asking */

static bool
is_far(const struct kv_admin *a)
{
    return (a->kind == KV_COUNT || a->kind == KV_RANDOM) && a->node != 0 &&
           a->node != a->door->kv->node.id && a->door->forward != NULL;
}

void
kv_admin_submit(struct kv_door *door, struct kv_admin *a)
{
    struct kv *kv = door->kv;
    struct keyspace *k = kv__keyspace(kv, a->keyspace);
    struct admin_queue *q = queue_of(kv, a->kind);
    bool start;

    a->door = door;
    door->under_way++;
    a->status = ST_OK;
    a->count = 0;
    a->key = buf_empty(LIMIT_KEY_BYTES);
    if (atomic_load(&kv->closing) || k == NULL) {
        a->status = atomic_load(&kv->closing) ? ST_CLOSED : ST_NOT_FOUND;
        a->task.run = finish_task;
        loop_post(door->loop, &a->task);
        return;
    }
    if (is_far(a)) {
        ask_node(a, k);
        return;
    }
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

uint32_t
kv_compact_permille(struct kv_door *door, uint32_t keyspace)
{
    struct keyspace *k = kv__keyspace(door->kv, keyspace);

    return k == NULL ? 0 : lsm_compact_permille(tablet_lsm(k->tablet));
}
