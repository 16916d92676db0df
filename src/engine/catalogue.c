/*
 * CATALOGUE, the root manifest of a data directory: which trees there are.
 *
 *      magic "DKVCATLG" | format:u32 = 1 | tree_count:u32 | store:u64 | sequence:u64 |
 *      tree id:u64 * tree_count | XXH3 of all before, seeded with the store id:u64
 *
 * Replaced as a whole, so that it is always one of two states.  The first
 * segment of each log stream is named by the stream's own CHAIN file.
 */
#include <stdio.h>

#include "base/coding.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "engine/engine_internal.h"
#include "env/whole_file.h"

enum {
    CATALOGUE_FORMAT = 1,
    CATALOGUE_HEADER = 32,
    CATALOGUE_TRAILER = 8,
    CATALOGUE_FILE_MAX = CATALOGUE_HEADER + 8 * CATALOGUE_TREES_MAX + CATALOGUE_TRAILER,
};

static const char magic[8] = { 'D', 'K', 'V', 'C', 'A', 'T', 'L', 'G' };

static enum status
decode(struct engine *e, struct slice bytes, const char *path, uint64_t **ids, uint32_t *count,
       struct err *err)
{
    const uint8_t *at = bytes.data;
    uint64_t *list;
    uint32_t n;

    if (bytes.size < CATALOGUE_HEADER + CATALOGUE_TRAILER ||
        memcmp(at, magic, sizeof(magic)) != 0 ||
        get_u64le(at + bytes.size - CATALOGUE_TRAILER) !=
            hash64_seeded(slice_of(at, bytes.size - CATALOGUE_TRAILER), e->identity.store))
        return err_raise(err, ST_CORRUPT, "%s: damaged (offset 0, %zu bytes)", path, bytes.size);
    if (get_u32le(at + 8) > CATALOGUE_FORMAT)
        return err_raise(err, ST_INVALID, "%s: format %u is newer than this program's %d", path,
                         get_u32le(at + 8), CATALOGUE_FORMAT);
    n = get_u32le(at + 12);
    if (bytes.size != CATALOGUE_HEADER + 8 * (size_t)n + CATALOGUE_TRAILER)
        return err_raise(err, ST_CORRUPT, "%s: damaged: %u trees in %zu bytes (offset 12)", path, n,
                         bytes.size);
    list = mem_new_array(uint64_t, n + (size_t)1);
    if (list == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", path);
    for (uint32_t i = 0; i < n; i++)
        list[i] = get_u64le(at + CATALOGUE_HEADER + 8 * (size_t)i);
    e->catalogue_sequence = get_u64le(at + 24);
    *ids = list;
    *count = n;
    return ST_OK;
}

enum status
engine__load_catalogue(struct engine *e, uint64_t **ids, uint32_t *count, struct err *err)
{
    struct buf bytes = buf_empty(CATALOGUE_FILE_MAX);
    char path[LIMIT_PATH_BYTES];
    enum status st;

    snprintf(path, sizeof(path), "%s/CATALOGUE", e->dir);
    st = whole_file_read(e->env, path, &bytes, err);
    if (st == ST_NOT_FOUND)
        st = err_raise(err, ST_CORRUPT, "%s: missing, though the store has an identity", path);
    else if (st == ST_TOO_BIG)
        st = err_raise(err, ST_CORRUPT, "%s: damaged: larger than a catalogue can be", path);
    else if (st == ST_OK)
        st = decode(e, buf_slice(&bytes), path, ids, count, err);
    buf_release(&bytes);
    return st;
}

enum status
engine__store_catalogue(struct engine *e, uint64_t extra_id, struct err *err)
{
    struct buf bytes = buf_empty(CATALOGUE_FILE_MAX);
    uint32_t count = e->tree_count + (extra_id != 0 ? 1 : 0);
    enum status st = buf_append(&bytes, slice_of(magic, sizeof(magic)));

    if (st == ST_OK)
        st = append_u32(&bytes, CATALOGUE_FORMAT);
    if (st == ST_OK)
        st = append_u32(&bytes, count);
    if (st == ST_OK)
        st = append_u64(&bytes, e->identity.store);
    if (st == ST_OK)
        st = append_u64(&bytes, e->catalogue_sequence + 1);
    for (uint32_t i = 0; i < e->tree_count && st == ST_OK; i++)
        st = append_u64(&bytes, e->trees[i]->id);
    if (st == ST_OK && extra_id != 0)
        st = append_u64(&bytes, extra_id);
    if (st == ST_OK)
        st = append_u64(&bytes, hash64_seeded(buf_slice(&bytes), e->identity.store));
    if (st == ST_OK)
        st = whole_file_replace(e->env, e->dir, "CATALOGUE", buf_slice(&bytes), err);
    else
        st = err_raise(err, st, "%s/CATALOGUE: out of memory", e->dir);
    buf_release(&bytes);
    if (st == ST_OK)
        e->catalogue_sequence++;
    return st;
}
