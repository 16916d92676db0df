/*
 * Into the log, and out of it again.
 *
 *      propose    append an entry; it is pending, and its results are in the overlay
 *      persisted  the log's written and durable positions moved past it
 *      committed  persisted by a quorum; in a group of one that is itself
 *      apply      into the tree, out of the overlay, answer
 *
 * The pending entries are in log order and are committed in that order: an
 * entry of class `interval` behind one of class `always` waits for its fsync.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

enum { APPLY_BATCH = 16, CHARGED_BYTES_MIN = 64 << 10 };

static enum engine_sync_class
sync_class(enum durability durability)
{
    switch (durability) {
    case DURABILITY_INTERVAL:
        return ENGINE_SYNC_INTERVAL;
    case DURABILITY_NEVER:
        return ENGINE_SYNC_NEVER;
    case DURABILITY_ALWAYS:
    case DURABILITY_COUNT:
        break;
    }
    return ENGINE_SYNC_NOW;
}

static enum status
append(struct tablet *t, const struct wal_record *record, enum engine_sync_class sync,
       wal_position *end, struct err *err)
{
    enum status st;

    tablet__await_log(t);
    st = engine_append(t->tree, record, sync, end, err);
    if (st == ST_OK) {
        t->gathered = true;
        t->sync_gathered |= sync == ENGINE_SYNC_NOW;
    }
    return st;
}

static enum status
append_entry(struct tablet *t, struct slice body, enum durability durability, wal_position *end,
             struct err *err)
{
    struct wal_record record = {
        .type = WAL_ENTRY,
        .tablet = t->id,
        .term = t->head.term,
        .index = t->last_index + 1,
        .body = body,
    };

    return append(t, &record, sync_class(durability), end, err);
}

/* P6.  A large entry lies here and in what the log gathers; of small ones there are at most
 * PENDING_BYTES_MAX, which is not worth two atomic operations each. */
static size_t
charge_of(const struct pending *p)
{
    return p->bytes >= CHARGED_BYTES_MIN ? 2 * p->bytes : 0;
}

static void
push_pending(struct tablet *t, struct pending *p, struct request *r)
{
    size_t charge = charge_of(p);

    if (charge > 0)
        budget_charge(engine_budget(t->engine), charge);
    p->request = r;
    list_push_back(&t->pending, &p->link);
    t->pending_bytes += p->bytes;
}

static void
in_log(struct tablet *t, struct pending *p, wal_position end)
{
    p->index = ++t->last_index;
    p->end = end;
    t->last_end = end;
}

/* One block: the structure, its entries, their overlay nodes, and the encoded body. */
static struct pending *
pending_create(struct unit *u, size_t body_bytes)
{
    size_t entries_bytes = u->write_count * sizeof(struct entry);
    size_t nodes_bytes = u->write_count * sizeof(struct overlay_node);
    size_t total = sizeof(struct pending) + entries_bytes + nodes_bytes + body_bytes;
    struct pending *p = mem_alloc(total);

    if (p == NULL)
        return NULL;
    *p = (struct pending){
        .kind = BODY_BATCH,
        .durability = u->r->durability,
        .version = u->version,
        .bytes = total,
        .count = u->write_count,
        .entries = (struct entry *)(p + 1),
    };
    p->nodes = (struct overlay_node *)(p->entries + p->count);
    memcpy(p->entries, u->writes, entries_bytes);
    body_encode_batch((uint8_t *)(p->nodes + p->count), u->version, p->entries, p->count);
    return p;
}

enum status
tablet__propose_batch(struct unit *u, struct err *err)
{
    struct tablet *t = u->t;
    size_t body_bytes = body_batch_size(u->version, u->writes, u->write_count);
    wal_position end = 0;
    struct pending *p;
    enum status st;

    if (body_bytes > LIMIT_RECORD_BYTES)
        return err_raise(err, ST_TOO_BIG, "the results of one request are %zu bytes, limit %d",
                         body_bytes, LIMIT_RECORD_BYTES);
    st = overlay_reserve(&t->overlay, u->write_count);
    p = st == ST_OK ? pending_create(u, body_bytes) : NULL;
    if (p == NULL)
        return ST_NO_MEMORY;
    st = append_entry(t, slice_of(p->nodes + p->count, body_bytes), p->durability, &end, err);
    if (st != ST_OK) {
        mem_free(p);
        return st;
    }

    in_log(t, p, end);
    t->version = u->version;
    for (uint32_t i = 0; i < p->count; i++) {
        p->nodes[i] =
            (struct overlay_node){ .entry = &p->entries[i], .hash = hash64(p->entries[i].key) };
        overlay_put(&t->overlay, &p->nodes[i]);
    }
    push_pending(t, p, u->r);
    return ST_OK;
}

enum status
tablet__propose_small(struct tablet *t, enum body_kind kind, uint64_t ceiling_ms, struct request *r,
                      struct err *err)
{
    uint8_t body[BODY_SMALL_MAX];
    uint64_t boot_ns = env_boot_ns(engine_env(t->engine));
    version_t version = version_next(t->version, tablet_now_ms(t, boot_ns));
    size_t size = body_encode_small(body, kind, version, ceiling_ms);
    struct pending *p = mem_new(struct pending);
    wal_position end = 0;
    enum status st;

    if (p == NULL)
        return ST_NO_MEMORY;
    p->kind = kind;
    p->durability = r != NULL ? r->durability : DURABILITY_ALWAYS;
    p->version = version;
    p->ceiling_ms = ceiling_ms;
    p->bytes = sizeof(*p);
    st = append_entry(t, slice_of(body, size), p->durability, &end, err);
    if (st != ST_OK) {
        mem_free(p);
        return st;
    }
    in_log(t, p, end);
    t->version = version;
    if (kind == BODY_CLEAR) {
        overlay_clear(&t->overlay);
        t->clears_pending++;
    }
    push_pending(t, p, r);
    return ST_OK;
}

enum status
tablet__propose_barrier(struct tablet *t, struct request *r)
{
    struct pending *p;

    if (list_empty(&t->pending)) {
        tablet__finish(t, r, ST_OK);
        return ST_OK;
    }
    p = mem_new(struct pending);
    if (p == NULL)
        return ST_NO_MEMORY;
    p->bytes = sizeof(*p);
    push_pending(t, p, r);
    return ST_OK;
}

enum status
tablet__append_head(struct tablet *t, struct err *err)
{
    struct buf body = buf_empty(BODY_MEMBERS_MAX * VARINT_BYTES_MAX + BODY_SMALL_MAX * 2);
    struct wal_record record = { .type = WAL_HEAD, .tablet = t->id, .term = t->head.term };
    wal_position end;
    enum status st = head_encode(&t->head, &body);

    record.body = buf_slice(&body);
    if (st == ST_OK)
        st = append(t, &record, ENGINE_SYNC_NOW, &end, err);
    buf_release(&body);
    return st;
}

/* ------------------------------------------------------------------ committed */

static bool
is_committed(const struct tablet *t, const struct pending *p)
{
    if (p->kind == 0)
        return true; /* a barrier at the head: all before it are applied */
    if (p->durability == DURABILITY_ALWAYS)
        return p->end <= engine_durable(t->engine);
    return p->end <= engine_written(t->engine);
}

static void
raise_ceiling(struct tablet *t, uint64_t ceiling_ms)
{
    struct err err;

    t->ceiling_proposed = false;
    if (ceiling_ms <= t->head.ceiling_ms)
        return;
    t->head.ceiling_ms = ceiling_ms;
    atomic_store(&t->ceiling_ms, ceiling_ms);
    if (tablet__append_head(t, &err) !=
        ST_OK) /* the entry itself is in the log; the next one tries again */
        log_event(LOG_DEBUG, "tablet.head_deferred", log_u64("tablet", t->id));
}

static enum status
apply(struct tablet *t, struct pending *p)
{
    struct lsm_mark mark = { .index = p->index, .term = t->head.term, .version = p->version };
    enum status st = ST_OK;

    if (p->kind == 0)
        return ST_OK;
    if (p->kind == BODY_BATCH)
        st = lsm_apply(t->lsm, p->entries, p->count, &mark);
    else if (p->kind == BODY_CLEAR)
        st = lsm_clear(t->lsm, &mark);
    else
        lsm_advance(t->lsm, &mark);
    if (st != ST_OK)
        return st;

    t->applied_index = p->index;
    lsm_set_time(t->lsm, version_unix_ms(p->version));
    engine_tree_applied(t->tree, p->index, p->end);
    if (p->kind == BODY_CLEAR) {
        t->clears_pending--;
        if (engine_tree_seal(t->tree) != ST_OK) /* the files go with a later flush */
            log_event(LOG_DEBUG, "tablet.clear_deferred", log_u64("tablet", t->id));
    }
    if (p->kind == BODY_CEILING)
        raise_ceiling(t, p->ceiling_ms);
    return ST_OK;
}

/* Out of the queue and the overlay; the caller answers the request and frees. */
static void
unhook(struct tablet *t, struct pending *p)
{
    size_t charge = charge_of(p);

    if (charge > 0)
        budget_return(engine_budget(t->engine), charge);
    list_remove(&p->link);
    t->pending_bytes -= p->bytes;
    for (uint32_t i = 0; i < p->count; i++)
        overlay_remove(&t->overlay, &p->nodes[i]);
}

/* Make the next committed ones ready to be applied; how many. */
static uint32_t
prefetch(struct tablet *t)
{
    uint64_t hashes[APPLY_BATCH];
    uint32_t hash_count = 0;
    uint32_t pending_count = 0;

    list_each (at, &t->pending) {
        const struct pending *p = container_of(at, struct pending, link);

        if (hash_count == APPLY_BATCH || !is_committed(t, p))
            break;
        for (uint32_t i = 0; i < p->count && hash_count < APPLY_BATCH; i++)
            hashes[hash_count++] = p->nodes[i].hash;
        pending_count++;
    }
    lsm_prefetch(t->lsm, hashes, hash_count);
    return pending_count;
}

void
tablet__commit(struct tablet *t)
{
    uint32_t ready = 0;

    while (!list_empty(&t->pending)) {
        struct pending *p = container_of(t->pending.next, struct pending, link);
        struct request *r = p->request;

        if (ready == 0)
            ready = prefetch(t);
        if (ready == 0 || apply(t, p) != ST_OK)
            return; /* out of memory: tablet_tick() comes back */
        ready--;
        unhook(t, p);
        mem_free(p);
        if (r != NULL)
            tablet__finish(t, r, ST_OK);
    }
}

/* P4: what is in the log beyond its last durable position may or may not be there after a
 * restart.  Reads that saw it are not answered from it. */
void
tablet__abandon_pending(struct tablet *t)
{
    while (!list_empty(&t->pending)) {
        struct pending *p = container_of(t->pending.next, struct pending, link);
        struct request *r = p->request;
        bool wrote = p->kind != 0;

        unhook(t, p);
        mem_free(p);
        if (r != NULL)
            tablet__finish(t, r, wrote ? ST_UNKNOWN : ST_IO);
    }
    ASSERT(t->overlay.count == 0);
    t->clears_pending = 0;
    t->ceiling_proposed = false;
}
