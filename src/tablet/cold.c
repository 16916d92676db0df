#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "tablet/dedup.h"
#include "tablet/tablet_internal.h"

enum { COLD_ARENA_BYTES = 4096 };

void
cold_destroy(struct cold_read *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->key_count; i++) {
        if (c->keys[i].present)
            lsm_found_release(&c->keys[i].found);
    }
    lsm_snapshot_release(c->tablet->lsm, c->own);
    tablet_let_go(c->tablet);
    arena_release(&c->arena);
    mem_free(c);
}

/* ------------------------------------------------------------------ the job */

/* A snapshot that outlived a clear is seen whole by iterators only; several keys at once, or a
 * snapshot that was taken long ago, are therefore read through one. */
static enum status
read_through_iter(struct cold_read *c, struct lsm_iter *it, struct cold_key *k)
{
    enum status st = lsm_iter_seek(it, k->stored, &c->err);
    struct entry e;
    uint8_t *copy;

    if (st != ST_OK)
        return st;
    lsm_iter_entry(it, &e);
    if (!slice_equal(e.key, k->stored))
        return ST_NOT_FOUND;
    copy = k->size_only ? NULL : arena_alloc_bytes(&c->arena, e.value.size);
    if (copy == NULL && !k->size_only)
        return ST_NO_MEMORY;
    if (copy != NULL && e.value.size > 0)
        memcpy(copy, e.value.data, e.value.size);
    k->found = (struct lsm_found){ .entry = e };
    k->found.entry.key = k->stored;
    k->found.entry.value.data = copy;
    return ST_OK;
}

static enum status
read_key(struct cold_read *c, struct lsm_iter *it, struct cold_key *k)
{
    enum status st = it != NULL
                         ? read_through_iter(c, it, k)
                         : lsm_get(c->tablet->lsm, k->stored, c->version, &k->found, &c->err);

    k->present = st == ST_OK;
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* What the job may hold is bounded: by what the request may return, or a request may be (P6). */
static enum status
bound_memory(struct cold_read *c, struct cold_key *k)
{
    size_t size = k->present ? k->found.entry.value.size : 0;

    if (k->present && k->size_only) {
        struct entry e = k->found.entry;

        lsm_found_release(&k->found);
        k->found = (struct lsm_found){ .entry = e };
        k->found.entry.value.data = NULL;
        return ST_OK;
    }
    c->bytes += size;
    return c->bytes > c->bytes_max && c->key_count > 1 ? ST_TOO_BIG : ST_OK;
}

static void
cold_run(struct job *job)
{
    struct cold_read *c = container_of(job, struct cold_read, job);
    struct lsm_iter_options options = { .snapshot = c->pin,
                                        .now_ms = c->now_ms,
                                        .fill_cache = true };
    struct lsm_iter *it = NULL;

    c->status = ST_OK;
    if (c->pin != NULL && (c->own == NULL || c->key_count > 1))
        c->status = lsm_iter_create(c->tablet->lsm, &options, &it, &c->err);
    for (uint32_t i = 0; i < c->key_count && c->status == ST_OK; i++) {
        if (atomic_load_explicit(&c->abandoned, memory_order_relaxed))
            break;
        c->status = read_key(c, it, &c->keys[i]);
        if (c->status == ST_OK)
            c->status = bound_memory(c, &c->keys[i]);
    }
    lsm_iter_destroy(it);
}

static void
cold_done(struct job *job)
{
    struct cold_read *c = container_of(job, struct cold_read, job);

    c->finished = true;
    list_remove(&c->link);
    if (c->status == ST_CORRUPT)
        tablet_tell_damage(c->tablet, &c->err);
    if (c->request == NULL)
        cold_destroy(c);
    else
        c->ready(c->request);
}

/* ------------------------------------------------------------------ which keys */

static bool
only_disk_knows(struct tablet *t, struct tablet_reader *reader, struct slice stored)
{
    struct lsm_found found;
    enum status st;

    epoch_enter(reader->epoch, &reader->slot);
    st = lsm_try_get(t->lsm, stored, VERSION_MAX, &found, NULL);
    if (st == ST_OK)
        lsm_found_release(&found);
    epoch_leave(reader->epoch, &reader->slot);
    return st == ST_WOULD_BLOCK;
}

static enum status
add_key(struct cold_read *c, struct tablet_reader *reader, enum key_kind kind, struct slice key,
        bool size_only)
{
    uint8_t *room = arena_alloc_bytes(&c->arena, key.size + 1);
    struct slice stored;

    if (room == NULL)
        return ST_NO_MEMORY;
    stored = stored_key(kind, key, room);
    if (c->every_key || only_disk_knows(c->tablet, reader, stored))
        c->keys[c->key_count++] = (struct cold_key){ .stored = stored, .size_only = size_only };
    return ST_OK;
}

static enum status
add_keys(struct cold_read *c, struct tablet_reader *reader, const struct request *r)
{
    uint8_t client[DEDUP_KEY_BYTES];
    enum status st = ST_OK;

    c->keys = arena_alloc(&c->arena,
                          (1 + r->precondition_count + 2 * (size_t)r->op_count) * sizeof(*c->keys));
    if (c->keys == NULL)
        return ST_NO_MEMORY;
    if (dedup_concerns(r))
        st = add_key(c, reader, KEY_DEDUP, dedup_key(r, client), false);
    for (uint32_t i = 0; i < r->precondition_count && st == ST_OK; i++)
        st = add_key(c, reader, KEY_USER, r->preconditions[i].key, false);
    for (uint32_t i = 0; i < r->op_count && st == ST_OK; i++) {
        const struct op *op = &r->ops[i];

        st = add_key(c, reader, KEY_USER, op->key, c->pin != NULL && op->kind == OP_META);
        if (st == ST_OK && op->kind == OP_COPY)
            st = add_key(c, reader, KEY_USER, op->key2, false);
    }
    return st;
}

/* ------------------------------------------------------------------ the outside */

enum status
cold_start(struct tablet *t, struct tablet_reader *reader, struct request *r,
           struct lsm_snapshot *own, void (*ready)(struct request *r))
{
    struct cold_read *c = mem_new(struct cold_read);

    if (c == NULL)
        return ST_NO_MEMORY;
    /* A second attempt reads what the caches knew at the first, too: where few tables may be open,
     * the first has closed those. */
    c->every_key = r->snapshot != NULL || own != NULL || r->cold != NULL;
    cold_release(r);
    c->tablet = tablet_hold(t);
    c->request = r;
    c->ready = ready;
    c->pin = r->snapshot != NULL ? r->snapshot->pin : own;
    c->version = c->pin != NULL ? lsm_snapshot_version(c->pin) : VERSION_MAX;
    c->bytes_max = c->pin != NULL ? r->result_bytes_max : LIMIT_RECORD_BYTES;
    c->flushed_index = lsm_flushed(t->lsm).index;
    c->now_ms = tablet_now_ms(t, loop_now_ns(reader->loop));
    arena_init(&c->arena, COLD_ARENA_BYTES);
    list_init(&c->link);
    if (add_keys(c, reader, r) != ST_OK) {
        cold_destroy(c);
        return ST_NO_MEMORY;
    }
    c->own = own;
    r->cold = c;
    list_push_back(&reader->cold, &c->link);
    c->job = (struct job){ .run = cold_run, .done = cold_done, .loop = reader->loop };
    env_submit(loop_env(reader->loop), ENV_LANE_READ, &c->job);
    return ST_OK;
}

const struct cold_key *
cold_find(struct cold_read *c, struct slice stored)
{
    ASSERT(c->finished);
    for (uint32_t i = 0; i < c->key_count; i++) {
        uint32_t at = c->next + i < c->key_count ? c->next + i : c->next + i - c->key_count;

        if (slice_equal(c->keys[at].stored, stored)) {
            c->next = at + 1 < c->key_count ? at + 1 : 0;
            return &c->keys[at];
        }
    }
    return NULL;
}

void
cold_release(struct request *r)
{
    struct cold_read *c = r->cold;

    if (c == NULL)
        return;
    r->cold = NULL;
    c->request = NULL;
    atomic_store_explicit(&c->abandoned, true, memory_order_relaxed);
    if (c->finished)
        cold_destroy(c);
}
