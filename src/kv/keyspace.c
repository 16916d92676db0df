/*
 * Keyspaces live in the metadata tablet, under keys of kind KEY_META:
 *
 *      key    'm' "keyspace/" id:u32 big-endian
 *      value  format:u8 = 1  id:varint  name:string  mode:u8 = 1 (strong)
 *             partition:u8 = 1 (hash)  replicas:varint
 *             count:varint { tablet:u64  from:string  to:string }*
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/mem.h"

#include "kv/kv_internal.h"

enum {
    KEYSPACE_FORMAT = 1,
    MODE_STRONG = 1,
    PARTITION_HASH = 1,
    KEYSPACE_VALUE_MAX = 256,
    KEYSPACE_KEY_BYTES = 14,
};

static const char prefix[] = "mkeyspace/";

static void
keyspace_key(uint32_t id, uint8_t out[KEYSPACE_KEY_BYTES])
{
    memcpy(out, prefix, sizeof(prefix) - 1);
    for (int i = 0; i < 4; i++)
        out[sizeof(prefix) - 1 + (size_t)i] = (uint8_t)(id >> (24 - 8 * i));
}

static enum status
keyspace_encode(const struct keyspace *k, struct buf *out)
{
    enum status st = append_u8(out, KEYSPACE_FORMAT);

    if (st == ST_OK)
        st = append_varint(out, k->id);
    if (st == ST_OK)
        st = append_string(out, slice_str(k->name));
    if (st == ST_OK)
        st = append_u8(out, MODE_STRONG);
    if (st == ST_OK)
        st = append_u8(out, PARTITION_HASH);
    if (st == ST_OK)
        st = append_varint(out, 1);
    if (st == ST_OK)
        st = append_varint(out, KV_TABLETS_PER_KEYSPACE);
    if (st == ST_OK)
        st = append_u64(out, k->tablet_id);
    if (st == ST_OK)
        st = append_string(out, (struct slice){ 0 });
    if (st == ST_OK)
        st = append_string(out, (struct slice){ 0 });
    return st;
}

static enum status
keyspace_decode(struct slice bytes, struct keyspace *out, struct err *err)
{
    struct reader r = reader_of(bytes);
    uint8_t format = read_u8(&r);
    uint8_t mode, partition;
    struct slice name;
    uint64_t id, tablets;

    if (!r.bad && format > KEYSPACE_FORMAT)
        return err_raise(err, ST_INVALID, "a keyspace's format %u is newer than this program's %d",
                         format, KEYSPACE_FORMAT);
    id = read_varint(&r);
    name = read_string(&r);
    mode = read_u8(&r);
    partition = read_u8(&r);
    if (mode != MODE_STRONG || partition != PARTITION_HASH || read_varint(&r) != 1)
        r.bad = true;
    tablets = read_varint(&r);
    out->tablet_id = read_u64(&r);
    (void)read_string(&r);
    (void)read_string(&r);
    if (r.bad || reader_left(&r) != 0 || id > UINT32_MAX || name.size > LIMIT_NAME_BYTES ||
        tablets != KV_TABLETS_PER_KEYSPACE || out->tablet_id < KV_TREE_ID_MIN)
        return err_raise(err, ST_CORRUPT,
                         "the metadata tablet holds a keyspace that cannot be read");
    out->id = (uint32_t)id;
    memcpy(out->name, name.data, name.size);
    out->name[name.size] = '\0';
    return ST_OK;
}

/* Room for one more; keyspaces are few. */
static enum status
append_keyspace(struct kv *kv, const struct keyspace *k, struct err *err)
{
    struct keyspace *grown;

    if (kv->keyspace_count >= KV_KEYSPACES_MAX)
        return err_raise(err, ST_TOO_BIG, "more than %d keyspaces", KV_KEYSPACES_MAX);
    grown = mem_resize(kv->keyspaces, (kv->keyspace_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the keyspaces");
    kv->keyspaces = grown;
    grown[kv->keyspace_count++] = *k;
    return ST_OK;
}

enum status
kv__load_keyspaces(struct kv *kv, struct err *err)
{
    struct lsm_iter_options options = { 0 };
    struct lsm_iter *it = NULL;
    enum status st = lsm_iter_create(tablet_lsm(kv->meta), &options, &it, err);

    if (st == ST_OK)
        st = lsm_iter_seek(it, slice_str(prefix), err);
    while (st == ST_OK) {
        struct keyspace k = { 0 };
        struct entry e;

        lsm_iter_entry(it, &e);
        if (!slice_starts_with(e.key, slice_str(prefix)))
            break;
        st = keyspace_decode(e.value, &k, err);
        if (st == ST_OK)
            st = append_keyspace(kv, &k, err);
        if (st == ST_OK)
            st = lsm_iter_next(it, err);
    }
    lsm_iter_destroy(it);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* A keyspace on its way into the metadata tablet. */
struct stored {
    uint8_t key[KEYSPACE_KEY_BYTES];
    struct buf value;
};

static enum status
encode_all(const struct kv *kv, struct stored *stored, struct entry *entries)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < kv->keyspace_count && st == ST_OK; i++) {
        const struct keyspace *k = &kv->keyspaces[i];

        stored[i].value = buf_empty(KEYSPACE_VALUE_MAX);
        st = keyspace_encode(k, &stored[i].value);
        keyspace_key(k->id, stored[i].key);
        entries[i] = (struct entry){ .key = slice_of(stored[i].key, KEYSPACE_KEY_BYTES),
                                     .value = buf_slice(&stored[i].value),
                                     .type = ENTRY_VALUE };
    }
    return st;
}

static enum status
store_keyspaces(struct kv *kv, struct err *err)
{
    struct stored *stored = mem_new_array(struct stored, kv->keyspace_count);
    struct entry *entries = mem_new_array(struct entry, kv->keyspace_count);
    enum status st = stored == NULL || entries == NULL ? ST_NO_MEMORY : ST_OK;

    if (st == ST_OK)
        st = encode_all(kv, stored, entries);
    if (st != ST_OK)
        st = err_raise(err, st, "out of memory for the keyspaces");
    else
        st = tablet_write_now(kv->meta, entries, kv->keyspace_count, err);
    for (uint32_t i = 0; stored != NULL && i < kv->keyspace_count; i++)
        buf_release(&stored[i].value);
    mem_free(stored);
    mem_free(entries);
    return st;
}

/* Those that a store is born with, in one log entry. */
enum status
kv__create_databases(struct kv *kv, struct err *err)
{
    enum status st = ST_OK;

    ASSERT(kv->keyspace_count == 0);
    for (uint32_t i = 0; i < kv->databases && st == ST_OK; i++) {
        struct keyspace k = { .id = i, .tablet_id = kv__founding_tablet(kv, i) };

        snprintf(k.name, sizeof(k.name), "%u", i);
        st = append_keyspace(kv, &k, err);
    }
    return st == ST_OK ? store_keyspaces(kv, err) : st;
}
