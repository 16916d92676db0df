/*
 * CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT.  Keys do not lie by slots, but in byte order: all of the tablet that
 * has the slot are looked at, piece by piece.
 */
#include "base/mem.h"

#include "api/api_internal.h"
#include "api/redis.h"
#include "api/slots.h"
#include "wire/decimal.h"

enum {
    PIECE_KEYS = 1024,
    PIECE_BYTES = 256 << 10,
    FOUND_BYTES_MAX = 1 << 20, /* beyond, fewer keys are told than were asked for */
};

struct slot_keys {
    struct call *call;
    struct kv_scan *scan; /* owned */
    uint32_t slot;
    bool counts; /* and does not tell them */
    uint64_t most;
    uint64_t found;
    struct buf keys; /* as they are replied */
};

static void came(void *ctx, const struct kv_scan_piece *piece);

static void
release(struct call *c)
{
    struct slot_keys *k = c->task;

    kv_scan_close(k->scan);
    buf_release(&k->keys);
    mem_free(k);
}

static void
reply(struct slot_keys *k)
{
    struct call *c = k->call;
    size_t mark = 0;
    struct resp_writer w = call_reply(c, k->keys.size + 32, &mark);

    if (k->counts) {
        resp_put_i64(&w, (int64_t)k->found);
    } else {
        resp_put_array(&w, k->found);
        resp_put_raw(&w, buf_slice(&k->keys));
    }
    call_replied(c, &w, mark);
    call_finish(c);
}

static bool
is_enough(const struct slot_keys *k)
{
    return k->found >= k->most || k->keys.size >= FOUND_BYTES_MAX;
}

static enum status
keep(struct slot_keys *k, struct slice key)
{
    struct resp_writer w = resp_writer_to(&k->keys, k->call->version);

    k->found++;
    if (!k->counts)
        resp_put_bulk(&w, key);
    return w.st;
}

static void
go_on(struct slot_keys *k)
{
    kv_scan_next(k->scan, PIECE_KEYS, PIECE_KEYS, PIECE_BYTES, came, k);
}

static void
came(void *ctx, const struct kv_scan_piece *piece)
{
    struct slot_keys *k = ctx;
    enum status st = piece->status;

    for (uint32_t i = 0; i < piece->count && st == ST_OK && !is_enough(k); i++) {
        if (slot_of(piece->entries[i].key) == k->slot)
            st = keep(k, piece->entries[i].key);
    }
    if (st != ST_OK)
        call_reply_status(k->call, st, piece->err);
    else if (piece->end || is_enough(k))
        reply(k);
    else
        go_on(k);
}

static void
begin(struct slot_keys *k)
{
    struct call *c = k->call;
    struct kv_door *door = c->session->reactor->door;
    const struct tablet_record *t =
        slots_tablet(atlas_keyspace(leaders_atlas(door), c->keyspace), k->slot);
    struct kv_scan_options options = { .keyspace = c->keyspace,
                                       .tablet = t == NULL ? 0 : t->id,
                                       .deadline_ns = session_deadline_ns(c->session) };
    struct err err = { 0 };
    enum status st;

    if (is_enough(k)) {
        reply(k);
        return;
    }
    st = kv_scan_open(door, &options, &k->scan, &err);
    if (st != ST_OK)
        call_reply_status(c, st, &err);
    else
        go_on(k);
}

static void
look_for(struct call *c, const struct slot_keys *wanted)
{
    struct slot_keys *k = mem_new(struct slot_keys);

    if (k == NULL) {
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    *k = *wanted;
    k->call = c;
    k->keys = buf_empty(FOUND_BYTES_MAX + 2 * LIMIT_KEY_BYTES);
    c->task = k;
    c->release = release;
    begin(k);
}

void
task_cluster_countkeysinslot(struct call *c, const struct slice *args, uint32_t count)
{
    int64_t slot;

    (void)count;
    if (!decimal_parse_i64(args[2], &slot))
        call_reply_error(c, REDIS_NOT_INTEGER);
    else if (slot < 0 || slot >= SLOT_COUNT)
        call_reply_error(c, "ERR Invalid slot");
    else
        look_for(c,
                 &(struct slot_keys){ .slot = (uint32_t)slot, .counts = true, .most = UINT64_MAX });
}

void
task_cluster_getkeysinslot(struct call *c, const struct slice *args, uint32_t count)
{
    int64_t slot, most;

    (void)count;
    if (!decimal_parse_i64(args[2], &slot) || !decimal_parse_i64(args[3], &most))
        call_reply_error(c, REDIS_NOT_INTEGER);
    else if (slot < 0 || slot >= SLOT_COUNT || most < 0)
        call_reply_error(c, "ERR Invalid slot or number of keys");
    else
        look_for(c, &(struct slot_keys){ .slot = (uint32_t)slot, .most = (uint64_t)most });
}
