/*
 * Evaluation: from a request to the puts and deletes that it amounts to.
 *
 * A key is looked for in the unit's own results, then in the overlay (in the
 * log, not committed), then in the tree, which never blocks: what only the
 * disk knows was read by a job before (cold.c), or the evaluation is given up
 * and begun again afterwards.  So evaluation has no effect until it is whole.
 *
 * The record of a client's last write is found the same way, so that a retry is recognised
 * wherever the first attempt has got to; it is one of the unit's own results (dedup.h).
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/limits.h"

#include "tablet/dedup.h"
#include "tablet/tablet_internal.h"

enum { WRITES_LINEAR_MAX = 8 };

struct slice
stored_key(enum key_kind kind, struct slice key, uint8_t *room)
{
    ASSERT(key.size < LIMIT_STORED_KEY_BYTES);
    room[0] = (uint8_t)kind;
    if (key.size > 0)
        memcpy(room + 1, key.data, key.size);
    return slice_of(room, key.size + 1);
}

void
current_judge(struct current *c, const struct entry *e, uint64_t now_ms)
{
    bool expired = e->expiry_ms != 0 && e->expiry_ms <= now_ms;

    *c = (struct current){ .version = e->version };
    if (e->type == ENTRY_TOMBSTONE || expired) {
        c->tombstone = e->type == ENTRY_TOMBSTONE;
        return;
    }
    c->exists = true;
    c->value = e->value;
    c->expiry_ms = e->expiry_ms;
}

/* Who was told of an expiry was told by a clock that had not gone further than it has now. */
static void
judge(struct unit *u, const struct entry *e, struct current *out)
{
    uint64_t now_ms = e->expiry_ms == 0 ? 0 : tablet__now_anew_ms(u->t);

    if (now_ms > u->now_ms)
        u->now_ms = now_ms;
    current_judge(out, e, u->now_ms);
}

void *
unit_bytes(struct unit *u, size_t size)
{
    return arena_alloc_bytes(&u->t->arena, size);
}

/* ------------------------------------------------------------------ the unit's own results */

static uint32_t *
slot_of(struct unit *u, struct slice stored)
{
    uint32_t at = (uint32_t)hash64(stored) & (u->slot_count - 1);

    while (u->slots[at] != 0 && !slice_equal(u->writes[u->slots[at] - 1].key, stored))
        at = (at + 1) & (u->slot_count - 1);
    return &u->slots[at];
}

static struct entry *
find_write(struct unit *u, struct slice stored)
{
    uint32_t slot;

    if (u->slots != NULL) {
        slot = *slot_of(u, stored);
        return slot == 0 ? NULL : &u->writes[slot - 1];
    }
    for (uint32_t i = u->write_count; i > 0; i--) {
        if (slice_equal(u->writes[i - 1].key, stored))
            return &u->writes[i - 1];
    }
    return NULL;
}

/* Room for every write that the request can make, found once. */
static enum status
reserve_writes(struct unit *u)
{
    uint32_t count = dedup_concerns(u->r);
    uint32_t slots = 4;

    for (uint32_t i = 0; i < u->r->op_count; i++)
        count += u->r->ops[i].kind == OP_COPY ? 2 : (uint32_t)op_writes(u->r->ops[i].kind);
    u->writes = arena_alloc(&u->t->arena, (count + 1) * sizeof(*u->writes));
    if (u->writes == NULL)
        return ST_NO_MEMORY;
    u->write_capacity = count;
    if (count <= WRITES_LINEAR_MAX)
        return ST_OK;
    while (slots < 2 * count)
        slots *= 2;
    u->slots = arena_alloc(&u->t->arena, slots * sizeof(*u->slots));
    if (u->slots == NULL)
        return ST_NO_MEMORY;
    memset(u->slots, 0, slots * sizeof(*u->slots));
    u->slot_count = slots;
    return ST_OK;
}

static enum status
stage(struct unit *u, enum key_kind kind, struct slice key, const struct entry *e)
{
    uint8_t *room = unit_bytes(u, key.size + 1);
    struct entry *w;
    struct slice stored;

    if (room == NULL)
        return ST_NO_MEMORY;
    stored = stored_key(kind, key, room);
    w = find_write(u, stored);
    if (w == NULL) {
        ASSERT(u->writes != NULL && u->write_count < u->write_capacity);
        if (u->slots != NULL)
            *slot_of(u, stored) = u->write_count + 1;
        w = &u->writes[u->write_count++];
    }
    *w = *e;
    w->key = stored;
    w->version = u->version;
    return ST_OK;
}

enum status
unit_put(struct unit *u, struct slice key, struct slice value, uint64_t expiry_ms)
{
    struct entry e = { .value = value, .expiry_ms = expiry_ms, .type = ENTRY_VALUE };

    return stage(u, KEY_USER, key, &e);
}

enum status
unit_delete(struct unit *u, struct slice key)
{
    struct entry e = { .type = ENTRY_TOMBSTONE };

    return stage(u, KEY_USER, key, &e);
}

/* ------------------------------------------------------------------ looking */

/* What one unit may hold of values that it read (P6); a pure read is then answered in pieces. */
static bool
holds_too_much(const struct unit *u, size_t more)
{
    return u->t->arena.total_bytes + more > LIMIT_RECORD_BYTES;
}

/* Copy what a pinned block holds, so that the pin need not outlive the look. */
static enum status
copy_value(struct unit *u, struct current *out)
{
    uint8_t *copy;

    if (!out->exists || out->value.size == 0)
        return ST_OK;
    if (holds_too_much(u, out->value.size))
        return ST_TOO_BIG;
    copy = unit_bytes(u, out->value.size);
    if (copy == NULL)
        return ST_NO_MEMORY;
    memcpy(copy, out->value.data, out->value.size);
    out->value.data = copy;
    return ST_OK;
}

static enum status
look_at_found(struct unit *u, bool bytes, struct lsm_found *found, struct current *out)
{
    enum status st = ST_OK;

    judge(u, &found->entry, out);
    if (bytes)
        st = copy_value(u, out);
    else
        out->value.data = NULL;
    lsm_found_release(found);
    return st;
}

static enum status
look_in_tree(struct unit *u, struct slice stored, bool bytes, struct current *out)
{
    struct tablet *t = u->t;
    const struct cold_key *cold;
    struct lsm_found found;
    enum status st;

    if (t->clears_pending > 0)
        return ST_OK; /* the overlay did not know it, and beneath there is nothing */
    epoch_enter(t->reactor->owner.epoch, &t->reactor->owner.slot);
    st = lsm_try_get(t->lsm, stored, VERSION_MAX, &found, &u->r->err);
    if (st == ST_OK)
        st = look_at_found(u, bytes, &found, out);
    else if (st == ST_NOT_FOUND)
        st = ST_OK;
    epoch_leave(t->reactor->owner.epoch, &t->reactor->owner.slot);
    if (st != ST_WOULD_BLOCK)
        return st;

    /* Neither the memtables nor the caches know the key.  What a job read of it is still the
     * newest version, unless a memtable became a table since then. */
    cold = u->r->cold == NULL ? NULL : cold_find(u->r->cold, stored);
    if (cold == NULL || u->r->cold->flushed_index != lsm_flushed(t->lsm).index)
        return ST_WOULD_BLOCK;
    if (cold->present)
        judge(u, &cold->found.entry, out);
    return ST_OK;
}

static enum status
look(struct unit *u, enum key_kind kind, struct slice key, bool bytes, struct current *out)
{
    uint8_t small[256];
    uint8_t *room = key.size < sizeof(small) ? small : unit_bytes(u, key.size + 1);
    const struct entry *e;
    struct slice stored;

    if (room == NULL)
        return ST_NO_MEMORY;
    stored = stored_key(kind, key, room);
    *out = (struct current){ 0 };
    e = find_write(u, stored);
    if (e == NULL)
        e = overlay_find(&u->t->overlay, stored, hash64(stored));
    if (e == NULL)
        return look_in_tree(u, stored, bytes, out);
    judge(u, e, out);
    return ST_OK;
}

enum status
unit_look(struct unit *u, struct slice key, bool bytes, struct current *out)
{
    return look(u, KEY_USER, key, bytes, out);
}

/* ------------------------------------------------------------------ retries */

/* `*repeated`: the request is answered by what is kept of its first attempt. */
static enum status
recall(struct unit *u, bool *repeated)
{
    uint8_t room[DEDUP_KEY_BYTES];
    struct current last;
    enum status st = dedup_check(u->r, &u->r->err);

    if (st == ST_OK)
        st = look(u, KEY_DEDUP, dedup_key(u->r, room), true, &last);
    if (st != ST_OK || !last.exists || BROKEN(RETRY_APPLIED_AGAIN))
        return st;
    return dedup_recall(last.value, last.version, u->r, repeated);
}

static enum status
remember(struct unit *u)
{
    size_t size = dedup_record_size(u->r, u->version);
    uint8_t *record = unit_bytes(u, size);
    uint8_t room[DEDUP_KEY_BYTES];
    struct entry e = { .value = slice_of(record, size),
                       .expiry_ms = u->now_ms + LIMIT_DEDUP_MS,
                       .type = ENTRY_VALUE };

    if (record == NULL)
        return ST_NO_MEMORY;
    dedup_encode(record, u->r, u->version);
    return stage(u, KEY_DEDUP, dedup_key(u->r, room), &e);
}

/* ------------------------------------------------------------------ the whole */

static enum status
check_preconditions(struct unit *u)
{
    struct current now;
    enum status st;

    for (uint32_t i = 0; i < u->r->precondition_count; i++) {
        const struct precondition *p = &u->r->preconditions[i];

        st = unit_look(u, p->key, false, &now);
        if (st != ST_OK)
            return st;
        if ((now.exists ? now.version : 0) != p->version)
            return ST_CONFLICT;
    }
    return ST_OK;
}

/* Values of the results move to the request's own memory: what they borrow from is gone by the
 * time that the request is answered. */
enum status
results_keep(struct request *r)
{
    size_t total = 0;
    enum status st;

    for (uint32_t i = 0; i < r->op_count; i++)
        total += r->results[i].value.size;
    buf_release(&r->scratch);
    if (total == 0)
        return ST_OK;
    r->scratch.max = total;
    st = buf_reserve(&r->scratch, total);
    for (uint32_t i = 0; i < r->op_count && st == ST_OK; i++) {
        struct slice *value = &r->results[i].value;
        const uint8_t *kept = r->scratch.data + r->scratch.size;

        st = buf_append(&r->scratch, *value);
        value->data = kept; /* nothing moves: the room was reserved */
    }
    return st;
}

static enum status
evaluate_ops(struct unit *u)
{
    struct request *r = u->r;
    size_t returned = 0;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < r->op_count && st == ST_OK; i++) {
        r->results[i] = (struct op_result){ 0 };
        st = op_evaluate(u, &r->ops[i], &r->results[i]);
        returned += r->results[i].value.size;
        if (st == ST_OK && returned > r->result_bytes_max)
            st = ST_TOO_BIG;
    }
    return st;
}

/* A refused precondition is an answer like another: it rests on what the unit has seen (B3). */
static enum status
evaluate_afresh(struct unit *u)
{
    struct request *r = u->r;
    enum status st = reserve_writes(u);

    if (st == ST_OK)
        st = check_preconditions(u);
    if (st == ST_CONFLICT) {
        r->answer = ST_CONFLICT;
        st = ST_OK;
    } else if (st == ST_OK) {
        st = evaluate_ops(u);
    }
    return st == ST_OK && dedup_concerns(r) ? remember(u) : st;
}

enum status
tablet__evaluate(struct unit *u)
{
    struct request *r = u->r;
    bool repeated = false;
    enum status st = ST_OK;

    arena_reset(&u->t->arena);
    r->answer = ST_OK;
    if (dedup_concerns(r))
        st = recall(u, &repeated);
    mark_hit_if(repeated, MARK_RETRY_ANSWERED);
    if (st == ST_OK && !repeated)
        st = evaluate_afresh(u);
    return st == ST_OK && r->answer == ST_OK ? results_keep(r) : st;
}
