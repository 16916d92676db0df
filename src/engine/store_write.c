/*
 * Group commit on the callers' own threads.
 *
 * Whoever finds nobody leading, leads: takes along all that wait (up to
 * STORE_GROUP_BYTES_MAX), appends a record for each, flushes once, applies
 * them in order, wakes them, and hands the lead to the first that came meanwhile.
 *
 * What a record says: engine/store_record.h.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "engine/store_internal.h"

enum { STORE_TERM = 1 };

/* ------------------------------------------------------------------ applying */

/* What a record does to one tree becomes visible together; readers see the whole record when
 * `visible` moves.  After ST_NO_MEMORY the same call may be repeated: trees that have it are passed
 * over. */
static enum status
apply_ops(const struct store_op *ops, struct entry *room, size_t count, const struct lsm_mark *mark,
          wal_position position)
{
    size_t at = 0;

    while (at < count) {
        struct engine_tree *tree = ops[at].tree;
        size_t n = 0;
        enum status st;

        for (; at + n < count && ops[at + n].tree == tree; n++) {
            room[n] = ops[at + n].entry;
            room[n].version = mark->version;
        }
        at += n;
        if (tree->applied_index >= mark->index)
            continue;
        st = lsm_apply(tree->lsm, room, n, mark);
        if (st != ST_OK)
            return st;
        engine__tree_moved(tree, mark->index, position);
    }
    return ST_OK;
}

/* The operations of a record that the tables lack. */
static enum status
decode_ops(struct dkv *db, struct store_record *r, uint64_t index, struct store_op *ops,
           size_t *count)
{
    size_t kept = 0;

    for (uint64_t i = 0; i < r->op_count; i++) {
        struct store_op op = { 0 };
        uint64_t id;

        if (store_record_next(r, &id, &op.entry) != ST_OK)
            return ST_CORRUPT;
        op.tree = engine_find_tree(db->engine, id);
        if (op.tree == NULL)
            return ST_CORRUPT;
        if (index > lsm_flushed(op.tree->lsm).index)
            ops[kept++] = op;
    }
    store__sort_ops(ops, kept);
    *count = kept;
    return store_record_end(r);
}

static enum status
flush_what_is_full(const struct store_op *ops, size_t count, wal_position at, struct err *err)
{
    enum status st = ST_OK;

    for (size_t i = 0; i < count && st == ST_OK; i++) {
        if (i == 0 || ops[i].tree != ops[i - 1].tree)
            st = engine__flush_replayed(ops[i].tree, at, err);
    }
    return st;
}

static enum status
replay_failed(const struct lsm_mark *mark, enum status st, struct err *err)
{
    return err_raise(err, st, "log record %llu cannot be replayed",
                     (unsigned long long)mark->index);
}

static enum status
replay_ops(struct dkv *db, struct store_record *r, const struct lsm_mark *mark, wal_position at,
           struct err *err)
{
    struct store_op *ops = mem_new_array(struct store_op, (size_t)r->op_count + 1);
    struct entry *room = mem_new_array(struct entry, (size_t)r->op_count + 1);
    size_t count = 0;
    enum status st = ops == NULL || room == NULL ? ST_NO_MEMORY : ST_OK;

    if (st == ST_OK)
        st = decode_ops(db, r, mark->index, ops, &count);
    if (st != ST_OK)
        st = replay_failed(mark, st, err);
    else
        st = flush_what_is_full(ops, count, at, err);
    if (st == ST_OK) {
        st = apply_ops(ops, room, count, mark, at);
        if (st != ST_OK)
            st = replay_failed(mark, st, err);
    }
    mem_free(ops);
    mem_free(room);
    return st;
}

enum status
store__replay(void *ctx, struct engine_tree *tree, const struct wal_record *record, wal_position at,
              struct err *err)
{
    struct dkv *db = ctx;
    struct lsm_mark mark = { .index = record->index, .term = record->term };
    struct store_record r;
    enum status st;

    (void)tree;
    if (record->type != WAL_ENTRY || record->index <= db->index ||
        store_record_decode(record->body, &r) != ST_OK)
        return err_raise(err, ST_CORRUPT, "log record %llu is not one that this program writes",
                         (unsigned long long)record->index);
    mark.version = r.version;
    st = replay_ops(db, &r, &mark, at, err);
    if (st != ST_OK)
        return st;
    db->index = record->index;
    if (mark.version > db->version)
        db->version = mark.version;
    return ST_OK;
}

/* ------------------------------------------------------------------ leading */

static void
count_in_flight(const struct store_writer *w, bool more)
{
    for (size_t i = 0; i < w->op_count; i++) {
        if (more)
            atomic_fetch_add(&w->ops[i].tree->in_flight, 1);
        else
            atomic_fetch_sub(&w->ops[i].tree->in_flight, 1);
    }
}

/* The owner's part, for all families: one that nobody writes to may be what holds the log, or the
 * memory that others wait for. */
static void
tend_all(struct dkv *db)
{
    uint32_t count = atomic_load(&db->family_count);

    for (uint32_t i = 0; i < count; i++)
        engine_tree_tend(db->families[i]->tree);
}

static enum engine_stall
stalled_by(const struct store_writer *w)
{
    enum engine_stall stall = ENGINE_STALL_NONE;

    for (size_t i = 0; i < w->op_count && stall == ENGINE_STALL_NONE; i++)
        stall = engine_tree_stall(w->ops[i].tree);
    return stall;
}

/* Until the memtables have room.  A writer has no deadline: when they cannot be flushed, it is told
 * so, and may come again. */
static enum status
await_memtables(struct dkv *db, struct store_writer *w)
{
    struct engine *e = db->engine;
    enum engine_stall stall = stalled_by(w);
    enum engine_stall now = stall;
    enum status failure = ST_OK;
    uint64_t begun_ns;

    if (stall == ENGINE_STALL_NONE)
        return ST_OK;
    begun_ns = env_boot_ns(db->env);
    engine__schedule(e);
    gate_enter(e->idle);
    while (now != ENGINE_STALL_NONE && wal_health(e->log) == ST_OK) {
        tend_all(db);
        failure = engine__put_off_by(e, now);
        if (failure != ST_OK)
            break;
        gate_wait(e->idle); /* woken by every flush and compaction, and by the tick */
        now = stalled_by(w);
    }
    gate_leave(e->idle);
    engine_count_stall(e, stall, env_boot_ns(db->env) - begun_ns);
    return failure == ST_OK ? ST_OK
                            : err_raise(&w->err, failure,
                                        "%s: there is no room (%s), and none can be made now (%s)",
                                        e->dir, engine_stall_name(now), status_name(failure));
}

static enum status
encode(struct buf *out, version_t version, const struct store_writer *w)
{
    enum status st = store_record_begin(out, version, w->op_count, w->bytes);

    for (size_t i = 0; i < w->op_count && st == ST_OK; i++)
        st = store_record_add(out, engine_tree_id(w->ops[i].tree), &w->ops[i].entry);
    return st;
}

static enum status
append(struct dkv *db, struct store_writer *w)
{
    struct engine *e = db->engine;
    struct wal_record record = {
        .type = WAL_ENTRY, .tablet = STORE_TABLET, .term = STORE_TERM, .index = db->index + 1
    };
    version_t version = version_next(db->version, env_wall_ms(db->env));
    enum status st = encode(&db->record, version, w);

    if (st != ST_OK)
        return st;
    record.body = buf_slice(&db->record);
    count_in_flight(w, true); /* before the append: N1 */
    st = wal_append(e->log, &record, &w->end, &w->err);
    while (st == ST_BUSY) {
        tend_all(db);
        st = engine_make_room(e, &w->err);
        if (st == ST_OK)
            st = wal_append(e->log, &record, &w->end, &w->err);
    }
    if (st != ST_OK) {
        count_in_flight(w, false);
        return st;
    }
    db->index = record.index;
    db->version = version;
    w->mark = (struct lsm_mark){ .index = record.index, .term = STORE_TERM, .version = version };
    return ST_OK;
}

static enum status
propose(struct dkv *db, struct store_writer *w)
{
    enum status st = ST_OK;

    if (engine_space(db->engine) == ENGINE_SPACE_LOW && !w->only_deletes)
        return err_raise(&w->err, ST_NO_SPACE, "the disk is full: only deletes are admitted");
    if (w->op_count == 0)
        return ST_OK;
    st = await_memtables(db, w);
    return st == ST_OK ? append(db, w) : st;
}

static enum status
seal_all(struct dkv *db)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < db->family_count && st == ST_OK; i++)
        st = engine_tree_seal(db->families[i]->tree);
    return st;
}

/* What may only be done in the leader's turn, when no record is half applied. */
static enum status
do_errands(struct dkv *db, struct store_writer *w)
{
    enum status st = w->seal ? seal_all(db) : ST_OK;

    if (st == ST_OK && w->snapshot != NULL)
        st = store__pin_families(db, w->snapshot);
    return st;
}

/* It is in the log, so it must come into the trees. */
static void
apply(struct dkv *db, struct store_writer *w)
{
    enum status st = apply_ops(w->ops, w->room, w->op_count, &w->mark, w->end);

    while (st == ST_NO_MEMORY) {
        env_sleep_ms(db->env, 10);
        st = apply_ops(w->ops, w->room, w->op_count, &w->mark, w->end);
    }
    ASSERT(st == ST_OK);
    count_in_flight(w, false);
}

/* All that wait, up to a bound, behind the leader's own.  True: a sync is wanted. */
static bool
take_group(struct dkv *db, struct store_writer *self, struct list *group)
{
    size_t bytes = self->bytes;
    bool sync = self->sync;

    list_init(group);
    list_push_back(group, &self->link);
    lock_take(&db->lock);
    while (!list_empty(&db->writers) && bytes < STORE_GROUP_BYTES_MAX) {
        struct store_writer *w =
            container_of(list_pop_front(&db->writers), struct store_writer, link);

        bytes += w->bytes;
        sync = sync || w->sync;
        list_push_back(group, &w->link);
    }
    lock_drop(&db->lock);
    return sync;
}

/* A writer's stack may be gone as soon as its turn has changed; its gate is not. */
static void
give_turn(struct store_writer *w, enum store_turn turn)
{
    struct store_gate *gate = w->gate;

    atomic_store(&w->turn, (uint32_t)turn);
    if (gate != NULL)
        gate_wake(gate->gate);
}

static void
hand_over(struct dkv *db)
{
    struct store_writer *next = NULL;

    lock_take(&db->lock);
    if (list_empty(&db->writers))
        db->led = false;
    else
        next = container_of(list_pop_front(&db->writers), struct store_writer, link);
    lock_drop(&db->lock);
    if (next != NULL)
        give_turn(next, STORE_LEADS);
}

/* Snapshots and seals need no log, and go on when it has failed. */
static bool
wants_log(const struct store_writer *w)
{
    return w->op_count > 0 || w->sync;
}

/* Into the log; true: there is something to flush. */
static bool
propose_group(struct dkv *db, struct list *group)
{
    bool flush = false;

    tend_all(db);
    list_each (item, group) {
        struct store_writer *w = container_of(item, struct store_writer, link);

        w->status = propose(db, w);
        flush = flush || (w->status == ST_OK && wants_log(w));
    }
    return flush;
}

/* The flush ended with `st`. */
static void
conclude_group(struct dkv *db, struct list *group, enum status st, const struct err *err)
{
    list_each (item, group) {
        struct store_writer *w = container_of(item, struct store_writer, link);

        if (w->status != ST_OK || !wants_log(w))
            continue;
        if (st == ST_OK)
            apply(db, w);
        else
            w->err = *err;
        w->status = st;
    }
}

static void
lead(struct dkv *db, struct store_writer *self)
{
    struct list group;
    struct list *at;
    struct err err;
    bool sync = take_group(db, self, &group);
    enum status st = ST_OK;

    if (propose_group(db, &group))
        st = engine__flush_now(db->engine, sync, &err);
    conclude_group(db, &group, st, &err);
    atomic_store(&db->visible, db->version);
    list_each (item, &group) {
        struct store_writer *w = container_of(item, struct store_writer, link);

        if (w->status == ST_OK)
            w->status = do_errands(db, w);
    }
    while ((at = list_pop_front(&group)) != NULL)
        give_turn(container_of(at, struct store_writer, link), STORE_DONE);
    hand_over(db);
}

/* ------------------------------------------------------------------ waiting */

static struct store_gate *
take_gate(struct dkv *db)
{
    struct store_gate *g = NULL;

    lock_take(&db->lock);
    if (!list_empty(&db->gates))
        g = container_of(list_pop_front(&db->gates), struct store_gate, link);
    lock_drop(&db->lock);
    if (g != NULL)
        return g;
    g = mem_new(struct store_gate);
    if (g != NULL && gate_create(db->env, &g->gate) != ST_OK) {
        mem_free(g);
        return NULL;
    }
    return g;
}

static void
return_gate(struct dkv *db, struct store_gate *g)
{
    lock_take(&db->lock);
    list_push_front(&db->gates, &g->link);
    lock_drop(&db->lock);
}

/* True: nobody leads, and now this writer does. */
static bool
try_to_lead(struct dkv *db, struct store_writer *w, bool queue_otherwise)
{
    bool leads;

    lock_take(&db->lock);
    leads = !db->led;
    if (leads)
        db->led = true;
    else if (queue_otherwise)
        list_push_back(&db->writers, &w->link);
    lock_drop(&db->lock);
    return leads;
}

static enum store_turn
await_turn(struct store_writer *w)
{
    gate_enter(w->gate->gate);
    while (atomic_load(&w->turn) == STORE_WAITS)
        gate_wait(w->gate->gate);
    gate_leave(w->gate->gate);
    return (enum store_turn)atomic_load(&w->turn);
}

enum status
store__write(struct dkv *db, struct store_writer *w)
{
    atomic_init(&w->turn, STORE_WAITS);
    w->gate = NULL;
    if (try_to_lead(db, w, false)) {
        lead(db, w);
        return w->status;
    }
    w->gate = take_gate(db);
    if (w->gate == NULL)
        return err_raise(&w->err, ST_NO_MEMORY, "out of memory for a write");
    if (try_to_lead(db, w, true) || await_turn(w) == STORE_LEADS)
        lead(db, w);
    return_gate(db, w->gate);
    return w->status;
}
