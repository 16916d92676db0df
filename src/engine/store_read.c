#include "base/assert.h"
#include "base/mem.h"

#include "engine/store_internal.h"

/* ------------------------------------------------------------------ slots */

/* Threads are spread over the slots by where their stacks lie. */
struct epoch_slot *
store__enter(struct dkv *db)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uint32_t at = (uint32_t)((here >> 16) * 0x9e3779b1U) % STORE_SLOTS;

    for (;; at = (at + 1) % STORE_SLOTS) {
        struct store_slot *s = &db->slots[at];
        bool free = false;

        if (atomic_compare_exchange_strong_explicit(&s->taken, &free, true, memory_order_acquire,
                                                    memory_order_relaxed)) {
            epoch_enter(engine_epoch(db->engine), &s->slot);
            return &s->slot;
        }
    }
}

void
store__leave(struct dkv *db, struct epoch_slot *slot)
{
    struct store_slot *s = container_of(slot, struct store_slot, slot);

    epoch_leave(engine_epoch(db->engine), slot);
    atomic_store_explicit(&s->taken, false, memory_order_release);
}

/* ------------------------------------------------------------------ get */

/* Where the value goes: room of the caller's, or a block that is made for it. */
struct target {
    void *room;
    size_t room_size;
    bool allocate;
    size_t size;
};

static enum status
deliver(struct target *target, struct slice value)
{
    target->size = value.size;
    if (target->allocate) {
        target->room = mem_alloc(value.size);
        target->room_size = value.size;
        if (target->room == NULL)
            return ST_NO_MEMORY;
    }
    if (value.size > 0)
        memcpy(target->room, value.data,
               value.size < target->room_size ? value.size : target->room_size);
    return ST_OK;
}

static enum status
deliver_found(struct target *target, struct lsm_found *found)
{
    enum status st =
        found->entry.type == ENTRY_VALUE ? deliver(target, found->entry.value) : ST_NOT_FOUND;

    lsm_found_release(found);
    return st;
}

/* S2: what was read may be of a record that is in this tree, but not yet in all of its own.  With
 * this wait, whoever has seen a part of it sees all of it from now on. */
static void
await_visible(struct dkv_family *f)
{
    version_t seen = lsm_visible(f->lsm);

    while (atomic_load(&f->db->visible) < seen)
        env_sleep_ms(f->db->env, 0);
}

static enum status
get(struct dkv *db, struct dkv_family *f, const struct dkv_snapshot *snapshot, struct slice key,
    struct target *target, struct err *err)
{
    version_t version = snapshot != NULL ? snapshot->version : VERSION_MAX;
    struct lsm_found found;
    struct epoch_slot *slot = store__enter(db);
    enum status st = lsm_try_get(f->lsm, key, version, &found, err);

    if (st == ST_OK)
        st = deliver_found(target, &found);
    store__leave(db, slot);
    if (st == ST_WOULD_BLOCK) {
        st = lsm_get(f->lsm, key, version, &found, err);
        if (st == ST_OK)
            st = deliver_found(target, &found);
    }
    if (snapshot == NULL)
        await_visible(f);
    return st;
}

static enum dkv_status
get_to(struct dkv *db, struct dkv_family *family, const struct dkv_snapshot *snapshot,
       struct slice key, struct target *target, struct dkv_error *error)
{
    enum dkv_status checked = store__check_key(key.data, key.size, error);
    struct err err;

    if (checked != DKV_OK)
        return checked;
    err.text[0] = '\0';
    return store__report(get(db, store__family(db, family), snapshot, key, target, &err), &err,
                         error);
}

/* NOLINTBEGIN(readability-function-size): the parameters are those of distkv.h */
enum dkv_status
dkv_get(struct dkv *db, struct dkv_family *family, const struct dkv_snapshot *snapshot,
        const void *key, size_t key_size, void **value, size_t *value_size, struct dkv_error *error)
{
    struct target target = { .allocate = true };
    enum dkv_status status = get_to(db, family, snapshot, slice_of(key, key_size), &target, error);

    if (status == DKV_OK) {
        *value = target.room;
        *value_size = target.size;
    }
    return status;
}

enum dkv_status
dkv_get_into(struct dkv *db, struct dkv_family *family, const struct dkv_snapshot *snapshot,
             const void *key, size_t key_size, void *out, size_t room, size_t *value_size,
             struct dkv_error *error)
{
    struct target target = { .room = out, .room_size = room };
    enum dkv_status status = get_to(db, family, snapshot, slice_of(key, key_size), &target, error);

    if (status == DKV_OK)
        *value_size = target.size;
    return status;
}
/* NOLINTEND(readability-function-size) */

void
dkv_free(void *value)
{
    mem_free(value);
}

/* ------------------------------------------------------------------ snapshots */

/* The families are counted in the turn: a write that it shows may be to one that was made while the
 * caller waited. */
enum status
store__pin_families(struct dkv *db, struct dkv_snapshot **out)
{
    uint32_t count = atomic_load(&db->family_count);
    struct dkv_snapshot *s = mem_alloc_zero(sizeof(*s) + count * sizeof(s->families[0]));

    if (s == NULL)
        return ST_NO_MEMORY;
    s->version = atomic_load(&db->visible);
    while (s->count < count) {
        struct dkv_family *f = db->families[s->count];
        struct lsm_snapshot *pin = lsm_snapshot_take(f->lsm);

        if (pin == NULL) {
            dkv_snapshot_release(db, s);
            return ST_NO_MEMORY;
        }
        s->families[s->count].family = f;
        s->families[s->count++].pin = pin;
    }
    *out = s;
    return ST_OK;
}

struct dkv_snapshot *
dkv_snapshot_take(struct dkv *db)
{
    struct dkv_snapshot *s = NULL;
    struct store_writer w = { .only_deletes = true, .snapshot = &s };

    return store__write(db, &w) == ST_OK ? s : NULL;
}

const struct lsm_snapshot *
store__pin_of(const struct dkv_snapshot *s, const struct dkv_family *f)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->families[i].family == f)
            return s->families[i].pin;
    }
    return NULL;
}

void
dkv_snapshot_release(struct dkv *db, struct dkv_snapshot *s)
{
    (void)db;
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        lsm_snapshot_release(s->families[i].family->lsm, s->families[i].pin);
    mem_free(s);
}
