/*
 * IDENTITY, 80 bytes, written once, and once more by a store that joins a cluster:
 *
 *      magic "DKVIDENT" | format:u32 = 1 | kind:u32 | cluster:16 | node:u64 | store:u64 |
 *      created_ms:u64 | joined:u8 | reserved:15 | XXH3 of all before:u64
 */
#include <stdio.h>

#include "base/coding.h"
#include "base/hash.h"
#include "base/limits.h"

#include "engine/engine_internal.h"
#include "env/whole_file.h"

enum { IDENTITY_FORMAT = 1, IDENTITY_BYTES = 80, IDENTITY_FILE_MAX = 4096 };

static const char magic[8] = { 'D', 'K', 'V', 'I', 'D', 'E', 'N', 'T' };

static void
encode(const struct engine_identity *id, uint8_t out[IDENTITY_BYTES])
{
    memset(out, 0, IDENTITY_BYTES);
    memcpy(out, magic, sizeof(magic));
    put_u32le(out + 8, IDENTITY_FORMAT);
    put_u32le(out + 12, (uint32_t)id->kind);
    memcpy(out + 16, id->cluster, sizeof(id->cluster));
    put_u64le(out + 32, id->node);
    put_u64le(out + 40, id->store);
    put_u64le(out + 48, id->created_ms);
    out[56] = id->joined;
    put_u64le(out + 72, hash64(slice_of(out, 72)));
}

static enum status
decode(struct slice bytes, const char *path, struct engine_identity *id, struct err *err)
{
    const uint8_t *at = bytes.data;
    uint32_t kind;

    if (bytes.size != IDENTITY_BYTES || memcmp(at, magic, sizeof(magic)) != 0 ||
        get_u64le(at + 72) != hash64(slice_of(at, 72))) {
        return err_raise(err, ST_CORRUPT,
                         "%s: damaged (offset 0, %zu bytes): this is not the "
                         "identity of a DistKV store",
                         path, bytes.size);
    }
    if (get_u32le(at + 8) > IDENTITY_FORMAT)
        return err_raise(err, ST_INVALID, "%s: format %u is newer than this program's %d", path,
                         get_u32le(at + 8), IDENTITY_FORMAT);
    kind = get_u32le(at + 12);
    if (kind != ENGINE_SERVER && kind != ENGINE_EMBEDDED)
        return err_raise(err, ST_CORRUPT, "%s: unknown kind of store %u at offset 12", path, kind);
    id->kind = (enum engine_kind)kind;
    memcpy(id->cluster, at + 16, sizeof(id->cluster));
    id->node = get_u64le(at + 32);
    id->store = get_u64le(at + 40);
    id->created_ms = get_u64le(at + 48);
    id->joined = at[56] != 0;
    return ST_OK;
}

static const char *
kind_name(enum engine_kind kind)
{
    return kind == ENGINE_SERVER ? "a server's data directory" : "an embedded store (libdistkv)";
}

enum status
engine__load_identity(struct engine *e, bool *exists, struct err *err)
{
    struct buf bytes = buf_empty(IDENTITY_FILE_MAX);
    char path[LIMIT_PATH_BYTES];
    enum status st;

    snprintf(path, sizeof(path), "%s/IDENTITY", e->dir);
    st = whole_file_read(e->env, path, &bytes, err);
    *exists = st != ST_NOT_FOUND;
    if (st == ST_NOT_FOUND) {
        buf_release(&bytes);
        return ST_OK;
    }
    if (st == ST_TOO_BIG)
        st = err_raise(err, ST_CORRUPT, "%s: damaged: larger than an identity can be", path);
    if (st == ST_OK)
        st = decode(buf_slice(&bytes), path, &e->identity, err);
    buf_release(&bytes);
    if (st == ST_OK && e->identity.kind != e->options.kind)
        st = err_raise(err, ST_INVALID, "%s is %s, not %s", e->dir, kind_name(e->identity.kind),
                       kind_name(e->options.kind));
    return st;
}

enum status
engine__store_identity(struct engine *e, struct err *err)
{
    uint8_t bytes[IDENTITY_BYTES];

    encode(&e->identity, bytes);
    return whole_file_replace(e->env, e->dir, "IDENTITY", slice_of(bytes, sizeof(bytes)), err);
}

static uint64_t
random_id(struct engine *e)
{
    uint64_t id = 0;

    while (id == 0)
        env_random(e->env, &id, sizeof(id));
    return id;
}

enum status
engine__create_identity(struct engine *e, struct err *err)
{
    static const uint8_t none[sizeof(e->options.cluster)];
    struct engine_identity *id = &e->identity;

    memcpy(id->cluster, e->options.cluster, sizeof(id->cluster));
    if (memcmp(id->cluster, none, sizeof(none)) == 0 && !e->options.of_no_cluster)
        env_random(e->env, id->cluster, sizeof(id->cluster));
    id->node = e->options.node != 0 ? e->options.node : random_id(e);
    id->store = random_id(e);
    id->created_ms = env_wall_ms(e->env);
    id->kind = e->options.kind;
    return engine__store_identity(e, err);
}

enum status
engine_adopt(struct engine *e, const uint8_t cluster[16], struct err *err)
{
    static const uint8_t none[sizeof(e->identity.cluster)];
    enum status st;

    if (memcmp(e->identity.cluster, none, sizeof(none)) != 0)
        return err_raise(err, ST_EXISTS, "%s belongs to a cluster already", e->dir);
    memcpy(e->identity.cluster, cluster, sizeof(e->identity.cluster));
    e->identity.joined = true;
    st = engine__store_identity(e, err);
    if (st != ST_OK) {
        memset(e->identity.cluster, 0, sizeof(e->identity.cluster));
        e->identity.joined = false;
    }
    return st;
}
