/*
 * Of which incarnation of its node this process is.  The file INCARNATION has that of the latest one:
 *
 *      magic "DKVINCAR" | format:u32 = 1 | incarnation:u32 | XXH3 of all before:u64
 *
 * A later process has a higher one: one more than the file's, and not less than the seconds since 1970, so that a
 * file that was lost, or came with an older copy of the store, does no harm unless the clock was set back, too.  A
 * node that cannot write the file starts all the same.
 */
#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"
#include "env/whole_file.h"

enum {
    INCARNATION_FORMAT = 1,
    INCARNATION_BYTES = 24,
    INCARNATION_FILE_MAX = 4096,
    MS_PER_S = 1000
};

static const char magic[8] = { 'D', 'K', 'V', 'I', 'N', 'C', 'A', 'R' };
static const char name[] = "INCARNATION";

static void
encode(uint64_t incarnation, uint8_t out[INCARNATION_BYTES])
{
    memcpy(out, magic, sizeof(magic));
    put_u32le(out + 8, INCARNATION_FORMAT);
    put_u32le(out + 12, (uint32_t)incarnation);
    put_u64le(out + 16, hash64(slice_of(out, 16)));
}

static enum status
decode(struct slice bytes, const char *path, uint32_t *out, struct err *err)
{
    const uint8_t *at = bytes.data;

    if (bytes.size != INCARNATION_BYTES || memcmp(at, magic, sizeof(magic)) != 0 ||
        get_u32le(at + 8) != INCARNATION_FORMAT || get_u64le(at + 16) != hash64(slice_of(at, 16)))
        return err_raise(err, ST_CORRUPT, "%s: damaged (%zu bytes)", path, bytes.size);
    *out = get_u32le(at + 12);
    return ST_OK;
}

/* 0: there was none, or it is not known. */
static uint32_t
latest(struct cluster *c)
{
    struct buf bytes = buf_empty(INCARNATION_FILE_MAX);
    char path[LIMIT_PATH_BYTES];
    uint32_t incarnation = 0;
    struct err err;
    enum status st;

    snprintf(path, sizeof(path), "%s/%s", engine_dir(c->engine), name);
    st = whole_file_read(c->env, path, &bytes, &err);
    if (st == ST_OK)
        st = decode(buf_slice(&bytes), path, &incarnation, &err);
    buf_release(&bytes);
    if (st != ST_OK && st != ST_NOT_FOUND)
        log_event(LOG_WARN, "cluster.incarnation_unread", log_err(&err),
                  log_str("effect", "the clock alone tells this process from former ones"));
    return incarnation;
}

void
incarnation_begin(struct cluster *c)
{
    uint64_t by_clock = env_wall_ms(c->env) / MS_PER_S;
    uint64_t by_file = (uint64_t)latest(c) + 1;
    uint64_t incarnation = by_clock > by_file ? by_clock : by_file;
    uint8_t bytes[INCARNATION_BYTES];
    struct err err;

    c->incarnation = incarnation < PEER_INCARNATION_MAX ? incarnation : PEER_INCARNATION_MAX;
    encode(c->incarnation, bytes);
    if (whole_file_replace(c->env, engine_dir(c->engine), name, slice_of(bytes, sizeof(bytes)),
                           &err) != ST_OK)
        log_event(LOG_WARN, "cluster.incarnation_not_saved", log_err(&err),
                  log_str("effect", "the clock alone tells this process from later ones"));
}
