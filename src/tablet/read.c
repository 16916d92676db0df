/*
 * Reading committed state, on any reactor.
 *
 * One snapshot version for all keys of the request: what the tree had made
 * visible when the read began.  A single value is handed over where it lies,
 * pinned while `done` runs; several are copied.
 */
#include "base/assert.h"
#include "base/limits.h"

#include "tablet/tablet_internal.h"

void
tablet_reader_init(struct tablet_reader *reader, struct epoch *epoch, struct loop *loop)
{
    *reader = (struct tablet_reader){ .epoch = epoch, .loop = loop };
    epoch_join(epoch, &reader->slot);
    list_init(&reader->cold);
}

void
tablet_reader_release(struct tablet_reader *reader)
{
    ASSERT(list_empty(&reader->cold));
    epoch_part(reader->epoch, &reader->slot);
}

uint64_t
tablet__clock_ms(const struct tablet *t, uint64_t boot_ns)
{
    uint64_t now_ms = node_clock_ms(t->reactor->node->clock, boot_ns);
    uint64_t floor_ms = atomic_load_explicit(&t->floor_ms, memory_order_relaxed);

    return now_ms > floor_ms || BROKEN(CLOCK_WITHOUT_FLOOR) ? now_ms : floor_ms;
}

uint64_t
tablet_now_ms(const struct tablet *t, uint64_t boot_ns)
{
    uint64_t now_ms = tablet__clock_ms(t, boot_ns);
    uint64_t ceiling_ms = atomic_load(&t->ceiling_ms);

    return now_ms < ceiling_ms ? now_ms : ceiling_ms;
}

uint64_t
tablet__now_anew_ms(const struct tablet *t)
{
    return tablet_now_ms(t, env_boot_ns(engine_env(t->engine)));
}

/* ------------------------------------------------------------------ at once */

/* Where a replica does not lead, the ceiling may be an old one. */
static uint64_t
present_ms(const struct tablet *t, const struct request *r)
{
    if (r->stale_ms == 0)
        return tablet__now_anew_ms(t);
    return tablet__clock_ms(t, env_boot_ns(engine_env(t->engine)));
}

/* What has expired is for the owner to say, in the order of all that it evaluates: a write that found the
 * value alive may be under way.  ST_NOT_LEADER: it has. */
static enum status
judge(const struct tablet *t, const struct request *r, const struct entry *e, struct current *out)
{
    current_judge(out, e, e->expiry_ms == 0 ? 0 : present_ms(t, r));
    return out->exists || e->type == ENTRY_TOMBSTONE ? ST_OK : ST_NOT_LEADER;
}

static enum status
read_one(struct tablet *t, struct request *r, uint32_t number, version_t version,
         struct lsm_found *found)
{
    const struct op *op = &r->ops[number];
    uint8_t room[LIMIT_STORED_KEY_BYTES];
    struct current now = { 0 };
    enum status st =
        lsm_try_get(t->lsm, stored_key(KEY_USER, op->key, room), version, found, &r->err);

    if (st == ST_NOT_FOUND) {
        *found = (struct lsm_found){ 0 };
        st = ST_OK;
    } else if (st == ST_OK) {
        st = judge(t, r, &found->entry, &now);
        if (st != ST_OK)
            lsm_found_release(found);
    }
    if (st == ST_OK)
        op_read(op, &now, &r->results[number]);
    return st;
}

/* The values lie in the request's memory, one after the other, which no longer moves. */
static void
point_to_copies(struct request *r)
{
    const uint8_t *at = r->scratch.data;

    for (uint32_t i = 0; i < r->op_count; i++) {
        struct slice *value = &r->results[i].value;

        *value = slice_of(value->size == 0 ? NULL : at, value->size);
        at += value->size;
    }
}

static enum status
read_many(struct tablet *t, struct request *r, version_t version)
{
    struct lsm_found found;
    enum status st = ST_OK;

    buf_release(&r->scratch);
    r->scratch.max = r->result_bytes_max;
    for (uint32_t i = 0; i < r->op_count && st == ST_OK; i++) {
        st = read_one(t, r, i, version, &found);
        if (st != ST_OK)
            break;
        st = buf_append(&r->scratch, r->results[i].value); /* the pin goes before the next key */
        lsm_found_release(&found);
    }
    if (st == ST_OK)
        point_to_copies(r);
    else
        buf_release(&r->scratch);
    return st;
}

/* Versions go up with the log, whoever leads: whatever is not here has a higher one.  It was made when the
 * clock of who led then said so, or the ceiling of the terms before, which may be as far ahead. */
static bool
is_fresh_enough(const struct tablet *t, const struct request *r, version_t version)
{
    uint64_t boot_ns = env_boot_ns(engine_env(t->engine));

    return version_unix_ms(version) + r->stale_ms >=
           tablet__clock_ms(t, boot_ns) + CEILING_AHEAD_MS;
}

/* Is what is committed here, at the version, all that is committed, or new enough for who asks?  What is
 * committed elsewhere later comes later. */
static bool
may_tell(const struct tablet *t, const struct request *r, version_t version)
{
    uint64_t until_ns = atomic_load(&t->reads_until_ns);

    if (tablet_edition(t) != r->edition)
        return false; /* it may have been split; the owner knows what is its own */
    if (until_ns == UINT64_MAX)
        return true;
    if (until_ns != 0 && env_boot_ns(engine_env(t->engine)) < until_ns)
        return true;
    return r->stale_ms > 0 && is_fresh_enough(t, r, version);
}

/* ------------------------------------------------------------------ by a job */

static enum status
results_from_cold(struct tablet *t, struct request *r)
{
    struct cold_read *c = r->cold;

    if (c->status != ST_OK) {
        r->err = c->err;
        return c->status;
    }
    ASSERT(c->key_count == r->op_count);
    for (uint32_t i = 0; i < r->op_count; i++) {
        const struct cold_key *k = &c->keys[i]; /* all keys were read, in order */
        struct current now = { 0 };

        if (k->present && judge(t, r, &k->found.entry, &now) != ST_OK && r->snapshot == NULL)
            return ST_NOT_LEADER;
        op_read(&r->ops[i], &now, &r->results[i]);
    }
    return r->op_count > 1 ? results_keep(r) : ST_OK;
}

/* What a replica that need not lead cannot read, another can. */
static bool
is_for_the_owner(const struct request *r, enum status st)
{
    return st == ST_NOT_LEADER ||
           (r->stale_ms > 0 && r->snapshot == NULL && (st == ST_CORRUPT || st == ST_IO));
}

static void
cold_ready(struct request *r)
{
    r->status = results_from_cold(r->tablet, r);
    if (is_for_the_owner(r, r->status)) {
        cold_release(r);
        tablet_send(r->tablet, r);
        return;
    }
    request_done(r);
}

static enum status
go_cold(struct tablet *t, struct tablet_reader *reader, struct request *r)
{
    struct lsm_snapshot *own = NULL;
    enum status st;

    if (r->snapshot == NULL) {
        own = lsm_snapshot_take(t->lsm);
        if (own == NULL)
            return ST_NO_MEMORY;
    }
    st = own == NULL || may_tell(t, r, lsm_snapshot_version(own))
             ? cold_start(t, reader, r, own, cold_ready)
             : ST_NOT_LEADER;
    if (st != ST_OK)
        lsm_snapshot_release(t->lsm, own);
    return st;
}

/* ------------------------------------------------------------------ the door */

static bool
answer(struct request *r, enum status st)
{
    r->status = st;
    request_done(r);
    return true;
}

/* One key: the value is handed over where it lies. */
static enum status
read_in_place(struct tablet *t, struct tablet_reader *reader, struct request *r)
{
    uint64_t generation = lsm_generation(t->lsm);
    struct lsm_found found;
    version_t version;
    enum status st;

    epoch_enter(reader->epoch, &reader->slot);
    version = lsm_visible(t->lsm);
    st = may_tell(t, r, version) ? read_one(t, r, 0, version, &found) : ST_NOT_LEADER;
    if (st == ST_OK) {
        if (lsm_generation(t->lsm) == generation)
            (void)answer(r, ST_OK);
        else
            st = ST_WOULD_BLOCK;
        lsm_found_release(&found);
    }
    epoch_leave(reader->epoch, &reader->slot);
    return st;
}

static enum status
read_copies(struct tablet *t, struct tablet_reader *reader, struct request *r)
{
    uint64_t generation = lsm_generation(t->lsm);
    version_t version;
    enum status st;

    epoch_enter(reader->epoch, &reader->slot);
    version = lsm_visible(t->lsm);
    st = may_tell(t, r, version) ? read_many(t, r, version) : ST_NOT_LEADER;
    epoch_leave(reader->epoch, &reader->slot);
    return lsm_generation(t->lsm) == generation || st == ST_NOT_LEADER ? st : ST_WOULD_BLOCK;
}

/* No snapshot holds the version that is read at: a flush or a clear meanwhile may have dropped what
 * was visible at it.  Then, as when only the disk knows, a job reads, with a snapshot. */
bool
tablet_read(struct tablet *t, struct tablet_reader *reader, struct request *r)
{
    uint64_t boot_ns = loop_now_ns(reader->loop);
    uint64_t now_ms = tablet_now_ms(t, boot_ns);
    enum status st;

    if (r->snapshot == NULL && r->stale_ms == 0 && tablet__clock_ms(t, boot_ns) > now_ms &&
        engine_log_health(t->engine) == ST_OK && !atomic_load(&t->ceiling_stuck))
        return false; /* the ceiling must be raised first */

    r->tablet = t;
    if (r->op_count == 0)
        return may_tell(t, r, lsm_visible(t->lsm)) && answer(r, ST_OK);
    if (r->snapshot != NULL) {
        st = ST_WOULD_BLOCK;
    } else if (r->op_count == 1) {
        st = read_in_place(t, reader, r);
        if (st == ST_OK)
            return true;
    } else {
        st = read_copies(t, reader, r);
    }
    if (st == ST_WOULD_BLOCK) {
        st = go_cold(t, reader, r);
        if (st == ST_OK)
            return true;
    }
    return !is_for_the_owner(r, st) && answer(r, st);
}

void
tablet_reader_tick(struct tablet_reader *reader)
{
    uint64_t now_ns = loop_now_ns(reader->loop);
    struct list *at = reader->cold.next;

    while (at != &reader->cold) {
        struct cold_read *c = container_of(at, struct cold_read, link);
        struct request *r = c->request;

        at = at->next;
        if (r == NULL || c->ready != cold_ready || r->admin || now_ns < r->deadline_ns)
            continue;
        cold_release(r);
        (void)answer(r, ST_TIMEOUT);
    }
}
